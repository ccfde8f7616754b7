"""Rules on the measured text: presets named after their papers, and the first rule that a file breaks.

Codex: Chen et al. 2021, "Evaluating Large Language Models Trained on Code", section 3.1.
CodeGen: Nijkamp et al. 2022, "CodeGen: An Open Large Language Model for Code with Multi-Turn Program
Synthesis", appendix A.
StarCoder: Li et al. 2023, "StarCoder: may the source be with you!", section 3.1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

Thresholds = Mapping[str, float | int | bool | None]


@dataclass(frozen=True)
class Rule:
    """Drops a file whose measure lies beyond the threshold; a mark is beyond a threshold of true."""

    threshold: str
    column: str
    reason: str
    beyond: str  # greater, less, or marked
    exempt: tuple[str, ...] = ()  # languages that it spares


RULES = (
    Rule("min_size", "size", "quality.min_size", "less"),
    Rule("max_size", "size", "quality.max_size", "greater"),
    Rule("minified", "minified", "quality.minified", "marked"),
    Rule("generated", "generated", "quality.generated", "marked"),
    Rule("vendored", "vendored", "quality.vendored", "marked"),
    Rule("min_lines", "lines", "quality.min_lines", "less"),
    Rule("max_lines", "lines", "quality.max_lines", "greater"),
    Rule("max_line_length", "max_line_length", "quality.max_line_length", "greater"),
    Rule("max_mean_line_length", "mean_line_length", "quality.mean_line_length", "greater"),
    Rule("min_alnum_fraction", "alnum_fraction", "quality.alnum_fraction", "less"),
    # The paper found too many false alarms in Assembly and looked at the languages one by one.
    Rule(
        "min_alpha_fraction",
        "alpha_fraction",
        "quality.alpha_fraction",
        "less",
        ("Assembly", "Unix Assembly"),
    ),
    Rule("max_digit_fraction", "digit_fraction", "quality.digit_fraction", "greater"),
    Rule("max_hex_fraction", "hex_fraction", "quality.hex_fraction", "greater"),
)
"""In the order in which they are asked: a file's reason is the first that it breaks."""

MEASURES = (*dict.fromkeys(rule.column for rule in RULES), "language")
"""The columns that the rules look at."""

PRESETS: dict[str, dict[str, float | int | bool | None]] = {
    "none": dict.fromkeys(rule.threshold for rule in RULES),
    "codex": {
        "min_size": 1,  # ours: an empty file teaches nothing
        "max_size": 1_000_000,  # "files under 1 MB"
        "generated": True,  # "likely auto-generated"
        "max_line_length": 1000,  # "maximum line length greater than 1000"
        "max_mean_line_length": 100,  # "average line length greater than 100"
        # "a small percentage of alphanumeric characters"; the value is that of CodeParrot and BigCode, which
        # repeat Codex's filters: bigcode-dataset, preprocessing/README.md, "basic".
        "min_alnum_fraction": 0.25,
    },
    "codegen": {
        "min_size": 1,  # ours, as above
        "max_line_length": 1000,  # lines of more than 1,000 characters
        "max_mean_line_length": 100,  # more than 100 characters on average
        "max_hex_fraction": 0.9,  # more than 90% of the characters decimal or hexadecimal digits
    },
    "starcoder": {
        "min_size": 1,  # ours, as above
        # The next three are the values that BigCode's inspectors of each language started from:
        # bigcode-dataset, preprocessing/visual_inspection.csv.
        "max_line_length": 1000,
        "max_mean_line_length": 100,
        "min_alnum_fraction": 0.25,
        "min_alpha_fraction": 0.25,  # the alpha filter: fewer than 25% alphabetic characters
    },
}
"""Thresholds by preset. One that is absent or null rules nothing; `none` names every threshold there is."""


def quality_reason(batch: pa.RecordBatch, thresholds: Thresholds) -> tuple[pa.Array, pa.Array]:
    """The first of `RULES` that each row breaks, such as quality.max_line_length, and value and threshold.

    Null where a row breaks none, and where the measure itself is null. The detail reads like
    "max_line_length 1843 > 1000". Raises KeyError for a threshold that no rule has, and for a missing column.
    """
    unknown = set(thresholds) - {rule.threshold for rule in RULES}
    if unknown:
        raise KeyError(f"no quality rule has the threshold {', '.join(sorted(unknown))}")
    reason = pa.nulls(batch.num_rows, pa.string())
    detail = pa.nulls(batch.num_rows, pa.string())
    for rule in RULES:
        threshold = thresholds.get(rule.threshold)
        if threshold is None or threshold is False:
            continue
        rows = pc.and_(pc.is_null(reason), broken(batch, rule, threshold))
        reason = pc.if_else(rows, rule.reason, reason)
        detail = pc.if_else(rows, described(batch.column(rule.column), rule, threshold), detail)
    return reason, detail


def broken(batch: pa.RecordBatch, rule: Rule, threshold: float | bool) -> pa.Array:
    """Which rows break the rule; false where the measure is null."""
    measure = batch.column(rule.column)
    if rule.beyond == "marked":
        rows = measure
    elif rule.beyond == "less":
        rows = pc.less(measure, threshold)
    else:
        rows = pc.greater(measure, threshold)
    if rule.exempt:
        spared = pc.is_in(batch.column("language").cast(pa.string()), pa.array(rule.exempt, pa.string()))
        rows = pc.and_not(rows, spared)
    return pc.fill_null(rows, False)


def described(measure: pa.Array, rule: Rule, threshold: float | bool) -> pa.Array:
    """What the ledger says of a broken rule: measure, value, sign, threshold."""
    if rule.beyond == "marked":
        return pa.array([rule.column] * len(measure), pa.string())
    value = pc.cast(pc.round(measure, 4) if pa.types.is_floating(measure.type) else measure, pa.string())
    sign = "<" if rule.beyond == "less" else ">"
    return pc.binary_join_element_wise(rule.column, value, sign, str(threshold), " ")
