"""What a training run leaves: a model that opens with `from_pretrained`, and states to go on from.

config.json, model.safetensors and the tokenizer's files are those of the newest state. `states/` holds the last two,
sharded over the ranks that wrote them (torch.distributed.checkpoint; any number of ranks reads them). training.json
holds the settings, and the losses of every evaluation.
"""

import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch.distributed as dist
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_state_dict,
    set_state_dict,
)
from torch.optim import Optimizer

from jobs.training.lora import merged
from jobs.training.model import CodeGen, save_model

KEPT_STATES = 2

# Where there is no group of ranks, one process is what is meant: torch would say at each save that it takes it so.
warnings.filterwarnings("ignore", message="torch.distributed is disabled", category=UserWarning)


@dataclass(frozen=True)
class Checkpoints:
    """The folder of a training run. All ranks call `save` and `resume` together; rank 0 writes what is not sharded."""

    folder: Path

    @property
    def record_file(self) -> Path:
        return self.folder / "training.json"

    def begun(self) -> dict[str, Any]:
        """The settings of the run that was begun here; none where there is none."""
        return json.loads(self.record_file.read_text())["settings"] if self.record_file.is_file() else {}

    def check(self, settings: dict[str, Any]) -> None:
        """Raises ValueError if a run with other settings was begun here. One that is finished may have more steps."""
        begun = self.begun()
        for key in settings if begun else ():
            if begun.get(key) == settings[key]:
                continue
            if key == "steps" and settings[key] > begun[key]:
                if begun[key] in self.states():
                    continue
                raise ValueError(f"{self.folder}: finish its {begun[key]} steps first, then give it {settings[key]}")
            raise ValueError(
                f"{self.folder} was begun with {key} {begun.get(key)!r}, not {settings[key]!r}: "
                "give the same settings to go on, or another --out"
            )

    def begin(self, settings: dict[str, Any]) -> None:
        """Keeps the settings, and in `stages` the steps of each time that a finished run was given more."""
        self.folder.mkdir(parents=True, exist_ok=True)
        kept = json.loads(self.record_file.read_text()) if self.begun() else {"stages": [], "evaluations": []}
        stages = [*(steps for steps in kept["stages"] if steps != settings["steps"]), settings["steps"]]
        write_json(self.record_file, {"settings": settings, "stages": stages, "evaluations": kept["evaluations"]})

    def states(self) -> list[int]:
        """The saved steps, oldest first."""
        return sorted(int(path.name.removeprefix("step-")) for path in self.folder.glob("states/step-*"))

    def resume(self, model: CodeGen, optimizer: Optimizer) -> int:
        """Loads the newest state into both; gives its step, 0 where there is none."""
        steps = self.states()
        if not steps:
            return 0
        weights, moments = get_state_dict(model, optimizer)
        state = {"model": weights, "optimizer": moments}
        state_dict_loader.load(state, checkpoint_id=str(self.state(steps[-1])), no_dist=not dist.is_initialized())
        set_state_dict(model, optimizer, model_state_dict=state["model"], optim_state_dict=state["optimizer"])
        return steps[-1]

    def save(self, model: CodeGen, optimizer: Optimizer, step: int) -> None:
        """Saves the state after `step` steps; one that is there already stays."""
        if step in self.states():
            return
        unfinished = self.folder / "states" / f"unfinished-{step:08d}"
        weights, moments = get_state_dict(model, optimizer)
        state = {"model": weights, "optimizer": moments}
        state_dict_saver.save(state, checkpoint_id=str(unfinished), no_dist=not dist.is_initialized())
        gathered = StateDictOptions(full_state_dict=True, cpu_offload=True)
        whole: Any = get_model_state_dict(model, options=gathered)
        if not dist.is_initialized() or dist.get_rank() == 0:
            save_model(self.folder, model.settings, merged(whole))
            os.replace(unfinished, self.state(step))
            for old in self.states()[:-KEPT_STATES]:
                shutil.rmtree(self.state(old))
        if dist.is_initialized():
            dist.barrier()

    def state(self, step: int) -> Path:
        return self.folder / "states" / f"step-{step:08d}"

    def record(self, evaluation: dict[str, Any]) -> None:
        """Adds an evaluation to training.json, in place of one of the same step."""
        kept = json.loads(self.record_file.read_text())
        others = [earlier for earlier in kept["evaluations"] if earlier["step"] != evaluation["step"]]
        write_json(self.record_file, {**kept, "evaluations": [*others, evaluation]})


def write_json(path: Path, value: Any) -> None:
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(unfinished, path)
