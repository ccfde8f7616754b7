"""The pinned kinds of characters are Unicode's, and what text becomes of them is the same for kernel and definition."""

import unicodedata
from collections import Counter

import numpy as np
import pytest

from tests.character_table import TABLE, table
from tests.words import tokens
from transforms.character_table import UNICODE
from transforms.characters import IDEOGRAPH, LETTER, UNKNOWN, kinds, read_character


@pytest.mark.skipif(unicodedata.unidata_version != UNICODE, reason="the table is written with the oldest Python")
def test_the_table_is_what_its_script_writes() -> None:
    assert TABLE.read_text() == table()


def test_the_table_agrees_with_the_running_pythons_letters() -> None:
    """Unicode adds characters and hardly ever changes one."""
    known = [point for point in range(0x110000) if kinds()[point] != UNKNOWN]
    differ = [point for point in known if chr(point).isalpha() != (kinds()[point] in (LETTER, IDEOGRAPH))]
    assert len(known) > 144_000
    assert len(differ) < 20


def test_every_character_is_read_from_its_bytes() -> None:
    points = [point for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    for point in [*points[::97], 0x7F, 0x80, 0x7FF, 0x800, 0xFFFF, 0x10000, 0x10FFFF]:
        text = np.frombuffer(chr(point).encode() + b"a", np.uint8)
        assert read_character(text, 0, len(text)) == (point, len(text) - 1)


@pytest.mark.parametrize(
    "broken",
    [b"\x80", b"\xc3", b"\xc3a", b"\xe6\x97", b"\xe6\x97a", b"\xf0\x9f\x98", b"\xff", b"\xc0\xaf", b"\xf5\x80\x80\x80"],
)
def test_a_byte_that_begins_no_character_stands_alone(broken: bytes) -> None:
    assert read_character(np.frombuffer(broken, np.uint8), 0, len(broken)) == (0, 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("naïve_Été2 Straße", "naïve_Été2 Straße"),
        ("не_более 3-х слов", "не_более 3 х слов"),
        ("कृपया हिन्दी में", "कृपया हिन्दी में"),
        ("می\u200cخواهم، نه", "می\u200cخواهم نه"),
        ("한국어 문장입니다.", "한국어 문장입니다"),
        ("日本語のテキスト", "日 本 語 の テ キ ス ト"),
        ("x日本y", "x 日 本 y"),
        ("ภาษาไทยที่นี่", "ภ า ษ า ไ ท ย ที่ นี่"),
        ("བོད་ཡིག", "བོ ད ཡི ག"),
        ("㎏ ①½ ２０２４年", "㎏ ①½ ２０２４ 年"),
        ("е\u0301 \u0301а", "е\u0301 \u0301а"),
        ("👩\u200d👧🇬🇷©2", "👩\u200d 👧 🇬 🇷 © 2"),
        ("\ue000\ue001 \u200b«—»…", "\ue000 \ue001"),
    ],
)
def test_tokens_of_many_scripts(text: str, expected: str) -> None:
    assert tokens(text) == expected.split(" ")
    assert Counter(tokens(f"{text} {text}")) == Counter(2 * tokens(text))
