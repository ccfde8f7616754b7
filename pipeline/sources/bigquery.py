"""BigQuery: the rows of a query, one per file, read as Arrow through the Storage Read API.

A query is priced before it is asked: a dry run is free, tells the bytes that it reads and the columns that it gives,
and is held against `max_bytes_billed`. Its result is a table of the project's own, in a dataset ``codesieve_us`` (or
wherever the data lie), named after the query and the state of the tables behind it, gone after a week. A run that
starts again finds it there and pays nothing.

How the service cuts a table into streams, and in which order it gives the rows, is its own affair and may differ from
one session to the next. So each row's stream is a column of the result, a hash of the file's name: a session
restricted to one of its values has one stream, and the stream's rows are sorted when they have arrived. Whatever
session reads it, after a crash as well, a stream is the same rows in the same order.
"""

import hashlib
import importlib
import itertools
import re
import stat
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from pipeline.sources import Readable, Split, grouped
from pipeline.sources.bigquery_sql import (
    GITHUB_COLUMNS,
    GITHUB_QUERY,
    PRESETS,
    STREAM,
    in_streams,
    statement,
)
from pipeline.sources.files import Interrupted, Place, SourceError, reason
from pipeline.sources.rows import (
    DEFAULT_LIMITS,
    FILE_KINDS,
    Limits,
    Origin,
    Row,
    content_id,
    failed_row,
    printable,
    text_row,
)
from pipeline.sources.tables import DEFAULT_COLUMNS, Columns, count, one_line, table_row

STREAM_BYTES = 64 << 20
"""Bytes aimed at in a stream, whose rows are in memory while they are sorted."""
DOLLARS_PER_TIB = 6.25
"""On-demand analysis, list price of the US multi-region since July 2023 (cloud.google.com/bigquery/pricing)."""
LEAST_BILLED = 10 << 20
"""Bytes that a query pays for each table that it reads, at the least (same page)."""
DAYS_KEPT = 7
"""Days until the service deletes a result: the longest pause after which a run goes on without paying again."""
CALL_SECONDS = 60
STREAM_SECONDS = 600
"""One connection to a stream; it is taken up again where it ended."""
PAUSES = (0.2, 1, 2, 4, 8, 16)
"""Seconds before each new try of a broken stream; a try that gets a row starts them anew."""
BLOCK_ROWS = 256

GITLINK = 0o160000
"""Mode of a submodule in a git tree."""


@dataclass(frozen=True)
class Service:
    """The project that pays, and where BigQuery is.

    An endpoint ``http://127.0.0.1:…`` is an emulator: it gets no credentials, over a plain channel.
    """

    project: str
    api_endpoint: str | None = None
    storage_endpoint: str | None = None

    def query_client(self) -> Any:
        """A `google.cloud.bigquery.Client`."""
        bigquery, credentials, options = _library("bigquery"), None, None
        if self.api_endpoint:
            options = {"api_endpoint": self.api_endpoint}
            if is_emulator(self.api_endpoint):
                credentials = importlib.import_module("google.auth.credentials").AnonymousCredentials()
        return bigquery.Client(self.project, credentials=credentials, client_options=options)

    def read_client(self) -> Any:
        """A `BigQueryReadClient`, to be used as a context, which closes its channel."""
        storage = _library("bigquery_storage_v1.services.big_query_read")
        if self.storage_endpoint and is_emulator(self.storage_endpoint):
            grpc = importlib.import_module("grpc")
            unbounded = [("grpc.max_receive_message_length", -1)]
            channel = grpc.insecure_channel(self.storage_endpoint.removeprefix("http://"), unbounded)
            transport = storage.BigQueryReadClient.get_transport_class("grpc")
            return storage.BigQueryReadClient(transport=transport(channel=channel))
        options = {"api_endpoint": self.storage_endpoint} if self.storage_endpoint else None
        return storage.BigQueryReadClient(client_options=options)


def is_emulator(endpoint: str) -> bool:
    """Whether an endpoint is a plain port of this machine."""
    return bool(re.fullmatch(r"http://(127\.0\.0\.1|localhost|\[::1\]):\d+", endpoint))


@dataclass(frozen=True)
class BigQuerySource:
    """What a `query` gives, or the files of a `dataset` in the layout of github_repos (`preset`)."""

    project: str
    query: str | None = None
    preset: str | None = None
    dataset: str = "bigquery-public-data.github_repos"
    columns: Columns = DEFAULT_COLUMNS
    max_bytes_billed: int = 1 << 40
    api_endpoint: str | None = None
    storage_endpoint: str | None = None

    def splits(self, target: int, limits: Limits = DEFAULT_LIMITS) -> list[Split]:
        """Asks a dry run alone; see `pipeline.sources.Source`. `Query.ask` makes the rows.

        The streams depend on the bytes that the query would read, so that a later run knows them without asking.
        Raises SourceError for a query that the service refuses, and for one over `max_bytes_billed`.
        """
        service = Service(self.project, self.api_endpoint, self.storage_endpoint)
        with _explained(self._shown):
            client = service.query_client()
            settings = _library("bigquery").QueryJobConfig(dry_run=True, use_query_cache=False)
            asked = client.query(self._sql, settings, retry=_retry(), timeout=CALL_SECONDS)
            tables = _states(client, asked.referenced_tables)
        columns = self._columns(asked.schema)
        size = asked.total_bytes_processed or 0
        streams = max(1, -(-size // max(min(target, STREAM_BYTES), 1)))
        sql = in_streams(self._sql, columns, streams)
        query = Query(service, sql, tables, asked.location or "US", size, self.max_bytes_billed)
        if query.bytes_billed > self.max_bytes_billed:
            raise SourceError(
                f"{self._shown}: the query is billed for {query.bytes_billed} bytes > max_bytes_billed "
                f"{self.max_bytes_billed} ({query.cost}); narrow it, or raise max_bytes_billed"
            )
        parts = (
            BigQueryPart(query, columns, self._source(tables), index, size // streams, bool(self.preset))
            for index in range(streams)
        )
        return grouped(parts, target)

    @property
    def _sql(self) -> str:
        if self.preset:
            files, contents = PRESETS[self.preset]
            return GITHUB_QUERY.format(dataset=self.dataset, files=files, contents=contents)
        if not (sql := statement(self.query or "")):
            raise SourceError(f"{self._shown}: it holds no statement; write a SELECT")
        return sql

    @property
    def _shown(self) -> str:
        return f"bigquery {self.preset} of {self.dataset}" if self.preset else "bigquery query"

    def _source(self, tables: tuple[tuple[str, str], ...]) -> str:
        read = self.dataset if self.preset else ", ".join(name for name, _ in tables)
        return f"bigquery:{read or self.project}"

    def _columns(self, schema: Iterable[Any]) -> tuple[tuple[str, str], ...]:
        """Value → column of the result, in the order that rows are sorted in."""
        if self.preset:
            return tuple((name, name) for name in GITHUB_COLUMNS)
        fields = {field.name: field for field in schema}
        if problem := self.columns.problem(self._shown, list(fields)):
            raise SourceError(problem)
        found = self.columns.found_in(list(fields))
        for value, name in found.items():
            kind, repeated = fields[name].field_type, fields[name].mode == "REPEATED"
            if kind in ("RECORD", "STRUCT") or (repeated and value != "license"):
                raise SourceError(f"{self._shown}: column {name} holds a list or a record; select one value as {value}")
            if value == "content" and kind not in ("STRING", "BYTES"):
                raise SourceError(f"{self._shown}: column {name} holds {kind}, not text; name another under columns:")
        order = ("repo", "path", "revision", "license", "stars", "content")
        return tuple((value, found[value]) for value in order if value in found)


@dataclass(frozen=True)
class Query:
    """A query, what it costs, and the table that its rows are put in."""

    service: Service
    sql: str
    tables: tuple[tuple[str, str], ...]
    """The tables that it reads, and their state when it was priced."""
    location: str
    size: int
    """Bytes that it reads."""
    max_bytes_billed: int

    @property
    def fingerprint(self) -> str:
        """Changes with the query and with the tables behind it."""
        return hashlib.sha256(f"{self.sql}\0{self.tables}".encode()).hexdigest()

    @property
    def bytes_billed(self) -> int:
        """What it pays for: nothing where it reads nothing."""
        return max(self.size, LEAST_BILLED * len(self.tables)) if self.size else 0

    @property
    def cost(self) -> str:
        """What it costs, in words."""
        dollars = self.bytes_billed / (1 << 40) * DOLLARS_PER_TIB
        return f"reads {self.size / 1e9:,.3f} GB, {dollars:,.2f} $ at {DOLLARS_PER_TIB} $ a TiB on demand"

    @property
    def dataset(self) -> str:
        return "codesieve_" + re.sub(r"\W", "_", self.location.lower())

    @property
    def table(self) -> str:
        return f"files_{self.fingerprint[:32]}"

    def ask(self) -> str:
        """Puts the result in its table, unless it is there; tells when the table was made, which names the answer.

        Idempotent, also while another run asks the same.

        Raises SourceError where the service refuses, where the result is empty, and where a table changed meanwhile.
        """
        name = f"{self.service.project}.{self.dataset}.{self.table}"
        with _explained("bigquery query"):
            client = self.service.query_client()
            if not _exists(client, name):
                self._make_dataset(client)
                self._job(client, name).result()
                if _states(client, [table for table, _ in self.tables]) != self.tables:
                    client.delete_table(name, not_found_ok=True)
                    raise SourceError("bigquery query: a table that it reads has changed meanwhile; start again")
            if not client.get_table(name, timeout=CALL_SECONDS).num_rows:
                raise SourceError("bigquery query: it gives no rows; check its conditions")
            return _made(client, name)

    def _make_dataset(self, client: Any) -> None:
        dataset = _library("bigquery").Dataset(f"{self.service.project}.{self.dataset}")
        dataset.location = self.location
        client.create_dataset(dataset, exists_ok=True, timeout=CALL_SECONDS)

    def _job(self, client: Any, name: str) -> Any:
        """The job that makes the table. Its id is the query's, so that no crash can pay for two at once."""
        conflict = importlib.import_module("google.api_core.exceptions").Conflict
        settings = _library("bigquery").QueryJobConfig(maximum_bytes_billed=self.max_bytes_billed)
        # Clustered by stream, so that a session reads its own rows and not the table.
        statement = (
            f"CREATE TABLE IF NOT EXISTS `{name}` CLUSTER BY {STREAM} OPTIONS(expiration_timestamp = "
            f"TIMESTAMP_ADD(CURRENT_TIMESTAMP(), INTERVAL {DAYS_KEPT} DAY)) AS {self.sql}"
        )
        for attempt in itertools.count():
            job_id = f"{self.dataset}_{self.table}_{attempt}"
            try:
                return client.query(statement, settings, job_id=job_id, location=self.location, job_retry=None)
            except conflict:
                # A run before this one has asked. A job that is over and left no table cannot be asked again.
                job = client.get_job(job_id, location=self.location, timeout=CALL_SECONDS)
                if not job.done() or _exists(client, name):
                    return job
        raise AssertionError("unreachable")


def queries(splits: Iterable[Readable]) -> list[Query]:
    """The queries whose results the splits read, each once."""
    parts = (part for split in splits if isinstance(split, Split) for part in split.parts)
    return list(dict.fromkeys(part.query for part in parts if isinstance(part, BigQueryPart)))


@dataclass(frozen=True)
class BigQueryPart:
    """The rows of one stream of a query's result."""

    query: Query
    columns: tuple[tuple[str, str], ...]
    """Pairs of value and column, in the order that rows are sorted in."""
    source: str
    stream: int
    size: int
    is_github: bool
    """Whether the columns are those of `GITHUB_QUERY`."""
    answer: str = ""
    """What `Query.ask` told: the rows are of this answer, or there are none. No part of what is planned."""

    @property
    def fingerprint(self) -> str:
        """Hash of the query, of the state of its tables, of the stream and of the columns."""
        return hashlib.sha256(f"{self.query.fingerprint}\0{self.stream}\0{self.columns}".encode()).hexdigest()

    def rows(self, limits: Limits) -> Iterator[Row]:
        """One row per row of the result, sorted by repository, path, revision and the other columns."""
        origin, place = Origin(self.source, "query"), Place(self.source, "query", "")
        for number, cells in enumerate(_cells(self._sorted())):
            if self.is_github:
                yield _github_row(origin, cells, limits)
            else:
                mark = f"#{self.stream}.{number + 1}"
                yield table_row(origin, place, lambda mark=mark: mark, cells, dict(self.columns), limits)

    def _sorted(self) -> pa.RecordBatch:
        batches = [batch for batch in self._batches() if batch.num_rows]
        if not batches:
            return pa.RecordBatch.from_pylist([], pa.schema([]))
        (batch,) = pa.Table.from_batches(batches).combine_chunks().to_batches()
        del batches
        return batch.take(pc.sort_indices(batch, [(value, "ascending") for value, _ in self.columns]))

    def _batches(self) -> Iterator[pa.RecordBatch]:
        """The stream's batches as they arrive, columns named after their values. Raises Interrupted."""
        project, dataset, table = self.query.service.project, self.query.dataset, self.query.table
        storage = _library("bigquery_storage_v1.types")
        session = storage.ReadSession(
            table=f"projects/{project}/datasets/{dataset}/tables/{table}",
            data_format=storage.DataFormat.ARROW,
            read_options=storage.ReadSession.TableReadOptions(
                selected_fields=[column for _, column in self.columns],
                row_restriction=f"{STREAM} = {self.stream}",
            ),
        )
        with _interrupted(self.source), self.query.service.read_client() as client:
            session = _session(client, f"projects/{project}", session)
            self._check_answer(f"{project}.{dataset}.{table}")
            for stream in session.streams:
                schema = pa.ipc.read_schema(pa.py_buffer(session.arrow_schema.serialized_schema))
                for message in _messages(client, stream.name):
                    data = pa.py_buffer(message.arrow_record_batch.serialized_record_batch)
                    batch = pa.ipc.read_record_batch(data, schema)
                    arrays = [_values(batch.column(column), value) for value, column in self.columns]
                    yield pa.RecordBatch.from_arrays(arrays, [value for value, _ in self.columns])

    def _check_answer(self, table: str) -> None:
        """Raises Interrupted where the session's table may be another than the one that was made for this run.

        One that is still there was there when the session began.
        """
        if self.answer and _made(self.query.service.query_client(), table) != self.answer:
            raise Interrupted(f"{self.source}: {table} was made anew while it was read; start again")


def answered(splits: Iterable[Readable], answers: Mapping[str, str]) -> tuple[Readable, ...]:
    """The splits, whose queries were asked: those of BigQuery read these answers (by table) and no other ones."""

    def part(part: Any) -> Any:
        return replace(part, answer=answers[part.query.table]) if isinstance(part, BigQueryPart) else part

    return tuple(
        replace(split, parts=tuple(map(part, split.parts))) if isinstance(split, Split) else split for split in splits
    )


def _session(client: Any, project: str, wanted: Any) -> Any:
    """A session of one stream, or of none where no row is in it."""
    errors = importlib.import_module("google.api_core.exceptions")
    for pause in PAUSES:
        try:
            return client.create_read_session(
                parent=project, read_session=wanted, max_stream_count=1, retry=None, timeout=CALL_SECONDS
            )
        except (errors.ServerError, errors.TooManyRequests):
            time.sleep(pause)
    return client.create_read_session(
        parent=project, read_session=wanted, max_stream_count=1, retry=None, timeout=CALL_SECONDS
    )


def _messages(client: Any, stream: str) -> Iterator[Any]:
    """A stream's messages. Where the connection breaks, it is taken up again behind the last row that arrived."""
    errors = importlib.import_module("google.api_core.exceptions")
    offset = failures = 0
    while True:
        try:
            for message in client.read_rows(read_stream=stream, offset=offset, retry=None, timeout=STREAM_SECONDS):
                offset, failures = offset + message.row_count, 0
                yield message
            return
        except (errors.ServerError, errors.TooManyRequests):
            if failures == len(PAUSES):
                raise
        time.sleep(PAUSES[failures])
        failures += 1


def _values(column: pa.Array, value: str) -> pa.Array:
    """A column in a type that sorts: content as bytes that may exceed 2 GB together, names and licences in one line."""
    if value == "content":
        return column.cast(pa.large_binary())
    if value in ("mode", "size", "binary"):
        return column.cast(pa.int64())
    if value == "stars":
        return pa.array([count(cell) for cell in column.to_pylist()], pa.int64())
    return pa.array([one_line(cell) for cell in column.to_pylist()], pa.large_string())


def _cells(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    for start in range(0, batch.num_rows, BLOCK_ROWS):
        yield from batch.slice(start, BLOCK_ROWS).to_pylist()


def _github_row(origin: Origin, cells: dict[str, Any], limits: Limits) -> Row:
    """The row of a path of github_repos: the table's id is the blob's, and what content says must agree with it."""
    origin = Origin(origin.source, cells["repo"] or origin.repo, cells["revision"], cells["license"], cells["stars"])
    path, name, size, content = cells["path"] or "", cells["id"], cells["size"], cells["content"]

    def failed(reason: str, detail: str) -> Row:
        return failed_row(origin, path, size, reason, detail)._replace(content_id=name)

    kind = stat.S_IFMT(cells["mode"] or 0)
    if kind not in (0, stat.S_IFREG):
        return failed("input.not_regular", "submodule" if kind == GITLINK else FILE_KINDS.get(kind, f"mode {kind:o}"))
    if cells["binary"] is None and size is None and content is None:
        return failed("input.no_content", "its blob is not in the table of contents")
    if cells["binary"]:
        return failed("input.binary", "so marked in the table of contents")
    if content is None and size != 0:
        return failed("input.truncated", f"the table of contents leaves out its {size} bytes")
    content = content or b""
    if size is not None and len(content) < size:
        return failed("input.truncated", f"{len(content)} of {size} bytes")
    if (found := content_id(content)) != name:
        return failed("input.altered", f"the bytes in the table have blob id {found}")
    return text_row(origin, path, content, limits)._replace(content_id=name)


def _states(client: Any, tables: Iterable[Any]) -> tuple[tuple[str, str], ...]:
    """Names of tables with what changes when they do: time, rows, bytes."""
    found = {}
    for table in tables:
        now = client.get_table(table, timeout=CALL_SECONDS)
        found[f"{now.project}.{now.dataset_id}.{now.table_id}"] = f"{now.modified} {now.num_rows} {now.num_bytes}"
    return tuple(sorted(found.items()))


def _made(client: Any, table: str) -> str:
    """When a table was made, which no two tables of one name have in common."""
    return str(client.get_table(table, timeout=CALL_SECONDS).created)


def _exists(client: Any, table: str) -> bool:
    try:
        client.get_table(table, timeout=CALL_SECONDS)
    except importlib.import_module("google.api_core.exceptions").NotFound:
        return False
    return True


def _retry() -> Any:
    return importlib.import_module("google.cloud.bigquery.retry").DEFAULT_RETRY.with_timeout(CALL_SECONDS)


def _library(name: str) -> Any:
    try:
        return importlib.import_module(f"google.cloud.{name}")
    except ImportError:
        raise SourceError("kind: bigquery needs pip install 'codesieve[gcp]'") from None


@contextmanager
def _explained(what: str) -> Iterator[None]:
    """Turns the service's errors into one line, without the address that was called."""
    _library("bigquery")
    auth = importlib.import_module("google.auth.exceptions").GoogleAuthError
    refused = importlib.import_module("google.api_core.exceptions").GoogleAPIError
    try:
        yield
    except auth:
        raise SourceError(
            f"{what}: no Google credentials that work; run `gcloud auth application-default login`, "
            "or set GOOGLE_APPLICATION_CREDENTIALS"
        ) from None
    except (refused, OSError) as error:
        raise SourceError(f"{what}: {_words(error)}; check project, query, tables and permissions") from None


@contextmanager
def _interrupted(source: str) -> Iterator[None]:
    """Says of the service's errors while rows are read that they say nothing of the files."""
    errors = importlib.import_module("google.api_core.exceptions")
    try:
        yield
    except errors.NotFound as error:
        raise Interrupted(f"{source}: {_words(error)}; start again, and the query is asked again") from None
    except errors.GoogleAPIError as error:
        raise Interrupted(f"{source}: {_words(error)}") from None


def _words(error: Exception) -> str:
    message = str(getattr(error, "message", None) or reason(error))
    return printable(re.sub(r"^[A-Z]+ https?://\S+: ", "", message.strip()).splitlines()[0])[:300]
