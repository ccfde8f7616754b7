"""Object stores on loopback, each in a process of its own, and a proxy that makes them as bad as real networks are."""

import itertools
import multiprocessing
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET = "corpora"
ROOT = Path(__file__).parent.parent

GCS = """
import sys
from functools import partial
from http.server import ThreadingHTTPServer
from gcp_storage_emulator.handlers import buckets
from gcp_storage_emulator.server import RequestHandler
from gcp_storage_emulator.storage import Storage

storage = Storage(use_memory_fs=True)
buckets.create_bucket(sys.argv[2], storage)
# The emulator's own server answers one connection after the other; clients hold several open.
ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), partial(RequestHandler, storage)).serve_forever()
"""


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def wait_for(port: int) -> None:
    """Returns when somebody listens."""
    for _ in range(600):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise TimeoutError(f"nobody listens on port {port}")


@contextmanager
def serving(command: list[str], port: int) -> Iterator[None]:
    """Runs a server until the body ends, which begins when the server listens."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        yield
    finally:
        process.kill()
        process.wait()


@contextmanager
def gcs() -> Iterator[int]:
    """A bucket of a GCS emulator; gives the port."""
    port = free_port()
    with serving([sys.executable, "-c", GCS, str(port), BUCKET], port):
        yield port


@contextmanager
def s3() -> Iterator[int]:
    """A bucket of moto's S3; gives the port."""
    import boto3

    port = free_port()
    with serving([str(Path(sys.executable).with_name("moto_server")), "-H", "127.0.0.1", "-p", str(port)], port):
        given = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=f"http://127.0.0.1:{port}", **given).create_bucket(Bucket=BUCKET)
        yield port


def environment(kind: str, port: int) -> dict[str, str]:
    """What a user sets to reach the server."""
    if kind == "gs":
        return {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}"}
    names = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_REGION": "us-east-1"}
    return {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_EC2_METADATA_DISABLED": "true"} | names


def codesieve(*arguments: str, env: dict[str, str], **settings: object) -> subprocess.CompletedProcess[str]:
    """The real command in a process of its own."""
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    variables = os.environ | {"PYTHONPATH": str(ROOT)} | env
    return subprocess.run(command, capture_output=True, text=True, env=variables, timeout=300, **settings)  # type: ignore[call-overload]


class BadNetwork:
    """A TCP proxy before a server: each `every`-th connection gets 500, 503 or nothing, or is cut in the answer.

    In a process of its own: pyarrow holds Python's lock while it opens an object, so no thread beside it could answer.
    """

    def __init__(self, port: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._every, self._troubles = context.Value("i", 0), context.Value("i", 0)
        self.port = free_port()
        arguments = (self.port, port, self._every, self._troubles)
        self._process = context.Process(target=_relay, args=arguments, daemon=True)
        self._process.start()
        wait_for(self.port)

    def trouble(self, every: int) -> None:
        """Makes each `every`-th connection a bad one; none with 0."""
        self._every.value = every

    @property
    def troubles(self) -> int:
        return self._troubles.value

    def close(self) -> None:
        self._process.kill()
        self._process.join()


def _relay(port: int, target: int, every: Any, troubles: Any) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=64)
    for count in itertools.count(1):
        client, _ = listener.accept()
        trouble = None
        if every.value and count % every.value == 0:
            trouble = ("503", "500", "refuse", "cut")[troubles.value % 4]
            troubles.value += 1
        threading.Thread(target=_serve, args=(client, target, trouble), daemon=True).start()


def _serve(client: socket.socket, target: int, trouble: str | None) -> None:
    with client, socket.create_connection(("127.0.0.1", target)) as server:
        if trouble == "refuse":
            return
        if trouble in ("500", "503"):
            _read_request(client)
            words = {"500": "Internal Server Error", "503": "Service Unavailable"}[trouble]
            client.sendall(f"HTTP/1.1 {trouble} {words}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
            return
        threading.Thread(target=_pump, args=(client, server), daemon=True).start()
        _pump(server, client, 700 if trouble == "cut" else None)


def _read_request(client: socket.socket) -> None:
    """One request to its end, so that the client reads the answer and not a reset."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := client.recv(1 << 16)):
            return
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    missing = int(lengths[0]) - len(body) if lengths else 0
    if b"100-continue" in head.lower():
        return
    while missing > 0 and (more := client.recv(1 << 16)):
        missing -= len(more)


def _pump(source: socket.socket, sink: socket.socket, most: int | None = None) -> None:
    """Passes bytes on until an end closes, or `most` have gone: then cuts both."""
    try:
        while data := source.recv(1 << 16):
            if most is not None and len(data) >= most:
                sink.sendall(data[:most])
                break
            sink.sendall(data)
            most = None if most is None else most - len(data)
    except OSError:
        pass
    for end in (source, sink):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            continue
