"""Watching messages pass, without becoming a load.

A subscription here is a series of windows: it asks core for at most so many messages (`UNSUB` with a count) and renews
that once a second. So core delivers a bounded number of messages whatever the traffic, and what is shown of a storm is
a sample, and said to be one. The tree of subjects is watched while somebody looks at it, and a minute longer.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import nats.errors
from fastapi import Request
from nats.aio.msg import Msg

from leafbox.web.box import box_of
from leafbox.web.core import Core, CoreAway
from leafbox.web.events import Watcher, encode_event, kept_alive
from leafbox.web.jetstream import body_of
from leafbox.web.models.data import LiveMessage, SubjectNode, SubjectTree
from leafbox.web.problems import Refusal

logger = logging.getLogger(__name__)

WINDOW_S = 1.0
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


class Windows:
    """One subject watched through renewed windows; `take` gets every message that comes."""

    def __init__(self, core: Core, account: str, subject: str, per_window: int) -> None:
        self._core = core
        self._account = account
        self._subject = subject
        self._per_window = per_window
        self.sampled_windows = 0

    async def run(self, take: Callable[[Msg], Awaitable[None]], is_wanted: Callable[[], bool]) -> None:
        """Until it is no longer wanted; a lost connection to core is made anew."""
        while is_wanted():
            try:
                await self._run_connected(take, is_wanted)
            except (CoreAway, nats.errors.Error) as error:
                logger.debug("live %s: %s", self._subject, error)
                await asyncio.sleep(WINDOW_S)

    async def _run_connected(self, take: Callable[[Msg], Awaitable[None]], is_wanted: Callable[[], bool]) -> None:
        client = await self._core.client(self._account)
        subscription = None
        left = 0

        async def count(message: Msg) -> None:
            nonlocal left
            left -= 1
            await take(message)

        try:
            while is_wanted() and client.is_connected:
                if left <= 0:
                    if subscription is not None:
                        self.sampled_windows += 1
                    left = self._per_window
                    subscription = await client.subscribe(self._subject, cb=count)
                    await subscription.unsubscribe(limit=self._per_window)
                await asyncio.sleep(WINDOW_S)
        finally:
            if subscription is not None and client.is_connected:
                with contextlib.suppress(nats.errors.Error):
                    await subscription.unsubscribe()


class Node:
    """A token of the tree."""

    __slots__ = ("children", "count", "data", "is_cut", "last_s")

    def __init__(self) -> None:
        self.children: dict[str, Node] = {}
        self.count = 0
        self.last_s = 0.0
        self.data: bytes | None = None
        self.is_cut = False


class Tree:
    """Subjects of one account with their last values, bounded."""

    def __init__(self, windows: Windows) -> None:
        self.windows = windows
        self.wanted_until = 0.0
        self.root = Node()
        self.subjects = 0
        self.since_s = time.time()

    def is_wanted(self) -> bool:
        """Whether somebody looked lately."""
        return time.monotonic() < self.wanted_until

    async def take(self, message: Msg) -> None:
        """Enter a message. Answers and the server's own subjects are nobody's readings."""
        if message.subject.startswith(("_INBOX.", "$")):
            return
        node = self.root
        for token in message.subject.split(".")[:DEPTH_MAX]:
            child = node.children.get(token)
            if child is None:
                if self.subjects >= SUBJECTS_MAX:
                    node.is_cut = True
                    return
                self.subjects += 1
                child = node.children[token] = Node()
            node = child
            node.count += 1
        node.last_s = time.time()
        node.data = message.data[: VALUE_BYTES_MAX + 1]

    def snapshot(self) -> SubjectTree:
        """As the API shows it."""
        return SubjectTree(
            nodes=_nodes(self.root, ""),
            subjects=self.subjects,
            subjects_max=SUBJECTS_MAX,
            since_s=self.since_s,
            sampled=self.windows.sampled_windows > 0,
        )


def _nodes(parent: Node, prefix: str) -> list[SubjectNode]:
    return [
        SubjectNode(
            token=token,
            subject=f"{prefix}{token}",
            count=node.count,
            last_s=node.last_s,
            last=None if node.data is None else body_of(node.data, VALUE_BYTES_MAX),
            children=_nodes(node, f"{prefix}{token}."),
            cut=node.is_cut,
        )
        for token, node in sorted(parent.children.items())
    ]


class LiveWatches:
    """The trees by account and the tails; `tasks` runs what watches."""

    def __init__(self, core: Core, tasks: asyncio.TaskGroup) -> None:
        self._core = core
        self._tasks = tasks
        self._trees: dict[str, Tree] = {}
        self._tails = 0

    def tree(self, account: str) -> SubjectTree:
        """The tree of an account; the first look begins to watch."""
        tree = self._trees.get(account)
        if tree is None or not tree.is_wanted():
            if len(self._trees) >= TREES_MAX:
                self._trees.pop(next(iter(self._trees))).wanted_until = 0
            tree = Tree(Windows(self._core, account, ">", TREE_MESSAGES_PER_S))
            tree.wanted_until = time.monotonic() + WATCHED_S
            self._trees[account] = tree
            self._tasks.create_task(tree.windows.run(tree.take, tree.is_wanted), name=f"live tree {account}")
        tree.wanted_until = time.monotonic() + WATCHED_S
        return tree.snapshot()

    async def tail(self, request: Request, account: str, subject: str) -> AsyncIterator[bytes]:
        """Messages of a subject as events named `message`."""
        if self._tails >= TAILS_MAX:
            raise Refusal(503, "busy", f"{TAILS_MAX} tails are open.", "Close some of them.")
        self._tails += 1
        watcher = Watcher(TAIL_MESSAGES_PER_S)
        windows = Windows(self._core, account, subject, TAIL_MESSAGES_PER_S)
        task: Any = self._tasks.create_task(
            windows.run(lambda message: _pass_on(watcher, message), lambda: not box_of(request).stopping.is_set()),
            name=f"live tail {subject}",
        )
        sampled = 0
        try:
            async for event in kept_alive(request, watcher.queue):
                yield event
                if windows.sampled_windows != sampled:
                    sampled = windows.sampled_windows
                    yield encode_event("sampled", {"per_s": TAIL_MESSAGES_PER_S})
        finally:
            self._tails -= 1
            task.cancel()


async def _pass_on(watcher: Watcher, message: Msg) -> None:
    watcher.put(encode_event("message", live_message(message).model_dump()))


def live_message(message: Msg) -> LiveMessage:
    """A message as the API shows it."""
    return LiveMessage(
        subject=message.subject,
        reply=message.reply or "",
        headers={name: [value] for name, value in (message.headers or {}).items()},
        body=body_of(message.data, TAIL_BYTES_MAX),
        at_s=time.time(),
    )
