"""Near-duplicates from parquet to verdicts, one process on one core each: ours beside datasketch, rensa and datatrove.

    python3.11 -m venv peers
    peers/bin/pip install rensa 'datatrove[io,processing]' spacy datasketch pyarrow
    python -m tests.benchmarks.near_duplicates_peers [PARQUET|FOLDER] [--megabytes 200] [--peers peers]

Parquet has the columns path and content; a folder's text files (by default the running environment's packages) are
taken in a seeded order. MB are 10^6 bytes of text. Each peer gets the first files up to its share of the megabytes, and
we get the same files beside it: a ratio is of processor times in one run. Imports and, for us, the loading of compiled
kernels (200 files go ahead) are not timed. Peak memory is of the whole process; in brackets, before the
clock started. A peer that is missing is skipped.

Everybody gets 5-grams of the same tokens (the peers of ASCII words alone) and a threshold of 0.7; texts of fewer than
10 shingles are left out, except by datatrove. datasketch: 256 permutations, 36 bands of 7. rensa: 256 permutations, as
its manual deduplicates (`RMinHashDeduplicator`), and in batches by its matrices (`RMinHashLSH`, 32 bands of 8).
datatrove: its four stages, 36 buckets of 7 hashes, with our tokens and with its own (spaCy's English). None of them
measures exact similarities; we do. What is found counts in different ways: exact copies of short texts too (ours),
both files of a pair (matrices).
"""

import argparse
import hashlib
import importlib.metadata
import json
import os
import random
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

TOKEN = re.compile(r"[A-Za-z0-9_]+")
MIN_SHINGLES = 10
BANDS, ROWS = 36, 7
WARM = 200
"""Files that go ahead of the timed ones."""
RUN_ROWS = 4096
"""Rows of whole components that are judged together."""

Batches = Callable[[], Iterator[pa.RecordBatch]]


def texts_below(folder: Path) -> Iterator[tuple[str, str]]:
    """Path and text of the UTF-8 files of at most 1 MiB below a folder, in a seeded order."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    random.Random(0).shuffle(paths)
    for path in paths:
        if 0 < path.stat().st_size <= 1 << 20 and b"\0" not in (data := path.read_bytes()):
            try:
                yield path.relative_to(folder).as_posix(), data.decode()
            except UnicodeDecodeError:
                continue


def near_duplicates(
    batches: Batches, contents: Batches, bands: int = BANDS, rows: int = ROWS, threshold: float = 0.7
) -> dict[str, Any]:
    """The plan's functions one after the other on batches of repo, path, content_id and content.

    `contents` gives the contents once more, for those that must be compared. Row ids count the rows.
    Gives the verdicts as a table (`copies`), the components, and the number of edges.
    """
    from transforms.clusters import BucketEdges, Buckets, Components
    from transforms.minhash import MinHash

    sign, buckets = MinHash().load(), Buckets(bands, rows)
    key = buckets.load()
    keys, files, count = [], [], 0
    for batch in batches():
        signed = _beside(batch, sign(batch)).append_column("row_id", pa.array(range(count, count + batch.num_rows)))
        count += batch.num_rows
        keys.append(key(signed.select(list(buckets.reads))))  # as in the plan: without the contents
        files.append(signed.select(["row_id", "repo", "path", "content_id", "shingles"]))
    table = pa.Table.from_batches(keys).combine_chunks()
    del keys
    table = table.take(pc.sort_indices(table, [(name, "ascending") for name in ("key", "check", "row_id")]))
    edges = BucketEdges().load()(table.combine_chunks().to_batches()[0])
    del table
    components = Components().load()(edges)
    copies = _judge(contents, pa.Table.from_batches(files).combine_chunks(), components, threshold)
    return {"copies": copies, "components": components, "edges": edges.num_rows}


def _judge(contents: Batches, files: pa.Table, components: pa.RecordBatch, threshold: float) -> pa.Table:
    """Shingle sets of what must be compared, then verdicts on runs of whole components."""
    from transforms.license_rule import LicenseRule
    from transforms.minhash import ShingleSets
    from transforms.near_duplicates import Verdicts

    component = np.arange(files.num_rows)
    representative, compared = component.copy(), np.zeros(files.num_rows, bool)
    tied = components.column("row_id").to_numpy()
    component[tied] = components.column("component").to_numpy()
    representative[tied] = components.column("representative").to_numpy()
    compared[tied] = components.column("compared").to_numpy(zero_copy_only=False)
    hash_shingles, sets, count = ShingleSets().load(), [], 0
    for batch in contents():
        chosen = np.flatnonzero(compared[count : count + batch.num_rows])
        sets.append(hash_shingles(batch.take(pa.array(chosen))).column(0))
        count += batch.num_rows
    place = np.where(compared, np.cumsum(compared) - 1, -1)
    shingle_sets = pa.chunked_array(sets, pa.list_(pa.uint64()))
    nothing = pa.nulls(files.num_rows, pa.string())
    for name in ("license", "license_class", "license_evidence", "reason", "detail"):
        files = files.append_column(name, nothing)
    files = files.append_column("component", pa.array(component))
    files = files.append_column("representative", pa.array(representative))
    verdicts = Verdicts(threshold, LicenseRule(None))
    judge, judged = verdicts.load(), []
    places = np.argsort(pc.sort_indices(files, [("repo", "ascending"), ("path", "ascending")]).to_numpy())
    order = np.lexsort((places, component))
    firsts = np.flatnonzero(np.append(True, np.diff(component[order]) != 0))
    starts = firsts[np.unique(firsts // RUN_ROWS, return_index=True)[1]]
    for start, stop in zip(starts, np.append(starts[1:], len(order)), strict=True):
        run = order[start:stop]
        given = shingle_sets.take(pa.array(place[run], mask=place[run] < 0)).combine_chunks()
        rows = files.take(pa.array(run)).append_column("shingle_set", given)
        judged.append(judge(rows.select(list(verdicts.reads)).combine_chunks().to_batches()[0]))
    return pa.Table.from_batches(judged)


def _beside(batch: pa.RecordBatch, added: pa.RecordBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [*batch.columns, *added.columns], names=[*batch.schema.names, *added.schema.names]
    )


def with_codesieve(parquet: Path, limit: int) -> int:
    def batches() -> Iterator[pa.RecordBatch]:
        for batch in _batches(parquet, limit):
            ids = [_blob_id(text.as_buffer()) for text in batch.column("content")]
            repo = pa.array([parquet.stem] * batch.num_rows)
            yield batch.append_column("repo", repo).append_column("content_id", pa.array(ids))

    found = near_duplicates(batches, lambda: _batches(parquet, limit))
    return found["copies"].column("survivor").drop_null().length()


def _blob_id(text: pa.Buffer) -> str:
    digest = hashlib.sha1(b"blob %d\0" % text.size, usedforsecurity=False)
    digest.update(text)
    return digest.hexdigest()


def with_datasketch(parquet: Path, limit: int) -> int:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(num_perm=256, params=(BANDS, ROWS))
    found = 0
    for number, given in enumerate(_shingles(parquet, limit)):
        sketch = MinHash(num_perm=256, seed=1)
        sketch.update_batch([shingle.encode() for shingle in given])
        found += bool(index.query(sketch))
        index.insert(number, sketch)
    return found


def with_rensa(parquet: Path, limit: int) -> int:
    from rensa import RMinHashDeduplicator  # pyright: ignore[reportMissingImports]

    index = RMinHashDeduplicator(threshold=0.7, num_perm=256, use_lsh=True)
    kept = index.add_pairs((str(number), list(given)) for number, given in enumerate(_shingles(parquet, limit)))
    return len(kept) - sum(kept)


def with_rensa_matrix(parquet: Path, limit: int) -> int:
    from rensa import RMinHash, RMinHashLSH  # pyright: ignore[reportMissingImports]

    index = RMinHashLSH(threshold=0.7, num_perm=256, num_bands=32)
    matrices, many, count = [], [], 0
    given = _shingles(parquet, limit)
    while many := [list(shingles) for shingles, _ in zip(given, range(256), strict=False)]:
        matrices.append(RMinHash.digest_matrix_from_token_sets(many, num_perm=256, seed=1))
        index.insert_matrix(matrices[-1], start_key=count)
        count += len(many)
    return sum(sum(index.query_duplicate_flags_matrix(matrix)) for matrix in matrices)


class OurTokens:
    """Stands in for datatrove's tokenizer."""

    def word_tokenize(self, text: str) -> list[str]:
        return TOKEN.findall(text)


def with_datatrove(parquet: Path, limit: int, tokenizer: OurTokens | None = None) -> int:
    """Its four stages; reading, of both its first and its last, by its own parquet reader."""
    from datatrove.executor import LocalPipelineExecutor  # pyright: ignore[reportMissingImports]
    from datatrove.pipeline.dedup import (  # pyright: ignore[reportMissingImports]
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig  # pyright: ignore[reportMissingImports]
    from datatrove.pipeline.readers import ParquetReader  # pyright: ignore[reportMissingImports]
    from datatrove.utils.text import TextNormConfig  # pyright: ignore[reportMissingImports]
    from loguru import logger  # pyright: ignore[reportMissingImports]

    logger.remove()
    config = MinhashConfig(n_grams=5, num_buckets=BANDS, hashes_per_bucket=ROWS)
    if tokenizer:
        config.norm_config = TextNormConfig(*[False] * len(TextNormConfig.__dataclass_fields__))
    with tempfile.TemporaryDirectory() as scratch:
        reader = ParquetReader(
            str(parquet.parent), glob_pattern=parquet.name, text_key="content", id_key="path", limit=limit
        )
        sign = MinhashDedupSignature(f"{scratch}/signatures", config)
        sign.word_tokenizer = tokenizer or sign.word_tokenizer
        stages = [
            (1, [reader, sign]),
            (BANDS, [MinhashDedupBuckets(f"{scratch}/signatures", f"{scratch}/buckets", config=config)]),
            (1, [MinhashDedupCluster(f"{scratch}/buckets", f"{scratch}/removed", config)]),
            (1, [reader, MinhashDedupFilter(f"{scratch}/removed")]),
        ]
        stats = None
        for number, (tasks, pipeline) in enumerate(stages):
            logs = f"{scratch}/logs/{number}"
            stats = LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
        return int(stats.stats[-1].stats["dropped"].total) if stats else 0


def with_datatrove_our_tokens(parquet: Path, limit: int) -> int:
    return with_datatrove(parquet, limit, OurTokens())


def _batches(parquet: Path, limit: int) -> Iterator[pa.RecordBatch]:
    for batch in pq.ParquetFile(parquet).iter_batches(256, columns=["path", "content"], use_threads=False):
        yield batch.slice(0, limit)
        limit -= batch.num_rows
        if limit <= 0:
            return


def _shingles(parquet: Path, limit: int) -> Iterator[set[str]]:
    for batch in _batches(parquet, limit):
        for text in batch.column("content"):
            tokens = TOKEN.findall(text.as_py())
            given = {" ".join(tokens[start : start + 5]) for start in range(len(tokens) - 4)}
            if len(given) >= MIN_SHINGLES:
                yield given


PEERS: dict[str, tuple[Callable[[Path, int], int], str, float]] = {
    "codesieve": (with_codesieve, "codesieve", 1),
    "datasketch": (with_datasketch, "datasketch", 0.5),
    "rensa": (with_rensa, "rensa", 1),
    "rensa, matrices": (with_rensa_matrix, "rensa", 1),
    "datatrove, our tokens": (with_datatrove_our_tokens, "datatrove", 0.1),
    "datatrove, its tokens": (with_datatrove, "datatrove", 0.1),
}
"""Function, distribution, share of the megabytes."""


def measure(peer: str, parquet: Path, files: int) -> None:
    """Runs one peer in this process and prints what it took as JSON."""
    function, distribution, _ = PEERS[peer]
    function(parquet, WARM)
    ready = _peak_megabytes()
    wall, processor = time.perf_counter(), time.process_time()
    found = function(parquet, files)
    told = {
        "processor": time.process_time() - processor,
        "wall": time.perf_counter() - wall,
        "peak": _peak_megabytes(),
        "ready": ready,
        "found": found,
        "version": importlib.metadata.version(distribution),
    }
    print(json.dumps(told))


def _peak_megabytes() -> float:
    """Of this program alone: ru_maxrss would count what the parent process held when it started this one."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) * 1024 / 1e6


def measured(python: str, peer: str, parquet: Path, files: int) -> dict[str, Any] | None:
    """What `measure` prints in a process of its own on one core; None where the peer is missing."""
    core = str(max(os.sched_getaffinity(0)))
    name = ["-m", "tests.benchmarks.near_duplicates_peers"] if peer == "codesieve" else [__file__]
    command = ["taskset", "-c", core, python, *name, str(parquet), "--only", peer, "--files", str(files)]
    if not Path(python).exists():
        print(f"{peer} is left out: there is no {python}")
        return None
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "NUMBA_NUM_THREADS"), "1")
    ran = subprocess.run(command, env=os.environ | one_thread, capture_output=True, text=True, check=False)
    if ran.returncode:
        print(f"{peer} is left out: {ran.stderr.strip().splitlines()[-1]}")
        return None
    return json.loads(ran.stdout.splitlines()[-1])


def write_parquet(folder: Path, parquet: Path, megabytes: float) -> None:
    """Files of a folder up to so many megabytes."""
    paths, texts, left = [], [], megabytes * 1e6
    for path, text in texts_below(folder):
        paths.append(path)
        texts.append(text)
        left -= len(text.encode())
        if left <= 0:
            break
    pq.write_table(pa.table({"path": paths, "content": texts}), parquet, row_group_size=1024, compression="zstd")


def compare(parquet: Path, megabytes: float, peers: Path) -> None:
    """Prints the table."""
    lengths = np.concatenate(
        [
            [len(text.as_buffer()) for text in batch.column("content")]
            for batch in pq.ParquetFile(parquet).iter_batches(256, columns=["content"])
        ]
    )
    sizes = np.cumsum(lengths) / 1e6
    print("| | files | MB | processor s | wall s | MB/s | times as fast, ours | peak MB | ours | found |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    ours: dict[int, dict[str, Any] | None] = {}
    for peer, (_, _, share) in PEERS.items():
        files = min(int(np.searchsorted(sizes, min(megabytes, sizes[-1]) * share)) + 1, len(sizes))
        ours[files] = ours.get(files) or measured(sys.executable, "codesieve", parquet, files)
        told = ours[files] if peer == "codesieve" else measured(str(peers / "bin/python"), peer, parquet, files)
        beside = ours[files]
        if told and beside:
            size = sizes[files - 1]
            print(
                f"| {peer} {told['version']} | {files:,} | {size:.0f} | {told['processor']:.1f} | {told['wall']:.1f} "
                f"| {size / told['processor']:.2f} | {told['processor'] / beside['processor']:.1f} "
                f"| {told['peak']:.0f} ({told['ready']:.0f}) | {beside['peak']:.0f} ({beside['ready']:.0f}) "
                f"| {told['found']:,} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--peers", type=Path, default=Path("peers"), help="its virtual environment")
    parser.add_argument("--only", choices=list(PEERS), help=argparse.SUPPRESS)
    parser.add_argument("--files", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.only:
        return measure(chosen.only, chosen.source, chosen.files)
    if chosen.source.is_file():
        return compare(chosen.source, chosen.megabytes, chosen.peers)
    with tempfile.TemporaryDirectory() as scratch:
        parquet = Path(scratch) / "files.parquet"
        write_parquet(chosen.source, parquet, chosen.megabytes)
        compare(parquet, chosen.megabytes, chosen.peers)


if __name__ == "__main__":
    main()
