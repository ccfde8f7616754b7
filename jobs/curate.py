"""The main plan: from a recipe's sources to files, measures, copies, corpus, ledger and tokens.

Steps that read contents are `Map`s over aligned shards; what must meet across shards travels as keys in `Shuffle`s.
Folders with a leading underscore are the plan's own; the others are public. The steps are made in `jobs/steps/`.
"""

from dataclasses import replace
from typing import TypeVar

from jobs.progress import TEXT
from jobs.recipe import Recipe
from jobs.steps import dialogue, duplicates, families, licenses, measures, popularity, selection, tokens
from jobs.steps.settings import Settings
from pipeline.plan import Input, Map, Output, Plan, Step

Part = TypeVar("Part", Input, Output)

TOKENIZER_STEPS = ("corpus_size", "tokenizer")


def curation(recipe: Recipe) -> Plan:
    """The plan of a recipe. Lists the sources; reads nothing of them.

    Raises SourceError for a mistake in a source, RecipeError for one in the recipe.
    """
    steps = _steps(recipe)
    if recipe.tokenize.text.sources:
        steps += [_of_text(step) for step in _steps(recipe.of_text()) if step.name not in TOKENIZER_STEPS]
    return Plan.of(*steps)


def _steps(recipe: Recipe) -> list[Step]:
    """All steps in order; what the recipe switches off has none."""
    settings = Settings.of(recipe)
    return [
        measures.ingest(settings),
        *(popularity.steps(settings) if settings.events else []),
        *(licenses.steps(settings) if recipe.license.enabled else []),
        *(families.steps(settings) if recipe.dedup.repositories.enabled else []),
        *(duplicates.groups(settings) if settings.finds_copies else []),
        measures.annotate(settings),
        *duplicates.copies(settings),
        selection.select(settings),
        *(tokens.steps(settings) if recipe.tokenize.enabled else []),
        *(dialogue.steps(settings) if recipe.dialogue.enabled else []),
    ]


def _of_text(step: Step) -> Step:
    """A step of the text's own: its name, and those of all datasets but the tokenizer, begin with `text_`."""
    if isinstance(step, Map):
        inputs, outputs = tuple(map(_text_dataset, step.inputs)), tuple(map(_text_dataset, step.outputs))
        return replace(step, name=f"{TEXT}{step.name}", inputs=inputs, outputs=outputs)
    emits = tuple(replace(emit, inputs=tuple(map(_text_dataset, emit.inputs))) for emit in step.emits)
    return replace(step, name=f"{TEXT}{step.name}", emits=emits, output=_text_dataset(step.output))


def _text_dataset(part: Part) -> Part:
    folder, work, name = part.dataset.rpartition("_work/")
    return replace(part, dataset=f"{folder}{work}{TEXT}{name}")


if __name__ == "__main__":
    from jobs.cli import main

    main("run")
