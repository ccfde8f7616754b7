"""Progress of a run, read from what is committed on storage: the same wherever the run runs."""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pipeline.sources.files import reason
from pipeline.storage import PROGRESS, MissingDataset, Store

RUN = "_run.json"
TEXT = "text_"
"""How the steps and datasets of `tokenize.text` begin."""
POLL_SECONDS = 0.5
REMOTE_POLL_SECONDS = 15
"""Looking costs some requests a step on an object store."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepProgress:
    """How far a step is: shards made of shards to make, and rows of its first output when it is committed."""

    name: str
    made: int
    shards: int
    rows: int | None

    @property
    def is_done(self) -> bool:
        return self.rows is not None


def makes(store: Store, dataset: str) -> bool:
    """Whether the run in a location makes a dataset: what another recipe has left there does not count."""
    run = store.read_json(RUN)
    return run is not None and any(dataset in step["outputs"] for step in run["steps"])


def progress(store: Store, before: Iterable[StepProgress] = ()) -> list[StepProgress]:
    """The steps of the run in a location, in order; those that were done `before` are not looked at again.

    Raises MissingDataset where there is no run.
    """
    run = store.read_json(RUN)
    if run is None:
        raise MissingDataset(f"{store.address()} holds no run of codesieve (no {RUN})")
    done = {step.name: step for step in before if step.is_done}
    return [done.get(step["name"]) or _step(store, step) for step in run["steps"]]


def _step(store: Store, step: dict) -> StepProgress:
    manifest = store.manifest(step["outputs"][0])
    if manifest is not None and manifest.fingerprint == step["fingerprint"]:
        return StepProgress(step["name"], step["shards"], step["shards"], manifest.rows)
    made = len(store.names(PROGRESS, step["name"]))
    return StepProgress(step["name"], made, step["shards"], None)


@contextmanager
def shown(store: Store) -> Iterator[None]:
    """Shows the progress of the run while the body lasts: a bar on a terminal, a line a step elsewhere.

    Each committed step goes to the log as well.
    """
    stop = threading.Event()
    bars = Progress(
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
    thread = threading.Thread(target=_watch, args=(store, stop, bars, progress(store)), daemon=True)
    with bars:
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _watch(store: Store, stop: threading.Event, bars: Progress, steps: list[StepProgress]) -> None:
    bar = bars.add_task("starting", total=None)
    told = {step.name for step in steps if step.is_done}
    ended = False
    while not ended:
        ended = stop.wait(POLL_SECONDS if store.is_local else REMOTE_POLL_SECONDS)
        try:
            steps = progress(store, steps)
        except OSError as error:
            log.warning("progress cannot be read", extra={"cause": reason(error)})
            continue
        for number, step in enumerate(steps, 1):
            if step.is_done and step.name not in told:
                told.add(step.name)
                log.info("step committed", extra={"step": step.name, "rows": step.rows, "shards": step.shards})
                if bars.disable:
                    print(f"step {number}/{len(steps)} {step.name}: {step.rows:,} rows", file=sys.stderr, flush=True)
        now = next((step.name for step in steps if not step.is_done), "done")
        made = sum(step.made for step in steps)
        bars.update(bar, description=now, completed=made, total=sum(step.shards for step in steps))
