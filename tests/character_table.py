"""Writes `transforms/character_table.py` anew: ``python -m tests.character_table``.

General categories are those of the running Python's `unicodedata`, scripts those of the package `regex`. Run it with
the oldest Python that is supported: what is folded with this table then means the same on every later one.
"""

import sys
import unicodedata
from itertools import groupby
from pathlib import Path
from textwrap import wrap

import regex

TABLE = Path(__file__).parent.parent / "transforms" / "character_table.py"

WITHOUT_BLANKS = (
    *("Han", "Hiragana", "Katakana", "Bopomofo", "Yi", "Tangut", "Nushu"),
    *("Thai", "Lao", "Khmer", "Myanmar", "Tai_Le", "New_Tai_Lue", "Tai_Tham", "Tai_Viet", "Ahom", "Tibetan"),
    *("Balinese", "Batak", "Brahmi", "Cham", "Dives_Akuru", "Grantha", "Javanese", "Makasar"),
)
"""The scripts whose letters have the line break classes ID, CJ, SA, AK, AP or AS of UAX 14, but Hangul; and Tibetan."""

SHARED = "[:scx=Han:][:scx=Hiragana:][:scx=Katakana:]"
IDEOGRAPH = regex.compile("[" + "".join(f"[:script={name}:]" for name in WITHOUT_BLANKS) + SHARED + "]")
ZERO_WIDTH_SPACE = "\u200b"


def kind(character: str) -> str:
    """The letter for a character's kind, see `transforms.characters`."""
    category = unicodedata.category(character)
    if character == ZERO_WIDTH_SPACE or (character.isascii() and category[0] == "S"):
        return "."
    if category[0] == "L":
        return "I" if IDEOGRAPH.match(character) else "L"
    if category[0] in "NMS":
        return category[0]
    return {"Pc": "J", "Cf": "M", "Co": "U", "Cn": "U"}.get(category, ".")


def table() -> str:
    """The module's text."""
    points = ((kind(chr(point)), point) for point in range(sys.maxunicode + 1))
    runs = " ".join(f"{next(run)[1]:x}{name}" for name, run in groupby(points, key=lambda pair: pair[0]))
    lines = "\n".join(wrap(runs, 116))
    return f'''"""The kind of every Unicode character, as runs: where one begins (hexadecimal), and its kind's letter.

Written by tests/character_table.py; what the letters mean stands in `transforms.characters`.
"""

UNICODE = "{unicodedata.unidata_version}"

RUNS = """
{lines}
"""
'''


if __name__ == "__main__":
    TABLE.write_text(table())
