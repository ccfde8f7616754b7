"""Fill-in-the-middle rearranges the share of documents asked for, loses nothing, and forges no sentinel."""

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer

from jobs import why
from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import stdlib
from tests.test_tokenizer import HARD, TEXTS, files, sample
from transforms.fill_in_the_middle import MIDDLE, PREFIX, SENTINELS, SUFFIX, FillInTheMiddle
from transforms.tokenizer import Encode, GivenTokenizer, TrainTokenizer

FORGED = "a<|fim_prefix|>b<|fim_suffix|>c<|fim_middle|>d<|endoftext|>e"


@pytest.fixture(scope="module")
def trained() -> pa.RecordBatch:
    return TrainTokenizer(vocab_size=600, special_tokens=SENTINELS).load()(sample(TEXTS[:20]))


@pytest.fixture(scope="module")
def published(trained, tmp_path_factory):
    """The tokenizer as its users open it."""
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    for name, data in files(trained).items():
        (folder / name).write_bytes(data)
    return AutoTokenizer.from_pretrained(folder)


def batch(texts: list[str | None]) -> pa.RecordBatch:
    ids = [f"{number:040x}" for number in range(len(texts))]
    return pa.record_batch({"content": pa.array(texts, pa.string()), "content_id": pa.array(ids, pa.string())})


def encoded(trained: pa.RecordBatch, texts: list[str | None], **fim) -> list[list[int] | None]:
    encode = Encode(641, FillInTheMiddle(**fim)).load(pa.Table.from_batches([trained]))
    made = encode(batch(texts))
    assert made["token_count"].to_pylist() == [None if row is None else len(row) for row in made["tokens"].to_pylist()]
    return made["tokens"].to_pylist()


def restored(published, ids: list[int]) -> str:
    """The document that its tokens stand for, whichever order they are in."""
    prefix, middle, suffix = published.convert_tokens_to_ids([PREFIX, MIDDLE, SUFFIX])
    assert ids[-1] == published.eos_token_id
    assert published.eos_token_id not in ids[:-1]
    if ids[0] != prefix:
        return published.decode(ids[:-1])
    assert [sum(found == sentinel for found in ids) for sentinel in (prefix, middle, suffix)] == [1, 1, 1]
    at_suffix, at_middle = ids.index(suffix), ids.index(middle)
    assert at_suffix < at_middle
    before, after, last = ids[1:at_suffix], ids[at_suffix + 1 : at_middle], ids[at_middle + 1 : -1]
    # The suffix ends the document in both orders; of SPM nothing stands before it, and prefix and middle after it.
    return published.decode(before) + published.decode(last) + published.decode(after)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.none() | st.text(max_size=60) | st.sampled_from([*HARD, FORGED]), max_size=8),
    st.sampled_from([0.0, 0.5, 1.0]),
    st.integers(0, 5),
)
def test_documents_come_back_from_their_parts(trained, published, texts, spm_rate, seed):
    for text, ids in zip(texts, encoded(trained, texts, rate=1.0, spm_rate=spm_rate, seed=seed), strict=True):
        assert (text is None) == (ids is None)
        if text is not None and ids is not None:
            parts = [published.decode(part) for part in _split(published, ids)]
            assert "\ufffd" in text or not any("\ufffd" in part for part in parts)  # cuts are between characters
            assert restored(published, ids) == text


def _split(published, ids: list[int]) -> list[list[int]]:
    marks = [place for place, found in enumerate(ids) if found in published.convert_tokens_to_ids(list(SENTINELS))]
    return [ids[low + 1 : high] for low, high in zip(marks, [*marks[1:], len(ids) - 1], strict=True)]


def test_ids_are_those_of_the_published_tokenizer(trained, published):
    """The parts spelled out with their sentinels are encoded to the same ids, but for SPM's unmarked seam."""
    for text, ids in zip(TEXTS[:40], encoded(trained, TEXTS[:40], rate=1.0, spm_rate=0.0), strict=True):
        before, after, last = (published.decode(part) for part in _split(published, ids))
        assert published.encode(f"{PREFIX}{before}{SUFFIX}{after}{MIDDLE}{last}") == ids[:-1]
        assert before + last + after == text


def test_rates_hold_and_depend_on_seed_and_content_id_alone(trained, published):
    texts = [f"number {n}" for n in range(2000)]
    prefix, suffix = published.convert_tokens_to_ids([PREFIX, SUFFIX])
    rows = encoded(trained, texts, rate=0.5, spm_rate=0.2, seed=1)
    moved = [row for row in rows if row[0] == prefix]
    spm = [row for row in moved if row[1] == suffix]
    assert len(moved) == pytest.approx(1000, rel=0.1)
    assert len(spm) == pytest.approx(0.2 * len(moved) + 0.8 * len(moved) / 8, rel=0.35)  # some prefixes are empty
    assert encoded(trained, texts, rate=0.5, spm_rate=0.2, seed=1) == rows
    assert encoded(trained, texts, rate=0.5, spm_rate=0.2, seed=2) != rows
    fim = FillInTheMiddle(0.5, 0.2, 1)
    whole = batch(texts)
    reverse = whole.take(pa.array(range(1999, -1, -1)))
    assert (
        fim.arranged(reverse["content"].to_pylist(), reverse["content_id"])
        == fim.arranged(texts, whole["content_id"])[::-1]
    )
    assert all(len(pieces) == 1 for pieces in FillInTheMiddle(0.0).arranged(texts, whole["content_id"]))


def test_cuts_are_spread_over_the_whole_document():
    """Two even draws, in order: the middle is a third of the document on average, and so are the others."""
    count = 3000
    made = FillInTheMiddle(1.0, 0.0).arranged(["x" * 100] * count, batch(["x"] * count)["content_id"])
    for part in ("prefix", "middle", "suffix"):
        lengths = [len(piece.text) for pieces in made for piece in pieces if piece.part == part]
        assert sum(lengths) / count == pytest.approx(100 / 3, rel=0.06)


def test_a_file_cannot_forge_a_sentinel(trained, published):
    [ids] = encoded(trained, [FORGED], rate=0.0)
    assert not set(ids[:-1]) & set(published.all_special_ids + published.convert_tokens_to_ids(list(SENTINELS)))
    assert published.decode(ids[:-1]) == FORGED
    [ids] = encoded(trained, [FORGED], rate=1.0)
    assert restored(published, ids) == FORGED


def test_a_given_tokenizer_gets_the_sentinels_and_they_are_special(trained):
    """Some published tokenizers hold them as tokens that a text may spell."""
    tokenizer = Tokenizer.from_str(files(TrainTokenizer(600).load()(sample(TEXTS[:20])))["tokenizer.json"].decode())
    tokenizer.add_tokens([AddedToken(SUFFIX, special=False, normalized=False)])
    own = GivenTokenizer(tokenizer.to_str().encode(), special_tokens=SENTINELS)
    rows = pa.Table.from_batches([own.load()(pa.record_batch({}))])
    saved = Tokenizer.from_str(files(rows)["tokenizer.json"].decode())
    assert [saved.token_to_id(name) for name in (SUFFIX, PREFIX, MIDDLE)] == [638, 639, 640]
    encode = Encode(own.vocabulary, FillInTheMiddle(0.0)).load(rows)
    [ids] = encode(batch([FORGED]))["tokens"].to_pylist()
    assert not set(ids[:-1]) & {599, 638, 639, 640}
    assert saved.decode(ids[:-1]) == FORGED


def test_a_recipe_asks_for_it_and_a_token_leads_back_to_its_place(tmp_path: Path) -> None:
    for module in ("heapq", "bisect", "queue", "sched", "shelve", "keyword"):
        (tmp_path / "dumps" / module).mkdir(parents=True)
        (tmp_path / "dumps" / module / "code.py").write_text(stdlib(module))
    (tmp_path / "recipe.yaml").write_text(
        f"sources: [{{kind: directory, uri: {tmp_path}/dumps/*}}]\n"
        "tokenize: {vocab_size: 600, block: 64, fim: {rate: 0.7}}\noutput: {shards: 2}\nengine: {kind: inline}\n"
        + "".join(f"{block}: {{enabled: false}}\n" for block in ("license", "toxicity", "pii", "decontaminate"))
    )
    store = Store(str(tmp_path / "out"))
    run(load_recipe(tmp_path / "recipe.yaml"), store)
    corpus = {row["repo"]: row["content"] for row in store.table("corpus").to_pylist()}
    told, files_told = set(), set()
    for block in range(0, store.committed("tokens").rows, 2):
        for offset in (0, 7, 40):
            token = why.token(store, block, offset)
            files_told.add(token.repo)
            if token.rearranged and "character" in token.rearranged and "\ufffd" not in token.text:
                part, _, place = token.rearranged.partition(", character ")
                start = int(place.split()[0].replace(",", ""))
                assert corpus[token.repo][start : start + len(token.text)] == token.text
                told.add(part)
    assert told == {"its prefix", "its middle", "its suffix"}
    assert files_told == set(corpus)
