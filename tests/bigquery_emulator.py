"""A BigQuery on this machine: bqemulator's REST and Storage Read API in a process of its own, filled with tables.

The emulator leaves out some of what the service documents and the source relies on. What is added here is that
alone: the bytes and tables of a dry run, the bound on bytes billed, job ids that are taken once, the offset of a
read, and messages of a few rows. Its load of DuckDB's spatial extension, a download, is left out.
"""

import io
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

MESSAGE_ROWS = 8
TABLE = re.compile(r"(?:FROM|JOIN)\s+`([^`.]+)\.([^`.]+)\.([^`.]+)`")


@dataclass(frozen=True)
class Emulator:
    """Where the emulator listens."""

    rest: int
    grpc: int

    @property
    def endpoints(self) -> dict[str, str]:
        """The keys of a recipe that lead here."""
        return {"api_endpoint": f"http://127.0.0.1:{self.rest}", "storage_endpoint": f"http://127.0.0.1:{self.grpc}"}

    def client(self) -> Any:
        """Google's own client."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud import bigquery

        options = {"api_endpoint": self.endpoints["api_endpoint"]}
        return bigquery.Client("payer", credentials=AnonymousCredentials(), client_options=options)

    def fill(self, table: str, columns: dict[str, str], rows: list[dict]) -> None:
        """Replaces a table ``project.dataset.name`` by one of these columns (name → type) and rows."""
        from google.cloud import bigquery

        client = self.client()
        client.create_dataset(table.rpartition(".")[0], exists_ok=True)
        client.delete_table(table, not_found_ok=True)
        schema = [
            bigquery.SchemaField(name, kind.removesuffix("[]"), "REPEATED" if kind.endswith("[]") else "NULLABLE")
            for name, kind in columns.items()
        ]
        client.create_table(bigquery.Table(table, schema))
        settings = bigquery.LoadJobConfig(schema=schema, source_format="NEWLINE_DELIMITED_JSON")
        lines = "\n".join(json.dumps(row) for row in rows)
        client.load_table_from_file(io.BytesIO(lines.encode()), table, job_config=settings).result()

    def jobs(self) -> list[str]:
        """Ids of the queries of ours that were run for money, in order."""
        from urllib.request import urlopen

        with urlopen(f"{self.endpoints['api_endpoint']}/paid") as answer:
            return [job for job in json.load(answer) if job.startswith("codesieve_")]


@contextmanager
def started() -> Iterator[Emulator]:
    """An empty emulator on free ports, ended with the context."""
    with subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            ports = next(line for line in process.stdout if line.startswith("listening "))
            yield Emulator(*map(int, ports.split()[1:]))
        finally:
            process.kill()


def serve() -> None:
    """Runs the emulator in this process until it is killed."""
    import asyncio

    import bqemulator.server
    from bqemulator.config import Settings
    from bqemulator.grpc_api import read_servicer
    from bqemulator.storage.engine import DuckDBEngine

    DuckDBEngine._load_spatial = lambda self: None
    create_app = bqemulator.server.create_app
    bqemulator.server.create_app = lambda context: _with_costs(create_app(context), context)
    handler = read_servicer.BigQueryReadHandler
    handler._handle_read_rows = _from_offset(handler._handle_read_rows)
    stream_data = read_servicer.get_stream_data
    read_servicer.get_stream_data = lambda session, stream: _in_messages(stream_data(session, stream))

    async def listen() -> None:
        settings = Settings(rest_port=0, grpc_port=0, enable_format_extensions=False, log_level="error")
        server = bqemulator.server.EmulatorServer(settings)
        await server.start()
        print("listening", server.rest_port, server.grpc_port, flush=True)
        await asyncio.Event().wait()

    asyncio.run(listen())


def _with_costs(app: Any, context: Any) -> Any:
    """Tells what a dry run would read, refuses what costs more than it may, and a job id that is taken."""
    import asyncio

    from fastapi import Request, Response
    from fastapi.responses import JSONResponse

    paid: list[str] = []
    one_at_a_time = asyncio.Lock()

    def size(table: tuple[str, ...]) -> int:
        from bqemulator.storage.sql_identifiers import quoted_table_ref

        return context.engine.fetch_arrow(f"SELECT * FROM {quoted_table_ref(*table)}").nbytes

    def refused(status: int, reason: str, message: str) -> Response:
        error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
        return JSONResponse({"error": error}, status)

    @app.get("/paid")
    def _() -> list[str]:
        return paid

    @app.middleware("http")
    async def costs(request: Request, call_next: Any) -> Response:
        is_job = request.method == "POST" and request.url.path.endswith("/jobs") and "upload" not in request.url.path
        body = json.loads(await request.body() or b"{}") if is_job else {}
        settings = body.get("configuration", {})
        if "query" not in settings:
            return await call_next(request)
        tables = sorted(set(TABLE.findall(settings["query"]["query"])))
        if not settings.get("dryRun"):
            job = body["jobReference"]["jobId"]
            bound = settings["query"].get("maximumBytesBilled")
            if bound and int(bound) < sum(map(size, tables)):
                return refused(400, "bytesBilledLimitExceeded", f"Query exceeded limit for bytes billed: {bound}.")
            async with one_at_a_time:  # the emulator tells of a job when it is over
                if job in paid:
                    return refused(409, "duplicate", f"Already Exists: Job {job}")
                paid.append(job)
                return await call_next(request)
        response = await call_next(request)
        answer = json.loads(b"".join([chunk async for chunk in response.body_iterator]))
        if response.status_code == 200:
            names = [dict(zip(("projectId", "datasetId", "tableId"), table, strict=True)) for table in tables]
            answer["statistics"]["query"]["referencedTables"] = names
            answer["statistics"]["query"]["totalBytesProcessed"] = str(sum(map(size, tables)))
        return JSONResponse(answer, response.status_code)

    return app


def _from_offset(read: Any) -> Any:
    """A read that begins at the offset that was asked for, which is always the first row of a message."""
    from google.cloud.bigquery_storage_v1 import types

    def read_from(self: Any, request: bytes, context: Any) -> Iterator[bytes]:
        offset, row = types.ReadRowsRequest.deserialize(request).offset, 0
        for response in read(self, request, context):
            if row >= offset:
                yield response
            row += types.ReadRowsResponse.deserialize(response).row_count

    return read_from


def _in_messages(table: Any) -> Any:
    import pyarrow as pa

    return table and pa.Table.from_batches(table.to_batches(max_chunksize=MESSAGE_ROWS), table.schema)


if __name__ == "__main__":
    serve()
