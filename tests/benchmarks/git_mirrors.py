"""How fast bare mirrors of real projects become the dataset `files`: read, checked, measured, signed, written.

    python -m tests.benchmarks.fetch_projects projects          # and unpack each archive into a folder of its own
    python -m tests.benchmarks.git_mirrors FOLDER…              # each subfolder becomes a bare repository, packed

Processor time of the step `ingest`, one core, of the second of two runs in one process: kernels are loaded then.
"""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path

import pyarrow.compute as pc

from jobs.curate import curation
from jobs.recipe import load_recipe
from pipeline.execution import Job, commit, run_map
from pipeline.plan import Map
from pipeline.storage import Store
from tests.benchmarks.git_source import git


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="+", type=Path)
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        projects = [
            path for folder in parser.parse_args().folders for path in sorted(folder.iterdir()) if path.is_dir()
        ]
        for number, project in enumerate(projects):
            mirror(project, place / "mirrors" / f"{number:03}-{project.name}.git")
        recipe = place / "recipe.yaml"
        recipe.write_text(f"sources:\n  - kind: git\n    uri: {place}/mirrors/*.git\n")
        plan = curation(load_recipe(recipe, ()))
        for run in ("first", "second"):
            job = Job(plan, Store(f"{place}/{run}"))
            job.prepare()
            seconds = ingested(job)
            files = job.store.table("files", ("size", "input_reason"))
            text = pc.sum(files.filter(pc.is_null(files.column("input_reason"))).column("size")).as_py() / 1e6
            print(
                f"{run}: {len(projects)} repositories, {files.num_rows:,} files, {text:.0f} MB of text: "
                f"{seconds:.1f} s, {text / seconds:.0f} MB/s"
            )


def mirror(project: Path, bare: Path) -> None:
    """One commit of all files of a folder."""
    bare.mkdir(parents=True)
    git(bare, "init", "--bare", "-b", "main")
    work = ("--work-tree", str(project.resolve()), "--git-dir", str(bare))
    who = ("-c", "user.name=n", "-c", "user.email=a@example.com")
    for command in (("add", "--all", "--force"), ("commit", "--quiet", "-m", "m"), ("gc", "--quiet")):
        subprocess.run(["git", *work, *who, *command], check=True, stdout=subprocess.DEVNULL)


def ingested(job: Job) -> float:
    step = job.plan.steps[0]
    assert isinstance(step, Map)
    started = time.process_time()
    commit(job, step, [run_map(job, step, shard) for shard in range(step.shards)], 0)
    return time.process_time() - started


if __name__ == "__main__":
    main()
