"""JSON lines, plain or compressed: one object per source file."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import count

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, SourceError, find_files, reason
from pipeline.sources.rows import DEFAULT_LIMITS, Limits, Origin, Row, failed_row
from pipeline.sources.streams import Bomb, ByteFile, Corrupt, bounded, compression
from pipeline.sources.tables import DEFAULT_COLUMNS, Columns, file_path, table_origin, table_row

READ = 1 << 20
GROWTH = 4
"""Bytes of text that a byte of compressed JSON usually holds."""
ESCAPED = 6
"""Bytes that a byte of text can take in JSON, as ``\\u0001``."""
HEAD = 16 << 20
"""Bytes of the first line that are looked at for the names of its columns."""


@dataclass(frozen=True)
class JsonlSource:
    """Files of JSON lines (``.jsonl``, also with .gz, .bz2, .xz, .zst) that match `uri`."""

    uri: str
    columns: Columns = DEFAULT_COLUMNS

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Plain files are cut by bytes, compressed ones stay whole; see `pipeline.sources.Source`.

        Raises SourceError where the first object of a file has no text.
        """
        return grouped((part for place in find_files(self.uri) for part in _parts(place, self.columns, target)), target)


def _parts(place: Place, columns: Columns, target: int) -> Iterator["JsonlPart"]:
    try:
        compressed, available = _first_object(place)
    except OSError as error:
        raise SourceError(f"{place.uri}: cannot be read ({reason(error)}); check its permissions") from None
    if available and (problem := columns.problem(place, available)):
        raise SourceError(problem)
    cuts = 1 if compressed else max(1, -(-place.size // max(target, 1)))
    size = place.size * GROWTH if compressed else place.size // cuts
    for index in range(cuts):
        start, stop = place.size * index // cuts, place.size * (index + 1) // cuts
        yield JsonlPart(place, columns, start, stop, size)


def _first_object(place: Place) -> tuple[bool, list[str]]:
    """Whether the file is compressed, and the names in its first line if that is an object."""
    with place.open() as file:
        compressed = compression(file.read(6) or b"") is not None
        try:
            line = next(_lines(_chunks(file, 0, DEFAULT_LIMITS), HEAD))[0]
            first = json.loads(line or b"null")
        except (StopIteration, Corrupt, Bomb, ValueError, RecursionError):
            first = None
    return compressed, list(first) if isinstance(first, dict) else []


@dataclass(frozen=True)
class JsonlPart:
    """The lines of a file that begin at the bytes from `start` to before `stop`."""

    place: Place
    columns: Columns
    start: int
    stop: int
    size: int

    @property
    def fingerprint(self) -> str:
        """Hash of the file's name, size and time, of the range and of the columns."""
        return hashlib.sha256(f"{self.place.key}\0{self.start}-{self.stop}\0{self.columns}".encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per line that is not blank, in the file's order; one more where the file is damaged."""
        origin = table_origin("jsonl", self.place)
        path = file_path(self.place)
        try:
            with self.place.open() as file:
                yield from self._line_rows(file, origin, limits)
        except Corrupt as error:
            yield failed_row(origin, path, self.place.size, "input.corrupt", str(error))
        except Bomb as error:
            yield failed_row(origin, path, self.place.size, "input.bomb", str(error))
        except OSError as error:
            yield failed_row(origin, path, self.place.size, "input.unreadable", reason(error))

    def _line_rows(self, file: ByteFile, origin: Origin, limits: Limits) -> Iterator[Row]:
        if not self.place.size:
            yield failed_row(origin, file_path(self.place), 0, "input.empty", "table without rows")
        position = _first_line(file, self.start, self.stop)
        numbers = LineNumbers(self.place, position)
        bound = limits.max_file_bytes * ESCAPED + READ
        compressed = 
