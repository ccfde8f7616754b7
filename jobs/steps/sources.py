"""The sources that a recipe names, listed and cut into splits."""

from collections.abc import Iterable

from jobs.recipe_sources import (
    ArchiveSource,
    BigQuerySource,
    DirectorySource,
    EnvironmentSource,
    GitSource,
    JsonlSource,
    ParquetSource,
    SourceBlock,
)
from pipeline.sources import Limits, Source, Split
from pipeline.sources.archive import ArchiveSource as Archives
from pipeline.sources.bigquery import BigQuerySource as BigQuery
from pipeline.sources.directory import DirectorySource as Directories
from pipeline.sources.environment import EnvironmentSource as Environment
from pipeline.sources.git import GitSource as Git
from pipeline.sources.jsonl import JsonlSource as Jsonl
from pipeline.sources.parquet import ParquetSource as Parquet
from pipeline.sources.tables import Columns

SPLITS = 64
"""Splits aimed at: enough to keep some dozens of workers busy to the end, few enough to start fast."""
SPLIT_BYTES = (4 << 20, 256 << 20)
"""Bounds of a split. They depend on the sources alone, so that the shards never depend on the workers."""
MAX_SPLITS, LARGE_SPLIT_BYTES = 1 << 15, 2 << 30
"""Of a corpus that would have more splits than these, each is larger, up to so many bytes: manifests and payloads
grow with the number of splits, a worker's memory hardly with their size."""


def listed(blocks: Iterable[SourceBlock], limits: Limits) -> tuple[int, list[list[Split]]]:
    """Bytes of text in all sources together, and the splits of each.

    Raises SourceError for a mistake in a source.
    """
    sources = [_source(block) for block in blocks]
    # Listed once in coarse splits to learn the size, then cut to it.
    size = sum(split.size for source in sources for split in source.splits(SPLIT_BYTES[1], limits))
    target = split_bytes(size)
    return size, [source.splits(target, limits) for source in sources]


def split_bytes(size: int) -> int:
    """Bytes aimed at in a split of sources of `size` bytes of text."""
    usual = min(max(size // SPLITS, SPLIT_BYTES[0]), SPLIT_BYTES[1])
    return max(usual, min(-(-size // MAX_SPLITS), LARGE_SPLIT_BYTES))


def _source(block: SourceBlock) -> Source:
    match block:
        case EnvironmentSource():
            packages = None if block.packages == "all" else tuple(block.packages)
            return Environment(packages=packages, leave_out=block.leave_out)
        case ArchiveSource():
            return Archives(block.uri)
        case DirectorySource():
            return Directories(block.uri)
        case GitSource():
            return Git(block.uri, block.revision, block.since)
        case ParquetSource():
            return Parquet(block.uri, Columns(**block.columns))
        case JsonlSource():
            return Jsonl(block.uri, Columns(**block.columns))
        case BigQuerySource():
            return BigQuery(**block.model_dump(exclude={"kind", "columns"}), columns=Columns(**block.columns))
