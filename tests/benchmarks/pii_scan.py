"""Speed of the search for personal data and secrets over real files, and what it finds there.

    python -m tests.benchmarks.pii_scan [FOLDER] [--megabytes 300] [--show 0] [--kinds …]

Reads text files below FOLDER (default: the packages of this environment) in a seeded random order, in one
process. Prints MB per CPU second of the search and of the redaction, findings by kind, peak memory.
`--show N` prints N random findings and what stands around them: real ones, so mind who reads your screen.
"""

import argparse
import random
import resource
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from transforms.pii import FindPersonalData, Redact
from transforms.pii_recognizers import KINDS

LARGEST_FILE = 1 << 20


def texts(folder: Path, limit: int) -> Iterator[tuple[str, str]]:
    """Path and text of the UTF-8 files without NUL, up to 1 MiB each and `limit` bytes together."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    random.Random(0).shuffle(paths)
    for path in paths:
        if limit <= 0:
            return
        data = path.read_bytes() if 0 < path.stat().st_size <= LARGEST_FILE else b"\0"
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            limit -= len(data)
            yield str(path), text


def batches(files: Iterator[tuple[str, str]], rows: int = 500) -> Iterator[pa.RecordBatch]:
    chunk = []
    for file in files:
        chunk.append(file)
        if len(chunk) == rows:
            yield pa.record_batch(list(zip(*chunk, strict=True)), names=["path", "content"])
            chunk = []
    if chunk:
        yield pa.record_batch(list(zip(*chunk, strict=True)), names=["path", "content"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--megabytes", type=float, default=300)
    parser.add_argument("--show", type=int, default=0)
    parser.add_argument("--kinds", nargs="*", default=list(KINDS))
    options = parser.parse_args()

    start = time.process_time()
    find, redact = FindPersonalData(tuple(options.kinds)).load(), Redact().load()
    print(f"load {time.process_time() - start:.1f} s, {peak_memory():.0f} MB")

    finding = redacting = size = rows = 0
    kinds, shown = Counter(), []
    for batch in batches(texts(options.folder, int(options.megabytes * 1e6))):
        start = time.process_time()
        pii = find(batch)
        middle = time.process_time()
        redact(batch.append_column("pii", pii.column("pii")))
        redacting += time.process_time() - middle
        finding += middle - start
        rows += len(batch)
        for path, content, spans in zip(batch["path"], batch["content"], pii["pii"], strict=True):
            data = content.as_buffer().to_pybytes() if len(spans) else b""
            size += content.as_buffer().size
            for span in spans.as_py():
                kinds[span["kind"]] += 1
                around = data[max(0, span["start"] - 40) : span["start"]], data[span["end"] :][:20]
                if options.show:
                    shown.append((span["kind"], path.as_py(), around, data[span["start"] : span["end"]]))
    megabytes = size / 1e6
    print(
        f"{rows} files, {megabytes:.0f} MB: find {megabytes / finding:.0f} MB/s, "
        f"redact {megabytes / redacting:.0f} MB/s"
    )
    print(f"peak memory {peak_memory():.0f} MB; {', '.join(f'{kind} {n}' for kind, n in kinds.most_common())}")
    for kind, path, (before, after), value in random.Random(0).sample(shown, min(options.show, len(shown))):
        print(
            kind,
            path,
            before.decode(errors="replace").replace("\n", "⏎"),
            "[[",
            value.decode()[:40],
            "]]",
            after,
        )


def peak_memory() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
