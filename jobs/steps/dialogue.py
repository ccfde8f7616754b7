"""Dialogue: conversations made of the corpus, and those that the user gives."""

from jobs.recipe import RecipeError
from jobs.steps.measures import decontaminate
from jobs.steps.settings import Settings
from jobs.steps.sources import SPLIT_BYTES
from pipeline.plan import Input, Map, Output, Step
from pipeline.sources import Limits, Split
from pipeline.sources.jsonl import JsonLines
from schemas.json_lines import parse
from transforms.conditional import Unmeasured
from transforms.dialogue import Dialogues
from transforms.messages import Instructions, messages_of


def steps(settings: Settings) -> list[Step]:
    """Conversations of the corpus and, where the recipe names files of messages, those."""
    made = Dialogues(**settings.recipe.dialogue.model_dump(exclude={"enabled", "files"}))
    pair = Map(
        "dialogue",
        (
            Output(
                "dialogue",
                ("messages", "language", "repo", "path", "content_id", "license"),
                where="is_dialogue",
                matches="dialogue=made",
            ),
            Output("_work/dialogue_fates", ("dialogue",), tally=("dialogue",)),
        ),
        shards=settings.recipe.output.shards,
        inputs=(Input("corpus", ("repo", "path", "content_id", "license", *made.reads)),),
        transforms=(made,),
    )
    return [pair, *([_instructions(settings)] if settings.recipe.dialogue.files else [])]


def _instructions(settings: Settings) -> Map:
    recipe, limits = settings.recipe, settings.limits
    splits = tuple(split for uri in recipe.dialogue.files for split in JsonLines(uri).splits(SPLIT_BYTES[1], limits))
    for split in splits:
        _check_messages(split, limits)
    measure = decontaminate(recipe.decontaminate)
    return Map(
        "instructions",
        (
            Output(
                "instructions",
                ("messages", ("language", "told_language"), "repo", "path", "content_id"),
                where="is_dialogue",
                matches="dialogue=made",
            ),
            Output("_work/instruction_fates", ("path", "dialogue", "contamination"), tally=("dialogue",)),
        ),
        shards=len(splits),
        splits=splits,
        limits=limits,
        transforms=(measure if recipe.decontaminate.enabled else Unmeasured(measure.adds), Instructions()),
    )


def _check_messages(split: Split, limits: Limits) -> None:
    """Raises RecipeError for the first line of a file of messages that holds none."""
    for batch in split.read(limits):
        for row in batch.select(["path", "content", "input_reason", "input_detail"]).to_pylist():
            try:
                if row["content"] is None:
                    raise ValueError(f"{row['input_reason']} {row['input_detail'] or ''}".strip())
                messages_of(parse(row["content"].encode()))
            except ValueError as error:
                raise RecipeError(f"dialogue.files: {row['path'].replace('#L', ':')}: {error}") from None
