"""Exact Jaccard similarities between shingle sets, and the first similar one of many."""

from dataclasses import dataclass
from typing import NamedTuple

import numba
import numpy as np
import pyarrow as pa

BUCKETS = 1 << 20
"""Slots of the tables that count shingles and find sets by them; sharing a slot costs time, never a match."""


@dataclass(frozen=True)
class ShingleSetArrays:
    """Set i is ``values[starts[i]:stops[i]]``, ascending and distinct."""

    values: np.ndarray
    starts: np.ndarray
    stops: np.ndarray

    @staticmethod
    def of(column: pa.ListArray, rows: np.ndarray) -> "ShingleSetArrays":
        """The sets in some rows of a `shingle_set` column, without a copy; null is empty."""
        offsets = column.offsets.to_numpy()
        starts, stops = offsets[:-1][rows].astype(np.int64), offsets[1:][rows].astype(np.int64)
        stops = np.where(column.is_null().to_numpy(zero_copy_only=False)[rows], starts, stops)
        return ShingleSetArrays(column.values.to_numpy(), starts, stops)


class Found(NamedTuple):
    """By member: its match's place among the members (-1: none), their similarity, whether it was capped."""

    match: np.ndarray
    similarity: np.ndarray
    is_capped: np.ndarray


def first_similar(
    sets: ShingleSetArrays,
    members: np.ndarray,
    bounds: np.ndarray,
    asks: np.ndarray,
    answers: np.ndarray,
    threshold: float,
    indexed_above: int,
    max_candidates: int,
) -> Found:
    """For each member that asks, the first similar one among those that answer, in its segment and before it.

    Members are numbers of sets. One answers, to those after it, if it may (`answers`) and has found no match
    itself. Segment i is ``members[bounds[i]:bounds[i + 1]]``. Empty sets match nothing.
    """
    found = Found(np.full(len(members), -1), np.zeros(len(members)), np.zeros(len(members), bool))
    sizes = np.diff(bounds)
    few = np.flatnonzero((sizes > 1) & (sizes <= indexed_above))
    spans = np.stack([bounds[few], bounds[few + 1]], axis=1)
    _compare_all(sets.values, sets.starts, sets.stops, members, spans, asks, answers, threshold, *found[:2])
    for segment in np.flatnonzero(sizes > max(indexed_above, 1)):
        part = slice(bounds[segment], bounds[segment + 1])
        prefixes, prefix_bounds = _rare_prefixes(sets, members[part], threshold)
        within = Found(*(column[part] for column in found))
        measured = (sets.values, sets.starts, sets.stops, members[part], prefixes, prefix_bounds)
        _compare_indexed(*measured, asks[part], answers[part], threshold, max_candidates, BUCKETS, *within)
        within.match[within.match >= 0] += bounds[segment]
    return found


def _rare_prefixes(sets: ShingleSetArrays, members: np.ndarray, threshold: float) -> tuple[np.ndarray, np.ndarray]:
    """Of each set the rarest shingles, so many that two similar sets always share one; bounds as well.

    The prefix filter (Chaudhuri, Ganti, Kaushik 2006; Bayardo, Ma, Srikant 2007, "Scaling up all pairs
    similarity search"): sets of n shingles can be similar only if they share one among their first n -
    ceil(threshold * n) + 1, in any order common to all sets. The order is by how often a shingle's slot is
    hit, then by the shingle.
    """
    counts = _slot_counts(sets.values, sets.starts, sets.stops, members, BUCKETS)
    prefixes: list[np.ndarray] = []
    for member in members:
        values = sets.values[sets.starts[member] : sets.stops[member]]
        length = len(values) - int(np.ceil(threshold * len(values) - 1e-9)) + 1 if len(values) else 0
        order = np.lexsort((values, counts[values & np.uint64(BUCKETS - 1)]))
        prefixes.append(values[order[:length]])
    return np.concatenate(prefixes), np.cumsum([0, *map(len, prefixes)])


@numba.njit(nogil=True, cache=True)
def _slot_counts(values, starts, stops, members, buckets):
    counts = np.zeros(buckets, np.int64)
    for member in members:
        for place in range(starts[member], stops[member]):
            counts[np.int64(values[place] & np.uint64(buckets - 1))] += 1
    return counts


@numba.njit(nogil=True, cache=True)
def jaccard(values, start, stop, other_start, other_stop, threshold):
    """The Jaccard similarity of two sets, or -1 as soon as it is sure to be below `threshold`."""
    size, other_size = stop - start, other_stop - other_start
    if size == 0 or other_size == 0 or min(size, other_size) < threshold * max(size, other_size) - 1e-9:
        return -1.0
    needed = np.int64(threshold / (1 + threshold) * (size + other_size) - 1e-6)
    shared = 0
    while start < stop and other_start < other_stop:
        if shared + min(stop - start, other_stop - other_start) < needed:
            return -1.0
        value, other = values[start], values[other_start]
        shared += value == other
        start += value <= other
        other_start += other <= value
    similarity = shared / (size + other_size - shared)
    return similarity if similarity >= threshold else -1.0


@numba.njit(nogil=True, cache=True)
def _compare_all(values, starts, stops, members, spans, asks, answers, threshold, match, similarity):
    answering = np.empty(len(members), np.int64)
    for span in range(len(spans)):
        count = 0
        for place in range(spans[span, 0], spans[span, 1]):
            one = members[place]
            for index in range(count if asks[place] else 0):
                other = members[answering[index]]
                measured = jaccard(values, starts[one], stops[one], starts[other], stops[other], threshold)
                if measured >= 0:
                    match[place], similarity[place] = answering[index], measured
                    break
            if answers[place] and match[place] < 0:
                answering[count] = place
                count += 1


@numba.njit(nogil=True, cache=True)
def _compare_indexed(
    values,
    starts,
    stops,
    members,
    prefixes,
    prefix_bounds,
    asks,
    answers,
    threshold,
    max_candidates,
    buckets,
    match,
    similarity,
    is_capped,
):
    """As `_compare_all`, for one segment, among those that share a rare shingle: found by chained slots."""
    heads, tails = np.full(buckets, -1, np.int64), np.full(buckets, -1, np.int64)
    following = np.full(len(prefixes), -1, np.int64)
    owner = np.empty(len(prefixes), np.int64)
    seen_by = np.full(len(members), -1, np.int64)
    for place in range(len(members)):
        one = members[place]
        candidates = 0
        first = place  # the earliest match so far: later members are of no interest
        for rare in range(prefix_bounds[place], prefix_bounds[place + 1] if asks[place] else 0):
            entry = heads[np.int64(prefixes[rare] & np.uint64(buckets - 1))]
            while entry >= 0 and owner[entry] < first and candidates <= max_candidates:
                earlier = owner[entry]
                if prefixes[entry] == prefixes[rare] and seen_by[earlier] != place:
                    seen_by[earlier] = place
                    candidates += 1
                    if candidates <= max_candidates:
                        other = members[earlier]
                        measured = jaccard(values, starts[one], stops[one], starts[other], stops[other], threshold)
                        if measured >= 0:
                            first = match[place] = earlier
                            similarity[place] = measured
                entry = following[entry]
        is_capped[place] = candidates > max_candidates
        if answers[place] and match[place] < 0:
            for rare in range(prefix_bounds[place], prefix_bounds[place + 1]):
                slot = np.int64(prefixes[rare] & np.uint64(buckets - 1))
                owner[rare] = place
                if heads[slot] < 0:
                    heads[slot] = rare
                else:
                    following[tails[slot]] = rare
                tails[slot] = rare
