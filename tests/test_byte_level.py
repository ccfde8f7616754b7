"""The compiled encoder gives the ids of the saved tokenizer, whatever the text; other tokenizers stay with theirs."""

import json
import random
import sysconfig
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, normalizers

from tests.test_tokenizer import HARD, TEXTS, files, sample
from transforms.buffers import string_buffers
from transforms.byte_level import ByteLevel
from transforms.tokenizer import Encode, GivenTokenizer, TrainTokenizer

PACKAGES = Path(sysconfig.get_path("purelib"))
REAL = TEXTS + [
    text
    for path in sorted(PACKAGES.glob("pip*/**/*"))[:400]
    if path.is_file() and "\ufffd" not in (text := path.read_text("utf-8", "replace"))
]
PIECES = st.one_of(
    st.text(max_size=12),
    st.text(alphabet=" \t\n\r'", max_size=45),
    st.sampled_from(["'ll", "'re", "'S", "don't", "<|endoftext|>", "\r\n", "\u00a0", "\u2003\u2003x", "\u3000", "٣½Ⅷ"]),
    st.sampled_from(["\x85", "\x1c", "\u200b", "\ufeff", "e\u0301", "漢字かな", "🎉👩‍💻", "\U0001d7d8", "\U0010ffff"]),
    st.builds(lambda text, times: text * times, st.sampled_from(["a", "=", "7", " ", "\t", "\n", "é", "ab", "-*"]),
              st.integers(1, 200)),
)  # fmt: skip


def test_ids_of_real_files_are_the_saved_tokenizers(trained, saved):
    assert len(REAL) > 150
    assert encoded(trained, REAL) == [saved.encode(text).ids for text in REAL]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.lists(PIECES, max_size=8).map("".join), max_size=5))
def test_ids_of_any_text_are_the_saved_tokenizers(trained, saved, texts):
    assert encoded(trained, texts) == [saved.encode(text).ids for text in texts]


def test_every_character_is_of_the_class_that_the_library_gives_it(trained, saved):
    points = [*range(0xD800), *range(0xE000, 0x110000)]
    texts = ["".join(f"{chr(point)}a{chr(point)}1 {chr(point)}\n" for point in points[low::97]) for low in range(97)]
    assert encoded(trained, texts[:9]) == [saved.encode(text).ids for text in texts[:9]]


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, "=" * 500_001, " " * 1_000_000, "\n" * 300_000 + "x", "漢" * 100_000, "\t" * 9999 + " " * 32],
    ids=["letters", "signs", "spaces", "line ends", "ideographs", "tabs"],
)
def test_very_long_runs_are_encoded_like_any_other(trained, saved, text):
    assert encoded(trained, [text]) == [saved.encode(text).ids]


def test_long_pieces_without_rhythm(trained, saved):
    letters = random.Random(0).choices("etaoinshrdlu", k=50_000)
    text = "".join(letters)
    assert encoded(trained, [text, text[:63], text[:64], text[:65]]) == [
        saved.encode(part).ids for part in (text, text[:63], text[:64], text[:65])
    ]


def test_a_tokenizer_without_runs_of_blanks_is_compiled_too(trained):
    """GPT-2's own has none."""
    described = json.loads(trained)
    described["added_tokens"] = [token for token in described["added_tokens"] if token["special"]]
    plain = json.dumps(described).encode()
    tokenizer = Tokenizer.from_str(plain.decode())
    tokenizer.encode_special_tokens = True
    assert encoded(plain, HARD) == [tokenizer.encode(text).ids for text in HARD]


def test_another_order_of_ids_than_of_merges_makes_no_difference(trained):
    described = json.loads(trained)
    names = list(described["model"]["vocab"])
    described["model"]["vocab"] = {name: 1999 - place for place, name in enumerate(names)}
    for token in described["added_tokens"]:
        token["id"] = described["model"]["vocab"].get(token["content"], token["id"])
    turned = json.dumps(described).encode()
    tokenizer = Tokenizer.from_str(turned.decode())
    tokenizer.encode_special_tokens = True
    assert encoded(turned, TEXTS[:20]) == [tokenizer.encode(text).ids for text in TEXTS[:20]]


def _lowercase(tokenizer: Tokenizer) -> None:
    tokenizer.normalizer = normalizers.Lowercase()  # pyright: ignore


def _prefixed(tokenizer: Tokenizer) -> None:
    tokenizer.pre_tokenizer.add_prefix_space = True  # pyright: ignore


def _digits(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens([AddedToken("def ", normalized=False)])


def _stripping(tokenizer: Tokenizer) -> None:
    tokenizer.add_special_tokens([AddedToken("<mask>", lstrip=True)])


def _gap(tokenizer: Tokenizer) -> None:
    tokenizer.add_tokens([AddedToken(" " * 40, normalized=False)])


@pytest.mark.parametrize("change", [_lowercase, _prefixed])
def test_a_tokenizer_that_changes_texts_encodes_none(trained, change):
    other = Tokenizer.from_str(trained.decode())
    change(other)
    given_files = GivenTokenizer(other.to_str().encode())
    rows = pa.Table.from_batches([given_files.load()(pa.record_batch({}))])
    encode = Encode(given_files.vocabulary).load(rows)
    with pytest.raises(ValueError, match=r"it cannot give every text back: .* comes back as "):
        encode(pa.record_batch({"content": ["x", "Upper case"]}))


@pytest.mark.parametrize("change", [_digits, _stripping, _gap])
def test_a_tokenizer_of_another_kind_stays_with_the_library(trained, change):
    other = Tokenizer.from_str(trained.decode())
    change(other)
    given_files = GivenTokenizer(other.to_str().encode())
    rows = pa.Table.from_batches([given_files.load()(pa.record_batch({}))])
    assert ByteLevel.of(other.to_str().encode()) is None
    texts = [*HARD, " " * 45, "def f<mask>", "don't"]
    other.encode_special_tokens = True
    ids = Encode(given_files.vocabulary).load(rows)(pa.record_batch({"content": texts}))["tokens"].to_pylist()
    assert [row[:-1] for row in ids] == [other.encode(text).ids for text in texts]


@pytest.fixture(scope="module")
def trained() -> bytes:
    return files(TrainTokenizer(vocab_size=2000).load()(sample(TEXTS)))["tokenizer.json"]


@pytest.fixture(scope="module")
def saved(trained) -> Tokenizer:
    tokenizer = Tokenizer.from_str(trained.decode())
    tokenizer.encode_special_tokens = True
    return tokenizer


def encoded(tokenizer_json: bytes, texts: list[str]) -> list[list[int]]:
    compiled = ByteLevel.of(tokenizer_json)
    assert compiled
    data, offsets = string_buffers(pa.array(texts, pa.string()))
    ids, ends = compiled.encode(data, offsets, 1999, np.dtype(np.uint16))
    rows = np.split(ids, ends)[: len(texts)]
    assert all(row[-1] == 1999 for row in rows)
    return [row[:-1].tolist() for row in rows]
