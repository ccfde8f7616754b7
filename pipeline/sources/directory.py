"""Folders on a local disk, each a repository."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, SourceError, find_folders, reason
from pipeline.sources.rows import (
    DEFAULT_LIMITS,
    FILE_KINDS,
    Limits,
    Origin,
    Row,
    failed_row,
    link_row,
    link_target,
    printable,
    text_row,
    too_large_row,
)

VERSION_CONTROL = (".git", ".hg", ".svn")
"""Left out of a folder's files: what is in there is the history, in the tool's own form."""

FILE_OVERHEAD = 512
"""What a file costs beside its bytes, when files are cut into splits."""


@dataclass(frozen=True)
class DirectorySource:
    """Folders that match `uri`, a local path or a pattern such as ``projects/*``. Links in them are not followed."""

    uri: str

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Small folders are grouped, large ones cut; see `pipeline.sources.Source`."""
        return grouped(self._parts(target, limits), target)

    def _parts(self, target: int, limits: Limits) -> Iterator["FolderPart"]:
        for place in find_folders(self.uri):
            if place.uri == self.uri.rstrip("/"):
                _check_readable(place)
            origin = Origin(f"directory:{place.uri}", place.name)
            folder = os.path.realpath(place.path)  # which may be named by a link
            for piece in pieces(walk(folder, VERSION_CONTROL), target, limits):
                yield FolderPart(folder, VERSION_CONTROL, origin, piece)


def _check_readable(place: Place) -> None:
    """A folder that the recipe names itself must be readable; one among many becomes a failed row."""
    try:
        os.listdir(place.path)
    except OSError as error:
        raise SourceError(f"{place.uri}: {reason(error)}; give read permission on the folder") from None


class Entry(NamedTuple):
    """A file in a folder, or a folder that cannot be listed."""

    path: str
    """Below the folder, with forward slashes."""
    file: str
    status: os.stat_result | OSError


class Piece(NamedTuple):
    """A stretch of a list of entries; the last one of a list has no stop."""

    start: int
    stop: int | None
    size: int
    fingerprint: str


@dataclass(frozen=True)
class FolderPart:
    """A stretch of a folder's files; lists the folder again where it is read."""

    folder: str
    leave_out: tuple[str, ...]
    origin: Origin
    piece: Piece

    @property
    def size(self) -> int:
        """Bytes of the files that are within the size bound."""
        return self.piece.size

    @property
    def fingerprint(self) -> str:
        """Hash of the repository's name and of each file's name, size and time."""
        return fingerprint(self.origin, self.piece)

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per file in the order of names; one for an empty folder."""
        return entry_rows(self.origin, walk(self.folder, self.leave_out), self.piece, limits)


def walk(folder: str, leave_out: tuple[str, ...]) -> Iterator[Entry]:
    """The files below a folder, each folder's in the order of their names, links and devices included."""
    pending = [("", folder)]
    while pending:
        path, file = pending.pop()
        try:
            status = os.lstat(file)
            if not stat.S_ISDIR(status.st_mode):
                yield Entry(path, file, status)
                continue
            names = sorted(set(os.listdir(file)).difference(leave_out), reverse=True)
        except OSError as error:
            yield Entry(path, file, error)
            continue
        pending += [(f"{path}/{name}" if path else name, f"{file}/{name}") for name in names]


def pieces(entries: Iterable[Entry], target: int, limits: Limits) -> Iterator[Piece]:
    """Cuts a list of entries into stretches of about `target` bytes; one even where the list is empty."""
    start = size = 0
    digest = hashlib.sha256()
    for index, entry in enumerate(entries):
        weight, key = _weight_and_key(entry, limits)
        if index > start and size + weight > target:
            yield Piece(start, index, size, digest.hexdigest())
            start, size, digest = index, 0, hashlib.sha256()
        size += weight
        digest.update(f"{entry.path}\0{key}\n".encode(errors="surrogateescape"))
    yield Piece(start, None, size, digest.hexdigest())


def _weight_and_key(entry: Entry, limits: Limits) -> tuple[int, str]:
    status = entry.status
    if isinstance(status, OSError):
        return FILE_OVERHEAD, reason(status)
    read = stat.S_ISREG(status.st_mode) and status.st_size <= limits.max_file_bytes
    weight = FILE_OVERHEAD + (status.st_size if read else 0)
    return weight, f"{status.st_mode} {status.st_size} {status.st_mtime_ns}"


def fingerprint(origin: Origin, piece: Piece) -> str:
    """Changes when the repository's name or version does, or a file of the piece."""
    return hashlib.sha256(
        f"{origin.source}\0{origin.repo}\0{origin.revision}\0{piece.fingerprint}".encode()
    ).hexdigest()


def entry_rows(origin: Origin, entries: Iterable[Entry], piece: Piece, limits: Limits) -> Iterator[Row]:
    """The rows of a piece of a list of entries; a list without any has one row that says so."""
    empty = piece.start == 0
    for entry in islice(entries, piece.start, piece.stop):
        empty = False
        yield _entry_row(origin, entry, limits)
    if empty:
        yield failed_row(origin, "", 0, "input.empty", "folder without files")


def _entry_row(origin: Origin, entry: Entry, limits: Limits) -> Row:
    path, status = printable(entry.path), entry.status
    if isinstance(status, OSError):
        return failed_row(origin, path, None, "input.unreadable", reason(status))
    if stat.S_ISLNK(status.st_mode):
        return link_row(origin, path, status.st_size, "symlink", _link(entry))
    if not stat.S_ISREG(status.st_mode):
        kind = FILE_KINDS.get(stat.S_IFMT(status.st_mode), "unknown kind")
        return failed_row(origin, path, status.st_size, "input.not_regular", kind)
    most = limits.most_bytes(path)
    if status.st_size > most:
        return too_large_row(origin, path, status.st_size, limits)
    try:
        data = _read(entry.file, status.st_size, most)
    except OSError as error:
        return failed_row(origin, path, status.st_size, "input.unreadable", reason(error))
    if len(data) > most:  # it has grown since it was listed
        return too_large_row(origin, path, len(data), limits)
    return text_row(origin, path, data, limits)


def _link(entry: Entry) -> str | None:
    try:
        return link_target(printable(entry.path), os.readlink(entry.file))
    except OSError:
        return None


def _read(path: str, size: int, bound: int) -> bytes:
    """A regular file's bytes, up to one over the bound; neither a link nor a pipe that took its place."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, size + 1)
        if len(data) == size:
            return data
        while len(data) <= bound and (more := os.read(descriptor, bound + 1 - len(data))):
            data += more
        return data
    finally:
        os.close(descriptor)
