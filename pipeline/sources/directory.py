"""Folders on a local disk, each a repository."""

import hashlib
import math
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from pipeline.sources import Split, grouped
from pipeline.sources.files import SourceError, find_folders, reason
from pipeline.sources.rows import (
    DEFAULT_LIMITS,
    FILE_KINDS,
    Limits,
    Origin,
    Row,
    failed_row,
    printable,
    text_row,
    too_large_row,
)

VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
"""Left out of a folder's files: what is in there is the history, in the tool's own form."""

FILE_OVERHEAD = 512
"""What a file costs beside its bytes, when files are cut into splits."""


@dataclass(frozen=True)
class DirectorySource:
    """Folders that match `uri`, a local path or a pattern such as ``projects/*``. Links are not followed."""

    uri: str

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Small folders are grouped, large ones cut; see `pipeline.sources.Source`."""
        return grouped(self._parts(target, limits), target)

    def _parts(self, target: int, limits: Limits) -> Iterator["FolderPart"]:
        for place in find_folders(self.uri):
            if not os.access(place.path, os.R_OK | os.X_OK) and place.uri == self.uri:
                raise SourceError(f"{self.uri}: permission denied; let this user read the folder")
            origin = Origin(f"directory:{place.uri}", place.name)
            for piece in pieces(walk(place.path, VERSION_CONTROL), target, limits):
                yield FolderPart(place.path, VERSION_CONTROL, origin, piece)


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
    leave_out: frozenset[str]
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


def walk(folder: str, leave_out: frozenset[str]) -> Iterator[Entry]:
    """The files below a folder, each folder's in the order of their names, links and devices included."""
    pending = [("", folder)]
    while pending:
        path, file = pending.pop()
        try:
            status = os.lstat(file)
            if not stat.S_ISDIR(status.st_mode):
                yield Entry(path, file, status)
                continue
            names = sorted(set(os.listdir(file)) - leave_out, reverse=True)
        except OSError as error:
            yield Entry(path, file, error)
            continue
        pending += [(f"{path}/{name}" if path else name, f"{file}/{name}") for name in names]


def pieces(entries: Iterable[Entry], target: int, limits: Limits) -> Iterator[Piece]:
    """Cuts a list of entries into stretches of about `target` bytes; at least one, even of nothing."""
    start = size = index = 0
    digest = hashlib.sha256()
    for index, entry in enumerate(entries):
        weight = FILE_OVERHEAD
        if isinstance(entry.status, OSError):
            digest.update(f"{entry.path}\0{reason(entry.status)}\n".encode(errors="surrogateescape"))
        else:
            bytes_of_text = entry.status.st_size if stat.S_ISREG(entry.status.st_mode) else 0
            weight += bytes_of_text if bytes_of_text <= limits.max_file_bytes else 0
        if index > start and size + weight > target:
            yield Piece(start, index, size, digest.hexdigest())
            start, size, digest = index, 0, hashlib.sha256()
        size += weight
        digest.update(_key(entry))
    yield Piece(start, None, size, digest.hexdigest())
