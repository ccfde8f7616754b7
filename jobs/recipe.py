"""Recipes: the YAML that says what to curate and by which rules. Unknown keys are refused, with their line."""

import difflib
import json
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import Field, ValidationError, model_validator

from jobs.recipe_blocks import (
    DecontaminateBlock,
    DedupBlock,
    DialogueBlock,
    EngineBlock,
    FailuresBlock,
    GhArchiveEvents,
    InputBlock,
    LanguagesBlock,
    LicenseBlock,
    OutputBlock,
    PiiBlock,
    PopularityBlock,
    QualityBlock,
    RepositoriesBlock,
    TextBlock,
    TokenizeBlock,
    ToxicityBlock,
)
from jobs.recipe_sources import (
    BigQuerySource,
    Block,
    GitSource,
    JsonlSource,
    ParquetSource,
    SourceBlock,
)
from jobs.recipe_yaml import RecipeError, line, override, parsed
from pipeline.locations import LocationError, read_location, shown


class Recipe(Block):
    """A whole recipe, checked."""

    sources: list[SourceBlock] = Field(min_length=1)
    """Where files come from."""
    repositories: list[GhArchiveEvents] = []
    """What is known of repositories elsewhere."""
    input: InputBlock = InputBlock()
    failures: FailuresBlock = FailuresBlock()
    languages: LanguagesBlock = LanguagesBlock()
    license: LicenseBlock = LicenseBlock()
    quality: QualityBlock = QualityBlock()
    popularity: PopularityBlock = PopularityBlock()
    dedup: DedupBlock = DedupBlock()
    pii: PiiBlock = PiiBlock()
    toxicity: ToxicityBlock = ToxicityBlock()
    decontaminate: DecontaminateBlock = DecontaminateBlock()
    tokenize: TokenizeBlock = TokenizeBlock()
    dialogue: DialogueBlock = DialogueBlock()
    output: OutputBlock = OutputBlock()
    engine: EngineBlock = EngineBlock()
    seed: int = 0
    """Of every random choice."""

    @model_validator(mode="after")
    def _stars_may_be_known(self) -> "Recipe":
        tables = (ParquetSource, JsonlSource, BigQuerySource)
        asks = self.popularity.min_stars is not None and not self.repositories
        if asks and not any(isinstance(source, tables) for source in self.sources):
            raise ValueError("popularity.min_stars needs repositories, or a source with a column of stars")
        return self

    @model_validator(mode="after")
    def _mixed_sources_exist(self) -> "Recipe":
        mixture, last = self.tokenize.mixture, len(self.sources) - 1
        if mixture and mixture.by == "source":
            for number in mixture.weights:
                if not str(number).isdecimal() or int(number) > last:
                    raise ValueError(f"tokenize.mixture.weights: {number} is no number of a source, 0 to {last}")
        return self

    def increment(self, since: date) -> "Recipe":
        """The same recipe for what changed from a day on in its git sources. Raises RecipeError where it has none."""
        if not any(isinstance(source, GitSource) for source in self.sources):
            raise RecipeError("--since: the recipe has no source of kind git; leave it out, or add one")
        sources = [
            source.model_copy(update={"since": since}) if isinstance(source, GitSource) else source
            for source in self.sources
        ]
        return self.model_copy(update={"sources": sources})

    def of_text(self) -> "Recipe":
        """The recipe of the text's own datasets: no rules for code, no licences, no toxicity of comments."""
        return self.model_copy(
            update={
                "sources": self.tokenize.text.sources,
                "repositories": [],
                "languages": LanguagesBlock(keep="all"),
                "license": LicenseBlock(enabled=False),
                "quality": QualityBlock(enabled=False),
                "popularity": PopularityBlock(),
                "dedup": DedupBlock(
                    exact=self.dedup.exact, near=self.dedup.near, repositories=RepositoriesBlock(enabled=False)
                ),
                "toxicity": ToxicityBlock(enabled=False),
                "tokenize": self.tokenize.model_copy(
                    update={"text": TextBlock(), "order": "shuffled", "mixture": None}
                ),
                "dialogue": DialogueBlock(enabled=False),
            }
        )

    def identity(self) -> dict[str, Any]:
        """Everything that shapes the data: two runs with the same identity may share an output location.

        Addresses are without login and options.
        """
        return _shown(json.loads(self.model_dump_json(exclude={"engine", "failures"})))


def _shown(value: Any) -> Any:
    """A recipe's data, with its addresses as they may be shown."""
    if isinstance(value, dict):
        return {key: _shown(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_shown(inner) for inner in value]
    return shown(value) if isinstance(value, str) else value


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """Reads a recipe from a path or an address, and applies `key.path=value` overrides, whose values are YAML.

    Raises RecipeError with the file, the line and the key of the mistake.
    """
    location, path = str(path), shown(str(path))
    try:
        text = read_location(location).decode()
    except (OSError, UnicodeDecodeError, LocationError) as error:
        raise RecipeError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    data, tree = parsed(text, path)
    if not isinstance(data, dict):
        raise RecipeError(f"{path}: a recipe is a mapping with a key `sources`")
    for setting in overrides:
        override(data, setting)
    try:
        return Recipe.model_validate(data)
    except ValidationError as error:
        raise RecipeError(_first_mistake(path, tree, error)) from None


def _first_mistake(path: str, tree: yaml.Node | None, error: ValidationError) -> str:
    mistakes = error.errors(include_url=False)
    mistake = mistakes[0]
    if mistake["type"] == "missing":  # an unknown key beside it may be the one that is meant
        beside = (
            each for each in mistakes if each["type"] == "extra_forbidden" and each["loc"][:-1] == mistake["loc"][:-1]
        )
        mistake = next(beside, mistake)
    # The name of a union's member stands in the location, but not in the file.
    kinds = {"environment", "archive", "directory", "git", "parquet", "jsonl", "bigquery", "int"}
    place = tuple(part for part in mistake["loc"] if part not in kinds and "[" not in str(part))
    key = ".".join(str(part) for part in place)
    number = line(tree, place)
    where = f"{path}:{number}" if number else path
    return f"{where}: {_told(mistake, key, place)}"


def _told(mistake: Any, key: str, place: tuple[Any, ...]) -> str:
    value, words = mistake["input"], mistake["msg"].removeprefix("Value error, ")
    match mistake["type"]:
        case "extra_forbidden":
            return f"unknown key {key}{_suggestion(place, mistake['loc'])}"
        case "missing":
            return f"{key} is missing"
        case "list_type" if isinstance(value, str | int | float):
            return f"{key}: a list is wanted; write it as [{value}]"
        case "union_tag_invalid":
            tag, known = mistake["ctx"]["tag"], mistake["ctx"]["expected_tags"].replace("'", "")
            close = difflib.get_close_matches(tag, known.split(", "), 1)
            return f"{key}.kind: {tag!r} is none of {known}{f'; did you mean {close[0]}?' if close else ''}"
        case "union_tag_not_found":
            return f"{key}.kind is missing; it says what the source is, such as archive or git"
    found = "" if isinstance(value, dict | list) or repr(value) in words else f", not {value!r}"
    return f"{key}: {words}{found}".removeprefix(": ")


def _suggestion(place: tuple[Any, ...], location: tuple[Any, ...]) -> str:
    if "sources" in location[:-1] and len(place) < len(location):
        members = get_args(get_args(SourceBlock)[0])
        [block] = [member for member in members if location[-2] in get_args(member.model_fields["kind"].annotation)]
        return _of(list(block.model_fields), location[-1])
    model: Any = Recipe
    for part in place[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    return _of(list(getattr(model, "model_fields", {})), place[-1])


def _of(known: list[str], key: Any) -> str:
    close = difflib.get_close_matches(str(key), known, 1)
    return f"; did you mean {close[0]}?" if close else (f"; the keys are {', '.join(known)}" if known else "")
