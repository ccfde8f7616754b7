"""The ledger's near-duplicates beside brute force: the exact Jaccard similarity of every pair of files.

    python -m tests.benchmarks.near_duplicates_truth [FOLDER] [--files 10000]

Curates a seeded choice of a folder's source files (by default the running environment's packages; the first folder
below it is the repository), nothing switched on but deduplication, and compares all pairs by shingles that plain Python
makes, of tokens as defined for any script. Then judges the same files with other bands. Contents of fewer than ten
shingles have no signature and are told apart; exact copies are left out.
"""

import argparse
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from scipy.sparse import csr_matrix

from jobs.recipe import Recipe
from jobs.run import run
from pipeline.sources.rows import content_id
from pipeline.storage import Store
from tests.benchmarks.near_duplicates_peers import near_duplicates, texts_below
from tests.words import shingles
from transforms.clusters import optimal_bands
from transforms.language import Language
from transforms.minhash import MinHash

THRESHOLD = 0.7
SURELY = THRESHOLD + 0.05
BLOCK = 500
"""Files multiplied with all others at a time."""
SETTINGS = ((25, 10), (28, 9), (32, 8), (36, 7), (42, 6), (51, 5))
"""Bands and rows per band, within 256 permutations."""


def source_files(folder: Path, count: int) -> pa.Table:
    """Repo, path, content and content id of files in a programming language, by repo and path."""
    chosen: list[dict[str, str]] = []
    name = Language().load()
    texts = texts_below(folder)
    while len(chosen) < count and (some := list(islice(texts, 1000))):
        batch = pa.record_batch({"path": [path for path, _ in some], "content": [text for _, text in some]})
        is_code = pc.equal(name(batch).column("language_type"), "programming").fill_null(False).to_pylist()
        for (path, text), wanted in zip(some, is_code, strict=True):
            repo, slash, rest = path.partition("/")
            place = {"repo": repo, "path": rest} if slash else {"repo": folder.name, "path": repo}
            if wanted:
                chosen.append(place | {"content": text, "content_id": content_id(text.encode())})
    chosen = sorted(chosen[:count], key=lambda file: (file["repo"], file["path"]))
    return pa.Table.from_pylist(chosen)


@dataclass(frozen=True)
class Truth:
    """Pairs of distinct contents with similarities of the threshold or more; numbers are rows, left before right."""

    left: np.ndarray
    right: np.ndarray
    similarity: np.ndarray
    is_first: np.ndarray
    is_short: np.ndarray

    @staticmethod
    def of(files: pa.Table) -> "Truth":
        sets = [list(map(hash, shingles(text))) for text in files.column("content").to_pylist()]
        sizes = np.array([len(found) for found in sets])
        bounds = np.cumsum([0, *sizes])
        columns, values = np.unique(np.fromiter(chain.from_iterable(sets), np.int64, bounds[-1]), return_inverse=True)
        matrix = csr_matrix((np.ones(len(values), np.int32), values, bounds), (len(sizes), len(columns)))
        across = matrix.T.tocsr()
        is_first = np.zeros(len(sizes), bool)
        is_first[np.unique(files.column("content_id").to_numpy(), return_index=True)[1]] = True
        found = [_pairs(matrix, across, sizes, is_first, start) for start in range(0, len(sizes), BLOCK)]
        left, right, similarity = (np.concatenate(column) for column in zip(*found, strict=True))
        return Truth(left, right, similarity, is_first, sizes < MinHash().min_shingles)

    def similarities(self) -> dict[tuple[int, int], float]:
        pairs = zip(self.left.tolist(), self.right.tolist(), strict=True)
        return dict(zip(pairs, self.similarity.tolist(), strict=True))


def _pairs(
    matrix: csr_matrix, across: csr_matrix, sizes: np.ndarray, is_first: np.ndarray, start: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    shared = (matrix[start : start + BLOCK] @ across).tocoo()
    left, right = shared.row.astype(np.int64) + start, shared.col.astype(np.int64)
    similarity = shared.data / (sizes[left] + sizes[right] - shared.data)
    kept = (left < right) & (similarity >= THRESHOLD) & is_first[left] & is_first[right]
    return left[kept], right[kept], similarity[kept]


def deduplication(files: pa.Table, scratch: Path) -> Recipe:
    """A recipe that only deduplicates some files, which are written to `scratch`."""
    pq.write_table(files.select(["repo", "path", "content"]), scratch / "files.parquet")
    names = ("license", "quality", "pii", "toxicity", "decontaminate", "tokenize")
    settings = {name: {"enabled": False} for name in names} | {
        "sources": [{"kind": "parquet", "uri": str(scratch / "files.parquet")}],
        "languages": {"keep": "all"},
        "dedup": {"near": {"threshold": THRESHOLD}},
        "engine": {"kind": "inline"},
    }
    return Recipe.model_validate(settings)


def curated(files: pa.Table, scratch: Path) -> tuple[pa.Table, pa.Table]:
    """Ledger and copies of a whole run, with only deduplication switched on."""
    store = Store(str(scratch / "out"))
    run(deduplication(files, scratch), store)
    places = store.table("files", ("repo", "path"))
    copies = store.table("copies", ("survivor", "similarity", "reason"))
    for name in places.column_names:
        copies = copies.append_column(name, places.column(name))
    return store.table("ledger", ("repo", "path", "decision", "reason", "survivor")), copies


@dataclass(frozen=True)
class Fates:
    """By file: kept, dropped as a near copy, and the row of its survivor (-1: none)."""

    kept: np.ndarray
    near: np.ndarray
    survivor: np.ndarray

    @staticmethod
    def of(files: pa.Table, verdicts: pa.Table) -> "Fates":
        """From rows of repo, path, reason and survivor, in any order."""
        row = {place: number for number, place in enumerate(_places(files))}
        at = np.array([row[place] for place in _places(verdicts)])
        reason, survivor = verdicts.column("reason").to_pylist(), verdicts.column("survivor").to_pylist()
        kept, near, survivors = np.zeros(len(row), bool), np.zeros(len(row), bool), np.full(len(row), -1)
        kept[at] = [name is None for name in reason]
        near[at] = [name == "duplicate.near" for name in reason]
        survivors[at] = [-1 if name is None else row[name] for name in survivor]
        return Fates(kept, near, survivors)


def _places(table: pa.Table) -> list[str]:
    return pc.binary_join_element_wise(table.column("repo"), table.column("path"), "/").to_pylist()


def tell_precision(fates: Fates, truth: Truth, copies: pa.Table, files: pa.Table) -> None:
    """No file goes for one that it is not similar to, or that is not there."""
    known = truth.similarities()
    first = {files["content_id"][int(row)].as_py(): int(row) for row in np.flatnonzero(truth.is_first)}
    content = [first[name] for name in files["content_id"].to_pylist()]
    told = dict(zip(_places(copies), copies.column("similarity").to_pylist(), strict=True))
    below = differing = 0
    places = _places(files)
    for row in np.flatnonzero(fates.near):
        one, other = sorted((content[row], content[fates.survivor[row]]))
        true = known.get((one, other))
        below += true is None
        differing += true != told[places[row]]
    dropped = fates.survivor >= 0
    exact = dropped & ~fates.near
    unlike = sum(content[row] != content[fates.survivor[row]] for row in np.flatnonzero(exact))
    print(f"dropped as near copies: {fates.near.sum():,}; as exact copies: {exact.sum():,}; kept: {fates.kept.sum():,}")
    print(f"near copies below {THRESHOLD} to their survivor: {below}; similarity other than the true one: {differing}")
    lost = (~fates.kept[fates.survivor[dropped]]).sum()
    print(f"exact copies unlike their survivor: {unlike}; survivors that are not kept: {lost}")


def share_dropped(fates: Fates, truth: Truth, short: bool = False) -> tuple[int, int]:
    """Of the contents with a kept one at SURELY or more: dropped, and all; the later of two kept ones is missed."""
    sure = (truth.similarity >= SURELY) & ((truth.is_short[truth.left] | truth.is_short[truth.right]) == short)
    left, right = truth.left[sure], truth.right[sure]
    missed = np.unique(right[fates.kept[left] & fates.kept[right]])
    one_way = right[fates.near[right] & fates.kept[left]]
    other_way = left[fates.near[left] & fates.kept[right]]
    dropped = np.unique(np.concatenate([one_way, other_way]))
    return len(dropped), len(dropped) + len(missed)


def tell_bands(truth: Truth, component: np.ndarray, bands: int, rows: int) -> None:
    """True pairs by similarity, and how many were proposed: by one component, and by chance of one bucket."""
    signed = ~truth.is_short[truth.left] & ~truth.is_short[truth.right]
    together = component[truth.left] == component[truth.right]
    print("| similarity | pairs | in one component | recall | expected of one bucket |\n|---|---|---|---|---|")
    for low in np.arange(70, 100, 5) / 100:
        inside = signed & (truth.similarity >= low) & (truth.similarity < low + 0.05 + (low > 0.94) * 0.01)
        chance = 1 - (1 - truth.similarity[inside] ** rows) ** bands
        pairs, found = inside.sum(), (inside & together).sum()
        recall = f"{found / pairs:.1%} | {chance.mean():.1%}" if pairs else "|"
        print(f"| {low:.2f} to {low + 0.05:.2f} | {pairs:,} | {found:,} | {recall} |")


def batches_of(files: pa.Table) -> Iterator[pa.RecordBatch]:
    return iter(files.combine_chunks().to_batches(1000))


def tell_settings(files: pa.Table, truth: Truth, fates: Fates) -> None:
    """The same files with other bands, and how surely those propose two files that are like no third one."""
    print(
        f"| bands x rows | key bytes a file | edges | compared | processor s | dropped of >= {SURELY} | share "
        f"| a lone pair of {SURELY} | of {SURELY + 0.05:.2f} |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for bands, rows in SETTINGS:
        started = time.process_time()
        judged = near_duplicates(lambda: batches_of(files), lambda: batches_of(files), bands, rows, THRESHOLD)
        seconds = time.process_time() - started
        places = files.select(["repo", "path"]).take(judged["copies"].column("row_id"))
        verdicts = judged["copies"].select(["reason", "survivor"])
        for name in places.column_names:
            verdicts = verdicts.append_column(name, places.column(name))
        found = Fates.of(files, verdicts)
        if (bands, rows) == optimal_bands(THRESHOLD, 256) and not np.array_equal(found.survivor, fates.survivor):
            print("the functions called one by one differ from the ledger")
        compared = pc.sum(judged["components"].column("compared")).as_py()
        dropped, all_of_them = share_dropped(found, truth)
        print(
            f"| {bands} x {rows} | {16 * bands} | {judged['edges']:,} | {compared:,} | {seconds:.2f} "
            f"| {dropped:,} of {all_of_them:,} | {dropped / max(all_of_them, 1):.2%} "
            f"| {1 - (1 - SURELY**rows) ** bands:.1%} | {1 - (1 - (SURELY + 0.05) ** rows) ** bands:.1%} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--files", type=int, default=10_000)
    chosen = parser.parse_args()
    files = source_files(chosen.folder, chosen.files)
    size = pc.sum(pc.binary_length(files.column("content"))).as_py() / 1e6
    started = time.process_time()
    truth = Truth.of(files)
    short = (truth.is_first & truth.is_short).sum()
    print(f"{files.num_rows:,} files, {size:.0f} MB, {truth.is_first.sum():,} contents, of which {short:,} short")
    seconds = time.process_time() - started
    print(f"pairs of {THRESHOLD} or more among the contents: {len(truth.left):,}; all pairs took {seconds:.0f} s")
    with tempfile.TemporaryDirectory() as scratch:
        ledger, copies = curated(files, Path(scratch))
    fates = Fates.of(files, ledger)
    tell_precision(fates, truth, copies, files)
    for short, name in ((False, "contents"), (True, "short contents, which have no signature")):
        dropped, all_of_them = share_dropped(fates, truth, short)
        share = f", {dropped / all_of_them:.2%}" if all_of_them else ""
        print(f"{name} with a kept one at {SURELY} or more: {all_of_them:,}; dropped: {dropped:,}{share}")
    bands, rows = optimal_bands(THRESHOLD, 256)
    judged = near_duplicates(lambda: batches_of(files), lambda: batches_of(files), bands, rows, THRESHOLD)
    component = np.arange(files.num_rows)
    component[judged["components"].column("row_id").to_numpy()] = judged["components"].column("component").to_numpy()
    tell_bands(truth, component, bands, rows)
    tell_settings(files, truth, fates)


if __name__ == "__main__":
    main()
