"""Speed of decontamination, tokenizer training, encoding and packing, on one core.

    python -m tests.benchmarks.tokenize_speed [FOLDER] [--megabytes 64]

reads text files below FOLDER (by default the packages of this Python environment) and prints MB/s of text.
"""

import argparse
import os
import random
import resource
import sysconfig
import time
from collections.abc import Callable
from hashlib import sha1
from pathlib import Path

import pyarrow as pa

from jobs.benchmarks import benchmark
from transforms.byte_level import byte_symbols
from transforms.decontaminate import Decontaminate
from transforms.pack import Pack, ShuffleBlocks
from transforms.tokenizer import END_OF_TEXT, RUNS, Encode, SampleDocuments, SumSizes, TrainTokenizer

SAMPLE_BYTES = 32 << 20
PATTERN = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
"""GPT-2's pattern, as tiktoken is fastest with it."""
LONG = 1_000_000
WORST = {
    "one letter": "a" * LONG,
    "random letters": "".join(random.Random(0).choices("abcdefghijklmnopqrstuvwxyz", k=LONG)),
    "random digits": "".join(random.Random(0).choices("0123456789", k=LONG)),
    "spaces": " " * LONG,
    "line ends": "\n" * LONG,
    "random ideographs": "".join(chr(random.Random(n).randrange(0x4E00, 0x9FFF)) for n in range(LONG // 3)),
}


def corpus(folder: Path, megabytes: int) -> pa.RecordBatch:
    """Text files in a random order, as corpus rows."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    random.Random(0).shuffle(paths)
    texts: dict[str, str] = {}
    size = 0
    for path in paths:
        data = path.read_bytes() if path.stat().st_size < 1 << 20 else b"\0"
        try:
            texts[sha1(data).hexdigest()] = data.decode()
        except UnicodeDecodeError:
            continue
        size += len(data)
        if size > megabytes * 1e6:
            break
    texts = {name: text for name, text in texts.items() if "\0" not in text}
    columns = {
        "content_id": list(texts),
        "content": list(texts.values()),
        "row_id": range(len(texts)),
        "language": ["none"] * len(texts),
    }
    return pa.record_batch({name: pa.array(values) for name, values in columns.items()})


def timed(function: Callable[[pa.RecordBatch], pa.RecordBatch], batch: pa.RecordBatch) -> tuple:
    """The function's result and the CPU seconds it took, all threads together."""
    started = time.process_time()
    result = function(batch)
    return result, time.process_time() - started


def _compare(batch: pa.RecordBatch, tokens: pa.RecordBatch, files: pa.RecordBatch, megabytes: float) -> None:
    """The same texts by the library that wrote the tokenizer, to compare every id, and by tiktoken.

    tiktoken gets the same merges as ranks of bytes, which the ids of our vocabulary are.
    """
    import tiktoken
    from tokenizers import Tokenizer

    library = Tokenizer.from_str(
        dict(zip(*map(pa.Array.to_pylist, files.columns), strict=True))["tokenizer.json"].decode()
    )
    library.encode_special_tokens = True
    texts, ids = batch["content"].to_pylist(), tokens["tokens"]
    started = time.process_time()
    encodings = [library.encode_batch_fast(texts[low : low + 64]) for low in range(0, len(texts), 64)]
    seconds = time.process_time() - started
    same = [row.ids == ids[place].as_py()[:-1] for place, row in enumerate(row for rows in encodings for row in rows)]
    print(f"  tokenizers   {megabytes / seconds:8.1f} MB/s; equal ids in {sum(same)} of {len(same)} files")

    bytes_of = {symbol: bytes([byte]) for byte, symbol in enumerate(byte_symbols())}
    vocabulary = library.get_vocab(with_added_tokens=False)
    runs = {run: library.token_to_id(run) for run in RUNS}
    ranks = {b"".join(map(bytes_of.__getitem__, name)): number for name, number in vocabulary.items()
             if all(symbol in bytes_of for symbol in name) and name != END_OF_TEXT}  # fmt: skip
    peer = tiktoken.Encoding("same merges", pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=runs)
    started = time.process_time()
    for text in texts:
        peer.encode(text, allowed_special="all")
    print(f"  tiktoken     {megabytes / (time.process_time() - started):8.1f} MB/s")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    arguments.add_argument("--megabytes", type=int, default=64)
    chosen = arguments.parse_args()
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    batch = corpus(chosen.folder, chosen.megabytes)
    megabytes = sum(len(text.as_py().encode()) for text in batch["content"]) / 1e6
    print(f"{batch.num_rows} files, {megabytes:.0f} MB; CPU seconds of one core")

    find = Decontaminate((benchmark("humaneval"),)).load()
    find(batch.slice(0, 1))
    _, seconds = timed(find, batch)
    print(f"decontaminate  {megabytes / seconds:8.1f} MB/s")

    sizes = pa.record_batch({"language": ["none"], "size": pa.array([int(megabytes * 1e6)])})
    corpus_size = pa.Table.from_batches([SumSizes().load()(sizes)])
    sample, seconds = timed(SampleDocuments(SAMPLE_BYTES).load(corpus_size), batch)
    print(f"sample         {megabytes / seconds:8.1f} MB/s")
    tokenizer, seconds = timed(TrainTokenizer(sample_bytes=SAMPLE_BYTES).load(), sample)
    print(f"train          {seconds:8.1f} s for {min(SAMPLE_BYTES / 1e6, megabytes):.0f} MB of sample")

    encode = Encode().load(pa.Table.from_batches([tokenizer]))
    tokens, seconds = timed(encode, batch)
    count = sum(tokens["token_count"].to_pylist())
    print(f"encode         {megabytes / seconds:8.1f} MB/s, {megabytes * 1e6 / count:.2f} bytes a token")
    _compare(batch, tokens, tokenizer, megabytes)
    columns = [*tokens.columns, batch["content_id"], batch["row_id"]]
    documents = pa.RecordBatch.from_arrays(columns, [*tokens.schema.names, "content_id", "row_id"])
    blocks, seconds = timed(Pack(vocabulary=Encode().vocabulary).load(), documents)
    print(f"pack           {megabytes / seconds:8.1f} MB/s, {count / seconds / 1e6:.0f} million tokens/s")
    _, seconds = timed(ShuffleBlocks(vocabulary=Encode().vocabulary).load(), blocks)
    print(f"shuffle        {megabytes / seconds:8.1f} MB/s")

    for name, text in WORST.items():
        _, seconds = timed(encode, pa.record_batch({"content": [text]}))
        print(f"encode 1 MB of {name:18} {seconds:6.2f} s")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
