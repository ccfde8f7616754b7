"""Corpora that break deduplication elsewhere, at a moderate size, through whole runs: the right result."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.recipe import load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import heapq_variant, stdlib
from tests.words import similarity, tokens

BLOCKS = ("license", "toxicity", "pii", "decontaminate", "tokenize", "quality", "dedup.repositories")


def curated(folder: Path, texts: dict[str, str], *overrides: str) -> tuple[Store, dict[str, dict[str, Any]]]:
    """Runs over the texts, by path in one repository; gives the ledger by path."""
    dump = folder / "dump.jsonl"
    lines = (json.dumps({"repo": "o/r", "path": path, "content": text}) + "\n" for path, text in texts.items())
    dump.write_text("".join(lines))
    (folder / "recipe.yaml").write_text(f"sources: [{{kind: jsonl, uri: {dump}}}]\n")
    off = [f"{block}.enabled=false" for block in BLOCKS]
    store = Store(str(folder / "out"))
    chosen = [*off, "languages.keep=all", "engine.kind=inline", "output.shards=2", *overrides]
    assert run(load_recipe(folder / "recipe.yaml", chosen), store)
    return store, {row["path"]: row for row in store.table("ledger").to_pylist()}


def words(seed: int, count: int) -> list[str]:
    return [f"w{number}" for number in np.random.default_rng(seed).integers(0, 1 << 40, count)]


@pytest.fixture(scope="module")
def planted(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[Store, dict[str, dict[str, Any]], dict[str, str]]:
    """A chain, boilerplate, copies by the thousand, empty and tiny files, all in one corpus."""
    story, header = words(0, 1200), words(1, 200)
    texts = {f"chain/{link:02d}.py": " ".join(story[22 * link : 22 * link + 204]) for link in range(40)}
    texts |= {f"header/{n:04d}.py": " ".join(header + words(100 + n, 12)) for n in range(1500)}
    texts |= {f"same/{n:05d}.py": " ".join(words(2, 50)) for n in range(11_000)}
    texts |= {f"tiny/{n:04d}.py": ("", "\n", f"x{n} = {n}\n", "x = 1\n")[n % 4] for n in range(2000)}
    store, ledger = curated(tmp_path_factory.mktemp("planted"), texts)
    return store, ledger, texts


def test_a_planted_chain_is_cut_into_stars(planted: Any) -> None:
    _, ledger, texts = planted
    links = {path: row for path, row in ledger.items() if path.startswith("chain/")}
    kept = [path for path, row in links.items() if row["decision"] == "kept"]
    assert len(kept) == 20
    for path, row in links.items():
        alike = max(similarity(texts[path], texts[other]) for other in kept if other != path)
        assert (row["reason"] == "duplicate.near") == (alike >= 0.7)


def test_planted_boilerplate_takes_one_survivor(planted: Any) -> None:
    _, ledger, _ = planted
    rows = [row for path, row in ledger.items() if path.startswith("header/")]
    assert Counter(row["reason"] for row in rows) == {None: 1, "duplicate.near": len(rows) - 1}


def test_empty_and_tiny_files_are_compared_by_content_alone(planted: Any) -> None:
    _, ledger, _ = planted
    reasons = Counter(row["reason"] for path, row in ledger.items() if path.startswith("tiny/"))
    assert reasons == {"input.empty": 500, None: 502, "duplicate.exact": 998}


def test_a_large_bucket_is_whole_and_named_by_the_report(planted: Any) -> None:
    store, ledger, _ = planted
    rows = [row for path, row in ledger.items() if path.startswith("same/")]
    assert Counter(row["reason"] for row in rows) == {None: 1, "duplicate.exact": len(rows) - 1}
    duplicates = write_report(store)["duplicates"]
    assert duplicates["buckets"] == [{"file": "o/r/same/00000.py", "exact": True, "files": 11_000, "buckets": 1}]
    assert duplicates["capped"] == 0


@pytest.mark.parametrize(("threshold", "ngram", "permutations"), [(0.5, 1, 64), (0.9, 3, 128)])
def test_any_threshold_is_kept_to(tmp_path: Path, threshold: float, ngram: int, permutations: int) -> None:
    texts = {f"{name}.py": stdlib(name) for name in ("heapq", "bisect", "textwrap", "queue")}
    texts["variant.py"] = heapq_variant()
    for part in range(1, 10):
        whole = tokens(texts["textwrap.py"])
        texts[f"part{part}.py"] = " ".join(whole[: len(whole) * part // 10])
    keys = {"threshold": threshold, "ngram": ngram, "permutations": permutations}
    _, ledger = curated(tmp_path, texts, *(f"dedup.near.{key}={value}" for key, value in keys.items()))
    dropped = {path: row for path, row in ledger.items() if row["decision"] == "dropped"}
    assert dropped
    for path, row in dropped.items():
        assert row["reason"] == "duplicate.near"
        stays = row["survivor"].removeprefix("o/r/")
        assert ledger[stays]["decision"] == "kept"
        measured = similarity(texts[path], texts[stays], ngram)
        assert measured >= threshold
        assert row["detail"] == f"similarity {measured:.3f} >= {threshold:g}"
