"""A small model of random weights, for what can be tested without training."""

from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers

from jobs.training.model import CodeGen, ModelSettings, save_model

SETTINGS = ModelSettings(2, 64, 4, 16, vocab_size=128, n_positions=512, bos_token_id=0, eos_token_id=0)


def save_random_model(
    folder: Path,
    settings: ModelSettings = SETTINGS,
    dtype: torch.dtype = torch.float32,
    rounded: torch.dtype = torch.float32,
    scale: float = 1,
) -> Path:
    """Writes a checkpoint whose tokens are single characters; gives the folder.

    Its file holds `dtype`; its weights are those that `rounded` can hold, matrices `scale` times as large as usual.
    """
    folder.mkdir(parents=True, exist_ok=True)
    letters = {letter: place for place, letter in enumerate(["<|endoftext|>", *map(chr, range(32, 127)), "\n"])}
    tokenizer = Tokenizer(models.WordLevel(letters, unk_token="<|endoftext|>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.add_special_tokens(["<|endoftext|>"])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(0)
    drawn = CodeGen(settings).state_dict()
    weights = {name: tensor * scale if tensor.ndim > 1 else tensor for name, tensor in drawn.items()}
    save_model(folder, settings, {name: tensor.to(rounded).to(dtype) for name, tensor in weights.items()})
    return folder
