"""Datasets on storage: shards written atomically, a manifest written last, progress that a restart can trust.

An output location is a local path, `gs://…` or `s3://…`.
"""

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.ipc
import pyarrow.parquet as pq

from pipeline.locations import open_location, shown
from pipeline.plan import Output
from schemas.datasets import ROW_ID

MANIFEST = "_manifest.json"
PROGRESS = "_progress"
HUGGING_FACE_INDEX = ("dataset_info.json", "state.json")
ROW_BITS = 32
READ_BYTES = 8 << 20
"""Bytes of one request to an object store."""
PAUSES = (0.5, 2, 8)
"""Seconds before an upload is begun anew, after the library's own retries of its requests: an upload whose last answer
was lost cannot always be taken up again."""
PLAIN_COLUMNS = ("content", "data", "minhash", "shingle_set")
"""Columns whose values hardly repeat: a dictionary would only cost time."""
ASCENDING_COLUMNS = {"shingle_set": "shingle_set.list.element"}
"""Columns of ascending numbers, and what parquet calls them: their differences take less room than they do."""


MANIFESTS_HELD = 8
"""Parsed manifests that a process keeps: a step reads about five datasets."""


class MissingDataset(FileNotFoundError):
    """A location does not hold what was asked of it; the message is one line."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One committed file of a dataset."""

    file: str
    rows: int
    bytes: int
    sha256: str
    tally: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Manifest:
    """A dataset's `_manifest.json`: written last, so that a dataset with a manifest is whole."""

    fingerprint: str
    code: str
    step: str
    format: str
    schema: list[dict[str, str]]
    shards: list[Shard]

    @cached_property
    def rows(self) -> int:
        return sum(shard.rows for shard in self.shards)

    @property
    def bytes(self) -> int:
        return sum(shard.bytes for shard in self.shards)

    @cached_property
    def digest(self) -> str:
        """Hex digits that change when any byte of the dataset does."""
        return hashlib.sha256("\n".join(shard.sha256 for shard in self.shards).encode()).hexdigest()

    def tally(self) -> dict[str, int]:
        """Counts of the tallied values over all shards, keyed by `column=value` pairs joined by a comma."""
        counts: dict[str, int] = {}
        for shard in self.shards:
            for key, count in shard.tally.items():
                counts[key] = counts.get(key, 0) + count
        return dict(sorted(counts.items()))


@dataclass(frozen=True)
class Store:
    """An output location. Picklable; each process opens the file system for itself."""

    uri: str

    @cached_property
    def _location(self) -> tuple[pafs.FileSystem, str]:
        return open_location(self.uri)

    def __repr__(self) -> str:
        return f"Store({shown(self.uri)!r})"

    def __getstate__(self) -> dict[str, str]:
        return {"uri": self.uri}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__dict__.update(state)

    @property
    def file_system(self) -> pafs.FileSystem:
        return self._location[0]

    @property
    def is_local(self) -> bool:
        return isinstance(self.file_system, pafs.LocalFileSystem)

    def path(self, *parts: str) -> str:
        """The location of something below the output, as the file system names it."""
        return "/".join((self._location[1].rstrip("/"), *parts))

    def address(self, *parts: str) -> str:
        """The location of something below the output, as a person names it: without login and options."""
        return self.path(*parts) if self.is_local else "/".join((shown(self.uri).rstrip("/"), *parts))

    def exists(self, *parts: str) -> bool:
        return self.file_system.get_file_info(self.path(*parts)).type != pafs.FileType.NotFound

    def names(self, *parts: str) -> list[str]:
        """Names of the files directly in a folder, sorted; none where there is no such folder."""
        selector = pafs.FileSelector(self.path(*parts), allow_not_found=True)
        return sorted(info.base_name for info in self.file_system.get_file_info(selector) if info.is_file)

    def folders(self, *parts: str) -> list[str]:
        """Names of the folders directly in a folder, sorted.

        pyarrow's GCS lists only folders that somebody made: there all that lies below is listed, and tells of them.
        """
        place, is_gcs = self.path(*parts), self.file_system.type_name == "gcs"
        selector = pafs.FileSelector(place, allow_not_found=True, recursive=is_gcs)
        found = [(info.path[len(place) + 1 :], info.is_file) for info in self.file_system.get_file_info(selector)]
        return sorted({name.partition("/")[0] for name, is_file in found if "/" in name or not is_file})

    def is_whole(self, dataset: str, manifest: Manifest) -> bool:
        """Whether every shard that the manifest names is there in its full size."""
        selector = pafs.FileSelector(self.path(dataset), allow_not_found=True)
        sizes = {info.base_name: info.size for info in self.file_system.get_file_info(selector)}
        return all(sizes.get(shard.file) == shard.bytes for shard in manifest.shards)

    def remove_strays(self, dataset: str, manifest: Manifest) -> None:
        """Removes files that an earlier or a broken-off run left beside a dataset's own."""
        own = {shard.file for shard in manifest.shards} | {MANIFEST, *HUGGING_FACE_INDEX}
        for name in self.names(dataset):
            if name not in own:
                self.file_system.delete_file(self.path(dataset, name))

    def remove(self, *parts: str) -> None:
        if self.exists(*parts):
            self.file_system.delete_file(self.path(*parts))

    def remove_folder(self, *parts: str) -> None:
        if not self.exists(*parts):
            return
        try:
            self.file_system.delete_dir(self.path(*parts))
        except FileNotFoundError:
            # An object store has no folders, only what is in them; a deletion tried again finds less to delete.
            if self.exists(*parts):
                raise

    def read_json(self, *parts: str) -> Any:
        """The content of a JSON file, or None where there is none."""
        if not self.exists(*parts):
            return None
        with self.file_system.open_input_stream(self.path(*parts), compression=None) as stream:
            return json.loads(stream.read())

    def write_json(self, value: object, *parts: str) -> None:
        self.write_bytes((json.dumps(value, indent=1, sort_keys=True) + "\n").encode(), *parts)

    def write_bytes(self, data: bytes, *parts: str) -> None:
        """Writes a file whole or not at all."""
        with self.writing(*parts) as file:
            file.write(data)

    @contextmanager
    def writing(self, *parts: str) -> Iterator[IO[bytes]]:
        """A local file that takes its place below the output only when all went well: renamed, or put at once."""
        target = self.path(*parts)
        folder = target.rpartition("/")[0]
        if self.is_local:
            self.file_system.create_dir(folder, recursive=True)
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=folder if self.is_local else None)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(temporary, 0o644)
            if self.is_local:
                os.replace(temporary, target)
            else:
                self._put(temporary, target)
        finally:
            Path(temporary).unlink(missing_ok=True)

    def _put(self, file: str, target: str) -> None:
        """Uploads a file. Nothing is seen under its name before the store has all of it."""
        data = pa.memory_map(file).read_buffer() if os.path.getsize(file) else b""
        for pause in (*PAUSES, None):
            try:
                with self.file_system.open_output_stream(target, compression=None) as sink:
                    # In one call: a stream that an interruption closes early would become an object of half the file.
                    sink.write(data)
                return
            except (OSError, pa.ArrowInvalid):
                if pause is None:
                    raise
                time.sleep(pause)

    def manifest(self, dataset: str) -> Manifest | None:
        """The manifest of a dataset, or None where it is not whole."""
        file = self.file_system.get_file_info(self.path(dataset, MANIFEST))
        return None if file.type == pafs.FileType.NotFound else _parsed(self, dataset, (file.size, file.mtime_ns))

    def write_manifest(self, dataset: str, manifest: Manifest) -> None:
        self.write_json(asdict(manifest), dataset, MANIFEST)
        _parsed.cache_clear()

    def committed(self, dataset: str) -> Manifest:
        """The manifest of a dataset that must be whole."""
        manifest = self.manifest(dataset)
        if manifest is None:
            raise MissingDataset(f"{self.address(dataset)} has no {MANIFEST}; name the --out of a run that has ended")
        return manifest

    def read(
        self,
        dataset: str,
        shard: int,
        columns: tuple[str, ...],
        rows: tuple[int, int] | None = None,
        first_shard: int = 0,
    ) -> Iterator[pa.RecordBatch]:
        """Batches of one shard's columns, in order; only `rows` (from, to) where given.

        `row_id` is made on reading where the dataset does not store it; the shards are numbered from `first_shard` on.
        """
        manifest = self.committed(dataset)
        first, last = rows or (0, manifest.shards[shard].rows)
        at = 0
        path = self.path(dataset, manifest.shards[shard].file)
        for batch in _batches(self.file_system, path, manifest.format, columns, self.is_local):
            low, high = max(first - at, 0), min(last - at, batch.num_rows)
            if low < high:
                part = batch.slice(low, high - low)
                if ROW_ID.name in columns and ROW_ID.name not in part.schema.names:
                    base = (first_shard + shard << ROW_BITS) + at + low
                    ids = pa.array(range(base, base + part.num_rows), pa.int64())
                    part = part.append_column(ROW_ID, ids)
                yield part.select(list(columns))
            at += batch.num_rows
            if at >= last:
                return

    def table(self, dataset: str, columns: tuple[str, ...] | None = None) -> pa.Table:
        """A dataset whole, for those that are small: a tokenizer, a fold's result."""
        manifest = self.committed(dataset)
        names = columns or tuple(entry["name"] for entry in manifest.schema)
        if manifest.format == "files":
            rows = [{"name": shard.file, "data": self._bytes(dataset, shard.file)} for shard in manifest.shards]
            return pa.Table.from_pylist(rows, pa.schema([("name", pa.string()), ("data", pa.binary())]))
        batches = [batch for shard in range(len(manifest.shards)) for batch in self.read(dataset, shard, names)]
        return pa.Table.from_batches(batches) if batches else pa.table({name: [] for name in names})

    def _bytes(self, *parts: str) -> bytes:
        with self.file_system.open_input_stream(self.path(*parts), compression=None) as stream:
            return stream.read()


@lru_cache(MANIFESTS_HELD)
def _parsed(store: Store, dataset: str, state: tuple[int, int]) -> Manifest:
    """A manifest, parsed once by a worker and not for each of its tasks; `state` is that of its file."""
    data = json.loads(store._bytes(dataset, MANIFEST))
    return Manifest(**data | {"shards": [Shard(**shard) for shard in data["shards"]]})


def _batches(
    file_system: pafs.FileSystem, path: str, format: str, columns: tuple[str, ...], local: bool
) -> Iterator[pa.RecordBatch]:
    if format == "arrow":
        source = pa.memory_map(path) if local else file_system.open_input_stream(path, None, READ_BYTES)
        with pa.ipc.open_stream(source) as stream:
            stored = [name for name in columns if name in stream.schema.names]
            for batch in stream:
                yield batch.select(stored)
        return
    with pq.ParquetFile(file_system.open_input_file(path)) as file:
        stored = [name for name in columns if name in file.schema_arrow.names]
        for group in range(file.num_row_groups):
            # A row group is a batch as it was written, so it fits in memory. Workers share out the cores, not threads.
            table = file.read_row_group(group, columns=stored, use_threads=False).combine_chunks()
            if not stored:
                yield pa.RecordBatch.from_pylist([{}] * file.metadata.row_group(group).num_rows, pa.schema([]))
            yield from table.to_batches()


class _HashingFile:
    """A writable file that takes the sha256 and the length of what goes through it."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.digest = hashlib.sha256()
        self.bytes = 0
        self.closed = False
        self.abandoned = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        if self.abandoned:
            return view.nbytes
        self.digest.update(view)
        self.bytes += view.nbytes
        return self._file.write(view)

    def tell(self) -> int:
        return self.bytes

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True


class ShardWriter:
    """Writes one shard of an output: batches in, a `Shard` out when the context closes well."""

    def __init__(self, store: Store, output: Output, schema: pa.Schema, shard: int, shards: int) -> None:
        self._output = output
        self._schema = schema
        self._file_name = output.file_name.format(shard=shard, shards=shards)
        self._writing = store.writing(output.dataset, self._file_name)
        self._rows = 0
        self._tally: dict[str, int] = {}

    def __enter__(self) -> "ShardWriter":
        self._file = _HashingFile(self._writing.__enter__())
        if self._output.format == "arrow":
            self._writer = pa.ipc.new_stream(self._file, self._schema)
        else:
            dictionary = [name for name in self._schema.names if name not in PLAIN_COLUMNS]
            self._writer = pq.ParquetWriter(
                self._file,
                self._schema,
                compression="zstd",
                compression_level=3,
                use_dictionary=dictionary,  # pyright: ignore[reportArgumentType]  a list of columns is fine
                column_encoding={
                    path: "DELTA_BINARY_PACKED"
                    for name, path in ASCENDING_COLUMNS.items()
                    if name in self._schema.names
                },
            )
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Writes the output's rows and columns of a batch."""
        if self._output.where is not None:
            batch = batch.filter(batch.column(self._output.where))
        if batch.num_rows == 0:
            return
        arrays = [batch.column(column) for _, column in self._output.pairs()]
        out = pa.RecordBatch.from_arrays(arrays, schema=self._schema)
        if isinstance(self._writer, pq.ParquetWriter):
            self._writer.write_batch(out, row_group_size=max(out.num_rows, 1))
        else:
            self._writer.write_batch(out)
        self._rows += out.num_rows
        if self._output.tally:
            self._count(out)

    def _count(self, batch: pa.RecordBatch) -> None:
        names = list(self._output.tally)
        groups = pa.Table.from_batches([batch.select(names)]).group_by(names).aggregate([([], "count_all")])
        for row in groups.to_pylist():
            key = ",".join(f"{name}={row[name]}" for name in names if row[name] is not None)
            self._tally[key] = self._tally.get(key, 0) + row["count_all"]

    def __exit__(self, *error: Any) -> None:
        # A writer that is dropped still writes its footer: into nothing, if the shard is given up.
        self._file.abandoned = error[0] is not None
        if self._rows == 0 and not isinstance(self._writer, pq.ParquetWriter):
            # datasets opens no stream without a batch.
            self._writer.write_batch(pa.RecordBatch.from_pylist([], self._schema))
        self._writer.close()
        self._writing.__exit__(*error)
        self.shard = Shard(
            self._file_name,
            self._rows,
            self._file.bytes,
            self._file.digest.hexdigest(),
            dict(sorted(self._tally.items())),
        )


def write_files(store: Store, dataset: str, rows: pa.RecordBatch) -> list[Shard]:
    """Writes each row's `data` as a file under its `name`, for datasets that are no tables."""
    shards = []
    for row in rows.to_pylist():
        store.write_bytes(row["data"], dataset, row["name"])
        digest = hashlib.sha256(row["data"]).hexdigest()
        shards.append(Shard(row["name"], 1, len(row["data"]), digest))
    return shards


def write_hugging_face_index(store: Store, dataset: str, shards: list[Shard], fingerprint: str) -> None:
    """The two files beside Arrow shards with which `datasets.load_from_disk` opens the folder."""
    info, data = HUGGING_FACE_INDEX
    store.write_json({"description": "", "citation": "", "homepage": "", "license": ""}, dataset, info)
    state = {
        "_data_files": [{"filename": shard.file} for shard in shards],
        "_fingerprint": fingerprint[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    store.write_json(state, dataset, data)
