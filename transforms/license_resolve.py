"""One licence per file, from all that its repository says of it.

A file's licence is the strictest of three:

(a) what its own text says, a header or an SPDX tag;
(b) what the nearest folder upwards says that has a licence file or package metadata;
(c) what the repository says: its root's licence files and package metadata, and the source's own claim.

So a GPL file in an MIT repository is GPL, a folder `vendor/` with a GPL text is GPL in an MIT repository, an MIT header
in a GPL repository changes nothing, and MIT code vendored into an Apache repository is `Apache-2.0 AND MIT`.

Within one folder a stated choice explains the texts beside it: LICENSE-MIT and LICENSE-APACHE next to a Cargo.toml
that says `MIT OR Apache-2.0` are the two texts to choose from, not two duties. Texts kept in a folder `licenses/`
speak for the folder above it only where nothing else does: they are a store of what single files may refer to. A
wheel's `X.dist-info/licenses/a/b/LICENSE` speaks for `a/b`, where the wheel has such a folder; that of a vendored
wheel, `vendor/x-1.0.dist-info`, for `vendor/x`. Notices of third parties, which do not say what they cover, speak for
themselves alone (`transforms.license.license_scope`). So do the texts in a folder that collects licences for their own
sake, more than any one project has.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.datasets import COPIES, ROW_ID
from transforms.license_class import combine_strictest, license_names, offers_choice, spdx_expression

LICENSES = pa.schema([ROW_ID, COPIES.field("license"), COPIES.field("license_class"), COPIES.field("license_evidence")])

_SPEAKING = ["directory", "package"]  # scopes of evidence that holds for more than the file itself
_SHOWN_STATEMENTS = 8
_MOST_IN_ONE_FOLDER = 24  # distinct licences of one project; more are a licence list, as SPDX's or scancode's
_SEPARATOR = "\0"


class Statement(NamedTuple):
    """A licence that holds for a folder and all below it."""

    expression: str
    evidence: str
    stored: bool  # one of the texts in a folder licenses/


class Context(NamedTuple):
    """What a file's surroundings say of its licence."""

    expressions: tuple[str, ...]
    evidence: str | None


Statements = dict[str, list[Statement]]
"""By folder, `""` being the root of the repository."""


@dataclass(frozen=True)
class LicenseResolve:
    """Weighs header, folder and repository: one row of licence, class and evidence per input row, in their order.

    A batch holds all rows of the repositories in it.
    """

    reads = (
        "row_id",
        "repo",
        "path",
        "license_found",
        "license_granted",
        "license_scope",
        "license_evidence",
        "claimed_license",
    )
    schema = LICENSES

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        return _resolve


def _resolve(batch: pa.RecordBatch) -> pa.RecordBatch:
    folders, folder_of_row = _distinct_folders(batch)
    statements = _collect_statements(batch, folders)
    claims = _collect_claims(batch)
    contexts = [_context(statements.get(repo, {}), folder, claims.get(repo)) for repo, folder in folders]
    license, license_class = _combine(contexts, folder_of_row, batch.column("license_found"))
    evidence = _join_evidence(batch, contexts, folder_of_row)
    return pa.record_batch([batch.column("row_id"), license, license_class, evidence], schema=LICENSES)


def _distinct_folders(batch: pa.RecordBatch) -> tuple[list[tuple[str, str]], np.ndarray]:
    """The distinct (repository, folder), and for each row which of them it is in."""
    folder = pc.replace_substring_regex(batch.column("path"), r"/?[^/]*$", "", max_replacements=1)
    joined = pc.binary_join_element_wise(batch.column("repo"), folder, _SEPARATOR).dictionary_encode()
    distinct = [tuple(name.split(_SEPARATOR, 1)) for name in joined.dictionary.to_pylist()]
    return distinct, joined.indices.to_numpy()


def _collect_statements(batch: pa.RecordBatch, folders: list[tuple[str, str]]) -> dict[str, Statements]:
    """Licence files and package metadata of each repository, under the folder that they speak for."""
    rows = batch.filter(_speaks(batch))
    present = _present_folders(folders, set(rows["repo"].to_pylist()))
    statements: dict[str, Statements] = {}
    for repo, path, expression, evidence in zip(
        rows["repo"].to_pylist(),
        rows["path"].to_pylist(),
        rows["license_granted"].to_pylist(),
        rows["license_evidence"].to_pylist(),
        strict=True,
    ):
        folder, stored = _place(path, present[repo])
        statement = Statement(expression, f"{path}: {evidence}", stored)
        statements.setdefault(repo, {}).setdefault(folder, []).append(statement)
    return {repo: _speaking(found) for repo, found in statements.items()}


def _speaking(statements: Statements) -> Statements:
    """What speaks for each folder, less those that collect licences: there, a text speaks for itself alone."""
    speaking = {folder: _decisive(found) for folder, found in statements.items()}
    return {
        folder: found
        for folder, found in speaking.items()
        if len({statement.expression for statement in found}) <= _MOST_IN_ONE_FOLDER
    }


def _present_folders(folders: list[tuple[str, str]], repos: set[str]) -> dict[str, set[str]]:
    """The folders of each repository, those that only hold folders included."""
    present: dict[str, set[str]] = {repo: set() for repo in repos}
    for repo, folder in folders:
        while repo in present and folder and folder not in present[repo]:
            present[repo].add(folder)
            folder = folder.rpartition("/")[0]
    return present


def _place(path: str, present: set[str]) -> tuple[str, bool]:
    """The folder that a licence file or package metadata speaks for, and whether it is one of a store of texts."""
    parts = path.split("/")[:-1]
    for i, part in enumerate(parts):
        above = "/".join(parts[:i])
        if part.endswith((".dist-info", ".egg-info")):
            below = parts[i + 1 :]
            below = below[1:] if below and below[0] in ("licenses", "license_files") else below
            if not below:
                return _installed(above, part, present), False
            candidates = ["/".join(filter(None, (above, *rest))) for rest in (below, below[1:]) if rest]
            return next(((folder, False) for folder in candidates if folder in present), (above, True))
        if part == "META-INF" or (part == "debian" and i == len(parts) - 1):
            return above, False
        if part.lower() in ("licenses", "licences"):
            return above, True
    return "/".join(parts), False


def _installed(folder: str, metadata: str, present: set[str]) -> str:
    """The folder of a distribution by that of its metadata: of several vendored side by side, its package's own."""
    name = metadata.rpartition(".")[0].partition("-")[0]
    package = f"{folder}/{name}"
    return package if folder and package in present else folder


def _collect_claims(batch: pa.RecordBatch) -> dict[str, str]:
    """What the source itself claims for each repository, where it names a licence."""
    claimed = batch.filter(pc.is_valid(batch["claimed_license"])).select(["repo", "claimed_license"])
    pairs = pa.Table.from_batches([claimed]).group_by(["repo", "claimed_license"]).aggregate([])
    claims: dict[str, list[str | None]] = {}
    for pair in pairs.to_pylist():
        claims.setdefault(pair["repo"], []).append(spdx_expression(pair["claimed_license"]))
    combined = {repo: combine_strictest(expressions)[0] for repo, expressions in claims.items()}
    return {repo: expression for repo, expression in combined.items() if expression}


def _context(statements: Statements, folder: str, claim: str | None) -> Context:
    """What the nearest folder with a statement, the root and the claim say together."""
    while folder and folder not in statements:
        folder = folder.rpartition("/")[0]
    speaking = statements.get(folder, []) if folder else []
    root = statements.get("", [])
    if claim:
        root = [*root, Statement(claim, f"source's claim: {claim}", stored=False)]
    evidence = [statement.evidence for statement in speaking + root]
    if len(evidence) > _SHOWN_STATEMENTS:
        evidence = [*evidence[:_SHOWN_STATEMENTS], f"and {len(evidence) - _SHOWN_STATEMENTS} more"]
    return Context((*_settle(speaking), *_settle(root)), "; ".join(evidence) or None)


def _decisive(statements: list[Statement]) -> list[Statement]:
    """A folder's statements; stored texts only where there is nothing else."""
    return [statement for statement in statements if not statement.stored] or statements


def _settle(statements: Iterable[Statement]) -> list[str]:
    """One folder's expressions, less those that only repeat what a choice beside them offers."""
    expressions = sorted({statement.expression for statement in statements})
    choices = [expression for expression in expressions if offers_choice(expression)]
    return [
        expression
        for expression in expressions
        if expression in choices or not any(license_names(expression) <= license_names(choice) for choice in choices)
    ]


def _combine(contexts: list[Context], folder_of_row: np.ndarray, found: pa.StringArray) -> tuple[pa.Array, pa.Array]:
    """Licence and class per row, worked out once per distinct pair of surroundings and header."""
    surroundings = {context.expressions: None for context in contexts}
    number = {expressions: i for i, expressions in enumerate(surroundings)}
    context_of_row = np.array([number[context.expressions] for context in contexts], np.int64)[folder_of_row]
    encoded = found.dictionary_encode()
    headers = [None, *encoded.dictionary.to_pylist()]
    header_of_row = pc.fill_null(encoded.indices, -1).to_numpy() + 1
    pairs, pair_of_row = np.unique(context_of_row * len(headers) + header_of_row, return_inverse=True)
    around = list(surroundings)
    combined = [combine_strictest([*around[pair // len(headers)], headers[pair % len(headers)]]) for pair in pairs]
    indices = pa.array(pair_of_row)
    licenses = pa.array([license for license, _ in combined], pa.string())
    classes = pa.array([license_class for _, license_class in combined], pa.string())
    return licenses.take(indices), classes.take(indices)


def _join_evidence(batch: pa.RecordBatch, contexts: list[Context], folder_of_row: np.ndarray) -> pa.Array:
    """Each row's own evidence, then that of its surroundings; a licence file's own is among the latter already."""
    around = pa.array([context.evidence for context in contexts], pa.string()).take(pa.array(folder_of_row))
    own = pc.binary_join_element_wise(batch["path"], batch["license_evidence"], ": ")
    repeats = np.zeros(len(batch), bool)
    for row in np.flatnonzero(_speaks(batch).to_numpy(zero_copy_only=False)).tolist():
        repeats[row] = own[row].as_py() in (around[row].as_py() or "")
    own = pc.if_else(pa.array(repeats), pa.scalar(None, pa.string()), own)
    return pc.coalesce(pc.binary_join_element_wise(own, around, "; "), own, around)


def _speaks(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Which rows state a licence for more than themselves."""
    return pc.and_(pc.is_valid(batch["license_found"]), pc.is_in(batch["license_scope"], pa.array(_SPEAKING)))
