"""The commands `train` and `finetune`: what they are given becomes a model, rows and settings.

Several GPUs: `torchrun --nproc-per-node 8 -m jobs.training.commands train …`.
"""

import functools
import json
import os
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from jobs.digest import digest
from jobs.places import LOCAL

LEARNING_RATES = {"tiny": 1e-3, "350M": 3e-4, "2B": 1.6e-4, "6B": 1.2e-4, "16B": 1e-4}
"""Brown et al., "Language Models are Few-Shot Learners" (2020), table 2.1, at the nearest size; tiny's by trial."""
FINETUNING_SHARE = 0.1
"""Of the rate a model of its size is trained with: what it knows should move little."""
LORA_RATE = 2e-4
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
"""What is copied from a run or a checkpoint to the checkpoint that comes of it."""


def training_options(command: Any) -> Any:
    """What both commands take."""
    count = click.IntRange(min=1)
    options = [
        click.option("--out", type=LOCAL, required=True, help="Where the checkpoint goes."),
        click.option("--steps", type=count, required=True, help="Steps in all."),
        click.option("--batch", type=count, help="Rows a step, over all ranks.  [8; 2 for tiny]"),
        click.option("--micro-batch", type=count, help="Rows that a rank takes at once.  [its share of --batch]"),
        click.option("--learning-rate", type=float, help="The peak.  [by the model's size]"),
        click.option("--warmup", type=count, help="Steps up to the peak.  [a twentieth of --steps]"),
        click.option("--held-out", type=click.IntRange(min=0), default=16, help="Rows for evaluation alone.  [16]"),
        click.option("--evaluate-every", type=count, default=100, help="In steps.  [100]"),
        click.option("--save-every", type=count, default=500, help="In steps.  [500]"),
        click.option("--seed", type=int, default=0, help="Of the weights and the order.  [0]"),
        click.option("--precision", type=click.Choice(["bf16", "fp32"]), help="[bf16 on a GPU, else fp32]"),
        click.option("--compile/--no-compile", "compiled", default=None, help="[compiled on a GPU]"),
        click.option("--recompute", is_flag=True, help="Computes activations twice, to save memory."),
        click.option("--workers", type=count, help="Ranks on a Ray cluster.  [none: this process, or torchrun's]"),
        click.option("--address", help="With --workers: a running cluster, auto or host:port.  [one of its own]"),
    ]

    @functools.wraps(command)
    def told(workers: int | None, address: str | None, **given: Any) -> None:
        try:
            if workers is None:
                command(**given)
            else:
                from jobs.training.on_ray import train_on_ray

                train_on_ray(command, given, workers, address)
        except ValueError as error:
            raise click.ClickException(str(error)) from error

    for option in reversed(options):
        told = option(told)
    return told


@click.command()
@click.option("--tokens", type=LOCAL, required=True, help="OUT/tokens of a codesieve run.")
@click.option("--model", "size", help="tiny, 350M, 2B, 6B or 16B.  [350M]")
@click.option("--checkpoint", type=LOCAL, help="A model of an earlier stage.  [random weights]")
@training_options
def train(tokens: Path, size: str | None, checkpoint: Path | None, out: Path, **options: Any) -> None:
    """Trains a CodeGen model on a run's tokens: text, code, or code after text."""
    import torch

    from jobs.training.data import Blocks
    from jobs.training.encoder import Encoder
    from jobs.training.model import CodeGen, new_settings, size_of, weight_files

    rows = Blocks(tokens)
    tokenizer = tokens.parent / "tokenizer"
    begun = {"tokens": json.loads((tokens / "_manifest.json").read_text())["fingerprint"]}
    if checkpoint and size:
        raise ValueError("give either --checkpoint or --model: a checkpoint has its size")
    if checkpoint:
        model = CodeGen.load(checkpoint)
        check_tokens(checkpoint, model, tokens, rows)
        model.transformer.recompute = options.pop("recompute")
        size = size_of(model.settings)
        begun["checkpoint"] = digest(*weight_files(checkpoint))
    else:
        size = size or "350M"
        encoder = Encoder.open(tokenizer)
        settings = new_settings(size, encoder.vocabulary, rows.length, encoder.end_of_text)
        torch.manual_seed(options["seed"])
        model = CodeGen(settings, options.pop("recompute"))
        begun["model"] = size
    work(model, rows, tokenizer, out, begun, LEARNING_RATES[size], size, options)


@click.command()
@click.option("--checkpoint", type=LOCAL, required=True, help="A CodeGen model to begin with.")
@click.option("--dialogue", type=LOCAL, multiple=True, help="OUT/dialogue or a JSONL file.")
@click.option("--tokens", type=LOCAL, help="OUT/tokens, made with the checkpoint's tokenizer.")
@click.option("--lora", type=click.IntRange(min=1), help="Trains adapters of this rank alone.  [all weights]")
@training_options
def finetune(
    checkpoint: Path, dialogue: tuple[Path, ...], tokens: Path | None, lora: int | None, out: Path, **options: Any
) -> None:
    """Trains a model on: stage two, dialogue; or a corpus of your own."""
    import torch

    from jobs.training.data import Blocks, Dialogues
    from jobs.training.encoder import Encoder
    from jobs.training.lora import adapt
    from jobs.training.model import CodeGen, size_of, weight_files

    model = CodeGen.load(checkpoint)
    model.transformer.recompute = options.pop("recompute")
    if bool(dialogue) == (tokens is not None):
        raise ValueError("give either --dialogue or --tokens")
    if tokens is not None:
        rows, source = Blocks(tokens), digest(tokens / "_manifest.json")
        check_tokens(checkpoint, model, tokens, rows)
    else:
        encoder = Encoder.open(checkpoint, model.settings.eos_token_id)
        if encoder.vocabulary > (known := model.settings.vocab_size):
            raise ValueError(
                f"{checkpoint}: the tokenizer has the id {encoder.vocabulary - 1}, the model only {known} ids"
            )
        rows = Dialogues(dialogue, encoder, model.settings.n_positions)
        source = [digest(place / "_manifest.json" if place.is_dir() else place) for place in dialogue]
    size = size_of(model.settings)
    rate = LORA_RATE if lora else FINETUNING_SHARE * LEARNING_RATES[size]
    if lora:
        torch.manual_seed(options["seed"])
        adapt(model, lora)
    begun = {"checkpoint": digest(*weight_files(checkpoint)), "rows": source, "lora": lora}
    work(model, rows, checkpoint, out, begun, rate, size, options)


def work(model: Any, rows: Any, tokenizer: Path, out: Path, begun: dict, rate: float, size: str, options: dict) -> None:
    """Trains, and says what was made."""
    import torch

    from jobs.training.checkpoints import Checkpoints
    from jobs.training.loop import Place, Training, TrainingSettings

    place, checkpoints = Place.of_environment(), Checkpoints(out)
    precision, compiled, on_gpu = options.pop("precision"), options.pop("compiled"), torch.cuda.is_available()
    batch = options["batch"] or (2 if size == "tiny" else 8)
    warmup = options["warmup"] or checkpoints.begun().get("warmup") or max(1, options["steps"] // 20)
    settings = TrainingSettings(
        **{
            **options,
            "batch": batch,
            "micro_batch": options["micro_batch"] or max(1, batch // place.ranks),
            "learning_rate": options["learning_rate"] or rate,
            "warmup": warmup,
            "bf16": precision == "bf16" if precision else on_gpu,
            "compile": on_gpu if compiled is None else compiled,
        }
    )
    told = begun | asdict(settings)
    checkpoints.check(told)
    training = Training(model, rows, settings, checkpoints, click.echo)
    place.wait()
    if place.rank == 0:
        checkpoints.begin(told)
        for name in TOKENIZER_FILES:
            if (tokenizer / name).is_file():
                shutil.copyfile(tokenizer / name, out / name)
    if rows.skipped:
        training.say(f"{rows.skipped:,} without a token to learn are skipped; {len(rows):,} rows are left")
    if training.step == settings.steps:
        training.say(f"Nothing to do: {out} has all {settings.steps} steps.")
    training.run()
    training.say(f"{out} opens with transformers.AutoModelForCausalLM.from_pretrained; its weights have 32 bits")


def check_tokens(checkpoint: Path, model: Any, tokens: Path, rows: Any) -> None:
    """Raises ValueError for tokens that another tokenizer made, and for blocks longer than a model's context."""
    from jobs.training.encoder import tokenizer_file

    own, given = (tokenizer_file(folder) for folder in (checkpoint, tokens.parent / "tokenizer"))
    if own.read_bytes() != given.read_bytes():
        raise ValueError(f"{tokens} was encoded with another tokenizer: run with tokenize.tokenizer={own}")
    if rows.length > (context := model.settings.n_positions):
        raise ValueError(
            f"{tokens} has blocks of {rows.length} tokens, {checkpoint} a context of {context}: "
            f"run with tokenize.block={context}"
        )


cli = click.Group(commands={"train": train, "finetune": finetune})

if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    cli()
