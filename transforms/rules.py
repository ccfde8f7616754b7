"""The recipe's rules: measures in, the first reason against a file out. Rules decide; they never measure.

Rules are asked in this order, and the first that a file breaks is its reason: input, failed transforms, language,
quality, repository, licence, toxicity, contamination, personal data, duplicates. Duplicates come last, so that a
survivor is only ever chosen among files that every other rule keeps.
"""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from schemas.contracts import BatchFunction
from schemas.datasets import COPIES, FAILURE, LEDGER, field
from transforms.license_class import STRICTNESS
from transforms.quality import MEASURES, quality_reason

FAILED = (
    "input.not_utf8",
    "input.unreadable",
    "input.corrupt",
    "input.corrupt_archive",
    "input.empty_archive",
    "input.left_out",
    "input.malformed_json",
    "input.unsafe_path",
    "input.bomb",
    "input.truncated",
    "input.altered",
)
"""Reasons of files that could not be judged, beside those that begin with `failed.`; of others, the file is dropped."""


def first(*reasons: tuple[pa.Array, pa.Array]) -> tuple[pa.Array, pa.Array]:
    """The first (reason, detail) that is there, row by row."""
    reason, detail = reasons[0]
    for other_reason, other_detail in reasons[1:]:
        missing = pc.is_null(reason)
        reason = pc.if_else(missing, other_reason, reason)
        detail = pc.if_else(missing, other_detail, detail)
    return reason, detail


def where(mask: pa.Array, reason: str, detail: pa.Array) -> tuple[pa.Array, pa.Array]:
    """A reason and its detail in the rows of a mask, null elsewhere."""
    mask = pc.fill_null(mask, False)
    nothing = pa.scalar(None, pa.string())
    return pc.if_else(mask, pa.scalar(reason), nothing), pc.if_else(mask, detail, nothing)


@dataclass(frozen=True)
class CheapRules:
    """What the path, the text's measures and the repository decide: input, failed transforms, language, quality, stars.

    `languages` are the kept ones: linguist's names, or None for every language and for files without one.
    `programming` keeps every programming language instead. `thresholds` are (name, value) pairs of
    `transforms.quality`; empty switches quality off. `min_stars` drops files of a repository with fewer stars, and of
    one whose stars nobody tells.
    """

    languages: tuple[str, ...] | None
    programming: bool
    thresholds: tuple[tuple[str, float | int | bool], ...]
    min_stars: int | None = None

    @property
    def reads(self) -> tuple[str, ...]:
        stars = () if self.min_stars is None else ("repo_stars",)
        return ("input_reason", "input_detail", FAILURE.name, "language_type", *MEASURES, *stars)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema(
            [
                field(
                    "cheap_reason",
                    pa.string(),
                    "first of the rules on input, language, quality and stars that is broken",
                ),
                field("cheap_detail", pa.string(), "the value and the threshold behind `cheap_reason`"),
            ]
        )

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            told = [
                (batch.column("input_reason"), batch.column("input_detail")),
                _failed(batch),
                *self._language(batch),
            ]
            if self.thresholds:
                told.append(quality_reason(batch, dict(self.thresholds)))
            if self.min_stars is not None:
                told.append(self._stars(batch, self.min_stars))
            return pa.RecordBatch.from_arrays(list(first(*told)), schema=self.adds)

        return decide

    @staticmethod
    def _stars(batch: pa.RecordBatch, least: int) -> tuple[pa.Array, pa.Array]:
        stars = batch.column("repo_stars")
        detail = pc.binary_join_element_wise(pc.cast(stars, pa.string()).fill_null("unknown"), f"< {least}", " ")
        return where(pc.less(stars, least).fill_null(True), "repository.stars", detail)

    def _language(self, batch: pa.RecordBatch) -> list[tuple[pa.Array, pa.Array]]:
        language = batch.column("language")
        if self.programming:
            chosen = pc.equal(batch.column("language_type"), "programming")
        elif self.languages is not None:
            chosen = pc.is_in(language, value_set=pa.array(self.languages, pa.string()))
        else:
            return []
        unknown = pc.is_null(language)
        return [
            where(unknown, "language.unknown", pa.nulls(len(language), pa.string())),
            where(pc.invert(pc.fill_null(chosen, False)), "language.not_selected", language),
        ]


def _failed(batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
    """A file that a transform raised on was not measured, so nobody can answer for it."""
    failed = batch.column(FAILURE.name)
    return pc.binary_join_element_wise("failed", pc.replace_substring_regex(failed, ": .*", ""), "."), failed


@dataclass(frozen=True)
class ContentRules:
    """What the costly measures decide, after `CheapRules`: toxicity, contamination, personal data.

    `toxicity` is the highest score that is kept, None for any; `drop_personal_data` drops what would be redacted.
    """

    toxicity: float | None
    drop_personal_data: bool

    @property
    def reads(self) -> tuple[str, ...]:
        return ("toxicity", "toxicity_line", "contaminated", "contamination", "pii")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema(
            [
                field("content_reason", pa.string(), "first of the rules on measured content that is broken"),
                field("content_detail", pa.string(), "the value and the threshold behind `content_reason`"),
            ]
        )

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            contaminated = batch.column("contaminated")
            names = pc.binary_join_element_wise("contaminated", contaminated, ".")
            told = [(names, batch.column("contamination"))]
            if self.toxicity is not None:
                told.insert(0, self._toxicity(batch, self.toxicity))
            if self.drop_personal_data:
                found = pc.list_value_length(batch.column("pii"))
                detail = pc.binary_join_element_wise(pc.cast(found, pa.string()), "places", " ")
                told.append(where(pc.greater(found, 0), "pii.found", detail))
            return pa.RecordBatch.from_arrays(list(first(*told)), schema=self.adds)

        return decide

    @staticmethod
    def _toxicity(batch: pa.RecordBatch, bound: float) -> tuple[pa.Array, pa.Array]:
        score = pc.cast(batch.column("toxicity"), pa.float64())
        detail = pc.binary_join_element_wise(
            "toxicity",
            pc.cast(pc.round(score, 3), pa.string()),
            ">",
            f"{bound:g} in line",
            pc.cast(batch.column("toxicity_line"), pa.string()),
            " ",
        )
        return where(pc.greater(score, bound), "toxicity", detail)


@dataclass(frozen=True)
class OwnReason:
    """The first reason of `CheapRules` and `ContentRules`: all that stands against a file but licence and copies."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("cheap_reason", "cheap_detail", "content_reason", "content_detail")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([COPIES.field("reason"), COPIES.field("detail")])

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            pairs = [(batch.column(f"{kind}_reason"), batch.column(f"{kind}_detail")) for kind in ("cheap", "content")]
            return pa.RecordBatch.from_arrays(list(first(*pairs)), schema=self.adds)

        return decide


@dataclass(frozen=True)
class Pending:
    """Marks the rows worth measuring further: kept so far, and the first of their exact copies."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("row_id", "representative", "cheap_reason", "license_kept")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([field("pending", pa.bool_(), "kept by the rules so far, and first of its exact copies")])

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            alone = pc.equal(batch.column("row_id"), batch.column("representative"))
            kept = pc.and_(pc.is_null(batch.column("cheap_reason")), batch.column("license_kept"))
            return pa.RecordBatch.from_arrays([pc.and_(alone, kept)], schema=self.adds)

        return decide


@dataclass(frozen=True)
class Decide:
    """The last word: a file without a reason is kept, one that could not be judged has failed."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("reason",)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema(
            [
                LEDGER.field("decision"),
                field("kept", pa.bool_(), "the decision is kept", nullable=False),
            ]
        )

    def load(self) -> BatchFunction:
        failed = pa.array(FAILED)

        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            reason = batch.column("reason")
            kept = pc.is_null(reason)
            is_failed = pc.or_(pc.is_in(reason, value_set=failed), pc.starts_with(reason, "failed."))
            decision = pc.if_else(kept, "kept", pc.if_else(is_failed, "failed", "dropped"))
            return pa.RecordBatch.from_arrays([decision, kept], schema=self.adds)

        return decide


@dataclass(frozen=True)
class KeptDetail:
    """What the ledger tells of a kept file: how much was redacted, by kind."""

    @property
    def reads(self) -> tuple[str, ...]:
        return ("detail", "pii_kinds")

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([field("ledger_detail", pa.string(), LEDGER.field("detail").metadata[b"doc"].decode())])

    def load(self) -> BatchFunction:
        def tell(batch: pa.RecordBatch) -> pa.RecordBatch:
            redacted = pc.binary_join_element_wise("redacted", batch.column("pii_kinds"), " ")
            return pa.RecordBatch.from_arrays([pc.coalesce(batch.column("detail"), redacted)], schema=self.adds)

        return tell


@dataclass(frozen=True)
class Preference:
    """Columns that sort the better of two files with one content, or nearly one, to the front.

    Files that the rules so far keep come first, then those under the more liberal licence, then those of the
    repository with more stars, then those of the older one. What nobody knows comes last.
    """

    reads = ("cheap_reason", "license_kept", "license_class", "repo_stars", "repo_created")
    adds = pa.schema(
        [
            field("ineligible", pa.bool_(), "a rule drops the file whatever its copies are", nullable=False),
            field("license_rank", pa.int8(), "0 for permissive, then ever stricter; unknown last", nullable=False),
            field("star_rank", pa.int64(), "minus the stars of the file's repository; null where nobody tells"),
            field("age_rank", pa.int64(), "when its repository was made, in seconds since 1970; null: nobody tells"),
        ]
    )

    def load(self) -> BatchFunction:
        ranks = pa.array(sorted(STRICTNESS, key=lambda name: (name == "unknown", STRICTNESS.index(name))))

        def rank(batch: pa.RecordBatch) -> pa.RecordBatch:
            dropped = pc.or_(pc.is_valid(batch.column("cheap_reason")), pc.invert(batch.column("license_kept")))
            rank = pc.index_in(batch.column("license_class"), value_set=ranks)
            rank = pc.cast(pc.fill_null(rank, len(ranks) - 1), pa.int8())
            popularity = [pc.negate(batch.column("repo_stars")), batch.column("repo_created").cast(pa.int64())]
            return pa.RecordBatch.from_arrays([dropped, rank, *popularity], schema=self.adds)

        return rank
