"""Measures: the cheap ones of every file, the costly ones where the rules have kept it so far."""

from jobs.benchmarks import benchmark
from jobs.recipe import RecipeError
from jobs.recipe_blocks import DecontaminateBlock
from jobs.steps.duplicates import grouped
from jobs.steps.rules import failures, judged
from jobs.steps.settings import Settings, added
from pipeline.plan import Map, Output
from schemas.datasets import FAILURE, SOURCE_ROW
from transforms.conditional import Unmeasured, Where
from transforms.decontaminate import Decontaminate
from transforms.language import Language
from transforms.pii import FindPersonalData
from transforms.rules import Pending
from transforms.text_measures import TextMeasures
from transforms.toxicity import Toxicity


def ingest(settings: Settings) -> Map:
    """Makes `files`: one row per file, with what is cheap to measure."""
    minhash, is_near = settings.minhash, settings.recipe.dedup.near.enabled
    measures = (Language(), TextMeasures(), minhash if is_near else Unmeasured(minhash.adds))
    return Map(
        "ingest",
        (Output("files", (*SOURCE_ROW.names, *added(*measures), FAILURE.name)),),
        shards=len(settings.splits),
        splits=settings.splits,
        limits=settings.limits,
        transforms=measures,
        isolates=True,
    )


def annotate(settings: Settings) -> Map:
    """Measures what costs more, once per distinct content that the rules have kept so far."""
    recipe = settings.recipe
    measures = [
        Where("pending", transform) if enabled else Unmeasured(transform.adds)
        for transform, enabled in (
            (Toxicity(), recipe.toxicity.enabled),
            (decontaminate(recipe.decontaminate), recipe.decontaminate.enabled),
            (FindPersonalData(), recipe.pii.enabled),
        )
    ]
    files, joined = judged(settings, "row_id", "content", groups=grouped(settings))
    return Map(
        "annotate",
        (Output("measures", (*added(*measures), FAILURE.name)),),
        shards=len(settings.splits),
        inputs=(files, failures(settings), *joined.inputs),
        transforms=(*joined.transforms, Pending(), *measures),
        isolates=True,
    )


def decontaminate(block: DecontaminateBlock) -> Decontaminate:
    """Looks for the problems of the recipe's benchmarks. Raises RecipeError for one that cannot be read."""
    if not block.enabled:
        return Decontaminate()
    try:
        measure = Decontaminate(tuple(map(benchmark, block.benchmarks)))
        measure.load()
    except (OSError, ValueError) as error:
        raise RecipeError(f"decontaminate.benchmarks: {error}") from error
    return measure
