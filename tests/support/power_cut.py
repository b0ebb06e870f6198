"""A file system that can lose power: what was not synced is dropped, kept or torn, write by write.

It speaks the kernel's FUSE protocol directly (include/uapi/linux/fuse.h, version 7.31), keeps everything in memory and
runs in a process of its own, so that any program can live on it, also one that makes system calls without libc (Go) or
maps its files (LMDB). Needs root and /dev/fuse.

What is promised to programs is what ext4 in its default mode promises: `fsync`, `fdatasync` and O_DSYNC writes make
that file's data and size durable, and with them every name (create, rename, unlink) before that moment. All else is
up to the power: each unsynced write is kept, dropped or torn at a 512-byte sector, independently, in any order.

Use `PowerCutDisk` from tests; `python -m tests.support.power_cut MOUNTPOINT` is the process it starts.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import select
import stat
import struct
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

IN_HEADER = struct.Struct("<IIQQIIII")
OUT_HEADER = struct.Struct("<IiQ")
ATTRIBUTES = struct.Struct("<QQQQQQIIIIIIIIII")
ENTRY = struct.Struct("<QQQQII")
MAX_WRITE = 1 << 17
SECTOR = 512
MNT_DETACH = 2
ROOT = 1
WRITE = 16
UNSYNCED_AT_CUT = (1, 1, 1, 2, 4, 8, 16)
"""How many unsynced writes a cut waits for: one is a log commit, many are a database commit."""
WRITES_WAITED = 150
"""Writes after which a cut waits no longer."""


@dataclass
class Node:
    """A file or directory: as programs see it, and as it would be found after a power cut."""

    number: int
    mode: int
    data: bytearray = field(default_factory=bytearray)
    durable: bytearray = field(default_factory=bytearray)
    pending: list[tuple[int, bytes] | int] = field(default_factory=list)
    """Unsynced writes (offset, bytes) and truncations (size), oldest first."""
    children: dict[bytes, int] = field(default_factory=dict)
    durable_children: dict[bytes, int] = field(default_factory=dict)


def apply(data: bytearray, change: tuple[int, bytes] | int) -> None:
    """Carry out one write or truncation."""
    if isinstance(change, int):
        if change < len(data):
            del data[change:]
        else:
            data.extend(bytes(change - len(data)))
        return
    offset, content = change
    if offset > len(data):
        data.extend(bytes(offset - len(data)))
    data[offset : offset + len(content)] = content


class FileSystem:
    """The nodes, and one method per FUSE operation: takes a request's body, returns the answer's or raises OSError."""

    def __init__(self) -> None:
        self.nodes = {ROOT: Node(ROOT, stat.S_IFDIR | 0o755)}
        self.next_number = ROOT + 1
        self.is_cut = False
        self.failure = 0
        """While not 0, the errno that writes and syncs end with."""
        self.does_only_sync_fail = False
        self.operations = {
            1: self.lookup,
            3: self.get_attributes,
            4: self.set_attributes,
            9: self.make_directory,
            10: self.unlink,
            11: self.unlink,
            12: self.rename,
            14: self.open,
            15: self.read,
            16: self.write,
            17: self.statfs,
            18: self.nothing,
            20: self.sync,
            25: self.nothing,
            26: self.initialise,
            27: self.open,
            28: self.read_directory,
            29: self.nothing,
            30: self.sync,
            35: self.create,
            43: self.allocate,
            45: self.rename_with_flags,
        }

    # ------------------------------------------------------------------------------------------------------- answers

    def attributes_of(self, node: Node) -> bytes:
        size = len(node.data)
        return ATTRIBUTES.pack(node.number, size, (size + 511) // 512, 0, 0, 0, 0, 0, 0, node.mode, 1, 0, 0, 0, 4096, 0)

    def entry_of(self, node: Node) -> bytes:
        return ENTRY.pack(node.number, 0, 1, 1, 0, 0) + self.attributes_of(node)

    def new_node(self, mode: int) -> Node:
        node = Node(self.next_number, mode)
        self.next_number += 1
        self.nodes[node.number] = node
        return node

    def child(self, parent: int, name: bytes) -> Node:
        number = self.nodes[parent].children.get(name)
        if number is None:
            raise OSError(errno.ENOENT, "")
        return self.nodes[number]

    def nothing(self, node: int, body: bytes) -> bytes:
        return b""

    def initialise(self, node: int, body: bytes) -> bytes:
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, 1 << 17, 0, 16, 12, MAX_WRITE, 1, 0, 0, 0)

    def lookup(self, node: int, body: bytes) -> bytes:
        return self.entry_of(self.child(node, body.rstrip(b"\0")))

    def get_attributes(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", 1, 0, 0) + self.attributes_of(self.nodes[node])

    def set_attributes(self, node: int, body: bytes) -> bytes:
        valid, _, _, size = struct.unpack_from("<IIQQ", body)
        found = self.nodes[node]
        if valid & 1:
            found.mode = stat.S_IFMT(found.mode) | (struct.unpack_from("<I", body, 68)[0] & 0o7777)
        if valid & 8:
            self.change(found, size)
        return self.get_attributes(node, body)

    def make_directory(self, node: int, body: bytes) -> bytes:
        made = self.new_node(stat.S_IFDIR | 0o755)
        self.nodes[node].children[body[8:].rstrip(b"\0")] = made.number
        return self.entry_of(made)

    def create(self, node: int, body: bytes) -> bytes:
        if self.failure and not self.does_only_sync_fail:
            raise OSError(self.failure, "")
        name = body[16:].rstrip(b"\0")
        number = self.nodes[node].children.get(name)
        made = self.nodes[number] if number is not None else self.new_node(stat.S_IFREG | 0o600)
        self.nodes[node].children[name] = made.number
        return self.entry_of(made) + struct.pack("<QII", made.number, 2, 0)

    def open(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QII", node, 2, 0)

    def unlink(self, node: int, body: bytes) -> bytes:
        name = body.rstrip(b"\0")
        self.child(node, name)
        del self.nodes[node].children[name]
        return b""

    def rename(self, node: int, body: bytes) -> bytes:
        return self.move(node, struct.unpack_from("<Q", body)[0], body[8:])

    def rename_with_flags(self, node: int, body: bytes) -> bytes:
        return self.move(node, struct.unpack_from("<Q", body)[0], body[16:])

    def move(self, source: int, target: int, names: bytes) -> bytes:
        old, new = names.split(b"\0")[:2]
        self.nodes[target].children[new] = self.child(source, old).number
        del self.nodes[source].children[old]
        return b""

    def read(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        return bytes(self.nodes[node].data[offset : offset + size])

    def write(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        self.change(self.nodes[node], (offset, body[40 : 40 + size]))
        return struct.pack("<II", size, 0)

    def change(self, node: Node, change: tuple[int, bytes] | int) -> None:
        if self.is_cut:
            raise OSError(errno.EIO, "")
        if self.failure and not self.does_only_sync_fail:
            raise OSError(self.failure, "")
        apply(node.data, change)
        node.pending.append(change)

    def allocate(self, node: int, body: bytes) -> bytes:
        _, offset, length, mode = struct.unpack_from("<QQQI", body)
        if mode:
            raise OSError(errno.EOPNOTSUPP, "")
        if offset + length > len(self.nodes[node].data):
            self.change(self.nodes[node], offset + length)
        return b""

    def statfs(self, node: int, body: bytes) -> bytes:
        return struct.pack("<QQQQQIIII24x", 1 << 20, 1 << 20, 1 << 20, 1 << 20, 1 << 20, 4096, 255, 4096, 0)

    def read_directory(self, node: int, body: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", body)
        answer = b""
        names = [(b".", node), (b"..", ROOT), *self.nodes[node].children.items()]
        for index, (name, number) in enumerate(names[offset:], offset + 1):
            kind = stat.S_IFMT(self.nodes[number].mode) >> 12
            entry = struct.pack("<QQII", number, index, len(name), kind) + name
            entry += bytes(-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer

    def sync(self, node: int, body: bytes) -> bytes:
        if self.is_cut:
            raise OSError(errno.EIO, "")
        found = self.nodes[node]
        if self.failure:
            # Like Linux after a failed write-back: the pages count as clean, a later sync succeeds without them.
            found.pending.clear()
            raise OSError(self.failure, "")
        for change in found.pending:
            apply(found.durable, change)
        found.pending.clear()
        for each in self.nodes.values():
            if stat.S_ISDIR(each.mode):
                each.durable_children = dict(each.children)
        return b""

    # ----------------------------------------------------------------------------------------------------- power cut

    def cut(self, seed: int, policy: str, target: Path) -> int:
        """Lose power; write what a later start finds to `target`. Returns the number of writes that were not synced.

        Policy `drop` loses every unsynced write, `random` decides each one by `seed`.
        """
        self.is_cut = True
        choices = random.Random(seed)
        lost = self.unsynced()
        images = {}
        for node in self.nodes.values():
            image = bytearray(node.durable)
            for change in node.pending if policy == "random" else ():
                self.maybe_keep(image, change, choices)
            images[node.number] = image
        self.dump(ROOT, target, images)
        return lost

    def unsynced(self) -> int:
        """Writes that no sync has covered."""
        return sum(len(node.pending) for node in self.nodes.values())

    def maybe_keep(self, durable: bytearray, change: tuple[int, bytes] | int, choices: random.Random) -> None:
        fate = choices.choice(("drop", "keep", "tear"))
        if fate == "keep":
            apply(durable, change)
        elif fate == "tear" and isinstance(change, tuple):
            offset, content = change
            for start in range(0, len(content), SECTOR):
                if choices.random() < 0.5:
                    apply(durable, (offset + start, content[start : start + SECTOR]))

    def dump(self, number: int, target: Path, images: dict[int, bytearray]) -> None:
        target.mkdir(parents=True, exist_ok=True)
        for name, child in self.nodes[number].durable_children.items():
            path = target / os.fsdecode(name)
            if stat.S_ISDIR(self.nodes[child].mode):
                self.dump(child, path, images)
            else:
                path.write_bytes(images[child])


def serve(mountpoint: str) -> None:
    """Mount and answer the kernel until standard input ends; `cut SEED POLICY TARGET` comes on it."""
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"leafbox-power-cut", mountpoint.encode(), b"fuse", 0, options):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), mountpoint)
    print("mounted", flush=True)
    files = FileSystem()
    command = ""
    wanted = patience = 0
    try:
        while True:
            ready, _, _ = select.select([descriptor, 0], [], [], 0.5)
            if 0 in ready:
                command = sys.stdin.readline()
                if not command:
                    return
                if command.startswith("fail"):
                    _, code, only_sync = command.split()
                    files.failure, files.does_only_sync_fail = int(code), only_sync == "sync"
                    command = ""
                    print("ok", flush=True)
                wanted = random.Random(command).choice(UNSYNCED_AT_CUT)
                patience = 0 if command.endswith("now\n") else WRITES_WAITED
            operation = answer_kernel(files, descriptor) if descriptor in ready else 0
            patience -= operation == WRITE
            # The interesting moment is between writes and their sync; on an idle disk there is nothing to wait for.
            if command and (not ready or patience <= 0 or (operation == WRITE and files.unsynced() >= wanted)):
                _, seed, policy, target, _ = command.split()
                print(files.cut(int(seed), policy, Path(target)), flush=True)
                command = ""
    finally:
        libc.umount2(mountpoint.encode(), MNT_DETACH)


def answer_kernel(files: FileSystem, descriptor: int) -> int:
    """Take one request and answer it; returns which operation it was."""
    try:
        request = os.read(descriptor, MAX_WRITE + (1 << 16))
    except OSError:
        return 0  # interrupted before it could be read
    operation: int
    _, operation, unique, node, *_ = IN_HEADER.unpack_from(request)
    if operation in (2, 36, 42):
        return operation  # forget, interrupt, batch forget: no answer
    code = 0
    answer = b""
    try:
        handler = files.operations.get(operation)
        if handler is None:
            raise OSError(errno.ENOSYS, "")
        answer = handler(node, request[IN_HEADER.size :])
    except OSError as error:
        code = -(error.errno or errno.EIO)
    with contextlib.suppress(OSError):
        os.write(descriptor, OUT_HEADER.pack(OUT_HEADER.size + len(answer), code, unique) + answer)
    return operation


class PowerCutDisk:
    """A mounted file system that `cut` takes the power from; a context manager."""

    def __init__(self, mountpoint: Path) -> None:
        mountpoint.mkdir(parents=True, exist_ok=True)
        self.path = mountpoint
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.power_cut", str(mountpoint)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        assert self._process.stdout is not None
        if self._process.stdout.readline() != "mounted\n":
            raise RuntimeError("cannot mount: root and /dev/fuse are needed")

    def cut(self, seed: int, policy: str, target: Path, when: str = "writing") -> int:
        """Lose power, `now` or while `writing` (or soon, if no write comes); `target` gets what a start would find.

        Returns how many writes were unsynced.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"cut {seed} {policy} {target} {when}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def fail(self, code: int, what: str = "all") -> None:
        """Have writes and syncs (or only syncs: what="sync") end with errno `code`; 0 heals the disk.

        A failed sync drops the writes it was to cover, as Linux does.
        """
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"fail {code} {what}\n")
        self._process.stdin.flush()
        self._process.stdout.readline()

    def close(self) -> None:
        """Unmount; whatever still uses the files gets errors."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            subprocess.run(["umount", "--lazy", str(self.path)], check=False)
        self._process.stdout.close()

    def __enter__(self) -> PowerCutDisk:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


if __name__ == "__main__":
    serve(sys.argv[1])
