"""Same bytes: the same recipe and sources give the same datasets on any engine, by any workers, after any crash."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bigquery_emulator import Emulator, started
from tests.command_line import codesieve, ledger, recipe
from tests.corpora import heapq_variant, stdlib, write
from tests.datasets_on_disk import digests
from tests.disturbed import Appeared
from tests.every_source import sources

SHARDS = (".arrow", ".parquet")
MODULES = ("bisect", "keyword", "sched", "queue", "textwrap", "shelve")
ON = {name: {"enabled": True} for name in ("quality", "pii", "decontaminate", "dialogue")}


@dataclass(frozen=True)
class World:
    """A recipe over a source of every kind, and what it gave where nothing disturbed it."""

    folder: Path
    recipe: Path
    expected: dict[str, str]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


@pytest.fixture(scope="module")
def world(emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("same")
    repos = {
        f"lib{number:02}": {
            "own.py": stdlib(MODULES[number % 6]),
            "src/heap.py": (stdlib("heapq"), heapq_variant())[number // 6],
            f"only/{number}.py": f"# mail{number}@example.org\n" + stdlib("colorsys").replace("rgb", f"c{number}"),
            "naïve.py": "é = 'ж日本'\n" * (number + 3),
        }
        for number in range(12)
    }
    write(
        folder / "prose", {f"{number}.txt": f"Once upon a time there were {number} hens. " * 9 for number in range(9)}
    )
    text = {"sources": [{"kind": "directory", "uri": f"{folder}/prose"}]}
    tokenize = {"enabled": True, "vocab_size": 500, "block": 64, "fim": {"rate": 0.5}, "order": "repository"}
    tokenize |= {"mixture": {"by": "source", "temperature": 0.5}, "text": text}
    dedup = {name: {"enabled": True} for name in ("exact", "near", "repositories")}
    blocks: dict[str, Any] = {**ON, "dedup": dedup, "tokenize": tokenize, "output": {"shards": 3}}
    path = recipe(folder / "recipe.yaml", sources(folder / "input", repos, emulator), blocks)
    out = run(path, folder / "expected")
    found = ledger(out)
    assert len(found) == 48
    kinds = ("archive", "directory", "git", "parquet", "jsonl", "bigquery")
    assert {row["source"].partition(":")[0] for row in found} == set(kinds)
    assert {row["reason"] for row in found} == {None, "duplicate.exact", "duplicate.near"}
    return World(folder, path, digests(out))


def run(path: Path, out: Path, *options: str) -> Path:
    codesieve("run", str(path), "--out", str(out), *options)
    return out


def elsewhere(world: World, out: Path, *options: str, python: tuple[str, ...] = (), **variables: str) -> Path:
    """Runs in a process of its own, with these variables in its environment."""
    command = [sys.executable, *python, "-m", "jobs.cli", "run", str(world.recipe), "--out", str(out), *options]
    environment = os.environ | {"PYTHONPATH": os.getcwd()} | variables
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return out


Form = Callable[[World, Path], Path]
FORMS: dict[str, Form] = {
    "beam, one worker": lambda world, out: run(world.recipe, out, "--engine", "beam", "--workers", "1"),
    "beam, three workers": lambda world, out: run(world.recipe, out, "--engine", "beam", "--workers", "3"),
    "ray, three workers": lambda world, out: elsewhere(world, out, "--engine", "ray", "--workers", "3"),
    "another hash seed": lambda world, out: elsewhere(world, out, PYTHONHASHSEED="4242"),
    "another time zone and locale": lambda world, out: elsewhere(
        world, out, TZ="Asia/Kathmandu", LC_ALL="C", LANG="tr_TR.UTF-8", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"
    ),
    "other numbers of threads": lambda world, out: elsewhere(
        world, out, RAYON_NUM_THREADS="3", OMP_NUM_THREADS="3", NUMBA_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false"
    ),
    "optimised Python": lambda world, out: elsewhere(world, out, python=("-OO",)),
}


def form(make: Form) -> Form:
    FORMS[make.__name__.replace("_", " ")] = make
    return make


@form
def the_recipe_written_otherwise(world: World, out: Path) -> Path:
    """Keys in another order, as JSON, with defaults spelled out."""
    blocks = yaml.safe_load(world.recipe.read_text())
    turned = {key: blocks[key] for key in reversed(blocks)} | {"seed": 0}
    path = world.folder / "other.yaml"
    path.write_text(json.dumps(turned, indent=1))
    return run(path, out)


@form
def sources_listed_in_another_order(world: World, out: Path) -> Path:
    """The same files, made anew last name first, with other times and permissions."""
    old = (world.folder / "input").rename(world.folder / "old")
    for path in sorted(old.rglob("*"), reverse=True):
        if path.is_file():
            copy = world.folder / "input" / path.relative_to(old)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
            copy.chmod(0o640)
            os.utime(copy, (1_000_000_000, 1_000_000_000))
    for path in sorted(old.rglob("*"), reverse=True):
        if path.is_dir():
            (world.folder / "input" / path.relative_to(old)).mkdir(parents=True, exist_ok=True)
    run(world.recipe, out)
    shutil.rmtree(world.folder / "input")
    old.rename(world.folder / "input")
    return out


@form
def from_another_folder_into_an_odd_one(world: World, out: Path) -> Path:
    out.mkdir()
    (out / "ж").symlink_to(".")
    before = os.getcwd()
    os.chdir(out)
    try:
        return run(world.recipe, out / "ж" / "a b [1]%41")
    finally:
        os.chdir(before)


@form
def after_another_recipe(world: World, out: Path) -> Path:
    run(world.recipe, out, "--set", "dedup.near.threshold=0.99", "--set", "seed=7")
    return run(world.recipe, out, "--replace")


@form
def after_shards_were_lost_or_cut(world: World, out: Path) -> Path:
    drawn = random.Random(0)
    run(world.recipe, out)
    for _ in range(4):
        shards = sorted(path for path in out.glob("[!_]*/*") if path.suffix in SHARDS)
        for path in drawn.sample(shards, 4):
            if drawn.random() < 0.5:
                path.unlink()
            else:
                os.truncate(path, path.stat().st_size // 2)
        run(world.recipe, out)
    return out


@form
def after_a_full_disk(world: World, out: Path) -> Path:
    """A bound on the size of files stands in for it."""
    command = [sys.executable, "-m", "jobs.cli", "run", str(world.recipe), "--out", str(out)]
    limited = ["bash", "-c", 'ulimit -f 15; exec "$@"', "-", *command]
    assert subprocess.run(limited, capture_output=True, check=False).returncode == 3
    return run(world.recipe, out)


def killed(engine: str) -> Form:
    """Killed again and again, each time when a few more files have taken their place, and then left to end."""

    def make(world: World, out: Path) -> Path:
        command = [sys.executable, "-m", "jobs.cli", "run", str(world.recipe), "--out", str(out), "--engine", engine]
        appeared = Appeared(out)
        drawn = random.Random(engine)
        for _ in range(3):
            due = appeared.count() + drawn.randrange(1, 25)
            victim = subprocess.Popen(
                [*command, "--workers", "2"],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            while victim.poll() is None and appeared.count() < due:
                time.sleep(0.005)
            if victim.poll() is None:
                os.killpg(victim.pid, signal.SIGKILL)
            victim.wait()
        return elsewhere(world, out, "--engine", engine)

    return make


KILLED = {f"{engine}, killed at three moments": killed(engine) for engine in ("inline", "beam", "ray")}


@pytest.mark.parametrize("name", [*FORMS, *(pytest.param(name, marks=pytest.mark.slow) for name in KILLED)])
def test_same_bytes(name: str, world: World, tmp_path: Path) -> None:
    out = (FORMS | KILLED)[name](world, tmp_path / "out")
    expected, found = world.expected, digests(out)
    if name == "sources listed in another order":  # manifests and the like tell which version of the sources it was
        expected, found = ({file: d[file] for file in d if file.endswith(SHARDS)} for d in (expected, found))
    assert found == expected
