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

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.license_class import STRICTNESS, combine_strictest, license_class, spdx_expression
from transforms.license_match import Found, import_scancode, match, matcher, release_index, rule_tables
from transforms.license_metadata import declared_license, is_metadata
from transforms.license_passages import PassageFinder, Passages
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
            "what that speaks for: file, directory, package; null where none is stated",
        ),
        field("license_evidence", pa.string(), "kind, lines and weakest score (0 to 100), then the expression"),
    ]
)

_LICENSE_NAME = re.compile(
    r"(?:un|mit-|bsd-|apache-|gpl-|lgpl-)?licen[cs]es?(?:[-_. ].*)?|copying(?:[-_. ].*)?|copyright(?:[-_. ].*)?"
    r"|.*[-_. ]licen[cs]e(?:\.(?:txt|md|rst|html?))?"
)
_THIRD_PARTY = re.compile(r"third[-_ ]?part|3rd[-_ ]?part|bundled|vendored|dependenc|acknowledg|credits")
_OTHER_DOCUMENT = re.compile(r"authors|change|code[-_]of[-_]conduct|contribut|history|news|notice|readme|security")
_LICENSE_FOLDER = re.compile(r"(?:^|/)(?:licen[cs]es)/", re.I)
_CODE_ENDING = re.compile(
    r"\.(?:[ch]|cc|cpp|cs|css|cxx|dart|ejs|go|hh|hpp|hs|ipynb|java|json5?|jsx?|kt|less|lua|mjs|ml|mm|php|pl|pm|proto|"
    r"ps1|py[ix]?|rb|rs|rule|scala|scss|sh|sql|svg|swift|ts|tsx|vue|xml|xsd|ya?ml|toml|cfg|ini|zig)"
)


def license_scope(path: str) -> str:
    """What a licence found in a file of this path speaks for: `directory` for a licence file, else `file`.

    Licence files are LICENSE, LICENCE, UNLICENSE, COPYING, COPYRIGHT with or without endings, `X-LICENSE`, and the
    texts in a folder `licenses/` (REUSE's LICENSES/, a wheel's `.dist-info/licenses/`). A name that says third party,
    bundled, vendored, dependencies or credits tells of parts that it does not place, and NOTICE files do so as well:
    both speak for themselves alone. So does `X.ext.license`, which speaks for another single file.
    """
    name = path[path.rfind("/") + 1 :].lower()
    if _THIRD_PARTY.search(name):
        return "file"
    ending = name[name.rfind(".") :] if "." in name else ""
    if ending and _CODE_ENDING.fullmatch(ending):
        return "file"
    if _LICENSE_FOLDER.search(path):
        return "file" if _OTHER_DOCUMENT.match(name) else "directory"
    if ending == ".license" and name.count(".") > 1:
        return "file"
    return "directory" if _LICENSE_NAME.fullmatch(name) else "file"


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
    reads = ("path", "content")
    adds = PASSAGES

    def load(self, rules: pa.Table) -> BatchFunction:
        return partial(_ask, _finder(rules))


@dataclass(frozen=True)
class LicenseEvidence:
    """The licences that each file states, now that its texts are matched."""

    side: tuple[str, ...] = ()
    reads = ("path", "content", "license_asked", "license_answers")
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
        return lambda batch: _rows([_scan_file(texts, *file) for file in _files(batch)], FOUND)


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
    """Each row's path and where its text is in the buffer."""
    data, offsets = string_buffers(batch.column("content"))
    bounds = offsets.tolist()
    for row, path in enumerate(batch.column("path").to_pylist()):
        yield path, data, bounds[row], bounds[row + 1]


def _rows(rows: list[tuple[Any, ...]], schema: pa.Schema) -> pa.RecordBatch:
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(schema.types)]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _ask(finder: PassageFinder, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What `_scan_file` asks for where no text states anything, which is all that it ever asks for."""
    asked: dict[str, Passages] = {}

    def note(passages: Passages) -> None:
        asked[text_id(passages)] = passages

    texts = LicenseTexts(finder, note)
    rows: list[tuple[Any, ...]] = []
    for file in _files(batch):
        asked.clear()
        stated = _scan_file(texts, *file)
        queries = [
            {"text_id": name, "approximate": passages.approximate, "text": passages.text}
            for name, passages in asked.items()
        ]
        is_silent = not asked and stated[0] is None
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
        rows.append((None,) * len(FOUND) if names is None else _scan_file(texts, *file))
    return _rows(rows, FOUND)


def _scan_file(
    texts: LicenseTexts, path: str, data: np.ndarray, begin: int, end: int
) -> tuple[str | None, str | None, str | None, str | None]:
    """Licence found and granted, scope and evidence of one file; nothing of a null or empty text."""
    from textcode.analysis import is_source

    if begin == end:
        return None, None, None, None
    declared = _declared(texts, path, data[begin:end]) if is_metadata(path) else None
    if declared is not None and not is_source(path):
        return declared, declared, "package", f"package-metadata: {declared}"
    found = texts.find(data, begin, end, is_source(path))
    if declared is not None:  # metadata in a programming language, such as setup.py, has a header too
        stated = combine_strictest([declared, found.expression if found else None])[0]
        return stated, stated, "package", f"package-metadata: {stated}"
    if found is None:
        return None, None, None, None
    scope = license_scope(path)
    return found.expression, found.granted, scope, _evidence(found, scope)


def _declared(texts: LicenseTexts, path: str, content: np.ndarray) -> str | None:
    """The licence that package metadata declares; unknown where it declares one in words that nobody understands."""
    statements = declared_license(path, content.tobytes())
    for names in statements:
        expressions = [_normalize(texts, name) for name in names]
        if "unknown" not in map(license_class, expressions):
            return combine_strictest(expressions)[0]
    return "LicenseRef-scancode-unknown" if statements else None


def _normalize(texts: LicenseTexts, name: str) -> str | None:
    """An SPDX expression for a licence named in a metadata field: an id, a name, a classifier, a whole text."""
    expression = spdx_expression(name)
    if expression is None:
        found = texts.find_in(name if name.startswith("License ::") else f"license: {name}")
        expression = found.expression if found else None
    return expression


def _evidence(found: Found, scope: str) -> str:
    kind = "license-file" if scope == "directory" else "spdx-tag" if found.tagged else "header"
    places = ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in found.lines[:4])
    more = ", …" if len(found.lines) > 4 else ""
    return f"{kind} lines {places}{more} score {found.score:g}: {found.expression}"
