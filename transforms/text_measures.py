"""Line lengths, shares of characters, and marks of generated, vendored and minified files.

A character is a Unicode code point. A line ends at a line feed, a carriage return, or both; the ending is no
part of the line's length, and the last line needs none. The papers that set thresholds on these measures
(Codex, Chen et al. 2021, section 3.1; CodeGen, Nijkamp et al. 2022, appendix A; StarCoder, Li et al. 2023,
section 3.1) leave that open; the code published with them takes the characters of a Python string.
"""

from dataclasses import dataclass
from functools import cache

import enry
import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import re2

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms import characters
from transforms.buffers import string_buffers

TEXT_COLUMNS = pa.schema(
    [
        field("lines", pa.int32(), "lines, the last one also where no line ending follows it"),
        field("max_line_length", pa.int32(), "characters of the longest line"),
        field("mean_line_length", pa.float64(), "mean characters of a line; 0 for an empty file"),
        field("alnum_fraction", pa.float64(), "share of characters that are letters or digits, in any script"),
        field("alpha_fraction", pa.float64(), "share of characters that are letters, in any script"),
        field("digit_fraction", pa.float64(), "share of characters that are decimal digits 0 to 9"),
        field(
            "hex_fraction",
            pa.float64(),
            "share of characters that are decimal digits or in hexadecimal numbers",
        ),
        field("generated", pa.bool_(), "written by a tool, to go by its name or the marks in its first lines"),
        field("vendored", pa.bool_(), "linguist takes the path for a copy of another project's code"),
        field("minified", pa.bool_(), "JavaScript or CSS, minified to go by its name or its mean line"),
    ]
)

HEAD_BYTES, TAIL_BYTES = 2048, 512
"""Marks of generated code stand above the code, perhaps below a licence; a source map is named at the end."""

GENERATED_MARKS = re2.compile(
    rb"@generated\b"
    rb"|\bDO NOT (?:EDIT|HAND[- ]EDIT)\b"
    rb"|(?i:\bdo(?:n't| not) (?:edit|modify|change) (?:this file|it|by hand|manually|directly)\b)"
    rb"|(?i:\b(?:auto[- ]?|automatically |machine[- ])generated (?:by|from|with|using|file)\b)"
    rb"|(?i:\b(?:file|code|module|class|header|script|parser|stub) (?:is|was|has been)"
    rb" (?:auto[- ]?|automatically |machine[- ])generated\b)"
    rb"|(?i:\bfile (?:is|was|has been) generated (?:by|from|with|using)\b)"
    rb"|(?m:^\W{0,6}(?:Generated|GENERATED) (?i:by|from|with|using)\b)"
)
"""What tools write above their output; first Meta's convention, then Go's (https://go.dev/s/generatedcode)."""

GENERATED_NAMES = re2.compile(
    rb"(?:_pb2(?:_grpc)?\.pyi?|\.pb\.(?:go|cc|h|gw\.go)|_pb\.js|\.g\.(?:dart|cs)|\.freezed\.dart"
    rb"|(?:^|/)(?:yarn|pdm|uv|deno|Gemfile|Podfile|mix|flake|pubspec)\.lock|(?:^|/)pnpm-lock\.yaml|(?:^|/)go\.sum)$"
)
"""Names of generated files and lock files that linguist's own list leaves out."""

MINIFIED_NAMES = re2.compile(rb"(?i)[.-]min\.(?:js|mjs|cjs|css)$")
MINIFIABLE_NAMES = re2.compile(rb"(?i)\.(?:js|mjs|cjs|css)$")
MINIFIED_MEAN_LINE = 110
"""Mean line length above which JavaScript or CSS counts as minified (linguist's `minified_files?`)."""


@dataclass(frozen=True)
class TextMeasures:
    """Measures the text of each file; nothing is decided here (see `transforms.quality`).

    `hex_fraction` is CodeGen's share of characters that are decimal or hexadecimal digits (appendix A).
    Letter by letter that would count a third of any English text, so the letters a to f count only inside a
    number: a word of hexadecimal digits that holds a decimal one. Where 0x stands before it, that counts too.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return ("path", "content")

    @property
    def adds(self) -> pa.Schema:
        return TEXT_COLUMNS

    def load(self, *sides: pa.Table) -> BatchFunction:
        classes = code_point_classes()

        def measure(batch: pa.RecordBatch) -> pa.RecordBatch:
            content = batch.column("content")
            data, offsets = string_buffers(content)
            counts = count_characters(data, offsets, classes)
            measures = measures_of(counts)
            columns = measures | marks_of(batch.column("path"), content, measures["mean_line_length"])
            missing = np.asarray(content.is_null())
            return pa.RecordBatch.from_arrays(
                [pa.array(columns[column.name], column.type, mask=missing) for column in TEXT_COLUMNS],
                schema=TEXT_COLUMNS,
            )

        return measure


LETTER, WORD = np.uint8(1), np.uint8(2)
LINES, LINE_ENDINGS, LONGEST_LINE, CHARACTERS, LETTERS, LETTERS_AND_DIGITS, DIGITS, HEX = range(8)


@cache
def code_point_classes() -> np.ndarray:
    """For each Unicode code point (uint8): bit `LETTER` for letters, bit `WORD` for letters and numbers.

    That is what `str.isalpha` and `str.isalnum` tell, the tests in the papers' own code, of one Unicode version.
    """
    kind_of = characters.kinds()
    letters = (kind_of == characters.LETTER) | (kind_of == characters.IDEOGRAPH)
    return letters * LETTER | (letters | (kind_of == characters.NUMBER)) * WORD


@numba.njit(nogil=True, cache=True)
def count_characters(data: np.ndarray, offsets: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Counts per row (int64, rows x 8): `LINES`, `LINE_ENDINGS` (their characters), `LONGEST_LINE` and so on.

    Each loop does one thing over one file, which stays in the processor's cache between them; the first has
    no branch, so that it becomes vector instructions.
    """
    counts = np.zeros((len(offsets) - 1, 8), np.int64)
    for row in range(len(counts)):
        text = data[offsets[row] : offsets[row + 1]]
        continuations = letters = digits = 0
        for i in range(len(text)):
            continuations += (text[i] & np.uint8(0xC0)) == 0x80
            letters += np.uint8((text[i] | np.uint8(0x20)) - np.uint8(97)) < 26
            digits += np.uint8(text[i] - np.uint8(48)) < 10
        counts[row, CHARACTERS] = len(text) - continuations
        counts[row, LETTERS] = letters
        counts[row, LETTERS_AND_DIGITS] = letters + digits
        counts[row, DIGITS] = digits
        count_lines(text, continuations > 0, counts[row])
        count_numbers(text, counts[row])
        if continuations:
            count_beyond_ascii(text, classes, counts[row])
    return counts


@numba.njit(nogil=True, cache=True, inline="always")
def count_lines(text: np.ndarray, beyond_ascii: bool, counts: np.ndarray) -> None:
    size = len(text)
    start = 0
    while start < size:
        end = start
        while end < size and text[end] != 10 and text[end] != 13:
            end += 1
        length = end - start
        if beyond_ascii and length > counts[LONGEST_LINE]:
            for i in range(start, end):
                length -= (text[i] & 0xC0) == 0x80
        counts[LONGEST_LINE] = max(counts[LONGEST_LINE], length)
        counts[LINES] += 1
        start = end + 2 if end + 1 < size and text[end] == 13 and text[end + 1] == 10 else end + 1
        counts[LINE_ENDINGS] += min(start, size) - end


@numba.njit(nogil=True, cache=True, inline="always")
def count_numbers(text: np.ndarray, counts: np.ndarray) -> None:
    """Looks only at words that hold a decimal digit, as any number does."""
    size = len(text)
    end = 0
    for i in range(size):
        if i < end or not is_digit(text[i]):
            continue
        start, end = i, i
        while start > 0 and is_letter(text[start - 1]):
            start -= 1
        prefixed = i == start and text[i] == 48 and i + 2 < size and text[i + 1] | 0x20 == 120
        digits = hexadecimal = suffix = 0
        for k in range(start, i):
            hexadecimal += is_hex_letter(text[k])
        while end < size and (is_digit(text[end]) or is_letter(text[end])):
            digits += is_digit(text[end])
            hexadecimal += is_hex_letter(text[end])
            suffix += text[end] | 0x20 == 117 or text[end] | 0x20 == 108  # u and l, as in 0xFFul
            end += 1
        length = end - start
        is_number = hexadecimal + digits == length or (prefixed and hexadecimal + digits + suffix == length - 1)
        counts[HEX] += length if is_number else digits


@numba.njit(nogil=True, cache=True, inline="always")
def count_beyond_ascii(text: np.ndarray, classes: np.ndarray, counts: np.ndarray) -> None:
    size = len(text)
    i = 0
    while i < size:
        if text[i] < 0x80:
            i += 1
            continue
        point, i = characters.read_character(text, i, size)
        counts[LETTERS] += (classes[point] & LETTER) != 0
        counts[LETTERS_AND_DIGITS] += (classes[point] & WORD) != 0


@numba.njit(cache=True, inline="always")
def is_digit(byte: int) -> bool:
    return 48 <= byte <= 57


@numba.njit(cache=True, inline="always")
def is_letter(byte: int) -> bool:
    return 97 <= (byte | 0x20) <= 122


@numba.njit(cache=True, inline="always")
def is_hex_letter(byte: int) -> bool:
    return 97 <= (byte | 0x20) <= 102


def measures_of(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The columns that are numbers, from the counts; a share of nothing is 0."""
    characters = np.maximum(counts[:, CHARACTERS], 1)
    return {
        "lines": counts[:, LINES],
        "max_line_length": counts[:, LONGEST_LINE],
        "mean_line_length": (counts[:, CHARACTERS] - counts[:, LINE_ENDINGS]) / np.maximum(counts[:, LINES], 1),
        "alnum_fraction": counts[:, LETTERS_AND_DIGITS] / characters,
        "alpha_fraction": counts[:, LETTERS] / characters,
        "digit_fraction": counts[:, DIGITS] / characters,
        "hex_fraction": counts[:, HEX] / characters,
    }


def marks_of(path: pa.Array, content: pa.Array, mean_line_length: np.ndarray) -> dict[str, np.ndarray]:
    """The columns that are true or false, from the names and from both ends of the texts."""
    generated, vendored, minified = (np.zeros(len(path), np.bool_) for _ in range(3))
    heads = cut(content, 0, HEAD_BYTES)
    tails = cut(content, -TAIL_BYTES, None)
    for row, (name, head, tail) in enumerate(zip(path.to_pylist(), heads, tails, strict=True)):
        if head is None or tail is None:
            continue
        ends = head + b"\n" + tail if len(head) == HEAD_BYTES else head
        generated[row] = is_generated(name, head, ends)
        vendored[row] = enry.is_vendor(name)
        minified[row] = is_minified(name.encode(), mean_line_length[row])
    return {"generated": generated, "vendored": vendored, "minified": minified}


def is_generated(path: str, head: bytes, ends: bytes) -> bool:
    """Whether the name, the first lines, or linguist's rules on both ends of the text tell of a generator."""
    return (
        GENERATED_NAMES.search(path.encode()) is not None
        or GENERATED_MARKS.search(head) is not None
        or enry.is_generated(path, ends)
    )


def is_minified(path: bytes, mean_line_length: float) -> bool:
    if MINIFIED_NAMES.search(path):
        return True
    return mean_line_length > MINIFIED_MEAN_LINE and MINIFIABLE_NAMES.search(path) is not None


def cut(content: pa.Array, start: int, stop: int | None) -> list[bytes | None]:
    """The same stretch of bytes of each text."""
    binary = content.cast(pa.large_binary() if pa.types.is_large_string(content.type) else pa.binary())
    return pc.binary_slice(binary, start, stop).to_pylist()
