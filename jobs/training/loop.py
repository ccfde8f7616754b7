"""The training loop: one process on a processor or a GPU, or one a GPU under torchrun (FSDP2)."""

import atexit
import math
import os
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard
from torch.distributed.tensor import DTensor
from torch.utils.tensorboard import SummaryWriter

from jobs.training import TrainingError
from jobs.training.checkpoints import Checkpoints
from jobs.training.data import UNLEARNED, Order, Rows
from jobs.training.model import CodeGen

PEAK_FLOPS = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12, "T4": 65e12}
"""Dense bf16 (T4: fp16) operations a second, by what the device's name holds; NVIDIA's data sheets."""


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained.

    `batch`: rows a step, over all ranks and accumulated; `micro_batch`: rows a rank takes at once.
    `learning_rate`: the peak, reached after `warmup` steps and followed by half a cosine down to a tenth of it
    (Brown et al., "GPT-3", 2020, appendix B, whence the other defaults of AdamW and clipping as well).
    `held_out`: rows kept for evaluation, every `evaluate_every` steps and at the end.
    """

    steps: int
    batch: int = 8
    micro_batch: int = 8
    learning_rate: float = 3e-4
    warmup: int = 100
    weight_decay: float = 0.1
    clip: float = 1.0
    held_out: int = 8
    evaluate_every: int = 100
    save_every: int = 500
    seed: int = 0
    bf16: bool = True
    compile: bool = False

    def rate(self, step: int) -> float:
        """The learning rate of a step, counted from 0."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        progress = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.learning_rate * (0.55 + 0.45 * math.cos(math.pi * min(1.0, progress)))


@dataclass(frozen=True)
class Place:
    """Where this process stands among those that train together, and its device."""

    rank: int
    ranks: int
    device: torch.device

    @staticmethod
    def of_environment() -> "Place":
        """From the variables that torchrun and Ray Train set; joins the group where there is one."""
        ranks = int(os.environ.get("WORLD_SIZE", "1"))
        local = int(os.environ.get("LOCAL_RANK", "0"))
        count = torch.cuda.device_count()  # Ray may show each rank its own GPU alone
        device = torch.device("cuda", local % count) if count else torch.device("cpu")
        if device.type == "cuda":
            torch.cuda.set_device(device)
        if ranks > 1 and not dist.is_initialized():
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
            atexit.register(dist.destroy_process_group)  # its threads would end a process that leaves them behind
        return Place(int(os.environ.get("RANK", "0")), ranks, device)

    def wait(self) -> None:
        """Until all ranks are here."""
        if self.ranks > 1:
            dist.barrier()

    def total(self, value: Tensor) -> Tensor:
        """The sum over all ranks."""
        if self.ranks > 1:
            dist.all_reduce(value)
        return value


class Training:
    """Trains a model in place on `rows`, from the newest state in `checkpoints` on.

    `say` takes a line for a person. Raises ValueError, before anything is written, for settings that do not fit.
    """

    def __init__(
        self,
        model: CodeGen,
        rows: Rows,
        settings: TrainingSettings,
        checkpoints: Checkpoints,
        say: Callable[[str], None],
    ):
        self.model, self.rows, self.settings, self.checkpoints = model, rows, settings, checkpoints
        self.place = Place.of_environment()
        if settings.batch % (settings.micro_batch * self.place.ranks):
            raise ValueError(
                f"--batch {settings.batch} is no multiple of --micro-batch {settings.micro_batch} "
                f"times {self.place.ranks} ranks"
            )
        self.order = Order(len(rows), settings.held_out, settings.seed)
        self.say = say if self.place.rank == 0 else lambda line: None
        prepare(model, settings, self.place)
        self.optimizer = adamw(model, settings, self.place.device)
        self.step = checkpoints.resume(model, self.optimizer)

    @cached_property
    def logs(self) -> SummaryWriter:
        return SummaryWriter(str(self.checkpoints.folder / "logs"), purge_step=self.step)

    def run(self) -> None:
        """Trains until the last step and saves the model.

        Raises TrainingError, with the state saved, when memory runs out or the loss is no number.
        """
        meter = Meter(self.settings.batch * self.rows.length, self.model.settings.training_flops(self.rows.length))
        while self.step < self.settings.steps:
            loss, norm = self.update()
            self.step += 1
            ends = self.step == self.settings.steps
            self.log({"loss": loss, "gradient_norm": norm, "learning_rate": self.settings.rate(self.step - 1)})
            meter.count()
            if ends or self.step % 10 == 0:
                self.say(f"step {self.step} of {self.settings.steps}: loss {loss:.4f}, {meter.read(self.place)}")
            if self.settings.held_out and (ends or self.step % self.settings.evaluate_every == 0):
                self.record(loss)
            if ends or self.step % self.settings.save_every == 0:
                self.save()
            meter.pause()

    def log(self, values: dict[str, float]) -> None:
        if self.place.rank == 0:
            for name, value in values.items():
                self.logs.add_scalar(name, value, self.step)

    def save(self) -> None:
        self.checkpoints.save(self.model, self.optimizer, self.step)

    def update(self) -> tuple[float, float]:
        """One step; gives its loss and its gradient's norm before clipping."""
        try:
            loss, norm = self.gradients()
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not ran_out_of_memory(error):
                raise
            raise self.stopped(f"out of memory: try half of --micro-batch {self.settings.micro_batch}") from error
        if not math.isfinite(loss + norm):
            rows = self.order.batch(self.step, self.settings.batch).tolist()
            raise self.stopped(
                f"loss {loss}, gradient {norm}: try a lower --learning-rate or a longer --warmup; rows {rows}"
            )
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.rate(self.step)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return loss, norm

    def stopped(self, why: str) -> TrainingError:
        self.optimizer.zero_grad(set_to_none=True)
        self.save()
        return TrainingError(f"step {self.step + 1}: {why} (the state before it is saved)")

    def gradients(self) -> tuple[float, float]:
        """Adds up the gradients of a step's rows; loss and gradient are means over the tokens that are learned."""
        place, size = self.place, self.settings.micro_batch
        numbers = self.order.batch(self.step, self.settings.batch, place.rank, place.ranks)
        tokens, targets = (torch.from_numpy(part) for part in self.rows.take(numbers))
        learned = place.total((targets != UNLEARNED).sum().to(place.device)).clamp(min=1)
        total = torch.zeros((), device=place.device)
        for at in range(0, len(numbers), size):
            # Gradients of several ranks are averaged, so their sum is this many times as large.
            part = self.loss(tokens[at : at + size], targets[at : at + size]) / learned * place.ranks
            part.backward()
            total += part.detach() / place.ranks
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm
        return place.total(total).item(), norm.item()

    def loss(self, tokens: Tensor, targets: Tensor) -> Tensor:
        device = self.place.device
        with torch.autocast(device.type, torch.bfloat16, enabled=self.settings.bf16):
            return self.model(tokens.to(device, non_blocking=True), targets.to(device, non_blocking=True))

    def record(self, loss: float) -> None:
        losses = self.evaluate()
        self.say("held out: " + ", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
        self.log({f"held_out/{name}": value for name, value in losses.items()})
        if self.place.rank == 0:
            self.checkpoints.record({"step": self.step, "loss": loss, "held_out": losses})

    def evaluate(self) -> dict[str, float]:
        """Mean loss a token of the rows held out: of all, and by language."""
        self.model.eval()
        losses = losses_by_language(self.rows, self.order.held(), self.loss)
        self.model.train()
        return {name: loss for name, (loss, _) in losses.items()}


@torch.no_grad()
def losses_by_language(
    rows: Rows, numbers: np.ndarray, loss: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, tuple[float, int]]:
    """Mean loss a token, and how many tokens, of the rows with these numbers: of all, and by language.

    `loss` gives that of each token, (row, token), from tokens and targets.
    """
    sums: dict[str, float] = defaultdict(float)
    counts: Counter[str] = Counter()
    for number in numbers.tolist():
        tokens, targets = (torch.from_numpy(part) for part in rows.take(np.array([number])))
        losses = loss(tokens, targets)[0].float().cpu().numpy()
        names, groups = rows.groups(number)
        for group, name in enumerate(names):
            chosen = (groups == group) & (targets[0].numpy() != UNLEARNED)
            for key in ("all", name):
                sums[key] += float(losses[chosen].sum())
                counts[key] += int(chosen.sum())
    return {name: (sums[name] / counts[name], counts[name]) for name in sums if counts[name]}


class Meter:
    """Tokens a second since the last reading, evaluations and saves left out, and the share of the device's peak."""

    def __init__(self, tokens: int, flops: int):
        self.tokens, self.flops = tokens, flops
        self.steps, self.seconds, self.since = 0, 0.0, time.perf_counter()

    def count(self) -> None:
        self.steps += 1
        self.seconds += time.perf_counter() - self.since
        self.since = time.perf_counter()

    def pause(self) -> None:
        self.since = time.perf_counter()

    def read(self, place: Place) -> str:
        speed = self.steps * self.tokens / self.seconds
        self.steps, self.seconds = 0, 0.0
        peak = peak_flops(place.device)
        share = f", MFU {speed * self.flops / peak / place.ranks:.1%}" if peak else ""
        return f"{speed:,.0f} tokens/s{share}"


def peak_flops(device: torch.device) -> float | None:
    """What a device can do at most; None for one that is not in the table."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else ""
    return next((peak for key, peak in PEAK_FLOPS.items() if key in name), None)


def prepare(model: CodeGen, settings: TrainingSettings, place: Place) -> None:
    """Moves a model to its device; compiles its blocks and shards it over the ranks."""
    model.to(place.device).train()
    if settings.compile:
        for block in model.transformer.h:
            block.compile()
    if place.ranks > 1:
        # What blocks are given stays as it is: cast to bf16, the sines of far positions would be those of others.
        precision = MixedPrecisionPolicy(
            param_dtype=torch.bfloat16 if settings.bf16 else None, reduce_dtype=torch.float32, cast_forward_inputs=False
        )
        mesh = init_device_mesh(place.device.type, (place.ranks,))
        for block in model.transformer.h:
            fully_shard(block, mesh=mesh, mp_policy=precision)
        fully_shard(model, mesh=mesh, mp_policy=precision)


def adamw(model: nn.Module, settings: TrainingSettings, device: torch.device) -> torch.optim.AdamW:
    """Decays matrices, not biases and norms."""
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in trained if weight.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [weight for weight in trained if weight.ndim == 1], "weight_decay": 0.0},
    ]
    used = [group for group in groups if group["params"]]
    return torch.optim.AdamW(used, settings.learning_rate, betas=(0.9, 0.95), eps=1e-8, fused=True)


def ran_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in str(error)
