"""What became of a file, and why: the ledger's row with everything that was measured of it."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.storage import Store
from schemas.datasets import COPIES, LEDGER

HIDDEN = frozenset({"content", "failed", "minhash", "row_id", "pii"})
"""Columns that are no answer to a person, that the reason tells already, or that point at a secret."""


def fates(store: Store, file: str) -> Iterator[dict[str, Any]]:
    """Every ledger row whose `repo/path` is `file`, with the measures and evidence of the other datasets.

    There is more than one where two sources hold the same repository. Raises MissingDataset where the ledger
    is not whole yet.
    """
    before = 0
    ledger = store.committed("ledger")
    for shard in range(len(ledger.shards)):
        for batch in store.read("ledger", shard, tuple(LEDGER.names)):
            name = pc.binary_join_element_wise(batch.column("repo"), batch.column("path"), "/")
            for row in pc.indices_nonzero(pc.equal(name, file)).to_pylist():
                yield batch.slice(row, 1).to_pylist()[0] | {"measures": _measures(store, before + row)}
            before += batch.num_rows


def _measures(store: Store, row: int) -> dict[str, Any]:
    """The ledger keeps the order of `files`, so the n-th row of one is the n-th of the other."""
    shard = 0
    for part in store.committed("files").shards:
        if row < part.rows:
            break
        row -= part.rows
        shard += 1
    found: dict[str, Any] = {}
    for dataset in ("files", "measures", "copies"):
        columns = [entry["name"] for entry in store.committed(dataset).schema]
        shown = tuple(name for name in columns if name not in HIDDEN and name not in LEDGER.names)
        for batch in store.read(dataset, shard, shown, (row, row + 1)):
            found |= {name: value for name, value in batch.to_pylist()[0].items() if value is not None}
    return found


def tell(fate: dict[str, Any]) -> list[tuple[str, str]]:
    """A fate as (label, text) lines in the order in which a person asks."""
    verdict = fate["decision"] if fate["reason"] is None else f"{fate['decision']}: {fate['reason']}"
    lines = [("file", f"{fate['repo']}/{fate['path']}"), ("fate", verdict)]
    lines += [(name, str(fate[name])) for name in ("detail", "survivor") if fate[name] is not None]
    measures = dict(fate["measures"])
    if evidence := measures.pop(COPIES.field("license_evidence").name, None):
        lines += [("license", f"{fate['license'] or 'none found'} ({measures.pop('license_class', 'unknown')})")]
        lines += [("evidence", part) for part in evidence.split("; ")]
    lines += [
        (name, str(fate[name])) for name in ("language", "size", "content_id", "revision", "source") if fate[name]
    ]
    lines += [(name, _short(value)) for name, value in sorted(measures.items())]
    return lines


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def nearest(store: Store, file: str) -> list[str]:
    """Names in the ledger that end like `file`, for a reader who mistyped the repository."""
    ending = file.rpartition("/")[2]
    found: list[str] = []
    for shard in range(len(store.committed("ledger").shards)):
        for batch in store.read("ledger", shard, ("repo", "path")):
            name: pa.Array = pc.binary_join_element_wise(batch.column("repo"), batch.column("path"), "/")
            found += name.filter(pc.ends_with(name, ending)).to_pylist()
            if len(found) >= 5:
                return found[:5]
    return found
