"""Popularity: from events of an archive to stars, forks and age of repositories, and from those to files.

A repository is known by its number; its names are those that it had in the events. Whatever an event tells is a least
or a greatest value or a member of a set, so neither the order of events nor their repetition changes a result.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import EVENTS, POPULARITY, ROW_ID, field

KIND, WHO, SEEN = EVENTS.field("kind"), EVENTS.field("who"), EVENTS.field("time")
IDENTITY = EVENTS.field("identity").with_nullable(False)
NAME = EVENTS.field("repo").with_nullable(False)
COUNTED = ("star", "fork")
"""Kinds of events of which each actor, or each fork made, counts once."""
SIGHTINGS = pa.schema(
    [IDENTITY, NAME, KIND, WHO, SEEN, EVENTS.field("created"), EVENTS.field("stars"), EVENTS.field("forks")]
)
EVENT_COUNTS = pa.schema(
    [EVENTS.field("archive"), KIND, EVENTS.field("reason"), EVENTS.field("detail"), EVENTS.field("events")]
)
IS_SIGHTING = field("is_sighting", pa.bool_(), "a row of SIGHTINGS, not of EVENT_COUNTS", nullable=False)
IS_COUNT = field("is_count", pa.bool_(), "a row of EVENT_COUNTS, not of SIGHTINGS", nullable=False)
REPOSITORIES = pa.schema(
    [
        field("repo", pa.string(), "a name that the repository had: owner/name in lower case", nullable=False),
        field("id", pa.int64(), "GitHub's number of it; null where the events have none"),
        field("stars", pa.int64(), "actors that starred it in the archives or, if more, what an event says it had"),
        field("forks", pa.int64(), "forks made of it in the archives or, if more, what an event says it had"),
        field("created", pa.timestamp("s", "UTC"), "when it was made, where an event tells"),
        field("last_event", pa.timestamp("s", "UTC"), "its last event in the archives, under any of its names"),
    ]
)
KEY = field("key", pa.string(), "owner/name in lower case", nullable=False)
HOME = field("home", pa.int64(), "row id of a file of the repository; null for the repository itself")


@dataclass(frozen=True)
class CombineEvents:
    """What a split's events come to, in two kinds of rows: what was seen of each repository, and how many there were.

    A sighting is of a repository under a name, or of a star or fork of it (`who`); events without a repository give
    none. The counts' `events` add up to the lines of the archives; `detail` is of the first line of its kind.
    """

    reads = tuple(EVENTS.names)
    schema = pa.schema(
        [
            *(column.with_nullable(True) for column in SIGHTINGS),
            *(EVENTS.field(name).with_nullable(True) for name in ("archive", "reason", "detail", "events")),
            IS_SIGHTING,
            IS_COUNT,
        ]
    )

    def load(self) -> BatchFunction:
        def combine(batch: pa.RecordBatch) -> pa.RecordBatch:
            sightings = _widened(_sightings(batch), self.schema, IS_SIGHTING.name)
            counts = _widened(_counts(batch), self.schema, IS_COUNT.name)
            return pa.concat_batches([sightings, counts])

        return combine


def _widened(table: pa.Table, schema: pa.Schema, kind: str) -> pa.RecordBatch:
    """Rows of one kind, with nulls in the columns of the other."""
    marks = {name: pa.repeat(name == kind, table.num_rows) for name in (IS_SIGHTING.name, IS_COUNT.name)}
    nulls = {column.name: pa.nulls(table.num_rows, column.type) for column in schema}
    return _batch(nulls | dict(zip(table.column_names, table.columns, strict=True)) | marks, schema)


def _sightings(batch: pa.RecordBatch) -> pa.Table:
    seen = pa.Table.from_batches([batch]).filter(pc.field("identity").is_valid())
    kind = pc.if_else(pc.is_in(seen["kind"], value_set=pa.array(COUNTED)), seen["kind"], "other")
    seen = seen.set_column(seen.column_names.index("kind"), "kind", kind)
    return _merge(seen, ["identity", "repo", "kind", "who"], created="min", time="max", stars="max", forks="max")


def _counts(batch: pa.RecordBatch) -> pa.Table:
    events = pa.Table.from_batches([batch]).filter(pc.field("events") > 0)
    return _merge(events, ["archive", "kind", "reason"], detail="first", events="sum")


def _merge(table: pa.Table, keys: list[str], **functions: str) -> pa.Table:
    merged = table.group_by(keys, use_threads=False).aggregate(list(functions.items()))
    return merged.rename_columns([*keys, *functions])


@dataclass(frozen=True)
class Repositories:
    """Sightings, which come sorted by `identity`, then `repo`, to one row for each name of each repository."""

    reads = tuple(SIGHTINGS.names)
    schema = pa.schema([*REPOSITORIES, IDENTITY, field("seen", SEEN.type, "last event under this name")])

    def load(self) -> BatchFunction:
        def gather(batch: pa.RecordBatch) -> pa.RecordBatch:
            sightings = pa.Table.from_batches([batch])
            whole = _merge(sightings, ["identity"], created="min", time="max", stars="max", forks="max")
            names = _merge(sightings, ["identity", "repo"], time="max")
            row = pc.index_in(names["identity"], value_set=whole["identity"].combine_chunks())
            whole = whole.take(row)
            columns = {
                "repo": names["repo"],
                "id": pc.if_else(pc.greater(names["identity"], 0), names["identity"], None),
                "stars": pc.max_element_wise(_distinct(sightings, "star", names["identity"]), whole["stars"]),
                "forks": pc.max_element_wise(_distinct(sightings, "fork", names["identity"]), whole["forks"]),
                "created": whole["created"],
                "last_event": whole["time"],
                "identity": names["identity"],
                "seen": names["time"],
            }
            return _batch(columns, self.schema)

        return gather


def _distinct(sightings: pa.Table, kind: str, identities: pa.ChunkedArray) -> pa.Array:
    """How many stars or forks each repository got; none is 0."""
    of_kind = sightings.filter(pc.field("kind") == kind)
    counted = _merge(of_kind, ["identity"], who="count_distinct")
    row = pc.index_in(identities, value_set=counted["identity"].combine_chunks())
    return counted["who"].take(row).fill_null(0)


@dataclass(frozen=True)
class Names:
    """One repository for each name: the one last seen under it, one with a number before those known by name alone.

    Old events leave the number out where the repository was gone already: they must not stand for its successor, nor
    for what other events tell of it by number. Rows come with all of a name together.
    """

    reads = tuple(Repositories.schema.names)
    schema = REPOSITORIES

    def load(self) -> BatchFunction:
        def choose(batch: pa.RecordBatch) -> pa.RecordBatch:
            by = ("repo", "is_numbered", "seen", "identity")
            batch = batch.append_column("is_numbered", pc.greater(batch.column("identity"), 0))
            batch = batch.take(pc.sort_indices(batch, [(name, "ascending") for name in by]))
            names = batch.column("repo")
            differs = pc.not_equal(names.slice(0, max(len(names) - 1, 0)), names.slice(1))
            is_last = np.append(differs.to_numpy(zero_copy_only=False), True)[: len(names)]
            return batch.filter(pa.array(is_last, pa.bool_())).select(REPOSITORIES.names)

        return choose


@dataclass(frozen=True)
class Claimed:
    """The popularity that a file's source claims for its repository: for recipes without an archive of events."""

    reads = ("claimed_stars",)
    adds = POPULARITY

    def load(self) -> BatchFunction:
        def claim(batch: pa.RecordBatch) -> pa.RecordBatch:
            unknown = [pa.nulls(batch.num_rows, column.type) for column in list(POPULARITY)[1:]]
            return pa.RecordBatch.from_arrays([batch.column("claimed_stars"), *unknown], schema=POPULARITY)

        return claim


@dataclass(frozen=True)
class Asking:
    """Files on their way to their repository: what they claim, under its name as the events have it."""

    reads = ("row_id", "repo")
    adds = pa.schema([KEY, HOME])

    def load(self) -> BatchFunction:
        def ask(batch: pa.RecordBatch) -> pa.RecordBatch:
            names = batch.column("repo").dictionary_encode()
            plain = pc.replace_substring_regex(names.dictionary, r"^(https?://)?(www\.)?(?i:github\.com)/|\.git$", "")
            keys = pc.utf8_lower(plain).take(names.indices)
            return pa.RecordBatch.from_arrays([keys, batch.column("row_id")], schema=self.adds)

        return ask


@dataclass(frozen=True)
class Answering:
    """Repositories on their way to their files."""

    reads = ("repo", "stars", "forks", "created")
    adds = pa.schema([*POPULARITY, KEY, HOME])

    def load(self) -> BatchFunction:
        def answer(batch: pa.RecordBatch) -> pa.RecordBatch:
            told = [batch.column(name) for name in ("stars", "forks", "created", "repo")]
            return pa.RecordBatch.from_arrays([*told, pa.nulls(batch.num_rows, pa.int64())], schema=self.adds)

        return answer


@dataclass(frozen=True)
class Popularity:
    """A row for each file: what its repository's row tells, but never fewer stars than the file's source claims.

    An archive of some months has seen the stars of those months; a table has heard of all until it was made. Rows come
    sorted by `key`, then `home`; the repository, if the archive has it, comes last.
    """

    reads = (*POPULARITY.names, KEY.name, HOME.name)
    schema = pa.schema([ROW_ID, *POPULARITY])

    def load(self) -> BatchFunction:
        def tell(batch: pa.RecordBatch) -> pa.RecordBatch:
            is_file = batch.column(HOME.name).is_valid()
            files, told = batch.filter(is_file), batch.filter(pc.invert(is_file))
            row = pc.index_in(files.column(KEY.name), value_set=told.column(KEY.name))
            stars, forks, created = (told.column(name).take(row) for name in POPULARITY.names)
            columns = [pc.max_element_wise(stars, files.column("repo_stars")), forks, created]
            return pa.RecordBatch.from_arrays([files.column(HOME.name), *columns], schema=self.schema)

        return tell


def _batch(columns: dict[str, pa.ChunkedArray | pa.Array], schema: pa.Schema) -> pa.RecordBatch:
    table = pa.table([columns[column.name] for column in schema], schema=schema).combine_chunks()
    return (table.to_batches() or [pa.RecordBatch.from_pylist([], schema)])[0]
