"""Does curation help? One tiny model on as many tokens of three sets, and its loss on files that are like none of them.

    python -m tests.benchmarks.curation_experiment OUT [--source 'checkouts/*'] [--megabytes 64] [--steps 600]

Corpus: the packages of this Python environment, or the folders of a pattern, each a repository. Repositories are taken
whole in the order of a hash of their names: first those held out, a quarter of `--megabytes`, then those to train on;
one that no longer fits, or is more than `--largest` of its part, is passed over. Each set is a run of `codesieve run`
on the same files:

    raw             every file that can be read as text
    deduplicated    the same without exact and near copies
    curated         the quickstart's recipe, every block of it

One tokenizer, trained on raw, encodes them all, so losses are per token of one kind. Held out are two sets of the other
repositories, raw and curated, each without its own copies, without HumanEval, and without files that are alike by 0.7
or more to any file to train on: `dedup.against` a run that has kept one of each distinct set of shingles.

`codesieve train` takes each set as often as there are seeds (of weights and order), with one thread each. The table has
mean losses with 95% t-intervals over the seeds, and those of the difference between models that began with the same
weights. Runs and models stay in OUT; the same command goes on where it was stopped.
"""

import argparse
import hashlib
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import yaml
from scipy.stats import t

from jobs.cli import QUICKSTART
from jobs.recipe import Recipe
from jobs.run import run
from jobs.training.data import Blocks, Order
from jobs.training.loop import losses_by_language
from jobs.training.model import CodeGen
from pipeline.sources import Source
from pipeline.sources.directory import DirectorySource
from pipeline.sources.environment import EnvironmentSource
from pipeline.storage import Store

BLOCK, VOCABULARY, BATCH = 512, 8192, 4
OFF = {"enabled": False}
EVERY_TEXT = {
    "languages": {"keep": "all"},
    **dict.fromkeys(("license", "quality", "pii", "toxicity", "decontaminate"), OFF),
}
COPIES = {"repositories": OFF}
CURATED = yaml.safe_load(QUICKSTART.read_text())
SETS: dict[str, dict[str, Any]] = {
    "raw": {**EVERY_TEXT, "dedup": COPIES | {"exact": OFF, "near": OFF}},
    "deduplicated": {**EVERY_TEXT, "dedup": COPIES},
    "curated": CURATED,
}
DISTINCT = {**EVERY_TEXT, "dedup": COPIES | {"near": {"threshold": 1.0}}, "tokenize": OFF}
"""Drops only what equals a kept file in all its shingles: what is like any file is like one that this keeps."""
LEAST_TOKENS = 2000
"""Of a language in a held-out set, to be told."""


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--source", help="a pattern of folders, each a repository")
    parser.add_argument("--megabytes", type=float, default=64, help="of text to train on")
    parser.add_argument("--largest", type=float, default=0.1, help="share that one repository may have of the text")
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--held-out", type=int, default=400, help="rows of each held-out set that are evaluated")
    chosen = parser.parse_args()
    source = DirectorySource(chosen.source) if chosen.source else EnvironmentSource()
    texts = {part: chosen.out / "texts" / f"{part}.parquet" for part in ("held-out", "train")}
    if not all(path.exists() for path in texts.values()):
        write_texts(source, chosen.megabytes * 1e6, chosen.largest, texts)
    sets, held_out = curate(chosen.out, texts)
    models = train_all(chosen.out, sets, chosen.steps, chosen.seeds)
    print(f"{chosen.steps} steps of {BATCH} rows of {BLOCK} tokens, seeds 0 to {chosen.seeds - 1}")
    for name, folder in held_out.items():
        tell(name, Blocks(folder / "tokens"), models, chosen.held_out)


# The texts: whole repositories, held out or to train on


def readable(source: Source) -> Iterator[pa.RecordBatch]:
    """The files of a source that could be read as text."""
    for split in source.splits(1 << 26):
        for batch in split.read():
            yield batch.filter(pc.is_valid(batch.column("content")))


def write_texts(source: Source, budget: float, largest: float, texts: dict[str, Path]) -> None:
    """Writes the chosen repositories' files as tables."""
    sizes: Counter[str] = Counter()
    for batch in readable(source):
        summed = pa.table({"repo": batch["repo"], "size": batch["size"]}).group_by("repo").aggregate([("size", "sum")])
        sizes.update(dict(zip(summed["repo"].to_pylist(), summed["size_sum"].to_pylist(), strict=True)))
    left = sorted(sizes, key=lambda repo: hashlib.sha256(repo.encode()).digest())
    for part, room in (("held-out", budget / 4), ("train", budget)):
        taken = fill([repo for repo in left if sizes[repo] <= largest * room], sizes, room)
        left = [repo for repo in left if repo not in taken]
        print(f"{part}: {len(taken)} repositories, {sum(sizes[repo] for repo in taken) / 1e6:.1f} MB", flush=True)
        texts[part].parent.mkdir(parents=True, exist_ok=True)
        unfinished = texts[part].with_suffix(".tmp")
        with pq.ParquetWriter(unfinished, next(readable(source)).schema) as writer:
            for batch in readable(source):
                wanted = batch.filter(pc.is_in(batch.column("repo"), pa.array(sorted(taken))))
                if wanted.num_rows:
                    writer.write_batch(wanted)
        os.replace(unfinished, texts[part])


def fill(repos: list[str], sizes: Counter[str], room: float) -> set[str]:
    """Repositories in their order, without those that no longer fit."""
    taken = set()
    for repo in repos:
        if sizes[repo] <= room:
            taken.add(repo)
            room -= sizes[repo]
    return taken


# The sets: one run of the pipeline each


def curate(out: Path, texts: dict[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Runs the recipes. Gives the output locations of the sets to train on, and of those held out."""
    first, *others = SETS
    trained = {"vocab_size": VOCABULARY, "block": BLOCK}
    given = {"tokenizer": str(out / first / "tokenizer" / "tokenizer.json"), "block": BLOCK}
    sets = {first: curated(out / first, texts["train"], SETS[first] | {"tokenize": trained})}
    sets |= {name: curated(out / name, texts["train"], SETS[name] | {"tokenize": given}) for name in others}
    distinct = curated(out / "distinct", texts["train"], DISTINCT)
    held_out = {}
    for name in ("raw", "curated"):
        apart = {"dedup": COPIES | {"against": [str(distinct)]}, "decontaminate": {}, "tokenize": given}
        held_out[name] = curated(out / f"held-out-{name}", texts["held-out"], SETS[name] | apart)
    return sets, held_out


def curated(out: Path, texts: Path, rules: dict[str, Any]) -> Path:
    """Runs a recipe on a table of texts, and says what was kept."""
    source = {"kind": "parquet", "uri": str(texts), "columns": {"license": "claimed_license"}}
    own = {"sources": [source], "dialogue": OFF, "output": {"shards": 4}, "engine": {"kind": "inline"}}
    store = Store(str(out))
    run(Recipe.model_validate(rules | own), store)
    kept, read = (sum(shard.rows for shard in store.committed(name).shards) for name in ("corpus", "files"))
    size = pc.sum(pq.read_table(out / "files", columns=["size"])["size"]).as_py()
    print(f"{out.name}: {kept:,} of {read:,} files, {size / 1e6:.1f} MB read", flush=True)
    return out


# The models: each set with each seed


def train_all(out: Path, sets: dict[str, Path], steps: int, seeds: int) -> dict[tuple[str, int], Path]:
    """Trains them, as many at a time as there are cores. Gives the checkpoint of each set and seed."""
    for name, folder in sets.items():
        rows = len(Blocks(folder / "tokens"))
        print(f"{name}: {rows * BLOCK:,} tokens, of which training takes {steps * BATCH / rows:.2f}", flush=True)
    jobs = {(name, seed): out / "models" / f"{name}-{seed}" for name, seed in product(sets, range(seeds))}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda job: train(sets[job[0]] / "tokens", jobs[job], steps, job[1]), jobs))
    return jobs


def train(tokens: Path, out: Path, steps: int, seed: int) -> None:
    settings = {"tokens": tokens, "out": out, "model": "tiny", "steps": steps, "batch": BATCH, "seed": seed}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "jobs.cli", "train", *options, "--held-out", "0", "--save-every", str(steps)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=os.environ | {"OMP_NUM_THREADS": "1"})
    print(f"trained {out.name}", flush=True)


# The losses: by language, with intervals over the seeds


def tell(name: str, rows: Blocks, models: dict[tuple[str, int], Path], count: int) -> None:
    """Prints the table of one held-out set."""
    numbers = Order(len(rows), min(count, len(rows) - 1), 0).held()
    told = {}
    for job, folder in models.items():
        told[job] = losses_by_language(rows, numbers, CodeGen.load(folder).eval())
    some = next(iter(told.values()))
    languages = sorted((key for key in some if some[key][1] >= LEAST_TOKENS), key=lambda key: -some[key][1])
    sets = list(dict.fromkeys(job[0] for job in models))
    seeds = sorted({job[1] for job in models})
    print(f"\nheld out, {name}:\n")
    print(f"| language | tokens | {' | '.join(sets)} | {' | '.join(f'{each} - {sets[0]}' for each in sets[1:])} |")
    print("|" + "---|" * (1 + 2 * len(sets)))
    for language in languages:
        losses = np.array([[told[each, seed][language][0] for seed in seeds] for each in sets])
        cells = [interval(each) for each in losses] + [interval(each - losses[0]) for each in losses[1:]]
        print(f"| {language} | {some[language][1]:,} | {' | '.join(cells)} |", flush=True)


def interval(values: np.ndarray) -> str:
    """Mean and half the width of its 95% t-interval."""
    half = t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return f"{values.mean():.3f} ± {half:.3f}"


if __name__ == "__main__":
    main()
