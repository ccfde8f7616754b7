"""Words of texts that are compared whatever their layout, letter case and encoding.

A word is a maximal run of letters, digits, marks and `_` of any script; where a script puts no blanks between words,
each letter is one. All else separates, symbols too. Words are folded much as by Unicode's toNFKC_Casefold: by
compatibility decomposition and full case folding, without what is ignored there (format characters, variation
selectors), and also without marks that combine with a letter (accents, points of Arabic and Hebrew, tones). So it does
not matter whether an accent is a character of its own or left out, or letters are of full width.
Escapes (``\\u0436``, ``\\x41``, ``\\n`` in JSON lines or string literals, also escaped again) are the characters they
stand for. Decompositions and foldings of a character never change from one Unicode version to the next
(https://www.unicode.org/policies/stability_policy.html), and those of later versions than the table's are left alone.
"""

import unicodedata
from functools import cache
from typing import NamedTuple

import numba
import numpy as np

from transforms.characters import IDEOGRAPH, MARK, SEPARATOR, SYMBOL, UNKNOWN, kinds, read_character

SEPARATES, JOINS, STANDS, FOLLOWS, IGNORED = range(5)
"""What a character does: ends a word, is part of one, is one, is part of either, nothing."""


class Alphabet(NamedTuple):
    """`letters`, by code point (uint32): the last three bits tell what the character does, the others where its folded
    form begins in `forms`, 0 where that is the character itself. A form is code points, and ends with 0."""

    letters: np.ndarray
    forms: np.ndarray


@cache
def alphabet() -> Alphabet:
    """What kernels need that read words."""
    kind_of = kinds()
    letters = np.full(len(kind_of), JOINS, np.uint32)
    letters[(kind_of == SEPARATOR) | (kind_of == SYMBOL)] = SEPARATES
    letters[(kind_of == IDEOGRAPH) | (kind_of == UNKNOWN)] = STANDS
    letters[kind_of == MARK] = FOLLOWS
    forms = "\0"
    for point in np.flatnonzero((letters != SEPARATES) & (kind_of != UNKNOWN)).tolist():
        folded = _folded(chr(point), kind_of)
        if not folded:
            letters[point] = IGNORED
        elif folded != chr(point):
            letters[point] |= len(forms) << 3
            forms += folded + "\0"
    return Alphabet(letters, np.array(list(map(ord, forms)), np.uint32))


IGNORABLE = "\u034f\u180b\u180c\u180d\u180f" + "".join(
    map(chr, (*range(0xFE00, 0xFE10), *range(0xE0100, 0xE01F0)))
)  # the combining grapheme joiner and variation selectors


def _folded(character: str, kind_of: np.ndarray) -> str:
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    return "".join(
        one
        for one in decomposed
        if kind_of[ord(one)] not in (SEPARATOR, SYMBOL)
        and not unicodedata.combining(one)
        and unicodedata.category(one) != "Cf"
        and one not in IGNORABLE
    )


NEW_LINE, HASH_SIGN, SLASH, BACKSLASH, BEYOND_ASCII, FIRST_WORD_BYTE = 1, 2, 3, 4, 5, 48
"""Codes of bytes; from `BACKSLASH` on, it takes more than the byte to tell what it is."""


def byte_codes() -> np.ndarray:
    """For each byte its lower-case form if it belongs to words, else its meaning to `next_word`, 0 if it has none."""
    codes = np.zeros(256, np.uint8)
    for byte in b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz":
        codes[byte] = ord(chr(byte).lower())
    codes[[ord("\n"), ord("#"), ord("/"), ord("\\")]] = NEW_LINE, HASH_SIGN, SLASH, BACKSLASH
    codes[128:] = BEYOND_ASCII
    return codes


CODES = byte_codes()
BACKSLASH_BYTE = 92
FNV_SEED, FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
"""A word's hash is FNV-1a over its folded code points."""


@numba.njit(nogil=True, cache=True, inline="always")
def next_word(text, at, end, commented, letters, forms):
    """The next word at or after `at`.

    Gives where it ends (-1: there is none), its hash, whether it is in a line comment, whether a line begins with it,
    and whether it begins with a digit. A comment runs from # or // to the end of the line.
    """
    is_first = False
    while at < end:
        start = at
        code = CODES[text[at]]
        word_hash = FNV_SEED
        begun = SEPARATES
        if code >= FIRST_WORD_BYTE:
            begun = JOINS
            while code >= FIRST_WORD_BYTE:
                word_hash = (word_hash ^ np.uint64(code)) * FNV_PRIME
                at += 1
                code = CODES[text[at]] if at < end else np.uint8(0)
        elif code >= BACKSLASH:
            point, at = read(text, at, end)
            if point == 10:
                commented, is_first = False, True
            begun = letters[point] & 7
            word_hash = hash_character(word_hash, point, letters, forms)
        else:
            if code == NEW_LINE:
                commented, is_first = False, True
            elif code == HASH_SIGN or (code == SLASH and at + 1 < end and text[at + 1] == text[at]):
                commented = True
            at += 1
        if begun == SEPARATES or begun == IGNORED:  # noqa: SIM109  (a tuple is slow here)
            continue
        if code >= BACKSLASH:
            at, word_hash = rest_of_word(text, at, end, word_hash, begun, letters, forms)
        return at, word_hash, commented, is_first, 48 <= text[start] <= 57
    return -1, np.uint64(0), commented, is_first, False


@numba.njit(nogil=True, cache=True, inline="always")
def rest_of_word(text, at, end, word_hash, begun, letters, forms):
    """Where the word that goes on at `at` ends, and its hash; `begun` is what its first character does."""
    while at < end and CODES[text[at]] >= BACKSLASH:
        point, after = read(text, at, end)
        does = letters[point] & 7
        if does == FOLLOWS or (does == JOINS and begun != STANDS):
            word_hash = hash_character(word_hash, point, letters, forms)
        elif does != IGNORED:
            break
        at = after
    return at, word_hash


@numba.njit(nogil=True, cache=True, inline="always")
def hash_character(word_hash, point, letters, forms):
    place = np.int64(letters[point] >> 3)
    if place == 0:
        return (word_hash ^ np.uint64(point)) * FNV_PRIME
    while forms[place] != 0:
        word_hash = (word_hash ^ np.uint64(forms[place])) * FNV_PRIME
        place += 1
    return word_hash


@numba.njit(nogil=True, cache=True, inline="always")
def read(text, at, end):
    """The code point at `at`, that of an escape if one begins there, and where the next one begins."""
    return read_character(text, at, end) if text[at] != BACKSLASH_BYTE else read_escape(text, at, end)


@numba.njit(nogil=True, cache=True)
def read_escape(text, at, end):
    """The code point that one or two escapes at `at` stand for, and where the next one begins.

    Backslashes that escape nothing known are a separator, 0.
    """
    point, after = read_unit(text, at, end)
    if 0xD800 <= point < 0xDC00 and after < end and text[after] == BACKSLASH_BYTE:
        low, behind = read_unit(text, after, end)
        if 0xDC00 <= low < 0xE000:
            return 0x10000 + ((point - 0xD800) << 10) + (low - 0xDC00), behind
    return (point, after) if point < 0x110000 else (np.int64(0), after)


@numba.njit(nogil=True, cache=True)
def read_unit(text, at, end):
    """A UTF-16 surrogate comes as it is."""
    while at + 1 < end and text[at + 1] == text[at]:
        at += 1
    letter = text[at + 1] if at + 1 < end else np.uint8(0)
    if letter == 110:  # n
        return np.int64(10), at + 2
    if letter == 114 or letter == 116:  # r, t
        return np.int64(9), at + 2
    digits = 4 * (letter == 117) + 8 * (letter == 85) + 2 * (letter == 120)  # u, U, x
    if digits == 0 or at + 2 + digits > end:
        return np.int64(0), at + 1
    point = np.int64(0)
    for place in range(at + 2, at + 2 + digits):
        byte = np.int64(text[place])
        if 48 <= byte <= 57:
            point = point << 4 | (byte - 48)
        elif 97 <= byte | 0x20 <= 102:
            point = point << 4 | ((byte | 0x20) - 87)
        else:
            return np.int64(0), at + 1
    return point, at + 2 + digits


LINE_WORDS = 16
"""Words at the beginning of a line that are compared with those of the line before."""


@numba.njit(nogil=True, cache=True, inline="always")
def repeats(word_hash, is_first, is_number, line, known, column, alike):
    """Whether a word and all before it in its line are those that the line before begins with; numbers are alike.

    What stands before each line of a text (its number, `print`, `code +=`) is left out so, and so is as much of each
    line as without it. `line` (LINE_WORDS) holds the first `known` words of the line before, and in their places the
    first `column` ones of this line, which have been `alike` or not. Gives all three anew, `alike` being the answer.
    """
    if is_first:
        known, column, alike = column, 0, True
    if column == LINE_WORDS:
        return known, column, False
    word = np.uint64(0) if is_number else word_hash
    alike = alike and column < known and line[column] == word
    line[column] = word
    return known, column + 1, alike


@numba.njit(nogil=True, cache=True)
def word_hashes(text, letters, forms):
    """By word of a text: its hash, whether it stands in a line comment, and whether it repeats the line before."""
    hashes = np.empty(len(text), np.uint64)
    comments, repeated = np.empty(len(text), np.bool_), np.empty(len(text), np.bool_)
    line = np.zeros(LINE_WORDS, np.uint64)
    known, column, alike = 0, 0, False
    count = 0
    at, commented = 0, False
    while True:
        at, word_hash, commented, is_first, is_number = next_word(text, at, len(text), commented, letters, forms)
        if at < 0:
            return hashes[:count].copy(), comments[:count].copy(), repeated[:count].copy()
        hashes[count], comments[count] = word_hash, commented
        known, column, alike = repeats(word_hash, is_first, is_number, line, known, column, alike)
        repeated[count] = alike
        count += 1
