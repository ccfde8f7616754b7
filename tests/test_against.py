"""Deduplication against earlier runs: by their signatures alone, with the promises of a single run."""

import gc
import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.against import earlier_signatures
from jobs.curate import curation
from jobs.recipe import Recipe, RecipeError, load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.engines import inline
from pipeline.execution import Job, StepError
from pipeline.plan import Elsewhere, Input, Map, Output, Plan, PlanError
from pipeline.storage import Store
from tests.corpora import heapq_variant, stdlib, tar_gz
from tests.datasets_on_disk import digests
from tests.test_near_duplicates import INPUT, PERMISSIVE, file
from tests.words import similarity
from transforms.minhash import MinHash, ShingleSets
from transforms.near_duplicates import Verdicts
from transforms.signatures import LOCATION, TOKENS, signatures

OFF = [f"{block}.enabled=false" for block in ("license", "toxicity", "pii", "decontaminate", "tokenize", "quality")]
TINY = "answer = 42\n"


def recipe(dumps: Path, *overrides: str, engine: str = "inline", workers: int = 1) -> Recipe:
    path = dumps.parent / f"{dumps.name}.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    chosen = [f"engine.kind={engine}", f"engine.workers={workers}", "output.shards=3"]
    return load_recipe(path, [*OFF, *chosen, *overrides])


def curated(dumps: Path, out: Path, *overrides: str, **engine: Any) -> Store:
    store = Store(str(out))
    assert run(recipe(dumps, *overrides, **engine), store)
    return store


def ledger(store: Store) -> dict[str, dict[str, Any]]:
    return {f"{row['repo']}/{row['path']}": row for row in store.table("ledger").to_pylist()}


def edited(text: str, lines: int) -> str:
    """Every line from the start on, for so many of them, gets another word."""
    every = text.splitlines(keepends=True)
    return "".join(f"changed{n} = {n}; {line}" if n < lines else line for n, line in enumerate(every))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Two earlier runs, `spring` and `summer`, and the dumps of a third."""
    place = tmp_path_factory.mktemp("against")
    tar_gz(
        place / "spring-dumps" / "zoe" / "old.tar.gz",
        {"heap.py": stdlib("heapq"), "tiny.py": TINY, "copy.py": stdlib("heapq"), "queue.py": stdlib("queue")},
    )
    tar_gz(place / "summer-dumps" / "yan" / "mid.tar.gz", {"wrap.py": stdlib("textwrap"), "heap.py": stdlib("heapq")})
    tar_gz(
        place / "dumps" / "ada" / "new.tar.gz",
        {
            "heap.py": stdlib("heapq"),
            "again.py": stdlib("heapq"),
            "near.py": heapq_variant(),
            "tiny.py": TINY,
            "sched.py": stdlib("sched"),
            "sched2.py": stdlib("sched"),
            "wrapped.py": edited(stdlib("textwrap"), 20),
            "data.bin": b"\0\1",
        },
    )
    curated(place / "spring-dumps", place / "spring")
    curated(place / "summer-dumps", place / "summer")
    gc.freeze()  # each step collects garbage, and all that the tests have imported by now would be looked at again
    yield place
    gc.unfreeze()


@pytest.fixture(scope="module")
def both(place: Path) -> str:
    return f"dedup.against=[{place}/spring, {place}/summer/]"


@pytest.fixture(scope="module")
def store(place: Path, both: str) -> Store:
    return curated(place / "dumps", place / "out", both)


def test_what_an_earlier_run_kept_is_not_kept_again(store: Store) -> None:
    told = {name: (row["reason"], row["survivor"]) for name, row in ledger(store).items()}
    assert told == {
        "ada/new/heap.py": ("duplicate.exact", "summer:yan/mid/heap.py"),  # of two, the first repository's
        "ada/new/again.py": ("duplicate.exact", "summer:yan/mid/heap.py"),
        "ada/new/near.py": ("duplicate.near", "summer:yan/mid/heap.py"),
        "ada/new/tiny.py": ("duplicate.exact", "spring:zoe/old/tiny.py"),
        "ada/new/sched.py": (None, None),
        "ada/new/sched2.py": ("duplicate.exact", "ada/new/sched.py"),
        "ada/new/wrapped.py": ("duplicate.near", "summer:yan/mid/wrap.py"),
        "ada/new/data.bin": ("input.binary", None),
    }


def test_the_similarity_to_an_earlier_file_is_exact(store: Store) -> None:
    rows = store.table("files", ("path",)).to_pylist()
    found = {row["path"]: copy for row, copy in zip(rows, store.table("copies").to_pylist(), strict=True)}
    for path, one, other in (
        ("near.py", heapq_variant(), stdlib("heapq")),
        ("wrapped.py", edited(stdlib("textwrap"), 20), stdlib("textwrap")),
    ):
        expected = similarity(one, other)
        assert 0.7 <= expected < 1
        assert found[path]["similarity"] == pytest.approx(expected, abs=1e-12)
        assert found[path]["detail"] == f"similarity {expected:.3f} >= 0.7"
    assert found["heap.py"]["copies"] == found["again.py"]["copies"] == 2


def test_earlier_files_are_none_of_this_runs(store: Store) -> None:
    files, copies, fates, kept = (store.committed(name) for name in ("files", "copies", "ledger", "signatures"))
    assert files.rows == copies.rows == fates.rows == 8
    assert kept.rows == store.committed("corpus").rows == 1
    assert {row["repo"] for row in store.table("ledger").to_pylist()} == {"ada/new"}
    summary = write_report(store)
    assert (summary["rows"], summary["kept"]) == (8, 1)
    assert not run(recipe(Path(store.path()).parent / "dumps", *_against(store)), store)


def _against(store: Store) -> list[str]:
    return [f"dedup.against={store.read_json('_run.json')['recipe']['dedup']['against']}"]


def test_signatures_are_those_of_the_kept_files(place: Path) -> None:
    spring = Store(str(place / "spring"))
    rows = {row["path"]: row for row in spring.table("signatures").to_pylist()}
    corpus = {row["path"]: row for row in spring.table("corpus").to_pylist()}
    assert rows.keys() == corpus.keys() == {"copy.py", "tiny.py", "queue.py"}
    texts = [corpus[path]["content"] for path in rows]
    batch = pa.record_batch({"content": texts})
    sets, signed = ShingleSets().load()(batch), MinHash().load()(batch)
    assert [row["shingle_set"] for row in rows.values()] == sets.column("shingle_set").to_pylist()
    assert [row["minhash"] for row in rows.values()] == signed.column("minhash").to_pylist()
    assert [row["content_id"] for row in rows.values()] == [corpus[path]["content_id"] for path in rows]
    assert rows["tiny.py"]["minhash"] is None


def test_what_is_signed_never_changes_from_release_to_release() -> None:
    """Signatures outlive the release that wrote them: changed hashes want a new column name."""
    batch = pa.record_batch({"content": ["def add(one, other):\n    return one + other\n" * 3 + "x = add(1, 2)"]})
    assert ShingleSets().load()(batch).column("shingle_set").to_pylist()[0][:2] == [
        155679003613837728,
        604390157883811421,
    ]
    signature = MinHash(min_shingles=1).load()(batch).column("minhash")[0].as_py()
    assert hashlib.sha256(signature).hexdigest()[:16] == "5d09a55b041e0725"


def test_beam_gives_the_same_bytes(store: Store, place: Path, both: str, tmp_path: Path) -> None:
    curated(place / "dumps", tmp_path / "beam", both, engine="beam", workers=2)
    theirs = digests(tmp_path / "beam")
    assert theirs == {name: digest for name, digest in digests(Path(store.path())).items() if name in theirs}
    assert {"ledger/_manifest.json", "signatures/_manifest.json", "copies/_manifest.json"} <= theirs.keys()


def test_earlier_files_that_are_alike_all_stand(place: Path, tmp_path: Path) -> None:
    """A chain over two runs: what is like the second earlier file only is dropped for it, though the first comes first.

    The ends are unlike each other, so neither may stand for the other.
    """
    text = stdlib("textwrap")
    texts = [edited(text, lines) for lines in (0, 60, 140)]
    assert similarity(texts[0], texts[1]) >= 0.7
    assert similarity(texts[1], texts[2]) >= 0.7
    assert similarity(texts[0], texts[2]) < 0.7
    for number, name in enumerate(("one", "two", "three")):
        tar_gz(tmp_path / f"{name}-dumps" / "r.tar.gz", {f"{name}.py": texts[number]})
    curated(tmp_path / "one-dumps", tmp_path / "one")
    curated(tmp_path / "two-dumps", tmp_path / "two")
    against = f"dedup.against=[{tmp_path}/one, {tmp_path}/two]"
    [row] = ledger(curated(tmp_path / "three-dumps", tmp_path / "three", against)).values()
    assert (row["reason"], row["survivor"]) == ("duplicate.near", "two:r/two.py")
    [row] = ledger(curated(tmp_path / "three-dumps", tmp_path / "alone", f"dedup.against=[{tmp_path}/one]")).values()
    assert row["reason"] is None


@st.composite
def met(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of one component as a reducer gets them: those of two earlier runs come first."""
    rows: list[dict[str, Any]] = []
    for row in range(draw(st.integers(2, 9))):
        base = draw(st.integers(0, 3))
        shingles = set(range(base, base + 12)) ^ draw(st.sets(st.integers(0, 16), max_size=4))
        original = draw(st.sampled_from([None, *(one["row_id"] for one in rows if one["shingle_set"])]))
        license = draw(st.sampled_from(["MIT", "GPL-2.0-only", None]))
        reason = draw(st.sampled_from([None, None, "quality.generated"]))
        rows.append(file(row, shingles, license, original, reason=reason) | {"location": None})
    earlier = draw(st.integers(0, len(rows)))
    for made in rows[:earlier]:
        made |= {"location": draw(st.sampled_from(["spring", "summer"])), "reason": None, "detail": None}
    return rows


@settings(deadline=None, max_examples=150)
@given(met())
def test_verdicts_are_those_of_comparing_every_pair(rows: list[dict[str, Any]]) -> None:
    """Whatever the rules say of them now, earlier files stand; a new one is measured against them first."""
    verdicts = Verdicts(0.7, PERMISSIVE, against=True)
    judged = verdicts.load()(pa.RecordBatch.from_pylist(rows, INPUT.append(LOCATION)))
    assert judged.schema.equals(verdicts.schema)
    by_row = {row["row_id"]: row for row in rows}

    def alike(one: dict[str, Any], other: dict[str, Any]) -> float:
        if one["representative"] == other["representative"]:
            return 1
        a, b = (set(by_row[each["representative"]]["shingle_set"]) for each in (one, other))
        return len(a & b) / len(a | b) if a and b else 0

    def name(row: dict[str, Any]) -> str:
        return f"{row['location']}:{row['repo']}/f.py" if row["location"] else f"{row['repo']}/f.py"

    standing = [row for row in rows if row["location"]]
    for row, told in zip(rows, judged.to_pylist(), strict=True):
        assert told["is_own"] == (row["location"] is None)
        if row["location"] or told["reason"] not in (None, "duplicate.exact", "duplicate.near"):
            continue
        same = [one for one in standing if one["representative"] == row["representative"]]
        stars = same or [one for one in standing if alike(row, one) >= 0.7]
        assert told["survivor"] == (name(stars[0]) if stars else None)
        assert told["similarity"] == (alike(row, stars[0]) if stars else None)
        if not stars:
            assert told["reason"] is None
            standing.append(row)
        assert told["copies"] == sum(
            one["representative"] == row["representative"] and one["location"] is None for one in rows
        )


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (["dedup.near.enabled=false"], {"near.py": None, "heap.py": "duplicate.exact"}),
        (["dedup.exact.enabled=false"], {"near.py": "duplicate.near", "heap.py": "duplicate.near"}),
    ],
)
def test_either_kind_alone(
    place: Path, both: str, tmp_path: Path, chosen: list[str], expected: dict[str, str | None]
) -> None:
    told = ledger(curated(place / "dumps", tmp_path / "out", both, *chosen))
    assert {path: told[f"ada/new/{path}"]["reason"] for path in expected} == expected


def test_two_runs_of_one_name_are_told_apart(place: Path, tmp_path: Path) -> None:
    shutil.copytree(place / "spring", tmp_path / "v1" / "out")
    shutil.copytree(place / "summer", tmp_path / "v2" / "out")
    against = f"dedup.against=[{tmp_path}/v1/out, {tmp_path}/v2/out]"
    found, size = earlier_signatures(recipe(place / "dumps", against).dedup, first_shard=5)
    assert list(found) == [f"{tmp_path}/v1/out", f"{tmp_path}/v2/out"]
    assert [there.first_shard for there in found.values()] == [5, 8]
    assert size == sum(Store(name).committed("signatures").bytes for name in found)


def test_mistakes_are_told_in_one_line(place: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    curated(place / "summer-dumps", bare, "dedup.exact.enabled=false", "dedup.near.enabled=false")
    assert not (bare / "signatures").exists()
    curated(place / "summer-dumps", tmp_path / "exact", "dedup.near.enabled=false")
    shutil.copytree(place / "spring", tmp_path / "cut")
    manifest = (place / "spring/signatures/_manifest.json").read_text()
    shutil.copytree(place / "spring", tmp_path / "other")
    shutil.copytree(place / "spring", tmp_path / "older")
    (tmp_path / "other/signatures/_manifest.json").write_text(manifest.replace(TOKENS, "Unicode 13.0.0"))
    (tmp_path / "older/signatures/_manifest.json").write_text(manifest.replace('"name": "tokens"', '"name": "gone"'))
    [shard] = [s for s in (tmp_path / "cut" / "signatures").glob("part-*") if pq.read_metadata(s).num_rows][:1]
    shard.write_bytes(shard.read_bytes()[:-1])
    for location, chosen, message in (
        (tmp_path / "none", [], "none holds no signatures; name the --out"),
        ("ftp://somewhere/out", [], "ftp://somewhere/out: "),
        (bare, [], "bare holds no signatures"),
        (tmp_path / "cut", [], "cut is damaged: a shard of its signatures is missing or cut"),
        (
            tmp_path / "other",
            [],
            "has tokens by Unicode 13.0.0, here they are by Unicode 14.0.0; run it anew, or leave",
        ),
        (
            tmp_path / "older",
            [],
            "older was written by another release, .*: its signatures cannot be compared with; run",
        ),
        (tmp_path / "exact", [], "exact has no near signatures: its recipe had dedup.near off"),
        (place / "spring", ["dedup.near.ngram=7"], r"its signatures have dedup.near.ngram 5, this recipe 7"),
        (place / "spring", ["dedup.near.permutations=128"], r"permutations 256, this recipe 128"),
    ):
        with pytest.raises(RecipeError, match=message) as told:
            curation(recipe(place / "dumps", f"dedup.against=[{location}]", *chosen))
        assert "\n" not in str(told.value)
    with pytest.raises(RecipeError, match="against needs exact or near"):
        recipe(place / "dumps", "dedup.against=[x]", "dedup.near.enabled=false", "dedup.exact.enabled=false")


def test_an_earlier_run_that_changed_is_compared_with_again(place: Path, tmp_path: Path) -> None:
    curated(place / "summer-dumps", tmp_path / "earlier")
    against = f"dedup.against=[{tmp_path}/earlier]"
    store = curated(place / "dumps", tmp_path / "out", against)
    assert ledger(store)["ada/new/tiny.py"]["reason"] is None
    planned = Job(curation(recipe(place / "dumps", against, "dedup.near.threshold=0.8")), store)
    assert run(recipe(place / "spring-dumps"), Store(str(tmp_path / "earlier")), replace=True)
    with pytest.raises(StepError, match=r"step candidates, shard 1: ValueError: .*earlier/signatures has changed"):
        inline.run(planned)
    assert run(recipe(place / "dumps", against), store)
    assert ledger(store)["ada/new/tiny.py"]["survivor"] == "earlier:zoe/old/tiny.py"


def test_a_map_reads_its_own_location_only() -> None:
    there = Elsewhere("x", "", signatures(MinHash()), 1, 0)
    with pytest.raises(PlanError, match="own datasets only"):
        Plan.of(Map("copy", (Output("c", ("repo",)),), shards=1, inputs=(Input("signatures", ("repo",), there),)))


def test_an_output_is_never_compared_with_itself(tmp_path: Path) -> None:
    tar_gz(tmp_path / "dumps" / "a.tar.gz", {"a.py": stdlib("queue")})
    store = curated(tmp_path / "dumps", tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(RecipeError, match="is --out itself, and would be overwritten"):
        run(recipe(tmp_path / "dumps", f"dedup.against=[{tmp_path}/out]"), store, replace=True)
    assert digests(tmp_path / "out") == before
