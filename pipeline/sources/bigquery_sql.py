"""The SQL that BigQuery is asked: a user's query as one statement, the presets', and the column of streams."""

import re

STREAM = "codesieve_stream"
"""Column of a result: which stream a row belongs to."""
PRESETS = {
    "github_repos": ("files", "contents"),
    "github_repos_sample": ("sample_files", "sample_contents"),
}
"""Tables of paths and of contents in Google's dataset github_repos; `licenses` and `sample_repos` serve both."""
GITHUB_COLUMNS = ("repo", "path", "revision", "id", "mode", "size", "binary", "license", "stars", "content")
GITHUB_QUERY = """\
SELECT f.repo_name AS repo, f.path AS path, f.ref AS revision, f.id AS id, f.mode AS mode,
  c.size AS size, c.binary AS `binary`, l.license AS license, r.stars AS stars, c.content AS content
FROM `{dataset}.{files}` AS f
LEFT JOIN `{dataset}.{contents}` AS c ON c.id = f.id
LEFT JOIN (
  SELECT repo_name, STRING_AGG(DISTINCT license, ' AND ' ORDER BY license) AS license
  FROM `{dataset}.licenses` GROUP BY repo_name
) AS l ON l.repo_name = f.repo_name
LEFT JOIN (
  SELECT repo_name, MAX(watch_count) AS stars FROM `{dataset}.sample_repos` GROUP BY repo_name
) AS r ON r.repo_name = f.repo_name"""
"""One row per repository, ref and path, whether or not its content is there; several paths may share a blob.

GitHub calls watching what its pages call starring; the table knows the more popular repositories alone."""
QUOTED = "|".join(f"{quote}(?:\\\\.|[^\\\\])*?{quote}" for quote in ('"{3}', "'{3}", '"', "'", "`"))
TOKEN = re.compile(rf"(?P<nothing>\s|;|--[^\n]*|#[^\n]*|/\*.*?\*/)|{QUOTED}|.", re.DOTALL)
"""A blank, a semicolon, a comment; a literal or a quoted name; or a character of anything else (GoogleSQL's lexis)."""


def statement(query: str) -> str:
    """A query less the blanks, comments and semicolons behind its last word, so that it may stand in brackets."""
    ends = [token.end() for token in TOKEN.finditer(query) if token["nothing"] is None]
    return query[: ends[-1]].lstrip() if ends else ""


def in_streams(sql: str, columns: tuple[tuple[str, str], ...], streams: int) -> str:
    """A query with the column of streams: a hash of the file's name, or of its content where it has none."""
    named = dict(columns)
    keys = [named[value] for value in ("repo", "path", "revision") if value in named] if "path" in named else []
    text = [f"IFNULL(CAST(t.`{key}` AS STRING), '')" for key in keys]
    key = f"CONCAT({', '.join(text)})" if text else f"TO_HEX(SHA1(IFNULL(t.`{named['content']}`, '')))"
    number = f"MOD(FARM_FINGERPRINT({key}) & 9223372036854775807, {streams})"
    return f"SELECT t.*, {number} AS {STREAM} FROM (\n{sql}\n) AS t"
