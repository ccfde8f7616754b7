"""Counts what an input holds, by other readers than the project's: tarfile, zipfile, git, json and pyarrow.

Each gives an entry per file, in no particular order: its bytes, or None where it is no regular file.
"""

import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import IO

import pyarrow as pa
import pyarrow.parquet as pq

Entries = list[bytes | None]


def archive(path: Path) -> Entries:
    """The members of a tar or zip that are no folders; of a tar that is cut, those before the cut."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as packed:
            return [packed.read(member) for member in packed.infolist() if not member.is_dir()]
    found: Entries = []
    with _plain(path) as file, tarfile.open(fileobj=file) as packed:
        try:
            for member in packed:
                content = packed.extractfile(member) if member.isreg() else None
                if not member.isdir():
                    found.append(content.read() if content else None)
        except (tarfile.ReadError, EOFError):
            pass  # the end of what can be read
    return found


def _plain(path: Path) -> IO[bytes]:
    """An archive as tarfile takes it, which knows no zstandard in Python 3.11."""
    if path.suffix != ".zst":
        return open(path, "rb")
    with pa.CompressedInputStream(pa.OSFile(str(path)), "zstd") as stream:
        return io.BytesIO(stream.read())


def folder(path: Path) -> Entries:
    """The files below a folder, without those of version control."""
    found: Entries = []
    for place, folders, names in os.walk(path):
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        folders[:] = [name for name in folders if name not in (".git", *links)]
        files = [Path(place) / name for name in (*names, *links)]
        found += [file.read_bytes() if file.is_file() and not file.is_symlink() else None for file in files]
    return found


def git(path: Path, revision: str = "HEAD") -> Entries:
    """The entries of a commit's tree, links and submodules included."""

    def output(*command: str) -> bytes:
        return subprocess.run(["git", *command], cwd=path, check=True, capture_output=True).stdout

    found: Entries = []
    for line in output("ls-tree", "-r", "-z", revision).split(b"\0")[:-1]:
        mode, kind, name = line.partition(b"\t")[0].decode().split()
        found.append(output("cat-file", kind, name) if kind == "blob" and mode != "120000" else None)
    return found


def table(path: Path, column: str = "content") -> Entries:
    """The cells of a parquet column."""
    cells = pq.read_table(path, columns=[column]).column(0).to_pylist()
    return [cell.encode() if isinstance(cell, str) else cell for cell in cells]


def lines(data: bytes, key: str = "content") -> Entries:
    """The texts of JSON lines; None for a line without one."""

    def text(line: bytes) -> bytes | None:
        try:
            return json.loads(line)[key].encode()
        except (ValueError, KeyError, TypeError, AttributeError):
            return None

    return [text(line) for line in data.removeprefix(b"\xef\xbb\xbf").split(b"\n") if line.strip()]


def texts(entries: Iterable[bytes | None], bound: int = 1 << 20) -> Counter[str]:
    """The entries that are text, and so what a run without rules keeps."""
    found: Counter[str] = Counter()
    for entry in entries:
        if entry and len(entry) <= bound and b"\0" not in entry and not entry.startswith(b"version https://git-lfs"):
            try:
                found[entry.decode()] += 1
            except UnicodeDecodeError:
                continue
    return found
