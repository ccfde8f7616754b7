"""The main job on a small corpus that holds one of everything: the same fates and bytes on every engine."""

import fcntl
import json
import resource
import subprocess
import sys
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.ipc
import pytest
from tokenizers import Tokenizer

from jobs import why
from jobs.recipe import Recipe, RecipeError, load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.storage import Store
from tests import words
from tests.corpora import heapq_variant, one_of_everything, stdlib, tar_gz
from tests.datasets_on_disk import digests
from tests.ray_cluster import two_nodes

SMALL = ["tokenize.vocab_size=600", "tokenize.block=64", "output.shards=2"]


def recipe(dumps: Path, *settings: str, engine: str = "inline", workers: int = 1) -> Recipe:
    path = dumps.parent / "recipe.yaml"
    path.write_text("sources:\n  - kind: archive\n    uri: UNSET\n")
    uri = f"sources.0.uri={dumps}/**/*"
    return load_recipe(path, [uri, *SMALL, f"engine.kind={engine}", f"engine.workers={workers}", *settings])


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return one_of_everything(tmp_path_factory.mktemp("corpus") / "dumps")


@pytest.fixture(scope="module")
def store(dumps: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = Store(str(tmp_path_factory.mktemp("out") / "inline"))
    assert run(recipe(dumps), out)
    return out


def fates(store: Store) -> dict[str, tuple[str, str | None]]:
    rows = store.table("ledger").to_pylist()
    return {f"{row['repo']}/{row['path']}": (row["decision"], row["reason"]) for row in rows}


def test_every_file_has_its_fate(store: Store) -> None:
    assert fates(store) == {
        "ada/tools/LICENSE": ("dropped", "language.not_selected"),
        "ada/tools/src/heap.py": ("kept", None),
        "ada/tools/src/bisect.py": ("kept", None),
        "ada/tools/src/copied.py": ("dropped", "license.copyleft"),
        "ada/tools/src/secrets.py": ("kept", None),
        "ada/tools/src/long.py": ("dropped", "quality.max_line_length"),
        "ada/tools/src/eval.py": ("dropped", "contaminated.humaneval"),
        "ada/tools/empty.py": ("dropped", "input.empty"),
        "ada/tools/latin.py": ("failed", "input.not_utf8"),
        "ada/tools/data.bin": ("dropped", "input.binary"),
        "ada/tools/notes.md": ("dropped", "language.not_selected"),
        "bob/free/COPYING": ("dropped", "language.not_selected"),
        "bob/free/wrap.py": ("dropped", "license.copyleft"),
        "bob/free/shelf.py": ("dropped", "license.copyleft"),
        "eve/LICENSE.txt": ("dropped", "language.not_selected"),
        "eve/heapcopy.py": ("dropped", "duplicate.exact"),
        "eve/heapnear.py": ("dropped", "duplicate.near"),
        "eve/wrapped.py": ("dropped", "license.copyleft"),
        "eve/unlicensed/../../escape.py": ("failed", "input.unsafe_path"),
        "zoe/plain/queue_.py": ("dropped", "license.unknown"),
        "zoe/plain/sched_.py": ("dropped", "license.unknown"),
    }


def test_a_near_copy_of_gpl_code_is_gpl_and_says_where_it_was_seen(store: Store) -> None:
    [fate] = why.fates(store, "eve/wrapped.py")
    assert fate["license"] == "GPL-2.0-or-later"
    told = dict(why.tell(fate))
    assert told["fate"] == "dropped: license.copyleft"
    [line] = [text for label, text in why.tell(fate) if label == "evidence" and "near copy" in text]
    assert line.endswith("ada/tools/src/copied.py GPL-2.0-or-later")


def test_a_near_duplicate_names_its_survivor_and_similarity(store: Store) -> None:
    [fate] = why.fates(store, "eve/heapnear.py")
    assert fate["survivor"] == "ada/tools/src/heap.py"
    similarity = fate["measures"]["similarity"]
    assert fate["detail"] == f"similarity {similarity:.3f} >= 0.7"
    assert similarity == pytest.approx(words.similarity(stdlib("heapq"), heapq_variant()))


def test_the_corpus_opens_with_datasets_and_holds_what_the_ledger_keeps(store: Store) -> None:
    corpus = datasets.load_from_disk(store.path("corpus"))
    kept = {name for name, (decision, _) in fates(store).items() if decision == "kept"}
    assert {f"{row['repo']}/{row['path']}" for row in corpus} == kept
    by_path = {row["path"]: row for row in corpus}
    assert by_path["src/heap.py"]["content"] == stdlib("heapq")
    assert by_path["src/heap.py"]["license"] == "MIT"


def test_secrets_are_redacted_and_never_told(store: Store) -> None:
    corpus = datasets.load_from_disk(store.path("corpus"))
    [row] = [row for row in corpus if row["path"] == "src/secrets.py"]
    assert "<EMAIL_ADDRESS>" in row["content"]
    assert "navy-research" not in row["content"]
    write_report(store)
    for folder in ("ledger", "report", "measures", "copies"):
        for file in Path(store.path(folder)).iterdir():
            assert b"grace.hopper" not in file.read_bytes()
            assert b"AKIAIOSFODNN7EXAMPLQ" not in file.read_bytes()
    assert b"grace.hopper" not in Path(store.path("_log.jsonl")).read_bytes() if store.exists("_log.jsonl") else True


def test_tokens_decode_to_documents_of_the_corpus(store: Store) -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(store.path("tokenizer"))
    corpus = datasets.load_from_disk(store.path("corpus"))
    texts = [row["content"] for row in corpus]
    blocks = datasets.load_from_disk(store.path("tokens"))
    assert blocks.num_rows > 10
    for block in blocks:
        assert len(block["tokens"]) == 64
        for piece in tokenizer.decode(block["tokens"]).split("<|endoftext|>"):
            whole = piece.strip("\ufffd")
            assert any(whole in text for text in texts)
    ends = sum(block["tokens"][: block["token_count"]].count(tokenizer.eos_token_id) for block in blocks)
    assert ends == len(texts)


def test_tokens_are_memory_mapped_and_lead_back_to_their_files(store: Store) -> None:
    corpus = {
        row_id: row["content_id"]
        for shard in range(2)
        for batch in store.read("corpus", shard, ("row_id", "content_id"))
        for row_id, row in zip(batch.column("row_id").to_pylist(), batch.to_pylist(), strict=True)
    }
    for shard in store.committed("tokens").shards:
        with pa.memory_map(store.path("tokens", shard.file)) as source:
            table = pa.ipc.open_stream(source).read_all()
        assert table.schema.field("tokens").type == pa.list_(pa.uint16(), 64)
        for documents in table.column("documents").to_pylist():
            assert set(documents) <= set(corpus)


def test_conservation(store: Store) -> None:
    files, ledger, corpus = (store.committed(name) for name in ("files", "ledger", "corpus"))
    assert files.rows == ledger.rows
    kept = sum(count for key, count in ledger.tally().items() if "decision=kept" in key)
    assert kept == corpus.rows
    assert sum(ledger.tally().values()) == ledger.rows
    summary = write_report(store)
    assert summary["rows"] == summary["kept"] + summary["dropped"] + summary["failed"] == files.rows


def test_a_second_run_does_nothing(store: Store, dumps: Path) -> None:
    before = digests(Path(store.path()))
    assert not run(recipe(dumps), store)
    assert digests(Path(store.path())) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_beam_gives_the_same_bytes(workers: int, store: Store, dumps: Path, tmp_path: Path) -> None:
    other = Store(str(tmp_path / "beam"))
    run(recipe(dumps, engine="beam", workers=workers), other)
    write_report(store)
    write_report(other)
    assert digests(tmp_path / "beam") == digests(Path(store.path()))


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_bytes(store: Store, dumps: Path, tmp_path: Path) -> None:
    run(recipe(dumps, f"engine.address={two_nodes().address}", engine="ray"), Store(str(tmp_path / "ray")))
    write_report(store)
    write_report(Store(str(tmp_path / "ray")))
    assert digests(tmp_path / "ray") == digests(Path(store.path()))


def test_another_recipe_is_refused_unless_it_replaces(dumps: Path, store: Store, tmp_path: Path) -> None:
    out = Store(str(tmp_path / "out"))
    off = ["tokenize.enabled=false", "license.enabled=false", "toxicity.enabled=false", "pii.enabled=false"]
    assert run(recipe(dumps, *off), out)
    with pytest.raises(RecipeError, match=r"holds the data of another recipe \(dedup.near.threshold differs\)"):
        run(recipe(dumps, *off, "dedup.near.threshold=0.99"), out)
    files = Path(out.path("files", "part-00000.parquet")).stat().st_mtime_ns
    assert run(recipe(dumps, *off, "dedup.near.threshold=0.99"), out, replace=True)
    assert Path(out.path("files", "part-00000.parquet")).stat().st_mtime_ns == files
    assert fates(out)["eve/heapnear.py"] == ("kept", None)
    assert fates(store)["eve/heapnear.py"] == ("dropped", "duplicate.near")


def test_files_of_something_else_are_refused(dumps: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(RecipeError, match=r"holds files of something else \(thesis.txt\)"):
        run(recipe(dumps), Store(str(tmp_path)))
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_with_every_block_off_each_readable_text_is_kept_as_it_is(dumps: Path, tmp_path: Path) -> None:
    blocks = ("license", "quality", "dedup.exact", "dedup.near", "pii", "toxicity", "decontaminate", "tokenize")
    off = [f"{block}.enabled=false" for block in blocks]
    store = Store(str(tmp_path / "out"))
    run(recipe(dumps, *off, "languages.keep=all"), store)
    not_kept = {name: reason for name, (decision, reason) in fates(store).items() if decision != "kept"}
    assert not_kept == {
        "ada/tools/empty.py": "input.empty",
        "ada/tools/latin.py": "input.not_utf8",
        "ada/tools/data.bin": "input.binary",
        "eve/unlicensed/../../escape.py": "input.unsafe_path",
    }
    corpus = {f"{row['repo']}/{row['path']}": row["content"] for row in datasets.load_from_disk(store.path("corpus"))}
    assert corpus["eve/heapcopy.py"] == stdlib("heapq")
    assert "AKIAIOSFODNN7EXAMPLQ" in corpus["ada/tools/src/secrets.py"]


def test_a_given_tokenizer_is_used(store: Store, dumps: Path, tmp_path: Path) -> None:
    given = store.path("tokenizer", "tokenizer.json")
    out = Store(str(tmp_path / "out"))
    run(recipe(dumps, f"tokenize.tokenizer={given}", "license.enabled=false", "toxicity.enabled=false"), out)
    model = json.loads(Path(given).read_text())["model"]
    assert json.loads(Path(out.path("tokenizer", "tokenizer.json")).read_text())["model"] == model
    with pytest.raises(RecipeError, match=r"tokenize\.tokenizer"):
        run(recipe(dumps, f"tokenize.tokenizer={dumps / 'eve.zip'}"), Store(str(tmp_path / "other")))


def test_a_benchmark_of_ones_own_keeps_its_copies_out(dumps: Path, tmp_path: Path) -> None:
    benchmark = tmp_path / "mine.jsonl"
    benchmark.write_text(json.dumps({"task_id": "mine/1", "prompt": stdlib("bisect")}) + "\n")
    off = ["license.enabled=false", "tokenize.enabled=false", "toxicity.enabled=false", "pii.enabled=false"]
    store = Store(str(tmp_path / "out"))
    run(recipe(dumps, *off, f"decontaminate.benchmarks=[{benchmark}]"), store)
    assert fates(store)["ada/tools/src/bisect.py"] == ("dropped", "contaminated.mine")
    with pytest.raises(RecipeError, match=r"decontaminate\.benchmarks: .*none\.jsonl"):
        run(recipe(dumps, f"decontaminate.benchmarks=[{tmp_path}/none.jsonl]"), store, replace=True)


def test_nothing_kept_is_still_a_whole_run(tmp_path: Path) -> None:
    dumps = tmp_path / "dumps"
    tar_gz(dumps / "a.tar.gz", {"x.bin": b"\0\1"})
    store = Store(str(tmp_path / "out"))
    run(recipe(dumps), store)
    assert fates(store) == {"a/x.bin": ("dropped", "input.binary")}
    assert datasets.load_from_disk(store.path("corpus")).num_rows == 0
    assert write_report(store)["kept"] == 0


def codesieve(*arguments: str, **options) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "jobs.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


def test_the_command_line(dumps: Path, store: Store, tmp_path: Path) -> None:
    """What a user sees: a table at the end, one line and exit code 2 for a mistake, never a traceback."""
    path = tmp_path / "mine.yaml"
    path.write_text(f"sources:\n  - kind: directory\n    uri: {tmp_path}/none\n")
    for arguments, message in (
        (["run", str(path), "--out", str(tmp_path / "o")], "codesieve: "),
        (["run", str(tmp_path / "none.yaml")], "cannot be read"),
        (["why", str(tmp_path), "a/b"], "codesieve: "),
        (["status", str(tmp_path)], "holds no run of codesieve"),
        (["why", store.path(), "eve/heapner.py"], "is not in the ledger"),
        (["why", store.path(), "--token", "99999", "0"], "there is no block 99999"),
        (["why", store.path(), "--token", "0", "64"], "there is no token 64 in block 0"),
    ):
        done = codesieve(*arguments)
        assert done.returncode == 2, done.stderr
        assert message in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    told = codesieve("why", store.path(), "eve/heapnear.py")
    assert told.returncode == 0
    assert "dropped: duplicate.near" in told.stdout
    told = codesieve("why", store.path(), "--token", "1", "5")
    assert told.returncode == 0, told.stderr
    assert "kept" in told.stdout
    assert "done, 21 rows" in codesieve("status", store.path()).stdout
    assert codesieve("report", store.path()).stdout.strip() == store.path("report", "index.html")


def test_a_token_leads_back_to_its_file(store: Store) -> None:
    tokenizer = Tokenizer.from_file(store.path("tokenizer", "tokenizer.json"))
    corpus = {(row["repo"], row["path"]): row["content"] for row in store.table("corpus").to_pylist()}
    encoded = {name: [*tokenizer.encode(content).ids, 599] for name, content in corpus.items()}
    blocks = store.table("tokens", ("token_count",)).to_pylist()
    for block in range(0, len(blocks), 5):
        for offset in (0, 31, blocks[block]["token_count"] - 1):
            token = why.token(store, block, offset)
            assert encoded[token.repo, token.path][token.place] == token.id
            assert tokenizer.decode([token.id], skip_special_tokens=False) == token.text


def test_a_plan_is_printed_and_starts_nothing(dumps: Path, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    shown = codesieve("plan", str(path), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "ingest -> files" in shown.stdout
    assert "of core time" in shown.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["mine.yaml"]


QUICK = [f"{block}.enabled=false" for block in ("license", "toxicity", "pii", "decontaminate", "tokenize")]


def test_a_full_disk_fails_in_one_line_and_the_rerun_ends_well(dumps: Path, tmp_path: Path) -> None:
    """A bound on the size of files stands in for the full disk: writing fails half way through a shard."""
    path, out, whole = tmp_path / "mine.yaml", tmp_path / "out", tmp_path / "whole"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    settings = [part for setting in QUICK for part in ("--set", setting)]
    command = ["run", str(path), "--engine", "inline", *settings, "--out"]

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    failed = codesieve(*command, str(out), preexec_fn=bound)
    assert failed.returncode == 3, failed.stderr
    [line] = [line for line in failed.stderr.splitlines() if not line.startswith("step ")]
    assert line.startswith("codesieve: the run failed: step ingest, shard 0: OSError: [Errno 27] File too large")
    assert not list(out.glob("*/.writing-*"))
    assert codesieve(*command, str(out)).returncode == 0
    assert codesieve(*command, str(whole)).returncode == 0
    assert digests(out) == digests(whole)


def test_two_sources_with_one_repository_keep_both_and_tell_them_apart(tmp_path: Path) -> None:
    for name, content in (("one", stdlib("queue")), ("two", stdlib("sched"))):
        tar_gz(tmp_path / name / "repo.tar.gz", {"a.py": content})
    path = tmp_path / "mine.yaml"
    uris = [f"  - kind: archive\n    uri: {tmp_path}/{name}/*.tar.gz\n" for name in ("one", "two")]
    path.write_text("sources:\n" + "".join(uris))
    store = Store(str(tmp_path / "out"))
    run(load_recipe(path, [*QUICK, "engine.kind=inline"]), store)
    found = list(why.fates(store, "repo/a.py"))
    assert [fate["decision"] for fate in found] == ["kept", "kept"]
    assert len({fate["source"] for fate in found}) == 2


def test_a_second_run_on_the_same_output_is_refused_while_the_first_lasts(dumps: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    with open(out / "_lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(RecipeError, match="another run is writing to"):
            run(recipe(dumps, *QUICK), Store(str(out)))
    assert run(recipe(dumps, *QUICK), Store(str(out)))
