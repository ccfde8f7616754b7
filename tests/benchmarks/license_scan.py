"""Speed and agreement of the licence scan on a folder of real files, beside scancode's own.

    python -m tests.benchmarks.license_scan FOLDER… [--files N] [--compare N] [--seed N]

Prints files and megabytes per second of processor time on one core, the peak of memory, and for N random files how
often the SPDX expression is the one that `scancode.api.get_licenses` gives, with each difference.
"""

import argparse
import multiprocessing
import random
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from transforms.license import LicenseScan

_BATCH_BYTES = 8_000_000
_LARGEST = 1_000_000


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed and agreement of the licence scan on a folder of real files.")
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--files", type=int, help="as many files at random; all by default")
    parser.add_argument("--compare", type=int, default=0, help="as many of them are scanned by scancode as well")
    parser.add_argument("--skip", default="licensedcode/data", help="leaves out paths that hold this text")
    parser.add_argument("--seed", type=int, default=0, help="another seed draws other files")
    settings = parser.parse_args()
    paths = sorted(
        path
        for folder in settings.folders
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink() and settings.skip not in str(path)
    )
    random.Random(settings.seed).shuffle(paths)
    results = measure(paths[: settings.files])
    if settings.compare:
        compare(dict(list(results.items())[: settings.compare]))


def measure(paths: list[Path]) -> dict[str, str | None]:
    started = time.process_time()
    scan = LicenseScan().load()
    scan(pa.record_batch({"path": ["a.py"], "content": ["# License: MIT"]}))
    print(f"load: {time.process_time() - started:.1f} s")
    results: dict[str, str | None] = {}
    seconds, size = 0.0, 0
    for batch in batches(paths):
        started = time.process_time()
        found = scan(batch)
        seconds += time.process_time() - started
        size += batch.column("content").nbytes
        results |= dict(zip(batch["path"].to_pylist(), found["license_found"].to_pylist(), strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    stated = sum(expression is not None for expression in results.values())
    print(f"{len(results)} files, {size / 1e6:.0f} MB, {stated} state a licence: {seconds:.1f} s")
    print(f"{len(results) / seconds:.0f} files/s, {size / seconds / 1e6:.1f} MB/s, peak {peak:.2f} GB")
    return results


def batches(paths: list[Path]) -> Iterator[pa.RecordBatch]:
    names: list[str] = []
    texts: list[str] = []
    size = 0
    for path in paths:
        if path.stat().st_size > _LARGEST:
            continue
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        if not text or "\0" in text:
            continue
        names.append(str(path))
        texts.append(text)
        size += len(text)
        if size >= _BATCH_BYTES:
            yield pa.record_batch({"path": names, "content": texts})
            names, texts, size = [], [], 0
    if names:
        yield pa.record_batch({"path": names, "content": texts})


def compare(results: dict[str, str | None]) -> None:
    # In a process of its own: here, some of scancode's functions have quicker ones in their place.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        theirs, seconds = pool.apply(scan_with_scancode, (list(results),))
    differing = [path for path in results if results[path] != theirs[path]]
    print(f"scancode.api.get_licenses: {len(results) / seconds:.2f} files/s")
    print(f"same expression: {1 - len(differing) / len(results):.2%} of {len(results)}")
    for path in differing:
        print(f"  {path}\n    here:     {results[path]}\n    scancode: {theirs[path]}")


def scan_with_scancode(paths: list[str]) -> tuple[dict[str, str | None], float]:
    from scancode.api import get_licenses

    started = time.process_time()
    found = {path: get_licenses(path)["detected_license_expression_spdx"] for path in paths}
    return found, time.process_time() - started


if __name__ == "__main__":
    main()
