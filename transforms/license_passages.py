"""Where a file may state a licence: a compiled scan over its bytes, by the words and rules of scancode's index.

scancode reads a whole file token by token in Python. Nearly all of that is spent on text that no licence rule could
match, so this scan looks for exact occurrences of scancode's own rules, for passages that speak of licences
without matching one, and for notices that rules match in pieces only. Only those passages are shown to scancode
(`transforms.license_match`). It needs the rules as numbers, some 13 MB, and not the index itself.
"""

import re
import threading
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa

from transforms.license_match import LARGEST_APPROXIMATE

_NGRAM = 4  # tokens by which a rule is looked up before it is compared in full
_REACH = 400  # bytes: as much of a line is shown to scancode on either side of a match, lest one line be megabytes
_MANY_PARTS = 200
_MARGIN = 6  # lines shown around a passage that is matched approximately
_MOSTLY = 0.25  # a text that is licences to this share is shown whole, as a licence file is

_LICENSE_WORDS = """
    agpl apache bsd commons copyright copyrighted creativecommons damages derivative disclaimer disclaims distribute
    distribution freely gnu gpl gplv2 gplv3 grant granted hereby infringement lgpl liability liable licence licenced
    license licensed licenses licensing merchantability mit modify mozilla mpl noninfringement permission permissions
    permitted redistribute redistributed redistribution redistributions restriction restrictions royalty sublicense
    warranted warranties warranty
"""
"""Words that licences are made of; at most 64, each has a bit of its own."""

_UNMATCHED_WORDS = 5  # distinct licence words outside every exact match that make a passage worth a closer look
_PASSAGE_LINES = 6  # licence words further apart than this belong to two passages
_PASSAGE_TOKENS = 80
_GAP_TOKENS = 40  # occurrences of rules further apart than this belong to two notices
_NOTICE_TOKENS = 20  # words of rules that make a notice, which is worth a closer look if words of none are between

_OFFER_LINES = 4  # lines before and behind a passage in which it may be told that its licences are to be chosen from
_OFFER_REACH = 400  # bytes
_OFFER = re.compile(
    rb"\b(?:alternatively|choice|choose|dual|either|elect|one of|option|pick|prefer|select|whichever)\b"
    rb"(?=[^.;]{0,120}?\b(?:licen[cs]e[sd]?|licensing|terms|which(?:ever)? (?:one|of))\b)|\bwhichever\b",
    re.I,
)

_TAGS = (("spdx", "license", "identifier"), ("spdx", "licence", "identifier"), ("licenses", "nuget", "org"))
_OTHER_LINE_BREAKS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), " ")
_DECORATION = " \t\r#*/;!-%<>\"'"


class Passages(NamedTuple):
    """The parts of a text that scancode is shown, joined: where each line comes from, and how to match them."""

    text: str
    lines: tuple[int, ...]
    approximate: bool


@numba.njit(nogil=True, cache=True)
def _slot(keys, key):
    """Where a 64-bit key is, or would be, in an open-addressing table whose size is a power of two; 0 is free."""
    mask = np.uint64(len(keys) - 1)
    slot = (key * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(40) & mask
    while keys[slot] != np.uint64(0) and keys[slot] != key:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True, cache=True)
def _is_word(data, i, end):
    """Whether byte i is part of a word: ASCII letters and digits, and UTF-8 beyond ASCII except punctuation."""
    byte = data[i]
    if byte < 128:
        return (97 <= byte <= 122) or (65 <= byte <= 90) or (48 <= byte <= 57)
    if byte == 0xC2:  # U+0080 to U+00BF: ©, «, no-break space
        return False
    following = data[i + 1] if i + 1 < end else 0xFF
    # U+2000 to U+2BFF and U+3000 to U+303F: dashes, quotes, bullets, arrows
    return not ((byte == 0xE2 and following <= 0xAF) or (byte == 0xE3 and following == 0x80))


@numba.njit(nogil=True, cache=True)
def _tokenize(data, begin, end, escapes, word_keys, word_ids, tokens, begins, ends, lines):
    """scancode's known words in `data[begin:end]`: ids, byte spans, line numbers from 0. Returns how many.

    A word is letters and digits with at most one plus (`gpl2+`), in lower case (licensedcode.tokenize). Unknown words
    and stop words are passed over, as scancode does. With `escapes`, a literal backslash and n, r or t are white space.
    """
    count, line, i = 0, 0, begin
    while i < end:
        byte = data[i]
        if byte == 10:
            line += 1
        if not _is_word(data, i, end):
            escaped = escapes and byte == 92 and i + 1 < end and data[i + 1] in (110, 114, 116)
            i += 2 if escaped or byte == 0xC2 else 3 if byte >= 0xE0 else 1
            continue
        start, plus, key = i, False, np.uint64(0xCBF29CE484222325)
        while i < end:
            byte = data[i]
            if byte == 43 and not plus:
                plus = True
            elif not _is_word(data, i, end):
                break
            lowered = byte + 32 if 65 <= byte <= 90 else byte
            key = (key ^ np.uint64(lowered)) * np.uint64(0x100000001B3)  # FNV-1a
            i += 1
        slot = _slot(word_keys, key)
        if word_keys[slot] == key:
            tokens[count], begins[count], ends[count], lines[count] = word_ids[slot], start, i, line
            count += 1
    return count


@numba.njit(nogil=True, cache=True)
def _extend_hash(key, token):
    key = (key ^ np.uint64(token + 1)) * np.uint64(0x9E3779B97F4A7C15)
    return key ^ (key >> np.uint64(29))


@numba.njit(nogil=True, cache=True)
def _mark_rules(tokens, count, marks, bitmap, keys, chains, chain_starts, chain_rules, chain_places, rules, offsets):
    """Sets `marks` to 1 for each token inside an exact occurrence of a rule, else to 0.

    `rules[offsets[r]:offsets[r + 1]]` are the tokens of rule r, `chain_places` where in it its n-gram lies.
    """
    marks[:count] = 0
    last_bit = np.uint64(len(bitmap) * 8 - 1)
    for i in range(count):
        key = np.uint64(1469598103)
        for j in range(i, min(i + _NGRAM, count)):
            key = _extend_hash(key, tokens[j])
            bit = key & last_bit
            if not (bitmap[bit >> np.uint64(3)] >> (bit & np.uint64(7))) & np.uint8(1):
                continue
            slot = _slot(keys, key)
            if keys[slot] != key:
                continue
            for link in range(chain_starts[chains[slot]], chain_starts[chains[slot] + 1]):
                rule, first = chain_rules[link], i - chain_places[link]
                length = offsets[rule + 1] - offsets[rule]
                if first < 0 or first + length > count:
                    continue
                same = 0
                while same < length and tokens[first + same] == rules[offsets[rule] + same]:
                    same += 1
                if same == length:
                    marks[first : first + length] = 1


@numba.njit(nogil=True, cache=True)
def _mark_passages(tokens, lines, count, word_bits, marks):
    """Sets `marks` to 2 between licence words that no rule covers, where enough of them stand together.

    Returns whether there is such a passage.
    """
    found, first, last, seen = False, -1, -1, np.uint64(0)
    for i in range(count + 1):
        if i < count and (marks[i] == 1 or word_bits[tokens[i]] == np.uint64(0)):
            continue
        apart = i == count or lines[i] - lines[last] > _PASSAGE_LINES or i - last > _PASSAGE_TOKENS
        if first >= 0 and apart:
            distinct = 0
            while seen:
                seen &= seen - np.uint64(1)
                distinct += 1
            if distinct >= _UNMATCHED_WORDS:
                marks[first : last + 1] = 2
                found = True
            first = -1
        if i < count:
            if first < 0:
                first, seen = i, np.uint64(0)
            seen |= word_bits[tokens[i]]
            last = i
    return found


@numba.njit(nogil=True, cache=True)
def _mark_notices(tokens, lines, count, copyright, marks):
    """Sets `marks` to 2 where occurrences of rules stand close together with words of none between them.

    So looks a notice of which a few words are altered: its pieces match exactly, the whole would approximately. A
    copyright statement between a licence's name and its text is no such alteration. Returns whether there is one.
    """
    found, first, last, covered, is_altered, is_copyright = False, -1, -1, 0, False, False
    for i in range(count + 1):
        if i < count and marks[i] != 1:
            is_copyright |= tokens[i] == copyright
            continue
        if last >= 0 and (i == count or i - last > _GAP_TOKENS or lines[i] - lines[last] > _PASSAGE_LINES):
            if is_altered and covered >= _NOTICE_TOKENS:
                marks[first : last + 1] = 2
                found = True
            last = -1
        if last < 0:
            first, covered, is_altered = i, 0, False
        is_altered |= last >= 0 and i - last > 1 and not is_copyright
        is_copyright = False
        covered += 1
        last = i
    return found


@numba.njit(nogil=True, cache=True)
def _cut(data, begin, end, begins, ends, lines, marks, count, margin, starts, stops, first_lines):
    """The byte spans that hold the marked tokens, widened to whole lines and `margin` lines more. Returns how many."""
    cuts = 0
    for i in range(count):
        if marks[i] == 0 or (cuts > 0 and ends[i] <= stops[cuts - 1]):
            continue
        start, line, left = begins[i], lines[i], margin
        while (
            start > begin and (begins[i] - start < _REACH or data[start - 1] != 32) and begins[i] - start < 2 * _REACH
        ):
            if data[start - 1] == 10:
                if left == 0:
                    break
                left -= 1
                line -= 1
            start -= 1
        stop, left = ends[i], margin
        while stop < end and (stop - ends[i] < _REACH or data[stop] != 32) and stop - ends[i] < 2 * _REACH:
            if data[stop] == 10:
                if left == 0:
                    break
                left -= 1
            stop += 1
        is_next = i > 0 and marks[i - 1] != 0 and begins[i] - ends[i - 1] < _REACH
        if cuts > 0 and (is_next or start <= stops[cuts - 1]):
            stops[cuts - 1] = stop
        else:
            starts[cuts], stops[cuts], first_lines[cuts] = start, stop, line
            cuts += 1
    return cuts


@numba.njit(nogil=True, cache=True)
def _insert(table_keys, table_values, keys, values):
    for i in range(len(keys)):
        slot = _slot(table_keys, keys[i])
        table_keys[slot] = keys[i]
        table_values[slot] = values[i]


@numba.njit(nogil=True, cache=True)
def _choose_ngrams(rules, offsets, chosen, places):
    """For each rule the hash of its rarest n-gram (of the whole rule, where that is shorter) and its place in it."""
    hashes = np.zeros(len(rules), np.uint64)
    counts = np.zeros(1 << 24, np.int32)
    for rule in range(len(offsets) - 1):
        length = min(_NGRAM, offsets[rule + 1] - offsets[rule])
        for i in range(offsets[rule], offsets[rule + 1] - length + 1):
            key = np.uint64(1469598103)
            for j in range(i, i + length):
                key = _extend_hash(key, rules[j])
            hashes[i] = key
            counts[key & np.uint64(len(counts) - 1)] += 1
    for rule in range(len(offsets) - 1):
        length = min(_NGRAM, offsets[rule + 1] - offsets[rule])
        rarest = offsets[rule]
        for i in range(offsets[rule], offsets[rule + 1] - length + 1):
            if counts[hashes[i] & np.uint64(len(counts) - 1)] < counts[hashes[rarest] & np.uint64(len(counts) - 1)]:
                rarest = i
        chosen[rule], places[rule] = hashes[rarest], rarest - offsets[rule]


def _word_key(word: str) -> int:
    """FNV-1a of the word's UTF-8 bytes, as `_tokenize` computes it."""
    key = 0xCBF29CE484222325
    for byte in word.encode():
        key = (key ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return key


def _table(keys: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """An open-addressing table, at most a quarter full."""
    size = 1 << (4 * len(keys)).bit_length()
    table_keys, table_values = np.zeros(size, np.uint64), np.zeros(size, np.int64)
    _insert(table_keys, table_values, keys, values)
    return table_keys, table_values


class PassageFinder:
    """Finds the passages of a text that may state a licence; built in half a second from `RULE_TABLES`."""

    def __init__(self, tables: pa.RecordBatch) -> None:
        """From the one row that `transforms.license_match.rule_tables` gives."""
        words, tokens = tables.column("words").values.to_pylist(), tables.column("word_tokens").values.to_numpy()
        token_of = dict(zip(words, tokens.tolist(), strict=True))
        self._words = _table(np.array([_word_key(word) for word in words], np.uint64), tokens.astype(np.int64))
        self._word_bits = np.zeros(1 << 15, np.uint64)
        for place, word in enumerate(_LICENSE_WORDS.split()):
            if word in token_of:
                self._word_bits[token_of[word]] |= np.uint64(1 << place)
        self._copyright = token_of["copyright"]
        tags = [np.array([token_of[word] for word in tag], np.int16) for tag in _TAGS]
        rules = np.concatenate([tables.column("rule_tokens").values.to_numpy(), *tags])
        lengths = np.concatenate([tables.column("rule_lengths").values.to_numpy(), [len(tag) for tag in tags]])
        self._rules = _index_rules(rules, np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64))
        self._lock = threading.Lock()
        self._workspace = self._make_workspace(1 << 16)

    def find(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> Passages | None:
        """The parts of `data[begin:end]` that may state a licence, without comment signs; null where none may.

        With `escapes`, as for source code, a literal backslash and n, r or t count as white space. Gaps shrink to 8
        empty lines, since scancode groups matches within 4. One that crosses line 1000 stays long: behind it scancode
        takes short matches of little weight for false ones. Of very many parts, as in a lock file that names each
        dependency's licence, those that repeat are shown once.
        """
        with self._lock:
            spans, approximate = self._spans(data, begin, end, escapes)
        if len(spans) > _MANY_PARTS:
            first = {data[start:stop].tobytes(): (start, stop, line) for start, stop, line in reversed(spans)}
            spans = sorted(first.values())
        texts: list[str] = []
        lines: list[int] = []
        for start, stop, line in spans:
            gap = 0 if not lines else 1001 if lines[-1] < 1000 <= line else min(line - lines[-1] - 1, 8)
            gap = 1001 if not lines and line >= 1000 else max(gap, 0)
            part = data[start:stop].tobytes().decode("utf-8", "replace").translate(_OTHER_LINE_BREAKS)
            if escapes:
                part = part.replace("\\r", " ").replace("\\n", " ").replace("\\t", " ")
            added = [text.strip(_DECORATION) for text in part.split("\n")]
            texts += [""] * gap + added
            lines += [line] * gap + list(range(line, line + len(added)))
        return Passages("\n".join(texts), tuple(lines), approximate) if lines else None

    def find_in(self, text: str) -> Passages | None:
        """The same in a short text."""
        data = np.frombuffer(text.encode(), np.uint8)
        return self.find(data, 0, len(data), escapes=False)

    def _spans(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> tuple[list[tuple[int, int, int]], bool]:
        """First byte, end and first line (from 0) of each part to show to scancode; whether to match approximately."""
        if len(self._workspace[0]) < (end - begin) // 2 + 1:
            self._workspace = self._make_workspace(end - begin)
        tokens, begins, ends, lines, marks, starts, stops, first_lines = self._workspace
        count = _tokenize(data, begin, end, escapes, *self._words, tokens, begins, ends, lines)
        _mark_rules(tokens, count, marks, *self._rules)
        has_words_left = _mark_passages(tokens, lines, count, self._word_bits, marks)
        approximate = _mark_notices(tokens, lines, count, self._copyright, marks) or has_words_left
        margin = _MARGIN if approximate else 0
        cuts = _cut(data, begin, end, begins, ends, lines, marks, count, margin, starts, stops, first_lines)
        shown = int((stops[:cuts] - starts[:cuts]).sum())
        if approximate and shown <= LARGEST_APPROXIMATE and shown >= _MOSTLY * (end - begin):
            return [(begin, end, 0)], True
        spans = list(zip(starts[:cuts].tolist(), stops[:cuts].tolist(), first_lines[:cuts].tolist(), strict=True))
        return (spans if approximate else _with_offers(data, begin, end, spans)), approximate

    @staticmethod
    def _make_workspace(size: int) -> tuple[np.ndarray, ...]:
        kinds = (np.int64, np.int64, np.int64, np.int64, np.uint8, np.int64, np.int64, np.int64)
        return tuple(np.zeros(size, kind) for kind in kinds)


def _with_offers(
    data: np.ndarray, begin: int, end: int, spans: list[tuple[int, int, int]]
) -> list[tuple[int, int, int]]:
    """The spans, with the lines around them that leave a choice: "You may select whichever of the two you prefer"."""
    wider: list[tuple[int, int, int]] = []
    for start, stop, line in spans:
        above = b"\n".join(data[max(begin, start - _OFFER_REACH) : start].tobytes().split(b"\n")[-1 - _OFFER_LINES :])
        below = b"\n".join(data[stop : min(end, stop + _OFFER_REACH)].tobytes().split(b"\n")[: 1 + _OFFER_LINES])
        if above.endswith(b"\n") and (offer := _OFFER.search(above + data[start:stop].tobytes()[:_OFFER_REACH])):
            shown = len(above) - above.rfind(b"\n", 0, offer.start()) - 1
            if shown > 0:
                line -= above.count(b"\n", len(above) - shown)
                start -= shown
        offers = [offer.start() for offer in _OFFER.finditer(below)]
        if offers:  # and one line more, to the end of the sentence
            last = below.find(b"\n", below.find(b"\n", offers[-1]) + 1) if b"\n" in below[offers[-1] :] else -1
            stop += last if last >= 0 else len(below)
        if wider and start <= wider[-1][1]:
            wider[-1] = (wider[-1][0], max(stop, wider[-1][1]), wider[-1][2])
        else:
            wider.append((start, stop, line))
    return wider


def _index_rules(rules: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, ...]:
    """The rules' tokens and the way to them from an n-gram."""
    count = len(offsets) - 1
    chosen, places = np.zeros(count, np.uint64), np.zeros(count, np.int64)
    _choose_ngrams(rules, offsets, chosen, places)
    order = np.argsort(chosen, kind="stable")
    ngrams, chain_starts = np.unique(chosen[order], return_index=True)
    keys, chains = _table(ngrams, np.arange(len(ngrams)))
    bitmap = np.zeros(1 << 19, np.uint8)
    bits = ngrams & np.uint64(len(bitmap) * 8 - 1)
    np.bitwise_or.at(bitmap, bits >> np.uint64(3), np.uint8(1) << (bits & np.uint64(7)).astype(np.uint8))
    chain_starts = np.append(chain_starts, count).astype(np.int64)
    return bitmap, keys, chains, chain_starts, order, places[order], rules, offsets
