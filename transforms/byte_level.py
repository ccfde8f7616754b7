"""Byte-level BPE as one compiled pass over a string column: splitting, merging, and a cache of pieces.

The tokenizers of GPT-2 and CodeGen (Radford et al. 2019, section 2.2; Nijkamp et al. 2022), and so ours, cut a text
first at runs of blanks that are tokens of their own, then by a fixed pattern into pieces, and merge the bytes of each
piece by rank. All three are simple enough for a kernel, which gives the very ids of the `tokenizers` library that
wrote the tokenizer.json: letters, digits and blanks are what that library says they are. What is not of this kind is
told apart by `ByteLevel.of`, and stays with the library.
"""

import heapq
import json
from functools import cache
from typing import Any, NamedTuple, Self

import numba
import numpy as np

OTHER, LETTER, DIGIT, BLANK = range(4)
PATTERNS = {LETTER: r"\p{L}+", DIGIT: r"\p{N}+", BLANK: r"\s+"}
"""The classes of GPT-2's pattern:
`'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+`."""

ASSIGNED = 0x40000
"""From here on Unicode has no letters, digits or blanks: unassigned planes, tags, variation selectors, private use."""

SPACE, TAB, APOSTROPHE = b" \t'"
CACHE_BITS = 16
HEAP_BYTES = 64
"""Pieces from here on are merged with a heap, in n log n; shorter ones by looking for the lowest rank each time."""
UNMADE = np.int64(1 << 62)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""Multiplicative hashing (Knuth, The Art of Computer Programming 3, section 6.4)."""


class ByteLevel(NamedTuple):
    """A tokenizer as flat arrays, for the kernel."""

    byte_ids: np.ndarray
    """Token id of each byte (int32, 256)."""
    pairs: np.ndarray
    """Open-addressed table of merges: left id << 32 | right id, -1 where a slot is free (int64)."""
    merges: np.ndarray
    """What the pair in each slot makes: its rank, lower ones first, << 32 | the new id (int64)."""
    classes: np.ndarray
    """LETTER, DIGIT, BLANK or OTHER for each code point (uint8)."""
    spaces: np.ndarray
    """Id of a run of so many spaces; 0 and 1 are none. Shorter than 3 where runs are no tokens (int32)."""
    tabs: np.ndarray

    @classmethod
    def of(cls, tokenizer_json: bytes) -> Self | None:
        """The tokenizer, or none where it is of another kind: only the library encodes with that.

        Special tokens are taken for the characters that spell them.
        """
        described = json.loads(tokenizer_json)
        if not _is_byte_level(described):
            return None
        model, added = described["model"], described["added_tokens"]
        runs = {token["content"]: token["id"] for token in added if not token["special"]}
        spaces, tabs = _runs(" ", runs), _runs("\t", runs)
        symbols = [model["vocab"].get(symbol) for symbol in byte_symbols()]
        if None in symbols or len(spaces) + len(tabs) != len(runs) + 4:
            return None
        merges = [tuple(pair.split(" ")) if isinstance(pair, str) else tuple(pair) for pair in model["merges"]]
        if not all({left, right, left + right} <= model["vocab"].keys() for left, right in merges):
            return None
        pairs, makes = _table(merges, model["vocab"])
        return cls(np.array(symbols, np.int32), pairs, makes, _classes(), spaces, tabs)

    def encode(
        self, data: np.ndarray, offsets: np.ndarray, end: int, integers: np.dtype
    ) -> tuple[np.ndarray, np.ndarray]:
        """Ids of all rows (UTF-8, see `string_buffers`), each with `end` after it, and where each row's end (int64)."""
        ids = np.empty(int(offsets[-1] - offsets[0]) + len(offsets) - 1, integers)
        seen = np.zeros((1 << CACHE_BITS, 4), np.int64)
        ends = _encode(self, seen, data, offsets, end, ids)
        return ids[: ends[-1] if len(ends) else 0].copy(), ends


def byte_symbols() -> list[str]:
    """The character that stands for each byte in a byte-level vocabulary: printable ones for themselves, the rest
    from U+0100 on, in order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def _is_byte_level(described: dict[str, Any]) -> bool:
    model, splitter = described["model"], described["pre_tokenizer"] or {}
    plain = not any(
        model.get(name)
        for name in ("dropout", "continuing_subword_prefix", "end_of_word_suffix", "byte_fallback", "ignore_merges")
    )
    return (
        model.get("type") == "BPE"
        and plain
        and splitter.get("type") == "ByteLevel"
        and not splitter.get("add_prefix_space")
        and splitter.get("use_regex", True)
        and not any(described.get(name) for name in ("normalizer", "truncation", "padding"))
        and all(_is_plain(token) for token in described["added_tokens"])
    )


def _is_plain(token: dict[str, Any]) -> bool:
    """A special token with blanks could hide a run of them."""
    hides = token["special"] and (" " in token["content"] or "\t" in token["content"])
    return not (hides or token["single_word"] or token["lstrip"] or token["rstrip"])


def _runs(blank: str, runs: dict[str, int]) -> np.ndarray:
    """Ids of the runs of 2, 3, … of one blank, after two that do not count; up to the first that is no token."""
    ids = [-1, -1]
    while blank * len(ids) in runs:
        ids.append(runs[blank * len(ids)])
    return np.array(ids, np.int32)


def _table(merges: list[tuple[str, ...]], vocabulary: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    left, right, merged = (
        np.array([vocabulary[name] for name in names], np.int64)
        for names in (
            [pair[0] for pair in merges],
            [pair[1] for pair in merges],
            ["".join(pair) for pair in merges],
        )
    )
    slots = 1 << max(4, (2 * len(merges)).bit_length())
    pairs, makes = np.full(slots, -1, np.int64), np.zeros(slots, np.int64)
    _fill(left << 32 | right, np.arange(len(merges)) << 32 | merged, pairs, makes)
    return pairs, makes


@cache
def _classes() -> np.ndarray:
    """The class of every code point, asked of the library: its release of Unicode decides."""
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    classes = np.full(0x110000, OTHER, np.uint8)
    found = {kind: Split(Regex(pattern), "removed", invert=True) for kind, pattern in PATTERNS.items()}
    for first in range(0, ASSIGNED, 1 << 11):
        if not 0xD800 <= first < 0xE000:  # surrogates are no characters
            text = "".join(map(chr, range(first, first + (1 << 11))))
            for kind, split in found.items():
                for _, (low, high) in split.pre_tokenize_str(text):
                    classes[first + low : first + high] = kind
    return classes


@numba.njit(nogil=True, cache=True)
def _fill(keys, values, pairs, merges):
    for key, value in zip(keys, values):  # noqa: B905
        slot = _slot(pairs, key)
        pairs[slot], merges[slot] = key, value


@numba.njit(nogil=True, cache=True, inline="always")
def _slot(pairs, key):
    """Where the pair stands, or would."""
    mask = len(pairs) - 1
    slot = np.int64((np.uint64(key) * GOLDEN) >> np.uint64(32)) & mask
    while pairs[slot] != key and pairs[slot] != -1:
        slot = (slot + 1) & mask
    return slot


@numba.njit(nogil=True, cache=True)
def _encode(model, seen, data, offsets, end, ids):
    ends = np.empty(len(offsets) - 1, np.int64)
    at = 0
    for row in range(len(ends)):
        place, last = offsets[row], offsets[row + 1]
        while place < last:
            run = _next_run(model, data, place, last)
            at = _encode_segment(model, seen, data, place, run, ids, at)
            place, at = _encode_run(model, data, run, last, ids, at)
        ids[at] = end
        at += 1
        ends[row] = at
    return ends


@numba.njit(nogil=True, cache=True, inline="always")
def _next_run(model, data, place, last):
    """Where the next run of blanks begins that is a token of its own, or the row's end."""
    spaces, tabs = len(model.spaces) > 2, len(model.tabs) > 2
    while place + 1 < last:
        byte = data[place]
        if byte == data[place + 1] and ((spaces and byte == SPACE) or (tabs and byte == TAB)):
            return place
        place += 1
    return last


@numba.njit(nogil=True, cache=True, inline="always")
def _encode_run(model, data, place, last, ids, at):
    """Of a run as much as its longest token holds; one blank left over belongs to what follows."""
    if place == last:
        return place, at
    runs = model.spaces if data[place] == SPACE else model.tabs
    length = 2
    while length < len(runs) - 1 and place + length < last and data[place + length] == data[place]:
        length += 1
    ids[at] = runs[length]
    return place + length, at + 1


@numba.njit(nogil=True, cache=True, inline="always")
def _encode_segment(model, seen, data, place, last, ids, at):
    while place < last:
        after = _piece(model.classes, data, place, last)
        at = _encode_piece(model, seen, data, place, after, ids, at)
        place = after
    return at


@numba.njit(nogil=True, cache=True)
def _piece(classes, data, place, last):
    """Where the piece that begins at `place` ends, by GPT-2's pattern."""
    if data[place] == APOSTROPHE:
        length = _contraction(data, place, last)
        if length:
            return place + length
    begins = place
    if data[place] == SPACE and place + 1 < last:
        begins += 1
    kind, after = _character(classes, data, begins)
    if kind != BLANK:
        return _run_of(classes, data, after, last, kind)
    end = before = place
    while end < last:
        kind, after = _character(classes, data, end)
        if kind != BLANK:
            # The last blank goes to what follows, where it is not the only one.
            return end if before == place else before
        before, end = end, after
    return last


@numba.njit(nogil=True, cache=True, inline="always")
def _contraction(data, place, last):
    """Bytes of an English contraction: 's 't 'm 'd 're 've 'll."""
    if place + 1 < last:
        first = data[place + 1]
        if first == ord("s") or first == ord("t") or first == ord("m") or first == ord("d"):
            return 2
        if place + 2 < last:
            second = data[place + 2]
            if second == ord("e") and (first == ord("r") or first == ord("v")):
                return 3
            if first == ord("l") and second == ord("l"):
                return 3
    return 0


@numba.njit(nogil=True, cache=True, inline="always")
def _run_of(classes, data, place, last, kind):
    while place < last:
        found, after = _character(classes, data, place)
        if found != kind:
            break
        place = after
    return place


@numba.njit(nogil=True, cache=True, inline="always")
def _character(classes, data, place):
    """Class of the character that begins here, and where the next one does."""
    lead = np.int64(data[place])
    if lead < 0x80:
        return classes[lead], place + 1
    if lead < 0xE0:
        return classes[(lead & 0x1F) << 6 | data[place + 1] & 0x3F], place + 2
    if lead < 0xF0:
        point = (lead & 0x0F) << 12 | (np.int64(data[place + 1]) & 0x3F) << 6 | data[place + 2] & 0x3F
        return classes[point], place + 3
    high = (lead & 0x07) << 18 | (np.int64(data[place + 1]) & 0x3F) << 12
    return classes[high | (np.int64(data[place + 2]) & 0x3F) << 6 | data[place + 3] & 0x3F], place + 4


@numba.njit(nogil=True, cache=True, inline="always")
def _encode_piece(model, seen, data, place, after, ids, at):
    """Takes the ids of an equal piece from where they were written last; a slot holds the piece's hash, where it
    stands, where its ids do, and length << 32 | ids."""
    length = after - place
    if length == 1:
        ids[at] = model.byte_ids[data[place]]
        return at + 1
    mixed = np.uint64(length)
    for byte in range(place, after):
        mixed = (mixed ^ np.uint64(data[byte])) * GOLDEN
    slot = seen[np.int64(mixed >> np.uint64(64 - CACHE_BITS))]
    count = 0
    if slot[0] == np.int64(mixed) and slot[3] >> 32 == length:
        count = slot[3] & 0xFFFFFFFF
        for byte in range(length):
            if data[slot[1] + byte] != data[place + byte]:
                count = 0
                break
        for token in range(count):
            ids[at + token] = ids[slot[2] + token]
    if count == 0:
        count = _merge(model, data, place, after, ids, at) - at
    slot[0], slot[1], slot[2], slot[3] = np.int64(mixed), place, at, length << 32 | count
    return at + count


@numba.njit(nogil=True, cache=True)
def _merge(model, data, place, after, ids, at):
    """Merges the pair of lowest rank, the first of equals, until no pair has one."""
    length = after - place
    symbols = np.empty(length, np.int64)
    for byte in range(length):
        symbols[byte] = model.byte_ids[data[place + byte]]
    left = _merge_long(model, symbols) if length >= HEAP_BYTES else _merge_short(model, symbols)
    for symbol in range(left):
        ids[at + symbol] = symbols[symbol]
    return at + left


@numba.njit(nogil=True, cache=True, inline="always")
def _made(model, left, right):
    """Rank << 32 | id of the merge of two symbols; UNMADE where there is none."""
    slot = _slot(model.pairs, left << 32 | right)
    return model.merges[slot] if model.pairs[slot] != -1 else UNMADE


@numba.njit(nogil=True, cache=True)
def _merge_short(model, symbols):
    """In place; gives the number of symbols left."""
    count = len(symbols)
    made = np.empty(count, np.int64)
    for place in range(count - 1):
        made[place] = _made(model, symbols[place], symbols[place + 1])
    while count > 1:
        best = 0
        for place in range(1, count - 1):
            if made[place] < made[best]:
                best = place
        if made[best] == UNMADE:
            break
        symbols[best] = made[best] & 0xFFFFFFFF
        count -= 1
        for place in range(best + 1, count):
            symbols[place], made[place] = symbols[place + 1], made[place + 1]
        if best > 0:
            made[best - 1] = _made(model, symbols[best - 1], symbols[best])
        if best + 1 < count:
            made[best] = _made(model, symbols[best], symbols[best + 1])
    return count


@numba.njit(nogil=True, cache=True)
def _merge_long(model, symbols):
    """As `_merge_short`, with the merges in a heap of rank << 32 | place, where outlived ones are left lying."""
    count = len(symbols)
    following, preceding = np.arange(1, count + 1), np.arange(-1, count - 1)
    heap = [UNMADE]
    for place in range(count - 1):
        made = _made(model, symbols[place], symbols[place + 1])
        if made != UNMADE:
            heap.append(made >> 32 << 32 | place)
    heapq.heapify(heap)
    while heap[0] != UNMADE:
        rank, place = heap[0] >> 32, heap[0] & 0xFFFFFFFF
        heapq.heappop(heap)
        other = following[place]
        if symbols[place] < 0 or other == count:
            continue
        made = _made(model, symbols[place], symbols[other])
        if made >> 32 != rank:
            continue
        symbols[place], symbols[other] = made & 0xFFFFFFFF, -1
        following[place] = following[other]
        if following[place] < count:
            preceding[following[place]] = place
        for first in (preceding[place], place):
            if first >= 0 and following[first] < count:
                made = _made(model, symbols[first], symbols[following[first]])
                if made != UNMADE:
                    heapq.heappush(heap, made >> 32 << 32 | first)
    left = 0
    for place in range(count):
        if symbols[place] >= 0:
            symbols[left] = symbols[place]
            left += 1
    return left
