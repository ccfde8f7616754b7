"""The command line as a user has it, and the datasets that it leaves, opened as a user opens them."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow.parquet as pq
import yaml
from click.testing import CliRunner

from jobs.cli import cli

OFF: dict[str, Any] = {
    "languages": {"keep": "all"},
    **{name: {"enabled": False} for name in ("license", "quality", "pii", "toxicity", "decontaminate")},
    **{name: {"enabled": False} for name in ("tokenize", "dialogue")},
    "dedup": {name: {"enabled": False} for name in ("exact", "near", "repositories")},
    "output": {"shards": 2},
    "engine": {"kind": "inline"},
}
"""A recipe's blocks with every rule off, on the engine without processes."""

Row = dict[str, Any]


def codesieve(*arguments: str) -> str:
    """Runs a command in this process; gives what it prints. A mistake or a failed run raises."""
    with _own_log():
        return CliRunner().invoke(cli, arguments, catch_exceptions=False, standalone_mode=False).stdout


def process(*arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs a command in a process of its own; gives its exit code, what it printed, and what it said in stderr."""
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@contextmanager
def _own_log() -> Iterator[None]:
    """Takes away the handlers that a command adds to the root logger, which would log the next one as well."""
    root = logging.getLogger()
    before = list(root.handlers)
    try:
        yield
    finally:
        for handler in set(root.handlers) - set(before):
            root.removeHandler(handler)
            handler.close()


def recipe(path: Path, sources: list[dict[str, Any]], blocks: dict[str, Any] | None = None) -> Path:
    """Writes a recipe: `OFF`, and over it the given blocks, merged key by key."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump({"sources": sources} | _merged(OFF, blocks or {}), allow_unicode=True))
    return path


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    both = {key: _merged(base[key], over[key]) for key in over if isinstance(base.get(key), dict)}
    return base | over | both


def curated(folder: Path, sources: list[dict[str, Any]], blocks: dict[str, Any] | None = None) -> Path:
    """Runs `codesieve run` over the sources, with `OFF` and these blocks; gives the output's folder."""
    path = recipe(folder / "recipe.yaml", sources, blocks)
    codesieve("run", str(path), "--out", str(folder / "out"))
    return folder / "out"


def ledger(out: Path, name: str = "ledger") -> list[Row]:
    """The fate of every file."""
    return pq.read_table(out / name).to_pylist()


def corpus(out: Path, name: str = "corpus") -> list[Row]:
    """The kept files."""
    return list(datasets.load_from_disk(str(out / name)))


def named(row: Row) -> str:
    """A file's name in commands."""
    return f"{row['repo']}/{row['path']}"


def explained(out: Path, *asked: str) -> dict[str, list[str]]:
    """What `codesieve why` prints of a file or a token: texts by label."""
    lines: dict[str, list[str]] = {}
    for line in codesieve("why", str(out), *asked).splitlines():
        label, _, text = line.partition(" ")
        lines.setdefault(label, []).append(text.lstrip())
    lines.pop("", None)
    return lines
