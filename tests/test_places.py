"""`~`, `file://` and links mean the same in every path of a recipe and of a command."""

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli import cli
from jobs.curate import curation
from jobs.recipe import load_recipe
from pipeline.locations import LocationError, expanded
from pipeline.plan import Map
from tests.corpora import tar_gz

OFF = (
    "license: {enabled: false}\nlanguages: {keep: all}\nquality: {enabled: false}\ntoxicity: {enabled: false}\n"
    "pii: {enabled: false}\ntokenize: {enabled: false}\ndialogue: {enabled: false}\n"
    "decontaminate: {enabled: false}\noutput: {shards: 1}\nengine: {kind: inline}\n"
)
CODE = "def add(first, second):\n    return first + second\n"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder with a space in its name, and a working folder elsewhere."""
    folder = tmp_path / "a home"
    (folder / "code").mkdir(parents=True)
    (folder / "code" / "a.py").write_text(CODE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("~", "HOME"),
        ("~/a/b", "HOME/a/b"),
        ("file://~/a", "HOME/a"),
        ("file:///a/b", "/a/b"),
        ("FILE:///a/b", "/a/b"),
        ("file:/a/b", "/a/b"),
        ("file:////a/b", "/a/b"),
        ("file://localhost/a", "/a"),
        ("file:///a%20b/%5B1%5D", "/a b/[1]"),
        ("file://./a", "./a"),
        ("file:///a/*.tar?", "/a/*.tar?"),
        ("file", "file"),
        ("a/~/b", "a/~/b"),
        ("./~", "./~"),
        ("gs://bucket/~/a", "gs://bucket/~/a"),
        ("s3://key:se%2Fcret@bucket/a%20b?region=x", "s3://key:se%2Fcret@bucket/a%20b?region=x"),
        ("humaneval", "humaneval"),
    ],
)
def test_a_location_means_what_it_means_elsewhere(home: Path, written: str, meant: str) -> None:
    assert expanded(written) == meant.replace("HOME", str(home))


@pytest.mark.parametrize("written", ["file://server/a", "file://a", "file://a.py"])
def test_a_file_of_another_machine_is_refused(written: str) -> None:
    with pytest.raises(LocationError, match="is another machine; write file:///folder/file"):
        expanded(written)


def forms(path: Path, home: Path) -> list[str]:
    """How a path below the home folder may be written."""
    below = path.relative_to(home).as_posix()
    return [str(path), f"~/{below}", path.as_uri(), f"file://localhost{path}", f"file:{path}", os.path.relpath(path)]


def invoked(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_every_path_of_a_recipe(home: Path) -> None:
    (home / "chat.jsonl").write_text('{"messages": [{"role": "assistant", "content": "x"}]}\n')
    (home / "own.jsonl").write_text(json.dumps({"prompt": "one two three four five six seven eight nine ten eleven"}))
    (home / "rows.jsonl").write_text(json.dumps({"content": CODE, "path": "b.py", "repo": "r"}) + "\n")
    tar_gz(home / "dumps" / "r.tar.gz", {"c.py": CODE.encode()})
    kinds = [("directory", "code"), ("archive", "dumps/*.tar.gz"), ("jsonl", "rows.jsonl")]
    plans = []
    for form in range(6):
        told = {name: forms(home / name, home)[form] for name in ("chat.jsonl", "own.jsonl", *dict(kinds).values())}
        sources = [{"kind": kind, "uri": told[name]} for kind, name in kinds]
        recipe = {
            "sources": sources,
            "license": {"enabled": False},
            "decontaminate": {"benchmarks": [told["own.jsonl"]]},
            "dialogue": {"files": [told["chat.jsonl"]]},
            "tokenize": {"text": {"sources": [sources[2]]}},
        }
        (home / "recipe.yaml").write_text(json.dumps(recipe))
        plan = curation(load_recipe(home / "recipe.yaml"))
        splits = [split for step in plan.steps if isinstance(step, Map) for split in step.splits]
        plans.append(
            [content for split in splits for batch in split.read() for content in batch["content"].to_pylist()]
        )  # type: ignore[attr-defined]
    assert plans[0].count(CODE) == 4
    assert plans[1:] == plans[:1] * 5


def test_every_path_of_the_commands(home: Path) -> None:
    (home / "recipe.yaml").write_text(f"sources: [{{kind: directory, uri: ~/code}}]\n{OFF}")
    out = home / "out"
    for recipe, place in zip(forms(home / "recipe.yaml", home), forms(out, home), strict=True):
        said = invoked("run", recipe, "--out", place)
        assert ("Nothing to do" in said) == (place != str(out))
        invoked("plan", recipe)
        assert "done" in invoked("status", place)
        assert "kept" in invoked("why", place, "code/a.py")
        assert Path(invoked("report", place).strip()).samefile(out / "report" / "index.html")
    assert not list(Path().iterdir())


def test_paths_of_an_earlier_run(home: Path) -> None:
    (home / "recipe.yaml").write_text(f"sources: [{{kind: directory, uri: file://{home}/code}}]\n{OFF}")
    invoked("run", home / "recipe.yaml", "--out", "~/first")
    for number, form in enumerate(forms(home / "first", home)):
        invoked("run", "~/recipe.yaml", "--out", f"~/{number}", "--set", f"dedup.against=['{form}']")
        assert "duplicate" in invoked("why", f"~/{number}", "code/a.py")


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("train", ["--tokens", "HERE", "--out", "~/model", "--steps", "1"]),
        ("finetune", ["--checkpoint", "HERE", "--dialogue", "~/x", "--out", "~/model", "--steps", "1"]),
        ("score", ["--checkpoint", "HERE"]),
        ("score", ["--samples", "HERE"]),
        ("score", ["--problems", "HERE", "--samples", "~/none"]),
        ("export", ["--checkpoint", "HERE", "--int8", "--out", "~/small"]),
    ],
)
def test_a_missing_file_is_told_as_it_was_meant(home: Path, command: str, options: list[str]) -> None:
    for form in forms(home / "nothing", home)[1:5]:
        result = CliRunner().invoke(cli, [command, *(form if part == "HERE" else part for part in options)])
        assert str(home / "nothing") in result.output
        assert result.exit_code == 1
    result = CliRunner().invoke(cli, [command, *("gs://bucket/a" if part == "HERE" else part for part in options)])
    assert "gs://bucket/a is not on this machine; copy it here" in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize("uri", ["link", "./link/", "links/*", "~/link", "deep/link/inner", "twice"])
def test_a_folder_that_is_named_by_a_link_is_read(home: Path, uri: str) -> None:
    Path("link").symlink_to(home / "code")
    (home / "link").symlink_to("code")
    Path("links").mkdir()
    Path("links/one").symlink_to(home / "code")
    (home / "far" / "inner").mkdir(parents=True)
    (home / "far" / "inner" / "a.py").write_text(CODE)
    Path("deep").mkdir()
    Path("deep/link").symlink_to(home / "far")
    Path("twice").symlink_to("link")
    (home / "code" / "again").symlink_to(".")
    Path("recipe.yaml").write_text(f"sources: [{{kind: directory, uri: '{uri}'}}]\n{OFF}")
    invoked("run", "recipe.yaml", "--out", "out")
    name = {"links/*": "one", "deep/link/inner": "inner", "twice": "twice"}.get(uri, "link")
    assert "kept" in invoked("why", "out", f"{name}/a.py")
    if uri != "deep/link/inner":
        assert "input.not_regular" in invoked("why", "out", f"{name}/again")
