"""The blocks of a recipe that say where files come from."""

import re
from datetime import date
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from pipeline.locations import expanded
from pipeline.sources.bigquery import is_emulator

Location = Annotated[str, AfterValidator(expanded)]
"""A path or an address of the recipe's."""


class Block(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class EnvironmentSource(Block):
    """The packages of the running Python environment, or those named and what they require; its standard library."""

    kind: Literal["environment"]
    """`environment`."""
    packages: Literal["all"] | list[str] = "all"
    """`all`, or a list of packages: these and what they require."""
    leave_out: dict[str, str] = {}
    """Name → why. No file of such a package is read."""


class ArchiveSource(Block):
    """Archives (tar, tar.gz, tar.bz2, tar.xz, tar.zst, zip), each a repository."""

    kind: Literal["archive"]
    """`archive`."""
    uri: Location
    """Path, glob or address."""


class DirectorySource(Block):
    """Folders, each a repository."""

    kind: Literal["directory"]
    """`directory`."""
    uri: Location
    """Path or glob of local folders."""


class GitSource(Block):
    """Git repositories, read at `revision` or the default branch; with `since` only what changed from that day on."""

    kind: Literal["git"]
    """`git`."""
    uri: Location
    """Path or glob of local repositories."""
    revision: str | None = None
    """Branch, tag or full commit id; null is the branch of HEAD."""
    since: date | None = None
    """A day such as 2026-01-01: only what changed from then on."""


class ParquetSource(Block):
    """Parquet files with a row per file."""

    kind: Literal["parquet"]
    """`parquet`."""
    uri: Location
    """Path, glob or address."""
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}
    """Column by role; columns with usual names need none."""


class JsonlSource(Block):
    """JSON Lines with an object per file."""

    kind: Literal["jsonl"]
    """`jsonl`."""
    uri: Location
    """Path, glob or address."""
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}
    """Key by role; keys with usual names need none."""


class BigQuerySource(Block):
    """What a query gives, or Google's tables of GitHub repositories, with a row per file."""

    kind: Literal["bigquery"]
    """`bigquery`."""
    project: str = Field(pattern=r"^[A-Za-z0-9:._-]+$")
    """Pays for the query and keeps its result for a week."""
    query: str | None = Field(default=None, min_length=1)
    """SQL that gives a row per file."""
    preset: Literal["github_repos", "github_repos_sample"] | None = None
    """`github_repos` or `github_repos_sample`, instead of a query."""
    dataset: str = Field(default="bigquery-public-data.github_repos", pattern=r"^[A-Za-z0-9:._-]+\.\w+$")
    """Where the preset's tables are."""
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}
    """Column by role, of a query."""
    max_bytes_billed: int = Field(default=1 << 40, gt=0)
    """A query over it is refused before it runs."""
    api_endpoint: str | None = None
    """Of an emulator or a private endpoint."""
    storage_endpoint: str | None = None
    """Of the Storage Read API, likewise."""

    @field_validator("api_endpoint", "storage_endpoint")
    @classmethod
    def _safe(cls, endpoint: str | None) -> str | None:
        if endpoint and not is_emulator(endpoint) and not re.fullmatch(r"(https://)?[\w.-]+(:\d+)?/?", endpoint):
            raise ValueError("an endpoint is https://host, without a login, or an emulator at http://127.0.0.1:port")
        return endpoint

    @model_validator(mode="after")
    def _one_question(self) -> "BigQuerySource":
        if (self.query is None) == (self.preset is None):
            raise ValueError("name either a query or a preset")
        if self.preset and self.columns:
            raise ValueError("columns belongs to query; a preset knows its own")
        return self


SourceBlock = Annotated[
    EnvironmentSource | ArchiveSource | DirectorySource | GitSource | ParquetSource | JsonlSource | BigQuerySource,
    Field(discriminator="kind"),
]


TextSource = Annotated[
    ArchiveSource | DirectorySource | GitSource | ParquetSource | JsonlSource, Field(discriminator="kind")
]
