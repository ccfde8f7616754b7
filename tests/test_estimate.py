"""What `codesieve plan` says of a run's size, time and cost."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.cli import cli
from jobs.curate import curation
from jobs.estimate import Estimate, Size
from jobs.recipe import load_recipe
from jobs.steps.settings import partitions_of
from jobs.steps.sources import split_bytes
from pipeline.plan import Plan

MEASURES = ("core_seconds", "shuffled", "stored", "memory", "dollars_on_dataflow", "dollars_on_machines")
STACK = Size(text=67_500_000_000_000, files=3_000_000_000, splits=251_458, partitions=251_458)
SIZES = st.builds(
    Size,
    text=st.integers(0, 10**14),
    files=st.integers(0, 10**10),
    splits=st.integers(1, 10**6),
    partitions=st.integers(1, 10**6),
)


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estimate")
    for number in range(20):
        file = folder / "dumps" / "project" / f"{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("print('a line of some length')\n" * 1000)
    path = folder / "mine.yaml"
    path.write_text(f"sources:\n  - kind: directory\n    uri: {folder}/dumps/*\n")
    return path


def planned(recipe: Path, *overrides: str) -> Plan:
    return curation(load_recipe(recipe, overrides))


def test_the_size_is_that_of_the_sources(recipe: Path) -> None:
    assert Size.of(planned(recipe)).text == pytest.approx(20 * 31 * 1000, rel=0.05)


@pytest.fixture(scope="module")
def whole(recipe: Path) -> Plan:
    return planned(recipe)


@settings(deadline=None, max_examples=100)
@given(size=st.integers(0, 10**15))
def test_splits_and_partitions_stay_few(size: int) -> None:
    splits, partitions = -(-size // split_bytes(size)), partitions_of(size)
    assert 4 << 20 <= split_bytes(size) <= 2 << 30
    assert splits <= 1 << 15 or split_bytes(size) == 2 << 30
    assert 1 <= partitions <= 8192
    if size < 8 << 40:  # corpora of less than 8 TiB of text are cut as ever
        assert split_bytes(size) <= 256 << 20


@settings(deadline=None, max_examples=50)
@given(one=SIZES, other=SIZES)
def test_no_measure_shrinks_as_a_corpus_grows(whole: Plan, one: Size, other: Size) -> None:
    larger = Size(*(max(pair) for pair in zip(vars(one).values(), vars(other).values(), strict=True)))
    small, large = Estimate.of(whole, one), Estimate.of(whole, larger)
    for measure in MEASURES:
        assert getattr(small, measure) <= getattr(large, measure)


@pytest.mark.parametrize(
    "off",
    [
        ("license.enabled=false",),
        ("tokenize.enabled=false",),
        ("dedup.repositories.enabled=false",),
        ("dedup.exact.enabled=false", "dedup.near.enabled=false"),
    ],
)
def test_what_is_switched_off_costs_nothing(recipe: Path, whole: Plan, off: tuple[str, ...]) -> None:
    less, all_of_it = Estimate.of(planned(recipe, *off), STACK), Estimate.of(whole, STACK)
    assert less.core_seconds < all_of_it.core_seconds
    assert less.stored < all_of_it.stored
    assert less.dollars_on_dataflow < all_of_it.dollars_on_dataflow


def test_without_licences_no_worker_holds_the_index(recipe: Path, whole: Plan) -> None:
    small = Size(10**9, 10**5, 64, 4)
    without = Estimate.of(planned(recipe, "license.enabled=false"), small)
    assert Estimate.of(whole, small).memory - without.memory > 10**9


def test_few_partitions_send_fewer_payloads(whole: Plan) -> None:
    few = Size(STACK.text, STACK.files, splits=STACK.splits // 8, partitions=8192)
    assert Estimate.of(whole, few).shuffled < Estimate.of(whole, STACK).shuffled / 4


def test_a_plan_tells_size_time_memory_bytes_and_cost(recipe: Path) -> None:
    shown = CliRunner().invoke(cli, ["plan", str(recipe), "--set", "engine.workers=3"])
    assert shown.exit_code == 0, shown.output
    told = shown.output.splitlines()[-4:]
    assert told[0] == "about 1 MB of text in 1 splits"
    assert "on 3 cores" in told[1]
    assert "GB of memory" in told[1]
    assert "through shuffles" in told[2]
    assert "$ on Dataflow" in told[3]
    assert "with Ray" in told[3]
