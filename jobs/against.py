"""`dedup.against` and `license.against`: what earlier runs left, checked before anything starts."""

from pathlib import PurePosixPath
from typing import Any, NamedTuple

import pyarrow as pa

from jobs.progress import RUN
from jobs.recipe import RecipeError
from jobs.recipe_blocks import DedupBlock, LicenseBlock, NearBlock
from pipeline.locations import shown
from pipeline.plan import Elsewhere
from pipeline.storage import Manifest, Store
from transforms.license_match import RULE_TABLES, matcher
from transforms.license_texts import TEXTS
from transforms.minhash import MinHash
from transforms.signatures import TOKENS, signatures

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
    manifest, recipe = _left("dedup.against", location, SIGNATURES, schema)
    theirs = recipe["dedup"]["near"]
    location = shown(location)
    if near.enabled and not theirs["enabled"]:
        raise RecipeError(f"dedup.against: {location} has no near signatures: its recipe had dedup.near off")
    for key in ("ngram", "permutations"):
        if near.enabled and theirs[key] != getattr(near, key):
            mend = f"its signatures have dedup.near.{key} {theirs[key]}, this recipe {getattr(near, key)}"
            raise RecipeError(f"dedup.against: {location} cannot be compared with: {mend}")
    signed = {key.removeprefix("tokens=") for key in manifest.tally()}
    if near.enabled and signed - {TOKENS}:
        mend = "run it anew, or leave it out"
        raise RecipeError(f"dedup.against: {location} has tokens by {max(signed)}, here they are by {TOKENS}; {mend}")
    return manifest


class LicenseTexts(NamedTuple):
    """What an earlier run left of its licence matching."""

    rules: Elsewhere
    texts: Elsewhere


def earlier_license_texts(license: LicenseBlock) -> list[LicenseTexts]:
    """The licence texts that each location has matched, by the same matcher as here; else raises RecipeError."""
    found = []
    for location in dict.fromkeys(location.rstrip("/") for location in license.against):
        rules, _ = _left("license.against", location, "license_rules", RULE_TABLES)
        texts, _ = _left("license.against", location, "license_texts", TEXTS)
        theirs = next(iter(rules.tally())).removeprefix("matcher=")
        if theirs != matcher():
            mend = "run it anew, or leave it out"
            raise RecipeError(
                f"license.against: {shown(location)} was matched by {theirs}, here is {matcher()}; {mend}"
            )
        there = (
            Elsewhere(location, manifest.digest, schema, len(manifest.shards), 0)
            for manifest, schema in ((rules, RULE_TABLES), (texts, TEXTS))
        )
        found.append(LicenseTexts(*there))
    return found


def _left(key: str, location: str, dataset: str, schema: pa.Schema) -> tuple[Manifest, dict[str, Any]]:
    """The manifest of a dataset that an earlier run left, and that run's recipe."""
    what = dataset.replace("_", " ").replace("license", "licence")
    store, location = Store(location), shown(location)
    try:
        manifest, run = store.manifest(dataset), store.read_json(RUN)
        is_whole = manifest is not None and store.is_whole(dataset, manifest)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{key}: {location}: {error}") from error
    if manifest is None or run is None:
        raise RecipeError(f"{key}: {location} holds no {what}; name the --out of a run that has ended")
    if not is_whole:
        raise RecipeError(f"{key}: {location} is damaged: a shard of its {what} is missing or cut")
    if set(schema.names) - {column["name"] for column in manifest.schema}:
        mend = f"its {what} cannot be compared with; run it anew, or leave it out"
        raise RecipeError(f"{key}: {location} was written by another release, {manifest.code}: {mend}")
    return manifest, run["recipe"]
