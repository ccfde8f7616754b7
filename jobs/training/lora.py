"""Low-rank adapters: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models" (2021), section 4.1."""

import torch
from torch import Tensor, nn

from jobs.training.model import CodeGen

ADAPTED = ("qkv_proj", "out_proj", "fc_in", "fc_out")


class Adapted(nn.Module):
    """A frozen linear layer plus the product of two thin trained ones, which starts at zero."""

    def __init__(self, base: nn.Linear, rank: int):
        super().__init__()
        self.base = base
        self.down = nn.Parameter(torch.empty(rank, base.in_features, dtype=base.weight.dtype))
        self.up = nn.Parameter(torch.zeros(base.out_features, rank, dtype=base.weight.dtype))
        nn.init.normal_(self.down, std=rank**-0.5)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.base(hidden) + hidden @ self.down.T @ self.up.T


def adapt(model: CodeGen, rank: int) -> None:
    """Freezes a model's weights and adds adapters of this rank to all matrices of its blocks."""
    model.requires_grad_(False)
    for part in list(model.transformer.h.modules()):
        for name, layer in list(part.named_children()):
            if name in ADAPTED and isinstance(layer, nn.Linear):
                setattr(part, name, Adapted(layer, rank))


def merged(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """A model's weights with its adapters added in, under the names that it has without them."""
    plain = {name.replace(".base.", "."): tensor for name, tensor in weights.items()}
    for name in [name for name in plain if name.endswith(".down")]:
        layer = name.removesuffix(".down")
        added = plain.pop(f"{layer}.up") @ plain.pop(name)
        plain[f"{layer}.weight"] = plain[f"{layer}.weight"] + added
    return plain
