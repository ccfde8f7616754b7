"""Recipes: the YAML that says what to curate and by which rules. Unknown keys are refused, with their line."""

import difflib
import json
import re
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from jobs.recipe_sources import (
    BigQuerySource,
    Block,
    GitSource,
    JsonlSource,
    Location,
    ParquetSource,
    SourceBlock,
    TextSource,
)
from jobs.recipe_yaml import RecipeError, line, override, parsed
from pipeline.locations import LocationError, read_location, shown
from transforms.language import find_language, nearest_languages
from transforms.license_class import find_license, nearest_licenses
from transforms.quality import PRESETS

NO_LANGUAGE = "none"
"""What a mixture calls the files of no language."""
LicenseClass = Literal["permissive", "weak-copyleft", "copyleft", "proprietary", "unknown"]


class GhArchiveEvents(Block):
    """Hours of GH Archive (2024-01-01-0.json.gz, …): stars, forks and age of the files' repositories."""

    kind: Literal["gharchive"]
    uri: Location


class PopularityBlock(Block):
    """Drops files of repositories that have fewer stars, or of which nobody tells them."""

    min_stars: int | None = Field(default=None, ge=0)


class InputBlock(Block):
    """Bounds on what is read: a larger file is a ledger row, an archive past a bound is cut there."""

    max_file_bytes: int = Field(default=1 << 20, gt=0)
    max_archive_bytes: int = Field(default=64 << 30, gt=0)
    max_ratio: float = Field(default=200, gt=1)


class FailuresBlock(Block):
    """Share of all files on which transforms may raise an exception; a run with more of them is stopped."""

    max_share: float = Field(default=0.01, ge=0, le=1)


class LanguagesBlock(Block):
    """Linguist's names, or `all`; by default every programming language."""

    keep: list[str] | Literal["all", "programming"] = "programming"

    @field_validator("keep")
    @classmethod
    def _known(cls, keep: list[str] | str) -> list[str] | str:
        return keep if isinstance(keep, str) else list(dict.fromkeys(map(_language, keep)))


class LicenseBlock(Block):
    """Classes and SPDX ids that are kept.

    `scope`: of what a file, its folder and its repository say, the strictest holds, or the nearest. `against` names
    output locations of earlier runs: a text that they have matched is not matched again.
    A repository of which only a part could be read may have a licence in the rest: with `incomplete: unknown` all of it
    is unknown, with `as_read` what was read decides.
    """

    enabled: bool = True
    keep: list[str] = ["permissive"]
    scope: Literal["strictest", "nearest"] = "strictest"
    incomplete: Literal["unknown", "as_read"] = "unknown"
    against: list[Location] = []

    @field_validator("keep")
    @classmethod
    def _known(cls, keep: list[str]) -> list[str]:
        return list(dict.fromkeys(map(_license, keep)))


def _language(name: str) -> str:
    """Linguist's name of a language that a recipe names."""
    if found := find_language(name):
        return found
    raise ValueError(f"{name!r} is no language of linguist's{_did_you_mean(nearest_languages(name))}")


def _license(name: str) -> str:
    """The class or SPDX id that a recipe names; an id that SPDX has deprecated stands for the one in its place."""
    classes = get_args(LicenseClass)
    if name in classes:
        return name
    found = [find_license(part) for part in re.split(r" +(?i:with) +", name.strip())]
    if all(found):
        return " WITH ".join(each.spdx for each in found if each)
    near = difflib.get_close_matches(name.lower(), classes, 1) or nearest_licenses(name)
    raise ValueError(f"{name!r} is neither a class ({', '.join(classes)}) nor an SPDX id{_did_you_mean(near)}")


def _did_you_mean(names: list[str]) -> str:
    return f"; did you mean {' or '.join(names)}?" if names else ""


class QualityBlock(Block):
    """A preset named after its paper; any single threshold overrides it, and null switches it off."""

    model_config = ConfigDict(extra="allow", frozen=True)
    enabled: bool = True
    preset: str = "codegen"

    @model_validator(mode="after")
    def _thresholds_exist(self) -> "QualityBlock":
        if self.preset not in PRESETS:
            raise ValueError(f"preset: {self.preset!r} is none of {', '.join(PRESETS)}")
        known = {name for preset in PRESETS.values() for name in preset}
        for name in self.model_extra or {}:
            if name not in known:
                raise ValueError(f"unknown key {name!r}; the thresholds are {', '.join(sorted(known))}")
        return self

    def thresholds(self) -> dict[str, Any]:
        """The preset with the recipe's own thresholds over it."""
        merged = dict(PRESETS[self.preset]) | (self.model_extra or {})
        return {name: value for name, value in merged.items() if value is not None}


class ExactBlock(Block):
    enabled: bool = True


class NearBlock(Block):
    """MinHash LSH, verified: no file goes without its measured Jaccard similarity to the file that stays."""

    enabled: bool = True
    threshold: float = Field(default=0.7, gt=0, le=1)
    ngram: int = Field(default=5, ge=1, le=64)
    permutations: int = Field(default=256, ge=16, le=1024)


class RepositoriesBlock(Block):
    """Families of repositories: those that hold at least `share` of the smaller one's contents both.

    Of those that hold at least `fork_share` of the larger one's, too, `keep: one` keeps one, and drops all files of
    the others; `all` only tells of them.
    """

    enabled: bool = True
    share: float = Field(default=0.5, gt=0, le=1)
    keep: Literal["all", "one"] = "all"
    fork_share: float = Field(default=0.8, gt=0, le=1)


class DedupBlock(Block):
    """`against` names output locations of earlier runs: a file like one that they kept is a duplicate of that one."""

    exact: ExactBlock = ExactBlock()
    near: NearBlock = NearBlock()
    repositories: RepositoriesBlock = RepositoriesBlock()
    against: list[Location] = []

    @model_validator(mode="after")
    def _possible(self) -> "DedupBlock":
        if self.against and not (self.exact.enabled or self.near.enabled):
            raise ValueError("against needs exact or near to be enabled")
        if self.repositories.keep == "one" and not (self.repositories.enabled and self.exact.enabled):
            raise ValueError("repositories.keep: one needs repositories and exact to be enabled")
        return self


class PiiBlock(Block):
    """`redact` puts placeholders in the place of personal data and secrets; `drop` drops the file."""

    enabled: bool = True
    policy: Literal["redact", "drop"] = "redact"


class ToxicityBlock(Block):
    """Drops files with a comment or string scored above `max`."""

    enabled: bool = True
    max: float = Field(default=0.9, ge=0, le=1)


class DecontaminateBlock(Block):
    """Benchmarks kept out: `humaneval`, or paths of JSONL files with prompts and solutions."""

    enabled: bool = True
    benchmarks: list[Location] = ["humaneval"]


class TextBlock(Block):
    """Natural language, for a first stage of training: it has datasets of its own, and the tokenizer of the code."""

    sources: list[TextSource] = []


class FimBlock(Block):
    """Fill-in-the-middle: share of the files whose middle is put last, and of these the share in the order SPM."""

    rate: float = Field(default=0, ge=0, le=1)
    spm_rate: float = Field(default=0.5, ge=0, le=1)


class MixtureBlock(Block):
    """Shares of languages, or of sources by number, in the tokens: weights, or sizes to the power `temperature`."""

    by: Literal["language", "source"]
    weights: dict[str | int, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    temperature: float | None = None

    @field_validator("temperature")
    @classmethod
    def _flattens(cls, temperature: float | None) -> float | None:
        if temperature is not None and not 0 <= temperature <= 1:
            raise ValueError("the exponent of the sizes lies between 0 and 1; where a paper divides by T, it is 1 / T")
        return temperature

    @field_validator("weights")
    @classmethod
    def _known(cls, weights: dict[str | int, float], told: ValidationInfo) -> dict[str | int, float]:
        if told.data.get("by") != "language":
            return weights
        named = {str(name): NO_LANGUAGE if name == NO_LANGUAGE else _language(str(name)) for name in weights}
        if twice := [name for name, found in named.items() if list(named.values()).count(found) > 1]:
            raise ValueError(f"{' and '.join(twice)} are the same language; leave one of them out")
        return {named[str(name)]: weight for name, weight in weights.items()}

    @model_validator(mode="after")
    def _one_way(self) -> "MixtureBlock":
        if (self.temperature is None) == (not any(self.weights.values())):
            raise ValueError("name either weights, one of them above 0, or a temperature")
        return self


class TokenizeBlock(Block):
    """Trains a byte-level BPE on a sample of the corpus, or loads `tokenizer` (a tokenizer.json).

    `order`: files are shuffled, or repositories are, each one's files lying together after those that they import.
    """

    enabled: bool = True
    tokenizer: Location | None = None
    vocab_size: int = Field(default=50257, ge=300, le=1 << 20)
    block: int = Field(default=2048, ge=8, le=1 << 20)
    sample_bytes: int = Field(default=32 << 20, gt=0)
    fim: FimBlock = FimBlock()
    order: Literal["shuffled", "repository"] = "shuffled"
    mixture: MixtureBlock | None = None
    text: TextBlock = TextBlock()

    @model_validator(mode="after")
    def _text_is_tokenized(self) -> "TokenizeBlock":
        if self.text.sources and not self.enabled:
            raise ValueError("text needs tokenize to be enabled")
        return self


class DialogueBlock(Block):
    """Conversations from the corpus, bounded in turns, lines of an answer and characters; and `files` of messages."""

    enabled: bool = True
    min_turns: int = Field(default=2, ge=1)
    max_turns: int = Field(default=8, ge=1)
    min_lines: int = Field(default=3, ge=1)
    max_chars: int = Field(default=8192, ge=64)
    files: list[Location] = []


class OutputBlock(Block):
    """Arrow opens with `datasets.load_from_disk`; parquet opens everywhere."""

    format: Literal["arrow", "parquet"] = "arrow"
    shards: int = Field(default=16, ge=1, le=99999)


class ResourcesBlock(Block):
    """What a worker of one step takes: CPUs, and memory as bytes or with a unit (`1500MB`, `2GiB`)."""

    cpus: float = Field(default=1, gt=0)
    memory: int = Field(default=0, ge=0)

    @field_validator("memory", mode="before")
    @classmethod
    def _bytes(cls, memory: object) -> object:
        if not isinstance(memory, str):
            return memory
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?([KMGT])(i?)B", memory)
        if found is None:
            raise ValueError(f"{memory!r} is no size; write it as 2GiB, 1500MB or a number of bytes")
        return int(float(found[1]) * (1024 if found[3] else 1000) ** (1 + "KMGT".index(found[2])))


class EngineBlock(Block):
    """Where the plan runs. It never changes what comes out.

    `runner` is Beam's, with `options` that are its own, by their names; `address` (of a running cluster) and
    `resources` (by the step's name) are Ray's.
    """

    kind: Literal["beam", "inline", "ray"] = "beam"
    runner: str = "DirectRunner"
    address: str | None = None
    workers: int | Literal["auto"] = "auto"
    resources: dict[str, ResourcesBlock] = {}
    options: dict[str, Any] = {}

    @field_validator("address")
    @classmethod
    def _reaches_a_cluster(cls, address: str | None) -> str | None:
        if address is not None and address.startswith("ray://"):
            raise ValueError("Ray's client ends a run with its connection; start it there with `ray job submit`")
        return address


class Recipe(Block):
    """A whole recipe, checked."""

    sources: list[SourceBlock] = Field(min_length=1)
    repositories: list[GhArchiveEvents] = []
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
    mistake = error.errors(include_url=False)[0]
    # The name of a union's member stands in the location, but not in the file.
    kinds = {"environment", "archive", "directory", "git", "parquet", "jsonl", "bigquery"}
    place = tuple(part for part in mistake["loc"] if part not in kinds)
    key = ".".join(str(part) for part in place)
    number = line(tree, place)
    where = f"{path}:{number}" if number else path
    if mistake["type"] == "extra_forbidden":
        return f"{where}: unknown key {key}{_suggestion(place)}"
    if mistake["type"] == "missing":
        return f"{where}: {key} is missing"
    return f"{where}: {key}: {mistake['msg'].removeprefix('Value error, ')}, not {mistake['input']!r}"


def _suggestion(place: tuple[Any, ...]) -> str:
    model: Any = Recipe
    for part in place[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = field.annotation if field else None
    known = list(getattr(model, "model_fields", {}))
    close = difflib.get_close_matches(str(place[-1]), known, 1)
    return f"; did you mean {close[0]}?" if close else (f"; the keys are {', '.join(known)}" if known else "")
