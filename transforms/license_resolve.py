"""One licence per file, from all that its repository says of it.

Three speak of a file's licence:

(a) what is said of this very file: by its own text, a header or an SPDX tag; by REUSE's `X.license` beside it; by its
    path in debian/copyright, `.reuse/dep5` or REUSE.toml (`transforms.license_paths`);
(b) what the nearest folder upwards says that has a licence file or package metadata;
(c) what the repository says: its root's licence files and package metadata, and the source's own claim.

With the scope `strictest` the strictest of the three holds; with `nearest` the first of them that states any terms,
known or not, less what a nearer word explains (`transforms.license_weighing`). So under both a GPL file in an MIT
repository is GPL, and a folder `vendor/` with a GPL text is GPL in an MIT repository. An MIT header in a GPL
repository changes nothing under `strictest`, and is the file's licence under `nearest`; MIT code vendored into an
Apache repository is `Apache-2.0 AND MIT`, or MIT. A licence that a file only mentions, by a name without any words
that grant it, is not what the file states of itself: it is heard beside the next word, under both.

Within one folder a stated choice explains the texts beside it: LICENSE-MIT and LICENSE-APACHE next to a Cargo.toml
that says `MIT OR Apache-2.0` are the two texts to choose from, not two duties. So is a README heard that offers a
choice, and nothing else, of which all texts are there. Texts kept in a folder `licenses/` speak for the folder above
it only where nothing else does: they are a store of what single files may refer to. So REUSE has it ("License files"),
and a file that an SPDX tag or REUSE speaks for does not hear the store at all. A wheel's
`X.dist-info/licenses/a/b/LICENSE` speaks for `a/b`, where the wheel has such a folder; that of a vendored wheel,
`vendor/x-1.0.dist-info`, for `vendor/x`. Notices of third parties, which do not say what they cover, speak for
themselves alone (`transforms.license_names.license_scope`). So do the texts in a folder that collects licences for
their own sake, more than any one project has.

The GPL-3.0's text beside the LGPL-3.0's is half of the latter, which incorporates the former "supplemented by the
additional permissions": GNU asks to ship both, as COPYING and COPYING.LESSER (gnu.org/licenses/gpl-howto). Where the
same folder's COPYING.LESSER, LICENSE.LESSER or package metadata says LGPL-3.0, its GPL-3.0 text adds no duty. Not so
COPYING.LIB, nor any version 2: GCC ships those texts beside GPL programs, and the LGPL-2.1 stands without the GPL.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.datasets import COPIES, ROW_ID, field
from transforms.license_class import (
    combine_strictest,
    offers_choice,
    settle_choices,
    spdx_expression,
    unexplained,
)
from transforms.license_links import with_pointed
from transforms.license_names import documented, is_named_text, is_partial, is_rider
from transforms.license_weighing import Level, Scope, lists_parts, rides, weigh

LICENSES = pa.schema(
    [
        ROW_ID,
        COPIES.field("license"),
        COPIES.field("license_class"),
        COPIES.field("license_evidence"),
        field("license_other_scope", pa.string(), "`license`, had the recipe the other `license.scope`"),
    ]
)

MENTION = "mention "
"""How the evidence of a file begins that only names a licence."""

_README = r"(?i)(?:^|/)readme(?:\.[a-z]+)?$"
_SPEAKING = ["directory", "package"]  # scopes of evidence that holds for more than the file itself
_SHOWN_STATEMENTS = 8
_MOST_IN_ONE_FOLDER = 24  # distinct licences of one project; more are a licence list, as SPDX's or scancode's
_SEPARATOR = "\0"
_GPL_3 = frozenset({"GPL-3.0-only", "GPL-3.0-or-later"})
_LGPL_3 = frozenset({"LGPL-3.0-only", "LGPL-3.0-or-later"})
_LESSER = re.compile(r"(?:copying|licen[cs]e)\.lesser(?:\.(?:txt|md))?", re.I)


class Statement(NamedTuple):
    """A licence that holds for a folder and all below it."""

    expression: str
    evidence: str
    stored: bool = False  # one of the texts in a folder licenses/
    is_text: bool = False  # a licence file
    is_lesser: bool = False  # says LGPL-3.0 in a declaration, or in a file whose name tells of the Lesser GPL
    is_offer: bool = False  # README's word that there is a choice
    is_partial: bool = False  # a licence file named after a part, as polib.LICENSE
    rides: bool = False  # takes away from other licences
    named: str = ""  # with what a licence file only names
    is_named_text: bool = False  # a licence file named after that licence


class Context(NamedTuple):
    """What is said of a file's licence outside its text: of the file itself, by its folder, by its repository."""

    levels: tuple[Level, Level, Level]
    evidence: str | None


Statements = dict[str, list[Statement]]
"""By folder, `""` being the root of the repository."""


class Place(NamedTuple):
    """What decides the surroundings of a file."""

    repo: str
    folder: str
    is_spoken_for: bool  # by an SPDX tag or by path
    own: int  # which statements there are on this very file


@dataclass(frozen=True)
class LicenseResolve:
    """Weighs header, folder and repository: one row of licence, class and evidence per input row, in their order.

    A batch holds all rows of the repositories in it.
    """

    scope: Scope = "strictest"
    reads = (
        "row_id",
        "repo",
        "path",
        "license_found",
        "license_granted",
        "license_scope",
        "license_evidence",
        "license_paths",
        "license_named",
        "license_joint",
        "license_files",
        "claimed_license",
        "link",
        "unread",
    )
    schema = LICENSES

    def load(self) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
        return partial(_resolve, self.scope)


def _resolve(scope: Scope, batch: pa.RecordBatch) -> pa.RecordBatch:
    rows, batch = len(batch), with_pointed(batch)
    sidecars = _find_sidecars(batch)
    own_of_row, own = _collect_own(batch, sidecars)
    places, place_of_row = _distinct_places(batch, own_of_row)
    statements = _with_missing(_collect_statements(batch, places, sidecars), places, batch)
    claims = _collect_claims(batch)
    contexts = [_context(statements.get(place.repo, {}), place, own[place.own], claims) for place in places]
    license, license_class, other = _combine(scope, contexts, place_of_row, batch)
    evidence = _join_evidence(batch, contexts, place_of_row)
    columns = [batch.column("row_id"), license, license_class, evidence, other]
    return pa.record_batch(columns, schema=LICENSES).slice(0, rows)


def _find_sidecars(batch: pa.RecordBatch) -> dict[int, int]:
    """The rows of files `X.license` that state a licence, each with the row of X in the same repository."""
    is_named = pc.and_(pc.ends_with(batch["path"], ".license"), pc.is_valid(batch["license_found"]))
    rows = pc.indices_nonzero(is_named)
    if len(rows) == 0:
        return {}
    names = pc.binary_join_element_wise(batch["repo"], batch["path"], _SEPARATOR)
    targets = pc.index_in(pc.replace_substring_regex(names.take(rows), r"\.license$", ""), names)
    return {
        row: target for row, target in zip(rows.to_pylist(), targets.to_pylist(), strict=True) if target is not None
    }


def _collect_own(batch: pa.RecordBatch, sidecars: dict[int, int]) -> tuple[np.ndarray, list[tuple[Statement, ...]]]:
    """For each row which of the distinct sets of statements on single files it has; the first set is empty."""
    said: dict[int, list[Statement]] = {}
    for row, target in sidecars.items():
        expression, evidence = batch["license_found"][row].as_py(), batch["license_evidence"][row].as_py()
        said.setdefault(target, []).append(Statement(expression, f"{batch['path'][row].as_py()}: {evidence}"))
    repo_of_row = batch["repo"].dictionary_encode().indices.to_numpy()
    for row in pc.indices_nonzero(pc.is_valid(batch["license_paths"])).to_pylist():
        rows = np.flatnonzero(repo_of_row == repo_of_row[row])
        entries = batch["license_paths"][row].as_py()
        matched = _last_matching(batch["path"].take(pa.array(rows)), entries)
        for place in np.flatnonzero(matched >= 0).tolist():
            entry = entries[matched[place]]
            statement = Statement(entry["license"], f"{batch['path'][row].as_py()}: {entry['evidence']}")
            said.setdefault(int(rows[place]), []).append(statement)
    distinct: dict[tuple[Statement, ...], int] = {(): 0}
    own_of_row = np.zeros(len(batch), np.int64)
    for row, statements in said.items():
        own_of_row[row] = distinct.setdefault(tuple(sorted(statements)), len(distinct))
    return own_of_row, list(distinct)


def _last_matching(paths: pa.StringArray, entries: list[dict]) -> np.ndarray:
    """For each path the number of the last entry that matches it; -1 where none does."""
    last = np.full(len(paths), -1)
    for number, entry in enumerate(entries):
        for pattern in entry["patterns"]:
            last[pc.match_substring_regex(paths, pattern).to_numpy(zero_copy_only=False)] = number
    return last


def _distinct_places(batch: pa.RecordBatch, own_of_row: np.ndarray) -> tuple[list[Place], np.ndarray]:
    """The distinct places of files, and for each row which of them it is in."""
    folder = pc.replace_substring_regex(batch.column("path"), r"/?[^/]*$", "", max_replacements=1)
    is_tagged = pc.starts_with(batch["license_evidence"], "spdx-tag ").fill_null(False)
    is_spoken_for = pc.or_(is_tagged, pa.array(own_of_row > 0))
    flags = (pc.cast(flag, pa.string()) for flag in (pc.cast(is_spoken_for, pa.int8()), pa.array(own_of_row)))
    joined = pc.binary_join_element_wise(batch.column("repo"), folder, *flags, _SEPARATOR).dictionary_encode()
    parts = (name.split(_SEPARATOR) for name in joined.dictionary.to_pylist())
    places = [Place(repo, folder, spoken == "1", int(own)) for repo, folder, spoken, own in parts]
    return places, joined.indices.to_numpy()


def _collect_statements(batch: pa.RecordBatch, places: list[Place], sidecars: dict[int, int]) -> dict[str, Statements]:
    """Licence files, package metadata and READMEs of each repository, under the folder that they speak for."""
    speaks = pc.or_(_speaks(batch), _offers(batch)).to_numpy(zero_copy_only=False).copy()
    speaks[list(sidecars)] = False
    rows = batch.filter(pa.array(speaks))
    present = _present_folders(places, set(rows["repo"].to_pylist()))
    statements: dict[str, Statements] = {}
    names = ("repo", "path", "license_scope", "license_granted", "license_found", "license_evidence")
    for repo, path, scope, expression, found, evidence in zip(*(rows[name].to_pylist() for name in names), strict=True):
        folder, stored = _place(path, present[repo])
        is_lesser = expression in _LGPL_3 and (scope == "package" or bool(_LESSER.fullmatch(path.rpartition("/")[2])))
        is_text = scope == "directory"
        takes_away = is_text and (is_rider(path) or rides(expression))
        about = is_text and _is_documentation_of(repo, folder, path)
        folder = folder.rpartition("/")[0] if about else folder
        partial = is_text and is_partial(path) and not about
        kind = (
            stored,
            is_text,
            is_lesser,
            scope == "file",
            partial,
            takes_away,
            found,
            is_text and is_named_text(path),
        )
        statement = Statement(expression, f"{path}: {evidence}", *kind)
        statements.setdefault(repo, {}).setdefault(folder, []).append(statement)
    return {repo: _speaking(said) for repo, said in statements.items()}


def _speaking(statements: Statements) -> Statements:
    """What speaks for each folder, less those that collect licences: there, a text speaks for itself alone."""
    speaking = {folder: _decisive(found) for folder, found in statements.items()}
    return {
        folder: found
        for folder, found in speaking.items()
        if found and len({statement.expression for statement in found}) <= _MOST_IN_ONE_FOLDER
    }


def _with_missing(
    statements: dict[str, Statements], places: list[Place], batch: pa.RecordBatch
) -> dict[str, Statements]:
    """The statements and, in each folder of a repository of which a part was not read, what may stand in that part."""
    rows = batch.filter(pc.equal(batch["license_scope"], "repository").fill_null(False))
    for repo, expression, evidence in zip(
        *(rows[name].to_pylist() for name in ("repo", "license_found", "license_evidence")), strict=True
    ):
        missing, found = Statement(expression, evidence, rides=True), statements.get(repo, {})
        folders = {place.folder for place in places if place.repo == repo} | {""}
        with_missing = {
            folder: [*(_around(found, folder) or found.get(folder, [])), missing] for folder in sorted(folders)
        }
        statements[repo] = found | with_missing
    return statements


def _around(statements: Statements, folder: str) -> list[Statement]:
    """What the nearest folder upwards says, of those below the root."""
    while folder and folder not in statements:
        folder = folder.rpartition("/")[0]
    return statements.get(folder, []) if folder else []


def _present_folders(places: list[Place], repos: set[str]) -> dict[str, set[str]]:
    """The folders of each repository, those that only hold folders included."""
    present: dict[str, set[str]] = {repo: set() for repo in repos}
    for repo, folder, *_ in places:
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


def _is_documentation_of(repo: str, folder: str, path: str) -> bool:
    """Whether a licence file in doc/ is, by its name, that of the project or folder whose documentation this is."""
    above = folder.rpartition("/")[0] or repo
    name = re.sub(r"[-_.]v?\d[\w.+~]*$", "", above.rpartition("/")[2].lower())
    return documented(path) == name


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


def _context(statements: Statements, place: Place, own: tuple[Statement, ...], claims: dict[str, str]) -> Context:
    """What the nearest folder with a statement, the root and the claim say together, after what is said of the file."""
    claim = claims.get(place.repo)
    around = [_around(statements, place.folder), statements.get("", [])]
    if place.is_spoken_for:
        around = [[statement for statement in said if not statement.stored] for said in around]
    if claim:
        around[1] = [*around[1], Statement(claim, f"source's claim score 100: {claim}")]
    evidence = [statement.evidence for said in (own, *around) for statement in said]
    if len(evidence) > _SHOWN_STATEMENTS:
        evidence = [*evidence[:_SHOWN_STATEMENTS], f"and {len(evidence) - _SHOWN_STATEMENTS} more"]
    of_file = Level(tuple(statement.expression for statement in own))
    return Context((of_file, _level(around[0]), _level(around[1])), "; ".join(evidence) or None)


def _level(statements: list[Statement]) -> Level:
    """What a folder says, in the ways that a level has."""
    lists = {
        statement.expression: statement.named
        for statement in statements
        if statement.is_text and lists_parts(statement.expression)
    }
    for statement in statements:
        if not statement.is_text:
            lists.pop(statement.expression, None)
    partial = {statement.expression for statement in statements if statement.is_partial}
    decisive = {statement.expression for statement in statements if not statement.is_partial}
    said = _settle(statements)
    return Level(
        stated=tuple(expression for expression in said if expression in decisive and expression not in lists),
        mentioned=tuple(expression for expression in said if expression in partial - decisive),
        lists=tuple(
            (expression, lists[expression]) for expression in said if expression in decisive and expression in lists
        ),
        texts=tuple(statement.expression for statement in statements if statement.is_named_text),
        riders=tuple(statement.expression for statement in statements if statement.rides),
    )


def _decisive(statements: list[Statement]) -> list[Statement]:
    """A folder's statements; stored texts only where there is nothing else, a README's where it explains the others."""
    said = [statement for statement in statements if not statement.is_offer]
    said = [statement for statement in said if not statement.stored] or said
    texts = [statement.expression for statement in said]
    offers = (statement for statement in statements if statement.is_offer)
    return [*said, *(offer for offer in offers if unexplained(texts, [offer.expression], texts) != texts)]


def _settle(statements: list[Statement]) -> list[str]:
    """One folder's expressions, less those that a choice or the Lesser GPL beside them explains."""
    is_lesser = any(statement.is_lesser for statement in statements)
    return settle_choices(
        statement.expression
        for statement in statements
        if not (is_lesser and statement.is_text and statement.expression in _GPL_3)
    )


def _combine(
    scope: Scope, contexts: list[Context], place_of_row: np.ndarray, batch: pa.RecordBatch
) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Licence, class, and licence under the other scope per row, once per distinct pair of surroundings and text."""
    surroundings = list({context.levels: None for context in contexts})
    number = {levels: i for i, levels in enumerate(surroundings)}
    context_of_row = np.array([number[context.levels] for context in contexts], np.int64)[place_of_row]
    encoded = batch.column("license_found").dictionary_encode()
    texts = [None, *encoded.dictionary.to_pylist()]
    is_mention = pc.starts_with(batch.column("license_evidence"), MENTION).fill_null(False)
    is_joint = batch.column("license_joint").fill_null(False)
    text_of_row = pc.fill_null(encoded.indices, -1).to_numpy() + 1
    for flag in (is_mention, is_joint):
        text_of_row = text_of_row * 2 + pc.cast(flag, pa.int64()).to_numpy()
    pairs, pair_of_row = np.unique(context_of_row * 4 * len(texts) + text_of_row, return_inverse=True)
    found = []
    for pair in pairs.tolist():
        context, text = divmod(pair, 4 * len(texts))
        of_file, *around = surroundings[context]
        told = _with_text(of_file, texts[text // 4], is_mention=bool(text & 2), is_joint=bool(text & 1))
        found.append(weigh([told, *around]))
    other: Scope = "nearest" if scope == "strictest" else "strictest"
    columns = (
        [weighed[scope][0] for weighed in found],
        [weighed[scope][1] for weighed in found],
        [weighed[other][0] for weighed in found],
    )
    licenses, classes, others = (pa.array(column, pa.string()).take(pa.array(pair_of_row)) for column in columns)
    return licenses, classes, others


def _with_text(level: Level, text: str | None, is_mention: bool, is_joint: bool) -> Level:
    """What is said of a file, with what its own text says."""
    if text is None:
        return level
    if is_mention:
        return level._replace(mentioned=(text,))
    return level._replace(stated=(text, *level.stated), is_joint=is_joint)


def _join_evidence(batch: pa.RecordBatch, contexts: list[Context], place_of_row: np.ndarray) -> pa.Array:
    """Each row's own evidence, then that of its surroundings; a licence file's own is among the latter already."""
    around = pa.array([context.evidence for context in contexts], pa.string()).take(pa.array(place_of_row))
    own = pc.binary_join_element_wise(batch["path"], batch["license_evidence"], ": ")
    repeats = np.zeros(len(batch), bool)
    for row in np.flatnonzero(_speaks(batch).to_numpy(zero_copy_only=False)).tolist():
        repeats[row] = own[row].as_py() in (around[row].as_py() or "")
    own = pc.if_else(pa.array(repeats), pa.scalar(None, pa.string()), own)
    return pc.coalesce(pc.binary_join_element_wise(own, around, "; "), own, around)


def _offers(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Which rows are READMEs that leave a choice among licences, and no more than that."""
    is_readme = pc.match_substring_regex(batch["path"], _README)
    is_statement = pc.and_(
        pc.equal(batch["license_scope"], "file"), pc.starts_with(batch["license_evidence"], "header ")
    )
    granted = batch["license_granted"].dictionary_encode()
    is_choice = pa.array([offers_choice(expression) for expression in granted.dictionary.to_pylist()], pa.bool_())
    return pc.and_(pc.and_(is_readme, is_statement), is_choice.take(granted.indices)).fill_null(False)


def _speaks(batch: pa.RecordBatch) -> pa.BooleanArray:
    """Which rows state a licence for more than themselves."""
    return pc.and_(pc.is_valid(batch["license_found"]), pc.is_in(batch["license_scope"], pa.array(_SPEAKING)))
