"""The report on a small output location that is written shard by shard, as a run writes it."""

import json
from collections.abc import Iterable
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.report import LISTED, RULES, Totals, count, meaning, name, render, share, size, summarize, write_report
from pipeline.plan import Output
from pipeline.storage import Manifest, Shard, ShardWriter, Store
from schemas.datasets import COPIES, LEDGER, field
from transforms.clusters import EDGES
from transforms.families import FAMILIES

SCRIPT = "evil/<script>alert('x')</script>"
QUOTES = 'a"b&c/\u202eyp.tset'
NEAR_COPY = "LICENSE: MIT; near copy (0.912): x/y MPL-2.0"
CORPUS = pa.schema([field("repo", pa.string(), ""), field("path", pa.string(), ""), field("content", pa.string(), "")])

# repo, path, size, language, license, class, evidence, reason, survivor, similarity
FILES = [
    (SCRIPT, "main.py", 1000, "Python", "MIT", "permissive", "header: MIT", None, None, None),
    (
        SCRIPT,
        "same.py",
        1000,
        "Python",
        "MIT",
        "permissive",
        "header: MIT",
        "duplicate.exact",
        f"{SCRIPT}/main.py",
        1.0,
    ),
    (
        SCRIPT,
        "like.py",
        990,
        "Python",
        "MIT",
        "permissive",
        "header: MIT",
        "duplicate.near",
        f"{SCRIPT}/main.py",
        0.72,
    ),
    (
        SCRIPT,
        "also.py",
        980,
        "Python",
        "MIT",
        "permissive",
        "header: MIT",
        "duplicate.near",
        f"{SCRIPT}/main.py",
        1.0,
    ),
    (QUOTES, "App.java", 500, "Java", "Apache-2.0", "permissive", "repository: Apache-2.0", None, None, None),
    (
        QUOTES,
        "gpl.java",
        400,
        "Java",
        "GPL-2.0-only",
        "copyleft",
        "repository: MIT; copy: x/y GPL-2.0-only",
        "license.copyleft",
        None,
        None,
    ),
    (QUOTES, "none.c", 300, "C", None, "unknown", None, "license.unknown", None, None),
    (
        QUOTES,
        "wide.js",
        9000,
        "JavaScript",
        "MPL-2.0",
        "weak-copyleft",
        NEAR_COPY,
        "quality.max_line_length",
        None,
        None,
    ),
    ("last", "bytes.bin", 70, None, None, None, None, "input.not_utf8", None, None),
    ("last", "gone", None, None, None, None, None, "input.not_regular", None, None),
    ("last", "task.py", 200, "Python", "MIT", "permissive", "a: MIT", "contaminated.humaneval", None, None),
]
BATCH_ROWS = 2
DECISIONS = {None: "kept", "input.not_utf8": "failed"}


def write(store: Store, output: Output, schema: pa.Schema, shards: Iterable[list[dict]]) -> None:
    """Writes a dataset of the given rows and its manifest."""
    written: list[Shard] = []
    for number, rows in enumerate(shards):
        with ShardWriter(store, output, schema, number, 2) as writer:
            for start in range(0, len(rows), BATCH_ROWS):
                writer.write(pa.RecordBatch.from_pylist(rows[start : start + BATCH_ROWS], schema))
        written.append(writer.shard)
    described = [{"name": entry.name, "type": str(entry.type), "doc": ""} for entry in schema]
    manifest = Manifest("f" * 64, "1.0+abc", output.dataset, output.format, described, written)
    store.write_manifest(output.dataset, manifest)


def output_location(folder: Path, files: list[tuple] = FILES) -> Store:
    store = Store(str(folder))
    ledger, copies, corpus, own = [], [], [], []
    for row_id, (repo, path, bytes_, language, license, kind, evidence, reason, survivor, alike) in enumerate(files):
        fate = {"reason": reason, "survivor": survivor, "license": license}
        ledger.append(
            {"source": "toy", "repo": repo, "path": path, "size": bytes_, "language": language}
            | {"decision": DECISIONS.get(reason, "dropped")}
            | fate
        )
        copies.append(
            {"row_id": row_id, "similarity": alike, "license_class": kind, "license_evidence": evidence} | fate
        )
        own.append({"license": "MIT" if "copy" in (evidence or "") else license})
        if reason is None:
            corpus.append({"repo": repo, "path": path, "content": "secret = 'hunter2'"})
    write(store, Output("ledger", tuple(LEDGER.names)), LEDGER, [ledger[:5], ledger[5:]])
    write(store, Output("copies", tuple(COPIES.names)), COPIES, [copies[:5], copies[5:]])
    write(store, Output("licenses", ("license",)), pa.schema([COPIES.field("license")]), [own[:5], own[5:]])
    arrow = Output("corpus", tuple(CORPUS.names), format="arrow", file_name="data-{shard:05d}-of-{shards:05d}.arrow")
    write(store, arrow, CORPUS, [corpus[:1], corpus[1:]])
    return store


def add_tokens(store: Store) -> None:
    schema = pa.schema([field("tokens", pa.list_(pa.uint16(), 8), "")])
    output = Output("tokens", ("tokens",), format="arrow", file_name="data-{shard:05d}.arrow")
    write(store, output, schema, [[{"tokens": list(range(8))}] * 3, [{"tokens": [0] * 8}] * 2])
    tokenizer = {
        "model": {"vocab": {"a": 0, "b": 1}},
        "added_tokens": [{"content": "b"}, {"content": "<end>"}],
    }
    store.write_json(tokenizer, "tokenizer", "tokenizer.json")
    shards = [Shard("tokenizer.json", 1, 1, "")]
    store.write_manifest("tokenizer", Manifest("f", "c", "tokenizer", "files", [], shards))


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text outside styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] != "style":
            self.text += data


def test_fates_add_up_and_come_in_the_order_of_the_rules(tmp_path: Path) -> None:
    summary = write_report(output_location(tmp_path))
    assert (summary["rows"], summary["kept"], summary["dropped"], summary["failed"]) == (11, 2, 8, 1)
    assert summary["conservation"] == "11 = 2 kept + 8 dropped + 1 failed"
    assert (summary["bytes"], summary["bytes_kept"]) == (14440, 1500)
    assert [(entry["decision"], entry["reason"], entry["rows"], entry["bytes"]) for entry in summary["reasons"]] == [
        ("dropped", "input.not_regular", 1, 0),
        ("failed", "input.not_utf8", 1, 70),
        ("dropped", "quality.max_line_length", 1, 9000),
        ("dropped", "license.copyleft", 1, 400),
        ("dropped", "license.unknown", 1, 300),
        ("dropped", "contaminated.humaneval", 1, 200),
        ("dropped", "duplicate.exact", 1, 1000),
        ("dropped", "duplicate.near", 2, 1970),
        ("kept", None, 2, 1500),
    ]


def test_languages_licenses_and_repositories(tmp_path: Path) -> None:
    summary = summarize(output_location(tmp_path))
    python = {"language": "Python", "rows": 5, "kept": 1, "bytes": 4170, "bytes_kept": 1000}
    assert summary["languages"][0] == python
    assert {"language": None, "rows": 2, "kept": 0, "bytes": 70, "bytes_kept": 0} in summary["languages"]
    licenses = summary["licenses"]
    assert licenses["classes"][0] == {"license_class": "permissive", "rows": 6, "kept": 2, "made_stricter": 0}
    gpl = {"license": "GPL-2.0-only", "license_class": "copyleft", "rows": 1, "kept": 0, "made_stricter": 1}
    assert gpl in licenses["expressions"]
    assert (licenses["made_stricter"], licenses["made_stricter_kept"]) == (2, 0)
    assert licenses["turned"] == [
        {"from": "MIT", "to": "GPL-2.0-only", "rows": 1, "kept": 0},
        {"from": "MIT", "to": "MPL-2.0", "rows": 1, "kept": 0},
    ]
    repositories = summary["repositories"]
    assert (repositories["rows"], repositories["kept"]) == (3, 2)
    # The two with four files each come by name.
    assert [(entry["repo"], entry["rows"]) for entry in repositories["largest"]] == [
        (QUOTES, 4),
        (SCRIPT, 4),
        ("last", 3),
    ]


def test_duplicates_with_their_survivors_and_similarities(tmp_path: Path) -> None:
    duplicates = summarize(output_location(tmp_path))["duplicates"]
    assert duplicates["exact"] == {"rows": 1, "bytes": 1000}
    assert duplicates["near"] == {"rows": 2, "bytes": 1970}
    assert duplicates["survivors"] == 1
    assert duplicates["largest"] == [
        {"survivor": f"{SCRIPT}/main.py", "members": 4, "exact": 1, "near": 2, "bytes": 2970}
    ]
    found = [(entry["from"], entry["to"]) for entry in duplicates["similarities"] if entry["rows"]]
    assert found == [(0.7, 0.75), (0.95, 1.0)]


def test_licences_beyond_the_listed_are_summed_on_the_page(tmp_path: Path) -> None:
    turned = [
        ("a", f"{n}.c", 1, "C", f"GPL-2.0-only AND X{n}", "copyleft", "copy: x/y", "license.copyleft", None, None)
        for n in range(LISTED + 3)
    ]
    summary = summarize(output_location(tmp_path, turned))
    assert len(summary["licenses"]["turned"]) == LISTED + 3
    assert "3 other pairs" in render(summary)


def test_forks_that_were_dropped_and_families(tmp_path: Path) -> None:
    gone = [
        ("fork", "a.py", 10, "Python", "MIT", "permissive", None, "duplicate.repository", f"{SCRIPT}/main.py", 1.0),
        ("fork", "b.py", 20, "Python", "MIT", "permissive", None, "duplicate.repository", SCRIPT, None),
    ]
    store = output_location(tmp_path, [*FILES, *gone])
    assert summarize(store)["families"] is None
    rows = [{"family": SCRIPT, "repo": SCRIPT}, {"family": SCRIPT, "repo": "fork", "fork_of": SCRIPT}]
    schema = pa.schema([FAMILIES.field(name).with_nullable(True) for name in ("family", "repo", "fork_of")])
    write(store, Output("families", tuple(schema.names)), schema, [rows])
    summary = summarize(store)
    assert summary["families"] == {
        "families": 1,
        "repositories": 2,
        "forks": 1,
        "largest": [{"family": SCRIPT, "repositories": 2, "forks": 1}],
        "dropped": {"rows": 2, "bytes": 30, "alone": 1},
    }
    assert summary["duplicates"]["survivors"] == 1
    assert "2 files (30 B) were dropped with the forks" in render(summary)


def test_large_buckets_are_named_by_their_first_file(tmp_path: Path) -> None:
    store = output_location(tmp_path)
    rows = [{"repo": repo, "path": path} for repo, path, *_ in FILES]
    files = pa.schema([LEDGER.field("repo"), LEDGER.field("path")])
    write(store, Output("files", ("repo", "path")), files, [rows[:5], rows[5:]])
    sizes = [(1, True, 20_000), (1 << 32 | 2, False, 30_000), (1 << 32 | 2, False, 50_000), (2 << 32, True, 11_000)]
    edges = [{"left": row, "right": 0, "exact": exact, "bucket_size": size} for row, exact, size in sizes]
    edges.append({"left": 1, "right": 0, "exact": True, "bucket_size": None})
    write(store, Output("_work/edges", tuple(EDGES.names)), EDGES, [edges])
    summary = summarize(store)
    assert [tuple(entry.values()) for entry in summary["duplicates"]["buckets"]] == [
        (f"{QUOTES}/wide.js", False, 50_000, 2),
        (f"{SCRIPT}/same.py", True, 20_000, 1),
        ("a file of an earlier run", True, 11_000, 1),
    ]
    assert "Buckets of more candidates than usual" in render(summary)


def test_tokens_and_tokenizer_where_the_run_made_them(tmp_path: Path) -> None:
    store = output_location(tmp_path)
    without = write_report(store)
    assert (without["tokens"], without["tokenizer"]) == (None, None)
    assert b'id="tokens"' not in (tmp_path / "report/index.html").read_bytes()
    add_tokens(store)
    summary = write_report(store)
    assert summary["tokens"] | {"bytes": 0} == {"blocks": 5, "block": 8, "tokens": 40, "bytes": 0}
    assert summary["tokenizer"] == {"vocabulary": 3, "files": ["tokenizer.json"]}
    assert b'id="tokens"' in (tmp_path / "report/index.html").read_bytes()


def test_the_files_hold_the_summary_and_are_the_same_every_time(tmp_path: Path) -> None:
    summary = write_report(output_location(tmp_path / "one"))
    write_report(output_location(tmp_path / "another"))
    assert json.loads((tmp_path / "one/report/summary.json").read_text()) == summary
    for file in ("summary.json", "index.html"):
        assert (tmp_path / "one/report" / file).read_bytes() == (tmp_path / "another/report" / file).read_bytes()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    write_report(output_location(tmp_path))
    text = (tmp_path / "report/index.html").read_text()
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
    assert SCRIPT in page.text
    assert r'a"b&c/\u202eyp.tset' in page.text
    assert "\u202e" not in text


def test_the_page_needs_no_network_and_tells_no_content(tmp_path: Path) -> None:
    write_report(output_location(tmp_path))
    text = (tmp_path / "report/index.html").read_text()
    references = [attributes[key] for _, attributes in Page(text).tags for key in ("src", "href") if key in attributes]
    assert references
    assert all(reference and reference.startswith("#") for reference in references)
    assert "url(" not in text
    assert "@import" not in text
    assert "hunter2" not in text
    assert "hunter2" not in (tmp_path / "report/summary.json").read_text()


def test_charts_have_words_for_those_who_do_not_see_them(tmp_path: Path) -> None:
    write_report(output_location(tmp_path))
    text = (tmp_path / "report/index.html").read_text()
    charts = ["<svg" + part for part in text.split('<svg class="chart"')[1:]]
    assert len(charts) == 7
    ids = {attributes.get("id") for _, attributes in Page(text).tags}
    for tag, attributes in Page(text).tags:
        if attributes.get("class") == "chart":
            assert tag == "svg"
            assert set((attributes["aria-labelledby"] or "").split()) <= ids
    funnel = next(chart for chart in charts if 'id="funnel-title"' in chart)
    words = [funnel.index(f">{rule}<") for rule in ("read", *RULES, "kept")]
    assert words == sorted(words)


def test_the_charts_are_well_formed(tmp_path: Path) -> None:
    write_report(output_location(tmp_path))
    text = (tmp_path / "report/index.html").read_text()
    start, pieces = text.index('<svg class="chart"'), []
    while start >= 0:
        end = next(place for place in _closings(text, start))
        pieces.append(ElementTree.fromstring(text[start:end]))
        start = text.find('<svg class="chart"', end)
    widths = [float(rect.attrib["width"].rstrip("%")) for piece in pieces for rect in piece.iter("rect")]
    assert widths
    assert all(0 < width <= 100 for width in widths)


def _closings(text: str, start: int) -> Iterable[int]:
    end = start
    while True:
        end = text.index("</svg>", end) + len("</svg>")
        if text.count("<svg", start, end) == text.count("</svg>", start, end):
            yield end


def test_an_empty_run_has_a_report(tmp_path: Path) -> None:
    summary = write_report(output_location(tmp_path, []))
    assert summary["rows"] == 0
    assert summary["repositories"] == {"rows": 0, "kept": 0, "largest": []}
    assert "0 files read" in (tmp_path / "report/index.html").read_text()


def test_a_missing_ledger_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="ledger"):
        write_report(Store(str(tmp_path)))


@pytest.mark.parametrize(
    ("decision", "reason", "told"),
    [("dropped", None, "dropped with reason None"), ("lost", "input.lost", "does not add up")],
)
def test_a_ledger_that_does_not_add_up_is_refused(tmp_path: Path, decision: str, reason: str, told: str) -> None:
    store = output_location(tmp_path, FILES[:1])
    row = {"source": "toy", "repo": "a", "path": "b", "decision": decision, "reason": reason}
    kept = row | {"decision": "kept", "reason": None}
    write(store, Output("ledger", tuple(LEDGER.names)), LEDGER, [[kept, row]])
    write(store, Output("copies", tuple(COPIES.names)), COPIES, [[{"row_id": 0}, {"row_id": 1}]])
    write(store, Output("licenses", ("license",)), pa.schema([COPIES.field("license")]), [[{}, {}]])
    with pytest.raises(ValueError, match=told):
        write_report(store)
    assert not store.exists("report", "summary.json")


def test_a_corpus_that_misses_a_kept_file_is_refused(tmp_path: Path) -> None:
    store = output_location(tmp_path)
    arrow = Output("corpus", tuple(CORPUS.names), format="arrow", file_name="data-{shard:05d}.arrow")
    write(store, arrow, CORPUS, [[{"repo": "a", "path": "b", "content": ""}]])
    with pytest.raises(ValueError, match="keeps 2 files, the corpus holds 1"):
        write_report(store)


@given(st.lists(st.lists(st.sampled_from("abcdef"), max_size=8), max_size=8))
def test_totals_do_not_depend_on_batches(batches: list[list[str]]) -> None:
    totals = Totals(("key",), ("rows",))
    for keys in batches:
        totals.add(pa.table({"key": pa.array(keys, pa.string()), "rows": pa.array([1] * len(keys), pa.int64())}))
    keys = [key for batch in batches for key in batch]
    expected = sorted(((keys.count(key), key) for key in set(keys)), key=lambda entry: (-entry[0], entry[1]))
    assert [(row["rows"], row["key"]) for row in totals.table().to_pylist()] == expected
    assert totals.complete


def test_totals_let_the_rarest_go_before_memory_grows() -> None:
    totals = Totals(("key",), ("rows",), most_bytes=10_000)
    for start in range(0, 200_000, 500):
        keys = ["often", *map(str, range(start, start + 500))]
        totals.add(pa.table({"key": keys, "rows": pa.array([1] * 501, pa.int64())}))
    table = totals.table()
    assert not totals.complete
    assert table.nbytes < 12_000
    assert table.slice(0, 1).to_pylist() == [{"key": "often", "rows": 400}]


def test_numbers_and_names_read_well() -> None:
    assert count(1234567) == "1,234,567"
    assert [size(n) for n in (0, 999, 1000, 99_960, 999_600, 379_000_000, 67_500_000_000_000)] == [
        "0 B",
        "999 B",
        "1.00 kB",
        "100 kB",
        "1.00 MB",
        "379 MB",
        "67.5 TB",
    ]
    assert [share(*pair) for pair in ((0, 0), (1, 10_000), (1, 3), (9_999, 10_000), (7, 7))] == [
        "0%",
        "<0.1%",
        "33.3%",
        ">99.9%",
        "100%",
    ]
    assert name("a\nb\x1b[0m\u2066") == r"a\nb\x1b[0m\u2066"
    assert len(name("x" * 5000)) < 130


def test_every_reason_has_words() -> None:
    assert "benchmark" in meaning("contaminated.humaneval")
    assert meaning("license.new_rule") == meaning("license")
    assert meaning("brand.new").endswith(".")


def test_a_rule_of_a_later_release_has_its_place_before_what_is_kept(tmp_path: Path) -> None:
    forks = ("fork", "a.py", 10, "Python", "MIT", "permissive", "a: MIT", "novelty.low", None, None)
    summary = summarize(output_location(tmp_path, [*FILES, forks]))
    assert [entry["reason"] for entry in summary["reasons"]][-2:] == ["novelty.low", None]
    assert ">novelty<" in render(summary)
