"""Personal data and secrets: where they stand in a text, and the text without them.

Three detectors look at a text: kingfisher's scanner for vendors' tokens, `pii_keys` for private keys, and the rules
of `pii_secrets`, `pii_named` and `pii_personal`. The patterns of these rules are slow. RE2 therefore looks first, at
hundreds of MB/s, for the signs without which none of them finds anything (`@` between word characters, `://…@`, `AKIA`,
`password = "…`), and the patterns run on the lines around these signs alone. The result is the one of the whole
text. What is left is looked at again until nothing more is found, so that scrubbing a text twice changes nothing.
"""

from bisect import bisect, bisect_left
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import itemgetter

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from schemas.datasets import field
from transforms import BatchFunction
from transforms.buffers import string_buffers
from transforms.pii_keys import private_keys
from transforms.pii_recognizers import KINDS, RULE_SETS, finder
from transforms.pii_rule import AFTER, BEFORE, Rule
from transforms.pii_tokens import VENDORS, load_scanner, vendor_tokens

Span = tuple[int, int, str]
"""Start and end in bytes, and the kind."""

SCANNED = frozenset({"PRIVATE_KEY", "SECRET", *VENDORS.values()})
"""Kinds that more than rules find."""

SPANS = pa.list_(pa.struct([pa.field("kind", pa.string()), pa.field("start", pa.int32()), pa.field("end", pa.int32())]))


@dataclass(frozen=True)
class FindPersonalData:
    """Finds e-mail and IP addresses, account and phone numbers, passwords, tokens, private keys in code."""

    kinds: tuple[str, ...] = KINDS
    """What to look for; any of `KINDS`."""

    def __post_init__(self) -> None:
        """Raises ValueError on an unknown kind."""
        if unknown := sorted(set(self.kinds) - set(KINDS)):
            raise ValueError(f"unknown kinds of personal data: {unknown}; known are {', '.join(KINDS)}")

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content",)

    @property
    def adds(self) -> pa.Schema:
        doc = "personal data and secrets: kind, start and end in bytes of `content`; sorted, without overlap"
        return pa.schema([field("pii", SPANS, doc)])

    def load(self) -> BatchFunction:
        kinds = frozenset(self.kinds)
        forms, names = [Scanner(tuple(rule for rule in rules if rule.kind in kinds)) for rules in RULE_SETS]
        if kinds & SCANNED:
            load_scanner()

        def spans(text: bytes) -> list[Span]:
            keys, tokens = (private_keys(text), vendor_tokens(text)) if kinds & SCANNED else ((), ())
            found = [*keys, *forms.scan(text), *tokens, *names.scan(text)]
            return united([span for span in found if span[2] in kinds])

        def find(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            data, offsets = string_buffers(content)
            view = data.data
            found = [exhausted(bytes(view[start:end]), spans) for start, end in pairwise(offsets.tolist())]
            return pa.record_batch([spans_column(found, content)], schema=self.adds)

        return find


class Scanner:
    """Runs the finders of some rules on the windows of a text that hold their triggers."""

    def __init__(self, rules: tuple[Rule, ...]):
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        # The automaton does not fit the default of 8 MiB, and is built anew each time it overflows.
        options.max_mem = 96 << 20
        triggers = [rule.trigger.encode() for rule in rules]
        self.finders = [(finder(rule), rule.kind) for rule in rules]
        self.any_trigger = re2.compile(b"|".join(triggers), options)
        self.triggers = re2.Set.SearchSet(options)
        for trigger in triggers:
            self.triggers.Add(trigger)
        self.triggers.Compile()

    def scan(self, text: bytes) -> Iterator[Span]:
        """What the finders find in a UTF-8 text; of overlapping ones the earlier rule's comes first."""
        if not self.finders:
            return
        hits = (match.span() for match in self.any_trigger.finditer(text))
        for start, end in lines_around(text, hits):
            window = text[start:end]
            decoded = window.decode()
            byte_of = range(len(window) + 1) if decoded.isascii() else character_starts(window)
            for rule in sorted(self.triggers.Match(window) or ()):
                find, kind = self.finders[rule]
                for first, last in find(decoded):
                    yield start + int(byte_of[first]), start + int(byte_of[last]), kind


def lines_around(text: bytes, hits: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """The lines that hold a trigger; of a long one the parts that patterns reach, joined where they meet."""
    left = right = -1
    for start, end in hits:
        edge = max(0, start - BEFORE)
        first = character_edge(text, max(edge, text.rfind(b"\n", edge, start) + 1))
        edge = max(end, min(len(text), start + AFTER))
        newline = text.find(b"\n", end, edge)
        last = character_edge(text, edge if newline < 0 else newline)
        if first > right and right >= 0:
            yield left, right
        left, right = first if first > right else left, max(last, right)
    if right >= 0:
        yield left, right


def character_edge(text: bytes, position: int) -> int:
    """The position, or the next one that does not cut a UTF-8 character."""
    while position < len(text) and text[position] & 0xC0 == 0x80:
        position += 1
    return position


def character_starts(text: bytes) -> np.ndarray:
    """The byte where each character of a UTF-8 text starts, and the text's length."""
    starts = np.flatnonzero((np.frombuffer(text, np.uint8) & 0xC0) != 0x80)
    return np.append(starts, len(text))


def united(spans: list[Span]) -> list[Span]:
    """The spans in order and apart: those that overlap are one, of the kind that came first in the list."""
    apart: list[tuple[int, int, int]] = []
    for start, end, rank in sorted((start, end, rank) for rank, (start, end, _) in enumerate(spans)):
        if apart and start < apart[-1][1]:
            first, last, best = apart[-1]
            apart[-1] = first, max(last, end), min(best, rank)
        else:
            apart.append((start, end, rank))
    return [(start, end, spans[rank][2]) for start, end, rank in apart]


def exhausted(text: bytes, spans: Callable[[bytes], list[Span]]) -> list[Span]:
    """What is found in a text, and in what is left of it, until nothing more is found there."""
    found: list[Span] = []
    while True:
        rest, places = scrubbed(text, found)
        more = [(*original(places, start, end), kind) for start, end, kind in spans(rest)]
        together = united([*found, *more])
        if together == found:
            return found
        found = together


def scrubbed(text: bytes, spans: list[Span]) -> tuple[bytes, list[tuple[int, int, int, int]]]:
    """The text with each span replaced by its kind; and where each mark starts and ends, and where its span did."""
    pieces, marks, position, size = [], [], 0, 0
    for start, end, kind in spans:
        mark = b"<%s>" % kind.encode()
        pieces += text[position:start], mark
        size += start - position
        marks.append((size, size + len(mark), start, end))
        size, position = size + len(mark), end
    return b"".join([*pieces, text[position:]]), marks


def original(marks: list[tuple[int, int, int, int]], start: int, end: int) -> tuple[int, int]:
    """The bytes of the text that a part of the scrubbed text stands for, whole spans for parts of marks."""
    before = bisect(marks, start, key=itemgetter(0)) - 1
    if before >= 0:
        _, mark_end, span_start, span_end = marks[before]
        start = span_start if start < mark_end else span_end + start - mark_end
    within = bisect_left(marks, end, key=itemgetter(0)) - 1
    if within >= 0:
        _, mark_end, _, span_end = marks[within]
        end = span_end if end <= mark_end else span_end + end - mark_end
    return start, end


def spans_column(rows: list[list[Span]], content: pa.Array) -> pa.Array:
    """The `pii` column: a list of spans per row, null where the content is."""
    flat = [span for row in rows for span in row]
    starts, ends, kinds = zip(*flat, strict=True) if flat else ((), (), ())
    columns = [pa.array(kinds, pa.string()), pa.array(starts, pa.int32()), pa.array(ends, pa.int32())]
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int32)
    spans = pa.StructArray.from_arrays(columns, fields=list(SPANS.value_type))
    return pa.ListArray.from_arrays(pa.array(offsets), spans, type=SPANS, mask=content.is_null())


@dataclass(frozen=True)
class Redact:
    """Puts `<EMAIL_ADDRESS>`, `<PRIVATE_KEY>` and so on in the place of what `FindPersonalData` found."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content", "pii")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema(
            [
                field("redacted", pa.string(), "`content` with each span of `pii` replaced by <KIND>"),
                field("pii_kinds", pa.string(), "what was replaced: KIND:count, sorted; null where none was"),
            ]
        )

    def load(self) -> BatchFunction:
        def redact(batch: pa.RecordBatch) -> pa.RecordBatch:
            content, pii = batch.column("content"), batch.column("pii")
            touched = pc.greater(pc.fill_null(pc.list_value_length(pii), 0), 0)
            texts, summaries = [], []
            for text, spans in zip(content.filter(touched), pii.filter(touched), strict=True):
                found = [(span["start"], span["end"], span["kind"]) for span in spans.as_py()]
                texts.append(scrubbed(text.as_buffer().to_pybytes(), found)[0].decode())
                summaries.append(kind_counts(found))
            return pa.record_batch(
                [put(content, touched, texts), put(pa.nulls(len(batch), pa.string()), touched, summaries)],
                schema=self.adds,
            )

        return redact


@dataclass(frozen=True)
class Unredacted:
    """Stands in for `Redact` where the recipe leaves personal data alone: the content as it is."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content",)

    @property
    def adds(self) -> pa.Schema:
        return Redact().adds

    def load(self) -> BatchFunction:
        def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
            return pa.record_batch([batch.column("content"), pa.nulls(len(batch), pa.string())], schema=self.adds)

        return keep


def kind_counts(spans: list[Span]) -> str:
    """How many spans there are of each kind: `EMAIL_ADDRESS:2 IP_ADDRESS:1`."""
    counts = Counter(kind for _, _, kind in spans)
    return " ".join(f"{kind}:{counts[kind]}" for kind in sorted(counts))


def put(column: pa.Array, mask: pa.Array, values: list[str]) -> pa.Array:
    """The string column with the masked rows replaced; the column itself, uncopied, where there are none."""
    column = column.cast(pa.string())
    return pc.replace_with_mask(column, mask, pa.array(values, pa.string())) if values else column
