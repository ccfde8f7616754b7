"""Families: repositories that share most of their contents."""

from jobs.steps.rules import failures, judged
from jobs.steps.settings import Settings
from pipeline.plan import Emit, Input, Output, Shuffle, Step
from transforms.families import FAMILIES, PAIRS, Families, Forks, Held, Holdings, SharedContents, SumPairs
from transforms.rules import Preference


def steps(settings: Settings) -> list[Step]:
    """What each repository holds, what two of them share, and who is whose fork."""
    held, pairs, repositories = tuple(Holdings().schema.names), tuple(PAIRS.names), settings.recipe.dedup.repositories
    files, joined = judged(settings, "repo", "content_id", "shingles")
    holdings = Shuffle(
        "holdings",
        (Emit((files, failures(settings), *joined.inputs), (*joined.transforms, Preference()), Held()),),
        key="repo",
        order=("key", "ineligible"),
        partitions=settings.partitions,
        reduce=Holdings(),
        output=Output("_work/holdings", held),
    )
    shared = Shuffle(
        "shared",
        (Emit((Input("_work/holdings", held),)),),
        key="key",
        order=("star_rank", "precedence", "age_rank", "repo"),
        partitions=settings.partitions,
        reduce=SharedContents(),
        output=Output("_work/shared", pairs),
    )
    summed = Shuffle(
        "pairs",
        (Emit((Input("_work/shared", pairs),)),),
        key="left",
        order=("right", "shared", "kept"),
        partitions=settings.partitions,
        reduce=SumPairs(),
        output=Output("_work/pairs", pairs),
    )
    families = Shuffle(
        "families",
        (Emit((Input("_work/pairs", pairs),)),),
        key="left",
        order=("right",),
        partitions=1,
        reduce=Families(repositories.share, repositories.fork_share),
        output=Output("families", tuple(FAMILIES.names)),
    )
    return [holdings, shared, summed, families]


def forks(settings: Settings) -> Forks:
    """Tells the files of forks, where the recipe keeps one repository of a family."""
    return Forks(("families",) if settings.recipe.dedup.repositories.keep == "one" else ())
