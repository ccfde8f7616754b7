"""What becomes of duplicates: measured similarities, one survivor a cluster, no licence lost on the way.

Two promises. No file is dropped for another unless their similarity was measured, exactly, on the two shingle
sets, and the other one is kept. And no file gets more liberal terms than the strictest found on a copy of it.
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import CAPPED, COPIES, field
from transforms.contents import Contents
from transforms.license_inheritance import LicensePolicy, Licenses, Similar, inherited_licenses
from transforms.similarity import ShingleSetArrays, first_similar

IS_OWN = field("is_own", pa.bool_(), "a file of this run, not one that an earlier run kept", nullable=False)


@dataclass(frozen=True)
class Verdicts:
    """Decides about the files of whole components, best survivor first; gives one row of `COPIES` for each.

    Rows come sorted by `component`, then by the order in which survivors are chosen. `reason` is why another
    rule drops the file, `representative` the row id of the first file of its content (its own, if it is
    that), in the same component. Only representatives have a `shingle_set`, and only their contents were
    measured: a copy whose own reason is null takes over its representative's.

    1. A file takes the strictest licence of the copies of its content, and of contents similar to it, dropped
       ones as well (`inherit` tells of `unknown`). A licence spreads over one measured similarity, never
       along a chain: resemblance to something that resembles GPL code says nothing of where a file came from.
    2. Of the files that every rule keeps, the first becomes a survivor; each later one is dropped for the
       first survivor that it is similar to, else becomes one itself. So A and C, each like B but unlike each
       other, are never put into one cluster: a cluster is a survivor and the files that are each similar
       enough to it.

    Similar means a Jaccard similarity of the shingle sets of `threshold` or more. In components of more than
    `indexed_above` contents a file is compared with those that share a rare shingle with it, which loses
    none; with more than `max_candidates` of them, with so many, those that share its rarest shingles first, and
    its `detail` says so if it is kept. Licences are looked for among as many; a file's evidence says so.

    With `against`, rows with a `location` are files that an earlier run kept. They come first, survive each other
    and every rule, and are none of this run's: `is_own` tells.

    With `fork_share`, all files of a repository that is a fork (`fork_of`) go whole, after every other rule has been
    asked: for the survivor of their content where it has one, else for the repository that stays. Those whose copy
    there falls to another rule stay, for nothing would be left of a content that both hold.
    """

    threshold: float
    policy: LicensePolicy
    indexed_above: int = 256
    max_candidates: int = 1000
    min_shingles: int = 10
    against: bool = False
    fork_share: float | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        return (
            *("component", "representative", "row_id", "repo", "path", "content_id", "shingles", "shingle_set"),
            *("license", "license_class", "license_evidence", "reason", "detail"),
            *(("location",) if self.against else ()),
            *(("fork_of", "fork_share") if self.fork_share is not None else ()),
        )

    @property
    def schema(self) -> pa.Schema:
        return COPIES.append(IS_OWN) if self.against else COPIES

    def load(self) -> BatchFunction:
        return partial(_judge, self)


def _judge(settings: Verdicts, batch: pa.RecordBatch) -> pa.RecordBatch:
    if batch.num_rows == 0:
        return pa.RecordBatch.from_pylist([], schema=settings.schema)
    contents = Contents.of(batch)
    is_own = _is_own(settings, batch)
    similar = partial(
        first_similar,
        ShingleSetArrays.of(batch.column("shingle_set"), contents.representative),
        threshold=settings.threshold,
        indexed_above=settings.indexed_above,
        max_candidates=settings.max_candidates,
    )
    licenses = inherited_licenses(batch, contents, settings.policy, similar, settings.min_shingles)
    reason, detail = (
        pc.if_else(pa.array(is_own), told, None) for told in _reasons(batch, contents, licenses, settings.policy)
    )
    eligible = reason.is_null().to_numpy(zero_copy_only=False)
    leaves = _leaves_with_fork(settings, batch, contents, eligible)
    stars = _stars(contents, eligible & ~leaves, is_own, similar)
    columns = licenses.columns() | _duplicates(batch, contents, stars, leaves, reason, detail, settings)
    copies = np.bincount(contents.of_row[is_own], minlength=len(contents.copies))
    columns |= {
        "row_id": batch.column("row_id"),
        "copies": pa.array(copies[contents.of_row], pa.int32()),
        IS_OWN.name: pa.array(is_own),
    }
    return pa.RecordBatch.from_arrays([columns[name] for name in settings.schema.names], schema=settings.schema)


def _is_own(settings: Verdicts, batch: pa.RecordBatch) -> np.ndarray:
    if not settings.against:
        return np.ones(batch.num_rows, bool)
    return batch.column("location").is_null().to_numpy(zero_copy_only=False)


def _reasons(
    batch: pa.RecordBatch, contents: Contents, licenses: Licenses, policy: LicensePolicy
) -> tuple[pa.Array, pa.Array]:
    """Why a rule drops each row, duplicates aside: its own reason, its content's, its licence's.

    The licence that it has, and the one that it had alone: what was refused then has not been measured.
    """
    reason, detail = batch.column("reason"), batch.column("detail")
    original = pa.array(contents.representative[contents.of_row])
    for other_reason, other_detail in (
        (reason.take(original), detail.take(original)),
        _refusals(licenses, policy),
        _refusals(Licenses.of(batch), policy),
    ):
        detail = pc.if_else(reason.is_null(), other_detail, detail)
        reason = pc.if_else(reason.is_null(), other_reason, reason)
    return reason, detail


def _refusals(licenses: Licenses, policy: LicensePolicy) -> tuple[pa.Array, pa.Array]:
    refused = [not policy.keeps(license.expression) for license in licenses.table]
    names = [f"license.{li.license_class}" if no else None for li, no in zip(licenses.table, refused, strict=True)]
    texts = [policy.detail(li.expression) if no else None for li, no in zip(licenses.table, refused, strict=True)]
    numbers = pa.array(licenses.of_row)
    return pa.array(names, pa.string()).take(numbers), pa.array(texts, pa.string()).take(numbers)


def _leaves_with_fork(
    settings: Verdicts, batch: pa.RecordBatch, contents: Contents, eligible: np.ndarray
) -> np.ndarray:
    """Which rows go because their repository is a fork."""
    if settings.fork_share is None:
        return np.zeros(batch.num_rows, bool)
    fork_of, of_row = batch.column("fork_of"), contents.of_row
    is_fork = fork_of.is_valid().to_numpy(zero_copy_only=False)
    has_other = np.bincount(of_row[eligible & ~is_fork], minlength=len(contents.copies)) > 0
    # What holds a content, and what should hold it in a fork's place.
    names = pa.chunked_array([batch.column("repo"), fork_of]).combine_chunks().dictionary_encode().indices
    holder, kept = np.split(names.fill_null(-1).to_numpy().astype(np.int64), 2)
    is_there = np.isin(of_row << 32 | kept, of_row << 32 | holder)
    return eligible & is_fork & (has_other[of_row] | ~is_there)


@dataclass(frozen=True)
class Stars:
    """By content: its first eligible row (-1: none), its survivor's content, their similarity."""

    first: np.ndarray
    survivor: np.ndarray
    similarity: np.ndarray
    is_capped: np.ndarray


def _stars(contents: Contents, eligible: np.ndarray, is_own: np.ndarray, similar: Similar) -> Stars:
    rows = np.flatnonzero(eligible)
    members, at = np.unique(contents.of_row[rows], return_index=True)
    order = np.argsort(at)
    members, at = members[order], at[order]
    found = similar(members, contents.bounds(members), is_own[at], np.ones(len(members), bool))
    count = len(contents.copies)
    stars = Stars(np.full(count, -1), np.arange(count), np.ones(count), np.zeros(count, bool))
    stars.first[members] = rows[at]
    matched = found.match >= 0
    stars.survivor[members[matched]] = members[found.match[matched]]
    stars.similarity[members[matched]] = found.similarity[matched]
    stars.is_capped[members] = found.is_capped & ~matched
    return stars


def _duplicates(
    batch: pa.RecordBatch,
    contents: Contents,
    stars: Stars,
    leaves: np.ndarray,
    reason: pa.Array,
    detail: pa.Array,
    settings: Verdicts,
) -> dict[str, pa.Array]:
    """Cluster, survivor, similarity, and the final reason and detail."""
    of_row = contents.of_row
    survivor = stars.first[stars.survivor[of_row]]
    eligible = reason.is_null().to_numpy(zero_copy_only=False)
    is_kept = eligible & (survivor == np.arange(len(of_row)))
    is_dropped = eligible & ~is_kept
    is_near = stars.survivor[of_row] != of_row
    head = np.where(survivor >= 0, survivor, contents.representative[of_row])
    places = pc.binary_join_element_wise(batch.column("repo"), batch.column("path"), "/")
    if settings.against:
        places = pc.coalesce(pc.binary_join_element_wise(batch.column("location"), places, ":"), places)
    texts = np.full(len(of_row), None, object)
    texts[is_dropped & ~is_near] = "same content"
    for row in np.flatnonzero(is_dropped & is_near).tolist():
        texts[row] = f"similarity {stars.similarity[of_row[row]]:.3f} >= {settings.threshold:g}"
    capped = f"{CAPPED}{settings.max_candidates} of the files like it, not with all"
    texts[is_kept & stars.is_capped[of_row]] = capped
    names = np.where(leaves, "duplicate.repository", np.where(is_near, "duplicate.near", "duplicate.exact"))
    is_alone = ~is_dropped | (survivor < 0)
    survivors = places.take(pa.array(survivor, mask=is_alone))
    if leaves.any():
        texts[leaves] = _fork_details(batch.filter(pa.array(leaves)), settings)
        survivors = pc.coalesce(survivors, pc.if_else(pa.array(leaves), batch.column("fork_of"), None))
    return {
        "cluster": batch.column("content_id").take(pa.array(head)),
        "survivor": survivors,
        "similarity": pa.array(stars.similarity[of_row], mask=is_alone),
        "reason": pc.coalesce(reason, pa.array(names, pa.string(), mask=~is_dropped)),
        "detail": pc.coalesce(pa.array(texts, pa.string()), detail),
    }


def _fork_details(forks: pa.RecordBatch, settings: Verdicts) -> list[str]:
    least = f"of the larger one's contents in both >= {settings.fork_share:g}"
    told = zip(forks.column("fork_of").to_pylist(), forks.column("fork_share").to_pylist(), strict=True)
    return [f"fork of {repo}: {share:.3f} {least}" for repo, share in told]
