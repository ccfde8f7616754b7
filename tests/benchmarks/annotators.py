"""Speed of the cheap annotators on the installed packages: ``python -m tests.benchmarks.annotators [MB]``.

One process; each transform runs twice on the same batch and the second run counts, so that neither the
compiler nor the disk is measured. Times are processor time, so that other work on the machine counts little.
Also told: what `load` takes in time and memory, and what scores as toxic.
"""

import os
import random
import sys
import sysconfig
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.contracts import Transform
from transforms.buffers import string_buffers
from transforms.comments import comment_spans
from transforms.language import Language
from transforms.quality import PRESETS, quality_reason
from transforms.text_measures import TextMeasures, code_point_classes, count_characters
from transforms.toxicity import Toxicity


def sample(megabytes: int) -> pa.RecordBatch:
    """Text files of the installed packages in a seeded order, up to a size."""
    root = sysconfig.get_path("purelib")
    paths = sorted(os.path.join(folder, name) for folder, _, names in os.walk(root) for name in names)
    random.Random(0).shuffle(paths)
    rows: list[dict[str, Any]] = []
    total = 0
    for path in paths:
        if total >= megabytes << 20:
            break
        if not os.path.isfile(path) or os.path.getsize(path) > 1 << 20:
            continue
        with open(path, "rb") as file:
            content = file.read()
        try:
            text = content.decode()
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            rows.append({"path": os.path.relpath(path, root), "content": text, "size": len(content)})
            total += len(content)
    return pa.RecordBatch.from_pylist(rows)


def resident_megabytes() -> float:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    function()
    started = time.process_time()
    result = function()
    return time.process_time() - started, result


def report(name: str, batch: pa.RecordBatch, seconds: float) -> None:
    megabytes = sum(batch.column("size").to_pylist()) / 1e6
    print(f"{name:34}{megabytes / seconds:10.0f} MB/s{batch.num_rows / seconds:12,.0f} files/s")


def annotate(transform: Transform, batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch with the transform's columns, after telling what they took."""
    name = type(transform).__name__
    started, before = time.process_time(), resident_megabytes()
    function = transform.load()
    loading = f"{time.process_time() - started:.1f} s, {resident_megabytes() - before:.0f} MB"
    seconds, added = timed(lambda: function(batch))
    report(name, batch, seconds)
    print(f"  load: {loading}")
    for column in transform.adds:
        batch = batch.append_column(column, added.column(column.name))
    return batch


def main(megabytes: int = 64) -> None:
    batch = sample(megabytes)
    print(f"{batch.num_rows} files, {sum(batch.column('size').to_pylist()) / 1e6:.0f} MB")
    batch = annotate(Language(), batch)
    batch = annotate(TextMeasures(), batch)
    content, language = batch.column("content"), batch.column("language")
    buffers = string_buffers(content)
    report("  its kernel alone", batch, timed(lambda: count_characters(*buffers, code_point_classes()))[0])
    report("quality_reason, starcoder", batch, timed(lambda: quality_reason(batch, PRESETS["starcoder"]))[0])
    report("comment_spans", batch, timed(lambda: comment_spans(content, language))[0])
    batch = annotate(Toxicity(), batch)
    scores = batch.column("toxicity").to_numpy()
    print("files that score above", {bound: int((scores > bound).sum()) for bound in (0.5, 0.7, 0.9)})
    for row in np.argsort(-scores)[:10]:
        path, line = batch.column("path")[int(row)], batch.column("toxicity_line")[int(row)]
        print(f"  {scores[row]:.3f} {path}:{line}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
