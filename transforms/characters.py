"""What each Unicode character is to texts that are read as words, and how compiled kernels read it.

The kinds are those of one Unicode version, whatever the running Python's own is (`transforms.character_table`), so that
measures, signatures and what is compared with them are the same everywhere. A character of a later version is UNKNOWN.
"""

from functools import cache

import numba
import numpy as np

from transforms.character_table import RUNS

SEPARATOR, LETTER, NUMBER, CONNECTOR, MARK, IDEOGRAPH, SYMBOL, UNKNOWN = range(8)
"""By general category: blanks, punctuation, controls and ASCII symbols; L; N; Pc, such as `_`; M and Cf, such as zero
width joiners; L of scripts that put no blanks between words; S beyond ASCII; private use and unassigned."""

LETTERS = ".LNJMISU"
"""What the kinds are called in the table."""


@cache
def kinds() -> np.ndarray:
    """The kind of each code point (uint8, read-only)."""
    runs = RUNS.split()
    starts = np.array([int(run[:-1], 16) for run in runs] + [0x110000])
    table = np.repeat(np.array([LETTERS.index(run[-1]) for run in runs], np.uint8), np.diff(starts))
    table.setflags(write=False)
    return table


@numba.njit(nogil=True, cache=True, inline="always")
def read_character(text, at, end):
    """The code point at `at`, and where the next one begins. A byte that begins no UTF-8 is 0."""
    lead = np.int64(text[at])
    if lead < 0x80:
        return lead, at + 1
    width = 2 + (lead >= 0xE0) + (lead >= 0xF0)
    if lead < 0xC2 or lead > 0xF4 or at + width > end:
        return np.int64(0), at + 1
    point = lead & (0x7F >> width)
    for place in range(at + 1, at + width):
        if text[place] & 0xC0 != 0x80:
            return np.int64(0), at + 1
        point = point << 6 | text[place] & 0x3F
    return (point, at + width) if point < 0x110000 else (np.int64(0), at + 1)
