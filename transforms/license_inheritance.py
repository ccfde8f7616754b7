"""A file takes over the strictest licence found on its copies and near copies."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.contents import Contents
from transforms.license_class import STRICTNESS, combine_strictest
from transforms.license_names import license_scope
from transforms.similarity import Found

Similar = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Found]
"""`transforms.similarity.first_similar` with everything but members, bounds, asks and answers settled."""


class LicensePolicy(Protocol):
    """The recipe's rule on licences: plain settings, such as `transforms.license_rule.LicenseRule`."""

    def keeps(self, expression: str | None) -> bool:
        """Whether a file under this SPDX expression (None: no licence was found) is kept."""
        ...

    def detail(self, expression: str | None) -> str:
        """Why a file under this expression is not kept, for the ledger."""
        ...


NOT_ALL_HEARD = "near copies: too many alike, not all were asked for their licence"
"""Evidence of a file that more were like than are compared (`Verdicts.max_candidates`), and none gave it a licence."""


class License(NamedTuple):
    expression: str | None
    license_class: str


class Witness(NamedTuple):
    """A row whose licence another content's rows may have to take over."""

    kind: str
    row: int
    license: License


def inherit(own: License, others: Iterable[License], keeps: Callable[[str | None], bool]) -> License:
    """The licence of a file that is also found under others.

    It changes to the strictest of them where that is of a stricter class than its own, or is refused by the recipe
    where its own is not. Files of unknown licence lend nothing to the others, and stay unknown themselves unless
    one of the others is stricter than that, or refused: a permissive twin frees nobody.
    """
    known = {license.expression for license in (own, *others) if license.license_class != "unknown"}
    strictest = License(*combine_strictest(known))
    is_stricter = STRICTNESS.index(strictest.license_class) > STRICTNESS.index(own.license_class)
    is_refused = keeps(own.expression) and not keeps(strictest.expression)
    return strictest if known and (is_stricter or is_refused) else own


@dataclass
class Licenses:
    """The licence of each row by number, the licences themselves, and what made some of them stricter."""

    table: list[License]
    of_row: np.ndarray
    evidence: pa.Array

    def columns(self) -> dict[str, pa.Array]:
        expressions = pa.array([license.expression for license in self.table], pa.string())
        classes = pa.array([license.license_class for license in self.table], pa.string())
        numbers = pa.array(self.of_row)
        return {
            "license": expressions.take(numbers),
            "license_class": classes.take(numbers),
            "license_evidence": self.evidence,
        }

    @staticmethod
    def of(batch: pa.RecordBatch) -> "Licenses":
        """Each row's own."""
        names = batch.column("license").dictionary_encode(null_encoding="encode")
        classes = batch.column("license_class").fill_null("unknown").dictionary_encode()
        pairs = names.indices.to_numpy().astype(np.int64) << 32 | classes.indices.to_numpy()
        distinct, of_row = np.unique(pairs, return_inverse=True)
        table = [
            License(names.dictionary[pair >> 32].as_py(), classes.dictionary[pair & 0xFFFFFFFF].as_py())
            for pair in distinct.tolist()
        ]
        return Licenses(table, of_row, batch.column("license_evidence"))


def inherited_licenses(
    batch: pa.RecordBatch, contents: Contents, policy: LicensePolicy, similar: Similar, min_shingles: int
) -> Licenses:
    """The licence of each row after its copies and near copies have been heard.

    Files of fewer than `min_shingles` shingles neither give nor take: an empty file, or a line that everybody
    writes, comes from nowhere. Nor do licence files, whose text everybody has, and which say themselves what they say.
    Where shingles were not counted (null), every text is heard.
    """
    licenses = Licenses.of(batch)
    table, own = licenses.table, licenses.of_row.copy()
    counted = batch.column("shingles").fill_null(min_shingles).to_numpy()
    is_unread = pc.starts_with(batch.column("reason"), "input.").fill_null(False).to_numpy(zero_copy_only=False)
    rows = _rows_in_mixed_components(contents, own, (counted >= min_shingles) & ~is_unread, batch.column("path"))
    near, is_capped = _near_witnesses(contents, rows, table, own, policy, similar)
    evidence = {row: NOT_ALL_HEARD for content in is_capped for row in rows[content]}
    for content, copies in rows.items():
        witnesses = [Witness("copy", row, table[own[row]]) for row in copies] + near.get(content, [])
        found = {witness.license for witness in witnesses}
        inherited = {
            number: inherit(table[number], found, policy.keeps) for number in {int(own[row]) for row in copies}
        }
        told = {license: _tell(batch, license, witnesses) for license in set(inherited.values())}
        for row in copies:
            license = inherited[int(own[row])]
            if license != table[own[row]]:
                licenses.of_row[row] = _number(table, license)
                evidence[row] = "; ".join(filter(None, (told[license], evidence.get(row))))
    licenses.evidence = _appended(licenses.evidence, evidence)
    return licenses


def _rows_in_mixed_components(
    contents: Contents, own: np.ndarray, is_heard: np.ndarray, paths: pa.Array
) -> dict[int, list[int]]:
    """By content, the rows that are heard, of components with more than one licence: no other row can change."""
    component = contents.component[contents.of_row]
    starts = np.flatnonzero(np.append(True, component[1:] != component[:-1]))
    sizes = np.diff(np.append(starts, len(component)))
    mixed = np.minimum.reduceat(own, starts) != np.maximum.reduceat(own, starts)
    rows: dict[int, list[int]] = {}
    for row in np.flatnonzero(np.repeat(mixed, sizes) & is_heard).tolist():
        if license_scope(paths[row].as_py()) != "directory":
            rows.setdefault(int(contents.of_row[row]), []).append(row)
    return rows


def _near_witnesses(
    contents: Contents,
    rows: dict[int, list[int]],
    table: list[License],
    own: np.ndarray,
    policy: LicensePolicy,
    similar: Similar,
) -> tuple[dict[int, list[Witness]], set[int]]:
    """By content, for each licence that would change it: the first row under it in a similar content.

    Also the contents that were compared with some of the others only, and matched none of these.
    """
    members: list[int] = []
    bounds, asks = [0], []
    lent: list[int] = []  # the licence that each segment is about
    listed = sorted(rows)
    for start, stop in pairwise(contents.bounds(np.array(listed, np.int64)).tolist()):
        held = {content: {int(own[row]) for row in rows[content]} for content in listed[start:stop]}
        for number in sorted(set().union(*held.values())) if len(held) > 1 else ():
            givers = [content for content, numbers in held.items() if number in numbers]
            changed = {
                mine
                for mine in set().union(*held.values())
                if inherit(table[mine], [table[number]], policy.keeps) != table[mine]
            }
            takers = [content for content, numbers in held.items() if numbers & changed]
            if takers:
                members += givers + takers
                asks += [False] * len(givers) + [True] * len(takers)
                bounds.append(len(members))
                lent.append(number)
    asking = np.array(asks, bool)
    found = similar(np.array(members, np.int64), np.array(bounds), asking, ~asking)
    witnesses: dict[int, list[Witness]] = {}
    for place in np.flatnonzero(found.match >= 0).tolist():
        number = lent[int(np.searchsorted(bounds, place, side="right")) - 1]
        giver = members[found.match[place]]
        row = next(row for row in rows[giver] if own[row] == number)
        witness = Witness(f"near copy ({found.similarity[place]:.3f})", row, table[number])
        witnesses.setdefault(members[place], []).append(witness)
    is_capped = {members[place] for place in np.flatnonzero(found.is_capped & (found.match < 0)).tolist()}
    # Licences are numbered as the batch brings them; the order of rows is the same in any batch.
    return {content: sorted(told, key=lambda witness: witness.row) for content, told in witnesses.items()}, is_capped


def _number(table: list[License], license: License) -> int:
    if license not in table:
        table.append(license)
    return table.index(license)


def _tell(batch: pa.RecordBatch, license: License, witnesses: list[Witness]) -> str:
    """The first place where a licence was seen or, where several were joined, the first of its class."""
    like = [witness for witness in witnesses if witness.license.license_class == license.license_class]
    witness = next((witness for witness in like if witness.license == license), (like or witnesses)[0])
    place = f"{batch.column('repo')[witness.row].as_py()}/{batch.column('path')[witness.row].as_py()}"
    return f"{witness.kind}: {place} {witness.license.expression}"


def _appended(column: pa.Array, additions: dict[int, str]) -> pa.Array:
    rows = sorted(additions)
    mask = np.zeros(len(column), bool)
    mask[rows] = True
    told = column.filter(pa.array(mask)).to_pylist()
    texts = [f"{text}; {additions[row]}" if text else additions[row] for text, row in zip(told, rows, strict=True)]
    return pc.replace_with_mask(column, pa.array(mask), pa.array(texts, column.type))
