"""The two promises: no file is dropped unmeasured, and no licence gets lost between copies."""

import dataclasses
import hashlib
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.datasets import COPIES
from transforms.clusters import BucketEdges, Buckets, Components, optimal_bands
from transforms.license_inheritance import NOT_ALL_HEARD, License, inherit
from transforms.license_rule import LicenseRule
from transforms.minhash import MinHash, ShingleSets
from transforms.near_duplicates import Verdicts

THRESHOLD = 0.7
PERMISSIVE = LicenseRule(("permissive",))
CLASSES = {
    "MIT": "permissive",
    "Apache-2.0": "permissive",
    "LGPL-2.1-only": "weak-copyleft",
    "GPL-2.0-only": "copyleft",
    "AGPL-3.0-only": "copyleft",
    None: "unknown",
}
INPUT = pa.schema(
    [
        ("component", pa.int64()),
        ("representative", pa.int64()),
        ("row_id", pa.int64()),
        *((name, pa.string()) for name in ("repo", "path", "content_id")),
        ("shingles", pa.int32()),
        ("shingle_set", pa.list_(pa.uint64())),
        *((name, pa.string()) for name in ("license", "license_class", "license_evidence", "reason", "detail")),
    ]
)


def file(
    row: int,
    shingles: Any = (),
    license: str | None = "MIT",
    copy_of: int | None = None,
    component: int = 0,
    reason: str | None = None,
    count: int | None = 100,
) -> dict[str, Any]:
    """A row as a reducer gets it; `shingles` is the set, as numbers."""
    original = row if copy_of is None else copy_of
    return {
        "component": component,
        "representative": original,
        "row_id": row,
        "repo": f"r{row}",
        "path": "f.py",
        "content_id": f"{original:040x}",
        "shingles": count,
        "shingle_set": sorted(shingles) if copy_of is None else None,
        "license": license,
        "license_class": CLASSES[license],
        "license_evidence": f"repository: LICENSE {license}" if license else None,
        "reason": reason,
        "detail": reason and "why",
    }


def judge(files: list[dict[str, Any]], **changed: Any) -> dict[int, dict[str, Any]]:
    verdicts = dataclasses.replace(Verdicts(THRESHOLD, PERMISSIVE), **changed)
    judged = verdicts.load()(pa.RecordBatch.from_pylist(files, INPUT))
    assert judged.schema.equals(COPIES)
    assert judged.column("row_id").to_pylist() == [file["row_id"] for file in files]
    return {row["row_id"]: row for row in judged.to_pylist()}


@pytest.mark.parametrize(("count", "license"), [(0, "MIT"), (9, "MIT"), (10, "GPL-2.0-only"), (None, "GPL-2.0-only")])
def test_files_too_short_to_come_from_anywhere_pass_no_licence_on(count: int | None, license: str) -> None:
    judged = judge([file(1, count=count), file(2, license="GPL-2.0-only", copy_of=1, count=count)])
    assert (judged[1]["license"], judged[2]["license"]) == (license, "GPL-2.0-only")


def test_a_file_alone_is_kept_as_it_is() -> None:
    assert judge([file(3)])[3] == {
        "row_id": 3,
        "cluster": f"{3:040x}",
        "copies": 1,
        "survivor": None,
        "similarity": None,
        "license": "MIT",
        "license_class": "permissive",
        "license_evidence": "repository: LICENSE MIT",
        "reason": None,
        "detail": None,
    }
    assert Verdicts(THRESHOLD, PERMISSIVE).load()(pa.RecordBatch.from_pylist([], INPUT)).num_rows == 0


def test_the_first_of_exact_copies_survives() -> None:
    told = judge([file(5, copy_of=7), file(7), file(2, copy_of=7)])
    assert [told[row]["reason"] for row in (5, 7, 2)] == [None, "duplicate.exact", "duplicate.exact"]
    assert [told[row]["survivor"] for row in (5, 7, 2)] == [None, "r5/f.py", "r5/f.py"]
    assert [told[row]["similarity"] for row in (5, 7, 2)] == [None, 1.0, 1.0]
    assert {told[row]["copies"] for row in told} == {3}


def test_a_copy_takes_over_what_was_measured_on_its_contents_first_file() -> None:
    told = judge([file(1, reason="toxicity"), file(2, copy_of=1), file(3, copy_of=1, reason="path.vendored")])
    assert [(told[row]["reason"], told[row]["detail"]) for row in (1, 2, 3)] == [
        ("toxicity", "why"),
        ("toxicity", "why"),
        ("path.vendored", "why"),
    ]
    assert told[2]["survivor"] is None


def test_near_copies_name_a_kept_survivor_and_the_measured_similarity() -> None:
    told = judge([file(1, range(100)), file(2, range(10, 105)), file(3, copy_of=2), file(4, range(50, 150))])
    assert told[2]["reason"] == told[3]["reason"] == "duplicate.near"
    assert told[2]["similarity"] == told[3]["similarity"] == 90 / 105
    assert told[2]["detail"] == "similarity 0.857 >= 0.7"
    assert told[2]["survivor"] == told[3]["survivor"] == "r1/f.py"
    assert told[2]["cluster"] == told[1]["cluster"] == f"{1:040x}"
    assert told[4]["reason"] is None


def test_a_chain_of_resemblance_is_cut() -> None:
    a, b, c = range(100), range(15, 115), range(30, 130)
    first = judge([file(1, a), file(2, b), file(3, c)])
    assert [first[row]["survivor"] for row in (1, 2, 3)] == [None, "r1/f.py", None]
    middle = judge([file(2, b), file(1, a), file(3, c)])
    assert [middle[row]["survivor"] for row in (1, 2, 3)] == ["r2/f.py", None, "r2/f.py"]


def test_what_another_rule_drops_is_nobodys_survivor() -> None:
    told = judge([file(1, range(100), reason="quality.generated"), file(2, range(100, 0, -1)), file(3, range(99))])
    assert told[1]["reason"] == "quality.generated"
    assert told[2]["reason"] is None
    assert told[3]["survivor"] == "r2/f.py"


def test_copies_take_the_strictest_licence() -> None:
    told = judge([file(1), file(2, license="GPL-2.0-only", copy_of=1), file(3, license=None, copy_of=1)])
    assert {told[row]["license"] for row in told} == {"GPL-2.0-only"}
    assert {told[row]["reason"] for row in told} == {"license.copyleft"}
    assert told[1]["license_evidence"] == "repository: LICENSE MIT; copy: r2/f.py GPL-2.0-only"
    assert told[2]["license_evidence"] == "repository: LICENSE GPL-2.0-only"
    assert told[3]["license_evidence"] == "copy: r2/f.py GPL-2.0-only"
    assert "GPL-2.0-only" in told[1]["detail"]


def test_a_dropped_original_still_tells_of_its_near_copies() -> None:
    gpl = file(1, range(100), "GPL-2.0-only", reason="quality.max_line_length")
    told = judge([gpl, file(2, range(5, 105)), file(3, copy_of=2), file(4, range(300, 400))])
    assert told[1]["reason"] == "quality.max_line_length"
    assert told[2]["reason"] == told[3]["reason"] == "license.copyleft"
    assert told[2]["license_evidence"] == "repository: LICENSE MIT; near copy (0.905): r1/f.py GPL-2.0-only"
    assert told[4]["reason"] is None


def test_a_licence_does_not_spread_along_a_chain() -> None:
    told = judge([file(1, range(100), "GPL-2.0-only"), file(2, range(15, 115)), file(3, range(30, 130))])
    assert [told[row]["license"] for row in (1, 2, 3)] == ["GPL-2.0-only", "GPL-2.0-only", "MIT"]
    assert told[3]["reason"] is None


def test_unknown_is_neither_freed_nor_catching() -> None:
    told = judge([file(1, range(100)), file(2, license=None, copy_of=1), file(3, range(95), license=None)])
    assert [told[row]["license_class"] for row in (1, 2, 3)] == ["permissive", "unknown", "unknown"]
    assert [told[row]["reason"] for row in (1, 2, 3)] == [None, "license.unknown", "license.unknown"]


def test_a_refused_twin_takes_an_unknown_file_with_it() -> None:
    unknown_too = LicenseRule(("permissive", "unknown"))
    told = judge([file(1, license=None), file(2, license="LGPL-2.1-only", copy_of=1)], policy=unknown_too)
    assert [told[row]["reason"] for row in (1, 2)] == ["license.weak-copyleft"] * 2


def test_what_was_refused_alone_is_not_kept_for_a_twin() -> None:
    told = judge([file(1, range(100)), file(2, range(95), "GPL-2.0-only")], policy=LicenseRule(("GPL-2.0-only",)))
    assert told[1]["license"] == "GPL-2.0-only"
    assert (told[1]["reason"], told[2]["reason"]) == ("license.permissive", None)


def test_licences_of_one_class_stay_apart_unless_the_recipe_tells_them_apart() -> None:
    files = [file(1), file(2, license="Apache-2.0", copy_of=1)]
    assert judge(files)[1]["license"] == "MIT"
    assert judge(files, policy=LicenseRule(("MIT",)))[1]["license"] == "Apache-2.0 AND MIT"
    keeps = LicenseRule(("GPL-2.0-only",)).keeps
    gpl, agpl = License("GPL-2.0-only", "copyleft"), License("AGPL-3.0-only", "copyleft")
    assert not keeps(inherit(gpl, [agpl], keeps).expression)


def test_an_unmeasured_file_is_never_dropped() -> None:
    """With more look-alikes than are compared, files stay, and say why."""
    rare = [set(range(1000)) - {number} | {2000 + number} for number in range(40)]
    tails = [{5000 + 1000 * number + offset for offset in range(380)} for number in range(40)]
    files = [file(row, rare[row] | tails[row]) for row in range(40)]
    told = judge(files, indexed_above=1, max_candidates=5)
    assert {row["reason"] for row in told.values()} == {None}
    assert told[0]["detail"] is None
    assert told[39]["detail"] == "compared with 5 of the files like it, not with all"


def test_a_licence_that_was_not_looked_for_everywhere_is_told() -> None:
    rare = [set(range(1000)) - {number} | {2000 + number} for number in range(40)]
    tails = [{5000 + 1000 * number + offset for offset in range(380)} for number in range(40)]
    licenses = ["GPL-2.0-only" if row % 2 else "MIT" for row in range(40)]
    files = [file(row, rare[row] | tails[row], license=licenses[row]) for row in range(40)]
    told = judge(files, indexed_above=1, max_candidates=5)
    assert told[38]["license"] == "MIT"
    assert told[38]["license_evidence"] == f"repository: LICENSE MIT; {NOT_ALL_HEARD}"
    assert told[39]["license_evidence"] == "repository: LICENSE GPL-2.0-only"


def test_boilerplate_of_many_contents_takes_one_survivor() -> None:
    files = [file(row, [*range(100), 1000 + row]) for row in range(5000)]
    told = judge(files)
    assert told[0]["reason"] is None
    assert {row["survivor"] for row in told.values() if row["row_id"]} == {"r0/f.py"}


def test_a_representative_must_be_there() -> None:
    with pytest.raises(ValueError, match="representative"):
        judge([file(1, copy_of=9)])


@st.composite
def components(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows of a few components with random sets, copies, licences and reasons, in a reducer's order."""
    files: list[dict[str, Any]] = []
    for component in range(draw(st.integers(1, 3))):
        originals: list[int] = []
        for _ in range(draw(st.integers(1, 8))):
            row = 100 * component + len(files)
            copy_of = draw(st.sampled_from([None, None, *originals]))
            base = draw(st.integers(0, 3))
            shingles = set(range(base, base + 12)) ^ draw(st.sets(st.integers(0, 16), max_size=4))
            license = draw(st.sampled_from(list(CLASSES)))
            reason = draw(st.sampled_from([None, None, None, "quality.generated"]))
            files.append(file(row, shingles, license, copy_of, component, reason))
            if copy_of is None:
                originals.append(row)
    return sorted(files, key=lambda file: (file["component"], draw(st.integers(0, 99)), file["row_id"]))


def truth(files: list[dict[str, Any]], policy: LicenseRule) -> dict[int, tuple[Any, ...]]:
    """Licence, reason, survivor and similarity of each file, by the definitions, with every pair compared."""
    sets = {file["row_id"]: set(file["shingle_set"] or ()) for file in files}
    by_row = {file["row_id"]: file for file in files}

    def similarity(one: dict[str, Any], other: dict[str, Any]) -> float:
        if one["component"] != other["component"]:
            return 0
        if one["representative"] == other["representative"]:
            return 1
        a, b = sets[one["representative"]], sets[other["representative"]]
        return len(a & b) / len(a | b) if a and b else 0

    told: dict[int, tuple[Any, ...]] = {}
    survivors: list[dict[str, Any]] = []
    for one in files:
        twins = [License(o["license"], o["license_class"]) for o in files if similarity(one, o) >= THRESHOLD]
        one_alone = License(one["license"], one["license_class"])
        license = inherit(one_alone, twins, policy.keeps)
        reason = one["reason"] or by_row[one["representative"]]["reason"]
        refused = next((li for li in (license, one_alone) if not policy.keeps(li.expression)), None)
        if reason is None and refused is not None:
            reason = f"license.{refused.license_class}"
        told[one["row_id"]] = (license, reason, None, None)
        if reason is None:
            same = [k for k in survivors if k["representative"] == one["representative"]]
            alike = same or [k for k in survivors if similarity(one, k) >= THRESHOLD]
            if alike:
                name = "duplicate.exact" if same else "duplicate.near"
                told[one["row_id"]] = (license, name, f"{alike[0]['repo']}/f.py", similarity(one, alike[0]))
            else:
                survivors.append(one)
    return told


@settings(deadline=None, max_examples=150)
@given(components(), st.sampled_from([PERMISSIVE, LicenseRule(None), LicenseRule(("MIT", "GPL-2.0-only"))]))
def test_verdicts_are_those_of_comparing_every_pair(files: list[dict[str, Any]], policy: LicenseRule) -> None:
    told = judge(files, policy=policy)
    expected = truth(files, policy)
    for row, verdict in told.items():
        license = License(verdict["license"], verdict["license_class"])
        assert (license, verdict["reason"], verdict["survivor"], verdict["similarity"]) == expected[row]
    kept = {f"{f['repo']}/f.py" for f in files if told[f["row_id"]]["reason"] is None}
    assert {verdict["survivor"] for verdict in told.values()} - {None} <= kept
    assert judge(files, policy=policy, indexed_above=1) == told
    parts = [judge([f for f in files if f["component"] == component], policy=policy) for component in range(3)]
    assert {row: verdict for part in parts for row, verdict in part.items()} == told


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
def test_the_index_finds_what_comparing_all_finds(seed: int) -> None:
    generator = np.random.default_rng(seed)
    families = [generator.integers(0, 2**63, 60) for _ in range(4)]
    files = []
    for row in range(60):
        taken = families[generator.integers(4)][: generator.integers(20, 60)]
        own = generator.integers(0, 2**63, generator.integers(0, 20))
        license = ["MIT", "GPL-2.0-only", None][generator.choice(3, p=[0.8, 0.1, 0.1])]
        files.append(file(row, {*taken.tolist(), *own.tolist()}, license))
    assert judge(files, indexed_above=1) == judge(files, indexed_above=1000)


def test_from_texts_to_verdicts() -> None:
    """Planted: a copy, a near copy, a chain's ends, unlike files; the same verdicts whatever the batches."""
    generator = np.random.default_rng(0)
    words = [f"word{number}" for number in generator.integers(0, 5000, 400)]
    edited = [*words[:200], "edited", *words[201:]]
    unlike = [f"word{number}" for number in generator.integers(0, 5000, 400)]
    texts = [" ".join(each) for each in (words, edited, words, unlike, ["tiny"], ["tiny", "file"])]
    told = curate(texts, batch_rows=6)
    assert [told[row]["reason"] for row in range(6)] == [
        None,
        "duplicate.near",
        "duplicate.exact",
        None,
        None,
        None,
    ]
    assert told[1]["similarity"] == pytest.approx(391 / 401)
    assert curate(texts, batch_rows=1) == curate(texts, batch_rows=4) == told


def curate(texts: list[str], batch_rows: int) -> dict[int, dict[str, Any]]:
    bands, rows = optimal_bands(THRESHOLD, 256)
    sign, emit = MinHash().load(), Buckets(bands, rows).load()
    ids = [hashlib.sha1(text.encode()).hexdigest() for text in texts]
    sent = []
    for start in range(0, len(texts), batch_rows):
        part = slice(start, start + batch_rows)
        measured = sign(pa.record_batch({"content": pa.array(texts[part])}))
        row_id = pa.array(range(start, start + measured.num_rows), pa.int64())
        columns = {"row_id": row_id, "content_id": pa.array(ids[part]), "minhash": measured.column("minhash")}
        sent.append(emit(pa.record_batch(columns)))
    keys = [(name, "ascending") for name in ("key", "check", "row_id")]
    edges = BucketEdges().load()(pa.Table.from_batches(sent).sort_by(keys).combine_chunks().to_batches()[0])
    tied = {row["row_id"]: row for row in Components().load()(edges).to_pylist()}
    hashed = ShingleSets().load()(pa.record_batch({"content": pa.array(texts)})).column(0).to_pylist()
    files = []
    for row, hashes in enumerate(hashed):
        groups = tied.get(row, {"component": row, "representative": row, "compared": False})
        one = file(row, hashes, copy_of=groups["representative"], component=groups["component"])
        files.append(one | {"shingle_set": hashes if groups["compared"] else None})
    return judge(sorted(files, key=lambda one: (one["component"], one["row_id"])))
