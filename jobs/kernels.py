"""Compiles the transforms' kernels into numba's cache, so that no worker of a first run has to.

    python -m jobs.kernels

An installation does it once, on two cores in about 15 s; else each worker does, as it comes to each kernel. numba keeps
the code beside the sources, or in the user's cache folder where these cannot be written (``NUMBA_CACHE_DIR`` says
otherwise), and compiles anew what changes.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pyarrow as pa

from jobs.benchmarks import HUMANEVAL, benchmark
from transforms.decontaminate import Decontaminate
from transforms.minhash import MinHash, ShingleSets
from transforms.text_measures import TextMeasures
from transforms.tokenizer import Encode, TrainTokenizer
from transforms.toxicity import Toxicity

TEXT = "# Adds one.\ndef add(number: int) -> int:\n    return number + 1\n"
FILES = pa.record_batch({"path": ["a.py"], "content": [TEXT], "language": ["Python"], "draw": [0.0]})


def signatures() -> None:
    """What compares files."""
    for transform in (MinHash(), ShingleSets()):
        transform.load()(FILES)


def measures() -> None:
    """What measures a text, and what encodes it."""
    for transform in (TextMeasures(), Toxicity(), Decontaminate((benchmark(HUMANEVAL),))):
        transform.load()(FILES)
    training = TrainTokenizer(vocab_size=300)
    tokenizer = pa.Table.from_batches([training.load()(FILES)])
    # A corpus is mapped into memory: to numba, arrays that cannot be written are of a type of their own.
    mapped = pa.ipc.read_record_batch(FILES.serialize().to_pybytes(), FILES.schema)
    Encode(training.vocabulary).load(tokenizer)(mapped)


def main() -> None:
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        for done in [pool.submit(signatures), pool.submit(measures)]:
            done.result()


if __name__ == "__main__":
    main()
