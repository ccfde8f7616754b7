"""Parquet files, one row per source file: The Stack, github-code and the like."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.sources import Split, grouped
from pipeline.sources.files import Place, SourceError, find_files, open_listed, reason
from pipeline.sources.rows import DEFAULT_LIMITS, Limits, Origin, Row, failed_row
from pipeline.sources.streams import RATIO_GRACE, Bomb
from pipeline.sources.tables import DEFAULT_COLUMNS, Columns, Unread, file_path, not_utf8, table_origin, table_row

TEXT_TYPES = (
    pa.types.is_string,
    pa.types.is_large_string,
    pa.types.is_string_view,
    pa.types.is_binary,
    pa.types.is_large_binary,
    pa.types.is_binary_view,
)
ROW_OVERHEAD = 64
"""What a row counts beside its content where a table's growth is bounded."""
READ_WHOLE = 256 << 20
"""Bytes of a file whose columns are read a row group at a time. In a larger one they are read in pieces, for which a
page that claims to have 2 GiB is given them."""
READ_ERRORS = (OSError, ValueError, OverflowError, EOFError, NotImplementedError, pa.ArrowException)


@dataclass(frozen=True)
class ParquetSource:
    """Parquet files that match `uri`, a path, a pattern, gs:// or s3://."""

    uri: str
    columns: Columns = DEFAULT_COLUMNS

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Row groups are the unit; see `pipeline.sources.Source`.

        Raises SourceError where a file has no column of text.
        """
        return grouped((part for place in find_files(self.uri) for part in _parts(place, self.columns, target)), target)


def _parts(place: Place, columns: Columns, target: int) -> Iterator["ParquetPart"]:
    file = open_listed(place)
    try:
        with file:
            table = pq.ParquetFile(file)
            metadata, schema = table.metadata, table.schema_arrow
    except READ_ERRORS as error:
        yield ParquetPart(place, (), 0, 0, 0, 0, f"no parquet footer can be read: {reason(error)}")
        return
    found = columns.found_in(schema.names)
    if problem := columns.problem(place.uri, schema.names):
        raise SourceError(problem)
    kind = schema.field(found["content"]).type
    if not _is_text(_value_type(kind)):
        raise SourceError(f"{place.uri}: column {found['content']} holds {kind}, not text; name another under columns:")
    if not metadata.num_rows:
        yield ParquetPart(place, tuple(found.items()), 0, 0, 0, 0)
        return
    start = row = first_row = size = 0
    for group, weight in enumerate(_claimed(metadata)):
        if group > start and size + weight > target:
            yield ParquetPart(place, tuple(found.items()), start, group, first_row, size)
            start, first_row, size = group, row, 0
        row += metadata.row_group(group).num_rows
        size += weight
    yield ParquetPart(place, tuple(found.items()), start, metadata.num_row_groups, first_row, size)


@dataclass(frozen=True)
class ParquetPart:
    """Consecutive row groups of a parquet file."""

    place: Place
    columns: tuple[tuple[str, str], ...]
    """Pairs of value and column: ("content", "text"), …"""
    start: int
    stop: int
    first_row: int
    """Rows of the file before these row groups."""
    size: int
    damage: str = ""
    """Why the file cannot be read at all."""

    @property
    def fingerprint(self) -> str:
        """Hash of the file's name, size and time, of the row groups and of the columns."""
        return hashlib.sha256(f"{self.place.key}\0{self.start}-{self.stop}\0{self.columns}".encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per table row in the file's order; one for each row group that turns out to be damaged."""
        origin = table_origin("parquet", self.place)
        if self.damage:
            yield failed_row(origin, file_path(self.place), self.place.size, "input.corrupt", self.damage)
            return
        if self.start == self.stop:
            yield failed_row(origin, file_path(self.place), self.place.size, "input.empty", "table without rows")
            return
        with self.place.open() as file:
            # A content that a dictionary holds once is held once, however many rows have it.
            once = [column for value, column in self.columns if value == "content"]
            piece = 0 if self.place.size <= READ_WHOLE else 1 << 20
            table = pq.ParquetFile(file, buffer_size=piece, pre_buffer=False, read_dictionary=once)
            bounds = _bounds(table.metadata, self.place.size, limits)
            first = self.first_row
            for group in range(self.start, self.stop):
                path = file_path(self.place, f"#row-group-{group + 1}")
                try:
                    yield from self._group_rows(table, group, first, origin, limits, bounds[group])
                except Bomb as error:
                    yield failed_row(origin, path, None, "input.bomb", str(error))
                except READ_ERRORS as error:
                    yield failed_row(origin, path, None, "input.corrupt", reason(error))
                first += table.metadata.row_group(group).num_rows

    def _group_rows(
        self, table: pq.ParquetFile, group: int, row: int, origin: Origin, limits: Limits, bound: int
    ) -> Iterator[Row]:
        metadata = table.metadata.row_group(group)
        size = max(metadata.total_byte_size, 0)
        if size > bound:
            raise Bomb(f"claims {size} bytes > {bound}")
        grown = 0
        mean = size // max(metadata.num_rows, 1) + 1
        columns = dict(self.columns)
        batch_rows = max(1, min(limits.batch_rows, limits.batch_bytes // mean))
        for batch in table.iter_batches(
            batch_rows, row_groups=[group], columns=list(columns.values()), use_threads=False
        ):
            values = {value: _values(batch.column(column), value) for value, column in self.columns}
            for index in range(batch.num_rows):
                row += 1
                grown += len(values["content"][index] or b"") + ROW_OVERHEAD
                if grown > bound:
                    raise Bomb(f"grows to more than {bound} bytes")
                cells = {value: column[index] for value, column in values.items()}
                yield table_row(origin, self.place, lambda row=row: f"#R{row}", cells, columns, limits)


def _claimed(metadata: pq.FileMetaData) -> list[int]:
    """Bytes of each row group uncompressed, as the footer says.

    What it says of columns is never asked for: on an odd footer pyarrow's `column` ends the process.
    """
    return [max(metadata.row_group(group).total_byte_size, 0) for group in range(metadata.num_row_groups)]


def _bounds(metadata: pq.FileMetaData, stored: int, limits: Limits) -> list[int]:
    """What each row group may grow to: its share, by its claim or evenly, of what a file of this size may."""
    claimed = _claimed(metadata)
    total, all_claimed = max(RATIO_GRACE, limits.max_ratio * stored), max(sum(claimed), 1)
    return [total * size // all_claimed + total // len(claimed) for size in claimed]


def _values(column: pa.Array, value: str) -> list[Any]:
    """A column as Python objects: bytes for content, and for texts that are no UTF-8; Unread for what is nothing."""
    if isinstance(column, pa.DictionaryArray):
        used = column.indices.unique().drop_null()
        held = dict(zip(used.to_pylist(), _values(column.dictionary.take(used), value), strict=True))
        return [held.get(index) for index in column.indices.to_pylist()]
    if value == "content":
        return column.cast(pa.large_binary()).to_pylist()
    try:
        return column.to_pylist()
    except READ_ERRORS:
        return [_cell(scalar) for scalar in (column.cast(pa.large_binary()) if _is_text(column.type) else column)]


def _cell(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except UnicodeDecodeError as error:
        return Unread(not_utf8(error))
    except READ_ERRORS as error:
        return Unread(reason(error))


def _is_text(kind: pa.DataType) -> bool:
    return any(is_text(kind) for is_text in TEXT_TYPES)


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.DictionaryType) else kind
