"""The licences that files state: in headers and SPDX tags, in licence files, in package metadata.

`LicensePassages` finds in each file what may state a licence, `transforms.license_texts` has each distinct text
matched, `LicenseEvidence` says what that makes of the file; `transforms.license_resolve` then weighs all that is
known of a repository.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field as setting
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.license_class import STRICTNESS, combine_strictest, license_class, spdx_expression
from transforms.license_match import import_scancode, match, matcher, release_index, rule_tables
from transforms.license_metadata import declared_license, is_metadata
from transforms.license_passages import PassageFinder, Passages
from transforms.license_texts import ANSWERS, answer, text_id

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


_NAME = pa.struct([("expression", pa.string()), ("text_id", pa.string())])
_TEXT = pa.struct([("text_id", pa.string()), ("approximate", pa.bool_()), ("text", pa.string())])

PASSAGES = pa.schema(
    [
        field(
            "license_declared",
            pa.list_(pa.list_(_NAME)),
            "package metadata's statements: each name's expression, or the text that tells it",
        ),
        field("license_shown", pa.string(), "text_id of the file's passages that may state a licence"),
        field("license_lines", pa.list_(pa.int32()), "line of the file, from 0, of each line of these passages"),
        field("license_queries", pa.list_(_TEXT), "the texts that these two name, without comment signs"),
    ]
)


@dataclass(frozen=True)
class LicensePassages:
    """Finds in each file the names that metadata declares and the passages that may state a licence."""

    side: tuple[str, ...] = ()
    matcher: str = setting(default_factory=matcher)
    reads = ("path", "content")
    adds = PASSAGES

    def load(self, rules: pa.Table) -> BatchFunction:
        import_scancode()
        finder = PassageFinder(rules.combine_chunks().to_batches()[0])
        return lambda batch: _find_passages(finder, batch)


def _find_passages(finder: PassageFinder, batch: pa.RecordBatch) -> pa.RecordBatch:
    data, offsets = string_buffers(batch.column("content"))
    bounds = offsets.tolist()
    rows = [
        _find_in_file(finder, path, data, bounds[row], bounds[row + 1])
        for row, path in enumerate(batch.column("path").to_pylist())
    ]
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(PASSAGES.types)]
    return pa.RecordBatch.from_arrays(columns, schema=PASSAGES)


def _find_in_file(finder: PassageFinder, path: str, data: np.ndarray, begin: int, end: int) -> tuple[Any, ...]:
    """One row of `PASSAGES`; nothing of a null or empty text."""
    from textcode.analysis import is_source

    if begin == end:
        return None, None, None, None
    texts: dict[str, Passages] = {}
    declared = _declared_names(finder, path, data[begin:end], texts) if is_metadata(path) else []
    shown = None
    # Metadata in a programming language, such as setup.py, has a header too.
    if not declared or is_source(path):
        passages = finder.find(data, begin, end, is_source(path))
        if passages is not None:
            shown = text_id(passages)
            texts[shown] = passages
    lines = None if shown is None else texts[shown].lines
    listed = [
        {"text_id": name, "approximate": passages.approximate, "text": passages.text}
        for name, passages in texts.items()
    ]
    return declared or None, shown, lines, listed or None


def _declared_names(
    finder: PassageFinder, path: str, content: np.ndarray, texts: dict[str, Passages]
) -> list[list[dict[str, str | None]]]:
    """The statements of package metadata, with the texts of names that are no expressions put into `texts`."""

    def normalize(name: str) -> dict[str, str | None]:
        """For a licence named in a metadata field: an id, a name, a classifier, a whole text."""
        expression = spdx_expression(name)
        if expression is not None:
            return {"expression": expression, "text_id": None}
        passages = finder.find_in(name if name.startswith("License ::") else f"license: {name}")
        if passages is None:
            return {"expression": None, "text_id": None}
        named = text_id(passages)
        texts[named] = passages
        return {"expression": None, "text_id": named}

    return [[normalize(name) for name in names] for names in declared_license(path, content.tobytes())]


@dataclass(frozen=True)
class LicenseEvidence:
    """The licences that each file states, from its passages and what was found in them."""

    reads = ("path", "license_declared", "license_shown", "license_lines", "license_answers")
    adds = FOUND

    def load(self) -> BatchFunction:
        return _tell


def _tell(batch: pa.RecordBatch) -> pa.RecordBatch:
    speaks = pc.or_(pc.is_valid(batch.column("license_declared")), pc.is_valid(batch.column("license_shown")))
    told = [_tell_file(**row) for row in batch.filter(speaks).select(LicenseEvidence.reads).to_pylist()]
    place = np.cumsum(speaks.to_numpy(zero_copy_only=False)) - 1
    indices = pa.array(place, mask=~speaks.to_numpy(zero_copy_only=False))
    columns = [pa.array([row[i] for row in told], pa.string()).take(indices) for i in range(len(FOUND))]
    return pa.RecordBatch.from_arrays(columns, schema=FOUND)


class Stated(NamedTuple):
    """A row of `FOUND`."""

    found: str | None = None
    granted: str | None = None
    scope: str | None = None
    evidence: str | None = None


def _tell_file(
    path: str,
    license_declared: list[list[dict[str, Any]]] | None,
    license_shown: str | None,
    license_lines: list[int] | None,
    license_answers: list[dict[str, Any]],
) -> Stated:
    answers = {answer["text_id"]: answer for answer in license_answers}
    found = answers.get(license_shown)
    if license_declared:
        declared = _declared(license_declared, answers)
        stated = combine_strictest([declared, found["expression"]])[0] if found else declared
        return Stated(stated, stated, "package", f"package-metadata: {stated}")
    if found is None:
        return Stated()
    scope = license_scope(path)
    return Stated(found["expression"], found["granted"], scope, _evidence(found, license_lines or [], scope))


def _declared(statements: list[list[dict[str, Any]]], answers: dict[str, dict[str, Any]]) -> str | None:
    """The licence that package metadata declares; unknown where it declares one in words that nobody understands."""
    for names in statements:
        expressions = [name["expression"] or answers.get(name["text_id"], {}).get("expression") for name in names]
        if "unknown" not in map(license_class, expressions):
            return combine_strictest(expressions)[0]
    return "LicenseRef-scancode-unknown"


def _evidence(found: dict[str, Any], lines: list[int], scope: str) -> str:
    kind = "license-file" if scope == "directory" else "spdx-tag" if found["tagged"] else "header"
    spans = [(lines[at["first"] - 1] + 1, lines[at["last"] - 1] + 1) for at in found["lines"]]
    places = ", ".join(f"{first}-{last}" if first < last else str(first) for first, last in spans[:4])
    more = ", …" if len(spans) > 4 else ""
    return f"{kind} lines {places}{more} score {found['score']:g}: {found['expression']}"


@dataclass(frozen=True)
class LicenseScan:
    """The licences that each file states, for those who have batches and no plan: all three at once."""

    reads = ("path", "content")
    adds = FOUND

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        """Loads the index if this process has none: some 5 s and 1.4 GB, for `release_index` to give back."""
        find, tell = LicensePassages().load(pa.Table.from_batches([rule_tables()])), LicenseEvidence().load()
        known: dict[str, dict[str, Any]] = {}

        def answers(queries: list[dict[str, Any]] | None) -> list[dict[str, Any]]:
            for query in queries or ():
                if query["text_id"] not in known:
                    told = answer(match(query["text"], query["approximate"]))
                    known[query["text_id"]] = {"text_id": query["text_id"]} | told
            return [row for query in queries or () if "expression" in (row := known[query["text_id"]])]

        def scan(batch: pa.RecordBatch) -> pa.RecordBatch:
            found = find(batch)
            rows = [{"license_answers": answers(queries)} for queries in found.column("license_queries").to_pylist()]
            told = pa.RecordBatch.from_pylist(rows, ANSWERS)
            columns = {"path": batch.column("path")} | {
                name: part.column(name) for part in (found, told) for name in part.schema.names
            }
            return tell(pa.record_batch({name: columns[name] for name in LicenseEvidence.reads}))

        return scan
