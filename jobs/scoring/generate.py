"""Sampling from a model: many rows of one prompt at a time, with a cache of keys and values."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from jobs.digest import digest
from jobs.scoring.problems import truncate
from jobs.training.encoder import Encoder
from jobs.training.model import Cache, CodeGen, weight_files

LIKELIEST = 512


@torch.inference_mode()
def stream(
    model: CodeGen,
    tokens: list[int],
    rows: int,
    limit: int,
    temperature: float,
    top_p: float,
    generator: torch.Generator,
) -> Iterator[Tensor]:
    """Draws up to `limit` tokens after a prompt, for `rows` rows at once: (rows,) at a time, until the context is full.

    The prompt is cut at its front where the context would not hold it and the new tokens. Temperature 0 takes the
    likeliest token. Top-p: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), section 3.1.
    """
    context = model.settings.n_positions
    kept = tokens[-max(1, context - limit) :]
    cache = Cache(model, rows, min(context, len(kept) + limit))
    given = torch.tensor(kept, device=model.device).expand(rows, -1)
    for _ in range(min(limit, context - len(kept))):
        logits = model(given, cache=cache)[:, -1].float()
        drawn = choose(logits, temperature, top_p, generator)
        yield drawn
        given = drawn[:, None]


def choose(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    if temperature == 0:
        return logits.argmax(-1)
    chances = (logits / temperature).softmax(-1)
    # Sorting a few is much quicker, and nearly always enough.
    likeliest, tokens = chances.topk(min(LIKELIEST, chances.shape[-1]))
    if likeliest.sum(-1).min() >= top_p:
        chances = likeliest
    else:
        chances, tokens = chances.sort(-1, descending=True)
    before = chances.cumsum(-1) - chances
    chances[before >= top_p] = 0
    places = torch.multinomial(chances, 1, generator=generator)
    return tokens.gather(-1, places)[:, 0]


class Sampler:
    """A model with its tokenizer, that completes texts. The same seed draws the same."""

    def __init__(self, model: CodeGen, encoder: Encoder, temperature: float, top_p: float, fingerprint: str):
        self.model, self.encoder = model, encoder
        self.temperature, self.top_p, self.fingerprint = temperature, top_p, fingerprint
        self.generator = torch.Generator(model.device)

    @staticmethod
    def open(folder: Path, temperature: float, top_p: float) -> "Sampler":
        """Raises ValueError for a folder that holds no CodeGen model with its tokenizer."""
        device = "cuda" if torch.cuda.is_available() else "cpu"
        model = CodeGen.load(folder, device, torch.bfloat16 if device == "cuda" else torch.float32).eval()
        encoder = Encoder.open(folder, model.settings.eos_token_id)
        return Sampler(model, encoder, temperature, top_p, digest(*weight_files(folder)))

    def seed(self, number: int, name: str) -> None:
        """Begins anew, from a number and what is drawn for."""
        mixed = hashlib.sha256(f"{number} {name}".encode()).digest()
        self.generator.manual_seed(int.from_bytes(mixed[:8], "little"))

    def stream(self, tokens: list[int], rows: int, limit: int) -> Iterator[list[str]]:
        """The texts of all rows that follow a prompt, growing, until each meets end-of-text or has `limit` tokens."""
        drawn: list[list[int]] = [[] for _ in range(rows)]
        ended = [False] * rows
        steps = stream(self.model, tokens, rows, limit, self.temperature, self.top_p, self.generator)
        for step in steps:
            for row, token in enumerate(step.tolist()):
                ended[row] = ended[row] or token == self.encoder.end_of_text
                if not ended[row]:
                    drawn[row].append(token)
            yield [self.encoder.tokenizer.decode(row) for row in drawn]
            if all(ended):
                return

    def complete(self, prompt: str, rows: int, limit: int) -> list[str]:
        """Texts that follow a prompt, each until a program's end (`truncate`) or `limit` tokens."""
        texts = [""] * rows
        for texts in self.stream(self.encoder.text(prompt), rows, limit):
            if all(len(truncate(text)) < len(text) for text in texts):
                break
        return texts
