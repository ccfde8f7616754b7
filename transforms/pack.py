"""Packs encoded documents into blocks of equal length, and shuffles them.

The order is random but fixed by the seed, and never depends on the order of arrival: documents, or repositories whose
documents stay together, are shuffled inside their shard before they are cut into blocks; then each shard's blocks are
dealt to all shards, and shuffled inside those.

Nothing is lost and everything can be traced: the blocks of a shard, without the padding of its last one, are
its documents one after the other, and each block tells which documents its tokens come from.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.dependencies import dependency_order
from transforms.draws import draw, shuffled
from transforms.tokenizer import token_type


def block_schema(block: int, vocabulary: int) -> pa.Schema:
    """The columns of packed blocks."""
    starts = "where each document's first token stands in the block; negative if it stands that far before it"
    return pa.schema(
        [
            field("tokens", pa.list_(token_type(vocabulary), block), "token ids", nullable=False),
            field("starts", pa.list_(pa.int32()), starts, nullable=False),
            field("documents", pa.list_(pa.int64()), "the corpus row of each of `starts`", nullable=False),
            field("token_count", pa.int32(), "tokens of documents; what follows is padding", nullable=False),
            field("padding", pa.int32(), "tokens of padding (end-of-text) at the block's end", nullable=False),
        ]
    )


@dataclass(frozen=True)
class Pack:
    """Cuts a shard's documents, in an order shuffled by `seed`, into blocks of `block` tokens.

    With `by_repository` the repositories are shuffled, and each one's documents follow one another, after those that
    they import (see `dependency_order`); the shard must have all of them.

    Each document's tokens end with end-of-text (see `Encode`), and so does the last block, which is filled up
    with it. Rows without tokens (null) are left out. The batch must be the whole shard; its order is of no
    account.
    """

    block: int = 2048
    vocabulary: int = 1 << 16
    seed: int = 0
    by_repository: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        order = ("repo", "path", "language", "imports") if self.by_repository else ("content_id",)
        return ("tokens", "row_id", *order)

    @property
    def schema(self) -> pa.Schema:
        return block_schema(self.block, self.vocabulary)

    def load(self) -> BatchFunction:
        def pack(batch: pa.RecordBatch) -> pa.RecordBatch:
            documents = batch.column("row_id").to_numpy()
            order = (self._repositories if self.by_repository else self._documents)(batch)
            order = order[batch.column("tokens").is_valid().to_numpy(zero_copy_only=False)[order]]
            stream, lengths = join(batch.column("tokens"), order, self.block)
            return self._blocks(stream, lengths, documents[order])

        return pack

    def _documents(self, batch: pa.RecordBatch) -> np.ndarray:
        return shuffled(draw(batch.column("content_id"), self.seed), batch.column("row_id").to_numpy())

    def _repositories(self, batch: pa.RecordBatch) -> np.ndarray:
        """Rows of the batch, by repository."""
        rows = pc.sort_indices(batch, sort_keys=[("repo", "ascending"), ("path", "ascending"), ("row_id", "ascending")])
        repos = pc.run_end_encode(batch.column("repo").take(rows))
        names, ends = repos.values, repos.run_ends.to_numpy()
        columns = [batch.column(name).take(rows) for name in ("path", "language", "imports")]
        order = [np.empty(0, np.int64)]
        for place in shuffled(draw(names, self.seed), np.arange(len(names))).tolist():
            low = int(ends[place - 1]) if place else 0
            files = [column.slice(low, int(ends[place]) - low).to_pylist() for column in columns]
            order.append(low + np.array(dependency_order(names[place].as_py(), *files)))
        return rows.to_numpy()[np.concatenate(order)]

    def _blocks(self, stream: np.ndarray, lengths: np.ndarray, documents: np.ndarray) -> pa.RecordBatch:
        blocks = len(stream) // self.block
        padding = np.zeros(blocks, np.int32)
        padding[-1:] = len(stream) - lengths.sum()
        entry_blocks, entries, starts = spread(lengths, self.block)
        offsets = pa.array(np.searchsorted(entry_blocks, np.arange(blocks + 1)).astype(np.int32))
        columns = [
            pa.FixedSizeListArray.from_arrays(pa.array(stream, token_type(self.vocabulary)), self.block),
            pa.ListArray.from_arrays(offsets, pa.array(starts, pa.int32())),
            pa.ListArray.from_arrays(offsets, pa.array(documents[entries], pa.int64())),
            pa.array(self.block - padding, pa.int32()),
            pa.array(padding),
        ]
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def join(tokens: pa.LargeListArray, order: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray]:
    """The documents' tokens one after the other, the last repeated to fill a block; and their lengths."""
    values, offsets = tokens.values.to_numpy(), tokens.offsets.to_numpy()
    lengths = (offsets[1:] - offsets[:-1])[order]
    stream = np.empty(-(-lengths.sum() // block) * block, values.dtype)
    at = 0
    for document, length in zip(order.tolist(), lengths.tolist(), strict=True):
        stream[at : at + length] = values[offsets[document] : offsets[document + 1]]
        at += length
    stream[at:] = stream[at - 1 : at]
    return stream, lengths


def spread(lengths: np.ndarray, block: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which documents lie in which blocks, for documents of these lengths (1 or more) laid one after the
    other.

    One entry per document and block that share a token, in order: the block, the document's place in
    `lengths`, and where the document starts, counted from the block's first token.
    """
    ends = np.cumsum(lengths)
    begins = ends - lengths
    first = begins // block
    touched = (ends - 1) // block - first + 1
    documents = np.repeat(np.arange(len(lengths)), touched)
    blocks = first[documents] + np.arange(len(documents)) - (np.cumsum(touched) - touched)[documents]
    return blocks, documents, begins[documents] - blocks * block


@dataclass(frozen=True)
class ShuffleBlocks:
    """Orders the blocks of a shard by `seed`.

    A block is named by its first token, which no other block holds: a document and a place in it. The order
    is made from these names, so it does not matter in which order the blocks came.
    """

    block: int = 2048
    vocabulary: int = 1 << 16
    seed: int = 0

    @property
    def reads(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    @property
    def schema(self) -> pa.Schema:
        return block_schema(self.block, self.vocabulary)

    def load(self) -> BatchFunction:
        def shuffle(batch: pa.RecordBatch) -> pa.RecordBatch:
            firsts = [
                column.flatten().to_numpy()[column.offsets.to_numpy()[:-1] - column.offsets[0].as_py()]
                for column in (batch.column("documents"), batch.column("starts"))
            ]
            order = shuffled(np.full(batch.num_rows, np.int64(self.seed)).view(np.uint64), *firsts)
            return batch.select(self.schema.names).take(pa.array(order))

        return shuffle
