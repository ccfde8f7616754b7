"""What an engine has done in its workers: one shard of a `Map`, the two sides of a `Shuffle`, the commit of a step.

An engine calls these functions and moves what they give; it never looks inside.
"""

import gc
import time
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from pipeline.plan import Input, Map, Output, Plan, Shuffle, Step, code_version, emitted_schema
from pipeline.storage import (
    MANIFEST,
    PROGRESS,
    ROW_BITS,
    Manifest,
    Shard,
    ShardWriter,
    Store,
    write_files,
    write_hugging_face_index,
)
from schemas.contracts import BatchFunction, Reducer, Transform
from schemas.datasets import FAILURE

CHUNK_BYTES = 64 << 20
"""A reducer gets whole keys in chunks of about this size, so that its memory does not grow with the partition."""

HOPELESS = 0.5
"""Share of a source's rows, of the first hundred or of all read so far, whose failure ends a shard at once."""

TIMINGS = "_timings"
"""Folder with the seconds that each step's parts took, summed over the workers."""


class ConservationError(RuntimeError):
    """Rows were lost or made up; the step is not committed."""


class EngineError(ValueError):
    """A mistake in the settings of an engine; the message is one line that names the setting."""


class StepError(RuntimeError):
    """A step failed; the message is one line that names the step, the shard and the cause."""


@dataclass(frozen=True)
class Record:
    """What one task of a step did: kept as progress until the step commits."""

    step: str
    shard: int
    fingerprint: str
    rows_in: int
    outputs: dict[str, list[Shard]]
    balance: tuple[float, float] = (0, 0)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: dict[str, int] = field(default_factory=dict)
    """Rows on which a transform raised, in this step or one before it, by transform and type of exception."""

    @staticmethod
    def from_json(data: Any) -> "Record":
        outputs = {name: [Shard(**shard) for shard in shards] for name, shards in data["outputs"].items()}
        return Record(**data | {"outputs": outputs, "balance": tuple(data["balance"])})


@dataclass(frozen=True)
class Job:
    """A plan on a store: everything that a task needs, small enough to send to each.

    `max_failed` is the share of rows on which transforms may raise before the run is stopped.
    """

    plan: Plan
    store: Store
    max_failed: float = 0

    def is_committed(self, step: Step) -> bool:
        """Whether each output of the step is whole and was written under the step's present fingerprint."""
        for output in step.outputs:
            manifest = self.store.manifest(output.dataset)
            if manifest is None or manifest.fingerprint != self.plan.fingerprints[step.name]:
                return False
            if not self.store.is_whole(output.dataset, manifest):
                return False
        return True

    def pending(self) -> list[Step]:
        """The steps that have work left, in order."""
        return [step for step in self.plan.steps if not self.is_committed(step)]

    def prepare(self) -> list[Step]:
        """The pending steps, after dropping what other settings left there: it must never pass for ours."""
        pending = self.pending()
        for name in set(self.store.folders(PROGRESS)) - {step.name for step in pending}:
            self.store.remove_folder(PROGRESS, name)  # of a step that was killed right after its commit
        for step in pending:
            for output in step.outputs:
                self.store.remove(output.dataset, MANIFEST)
            made = [self.store.read_json(PROGRESS, step.name, name) for name in self.store.names(PROGRESS, step.name)]
            if any(record["fingerprint"] != self.plan.fingerprints[step.name] for record in made):
                self.store.remove_folder(PROGRESS, step.name)
        return pending

    def record(self, step: Step, shard: int) -> Record | None:
        """The record of a task that was done before under the same fingerprint."""
        data = self.store.read_json(PROGRESS, step.name, f"{shard:05d}.json")
        if data is None or data["fingerprint"] != self.plan.fingerprints[step.name]:
            return None
        return Record.from_json(data)

    def tasks(self, step: Step) -> list[int]:
        """The shards of a step, those with the largest input first, so that no worker ends up late."""
        sizes = [0] * step.shards
        if isinstance(step, Map) and step.splits:
            sizes = [split.size for split in step.splits]
        elif isinstance(step, Map):
            shards = self.store.committed(step.inputs[0].dataset).shards
            sizes = [shard.bytes for shard in shards] if len(shards) == step.shards else sizes
        return sorted(range(step.shards), key=lambda shard: (-sizes[shard], shard))

    def emit_tasks(self, step: Shuffle) -> list[tuple[int, int]]:
        """The map side's tasks: which emit, which shard of its inputs."""
        return [(index, shard) for index, emit in enumerate(step.emits) for shard in self._shards(emit.inputs[0])]

    def _shards(self, source: Input) -> range:
        if source.elsewhere is None:
            return range(len(self.store.committed(source.dataset).shards))
        first = source.elsewhere.first_shard
        return range(first, first + source.elsewhere.shards)


def run_map(job: Job, step: Map, shard: int) -> Record:
    """Makes one shard of a `Map` step's outputs, unless it was made before under the same fingerprint."""
    if done := job.record(step, shard):
        return done
    with _named(step, shard):
        functions = _load(job, step, step.transforms, step.reduce)
        timings: dict[str, float] = {}
        rows_in, before, after = 0, 0.0, 0.0
        failed: Counter[str] = Counter()
        rows_known = job.store.committed(step.inputs[0].dataset).rows if step.inputs else None
        with ExitStack() as stack:
            writers = {
                output: stack.enter_context(
                    ShardWriter(job.store, output, job.plan.schemas[output.dataset], shard, step.shards)
                )
                for output in step.outputs
            }
            batches = _timed("read", timings, _map_input(job, step, shard))
            measured: list[pa.RecordBatch] = []
            for batch in batches:
                rows_in += batch.num_rows
                batch = _apply(batch, functions.transforms, timings, step.isolates)
                if step.isolates:
                    failed.update(batch.column(FAILURE.name).drop_null().to_pylist())
                    if _is_hopeless(failed.total(), rows_in, rows_known, job.max_failed):
                        raise _too_many_failed(job, step, failed, rows_in)
                before += _sum(batch, step.balance[0] if step.balance else None)
                if step.reduce is None:
                    _write(writers, batch, timings)
                else:
                    measured.append(batch.select(list(step.reduce.reads)))
            if functions.reduce is not None and measured:
                reduced = functions.reduce(_one_batch(pa.Table.from_batches(measured)))
                after = _sum(reduced, step.balance[1] if step.balance else None)
                _write(writers, reduced, timings)
        outputs = {output.dataset: [writer.shard] for output, writer in writers.items()}
        fingerprint = job.plan.fingerprints[step.name]
        told = dict(sorted(failed.items()))
        record = Record(step.name, shard, fingerprint, rows_in, outputs, (before, after), timings, told)
        return _save(job, record)


def emit(job: Job, step: Shuffle, emit_index: int, shard: int) -> Iterator[tuple[int, bytes, int]]:
    """The map side of a shuffle for one shard: (partition, rows as a compressed Arrow stream, their number)."""
    with _named(step, shard):
        source = step.emits[emit_index]
        functions = _load(job, step, source.transforms, source.combine, part=str(emit_index))
        schema = emitted_schema(source, job.plan.schemas)
        parts: dict[int, list[pa.RecordBatch]] = {}
        for batch in _side_by_side(job.store, source.inputs, shard):
            batch = _apply(batch, functions.transforms, {})
            if source.where is not None:
                batch = batch.filter(batch.column(source.where))
            if functions.reduce is not None:
                batch = functions.reduce(batch)
            batch = pa.RecordBatch.from_arrays([batch.column(name) for name in schema.names], schema=schema)
            for partition, rows in _partition(batch, step):
                parts.setdefault(partition, []).append(rows)
    for partition in sorted(parts):
        yield partition, _serialise(schema, parts[partition]), sum(rows.num_rows for rows in parts[partition])


def reduce(job: Job, step: Shuffle, partition: int, payloads: Iterable[bytes]) -> Record:
    """The reduce side of a shuffle for one partition: sorts the rows and makes one shard of the output."""
    if done := job.record(step, partition):
        return done
    with _named(step, partition):
        functions = _load(job, step, (), step.reduce)
        reducer = functions.reduce or (lambda rows: rows)
        schema = emitted_schema(step.emits[0], job.plan.schemas)
        rows = _sorted(payloads, schema, (step.key, *step.order))
        timings: dict[str, float] = {}
        name = "move" if step.reduce is None else type(step.reduce).__name__
        out_rows, files = 0, []
        if step.output.format == "files":
            files = write_files(job.store, step.output.dataset, reducer(rows))
        else:
            with ShardWriter(
                job.store, step.output, job.plan.schemas[step.output.dataset], partition, step.partitions
            ) as writer:
                chunks = [rows] if step.partitions == 1 else _whole_keys(rows, step.key)
                for chunk in chunks:
                    started = time.perf_counter()
                    reduced = reducer(chunk)
                    timings[name] = timings.get(name, 0) + time.perf_counter() - started
                    out_rows += reduced.num_rows
                    _write({step.output: writer}, reduced, timings)
            files = [writer.shard]
        if (step.conserves or step.reduce is None) and out_rows != rows.num_rows:
            raise ConservationError(f"{rows.num_rows} rows in, {out_rows} out")
        fingerprint = job.plan.fingerprints[step.name]
        record = Record(step.name, partition, fingerprint, rows.num_rows, {step.output.dataset: files}, seconds=timings)
        return _save(job, record)


def commit(job: Job, step: Step, records: Iterable[Record], emitted: int) -> None:
    """Checks that no row was lost, then writes the manifests of the step's outputs, and drops its progress.

    `emitted` is the number of rows that the map side of a shuffle sent. Raises ConservationError, and StepError where
    transforms raised on more than the job's share of rows.
    """
    by_shard = {record.shard: record for record in records}
    if missing := set(range(step.shards)) - set(by_shard):
        raise ConservationError(f"step {step.name}: shards {sorted(missing)} were never made")
    ordered = [by_shard[shard] for shard in range(step.shards)]
    _check_conservation(job, step, ordered, emitted)
    _check_failures(job, step, ordered)
    for output in step.outputs:
        shards = [shard for record in ordered for shard in record.outputs[output.dataset]]
        fingerprint = job.plan.fingerprints[step.name]
        if output.format == "arrow":
            write_hugging_face_index(job.store, output.dataset, shards, fingerprint)
        schema = [
            {"name": f.name, "type": str(f.type), "doc": (f.metadata or {}).get(b"doc", b"").decode()}
            for f in job.plan.schemas[output.dataset]
        ]
        manifest = Manifest(fingerprint, code_version(), step.name, output.format, schema, shards)
        job.store.write_manifest(output.dataset, manifest)
        job.store.remove_strays(output.dataset, manifest)
    job.store.remove_folder(PROGRESS, step.name)
    seconds: dict[str, float] = {}
    for record in ordered:
        for name, spent in record.seconds.items():
            seconds[name] = seconds.get(name, 0) + spent
    job.store.write_json({name: round(spent, 3) for name, spent in seconds.items()}, TIMINGS, f"{step.name}.json")


def _check_conservation(job: Job, step: Step, records: list[Record], emitted: int) -> None:
    rows_in = sum(record.rows_in for record in records)

    def demand(expected: float, found: float, what: str) -> None:
        if expected != found:
            raise ConservationError(f"step {step.name}: {what}: {expected:.0f} expected, {found:.0f} found")

    def rows_of(output: Output) -> int:
        return sum(shard.rows for record in records for shard in record.outputs[output.dataset])

    if isinstance(step, Shuffle):
        demand(emitted, rows_in, "rows sent and received")
        return
    if step.inputs:
        demand(
            job.store.committed(step.inputs[0].dataset).rows,
            rows_in,
            f"rows of {step.inputs[0].dataset} read",
        )
    if step.reduce is not None:
        before, after = (sum(record.balance[side] for record in records) for side in (0, 1))
        demand(before, after, f"balance of {step.balance}")
        return
    for output in step.outputs:
        if output.where is None:
            demand(rows_in, rows_of(output), f"rows of {output.dataset}")
    tallies = [shard.tally for record in records for shards in record.outputs.values() for shard in shards]
    for output in step.outputs:
        if output.matches is not None:
            told = sum(count for tally in tallies for key, count in tally.items() if output.matches in key.split(","))
            demand(told, rows_of(output), f"rows of {output.dataset}, against {output.matches}")


def _check_failures(job: Job, step: Step, records: list[Record]) -> None:
    failed: Counter[str] = Counter()
    for record in records:
        failed.update(record.failed)
    rows = sum(record.rows_in for record in records)
    if failed.total() > job.max_failed * rows:
        raise _too_many_failed(job, step, failed, rows)


def _is_hopeless(failed: int, rows_read: int, rows_known: int | None, max_failed: float) -> bool:
    """Whether a shard may stop: its failures alone are too many for all rows of the run.

    How many rows a source has is known at its end only; until then a shard goes on unless most of its rows fail.
    """
    if rows_known is not None:
        return failed > max_failed * rows_known
    return failed > max(max_failed, HOPELESS) * max(rows_read, 100)


def _too_many_failed(job: Job, step: Step, failed: Counter[str], rows: int) -> StepError:
    [(most, count)] = sorted(failed.items(), key=lambda item: (-item[1], item[0]))[:1]
    transform, _, error = most.partition(": ")
    others = f", other failures on {failed.total() - count}" if len(failed) > 1 else ""
    return StepError(
        f"step {step.name}: {transform} raised {error} on {count} of {rows} rows{others}; "
        f"more than the share of {job.max_failed:g} (failures.max_share)"
    )


def _save(job: Job, record: Record) -> Record:
    job.store.write_json(asdict(record), PROGRESS, record.step, f"{record.shard:05d}.json")
    return record


class _named:
    """Turns any error inside a task into one that names the step and the shard."""

    def __init__(self, step: Step, shard: int) -> None:
        self._where = f"step {step.name}, shard {shard}"

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, StepError):
            raise StepError(f"{self._where}: {type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Functions:
    transforms: list[tuple[Transform, BatchFunction]]
    reduce: BatchFunction | None
    hold_much: bool


_loaded: dict[tuple[str, str, str], _Functions] = {}


def _load(
    job: Job, step: Step, transforms: tuple[Transform, ...], reducer: Reducer | None, part: str = ""
) -> _Functions:
    """The step's functions, loaded once per worker; those of earlier steps are let go, for they may be large."""
    key = (step.name, job.plan.fingerprints[step.name], part)
    if key not in _loaded:
        dropped = [_loaded.pop(old) for old in list(_loaded) if old[:2] != key[:2]]
        if any(functions.hold_much for functions in dropped):
            del dropped
            gc.collect()
        pa.default_memory_pool().release_unused()
        _loaded[key] = _Functions(
            [(transform, _load_one(job, transform)) for transform in transforms],
            None if reducer is None else _load_one(job, reducer),
            any(hasattr(part, "memory") for part in (*transforms, reducer)),
        )
    return _loaded[key]


def _load_one(job: Job, part: Transform | Reducer) -> BatchFunction:
    return part.load(*(job.store.table(dataset) for dataset in getattr(part, "side", ())))


def _apply(
    batch: pa.RecordBatch,
    transforms: list[tuple[Transform, BatchFunction]],
    timings: dict[str, float],
    isolates: bool = False,
) -> pa.RecordBatch:
    if isolates and FAILURE.name not in batch.schema.names:
        batch = batch.append_column(FAILURE, pa.nulls(batch.num_rows, FAILURE.type))
    for transform, function in transforms:
        name = type(getattr(transform, "transform", transform)).__name__  # what a conditional one runs
        started = time.perf_counter()
        added, raised = _isolate(function, batch, transform.adds) if isolates else (function(batch), [])
        timings[name] = timings.get(name, 0) + time.perf_counter() - started
        if added.num_rows != batch.num_rows:
            raise ConservationError(f"{name} gave {added.num_rows} rows for {batch.num_rows}")
        for field_ in transform.adds:
            batch = batch.append_column(field_, added.column(field_.name))
        if any(raised):
            failure = pc.binary_join_element_wise(name, pa.array(raised, pa.string()), ": ")
            failure = pc.coalesce(batch.column(FAILURE.name), failure)
            batch = batch.set_column(batch.schema.get_field_index(FAILURE.name), FAILURE, failure)
    return batch


def _isolate(
    function: BatchFunction, batch: pa.RecordBatch, adds: pa.Schema
) -> tuple[pa.RecordBatch, list[str | None]]:
    """What a transform adds, with nulls in the rows on which it raises, and the exception's type there.

    A batch on which it raises is halved until such rows stand alone, so that what becomes of a row never depends on
    where batches are cut. The message may hold a file's content, so only the type is told. What is not the fault of a
    row, such as a full disk or too little memory, is raised.
    """
    try:
        return function(batch), [None] * batch.num_rows
    except (MemoryError, OSError, ConservationError):
        raise
    except Exception as error:
        if batch.num_rows == 0:
            raise
        if batch.num_rows == 1:
            nothing = pa.RecordBatch.from_arrays([pa.nulls(1, field.type) for field in adds], schema=adds)
            return nothing, [type(error).__name__]
    half = batch.num_rows // 2
    (first, first_raised), (rest, rest_raised) = (
        _isolate(function, rows, adds) for rows in (batch.slice(0, half), batch.slice(half))
    )
    added = [pa.concat_arrays([first.column(name), rest.column(name)]) for name in adds.names]
    return pa.RecordBatch.from_arrays(added, schema=adds), first_raised + rest_raised


def _write(writers: dict[Output, ShardWriter], batch: pa.RecordBatch, timings: dict[str, float]) -> None:
    started = time.perf_counter()
    for writer in writers.values():
        writer.write(batch)
    timings["write"] = timings.get("write", 0) + time.perf_counter() - started


def _timed(name: str, timings: dict[str, float], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    while True:
        started = time.perf_counter()
        batch = next(batches, None)
        timings[name] = timings.get(name, 0) + time.perf_counter() - started
        if batch is None:
            return
        yield batch


def _sum(batch: pa.RecordBatch, column: str | None) -> float:
    return 0 if column is None else (pc.sum(batch.column(column)).as_py() or 0)


def _map_input(job: Job, step: Map, shard: int) -> Iterator[pa.RecordBatch]:
    if step.splits:
        assert step.limits is not None
        yield from step.splits[shard].read(step.limits)
        return
    sizes = [part.rows for part in job.store.committed(step.inputs[0].dataset).shards]
    if step.gathered_by is not None:
        for source in range(len(sizes)):
            for batch in _side_by_side(job.store, step.inputs, source):
                numbers = _spread(batch.column(step.gathered_by), step.shards)
                yield batch.filter(pa.array(numbers == shard))
        return
    for source, low, high in _ranges(sizes, shard, step.shards, step.transposed):
        if low < high:
            yield from _side_by_side(job.store, step.inputs, source, (low, high))


def _ranges(sizes: list[int], shard: int, shards: int, transposed: bool) -> Iterator[tuple[int, int, int]]:
    """Which rows (input shard, from, to) make up an output shard: every row goes to exactly one."""
    count = len(sizes)
    for source, rows in enumerate(sizes):
        if transposed:
            yield source, rows * shard // shards, rows * (shard + 1) // shards
        else:
            # The output shard covers [shard, shard + 1) * count / shards of the row of input shards.
            low = min(max(shard * count - source * shards, 0), shards)
            high = min(max((shard + 1) * count - source * shards, 0), shards)
            yield source, rows * low // shards, rows * high // shards


def _side_by_side(
    store: Store, inputs: tuple[Input, ...], shard: int, rows: tuple[int, int] | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches of several equally sharded datasets, joined row by row, in the first one's batches."""
    first, *others = [_read(store, source, shard, rows) for source in inputs]
    readers = [_Rows(other) for other in others]
    for batch in first:
        for reader in readers:
            part = reader.take(batch.num_rows)
            for index, column in enumerate(part.schema):
                batch = batch.append_column(column, part.column(index))
        yield batch
    for source, reader in zip(inputs[1:], readers, strict=True):
        if reader.take(1).num_rows:
            raise ConservationError(f"{source.dataset} has more rows than {inputs[0].dataset} in shard {shard}")


def _read(store: Store, source: Input, shard: int, rows: tuple[int, int] | None) -> Iterator[pa.RecordBatch]:
    there = source.elsewhere
    if there is None:
        return store.read(source.dataset, shard, source.columns, rows)
    other = Store(there.location)
    if other.committed(source.dataset).digest != there.digest:
        raise ValueError(f"{other.address(source.dataset)} has changed since this run began")
    return other.read(source.dataset, shard - there.first_shard, source.columns, rows, there.first_shard)


class _Rows:
    """Takes any number of rows from a stream of batches."""

    def __init__(self, batches: Iterator[pa.RecordBatch]) -> None:
        self._batches = batches
        self._rest: pa.Table | None = None

    def take(self, rows: int) -> pa.RecordBatch:
        parts = [] if self._rest is None else [self._rest]
        while sum(part.num_rows for part in parts) < rows and (batch := next(self._batches, None)) is not None:
            parts.append(pa.Table.from_batches([batch]))
        if not parts:
            return pa.RecordBatch.from_pylist([], pa.schema([]))
        table = pa.concat_tables(parts)
        self._rest = table.slice(rows)
        taken = table.slice(0, rows).combine_chunks().to_batches()
        return taken[0] if taken else pa.RecordBatch.from_pylist([], table.schema)


def _partition(batch: pa.RecordBatch, step: Shuffle) -> Iterator[tuple[int, pa.RecordBatch]]:
    if batch.num_rows == 0:
        return
    keys = batch.column(step.key)
    partitions = keys.to_numpy() >> ROW_BITS if step.homeward else _spread(keys, step.partitions)
    order = np.argsort(partitions, kind="stable")
    bounds = np.searchsorted(partitions[order], np.arange(step.partitions + 1))
    arranged = batch.take(pa.array(order))
    for partition in np.flatnonzero(np.diff(bounds)):
        yield int(partition), arranged.slice(bounds[partition], bounds[partition + 1] - bounds[partition])


def _spread(keys: pa.Array, partitions: int) -> np.ndarray:
    """The partition that each key falls to."""
    if pa.types.is_string(keys.type):
        names = keys.dictionary_encode()
        hashes = np.array([zlib.crc32(name.as_py().encode()) for name in names.dictionary], np.uint64)
        return (hashes[names.indices.to_numpy()] % np.uint64(partitions)).astype(np.int64)
    # Fibonacci hashing (Knuth, TAOCP 3, section 6.4): consecutive and clustered keys spread evenly.
    mixed = keys.to_numpy().view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return ((mixed >> np.uint64(32)) % np.uint64(partitions)).astype(np.int64)


def _serialise(schema: pa.Schema, batches: list[pa.RecordBatch]) -> bytes:
    """An Arrow stream without the columns' documentation, compressed whole as well as column by column: where there
    are many partitions a payload has few rows, and the stream's own words would be most of it."""
    bare = pa.schema([column.remove_metadata() for column in schema])
    table = pa.Table.from_batches(batches, schema).combine_chunks()
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, bare, options=options) as writer:
        writer.write_table(table)
    return pa.compress(sink.getvalue(), "zstd", asbytes=True)


def _deserialise(payload: bytes) -> Iterator[pa.RecordBatch]:
    with pa.CompressedInputStream(pa.py_buffer(payload), "zstd") as packed:
        yield from pa.ipc.open_stream(packed)


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    batches = table.combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], table.schema)


def _sorted(payloads: Iterable[bytes], schema: pa.Schema, order: tuple[str, ...]) -> pa.RecordBatch:
    """All rows of a partition; what they were made of is let go, for it is as large."""
    table = pa.Table.from_batches((batch for payload in payloads for batch in _deserialise(payload)), schema)
    return _one_batch(table.take(pc.sort_indices(table, sort_keys=[(name, "ascending") for name in order])))


def _whole_keys(batch: pa.RecordBatch, key: str) -> Iterator[pa.RecordBatch]:
    """Sorted rows in chunks of about CHUNK_BYTES that never cut a key in two."""
    if batch.num_rows == 0:
        return
    column = batch.column(key)
    changed = pc.not_equal(column.slice(1), column.slice(0, len(column) - 1))
    starts = np.append(np.flatnonzero(changed.to_numpy(zero_copy_only=False)) + 1, batch.num_rows)
    per_chunk = max(1, batch.num_rows * CHUNK_BYTES // max(batch.nbytes, 1))
    low = 0
    while low < batch.num_rows:
        high = int(starts[min(np.searchsorted(starts, low + per_chunk), len(starts) - 1)])
        yield batch.slice(low, high - low)
        low = high
