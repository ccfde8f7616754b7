"""Training on the tokens of a real, small run: it learns, resumes bit for bit, and says what is wrong."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer

from jobs.recipe import load_recipe
from jobs.run import run
from jobs.training.commands import finetune, train
from jobs.training.data import UNLEARNED, Blocks, Dialogues, Order
from jobs.training.encoder import Encoder
from jobs.training.model import CodeGen, save_model
from pipeline.storage import Store
from tests.corpora import stdlib
from tests.two_ranks import run_on_two_ranks

SETTINGS = ["tokenize.vocab_size=600", "tokenize.block=64", "output.shards=2", "engine.kind=inline"]
SMALL = ["--model", "tiny", "--batch", "4", "--held-out", "6", "--evaluate-every", "10", "--warmup", "2"]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("training")
    for name in ("heapq", "bisect", "textwrap", "shelve", "queue", "sched"):
        (folder / "code" / "stdlib").mkdir(parents=True, exist_ok=True)
        (folder / "code" / "stdlib" / f"{name}.py").write_text(stdlib(name))
    recipe = folder / "recipe.yaml"
    recipe.write_text(f"sources: [{{kind: directory, uri: {folder}/code/*}}]\n")
    assert run(load_recipe(recipe, [*SETTINGS, "license.enabled=false"]), Store(str(folder / "out")))
    return folder / "out"


def call(command, *arguments: object) -> Result:
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def trained(out: Path, to: Path, *options: object) -> Result:
    return call(train, "--tokens", out / "tokens", "--out", to, *SMALL, *options)


def held_out(folder: Path) -> list[dict]:
    return json.loads((folder / "training.json").read_text())["evaluations"]


@pytest.fixture(scope="module")
def checkpoint(out: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoint") / "code"
    result = trained(out, folder, "--steps", 30)
    assert result.exit_code == 0, result.output
    return folder


def test_the_loss_falls_and_the_model_opens(checkpoint: Path) -> None:
    losses = [evaluation["held_out"] for evaluation in held_out(checkpoint)]
    assert [set(each) for each in losses] == [{"all", "Python"}] * 3
    assert losses[-1]["all"] < losses[0]["all"] < np.log(600)
    model = AutoModelForCausalLM.from_pretrained(checkpoint)
    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    given = tokenizer("def heappush(heap, item):", return_tensors="pt")
    assert model.generate(**given, max_new_tokens=4, do_sample=False).shape[1] == given.input_ids.shape[1] + 4
    assert any((checkpoint / "logs").iterdir())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModelForCausalLM.from_pretrained(folder).state_dict()


def test_a_killed_run_ends_as_if_it_had_not_been(out: Path, checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["--tokens", out / "tokens", "--out", tmp_path, *SMALL, "--steps", 30, "--save-every", 5]
    command = [sys.executable, "-m", "jobs.cli", "train", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while len(list(tmp_path.glob("states/step-*"))) < 2 and process.poll() is None:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (tmp_path / "states" / "step-00000030").exists()
    result = trained(out, tmp_path, "--steps", 30, "--save-every", 5)
    assert result.exit_code == 0, result.output
    assert held_out(tmp_path) == held_out(checkpoint)
    whole = weights(checkpoint)
    assert all(torch.equal(tensor, whole[name]) for name, tensor in weights(tmp_path).items())
    again = trained(out, tmp_path, "--steps", 30, "--save-every", 5)
    assert "Nothing to do" in again.output
    more = trained(out, tmp_path, "--steps", 34, "--save-every", 5)
    assert more.exit_code == 0, more.output
    assert [each["step"] for each in held_out(tmp_path)] == [10, 20, 30, 34]
    assert json.loads((tmp_path / "training.json").read_text())["stages"] == [30, 34]
    fewer = trained(out, tmp_path, "--steps", 30, "--save-every", 5)
    assert "was begun with steps 34, not 30" in fewer.output


def test_files_are_readable_as_the_umask_says(dialogue: Path, checkpoint: Path, tmp_path: Path) -> None:
    options = ["--steps", 1, "--held-out", 2, "--batch", 2, "--checkpoint", checkpoint, "--dialogue", dialogue]
    for mask, mode in ((0o022, 0o644), (0o077, 0o600), (0o002, 0o664)):
        before = os.umask(mask)
        try:
            assert call(finetune, *options, "--out", tmp_path / str(mask)).exit_code == 0
        finally:
            os.umask(before)
        files = [path for path in (tmp_path / str(mask)).rglob("*") if path.is_file()]
        assert {path.name: path.stat().st_mode & 0o777 for path in files} == {path.name: mode for path in files}


@pytest.mark.slow
def test_two_ranks_learn_what_one_learns(out: Path, checkpoint: Path, tmp_path: Path) -> None:
    run_on_two_ranks(["train", "--tokens", out / "tokens", "--out", tmp_path, *SMALL, "--steps", 30])
    ours, theirs = held_out(tmp_path)[-1], held_out(checkpoint)[-1]
    assert ours["held_out"]["all"] == pytest.approx(theirs["held_out"]["all"], abs=1e-3)
    assert ours["loss"] == pytest.approx(theirs["loss"], abs=1e-3)


@pytest.mark.slow
def test_ray_train_learns_what_one_process_learns(out: Path, checkpoint: Path, tmp_path: Path) -> None:
    arguments = ["--tokens", out / "tokens", "--out", tmp_path, *SMALL, "--steps", 30, "--workers", 2]
    command = [sys.executable, "-m", "jobs.cli", "train", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "step 30: loss" in done.stdout
    ours, theirs = held_out(tmp_path)[-1], held_out(checkpoint)[-1]
    assert ours["held_out"]["all"] == pytest.approx(theirs["held_out"]["all"], abs=1e-3)


def test_gradients_add_up_over_small_pieces(out: Path, checkpoint: Path, tmp_path: Path) -> None:
    assert trained(out, tmp_path, "--steps", 30, "--micro-batch", 1, "--recompute").exit_code == 0
    assert held_out(tmp_path)[-1]["loss"] == pytest.approx(held_out(checkpoint)[-1]["loss"], abs=1e-3)


CONVERSATION = [
    {"role": "user", "content": "Push an item.\nKeep the heap."},
    {"role": "assistant", "content": "heap.append(item)"},
    {"role": "user", "content": "Now give it back."},
    {"role": "assistant", "content": "return item"},
]


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dialogue") / "turns.jsonl"
    path.write_text("".join(json.dumps({"messages": CONVERSATION}) + "\n" for _ in range(20)))
    return path


def test_only_answers_are_learned(dialogue: Path, checkpoint: Path) -> None:
    encoder = Encoder.open(checkpoint)
    tokenizer = encoder.tokenizer
    rows = Dialogues([dialogue], encoder, length=64)
    tokens, targets = rows.take(np.arange(1))
    text = tokenizer.decode(tokens[0].tolist(), skip_special_tokens=False)
    assert text.startswith(
        "# Push an item.\n# Keep the heap.\nheap.append(item)\n<|endoftext|># Now give it back.\nreturn"
    )
    learned = targets[0] != UNLEARNED
    expected = "heap.append(item)\n<|endoftext|>return item\n<|endoftext|>"
    count = sum(len(tokenizer.encode(part).ids) for part in ("heap.append(item)\n", "return item\n")) + 2
    assert tokenizer.decode(targets[0][learned][:count].tolist(), skip_special_tokens=False) == expected
    assert (targets[0][:-1][learned[:-1]] == tokens[0][1:][learned[:-1]]).all()


@pytest.mark.parametrize("lora", [(), ("--lora", 4)])
def test_dialogue_is_learned(checkpoint: Path, dialogue: Path, tmp_path: Path, lora: tuple) -> None:
    options = ["--steps", 20, "--held-out", 2, "--evaluate-every", 10, "--batch", 4, "--learning-rate", 3e-3]
    result = call(finetune, "--checkpoint", checkpoint, "--dialogue", dialogue, "--out", tmp_path, *options, *lora)
    assert result.exit_code == 0, result.output
    first, last = held_out(tmp_path)
    assert last["held_out"]["all"] < first["held_out"]["all"]
    before, after = weights(checkpoint), weights(tmp_path)
    assert before.keys() == after.keys()
    assert torch.equal(before["transformer.wte.weight"], after["transformer.wte.weight"]) == bool(lora)


def test_half_the_bits_in_the_file_teach_the_same(out: Path, checkpoint: Path, tmp_path: Path) -> None:
    model = CodeGen.load(checkpoint)
    for name, dtype in (("half", torch.float16), ("whole", torch.float32)):
        save_model(
            tmp_path / name, model.settings, {key: each.half().to(dtype) for key, each in model.state_dict().items()}
        )
        shutil.copy(checkpoint / "tokenizer.json", tmp_path / name)
        options = ["--checkpoint", tmp_path / name, "--steps", 4, "--batch", 2, "--out", tmp_path / f"from-{name}"]
        assert call(train, "--tokens", out / "tokens", *options).exit_code == 0
    ours, theirs = weights(tmp_path / "from-half"), weights(tmp_path / "from-whole")
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}


def test_weights_in_several_files_are_begun_with_too(checkpoint: Path, dialogue: Path, tmp_path: Path) -> None:
    sharded, options = tmp_path / "sharded", ["--steps", 1, "--held-out", 2, "--batch", 2]
    AutoModelForCausalLM.from_pretrained(checkpoint).save_pretrained(sharded, max_shard_size="1MB")
    shutil.copy(checkpoint / "tokenizer.json", sharded)
    assert len(list(sharded.glob("*.safetensors"))) > 1
    for begun in (sharded, checkpoint):
        to = tmp_path / f"from-{begun.name}"
        assert call(finetune, "--checkpoint", begun, "--dialogue", dialogue, "--out", to, *options).exit_code == 0
    assert weights(tmp_path / "from-sharded").keys() == weights(tmp_path / "from-code").keys()
    assert held_out(tmp_path / "from-sharded") == held_out(tmp_path / "from-code")


def test_a_corpus_of_ones_own(checkpoint: Path, out: Path, tmp_path: Path) -> None:
    options = ["--steps", 2, "--held-out", 2, "--batch", 2, "--out", tmp_path / "own"]
    result = call(finetune, "--checkpoint", checkpoint, "--tokens", out / "tokens", *options)
    assert result.exit_code == 0, result.output
    shutil.copytree(out / "tokens", tmp_path / "other" / "tokens")
    (tmp_path / "other" / "tokenizer").mkdir()
    (tmp_path / "other" / "tokenizer" / "tokenizer.json").write_text("{}")
    result = call(finetune, "--checkpoint", checkpoint, "--tokens", tmp_path / "other" / "tokens", *options)
    assert result.exit_code != 0
    assert "encoded with another tokenizer: run with tokenize.tokenizer=" in result.output


def test_a_loss_that_is_no_number_stops_and_is_saved(out: Path, tmp_path: Path) -> None:
    arguments = ["--tokens", out / "tokens", "--out", tmp_path, *SMALL, "--steps", 30, "--learning-rate", 1e30]
    command = [sys.executable, "-m", "jobs.cli", "train", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 3
    assert "try a lower --learning-rate" in done.stderr
    assert "rows [" in done.stderr
    assert len(list(tmp_path.glob("states/step-*"))) == 1


def test_mistakes_are_told_in_a_line(out: Path, tmp_path: Path, checkpoint: Path) -> None:
    for options, line in [
        (["--steps", 30, "--seed", 7, "--out", checkpoint], "was begun with seed 0, not 7"),
        (["--steps", 2, "--micro-batch", 3, "--out", tmp_path / "a"], "--batch 4 is no multiple of --micro-batch 3"),
        (["--steps", 2, "--held-out", 10**6, "--out", tmp_path / "b"], "none is left to train on"),
        (["--steps", 2, "--tokens", tmp_path, "--out", tmp_path / "c"], "holds no finished tokens"),
        (["--steps", 2, "--model", "7B", "--out", tmp_path / "d"], "unknown model '7B'"),
    ]:
        result = call(train, "--tokens", out / "tokens", *SMALL, *options)
        assert (result.exit_code, line in result.output) == (1, True), result.output
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(0, 3), st.integers(1, 4), st.integers(1, 5), st.data())
def test_every_row_is_met_once_an_epoch(count, seed, ranks, per_rank, data) -> None:
    held = data.draw(st.integers(0, count - 1))
    order = Order(count, held, seed)
    size = ranks * per_rank
    steps = -(-2 * (count - held) // size)
    whole = [order.batch(step, size) for step in range(steps)]
    for step, numbers in enumerate(whole):
        shares = [order.batch(step, size, rank, ranks) for rank in range(ranks)]
        assert sorted(np.concatenate(shares)) == sorted(numbers)
    trained_on = np.concatenate(whole)[: 2 * (count - held)].tolist()
    rest = sorted(set(range(count)) - set(order.held().tolist()))
    assert len(rest) == count - held
    assert sorted(trained_on[: count - held]) == sorted(trained_on[count - held :]) == rest


def test_blocks_know_their_languages(out: Path) -> None:
    blocks = Blocks(out / "tokens")
    names, groups = blocks.groups(0)
    assert set(names) == {"Python"}
    assert groups.shape == (64,)
    assert (groups >= 0).all()
