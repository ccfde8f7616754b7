"""The rules that the recipe sets, and what they read of a file."""

from jobs.steps.licenses import licensed
from jobs.steps.popularity import popular
from jobs.steps.settings import Joined, Settings, distinct
from pipeline.plan import Input
from schemas.datasets import FAILURE, POPULARITY
from transforms.popularity import Claimed
from transforms.rules import CheapRules, ContentRules

NOTHING = Joined()


def judged(settings: Settings, *columns: str, groups: Joined = NOTHING) -> tuple[Input, Joined]:
    """What is read of `files` before the cheap rules, and what joins their word to its rows.

    Beside `columns` that is what the rules read and the stars that a source claims; licences, `groups` and popularity
    are joined before them.
    """
    licenses, popularity, rules = licensed(settings), popular(settings), _cheap_rules(settings)
    elsewhere = (*POPULARITY.names, FAILURE.name)
    read = (*Claimed.reads, *(name for name in rules.reads if name not in elsewhere))
    files = Input("files", distinct((*columns, *read)))
    inputs = (*licenses.inputs, *groups.inputs, *popularity.inputs)
    transforms = (*licenses.transforms, *groups.transforms, *popularity.transforms, rules)
    return files, Joined(inputs, transforms)


def failures(settings: Settings) -> Input:
    """On which files a transform has raised before `annotate`."""
    return Input("_work/license_found" if settings.recipe.license.enabled else "files", (FAILURE.name,))


def content_rules(settings: Settings) -> ContentRules:
    """The rules on what `annotate` measures."""
    toxicity, pii = settings.recipe.toxicity, settings.recipe.pii
    return ContentRules(toxicity.max if toxicity.enabled else None, pii.enabled and pii.policy == "drop")


def _cheap_rules(settings: Settings) -> CheapRules:
    keep, quality = settings.recipe.languages.keep, settings.recipe.quality
    names = tuple(keep) if isinstance(keep, list) else None
    thresholds = tuple(sorted(quality.thresholds().items())) if quality.enabled else ()
    return CheapRules(names, keep == "programming", thresholds, settings.recipe.popularity.min_stars)
