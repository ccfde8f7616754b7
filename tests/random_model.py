"""A small model of random weights, for what can be tested without training."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from jobs.training.model import CodeGen, ModelSettings, save_model


def save_random_model(folder: Path) -> Path:
    """Writes a checkpoint whose tokens are single characters; gives the folder."""
    letters = {letter: place for place, letter in enumerate(["<|endoftext|>", *map(chr, range(32, 127)), "\n"])}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    settings = ModelSettings(2, 64, 4, 16, vocab_size=128, n_positions=512, bos_token_id=0, eos_token_id=0)
    save_model(folder, settings, CodeGen(settings).state_dict())
    return folder
