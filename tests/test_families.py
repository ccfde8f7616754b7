"""Families of repositories: forks and vendored copies are found, boilerplate makes no relatives."""

import hashlib
from itertools import combinations
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import stdlib, tar_gz
from transforms.families import FAMILIES, Families, Holdings, SharedContents, SumPairs

Repositories = dict[str, set[str]]
FILES = pa.schema([(name, pa.string()) for name in ("repo", "content_id", "input_reason")] + [("shingles", pa.int32())])


def families(repositories: Repositories, share: float = 0.5, batch: int = 7, **chosen: int) -> list[dict[str, Any]]:
    """The plan's three shuffles in small: files in batches, sorted between the steps."""
    files = [(repo, content) for repo, contents in repositories.items() for content in sorted(contents)]
    rows = [
        {"repo": repo, "content_id": hashlib.sha1(content.encode()).hexdigest(), "shingles": len(content)}
        for repo, content in files
    ]
    hold = Holdings(min_shingles=1).load()
    held = [hold(pa.RecordBatch.from_pylist(rows[at : at + batch], FILES)) for at in range(0, len(rows), batch)]
    held = held or [hold(pa.RecordBatch.from_pylist([], FILES))]
    pairs = SharedContents(chosen.get("anchors", 32)).load()(sorted_by(held, "key", "repo"))
    summed = SumPairs(chosen.get("least", 1)).load()(sorted_by([pairs, pairs.slice(0, 0)], "left", "right"))
    found = Families(share).load()(sorted_by([summed], "left", "right"))
    assert found.schema.equals(FAMILIES)
    return found.to_pylist()


def sorted_by(batches: list[pa.RecordBatch], *names: str) -> pa.RecordBatch:
    table = pa.Table.from_batches(batches).sort_by([(name, "ascending") for name in names]).combine_chunks()
    return (table.to_batches() or [pa.RecordBatch.from_pylist([], table.schema)])[0]


def names(count: int, start: int = 0) -> set[str]:
    return {f"content {number}" for number in range(start, start + count)}


def test_a_fork_a_vendored_copy_and_a_stranger() -> None:
    found = families(
        {
            "ada/tool": names(10),
            "bob/tool": names(9) | {"bob's own"},
            "big/app": names(8) | names(90, 1000),
            "eve/else": names(4) | names(96, 2000),
        }
    )
    assert [tuple(row.values()) for row in found] == [
        ("big/app", "big/app", 98, "ada/tool", 8, 0.8),
        ("big/app", "ada/tool", 10, "bob/tool", 9, 0.9),
        ("big/app", "bob/tool", 10, "ada/tool", 9, 0.9),
    ]


def test_the_stated_share_is_enough_and_less_is_not() -> None:
    repositories = {"a": names(6), "b": names(3) | names(9, 100)}
    assert {row["repo"] for row in families(repositories, share=0.5)} == {"a", "b"}
    assert families(repositories, share=0.51) == []


def test_a_few_contents_in_common_are_an_accident() -> None:
    assert families({"a": names(2), "b": names(2)}, least=3) == []
    assert len(families({"a": names(3), "b": names(3)}, least=3)) == 2


def test_unread_files_and_those_of_a_few_tokens_are_nobodys() -> None:
    rows = [
        {"repo": "a", "content_id": f"{number:040x}", "shingles": count} for number, count in enumerate([9, 10, None])
    ]
    rows.append({"repo": "a", "content_id": None, "shingles": None})
    rows.append({"repo": "a", "content_id": f"{9:040x}", "input_reason": "input.empty"})
    assert Holdings().load()(pa.RecordBatch.from_pylist(rows, FILES)).num_rows == 2


def test_a_hundred_forks_meet_though_few_pairs_are_made() -> None:
    forks = {f"fork{number:03d}": names(10) for number in range(100)}
    found = families(forks, anchors=4)
    assert [row["repo"] for row in found] == sorted(forks)
    assert {row["family"] for row in found} == {"fork000"}


def test_no_repository_has_no_family() -> None:
    assert families({}) == []
    assert families({"a": names(5)}) == []


repositories = st.dictionaries(
    st.sampled_from(["a", "b/c", "d", "é", "z"]), st.sets(st.sampled_from([f"x{n}" for n in range(8)])), max_size=5
)


@settings(deadline=None)
@given(repositories, st.sampled_from([0.3, 0.5, 1.0]), st.integers(1, 9))
def test_families_are_those_of_comparing_every_pair(found: Repositories, share: float, batch: int) -> None:
    expected = {name: {name} for name in found}
    shares: dict[tuple[str, str], float] = {}
    for one, other in combinations(sorted(found), 2):
        smaller = min(len(found[one]), len(found[other]))
        measured = len(found[one] & found[other]) / smaller if smaller else 0
        if measured >= share:
            shares[one, other] = shares[other, one] = measured
            joined = expected[one] | expected[other]
            for name in joined:
                expected[name] = joined
    told = families(found, share, batch)
    assert {row["repo"] for row in told} == {name for name, members in expected.items() if len(members) > 1}
    for row in told:
        assert row["contents"] == len(found[row["repo"]])
        assert row["share"] == max(value for (one, _), value in shares.items() if one == row["repo"])
        assert row["share"] == shares[row["repo"], row["closest"]]
        assert row["shared"] == len(found[row["repo"]] & found[row["closest"]])
        members = expected[row["repo"]]
        assert row["family"] == min(members, key=lambda name: (-len(found[name]), name.encode()))


@pytest.mark.parametrize("engine", ["inline", "beam"])
def test_a_run_tells_of_forks(engine: str, tmp_path: Path) -> None:
    modules = {f"{name}.py": stdlib(name) for name in ("heapq", "bisect", "queue", "sched", "textwrap")}
    tar_gz(tmp_path / "dumps" / "ada" / "tool.tar.gz", modules | {"__init__.py": ""})
    tar_gz(tmp_path / "dumps" / "bob" / "app.tar.gz", {f"vendor/{name}": text for name, text in modules.items()})
    tar_gz(tmp_path / "dumps" / "eve.tar.gz", {"shelve.py": stdlib("shelve"), "__init__.py": ""})
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  - kind: archive\n    uri: {tmp_path}/dumps/**/*.tar.gz\n")
    blocks = ("license", "toxicity", "pii", "decontaminate", "tokenize", "dedup.exact")
    off = [f"{block}.enabled=false" for block in blocks]
    store = Store(str(tmp_path / "out"))
    assert run(load_recipe(recipe, [*off, f"engine.kind={engine}", "engine.workers=1"]), store)
    assert [tuple(row.values()) for row in store.table("families").to_pylist()] == [
        ("ada/tool", "ada/tool", 5, "bob/app", 5, 1.0),
        ("ada/tool", "bob/app", 5, "ada/tool", 5, 1.0),
    ]
