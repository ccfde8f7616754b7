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
    packages: Literal["all"] | list[str] = "all"
    leave_out: dict[str, str] = {}
    """Name → why. No file of such a package is read."""


class ArchiveSource(Block):
    """Archives (tar, tar.gz, tar.bz2, tar.xz, tar.zst, zip), each a repository."""

    kind: Literal["archive"]
    uri: Location


class DirectorySource(Block):
    """Folders, each a repository."""

    kind: Literal["directory"]
    uri: Location


class GitSource(Block):
    """Git repositories, read at `revision` or the default branch; with `since` only what changed from that day on."""

    kind: Literal["git"]
    uri: Location
    revision: str | None = None
    since: date | None = None


class ParquetSource(Block):
    """Parquet files with a row per file."""

    kind: Literal["parquet"]
    uri: Location
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}


class JsonlSource(Block):
    """JSON Lines with an object per file."""

    kind: Literal["jsonl"]
    uri: Location
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}


class BigQuerySource(Block):
    """What a query gives, or Google's tables of GitHub repositories, with a row per file."""

    kind: Literal["bigquery"]
    project: str = Field(pattern=r"^[A-Za-z0-9:._-]+$")
    query: str | None = Field(default=None, min_length=1)
    preset: Literal["github_repos", "github_repos_sample"] | None = None
    dataset: str = Field(default="bigquery-public-data.github_repos", pattern=r"^[A-Za-z0-9:._-]+\.\w+$")
    columns: dict[Literal["content", "repo", "path", "revision", "license", "stars"], str] = {}
    max_bytes_billed: int = Field(default=1 << 40, gt=0)
    api_endpoint: str | None = None
    storage_endpoint: str | None = None

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
