"""The members of a tar archive, in one pass over a stream.

Reads the formats ustar, pax and GNU (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic
Tar Format"). The standard library's tarfile is not used here: it takes a damaged header for the end of the
archive, holds every member in memory, and calls itself once per extended header, all of which a hostile or
truncated archive turns into lost files.
"""

from collections.abc import Iterator
from typing import NamedTuple

from pipeline.sources.streams import Corrupt, Stream

BLOCK = 512
MAX_HEADER = 1 << 20
"""Bytes of an extended header (a long name, pax records); real ones have some hundred."""

NOT_REGULAR = {
    b"1": "hard link",
    b"2": "symlink",
    b"3": "character device",
    b"4": "block device",
    b"6": "fifo",
    b"S": "sparse file",
}
REGULAR = (b"0", b"\0", b"7")
WITHOUT_DATA = b"123456"
EXTENDED = b"xXgLK"


class Member(NamedTuple):
    """A member of an archive; the stream stands at its data until the next one is asked for."""

    name: bytes
    kind: str
    """``file``, ``folder``, or what else it is: ``symlink``, ``fifo``, …"""
    size: int
    position: int
    """Where its header begins in the uncompressed archive."""
    commit: str | None
    """What `git archive` notes in the archive's first header."""


def members(stream: Stream) -> Iterator[Member]:
    """Each member in the archive's order; whatever of its data the caller has not read is skipped.

    Raises Corrupt where a header is damaged or the archive ends before its end mark, the block of zeros.
    """
    long_name: bytes | None = None
    records: dict[bytes, bytes] = {}
    commit = None
    while header := stream.read(BLOCK):
        position = stream.position - len(header)
        if not header.strip(b"\0") and len(header) == BLOCK:
            return
        name, kind, size = _header(header, position)
        if kind in EXTENDED:
            payload = _payload(stream, size)
            if kind == b"L":
                long_name = payload.split(b"\0", 1)[0]
            elif kind in b"xX":
                records = _pax_records(payload)
            elif kind == b"g":
                commit = _commit(_pax_records(payload)) or commit
            continue
        if kind == b"S":
            _skip_sparse_map(stream, header)
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or long_name or name
        size = _decimal(records[b"size"]) if b"size" in records else size
        stored = 0 if kind in WITHOUT_DATA else size
        end = stream.position + stored + -stored % BLOCK
        yield Member(name, _kind(kind, name, records), stored, position, commit)
        stream.skip(end - stream.position)
        long_name, records = None, {}
    if stream.position:
        raise Corrupt("ends without the end mark of a tar archive")


def _header(block: bytes, position: int) -> tuple[bytes, bytes, int]:
    """Name, type flag and size of the data."""
    if len(block) < BLOCK:
        raise Corrupt("ends inside a tar header" if position else "is not a tar archive")
    checksum = _number(block[148:156])
    if checksum != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        raise Corrupt(f"damaged tar header at byte {position}" if position else "is not a tar archive")
    name = block[:100].split(b"\0", 1)[0]
    if block[257:263] == b"ustar\0" and block[345]:
        name = block[345:500].split(b"\0", 1)[0] + b"/" + name
    return name, block[156:157], _number(block[124:136])


def _number(digits: bytes) -> int:
    """A number in octal digits or, with the highest bit set, in base 256."""
    if digits[0] == 0x80:
        return int.from_bytes(digits[1:], "big")
    try:
        return int(digits.split(b"\0", 1)[0].strip() or b"0", 8)
    except ValueError:
        raise Corrupt("damaged number in a tar header") from None


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 20:
        raise Corrupt("damaged number in a pax header")
    return int(digits)


def _payload(stream: Stream, size: int) -> bytes:
    if size > MAX_HEADER:
        raise Corrupt(f"extended tar header of {size} bytes > {MAX_HEADER}")
    payload = stream.read(size)
    if len(payload) < size:
        raise Corrupt("ends inside an extended tar header")
    stream.skip(-size % BLOCK)
    return payload


def _pax_records(payload: bytes) -> dict[bytes, bytes]:
    """Records of the form ``<length> <key>=<value>\\n``, where the length counts the whole record."""
    records = {}
    start = 0
    while start < len(payload) and payload[start]:
        space = payload.find(b" ", start, start + 20)
        length = _decimal(payload[start:space]) if space > 0 else 0
        key, equals, value = payload[space + 1 : start + length - 1].partition(b"=")
        if not equals or not max(space, start) < start + length <= len(payload):
            raise Corrupt("damaged pax header")
        records[key] = value
        start += length
    return records


def _commit(records: dict[bytes, bytes]) -> str | None:
    comment = records.get(b"comment", b"").decode("ascii", "replace")
    return comment if len(comment) in (40, 64) and not set(comment) - set("0123456789abcdef") else None


def _kind(flag: bytes, name: bytes, records: dict[bytes, bytes]) -> str:
    if flag == b"5" or (flag in REGULAR and name.endswith(b"/")):
        return "folder"
    if flag in REGULAR:
        return "sparse file" if any(key.startswith(b"GNU.sparse.") for key in records) else "file"
    return NOT_REGULAR.get(flag) or f"tar type {ascii(flag)[2:-1]}"


def _skip_sparse_map(stream: Stream, header: bytes) -> None:
    """An old GNU sparse header goes on in further blocks while its flag says so."""
    more = header[482]
    while more:
        block = stream.read(BLOCK)
        if len(block) < BLOCK:
            raise Corrupt("ends inside a tar header")
        more = block[504]
