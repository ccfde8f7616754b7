"""Queries and Google's tables of GitHub repositories, over the wire from an emulator of BigQuery."""

import math
import os
import socket
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain, count
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from jobs.curate import curation
from jobs.recipe import Recipe, RecipeError, load_recipe
from jobs.run import run
from jobs.steps import sources
from pipeline.engines import beam, inline
from pipeline.execution import Job, StepError
from pipeline.plan import Map, Output, Plan
from pipeline.sources import Interrupted, Limits, Split, bigquery
from pipeline.sources.bigquery import BigQuerySource, queries
from pipeline.sources.files import SourceError
from pipeline.sources.rows import content_id
from pipeline.sources.tables import Columns
from pipeline.storage import Store
from schemas.datasets import SOURCE_ROW
from tests.bigquery_emulator import Emulator, started
from tests.corpora import stdlib

FILES = {"repo_name": "STRING", "ref": "STRING", "path": "STRING", "mode": "INT64", "id": "STRING"}
CONTENTS = {"id": "STRING", "size": "INT64", "content": "STRING", "binary": "BOOL", "copies": "INT64"}
LICENSES = {"repo_name": "STRING", "license": "STRING"}
REPOS = {"repo_name": "STRING", "watch_count": "INT64"}
LATIN = "# café\nname = 'é'\n".encode("latin-1")


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with started() as emulator:
        yield emulator


def blob(content: bytes | str, shown: str | None = "", **changes: object) -> dict:
    """A row of `contents` for a file's bytes; `shown` is the text that the table has instead of them."""
    data = content.encode() if isinstance(content, str) else content
    text = data.decode() if shown == "" else shown
    return {"id": content_id(data), "size": len(data), "content": text, "binary": False, "copies": 1} | changes


@pytest.fixture(scope="module")
def github(emulator: Emulator) -> str:
    """A dataset in the layout of github_repos with each of its quirks."""
    heap, wrap, zoo = blob(stdlib("heapq")), blob(stdlib("textwrap")), blob(stdlib("sched"))
    blobs = {
        "image.png": blob(bytes(range(256)), None, binary=True),
        "huge.py": blob(b"x = 1\n" * 200_000, None),
        "cut.py": blob(stdlib("shelve"), stdlib("shelve")[:1000]),
        "latin.py": blob(LATIN, LATIN.decode("utf-8", "replace")),
        "empty.py": blob("", None),
        "none.py": blob("lost"),
        "link.py": blob("src/heap.py"),
    }
    paths = [
        ("ada/tools", "src/heap.py", heap),
        ("ada/tools", "src/copy.py", heap),
        ("cat/more", "heap.py", heap),
        ("bob/free", "wrap.py", wrap),
        ("eve/bare", "zoo.py", zoo),
        *(("ada/tools", path, row) for path, row in blobs.items()),
    ]
    files = [
        {"repo_name": repo, "ref": "refs/heads/main", "path": path, "mode": 33188, "id": row["id"]}
        for repo, path, row in paths
    ]
    files[-1]["mode"] = 40960
    contents = [row for row in (heap, wrap, zoo, *blobs.values()) if row is not blobs["none.py"]]
    licenses = [("ada/tools", "mit"), ("ada/tools", "apache-2.0"), ("bob/free", "gpl-2.0"), ("cat/more", "mit")]
    rows = [{"repo_name": repo, "license": license} for repo, license in licenses]
    for prefix in ("", "sample_"):
        emulator.fill(f"lake.github.{prefix}files", FILES, files)
        emulator.fill(f"lake.github.{prefix}contents", CONTENTS, contents)
    emulator.fill("lake.github.licenses", LICENSES, rows)
    stars = [{"repo_name": repo, "watch_count": count} for repo, count in (("cat/more", 70), ("bob/free", 5))]
    emulator.fill("lake.github.sample_repos", REPOS, stars)
    return "lake.github"


PLAIN = [
    *("languages.keep=all", "license.enabled=false", "quality.enabled=false", "dedup.exact.enabled=false"),
    *("dedup.near.enabled=false", "dedup.repositories.enabled=false", "pii.enabled=false"),
    "decontaminate.enabled=false",
]
"""Every readable text is kept as it is, quickly."""


def recipe(folder: Path, emulator: Emulator, *settings: str, **source: object) -> Recipe:
    folder.mkdir(exist_ok=True, parents=True)
    path = folder / "recipe.yaml"
    block = {"kind": "bigquery", "project": "payer"} | emulator.endpoints | source
    path.write_text(yaml.safe_dump({"sources": [block], "output": {"shards": 2}}))
    return load_recipe(path, ["tokenize.enabled=false", "toxicity.enabled=false", "engine.kind=inline", *settings])


FATES = {
    "ada/tools/src/heap.py": ("dropped", "duplicate.exact"),
    "ada/tools/src/copy.py": ("dropped", "duplicate.exact"),
    "cat/more/heap.py": ("kept", None),
    "bob/free/wrap.py": ("dropped", "license.copyleft"),
    "eve/bare/zoo.py": ("dropped", "license.unknown"),
    "ada/tools/image.png": ("dropped", "input.binary"),
    "ada/tools/huge.py": ("failed", "input.truncated"),
    "ada/tools/cut.py": ("failed", "input.truncated"),
    "ada/tools/latin.py": ("failed", "input.altered"),
    "ada/tools/empty.py": ("dropped", "input.empty"),
    "ada/tools/none.py": ("dropped", "input.no_content"),
    "ada/tools/link.py": ("dropped", "input.not_regular"),
}


@pytest.fixture(scope="module")
def store(emulator: Emulator, github: str, tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("github")
    store = Store(str(folder / "inline"))
    assert run(recipe(folder, emulator, preset="github_repos", dataset=github), store)
    return store


def test_every_path_of_github_repos_has_its_fate(store: Store, github: str) -> None:
    rows = {f"{row['repo']}/{row['path']}": row for row in store.table("ledger").to_pylist()}
    assert {name: (row["decision"], row["reason"]) for name, row in rows.items()} == FATES
    assert {row["revision"] for row in rows.values()} == {"refs/heads/main"}
    assert {row["source"] for row in rows.values()} == {f"bigquery:{github}"}
    assert rows["ada/tools/latin.py"]["content_id"] == content_id(LATIN)
    assert rows["ada/tools/huge.py"]["size"] == 1_200_000
    assert rows["ada/tools/cut.py"]["detail"].startswith("1000 of ")


def test_watchers_are_stars_and_decide_who_stays(store: Store) -> None:
    stars = {row["repo"]: row["claimed_stars"] for row in store.table("files").to_pylist()}
    assert stars == {"ada/tools": None, "cat/more": 70, "bob/free": 5, "eve/bare": None}
    assert {row["repo"]: row["repo_stars"] for row in store.table("corpus").to_pylist()} == {"cat/more": 70}


def test_a_repository_has_all_the_licences_that_the_table_names(store: Store) -> None:
    claims = {row["repo"]: row["claimed_license"] for row in store.table("files").to_pylist()}
    assert claims == {"ada/tools": "apache-2.0 AND mit", "bob/free": "gpl-2.0", "cat/more": "mit", "eve/bare": None}
    licenses = {row["repo"]: row["license"] for row in store.table("ledger").to_pylist() if row["path"] == "wrap.py"}
    assert licenses["bob/free"].startswith("GPL-2.0-only")


def ingest(source: BigQuerySource, store: Store, engine: ModuleType, *settings: Any) -> None:
    """Reads a source in small splits into `files`, on an engine."""
    splits = tuple(source.splits(4096))
    for query in queries(splits):
        query.ask()
    step = Map("ingest", (Output("files", tuple(SOURCE_ROW.names)),), len(splits), splits=splits, limits=Limits())
    Path(store.path()).mkdir()  # Beam's workers write their log there
    engine.run(Job(Plan.of(step), store), *settings)


def test_beam_gives_the_same_bytes_and_the_query_is_paid_once(emulator: Emulator, github: str, tmp_path: Path) -> None:
    paid = len(emulator.jobs())
    source = BigQuerySource("payer", preset="github_repos", dataset=github, **emulator.endpoints)
    one, other = Store(str(tmp_path / "inline")), Store(str(tmp_path / "beam"))
    ingest(source, one, inline)
    ingest(source, other, beam, "DirectRunner", 2)
    assert one.committed("files").rows == len(FATES)
    assert [shard.sha256 for shard in one.committed("files").shards] == [
        shard.sha256 for shard in other.committed("files").shards
    ]
    assert len(one.committed("files").shards) > 3
    assert len(emulator.jobs()) == paid + 1


def test_a_run_that_is_done_does_nothing(emulator: Emulator, github: str, store: Store, tmp_path: Path) -> None:
    assert not run(recipe(tmp_path, emulator, preset="github_repos", dataset=github), store)


def test_the_sample_has_tables_of_its_own(emulator: Emulator, github: str) -> None:
    source = BigQuerySource("payer", preset="github_repos_sample", dataset=github, **emulator.endpoints)
    [query] = queries(source.splits(1 << 30))
    assert [name for name, _ in query.tables] == [
        "lake.github.licenses",
        "lake.github.sample_contents",
        "lake.github.sample_files",
        "lake.github.sample_repos",
    ]
    assert len(read(source)) == len(FATES)


# queries of one's own


def numbered(count: int, size: int = 200) -> list[dict]:
    lines = [f"value_{n} = {n}\n" * (1 + size // 20) for n in range(count)]
    return [
        {"name": f"o/r{n % 5}", "file": f"{n:03d}.py", "body": line, "terms": ["MIT", "ISC"][: n % 3]}
        for n, line in enumerate(lines)
    ]


@pytest.fixture(scope="module")
def table(emulator: Emulator) -> str:
    columns = {"name": "STRING", "file": "STRING", "body": "STRING", "terms": "STRING[]"}
    emulator.fill("lake.own.code", columns, numbered(100))
    return "lake.own.code"


NAMED = Columns(content="body", repo="name", path="file", license="terms")


def read(source: BigQuerySource, target: int = 4096) -> list[dict]:
    splits = source.splits(target)
    for query in queries(splits):
        query.ask()
    return [row for split in splits for batch in split.read() for row in batch.to_pylist()]


def test_a_query_gives_its_columns_under_our_names(emulator: Emulator, table: str) -> None:
    source = BigQuerySource("payer", query=f"SELECT * FROM `{table}`; -- all;\n", columns=NAMED, **emulator.endpoints)
    rows = read(source)
    assert len({row["path"] for row in rows}) == len(rows) == 100
    by_path = {row["path"]: row for row in rows}
    assert [by_path[f"00{n}.py"]["claimed_license"] for n in range(3)] == [None, "MIT", "MIT AND ISC"]
    assert by_path["007.py"]["content"] == numbered(8)[7]["body"]
    assert by_path["007.py"]["repo"] == "o/r2"


def test_streams_are_the_same_rows_in_the_same_order_whatever_order_the_table_has(
    emulator: Emulator, table: str
) -> None:
    def streams(order: str) -> list[list[str]]:
        # What an emulator's table gives in the order of its rows, the service gives in any.
        query = f"SELECT * FROM `{table}` ORDER BY {order}"
        source = BigQuerySource("payer", query=query, columns=NAMED, **emulator.endpoints)
        splits = source.splits(2000)
        assert len(splits) > 5
        [asked] = queries(splits)
        asked.ask()
        return [[row["path"] for batch in split.read() for row in batch.to_pylist()] for split in splits]

    assert streams("file") == streams("file DESC") == streams("body")


def test_rows_without_a_path_are_told_apart(emulator: Emulator, table: str) -> None:
    query = f"SELECT body AS content FROM `{table}` UNION ALL SELECT body FROM `{table}`"
    rows = read(BigQuerySource("payer", query=query, **emulator.endpoints))
    assert len({row["path"] for row in rows}) == len(rows) == 200
    assert {row["repo"] for row in rows} == {"query"}


def test_a_table_that_changes_is_another_source(emulator: Emulator) -> None:
    def fingerprints(count: int) -> list[str]:
        emulator.fill("lake.own.moving", {"content": "STRING"}, [{"content": f"{n}"} for n in range(count)])
        source = BigQuerySource("payer", query="SELECT * FROM `lake.own.moving`", **emulator.endpoints)
        return [split.fingerprint for split in source.splits(1 << 30)]

    assert fingerprints(3) != fingerprints(4)


# connections that break


@contextmanager
def unreliable(port: int, cuts: Iterator[float]) -> Iterator[tuple[int, Counter]]:
    """A port that leads to another one, and cuts each connection after so many bytes; counts connections."""
    told: Counter = Counter()
    listener = socket.create_server(("127.0.0.1", 0))

    def pump(source: socket.socket, sink: socket.socket, left: float) -> None:
        try:
            while left > 0 and (data := source.recv(1024)):
                sink.sendall(data)
                left -= len(data)
        except OSError:
            told["broken"] += 1
        for end in (source, sink):
            end.close()

    def accept() -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(("127.0.0.1", port))
            told["connections"] += 1
            left = next(cuts, math.inf)
            threading.Thread(target=pump, args=(near, far, math.inf), daemon=True).start()
            threading.Thread(target=pump, args=(far, near, left), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], told
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bigquery, "PAUSES", (0.05, 0.05))


def at(port: int) -> dict[str, str]:
    return {"storage_endpoint": f"http://127.0.0.1:{port}"}


def large(emulator: Emulator, port: int) -> list[Split]:
    emulator.fill(
        "lake.own.large",
        {"path": "STRING", "content": "STRING"},
        [{"path": row["file"], "content": row["body"]} for row in numbered(400, 4000)],
    )
    endpoints = emulator.endpoints | at(port)
    splits = BigQuerySource("payer", query="SELECT * FROM `lake.own.large`", **endpoints).splits(1 << 30)
    for query in queries(splits):
        query.ask()
    return splits


def test_a_broken_stream_goes_on_behind_its_last_row(emulator: Emulator, impatient: None) -> None:
    with unreliable(emulator.grpc, iter([300_000, 400_000, 500_000])) as (port, told):
        [split] = large(emulator, port)
        rows = [row for batch in split.read() for row in batch.to_pylist()]
    assert told["connections"] >= 4
    assert [row["path"] for row in rows] == [f"{n:03d}.py" for n in range(400)]
    assert rows[399]["content"] == numbered(400, 4000)[399]["body"]


def test_a_stream_that_stays_broken_is_interrupted_and_loses_nothing(emulator: Emulator, impatient: None) -> None:
    with unreliable(emulator.grpc, chain([300_000], [0] * 3)) as (port, _):
        [split] = large(emulator, port)
        with pytest.raises(Interrupted, match=r"lake\.own\.large: "):
            list(split.read())


def test_a_run_that_broke_goes_on_with_the_answer_that_it_has(
    emulator: Emulator, table: str, tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SPLIT_BYTES", (4096, 4096))
    # Answers otherwise each time: whether rows are those of one answer can be seen.
    query = f"SELECT name AS repo, file AS path, body AS content FROM `{table}` ORDER BY RAND() LIMIT 50"

    def answer() -> list[str]:
        return sorted(row["path"] for row in emulator.client().query(f"SELECT path FROM `{result}`").result())

    def ledger() -> list[str]:
        return sorted(row["path"] for row in out.table("ledger").to_pylist())

    down = threading.Event()
    down.set()
    with unreliable(emulator.grpc, chain([9000], (0 if down.is_set() else math.inf for _ in count()))) as (port, _):
        wanted = recipe(tmp_path, emulator, *PLAIN, query=query, **at(port))
        out = Store(str(tmp_path / "out"))
        with pytest.raises(StepError, match=r"step ingest, shard \d+: Interrupted: bigquery:lake\.own\.code"):
            run(wanted, out)
        assert out.names("_progress", "ingest")
        paid = len(emulator.jobs())
        [(name, _)] = out.read_json("_run.json")["answers"].items()
        result = f"payer.codesieve_us.{name}"
        first = answer()
        down.clear()
        monkeypatch.setattr(bigquery, "PAUSES", (1, 1, 2, 4))
        assert run(wanted, out)
        assert ledger() == first
        assert len(emulator.jobs()) == paid


def test_shards_of_two_answers_never_meet(
    emulator: Emulator, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "SPLIT_BYTES", (4096, 4096))
    query = f"SELECT name AS repo, file AS path, body AS content FROM `{table}` ORDER BY RAND() LIMIT 49"
    out, answers = Store(str(tmp_path / "out")), []

    def answer() -> list[str]:
        return sorted(row["path"] for row in emulator.client().query(f"SELECT path FROM `{result}`").result())

    def cuts() -> Iterator[float]:
        """Behind the back of the run, before its third stream: the result is gone, and another run asks anew."""
        yield from (math.inf, math.inf)
        answers.append(answer())
        emulator.client().delete_table(result)
        asked.ask()
        answers.append(answer())
        yield math.inf

    with unreliable(emulator.grpc, cuts()) as (port, _):
        wanted = recipe(tmp_path, emulator, *PLAIN, query=query, **at(port))
        first = curation(wanted).steps[0]
        assert isinstance(first, Map)
        [asked] = queries(first.splits)
        result = f"payer.{asked.dataset}.{asked.table}"
        with pytest.raises(StepError, match=r"made anew while it was read; start again"):
            run(wanted, out)
        assert len(out.names("_progress", "ingest")) == 2
        assert run(wanted, out)
    before, after = answers
    assert before != after == sorted(row["path"] for row in out.table("ledger").to_pylist())


def test_other_streams_are_another_answer(emulator: Emulator, table: str) -> None:
    source = BigQuerySource("payer", query=f"SELECT * FROM `{table}`", columns=NAMED, **emulator.endpoints)
    [few], [many] = (queries(source.splits(target)) for target in (8192, 2048))
    assert few.table != many.table
    assert sorted(row["path"] for row in read(source, 8192)) == sorted(row["path"] for row in read(source, 2048))


def test_runs_that_ask_at_once_pay_once(emulator: Emulator, table: str) -> None:
    query = f"SELECT body AS content, file AS path FROM `{table}` WHERE name = 'o/r1'"
    [asked] = queries(BigQuerySource("payer", query=query, **emulator.endpoints).splits(1 << 30))
    paid = len(emulator.jobs())
    with ThreadPoolExecutor() as threads:
        answers = {answer.result() for answer in [threads.submit(asked.ask) for _ in range(4)]}
    assert len(answers) == 1
    assert len(emulator.jobs()) == paid + 1


# mistakes


def codesieve(command: str, *arguments: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent.parent)}
    return subprocess.run(
        [sys.executable, "-m", "jobs.cli", command, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_a_query_over_its_bound_is_refused_before_it_is_asked(emulator: Emulator, github: str, tmp_path: Path) -> None:
    asked = emulator.jobs()
    recipe(tmp_path, emulator, preset="github_repos", dataset=github, max_bytes_billed=1_000_000)
    done = codesieve("run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out"))
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert "billed for 41943040 bytes > max_bytes_billed 1000000" in line
    assert emulator.jobs() == asked


def test_a_plan_tells_the_price_and_asks_nothing(emulator: Emulator, github: str, tmp_path: Path) -> None:
    asked = emulator.jobs()
    recipe(tmp_path, emulator, preset="github_repos", dataset=github)
    done = codesieve("plan", str(tmp_path / "recipe.yaml"))
    assert done.returncode == 0, done.stderr
    assert "0.00 $ at 6.25 $ a TiB" in done.stdout
    assert emulator.jobs() == asked


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELEC 1", "Syntax error"),
        ("SELECT * FROM `lake.own.nowhere`", "Not found: Table lake.own.nowhere"),
        ("SELECT file FROM `lake.own.code`", "no column of text"),
        ("SELECT 7 AS content", "column content holds INTEGER, not text"),
        ("SELECT terms AS path, body AS content FROM `lake.own.code`", "column path holds a list"),
        ("SELECT body AS content FROM `lake.own.code` WHERE FALSE", "gives no rows"),
    ],
)
def test_a_mistake_in_a_query_is_told_in_one_line(emulator: Emulator, table: str, query: str, told: str) -> None:
    with pytest.raises(SourceError, match=told) as mistake:
        read(BigQuerySource("payer", query=query, **emulator.endpoints))
    assert "\n" not in str(mistake.value)
    assert "127.0.0.1" not in str(mistake.value)


@pytest.mark.parametrize(
    ("block", "told"),
    [
        ({"preset": "github_repos", "query": "SELECT 1"}, "name either a query or a preset"),
        ({}, "name either a query or a preset"),
        ({"preset": "github_repos", "columns": {"repo": "r"}}, "columns belongs to query"),
        ({"preset": "github_repos", "dataset": "x`; DROP"}, "dataset"),
        ({"query": "SELECT 1", "api_endpoint": "http://example.org"}, "an endpoint is https://host, without a login"),
        ({"query": "SELECT 1", "storage_endpoint": "https://me:secret@example.org"}, "without a login"),
    ],
)
def test_a_mistake_in_the_recipe_is_told_with_its_line(tmp_path: Path, block: dict, told: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump({"sources": [{"kind": "bigquery", "project": "p"} | block]}))
    with pytest.raises(RecipeError, match=told):
        load_recipe(path)
