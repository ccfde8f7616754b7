"""Finds files that hold a benchmark's problems or solutions.

A model that has read the answers cannot be scored by the questions. The files that give them away are copies
of the benchmark (its JSON lines, its problems in an evaluation harness) and published answers.

Both sides are read as words (`transforms.words`), of letters and digits of any script, folded, so that white space,
quotes, punctuation and markup around a docstring do not count, nor do case, accents and how letters are encoded (Brown
et al. 2020, GPT-3, appendix C, drops case and punctuation too). They are read three times: whole; without line
comments, so that a solution somebody has commented is still found; and without what each line begins with as the line
before does, so that line numbers and a statement around each line do not hide it.
A file is contaminated where it holds enough of the n-grams of one prompt or of one solution:

- n = 10 words, as in DeepSeek-Coder (Guo et al. 2024, section 2.4) and Qwen2.5-Coder; GPT-3 takes 13 words,
  PaLM (Chowdhery et al. 2022, section 8) 8.
- A single shared n-gram would condemn idioms ("for i in range len x for j in range"), so a share is asked
  for, as in PaLM, which calls an example contaminated at 70% of its 8-grams. Here it is 50%, since one edited
  word spoils ten n-grams of a short text. In 92,000 files of Python packages and of the standard library,
  none of which holds HumanEval, the largest share was 39%.
- A text with few n-grams must be there as a whole, and one that is shorter than an n-gram, such as
  `return x + y`, is no evidence at all: its prompt stands for it.

StarCoder (Li et al. 2023) asks for the exact docstring or solution as a substring, which misses copies that
were formatted anew. Renamed variables are not seen through.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from pathlib import PurePath
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa

from schemas import json_lines
from schemas.datasets import field
from transforms import BatchFunction
from transforms.buffers import string_buffers
from transforms.words import LINE_WORDS, alphabet, next_word, repeats, word_hashes

PARTS = {
    "prompt": "prompt",
    "canonical_solution": "solution",
    "text": "prompt",
    "code": "solution",
    "prompts": "prompts",
}
"""The fields of a benchmark's JSON lines that must not be learned, and what they are called in the detail."""

NAMES = ("task_id", "id", "name")
"""The fields that may name a problem, the first one found counts."""


@dataclass(frozen=True)
class Passage:
    """A text that must not be learned: `name` is the problem and its part, such as "HumanEval/17 prompt"."""

    benchmark: str
    name: str
    text: bytes


@dataclass(frozen=True)
class Benchmark:
    """Problems, one a line, with any of the fields prompt, canonical_solution, text, code, prompts.

    ``name``: "humaneval", or the path of the file, after which the ledger names it. ``data``: the file's JSON lines,
    plain or compressed.
    """

    name: str
    data: bytes

    def passages(self) -> Iterator[Passage]:
        """Raises ValueError for a line that holds no problem, and where there is none at all."""
        label = PurePath(self.name).name.split(".")[0]
        empty = True
        for line in json_lines.read(self.data, self.name):
            identity = str(next((line.values[key] for key in NAMES if key in line.values), line.number - 1))
            title = identity if "/" in identity else f"{label}/{identity}"
            texts = {part: text for key, part in PARTS.items() if (text := _text(line, key))}
            if not texts:
                raise line.wrong(f"it has a text in none of the fields {', '.join(PARTS)}")
            yield from (Passage(label, f"{title} {part}", text.encode()) for part, text in texts.items())
            empty = False
        if empty:
            raise ValueError(f"{self.name}: it holds no problem")


def _text(line: json_lines.Line, key: str) -> str:
    """A problem's field, or its lines; empty where it has none."""
    value = line.values.get(key)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return "" if value is None else line.text(key)


@dataclass(frozen=True)
class Decontaminate:
    """Marks the files that hold a benchmark's prompts or solutions.

    ``ngram``: in words. ``share``: of a text's n-grams, above 0 and up to 1. ``few``: a text with fewer n-grams than
    this must be there as a whole.
    """

    benchmarks: tuple[Benchmark, ...] = ()
    ngram: int = 10
    share: float = 0.5
    few: int = 10

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content",)

    @property
    def adds(self) -> pa.Schema:
        found_in = "benchmark of which the file holds a problem; null where none is found"
        evidence = "the problem, its part, and how many of its n-grams the file holds"
        return pa.schema([field("contaminated", pa.string(), found_in), field("contamination", pa.string(), evidence)])

    def load(self) -> BatchFunction:
        """Raises ValueError for a benchmark that has no text of `ngram` words, and what `Benchmark.passages` raises."""
        passages = [passage for benchmark in self.benchmarks for passage in benchmark.passages()]
        index = index_passages(passages, self.ngram)
        needed = [total if total < self.few else ceil(self.share * total) for total in index.totals.tolist()]
        needed_grams = np.array(needed, np.int32)

        def find(batch: pa.RecordBatch) -> pa.RecordBatch:
            text, offsets = string_buffers(batch.column("content"))
            best, found = match_passages(text, offsets, self.ngram, needed_grams, index, *alphabet())
            names: list[str | None] = [None] * batch.num_rows
            details: list[str | None] = [None] * batch.num_rows
            for row in np.flatnonzero(best >= 0).tolist():
                passage = passages[index.passages[best[row]]]
                names[row] = passage.benchmark
                details[row] = f"{passage.name}: {found[row]} of {index.totals[best[row]]} {self.ngram}-grams"
            columns = [pa.array(names, pa.string()), pa.array(details, pa.string())]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return find


class PassageIndex(NamedTuple):
    """The distinct n-grams of all readings of all passages, in a hash table.

    A reading is one passage, or what is left of it without line comments or without repeated beginnings of lines. Over
    readings: `passages` (which passage) and `totals` (its distinct n-grams). Over n-grams: `words` (the hash of each of
    its words) and `owners[owner_starts[gram]:owner_starts[gram + 1]]`, the readings that hold it. `slots`: n-grams by
    open addressing, -1 where empty; its length is a power of two.
    """

    passages: np.ndarray
    totals: np.ndarray
    words: np.ndarray
    owner_starts: np.ndarray
    owners: np.ndarray
    slots: np.ndarray


def index_passages(passages: list[Passage], ngram: int) -> PassageIndex:
    """Readings shorter than one n-gram are left out."""
    grams: dict[bytes, int] = {}
    owners: list[list[int]] = []
    kept: list[int] = []
    totals: list[int] = []
    for number, passage in enumerate(passages):
        for hashes in readings(passage.text):
            if len(hashes) < ngram:
                continue
            windows = np.lib.stride_tricks.sliding_window_view(hashes, ngram)
            held = {grams.setdefault(window.tobytes(), len(grams)) for window in windows}
            owners += [[] for _ in range(len(grams) - len(owners))]
            for gram in held:
                owners[gram].append(len(totals))
            kept.append(number)
            totals.append(len(held))
    if not passages:
        raise ValueError("no benchmark is named")
    if short := {passage.benchmark for passage in passages} - {passages[number].benchmark for number in kept}:
        raise ValueError(f"{min(short)}: none of its texts has {ngram} words or more")
    words = np.frombuffer(b"".join(grams), np.uint64).reshape(-1, ngram)
    powers = np.array([pow(BASE, ngram - 1 - place, 2**64) for place in range(ngram)], np.uint64)
    gram_hashes = (words * powers).sum(axis=1, dtype=np.uint64)
    return PassageIndex(
        passages=np.array(kept, np.int32),
        totals=np.array(totals, np.int32),
        words=words,
        owner_starts=np.cumsum([0] + [len(held) for held in owners]).astype(np.int64),
        owners=np.array([reading for held in owners for reading in held], np.int32),
        slots=fill_slots(gram_hashes, 1 << (8 * len(grams)).bit_length()),
    )


def readings(text: bytes) -> Iterator[np.ndarray]:
    """The hashes of a text's words, in three readings: of all; of those outside comments, if that differs; and of those
    that do not repeat the line before, if that differs and leaves most of them."""
    hashes, commented, repeated = word_hashes(np.frombuffer(text, np.uint8), *alphabet())
    yield hashes
    if commented.any():
        yield hashes[~commented]
    if 0 < 2 * repeated.sum() < len(hashes):
        yield hashes[~repeated]


BASE = 0x9E3779B97F4A7C15
MIX = np.uint64(0xBF58476D1CE4E5B9)
ROLL = np.uint64(BASE)


@numba.njit(nogil=True, cache=True)
def slot_of(gram_hash, slots):
    return np.int64(((gram_hash ^ (gram_hash >> np.uint64(31))) * MIX) >> np.uint64(24)) & (len(slots) - 1)


@numba.njit(nogil=True, cache=True)
def fill_slots(hashes, size):
    slots = np.full(size, -1, np.int32)
    for gram in range(len(hashes)):
        slot = slot_of(hashes[gram], slots)
        while slots[slot] >= 0:
            slot = (slot + 1) & (size - 1)
        slots[slot] = gram
    return slots


@numba.njit(nogil=True, cache=True)
def find_gram(window_hash, window, oldest, index):
    """The n-gram whose words are those of the window, else -1; its rolling hash alone is not trusted."""
    slot = slot_of(window_hash, index.slots)
    while index.slots[slot] >= 0:
        gram = index.slots[slot]
        step = 0
        while step < len(window) and window[(oldest + step) % len(window)] == index.words[gram, step]:
            step += 1
        if step == len(window):
            return gram
        slot = (slot + 1) & (len(index.slots) - 1)
    return -1


@numba.njit(nogil=True, cache=True)
def match_passages(text, offsets, ngram, needed, index, letters, forms):
    """For each row the reading of which it holds the largest share, if enough, else -1; and n-grams found.

    A row is read in all three ways at once. For each, a rolling hash of the last `ngram` words (Karp and Rabin 1987) is
    looked up. An n-gram counts once a row.
    """
    rows, slots, owners, owner_starts = len(offsets) - 1, index.slots, index.owners, index.owner_starts
    best, found = np.full(rows, -1, np.int32), np.zeros(rows, np.int32)
    gram_row = np.full(len(index.words), -1, np.int64)
    counts, touched = np.zeros(len(index.totals), np.int32), np.empty(len(index.totals), np.int32)
    hashes = np.zeros((3, ngram), np.uint64)
    rolling, seen = np.zeros(3, np.uint64), np.zeros(3, np.int64)
    places = np.zeros(3, np.int64)  # by reading, where its oldest word of the last `ngram` stands in `hashes`
    left_out = np.zeros(3, np.int64)  # by reading, when a word was last left out of it
    line = np.zeros(LINE_WORDS, np.uint64)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= ROLL
    for row in range(rows):
        hashes[:], rolling[:], seen[:], places[:], left_out[:] = 0, 0, 0, 0, -ngram
        at, end, commented, touches = offsets[row], offsets[row + 1], False, 0
        known, column, alike = 0, 0, False
        while True:
            at, word_hash, commented, is_first, is_number = next_word(text, at, end, commented, letters, forms)
            if at < 0:
                break
            known, column, alike = repeats(word_hash, is_first, is_number, line, known, column, alike)
            number = seen[0]
            for reading in range(1, 3 if commented or alike else 1):
                if alike if reading == 2 else commented:
                    if number - left_out[reading] >= ngram:
                        hashes[reading], rolling[reading] = hashes[0], rolling[0]
                        places[reading], seen[reading] = places[0], number
                    left_out[reading] = number
            for reading in range(3):
                # A reading without a gap among the last words has the same window as the first: that is all it needs.
                if reading > 0 and (left_out[reading] == number or number - left_out[reading] >= ngram):
                    continue
                place = places[reading]
                gone = hashes[reading, place]
                rolling[reading] = rolling[reading] * ROLL + word_hash - gone * leaving
                hashes[reading, place] = word_hash
                places[reading] = place + 1 if place + 1 < ngram else 0
                seen[reading] += 1
                if seen[reading] < ngram or slots[slot_of(rolling[reading], slots)] < 0:
                    continue
                gram = find_gram(rolling[reading], hashes[reading], places[reading], index)
                if gram < 0 or gram_row[gram] == row:
                    continue
                gram_row[gram] = row
                for owner in owners[owner_starts[gram] : owner_starts[gram + 1]]:
                    if counts[owner] == 0:
                        touched[touches] = owner
                        touches += 1
                    counts[owner] += 1
        best[row], found[row] = best_reading(counts, np.sort(touched[:touches]), needed, index.totals)
    return best, found


@numba.njit(nogil=True, cache=True)
def best_reading(counts, touched, needed, totals):
    """The first reading with the largest share that is enough, and its count; clears the counts."""
    best, found = -1, 0
    for reading in touched:
        count = counts[reading]
        if count >= needed[reading] and (best < 0 or count * totals[best] > found * totals[reading]):
            best, found = reading, count
        counts[reading] = 0
    return best, found
