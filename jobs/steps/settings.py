"""What the rooms share: a recipe with its sources listed, and the few forms that occur in several of them."""

from dataclasses import dataclass
from itertools import accumulate, chain
from typing import NamedTuple

from jobs.against import earlier_signatures
from jobs.recipe import Recipe
from jobs.steps.sources import SPLIT_BYTES, listed
from pipeline.plan import Elsewhere, Emit, Input, Output, Shuffle
from pipeline.sources import Limits, Split
from pipeline.sources.gharchive import EventSplit, GhArchive
from schemas.contracts import Transform
from transforms.license_names import LicenseNames
from transforms.minhash import MinHash

PARTITION_BYTES = 256 << 20
"""Bytes of text behind one partition of a shuffle, which holds some hundred bytes of keys a file."""
MAX_PARTITIONS = 1 << 13
"""Each split sends a payload to each partition, so of the largest corpora partitions grow, and not their number."""


def partitions_of(size: int) -> int:
    """Partitions of a shuffle of what belongs to `size` bytes of text."""
    return min(max(1, -(-size // PARTITION_BYTES)), MAX_PARTITIONS)


@dataclass(frozen=True)
class Settings:
    """What every room makes its steps from."""

    recipe: Recipe
    limits: Limits
    splits: tuple[Split, ...]
    first_shards: tuple[int, ...]
    """The split that each source begins with."""
    partitions: int
    against: dict[str, Elsewhere]
    """Signatures that earlier runs left, by the name that the ledger gives the run."""
    duplicate_partitions: int
    """Of the shuffles that these signatures take part in."""
    events: tuple[EventSplit, ...]
    """Archives of events that tell of the files' repositories."""

    @staticmethod
    def of(recipe: Recipe) -> "Settings":
        """Lists the sources; reads nothing of them.

        Raises SourceError for a mistake in a source, RecipeError for one in the recipe.
        """
        limits = Limits(**recipe.input.model_dump(), evidence=LicenseNames() if recipe.license.enabled else None)
        size, by_source = listed(recipe.sources, limits)
        splits = tuple(chain.from_iterable(by_source))
        first_shards = tuple(accumulate(map(len, by_source[:-1]), initial=0))
        against, earlier = earlier_signatures(recipe.dedup, len(splits))
        partitions, for_all = partitions_of(size), partitions_of(size + earlier)
        archives = [GhArchive(block.uri) for block in recipe.repositories]
        events = tuple(split for archive in archives for split in archive.splits(SPLIT_BYTES[1]))
        return Settings(recipe, limits, splits, first_shards, partitions, against, for_all, events)

    @property
    def finds_copies(self) -> bool:
        """Whether copies are looked for, exact or near."""
        return self.recipe.dedup.exact.enabled or self.recipe.dedup.near.enabled

    @property
    def minhash(self) -> MinHash:
        """The signature by which near copies are found."""
        return MinHash(self.recipe.dedup.near.ngram, self.recipe.dedup.near.permutations)


class Joined(NamedTuple):
    """What gives each row of `files` more columns: datasets that lie beside it, and transforms."""

    inputs: tuple[Input, ...] = ()
    transforms: tuple[Transform, ...] = ()


def homeward(settings: Settings, dataset: str, given: Input) -> Shuffle:
    """Brings rows back to the shards of `files`, in its order."""
    return Shuffle(
        f"home_{dataset}",
        (Emit((given,)),),
        key="row_id",
        order=(),
        partitions=len(settings.splits),
        output=Output(dataset, given.columns),
        homeward=True,
    )


def added(*transforms: Transform) -> tuple[str, ...]:
    """Names of the columns that transforms add."""
    return tuple(name for transform in transforms for name in transform.adds.names)


def distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names in their order, each once."""
    return tuple(dict.fromkeys(names))
