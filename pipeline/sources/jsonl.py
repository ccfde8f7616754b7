"""JSON lines, plain or compressed: one object per source file."""

import hashlib
import json
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, SourceError, find_files, open_listed, reason
from pipeline.sources.rows import DEFAULT_LIMITS, Limits, Origin, Row, failed_row, text_row, too_large_row
from pipeline.sources.streams import MAGIC_BYTES, Bomb, ByteFile, Corrupt, LeftOut, bounded, compression
from pipeline.sources.tables import DEFAULT_COLUMNS, Columns, file_path, table_origin, table_row

READ = 1 << 20
GROWTH = 4
"""Bytes of text that a byte of compressed JSON usually holds."""
ESCAPED = 6
"""Bytes that a byte of text can take in JSON, as ``\\u0001``."""
JSON_TYPES = {
    **{list: "an array", str: "a string", bool: "true or false", type(None): "null"},
    **{int: "a number", float: "a number"},
}
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
    compressed, available = _first_object(place)
    if available and (problem := columns.problem(place.uri, available)):
        raise SourceError(problem)
    cuts = 1 if compressed or available is None else max(1, -(-place.size // max(target, 1)))
    size = place.size * GROWTH if compressed else place.size // cuts
    for index in range(cuts):
        start, stop = place.size * index // cuts, place.size * (index + 1) // cuts
        yield JsonlPart(place, columns, start, stop, size, compressed)


def _first_object(place: Place) -> tuple[bool, list[str] | None]:
    """Whether the file is compressed, and the names in its first line if that is an object; None where all is blank."""
    with open_listed(place) as file:
        compressed = compression(file.read(MAGIC_BYTES) or b"") is not None
        try:
            found = lines(chunks(file, 0, DEFAULT_LIMITS), HEAD)
            first = json.loads(next(line or b"null" for line, _ in found if not is_blank(line)))
        except StopIteration:
            return compressed, None
        except (Corrupt, LeftOut, Bomb, ValueError, RecursionError):
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
    compressed: bool

    @property
    def fingerprint(self) -> str:
        """Hash of the file's name, size and time, of the range and of the columns."""
        return hashlib.sha256(f"{self.place.key}\0{self.start}-{self.stop}\0{self.columns}".encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per line that is not blank, in the file's order; one more where the file is damaged, or all blank."""
        origin = table_origin("jsonl", self.place)
        path = file_path(self.place)
        is_empty = self.start == 0 and self.stop == self.place.size
        try:
            with self.place.open() as file:
                for row in self._line_rows(file, origin, limits):
                    is_empty = False
                    yield row
            if is_empty:
                yield failed_row(origin, path, 0, "input.empty", "table without rows")
        except Corrupt as error:
            yield failed_row(origin, path, self.place.size, "input.corrupt", str(error))
        except LeftOut as error:
            yield failed_row(origin, path, self.place.size, "input.left_out", str(error))
        except Bomb as error:
            yield failed_row(origin, path, self.place.size, "input.bomb", str(error))
        except OSError as error:
            yield failed_row(origin, path, self.place.size, "input.unreadable", reason(error))

    def _line_rows(self, file: ByteFile, origin: Origin, limits: Limits) -> Iterator[Row]:
        first = position = _line_start(file, self.start, self.stop) if self.start else 0
        if first is None or position is None:
            return
        before = cache(lambda: _count_lines(self.place, first))
        bound = limits.max_file_bytes * ESCAPED + READ
        for index, (line, size) in enumerate(lines(chunks(file, position, limits), bound)):
            if not is_blank(line):
                yield self._row(line, size, bound, lambda index=index: f"#L{before() + index + 1}", origin, limits)
            position += size
            if position >= self.stop and not self.compressed:
                return

    def _row(
        self,
        line: bytes | None,
        size: int,
        bound: int,
        mark: Callable[[], str],
        origin: Origin,
        limits: Limits,
    ) -> Row:
        problem = None
        try:
            values = json.loads(line) if line is not None else None
            if isinstance(values, dict):
                found = self.columns.found_in(list(values))
                cells = {value: values[name] for value, name in found.items()}
                return table_row(origin, self.place, mark, cells, found, limits)
            problem = f"{JSON_TYPES[type(values)]}, not an object"
        except json.JSONDecodeError as error:
            problem = f"{error.msg} at character {error.pos}"
        except UnicodeDecodeError as error:
            problem = f"not UTF-8 at byte {error.start}"
        except ValueError as error:
            problem = reason(error)
        except RecursionError:
            problem = "nested too deeply"
        path = file_path(self.place, mark())
        if line is None:
            return failed_row(origin, path, size, "input.too_large", f"line of {size} bytes > {bound}")
        return failed_row(origin, path, size, "input.malformed_json", problem)


@dataclass(frozen=True)
class JsonLines:
    """Files of JSON lines that match `uri`, each line a row with the line itself as its content."""

    uri: str

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """A file stays whole; see `pipeline.sources.Source`."""
        places = find_files(self.uri)
        return grouped((LinesPart(place, DEFAULT_COLUMNS, 0, place.size, place.size, True) for place in places), target)


@dataclass(frozen=True)
class LinesPart(JsonlPart):
    """All lines of a file, as they stand."""

    def _row(
        self,
        line: bytes | None,
        size: int,
        bound: int,
        mark: Callable[[], str],
        origin: Origin,
        limits: Limits,
    ) -> Row:
        path = file_path(self.place, mark())
        return too_large_row(origin, path, size, limits) if line is None else text_row(origin, path, line, limits)


def chunks(file: ByteFile, position: int, limits: Limits) -> Iterator[bytes]:
    """The file's bytes from a position on, decompressed where it is compressed (then from its beginning)."""
    file.seek(0)
    decompress = compression(file.read(MAGIC_BYTES) or b"")
    file.seek(0 if decompress else position)
    return bounded(file, decompress(file), limits) if decompress else iter(lambda: file.read(READ) or b"", b"")


def is_blank(line: bytes | None) -> bool:
    """Whether a line holds nothing but blanks, and a byte order mark before them."""
    return line is not None and not line.removeprefix(BOM_UTF8).strip()


def lines(chunks: Iterator[bytes], bound: int) -> Iterator[tuple[bytes | None, int]]:
    """Lines without their ends, and their sizes with them; None for one over the bound, which is not held.

    Raises LeftOut behind the last line.
    """
    held: list[bytes] = []
    size = 0
    left_out = None
    try:
        for chunk in chunks:
            start = 0
            while end := chunk.find(b"\n", start) + 1:
                size += end - start
                held.append(chunk[start : end - 1])
                yield (b"".join(held) if size <= bound else None), size
                held, size, start = [], 0, end
            size += len(chunk) - start
            held = [*held, chunk[start:]] if size <= bound else []
    except LeftOut as error:
        left_out = error
    if size:
        yield (b"".join(held) if size <= bound else None), size
    if left_out:
        raise left_out


def _line_start(file: ByteFile, start: int, stop: int) -> int | None:
    """Where the first line begins at or after `start`; None where none does before `stop`."""
    position = start - 1
    file.seek(position)
    while position < stop - 1 and (chunk := file.read(min(READ, stop - 1 - position))):
        if (end := chunk.find(b"\n")) >= 0:
            return position + end + 1
        position += len(chunk)
    return None


def _count_lines(place: Place, stop: int) -> int:
    """Lines that end before a byte of the file: asked for only where a row needs its number."""
    lines = 0
    with place.open() as file:
        while stop > 0 and (chunk := file.read(min(READ, stop))):
            lines += chunk.count(b"\n")
            stop -= len(chunk)
    return lines
