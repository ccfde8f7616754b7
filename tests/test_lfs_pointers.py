"""A pointer of Git LFS has its own reason, however it is written and whatever source it is in."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sources import Limits, Origin
from pipeline.sources.archive import ArchiveSource
from pipeline.sources.directory import DirectorySource
from pipeline.sources.git import GitSource
from pipeline.sources.jsonl import JsonlSource
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.rows import text_row
from tests.test_sources import rows, tar_bytes, write, zip_bytes

OID = "ab12" * 16
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize 12345\n"
EXTENSION = f"ext-0-smudge sha256:{'cd' * 32}\n"

POINTERS = {
    "as specified": POINTER,
    "CRLF": POINTER.replace("\n", "\r\n"),
    "CR": POINTER.replace("\n", "\r"),
    "no end of the last line": POINTER.rstrip("\n"),
    "blanks at the ends of lines": POINTER.replace("\n", " \t\n"),
    "blank lines": POINTER.replace("\n", "\n\n"),
    "byte order mark": "\ufeff" + POINTER,
    "capital digits": POINTER.replace(OID, OID.upper()),
    "extension before the id": POINTER.replace("oid", EXTENSION + "oid"),
    "extensions, CRLF": POINTER.replace("oid", EXTENSION * 2 + "oid").replace("\n", "\r\n"),
    "extension after the id": POINTER.replace("size", EXTENSION + "size"),
    "extension at the end": POINTER + EXTENSION,
    "a later key": POINTER + "x-note text\n",
    "hawser": POINTER.replace("git-lfs", "hawser"),
    "git-media": POINTER.replace("https://git-lfs.github.com/spec/v1", "http://git-media.io/v/2"),
    "git-media, CRLF": POINTER.replace("https://git-lfs.github.com/spec/v1", "http://git-media.io/v/2").replace(
        "\n", "\r\n"
    ),
}
TEXTS = {
    "quoted": "> " + POINTER,
    "no size": POINTER[: POINTER.index("size")],
    "a size that is no number": POINTER.replace("12345", "12x45"),
    "a short id": POINTER.replace(OID, OID[1:]),
    "another specification": POINTER.replace("/spec/v1", "/spec/v9"),
    "too long": POINTER + "x-note " + "n" * 1024 + "\n",
    "told in prose": f"A pointer begins with version https://git-lfs.github.com/spec/v1\n\n{POINTER}",
}


@pytest.mark.parametrize("text", POINTERS.values(), ids=POINTERS)
def test_a_pointer_in_any_form_is_told(text):
    row = text_row(Origin("s", "r"), "p", text.encode(), Limits())
    assert (row.content, row.reason) == (None, "input.git_lfs_pointer")
    assert row.detail in (f"sha256:{OID}, 12345 bytes", f"sha256:{OID.upper()}, 12345 bytes")
    assert row.size == len(text.encode())
    assert row.content_id


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
def test_what_only_speaks_of_pointers_is_text(text):
    assert text_row(Origin("s", "r"), "p", text.encode(), Limits()).reason is None


FILES = {"top/a.py": "x = 1\n", "top/m.bin": POINTERS["CRLF"], "top/n.bin": POINTERS["git-media"]}


def in_git(folder: Path) -> GitSource:
    for path, text in FILES.items():
        write(folder / "w" / path.removeprefix("top/"), text)
    who = ("-c", "user.name=n", "-c", "user.email=n@example.com", "-c", "core.autocrlf=false")
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "m"]):
        subprocess.run(["git", *who, *command], cwd=folder / "w", check=True)
    return GitSource(str(folder / "w"))


def in_folder(folder: Path) -> DirectorySource:
    for path, text in FILES.items():
        write(folder / path, text)
    return DirectorySource(str(folder / "top"))


def in_archive(pack: Callable[[dict[str, bytes]], bytes]) -> Callable[[Path], ArchiveSource]:
    data = pack({path: text.encode() for path, text in FILES.items()})
    return lambda folder: ArchiveSource(str(write(folder / "a", data)))


def in_parquet(folder: Path) -> ParquetSource:
    paths = [path.removeprefix("top/") for path in FILES]
    pq.write_table(pa.table({"path": paths, "content": list(FILES.values())}), folder / "t.parquet")
    return ParquetSource(str(folder / "t.parquet"))


def in_lines(folder: Path) -> JsonlSource:
    lines = [json.dumps({"path": path.removeprefix("top/"), "content": text}) for path, text in FILES.items()]
    return JsonlSource(str(write(folder / "t.jsonl", "\n".join(lines))))


@pytest.mark.parametrize(
    "source",
    [in_git, in_folder, in_archive(tar_bytes), in_archive(zip_bytes), in_parquet, in_lines],
    ids=["git", "directory", "tar", "zip", "parquet", "jsonl"],
)
def test_a_pointer_is_told_in_every_source(tmp_path, source):
    found = rows(source(tmp_path), limits=Limits())
    assert {row["path"]: row["input_reason"] for row in found} == {
        "a.py": None,
        "m.bin": "input.git_lfs_pointer",
        "n.bin": "input.git_lfs_pointer",
    }
