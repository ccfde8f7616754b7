"""Duplicates: exact copies and components of files that may be near copies, then the verdict on each file."""

from collections.abc import Iterator

import pyarrow as pa

from jobs.against import SIGNATURES
from jobs.steps.families import forks
from jobs.steps.licenses import license_rule
from jobs.steps.rules import content_rules, failures, judged
from jobs.steps.settings import Joined, Settings, distinct, homeward
from pipeline.plan import Emit, Input, Output, Shuffle, Step
from pipeline.storage import ROW_BITS
from schemas.datasets import COPIES, FAILURE, SOURCE_ROW
from transforms.clusters import BucketEdges, Buckets, Components, SpanningForest, optimal_bands
from transforms.conditional import Unmeasured, Where
from transforms.families import Forks
from transforms.groups import GROUPS, Alone, Beside, Tied
from transforms.minhash import ShingleSets
from transforms.near_duplicates import IS_OWN, Verdicts
from transforms.rules import OwnReason, Preference
from transforms.signatures import LOCATION, Earlier, Met

BEST_FIRST = ("ineligible", "forked", "license_rank", "star_rank", "age_rank", "repo", "path")
"""The order in which the survivor of like files is chosen."""


def groups(settings: Settings) -> list[Step]:
    """Ties exact copies, and files that may be near copies, into components."""
    tied, edges = tuple(Components().schema.names), tuple(SpanningForest().schema.names)
    forest = Shuffle(
        "forest",
        (Emit((Input("_work/edges", edges),)),),
        key="left",
        order=("right", "exact"),
        partitions=settings.duplicate_partitions,
        reduce=SpanningForest(),
        output=Output("_work/forest", edges),
    )
    components = Shuffle(
        "components",
        (Emit((Input("_work/forest", edges),)),),
        key="left",
        order=("right", "exact"),
        partitions=1,
        reduce=Components(),
        output=Output("_work/components", tied),
    )
    beside = Shuffle(
        "groups",
        (
            Emit((Input("files", ("row_id",)),), (Alone(), Tied(False))),
            *(Emit((given,), (Alone(), Tied(False))) for given, _ in _earlier(settings, "row_id")),
            Emit((Input("_work/components", tied),), (Tied(True),)),
        ),
        key="row_id",
        order=("tied",),
        partitions=len(settings.splits) + sum(there.shards for there in settings.against.values()),
        output=Output("_work/groups", tuple(GROUPS.names)),
        reduce=Beside(),
        homeward=True,
    )
    return [_candidates(settings), forest, components, beside]


def grouped(settings: Settings) -> Joined:
    """Gives every row its exact group and component."""
    if settings.finds_copies:
        return Joined((Input("_work/groups", tuple(GROUPS.names)),))
    return Joined(transforms=(Alone(),))


def copies(settings: Settings) -> list[Step]:
    """Tells each file's cluster, survivor and final licence."""
    return [_verdicts(settings), homeward(settings, "copies", Input("_work/verdicts", tuple(COPIES.names)))]


def _candidates(settings: Settings) -> Shuffle:
    dedup, own_forks = settings.recipe.dedup, forks(settings)
    bands, rows = optimal_bands(dedup.near.threshold, dedup.near.permutations)
    best_first = (*own_forks.adds, *Preference().adds, *SOURCE_ROW)
    order = pa.schema([next(column for column in best_first if column.name == name) for name in BEST_FIRST])
    buckets = Buckets(bands, rows, order, exact=dedup.exact.enabled, near=dedup.near.enabled)
    files, joined = judged(settings, "row_id", "repo", "path", "content_id", "minhash")
    same = ("row_id", "repo", "path", "content_id", *(("minhash",) if dedup.near.enabled else ()))
    return Shuffle(
        "candidates",
        (
            Emit(
                (files, failures(settings), *joined.inputs),
                (*joined.transforms, Preference(), own_forks),
                buckets,
            ),
            *(Emit((given,), (mark, Forks()), buckets) for given, mark in _earlier(settings, *same)),
        ),
        key="key",
        order=("check", *order.names, "row_id"),
        partitions=settings.duplicate_partitions,
        reduce=BucketEdges(earlier_from=len(settings.splits) << ROW_BITS if settings.against else None),
        output=Output("_work/edges", tuple(BucketEdges().schema.names)),
    )


def _verdicts(settings: Settings) -> Shuffle:
    near, repositories = settings.recipe.dedup.near, settings.recipe.dedup.repositories
    fork_share = repositories.fork_share if repositories.keep == "one" else None
    is_against = bool(settings.against)
    verdicts = Verdicts(near.threshold, license_rule(settings), against=is_against, fork_share=fork_share)
    sent = distinct((*verdicts.reads, *BEST_FIRST))
    own_groups, rules = grouped(settings), content_rules(settings)
    read = ("row_id", "repo", "path", "content_id", "content", "shingles")
    files, joined = judged(settings, *read, groups=own_groups)
    own = Emit(
        (files, *joined.inputs, Input("measures", (*rules.reads, FAILURE.name))),
        (
            *joined.transforms,
            rules,
            Preference(),
            forks(settings),
            OwnReason(),
            Where("compared", ShingleSets(near.ngram)),
            *((Unmeasured(pa.schema([LOCATION])),) if is_against else ()),
        ),
        columns=sent,
    )
    signed = ("row_id", "repo", "path", "content_id", "license", "license_class", "shingles", "shingle_set")
    nothing = Unmeasured(pa.schema([COPIES.field(name) for name in ("license_evidence", "reason", "detail")]))
    earlier = (
        Emit((given, *own_groups.inputs), (mark, Forks(), nothing, Met()), columns=sent, where="met")
        for given, mark in _earlier(settings, *signed)
    )
    return Shuffle(
        "verdicts",
        (own, *earlier),
        key="component",
        order=(*BEST_FIRST, "row_id"),
        partitions=settings.duplicate_partitions,
        reduce=verdicts,
        output=Output("_work/verdicts", tuple(COPIES.names), where=IS_OWN.name if is_against else None),
        conserves=True,
    )


def _earlier(settings: Settings, *columns: str) -> Iterator[tuple[Input, Earlier]]:
    """The files that earlier runs kept, as shards after those of `files`, and what marks them as such."""
    for name, there in settings.against.items():
        yield Input(SIGNATURES, columns, there), Earlier(name)
