"""The blocks of a recipe that say what is kept, by which rules, and in what form it is written."""

import difflib
import re
from typing import Annotated, Any, Literal, get_args

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator

from jobs.recipe_sources import Block, Location, TextSource
from transforms.language import find_language, nearest_languages
from transforms.license_class import find_license, nearest_licenses
from transforms.quality import MARKS, PRESETS

NO_LANGUAGE = "none"
"""What a mixture calls the files of no language."""
LicenseClass = Literal["permissive", "weak-copyleft", "copyleft", "proprietary", "unknown"]


class GhArchiveEvents(Block):
    """Hours of GH Archive (2024-01-01-0.json.gz, …): stars, forks and age of the files' repositories."""

    kind: Literal["gharchive"]
    """`gharchive`."""
    uri: Location
    """Path, glob or address of the hours of GH Archive."""


class PopularityBlock(Block):
    """Drops files of repositories that have few stars, or whose stars are not known."""

    min_stars: int | None = Field(default=None, ge=0)
    """Drops files of repositories with fewer stars, and of those whose stars are not known. Null: no rule."""


class InputBlock(Block):
    """Bounds on what is read: a larger file is a ledger row, an archive past a bound is cut there."""

    max_file_bytes: int = Field(default=1 << 20, gt=0)
    """A larger file is not read: `input.too_large`."""
    max_archive_bytes: int = Field(default=64 << 30, gt=0)
    """An archive is read up to this size, unpacked: `input.bomb`."""
    max_ratio: float = Field(default=200, gt=1)
    """An archive or row group may grow this many times when it is unpacked."""


class FailuresBlock(Block):
    """Share of all files on which transforms may raise an exception; a run with more of them is stopped."""

    max_share: float = Field(default=0.01, ge=0, le=1)
    """Share of all files. A run with more failures stops; raise the share and start it again to go on."""


class LanguagesBlock(Block):
    """Linguist's names, or `all`; by default every programming language."""

    keep: list[str] | Literal["all", "programming"] = "programming"
    """`programming`, `all`, or a list of linguist's names or aliases (golang, cpp)."""

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
    """Whether licences are read and decide."""
    keep: list[str] = ["permissive"]
    """SPDX ids and the classes permissive, weak-copyleft, copyleft, proprietary and unknown."""
    scope: Literal["strictest", "nearest"] = "strictest"
    """`strictest`: of what a file, its folder and its repository say, the strictest holds. `nearest`: the first of them
    that says anything.
    """
    incomplete: Literal["unknown", "as_read"] = "unknown"
    """What an archive that breaks off may have held of licences: `unknown` terms for all of it, or `as_read`."""
    against: list[Location] = []
    """Outputs of earlier runs whose matched licence texts are reused."""

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
    """Whether the thresholds apply."""
    preset: str = "codegen"
    """`none`, `codex`, `codegen` or `starcoder`; see the [presets](presets.md). Their thresholds are keys of this
    block, too.
    """

    @model_validator(mode="after")
    def _thresholds_exist(self) -> "QualityBlock":
        if self.preset not in PRESETS:
            raise ValueError(f"preset: {self.preset!r} is none of {', '.join(PRESETS)}")
        known = {name for preset in PRESETS.values() for name in preset}
        for name, value in (self.model_extra or {}).items():
            if name not in known:
                raise ValueError(f"unknown key {name!r}; the thresholds are {', '.join(sorted(known))}")
            wanted = "true, false or null" if name in MARKS else "a number from 0 on, or null"
            is_number = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < float("inf")
            if value is not None and not (isinstance(value, bool) if name in MARKS else is_number):
                raise ValueError(f"{name} is {wanted}, not {value!r}")
        return self

    def thresholds(self) -> dict[str, Any]:
        """The preset with the recipe's own thresholds over it."""
        merged = dict(PRESETS[self.preset]) | (self.model_extra or {})
        return {name: value for name, value in merged.items() if value is not None}


class ExactBlock(Block):
    """Files with equal bytes."""

    enabled: bool = True
    """Drops all but one of the files with equal bytes."""


class NearBlock(Block):
    """MinHash LSH, verified: no file goes without its measured Jaccard similarity to the file that stays."""

    enabled: bool = True
    """Drops files that are similar to one that is kept."""
    threshold: float = Field(default=0.7, gt=0, le=1)
    """Exact Jaccard similarity of the shingle sets from which a file is a duplicate."""
    ngram: int = Field(default=5, ge=1, le=64)
    """Tokens of a shingle."""
    permutations: int = Field(default=256, ge=16, le=1024)
    """Hash functions of a MinHash signature."""


class RepositoriesBlock(Block):
    """Families of repositories: two that have at least `share` of the smaller one's contents in common.

    If they also have `fork_share` of the larger one's contents in common, one is a fork of the other: `keep: one` keeps
    one of them and drops all files of the other, `keep: all` only lists them.
    """

    enabled: bool = True
    """Whether `families/` is made."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of the smaller repository's contents from which two repositories are a family."""
    keep: Literal["all", "one"] = "all"
    """`one` drops all files of forks; `all` only lists families."""
    fork_share: float = Field(default=0.8, gt=0, le=1)
    """Share of the larger repository's contents from which a repository is a fork."""


class DedupBlock(Block):
    """`against` names output locations of earlier runs: a file like one that they kept is a duplicate of that one."""

    exact: ExactBlock = ExactBlock()
    near: NearBlock = NearBlock()
    repositories: RepositoriesBlock = RepositoriesBlock()
    against: list[Location] = []
    """Outputs of earlier runs. A file like one that they kept is a duplicate of it."""

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
    """Whether personal data and secrets are searched for."""
    policy: Literal["redact", "drop"] = "redact"
    """`redact` replaces them by placeholders; `drop` drops the file."""


class ToxicityBlock(Block):
    """Drops files with a comment or string scored above `max`."""

    enabled: bool = True
    """Whether comments and strings are scored."""
    max: float = Field(default=0.9, ge=0, le=1)
    """Highest score of a line that a file may have."""


class DecontaminateBlock(Block):
    """Drops files that hold a problem or a solution of a benchmark: half of its runs of 10 words, all if they are few.

    A benchmark of your own is a file of JSON Lines, one problem a line, with any of the fields `prompt`,
    `canonical_solution`, `text`, `code` and `prompts`, and `task_id`, `id` or `name`.
    """

    enabled: bool = True
    """Whether benchmarks are searched for."""
    benchmarks: list[Location] = ["humaneval"]
    """`humaneval`, and paths of JSON Lines of your own."""


class TextBlock(Block):
    """Natural language, for a first stage of training: it has datasets of its own, and the tokenizer of the code."""

    sources: list[TextSource] = []
    """Sources of natural language: archive, directory, git, parquet, jsonl."""


class FimBlock(Block):
    """Fill-in-the-middle: share of the files whose middle is put last, and of these the share in the order SPM."""

    rate: float = Field(default=0, ge=0, le=1)
    """Share of files that are rearranged."""
    spm_rate: float = Field(default=0.5, ge=0, le=1)
    """Share of these in the order suffix, prefix, middle."""


class MixtureBlock(Block):
    """Shares of languages, or of sources by number, in the tokens: weights, or sizes to the power `temperature`."""

    by: Literal["language", "source"]
    """What the shares are of: languages, or sources by their number from 0 on."""
    weights: dict[str | int, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}
    """Share by name or number; what is not named is left out."""
    temperature: float | None = None
    """Exponent of the sizes, 0 to 1."""

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
    """Whether tokens are written."""
    tokenizer: Location | None = None
    """A tokenizer.json that is used instead of training one. One that loses texts is refused."""
    vocab_size: int = Field(default=50257, ge=300, le=1 << 20)
    """Ids of the trained tokenizer, end-of-text included."""
    block: int = Field(default=2048, ge=8, le=1 << 20)
    """Tokens of a block."""
    sample_bytes: int = Field(default=32 << 20, gt=0)
    """Text that the tokenizer is trained on."""
    fim: FimBlock = FimBlock()
    order: Literal["shuffled", "repository"] = "shuffled"
    """`shuffled`, or `repository`: the files of a repository together, each after those that it imports."""
    mixture: MixtureBlock | None = None
    """Shares of languages or sources in the tokens; null keeps the corpus as it is."""
    text: TextBlock = TextBlock()

    @model_validator(mode="after")
    def _text_is_tokenized(self) -> "TokenizeBlock":
        if self.text.sources and not self.enabled:
            raise ValueError("text needs tokenize to be enabled")
        return self


class DialogueBlock(Block):
    """Conversations from the corpus, bounded in turns, lines of an answer and characters; and `files` of messages."""

    enabled: bool = True
    """Whether conversations are made."""
    min_turns: int = Field(default=2, ge=1)
    """Fewest turns of a conversation."""
    max_turns: int = Field(default=8, ge=1)
    """Most turns of a conversation."""
    min_lines: int = Field(default=3, ge=1)
    """Fewest lines of code in an answer."""
    max_chars: int = Field(default=8192, ge=64)
    """Most characters of a conversation."""
    files: list[Location] = []
    """JSON Lines of `{"messages": [{"role": …, "content": …}, …], "language": …}`."""


class OutputBlock(Block):
    """Arrow opens with `datasets.load_from_disk`; parquet opens everywhere."""

    format: Literal["arrow", "parquet"] = "arrow"
    """Of `corpus/`: `arrow` or `parquet`."""
    shards: int = Field(default=16, ge=1, le=99999)
    """Files of `corpus/`, and of what is made from it."""


class ResourcesBlock(Block):
    """What a worker of one step takes: CPUs, and memory as bytes or with a unit (`1500MB`, `2GiB`)."""

    cpus: float = Field(default=1, gt=0)
    """CPUs of a worker."""
    memory: int = Field(default=0, ge=0)
    """Bytes, or with a unit."""

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
    """`beam`, `inline` or `ray`."""
    runner: str = "DirectRunner"
    """Beam's runner: DirectRunner, DataflowRunner, …"""
    address: str | None = None
    """Of a running Ray cluster: `auto` or host:port. Null starts one."""
    workers: int | Literal["auto"] = "auto"
    """Processes on this machine; `auto` is one per core."""
    resources: dict[str, ResourcesBlock] = {}
    """Ray: by step."""
    options: dict[str, Any] = {}
    """Beam: the runner's own options by name."""

    @field_validator("address")
    @classmethod
    def _reaches_a_cluster(cls, address: str | None) -> str | None:
        if address is not None and address.startswith("ray://"):
            raise ValueError("Ray's client ends a run with its connection; start it there with `ray job submit`")
        return address
