"""Text beside the code: datasets of its own, told row by row, in the code's tokenizer; then stage after stage."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import Tokenizer

from jobs import why
from jobs.cli import cli
from jobs.recipe import Recipe, RecipeError, load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import stdlib, tar_gz
from tests.datasets_on_disk import digests
from tests.ray_cluster import two_nodes
from transforms.fill_in_the_middle import SENTINELS

PARAGRAPH = "The sieve keeps what is coarse and lets the fine go by, number {n}; write to ada{n}@lovelace.org. "


def recipe(folder: Path, *overrides: str) -> Recipe:
    """Every option of `tokenize` at once: code of two languages in two sources, and text with one of every trouble."""
    if not (folder / "code").exists():
        for module in ("heapq", "bisect", "queue", "keyword"):
            tar_gz(
                folder / "code" / f"{module}.tar.gz",
                {f"{module}.py": stdlib(module), "user.py": f"import {module}\n" * 3},
            )
        go = {
            f"p{n}/f.go": f"package p{n}\n\n// F{n} doubles.\nfunc F{n}(x int) int {{ return {n} * x }}\n"
            for n in range(5)
        }
        tar_gz(folder / "go" / "numbers.tar.gz", go)
        lines = [{"text": PARAGRAPH.format(n=n) * 6} for n in range(12)]
        lines += [{"text": PARAGRAPH.format(n=3) * 6}, {"text": ""}, {"title": "no text"}]
        (folder / "prose.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + "{broken\n")
        tar_gz(folder / "books.tar.gz", {"one.txt": PARAGRAPH.format(n=7) * 6, "two.txt": "Quite another tale. " * 40})
        (folder / "recipe.yaml").write_text(
            f"""
sources: [{{kind: archive, uri: {folder}/code/*}}, {{kind: archive, uri: {folder}/go/*}}]
tokenize:
  vocab_size: 400
  block: 64
  fim: {{rate: 0.5}}
  order: repository
  mixture: {{by: source, weights: {{0: 1, 1: 1}}}}
  text: {{sources: [{{kind: jsonl, uri: {folder}/prose.jsonl}}, {{kind: archive, uri: {folder}/books.tar.gz}}]}}
license: {{enabled: false}}
quality: {{enabled: false}}
toxicity: {{enabled: false}}
decontaminate: {{enabled: false}}
dedup: {{near: {{enabled: false}}, repositories: {{enabled: false}}}}
dialogue: {{enabled: false}}
output: {{shards: 2}}
engine: {{kind: inline}}
"""
        )
    return load_recipe(folder / "recipe.yaml", overrides)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("text")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    out = Store(str(folder / "out"))
    run(recipe(folder), out)
    return out


def test_every_row_of_text_has_its_fate(store: Store) -> None:
    found = {
        row["path"]: (row["decision"], row["reason"], row["survivor"]) for row in store.table("text_ledger").to_pylist()
    }
    kept = {f"prose.jsonl#L{n + 1}" for n in range(12)} - {"prose.jsonl#L8", "prose.jsonl#L4"} | {
        "one.txt",
        "two.txt",
        "prose.jsonl#L13",
    }
    assert {path for path, (decision, _, _) in found.items() if decision == "kept"} == kept
    gone = {path: fate for path, fate in found.items() if path not in kept}
    assert gone == {
        "prose.jsonl#L8": ("dropped", "duplicate.exact", "books/one.txt"),
        "prose.jsonl#L4": ("dropped", "duplicate.exact", "prose/prose.jsonl#L13"),
        "prose.jsonl#L14": ("dropped", "input.empty", None),
        "prose.jsonl#L15": ("dropped", "input.no_content", None),
        "prose.jsonl#L16": ("failed", "input.malformed_json", None),
    }
    corpus = {row["path"]: row["content"] for row in store.table("text_corpus").to_pylist()}
    assert set(corpus) == kept
    assert "<EMAIL_ADDRESS>" in corpus["one.txt"]
    assert "lovelace" not in corpus["one.txt"]
    [fate] = why.fates(store, "prose/prose.jsonl#L4")
    assert fate["survivor"] == "prose/prose.jsonl#L13"


def test_text_is_told_in_the_report_and_code_stays_apart(store: Store) -> None:
    summary = write_report(store)
    assert summary["rows"] == 13  # of code
    text = summary["text"]
    assert (text["rows"], text["kept"], text["dropped"], text["failed"]) == (18, 13, 4, 1)
    assert text["tokens"]["blocks"] == store.committed("text_tokens").rows
    assert not {row["repo"] for row in store.table("corpus").to_pylist()} & {"prose", "books"}


def test_its_tokens_are_of_the_codes_tokenizer_and_lead_back(store: Store) -> None:
    tokenizer = Tokenizer.from_file(store.path("tokenizer", "tokenizer.json"))
    assert [tokenizer.token_to_id(name) for name in SENTINELS] == [438, 439, 440]
    texts = [row["content"] for row in store.table("text_corpus").to_pylist()]
    rows = store.table("text_tokens").to_pylist()
    ends = sum(row["tokens"][: row["token_count"]].count(399) for row in rows)
    assert ends == len(texts)
    token = why.token(store, 1, 5, "text_")
    assert token.repo in ("prose", "books")
    done = CliRunner().invoke(cli, ["why", store.uri, "--text", "--token", "0", "3"])
    assert done.exit_code == 0, done.output
    assert "kept" in done.output


def test_its_tokens_are_exported_like_the_codes(store: Store, tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["export-tokens", store.uri, "--text", "--format", "mds", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    index = json.loads((tmp_path / "index.json").read_text())
    assert sum(shard["samples"] for shard in index["shards"]) == store.committed("text_tokens").rows


def test_the_plan_tells_what_text_adds(folder: Path, store: Store) -> None:
    lines = CliRunner().invoke(cli, ["plan", str(folder / "recipe.yaml")]).output
    assert "map      text_tokenize -> _work/text_blocks (2 shards)" in lines
    assert "MB in 2 for tokenize.text" in lines


@pytest.mark.slow
def test_beam_gives_the_same_bytes(folder: Path, store: Store) -> None:
    other = Store(str(folder / "beam"))
    run(recipe(folder, "engine.kind=beam", "engine.workers=2"), other)
    write_report(store)
    write_report(other)
    assert digests(folder / "beam") == digests(folder / "out")


@pytest.mark.slow
def test_a_ray_cluster_gives_the_same_bytes(folder: Path, store: Store) -> None:
    run(recipe(folder, f"engine.address={two_nodes().address}", "engine.kind=ray"), Store(str(folder / "ray")))
    write_report(store)
    write_report(Store(str(folder / "ray")))
    assert digests(folder / "ray") == digests(folder / "out")


def test_code_is_trained_on_after_text(store: Store, tmp_path: Path) -> None:
    def call(*arguments: object):
        small = ("--steps", 2, "--held-out", 2, "--batch", 2, "--no-compile", "--precision", "fp32")
        return CliRunner().invoke(cli, ["train", *map(str, arguments), *map(str, small)])

    text, code, out = tmp_path / "text", tmp_path / "code", Path(store.path())
    done = call("--tokens", out / "text_tokens", "--model", "tiny", "--out", text)
    assert done.exit_code == 0, done.output
    done = call("--tokens", out / "tokens", "--checkpoint", text, "--out", code)
    assert done.exit_code == 0, done.output
    first, second = (load_file(folder / "model.safetensors") for folder in (text, code))
    assert first.keys() == second.keys()
    apart = max(float((first[name].float() - second[name].float()).abs().max()) for name in first)
    assert 0 < apart < 0.05  # two steps away from where the text left off, not from random weights
    held_out = json.loads((code / "training.json").read_text())["evaluations"][-1]["held_out"]
    assert "all" in held_out
    assert set(held_out) <= {"all", "Python", "Go"}
    done = call("--tokens", out / "tokens", "--checkpoint", text, "--model", "tiny", "--out", tmp_path / "no")
    assert done.exit_code != 0
    assert "give either --checkpoint or --model" in done.output


def test_mistakes_are_told(folder: Path) -> None:
    with pytest.raises(RecipeError, match="text needs tokenize to be enabled"):
        recipe(folder, "tokenize.enabled=false")
    with pytest.raises(RecipeError, match=r"tokenize\.text\.sources\.0"):
        recipe(folder, "tokenize.text.sources.0.kind=environment")
    with pytest.raises(RecipeError, match=r"unknown key tokenize\.text\.source"):
        recipe(folder, "tokenize.text.source=x")
