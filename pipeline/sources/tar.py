"""The members of a tar archive, in one pass over a stream.

Reads the formats ustar, pax and GNU (POSIX.1-2017, pax, "ustar Interchange Format"; GNU tar manual, "Basic
Tar Format"). The standard library's tarfile is not used here: it takes a damaged header for the end of the
archive, holds every member in memory, and calls itself once per extended header, all of which a hostile or
truncated archive turns into lost files.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from pipeline.sources.streams import Corrupt, LeftOut, Stream

BLOCK = 512
ZEROS = bytes(BLOCK)
ASCII = bytes(range(128))
MAX_HEADER = 1 << 20
"""Bytes of an extended header (a long name, pax records); real ones have some hundred."""
OCTAL = re.compile(rb"\0?\s*([0-7]*)(?:[\0\s].*)?", re.DOTALL)
"""A number as old writers have it too: with a leading NUL, with blanks before it and with anything behind a blank."""

NOT_REGULAR = {
    b"1": "hard link",
    b"2": "symlink",
    b"3": "character device",
    b"4": "block device",
    b"6": "fifo",
    b"M": "part of a file in several archives",
    b"S": "sparse file",
    b"V": "volume label",
}
REGULAR = (b"0", b"\0", b"7")
FOLDERS = (b"5", b"D")
FOLDER_WITH_DATA = "folder with data"
WITHOUT_DATA = b"123456"
LINKS = (b"1", b"2")
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
    link: bytes = b""
    """Where a link leads: a symbolic one from its folder, a hard one from the archive's root."""


def members(stream: Stream) -> Iterator[Member]:
    """Each member in the archive's order; whatever of its data the caller has not read is skipped.

    What lies behind an end mark, a block of zeros, is read on as another archive (GNU tar's ``--ignore-zeros``).
    Raises Corrupt where a header is damaged or the last archive ends before its end mark; LeftOut where something else
    than an archive follows one.
    """
    ended = False
    long_name: bytes | None = None
    long_link: bytes | None = None
    shared: dict[bytes, bytes] = {}
    records: dict[bytes, bytes] = {}
    while header := stream.read(BLOCK):
        position = stream.position - len(header)
        if header == ZEROS[: len(header)] and (ended or len(header) == BLOCK):
            ended, long_name, long_link, shared, records = True, None, None, {}, {}
            continue
        _check(header, position, ended)
        ended = False
        flag, size = header[156:157], _number(header[124:136])
        if flag in EXTENDED:
            payload = _payload(stream, size)
            if flag == b"L":
                long_name = payload.split(b"\0", 1)[0]
            elif flag == b"K":
                long_link = payload.split(b"\0", 1)[0]
            elif flag in b"xX":
                records = _pax_records(payload)
            elif flag == b"g":
                shared = shared | _pax_records(payload)
            continue
        if flag == b"S":
            _skip_sparse_map(stream, header)
        records = shared | records
        name = records.get(b"GNU.sparse.name") or records.get(b"path") or long_name or _name(header)
        size = _decimal(records[b"size"]) if records.get(b"size") else size
        end = stream.position + size + -size % BLOCK
        stored = 0 if flag in WITHOUT_DATA else size
        link = records.get(b"linkpath") or long_link or header[157:257].split(b"\0", 1)[0] if flag in LINKS else b""
        yield Member(name, _kind(flag, name, stored, records), stored, position, _commit(shared), link)
        if stored or (size and _has_data(stream)):
            stream.skip(end - stream.position)
        long_name, long_link, records = None, None, {}
    if stream.position and not ended:
        raise Corrupt("ends without the end mark of a tar archive")


def is_header(block: bytes) -> bool:
    """Whether a block has a tar header's checksum: the sum of its bytes or, by old writers, of its signed bytes."""
    if len(block) < BLOCK:
        return False
    field = block[148:156]
    stated, total = _octal(field), sum(block) - sum(field) + 8 * ord(" ")
    if stated == total:
        return True
    beyond_ascii = block[:148].translate(None, ASCII) + block[156:].translate(None, ASCII)
    return stated == total - 256 * len(beyond_ascii)


def _check(header: bytes, position: int, ended: bool) -> None:
    if is_header(header):
        return
    if ended:
        raise LeftOut(f"what follows the end mark before byte {position} is no tar archive")
    if not position:
        raise Corrupt("is not a tar archive")
    raise Corrupt(f"damaged tar header at byte {position}" if len(header) == BLOCK else "ends inside a tar header")


def _name(header: bytes) -> bytes:
    name = header[:100].split(b"\0", 1)[0]
    if header[257:263] == b"ustar\0" and header[345]:
        return header[345:500].split(b"\0", 1)[0] + b"/" + name
    return name


def _has_data(stream: Stream) -> bool:
    """Whether what has no data by its kind has some all the same: then what follows is neither header nor end mark."""
    block = stream.read(BLOCK)
    stream.unread(block)
    return block != ZEROS and not is_header(block)


def _number(field: bytes) -> int:
    """A number in octal digits or, with the highest bit set, in base 256."""
    if field[0] & 0x80:
        number = None if field[0] & 0x40 else int.from_bytes(bytes((field[0] & 0x3F, *field[1:])), "big")
    else:
        number = _octal(field)
    if number is None:
        raise Corrupt("damaged number in a tar header")
    return number


def _octal(field: bytes) -> int | None:
    digits = OCTAL.fullmatch(field)
    return int(digits[1] or b"0", 8) if digits else None


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


def _kind(flag: bytes, name: bytes, size: int, records: dict[bytes, bytes]) -> str:
    if flag in FOLDERS or (flag in REGULAR and name.endswith(b"/") and not size):
        return "folder"
    if flag in REGULAR and name.endswith(b"/"):
        return FOLDER_WITH_DATA
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
