"""GH Archive: events of each of its formats become stars, forks and age, which decide who survives."""

import gzip
import json
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cli import cli
from jobs.recipe import RecipeError, load_recipe
from jobs.run import run
from pipeline.sources import DEFAULT_LIMITS, Limits, SourceError
from pipeline.sources.gharchive import GhArchive
from pipeline.storage import Store
from tests.corpora import MIT, stdlib, tar_gz
from transforms.popularity import CombineEvents, Names, Repositories

Event = dict[str, Any]


def event(kind: str, repo: str, identity: int, time: str, actor: int = 7, **payload: Any) -> Event:
    """An event as GitHub's API writes it since 2015."""
    return {
        "id": "34500123991",
        "type": kind,
        "actor": {"id": actor, "login": f"user{actor}", "display_login": f"user{actor}", "gravatar_id": ""},
        "repo": {"id": identity, "name": repo, "url": f"https://api.github.com/repos/{repo}"},
        "payload": payload,
        "public": True,
        "created_at": time,
    }


def star(repo: str, identity: int, actor: int, time: str = "2024-01-01T00:00:05Z") -> Event:
    return event("WatchEvent", repo, identity, time, actor, action="started")


def created(repo: str, identity: int, time: str) -> Event:
    return event("CreateEvent", repo, identity, time, ref=None, ref_type="repository", pusher_type="user")


def old_event(kind: str, owner: str, name: str, actor: str, stars: int, **payload: Any) -> Event:
    """An event of the timeline of 2012 to 2014, with a snapshot of its repository."""
    return {
        "created_at": "2013-05-01T00:00:01-07:00",
        "payload": payload,
        "public": True,
        "type": kind,
        "url": f"https://github.com/{owner}/{name}",
        "actor": actor,
        "actor_attributes": {"login": actor, "type": "User"},
        "repository": {
            **{"id": 900, "name": name, "owner": owner, "url": f"https://github.com/{owner}/{name}"},
            **{"watchers": stars, "stargazers": stars, "forks": 4, "fork": False, "private": False},
            **{"created_at": "2011-10-26T22:30:00-07:00", "language": "Python", "master_branch": "master"},
        },
    }


FORK = event(
    *("ForkEvent", "Ada/Tools", 100, "2024-01-01T00:10:00Z", 8),
    forkee={"id": 101, "name": "tools", "full_name": "bob/tools", "created_at": "2024-01-01T00:09:59Z"},
)
PULL = event(
    *("PullRequestEvent", "ada/tools", 100, "2024-01-01T00:20:00Z"),
    action="opened",
    pull_request={
        "base": {
            "repo": {
                **{"id": 100, "full_name": "ada/tools", "stargazers_count": 5000},
                **{"forks_count": 3, "created_at": "2019-03-01T10:00:00Z"},
            }
        }
    },
)


def archive(path: Path, *lines: Event | bytes) -> Path:
    """An hour of GH Archive."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    path.write_bytes(gzip.compress(data, mtime=0))
    return path


def combined(folder: Path, target: int = 1 << 28, limits: Limits = DEFAULT_LIMITS) -> pa.Table:
    splits = GhArchive(str(folder / "*.json.gz")).splits(target)
    combine = CombineEvents().load()
    batches = [combine(one_batch(pa.Table.from_batches(batches))) for s in splits if (batches := list(s.read(limits)))]
    return pa.Table.from_batches(batches, CombineEvents.schema)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    return (table.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], table.schema)])[0]


def ordered(table: pa.Table, *names: str) -> pa.RecordBatch:
    return one_batch(table.sort_by([(name, "ascending") for name in names]))


def repositories(rows: pa.Table) -> dict[str, dict[str, Any]]:
    """The plan's two shuffles in small."""
    seen = rows.filter(rows["is_sighting"]).select(list(Repositories.reads))
    named = Repositories().load()(ordered(seen, "identity", "repo", "kind", "who"))
    chosen = Names().load()(ordered(pa.Table.from_batches([named]), "repo", "seen", "identity"))
    return {row["repo"]: row for row in chosen.to_pylist()}


def counts(rows: pa.Table) -> dict[str, int]:
    found = {}
    for row in rows.filter(rows["is_count"]).to_pylist():
        name = row["reason"] or row["kind"]
        found[name] = found.get(name, 0) + row["events"]
    return found


def test_events_since_2015(tmp_path: Path) -> None:
    again = star("ada/tools", 100, 2, "2024-01-01T00:30:00Z")
    archive(
        tmp_path / "2024-01-01-0.json.gz",
        *(created("ada/new", 200, "2024-01-01T00:00:00Z"), star("ada/new", 200, 1), star("ada/new", 200, 2)),
        *(star("ada/tools", 100, 2), again, FORK, FORK, PULL),
        event("DeleteEvent", "ada/new", 200, "2024-01-01T00:40:00Z", ref="a-branch", ref_type="branch"),
        event("CreateEvent", "ada/new", 200, "2024-01-01T00:41:00Z", ref="main", ref_type="branch"),
    )
    rows = combined(tmp_path)
    found = repositories(rows)
    told = {name: (row["stars"], row["forks"], str(row["created"])[:10]) for name, row in found.items()}
    assert told == {
        "ada/new": (2, 0, "2024-01-01"),
        "ada/tools": (5000, 3, "2019-03-01"),
        "bob/tools": (0, 0, "2024-01-01"),
    }
    assert str(found["ada/new"]["last_event"]) == "2024-01-01 00:41:00+00:00"
    assert counts(rows) == {"creation": 1, "star": 4, "fork": 2, "other": 3}


def test_events_of_2011_to_2014(tmp_path: Path) -> None:
    archive(
        tmp_path / "2013-05-01-0.json.gz",
        old_event("WatchEvent", "Mojombo", "grit", "Alice", 12, action="started"),
        old_event("WatchEvent", "mojombo", "grit", "alice", 11, action="started"),
        old_event("ForkEvent", "mojombo", "grit", "carl", 12, forkee=9787410),
        {"type": "GistEvent", "created_at": "2013/05/01 00:00:02 -0700", "actor": "dora", "payload": {"id": 1}},
        {
            **{"type": "WatchEvent", "created_at": "2011-02-12T00:00:00Z", "payload": {"action": "started"}},
            **{"repo": {"id": 5, "name": "eve/small"}, "actor": {"login": "alice", "gravatar_id": "0"}},
        },
    )
    rows = combined(tmp_path)
    found = repositories(rows)
    assert {name: (row["stars"], row["forks"], row["id"]) for name, row in found.items()} == {
        "mojombo/grit": (12, 4, 900),
        "eve/small": (1, 0, 5),
    }
    assert str(found["mojombo/grit"]["created"]) == "2011-10-27 05:30:00+00:00"
    assert counts(rows) == {"star": 3, "fork": 1, "other": 1}


def first_event(kind: str, repo: str, identity: int | None, time: str, actor: str, **payload: Any) -> Event:
    """An event of 2011: by number and name, but for what was gone when it was fetched; a gist's repository is "/"."""
    numbers = {} if identity is None else {"id": identity}
    return {
        "repo": {**numbers, "url": f"https://api.github.dev/repos/{repo}", "name": repo},
        "type": kind,
        "public": True,
        "created_at": time,
        "payload": {"repo": repo, "actor": actor, "actor_gravatar": "7a0", **payload},
        "actor": {"gravatar_id": "7a0", "url": f"https://api.github.dev/users/{actor}", "login": actor},
        "id": "1127195475",
    }


def test_events_of_2011_some_without_a_number(tmp_path: Path) -> None:
    archive(
        tmp_path / "2011-02-12-0.json.gz",
        first_event("CreateEvent", "tmcw/wax", 55, "2011-02-12T00:00:00Z", "tmcw", name="wax", object="repository"),
        *(
            first_event("WatchEvent", "tmcw/wax", 55, f"2011-02-12T0{n}:00:00Z", f"u{n}", action="started")
            for n in "12"
        ),
        first_event("WatchEvent", "tmcw/wax", None, "2011-02-12T09:00:00Z", "u3", action="started"),
        first_event("WatchEvent", "eve/gone", None, "2011-02-12T03:00:00Z", "u1", action="started"),
        first_event("ForkEvent", "tmcw/wax", 55, "2011-02-12T04:00:00Z", "bob", forkee=56),
        first_event("DeleteEvent", "tmcw/wax", 55, "2011-02-12T05:00:00Z", "tmcw", ref="old", ref_type="branch"),
        first_event("GistEvent", "/", None, "2011-02-12T06:00:00Z", "bob", action="create", name="gist: 8"),
        first_event("FollowEvent", "/", None, "2011-02-12T07:00:00Z", "bob", target={"id": 4, "login": "tmcw"}),
    )
    rows = combined(tmp_path)
    assert {name: (row["stars"], row["forks"], row["id"]) for name, row in repositories(rows).items()} == {
        "tmcw/wax": (2, 1, 55),
        "eve/gone": (1, 0, None),
    }
    assert str(repositories(rows)["tmcw/wax"]["created"]) == "2011-02-12 00:00:00+00:00"
    assert counts(rows) == {"creation": 1, "star": 4, "fork": 1, "other": 3}


def test_a_renamed_repository_keeps_its_stars_and_its_old_name_goes_to_the_next(tmp_path: Path) -> None:
    archive(
        tmp_path / "1.json.gz",
        *(star("ada/old", 100, actor, "2024-01-01T00:00:00Z") for actor in (1, 2, 3)),
        *(star("ada/gone", 300, actor, "2024-01-01T00:00:00Z") for actor in (1, 2, 3)),
        star("ada/fresh", 100, 4, "2024-02-01T00:00:00Z"),
        star("ada/gone", 301, 9, "2024-03-01T00:00:00Z"),
    )
    found = repositories(combined(tmp_path))
    assert {name: row["stars"] for name, row in found.items()} == {"ada/old": 4, "ada/fresh": 4, "ada/gone": 1}


def test_trouble_is_counted_and_stops_nothing(tmp_path: Path) -> None:
    whole = archive(
        tmp_path / "a.json.gz",
        *(star("ada/tools", 100, 1), b'{"type": "WatchEvent", "secret', b"[1, 2]", b"\xff{}", b""),
        *(b"[" * 5000, b"1" * 5000),
        *({"type": "WatchEvent", "created_at": "2024-01-01T00:00:00Z"}, {"type": "WatchEvent", "created_at": "soon"}),
        *(star("ada/tools\n\x1b", 100, 1), star("nobody", 100, 1), {**star("a/b", 1, 1), "actor": None}),
        json.dumps(star("a/b", 1, 1)).encode() + b" " * (2 << 20),
        *(star("ada/tools", 2**70, True), star("ada/tools", 100, 2)),
    )  # fmt: skip
    (tmp_path / "b.json.gz").write_bytes(whole.read_bytes()[:-20])
    (tmp_path / "c.json.gz").write_bytes(gzip.compress(b" " * (16 << 20)))
    (tmp_path / "d.json.gz").write_bytes(b"")
    rows = combined(tmp_path, limits=Limits(max_file_bytes=1000))
    assert repositories(rows)["ada/tools"]["stars"] == 2
    found = counts(rows)
    assert found["input.corrupt"] == found["input.bomb"] == found["input.empty"] == 1
    first = [row for row in rows.to_pylist() if row["is_count"] and row["archive"].endswith("a.json.gz")]
    assert {(row["kind"], row["reason"], row["events"]) for row in first} == {
        ("star", None, 3),
        ("failed", "input.malformed_json", 10),
        ("failed", "input.too_large", 1),
    }
    assert "secret" not in str(rows.to_pylist())


EVENTS_SEEN = st.lists(
    st.one_of(
        st.builds(star, st.sampled_from(["a/x", "A/X", "a/y"]), st.integers(1, 3), st.integers(1, 4)),
        st.builds(created, st.sampled_from(["a/x", "a/y"]), st.integers(1, 3), st.just("2023-01-01T00:00:00Z")),
        st.just(PULL),
        st.just(FORK),
        st.just(b"{"),
    ),
    max_size=12,
)


@given(EVENTS_SEEN, st.randoms(use_true_random=False), st.integers(1, 3))
@settings(max_examples=25, deadline=None)
def test_neither_order_nor_repetition_nor_cutting_changes_a_result(tmp_path_factory, lines, random, parts) -> None:
    one, other = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("other")
    archive(one / "all.json.gz", *lines)
    shuffled = [*lines, *lines[:3]]
    random.shuffle(shuffled)
    for part in range(parts):
        archive(other / f"{part}.json.gz", *shuffled[part::parts])
    left, right = combined(one), combined(other, target=1, limits=Limits(batch_rows=2))
    assert repositories(left) == repositories(right)
    for rows, read in ((left, lines), (right, shuffled)):
        assert sum(number for name, number in counts(rows).items() if name != "input.empty") == len(read)


RECIPE = """
sources: [{kind: archive, uri: DUMPS/**/*.tar.gz}]
repositories: [{kind: gharchive, uri: EVENTS/*.json.gz}]
license: {enabled: false}
pii: {enabled: false}
toxicity: {enabled: false}
decontaminate: {enabled: false}
tokenize: {enabled: false}
quality: {enabled: false}
dedup: {near: {enabled: false}, repositories: {enabled: false}}
output: {shards: 2}
engine: {kind: inline}
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Three repositories with one content, of which nobody tells anything yet."""
    for repo in ("ada/copy", "bob/copy", "zoe/first"):
        tar_gz(tmp_path / "dumps" / f"{repo}.tar.gz", {"LICENSE": MIT, "heap.py": stdlib("heapq")})
    path = tmp_path / "recipe.yaml"
    path.write_text(RECIPE.replace("DUMPS", str(tmp_path / "dumps")).replace("EVENTS", str(tmp_path / "events")))
    return path


def kept(recipe: Path, out: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    run(load_recipe(recipe, overrides), Store(str(out)))
    return {row["repo"]: row for row in datasets.load_from_disk(str(out / "corpus")) if row["path"] == "heap.py"}


def test_the_survivor_is_of_the_repository_with_most_stars_and_of_equals_the_oldest(tmp_path, recipe) -> None:
    groups = {"bisect": ("new/a", "old/b", "unseen/a"), "sched": ("unseen/c", "unseen/d")}
    for module, repos in groups.items():
        for repo in repos:
            tar_gz(tmp_path / "dumps" / f"{repo}.tar.gz", {"heap.py": stdlib(module)})
    archive(
        tmp_path / "events" / "1.json.gz",
        *(star("Zoe/First", 3, 1), star("zoe/first", 3, 2), star("bob/copy", 2, 1)),
        *(created("new/a", 5, "2024-01-03T00:00:00Z"), created("old/b", 6, "2024-01-02T00:00:00Z")),
    )
    told = {
        name: (row["repo_stars"], row["repo_forks"], row["repo_created"] and str(row["repo_created"])[:10])
        for name, row in kept(recipe, tmp_path / "out").items()
    }
    assert told == {"zoe/first": (2, 0, None), "old/b": (0, 0, "2024-01-02"), "unseen/c": (None, None, None)}


def test_forks_leave_for_the_repository_with_most_stars(tmp_path, recipe) -> None:
    for repo in ("ada/copy", "zoe/first"):
        files = {f"{name}.py": stdlib(name) for name in ("heapq", "bisect", "textwrap", "shelve", "sched")}
        extra = {"more.py": stdlib("queue")} if repo == "ada/copy" else {}
        tar_gz(tmp_path / "dumps" / f"{repo}.tar.gz", {**files, **extra})
    archive(tmp_path / "events" / "1.json.gz", star("zoe/first", 3, 1))
    out = Store(str(tmp_path / "out"))
    run(load_recipe(recipe, ("dedup.repositories={keep: one}",)), out)
    forks = {row["repo"]: row["fork_of"] for row in out.table("families").to_pylist()}
    assert forks["ada/copy"] == "zoe/first", "though more would be kept of ada/copy, which comes first by name"


def test_a_rule_asks_for_stars_and_why_tells_them(tmp_path, recipe) -> None:
    archive(
        tmp_path / "events" / "1.json.gz",
        *(star("zoe/first", 3, actor) for actor in (1, 2, 3)),
        *(star("bob/copy", 2, 1), b"{broken"),
    )
    out = tmp_path / "out"
    assert list(kept(recipe, out, "popularity.min_stars=2")) == ["zoe/first"]
    ledger = {row["repo"]: row for row in Store(str(out)).table("ledger").to_pylist() if row["path"] == "heap.py"}
    assert [(ledger[name]["reason"], ledger[name]["detail"]) for name in ("ada/copy", "bob/copy")] == [
        ("repository.stars", "unknown < 2"),
        ("repository.stars", "1 < 2"),
    ]
    told = CliRunner().invoke(cli, ["why", str(out), "zoe/first/heap.py"]).output
    assert "repo_stars         3" in told
    events = Store(str(out)).table("events").to_pylist()
    assert [(row["kind"], row["reason"], row["events"]) for row in events] == [
        ("star", None, 4),
        ("failed", "input.malformed_json", 1),
    ]


def test_stars_that_a_table_states_count_too(tmp_path: Path) -> None:
    rows = [
        {"content": stdlib("heapq"), "path": "heap.py", "repo": repo, "max_stars_count": stars}
        for repo, stars in (("a/a", None), ("b/b", 10.0), ("c/c", 30.0))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "stack.parquet")
    path = tmp_path / "recipe.yaml"
    text = RECIPE.replace("kind: archive, uri: DUMPS/**/*.tar.gz", f"kind: parquet, uri: {tmp_path}/stack.parquet")
    path.write_text(text.replace("EVENTS", str(tmp_path / "events")))
    assert list(kept(path, tmp_path / "claimed", "repositories=[]")) == ["c/c"]
    archive(tmp_path / "events" / "1.json.gz", {**PULL, "payload": {}}, *(star("b/b", 2, n) for n in range(1, 32)))
    survivor = kept(path, tmp_path / "both")
    assert {name: row["repo_stars"] for name, row in survivor.items()} == {"b/b": 31}


def test_engines_give_the_same_bytes(tmp_path, recipe) -> None:
    for hour in range(3):
        stars = [star("zoe/first", 3, actor, f"2024-01-01T0{hour}:00:00Z") for actor in range(1, 4 + hour)]
        archive(tmp_path / "events" / f"2024-01-01-{hour}.json.gz", *stars, FORK, PULL, b"{")
    made = {}
    for kind in ("inline", "beam"):
        store = Store(str(tmp_path / kind))
        run(load_recipe(recipe, (f"engine={{kind: {kind}, workers: 1}}",)), store)
        names = ("events", "repositories", "popularity", "corpus", "ledger")
        made[kind] = {name: store.committed(name).digest for name in names}
    assert made["inline"] == made["beam"]


def test_mistakes_in_the_recipe(tmp_path, recipe) -> None:
    (tmp_path / "events").mkdir()
    with pytest.raises(SourceError, match="no file matches"):
        run(load_recipe(recipe), Store(str(tmp_path / "out")))
    with pytest.raises(RecipeError, match=r"min_stars needs repositories"):
        load_recipe(recipe, ("repositories=[]", "popularity.min_stars=1"))
