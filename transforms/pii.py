"""Personal data and secrets: where they stand in a text, and the text without them.

presidio's recognizers find them, and are slow. RE2 therefore looks first, at hundreds of MB/s, for the signs
without which no recognizer finds anything (`@` between word characters, `://…@`, `AKIA`, `password = "…`),
and the recognizers run on the lines around these signs alone. The result is the one of the whole text.
"""

from bisect import bisect
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from schemas.datasets import field
from transforms import BatchFunction
from transforms.buffers import string_buffers
from transforms.pii_recognizers import AFTER, BEFORE, BLOCK_RULES, KINDS, LINE_RULES, Rule, load_recognizers

Span = tuple[int, int, str]
"""Start and end in bytes, and the kind."""

Windows = Callable[[bytes, Iterator[tuple[int, int]]], Iterator[tuple[int, int]]]
"""From a text and the places of triggers in it to the parts to analyze, in order and apart."""

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
        blocks = Scanner(tuple(rule for rule in BLOCK_RULES if rule.kind in self.kinds), whole_text)
        lines = Scanner(tuple(rule for rule in LINE_RULES if rule.kind in self.kinds), lines_around)

        def find(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            data, offsets = string_buffers(content)
            view = data.data
            found = []
            for start, end in pairwise(offsets.tolist()):
                text = bytes(view[start:end])
                found.append(without_overlap([*blocks.scan(text), *lines.scan(text)]))
            return pa.record_batch([spans_column(found, content)], schema=self.adds)

        return find


class Scanner:
    """Runs the recognizers of some rules on the windows of a text that hold their triggers."""

    def __init__(self, rules: tuple[Rule, ...], windows: Windows):
        options = re2.Options()
        options.encoding = re2.Options.Encoding.LATIN1
        options.never_capture = True
        # The automaton does not fit the default of 8 MiB, and is built anew each time it overflows.
        options.max_mem = 48 << 20
        triggers = [rule.trigger.encode() for rule in rules]
        self.windows = windows
        self.recognizers = load_recognizers(rules)
        self.any_trigger = re2.compile(b"|".join(triggers), options)
        self.triggers = re2.Set.SearchSet(options)
        for trigger in triggers:
            self.triggers.Add(trigger)
        self.triggers.Compile()

    def scan(self, text: bytes) -> Iterator[Span]:
        """What the recognizers find in a UTF-8 text; of overlapping ones the earlier rule's comes first."""
        if not self.recognizers:
            return
        hits = (match.span() for match in self.any_trigger.finditer(text))
        for start, end in self.windows(text, hits):
            window = text[start:end]
            decoded = window.decode()
            byte_of = range(len(window) + 1) if decoded.isascii() else character_starts(window)
            for rule in sorted(self.triggers.Match(window) or ()):
                for found in self.recognizers[rule].analyze(decoded, []):
                    first, last = int(byte_of[found.start]), int(byte_of[found.end])
                    yield start + first, start + last, found.entity_type


def whole_text(text: bytes, hits: Iterator[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """All of a text that holds a trigger, for shapes of many lines; few texts do."""
    if next(hits, None):
        yield 0, len(text)


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


def without_overlap(spans: list[Span]) -> list[Span]:
    """The spans in the order of their starts; of two that overlap the one that came first in the list."""
    kept: list[Span] = []
    for span in spans:
        place = bisect(kept, span)
        clear_left = place == 0 or kept[place - 1][1] <= span[0]
        if clear_left and (place == len(kept) or span[1] <= kept[place][0]):
            kept.insert(place, span)
    return kept


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
                texts.append(redacted(text.as_buffer().to_pybytes(), spans.as_py()))
                summaries.append(kind_counts(spans.as_py()))
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


def redacted(text: bytes, spans: list[dict]) -> str:
    """The text with each span replaced by its kind in angle brackets."""
    pieces, position = [], 0
    for span in spans:
        pieces += text[position : span["start"]], b"<%s>" % span["kind"].encode()
        position = span["end"]
    return b"".join([*pieces, text[position:]]).decode()


def kind_counts(spans: list[dict]) -> str:
    """How many spans there are of each kind: `EMAIL_ADDRESS:2 IP_ADDRESS:1`."""
    counts = Counter(span["kind"] for span in spans)
    return " ".join(f"{kind}:{counts[kind]}" for kind in sorted(counts))


def put(column: pa.Array, mask: pa.Array, values: list[str]) -> pa.Array:
    """The string column with the masked rows replaced; the column itself, uncopied, where there are none."""
    column = column.cast(pa.string())
    return pc.replace_with_mask(column, mask, pa.array(values, pa.string())) if values else column
