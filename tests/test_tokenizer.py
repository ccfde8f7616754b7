"""The tokenizer is trained the same way every time, opens in transformers, and loses nothing."""

import inspect
import json
import os
import subprocess
import sys
import sysconfig
from collections import Counter
from collections.abc import Sequence
from hashlib import sha1, sha256
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.draws import draw
from transforms.tokenizer import (
    RUNS,
    Encode,
    GivenTokenizer,
    SampleDocuments,
    SumSizes,
    TrainTokenizer,
)

LIBRARY = Path(sysconfig.get_path("stdlib"))
TEXTS = [path.read_text("utf-8") for path in sorted(LIBRARY.glob("[a-d]*.py"))]
HARD = [
    "def f(x):\r\n\tif x:\r\n\t\t\treturn 'é 漢字 🎉 \u202e'  \t \t # a\n\n\n\n    \t  x\x00\x7f",
    " " * 70 + "x" + "\t" * 20 + "y  ",
    "don't, stop . ! <|endoftext|> ,",
    "\ufeff\ufffe\U0010ffff\u0300",
    "",
]


def sample(texts: list[str]) -> pa.RecordBatch:
    ids = pa.array([sha1(text.encode()).hexdigest() for text in texts])
    return pa.record_batch({"draw": pa.array(draw(ids, 0)), "content": texts})


def files(batch: pa.RecordBatch) -> dict[str, bytes]:
    return dict(zip(batch["name"].to_pylist(), batch["data"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def trained() -> pa.RecordBatch:
    return TrainTokenizer(vocab_size=2000, model_max_length=512).load()(sample(TEXTS))


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    """The tokenizer as its users open it."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    for name, data in files(trained).items():
        (folder / name).write_bytes(data)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module")
def encode(trained):
    return Encode(2038).load(pa.Table.from_batches([trained]))


def tokens(encode, texts: Sequence[str | None]) -> list[list[int] | None]:
    return encode(pa.record_batch({"content": pa.array(texts, pa.string())}))["tokens"].to_pylist()


def test_the_vocabulary_is_laid_out_as_codegens(published):
    assert len(published) == 2000 + 38
    assert published.eos_token_id == 1999
    assert published.convert_tokens_to_ids(list(RUNS)) == list(range(2000, 2038))
    assert (RUNS[0], RUNS[29], RUNS[30], RUNS[-1]) == (" " * 31, "  ", "\t" * 9, "\t\t")
    assert published.model_max_length == 512
    assert published.tokenize("        return\n\t\tx") == ["        ", "return", "Ċ", "\t\t", "x"]


def test_decoding_gives_the_text_back(published, encode):
    texts = HARD + TEXTS[:30]
    for text, ids in zip(texts, tokens(encode, texts), strict=True):
        assert ids is not None
        assert ids[-1] == published.eos_token_id
        assert published.decode(ids[:-1]) == text


def test_ids_are_those_of_the_published_tokenizer(published, encode):
    texts = [text for text in HARD if "<|endoftext|>" not in text] + TEXTS[:30]
    for text, ids in zip(texts, tokens(encode, texts), strict=True):
        assert ids == [*published.encode(text), published.eos_token_id]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.none() | st.text(max_size=30), max_size=6), st.data())
def test_rows_do_not_depend_on_their_batch(encode, texts, data):
    cut = data.draw(st.integers(0, len(texts)))
    whole = tokens(encode, texts)
    assert whole == tokens(encode, texts[:cut]) + tokens(encode, texts[cut:])
    assert [ids is None for ids in whole] == [text is None for text in texts]


def test_a_text_cannot_forge_the_end_of_a_document(encode, published):
    [ids] = tokens(encode, ["a<|endoftext|>b"])
    assert ids is not None
    assert ids.count(published.eos_token_id) == 1


def test_a_long_line_without_blanks_is_encoded_whole(encode, published):
    [ids] = tokens(encode, ["a" * 1_000_000])
    assert ids is not None
    assert published.decode(ids[:-1]) == "a" * 1_000_000


def test_added_columns(encode):
    result = encode(pa.record_batch({"content": pa.array(["x", None, ""])}))
    assert result.schema == Encode(2038).adds
    assert result["token_count"].to_pylist() == [2, None, 1]
    assert result["tokens"].type == pa.large_list(pa.uint16())
    assert Encode(1 << 17).adds.field("tokens").type == pa.large_list(pa.uint32())
    assert encode(pa.record_batch({"content": pa.array([], pa.string())})).num_rows == 0


def test_training_does_not_depend_on_order_threads_or_process(trained):
    digest = sha256(files(trained)["tokenizer.json"]).hexdigest()
    reordered = TrainTokenizer(2000).load()(sample(TEXTS[::-1]))
    assert sha256(files(reordered)["tokenizer.json"]).hexdigest() == digest
    program = inspect.cleandoc("""
        from hashlib import sha256
        from tests.test_tokenizer import TEXTS, TrainTokenizer, files, sample
        print(sha256(files(TrainTokenizer(2000).load()(sample(TEXTS)))["tokenizer.json"]).hexdigest())
    """)
    for threads in ("1", "3"):
        environment = os.environ | {"RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        printed = subprocess.check_output([sys.executable, "-c", program], env=environment, text=True)
        assert printed.strip() == digest


def test_training_takes_the_documents_drawn_first():
    batch = sample(TEXTS)
    order = np.argsort(batch["draw"].to_numpy())
    first = [TEXTS[place] for place in order[:3]]
    size = sum(len(text.encode()) for text in first)
    expected = files(TrainTokenizer(400).load()(sample(first)))
    assert files(TrainTokenizer(400, sample_bytes=size).load()(batch)) == expected
    assert files(TrainTokenizer(400, sample_bytes=size - 1).load()(batch)) != expected


@pytest.mark.parametrize("texts", [[], ["x"], [""]])
def test_a_tiny_corpus_gives_a_small_vocabulary(texts):
    trained = TrainTokenizer().load()(sample(texts) if texts else sample(["x"]).slice(0, 0))
    encode = Encode().load(pa.Table.from_batches([trained]))
    assert tokens(encode, ["ab"]) == [[ord("a") - 33, ord("b") - 33, 256]]


def test_the_sample_does_not_depend_on_batches_and_has_about_the_size_asked_for():
    ids = [sha1(str(number).encode()).hexdigest() for number in range(4000)]
    corpus = pa.record_batch({"content_id": ids, "content": ["x" * 100] * 3999 + [None], "language": ["C"] * 4000})
    size = SumSizes().load()(pa.record_batch({"language": ["C"] * 3999, "size": pa.array([100] * 3999, pa.int64())}))
    sampler = SampleDocuments(sample_bytes=40_000, seed=1, margin=1.5)
    take = sampler.load(pa.Table.from_batches([size, size.slice(0, 0)]))
    whole = take(corpus)
    assert whole.schema == sampler.schema
    assert 50_000 < 100 * whole.num_rows < 70_000
    parts = [take(corpus.slice(low, 700)) for low in range(0, 4000, 700)]
    assert pa.Table.from_batches(parts).combine_chunks() == pa.table(whole)
    everything = SampleDocuments(sample_bytes=1 << 30).load(pa.Table.from_batches([size]))
    assert everything(corpus).num_rows == 3999


def test_languages_are_balanced_in_the_sample():
    """100 files of a rare language, 900 of a common one, 9000 of the commonest, and some of none: shares by the square
    root of size, where the rarest has enough."""
    languages = ["Go"] * 100 + ["C"] * 900 + ["Python"] * 9000 + [None] * 4
    ids = [sha1(str(number).encode()).hexdigest() for number in range(len(languages))]
    texts = [f"{language or 'none':10}" * 10 for language in languages]
    corpus = pa.record_batch({"content_id": ids, "content": texts, "language": pa.array(languages, pa.string())})
    rows = pa.record_batch({"language": corpus["language"], "size": pa.array([100] * len(texts), pa.int64())})
    add = SumSizes().load()
    parts = pa.Table.from_batches([add(rows.slice(0, 777)), add(rows.slice(777)), add(rows.slice(0, 0))])
    sizes = add(parts.combine_chunks().to_batches()[0])
    assert sizes.to_pydict() == {"language": ["", "C", "Go", "Python"], "size": [400, 90_000, 10_000, 900_000]}
    drawn = SampleDocuments(sample_bytes=100_000).load(pa.Table.from_batches([sizes]))(corpus)
    first = drawn["content"].take(pc.sort_indices(drawn["draw"])).to_pylist()[:1000]
    counts = Counter(text[:10].strip() for text in first)
    assert counts["none"] == 4
    assert counts["Go"] == pytest.approx(1000 * 10 / (10 + 30 + 95), rel=0.2)
    assert counts["C"] == pytest.approx(1000 * 30 / (10 + 30 + 95), rel=0.2)
    few = SampleDocuments(sample_bytes=500_000).load(pa.Table.from_batches([sizes]))(corpus)
    assert Counter(text[:10].strip() for text in few["content"].to_pylist())["Go"] == 100


def test_the_draw_depends_on_seed_and_content_alone():
    ids = pa.array([sha1(str(number).encode()).hexdigest() for number in range(1000)])
    assert (draw(ids, 0)[10:] == draw(ids[10:], 0)).all()
    assert (draw(ids, 0) != draw(ids, -1)).all()
    assert abs(draw(ids, 0).astype(float).mean() / 2**64 - 0.5) < 0.05
    assert draw(ids[:0], 0).tolist() == []
    assert draw(pa.array(["0" * 40]), 0).tolist() == [5125628423780814095]  # datasets must keep their bytes


def test_a_given_tokenizer_is_taken_as_it_is(trained):
    tokenizer_json = files(trained)["tokenizer.json"]
    given_files = GivenTokenizer(tokenizer_json, model_max_length=512)
    assert files(given_files.load()(pa.record_batch({}))) == files(trained)
    assert given_files.vocabulary == 2038


def test_a_given_tokenizer_gets_end_of_text_and_loses_truncation(trained):
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(files(trained)["tokenizer.json"].decode())
    tokenizer.enable_truncation(3)
    tokenizer.enable_padding(length=9)
    other = GivenTokenizer(tokenizer.to_str().encode(), end_of_text="</s>")
    assert other.vocabulary == 2039
    rows = other.load()(pa.record_batch({}))
    assert json.loads(files(rows)["tokenizer_config.json"])["eos_token"] == "</s>"
    encode = Encode(other.vocabulary).load(pa.Table.from_batches([rows]))
    [ids] = tokens(encode, ["one two three four five"])
    assert ids is not None
    assert len(ids) > 4
    assert ids[-1] == 2038


def test_mistakes_are_refused(trained):
    with pytest.raises(ValueError, match="vocab_size 256"):
        TrainTokenizer(vocab_size=256)
    with pytest.raises(ValueError, match=r"not a tokenizer.json"):
        GivenTokenizer(b"{}").load()
    with pytest.raises(ValueError, match="the id 2037, beyond its vocabulary of 2000"):
        Encode(2000).load(pa.Table.from_batches([trained]))
    nothing = Encode().load(pa.Table.from_batches([trained]).slice(0, 0))
    assert nothing(pa.record_batch({"content": pa.array([], pa.string())})).schema == Encode().adds
    with pytest.raises(ValueError, match="no tokenizer"):
        nothing(pa.record_batch({"content": ["x"]}))


def test_words_of_a_megabyte_are_learned_from_in_pieces() -> None:
    long = ["x" * 1_000_000, "\n" * 1_000_000, "é" * 500_000]
    trained = TrainTokenizer(vocab_size=600, model_max_length=512).load()(sample([*long, *TEXTS[:3]]))
    assert {"tokenizer.json"} <= set(files(trained))
