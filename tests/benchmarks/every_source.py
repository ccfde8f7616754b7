"""One recipe with a source of every kind, on every engine: seconds, and whether all bytes are the same.

    python -m tests.benchmarks.every_source [FOLDER] [--megabytes 60] [--environment] [--set KEY=VALUE …]

The folder's subfolders (site-packages by default) are dealt out as repositories to one source of each kind, BigQuery's
being an emulator, until there is so much text; `--environment` adds all packages of this Python environment.
"""

import argparse
import sysconfig
import tempfile
import time
from pathlib import Path

import yaml

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.bigquery_emulator import started
from tests.datasets_on_disk import digests
from tests.every_source import Repositories, sources


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", default=sysconfig.get_path("purelib"))
    parser.add_argument("--megabytes", type=float, default=60)
    parser.add_argument("--environment", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    chosen = parser.parse_args()
    repos = taken(Path(chosen.folder), chosen.megabytes * 1e6)
    with tempfile.TemporaryDirectory() as scratch, started() as emulator:
        place, recipe = Path(scratch), Path(scratch, "recipe.yaml")
        blocks = sources(place, repos, emulator) + [{"kind": "environment"}] * chosen.environment
        recipe.write_text(yaml.safe_dump({"sources": blocks}))
        print(f"{len(repos)} repositories, {sum(map(len, repos.values())):,} files")
        found = {}
        for engine in ("inline", "beam", "ray"):
            store, before = Store(f"{scratch}/{engine}"), time.perf_counter()
            run(load_recipe(recipe, [f"engine.kind={engine}", "engine.workers=2", *chosen.set]), store)
            found[engine] = digests(Path(store.path()))
            same = "the same" if found[engine] == found["inline"] else "OTHER BYTES"
            print(f"{engine}: {time.perf_counter() - before:.0f} s, {len(found[engine])} files, {same}", flush=True)


def taken(folder: Path, size: float) -> Repositories:
    """UTF-8 texts of at most 1 MiB, by subfolder."""
    repos: Repositories = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size <= 1 << 20):
        name, _, path = file.relative_to(folder).as_posix().partition("/")
        try:
            text = file.read_bytes().decode()
        except UnicodeDecodeError:
            continue
        if path and "\0" not in text:
            repos.setdefault(name, {})[path] = text
            size -= len(text)
        if size <= 0:
            break
    return repos


if __name__ == "__main__":
    main()
