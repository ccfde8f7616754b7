"""Toxicity of what people write in code: its comments, its strings, its prose.

The classifier is alt-profanity-check's, which ships inside that package: words weighted by TF-IDF, five
linear support vector machines, each calibrated to a probability, and their mean. A compiled kernel evaluates
its arrays on the text itself and gives the package's results.

It was trained on comments from Wikipedia and Twitter, where nobody kills a process. So some words count only
in a line that addresses somebody: `TERMS` and `REMARKS` say which, and why.
"""

import warnings
from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.comments import STRING, Spans, comment_spans
from transforms.text_measures import WORD, code_point_classes

TOXICITY_COLUMNS = pa.schema(
    [
        field(
            "toxicity",
            pa.float32(),
            "highest score, 0 to 1, of a line of the file's comments, strings or prose",
        ),
        field("toxicity_line", pa.int32(), "number of that line, from 1; null where no line holds known words"),
    ]
)

TERMS = """
    kill kills killed killing die dies died dead death slave slaves master shut abort hang hung zombie orphan
    destroy smash sniff worm dirty naked garbage trash junk dummy corrupt commit exposes insecure swallow
    subordinate manipulate reversed lies hole packed sends fraud cracker monkey monkeys loser looser eat buzz
    fat pig butt sex sexual cancer brain brains rat balls
    sh ck cum anal cur ho hos va ke fu ing hav outs
"""
"""Words of the trade. They count only next to one of `SELVES`, which turns them on a person.

What one does to processes, memory and files; formats, libraries and columns of data; then abbreviations
(shell, Composable Kernel, cumulative, analysis, current) and ends of words.
"""

REMARKS = """
    stupid stupidly stupidity dumb dumbest idiotic silly lame ugly ugliest crazy insane nasty evil horrible
    ridiculous pathetic rubbish useless worst lazy foolish fool suck sucks sucked sucking stinks hell hate
    shame sick freaking screw blow blows shoot shove nut nuts guts donkey troll noob illiterate
    gay homosexual homosexuals lesbian transgender jew muslim black blacks white negro
"""
"""Words that are rude of a person but not of a thing. They count only next to one of `PERSONS` or `SELVES`.

What programmers call code, their own above all; then names of groups, which are no insults in themselves
(negro is Spanish and Portuguese for black).
"""

PERSONS = "you your yours youre ur he she him his her hers guy guys people"
SELVES = "yourself yourselves himself herself themselves"


@dataclass(frozen=True)
class Toxicity:
    """Scores each line of the comments, strings and prose of a file, and keeps the worst.

    Line by line, because harmless words dilute the score of a long text. Escape sequences in strings count as
    spaces. The score of a file without any word that the classifier knows is 0.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content", "language")

    @property
    def adds(self) -> pa.Schema:
        return TOXICITY_COLUMNS

    def load(self, *sides: pa.Table) -> BatchFunction:
        classifier = load_classifier()

        def measure(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            spans = comment_spans(content, batch.column("language"))
            scores, lines = worst_lines(content, spans, classifier)
            missing = np.asarray(content.is_null())
            columns = [
                pa.array(scores, pa.float32(), mask=missing),
                pa.array(lines, pa.int32(), mask=missing | (lines == 0)),
            ]
            return pa.RecordBatch.from_arrays(columns, schema=TOXICITY_COLUMNS)

        return measure


@dataclass(frozen=True)
class Classifier:
    """The package's model as arrays: a hash table of its words, and the machines' weights for them."""

    slots: np.ndarray  # uint64, a power of two: hash of the word, 0 where empty
    words: np.ndarray  # int32, aligned with slots: number of the word
    addresses: np.ndarray  # uint8 per word: 1 for `PERSONS`, 2 for `SELVES`
    needs: np.ndarray  # uint8 per word: what a line must hold for it to count; 1 for `REMARKS`, 2 for `TERMS`
    idf: np.ndarray  # float64 per word; 0 for words that the package does not know
    weights: np.ndarray  # float64, words x machines
    intercepts: np.ndarray  # float64 per machine
    calibration: np.ndarray  # float64, machines x 2: Platt's a and b


@cache
def load_classifier() -> Classifier:
    """Takes the model out of alt-profanity-check. Loads scikit-learn, which is not used after that."""
    with warnings.catch_warnings():
        # The model was stored by another version of scikit-learn; the tests check what it gives.
        warnings.simplefilter("ignore")
        from profanity_check import profanity_check as package
    machines = package.model.calibrated_classifiers_
    known = package.vectorizer.vocabulary_
    unknown = sorted({*PERSONS.split(), *SELVES.split()} - known.keys())
    numbers = known | {word: len(known) + k for k, word in enumerate(unknown)}
    coefficients = np.stack([machine.estimator.coef_[0] for machine in machines], axis=1)
    slots, words = hash_table(numbers)
    return Classifier(
        slots=slots,
        words=words,
        addresses=levels(numbers, PERSONS, SELVES),
        needs=levels(numbers, REMARKS, TERMS),
        idf=np.pad(package.vectorizer.idf_, (0, len(unknown))),
        weights=np.pad(coefficients, ((0, len(unknown)), (0, 0))),
        intercepts=np.array([machine.estimator.intercept_[0] for machine in machines]),
        calibration=np.array([(machine.calibrators[0].a_, machine.calibrators[0].b_) for machine in machines]),
    )


def levels(numbers: dict[str, int], first: str, second: str) -> np.ndarray:
    """By number: 1 for the words of the first list, 2 for those of the second, 0 for all others."""
    level = np.zeros(len(numbers), np.uint8)
    level[[numbers[word] for word in first.split() if word in numbers]] = 1
    level[[numbers[word] for word in second.split() if word in numbers]] = 2
    return level


HASH_SEED, HASH_FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)


def hash_table(numbers: dict[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """An open-addressed table from the 64-bit FNV-1a hash of each word to its number."""
    slots = np.zeros(1 << 17, np.uint64)
    words = np.zeros(len(slots), np.int32)
    for word, number in numbers.items():
        key = int(HASH_SEED)
        for byte in word.encode():
            key = (key ^ byte) * int(HASH_FACTOR) % (1 << 64)
        slot = key % len(slots)
        while slots[slot]:
            slot = (slot + 1) % len(slots)
        slots[slot], words[slot] = key, number
    return slots, words


def worst_lines(content: pa.Array, spans: Spans, classifier: Classifier) -> tuple[np.ndarray, np.ndarray]:
    """The highest score of each text (float64) and the number of its line (int32); 0 where none is."""
    data, offsets = string_buffers(content)
    return score_lines(
        data,
        offsets,
        spans.row,
        spans.start,
        spans.end,
        spans.kind,
        code_point_classes(),
        classifier.slots,
        classifier.words,
        classifier.addresses,
        classifier.needs,
        classifier.idf,
        classifier.weights,
        classifier.intercepts,
        classifier.calibration,
    )


@numba.njit(nogil=True, cache=True)
def score_lines(
    data: np.ndarray,
    offsets: np.ndarray,
    span_row: np.ndarray,
    span_start: np.ndarray,
    span_end: np.ndarray,
    span_kind: np.ndarray,
    classes: np.ndarray,
    slots: np.ndarray,
    words: np.ndarray,
    addresses: np.ndarray,
    needs: np.ndarray,
    idf: np.ndarray,
    weights: np.ndarray,
    intercepts: np.ndarray,
    calibration: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Walks over the words of each span; at each line end, scores the words since the last one."""
    rows = len(offsets) - 1
    best = np.zeros(rows, np.float64)
    place = np.zeros(rows, np.int64)
    times = np.zeros(len(idf), np.int64)
    seen = np.empty(len(idf), np.int64)
    for k in range(len(span_row)):
        row = span_row[k]
        text = data[offsets[row] : offsets[row + 1]]
        i, end = span_start[k], span_end[k]
        distinct = 0
        while i <= end:
            if i == end or text[i] == 10 or text[i] == 13:
                if distinct:
                    score = score_words(seen[:distinct], times, addresses, needs, idf, weights, intercepts, calibration)
                    for word in seen[:distinct]:
                        times[word] = 0
                    distinct = 0
                    if score > best[row]:
                        best[row], place[row] = score, min(i, end - 1)
                i += 1
            elif text[i] == 92 and span_kind[k] == STRING:
                i = min(i + 2, end)
            else:
                i, key = next_word(text, i, end, classes)
                word = look_up(key, slots, words) if key else -1
                if word >= 0:
                    if times[word] == 0:
                        seen[distinct] = word
                        distinct += 1
                    times[word] += 1
    return best, count_lines_before(data, offsets, best, place)


@numba.njit(nogil=True, cache=True)
def score_words(
    seen: np.ndarray,
    times: np.ndarray,
    addresses: np.ndarray,
    needs: np.ndarray,
    idf: np.ndarray,
    weights: np.ndarray,
    intercepts: np.ndarray,
    calibration: np.ndarray,
) -> float:
    """The mean probability of the machines for a line with these words; 0 if it knows none of them."""
    addressed = 0
    for word in seen:
        addressed = max(addressed, addresses[word])
    square = 0.0
    margins = np.zeros(len(intercepts), np.float64)
    for word in seen:
        if needs[word] <= addressed:
            value = times[word] * idf[word]
            square += value * value
            for machine in range(len(margins)):
                margins[machine] += value * weights[word, machine]
    if square == 0.0:
        return 0.0
    probability = 0.0
    for machine in range(len(intercepts)):
        margin = margins[machine] / np.sqrt(square) + intercepts[machine]
        probability += 1 / (1 + np.exp(calibration[machine, 0] * margin + calibration[machine, 1]))
    return probability / len(intercepts)


@numba.njit(nogil=True, cache=True)
def next_word(text: np.ndarray, i: int, end: int, classes: np.ndarray) -> tuple[int, np.uint64]:
    r"""Reads on from i: the place behind the word that begins there, and its hash in lower case.

    Words are the package's, runs of two or more word characters (\b\w\w+\b); 0 stands for none. Upper case
    beyond ASCII stays as it is: the package knows 17 words with such letters.
    """
    key = HASH_SEED
    length = 0
    width = 1
    while i < end:
        byte = text[i]
        if byte < 128:
            width = 1
            if not (classes[byte] & WORD or byte == 95):
                break
            key = (key ^ np.uint64(byte + 32 if 65 <= byte <= 90 else byte)) * HASH_FACTOR
        else:
            width = 2 + (byte >= 0xE0) + (byte >= 0xF0)
            point = np.int64(byte) & (0x7F >> width)
            for k in range(i + 1, min(i + width, end)):
                point = point << 6 | text[k] & 0x3F
            if point >= len(classes) or not classes[point] & WORD:
                break
            for k in range(i, min(i + width, end)):
                key = (key ^ np.uint64(text[k])) * HASH_FACTOR
        length += 1
        i = min(i + width, end)
    if length == 0:
        return min(i + width, end), np.uint64(0)
    return i, key if length > 1 else np.uint64(0)


@numba.njit(nogil=True, cache=True)
def look_up(key: np.uint64, slots: np.ndarray, words: np.ndarray) -> int:
    """The number of the word with this hash, or -1."""
    last = np.uint64(len(slots) - 1)
    slot = key & last
    while slots[slot] != 0:
        if slots[slot] == key:
            return words[slot]
        slot = (slot + np.uint64(1)) & last
    return -1


@numba.njit(nogil=True, cache=True)
def count_lines_before(data: np.ndarray, offsets: np.ndarray, scores: np.ndarray, places: np.ndarray) -> np.ndarray:
    """The number, from 1, of the line that holds each row's place; 0 where there is no score."""
    numbers = np.zeros(len(scores), np.int32)
    for row in range(len(scores)):
        if scores[row] > 0:
            start = offsets[row]
            line = 1
            for i in range(start, start + places[row]):
                line += data[i] == 10 or (data[i] == 13 and data[i + 1] != 10)
            numbers[row] = line
    return numbers
