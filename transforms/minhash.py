"""MinHash signatures and shingle sets of texts, by one compiled pass over their bytes.

A token is a maximal run of ``[A-Za-z0-9_]`` in the UTF-8 bytes, a shingle is `ngram` successive tokens joined
by one space, as in BigCode's near deduplication (Kocetkov et al. 2022, "The Stack", section 3.3). A signature
is bit for bit what ``datasketch.MinHash(num_perm=permutations, seed=seed)`` of datasketch 2 gives after
``update`` with each shingle: SHA-1, of which the first 32 bits are permuted by ``a * h + b mod 2**32``. All
arithmetic is on integers, so that it is the same on every processor.
"""

from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.sha1 import SCRATCH_WORDS, sha1_prefixes

WORD = np.array([chr(byte).isalnum() or chr(byte) == "_" for byte in range(128)] + [False] * 128, np.uint8)
"""1 for the bytes that tokens are made of."""


@dataclass(frozen=True)
class MinHash:
    """Signs each text, so that the share of equal places in two signatures estimates how alike the texts are.

    A text with fewer than `min_shingles` distinct shingles gets no signature and is deduplicated as a whole
    only: one changed token takes up to `ngram` of its shingles, hence more than half of its similarity, so
    that what is alike at this size is boilerplate (an empty `__init__.py`, a re-export), not a copy.
    """

    ngram: int = 5
    permutations: int = 256
    seed: int = 1
    min_shingles: int = 10
    reads = ("content",)

    @property
    def adds(self) -> pa.Schema:
        doc = f"{self.permutations} little-endian uint32: MinHash of the shingles; null for a short text"
        return pa.schema(
            [
                field("minhash", pa.binary(4 * self.permutations), doc),
                field("shingles", pa.int32(), f"distinct shingles of {self.ngram} tokens"),
            ]
        )

    def load(self) -> BatchFunction:
        multipliers, offsets = permutations(self.permutations, self.seed)

        def sign(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            signatures, counts = _sign(*_text(content), WORD, self.ngram, self.min_shingles, multipliers, offsets)
            unread = content.is_null().to_numpy(zero_copy_only=False)
            short = unread | (counts < self.min_shingles)
            columns = [_binary(signatures, short), pa.array(counts, pa.int32(), mask=unread)]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return sign


@dataclass(frozen=True)
class ShingleSets:
    """The set of each text's shingles, as 64-bit hashes, from which exact similarities are measured.

    Of a thousand million pairs of texts with a thousand shingles each, the chance that any similarity is off
    because two shingles share a hash is below one in ten thousand.
    """

    ngram: int = 5
    reads = ("content",)
    adds = pa.schema([field("shingle_set", pa.list_(pa.uint64()), "hashes of the distinct shingles, ascending")])

    def load(self) -> BatchFunction:
        def hash_shingles(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            hashes, bounds = _shingle_hashes(*_text(content), WORD, self.ngram)
            for start, stop in pairwise(bounds):
                hashes[start:stop].sort()
            sets = pa.ListArray.from_arrays(bounds.astype(np.int32), hashes, mask=content.is_null())
            return pa.RecordBatch.from_arrays([sets], schema=self.adds)

        return hash_shingles


def permutations(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Odd multipliers, for one-to-one permutations, and addends: uint32, as datasketch 2 draws them."""
    generator = np.random.RandomState(seed)
    multipliers = generator.randint(0, 1 << 31, count, dtype=np.uint32) * np.uint32(2) + np.uint32(1)
    return multipliers, generator.randint(0, 1 << 32, count, dtype=np.uint32)


def signatures_of(column: pa.Array) -> np.ndarray:
    """A `minhash` column as uint32, rows by permutations, without a copy.

    Rows that are null hold no meaning. A row is what ``datasketch.MinHash(hashvalues=row, seed=seed,
    scheme="affine32")`` takes.
    """
    width = column.type.byte_width
    values = np.frombuffer(column.buffers()[1] or b"", np.dtype("<u4"))
    return values[column.offset * width // 4 : (column.offset + len(column)) * width // 4].reshape(
        len(column), width // 4
    )


def _text(content: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    text, offsets = string_buffers(content)
    text.setflags(write=False)  # as Arrow's own buffers are, lest the kernels be compiled again for an empty batch
    return text, offsets


def _binary(signatures: np.ndarray, nulls: np.ndarray) -> pa.Array:
    validity = np.packbits(~nulls, bitorder="little")
    values = np.ascontiguousarray(signatures, np.dtype("<u4"))
    buffers = [pa.py_buffer(validity.tobytes()), pa.py_buffer(values)]
    return pa.Array.from_buffers(pa.binary(4 * signatures.shape[1]), len(signatures), buffers)


@numba.njit(nogil=True, cache=True)
def _sign(data, offsets, word, ngram, min_shingles, multipliers, addends):
    rows = len(offsets) - 1
    signatures = np.full((rows, len(multipliers)), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(rows, np.int32)
    text, ends, tokens, table, hashes, starts, sizes = _scratch(offsets)
    prefixes = np.empty(len(ends), np.uint32)
    scratch = np.empty(SCRATCH_WORDS, np.uint32)
    for row in range(rows):
        found = _tokenize(data, offsets[row], offsets[row + 1], word, text, ends)
        count = _distinct_shingles(text, ends[:found], ngram, tokens, table, hashes, starts, sizes)
        counts[row] = count
        if count >= min_shingles:
            sha1_prefixes(text, starts[:count], sizes[:count], scratch, prefixes)
            _permute(prefixes[:count], multipliers, addends, signatures[row])
    return signatures, counts


@numba.njit(nogil=True, cache=True)
def _shingle_hashes(data, offsets, word, ngram):
    """The distinct shingles' hashes of all rows in one array, and where each row's begin."""
    rows = len(offsets) - 1
    bounds = np.zeros(rows + 1, np.int64)
    text, ends, tokens, table, hashes, starts, sizes = _scratch(offsets)
    gathered = np.empty((offsets[rows] - offsets[0]) // 2 + rows, np.uint64)
    for row in range(rows):
        found = _tokenize(data, offsets[row], offsets[row + 1], word, text, ends)
        count = _distinct_shingles(text, ends[:found], ngram, tokens, table, hashes, starts, sizes)
        gathered[bounds[row] : bounds[row] + count] = hashes[:count]
        bounds[row + 1] = bounds[row] + count
    return gathered[: bounds[rows]].copy(), bounds


@numba.njit(nogil=True, cache=True)
def _scratch(offsets):
    """Memory for the longest row; pages that no row needs are never touched."""
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    most = longest // 2 + 2
    slots = 16
    while slots < 2 * most:
        slots *= 2
    return (
        np.empty(longest + 128, np.uint8),
        np.empty(most, np.int64),
        np.empty(most, np.uint64),
        np.empty(slots, np.uint64),
        np.empty(most, np.uint64),
        np.empty(most, np.int64),
        np.empty(most, np.int64),
    )


@numba.njit(nogil=True, cache=True)
def _tokenize(data, start, stop, word, text, ends):
    """Writes the tokens, joined by one space, to `text`, and where each ends to `ends`; gives their number.

    Without a branch: a byte is always written, and overwritten by the next one where it was of no use.
    """
    written = 0
    tokens = 0
    inside = np.uint8(0)
    for place in range(start, stop):
        byte = data[place]
        is_word = word[byte]
        text[written] = byte if is_word else np.uint8(32)
        ends[tokens] = written
        tokens += inside & (is_word ^ 1)
        written += inside | is_word
        inside = is_word
    ends[tokens] = written
    return tokens + inside


@numba.njit(nogil=True, cache=True)
def _distinct_shingles(text, ends, ngram, tokens, table, hashes, starts, sizes):
    """The 64-bit hash of each distinct shingle and where it first stands in the text; gives their number.

    Tokens are hashed eight bytes at a time. A shingle's hash is a polynomial in its tokens' hashes, rolled
    along the text, then mixed by the finalizer of MurmurHash3.
    """
    base = np.uint64(0x9E3779B97F4A7C15)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= base
    slots = 16
    while slots < 2 * len(ends):
        slots *= 2
    table[:slots] = 0
    rolled = np.uint64(0)
    distinct = 0
    for token in range(len(ends)):
        tokens[token] = _token_hash(text, ends[token - 1] + 1 if token else 0, ends[token])
        rolled = rolled * base + tokens[token]
        if token >= ngram:
            rolled -= leaving * tokens[token - ngram]
        if token < ngram - 1:
            continue
        mixed = max(_mix(rolled), np.uint64(1))  # 0 marks a free slot
        slot = np.int64(mixed & np.uint64(slots - 1))
        while table[slot] != 0 and table[slot] != mixed:
            slot = (slot + 1) & (slots - 1)
        if table[slot] == 0:
            table[slot] = mixed
            hashes[distinct] = mixed
            starts[distinct] = ends[token - ngram] + 1 if token >= ngram else 0
            sizes[distinct] = ends[token] - starts[distinct]
            distinct += 1
    return distinct


@numba.njit(nogil=True, cache=True)
def _token_hash(text, start, stop):
    result = np.uint64(stop - start)
    for place in range(start, stop, 8):
        chunk = text[place : place + 8]
        eight = np.uint64(0)
        for byte in range(8):
            eight |= np.uint64(chunk[byte]) << np.uint64(8 * byte)
        eight &= np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(8 * max(0, 8 - (stop - place)))
        result = (result ^ eight) * np.uint64(0xFF51AFD7ED558CCD)
        result ^= result >> np.uint64(32)
    return result


@numba.njit(nogil=True, cache=True)
def _mix(value):
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    value = (value ^ (value >> np.uint64(33))) * np.uint64(0xC4CEB9FE1A85EC53)
    return value ^ (value >> np.uint64(33))


@numba.njit(nogil=True, cache=True)
def _permute(hashes, multipliers, addends, signature):
    """The least value of each permutation over all hashes, after MurmurHash3's finalizer."""
    for index in range(len(hashes)):
        mixed = hashes[index] ^ (hashes[index] >> np.uint32(16))
        mixed = np.uint32(mixed * np.uint32(0x85EBCA6B))
        mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35))
        hashes[index] = mixed ^ (mixed >> np.uint32(16))
    for permutation in range(len(signature)):
        least = np.uint32(0xFFFFFFFF)
        for index in range(len(hashes)):
            least = min(least, np.uint32(multipliers[permutation] * hashes[index] + addends[permutation]))
        signature[permutation] = least
