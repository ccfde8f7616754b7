"""Packing keeps every token, and the way back from each to its document."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.pack import Pack, ShuffleBlocks
from transforms.tokenizer import token_type

END = 7


def encoded(documents: list[list[int] | None], vocabulary: int = 1 << 16) -> pa.RecordBatch:
    rows = [None if tokens is None else [*tokens, END] for tokens in documents]
    return pa.record_batch(
        {
            "tokens": pa.array(rows, pa.large_list(token_type(vocabulary))),
            "token_count": pa.array([None if row is None else len(row) for row in rows], pa.int64()),
            "content_id": [f"{abs(hash(tuple(row or ()))):040x}" for row in rows],
            "row_id": pa.array(((5 << 32) + np.arange(len(rows))).tolist(), pa.int64()),
        }
    )


def traced(blocks: pa.RecordBatch) -> dict[int, list[int]]:
    """Each document's tokens, found by following every single token of every block back to its document."""
    pieces: dict[int, dict[int, int]] = {}
    for block in blocks.to_pylist():
        starts = np.array(block["starts"])
        for place, token in enumerate(block["tokens"][: block["token_count"]]):
            entry = np.searchsorted(starts, place, side="right") - 1
            assert pieces.setdefault(block["documents"][entry], {}).setdefault(place - starts[entry], token) == token
    return {document: [tokens[place] for place in range(len(tokens))] for document, tokens in pieces.items()}


documents = st.lists(st.none() | st.lists(st.integers(8, 65535), max_size=40), max_size=12)


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(1, 16), st.integers(-3, 3))
def test_every_token_is_kept_and_maps_back_to_its_document(documents, block, seed):
    batch = encoded([[1], *documents]).slice(1)
    blocks = Pack(block, seed=seed).load()(batch)
    assert blocks.schema == Pack(block).schema
    expected = {row["row_id"]: row["tokens"] for row in batch.to_pylist() if row["tokens"] is not None}
    assert traced(blocks) == expected
    assert sum(blocks["token_count"].to_pylist()) == sum(map(len, expected.values()))
    rows = blocks.to_pylist()
    stream = [token for row in rows for token in row["tokens"][: block - row["padding"]]]
    order = list(dict.fromkeys(document for row in rows for document in row["documents"]))
    assert stream == [token for document in order for token in expected[document]]


@settings(max_examples=60, deadline=None)
@given(documents, st.integers(2, 9))
def test_only_the_last_block_is_padded_and_with_end_of_text(documents, block):
    rows = Pack(block).load()(encoded(documents)).to_pylist()
    assert all(row["padding"] == 0 for row in rows[:-1])
    for row in rows[-1:]:
        assert 0 <= row["padding"] < block
        assert row["tokens"][block - row["padding"] :] == [END] * row["padding"]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(8, 99), max_size=9), min_size=1, max_size=9), st.randoms())
def test_the_order_of_arrival_is_of_no_account(documents, random):
    batch = encoded(documents)
    arrival = random.sample(range(batch.num_rows), batch.num_rows)
    blocks = Pack(4).load()(batch)
    assert Pack(4).load()(batch.take(pa.array(arrival))).equals(blocks)
    mixed = blocks.take(pa.array(random.sample(range(blocks.num_rows), blocks.num_rows)))
    assert ShuffleBlocks(4).load()(mixed).equals(ShuffleBlocks(4).load()(blocks))


def test_documents_are_shuffled_by_the_seed():
    batch = encoded([[number] for number in range(100, 200)])
    orders = [Pack(2, seed=seed).load()(batch)["tokens"].flatten()[::2].to_pylist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert sorted(orders[0]) == sorted(orders[2]) == list(range(100, 200))
    assert orders[0] != orders[2] != list(range(100, 200)) != orders[0]


@settings(max_examples=60, deadline=None)
@given(documents)
def test_shuffled_blocks_are_the_same_blocks(documents):
    blocks = Pack(4).load()(encoded(documents))
    shuffled = ShuffleBlocks(4, seed=3).load()(blocks)
    assert shuffled.schema == blocks.schema
    assert Counter(map(str, shuffled.to_pylist())) == Counter(map(str, blocks.to_pylist()))


def test_blocks_are_shuffled_by_the_seed_in_slices_as_well():
    blocks = Pack(8).load()(encoded([list(range(100, 900))]))
    some = blocks.slice(20, 60)
    orders = [ShuffleBlocks(8, seed=seed).load()(some)["tokens"].to_pylist() for seed in (0, 1)]
    assert sorted(orders[0]) == sorted(orders[1]) == some["tokens"].to_pylist()
    assert orders[0] != orders[1] != some["tokens"].to_pylist() != orders[0]


def test_the_shuffled_order_never_changes():
    """Datasets must keep their bytes from one release of numpy or of Python to the next."""
    ids = [f"{number:040x}" for number in range(6)]
    batch = encoded([[number] for number in range(10, 16)]).set_column(2, "content_id", pa.array(ids))
    assert Pack(2).load()(batch)["tokens"].flatten()[::2].to_pylist() == [12, 15, 10, 14, 13, 11]


@pytest.mark.parametrize(("vocabulary", "integers"), [(1 << 16, pa.uint16()), ((1 << 16) + 1, pa.uint32())])
def test_the_vocabulary_decides_the_integers(vocabulary, integers):
    blocks = Pack(4, vocabulary).load()(encoded([[vocabulary - 1]], vocabulary))
    assert blocks["tokens"].type == pa.list_(integers, 4)
    assert blocks["tokens"].to_pylist() == [[vocabulary - 1, END, END, END]]
    assert blocks["padding"].to_pylist() == [2]
