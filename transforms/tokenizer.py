"""Trains a byte-level BPE tokenizer on a sample of the corpus, or takes a given one, and encodes documents.

The vocabulary is laid out as GPT-2's and CodeGen's: 256 bytes, merges, `<|endoftext|>` (together `vocab_size`
ids), and on top 38 runs of 31 to 2 spaces and 9 to 2 tabs, for the indentation of code (Nijkamp et al. 2022,
CodeGen; the ids' order is that of its released code). With GPT-2's vocab_size of 50257 that makes 50295 ids,
which fit uint16. Further special tokens, such as those of fill-in-the-middle, come after these.

A sample of the documents, balanced between languages, is drawn by a hash of seed and content id, so that it depends
neither on the order nor on the sharding of the corpus.
"""

import json
import math
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms import lossless
from transforms.buffers import string_buffers
from transforms.byte_level import ByteLevel
from transforms.draws import draw
from transforms.fill_in_the_middle import SENTINELS, FillInTheMiddle, Piece

if TYPE_CHECKING:
    from tokenizers import AddedToken, Tokenizer

END_OF_TEXT = "<|endoftext|>"
RUNS = tuple(" " * length for length in range(31, 1, -1)) + tuple("\t" * length for length in range(9, 1, -1))
RUN_PATTERN = r" {2,31}|\t{2,9}"
BYTES = 256

LONGEST_WORD = 512
"""Characters of a word that a tokenizer learns from in one piece; longer ones are cut. Encoding cuts nothing."""

ENCODE_BYTES = 1 << 20
"""Text encoded at a time: the library's own results take some 100 bytes a token."""

TOKENIZER_FILES = pa.schema(
    [
        field("name", pa.string(), "file name in the tokenizer's folder", nullable=False),
        field("data", pa.binary(), "the file's bytes", nullable=False),
    ]
)
"""A tokenizer's folder, one row per file, as `transformers.AutoTokenizer.from_pretrained` opens it."""


def token_type(vocabulary: int) -> pa.DataType:
    """The smallest integers that hold token ids below `vocabulary`."""
    return pa.uint16() if vocabulary <= 1 << 16 else pa.uint32()


@dataclass(frozen=True)
class SumSizes:
    """The corpus's size by language: sums `size` in rows, in sums of rows, and so on."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("language", "size")

    @property
    def schema(self) -> pa.Schema:
        return pa.schema(
            [
                field("language", pa.string(), "linguist's name; empty where there is none", nullable=False),
                field("size", pa.int64(), "bytes, summed", nullable=False),
            ]
        )

    def load(self) -> BatchFunction:
        def total(batch: pa.RecordBatch) -> pa.RecordBatch:
            languages = pc.fill_null(batch.column("language").cast(pa.string()), "")
            rows = pa.table({"language": languages, "size": batch.column("size").cast(pa.int64())})
            sums = rows.group_by("language").aggregate([("size", "sum")]).sort_by("language")
            columns = [sums["language"].combine_chunks(), pc.fill_null(sums["size_sum"], 0).combine_chunks()]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return total


@dataclass(frozen=True)
class SampleDocuments:
    """Keeps the documents drawn first, some `margin` times `sample_bytes` of a corpus of any size.

    Languages are balanced: each gets a share of the sample in proportion to its size to the power of 0.5, as
    the shared vocabulary of many languages of Lample and Conneau (2019, section 3.1); a language too small for its
    share gives all it has, and the others share the rest. The sizes come as a side table (`SumSizes`), and a
    document's place is its draw over its language's share of itself: a rule for one row, so shards and batches do
    not matter. The margin is there because sizes vary; `TrainTokenizer` cuts to the byte.
    """

    sample_bytes: int = 32 << 20
    seed: int = 0
    margin: float = 1.5
    side: tuple[str, ...] = ("corpus_size",)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content_id", "content", "language")

    @property
    def schema(self) -> pa.Schema:
        drawn = "place in the draw of documents for the sample, lowest first"
        return pa.schema(
            [field("draw", pa.uint64(), drawn, nullable=False), field("content", pa.string(), "the document")]
        )

    def load(self, corpus_size: pa.Table) -> BatchFunction:
        names = corpus_size["language"].combine_chunks()
        shares = sampled_shares(corpus_size["size"].to_numpy(), self.sample_bytes)

        def sample(batch: pa.RecordBatch) -> pa.RecordBatch:
            batch = batch.filter(batch.column("content").is_valid())
            languages = pc.fill_null(batch.column("language").cast(pa.string()), "")
            share = shares[pc.index_in(languages, names).to_numpy(zero_copy_only=False)]
            places = draw(batch.column("content_id"), self.seed) / 2.0**64 / share / self.margin
            kept = np.flatnonzero(places < 1)
            draws = (places[kept] * 2.0**64).astype(np.uint64)
            columns = [pa.array(draws), batch.column("content").take(pa.array(kept)).cast(pa.string())]
            return pa.RecordBatch.from_arrays(columns, schema=self.schema)

        return sample


def sampled_shares(sizes: np.ndarray, sample_bytes: int) -> np.ndarray:
    """The share (0 to 1) of each language's bytes that makes a balanced sample of `sample_bytes` in all.

    Square roots and an exact sum, so that every processor gives the same.
    """
    weights = np.sqrt(np.maximum(sizes, 1))
    whole = np.zeros(len(sizes), bool)
    while not whole.all():
        left = sample_bytes - sizes[whole].sum()
        shares = left * weights / math.fsum(weights[~whole]) / np.maximum(sizes, 1)
        small = ~whole & (shares >= 1)
        if not small.any():
            return np.where(whole, 1.0, shares)
        whole |= small
    return np.ones(len(sizes))


@dataclass(frozen=True)
class TrainTokenizer:
    """Trains the tokenizer on the documents drawn first, up to `sample_bytes`; gives `TOKENIZER_FILES`.

    Its batch must be the whole sample. The result depends on the sample alone, not on its order or on
    threads. A small corpus gives a smaller vocabulary: a merge needs two occurrences. `model_max_length`: in
    tokens, for the tokenizer's users; encoding here is never cut. `special_tokens`: beside end-of-text.
    """

    vocab_size: int = 50257
    sample_bytes: int = 32 << 20
    model_max_length: int = 2048
    special_tokens: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.vocab_size <= BYTES:
            raise ValueError(f"vocab_size {self.vocab_size}: the bytes and end-of-text take {BYTES + 1}")

    @property
    def vocabulary(self) -> int:
        """Upper bound of the number of ids."""
        return self.vocab_size + len(RUNS) + len(self.special_tokens)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("draw", "content")

    @property
    def schema(self) -> pa.Schema:
        return TOKENIZER_FILES

    def load(self) -> BatchFunction:
        def train(batch: pa.RecordBatch) -> pa.RecordBatch:
            order = pc.sort_indices(batch, sort_keys=[("draw", "ascending"), ("content", "ascending")])
            contents = batch.column("content").take(order)
            ends = np.cumsum(pc.binary_length(contents).to_numpy(zero_copy_only=False))
            taken = int(np.searchsorted(ends, self.sample_bytes, side="right"))
            texts = (content.as_py() for content in contents.slice(0, max(taken, 1)))
            tokenizer = train_tokenizer(texts, self.vocab_size)
            tokenizer.add_special_tokens(special(self.special_tokens))
            return tokenizer_files(tokenizer, self.model_max_length)

        return train


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> "Tokenizer":
    """Byte-level BPE (Sennrich et al. 2016; Radford et al. 2019, section 2.2), with CodeGen's runs of blanks.

    The trainer breaks ties by token id, and its ids begin with the 256 bytes in a fixed order, so equal texts
    give an equal tokenizer.
    """
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    # Encoding cuts the added runs out before it splits a text; training does so as well, or merges were
    # wasted on blanks that never reach them.
    runs = pre_tokenizers.Split(Regex(RUN_PATTERN), "removed")
    # The trainer's time grows with the square of a word's length, and a file may be a single word.
    pieces = pre_tokenizers.Split(Regex(f".{{{LONGEST_WORD}}}"), "isolated")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([runs, byte_level, pieces])  # pyright: ignore
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 1,
        min_frequency=2,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.pre_tokenizer = byte_level  # pyright: ignore
    tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
    tokenizer.add_special_tokens(special([END_OF_TEXT]))
    tokenizer.add_tokens([AddedToken(run, normalized=False) for run in RUNS])
    return tokenizer


def special(names: Iterable[str]) -> "list[str | AddedToken]":
    """Tokens that stand for no text."""
    from tokenizers import AddedToken

    return [AddedToken(name, special=True, normalized=False) for name in names]


@dataclass(frozen=True)
class GivenTokenizer:
    """Gives the files of an existing tokenizer.json, whatever rows it gets, in the place of `TrainTokenizer`.

    `end_of_text` is the token that ends a document; it and `special_tokens` are added where the tokenizer lacks them.
    """

    tokenizer_json: bytes
    model_max_length: int = 2048
    end_of_text: str = END_OF_TEXT
    special_tokens: tuple[str, ...] = ()

    @property
    def vocabulary(self) -> int:
        """Upper bound of the number of ids."""
        return max(self._tokenizer().get_vocab().values()) + 1

    @property
    def reads(self) -> tuple[str, ...]:
        return ()

    @property
    def schema(self) -> pa.Schema:
        return TOKENIZER_FILES

    def load(self) -> BatchFunction:
        """Raises ValueError where the bytes are no tokenizer."""
        files = tokenizer_files(self._tokenizer(), self.model_max_length, self.end_of_text)
        return lambda batch: files

    def check(self) -> None:
        """Raises ValueError, with a sample, where the tokenizer does not give every text back (`lossless.probe`)."""
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        _probe(self)

    def _tokenizer(self) -> "Tokenizer":
        tokenizer = read_tokenizer(self._without_holes())
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.add_special_tokens(special(self._named))
        return tokenizer

    @property
    def _named(self) -> tuple[str, ...]:
        return (self.end_of_text, *self.special_tokens)

    def _without_holes(self) -> bytes:
        """The tokenizer, where ids are left out between others with its added tokens in the model's vocabulary as well.

        The library numbers added tokens by the vocabulary's size, which is then the id of another token.
        """
        ids = read_tokenizer(self.tokenizer_json).get_vocab(with_added_tokens=False)
        if not ids or max(ids.values()) < len(ids):
            return self.tokenizer_json
        described = json.loads(self.tokenizer_json)
        vocabulary = described["model"]["vocab"]
        for token in described["added_tokens"]:
            if token["id"] not in vocabulary.values():
                vocabulary.setdefault(token["content"], token["id"])
        for name in self._named:
            vocabulary.setdefault(name, max(vocabulary.values()) + 1)
        return json.dumps(described).encode()


@lru_cache(maxsize=4)
def _probe(given: GivenTokenizer) -> None:
    tokenizer = given._tokenizer()
    tokenizer.encode_special_tokens = True
    ids = tokenizer.get_vocab()
    reserved = {ids[name] for name in given._named}
    # One that is compiled has all bytes and changes none.
    lossless.probe(tokenizer, reserved, sweeps=ByteLevel.of(tokenizer.to_str().encode()) is None)


def read_tokenizer(tokenizer_json: bytes) -> "Tokenizer":
    """Raises ValueError where the bytes are no tokenizer."""
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_str(tokenizer_json.decode())
    except Exception as error:
        raise ValueError(f"not a tokenizer.json: {error}") from error


def tokenizer_files(tokenizer: "Tokenizer", model_max_length: int, end_of_text: str = END_OF_TEXT) -> pa.RecordBatch:
    """The folder that transformers opens, one row per file: `TOKENIZER_FILES`."""
    special_tokens = {"bos_token": end_of_text, "eos_token": end_of_text, "unk_token": end_of_text}
    settings = special_tokens | {
        "clean_up_tokenization_spaces": False,
        "model_input_names": ["input_ids", "attention_mask"],  # some releases would feed token_type_ids otherwise
        "model_max_length": model_max_length,
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    files = {
        "special_tokens_map.json": json.dumps(special_tokens, indent=2),
        "tokenizer.json": tokenizer.to_str(pretty=True),
        "tokenizer_config.json": json.dumps(settings, indent=2, sort_keys=True),
    }
    data = [text.encode() for text in files.values()]
    return pa.RecordBatch.from_arrays([pa.array(list(files)), pa.array(data)], schema=TOKENIZER_FILES)


@dataclass(frozen=True)
class Encode:
    """Encodes documents with the tokenizer of its side table; each ends with end-of-text.

    A text that spells a special token is encoded as the characters it is, so end-of-text ends documents and
    stands nowhere else. With `fim` some documents are rearranged, and sentinels stand between their parts.
    Tokenizers of the kind of GPT-2's are compiled (`ByteLevel`), to the same ids; others are run by their own library.
    `vocabulary`: upper bound of the number of ids, which fixes the integers' type. Worker processes are the
    parallelism: the library's own threads are left off unless TOKENIZERS_PARALLELISM says otherwise, for its thread
    pool would oversubscribe the cores and would not survive a fork.
    """

    vocabulary: int = 50257 + len(RUNS)
    fim: FillInTheMiddle | None = None
    side: tuple[str, ...] = ("tokenizer",)

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content",) if self.fim is None else ("content", "content_id")

    @property
    def adds(self) -> pa.Schema:
        ids = "token ids of the content, and end-of-text"
        return pa.schema(
            [
                field("tokens", pa.large_list(token_type(self.vocabulary)), ids),
                field("token_count", pa.int64(), "number of tokens"),
            ]
        )

    def load(self, tokenizer: pa.Table) -> BatchFunction:
        """Raises ValueError where ids reach beyond `vocabulary`, KeyError where a file is missing."""
        if tokenizer.num_rows == 0:  # a corpus without documents trains none
            return self._encode_nothing
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        files = dict(zip(tokenizer["name"].to_pylist(), tokenizer["data"].to_pylist(), strict=True))
        encoder = read_tokenizer(files["tokenizer.json"])
        encoder.encode_special_tokens = True
        ids = encoder.get_vocab()
        end = ids[json.loads(files["tokenizer_config.json"])["eos_token"]]
        if (largest := max(ids.values())) >= self.vocabulary:
            raise ValueError(f"the tokenizer has the id {largest}, beyond its vocabulary of {self.vocabulary}")
        kernel = ByteLevel.of(files["tokenizer.json"])
        reserved = {end, *(ids[name] for name in SENTINELS if self.fim and name in ids)}
        encode = _compiled(kernel, end) if kernel else _library(encoder, end, reserved)
        integers = np.dtype(str(token_type(self.vocabulary)))

        def columns(batch: pa.RecordBatch) -> pa.RecordBatch:
            contents = batch.column("content")
            if self.fim is None:
                tokens, counts = encode(contents, integers)
            else:
                documents = self.fim.arranged(contents.to_pylist(), batch.column("content_id"))
                pieces = [piece for document in documents for piece in document]
                tokens, counts = _with_sentinels(pieces, ids, *encode(_texts(pieces), integers))
                first = np.cumsum([0, *map(len, documents)])[:-1]
                counts = np.add.reduceat(counts, first) if len(first) else counts
            return self._columns(tokens, counts, contents.is_null())

        return columns

    def _columns(self, tokens: np.ndarray, counts: np.ndarray, unread: pa.BooleanArray) -> pa.RecordBatch:
        offsets = pa.array(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
        values = pa.array(tokens, token_type(self.vocabulary))
        lists = pa.LargeListArray.from_arrays(offsets, values, mask=unread)
        lengths = pa.array(counts, mask=unread.to_numpy(zero_copy_only=False))
        return pa.RecordBatch.from_arrays([lists, lengths], schema=self.adds)

    def _encode_nothing(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        if batch.num_rows:
            raise ValueError("there are documents to encode, but no tokenizer")
        return pa.RecordBatch.from_pylist([], schema=self.adds)


Encoder = Callable[[pa.Array, np.dtype], tuple[np.ndarray, np.ndarray]]
"""Token ids of all texts, one after the other, each with its end-of-text; and how many each has."""


def _texts(pieces: list[Piece]) -> pa.Array:
    return pa.array([piece.text for piece in pieces], pa.large_string())


def _with_sentinels(
    pieces: list[Piece], ids: dict[str, int], tokens: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Encoded pieces and their lengths, with a sentinel, or nothing, in the place of each end-of-text inside a
    document."""
    ends = np.cumsum(counts) - 1
    inside = np.array([not piece.ends for piece in pieces], bool)
    sentinels = np.array([ids[piece.sentinel] if piece.sentinel else -1 for piece in pieces], np.int64)
    told = inside & (sentinels >= 0)
    tokens[ends[told]] = sentinels[told]
    joined = inside & (sentinels < 0)
    return np.delete(tokens, ends[joined]), counts - joined


def _compiled(kernel: ByteLevel, end: int) -> Encoder:
    def encode(texts: pa.Array, integers: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        tokens, ends = kernel.encode(*string_buffers(texts), end, integers)
        return tokens, np.diff(ends, prepend=0)

    return encode


def _library(encoder: "Tokenizer", end: int, reserved: set[int]) -> Encoder:
    """Raises ValueError for a text that the tokenizer does not give back."""

    def encode(texts: pa.Array, integers: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        pieces = [np.empty(0, integers)]
        for low, high in runs_of_bytes(texts, ENCODE_BYTES):
            some = [text or "" for text in texts.slice(low, high - low).to_pylist()]
            encoded = [encoding.ids for encoding in encoder.encode_batch_fast(some, add_special_tokens=False)]
            lossless.check(encoder, some, encoded, reserved)
            pieces += [np.array([*ids, end], integers) for ids in encoded]
        return np.concatenate(pieces), np.array([len(ids) for ids in pieces[1:]], np.int64)

    return encode


def runs_of_bytes(texts: pa.Array, size: int) -> Iterator[tuple[int, int]]:
    """Cuts rows into runs (from, to) of about `size` bytes, one row at least."""
    ends = np.cumsum(pc.fill_null(pc.binary_length(texts), 0).to_numpy(zero_copy_only=False))
    low, before = 0, 0
    while low < len(texts):
        high = max(low + 1, int(np.searchsorted(ends, before + size, side="right")))
        yield low, high
        low, before = high, int(ends[high - 1])
