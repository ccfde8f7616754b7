"""The directory at the end of a zip archive: entries that zipfile would refuse, and what lies beside the archive.

A zip is found by its end, the record of its directory (APPNOTE 4.3.16), and may begin anywhere: behind the program of
one that extracts itself, or behind another archive.
"""

import io
import struct
import zipfile
from collections.abc import Sequence
from typing import IO

from pipeline.sources.streams import MAGIC_BYTES, compression
from pipeline.sources.zip_names import UTF8_NAME

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
END_MAGIC = b"PK\x05\x06"
END_BYTES = 22
ENTRY_MAGIC = b"PK\x01\x02"
ENTRY_BYTES = 46
UNKNOWN_FIELD = 0xFFFF
MAX_VERSION = 63
"""Of those that the directory says are needed; what a member needs, its way of compression tells as well."""
MAX_COMMENT = (1 << 16) - 1


class ZipReader(io.BufferedReader):
    """A file that zipfile reads a zip from; one entry of the directory that is amiss hides none of the others."""

    is_opening = False

    def archive(self) -> zipfile.ZipFile:
        """Opens the archive. Raises what zipfile raises."""
        self.is_opening = True
        archive = zipfile.ZipFile(self)
        self.is_opening = False
        return archive

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        return _mended(data) if self.is_opening and data.startswith(ENTRY_MAGIC) else data


def _mended(directory: bytes) -> bytes:
    """Entries with a version that zipfile can read, the flag of UTF-8 only on UTF-8, and extra fields that end."""
    data, at = bytearray(directory), 0
    while at + ENTRY_BYTES <= len(data) and data.startswith(ENTRY_MAGIC, at):
        name_bytes, extra_bytes, comment_bytes = struct.unpack_from("<HHH", data, at + 28)
        name = at + ENTRY_BYTES
        extra = name + name_bytes
        data[at + 6] = min(data[at + 6], MAX_VERSION)
        if data[at + 9] & UTF8_NAME >> 8 and not _is_utf8(bytes(data[name:extra])):
            data[at + 9] &= ~(UTF8_NAME >> 8)
        at = extra + extra_bytes
        while extra + 4 <= at:
            size = int.from_bytes(data[extra + 2 : extra + 4], "little")
            if extra + 4 + size > at:
                struct.pack_into("<HH", data, extra, UNKNOWN_FIELD, at - extra - 4)
                break
            extra += 4 + size
        at += comment_bytes
    return bytes(data)


def _is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


def beside(file: IO[bytes], size: int, infos: Sequence[zipfile.ZipInfo]) -> str | None:
    """What a file of `size` bytes holds beside its zip archive that may be somebody's files; None where nothing is.

    A program before it is none: that is how an archive is made that extracts itself.
    """
    told = []
    first = max(0, min((info.header_offset for info in infos), default=0))
    if first:
        file.seek(0)
        head = file.read(min(first, MAGIC_BYTES))
        if head.startswith(ZIP_MAGIC) or compression(head) or _end(file, first):
            told.append(f"{first} bytes before the archive hold another one")
    if (end := _end(file, size)) is not None:
        file.seek(end)
        if file.read(MAX_COMMENT + END_BYTES).strip(b"\0"):
            told.append(f"{size - end} bytes follow the archive")
    return " and ".join(told) or None


def _end(file: IO[bytes], stop: int) -> int | None:
    """Where the last zip archive before `stop` ends, its comment included."""
    start = max(0, stop - END_BYTES - MAX_COMMENT)
    file.seek(start)
    tail = file.read(stop - start)
    at = tail.rfind(END_MAGIC, 0, max(0, len(tail) - END_BYTES + len(END_MAGIC)))
    return start + at + END_BYTES + int.from_bytes(tail[at + 20 : at + 22], "little") if at >= 0 else None
