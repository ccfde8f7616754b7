"""What a model is trained on, as rows of equal length: packed blocks of code, or dialogues.

Rows are picked by number, so that a run's whole order follows from its seed: any step's batch is known without the
steps before it, and ranks take turns in it without overlap.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from jobs.training.encoder import Encoder
from pipeline.locations import read_lines
from transforms.messages import messages_of

UNLEARNED = -100
"""Target of a token that is not learned: padding, what a user says, and whatever follows a row's last token."""
ROUNDS = 4
ROW_MASK = (1 << 32) - 1


class Rows(Protocol):
    """Rows of `length` tokens."""

    length: int
    skipped: int
    """Blocks or conversations that are in no row, for there is nothing to learn in them."""

    def __len__(self) -> int: ...

    def take(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens and targets (row, token), int64, of the rows with these numbers."""
        ...

    def groups(self, number: int) -> tuple[Sequence[str], np.ndarray]:
        """Names, and for each token of a row which of them it counts for in an evaluation."""
        ...


class Blocks:
    """The blocks of OUT/tokens, mapped into memory; their languages are those of OUT/corpus, where that is beside.

    Those of OUT/text_tokens are of OUT/text_corpus. A block of one token, as a shard's last may be, is no row.

    Raises ValueError for a folder that holds no finished tokens, or none to learn.
    """

    def __init__(self, folder: Path):
        if not (folder / "_manifest.json").is_file():
            raise ValueError(f"{folder} holds no finished tokens: give the folder tokens/ of a codesieve run")
        self.batches = [batch for path in sorted(folder.glob("data-*.arrow")) for batch in mapped(path).to_batches()]
        self.ends = np.cumsum([batch.num_rows for batch in self.batches])
        counts = [batch.column("token_count").to_numpy() for batch in self.batches]
        self.empty = np.flatnonzero(np.concatenate([np.empty(0, np.int64), *counts]) < 2)
        self.skipped = len(self.empty)
        if not len(self):
            raise ValueError(f"{folder} holds no block of two tokens: there is nothing to learn")
        self.length = self.batches[0].schema.field("tokens").type.list_size
        corpus = folder.parent / ("text_corpus" if folder.name == "text_tokens" else "corpus")
        self.corpus = [mapped(path) for path in sorted(corpus.glob("data-*.arrow"))] if corpus.is_dir() else []

    def __len__(self) -> int:
        return int(self.ends[-1]) - self.skipped if len(self.ends) else 0

    def row(self, number: int) -> pa.RecordBatch:
        number += int(np.searchsorted(self.empty - np.arange(self.skipped), number, side="right"))
        at = int(np.searchsorted(self.ends, number, side="right"))
        return self.batches[at].slice(number - int(self.ends[at]) + self.batches[at].num_rows, 1)

    def take(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows = [self.row(number) for number in numbers.tolist()]
        tokens = np.stack([row.column("tokens").flatten().to_numpy() for row in rows]).astype(np.int64)
        targets = np.full_like(tokens, UNLEARNED)
        targets[:, :-1] = tokens[:, 1:]
        for target, row in zip(targets, rows, strict=True):
            target[row.column("token_count")[0].as_py() - 1 :] = UNLEARNED
        return tokens, targets

    def groups(self, number: int) -> tuple[Sequence[str], np.ndarray]:
        row = self.row(number)
        starts = np.asarray(row.column("starts")[0].as_py())
        documents = row.column("documents")[0].as_py()
        names = [self.language(document) for document in documents]
        return names, np.searchsorted(starts, np.arange(self.length), side="right") - 1

    def language(self, document: int) -> str:
        """Of a corpus row, numbered as in `documents`."""
        if not self.corpus:
            return "all"
        return self.corpus[document >> 32].column("language")[document & ROW_MASK].as_py() or "none"


def mapped(path: Path) -> pa.Table:
    return pa.ipc.open_stream(pa.memory_map(str(path))).read_all()


@dataclass(frozen=True)
class Order:
    """A shuffled order of `count` rows, other in every epoch, of which the first `held_out` rows are never trained on.

    A place in the order gives a row's number without a list of all: see `shuffled`.
    """

    count: int
    held_out: int
    seed: int

    def __post_init__(self) -> None:
        if not 0 <= self.held_out < self.count:
            raise ValueError(f"{self.held_out} of {self.count} rows held out: none is left to train on")

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> np.ndarray:
        """Numbers of the rows of a step (counted from 0) that a rank takes of the `size` that all ranks take."""
        places = np.arange(step * size + rank, (step + 1) * size, ranks)
        trained = self.count - self.held_out
        epochs, within = np.divmod(places, trained)
        turned = [shuffled(place, trained, (self.seed, epoch)) for place, epoch in zip(within, epochs, strict=True)]
        return shuffled(self.held_out + np.array(turned, np.int64), self.count, (self.seed,))

    def held(self) -> np.ndarray:
        """Numbers of the rows held out."""
        return shuffled(np.arange(self.held_out), self.count, (self.seed,))


def shuffled(places: np.ndarray, count: int, seed: tuple[int, ...]) -> np.ndarray:
    """A permutation of range(count), at `places`.

    A Feistel network over the next power of four, walked until it is back inside (Black and Rogaway, "Ciphers with
    Arbitrary Finite Domains", 2002): it needs no memory, whatever `count` is.
    """
    half = np.uint64(max(1, ((count - 1).bit_length() + 1) // 2))
    mask = (np.uint64(1) << half) - np.uint64(1)
    keys = np.random.SeedSequence(seed).generate_state(ROUNDS, np.uint64)
    values = np.atleast_1d(np.asarray(places)).astype(np.uint64)
    outside = np.ones(len(values), bool)
    while outside.any():
        left, right = values[outside] >> half, values[outside] & mask
        for key in keys:
            left, right = right, left ^ (mixed(right + key) & mask)
        values[outside] = (left << half) | right
        outside = values >= count
    return values.astype(np.int64).reshape(np.shape(places))


def mixed(values: np.ndarray) -> np.ndarray:
    """splitmix64's finalizer (Steele et al., 2014)."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


class Dialogues:
    """Conversations, of OUT/dialogue or of JSON lines with `messages`, encoded and packed into rows of `length`.

    Only what the assistant says is learned, and the end-of-text that closes it. A conversation longer than a row is
    cut at its end; the next one begins where there is room for it whole. The order is that of the files. `skipped`
    counts the conversations whose first answer begins behind a row's end.

    Raises ValueError for locations without an answer to learn, and for a line that is no conversation.
    """

    def __init__(self, locations: Sequence[Path], encoder: Encoder, length: int):
        self.length, self.skipped = length, 0
        self.names: list[str] = []
        rows: list[np.ndarray] = []
        row: list[tuple[int, int, int]] = []
        for messages, language in chain.from_iterable(map(conversations, locations)):
            if language not in self.names:
                self.names.append(language)
            encoded = encoder.conversation(messages, language)[:length]
            if not any(learned for _, learned in encoded[1:]):  # a row's first token follows nothing
                self.skipped += 1
                continue
            if row and len(row) + len(encoded) > length:
                rows.append(self.filled(row, encoder.end_of_text))
                row = []
            group = self.names.index(language)
            row += [(token, token if learned else UNLEARNED, group) for token, learned in encoded]
        if not row:
            cut = f": the answers of all {self.skipped} begin behind {length} tokens" if self.skipped else ""
            raise ValueError(f"{', '.join(map(str, locations))}: no dialogue to learn from{cut}")
        rows.append(self.filled(row, encoder.end_of_text))
        self.rows = np.stack(rows)

    def filled(self, row: list[tuple[int, int, int]], end_of_text: int) -> np.ndarray:
        return np.array(row + [(end_of_text, UNLEARNED, 0)] * (self.length - len(row)), np.int32)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        tokens, learned = (self.rows[numbers, :, which].astype(np.int64) for which in (0, 1))
        return tokens, np.pad(learned[:, 1:], ((0, 0), (0, 1)), constant_values=UNLEARNED)

    def groups(self, number: int) -> tuple[Sequence[str], np.ndarray]:
        return self.names, self.rows[number, :, 2]


def conversations(location: Path) -> Iterator[tuple[list[dict[str, str]], str]]:
    """Messages and language of each dialogue in a dataset folder or a file of JSON lines."""
    if location.is_dir():
        for path in sorted(location.glob("part-*.parquet")):
            for batch in pq.ParquetFile(path).iter_batches(columns=["messages", "language"]):
                for row in batch.to_pylist():
                    yield row["messages"], row["language"] or "Python"
        return
    for line in read_lines(location):
        try:
            messages, language = messages_of(line.values)
        except ValueError as error:
            raise line.wrong(str(error)) from error
        yield messages, language or "Python"
