"""Licence texts inside files, found fast and judged by scancode.

scancode reads a whole file token by token in Python. Nearly all of that is spent on text that no licence rule could
match, so a compiled scan over the bytes first looks for exact occurrences of scancode's own rules, and for passages
that speak of licences without matching one. Only those passages go to scancode, whose detection then decides: exact
matches alone where a rule covers the passage, approximate matching where licence words are left over.
"""

import copy
import ctypes
import gc
import hashlib
import os
import re
import sys
import tempfile
import threading
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np

from transforms.license_class import license_class

_NGRAM = 4  # tokens by which a rule is looked up before it is compared in full
_REACH = 400  # bytes: as much of a line is shown to scancode on either side of a match, lest one line be megabytes
_GRANTING = re.compile(r"licen[cs]|permi|distribut|releas|redist|copyright|terms", re.I)
_LARGEST_APPROXIMATE = 64_000  # characters: passages longer than this are matched exactly only
_MANY_PARTS = 200
_RUN_LINES = 15  # lines without licence words that end a run, as scancode has it for files
_MARGIN = 3  # lines shown around a passage that is matched approximately
_MOSTLY = 0.25  # a text that is licences to this share is shown whole, as a licence file is
_NEAR_RULES = 300  # more change next to nothing, and each costs scancode some 0.1 ms
_CACHED_TEXTS = 200_000

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

_OTHER_LINE_BREAKS = dict.fromkeys(map(ord, "\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), " ")
_DECORATION = " \t\r#*/;!-%<>\"'"


class Found(NamedTuple):
    """What scancode says of a file's text: SPDX expression, weakest score, first and last line of each detection.

    `granted` leaves out the licences that are only named, as in "may be combined with GPL code", where others are
    stated by a text, a notice or a tag.
    """

    expression: str
    granted: str
    score: float
    lines: tuple[tuple[int, int], ...]
    tagged: bool


class Passages(NamedTuple):
    """The parts of a text that scancode is shown, joined: where each line comes from, and how to match them."""

    text: str
    lines: tuple[int, ...]
    approximate: bool


# --- scancode's index -------------------------------------------------------------------------------------------


@cache
def load_index() -> Any:
    """scancode's licence index (`licensedcode.index.LicenseIndex`): some 5 s and 1.4 GB, once per process.

    Read from the file that the wheel ships. Nothing is written: neither to the home directory nor beside the package.
    """
    _import_scancode()
    scancode: Any = import_module("licensedcode.cache")
    file = Path(scancode.licensedcode_cache_dir, scancode.LICENSE_INDEX_DIR, scancode.LICENSE_INDEX_FILENAME)
    if not file.exists():
        raise FileNotFoundError(f"scancode's licence index is missing at {file}: install scancode-toolkit's wheel")
    was_enabled = gc.isenabled()
    gc.disable()  # millions of new objects, none of them garbage
    try:
        scancode._LICENSE_CACHE = scancode.load_cache_file(str(file))
        index = scancode._LICENSE_CACHE.index
        index.unknown_automaton = None  # a tenth of the memory, for a kind of matching that is not used here
        gc.freeze()  # forked workers then share these pages
    finally:
        if was_enabled:
            gc.enable()
    return index


def release_index() -> None:
    """Forgets the index and all that was built on it, so that its memory can serve the next step."""
    license_texts.cache_clear()
    load_index.cache_clear()
    scancode: Any = sys.modules.get("licensedcode.cache")
    if scancode is not None:
        scancode._LICENSE_CACHE = None
    gc.unfreeze()
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if malloc_trim is not None:  # glibc keeps what was freed otherwise
        malloc_trim(0)


def _import_scancode() -> None:
    """Imports scancode's settings, which make folders as they are imported, so that these folders do not stay."""
    if "scancode_config" in sys.modules:
        return
    names = ("SCANCODE_CACHE", "SCANCODE_PACKAGE_INDEX_CACHE", "SCANCODE_TEMP")
    before = {name: os.environ.get(name) for name in names}
    with tempfile.TemporaryDirectory(prefix="codesieve-") as scratch:
        os.environ.update(dict.fromkeys(names, scratch))
        try:
            import_module("scancode_config")
        finally:
            for name, value in before.items():
                os.environ.pop(name)
                if value is not None:
                    os.environ[name] = value


# --- where licences are: compiled ---------------------------------------------------------------------------------


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
        if cuts > 0 and start <= stops[cuts - 1]:
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


# --- what licences they are: scancode -----------------------------------------------------------------------------


class LicenseTexts:
    """Finds the licences that a text states; built once per process on scancode's index."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._matched: dict[bytes, Found | None] = {}
        self._lock = threading.Lock()
        self._words = self._index_words()
        self._word_bits = self._index_license_words()
        self._rules = self._index_rules()
        self._near = self._index_near_rules()
        self._workspace = self._make_workspace(1 << 16)

    def find(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> Found | None:
        """The licences in the UTF-8 text `data[begin:end]`; null where it states none.

        With `escapes`, as for source code, a literal backslash and n, r or t count as white space.
        """
        passages = self.passages(data, begin, end, escapes)
        if passages is None:
            return None
        key = hashlib.blake2b(b"01"[passages.approximate :] + passages.text.encode(), digest_size=16).digest()
        if key not in self._matched:
            if len(self._matched) >= _CACHED_TEXTS:
                self._matched.pop(next(iter(self._matched)))
            self._matched[key] = self._match(passages.text, passages.approximate)
        found = self._matched[key]
        if found is None:
            return None
        at = passages.lines
        return found._replace(lines=tuple((at[first - 1] + 1, at[last - 1] + 1) for first, last in found.lines))

    def find_in(self, text: str) -> Found | None:
        """The licences in a short text."""
        data = np.frombuffer(text.encode(), np.uint8)
        return self.find(data, 0, len(data), escapes=False)

    def passages(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> Passages | None:
        """The parts of a text that may state a licence, their lines stripped of comment signs; null where none may.

        Gaps shrink to 8 empty lines, since scancode groups matches within 4. One that crosses line 1000 stays long:
        behind it scancode takes short matches of little weight for false ones. Of very many parts, as in a lock file
        that names each dependency's licence, those that repeat are shown once.
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

    def _spans(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> tuple[list[tuple[int, int, int]], bool]:
        """First byte, end and first line (from 0) of each part to show to scancode; whether to match approximately."""
        if len(self._workspace[0]) < (end - begin) // 2 + 1:
            self._workspace = self._make_workspace(end - begin)
        tokens, begins, ends, lines, marks, starts, stops, first_lines = self._workspace
        count = _tokenize(data, begin, end, escapes, *self._words, tokens, begins, ends, lines)
        _mark_rules(tokens, count, marks, *self._rules)
        approximate = _mark_passages(tokens, lines, count, self._word_bits, marks)
        margin = _MARGIN if approximate else 0
        cuts = _cut(data, begin, end, begins, ends, lines, marks, count, margin, starts, stops, first_lines)
        shown = int((stops[:cuts] - starts[:cuts]).sum())
        if approximate and shown <= _LARGEST_APPROXIMATE and shown >= _MOSTLY * (end - begin):
            return [(begin, end, 0)], True
        spans = zip(starts[:cuts].tolist(), stops[:cuts].tolist(), first_lines[:cuts].tolist(), strict=True)
        return list(spans), approximate

    def _match(self, text: str, approximate: bool) -> Found | None:
        """What `scancode.api.get_licenses` would say of the text."""
        index = self._index
        if approximate and len(text) <= _LARGEST_APPROXIMATE:
            index = copy.copy(index)
            index.approx_matchable_rids = self._rules_near(text)
        else:
            approximate = False
        query = import_module("licensedcode.query").Query(query_string=text, idx=index, line_threshold=_RUN_LINES)
        matches = index.match_query(query, approximate=approximate)
        return _detect(matches) if matches else None

    def _rules_near(self, text: str) -> set[int]:
        """The rules that share enough words with a text to match it approximately.

        scancode compares the word sets of all rules with each passage, in Python. A match that covers at most 60% of
        its rule only counts as a clue, so the rest is left out here, and so are all but the best in scancode's own
        order of preference: rules contained most, then the longest.
        """
        rule_ids, words, offsets, lengths, least, least_high = self._near
        data = np.frombuffer(text.encode(), np.uint8)
        with self._lock:
            if len(self._workspace[0]) < len(data) // 2 + 1:
                self._workspace = self._make_workspace(len(data))
            tokens, begins, ends, lines, *_ = self._workspace
            count = _tokenize(data, 0, len(data), False, *self._words, tokens, begins, ends, lines)
            present = np.zeros(1 << 15, np.uint8)
            present[tokens[:count]] = 1
        shared = np.add.reduceat(present[words], offsets, dtype=np.int32)
        present[self._index.len_legalese :] = 0
        shared_high = np.add.reduceat(present[words], offsets, dtype=np.int32)
        near = np.flatnonzero((shared >= least) & (shared_high >= least_high) & (shared > 0.5 * lengths))
        contained = np.round(shared[near] / lengths[near], 1)
        best = np.lexsort((-shared[near], -contained))[:_NEAR_RULES]
        return set(rule_ids[near[best]].tolist())

    def _index_words(self) -> tuple[np.ndarray, np.ndarray]:
        """The table of scancode's known words: hash to id."""
        from licensedcode.stopwords import STOPWORDS

        words = {word: token for word, token in self._index.dictionary.items() if word not in STOPWORDS}
        keys = np.array([_word_key(word) for word in words], np.uint64)
        return _table(keys, np.array(list(words.values()), np.int64))

    def _index_license_words(self) -> np.ndarray:
        """For each word id one bit of its own if it is among `_LICENSE_WORDS`, else 0."""
        bits = np.zeros(1 << 15, np.uint64)
        for place, word in enumerate(_LICENSE_WORDS.split()):
            token = self._index.dictionary.get(word)
            if token is not None:
                bits[token] |= np.uint64(1 << place)
        return bits

    def _index_rules(self) -> tuple[np.ndarray, ...]:
        """The rules' tokens and the way to them from an n-gram; rules that only mark false positives are left out."""
        index = self._index
        regular = [tokens for rule, tokens in enumerate(index.tids_by_rid) if rule not in index.false_positive_rids]
        tags = [
            ("spdx", "license", "identifier"),
            ("spdx", "licence", "identifier"),
            ("licenses", "nuget", "org"),
        ]
        sequences = [np.frombuffer(tokens, np.int16) for tokens in regular]
        sequences += [np.array([index.dictionary[word] for word in tag], np.int16) for tag in tags]
        offsets = np.concatenate([[0], np.cumsum([len(sequence) for sequence in sequences])]).astype(np.int64)
        rules = np.concatenate(sequences)
        chosen, places = np.zeros(len(sequences), np.uint64), np.zeros(len(sequences), np.int64)
        _choose_ngrams(rules, offsets, chosen, places)
        order = np.argsort(chosen, kind="stable")
        ngrams, chain_starts = np.unique(chosen[order], return_index=True)
        keys, chains = _table(ngrams, np.arange(len(ngrams)))
        bitmap = np.zeros(1 << 19, np.uint8)
        bits = ngrams & np.uint64(len(bitmap) * 8 - 1)
        np.bitwise_or.at(bitmap, bits >> np.uint64(3), np.uint8(1) << (bits & np.uint64(7)).astype(np.uint8))
        chain_starts = np.append(chain_starts, len(chosen)).astype(np.int64)
        return bitmap, keys, chains, chain_starts, order, places[order], rules, offsets

    def _index_near_rules(self) -> tuple[np.ndarray, ...]:
        """The distinct words of each rule that can match approximately, and scancode's thresholds for them."""
        index = self._index
        rule_ids = np.array(sorted(index.approx_matchable_rids), np.int64)
        words = [np.unique(np.frombuffer(index.tids_by_rid[rule], np.int16)) for rule in rule_ids]
        lengths = np.array([len(distinct) for distinct in words])
        offsets = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        rules = [index.rules_by_rid[rule] for rule in rule_ids]
        least = np.array([rule.min_matched_length_unique for rule in rules])
        least_high = np.array([rule.min_high_matched_length_unique for rule in rules])
        return rule_ids, np.concatenate(words), offsets, lengths, least, least_high

    @staticmethod
    def _make_workspace(size: int) -> tuple[np.ndarray, ...]:
        kinds = (np.int64, np.int64, np.int64, np.int64, np.uint8, np.int64, np.int64, np.int64)
        return tuple(np.zeros(size, kind) for kind in kinds)


def _detect(matches: list[Any]) -> Found | None:
    """Groups matches into detections, drops clues and false positives, and joins the rest by AND.

    As licensedcode.detection.detect_licenses and scancode.api.get_licenses do, without the reports they build on the
    way: a group without an expression is a mere clue, except where all its licences were detected elsewhere.
    """
    from licensedcode import detection
    from licensedcode.cache import build_spdx_license_expression, get_licensing

    licensing: Any = get_licensing()
    groups = []
    for group in detection.group_matches(matches):
        if group:
            analysis = detection.analyze_detection(group)
            expression = detection.get_detected_license_expression(analysis=analysis, license_matches=group)[1]
            groups.append((group, expression))
    detected = {key for _, expression in groups if expression for key in licensing.license_keys(expression)}
    kept = []
    for group, expression in groups:
        if expression is None and len(groups) > 1 and not detection.has_correct_license_clue_matches(group):
            clues = [match.rule.license_expression for match in group]
            clue = str(detection.combine_expressions(clues, unique=True, licensing=licensing))
            expression = clue if detected.issuperset(licensing.license_keys(clue)) else None
        if expression is not None:
            kept.append((group, expression))
    if not kept:
        return None

    def spdx(expressions: list[str]) -> str:
        joined = str(detection.combine_expressions(expressions, relation="AND", unique=True, licensing=licensing))
        return str(build_spdx_license_expression(joined, licensing=licensing))

    found = [expression for _, expression in kept]
    granted = []
    for group, expression in kept:
        granting = [match.rule.license_expression for match in group if not _only_names(match.rule)]
        granted += [expression] if len(granting) == len(group) else granting
    return Found(
        expression=spdx(found),
        granted=spdx(granted or found),
        score=min(match.score() for group, _ in kept for match in group),
        lines=tuple((min(m.start_line for m in group), max(m.end_line for m in group)) for group, _ in kept),
        tagged=any(match.matcher == "1-spdx-id" for group, _ in kept for match in group),
    )


def _only_names(rule: Any) -> bool:
    """Whether a rule is a mere name, as scancode has it, or a notice such as "under the GPL" that grants nothing.

    Words that restrict, such as "for non-commercial use only", hold wherever they stand.
    """
    if license_class(rule.license_expression) == "proprietary":
        return False
    if rule.is_license_notice and not _GRANTING.search(rule.text):
        return True
    return not (rule.is_license_text or rule.is_license_notice or rule.is_license_tag)


@cache
def license_texts() -> LicenseTexts:
    """The finder of this process; loads scancode's index when it is first asked for."""
    return LicenseTexts(load_index())
