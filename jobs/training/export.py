"""The command `export`: a model made smaller."""

import shutil
import time
from pathlib import Path
from typing import Any

import click

from jobs.places import LOCAL
from jobs.training.commands import TOKENIZER_FILES


@click.command("export")
@click.option("--checkpoint", type=LOCAL, required=True, help="A CodeGen model.")
@click.option("--int8", is_flag=True, required=True, help="Weights of 8 bits, one scale for each row; the only kind.")
@click.option("--out", type=LOCAL, required=True, help="Where the smaller model goes.")
@click.option("--tokens", "count", type=click.IntRange(min=2), default=32, help="Drawn to measure the speed.  [32]")
def export(checkpoint: Path, int8: bool, out: Path, count: int) -> None:
    """Writes a model with 8-bit weights, which transformers opens, and tells size and time a token of both."""
    import torch
    from torchao.quantization import Int8WeightOnlyConfig
    from transformers import AutoModelForCausalLM, TorchAoConfig

    from jobs.training.model import read_settings

    try:
        read_settings(checkpoint)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    plain: Any = AutoModelForCausalLM.from_pretrained(checkpoint)
    small: Any = AutoModelForCausalLM.from_pretrained(
        checkpoint, quantization_config=TorchAoConfig(Int8WeightOnlyConfig(version=2))
    )
    small.save_pretrained(out)
    for name in TOKENIZER_FILES:
        if (checkpoint / name).is_file():
            shutil.copyfile(checkpoint / name, out / name)
    for label, model, folder in (("before", plain, checkpoint), ("after", small, out)):
        size = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
        prompt = torch.zeros((1, 1), dtype=torch.long)
        model.generate(prompt, max_new_tokens=2, min_new_tokens=2, do_sample=False)
        start = time.perf_counter()
        model.generate(prompt, max_new_tokens=count, min_new_tokens=count, do_sample=False)
        each = (time.perf_counter() - start) / count
        click.echo(f"{label:<7} {size / 1e6:,.1f} MB, {each * 1000:.2f} ms a token")
