"""Packed blocks in the formats of other trainers: Megatron's indexed dataset and MosaicML's MDS.

Both are written from their descriptions, in the blocks' own order, so neither library is needed; where the originals
are installed the tests read them back with these. Hugging Face's datasets opens `tokens/` as it is.
"""

import json
from collections.abc import Iterator

import numpy as np

from pipeline.storage import Store

MEGATRON_TYPES = {"uint16": ("<u2", 8), "uint32": ("<i4", 4)}
"""Megatron's code for each type of ids (megatron.core.datasets.indexed_dataset.DType); it knows no uint32, and 31 bits
are enough."""
MDS_SHARD_BYTES = 64 << 20
"""As MDSWriter's default; a shard's offsets have 32 bits, so 4 GiB would be the end."""


def export_megatron(store: Store, target: Store, dataset: str = "tokens") -> int:
    """Writes `tokens.bin` and `tokens.idx`: one sequence and one document per block, without its padding.

    Blocks are shuffled, so a source file's blocks do not lie together; its end is marked by end-of-text, inside a
    block, where `--reset-position-ids` and `--reset-attention-mask` look for it. Gives the number of blocks.
    """
    name = _integers(store, dataset)
    integers, code = MEGATRON_TYPES[name]
    counts = [np.empty(0, np.int32)]
    with target.writing("tokens.bin") as file:
        for tokens, lengths in _blocks(store, dataset):
            inside = np.arange(tokens.shape[1]) < lengths[:, None]
            file.write(tokens[inside].astype(integers).tobytes())
            counts.append(lengths)
    lengths = np.concatenate(counts).astype("<i4")
    starts = (np.cumsum(lengths, dtype="<i8") - lengths) * np.dtype(integers).itemsize
    documents = np.arange(len(lengths) + 1, dtype="<i8")
    sizes = np.array([len(lengths), len(documents)], "<u8")
    with target.writing("tokens.idx") as file:
        file.write(b"MMIDIDX\0\0" + np.uint64(1).astype("<u8").tobytes() + bytes([code]) + sizes.tobytes())
        for part in (lengths, starts.astype("<i8"), documents):
            file.write(part.tobytes())
    return len(lengths)


def export_mds(store: Store, target: Store, dataset: str = "tokens") -> int:
    """Writes MDS shards with one column, `tokens`: blocks whole, padding too, for they are stacked to batches.

    Gives the number of blocks.
    """
    shards = []
    for tokens, _ in _blocks(store, dataset):
        encoding = f"ndarray:{tokens.dtype}:{tokens.shape[1]}"
        settings = {
            "column_encodings": [encoding],
            "column_names": ["tokens"],
            "column_sizes": [tokens[:1].nbytes],
            "compression": None,
            "format": "mds",
            "hashes": [],
            "size_limit": MDS_SHARD_BYTES,
        }
        rows = max(1, MDS_SHARD_BYTES // tokens[:1].nbytes)
        for low in range(0, len(tokens), rows):
            part = tokens[low : low + rows]
            shards.append(_write_mds(target, f"shard.{len(shards):05d}.mds", part, settings))
    target.write_bytes(json.dumps({"version": 2, "shards": shards}, sort_keys=True).encode(), "index.json")
    return sum(shard["samples"] for shard in shards)


def _write_mds(target: Store, name: str, tokens: np.ndarray, settings: dict) -> dict:
    """Number of samples, where each begins and the last ends, the settings, the samples; gives the shard's entry."""
    described = json.dumps(settings, sort_keys=True).encode()
    first = 4 * (len(tokens) + 2) + len(described)
    offsets = first + np.arange(len(tokens) + 1, dtype=np.int64) * tokens[:1].nbytes
    head = np.array([len(tokens)], "<u4").tobytes() + offsets.astype("<u4").tobytes() + described
    with target.writing(name) as file:
        file.write(head)
        file.write(tokens.astype(tokens.dtype.newbyteorder("<")).tobytes())
    raw = {"basename": name, "bytes": len(head) + tokens.nbytes, "hashes": {}}
    return settings | {"raw_data": raw, "samples": len(tokens), "version": 2, "zip_data": None}


EXPORTS = {"megatron": export_megatron, "mds": export_mds}


def _integers(store: Store, dataset: str) -> str:
    entry = next(entry for entry in store.committed(dataset).schema if entry["name"] == "tokens")
    return "uint32" if "uint32" in entry["type"] else "uint16"


def _blocks(store: Store, dataset: str) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Blocks of all shards in order, some at a time, as (blocks, block) ids and the tokens of documents in each."""
    for shard in range(len(store.committed(dataset).shards)):
        for batch in store.read(dataset, shard, ("tokens", "token_count")):
            if batch.num_rows:
                tokens = batch.column("tokens").flatten().to_numpy().reshape(batch.num_rows, -1)
                yield tokens, batch.column("token_count").to_numpy()
