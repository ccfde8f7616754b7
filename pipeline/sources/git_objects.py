"""The objects of a git repository, from packs and loose files, within bounds.

The formats are git's own (gitformat-pack). dulwich reads indexes, deltas and trees; what is read of them, and how much,
is decided here.
"""

import hashlib
import mmap
import os
import re
import struct
import zlib
from collections import OrderedDict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import NamedTuple

from dulwich.errors import ApplyDeltaError, ObjectFormatException
from dulwich.object_format import SHA1
from dulwich.objects import ObjectID, parse_tree
from dulwich.pack import PackIndex, apply_delta, load_pack_index_file

from pipeline.sources.files import reason
from pipeline.sources.git_repository import CHUNK, MAX_LINKS, Folder, Repository, Unreadable
from pipeline.sources.streams import Bomb, Corrupt

COMMIT, TREE, BLOB, TAG, OFFSET_DELTA, ID_DELTA = 1, 2, 3, 4, 6, 7
KINDS = {COMMIT: b"commit", TREE: b"tree", BLOB: b"blob", TAG: b"tag"}
"""Numbers of the kinds of object (gitformat-pack, "Object types")."""

MAX_CHAIN = 4095
"""Deltas upon one another; git packs no more than that (`pack.depth`)."""
MAX_BASE_BYTES = 64 << 20
"""No delta is applied to a larger object; git makes none to one of more than 32 times the result."""
CACHE_BYTES = 32 << 20
"""Bases of deltas that are kept for the next delta."""
MAX_METADATA_BYTES = 16 << 20
"""A larger commit, tag or tree is not read; a tree has some 40 bytes for each of its entries."""
SLACK = 1 << 10

COMMIT_TEXT = re.compile(rb"tree ([0-9a-fA-F]{40})\n((?:parent [0-9a-fA-F]{40}\n)*)((?:[^\n]+\n)*)")
PARENT = re.compile(rb"[0-9a-fA-F]{40}")
AUTHOR = re.compile(rb"^author [^\n]*?<([^<>\n]*)>", re.MULTILINE)
COMMITTED = re.compile(rb"^committer [^\n]*>[ \t]*(-?\d{1,18})(?!\d)", re.MULTILINE)
"""As git itself takes a commit apart: the tree is what it must have, and the date is what follows the last bracket."""
TAGGED = re.compile(rb"object ([0-9a-f]{40})\ntype (commit|tag|tree|blob)\n")

DAMAGE = (
    ApplyDeltaError,
    AssertionError,
    IndexError,
    KeyError,
    ObjectFormatException,
    OverflowError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
"""What dulwich and zlib raise for bytes that are not what their format asks for."""


class Missing(Corrupt):
    """An object that others name is not there."""


class TooLarge(Exception):
    """An object is over the bound; `size` is its size."""

    def __init__(self, size: int) -> None:
        super().__init__(f"{size} bytes")
        self.size = size


class Budget:
    """Bytes that a repository may still grow to: bounds time, whatever its objects ask for."""

    def __init__(self, allowed: int) -> None:
        self.allowed = self.left = allowed

    def spend(self, size: int) -> None:
        """Raises `Bomb` where it is used up."""
        self.left -= size
        if self.left < 0:
            raise Bomb(f"grows to more than {self.allowed} bytes")


class Entry(NamedTuple):
    """An entry of a tree."""

    name: bytes
    mode: int
    id: bytes


@dataclass(frozen=True)
class Commit:
    """What is read of a commit: neither its message nor any name."""

    id: bytes
    tree: bytes
    parents: tuple[bytes, ...]
    author: bytes
    """SHA-1 of the author's address; empty where there is none."""
    time: int | None
    """When it was committed, in seconds since 1970; None where it does not say."""


class Pack:
    """A pack file and its index, mapped into memory."""

    def __init__(self, folder: Folder, name: str) -> None:
        self.name = name
        with ExitStack() as undo:
            index = os.fdopen(folder.open(f"objects/pack/{name}.idx"), "rb")
            undo.callback(index.close)
            try:
                self._index: PackIndex = load_pack_index_file(name, index, SHA1)
            except DAMAGE as error:
                raise Corrupt(f"{name}.idx is damaged: {reason(error)}") from None
            descriptor = folder.open(f"objects/pack/{name}.pack")
            try:
                self.data = mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ)
            except ValueError:
                raise Corrupt(f"{name}.pack is damaged: is a file of 0 bytes") from None
            finally:
                os.close(descriptor)
            if self.data[:4] != b"PACK":
                raise Corrupt(f"{name}.pack is damaged: is no pack")
            undo.pop_all()

    def offset(self, id: bytes) -> int | None:
        """Where an object begins, None where the pack does not hold it. Raises Corrupt."""
        try:
            return self._index.object_offset(ObjectID(id))
        except KeyError:
            return None
        except DAMAGE as error:
            raise Corrupt(f"{self.name}.idx is damaged: {reason(error)}") from None

    def close(self) -> None:
        self.data.close()
        self._index.close()

    def header(self, at: int) -> tuple[int, int, int]:
        """Kind and size of the object at an offset, and where its data begins."""
        byte = self.data[at]
        kind, size, shift, at = byte >> 4 & 7, byte & 15, 4, at + 1
        while byte & 0x80:
            if shift > 60:
                raise Corrupt("the size of an object has no end")
            byte, at = self.data[at], at + 1
            size, shift = size | (byte & 0x7F) << shift, shift + 7
        return kind, size, at

    def base_offset(self, start: int, at: int) -> tuple[int, int]:
        """Offset of the base of the delta that starts at `start`, and where the delta's data begins."""
        byte, at = self.data[at], at + 1
        back = byte & 0x7F
        while byte & 0x80:
            if back >> 60:
                raise Corrupt("the offset of a delta has no end")
            byte, at = self.data[at], at + 1
            back = (back + 1) << 7 | byte & 0x7F
        if not 0 < back < start:
            raise Corrupt("a delta's base is outside the pack")
        return start - back, at


class Objects:
    """Objects of one repository by their ids: hex digits, as bytes. A context manager.

    `budget` bounds what they may grow to. Raises Corrupt where a pack is damaged, and OSError.
    """

    def __init__(self, repository: Repository, budget: Budget) -> None:
        self.budget = budget
        self._folder = repository.folder
        self._packs: list[Pack] = []
        self._bases: OrderedDict[tuple[str, int], tuple[int, bytes]] = OrderedDict()
        self._cached = 0
        try:
            self._open_packs()
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self) -> "Objects":
        return self

    def __exit__(self, *error: object) -> None:
        for pack in self._packs:
            pack.close()

    def read(self, id: bytes, kind: int) -> bytes:
        """A commit's, tag's or tree's bytes, whose hash is its id.

        Raises Missing, Corrupt, Unreadable, Bomb, OSError; and TooLarge, before it is inflated.
        """
        data = self.unchecked(id, kind, MAX_METADATA_BYTES)
        digest = hashlib.sha1(b"%b %d\0" % (KINDS[kind], len(data)), usedforsecurity=False)
        digest.update(data)
        if digest.hexdigest().encode() != id:
            raise Corrupt(f"{id.decode()} has other bytes than its id says")
        return data

    def unchecked(self, id: bytes, kind: int, bound: int) -> bytes:
        """An object's bytes up to a bound, whose hash the caller compares with its id. Raises as `read` does."""
        try:
            found, data = self._find(id, bound)
        except Missing:
            if not self._open_packs():
                raise
            found, data = self._find(id, bound)
        if found != kind:
            raise Corrupt(f"{id.decode()} is no {KINDS[kind].decode()}")
        return data

    def _open_packs(self) -> bool:
        """Opens packs that came since it was last called, as when git packs loose objects; whether there are any."""
        names = {name for name, _ in self._folder.list("objects/pack")}
        known = {pack.name for pack in self._packs}
        new = [
            name[:-4]
            for name in sorted(names)
            if name.endswith(".idx") and f"{name[:-4]}.pack" in names and name[:-4] not in known
        ]
        self._packs += [Pack(self._folder, name) for name in new]
        return bool(new)

    def _find(self, id: bytes, bound: int) -> tuple[int, bytes]:
        for place, pack in enumerate(self._packs):
            if (offset := pack.offset(id)) is not None:
                if place:  # the next object is likely to lie in the same pack
                    self._packs.insert(0, self._packs.pop(place))
                return self._packed(pack, offset, bound)
        return self._loose(id, bound)

    def _packed(self, pack: Pack, offset: int, bound: int) -> tuple[int, bytes]:
        """Walks down a chain of deltas to a whole object, and up again applying them."""
        deltas: list[tuple[int, bytes]] = []
        try:
            while (cached := self._bases.get((pack.name, offset))) is None:
                kind, size, at = pack.header(offset)
                if kind in KINDS:
                    (_check_base_size if deltas else _check_size)(size, bound)
                    cached = kind, self._inflate(pack.data, at, size)
                    break
                if kind == OFFSET_DELTA:
                    base, at = pack.base_offset(offset, at)
                elif kind == ID_DELTA:
                    id = pack.data[at : at + 20].hex().encode()
                    base, at = pack.offset(id), at + 20
                    if base is None:
                        raise Missing(f"{id.decode()}, the base of a delta, is missing")
                else:
                    raise Corrupt(f"an object of kind {kind}")
                if len(deltas) == MAX_CHAIN:
                    raise Corrupt(f"more than {MAX_CHAIN} deltas upon one another")
                _check_base_size(size, bound)
                delta = self._inflate(pack.data, at, size)
                (_check_base_size if deltas else _check_size)(_result_size(delta), bound)
                deltas.append((offset, delta))
                offset = base
            kind, data = cached
            if not deltas:
                _check_size(len(data), bound)
                self.budget.spend(len(data))
            while deltas:
                self._keep((pack.name, offset), (kind, data))
                offset, delta = deltas.pop()
                self.budget.spend(_result_size(delta))
                data = b"".join(apply_delta(data, delta))
            return kind, data
        except DAMAGE as error:
            raise Corrupt(f"{pack.name}.pack is damaged at byte {offset}: {reason(error)}") from None

    def _keep(self, key: tuple[str, int], value: tuple[int, bytes]) -> None:
        if key in self._bases:
            self._bases.move_to_end(key)
            return
        self._bases[key] = value
        self._cached += len(value[1])
        while self._cached > CACHE_BYTES:
            self._cached -= len(self._bases.popitem(last=False)[1][1])

    def _inflate(self, data: mmap.mmap | bytes, at: int, size: int) -> bytes:
        """Exactly `size` bytes from a stream that takes about as many at most."""
        self.budget.spend(size + SLACK)
        stop = min(len(data), at + size + size // 8 + SLACK)
        inflater = zlib.decompressobj()
        chunks, found = [], 0
        while at < stop and not inflater.eof and found <= size:
            chunk = data[at : min(stop, at + min(size + SLACK, CHUNK))]
            at += len(chunk)
            chunks.append(inflater.decompress(chunk, size + 1 - found))
            found += len(chunks[-1])
        if found != size or not inflater.eof:
            raise Corrupt(f"an object's data are not the {size} bytes that were promised")
        return b"".join(chunks)

    def _loose(self, id: bytes, bound: int) -> tuple[int, bytes]:
        name = id.decode()
        try:
            descriptor = self._folder.open(f"objects/{name[:2]}/{name[2:]}")
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(f"{name} is missing") from None
        with os.fdopen(descriptor, "rb") as file:
            return self._loose_data(name, file.read, bound)

    def _loose_data(self, name: str, read: Callable[[int], bytes], bound: int) -> tuple[int, bytes]:
        try:
            inflater = zlib.decompressobj()
            head = inflater.decompress(read(SLACK), 64)
            label, _, start = head.partition(b"\0")
            word, _, digits = label.partition(b" ")
            kind = next((kind for kind, known in KINDS.items() if known == word), None)
            if kind is None or not digits.isdigit() or len(head) == len(label):
                raise Corrupt(f"{name} is damaged: it does not say what it is")
            size = int(digits)
            _check_size(size, bound)
            self.budget.spend(size + SLACK)
            rest = inflater.unconsumed_tail + read(size + size // 8 + SLACK)
            out = start + inflater.decompress(rest, size + 1)
        except DAMAGE as error:
            raise Corrupt(f"{name} is damaged: {reason(error)}") from None
        if len(out) != size or not inflater.eof:
            raise Corrupt(f"{name} is damaged: its data are not the {size} bytes that were promised")
        return kind, out

    def tree(self, id: bytes) -> tuple[list[Entry], int]:
        """A tree's entries in its order, and its size. Raises as `read` does."""
        data = self.read(id, TREE)
        try:
            return [Entry(*entry) for entry in parse_tree(data, 20)], len(data)
        except DAMAGE as error:
            raise Corrupt(f"{id.decode()} is damaged: {reason(error)}") from None

    def commit(self, id: bytes) -> Commit:
        """A commit. Raises as `read` does."""
        data = self.read(id, COMMIT)
        parts = COMMIT_TEXT.match(data)
        if not parts:
            raise Corrupt(f"{id.decode()} is damaged: no tree")
        author, committed = AUTHOR.search(parts[3]), COMMITTED.search(parts[3])
        address = author[1].strip().lower() if author else b""
        return Commit(
            id,
            parts[1].lower(),
            tuple(parent.lower() for parent in PARENT.findall(parts[2])),
            hashlib.sha1(address, usedforsecurity=False).digest() if address else b"",
            int(committed[1]) if committed else None,
        )

    def peeled(self, id: bytes) -> Commit:
        """The commit that an object is, or that tags lead to. Raises as `read` does."""
        for _ in range(MAX_LINKS):
            try:
                data = self.read(id, TAG)
            except Missing:
                raise
            except Corrupt:  # no tag
                return self.commit(id)
            tagged = TAGGED.match(data)
            if not tagged or tagged[2] not in (b"commit", b"tag"):
                raise Corrupt(f"{id.decode()} is a tag that leads to no commit")
            id = tagged[1]
        raise Corrupt("tags lead to tags without end")


def _check_size(size: int, bound: int) -> None:
    if size >> 63:
        raise Corrupt("an object of more bytes than any disk holds")
    if size > bound:
        raise TooLarge(size)


def _check_base_size(size: int, bound: int) -> None:
    if size > max(bound, MAX_BASE_BYTES):
        raise Unreadable(f"is stored as a difference from an object of {size} bytes > {max(bound, MAX_BASE_BYTES)}")


def _result_size(delta: bytes) -> int:
    """Bytes that a delta gives: the second of the two numbers that it begins with."""
    at = size = 0
    for _ in range(2):
        size = shift = 0
        while True:
            byte, at = delta[at], at + 1
            size, shift = size | (byte & 0x7F) << shift, shift + 7
            if not byte & 0x80:
                break
            if shift > 60:
                raise Corrupt("the size of a delta has no end")
    return size
