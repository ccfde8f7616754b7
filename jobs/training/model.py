"""CodeGen, the model: a causal transformer whose attention and feed-forward run side by side.

Nijkamp et al., "CodeGen" (ICLR 2023), appendix A; its rotary positions turn pairs of neighbouring dimensions (Su et
al., 2021, as GPT-J has it). Modules bear the names, and weights have the layout, of transformers' CodeGenForCausalLM,
so a saved model opens with `from_pretrained` there, and a published one opens here.
"""

import json
import math
import os
import shutil
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.attention.bias import causal_lower_right
from torch.utils.checkpoint import checkpoint

CORES = 4
"""The query, key and value weights of published models are laid out for four TPU cores, each with some of the heads."""


@dataclass(frozen=True)
class ModelSettings:
    """Sizes of a model. Field names are those of transformers' CodeGenConfig.

    `n_embd`: width; `n_positions`: longest context in tokens; `rotary_dim`: dimensions of each head that are turned.
    """

    n_layer: int
    n_embd: int
    n_head: int
    rotary_dim: int
    vocab_size: int = 51200
    n_positions: int = 2048
    bos_token_id: int = 50256
    eos_token_id: int = 50256
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02

    def __post_init__(self) -> None:
        if self.n_head % CORES or self.n_embd % self.n_head:
            raise ValueError(f"{self.n_head} heads: give a multiple of {CORES} that divides the width {self.n_embd}")
        if self.rotary_dim % 2 or self.rotary_dim > self.n_embd // self.n_head:
            raise ValueError(f"rotary_dim {self.rotary_dim}: give an even number up to the head's width")

    def training_flops(self, block: int) -> int:
        """Floating point operations a token of one forward and backward pass over blocks of so many tokens.

        6 a weight of a matrix product, and 12 a layer, width and position attended to (Chowdhery et al., "PaLM", 2022,
        appendix B), of which a causal model needs half.
        """
        matrices = self.n_layer * 12 * self.n_embd**2 + self.n_embd * self.vocab_size
        return 6 * matrices + 6 * self.n_layer * self.n_embd * block


SIZES = {
    "tiny": (4, 128, 4, 16),
    "350M": (20, 1024, 16, 32),
    "2B": (32, 2560, 32, 64),
    "6B": (33, 4096, 16, 64),
    "16B": (34, 6144, 24, 64),
}
"""Layers, width, heads and rotary dimensions; all but `tiny`, which is for processors, from the paper's table 4."""


LOGITS_AT_ONCE = {"cpu": 1 << 23, "cuda": 1 << 28}
"""As many as a processor's caches and allocator take well (1.5 times as fast as with four times as many)."""


class Cache:
    """Keys and values of the tokens seen so far, for generation: room for `length` tokens in each of `batch` rows."""

    def __init__(self, model: "CodeGen", batch: int, length: int):
        sizes = model.settings
        shape = (sizes.n_layer, 2, batch, sizes.n_head, length, sizes.n_embd // sizes.n_head)
        self.kept = torch.empty(shape, dtype=model.dtype, device=model.device)
        self.seen = 0

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Adds a layer's keys and values of new tokens, (batch, head, token, dimension); gives those of all."""
        end = self.seen + key.shape[2]
        self.kept[layer, 0, :, :, self.seen : end] = key
        self.kept[layer, 1, :, :, self.seen : end] = value
        return self.kept[layer, 0, :, :, :end], self.kept[layer, 1, :, :, :end]


class Attention(nn.Module):
    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.heads, self.rotary_dim = settings.n_head, settings.rotary_dim
        self.qkv_proj = nn.Linear(settings.n_embd, 3 * settings.n_embd, bias=False)
        self.out_proj = nn.Linear(settings.n_embd, settings.n_embd, bias=False)

    def forward(self, hidden: Tensor, turns: Tensor, layer: int, cache: Cache | None) -> Tensor:
        batch, length, width = hidden.shape
        shares = self.qkv_proj(hidden).view(batch, length, CORES, 3, self.heads // CORES, width // self.heads)
        query, value, key = (
            shares.select(3, which).reshape(batch, length, self.heads, -1).transpose(1, 2) for which in range(3)
        )
        query, key = self.turn(query, turns), self.turn(key, turns)
        if cache is not None:
            key, value = cache.extend(layer, key, value)
        earlier = key.shape[2] - length
        mask = causal_lower_right(length, key.shape[2]) if earlier and length > 1 else None
        seen = F.scaled_dot_product_attention(query, key, value, mask, is_causal=not earlier)
        return self.out_proj(seen.transpose(1, 2).reshape(batch, length, width))

    def turn(self, heads: Tensor, turns: Tensor) -> Tensor:
        """Turns each pair of the first `rotary_dim` dimensions by its angle, in 32 bits."""
        even, odd = heads[..., : self.rotary_dim].float().unflatten(-1, (-1, 2)).unbind(-1)
        sine, cosine = turns
        turned = torch.stack((even * cosine - odd * sine, odd * cosine + even * sine), -1).flatten(-2)
        return torch.cat((turned.type_as(heads), heads[..., self.rotary_dim :]), -1)


class FeedForward(nn.Module):
    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.fc_in = nn.Linear(settings.n_embd, 4 * settings.n_embd)
        self.fc_out = nn.Linear(4 * settings.n_embd, settings.n_embd)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.fc_out(F.gelu(self.fc_in(hidden), approximate="tanh"))


class LayerNorm(nn.LayerNorm):
    """In the precision of what it is given, also where its own weights were cast to less."""

    def forward(self, input: Tensor) -> Tensor:
        weight, bias = self.weight.to(input.dtype), self.bias.to(input.dtype)
        return F.layer_norm(input, self.normalized_shape, weight, bias, self.eps)


class Block(nn.Module):
    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.ln_1 = LayerNorm(settings.n_embd, settings.layer_norm_epsilon)
        self.attn = Attention(settings)
        self.mlp = FeedForward(settings)

    def forward(self, hidden: Tensor, turns: Tensor, layer: int, cache: Cache | None) -> Tensor:
        normed = self.ln_1(hidden)
        return hidden + self.attn(normed, turns, layer, cache) + self.mlp(normed)


class Transformer(nn.Module):
    def __init__(self, settings: ModelSettings):
        super().__init__()
        self.settings = settings
        self.recompute = False
        self.wte = nn.Embedding(settings.vocab_size, settings.n_embd)
        self.h = nn.ModuleList(Block(settings) for _ in range(settings.n_layer))
        self.ln_f = LayerNorm(settings.n_embd, settings.layer_norm_epsilon)

    def forward(self, tokens: Tensor, cache: Cache | None) -> Tensor:
        start = 0 if cache is None else cache.seen
        turns = self.turns(start, tokens.shape[1], tokens.device)
        hidden = self.wte(tokens)
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.float()  # sharded weights are cast to bf16, what the blocks add to is not
        for layer, block in enumerate(self.h):
            if self.recompute and self.training:
                hidden = checkpoint(block, hidden, turns, layer, None, use_reentrant=False)
            else:
                hidden = block(hidden, turns, layer, cache)
        if cache is not None:
            cache.seen += tokens.shape[1]
        return self.ln_f(hidden)

    def turns(self, start: int, length: int, device: torch.device) -> Tensor:
        """Sines and cosines of the angles of `length` positions from `start`: (2, position, pair)."""
        pairs = torch.arange(0, self.settings.rotary_dim, 2, device=device)
        speeds = 1.0 / 10000 ** (pairs / self.settings.rotary_dim)
        angles = torch.arange(start, start + length, device=device).float()[:, None] * speeds
        return torch.stack((angles.sin(), angles.cos()))


class HeadLoss(torch.autograd.Function):
    """The cross-entropy of a linear head, some tokens at a time, so that the logits of all never lie in memory.

    Its gradients are computed with it (Hsu et al., "Liger Kernel", 2024, section 3.2), which holds for the sum of the
    losses alone: their gradient must be one number for all.
    """

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
        losses = torch.empty(len(hidden), device=hidden.device)
        gradients = torch.empty_like(hidden), torch.zeros_like(weight, dtype=torch.float32), torch.zeros_like(bias)
        chunk = max(1, LOGITS_AT_ONCE[hidden.device.type] // len(weight))
        for at in range(0, len(hidden), chunk):
            part, target = hidden[at : at + chunk], targets[at : at + chunk, None]
            learned, target = (target != -100).to(part.dtype), target.clamp(min=0)
            logits = torch.addmm(bias, part, weight.T).float().log_softmax(1)
            losses[at : at + chunk] = -(logits.gather(1, target) * learned).squeeze(1)
            if any(ctx.needs_input_grad):
                slopes = logits.exp_().scatter_add_(1, target, logits.new_full(target.shape, -1.0)).to(part.dtype)
                gradients[0][at : at + chunk] = (slopes @ weight) * learned
                if part.dtype == gradients[1].dtype:  # no product as large as the weights beside them
                    gradients[1].addmm_(slopes.T, part * learned)
                else:
                    gradients[1].add_(slopes.T @ (part * learned))
                gradients[2].addmv_(slopes.T, learned[:, 0])
        ctx.save_for_backward(*gradients)
        return losses

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        hidden, weight, bias = ctx.saved_tensors
        return hidden * slopes[0][0], weight.to(hidden.dtype) * slopes[0][0], bias * slopes[0][0], None


class CodeGen(nn.Module):
    """The model with its language-modelling head.

    Weights are drawn as transformers draws them: normal with `initializer_range`, biases zero. `recompute` trades time
    for memory: activations are computed again in the backward pass.
    """

    def __init__(self, settings: ModelSettings, recompute: bool = False):
        super().__init__()
        self.settings = settings
        self.transformer = Transformer(settings)
        self.transformer.recompute = recompute
        self.lm_head = nn.Linear(settings.n_embd, settings.vocab_size)
        self.apply(self.draw)

    def draw(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=self.settings.initializer_range)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)

    @property
    def dtype(self) -> torch.dtype:
        return self.transformer.wte.weight.dtype

    @property
    def device(self) -> torch.device:
        return self.transformer.wte.weight.device

    def forward(self, tokens: Tensor, targets: Tensor | None = None, cache: Cache | None = None) -> Tensor:
        """Logits (batch, token, vocabulary) of what follows each of `tokens`, which follow those in the cache.

        With `targets` instead the cross-entropy in nats: in training its sum, else that of each token (batch, token);
        0 where -100 marks a token that is not learned.
        """
        hidden = self.transformer(tokens, cache)
        if targets is None:
            return self.lm_head(hidden)
        if torch.is_autocast_enabled(hidden.device.type):
            hidden = hidden.to(torch.get_autocast_dtype(hidden.device.type))
        weight, bias = self.lm_head.weight.to(hidden.dtype), self.lm_head.bias.to(hidden.dtype)
        losses = HeadLoss.apply(hidden.flatten(0, 1), weight, bias, targets.flatten())
        return losses.sum() if self.training else losses.view_as(targets)

    @staticmethod
    def load(folder: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> "CodeGen":
        """A model that `save_model` or transformers wrote, in 32 bits unless another precision is asked for.

        The file's own precision does not matter: half precision is too coarse to be trained in, since a step of the
        usual size rounds to no step at all. Raises ValueError for a folder that holds no such model.
        """
        settings = read_settings(folder)
        weights = {name: tensor for path in weight_files(folder) for name, tensor in load_file(path).items()}
        with torch.device("meta"):
            model = CodeGen(settings)
        names = model.state_dict().keys()
        if missing := names - weights.keys():
            raise ValueError(f"{folder}: the weights lack {min(missing)}")
        model.load_state_dict({name: weights[name].to(device, dtype) for name in names}, assign=True)
        return model


def save_model(folder: Path, settings: ModelSettings, weights: dict[str, Tensor]) -> None:
    """Writes config.json and model.safetensors, which transformers opens."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {field.name: getattr(settings, field.name) for field in fields(settings)}
    dtype = str(weights["lm_head.weight"].dtype).removeprefix("torch.")
    fixed = {"model_type": "codegen", "architectures": ["CodeGenForCausalLM"], "activation_function": "gelu_new"}
    fixed |= {"n_ctx": settings.n_positions, "tie_word_embeddings": False, "dtype": dtype}
    (folder / "config.json").write_text(json.dumps(fixed | sizes, indent=2) + "\n")
    unfinished = folder / "model.safetensors.tmp"
    save_file(
        {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}, unfinished, {"format": "pt"}
    )
    shutil.copymode(folder / "config.json", unfinished)  # the library's own is for the user alone, whatever the umask
    os.replace(unfinished, folder / "model.safetensors")


def read_settings(folder: Path) -> ModelSettings:
    """The sizes in a saved model's config.json. Raises ValueError for another kind of model."""
    path = folder / "config.json"
    if not path.is_file():
        raise ValueError(f"{folder} holds no config.json: give a folder that codesieve train or transformers wrote")
    stored = json.loads(path.read_text())
    if stored.get("model_type") != "codegen" or stored.get("activation_function", "gelu_new") != "gelu_new":
        raise ValueError(f"{path}: model_type {stored.get('model_type')!r} is not codegen")
    return ModelSettings(**{field.name: stored[field.name] for field in fields(ModelSettings) if field.name in stored})


def weight_files(folder: Path) -> list[Path]:
    """The safetensors files of a model, one or many."""
    paths = sorted(folder.glob("*.safetensors"))
    if not paths:
        raise ValueError(f"{folder} holds no *.safetensors file (pickled weights are not read)")
    return paths


def new_settings(size: str, vocab_size: int, n_positions: int, end_of_text: int) -> ModelSettings:
    """The settings of a size by name, its vocabulary rounded up to a multiple of 64, which GPUs multiply faster.

    Raises ValueError for an unknown size.
    """
    if size not in SIZES:
        raise ValueError(f"unknown model {size!r}: give one of {', '.join(SIZES)}")
    rounded = math.ceil(vocab_size / 64) * 64
    return ModelSettings(*SIZES[size], rounded, n_positions, bos_token_id=end_of_text, eos_token_id=end_of_text)


def size_of(settings: ModelSettings) -> str:
    """The name of the size nearest in weights of its blocks."""
    weights = {name: layers * width**2 for name, (layers, width, *_) in SIZES.items()}
    own = settings.n_layer * settings.n_embd**2
    return min(weights, key=lambda name: abs(math.log(weights[name] / own)))
