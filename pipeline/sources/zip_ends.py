"""What lies before and behind a zip archive: the program of one that extracts itself, another archive, anything.

A zip is found by its end, the record of its directory (APPNOTE 4.3.16), and may begin anywhere.
"""

import zipfile
from collections.abc import Sequence
from typing import IO

from pipeline.sources.streams import MAGIC_BYTES, compression

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
END_MAGIC = b"PK\x05\x06"
END_BYTES = 22
MAX_COMMENT = (1 << 16) - 1


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
