"""MinHash signatures and shingle sets of texts, by one compiled pass over their bytes.

A token is a maximal run of letters, digits, marks and `_` of any script; among ASCII characters that is
``[A-Za-z0-9_]+``, as in BigCode's near deduplication (Kocetkov et al. 2022, "The Stack", section 3.3). Where a
script puts no blanks between words (Han, kana, Thai, Tibetan and others) each letter is a token, with the marks on
it, and so is each symbol beyond ASCII. Only blanks and punctuation count for nothing. Characters are taken as they
are encoded, without case folding or a normal form: similarities are measures of what the files hold, in code case
tells names apart, and two encodings of one word are two strings to a program.

A shingle is `ngram` successive tokens joined by one space. A signature is bit for bit what
``datasketch.MinHash(num_perm=permutations, seed=seed)`` of datasketch 2 gives after ``update`` with each shingle:
SHA-1, of which the first 32 bits are permuted by ``a * h + b mod 2**32``. All arithmetic is on integers, so that it
is the same on every processor.
"""

from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.characters import IDEOGRAPH, MARK, SEPARATOR, kinds, read_character
from transforms.sha1 import LANES, sha1_prefixes
from transforms.vectors import any_beyond_ascii, load_word, store_word, trailing_zeros, word_mask


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
            signatures, counts = _sign(*_text(content), kinds(), self.ngram, self.min_shingles, multipliers, offsets)
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
            hashes, bounds = _shingle_hashes(*_text(content), kinds(), self.ngram)
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
def _sign(data, offsets, kind_of, ngram, min_shingles, multipliers, addends):
    rows = len(offsets) - 1
    signatures = np.full((rows, len(multipliers)), 0xFFFFFFFF, np.uint32)
    counts = np.zeros(rows, np.int32)
    most, raw, text, bounds, table, hashes, starts, sizes = _scratch(offsets)
    order = np.empty(most + LANES, np.int32)
    prefixes = np.empty(most + LANES, np.uint32)
    for row in range(rows):
        found = _find_tokens(data[offsets[row] : offsets[row + 1]], kind_of, raw, bounds)
        count = _distinct_shingles(raw, bounds, found, ngram, text, table, hashes, starts, sizes)
        counts[row] = count
        if count >= max(min_shingles, 1):
            sha1_prefixes(text, starts[:count], sizes[:count], order, prefixes)
            _permute(prefixes[:count], multipliers, addends, signatures[row])
    return signatures, counts


@numba.njit(nogil=True, cache=True)
def _shingle_hashes(data, offsets, kind_of, ngram):
    """The distinct shingles' hashes of all rows in one array, and where each row's begin."""
    rows = len(offsets) - 1
    row_bounds = np.zeros(rows + 1, np.int64)
    _, raw, text, bounds, table, hashes, starts, sizes = _scratch(offsets)
    gathered = np.empty(2 * (offsets[rows] - offsets[0]) // 3 + rows, np.uint64)
    for row in range(rows):
        found = _find_tokens(data[offsets[row] : offsets[row + 1]], kind_of, raw, bounds)
        count = _distinct_shingles(raw, bounds, found, ngram, text, table, hashes, starts, sizes)
        gathered[row_bounds[row] : row_bounds[row] + count] = hashes[:count]
        row_bounds[row + 1] = row_bounds[row] + count
    return gathered[: row_bounds[rows]].copy(), row_bounds


@numba.njit(nogil=True, cache=True)
def _scratch(offsets):
    """Memory for the longest row; pages that no row needs are never touched.

    Most tokens there are where a symbol of two bytes follows each letter.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    most = 2 * longest // 3 + 2
    slots = 16
    while slots < 2 * most:
        slots *= 2
    return (
        most,
        np.empty(longest + 128, np.uint8),
        np.empty(longest + most + 128, np.uint8),
        np.empty(2 * most, np.int32),
        np.empty(slots, np.uint64),
        np.empty(most, np.uint64),
        np.empty(most, np.int32),
        np.empty(most, np.int32),
    )


@numba.njit(nogil=True, cache=True)
def _find_tokens(text, kind_of, raw, bounds):
    """Copies a row to `raw`, and writes where each token begins and ends to `bounds`, in turn; gives their number.

    64 bytes at a time: in a mask with a bit for each byte, a token begins or ends where the bit changes. Blocks with
    characters beyond ASCII are read one by one.
    """
    size = len(text)
    raw[:size] = text
    raw[size : size + 64] = 0
    changed = 0
    inside = np.uint64(0)
    at = 0
    is_alone = False  # in a token that takes in marks, but no letters
    for place in range(0, size + 1, 64):
        if at > place or is_alone or any_beyond_ascii(raw, place):
            at = max(at, place)
            while at < min(place + 64, size):
                point, after = read_character(raw, at, size)
                kind = kind_of[point]
                was_inside = changed & 1
                begins = kind >= IDEOGRAPH or (kind != MARK and is_alone) or not was_inside
                if was_inside and (begins or kind == SEPARATOR):
                    bounds[changed] = at
                    changed += 1
                if begins and kind != SEPARATOR:
                    bounds[changed] = at
                    changed += 1
                is_alone = kind >= IDEOGRAPH or (kind == MARK and is_alone)
                at = after
            if at == size and changed & 1:
                bounds[changed] = at
                changed += 1
            inside = np.uint64(changed & 1)
            continue
        words = word_mask(raw, place)
        changes = words ^ ((words << np.uint64(1)) | inside)
        inside = words >> np.uint64(63)
        while changes:
            bounds[changed] = place + trailing_zeros(changes)
            changes &= changes - np.uint64(1)
            changed += 1
    return changed // 2


@numba.njit(nogil=True, cache=True)
def _distinct_shingles(raw, bounds, found, ngram, text, table, hashes, starts, sizes):
    """The 64-bit hash of each distinct shingle and where it first stands in `text`; gives their number.

    The tokens are written to `text`, joined by one space. They are hashed eight bytes at a time. A shingle's hash is a
    polynomial in its tokens' hashes, rolled along the text, then mixed by the finalizer of MurmurHash3.
    """
    base = np.uint64(0x9E3779B97F4A7C15)
    leaving = np.uint64(1)
    for _ in range(ngram):
        leaving *= base
    slots = 16
    while slots < 2 * found:
        slots *= 2
    table[:slots] = 0
    recent, begins = np.zeros(ngram, np.uint64), np.zeros(ngram, np.int32)  # of the tokens in the shingle
    rolled = np.uint64(0)
    oldest = written = distinct = 0
    for token in range(found):
        begin = written
        start, stop = np.int64(bounds[2 * token]), np.int64(bounds[2 * token + 1])
        value = np.uint64(stop - start)
        for place in range(start, stop, 8):
            eight = load_word(raw, place)
            store_word(text, written + place - start, eight)
            eight &= np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64(8 * max(0, 8 - (stop - place)))
            value = (value ^ eight) * np.uint64(0xFF51AFD7ED558CCD)
            value ^= value >> np.uint64(32)
        written += stop - start
        text[written] = 32
        written += 1
        rolled = rolled * base + value - leaving * recent[oldest]
        recent[oldest], begins[oldest] = value, begin
        oldest = oldest + 1 if oldest + 1 < ngram else 0
        if token < ngram - 1:
            continue
        mixed = max(_mix(rolled), np.uint64(1))  # 0 marks a free slot
        slot = np.int64(mixed & np.uint64(slots - 1))
        while table[slot] != 0 and table[slot] != mixed:
            slot = (slot + 1) & (slots - 1)
        hashes[distinct] = mixed  # overwritten by the next one, unless it is new
        starts[distinct] = begins[oldest]
        sizes[distinct] = written - 1 - begins[oldest]
        distinct += table[slot] == 0
        table[slot] = mixed
    return distinct


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
