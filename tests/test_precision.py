"""The precision of a checkpoint's file, and of what is computed, is none of what is learned."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from safetensors.torch import load_file

from jobs.training.commands import cli
from jobs.training.model import ModelSettings
from tests.random_model import save_random_model
from tests.two_ranks import run_on_two_ranks

SMALL = ModelSettings(1, 16, 4, 4, vocab_size=128, n_positions=48, bos_token_id=0, eos_token_id=0)
HALVES = {"fp16": torch.float16, "bf16": torch.bfloat16}
STEPS = ["--steps", 12, "--batch", 4, "--held-out", 4, "--evaluate-every", 6, "--save-every", 3, "--warmup", 1]


@pytest.fixture(scope="module")
def dialogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dialogue") / "turns.jsonl"
    turns = [
        [{"role": "user", "content": f"Add {n}."}, {"role": "assistant", "content": f"x = x + {n}"}] for n in range(60)
    ]
    path.write_text("".join(json.dumps({"messages": each}) + "\n" for each in turns))
    return path


@pytest.fixture(scope="module", params=HALVES)
def checkpoints(request, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same weights, which half the bits can hold, in a file of all bits and in one of half."""
    folder, half = tmp_path_factory.mktemp("checkpoints"), HALVES[request.param]
    return {
        "fp32": save_random_model(folder / "fp32", SMALL, torch.float32, rounded=half),
        "half": save_random_model(folder / "half", SMALL, half, rounded=half),
    }


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def call(*arguments: object) -> str:
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.output


def assert_same(one: Path, two: Path, begun: Path) -> None:
    """Equal weights of 32 bits, which have moved a little from those begun with."""
    ours, theirs, before = weights(one), weights(two), weights(begun)
    assert {tensor.dtype for tensor in ours.values()} == {torch.float32}
    assert json.loads((one / "config.json").read_text())["dtype"] == "float32"
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    moved = max((tensor - before[name].float()).abs().max().item() for name, tensor in ours.items())
    assert 0 < moved < 0.002


def tuned(checkpoint: Path, dialogue: Path, out: Path, *options: object) -> list[object]:
    return ["finetune", "--checkpoint", checkpoint, "--dialogue", dialogue, "--out", out, *STEPS, *options]


@pytest.mark.parametrize("lora", [[], ["--lora", 2, "--learning-rate", 3e-5]])
def test_half_the_bits_in_the_file_teach_the_same(checkpoints, dialogue, tmp_path, lora) -> None:
    for name, checkpoint in checkpoints.items():
        assert "32 bits" in call(*tuned(checkpoint, dialogue, tmp_path / name, "--learning-rate", 3e-5, *lora))
    assert_same(tmp_path / "half", tmp_path / "fp32", checkpoints["half"])


@pytest.mark.parametrize("checkpoints", ["fp16"], indirect=True)
def test_half_the_bits_after_a_kill(checkpoints, dialogue, tmp_path) -> None:
    call(*tuned(checkpoints["fp32"], dialogue, tmp_path / "whole", "--learning-rate", 3e-5))
    killed = tuned(checkpoints["half"], dialogue, tmp_path / "killed", "--learning-rate", 3e-5)
    process = subprocess.Popen([sys.executable, "-m", "jobs.cli", *map(str, killed)])
    while not list(tmp_path.glob("killed/states/step-*")) and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    call(*killed)
    assert_same(tmp_path / "killed", tmp_path / "whole", checkpoints["half"])


def held_out(folder: Path) -> list[float]:
    return [each["held_out"]["all"] for each in json.loads((folder / "training.json").read_text())["evaluations"]]


RANKED = {"full": [], "lora": ["--lora", 2], "bf16": ["--precision", "bf16"], "fp32": []}


@pytest.fixture(scope="module")
def ranked(dialogue, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two ranks made: `two-KIND` beside the one process's `one-KIND`.

    At a high rate, so that the losses of twelve steps tell who learned otherwise; `still` learns nothing, from large
    weights that bf16 can hold.
    """
    folder = tmp_path_factory.mktemp("ranked")
    half = save_random_model(folder / "half", SMALL, torch.float16, rounded=torch.float16)
    whole = save_random_model(folder / "whole", SMALL, torch.float32, rounded=torch.float16)
    large = save_random_model(folder / "large", SMALL, rounded=torch.bfloat16, scale=16)
    kinds = {kind: (half, *options, "--learning-rate", 3e-3) for kind, options in RANKED.items()}
    kinds["fp32"] = (whole, "--learning-rate", 3e-3)
    kinds["still"] = (large, "--precision", "bf16", "--learning-rate", 1e-30)
    run_on_two_ranks(*(tuned(each, dialogue, folder / f"two-{kind}", *more) for kind, (each, *more) in kinds.items()))
    for kind, (each, *more) in kinds.items():
        call(*tuned(each, dialogue, folder / f"one-{kind}", *more))
    return folder


@pytest.mark.parametrize("kind", RANKED)
def test_two_ranks_learn_from_half_the_bits_what_one_learns(ranked, kind) -> None:
    ours, theirs = (held_out(ranked / f"{ranks}-{kind}") for ranks in ("two", "one"))
    assert ours == pytest.approx(theirs, abs=3e-3 if kind == "bf16" else 1e-5)
    assert {tensor.dtype for tensor in weights(ranked / f"two-{kind}").values()} == {torch.float32}


def test_two_ranks_learn_the_same_from_half_the_bits(ranked) -> None:
    ours, theirs = (weights(ranked / name) for name in ("two-full", "two-fp32"))
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())


def test_two_ranks_compute_in_bf16_what_one_computes(ranked) -> None:
    """Sharding casts weights to bf16, which changes none of these; what blocks are given beside them stays as it is."""
    assert held_out(ranked / "two-still") == pytest.approx(held_out(ranked / "one-still"), abs=1e-6)
