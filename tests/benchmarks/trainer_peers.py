"""The loop of `codesieve train` against the Trainer of Hugging Face, in turns within one process.

    python3.11 -m venv peers                                   # the project's environment, and what Trainer wants
    realpath .venv/lib/python3.11/site-packages > peers/lib/python3.11/site-packages/codesieve.pth
    peers/bin/pip install --no-deps accelerate
    peers/bin/python -m tests.benchmarks.trainer_peers out/quickstart/tokens [--precision bf16] [--compile]

Both begin with the same weights (theirs opened by CodeGenForCausalLM from what ours were saved as) and take the same
rows in the same order, in the same precision, with the same optimizer, rates and clipping. Trainer runs its loop; after
every turn of some steps its clock stands still while ours takes as many. The first turn, in which memory is taken and
blocks are compiled, is not counted. On a GPU the default model is 350M in bf16, else tiny in fp32.
"""

import argparse
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import Dataset
from transformers import CodeGenForCausalLM, Trainer, TrainerCallback, TrainingArguments

from jobs.training.checkpoints import Checkpoints
from jobs.training.commands import LEARNING_RATES
from jobs.training.data import UNLEARNED, Blocks, Order
from jobs.training.encoder import Encoder
from jobs.training.loop import Training, TrainingSettings, adamw, peak_flops
from jobs.training.model import CodeGen, new_settings, save_model

ON_GPU = torch.cuda.is_available()


class TheirRows(Dataset):
    """The rows of our steps, one after the other. Their model shifts the labels itself."""

    def __init__(self, rows: Blocks, settings: TrainingSettings):
        self.rows, self.settings = rows, settings
        self.order = Order(len(rows), settings.held_out, settings.seed)

    def __len__(self) -> int:
        return self.settings.steps * self.settings.batch

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        step, row = divmod(place, self.settings.batch)
        numbers = self.order.batch(step, self.settings.batch)[row : row + 1]
        tokens, targets = self.rows.take(numbers)
        labels = np.insert(targets[0, :-1], 0, UNLEARNED)
        return {"input_ids": torch.from_numpy(tokens[0]), "labels": torch.from_numpy(labels)}


@dataclass
class Clock:
    """Seconds and processor seconds of each turn."""

    turns: list[tuple[float, float]] = field(default_factory=list)
    since: tuple[float, float] = (0.0, 0.0)

    def start(self) -> None:
        self.since = self.now()

    def stop(self) -> None:
        began, now = self.since, self.now()
        self.turns.append((now[0] - began[0], now[1] - began[1]))

    def now(self) -> tuple[float, float]:
        if ON_GPU:
            torch.cuda.synchronize()
        return time.perf_counter(), time.process_time()


class Turns(TrainerCallback):
    """Has our loop take its turn after each of Trainer's."""

    def __init__(self, ours: Training, steps: int):
        self.training, self.steps = ours, steps
        self.ours, self.theirs = Clock(), Clock()
        self.losses: list[float] = []

    def on_train_begin(self, *_given: object, **_more: object) -> None:
        self.theirs.start()

    def on_step_end(self, args, state, control, **_more) -> None:
        if state.global_step % self.steps:
            return
        self.theirs.stop()
        self.ours.start()
        for _ in range(self.steps):
            loss, norm = self.training.update()
            self.training.step += 1
            self.training.log({"loss": loss, "gradient_norm": norm})
            self.losses.append(loss)
        self.ours.stop()
        self.theirs.start()


def compare(tokens: Path, size: str, settings: TrainingSettings, turn: int, folder: Path) -> None:
    """Trains both and prints the table."""
    rows, encoder = Blocks(tokens), Encoder.open(tokens.parent / "tokenizer")
    sizes = new_settings(size, encoder.vocabulary, rows.length, encoder.end_of_text)
    torch.manual_seed(settings.seed)
    model = CodeGen(sizes)
    save_model(folder / "begun", sizes, model.state_dict())
    theirs = CodeGenForCausalLM.from_pretrained(folder / "begun", dtype=torch.float32)
    turns = Turns(Training(model, rows, settings, Checkpoints(folder / "ours"), print), turn)
    theirs.to(turns.training.place.device)
    optimizer = adamw(theirs, settings, theirs.device)
    arguments = TrainingArguments(
        output_dir=str(folder / "theirs"),
        max_steps=settings.steps,
        per_device_train_batch_size=settings.batch,
        max_grad_norm=settings.clip,
        bf16=settings.bf16,
        torch_compile=settings.compile,
        use_cpu=not ON_GPU,
        train_sampling_strategy="sequential",
        logging_steps=turn,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    schedule = LambdaLR(optimizer, lambda step: settings.rate(step) / settings.learning_rate)
    trainer = Trainer(
        theirs,
        arguments,
        train_dataset=TheirRows(rows, settings),
        optimizers=(optimizer, schedule),
        callbacks=[turns],
    )
    trainer.train()
    last = float(np.mean(turns.losses[-turn:])), trainer.state.log_history[-2]["loss"]
    tell(turns, settings.batch * rows.length * turn, sizes.training_flops(rows.length), last)


def tell(turns: Turns, tokens: int, flops: int, last: tuple[float, float]) -> None:
    """Prints the table; `tokens` are those of a turn, `last` the mean losses of the last turn."""
    ours, theirs = (np.array(clock.turns[1:]) for clock in (turns.ours, turns.theirs))
    peak = peak_flops(turns.training.place.device)
    print("| | tokens/s | tokens a processor second | MFU | loss, mean of the last turn |")
    print("|---|---|---|---|---|")
    for name, spent, loss in (("codesieve", ours, last[0]), ("Trainer", theirs, last[1])):
        speed, processor = tokens * len(spent) / spent.sum(0)
        share = f"{speed * flops / peak:.1%}" if peak else ""
        print(f"| {name} | {speed:,.0f} | {processor:,.0f} | {share} | {loss:.4f} |")
    ratio = theirs.sum(0) / ours.sum(0)
    each = np.sort(theirs[:, 0] / ours[:, 0])
    print(f"{ratio[0]:.2f} times as fast, by turns {each[0]:.2f} to {each[-1]:.2f}; in processor time {ratio[1]:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("tokens", type=Path, help="OUT/tokens of a codesieve run")
    parser.add_argument("--model", default="350M" if ON_GPU else "tiny")
    parser.add_argument("--batch", type=int, default=8 if ON_GPU else 2)
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--turn", type=int, default=5, help="steps of a turn")
    parser.add_argument("--precision", choices=["bf16", "fp32"], default="bf16" if ON_GPU else "fp32")
    parser.add_argument("--compile", action="store_true", help="compiles both")
    chosen = parser.parse_args()
    settings = TrainingSettings(
        steps=chosen.steps,
        batch=chosen.batch,
        micro_batch=chosen.batch,
        learning_rate=LEARNING_RATES[chosen.model],
        warmup=max(1, chosen.steps // 20),
        bf16=chosen.precision == "bf16",
        compile=chosen.compile,
    )
    with tempfile.TemporaryDirectory() as scratch:
        compare(chosen.tokens, chosen.model, settings, chosen.turn, Path(scratch))


if __name__ == "__main__":
    main()
