"""Where a location leads: a local path, `gs://…` or `s3://…`, and how to show it without its secrets.

Every file that codesieve reads or writes is opened through `pyarrow.fs`, here. Credentials are those of the platform:
`GOOGLE_APPLICATION_CREDENTIALS` and the metadata server, `AWS_ACCESS_KEY_ID` and its like. An address may carry a login
(``s3://key:secret@bucket/…``, ``gs://anonymous@bucket/…``) and pyarrow's options
(``s3://bucket/…?endpoint_override=localhost:9000&scheme=http``). Other servers that speak the stores' languages are
named as everywhere: `AWS_ENDPOINT_URL`, `STORAGE_EMULATOR_HOST`.
"""

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from schemas import json_lines

ADDRESS = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*://)(?P<login>[^/@]*@)?"
    r"(?P<rest>(?:[^?]|\?(?![^?/]*=))*)(?P<options>\?.*)?"
)
"""A question mark begins the options where a name and ``=`` follow, and is a part of the path elsewhere."""
LOGIN = re.compile(r"^[^@]*:[^@]*@")
"""A login whose secret was not quoted, and may hold a slash."""


class LocationError(ValueError):
    """An address that leads to no file system, in one line that names it and the mend."""


def expanded(location: str) -> str:
    """A location as a person writes it, as a path or an address: `~` is the home folder, `file://` this machine.

    Raises LocationError for a file:// address of another machine.
    """
    if location[:6].lower() == "file:/":
        path = unquote(location[5:])
        host, slash, rest = path.removeprefix("//").partition("/") if path.startswith("//") else ("", "", path)
        if host.lower() not in ("", "localhost", ".", "..") and not host.startswith("~"):
            raise LocationError(f"{location}: {host} is another machine; write file:///folder/file, with three slashes")
        location = f"{host}{slash}{rest}" if host[:1] in (".", "~") else f"/{rest.lstrip('/')}"
    return os.path.expanduser(location)


def is_address(location: str) -> bool:
    """Whether a location is on an object store rather than a local path."""
    return ADDRESS.match(location) is not None


def shown(location: str) -> str:
    """A location without login and options: fit for logs, manifests and reports."""
    address = ADDRESS.match(location)
    return f"{address['scheme']}{LOGIN.sub('', address['rest'])}" if address else location


def below(location: str, name: str) -> str:
    """The location of something below another one, which keeps its login and options."""
    address = ADDRESS.match(location)
    if not address:
        return f"{location.rstrip('/')}/{name}"
    return "".join(
        (address["scheme"], address["login"] or "", address["rest"].rstrip("/"), "/", name, address["options"] or "")
    )


def open_location(location: str) -> tuple[fs.FileSystem, str]:
    """The file system that a location is on, and what that calls it; local paths become absolute.

    Raises LocationError for an address of no store, OSError where a store cannot be reached.
    """
    if not is_address(location):
        return fs.LocalFileSystem(), str(Path(location).absolute())
    emulator = os.environ.get("STORAGE_EMULATOR_HOST") if location.startswith("gs://") else None
    return _open_address(location, emulator)


def read_location(location: str) -> bytes:
    """A small file whole. Raises LocationError, and OSError where it cannot be read."""
    if not is_address(location):
        return Path(location).read_bytes()
    file_system, path = open_location(location)
    with file_system.open_input_stream(path, compression=None) as stream:
        return stream.read()


def read_lines(location: str | Path) -> Iterator[json_lines.Line]:
    """The objects of a file of JSON lines. Raises ValueError where it cannot be read, and for a line that is none."""
    location = str(location)
    try:
        data = read_location(location)
    except OSError as error:
        raise ValueError(f"{shown(location)}: cannot be read: {error.strerror or error}") from error
    yield from json_lines.read(data, shown(location))


@lru_cache(maxsize=64)
def _open_address(location: str, emulator: str | None) -> tuple[fs.FileSystem, str]:
    address = ADDRESS.match(location)
    assert address is not None
    login, options = address["login"] or "", (address["options"] or "?")[1:]
    if address["scheme"] == "s3://":
        # A file of less than a part (10 MB) is put in one request, instead of opened, filled and closed.
        options = _joined(options, "allow_delayed_open=true")
    if emulator and "endpoint_override=" not in options:
        server = urlsplit(emulator if "://" in emulator else f"http://{emulator}")
        login = login or "anonymous@"
        options = _joined(options, f"scheme={server.scheme}&endpoint_override={quote(server.netloc)}")
    uri = f"{address['scheme']}{login}{quote(address['rest'], safe='/:@%')}{options and '?'}{options}"
    try:
        return fs.FileSystem.from_uri(uri)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        # The library's own words would repeat the address with its login.
        mend = "write it as a path, gs://bucket/… or s3://bucket/…, with special characters of a login quoted (%2F)"
        raise LocationError(f"{shown(location)}: leads to no file system; {mend}") from None


def _joined(options: str, more: str) -> str:
    return f"{options}&{more}" if options else more
