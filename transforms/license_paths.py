"""Licences by path: debian/copyright and REUSE's files, which say for each file of a project what holds for it.

- `debian/copyright` and `.reuse/dep5` in the machine-readable format (Debian, copyright-format 1.0, once DEP-5): the
  last paragraph whose `Files` match decides. `*` and `?` match slashes too. A header paragraph, and a paragraph that
  only holds a licence's text, speak for no file.
- `REUSE.toml` (REUSE specification 3.2 and later): the last annotation whose `path` matches decides. `*` ends at a
  slash, `**` does not. `precedence` is not heard: the strictest of header and annotation holds in any case. Of a file
  that does not parse, every licence holds for all paths.
"""

import re
import tomllib
from collections.abc import Callable
from typing import NamedTuple

import pyarrow as pa

from transforms.license_class import spdx_expression

_LARGEST = 1 << 20  # bytes
_MOST_PATTERNS = 2000  # of one file; each is compared with all paths of the repository
_LONGEST_PATTERN = 1000  # characters
_SHOWN_PATTERNS = 3
_ASSIGNED = re.compile(r"^[ \t]*SPDX-License-Identifier[ \t]*=[ \t]*(.*(?:\n[ \t]*[\"'].*)*)", re.M)
_QUOTED = re.compile(r"[\"']([^\"'\n]+)[\"']")
_DEBIAN_VERSION = re.compile(r"(?<![\w.-])([AL]?GPL|GFDL)-(\d)(?![\w.-])", re.I)
_CLAUSE, _OR, _AND = (re.compile(rf"{words}\s+", re.I) for words in (r",\s*(and|or)", r"\s+or", r"\s+and"))

PATH_LICENSES = pa.list_(
    pa.struct([("patterns", pa.list_(pa.string())), ("license", pa.string()), ("evidence", pa.string())])
)
"""Licences of the files whose path, from the repository's root, one of the patterns matches (RE2); the last holds."""

Normalize = Callable[[str], tuple[str | None, float]]
"""SPDX expression (null: nobody knows it) and score of a licence's name."""


class Paragraph(NamedTuple):
    """What is said of some paths: where that stands, the globs, the licence in its own words."""

    place: str
    globs: list[str]
    license: str


def path_licenses(path: str, content: bytes, normalize: Normalize) -> list[dict] | None:
    """What a file of this path says by path, as `PATH_LICENSES` has it; null where it is no such file, or is broken.

    Null too where it holds more or longer patterns than any project has: then its text is read like any other's.
    """
    folder, _, name = path.rpartition("/")
    above, _, last = folder.rpartition("/")
    if name == "REUSE.toml":
        base, kind, paragraphs, is_reuse = folder, "reuse", _read_annotations, True
    elif (last, name) in ((".reuse", "dep5"), ("debian", "copyright")):
        base, kind, paragraphs, is_reuse = above, "debian-copyright", _read_paragraphs, False
    else:
        return None
    found = paragraphs(content.decode("utf-8", "replace")) if len(content) <= _LARGEST else []
    globs = [glob for paragraph in found for glob in paragraph.globs]
    if not found or len(globs) > _MOST_PATTERNS or max(map(len, globs), default=0) > _LONGEST_PATTERN:
        return None
    start = re.escape(f"{base}/") if base else ""
    licenses = []
    for paragraph in found:
        expression, score = _expression(paragraph.license, normalize)
        shown = " ".join(paragraph.globs[:_SHOWN_PATTERNS]) + " …" * (len(paragraph.globs) > _SHOWN_PATTERNS)
        licenses.append(
            {
                "patterns": [f"(?s)\\A{start}{_pattern(glob, is_reuse)}\\z" for glob in paragraph.globs],
                "license": expression,
                "evidence": f"{kind} {paragraph.place} {shown} score {score:g}: {expression}",
            }
        )
    return licenses


def _read_paragraphs(text: str) -> list[Paragraph]:
    """The paragraphs of a machine-readable copyright file that have both `Files` and `License`."""
    found: list[Paragraph] = []
    fields: dict[str, str] = {}
    name, first = "", 0
    for number, line in enumerate([*text.split("\n"), ""], 1):
        if not line.strip():
            if fields.get("files", "").strip() and fields.get("license", "").strip():
                globs = [glob.removeprefix("./") for glob in fields["files"].split()]
                found.append(Paragraph(f"line {first}", globs, fields["license"].strip()))
            fields, name = {}, ""
        elif line[0] in " \t":
            if name == "files":  # the further lines of License are its text
                fields[name] += line
        elif field := re.match(r"([A-Za-z-]+):(.*)", line):
            name, first = field[1].lower(), first if fields else number
            fields[name] = field[2]
    return found


def _read_annotations(text: str) -> list[Paragraph]:
    try:
        annotations = tomllib.loads(text.removeprefix("\ufeff")).get("annotations")
    except tomllib.TOMLDecodeError:
        names = [name for assigned in _ASSIGNED.findall(text) for name in _QUOTED.findall(assigned)]
        annotations = [{"path": "**", "SPDX-License-Identifier": names}]
    found: list[Paragraph] = []
    for number, table in enumerate(annotations if isinstance(annotations, list) else [], 1):
        table = table if isinstance(table, dict) else {}
        globs, names = (_strings(table.get(key)) for key in ("path", "SPDX-License-Identifier"))
        if globs and names:
            license = names[0] if len(names) == 1 else " AND ".join(f"({name})" for name in names)
            found.append(Paragraph(f"annotation {number}", globs, license))
    return found


def _strings(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [value for value in values if isinstance(value, str) and value.strip()]


def _pattern(glob: str, is_reuse: bool) -> str:
    """A glob as a regular expression of RE2."""
    pieces = []
    for piece in re.findall(r"\\.|\*+|[^\\*]|\\", glob, re.S):
        if piece[0] == "*":
            pieces.append("[^/]*" if is_reuse and len(piece) == 1 else ".*")
        elif piece == "?" and not is_reuse:
            pieces.append(".")
        else:
            pieces.append(re.escape(piece[-1]))
    return "".join(pieces)


def _expression(text: str, normalize: Normalize) -> tuple[str, float]:
    """An SPDX expression for a licence as such files write it, and its weakest score.

    Debian writes `GPL-2+ or Artistic, and Expat`: `and` binds before `or`, a comma before either after both.
    """
    text = _DEBIAN_VERSION.sub(r"\1-\2.0", text)
    whole = spdx_expression(text)
    if whole is not None:
        return whole, 100
    clauses = _CLAUSE.split(text)
    expression, score = _read_clause(clauses[0], normalize)
    for operator, clause in zip(clauses[1::2], clauses[2::2], strict=True):
        other, other_score = _read_clause(clause, normalize)
        expression, score = f"({expression}) {operator.upper()} ({other})", min(score, other_score)
    return spdx_expression(expression) or "LicenseRef-scancode-unknown", score


def _read_clause(clause: str, normalize: Normalize) -> tuple[str, float]:
    scores: list[float] = []
    choices: list[str] = []
    for choice in _OR.split(clause):
        found = [normalize(name) for name in _AND.split(choice)]
        choices.append(" AND ".join(f"({expression or 'LicenseRef-scancode-unknown'})" for expression, _ in found))
        scores += [score for _, score in found]
    return " OR ".join(f"({choice})" for choice in choices), min(scores)
