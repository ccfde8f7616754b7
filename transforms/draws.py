"""Randomness that depends on a seed and on names alone: never on order of arrival, sharding or a library's version."""

from hashlib import blake2b

import numpy as np
import pyarrow as pa


def draw(names: pa.Array, seed: int, purpose: str = "") -> np.ndarray:
    """For each name an evenly spread number (uint64). Draws of other purposes (16 bytes at most) are independent."""
    key, person = seed.to_bytes(8, "little", signed=True), purpose.encode()
    digests = [blake2b(name.encode(), digest_size=8, key=key, person=person).digest() for name in names.to_pylist()]
    return np.frombuffer(b"".join(digests), "<u8").astype(np.uint64)


def shuffled(draws: np.ndarray, *names: np.ndarray) -> np.ndarray:
    """The random order that the draws (uint64) and the rows' names (integers, unique together) stand for.

    The numbers are folded with splitmix64 (Steele, Lea and Flood 2014), whose values will not change with the
    version of a library as those of a random generator may.
    """
    keys = draws
    for name in names:
        keys = splitmix64(keys ^ splitmix64(name.astype(np.int64).view(np.uint64)))
    return np.lexsort((*names, keys))


def splitmix64(values: np.ndarray) -> np.ndarray:
    """The mixing step of splitmix64, for each uint64."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
