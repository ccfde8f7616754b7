"""Packs encoded documents into blocks of equal length, and shuffles them.

The order is random but fixed by the seed, and never depends on the order of arrival: documents, or repositories whose
documents stay together, are shuffled inside their shard before they are cut into blocks; then each shard's blocks are
dealt to all shards, and shuffled inside those.

Nothing is lost and everything can be traced: the blocks of a shard, without the padding of its last one, are
its documents one after the other, and each block tells which documents its tokens come from.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.dependencies import dependency_order
from transforms.draws import draw, shuffled
from transforms.mixture import COPIES
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
    they import (see `dependency_order`); the shard must have all of them. With `repeats` a document is packed as often
    as its `copies` say.

    Each document's tokens end with end-of-text (see `Encode`), and so does the last block, which is filled up
    with it. Rows without tokens (null) are left out. The batch must be the whole shard; its order is of no
    account.
    """

    block: int = 2048
    vocabulary: int = 1 << 16
    seed: int = 0
    by_repository: bool = False
    repeats: bool = False

    @property
    def reads(self) -> tuple[str, ...]:
        order = ("repo", "path", "language", "imports") if self.by_repository else ("content_id",)
        return ("tokens", "row_id", *order, *((COPIES.name,) if self.repeats else ()))

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
        """Rows of the batch in their order, some not at all and some again."""
        draws, documents = draw(batch.column("content_id"), self.seed), batch.column("row_id").to_numpy()
        if not self.repeats:
            return shuffled(draws, documents)
        copies = batch.column(COPIES.name).to_numpy()
        rows = np.repeat(np.arange(len(copies)), copies)
        return rows[shuffled(draws[rows], documents[rows], places_in_runs(copies))]

    def _repositories(self, batch: pa.RecordBatch) -> np.ndarray:
        """The same, by repository. What is repeated comes in rounds, each with every repository at most once."""
        rows = pc.sort_indices(batch, sort_keys=[("repo", "ascending"), ("path", "ascending"), ("row_id", "ascending")])
        repos = pc.run_end_encode(batch.column("repo").take(rows))
        bounds = pairwise([0, *repos.run_ends.to_pylist()])
        columns = [batch.column(name).take(rows) for name in ("path", "language", "imports")]
        files = []
        for repo, (low, high) in zip(repos.values.to_pylist(), bounds, strict=True):
            order = dependency_order(repo, *(column.slice(low, high - low).to_pylist() for column in columns))
            files.append(rows.to_numpy()[low:high][order].astype(np.int64))
        draws, numbers = draw(repos.values, self.seed), np.arange(len(files))
        copies = batch.column(COPIES.name).to_numpy() if self.repeats else np.ones(batch.num_rows, np.int32)
        rounds = [np.empty(0, np.int64)]
        for number in range(copies.max(initial=0)):
            order = shuffled(draws, numbers, np.full(len(files), number))
            rounds += [files[repo][copies[files[repo]] > number] for repo in order]
        return np.concatenate(rounds)

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
    blocks = first[documents] + places_in_runs(touched)
    return blocks, documents, begins[documents] - blocks * block


def places_in_runs(lengths: np.ndarray) -> np.ndarray:
    """0, 1, 2, … within each of some runs of these lengths, one after the other."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


@dataclass(frozen=True)
class ShuffleBlocks:
    """Orders the blocks of a shard by `seed`.

    A block is named by its first token: a document and a place in it. The order is made from these names, so it does
    not matter in which order the blocks came, but for those that a mixture's copies of a document give one name.
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
