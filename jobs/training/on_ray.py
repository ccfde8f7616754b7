"""Training on the workers of a Ray cluster, by Ray Train: each is a rank, as under torchrun."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click

from jobs.training import TrainingError
from pipeline.engines.ray import cluster


def train_on_ray(command: Callable[..., None], given: dict[str, Any], workers: int, address: str | None) -> None:
    """Runs a training command on `workers` ranks, each with a GPU where the cluster has as many.

    `address` is a running cluster's, `auto` or host:port; else one is started here, on loopback, and ended. All paths
    must mean the same on all nodes. Raises TrainingError where a rank fails.
    """
    places = {name: _resolved(value) for name, value in given.items()}
    with cluster(address, workers):
        import ray
        from ray.train import RunConfig, ScalingConfig, TrainingFailedError
        from ray.train.torch import TorchTrainer

        on_gpu = ray.cluster_resources().get("GPU", 0) >= workers
        trainer = TorchTrainer(
            partial(_rank, command, places),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=on_gpu),
            run_config=RunConfig(storage_path=str(places["out"] / "ray")),
        )
        try:
            trainer.fit()
        except TrainingFailedError as error:
            raise TrainingError(f"a rank failed: {str(error).strip().splitlines()[-1]}") from error
    for evaluation in json.loads((places["out"] / "training.json").read_text())["evaluations"]:
        held_out = ", ".join(f"{name} {value:.4f}" for name, value in evaluation["held_out"].items())
        click.echo(f"step {evaluation['step']}: loss {evaluation['loss']:.4f}; held out: {held_out}")


def _resolved(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(map(_resolved, value))
    return value.resolve() if isinstance(value, Path) else value


def _rank(command: Callable[..., None], given: dict[str, Any]) -> None:
    command(**given)
