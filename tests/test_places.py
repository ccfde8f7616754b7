"""A path that exists as it is written is no pattern, whichever list of a recipe it stands in."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.locations import shown
from pipeline.sources import Source, SourceError
from pipeline.sources.archive import ArchiveSource
from pipeline.sources.directory import DirectorySource
from pipeline.sources.files import find_files, find_folders
from pipeline.sources.gharchive import GhArchive
from pipeline.sources.git import GitSource
from pipeline.sources.jsonl import JsonLines, JsonlSource
from pipeline.sources.parquet import ParquetSource
from tests.test_sources import HUGE, rows, tar_bytes, write

ODD_NAMES = ["lib[1]", "what?", "star*", "[abc]", "a[", "[!x]", "**", "*", "?", "a[0-9]*?"]


def a_tar(path: Path, text: str) -> Source:
    write(path, tar_bytes({"top/a.py": text.encode()}))
    return ArchiveSource(str(path))


def a_folder(path: Path, text: str) -> Source:
    write(path / "a.py", text)
    return DirectorySource(str(path))


def a_repository(path: Path, text: str) -> Source:
    write(path / "a.py", text)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "m"]):
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=n@example.com", *command], cwd=path, check=True)
    return GitSource(str(path))


def a_parquet_file(path: Path, text: str) -> Source:
    pq.write_table(pa.table({"content": [text], "path": ["a.py"]}), path)
    return ParquetSource(str(path))


def lines(path: Path, text: str) -> Source:
    write(path, json.dumps({"content": text, "path": "a.py"}))
    return JsonlSource(str(path))


MAKERS = [a_tar, a_folder, a_repository, a_parquet_file, lines]


@pytest.mark.parametrize("make", MAKERS, ids=[make.__name__ for make in MAKERS])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_path_that_exists_is_taken_as_it_is_written(tmp_path, make: Callable[[Path, str], Source], name):
    make(tmp_path / "lib1", "another")  # what a pattern would match as well
    make(tmp_path / "ab", "another")
    found = rows(make(tmp_path / name, "this one"))
    assert [(row["path"], row["content"]) for row in found] == [("a.py", "this one")]
    assert found[0]["source"].endswith(f"/{name}")


def test_what_is_not_there_as_it_is_written_is_a_pattern(tmp_path):
    for name in ("lib1", "lib2", "lib[1]"):
        write(tmp_path / name / "x", "text")
    assert [place.name for place in find_folders(f"{tmp_path}/lib[12]")] == ["lib1", "lib2"]
    assert [place.name for place in find_folders(f"{tmp_path}/lib?")] == ["lib1", "lib2"]
    assert [place.name for place in find_folders(f"{tmp_path}/*")] == ["lib1", "lib2", "lib[1]"]
    (tmp_path / "lib[2]").symlink_to(tmp_path / "nowhere")  # a dangling link is no file
    assert [place.name for place in find_folders(f"{tmp_path}/lib[2]")] == ["lib2"]


def test_a_pattern_below_a_folder_with_such_a_name(tmp_path):
    for folder in ("dumps[2024]", "dumps2", "dumps?"):
        write(tmp_path / folder / f"in {folder}.tar", tar_bytes({}))
    for folder in ("dumps[2024]", "dumps?"):
        assert [place.name for place in find_files(f"{tmp_path}/{folder}/*.tar")] == [f"in {folder}.tar"]
    assert [place.name for place in find_files(f"{tmp_path}/dumps[0-9]/*.tar")] == ["dumps2/in dumps2.tar"]


def test_dialogues_and_archives_of_events_too(tmp_path):
    path = write(tmp_path / "chat[1].jsonl", "{}\n")
    write(tmp_path / "chat1.jsonl", "{}\n{}\n")
    assert len(rows(JsonLines(str(path)))) == 1
    (split,) = GhArchive(str(path)).splits(HUGE)
    assert [row["archive"] for batch in split.read() for row in batch.to_pylist()] == [str(path)]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_same_by_address(tmp_path, name):
    write(tmp_path / "lib1", "another")
    write(tmp_path / name, tar_bytes({"top/a.py": b"x"}))
    (row,) = rows(ArchiveSource(f"file://{tmp_path}/{name}"))
    assert row["source"] == f"archive:file://{tmp_path}/{name}"


def test_a_question_mark_of_an_address_begins_options_only_before_a_name_and_a_value(tmp_path):
    write(tmp_path / "x1.tar", tar_bytes({}))
    assert [place.name for place in find_files(f"file://{tmp_path}/x?.tar")] == ["x1.tar"]
    assert shown("s3://key:secret@bucket/x?.tar?scheme=http&session_token=secret") == "s3://bucket/x?.tar"
    assert shown("s3://key:secret@bucket/x?&session_token=secret") == "s3://bucket/x"


def test_a_name_that_no_file_can_have_is_one_line():
    for uri in ("a\0b", "a\0*", "file:///a\0b"):
        with pytest.raises(SourceError) as told:
            find_files(uri)
        assert "\n" not in str(told.value)
