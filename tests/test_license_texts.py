"""Licence texts: each distinct one matched once, its answer in every file that has it, and kept between runs."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.curate import curation
from jobs.recipe import Recipe, RecipeError, load_recipe
from jobs.run import check_location, run
from pipeline.execution import Job
from pipeline.storage import Store
from schemas.datasets import ROW_ID
from tests.corpora import GPL_HEADER, MIT, stdlib, tar_gz
from tests.datasets_on_disk import digests
from transforms.license import LicenseScan
from transforms.license_resolve import LicenseResolve
from transforms.license_texts import (
    ANSWER,
    HOME,
    KNOWN,
    SENT,
    EarlierTexts,
    GatherAnswers,
    MatchTexts,
    SendAnswers,
    SendTexts,
)

OFF = [f"{block}.enabled=false" for block in ("toxicity", "pii", "decontaminate", "tokenize", "quality", "dedup.near")]
ALTERED = MIT.replace("Software", "Program").replace("software", "program")
METADATA = "Name: x\nLicense: Boost Software License, version one\n"
CORE = {
    "LICENSE": MIT,
    "wrap.py": GPL_HEADER + stdlib("textwrap"),
    "shelf.py": "# A note above it.\n\n" + GPL_HEADER + stdlib("shelve"),
    "PKG-INFO": METADATA,
    "plain.py": "x = 1\n",
    "empty.py": "",
    "data.bin": b"\0\1",
}
DUMPS = {
    "ada/one": CORE | {"LICENSE.old": ALTERED},
    "bob/two": CORE | {"LICENSE.txt": "\n\n" + MIT},
    "eve/six": {"queue.py": stdlib("queue")},
}
FRESH = {"zoe/new": {"LICENSE": MIT, "a.py": "# SPDX-License-Identifier: Apache-2.0\n", "wrap.py": GPL_HEADER}}


def recipe(dumps: Path, *overrides: str, engine: str = "inline") -> Recipe:
    path = dumps.parent / f"{dumps.name}.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    return load_recipe(path, [*OFF, f"engine.kind={engine}", "engine.workers=1", "output.shards=2", *overrides])


def curated(dumps: Path, out: Path, *overrides: str, engine: str = "inline") -> Store:
    store = Store(str(out))
    assert run(recipe(dumps, *overrides, engine=engine), store)
    return store


def files_of(store: Store) -> dict[int, str]:
    """Repository and path by row id."""
    return {
        row_id: f"{repo}/{path}"
        for shard in range(len(store.committed("files").shards))
        for batch in store.read("files", shard, ("row_id", "repo", "path"))
        for row_id, repo, path in zip(*(column.to_pylist() for column in batch.columns), strict=True)
    }


def same(one: Store, other: Store, *datasets: str) -> bool:
    return all(one.committed(name).digest == other.committed(name).digest for name in datasets)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("texts")
    for name, files in DUMPS.items():
        tar_gz(place / "dumps" / f"{name}.tar.gz", dict(files))
    for name, files in (DUMPS | FRESH).items():
        tar_gz(place / "grown" / f"{name}.tar.gz", dict(files))
    return place


@pytest.fixture(scope="module")
def first(place: Path) -> Store:
    return curated(place / "dumps", place / "first")


@pytest.fixture(scope="module")
def against(place: Path, first: Store) -> str:
    return f"license.against=[{first.path()}]"


def test_a_text_in_many_files_is_matched_once(first: Store) -> None:
    files, texts = files_of(first), first.table("license_texts").to_pylist()
    assert len({text["text_id"] for text in texts}) == len(texts)
    found = {tuple(sorted(files[row_id] for row_id in text["files"])): text for text in texts}
    in_both = {name: tuple(f"{repo}/{name}" for repo in ("ada/one", "bob/two")) for name in ("LICENSE", "PKG-INFO")}
    header = found["ada/one/shelf.py", "ada/one/wrap.py", "bob/two/shelf.py", "bob/two/wrap.py"]
    assert (header["expression"], header["lines"]) == ("GPL-2.0-or-later", [{"first": 1, "last": 4}])
    assert header["rules"]
    assert found[*in_both["LICENSE"], "bob/two/LICENSE.txt"]["expression"] == "MIT"
    assert found[in_both["PKG-INFO"]]["expression"] == "BSL-1.0"
    altered = next(text for names, text in found.items() if "ada/one/LICENSE.old" in names)
    assert (altered["expression"], altered["approximate"], altered["score"] < 100) == ("MIT", True, True)
    assert not any(name.endswith(("plain.py", "empty.py", "data.bin")) for names in found for name in names)
    assert not any(text["earlier"] for text in texts)


def test_every_file_gets_what_it_would_get_alone(first: Store) -> None:
    columns = ("row_id", "repo", "path", "claimed_license", "content")
    rows = [
        row
        for shard in range(len(first.committed("files").shards))
        for batch in first.read("files", shard, columns)
        for row in batch.to_pylist()
    ]
    scan, resolve = LicenseScan().load(), LicenseResolve().load()
    rows.sort(key=lambda row: (row["repo"], row["path"]))
    strings = {name: pa.array([row[name] for row in rows], pa.string()) for name in columns[1:]}
    batch = pa.record_batch({"row_id": pa.array([row["row_id"] for row in rows], pa.int64()), **strings})
    alone = [scan(batch.slice(row, 1).select(LicenseScan.reads)) for row in range(len(rows))]
    stated = pa.Table.from_batches(alone).combine_chunks().to_batches()[0]
    for name in stated.schema.names:
        batch = batch.append_column(stated.schema.field(name), stated.column(name))
    for name in ("link", "unread"):
        batch = batch.append_column(name, pa.nulls(len(rows), pa.string()))
    expected = sorted(resolve(batch.select(LicenseResolve.reads)).to_pylist(), key=lambda row: row["row_id"])
    assert first.table("licenses").to_pylist() == expected


def test_a_second_run_loads_no_index_and_writes_nothing_else(place: Path, first: Store, against: str) -> None:
    path = place / "dumps.yaml"
    recipe(place / "dumps")
    home = place / "home"
    home.mkdir()
    code = (
        "import sys; from pathlib import Path; from jobs.recipe import load_recipe; from jobs.run import run\n"
        "from pipeline.storage import Store\n"
        "assert run(load_recipe(Path(sys.argv[1]), sys.argv[3:]), Store(sys.argv[2]))\n"
        "assert 'licensedcode.cache' not in sys.modules"
    )
    overrides = [*OFF, "engine.kind=inline", "output.shards=2", against]
    command = [sys.executable, "-c", code, str(path), str(place / "second"), *overrides]
    environment = os.environ | {"HOME": str(home), "XDG_CACHE_HOME": str(home)}
    subprocess.run(command, env=environment, check=True, timeout=300)
    second = Store(str(place / "second"))
    assert not list(home.rglob("*scancode*"))
    assert same(first, second, "licenses", "license_rules", "copies", "ledger")
    assert second.committed("license_texts").tally() == {"earlier=True": first.committed("license_texts").rows}


@pytest.fixture(scope="module")
def grown(place: Path, against: str) -> Store:
    return curated(place / "grown", place / "grown-out", against)


def test_only_new_texts_are_matched(place: Path, grown: Store) -> None:
    alone = curated(place / "grown", place / "alone")
    assert same(alone, grown, "licenses", "copies", "ledger")
    files = files_of(grown)
    new = {
        files[row_id]
        for text in grown.table("license_texts").to_pylist()
        if not text["earlier"]
        for row_id in text["files"]
    }
    assert new == {"zoe/new/a.py"}
    known = {tuple(text[name] for name in KNOWN[:4]) for text in alone.table("license_texts").to_pylist()}
    assert known == {tuple(text[name] for name in KNOWN[:4]) for text in grown.table("license_texts").to_pylist()}


def test_beam_gives_the_same_bytes(place: Path, grown: Store, against: str) -> None:
    beam = curated(place / "grown", place / "beam", against, engine="beam")
    assert digests(Path(grown.path())) == digests(Path(beam.path()))


def test_a_lost_shard_is_made_again(place: Path, first: Store) -> None:
    before = digests(Path(first.path()))
    lost = next(shard.file for shard in first.committed("license_texts").shards if shard.rows)
    (Path(first.path()) / "license_texts" / lost).unlink()
    job = Job(curation(recipe(place / "dumps")), first)
    assert [step.name for step in job.pending()] == ["license_texts"]
    assert run(recipe(place / "dumps"), first)
    assert digests(Path(first.path())) == before


def test_mistakes_are_told_in_one_line(place: Path, first: Store) -> None:
    unlicensed = curated(place / "dumps", place / "unlicensed", "license.enabled=false")
    other = Store(str(place / "other"))
    for name in ("license_rules", "license_texts"):
        for shard in first.committed(name).shards:
            other.write_bytes((Path(first.path()) / name / shard.file).read_bytes(), name, shard.file)
        manifest = first.read_json(name, "_manifest.json")
        for shard in manifest["shards"]:
            shard["tally"] = {"matcher=scancode-toolkit 3.0.0 0123": 1}
        other.write_json(manifest, name, "_manifest.json")
    other.write_json(first.read_json("_run.json"), "_run.json")
    for location, message in (
        (place / "nowhere", "holds no licence rules; name the --out of a run that has ended"),
        (unlicensed.path(), "holds no licence rules"),
        (other.path(), "was matched by scancode-toolkit 3.0.0 0123, here is scancode-toolkit "),
    ):
        with pytest.raises(RecipeError, match=message) as told:
            curation(recipe(place / "dumps", f"license.against=[{location}]"))
        assert str(told.value).startswith(f"license.against: {location} ")
        assert "\n" not in str(told.value)
    with pytest.raises(RecipeError, match=r"license\.against: .* is --out itself"):
        check_location(recipe(place / "dumps", f"license.against=[{first.path()}/]"), first, replace=True)


# --- the way there and back


@given(
    files=st.lists(st.sets(st.integers(0, 8), max_size=4), min_size=1, max_size=12),
    cuts=st.lists(st.integers(0, 12), max_size=3),
    stating=st.sets(st.integers(0, 8)),
    runs=st.integers(1, 2),
)
@settings(max_examples=25, deadline=None)
def test_every_answer_comes_home(files: list[set[int]], cuts: list[int], stating: set[int], runs: int) -> None:
    names = [f"text {number}" for number in range(9)]
    batch = pa.record_batch(
        {
            "row_id": pa.array(range(len(files)), pa.int64()),
            "license_queries": pa.array(
                [[_query(names[number]) for number in sorted(texts)] or None for texts in files], _QUERIES
            ),
        }
    )
    bounds = sorted({0, len(files), *(min(cut, len(files)) for cut in cuts)})
    send = SendTexts().load()
    sent = [send(batch.slice(low, high - low)) for low, high in pairwise(bounds)]
    assert all(rows["text_id"].to_pylist() == pc.unique(rows["text_id"]).to_pylist() for rows in sent)
    sent += [_known(names, stating, run_number) for run_number in range(runs)]
    arrived = pa.Table.from_batches(sent).sort_by([("text_id", "ascending"), ("file", "ascending")])
    texts = MatchTexts().load()(arrived.combine_chunks().to_batches()[0])
    assert texts["text_id"].to_pylist() == [names[number] for number in sorted(set().union(*files))]
    own = [pa.array(range(len(files)), pa.int64()), *(pa.nulls(len(files), kind) for kind in HOME.types)]
    home = [
        pa.RecordBatch.from_arrays(own, schema=_HOMEWARD),
        SendAnswers().load()(texts.select(SendAnswers.reads)),
    ]
    gathered = pa.Table.from_batches(home).sort_by([("row_id", "ascending"), ("text_id", "ascending")])
    answers = GatherAnswers().load()(gathered.combine_chunks().to_batches()[0])["license_answers"].to_pylist()
    assert [[answer["text_id"] for answer in told] for told in answers] == [
        [names[number] for number in sorted(texts & stating)] for texts in files
    ]
    assert all(answer["expression"] == f"of {answer['text_id']}" for told in answers for answer in told)


_QUERIES = pa.list_(pa.struct([("text_id", pa.string()), ("approximate", pa.bool_()), ("text", pa.string())]))
_HOMEWARD = pa.schema([ROW_ID, *HOME])


def _query(name: str) -> dict[str, Any]:
    return {"text_id": name, "approximate": False, "text": f"words of {name}"}


def _known(names: list[str], stating: set[int], run_number: int) -> pa.RecordBatch:
    """What an earlier run says of all texts: those in `stating` state a licence."""
    told = [
        {"text_id": name, "approximate": False, "expression": f"of {name}" if number in stating else None}
        for number, name in enumerate(names)
    ]
    schema = pa.schema([SENT.field(name) for name in KNOWN])
    known = pa.RecordBatch.from_pylist(told, schema)
    marks = EarlierTexts(run_number).load()(known)
    columns = {name: part.column(name) for part in (known, marks) for name in part.schema.names}
    return pa.RecordBatch.from_arrays([columns[name] for name in SENT.names], schema=SENT)


def test_nothing_to_match(first: Store) -> None:
    nothing = pa.RecordBatch.from_pylist([], SENT)
    assert MatchTexts().load()(nothing).num_rows == 0
    assert GatherAnswers().load()(pa.RecordBatch.from_pylist([], _HOMEWARD)).num_rows == 0
    assert set(ANSWER.names) <= set(first.table("license_texts").schema.names)
    assert np.all(np.diff(first.table("license_texts")["files"].to_pylist()[0]) > 0)
