"""Source archives: tar (plain, gzip, bzip2, xz, zstd) and zip, one repository each, streamed.

What an archive is, its first bytes tell, not its name. A top folder that all its files share, as in GitHub's
tarballs (``requests-2.31.0/``) and npm's (``package/``), is left off the paths. To know it, the names are
read once before the files are, up to the first that lies elsewhere; a file at the top means that nothing is
left off.
"""

import hashlib
import io
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, find_files, reason, without_endings
from pipeline.sources.rows import (
    DEFAULT_LIMITS,
    FILE_KINDS,
    MAX_PATH,
    Limits,
    Origin,
    Row,
    failed_row,
    link_row,
    link_target,
    member_path,
    text_row,
    too_large_row,
)
from pipeline.sources.streams import (
    MAGIC_BYTES,
    RATIO_GRACE,
    Bomb,
    ByteFile,
    Corrupt,
    LeftOut,
    PlainStream,
    Stream,
    bounded,
    compression,
)
from pipeline.sources.tar import BLOCK, FOLDER_WITH_DATA, is_header, members
from pipeline.sources.zip_directory import ZIP_MAGIC, ZipReader, beside
from pipeline.sources.zip_names import member_names

GROWTH = {
    **dict.fromkeys((".tar.gz", ".tgz", ".crate"), 4),
    **dict.fromkeys((".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst"), 5),
    **dict.fromkeys((".zip", ".whl", ".egg", ".jar"), 3),
    ".tar": 1,
}
"""Endings of archives, and how many bytes of source code a byte of such an archive usually holds."""
ZIP_ENDINGS = (".zip", ".whl", ".egg", ".jar")

SHARES = {
    ".tar": (1, 16),
    **dict.fromkeys((".tar.bz2", ".tbz2", ".tar.xz", ".txz"), (8, 4)),
}
"""Splits of one tar, each of which passes over all of it: how many times the aimed-at size one has at the least, and
how many there are at the most, so that what is repeated stays small beside what is done with the files. Decompressing
takes most where it is slow (xz 168 MB/s, bzip2 33; zstd 1,536 and gzip 471)."""
QUICK_SHARES = (2, 16)
STRIPE = 1 << 18
"""The shares of a tar take turns by this many uncompressed bytes: no share needs to know how long it is."""
IN_MEMORY = 32 << 20
"""Archives up to this size are fetched once, though they are read twice."""
FILE_OVERHEAD = 512
"""What a file costs beside its bytes, when the files of a zip are dealt out."""

SYMLINK, HARD_LINK = "symlink", "hard link"
LINKS = (SYMLINK, HARD_LINK)
UNIX = 3
ENCRYPTED = 0x1
"""The creating system and the flag of a zip member that matter here (APPNOTE.TXT, 4.4.2 and 4.4.4)."""

ZIP_ERRORS = (
    zipfile.BadZipFile,
    struct.error,
    zlib.error,
    EOFError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
)


@dataclass(frozen=True)
class ArchiveSource:
    """Archives that match `uri`: a path, a pattern such as ``dumps/**/*.tar.gz``, gs:// or s3://."""

    uri: str

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Small archives are grouped, large ones dealt out; see `pipeline.sources.Source`."""
        return grouped((part for place in find_files(self.uri) for part in _shares(place, target)), target)


def _shares(place: Place, target: int) -> Iterator["ArchivePart"]:
    ending = next((ending for ending in GROWTH if place.name.lower().endswith(ending)), "")
    size = place.size * GROWTH.get(ending, 4)
    if ending in ZIP_ENDINGS:
        shares = -(-size // target)
    else:
        times, most = SHARES.get(ending, QUICK_SHARES)
        shares = min(most, -(-size // (target * times)))
    shares = max(1, shares)
    origin = Origin(f"archive:{place.uri}", without_endings(place.name, tuple(GROWTH)))
    for share in range(shares):
        yield ArchivePart(place, origin, share, shares, size // shares)


@dataclass(frozen=True)
class ArchivePart:
    """One share of an archive's files; the first share also gives the rows about the archive as a whole."""

    place: Place
    origin: Origin
    share: int
    shares: int
    size: int

    @property
    def fingerprint(self) -> str:
        """Hash of the archive's name, size and time, and of the share."""
        return hashlib.sha256(f"{self.place.key}\0{self.share}/{self.shares}".encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per member of this share, folders excepted, in the archive's order."""
        try:
            open_file = _fetched(self.place)
            with open_file() as file:
                is_zip = _is_zip(file, self.place.name)
            yield from self._zip_rows(open_file, limits) if is_zip else self._tar_rows(open_file, limits)
        except Corrupt as error:
            yield from self._whole("input.corrupt_archive", str(error))
        except LeftOut as error:
            yield from self._whole("input.left_out", str(error))
        except Bomb as error:
            yield from self._whole("input.bomb", str(error))
        except OSError as error:
            yield from self._whole("input.unreadable", reason(error))

    def _whole(self, why: str, detail: str | None = None) -> Iterator[Row]:
        if self.share == 0:
            yield failed_row(self.origin, "", self.place.size, why, detail)

    def _tar_rows(self, open_file: Callable[[], ByteFile], limits: Limits) -> Iterator[Row]:
        with open_file() as file:
            top = _top_folder(_tar_names(_tar_stream(file, self.place.size, limits)))
        with open_file() as file:
            yield from self._stream_rows(_tar_stream(file, self.place.size, limits), top, limits)

    def _stream_rows(self, stream: Stream, top: str, limits: Limits) -> Iterator[Row]:
        origin = self.origin
        files = 0
        for member in members(stream):
            if member.kind == "folder":
                continue
            files += 1
            if member.commit != origin.revision:
                origin = replace(origin, revision=member.commit)
            if member.position // STRIPE % self.shares == self.share:
                yield _member_row(origin, top, member.name, member.kind, member.size, limits, stream.read, member.link)
        if not files:
            yield from self._whole("input.empty_archive")
        if self.share == 0:
            stream.drain()

    def _zip_rows(self, open_file: Callable[[], ByteFile], limits: Limits) -> Iterator[Row]:
        with open_file() as file, ZipReader(file, STRIPE) as buffered:  # type: ignore[arg-type]
            try:
                archive = buffered.archive()
                infos = archive.infolist()
            except ZIP_ERRORS as error:
                raise Corrupt(f"is not a readable zip archive: {reason(error)}") from None
            named = zip(member_names(infos), infos, strict=True)
            files = [(name, info) for name, info in named if info.file_size or not name.endswith("/")]
            yield from self._info_rows(archive, files, limits)
            if left_out := beside(buffered, self.place.size, infos):
                raise LeftOut(left_out)

    def _info_rows(
        self, archive: zipfile.ZipFile, infos: list[tuple[str, zipfile.ZipInfo]], limits: Limits
    ) -> Iterator[Row]:
        if not infos:
            yield from self._whole("input.empty_archive")
        top = _top_folder(name for name, _ in infos)
        sizes = [info.file_size if info.file_size <= limits.most_bytes(name) else 0 for name, info in infos]
        total = sum(sizes) + FILE_OVERHEAD * len(sizes)
        bound = min(limits.max_archive_bytes, max(RATIO_GRACE, limits.max_ratio * self.place.size))
        grown = 0
        for index, ((name, info), size) in enumerate(zip(infos, sizes, strict=True)):
            share = (grown + FILE_OVERHEAD * index) * self.shares // total
            grown += size  # zipfile reads no more than this, whatever the data holds
            if grown > bound:
                raise Bomb(f"grows to more than {bound} bytes")
            if share == self.share:
                yield _zip_row(self.origin, top, archive, name, info, limits)


def _is_zip(file: ByteFile, name: str) -> bool:
    """Whether an archive is a zip, by its beginning or, where that belongs to no other archive, by its end or name."""
    head = file.read(BLOCK) or b""
    if not head:
        raise Corrupt("is a file of 0 bytes")
    if head.startswith(ZIP_MAGIC) or compression(head) or is_header(head):
        return head.startswith(ZIP_MAGIC)
    return name.lower().endswith(ZIP_ENDINGS) or zipfile.is_zipfile(file)


def _member_row(
    origin: Origin,
    top: str,
    name: bytes | str,
    kind: str,
    size: int,
    limits: Limits,
    read: Callable[[int], bytes],
    target: bytes = b"",
) -> Row:
    full, unsafe = member_path(name)
    if unsafe:
        return failed_row(origin, full, size, "input.unsafe_path", unsafe)
    path = full.removeprefix(top)
    if kind in LINKS:
        target = target or (read(size) if size <= MAX_PATH else b"")
        return link_row(origin, path, size, kind, _link(full, kind, target, top) if target else None)
    if kind != "file":
        return failed_row(origin, path, size, "input.not_regular", kind)
    if size > limits.most_bytes(path):
        return too_large_row(origin, path, size, limits)
    data = read(size)
    if len(data) < size:
        raise Corrupt("ends inside a file")
    return text_row(origin, path, data, limits)


def _link(full: str, kind: str, target: bytes, top: str) -> str | None:
    """Where a link leads below the archive's top folder; null where that is elsewhere."""
    leads = link_target(full, target) if kind == SYMLINK else member_path(target)[0]
    return leads.removeprefix(top) if leads.startswith(top) else None


def _top_folder(names: Iterable[bytes | str]) -> str:
    """``top/`` where all names lie below that one folder, else nothing; reads no further than it must."""
    top = ""
    for name in names:
        path, unsafe = member_path(name)
        first, slash, _ = path.partition("/")
        if unsafe or not slash or (top and first + slash != top):
            return ""
        top = first + slash
    return top


def _fetched(place: Place) -> Callable[[], ByteFile]:
    """Opens the archive, as often as asked for; a small one is held in memory, so that it is fetched once."""
    if place.size > IN_MEMORY:
        return place.open
    with place.open() as file, io.BufferedReader(file) as buffered:
        data = buffered.read(place.size)
    return lambda: io.BytesIO(data)


def _tar_stream(file: ByteFile, size: int, limits: Limits) -> Stream:
    decompress = compression(file.read(MAGIC_BYTES) or b"")
    file.seek(0)
    return Stream(bounded(file, decompress(file), limits)) if decompress else PlainStream(file, size)


def _tar_names(stream: Stream) -> Iterator[bytes]:
    """Names up to the first damage: what comes after it gives no rows."""
    with suppress(Corrupt, LeftOut, Bomb):
        yield from (member.name for member in members(stream) if member.kind != "folder")


def _zip_row(
    origin: Origin, top: str, archive: zipfile.ZipFile, name: str, info: zipfile.ZipInfo, limits: Limits
) -> Row:
    mode = stat.S_IFMT(info.external_attr >> 16) if info.create_system == UNIX else 0
    kind = FOLDER_WITH_DATA if name.endswith("/") else FILE_KINDS.get(mode, "file")

    def read(size: int) -> bytes:
        if info.flag_bits & ENCRYPTED:
            raise Corrupt("encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise Corrupt(f"zip compression method {info.compress_type}")
        if info.compress_size > size + size // 8 + STRIPE:
            raise Corrupt(f"{info.compress_size} compressed bytes for {size}")
        with archive.open(info) as file:
            return file.read(size)

    try:
        return _member_row(origin, top, name, kind, info.file_size, limits, read)
    except (*ZIP_ERRORS, Corrupt) as error:
        path = member_path(name)[0].removeprefix(top)
        return failed_row(origin, path, info.file_size, "input.unreadable", reason(error))
