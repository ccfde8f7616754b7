"""Signatures are datasketch's, bit for bit; shingle sets give exact similarities, in any script."""

import datasketch
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.words import characters, shingles
from transforms.minhash import MinHash, ShingleSets, signatures_of

pieces = st.one_of(
    st.sampled_from(["a", "b", "self", "return", "x" * 60, "y" * 300, "_", "naïve", "日本", "ที่", "हिन्दी", "한국"]),
    st.sampled_from(["e\u0301\u0323", "\u0301", "a\u200cb", "\u200b", "\ufeff", "\ue000", "👩\u200d👧", "🇬🇷", "©®"]),
    st.text(characters, max_size=12),
    st.text("abcdefgh_019", min_size=1, max_size=40),
)
separators = st.sampled_from(["", " ", "\n", "  ", ".", "(", " = ", "\t\t", "。", "\u3000"])
documents = st.lists(st.tuples(pieces, separators), max_size=120).map(lambda parts: "".join(w + s for w, s in parts))


def sketch(text: str, ngram: int = 5, permutations: int = 256, seed: int = 1) -> np.ndarray:
    """By the definition, with Python's and datasketch's own means."""
    made = datasketch.MinHash(num_perm=permutations, seed=seed)
    made.update_batch([shingle.encode() for shingle in shingles(text, ngram)])
    return made.hashvalues


def content(*texts: str | None) -> pa.RecordBatch:
    return pa.record_batch({"content": pa.array(texts, pa.string())})


def sets_of(*texts: str | None) -> list[list[int] | None]:
    return ShingleSets().load()(content(*texts)).column("shingle_set").to_pylist()


@settings(deadline=None, max_examples=60)
@given(st.lists(documents, min_size=1, max_size=6))
def test_signature_is_datasketchs_own(texts: list[str]) -> None:
    sign = MinHash(permutations=256, seed=1, min_shingles=1).load()
    measured = sign(content(*texts))
    signatures = signatures_of(measured.column("minhash"))
    for row, text in enumerate(texts):
        assert measured.column("shingles")[row].as_py() == len(shingles(text))
        assert measured.column("minhash")[row].is_valid == bool(shingles(text))
        if shingles(text):
            np.testing.assert_array_equal(signatures[row], sketch(text))


def test_other_settings_are_datasketchs_too() -> None:
    text = " ".join(f"token{number % 70}" for number in range(200))
    sign = MinHash(ngram=3, permutations=64, seed=7).load()
    [signature] = signatures_of(sign(content(text)).column("minhash"))
    np.testing.assert_array_equal(signature, sketch(text, 3, 64, 7))


def test_our_signatures_feed_datasketchs_index() -> None:
    text = " ".join(f"name_{number}" for number in range(300))
    batch = MinHash().load()(content(text, text.replace("name_7 ", "other "), text[::-1]))
    sketches = [
        datasketch.MinHash(hashvalues=row, seed=1, scheme="affine32") for row in signatures_of(batch.column("minhash"))
    ]
    index = datasketch.MinHashLSH(threshold=0.7, num_perm=256)
    for key, sketch in enumerate(sketches):
        index.insert(key, sketch)
    assert set(index.query(sketches[0])) == {0, 1}


def test_messages_of_every_length_around_a_sha1_block() -> None:
    """Shingles of 5 to 260 bytes: the padding falls at every place of a block, in one to five blocks."""
    texts = [" ".join(["ab"] * 4 + ["c" * size, "d", "ef"]) for size in range(1, 250)]
    measured = MinHash(min_shingles=1).load()(content(*texts))
    for text, signature in zip(texts, signatures_of(measured.column("minhash")), strict=True):
        np.testing.assert_array_equal(signature, sketch(text))


def test_short_and_unread_texts_have_no_signature() -> None:
    nine = " ".join(f"t{number}" for number in range(13))
    ten = " ".join(f"t{number}" for number in range(14))
    measured = MinHash(min_shingles=10).load()(content(None, "", "import os", nine, ten))
    assert measured.column("shingles").to_pylist() == [None, 0, 0, 9, 10]
    assert measured.column("minhash").is_valid().to_pylist() == [False, False, False, False, True]
    assert sets_of(None, "", "import os") == [None, [], []]


@pytest.mark.parametrize("transform", [MinHash(min_shingles=1), ShingleSets()])
def test_batches_and_slices_do_not_matter(transform: MinHash | ShingleSets) -> None:
    texts = [" ".join(f"w{number % modulus}" for number in range(60)) for modulus in range(1, 20)] + [
        None,
        "",
    ]
    batch = content(*texts)
    measure = transform.load()
    whole = measure(batch)
    assert whole.schema.equals(transform.adds)
    parts = [measure(batch.slice(start, 4)) for start in range(0, batch.num_rows, 4)]
    assert pa.Table.from_batches(parts).to_pylist() == whole.to_pylist()
    assert measure(batch.slice(0, 0)).num_rows == 0


@settings(deadline=None, max_examples=40)
@given(documents, documents)
def test_shingle_sets_give_exact_similarities(one: str, other: str) -> None:
    first, second = sets_of(one, other)
    assert first is not None
    assert second is not None
    assert first == sorted(set(first))
    assert len(first) == len(shingles(one))
    assert len(set(first) & set(second)) == len(shingles(one) & shingles(other))
