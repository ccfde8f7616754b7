"""Words by their definition, in plain Python: what the compiled kernels are compared with."""

import re
import unicodedata
from functools import cache

from hypothesis import strategies as st

from tests.character_table import kind
from transforms.characters import UNKNOWN, kinds

ASCII_TOKEN = re.compile("[A-Za-z0-9_]+")
TOKEN = re.compile("[ISU]M*|[LNJM]+")
kind_of = cache(kind)


def tokens(text: str) -> list[str]:
    """As `transforms.minhash` says."""
    if text.isascii():
        return ASCII_TOKEN.findall(text)
    return [text[found.start() : found.end()] for found in TOKEN.finditer("".join(map(kind_of, text)))]


def shingles(text: str, ngram: int = 5) -> set[str]:
    """Each `ngram` successive tokens, joined by one space."""
    found = tokens(text)
    return {" ".join(found[start : start + ngram]) for start in range(len(found) - ngram + 1)}


def similarity(one: str, other: str, ngram: int = 5) -> float:
    """Of the texts' shingles, how many both have."""
    a, b = shingles(one, ngram), shingles(other, ngram)
    return len(a & b) / len(a | b)


def _is_in_table(character: str) -> bool:
    """Not one that the running Python knows and the pinned Unicode version does not."""
    return unicodedata.category(character) in ("Co", "Cn") or kinds()[ord(character)] != UNKNOWN


characters = st.characters(codec="utf-8").filter(_is_in_table)
"""Any character of any text."""
