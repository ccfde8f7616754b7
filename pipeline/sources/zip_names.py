"""Names of a zip's members: their code page, and which sign parts their folders.

The format asks for slashes, and for code page 437 or, where a flag says so, UTF-8 (APPNOTE 4.4.17, 4.4.11, appendix D).
Archivers on FAT and NTFS wrote backslashes and whatever code page was theirs, those on Unix UTF-8 without the flag. In
some pages of East Asia the backslash's byte, 0x5C, is also the second one of a character: there it parts nothing.
"""

import zipfile
import zlib
from collections.abc import Sequence

from charset_normalizer import from_bytes

UTF8_NAME = 0x800
"""The flag that says so of a member's name."""
UNICODE_PATH = 0x7075
"""The extra field that holds a name in UTF-8."""
FAT_AND_NTFS = (0, 6, 10, 14)
"""`create_system` of FAT, HPFS, NTFS and VFAT (APPNOTE 4.4.2)."""
CODE_PAGES = ["cp437", "cp932", "gb18030", "big5"]
"""Looked for where a name has the byte 0x5C behind one beyond ASCII; the last three hold it in characters."""
LOOKED_AT = 1 << 16
"""Bytes of names by which a code page is known."""


def member_names(infos: Sequence[zipfile.ZipInfo]) -> list[str]:
    """The members' names with slashes between folders; what is no UTF-8 is taken for the archive's one code page.

    A backslash is a separator in what was made on FAT or NTFS, and everywhere where no name has a slash.
    """
    raw = [_bytes(info) for info in infos]
    page = _code_page([name for name in raw if isinstance(name, bytes)])
    names = [name if isinstance(name, str) else _decoded(name, page) for name in raw]
    is_without_slash = not any("/" in name for name in names)
    return [
        name.replace("\\", "/") if "\\" in name and (is_without_slash or info.create_system in FAT_AND_NTFS) else name
        for name, info in zip(names, infos, strict=True)
    ]


def _bytes(info: zipfile.ZipInfo) -> str | bytes:
    """A name as text or, where it is no UTF-8, as the bytes that zipfile took for code page 437."""
    if info.flag_bits & UTF8_NAME:
        return info.filename
    try:
        name = info.filename.encode("cp437")
    except UnicodeEncodeError:  # from the extra field, of which later releases of Python know
        return info.filename
    try:
        return _unicode_path(name, info.extra) or name.decode()
    except UnicodeDecodeError:
        return name


def _unicode_path(name: bytes, extra: bytes) -> str | None:
    """The name in Unicode that a member has beside the other one, if it still belongs to that one (APPNOTE 4.6.9)."""
    while len(extra) >= 4:
        kind, size = int.from_bytes(extra[:2], "little"), int.from_bytes(extra[2:4], "little")
        field, extra = extra[4 : 4 + size], extra[4 + size :]
        if kind == UNICODE_PATH and field[:1] == b"\1" and field[1:5] == zlib.crc32(name).to_bytes(4, "little"):
            return field[5:].decode() or None
    return None


def _code_page(names: list[bytes]) -> str:
    if not any(0x5C in name for name in names):
        return "cp437"
    best = from_bytes(b"\n".join(names)[:LOOKED_AT], cp_isolation=CODE_PAGES).best()
    return best.encoding if best else "cp437"


def _decoded(name: bytes, page: str) -> str:
    try:
        return name.decode(page)
    except UnicodeDecodeError:
        return name.decode("cp437")
