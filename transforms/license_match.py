"""Which licences a passage states: scancode's index, its matching and its detection.

Exact matches decide lists where a rule covers the passage; approximate matching is used where licence words are left
over. What it says of a text depends on the text and on `matcher()` lists, so it can be kept.
"""

import copy
import ctypes
import gc
import hashlib
import os
import re
import sys
import tempfile
from collections.abc import Callable
from functools import cache, lru_cache, wraps
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa

from schemas.datasets import field
from transforms import license_choice
from transforms import license_class as license_classes
from transforms.license_choice import find_runs
from transforms.license_class import license_class

INDEX_MEMORY = 1_700_000_000
"""Bytes that a worker takes with the index loaded, matching."""
LARGEST_APPROXIMATE = 64_000
"""Characters; passages longer than this are matched exactly only."""

_PATENT_NOTICE = re.compile(
    r"(?s)(?!.*\b(?:copy|redistribut|reproduc|modif|reverse|sell|purchas|commercial|terminat|only|must|may not"
    r"|no licen[cs]e))"
    r"(?=.*\b(?:patent (?:licen[cs]e|grant)|grant of patent))",
    re.I,
)
_GRANTING = re.compile(r"licen[cs]|permi|distribut|releas|redist|copyright|terms", re.I)
_LICENSED = re.compile(
    r"\b(?:licen[cs]ed|released|distributed?|redistribute|available|provided|covered|used?|takes?|terms)\b", re.I
)
_BEFORE_OFFER = 200  # characters before a choice in which it may be told that it is what holds
_RUN_LINES = 15  # lines without licence words that end a run, as scancode has it for files
_NEAR_RULES = 300  # more change next to nothing, and each costs scancode some 0.1 ms

MATCHER = field("matcher", pa.string(), "scancode's release, and a digest of the code that asks it", nullable=False)

RULE_TABLES = pa.schema(
    [
        MATCHER,
        field("words", pa.list_(pa.string()), "words that scancode knows, but for stop words"),
        field("word_tokens", pa.list_(pa.int16()), "number of each word; forms of one word may share a number"),
        field("rule_tokens", pa.list_(pa.int16()), "the rules' words as numbers, one rule after the other"),
        field("rule_lengths", pa.list_(pa.int32()), "words in each rule"),
    ]
)
"""What of scancode's index finds passages: one row."""


class Found(NamedTuple):
    """What scancode says of a text: SPDX expression, weakest score (0 to 100), first and last line of each detection.

    `granted` leaves out the licences that are only named, as in "may be combined with GPL code", where others are
    stated by a text, a notice or a tag; `stated` is whether any is. `rules` are scancode's names of the rules that
    matched.
    """

    expression: str
    granted: str
    score: float
    lines: tuple[tuple[int, int], ...]
    tagged: bool
    stated: bool
    rules: tuple[str, ...]


@cache
def matcher() -> str:
    """What an answer depends on besides the text: scancode's release, the code of this module and those it asks."""
    files = (__file__, license_classes.__file__, license_choice.__file__)
    code = hashlib.sha256(b"".join(Path(file).read_bytes() for file in files)).hexdigest()
    return f"scancode-toolkit {version('scancode-toolkit')} {code[:12]}"


# --- scancode's index -------------------------------------------------------------------------------------------


@cache
def load_index() -> Any:
    """scancode's licence index (`licensedcode.index.LicenseIndex`): some 5 s and 1.4 GB, once per process.

    Read from the file that the wheel ships. Nothing is written: neither to the home directory nor beside the package.
    """
    import_scancode()
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
        _spare_work()
        gc.freeze()  # forked workers then share these pages
    finally:
        if was_enabled:
            gc.enable()
    return index


def release_index() -> None:
    """Forgets the index and all that was built on it, so that its memory can serve the next step."""
    for kept in (_near_rules, _combined, _parsed, _license_keys, _spdx, load_index):
        kept.cache_clear()
    scancode: Any = sys.modules.get("licensedcode.cache")
    if scancode is not None:
        scancode._LICENSE_CACHE = None
    gc.unfreeze()
    gc.collect()
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if malloc_trim is not None:  # glibc keeps what was freed otherwise
        malloc_trim(0)


def import_scancode() -> None:
    """Imports scancode's settings, which make folders as they are imported, so that these folders do not stay.

    To be called before anything else of scancode's is imported.
    """
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


def _spare_work() -> None:
    """Puts quicker functions, that give the same, in the place of some of scancode's; half of its time goes with it."""
    detection: Any = import_module("licensedcode.detection")
    candidates: Any = import_module("licensedcode.match_set")
    span: Any = import_module("licensedcode.spans").Span
    run: Any = import_module("licensedcode.query").QueryRun
    if hasattr(detection.is_false_positive, "__wrapped__"):
        return
    detection.combine_expressions = _combine_expressions
    detection.is_false_positive = _without_matched_text(detection.is_false_positive)
    candidates.compute_candidates = _of_few_rules(candidates.compute_candidates)
    span.__contains__ = _first_of_numbers(span.__contains__)
    run.is_digits_only = lambda self: all(token in self.digit_only_tids for token in self.tokens)


def _first_of_numbers(contains: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """scancode's `Span.__contains__` tries slow abstract types first, where nearly all that is asked for is numbers."""
    return lambda span, other: other in span._set if type(other) is int else contains(span, other)


def _without_matched_text(is_false_positive: Callable[..., bool]) -> Callable[..., bool]:
    """scancode's `is_false_positive` first puts each match's text together, token by token, to look for a copyright.

    Whatever it finds, matches of full relevance are true, and so are those that are neither of low relevance nor a
    single word long.
    """

    @wraps(is_false_positive)
    def check(license_matches: list[Any], package_license: bool = False) -> bool:
        rules = [match.rule for match in license_matches]
        if all(rule.relevance == 100 for rule in rules):
            return False
        if any(rule.relevance >= 60 for rule in rules) and any(rule.length != 1 for rule in rules):
            return False
        return is_false_positive(license_matches, package_license)

    return check


def _of_few_rules(compute_candidates: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """scancode's `compute_candidates` goes through all rules to come to the matchable ones: it gets those lists."""

    @wraps(compute_candidates)
    def compute(query_run: Any, idx: Any, matchable_rids: set[int], **settings: Any) -> list[Any]:
        rule_ids = sorted(matchable_rids)
        tables = ("rules_by_rid", "sets_by_rid", "msets_by_rid")
        few = {name: [getattr(idx, name)[rule] for rule in rule_ids] for name in tables}
        index = SimpleNamespace(len_legalese=idx.len_legalese, **few)
        found = compute_candidates(query_run, index, range(len(rule_ids)), **settings)
        return [(scores, rule_ids[place], rule, words) for scores, place, rule, words in found]

    return compute


def _combine_expressions(expressions: Any, licensing: Any = None) -> str:
    return _combined(tuple(dict.fromkeys(expressions)))


@lru_cache(maxsize=1 << 16)
def _combined(expressions: tuple[str, ...]) -> str:
    """scancode's expressions, each once, joined by AND."""
    from license_expression import combine_expressions

    return str(combine_expressions([_parsed(expression) for expression in expressions], licensing=_licensing()))


@lru_cache(maxsize=1 << 16)
def _parsed(expression: str) -> Any:
    return _licensing().parse(expression, simple=True)


@lru_cache(maxsize=1 << 16)
def _license_keys(expression: str) -> frozenset[str]:
    return frozenset(_licensing().license_keys(expression))


@lru_cache(maxsize=1 << 16)
def _spdx(expressions: tuple[str, ...]) -> str:
    """scancode's expressions joined by AND, under SPDX's names."""
    build: Any = import_module("licensedcode.cache").build_spdx_license_expression
    return str(build(_combined(tuple(dict.fromkeys(expressions))), licensing=_licensing()))


def _licensing() -> Any:
    return import_module("licensedcode.cache").get_licensing()


def rule_tables() -> pa.RecordBatch:
    """`RULE_TABLES` of the index; rules that only mark false positives are left out."""
    from licensedcode.stopwords import STOPWORDS

    index = load_index()
    words = {word: token for word, token in index.dictionary.items() if word not in STOPWORDS}
    regular = [tokens for rule, tokens in enumerate(index.tids_by_rid) if rule not in index.false_positive_rids]
    columns = (
        list(words),
        np.array(list(words.values()), np.int16),
        np.concatenate([np.frombuffer(tokens, np.int16) for tokens in regular]),
        np.array([len(tokens) for tokens in regular], np.int32),
    )
    lists = [pa.ListArray.from_arrays(pa.array([0, len(column)], pa.int32()), pa.array(column)) for column in columns]
    return pa.RecordBatch.from_arrays([pa.array([matcher()]), *lists], schema=RULE_TABLES)


# --- what a text states -------------------------------------------------------------------------------------------


@cache
def _near_rules() -> tuple[np.ndarray, ...]:
    """The distinct words of each rule that can match approximately, and scancode's thresholds for them."""
    index = load_index()
    rule_ids = np.array(sorted(index.approx_matchable_rids), np.int64)
    words = [np.unique(np.frombuffer(index.tids_by_rid[rule], np.int16)) for rule in rule_ids]
    lengths = np.array([len(distinct) for distinct in words])
    offsets = np.append(0, np.cumsum(lengths))
    rules = [index.rules_by_rid[rule] for rule in rule_ids]
    least = np.array([rule.min_matched_length_unique for rule in rules])
    least_high = np.array([rule.min_high_matched_length_unique for rule in rules])
    return rule_ids, np.concatenate(words), offsets, lengths, least, least_high


def match(text: str, approximate: bool) -> Found | None:
    """What `scancode.api.get_licenses` would say of the text; null where it states no licence.

    Approximate matches may take an exact one's place and then be dropped as too weak: that leaves the exact one.
    """
    found = _match(text, approximate=True) if approximate and len(text) <= LARGEST_APPROXIMATE else None
    return found or _match(text, approximate=False)


def _match(text: str, approximate: bool) -> Found | None:
    index = load_index()
    query = import_module("licensedcode.query").Query(query_string=text, idx=index, line_threshold=_RUN_LINES)
    if approximate:
        index = copy.copy(index)
        index.approx_matchable_rids = _rules_near(index, query.tokens)
    matches = index.match_query(query, approximate=approximate)
    return _detect(matches, text) if matches else None


@numba.njit(nogil=True, cache=True)
def _count_shared(present, words, offsets, len_legalese):
    """For each rule how many of its words are `present`, and how many of these are words of licences."""
    rules = len(offsets) - 1
    shared, shared_high = np.zeros(rules, np.int64), np.zeros(rules, np.int64)
    for rule in range(rules):
        for i in range(offsets[rule], offsets[rule + 1]):
            if present[words[i]]:
                shared[rule] += 1
                shared_high[rule] += words[i] < len_legalese
    return shared, shared_high


def _rules_near(index: Any, tokens: list[int]) -> set[int]:
    """The rules that share enough words with a text to match it approximately.

    scancode compares the word sets of all rules with each passage, in Python. A match that covers at most 60% of
    its rule only counts as a clue, so the rest is left out here, and so are all but the best in scancode's own
    order of preference: rules contained most, then the longest.
    """
    rule_ids, words, offsets, lengths, least, least_high = _near_rules()
    present = np.zeros(1 << 15, np.bool_)
    present[tokens] = True
    shared, shared_high = _count_shared(present, words, offsets, index.len_legalese)
    near = np.flatnonzero((shared >= least) & (shared_high >= least_high) & (shared > 0.5 * lengths))
    contained = np.round(shared[near] / lengths[near], 1)
    best = np.lexsort((-shared[near], -contained))[:_NEAR_RULES]
    return set(rule_ids[near[best]].tolist())


def _detect(matches: list[Any], text: str) -> Found | None:
    """Groups matches into detections, drops clues and false positives, and joins the rest by AND, or as a choice.

    As licensedcode.detection.detect_licenses and scancode.api.get_licenses do, without the reports they build on the
    way: a group without an expression is a mere clue, except where all its licences were detected elsewhere. They know
    no choice but those that a rule spells out.
    """
    from licensedcode import detection

    groups = []
    for group in detection.group_matches([match for match in matches if not _is_patent_notice(match.rule)]):
        if group:
            analysis = detection.analyze_detection(group)
            expression = detection.get_detected_license_expression(analysis=analysis, license_matches=group)[1]
            groups.append((group, expression))
    detected = {key for _, expression in groups if expression for key in _license_keys(expression)}
    kept = []
    for group, expression in groups:
        if expression is None and len(groups) > 1 and not detection.has_correct_license_clue_matches(group):
            clue = _combine_expressions([match.rule.license_expression for match in group])
            expression = clue if detected.issuperset(_license_keys(clue)) else None
        if expression is not None:
            kept.append((group, expression))
    if not kept:
        return None
    lists = _lists([match for group, _ in kept for match in group], text)
    found, granted = [], []
    for group, expression in kept:
        choices = list(dict.fromkeys(choice for match in group if (choice := lists[id(match)].choice)))
        rest = [match for match in group if not (lists[id(match)].choice or lists[id(match)].is_repeated)]
        granting = [match.rule.license_expression for match in rest if lists[id(match)].is_granted]
        is_whole = len(rest) == len(group)
        found += [expression] if is_whole else [*choices, *(match.rule.license_expression for match in rest)]
        granted += [expression] if len(granting) == len(group) else [*choices, *granting]
    return Found(
        expression=_joined(found),
        granted=_joined(granted or found),
        score=min(match.score() for group, _ in kept for match in group),
        lines=tuple((min(m.start_line for m in group), max(m.end_line for m in group)) for group, _ in kept),
        tagged=any(match.matcher == "1-spdx-id" for group, _ in kept for match in group),
        stated=any(lists[id(match)].is_granted for group, _ in kept for match in group),
        rules=tuple(sorted({match.rule.identifier for group, _ in kept for match in group})),
    )


class _List(NamedTuple):
    """What holds of a licence by its list: the choice there, whether any is granted, whether it is repeated.

    A bare "GNU GPL" in a list that names version 2 is repeated there, and so is one that stands above that text.
    """

    choice: str | None
    is_granted: bool
    is_repeated: bool = False


def _lists(matches: list[Any], text: str) -> dict[int, _List]:
    """By each match's `id` the list that it is in, alone or with others (`transforms.license_choice`)."""
    matches = sorted(matches, key=lambda match: (match.qstart, match.qend))
    lists = {id(match): _List(None, not _only_names(match.rule)) for match in matches}
    words = _words(matches[0].query, text) if len({match.rule.license_expression for match in matches}) > 1 else []
    if not words:
        return lists
    places = [(words[match.qstart][0], words[match.qend][1]) for match in matches]
    for first, last, is_choice in find_runs(text, places):
        listed = matches[first : last + 1]
        offered = _offered(listed, matches) if is_choice else []
        choice = " OR ".join(f"({expression})" for expression in offered) if len(offered) > 1 else None
        around = text[max(places[first][0] - _BEFORE_OFFER, 0) : places[last][1]]
        is_granted = any(not _only_names(match.rule) for match in listed) or bool(choice and _LICENSED.search(around))
        for match in listed:
            lists[id(match)] = _List(choice, is_granted, bool(_versions(match, listed)))
    for number, match in enumerate(matches[:-1]):
        is_heading = not re.search(r"\w", text[places[number][1] : places[number + 1][0]])
        if is_heading and _versions(match, [matches[number + 1]]):
            lists[id(match)] = lists[id(match)]._replace(is_repeated=True)
    return lists


def _words(query: Any, text: str) -> list[tuple[int, int]]:
    """Begin and end in the text of each word that scancode's query counts; none where they cannot be told."""
    from licensedcode.stopwords import STOPWORDS
    from licensedcode.tokenize import query_pattern

    known = query.idx.dictionary
    words = [
        found.span()
        for found in re.finditer(query_pattern, text)
        if (word := found[0].lower()) in known and word not in STOPWORDS
    ]
    return words if len(words) == len(query.tokens) else []


def _offered(listed: list[Any], matches: list[Any]) -> list[str]:
    """The licences of a list, each once: without phrases that name none, and names of the versions that are meant."""
    meant = [
        match.rule.license_expression if len(versions := _versions(match, matches)) != 1 else versions[0]
        for match in listed
        if not _versions(match, listed)
    ]
    return [expression for expression in dict.fromkeys(meant) if license_classes.states_terms(expression)]


def _versions(match: Any, others: list[Any]) -> list[str]:
    """For a licence's name without a version ("the GNU GPL"), the versions of it that other matches name."""
    rule = match.rule
    if not _only_names(rule) or re.search(r"\d", rule.text) or not (family := _family(rule.license_expression)):
        return []
    named = (other.rule for other in others if re.search(r"\d", other.rule.text))
    return sorted({other.license_expression for other in named if _family(other.license_expression) == family})


def _family(expression: str) -> str | None:
    """The name of a licence without its version, as gpl of gpl-2.0-plus; null where it has none."""
    versioned = re.fullmatch(r"(\w+)-\d[\d.]*(?:-plus)?", expression)
    return versioned[1] if versioned else None


def _joined(expressions: list[str]) -> str:
    """Joined by AND, less the texts of licences that a choice among all of them explains, as where each is appended."""
    named = {expression: _spdx((expression,)) for expression in expressions}
    choices = [name for name in named.values() if license_classes.offers_choice(name)]
    kept = set(license_classes.unexplained(named.values(), choices, named.values()))
    return _spdx(tuple(expression for expression in expressions if named[expression] in kept))


def _only_names(rule: Any) -> bool:
    """Whether a rule is a mere name, as scancode has it, or a notice such as "under the GPL" that grants nothing.

    Words that restrict, such as "for non-commercial use only", hold wherever they stand.
    """
    if license_class(rule.license_expression) == "proprietary":
        return False
    if rule.is_license_notice and not _GRANTING.search(rule.text):
        return True
    return not (rule.is_license_text or rule.is_license_notice or rule.is_license_tag)


def _is_patent_notice(rule: Any) -> bool:
    """Whether a rule for nameless terms is about patents alone, as "subject to the royalty-free patent licenses …".

    Who grants patents adds a permission, and who warns of them takes none away (`license_class`).
    """
    is_nameless = rule.license_expression in ("proprietary-license", "unknown")
    return is_nameless and _PATENT_NOTICE.match(rule.text) is not None
