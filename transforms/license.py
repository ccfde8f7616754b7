"""The licences that files state: in headers and SPDX tags, in licence files, in package metadata.

`LicenseScan` measures one file at a time; `transforms.license_resolve` then weighs all that is known of a repository.
"""

import re
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa

from schemas.datasets import field
from transforms.buffers import string_buffers
from transforms.license_class import STRICTNESS, combine_strictest, license_class, spdx_expression
from transforms.license_metadata import declared_license, is_metadata
from transforms.license_text import Found, LicenseTexts, license_texts, release_index

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


@dataclass(frozen=True)
class LicenseScan:
    """Finds the licences that each file states, by scancode's index and rules."""

    reads = ("path", "content")
    adds = FOUND
    memory = 1_700_000_000

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        """Loads the index if this process has none: some 5 s and 1.4 GB, given back when the function is dropped."""
        license_texts()
        scan = partial(_scan)
        weakref.finalize(scan, release_index).atexit = False
        return scan


def _scan(batch: pa.RecordBatch) -> pa.RecordBatch:
    texts = license_texts()
    content = batch.column("content")
    data, offsets = string_buffers(content)
    bounds = offsets.tolist()
    rows = [
        _scan_file(texts, path, data, bounds[row], bounds[row + 1])
        for row, path in enumerate(batch.column("path").to_pylist())
    ]
    columns = [pa.array([row[i] for row in rows], pa.string()) for i in range(len(FOUND))]
    return pa.record_batch(columns, schema=FOUND)


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
