"""What a model learns from, and what it does not: rows without an answer, holes in a vocabulary, spelled tokens."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file
from tokenizers import AddedToken, Tokenizer, models, pre_tokenizers

from jobs.demo import reply
from jobs.scoring.generate import Sampler
from jobs.training.commands import cli
from jobs.training.data import UNLEARNED, Blocks, Dialogues
from jobs.training.encoder import Encoder
from jobs.training.model import ModelSettings, read_settings
from tests.random_model import save_random_model
from tests.two_ranks import run_on_two_ranks
from transforms.pack import Pack
from transforms.tokenizer import GivenTokenizer

SMALL = ModelSettings(1, 16, 4, 4, vocab_size=128, n_positions=48, bos_token_id=0, eos_token_id=0)
SPELLED = "Say <|endoftext|> and <|fim_prefix|>."


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("small") / "model", SMALL)


def write_dialogues(path: Path, *turns: tuple[str, str]) -> Path:
    rows = [
        {"messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": said}]}
        for asked, said in turns
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def write_blocks(folder: Path, documents: list[list[int]], block: int = 16) -> Path:
    """A folder of tokens as a run leaves it, of one shard for each document."""
    folder.mkdir(parents=True)
    for number, tokens in enumerate(documents):
        columns = {
            "tokens": pa.array([tokens], pa.large_list(pa.uint16())),
            "content_id": [f"{number:040x}"],
            "row_id": pa.array([number], pa.int64()),
        }
        blocks = Pack(block).load()(pa.record_batch(columns))
        with pa.ipc.new_stream(str(folder / f"data-{number:05}.arrow"), blocks.schema) as file:
            file.write_batch(blocks)
    (folder / "_manifest.json").write_text('{"fingerprint": "1"}')
    return folder


def call(*arguments: object, fails: str | None = None) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert (result.exit_code != 0) == (fails is not None), result.output
    assert fails is None or (fails in result.output and isinstance(result.exception, SystemExit)), result.output
    return result.output


def losses(folder: Path) -> list[float]:
    kept = json.loads((folder / "training.json").read_text())["evaluations"]
    return [value for each in kept for value in (each["loss"], *each["held_out"].values())]


SHORT = [(f"Add {n}.", f"x += {n}") for n in range(12)]
CUT = ("Long. " * 20, "never reached")
"""Its request alone is longer than the context, so that the answer is cut off."""
STEPS = ["--steps", 3, "--batch", 2, "--micro-batch", 1, "--held-out", 2, "--evaluate-every", 1]


def test_conversations_without_an_answer_in_reach_are_skipped_and_counted(checkpoint, tmp_path) -> None:
    some = write_dialogues(tmp_path / "some.jsonl", CUT, *SHORT[:6], CUT, *SHORT[6:], CUT)
    short = write_dialogues(tmp_path / "short.jsonl", *SHORT)
    for path in (some, short):
        told = call("finetune", "--checkpoint", checkpoint, "--dialogue", path, "--out", tmp_path / path.stem, *STEPS)
        assert ("3 without a token to learn are skipped" in told) == (path == some)
    ours, theirs = (load_file(tmp_path / name / "model.safetensors") for name in ("some", "short"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert np.isfinite(losses(tmp_path / "some")).all()
    only = write_dialogues(tmp_path / "only.jsonl", CUT, CUT)
    refused = "no dialogue to learn from: the answers of all 2 begin behind 48 tokens"
    call("finetune", "--checkpoint", checkpoint, "--dialogue", only, "--out", tmp_path / "none", *STEPS, fails=refused)
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("turns", [[CUT, SHORT[0]], [("a" * 44, "b"), ("a" * 45, "b")]])
def test_every_row_of_dialogues_has_a_token_to_learn(checkpoint, tmp_path, turns) -> None:
    encoder = Encoder.open(checkpoint)
    rows = Dialogues([write_dialogues(tmp_path / "turns.jsonl", *turns)], encoder, 48)
    _, targets = rows.take(np.arange(len(rows)))
    assert (targets != UNLEARNED).any(1).all()


def test_blocks_of_one_token_are_no_rows(checkpoint, tmp_path) -> None:
    """As the last of a shard may be: 17 tokens are a block of 16 and one of 1."""
    documents = [[*range(1, length), 0] for length in (17, 16, 33, 1, 18, 34)]
    folder = write_blocks(tmp_path / "run" / "tokens", documents)
    blocks = Blocks(folder)
    tokens, targets = blocks.take(np.arange(len(blocks)))
    assert (len(blocks), blocks.skipped) == (1 + 1 + 2 + 0 + 2 + 3, 3)
    assert ((targets != UNLEARNED).sum(1)).tolist() == [15, 15, 15, 15, 15, 1, 15, 15, 1]
    assert tokens[:, 0].tolist() == [1, 1, 1, 17, 1, 17, 1, 17, 33]
    (tmp_path / "run" / "tokenizer").mkdir()
    (tmp_path / "run" / "tokenizer" / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
    arguments = ["finetune", "--checkpoint", checkpoint, "--tokens", folder, "--out", tmp_path / "out", *STEPS]
    assert "3 without a token to learn are skipped; 9 rows are left" in call(*arguments)
    assert np.isfinite(losses(tmp_path / "out")).all()
    nothing = write_blocks(tmp_path / "empty" / "tokens", [[0], [0]])
    with pytest.raises(ValueError, match="holds no block of two tokens: there is nothing to learn"):
        Blocks(nothing)


def test_a_rank_of_few_tokens_learns_what_one_process_learns(checkpoint, tmp_path) -> None:
    turns = [("a" * 43, "b") if n % 2 else (f"{n}", "x" * 44) for n in range(16)]
    path = write_dialogues(tmp_path / "uneven.jsonl", *turns)
    command = ["finetune", "--checkpoint", checkpoint, "--dialogue", path, *STEPS]
    run_on_two_ranks([*command, "--out", tmp_path / "two"])
    call(*command, "--out", tmp_path / "one")
    assert losses(tmp_path / "two") == pytest.approx(losses(tmp_path / "one"), abs=1e-5)


def test_blocks_longer_than_the_context_are_refused(checkpoint, tmp_path) -> None:
    folder = write_blocks(tmp_path / "run" / "tokens", [[*range(1, 99), 0]], block=49)
    (tmp_path / "run" / "tokenizer").mkdir()
    (tmp_path / "run" / "tokenizer" / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
    for command in ("train", "finetune"):
        arguments = [command, "--checkpoint", checkpoint, "--tokens", folder, "--out", tmp_path / "out", *STEPS]
        call(*arguments, fails="has blocks of 49 tokens, ")
    assert not (tmp_path / "out").exists()


def with_a_hole() -> Tokenizer:
    """A tokenizer whose ids reach 200, of which most are nobody's."""
    letters = {chr(letter): letter for letter in range(32, 127)} | {"\n": 10, "far": 200}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="far"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    return tokenizer


def test_a_tokenizer_with_a_hole_in_its_ids_trains(tmp_path) -> None:
    given = GivenTokenizer(with_a_hole().to_str().encode())
    files = given.load()(pa.record_batch({}))
    (tmp_path / "run" / "tokenizer").mkdir(parents=True)
    for name, data in zip(*files.to_pydict().values(), strict=True):
        (tmp_path / "run" / "tokenizer" / name).write_bytes(data)
    largest = given.vocabulary - 1
    folder = write_blocks(tmp_path / "run" / "tokens", [[200, 65, largest] * 40])
    call("train", "--tokens", folder, "--model", "tiny", "--out", tmp_path / "out", *STEPS)
    assert read_settings(tmp_path / "out").vocab_size == 64 * (largest // 64 + 1) > 200
    assert np.isfinite(losses(tmp_path / "out")).all()


def test_a_tokenizer_beyond_its_model_is_refused(tmp_path) -> None:
    checkpoint = save_random_model(tmp_path / "model", SMALL)
    with_a_hole().save(str(checkpoint / "tokenizer.json"))
    path = write_dialogues(tmp_path / "turns.jsonl", *SHORT)
    arguments = ["finetune", "--checkpoint", checkpoint, "--dialogue", path, "--out", tmp_path / "out", *STEPS]
    call(*arguments, fails="the tokenizer has the id 200, the model only 128 ids")


def test_saved_tokenizers_say_what_a_model_is_fed(tmp_path) -> None:
    from transformers import AutoTokenizer

    files = GivenTokenizer(with_a_hole().to_str().encode()).load()(pa.record_batch({}))
    for name, data in zip(*files.to_pydict().values(), strict=True):
        (tmp_path / name).write_bytes(data)
    kept = json.loads((tmp_path / "tokenizer_config.json").read_text())
    assert kept["model_input_names"] == ["input_ids", "attention_mask"]
    assert set(AutoTokenizer.from_pretrained(tmp_path)("x = 1")) == {"input_ids", "attention_mask"}


@pytest.fixture(params=["special", "ordinary", "truncating"])
def speller(request, tmp_path) -> Path:
    """A checkpoint whose tokenizer.json has special tokens, or has them as ordinary ones, or cuts and pads texts."""
    folder = save_random_model(tmp_path / "speller", SMALL)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.add_special_tokens([AddedToken("<|fim_prefix|>", special=True, normalized=False)])
    if request.param == "ordinary":
        told = json.loads(tokenizer.to_str())
        for token in told["added_tokens"]:
            token["special"] = token["content"] == "<|fim_prefix|>"
        tokenizer = Tokenizer.from_str(json.dumps(told))
    if request.param == "truncating":
        tokenizer.enable_truncation(4)
        tokenizer.enable_padding(length=99)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def spelled(encoder: Encoder, text: str) -> list[int]:
    return [encoder.tokenizer.token_to_id(letter) for letter in text]


def test_special_tokens_that_a_text_spells_are_characters(speller, tmp_path) -> None:
    encoder = Encoder.open(speller)
    assert encoder.text(SPELLED) == spelled(encoder, SPELLED)
    messages = [{"role": "user", "content": SPELLED}, {"role": "assistant", "content": SPELLED}]
    tokens = [token for token, _ in encoder.conversation(messages, "Python")]
    assert tokens == [*spelled(encoder, f"# {SPELLED}\n{SPELLED}\n"), encoder.end_of_text]
    rows = Dialogues([write_dialogues(tmp_path / "turns.jsonl", (SPELLED, SPELLED))], encoder, 96)
    assert rows.take(np.arange(1))[0][0][: len(tokens)].tolist() == tokens


def test_special_tokens_in_a_prompt_are_characters(speller, monkeypatch) -> None:
    """In a score's prompt, and in a page's conversation whose earlier answer spells one."""
    sampler = Sampler.open(speller, 0.0, 1.0)
    fed: list[list[int]] = []
    forward = sampler.model.forward

    def watched(tokens: torch.Tensor, *more, **named):
        fed.append(tokens[0].tolist())
        return forward(tokens, *more, **named)

    monkeypatch.setattr(sampler.model, "forward", watched)
    sampler.complete(SPELLED, 1, 2)
    assert fed[0] == spelled(sampler.encoder, SPELLED)
    fed.clear()
    history = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "```python\n<|endoftext|>\n```"}]
    list(reply(sampler, "b", history, "Python", 2))
    assert fed[0] == [*spelled(sampler.encoder, "# a\n<|endoftext|>\n"), 0, *spelled(sampler.encoder, "# b\n")]
