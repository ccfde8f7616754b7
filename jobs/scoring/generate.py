"""Sampling from a model: many rows of one prompt at a time, with a cache of keys and values."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from jobs.training.model import Cache, CodeGen


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
    likeliest token. Top-p sampling: Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020), section 3.1.
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
    chances, tokens = (logits / temperature).softmax(-1).sort(-1, descending=True)
    before = chances.cumsum(-1) - chances
    chances[before >= top_p] = 0
    places = torch.multinomial(chances, 1, generator=generator)
    return tokens.gather(-1, places)[:, 0]


def complete(
    model: CodeGen,
    tokens: list[int],
    rows: int,
    limit: int,
    temperature: float,
    top_p: float,
    generator: torch.Generator,
    ends: Callable[[list[int]], bool],
) -> list[list[int]]:
    """The tokens drawn for each row, until `ends` says of every row that what it has is enough."""
    drawn: list[list[int]] = [[] for _ in range(rows)]
    ended = [False] * rows
    for step in stream(model, tokens, rows, limit, temperature, top_p, generator):
        for row, token in enumerate(step.tolist()):
            if not ended[row]:
                drawn[row].append(token)
                ended[row] = ends(drawn[row])
        if all(ended):
            break
    return drawn
