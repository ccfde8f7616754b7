"""Words for benchmarks: the compiled reading is that of the definition, and encodings of one text are one text."""

import hashlib
import json
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.test_scripts import LANGUAGES, text_of
from tests.words import ASCII_TOKEN, characters, kind_of
from transforms.words import IGNORABLE, alphabet, word_hashes


def hashes_of(text: str) -> list[int]:
    return word_hashes(np.frombuffer(text.encode(), np.uint8), *alphabet())[0].tolist()


def fnv(word: str) -> int:
    value = 0xCBF29CE484222325
    for character in word:
        value = (value ^ ord(character)) * 0x100000001B3 & (1 << 64) - 1
    return value


def folded(character: str) -> str:
    """By Unicode's own means."""
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
    kept = (one for one in decomposed if not unicodedata.combining(one) and unicodedata.category(one) != "Cf")
    return "".join(one for one in kept if kind_of(one) not in ".S" and one not in IGNORABLE)


def words(text: str) -> list[str]:
    """By the definition, character by character."""
    found: list[str] = []
    begun = "."
    for character in text:
        kind = "." if kind_of(character) == "S" else kind_of(character)
        form = character if kind == "U" else folded(character)
        if kind != "." and not form:
            continue
        if kind in "IU" or (kind != "." and (begun == "." or (kind != "M" and begun in "IU"))):
            found.append(form)
            begun = kind
        elif kind == ".":
            begun = "."
        else:
            found[-1] += form
    return found


@settings(deadline=None, max_examples=300)
@given(st.text(st.one_of(characters, st.sampled_from("aÉß日ัにか\u3099한ɑ ﷺ.ﬁＡ\u0301\u200d_9")), max_size=80))
@example("日\u0301a\u0301 \u0301b")
def test_words_are_read_as_defined(text: str) -> None:
    text = text.replace("\\", " ")
    assert hashes_of(text) == [fnv(word) for word in words(text)]


@settings(deadline=None)
@given(st.text(st.characters(codec="ascii", exclude_characters="\\")))
def test_ascii_words_are_what_they_have_been(text: str) -> None:
    assert hashes_of(text) == [fnv(word.lower()) for word in ASCII_TOKEN.findall(text)]


@settings(deadline=None, max_examples=300)
@given(st.text(characters, max_size=40))
@example("ệ ậ q\u0307\u0323 가각힣 が ၦ ཀྵ ΐ ≠ Å")
def test_composed_and_decomposed_texts_are_one(text: str) -> None:
    text = text.replace("\\", " ")
    assert (
        len({tuple(hashes_of(unicodedata.normalize(form, text))) for form in ("NFC", "NFD")} | {tuple(hashes_of(text))})
        == 1
    )


def escaped_twice(text: str) -> str:
    return json.dumps(json.dumps(text))


@pytest.mark.parametrize("language", [*LANGUAGES, "vi", "fr", "de"])
@pytest.mark.parametrize("change", [str.upper, str.casefold, str.title, json.dumps, escaped_twice, ascii])
def test_case_and_escapes_do_not_matter(language: str, change) -> None:
    text = text_of(language)
    assert len(hashes_of(text)) >= 60
    assert hashes_of(change(text)) == hashes_of(text)


def test_folding_is_the_same_on_every_python() -> None:
    tables = b"".join(table.astype("<u4").tobytes() for table in alphabet())
    assert hashlib.sha256(tables).hexdigest()[:16] == "b261cc334f7140f8"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("print(x_1 + y)", "ｐｒｉｎｔ（ｘ＿１　＋　ｙ）"),
        ("カタカナ ガギグ パ", "ｶﾀｶﾅ ｶﾞｷﾞｸﾞ ﾊﾟ"),
        ("한글", "\u1112\u1161\u11ab\u1100\u1173\u11af"),
        ("الله لا", "\ufdf2 \ufefb"),
        ("fi x2 (1)", "ﬁ x² ⑴"),
        ("учетная запись", "Учётная запись"),
        ("كتب شعر", "كَتَبَ شِعْرٌ"),
        ("שלום", "שָׁלוֹם"),
        ("tieng Viet", "tiếng Việt"),
        ("Straße ΣΟΦΟΣ", "STRASSE σοφος"),
        ("soft hyphen", "so\u00adft hy\u00adphen"),
        ("\u200eabc\u200f def", "abc def"),
        ("\\u0041\\x42\\U00000043 \\ud83d\\ude00", "abc 😀"),
    ],
)
def test_these_are_one_text(one: str, other: str) -> None:
    assert hashes_of(one) == hashes_of(other)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "1", "22", "日", "слово"]), min_size=1, max_size=5), min_size=1),
    st.sampled_from(["{} ", "x = ", "print(", "{}: puts(", "日 "]),
)
def test_what_begins_every_line_is_left_out(lines: list[list[str]], before: str) -> None:
    """And of each line as much as without it, but for the first."""
    plain = [" ".join(line) for line in lines]
    wrapped = [before.format(number) + line for number, line in enumerate(plain)]

    def left(text: list[str]) -> list[int]:
        data = np.frombuffer("\n\n".join(text).encode(), np.uint8)
        hashes, _, repeated = word_hashes(data, *alphabet())
        return hashes[~repeated].tolist()

    assert left(wrapped) == hashes_of(before.format(0)) + left(plain)


BROKEN = ("\\", "\\u", "\\ud83d", "\\ud83d\\", "\\ud83dx", "\\udc00", "\\Uffffffff", "\\x", "\\\\\\u12", "\\u00e9\\u00")


@pytest.mark.parametrize("text", BROKEN)
def test_broken_escapes_separate(text: str) -> None:
    assert hashes_of(f"one {text} two")[0] == fnv("one")
    assert hashes_of(f"one {text} two")[-1] == fnv("two")
    assert hashes_of(text) == hashes_of(text + " ")
