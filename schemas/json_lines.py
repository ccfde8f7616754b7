"""JSON Lines, as every input in them is read: benchmarks, conversations, problems and samples.

A byte-order mark and blank lines are passed over, at any line, since files are joined by hand. What is not an object,
or not as its reader needs it, is told with file and line.
"""

import bz2
import gzip
import io
import json
import lzma
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OPENERS = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\0": lzma.open,
    b"\x28\xb5\x2f\xfd": lambda file: io.BufferedReader(pa.CompressedInputStream(file, "zstd")),
}
"""How a file is decompressed, by its first bytes."""
KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"}


@dataclass(frozen=True)
class Line:
    """An object, and where it stands."""

    file: str
    number: int
    """From 1."""
    values: dict[str, Any]

    def wrong(self, problem: str) -> ValueError:
        """An error that names the line."""
        return ValueError(f"{self.file}:{self.number}: {problem}")

    def text(self, key: str) -> str:
        """The text of a key. Raises ValueError where it has none."""
        if key not in self.values:
            raise self.wrong(f"it has no {key}")
        if not isinstance(value := self.values[key], str):
            raise self.wrong(f"its {key} is {kind(value)}, not a text")
        return value


def read(data: bytes, file: str) -> Iterator[Line]:
    """The lines of a file's bytes, plain or compressed with gzip, bzip2, xz or zstandard.

    Raises ValueError for the first line that is no object.
    """
    number = 0
    try:
        for number, line in enumerate(_lines(data), 1):
            line = line.removeprefix(BYTE_ORDER_MARK).strip()
            if line:
                yield Line(file, number, parse(line))
    except (EOFError, OSError, lzma.LZMAError) as error:
        raise ValueError(f"{file}: damaged behind line {number}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{file}:{number}: {error}") from None


def parse(line: bytes) -> dict[str, Any]:
    """The object of a line. Raises ValueError, which says what the line is instead."""
    try:
        text = line.removeprefix(BYTE_ORDER_MARK).decode()
        values = json.loads(text)
        if "\\u" in text:  # half of a character may be spelled alone
            json.dumps(values, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"no JSON: {error.msg} at character {error.pos + 1}") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start + 1}") from None
    except UnicodeEncodeError:
        raise ValueError("it has a lone surrogate, which is no character") from None
    if not isinstance(values, dict):
        raise ValueError(f"{kind(values)}, not an object")
    return values


def kind(value: object) -> str:
    """What a value is in JSON, in words."""
    return "null" if value is None else KINDS[type(value)]


def _lines(data: bytes) -> Iterator[bytes]:
    opened = next((opener for magic, opener in OPENERS.items() if data.startswith(magic)), None)
    return iter(io.BytesIO(data) if opened is None else opened(io.BytesIO(data)))
