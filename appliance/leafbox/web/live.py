"""Watching messages pass: reads core's watches, keeps the tree of subjects, feeds tails.

Core hands over a bounded number of messages a second and is not asked while nobody looks. The tree of an account is
watched while somebody looks at it, and a minute longer.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import time
from collections.abc import AsyncIterator

from fastapi import Request

from leafbox.web.core import Core, CoreAway, CoreRefused, Object
from leafbox.web.events import Watcher, encode_event, kept_alive
from leafbox.web.jetstream import body_of, headers_of
from leafbox.web.models.data import LiveMessage, SubjectNode, SubjectTree
from leafbox.web.problems import Refusal

logger = logging.getLogger(__name__)

READ_S = 0.25
TREE_MESSAGES_PER_S = 1000
TAIL_MESSAGES_PER_S = 200
"""More than anybody can read; a page shows the last few hundred."""
SUBJECTS_MAX = 2000
"""Subjects kept in a tree, about 1 KB each."""
DEPTH_MAX = 16
VALUE_BYTES_MAX = 256
TAIL_BYTES_MAX = 16 * 1024
WATCHED_S = 60.0
TREES_MAX = 4
TAILS_MAX = 16


class WatchReader:
    """One watch of core, read again and again; opened anew when core was away."""

    def __init__(self, core: Core, account: str, subject: str, per_s: int, payload_bytes: int) -> None:
        self._core = core
        self._asked: Object = {
            "account": account,
            "subject": subject,
            "per_s": per_s,
            "payload_bytes": payload_bytes,
        }
        self._id = 0
        self.is_sampled = False

    async def open(self) -> None:
        """Begin. Raises `CoreAway`, `CoreRefused`."""
        self._id = int((await self._core.request("live.open", self._asked))["id"])

    async def read(self) -> list[Object]:
        """What passed since the last time, nothing while core is away."""
        try:
            if not self._id:
                await self.open()
            found = await self._core.request("live.take", {"id": self._id})
        except CoreRefused:
            self._id = 0
            return []
        except CoreAway:
            return []
        self.is_sampled = self.is_sampled or bool(found["sampled"])
        messages: list[Object] = found["messages"]
        return messages

    async def close(self) -> None:
        """End."""
        try:
            await self._core.request("live.close", {"id": self._id})
        except (CoreAway, CoreRefused) as error:
            logger.debug("watch ends by itself: %s", error)


class Node:
    """A token of the tree."""

    __slots__ = ("children", "count", "data", "is_cut", "last_s", "size")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.count = 0
        self.last_s = 0.0
        self.data: bytes | None = None
        self.size = 0
        self.is_cut = False


class Tree:
    """Subjects of one account with their last values, bounded."""

    def __init__(self, reader: WatchReader) -> None:
        self.reader = reader
        self.wanted_until = 0.0
        self._root = Node()
        self._subjects = 0
        self._since_s = time.time()

    async def run(self) -> None:
        """Until nobody has looked for a while."""
        while time.monotonic() < self.wanted_until:
            for message in await self.reader.read():
                self.enter(message)
            await asyncio.sleep(READ_S)
        await self.reader.close()

    def enter(self, message: Object) -> None:
        """Note a message. Answers and the server's own subjects are nobody's readings."""
        subject = str(message["subject"])
        if subject.startswith(("_INBOX.", "$")):
            return
        node = self._root
        for token in subject.split(".")[:DEPTH_MAX]:
            child = node.children.get(token)
            if child is None:
                if self._subjects >= SUBJECTS_MAX:
                    node.is_cut = True
                    return
                self._subjects += 1
                child = node.children[token] = Node()
            node = child
            node.count += 1
        node.last_s = float(message["at_s"])
        node.data = base64.b64decode(message["payload"])
        node.size = int(message["size"])

    def snapshot(self) -> SubjectTree:
        """As the API shows it."""
        return SubjectTree(
            nodes=_nodes(self._root, ""),
            subjects=self._subjects,
            subjects_max=SUBJECTS_MAX,
            since_s=self._since_s,
            sampled=self.reader.is_sampled,
        )


def _nodes(parent: Node, prefix: str) -> list[SubjectNode]:
    return [
        SubjectNode(
            token=token,
            subject=f"{prefix}{token}",
            count=node.count,
            last_s=node.last_s,
            last=None if node.data is None else body_of(node.data, VALUE_BYTES_MAX, node.size),
            children=_nodes(node, f"{prefix}{token}."),
            cut=node.is_cut,
        )
        for token, node in sorted(parent.children.items())
    ]


class LiveWatches:
    """The trees by account and the tails; `tasks` runs what reads."""

    def __init__(self, core: Core, tasks: asyncio.TaskGroup) -> None:
        self._core = core
        self._tasks = tasks
        self._trees: dict[str, tuple[Tree, asyncio.Task[None]]] = {}
        self._tails = 0

    async def tree(self, account: str) -> SubjectTree:
        """The tree of an account; the first look begins to watch. Raises `CoreAway`, `CoreRefused`."""
        known = self._trees.get(account)
        if known is None or known[1].done():
            if len(self._trees) >= TREES_MAX:
                self._trees.pop(next(iter(self._trees)))[0].wanted_until = 0
            tree = Tree(WatchReader(self._core, account, ">", TREE_MESSAGES_PER_S, VALUE_BYTES_MAX))
            tree.wanted_until = time.monotonic() + WATCHED_S
            await tree.reader.open()
            known = tree, self._tasks.create_task(tree.run(), name=f"live tree {account}")
            self._trees[account] = known
        known[0].wanted_until = time.monotonic() + WATCHED_S
        return known[0].snapshot()

    def stop(self) -> None:
        """The process ends."""
        for _, task in self._trees.values():
            task.cancel()

    async def tail(self, request: Request, account: str, subject: str) -> AsyncIterator[bytes]:
        """Messages of a subject as events named `message`; `sampled` when more came than are shown."""
        if self._tails >= TAILS_MAX:
            raise Refusal(503, "busy", f"{TAILS_MAX} tails are open.", "Close some of them.")
        self._tails += 1
        watcher = Watcher(TAIL_MESSAGES_PER_S)
        reader = WatchReader(self._core, account, subject, TAIL_MESSAGES_PER_S, TAIL_BYTES_MAX)
        await reader.open()
        task = self._tasks.create_task(_feed(watcher, reader), name=f"live tail {subject}")
        try:
            async for event in kept_alive(request, watcher.queue):
                yield event
        finally:
            self._tails -= 1
            task.cancel()
            await reader.close()


async def _feed(watcher: Watcher, reader: WatchReader) -> None:
    while True:
        for message in await reader.read():
            watcher.put(encode_event("message", _shown(message).model_dump()))
        if reader.is_sampled:
            reader.is_sampled = False
            watcher.put(encode_event("sampled", {"per_s": TAIL_MESSAGES_PER_S}))
        await asyncio.sleep(READ_S)


def _shown(message: Object) -> LiveMessage:
    return LiveMessage(
        subject=message["subject"],
        reply=message["reply"],
        headers=headers_of(base64.b64decode(message["header"])) if message["header"] else {},
        body=body_of(base64.b64decode(message["payload"]), TAIL_BYTES_MAX, message["size"]),
        at_s=message["at_s"],
    )
