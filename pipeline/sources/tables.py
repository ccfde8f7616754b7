"""Tables of files, one row per file: which column holds what, and from values to a row."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from pipeline.sources.files import Place, without_endings
from pipeline.sources.rows import Limits, Origin, Row, failed_row, printable, text_row

NAMES = {
    "content": ("content", "text", "code"),
    "repo": ("repo", "repo_name", "repository_name", "max_stars_repo_name"),
    "path": ("path", "max_stars_repo_path", "file_path"),
    "revision": ("revision", "commit", "ref", "max_stars_repo_head_hexsha"),
    "license": ("license", "licenses", "max_stars_repo_licenses"),
    "stars": ("max_stars_count", "stars", "watch_count"),
}
"""Column names in public datasets (The Stack, github-code, starcoderdata, BigQuery's github_repos)."""

TABLE_ENDINGS = (".parquet", ".jsonl", ".jsonl.gz", ".jsonl.zst", ".json.gz", ".json", ".ndjson")


@dataclass(frozen=True)
class Columns:
    """The column that holds each value; None takes the first of `NAMES` that the table has."""

    content: str | None = None
    repo: str | None = None
    path: str | None = None
    revision: str | None = None
    license: str | None = None
    stars: str | None = None

    def names(self, value: str) -> tuple[str, ...]:
        """Names under which a value (``content``, ``repo``, …) may be found, the first one first."""
        chosen = getattr(self, value)
        return (chosen,) if chosen else NAMES[value]

    def found_in(self, available: list[str]) -> dict[str, str]:
        """Value → the column of a table that holds it, for the values that it has."""
        found = {}
        for value in (field.name for field in fields(self)):
            if name := next((name for name in self.names(value) if name in available), None):
                found[value] = name
        return found

    def problem(self, shown: str, available: list[str]) -> str | None:
        """What to tell the user of a table without content, or without a column that the recipe names."""
        for name in self.found_in(available).values():
            if (times := available.count(name)) > 1:
                return f"{shown}: column {printable(name)} is there {times} times; name another one under columns:"
        chosen = [name for field in fields(self) if (name := getattr(self, field.name))]
        wanted = next((name for name in chosen if name not in available), None)
        if not wanted and any(name in available for name in self.names("content")):
            return None
        if not wanted and "blob_id" in available:
            return f"{shown}: it names blobs (blob_id) and has no text, as The Stack v2; fetch their contents first"
        has = ", ".join(printable(name) for name in available[:30]) or "none"
        lacks = f"no column {wanted}" if wanted else f"no column of text ({', '.join(self.names('content'))})"
        return f"{shown}: {lacks}; it has {has}; say which under columns:, as in columns: {{content: body}}"


DEFAULT_COLUMNS = Columns()


def table_origin(kind: str, place: Place) -> Origin:
    """What rows without a repository of their own share: the file's name stands for it."""
    return Origin(f"{kind}:{place.uri}", without_endings(place.name, TABLE_ENDINGS))


class Unread(NamedTuple):
    """A cell that cannot be read, and why."""

    why: str


def table_row(
    origin: Origin,
    place: Place,
    mark: Callable[[], str],
    values: dict[str, Any],
    columns: Mapping[str, str],
    limits: Limits,
) -> Row:
    """The row of one table row; `mark` (gives ``#L12``) names it where it has no path.

    `columns` are those that the values are from. A value that is no text fails the row, which names its column.
    """
    path = one_line(values.get("path")) or file_path(place, mark())
    repo, revision, license = (one_line(values.get(name)) for name in ("repo", "revision", "license"))
    origin = Origin(origin.source, repo or origin.repo, revision, license, count(values.get("stars")))
    for value, cell in values.items():
        if (why := _flaw(value, cell)) is not None:
            reason = "input.unsafe_path" if why.startswith("NUL") else "input.not_utf8"
            where = f"{file_path(place, mark())}: column {printable(columns[value])}"
            return failed_row(origin, path, None, reason, f"{where}: {why}")
    content = values.get("content")
    if isinstance(content, str):
        content = content.encode()
    if not isinstance(content, bytes):
        detail = "null" if content is None else f"{type(content).__name__}, not text"
        return failed_row(origin, path, None, "input.no_content", detail)
    return text_row(origin, path, content, limits)


def _flaw(value: str, cell: Any) -> str | None:
    """What is wrong with a cell; None where nothing is. Whether bytes of a content are text, `text_row` tells."""
    if cell is None or (isinstance(cell, str) and cell.isascii() and "\0" not in cell):
        return None
    if isinstance(cell, Unread):
        return cell.why
    if isinstance(cell, list):
        return next((why for item in cell if (why := _flaw(value, item)) is not None), None)
    try:
        if isinstance(cell, str):
            cell = cell.encode()
        elif isinstance(cell, bytes) and value != "content":
            cell.decode()
    except UnicodeEncodeError as error:
        return f"lone surrogate at character {error.start}"
    except UnicodeDecodeError as error:
        return not_utf8(error)
    return f"NUL at byte {cell.index(0)}" if value == "path" and isinstance(cell, bytes) and 0 in cell else None


def not_utf8(error: UnicodeDecodeError) -> str:
    """Where bytes cease to be UTF-8, in words."""
    return f"not UTF-8 at byte {error.start}"


def file_path(place: Place, mark: str = "") -> str:
    """The path that stands for a row of the file, or for the file itself."""
    return place.name.rsplit("/", 1)[-1] + mark


def count(value: Any) -> int | None:
    """A value as a count; tables that went through pandas hold counts as floats. None for what is none."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return int(value) if is_number and 0 <= value < 1 << 62 else None


def one_line(value: Any) -> str | None:
    """A value as one line; several licences all hold."""
    if isinstance(value, list):
        return " AND ".join(filter(None, map(one_line, value))) or None
    if value is None or isinstance(value, Unread):
        return None
    return printable(value if isinstance(value, bytes) else str(value)) or None
