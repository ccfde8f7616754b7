"""Popularity: what archives of events tell of the files' repositories."""

from jobs.steps.settings import Joined, Settings, homeward, partitions_of
from pipeline.plan import Emit, Input, Map, Output, Shuffle, Step
from schemas.datasets import POPULARITY
from transforms.popularity import (
    EVENT_COUNTS,
    IS_COUNT,
    IS_SIGHTING,
    REPOSITORIES,
    SIGHTINGS,
    Answering,
    Asking,
    Claimed,
    CombineEvents,
    Names,
    Popularity,
    Repositories,
)


def steps(settings: Settings) -> list[Step]:
    """Events become sightings, these the repositories, and what is told of them goes to the files."""
    partitions = partitions_of(sum(split.size for split in settings.events))
    return [
        _events(settings),
        _sightings(partitions),
        _repositories(partitions),
        _popularity(max(partitions, settings.partitions)),
        homeward(settings, "popularity", Input("_work/popularity", tuple(Popularity.schema.names))),
    ]


def popular(settings: Settings) -> Joined:
    """Gives every row its repository's popularity, beside `claimed_stars` of `files`."""
    if settings.events:
        return Joined((Input("popularity", tuple(POPULARITY.names)),))
    return Joined(transforms=(Claimed(),))


def _events(settings: Settings) -> Map:
    return Map(
        "events",
        (
            Output("_work/sightings", tuple(SIGHTINGS.names), where=IS_SIGHTING.name),
            Output("events", tuple(EVENT_COUNTS.names), where=IS_COUNT.name),
        ),
        shards=len(settings.events),
        splits=settings.events,
        limits=settings.limits,
        reduce=CombineEvents(),
        balance=("events", "events"),
    )


def _sightings(partitions: int) -> Shuffle:
    return Shuffle(
        "sightings",
        (Emit((Input("_work/sightings", tuple(SIGHTINGS.names)),)),),
        key="identity",
        order=("repo", "kind", "who"),
        partitions=partitions,
        reduce=Repositories(),
        output=Output("_work/repositories", tuple(Repositories.schema.names)),
    )


def _repositories(partitions: int) -> Shuffle:
    return Shuffle(
        "repositories",
        (Emit((Input("_work/repositories", tuple(Repositories.schema.names)),)),),
        key="repo",
        order=(),  # its reducer has an order of its own
        partitions=partitions,
        reduce=Names(),
        output=Output("repositories", tuple(REPOSITORIES.names)),
    )


def _popularity(partitions: int) -> Shuffle:
    files = Input("files", ("row_id", "repo", *Claimed.reads))
    return Shuffle(
        "popularity",
        (
            Emit((files,), (Claimed(), Asking()), columns=Popularity.reads),
            Emit((Input("repositories", Answering.reads),), (Answering(),), columns=Popularity.reads),
        ),
        key="key",
        order=("home",),
        partitions=partitions,
        reduce=Popularity(),
        output=Output("_work/popularity", tuple(Popularity.schema.names)),
    )
