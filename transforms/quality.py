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
    spares: tuple[str, ...] = ()  # languages that it is not asked of, under `inspected_languages`
    only: tuple[str, ...] = ()  # languages that alone it is asked of, under `inspected_languages`


INSPECTED = "inspected_languages"
"""Threshold that switches BigCode's exceptions by language on.

StarCoder's authors looked at each extension by eye and noted where a rule hit good files, or was needed at
all: bigcode-dataset, preprocessing/visual_inspection.csv. Here a language follows its main extension. Not
taken over: an alphabetic share of 0.5 for JSON and YAML, other lengths for a few, and extensions left out.
"""

LONG_LINES_ARE_FINE = (
    *("Assembly", "Bluespec", "BibTeX", "CMake", "JSON", "MATLAB", "Markdown", "R", "RMarkdown"),
    *("reStructuredText", "SQL", "Stata", "TeX"),
)
DATA_IN_DISGUISE = (
    *("Augeas", "MATLAB", "Scheme", "SystemVerilog", "VBA", "VHDL", "Visual Basic 6.0"),
    *("Wolfram Language", "Yacc"),
)

RULES = (
    Rule("min_size", "size", "quality.min_size", "less"),
    Rule("max_size", "size", "quality.max_size", "greater"),
    Rule("minified", "minified", "quality.minified", "marked"),
    Rule("generated", "generated", "quality.generated", "marked"),
    Rule("vendored", "vendored", "quality.vendored", "marked"),
    Rule("min_lines", "lines", "quality.min_lines", "less"),
    Rule("max_lines", "lines", "quality.max_lines", "greater"),
    Rule(
        "max_line_length",
        "max_line_length",
        "quality.max_line_length",
        "greater",
        spares=LONG_LINES_ARE_FINE,
    ),
    Rule(
        "max_mean_line_length",
        "mean_line_length",
        "quality.mean_line_length",
        "greater",
        spares=LONG_LINES_ARE_FINE,
    ),
    Rule("min_alnum_fraction", "alnum_fraction", "quality.alnum_fraction", "less", spares=("SAS",)),
    Rule("min_alpha_fraction", "alpha_fraction", "quality.alpha_fraction", "less", only=DATA_IN_DISGUISE),
    Rule("max_digit_fraction", "digit_fraction", "quality.digit_fraction", "greater"),
    Rule("max_hex_fraction", "hex_fraction", "quality.hex_fraction", "greater"),
)
"""In the order in which they are asked: a file's reason is the first that it breaks."""

MEASURES = (*dict.fromkeys(rule.column for rule in RULES), "language")
"""The columns that the rules look at."""

MARKS = (*(rule.threshold for rule in RULES if rule.beyond == "marked"), INSPECTED)
"""The thresholds that are true or false."""

PRESETS: dict[str, dict[str, float | int | bool | None]] = {
    "none": dict.fromkeys([*(rule.threshold for rule in RULES), INSPECTED]),
    "codex": {
        "min_size": 1,  # ours: an empty file teaches nothing
        "max_size": 1_000_000,  # files under 1 MB
        "generated": True,  # likely auto-generated
        "max_line_length": 1000,
        "max_mean_line_length": 100,
        # The paper says "a small percentage of alphanumeric characters"; the value is BigCode's, whose filter
        # follows Codex: bigcode-dataset, preprocessing/README.md, "basic".
        "min_alnum_fraction": 0.25,
    },
    "codegen": {
        "min_size": 1,  # ours, as above
        "max_line_length": 1000,
        "max_mean_line_length": 100,
        "max_hex_fraction": 0.9,  # more than 90% of the characters decimal or hexadecimal digits
    },
    "starcoder": {
        "min_size": 1,  # ours, as above
        "max_line_length": 1000,
        "max_mean_line_length": 100,
        "min_alnum_fraction": 0.25,
        "min_alpha_fraction": 0.25,
        INSPECTED: True,
    },
}
"""Thresholds by preset. One that is absent or null rules nothing; `none` names every threshold there is."""


def quality_reason(batch: pa.RecordBatch, thresholds: Thresholds) -> tuple[pa.Array, pa.Array]:
    """The first of `RULES` that each row breaks, such as quality.max_line_length, and value and threshold.

    Null where a row breaks none, and where the measure itself is null. The detail reads like
    "max_line_length 1843 > 1000". Raises KeyError for a threshold that no rule has, and for a missing column.
    """
    unknown = set(thresholds) - set(PRESETS["none"])
    if unknown:
        raise KeyError(f"no quality rule has the threshold {', '.join(sorted(unknown))}")
    reason = pa.nulls(batch.num_rows, pa.string())
    detail = pa.nulls(batch.num_rows, pa.string())
    for rule in RULES:
        threshold = thresholds.get(rule.threshold)
        if threshold is None or threshold is False:
            continue
        rows = pc.and_(pc.is_null(reason), broken(batch, rule, threshold))
        if thresholds.get(INSPECTED):
            rows = pc.and_(rows, asked(batch.column("language"), rule))
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
    return pc.fill_null(rows, False)


def asked(language: pa.Array, rule: Rule) -> pa.Array:
    """Which languages BigCode's inspectors left the rule on for."""
    names = pa.array(rule.only or rule.spares, pa.string())
    listed = pc.is_in(language.cast(pa.string()), value_set=names)
    return listed if rule.only else pc.invert(listed)


def described(measure: pa.Array, rule: Rule, threshold: float | bool) -> pa.Array:
    """What the ledger says of a broken rule: measure, value, sign, threshold."""
    if rule.beyond == "marked":
        return pa.array([rule.column] * len(measure), pa.string())
    value = pc.cast(pc.round(measure, 4) if pa.types.is_floating(measure.type) else measure, pa.string())
    sign = "<" if rule.beyond == "less" else ">"
    return pc.binary_join_element_wise(rule.column, value, sign, str(threshold), " ")
