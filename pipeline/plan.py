"""A plan is data: steps that exchange named datasets. It prints, diffs, and is checked before anything starts."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pipeline.locations import shown
from pipeline.sources import Limits, Readable
from schemas.contracts import Reducer, Transform
from schemas.datasets import FAILURE, ROW_ID

Format = Literal["parquet", "arrow", "files"]


class PlanError(ValueError):
    """A step reads what no step before it gives, or two transforms add the same column."""


@dataclass(frozen=True)
class Elsewhere:
    """Where another run left a dataset, and what it held when the plan was made: `digest` of its shards, `schema`.

    Its shards are numbered from `first_shard` on, in row ids as well, so that a step can tell them from its own.
    """

    location: str
    digest: str
    schema: pa.Schema
    shards: int
    first_shard: int


@dataclass(frozen=True)
class Input:
    """Columns of a dataset. `row_id` may be asked for of any dataset: it is made on reading.

    One that is `elsewhere` may only be the first input of an `Emit`; those beside it are read at its shards' numbers.
    """

    dataset: str
    columns: tuple[str, ...]
    elsewhere: Elsewhere | None = None


@dataclass(frozen=True)
class Output:
    """A dataset that a step writes, one shard at a time.

    `columns` are names of columns, or pairs of the name to write and the column to take it from. Rows in which the
    boolean column `where` is not true are left out. `tally` names columns whose values are counted in the manifest;
    `matches` is a value that another output of the step tallies, such as `decision=kept`: there must be as many rows.
    `file_name` is the shard's name, with `{shard}` and `{shards}`. The format `files` writes each row's `data` under
    its `name`, for what is no table.
    """

    dataset: str
    columns: tuple[str | tuple[str, str], ...]
    where: str | None = None
    format: Format = "parquet"
    tally: tuple[str, ...] = ()
    matches: str | None = None
    file_name: str = "part-{shard:05d}.parquet"

    def pairs(self) -> list[tuple[str, str]]:
        """Name to write and column to take it from, in order."""
        return [(column, column) if isinstance(column, str) else column for column in self.columns]


@dataclass(frozen=True)
class Map:
    """Shard i of the outputs from shard i of the inputs, side by side; or, without inputs, from a source's split i.

    Where the inputs have another number of shards than `shards`, an output shard takes its proportional, contiguous
    run of rows; with `transposed`, the i-th slice of every input shard, which moves rows between all shards through
    storage (a shuffle of contents, which must not travel through an engine); with `gathered_by`, the rows of all input
    shards whose value in that column falls to it, so that all rows of a value lie in one shard. A `reduce` gets the
    whole shard in one batch. `balance` names a column whose sum before `reduce` must equal the sum of one after it.

    With `isolates`, a row on which a transform raises gets null measures of it, and the column `failed` says so, where
    an input has not said it before; the first output has that column. Elsewhere an exception fails the step.
    """

    name: str
    outputs: tuple[Output, ...]
    shards: int
    inputs: tuple[Input, ...] = ()
    splits: tuple[Readable, ...] = ()
    limits: Limits | None = None
    transforms: tuple[Transform, ...] = ()
    reduce: Reducer | None = None
    transposed: bool = False
    gathered_by: str | None = None
    balance: tuple[str, str] | None = None
    isolates: bool = False


@dataclass(frozen=True)
class Emit:
    """The map side of a shuffle: rows of equally sharded inputs, measured, `combine`d into others, cut to `columns`.

    Rows in which the boolean column `where` is not true are left out, before they are combined.
    """

    inputs: tuple[Input, ...]
    transforms: tuple[Transform, ...] = ()
    combine: Reducer | None = None
    columns: tuple[str, ...] | None = None
    where: str | None = None


@dataclass(frozen=True)
class Shuffle:
    """All rows of a key reach one reducer, as one sorted batch of many whole keys; without one they stay as they are.

    `order` makes the sort total, so that a result never depends on arrival. The partition is a hash of the key; with
    `homeward`, where the key is a `row_id`, it is the shard that the id names, so that the output is aligned with the
    dataset that the ids are from. One partition is a fold: its reducer gets all rows at once. `conserves`: the reducer
    gives as many rows as it gets.
    """

    name: str
    emits: tuple[Emit, ...]
    key: str
    order: tuple[str, ...]
    partitions: int
    output: Output
    reduce: Reducer | None = None
    homeward: bool = False
    conserves: bool = False

    @property
    def outputs(self) -> tuple[Output, ...]:
        return (self.output,)

    @property
    def shards(self) -> int:
        return self.partitions


Step = Map | Shuffle


@dataclass(frozen=True)
class Plan:
    """Checked steps, in order, with the schema of every dataset and the fingerprint of every step."""

    steps: tuple[Step, ...]
    schemas: dict[str, pa.Schema]
    fingerprints: dict[str, str]

    @staticmethod
    def of(*steps: Step) -> "Plan":
        """Checks the steps and computes what the machinery needs of them.

        Raises PlanError.
        """
        return Plan(steps, check(steps), fingerprints(steps))

    def step(self, name: str) -> Step:
        """The step of a name."""
        return next(step for step in self.steps if step.name == name)

    def writer(self, dataset: str) -> Step:
        """The step that writes a dataset."""
        return next(step for step in self.steps if any(output.dataset == dataset for output in step.outputs))


def check(steps: tuple[Step, ...]) -> dict[str, pa.Schema]:
    """Propagates the schemas through the steps and gives the schema of every dataset.

    Raises PlanError where a step reads a column that nobody adds, or a column has two owners.
    """
    datasets: dict[str, pa.Schema] = {}
    for step in steps:
        if missing := [name for name in inputs_of(step) if name not in datasets]:
            raise PlanError(f"step {step.name}: no step before it writes {missing[0]}")
        if isinstance(step, Map):
            if any(given.elsewhere for given in step.inputs):
                raise PlanError(f"step {step.name}: a map reads the plan's own datasets only")
            columns = step.splits[0].schema if step.splits else _read(step.name, step.inputs, datasets)
            _require(step.name, columns, () if step.gathered_by is None else (step.gathered_by,))
            columns = _measure(step.name, columns, step.transforms)
            if step.isolates:
                _require_failures_written(step)
                columns = columns if FAILURE.name in columns.names else columns.append(FAILURE)
            if step.reduce is not None:
                columns = _reduce(step.name, columns, step.reduce)
        else:
            sent = [_reduce_emit(step.name, emit, datasets) for emit in step.emits]
            if any(not schema.equals(sent[0]) for schema in sent):
                raise PlanError(f"step {step.name}: its emits give different columns: {[s.names for s in sent]}")
            _require(step.name, sent[0], (step.key, *step.order))
            columns = sent[0] if step.reduce is None else _reduce(step.name, sent[0], step.reduce)
        for output in step.outputs:
            _require(step.name, columns, tuple(column for _, column in output.pairs()))
            if output.dataset in datasets:
                raise PlanError(f"step {step.name}: dataset {output.dataset} is written twice")
            datasets[output.dataset] = pa.schema(
                [columns.field(column).with_name(name) for name, column in output.pairs()]
            )
    return datasets


def emitted_schema(emit: Emit, datasets: dict[str, pa.Schema]) -> pa.Schema:
    """The rows that the map side of a shuffle sends."""
    return _reduce_emit("", emit, datasets)


def _reduce_emit(step: str, emit: Emit, datasets: dict[str, pa.Schema]) -> pa.Schema:
    columns = _measure(step, _read(step, emit.inputs, datasets), emit.transforms)
    _require(step, columns, () if emit.where is None else (emit.where,))
    if emit.combine is not None:
        columns = _reduce(step, columns, emit.combine)
    if emit.columns is None:
        return columns
    _require(step, columns, emit.columns)
    return pa.schema([columns.field(name) for name in emit.columns])


def _read(step: str, inputs: tuple[Input, ...], datasets: dict[str, pa.Schema]) -> pa.Schema:
    fields: list[pa.Field] = []
    for source in inputs:
        schema = datasets[source.dataset] if source.elsewhere is None else source.elsewhere.schema
        if ROW_ID.name not in schema.names:
            schema = schema.append(ROW_ID)
        _require(step, schema, source.columns)
        fields += [schema.field(column) for column in source.columns]
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        raise PlanError(f"step {step}: reads a column twice: {sorted(n for n in names if names.count(n) > 1)}")
    return pa.schema(fields)


def _measure(step: str, columns: pa.Schema, transforms: tuple[Transform, ...]) -> pa.Schema:
    for transform in transforms:
        _require(f"{step}, {type(transform).__name__}", columns, transform.reads)
        for field in transform.adds:
            if field.name in columns.names:
                raise PlanError(f"step {step}: {type(transform).__name__} adds {field.name}, which is there already")
            columns = columns.append(field)
    return columns


def _reduce(step: str, columns: pa.Schema, reducer: Reducer) -> pa.Schema:
    _require(f"{step}, {type(reducer).__name__}", columns, reducer.reads)
    return reducer.schema


def _require_failures_written(step: Map) -> None:
    if step.reduce is not None or FAILURE.name not in step.outputs[0].columns:
        raise PlanError(f"step {step.name} isolates failing rows, and its first output does not have {FAILURE.name}")


def _require(step: str, schema: pa.Schema, columns: tuple[str, ...]) -> None:
    if missing := [column for column in columns if column not in schema.names]:
        raise PlanError(f"step {step} reads {', '.join(missing)}, which nobody adds; there are {schema.names}")


def describe(value: object) -> object:
    """A step, or any of its settings, as plain JSON data: what the fingerprint covers and `codesieve plan` prints.

    Addresses are without login and options, which say how something is reached and not what it is.
    Raises TypeError for a setting that is no plain data: its text might change from one process to the next.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {field.name: describe(getattr(value, field.name)) for field in dataclasses.fields(value)}
        return {"is": type(value).__qualname__} | fields
    if isinstance(value, tuple | list):
        return [describe(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted((describe(item) for item in value), key=str)
    if isinstance(value, dict):
        return {str(key): describe(value[key]) for key in sorted(value)}
    if isinstance(value, str):
        return shown(value)
    if value is None or isinstance(value, int | float | bool):
        return value
    if isinstance(value, bytes):
        return hashlib.sha256(value).hexdigest()
    if isinstance(value, pa.DataType | pa.Schema):
        return str(value)
    raise TypeError(f"{value!r} is no plain setting")


def fingerprints(steps: tuple[Step, ...]) -> dict[str, str]:
    """For each step the sha256 of its settings, of the steps that its inputs come from, and of the code's version."""
    by_step: dict[str, str] = {}
    by_dataset: dict[str, str] = {}
    for step in steps:
        inputs = [by_dataset[name] for name in inputs_of(step)]
        splits = step.splits if isinstance(step, Map) else ()
        settings = describe(dataclasses.replace(step, splits=()) if splits else step)
        content = json.dumps([settings, _digest(splits), inputs, code_version()], sort_keys=True)
        by_step[step.name] = hashlib.sha256(content.encode()).hexdigest()
        by_dataset |= {output.dataset: by_step[step.name] for output in step.outputs}
    return by_step


def _digest(splits: tuple[Readable, ...]) -> str:
    """Hex digits that name the splits, described one after the other: there may be a million."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(json.dumps(describe(split), sort_keys=True).encode() + b"\n")
    return digest.hexdigest()


def inputs_of(step: Step) -> Iterator[str]:
    """Names of the plan's datasets that a step reads, those that its functions read whole among them."""
    parts: list[Transform | Reducer | None] = [step.reduce]
    for source in (step,) if isinstance(step, Map) else step.emits:
        yield from (given.dataset for given in source.inputs if given.elsewhere is None)
        parts += source.transforms
        parts += [] if isinstance(source, Map) else [source.combine]
    for part in parts:
        yield from getattr(part, "side", ())


@cache
def code_version() -> str:
    """The release and a digest of the code that makes datasets: changed code never reuses what older code wrote."""
    root = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for folder in ("schemas", "transforms", "pipeline"):
        for file in sorted((root / folder).rglob("*.py")):
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return f"{version('codesieve')}+{digest.hexdigest()[:16]}"
