"""Runs that are killed at random moments, and run out of disk, against one that nothing disturbs.

    python -m tests.benchmarks.faults [--rounds 50] [--seed 0] [--set KEY=VALUE ...]

Each round runs a recipe on a small corpus, kills it at a random moment (the driver, alone or with two Beam workers, or
one of the workers), runs it again to its end, and compares every byte of every dataset. A tenth of the rounds come
after these with a bound on the size of files at a random size, as a full disk would have it.
"""

import argparse
import os
import resource
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

from jobs.recipe import Recipe, load_recipe
from jobs.run import run
from pipeline.engines import beam, inline  # noqa: F401  loaded once, for all forks
from pipeline.storage import Store
from tests.corpora import one_of_everything
from tests.datasets_on_disk import digests
from tests.disturbed import exit_code, in_process, kill_later

CASES = (("inline", 1, "driver"), ("beam", 2, "driver"), ("beam", 2, "worker"))
OFF = ("license", "toxicity", "pii", "decontaminate", "tokenize")
"""Blocks whose models take longer to load than the small corpus takes to read; `--set pii.enabled=true` has one on."""
SMALL = (*(f"{block}.enabled=false" for block in OFF), *("tokenize.vocab_size=600", "tokenize.block=64"))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="over the recipe's keys")
    chosen = parser.parse_args()
    random = Random(chosen.seed)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        dumps = one_of_everything(folder / "dumps")

        def curate(engine: str, workers: int, out: Path) -> Callable[[], object]:
            settings = (*SMALL, f"engine.kind={engine}", f"engine.workers={workers}", *chosen.set)
            return partial(_run, _recipe(dumps, *settings), out)

        seconds, whole = {}, folder / "whole"
        for engine, workers, _ in CASES[:2]:
            shutil.rmtree(whole, ignore_errors=True)
            started = time.monotonic()
            assert exit_code(in_process(curate(engine, workers, whole), folder / "log")) == 0
            seconds[engine] = time.monotonic() - started
            print(f"undisturbed, {engine}: {seconds[engine]:.1f} s", flush=True)
        expected, told = digests(whole), Counter()
        for number in range(chosen.rounds):
            engine, workers, victim = CASES[number % len(CASES)]
            out, moment = folder / f"out{number}", random.uniform(0, seconds[engine])
            pid = in_process(curate(engine, workers, out), folder / "log")
            killed = kill_later(pid, moment, victim, random)
            code = exit_code(pid)
            _ends_well(
                told, f"{engine}, {victim}", killed != "nothing", curate("inline", 1, out), out, expected, folder
            )
            print(f"{number:>3} {engine:<7} {victim:<7} at {moment:5.1f} s: {killed} killed, exit {code}", flush=True)
        largest = max(file.stat().st_size for file in whole.rglob("*") if file.is_file())
        for number in range(chosen.rounds // 10):
            out, size = folder / f"full{number}", random.randrange(1000, largest)
            code = exit_code(in_process(partial(_bounded, size, curate("inline", 1, out)), folder / "log"))
            _ends_well(told, "inline, disk full", code == 3, curate("inline", 1, out), out, expected, folder)
            print(f"{number:>3} inline  disk full at {size:,} bytes: exit {code}", flush=True)
    print("| run | rounds | disturbed | same bytes after the rerun |\n|---|---|---|---|")
    for name in dict.fromkeys(name for name, _ in told):
        rounds, disturbed, same = (told[name, what] for what in ("rounds", "disturbed", "same"))
        print(f"| {name} | {rounds} | {disturbed} | {same} |")


def _recipe(dumps: Path, *settings: str) -> Recipe:
    path = dumps.parent / "recipe.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    return load_recipe(path, settings)


def _run(recipe: Recipe, out: Path) -> None:
    run(recipe, Store(str(out)))


def _bounded(size: int, body: Callable[[], object]) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    body()


def _ends_well(
    told: Counter[tuple[str, str]],
    name: str,
    was_disturbed: bool,
    rerun: Callable[[], object],
    out: Path,
    expected: dict[str, str],
    folder: Path,
) -> None:
    told[name, "rounds"] += 1
    told[name, "disturbed"] += was_disturbed
    if exit_code(in_process(rerun, folder / "log")) == 0 and digests(out) == expected:
        told[name, "same"] += 1
    else:
        kept = Path(tempfile.mkdtemp(prefix="faults-")) / "out"
        shutil.copytree(out, kept)
        shutil.copy(folder / "log", kept.parent / "log")
        print(f"{name}: other bytes, or a failed rerun: see {kept}, against {sorted(expected)[:3]} …", flush=True)
    shutil.rmtree(out)


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
