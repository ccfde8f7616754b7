"""Families of repositories: forks and vendored copies are found, boilerplate makes no relatives."""

import hashlib
from itertools import combinations
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.recipe import RecipeError, load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import stdlib, tar_gz
from transforms.families import FAMILIES, Families, Held, Holdings, SharedContents, SumPairs

Repositories = dict[str, set[str]]
FILES = pa.schema(
    [
        *((name, pa.string()) for name in ("repo", "content_id", "input_reason")),
        ("shingles", pa.int32()),
        ("ineligible", pa.bool_()),
        *((name, pa.int64()) for name in ("star_rank", "age_rank")),
    ]
)


def families(
    repositories: Repositories,
    share: float = 0.5,
    batch: int = 7,
    fork_share: float = 0.8,
    dropped: tuple[str, ...] = (),
    **chosen: int,
) -> list[dict[str, Any]]:
    """The plan's four shuffles in small: files in batches, sorted between the steps."""
    rows = [
        {"repo": repo, "content_id": hashlib.sha1(content.encode()).hexdigest(), "shingles": len(content)}
        | {"ineligible": repo in dropped}
        for repo, contents in repositories.items()
        for content in sorted(contents)
    ]
    hold = Held(min_shingles=1).load()
    held = [hold(pa.RecordBatch.from_pylist(rows[at : at + batch], FILES)) for at in range(0, len(rows), batch)]
    held = held or [hold(pa.RecordBatch.from_pylist([], FILES))]
    holdings = Holdings().load()(sorted_by([*held, *held], "repo", "key", "ineligible"))
    shared = SharedContents(chosen.get("anchors", 32)).load()
    pairs = shared(sorted_by([holdings], "key", "star_rank", "precedence", "age_rank", "repo"))
    summed = SumPairs(chosen.get("least", 1)).load()(sorted_by([pairs, pairs.slice(0, 0)], "left", "right"))
    found = Families(share, fork_share).load()(sorted_by([summed], "left", "right"))
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
        ("big/app", "big/app", 98, 98, "ada/tool", 8, 0.8, None, None),
        ("big/app", "ada/tool", 10, 10, "bob/tool", 9, 0.9, None, None),
        ("big/app", "bob/tool", 10, 10, "ada/tool", 9, 0.9, "ada/tool", 0.9),
    ]


def forks(repositories: Repositories, **chosen: Any) -> dict[str, str]:
    return {row["repo"]: row["fork_of"] for row in families(repositories, **chosen) if row["fork_of"]}


def test_neither_a_library_nor_the_monorepo_that_vendors_it_is_a_fork() -> None:
    assert forks({"a/library": names(10), "z/monorepo": names(10) | names(40, 100)}) == {}
    assert forks({"a/mono": names(10) | names(40, 100), "z/library": names(10)}) == {}


def test_of_forks_the_one_stays_of_which_most_is_kept() -> None:
    repositories = {"a": names(20), "b": names(22), "c": names(20)}
    assert forks(repositories) == {"a": "b", "c": "b"}
    assert forks(repositories, dropped=("b",)) == {"b": "a", "c": "a"}
    assert forks(repositories, dropped=("a", "b", "c")) == {}


def test_a_chain_of_forks_is_cut() -> None:
    chain = {f"r{number}": names(20, 3 * number) for number in range(5)}
    assert forks(chain) == {"r1": "r0", "r3": "r2"}


def test_the_best_of_hundreds_of_forks_stays_though_few_pairs_are_made() -> None:
    hundred = {f"fork{number:03d}": names(10) for number in range(100)}
    assert forks(hundred | {"zed": names(11)}, anchors=4) == dict.fromkeys(hundred, "zed")


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
    rows = [{"ineligible": False} | row for row in rows]
    assert Held().load()(pa.RecordBatch.from_pylist(rows, FILES)).num_rows == 2


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
    stays: list[str] = []
    expected_forks: dict[str, str] = {}
    for name in sorted(found, key=lambda name: (-len(found[name]), name.encode())):
        alike = [
            other
            for other in stays
            if len(found[name] & found[other]) >= max(0.8 * max(len(found[name]), len(found[other])), 1)
            and (name, other) in shares
        ]
        if alike:
            expected_forks[name] = alike[0]
        else:
            stays.append(name)
    assert {row["repo"]: row["fork_of"] for row in told if row["fork_of"]} == expected_forks


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
        ("ada/tool", "ada/tool", 5, 5, "bob/app", 5, 1.0, None, None),
        ("ada/tool", "bob/app", 5, 5, "ada/tool", 5, 1.0, "ada/tool", 1.0),
    ]


MODULES = ("heapq", "bisect", "queue", "sched", "textwrap", "keyword", "shelve", "rlcompleter")
SECRET = '\nCONTACT = "grace.hopper@navy-research.org"\n'


@pytest.fixture(scope="module")
def kept_one(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Two forks of `zoe/tool`, each with a file of its own, and an application that vendors it."""
    place = tmp_path_factory.mktemp("forks")
    tool = {f"{name}.py": stdlib(name) for name in MODULES} | {"tool.py": stdlib("string") + SECRET}
    tar_gz(place / "dumps" / "zoe" / "tool.tar.gz", tool | {"new.py": stdlib("colorsys"), "newer.py": stdlib("this")})
    edited = stdlib("heapq").replace("heappush", "heap_push")
    tar_gz(place / "dumps" / "ada" / "fork.tar.gz", tool | {"own.py": stdlib("graphlib")})
    tar_gz(place / "dumps" / "bob" / "fork.tar.gz", tool | {"near.py": edited})
    vendored = {f"lib/{name}": text for name, text in tool.items()}
    others = ("cmd", "code", "codeop", "copy", "csv", "dis", "fnmatch", "getopt", "gettext", "glob", "gzip", "numbers")
    tar_gz(place / "dumps" / "yan" / "app.tar.gz", vendored | {f"{name}.py": stdlib(name) for name in others})
    recipe = place / "recipe.yaml"
    recipe.write_text(f"sources:\n  - kind: archive\n    uri: {place}/dumps/**/*.tar.gz\n")
    off = [f"{block}.enabled=false" for block in ("license", "toxicity", "decontaminate", "tokenize", "quality")]
    store = Store(str(place / "out"))
    assert run(load_recipe(recipe, [*off, "engine.kind=inline", "dedup.repositories.keep=one"]), store)
    return store


def test_one_of_the_forks_is_kept(kept_one: Store) -> None:
    fates = {f"{row['repo']}/{row['path']}": row for row in kept_one.table("ledger").to_pylist()}
    kept = {name for name, row in fates.items() if row["decision"] == "kept"}
    assert {name.partition("/")[0] for name in kept} == {"yan", "zoe"}
    assert {"zoe/tool/new.py", "yan/app/lib/heapq.py", "yan/app/cmd.py"} <= kept
    # Forks go whole: for the file that stands for the content, or for the repository.
    gone = {name: row for name, row in fates.items() if row["reason"] == "duplicate.repository"}
    assert {name.rpartition("/")[0] for name in gone} == {"ada/fork", "bob/fork"}
    assert gone["ada/fork/own.py"]["survivor"] == gone["bob/fork/near.py"]["survivor"] == "zoe/tool"
    assert gone["ada/fork/heapq.py"]["survivor"] == "yan/app/lib/heapq.py"
    told = "fork of zoe/tool: 0.818 of the larger one's contents in both >= 0.8"
    assert {row["detail"] for name, row in gone.items() if name.startswith("ada")} == {told}
    for row in gone.values():
        assert row["survivor"] in kept | {"zoe/tool"}


def test_what_is_kept_in_the_place_of_forks_was_measured(kept_one: Store) -> None:
    rows = datasets.load_from_disk(kept_one.path("corpus")).to_list()
    [secret] = [row["content"] for row in rows if row["path"].endswith("tool.py")]
    assert "<EMAIL_ADDRESS>" in secret
    assert "navy-research" not in secret


def test_the_rule_on_forks_needs_to_know_them() -> None:
    for off in ("dedup.repositories.enabled=false", "dedup.exact.enabled=false"):
        with pytest.raises(RecipeError, match="keep: one needs"):
            load_recipe(Path("jobs/recipes/quickstart.yaml"), ["dedup.repositories.keep=one", off])
