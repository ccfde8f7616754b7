"""One recipe with a source of every kind gives the same bytes on every engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.bigquery_emulator import Emulator, started
from tests.corpora import heapq_variant, stdlib
from tests.datasets_on_disk import digests
from tests.every_source import sources

MODULES = ("bisect", "keyword", "sched", "queue", "textwrap", "shelve")
OFF = [f"{block}.enabled=false" for block in ("license", "toxicity", "pii", "decontaminate", "tokenize", "dialogue")]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


def test_a_source_of_every_kind_gives_the_same_bytes_on_every_engine(emulator: Emulator, tmp_path: Path) -> None:
    repos = {
        f"lib{number:02}": {
            "own.py": stdlib(MODULES[number % 6]),
            "src/heap.py": (stdlib("heapq"), heapq_variant())[number // 6],
        }
        for number in range(12)
    }
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump({"sources": sources(tmp_path, repos, emulator)}))
    outs = {engine: tmp_path / engine for engine in ("inline", "beam", "ray")}
    for engine, out in outs.items():
        settings = [*OFF, f"engine.kind={engine}", "engine.workers=2", "output.shards=2"]
        assert run(load_recipe(recipe, settings), Store(str(out)))
    ledger = Store(str(outs["inline"])).table("ledger").to_pylist()
    assert {row["source"].partition(":")[0] for row in ledger} == {
        *("archive", "directory", "git", "parquet", "jsonl", "bigquery")
    }
    assert len(ledger) == 24
    reasons = sorted(row["reason"] or "kept" for row in ledger)
    assert reasons == ["duplicate.exact"] * 11 + ["duplicate.near"] * 6 + ["kept"] * 7
    assert digests(outs["inline"]) == digests(outs["beam"]) == digests(outs["ray"])
