"""MinHash on one core against datasketch and, where installed, rensa.

``python -m tests.benchmarks.minhash_kernel [MEGABYTES]`` signs texts of the running environment's packages;
the peers get a twentieth of them. datasketch's signatures must be ours. Then texts of common words of many languages.
"""

import random
import sys
import sysconfig
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import datasketch
import numpy as np
import pyarrow as pa

from tests.test_scripts import LANGUAGES, text_of
from tests.words import shingles
from transforms.minhash import MinHash, ShingleSets, signatures_of

ENDINGS = {
    ".py",
    ".pyi",
    ".pyx",
    ".c",
    ".h",
    ".cpp",
    ".hpp",
    ".js",
    ".ts",
    ".md",
    ".rst",
    ".txt",
    ".json",
    ".html",
}


def environment_texts(megabytes: int) -> list[str]:
    """Texts of the installed packages and the standard library, in a seeded order."""
    roots = [Path(sysconfig.get_path(name)) for name in ("purelib", "stdlib")]
    paths = sorted({path for root in roots for path in root.rglob("*") if path.suffix in ENDINGS and path.is_file()})
    random.Random(0).shuffle(paths)
    texts: list[str] = []
    left = megabytes << 20
    for path in paths:
        data = path.read_bytes()
        if left <= 0:
            break
        if len(data) <= 1 << 20 and b"\0" not in data:
            texts.append(data.decode(errors="replace"))
            left -= len(data)
    return texts


def with_datasketch(text: str) -> np.ndarray:
    sketch = datasketch.MinHash(num_perm=256, seed=1)
    sketch.update_batch([shingle.encode() for shingle in shingles(text)])
    return sketch.hashvalues


def with_rensa(text: str) -> object:
    import rensa  # pyright: ignore[reportMissingImports]

    sketch = rensa.RMinHash(num_perm=256, seed=1)
    sketch.update(list(shingles(text)))
    return sketch.digest()


def rate(name: str, texts: list[str], function: Callable[[], object]) -> float:
    """Processor time, for other work may share the machine; best of three."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        function()
        seconds.append(time.process_time() - started)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    print(f"{name:28} {megabytes / min(seconds):8.1f} MB/s")
    return megabytes / min(seconds)


def main(megabytes: int = 60) -> None:
    texts = environment_texts(megabytes)
    batch = pa.record_batch({"content": pa.array(texts, pa.string())})
    sign, hash_shingles = MinHash().load(), ShingleSets().load()
    signatures = signatures_of(sign(batch.slice(0, 200)).column("minhash"))
    some = texts[: len(texts) // 20]
    for text, signature in zip(some[:200], signatures, strict=False):
        if len(shingles(text)) >= 10:
            np.testing.assert_array_equal(signature, with_datasketch(text))
    ours = rate("codesieve, 256 permutations", texts, lambda: sign(batch))
    rate("codesieve, shingle sets", texts, lambda: hash_shingles(batch))
    peers: dict[str, Callable[[str], object]] = {f"datasketch {datasketch.__version__}": with_datasketch}
    if find_spec("rensa"):
        peers["rensa"] = with_rensa
    for name, peer in peers.items():
        theirs = rate(name, some, lambda peer=peer: [peer(text) for text in some])
        print(f"{'':28} {ours / theirs:8.1f} times as fast")
    for language in LANGUAGES:
        texts = [text_of(language, seed, 3000) for seed in range(100)]
        batch = pa.record_batch({"content": texts})
        rate(f"{language}, 256 permutations", texts, lambda batch=batch: sign(batch))
        rate(f"{language}, shingle sets", texts, lambda batch=batch: hash_shingles(batch))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
