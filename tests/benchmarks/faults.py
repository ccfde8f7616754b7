"""Runs that are killed at random moments, met by a second run, or out of disk, against one that nothing disturbs.

    python -m tests.benchmarks.faults [--rounds 50] [--seed 0] [--set KEY=VALUE ...]

Each round runs a recipe on a small corpus and disturbs it: the driver is killed, alone or with two Beam workers, or one
of the workers is, or a second run begins on the same output. Then the recipe is run again to its end, and every byte of
every dataset is compared. The moment is a random number of files that have taken their place, and up to PAUSE seconds
more, so that it means the same on any machine; a round whose run ends before it is drawn again. A tenth of the rounds
come after these with a bound on the size of files at a random size, as a full disk would have it.
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
from tests.disturbed import Appeared, exit_code, has_ended, in_process, kill_when

CASES = (("inline", 1, "driver"), ("beam", 2, "driver"), ("beam", 2, "worker"), ("beam", 2, "second run"))
OFF = ("license", "toxicity", "pii", "decontaminate", "tokenize")
"""Blocks whose models take longer to load than the small corpus takes to read; `--set pii.enabled=true` has one on."""
SMALL = (*(f"{block}.enabled=false" for block in OFF), *("tokenize.vocab_size=600", "tokenize.block=64"))
PAUSE = 0.1
DRAWS = 20
"""Times that a round is drawn before it counts as undisturbed."""

Curate = Callable[[str, int, Path], Callable[[], object]]


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

        whole = folder / "whole"
        files = _undisturbed(curate("inline", 1, whole), whole, folder)
        expected, told = digests(whole), Counter()
        for number in range(chosen.rounds):
            engine, workers, victim = CASES[number % len(CASES)]
            out = folder / f"out{number}"
            for _ in range(DRAWS):
                shutil.rmtree(out, ignore_errors=True)
                told[f"{engine}, {victim}", "drawn"] += 1
                after = random.randrange(files)
                is_disturbed, what = _disturbed(curate, engine, workers, victim, out, after, random)
                print(f"{number:>3} {engine:<7} {victim:<10} after {after:>3} files: {what}", flush=True)
                if is_disturbed:
                    break
            _ends_well(told, f"{engine}, {victim}", is_disturbed, curate("inline", 1, out), out, expected, folder)
        largest = max(file.stat().st_size for file in whole.rglob("*") if file.is_file())
        for number in range(chosen.rounds // 10):
            out, size = folder / f"full{number}", random.randrange(1000, largest)
            code = exit_code(in_process(partial(_bounded, size, curate("inline", 1, out)), folder / "log"))
            told["inline, disk full", "drawn"] += 1
            _ends_well(told, "inline, disk full", code == 3, curate("inline", 1, out), out, expected, folder)
            print(f"{number:>3} inline  disk full at {size:,} bytes: exit {code}", flush=True)
    columns = ("rounds", "drawn", "disturbed", "same")
    print("| run | rounds | drawn | disturbed | same bytes after the rerun |\n|---|---|---|---|---|")
    for name in dict.fromkeys(name for name, _ in told):
        print(f"| {name} | {' | '.join(str(told[name, column]) for column in columns)} |")


def _recipe(dumps: Path, *settings: str) -> Recipe:
    path = dumps.parent / "recipe.yaml"
    path.write_text(f"sources:\n  - kind: archive\n    uri: {dumps}/**/*\n")
    return load_recipe(path, settings)


def _run(recipe: Recipe, out: Path) -> None:
    run(recipe, Store(str(out)))


def _bounded(size: int, body: Callable[[], object]) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    body()


def _undisturbed(body: Callable[[], object], out: Path, folder: Path) -> int:
    """Runs to the end; how many files have taken their place on the way."""
    appeared = Appeared(out)
    pid = in_process(body, folder / "log")
    while not has_ended(pid):
        appeared.count()
        time.sleep(0.005)
    assert exit_code(pid) == 0, (folder / "log").read_text()
    return appeared.count()


def _disturbed(
    curate: Curate, engine: str, workers: int, victim: str, out: Path, files: int, random: Random
) -> tuple[bool, str]:
    """Runs and disturbs at a moment; whether that hit the run, and what came of it."""
    appeared, pause = Appeared(out), random.uniform(0, PAUSE)
    first = in_process(curate(engine, workers, out), out.parent / "log")

    def is_due() -> bool:
        if appeared.count() < files:
            return False
        time.sleep(pause)
        return True

    if victim != "second run":
        killed, code = kill_when(is_due, first, victim, random), exit_code(first)
        return code != 0, f"{killed} killed, exit {code}"
    while not (is_due() or has_ended(first)):
        time.sleep(0.005)
    said = out.parent / "second"
    said.unlink(missing_ok=True)
    second = exit_code(in_process(curate(engine, workers, out), said))
    refused = second == 3 and "another run is writing to" in said.read_text()
    assert refused or has_ended(first), "a second run went on beside the first"
    code = exit_code(first)
    return refused and code == 0, f"{'refused' if refused else 'came too late'}, first exit {code}"


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
