"""The quality rules: presets, order, reasons, details."""

import pyarrow as pa
import pytest

from transforms.language import language_type
from transforms.quality import INSPECTED, MEASURES, PRESETS, RULES, quality_reason

GOOD = {
    "size": 1000,
    "lines": 40,
    "max_line_length": 80,
    "mean_line_length": 24.0,
    "alnum_fraction": 0.6,
    "alpha_fraction": 0.55,
    "digit_fraction": 0.05,
    "hex_fraction": 0.05,
    "generated": False,
    "vendored": False,
    "minified": False,
    "language": "Python",
}


def judge(preset: str, *rows: dict) -> list[tuple[str | None, str | None]]:
    batch = pa.RecordBatch.from_pylist([GOOD | row for row in rows])
    reason, detail = quality_reason(batch, PRESETS[preset])
    return list(zip(reason.to_pylist(), detail.to_pylist(), strict=True))


@pytest.mark.parametrize("preset", PRESETS)
def test_an_ordinary_file_is_kept(preset: str) -> None:
    assert judge(preset, {}) == [(None, None)]


@pytest.mark.parametrize(
    ("preset", "row", "reason", "detail"),
    [
        ("codegen", {"max_line_length": 1843}, "quality.max_line_length", "max_line_length 1843 > 1000"),
        (
            "codegen",
            {"mean_line_length": 113.25},
            "quality.mean_line_length",
            "mean_line_length 113.25 > 100",
        ),
        ("codegen", {"hex_fraction": 0.95}, "quality.hex_fraction", "hex_fraction 0.95 > 0.9"),
        ("codegen", {"size": 0}, "quality.min_size", "size 0 < 1"),
        ("codex", {"size": 1_000_001}, "quality.max_size", "size 1000001 > 1000000"),
        ("codex", {"generated": True}, "quality.generated", "generated"),
        ("codex", {"alnum_fraction": 0.1234567}, "quality.alnum_fraction", "alnum_fraction 0.1235 < 0.25"),
        (
            "starcoder",
            {"alpha_fraction": 0.2, "language": "VHDL"},
            "quality.alpha_fraction",
            "alpha_fraction 0.2 < 0.25",
        ),
    ],
)
def test_each_rule_tells_its_reason_and_value(preset: str, row: dict, reason: str, detail: str) -> None:
    assert judge(preset, row) == [(reason, detail)]


@pytest.mark.parametrize(
    "row",
    [{"max_line_length": 1000}, {"mean_line_length": 100.0}, {"hex_fraction": 0.9}, {"generated": True}],
)
def test_codegen_keeps_what_its_paper_keeps(row: dict) -> None:
    assert judge("codegen", row) == [(None, None)]


def test_the_first_broken_rule_is_the_reason() -> None:
    row = {"size": 2_000_000, "max_line_length": 5000, "generated": True, "alnum_fraction": 0.0}
    assert [reason for reason, _ in judge("codex", row, row | {"size": 1000}, {})] == [
        "quality.max_size",
        "quality.generated",
        None,
    ]


def test_starcoder_spares_the_languages_that_its_inspectors_spared() -> None:
    long_line, few_letters = {"max_line_length": 5000}, {"alpha_fraction": 0.1}
    rows = [
        long_line | {"language": "SQL"},
        long_line | {"language": "Java"},
        long_line | {"language": None},
        few_letters | {"language": "Python"},
        few_letters | {"language": "MATLAB"},
        few_letters | {"language": None},
    ]
    assert [reason for reason, _ in judge("starcoder", *rows)] == [
        None,
        "quality.max_line_length",
        "quality.max_line_length",
        None,
        "quality.alpha_fraction",
        None,
    ]
    assert judge("codegen", rows[0])[0][0] == "quality.max_line_length"


def test_the_inspected_languages_are_linguists() -> None:
    names = {name for rule in RULES for name in rule.spares + rule.only}
    assert [name for name in sorted(names) if language_type(name) is None] == []


def test_the_preset_none_names_every_threshold_and_keeps_everything() -> None:
    thresholds = {rule.threshold for rule in RULES} | {INSPECTED}
    assert set(PRESETS["none"]) == thresholds >= {*PRESETS["codex"], *PRESETS["starcoder"]}
    assert judge("none", {"size": 0, "max_line_length": 10**9, "generated": True}) == [(None, None)]


def test_rows_without_measures_break_no_rule() -> None:
    columns = [pa.nulls(3, pa.array([GOOD[name]]).type) for name in MEASURES]
    reason, detail = quality_reason(pa.RecordBatch.from_arrays(columns, list(MEASURES)), PRESETS["codex"])
    assert reason.null_count == detail.null_count == 3


def test_single_thresholds_can_be_set_and_switched_off() -> None:
    batch = pa.RecordBatch.from_pylist([GOOD | {"minified": True, "digit_fraction": 0.5}])
    assert quality_reason(batch, {"minified": True})[0].to_pylist() == ["quality.minified"]
    assert quality_reason(batch, {"minified": False, "max_digit_fraction": 0.4})[1].to_pylist() == [
        "digit_fraction 0.5 > 0.4"
    ]
    assert quality_reason(batch, {"minified": None})[0].to_pylist() == [None]


def test_an_unknown_threshold_is_refused() -> None:
    with pytest.raises(KeyError, match="max_line_lenght"):
        quality_reason(pa.RecordBatch.from_pylist([GOOD]), {"max_line_lenght": 10})
