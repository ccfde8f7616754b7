"""`dedup.against`: the signatures that earlier runs left, checked before anything starts."""

from pathlib import PurePosixPath

import pyarrow as pa

from jobs.progress import RUN
from jobs.recipe import DedupBlock, NearBlock, RecipeError
from pipeline.locations import shown
from pipeline.plan import Elsewhere
from pipeline.storage import Manifest, Store
from transforms.minhash import MinHash
from transforms.signatures import signatures

SIGNATURES = "signatures"


def earlier_signatures(dedup: DedupBlock, first_shard: int) -> tuple[dict[str, Elsewhere], int]:
    """The signatures of each location, by the name that the ledger gives it, and their bytes altogether.

    Shards are numbered from `first_shard` on, one location after the other. A location is named by the last part of
    its path or, where two share it, by all of it. Raises RecipeError for one that cannot be compared with.
    """
    schema = signatures(MinHash(dedup.near.ngram, dedup.near.permutations))
    locations = list(dict.fromkeys(location.rstrip("/") for location in dedup.against))
    last_parts = [PurePosixPath(shown(location)).name for location in locations]
    found: dict[str, Elsewhere] = {}
    size = 0
    for location, name in zip(locations, last_parts, strict=True):
        manifest = _manifest(location, dedup.near, schema)
        there = Elsewhere(location, manifest.digest, schema, len(manifest.shards), first_shard)
        found[name if last_parts.count(name) == 1 else shown(location)] = there
        first_shard += there.shards
        size += manifest.bytes
    return found, size


def _manifest(location: str, near: NearBlock, schema: pa.Schema) -> Manifest:
    store, location = Store(location), shown(location)
    try:
        manifest, run = store.manifest(SIGNATURES), store.read_json(RUN)
        is_whole = manifest is not None and store.is_whole(SIGNATURES, manifest)
    except (OSError, ValueError) as error:
        raise RecipeError(f"dedup.against: {location}: {error}") from error
    if manifest is None or run is None:
        raise RecipeError(f"dedup.against: {location} holds no signatures; name the --out of a run that has ended")
    if not is_whole:
        raise RecipeError(f"dedup.against: {location} is damaged: a shard of its signatures is missing or cut")
    if set(schema.names) - {column["name"] for column in manifest.schema}:
        raise RecipeError(f"dedup.against: {location} was written by another release, {manifest.code}")
    theirs = run["recipe"]["dedup"]["near"]
    if near.enabled and not theirs["enabled"]:
        raise RecipeError(f"dedup.against: {location} has no near signatures: its recipe had dedup.near off")
    for key in ("ngram", "permutations"):
        if near.enabled and theirs[key] != getattr(near, key):
            mend = f"its signatures have dedup.near.{key} {theirs[key]}, this recipe {getattr(near, key)}"
            raise RecipeError(f"dedup.against: {location} cannot be compared with: {mend}")
    return manifest
