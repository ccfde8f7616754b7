"""The licences that files state: in headers and SPDX tags, in licence files, in package metadata.

`LicensePassages` finds in each file what may state a licence, `transforms.license_texts` has each distinct text
matched, `LicenseEvidence` says what that makes of the file; `transforms.license_resolve` then weighs all that is
known of a repository.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from dataclasses import field as setting
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.license_choice import may_hold_together
from transforms.license_class import (
    STRICTNESS,
    combine_strictest,
    conjuncts,
    license_class,
    settle_choices,
    spdx_expression,
)
from transforms.license_match import Found, import_scancode, match, matcher, release_index, rule_tables
from transforms.license_metadata import declared_license, has_description, is_metadata, named_files
from transforms.license_names import is_license_text, license_scope
from transforms.license_passages import PassageFinder, Passages
from transforms.license_paths import PATH_LICENSES, path_licenses
from transforms.license_restrictions import find_restriction
from transforms.license_texts import QUERY, read_answer, text_id

__all__ = [
    "STRICTNESS",
    "LicenseScan",
    "combine_strictest",
    "license_class",
    "license_scope",
    "release_index",
]

FOUND = pa.schema(
    [
        field("license_found", pa.string(), "SPDX expression of the licences that the file's text states"),
        field("license_granted", pa.string(), "`license_found` less licences that are only named beside a stated one"),
        field(
            "license_scope",
            pa.string(),
            "what that speaks for: file, directory, package, repository; null where none is stated",
        ),
        field("license_evidence", pa.string(), "kind, lines or fields, weakest score (0 to 100), then the expression"),
        field("license_paths", PATH_LICENSES, "licences that debian/copyright or REUSE.toml state for other files"),
        field(
            "license_joint", pa.bool_(), "of several licences: whether they may hold together, or for parts of the file"
        ),
        field("license_named", pa.string(), "`license_granted` as a licence's own text, where that has conditions"),
        field("license_files", pa.list_(pa.list_(pa.string())), "files that package metadata names as its licence"),
    ]
)

_LICENSE_FILE = re.compile(r"licen[cs]e|copying|readme", re.I)
_POINTING = re.compile(
    r"\b(?:see|refer|read|consult|check|found|located|available|same|root|parent|above)\b|[/\\]|\.(?:txt|md|rst)\b|^\S+$",
    re.I,
)
_FORBIDDING = re.compile(r"\b(?:not|prohibited|forbidden|proprietary|confidential)\b", re.I)
_LONGEST_TEXT = 1 << 18  # bytes; longer documents are no licence's text
_LONGEST_POINTER = 200  # characters, as of "See the file COPYING in the folder above."
_AROUND = 3  # lines after a header in which a condition on it may stand
_UNKNOWN = "LicenseRef-scancode-unknown"


_Row = tuple[str | None, str | None, str | None, str | None, list[dict] | None, bool | None]
_NOTHING: _Row = (None, None, None, None, None, None)


PASSAGES = pa.schema(
    [
        field("license_asked", pa.list_(pa.string()), "text_id of each; null where the file states no licence anyway"),
        field("license_queries", pa.list_(QUERY), "texts that may state a licence, without comment signs"),
    ]
)


@dataclass(frozen=True)
class LicensePassages:
    """Finds in each file what must be matched: names in package metadata, passages that may state a licence."""

    side: tuple[str, ...] = ()
    matcher: str = setting(default_factory=matcher)
    reads = ("path", "content", "evidence")
    adds = PASSAGES

    def load(self, rules: pa.Table) -> BatchFunction:
        return partial(_ask, _finder(rules))


@dataclass(frozen=True)
class LicenseEvidence:
    """The licences that each file states, now that its texts are matched."""

    side: tuple[str, ...] = ()
    reads = ("path", "content", "evidence", "license_asked", "license_answers")
    adds = FOUND

    def load(self, rules: pa.Table) -> BatchFunction:
        return partial(_tell, _finder(rules))


@dataclass(frozen=True)
class LicenseScan:
    """The licences that each file states, for those who have batches and no plan: both at once."""

    reads = ("path", "content")
    adds = FOUND

    def load(self) -> BatchFunction:
        """Loads the index if this process has none: some 5 s and 1.4 GB, for `release_index` to give back."""
        known: dict[str, Found | None] = {}

        def answer(passages: Passages) -> Found | None:
            name = text_id(passages)
            if name not in known:
                known[name] = match(passages.text, passages.approximate)
            return known[name]

        texts = LicenseTexts(_finder(pa.Table.from_batches([rule_tables()])), answer)
        return lambda batch: _rows([_read_file(texts, *file) for file in _files(batch)], FOUND)


class LicenseTexts:
    """Finds the licences that a text states, by what `answer` says of its passages."""

    def __init__(self, finder: PassageFinder, answer: Callable[[Passages], Found | None]) -> None:
        self._finder, self._answer = finder, answer

    def find(self, data: np.ndarray, begin: int, end: int, escapes: bool) -> Found | None:
        """The licences in the UTF-8 text `data[begin:end]`; null where it states none.

        With `escapes`, as for source code, a literal backslash and n, r or t count as white space.
        """
        passages = self._finder.find(data, begin, end, escapes)
        found = None if passages is None else self._answer(passages)
        if passages is None or found is None:
            return None
        at = passages.lines
        return found._replace(lines=tuple((at[first - 1] + 1, at[last - 1] + 1) for first, last in found.lines))

    def find_in(self, text: str) -> Found | None:
        """The licences in a short text."""
        data = np.frombuffer(text.encode(), np.uint8)
        return self.find(data, 0, len(data), escapes=False)


def _finder(rules: pa.Table) -> PassageFinder:
    import_scancode()
    return PassageFinder(rules.combine_chunks().to_batches()[0])


def _files(batch: pa.RecordBatch) -> Iterator[tuple[str, np.ndarray, int, int]]:
    """Each row's path and where its text, or what is read for its evidence alone, is in the buffer."""
    texts = [batch.column(name) for name in ("content", "evidence") if name in batch.schema.names]
    data, offsets = string_buffers(pc.coalesce(*texts) if len(texts) > 1 and texts[0].null_count else texts[0])
    bounds = offsets.tolist()
    for row, path in enumerate(batch.column("path").to_pylist()):
        yield path, data, bounds[row], bounds[row + 1]


def _rows(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(schema.types)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _ask(finder: PassageFinder, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What `_read_file` asks for where no text states anything, which is all that it ever asks for."""
    asked: dict[str, Passages] = {}

    def note(passages: Passages) -> None:
        asked[text_id(passages)] = passages

    texts = LicenseTexts(finder, note)
    rows: list[tuple[Any, ...]] = []
    for file in _files(batch):
        asked.clear()
        stated = _read_file(texts, *file)
        queries = [
            {"text_id": name, "approximate": passages.approximate, "text": passages.text}
            for name, passages in asked.items()
        ]
        is_silent = not asked and not any(stated)
        rows.append((None if is_silent else list(asked), queries or None))
    return _rows(rows, PASSAGES)


def _tell(finder: PassageFinder, batch: pa.RecordBatch) -> pa.RecordBatch:
    known: dict[str, Found | None] = {}
    texts = LicenseTexts(finder, lambda passages: known[text_id(passages)])
    rows: list[tuple[Any, ...]] = []
    asked, answered = (batch.column(name).to_pylist() for name in ("license_asked", "license_answers"))
    for file, names, answers in zip(_files(batch), asked, answered, strict=True):
        known.clear()
        known.update(dict.fromkeys(names or ()), **{row["text_id"]: read_answer(row) for row in answers})
        rows.append((None,) * len(FOUND) if names is None else _read_file(texts, *file))
    return _rows(rows, FOUND)


def _read_file(texts: LicenseTexts, path: str, data: np.ndarray, begin: int, end: int) -> tuple[Any, ...]:
    """A row of `FOUND`: what the file states, and what it is to those that lead to it or that it leads to."""
    stated = _scan_file(texts, path, data, begin, end)
    files = [list(files.names) for files in named_files(path, data[begin:end].tobytes())] if is_metadata(path) else None
    return (*stated, _named(texts, path, data, begin, end, stated), files or None)


def _named(texts: LicenseTexts, path: str, data: np.ndarray, begin: int, end: int, stated: _Row) -> str | None:
    """What a document states if a link or a manifest takes it for a licence's text: all of it is searched then."""
    from textcode.analysis import is_source

    _, granted, scope, _, by_path, _ = stated
    if scope != "file" or by_path or end - begin > _LONGEST_TEXT or is_source(path):
        return None
    if license_class(granted) != "permissive" or not (found := texts.find(data, begin, end, False)):
        return None
    is_restricted = _restriction(data[begin:end].tobytes(), found, "directory")
    return spdx_expression(f"({granted}) AND {_UNKNOWN}") if is_restricted else None


def _scan_file(texts: LicenseTexts, path: str, data: np.ndarray, begin: int, end: int) -> _Row:
    """Licence found and granted, scope and evidence of one file; nothing of a null or empty text."""
    from textcode.analysis import is_source

    if begin == end:
        return _NOTHING
    by_path = path_licenses(path, data[begin:end].tobytes(), partial(_normalize, texts))
    if by_path is not None:
        stated = combine_strictest(entry["license"] for entry in by_path)[0]
        return stated, stated, "file", f"license-paths: {stated}", by_path, None
    declared, fields = _declared(texts, path, data[begin:end]) if is_metadata(path) else (None, "")
    if declared is not None and not is_source(path) and not has_description(path):
        return declared, declared, "package", f"package-metadata {fields}: {declared}", None, None
    found = texts.find(data, begin, end, is_source(path))
    if declared is not None:
        return _metadata(declared, fields, found, is_source(path))
    scope = license_scope(path)
    if found is None:
        is_license = scope == "directory" and is_license_text(path)
        return _unknown_terms(data[begin:end].tobytes().decode("utf-8", "replace")) if is_license else _NOTHING
    restriction = _restriction(data[begin:end].tobytes(), found, scope)
    if restriction is None:
        joint = _may_hold_together(data[begin:end].tobytes(), found)
        return found.expression, found.granted, scope, _evidence(found, scope), None, joint
    line, words = restriction
    stated, granted = (spdx_expression(f"({terms}) AND {_UNKNOWN}") for terms in (found.expression, found.granted))
    evidence = f'{_kind(found, scope)} {_places(found)}, restricted in line {line} ("{words}"): {stated}'
    return stated, granted, scope, evidence, None, None


def _metadata(declared: str, fields: str, found: Found | None, is_code: bool) -> _Row:
    """Package metadata with more text: code such as setup.py has a header, which holds for the package as well.

    A long description in which other licences occur holds for the file alone.
    """
    text = found.expression if found else None
    together = combine_strictest([declared, text])[0]
    evidence = f"package-metadata {fields}: {declared}"
    if found and text != declared:
        evidence += f"; text {_places(found)}: {text}"
    if is_code:
        return together, together, "package", evidence, None, None
    is_as_strict = STRICTNESS.index(license_class(text)) >= STRICTNESS.index(license_class(declared))
    return (text if text and is_as_strict else together), declared, "package", evidence, None, None


def _may_hold_together(content: bytes, found: Found) -> bool | None:
    """Whether the words around a text's licences, of which there are several, may mean all of them; null of one."""
    if len(conjuncts(found.expression)) == 1:
        return None
    lines = content.decode("utf-8", "replace").split("\n")
    spans = ("\n".join(lines[max(first - 1 - _AROUND, 0) : last + _AROUND]) for first, last in found.lines)
    return any(map(may_hold_together, spans))


def _restriction(content: bytes, found: Found, scope: str) -> tuple[int, str] | None:
    """Line and words of a condition that a permissive licence does not have: in a licence file, or about a header."""
    if license_class(found.granted) != "permissive":
        return None
    lines = content.decode("utf-8", "replace").split("\n")
    spans = [(1, len(lines))] if scope == "directory" else [(first, last + _AROUND) for first, last in found.lines]
    for first, last in spans:
        restriction = find_restriction("\n".join(lines[first - 1 : last]), found.granted)
        if restriction is not None:
            return first - 1 + restriction[0], restriction[1]
    return None


def _unknown_terms(text: str) -> _Row:
    """What a licence file says whose terms nobody knows: its folder's are unknown, unless it only points elsewhere."""
    if not text.strip():
        return _NOTHING
    words = text.strip()
    is_named = len(text) <= _LONGEST_POINTER and _LICENSE_FILE.search(words)
    is_pointer = is_named and _POINTING.search(words) and not _FORBIDDING.search(words)
    stated = "LicenseRef-scancode-unknown-license-reference" if is_pointer else _UNKNOWN
    last = text.rstrip().count("\n") + 1
    places = f"1-{last}" if last > 1 else "1"
    return stated, stated, "directory", f"license-file lines {places} score 0: {stated}", None, None


def _declared(texts: LicenseTexts, path: str, content: np.ndarray) -> tuple[str | None, str]:
    """The licence that package metadata declares, with the fields and the score that say so.

    The first declaration that is understood, unless a later one is of a stricter class and more than one of the
    choices that the first offers; unknown where a licence is declared in words that nobody understands.
    """
    declarations = declared_license(path, content.tobytes())
    license, told = None, ""
    for declaration in declarations:
        read = [_normalize(texts, name) for name in declaration.names]
        expressions = [expression for expression, _ in read if expression is not None]
        if len(expressions) < len(read) or "unknown" in map(license_class, expressions):
            continue
        together = combine_strictest(settle_choices([*expressions, *([license] if license else [])]))[0]
        if license is None or STRICTNESS.index(license_class(together)) > STRICTNESS.index(license_class(license)):
            license = together
            told = f"{declaration.field} score {min(score for _, score in read):g}"
    if license is None and declarations:
        return _UNKNOWN, f"{declarations[0].field} score 0"
    return license, told


def _normalize(texts: LicenseTexts, name: str) -> tuple[str | None, float]:
    """An SPDX expression, with its score, for a licence named in a field: an id, a name, a classifier, a whole text."""
    expression = spdx_expression(name)
    if expression is not None:
        return expression, 100
    found = texts.find_in(name if name.startswith("License ::") else f"license: {name}")
    return (found.expression, found.score) if found else (None, 0)


def _evidence(found: Found, scope: str) -> str:
    return f"{_kind(found, scope)} {_places(found)}: {found.expression}"


def _kind(found: Found, scope: str) -> str:
    if scope == "directory":
        return "license-file"
    return "spdx-tag" if found.tagged else "header" if found.stated else "mention"


def _places(found: Found) -> str:
    places = ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in found.lines[:4])
    more = ", …" if len(found.lines) > 4 else ""
    return f"lines {places}{more} score {found.score:g}"
