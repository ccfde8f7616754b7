"""What was not read is not absent: unknown terms in the place of what nobody could read."""

from dataclasses import dataclass
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import FAILURE, ROW_ID, SOURCE_ROW, field
from transforms.license import FOUND
from transforms.license_links import UNKNOWN
from transforms.license_names import evidence_scope, is_license_folder

_READ = ("input.empty",)  # reasons of rows of which all was read that there is
_PARTLY_READ = ("input.bomb", "input.corrupt", "input.corrupt_archive", "input.unreadable")


@dataclass(frozen=True)
class UnheardLicenses:
    """Unknown terms in the place of what a file would state whose text was not read, for whatever reason.

    So for a licence file, package metadata and the like without text (`transforms.license_names.evidence_scope`), and
    for any file on which a transform raised before its licence was read. What they cover is left to no other word.
    With `missing`, so for a repository of which only a part could be read, such as an archive that breaks off: its row
    has no path.
    """

    missing: bool = True
    schema = pa.schema(
        [
            ROW_ID,
            *(SOURCE_ROW.field(name) for name in ("repo", "path", "claimed_license", "link")),
            *FOUND,
            field("unread", pa.string(), "why nobody knows what the file states; null where it was read"),
        ]
    )
    reads = (*schema.names[:-1], "input_reason", "evidence", FAILURE.name)

    def load(self) -> BatchFunction:
        return partial(_unheard, self.missing)


def _unheard(missing: bool, batch: pa.RecordBatch) -> pa.RecordBatch:
    reason, failure = batch.column("input_reason"), batch.column(FAILURE.name)
    is_unread = pc.and_not(pc.is_valid(reason), pc.is_in(reason, pa.array(_READ)))
    is_unread = pc.or_(pc.and_(is_unread, pc.is_null(batch.column("evidence"))), pc.is_valid(failure))
    scopes: list[str | None] = [None] * len(batch)
    for row in pc.indices_nonzero(pc.and_(is_unread, pc.is_null(batch.column("license_found")))).to_pylist():
        path, link = batch.column("path")[row].as_py(), batch.column("link")[row]
        if missing and not path and reason[row].as_py() in _PARTLY_READ:
            scopes[row] = "repository"
        elif reason[row].as_py() == "input.unsafe_path" and evidence_scope(path):
            scopes[row] = "repository"  # nobody knows for which folder it would speak
        elif not link.is_valid:  # else its target speaks
            other = "directory" if is_license_folder(path) else "file" if failure[row].is_valid else None
            scopes[row] = evidence_scope(path) or other
    scope = pa.array(scopes, pa.string())
    told = {
        "license_found": pa.scalar(UNKNOWN),
        "license_granted": pa.scalar(UNKNOWN),
        "license_scope": scope,
        "license_evidence": pc.binary_join_element_wise(
            "not read (", pc.coalesce(failure, reason), f"): {UNKNOWN}", ""
        ),
    }
    columns = [
        pc.if_else(pc.is_valid(scope), told[name], batch.column(name)) if name in told else batch.column(name)
        for name in UnheardLicenses.reads[: len(UnheardLicenses.schema) - 1]
    ]
    unread = pc.if_else(is_unread, pc.coalesce(failure, reason), None)
    return pa.RecordBatch.from_arrays([*columns, unread], schema=UnheardLicenses.schema)
