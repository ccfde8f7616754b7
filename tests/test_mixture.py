"""A mixture packs each group as often as it is asked to, to within half a document, and counts what it leaves out."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs import why
from jobs.recipe import RecipeError, load_recipe
from jobs.report import write_report
from jobs.run import run
from pipeline.execution import StepError
from pipeline.storage import Store
from tests.corpora import tar_gz
from transforms.mixture import Drawn, Mixture

OFF = "".join(
    f"{block}: {{enabled: false}}\n" for block in ("license", "toxicity", "pii", "decontaminate", "dialogue", "quality")
)


def mixed(documents: list[tuple[str, int]], **settings_) -> list[int]:
    """Copies of documents (group, size), in their order."""
    ids = [f"{number:040x}" for number in range(len(documents))]
    rows = pa.table({"content_id": ids, "size": [size for _, size in documents]})
    rows = rows.append_column("language", pa.array([group for group, _ in documents], pa.string()))
    rows = rows.append_column("row_id", pa.array(range(len(documents)), pa.int64())).combine_chunks().to_batches()[0]
    added = Drawn("language").load()(rows)
    table = pa.table(rows).append_column("group", added["group"]).append_column("draw", added["draw"])
    table = table.sort_by([("group", "ascending"), ("draw", "ascending"), ("row_id", "ascending")]).combine_chunks()
    mixture = Mixture(**settings_)
    made = mixture.load()(table.to_batches()[0])
    assert made.schema == mixture.schema
    copies = dict(zip(made["row_id"].to_pylist(), made["copies"].to_pylist(), strict=True))
    return [copies[number] for number in range(len(documents))]


groups = st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 500)), min_size=1, max_size=60)


def packed(documents: list[tuple[str, int]], copies: list[int]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for (group, size), times in zip(documents, copies, strict=True):
        sums[group] += size * times
    return sums


@settings(max_examples=80, deadline=None)
@given(groups, st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1))
def test_weights_hold_to_within_half_a_document(documents, weights) -> None:
    there = {group for group, _ in documents}
    weights = {group: weight for group, weight in weights.items() if group in there}
    if not any(weights.values()):
        return
    copies = mixed(documents, weights=tuple(weights.items()))
    whole = sum(size for group, size in documents if weights.get(group))
    for group in there:
        sizes = [size for other, size in documents if other == group]
        target = whole * weights.get(group, 0) / sum(weights.values())
        assert abs(packed(documents, copies)[group] - target) <= max(sizes) / 2 + 1
        own = {times for (other, _), times in zip(documents, copies, strict=True) if other == group}
        assert max(own) - min(own) <= 1  # whole rounds, and some once more


@settings(max_examples=40, deadline=None)
@given(groups, st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_a_temperature_flattens_the_sizes(documents, temperature) -> None:
    sizes = packed(documents, [1] * len(documents))
    made = packed(documents, mixed(documents, temperature=temperature))
    power = {group: size**temperature for group, size in sizes.items()}
    largest = max(size for _, size in documents)
    for group in sizes:
        target = sum(sizes.values()) * power[group] / sum(power.values())
        assert abs(made[group] - target) <= largest / 2 + 1
    if temperature == 1:
        assert made == sizes


def test_which_documents_are_taken_depends_on_content_and_seed_alone() -> None:
    documents = [("a", 10)] * 100 + [("b", 10)] * 100
    copies = np.array(mixed(documents, weights=(("a", 1), ("b", 3))))
    assert (copies[:100].sum(), copies[100:].sum()) == (50, 150)
    assert 15 < copies[:50].sum() < 35  # not the first ones
    ids = pa.record_batch({"content_id": [f"{n}" for n in range(9)], "language": [None] * 8 + ["C"]})
    one, other = (Drawn("language", seed).load()(ids) for seed in (0, 1))
    assert one["group"].to_pylist() == ["none"] * 8 + ["C"]
    assert one["draw"] != other["draw"]


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty files of Python and four of Java in one source, six of Go in another."""
    folder = tmp_path_factory.mktemp("mixture") / "dumps"
    texts = {
        "Python": ("py", 20, "def f_{n}():\n    return {n}\n"),
        "Java": ("java", 4, "class A{n} {{ int n = {n}; }}\n"),
        "Go": ("go", 6, "package p{n}\n\nvar x{n} = {n}\n"),
    }
    for language, (ending, count, text) in texts.items():
        files = {f"f{n}.{ending}": text.format(n=f"{n:02}") * 8 for n in range(count)}
        tar_gz(folder / ("second" if language == "Go" else "first") / f"{language}.tar.gz", files)
    return folder


def recipe(dumps: Path, tokenize: str):
    path = dumps.parent / "recipe.yaml"
    sources = ", ".join(f"{{kind: archive, uri: {dumps}/{name}/*.tar.gz}}" for name in ("first", "second"))
    path.write_text(
        f"sources: [{sources}]\ntokenize: {{vocab_size: 300, block: 32, {tokenize}}}\n"
        f"output: {{shards: 3}}\nengine: {{kind: inline}}\ndedup: {{near: {{enabled: false}}}}\n{OFF}"
    )
    return load_recipe(path)


def ends(store: Store) -> Counter[str]:
    """How often each file of the corpus ends in the tokens, by repository."""
    repos = {
        row["row_id"]: row["repo"]
        for shard in range(3)
        for batch in store.read("corpus", shard, ("row_id", "repo"))
        for row in batch.to_pylist()
    }
    counts: Counter[str] = Counter()
    for row in store.table("tokens").to_pylist():
        counts.update(
            repos[document] for start, document in zip(row["starts"], row["documents"], strict=True) if start >= 0
        )
    return counts


@pytest.mark.parametrize("order", ["shuffled", "repository"])
def test_a_run_packs_what_the_mixture_says_and_accounts_for_the_rest(dumps: Path, tmp_path: Path, order: str) -> None:
    store = Store(str(tmp_path))
    weights = "{Python: 1, Java: 1}"
    run(recipe(dumps, f"order: {order}, mixture: {{by: language, weights: {weights}}}"), store)
    summary = write_report(store)
    assert summary["kept"] == 30  # of the corpus nothing is gone
    told = {group["group"]: group for group in summary["mixture"]["groups"]}
    sizes = {name: group["bytes"] for name, group in told.items()}
    half = (sizes["Python"] + sizes["Java"]) / 2
    for name in ("Python", "Java"):
        assert abs(told[name]["packed"] - half) <= sizes[name] / told[name]["files"] / 2 + 1
    assert told["Go"]["left_out"] == told["Go"]["files"] == 6
    assert told["Java"]["left_out"] == 0
    assert summary["mixture"]["files"] == 30
    assert ends(store) == {name: told[name]["copies"] for name in ("Python", "Java")}
    [fate] = why.fates(store, "Go/f0.go")
    assert dict(why.tell(fate))["mixture"] == "0 times in tokens, as Go"
    copies = [next(why.fates(store, f"Python/f{n}.py"))["measures"]["mixture"][0] for n in range(20)]
    assert sorted(copies) == ["0"] * told["Python"]["left_out"] + ["1"] * told["Python"]["copies"]


def test_sources_are_weighed_by_their_number(dumps: Path, tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    run(recipe(dumps, "mixture: {by: source, weights: {0: 1, 1: 2}}"), store)
    told = {group["group"]: group for group in write_report(store)["mixture"]["groups"]}
    assert (told["0"]["files"], told["1"]["files"]) == (24, 6)
    assert told["1"]["packed"] == pytest.approx(2 * told["0"]["packed"], rel=0.1)
    assert told["1"]["left_out"] == 0


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ("{by: language}", "name either weights, one of them above 0, or a temperature"),
        ("{by: language, weights: {Go: 0}}", "name either weights, one of them above 0, or a temperature"),
        ("{by: language, weights: {Go: 1}, temperature: 0.7}", "name either weights, one of them above 0, or a temp"),
        ("{by: language, weights: {Go: -1}}", "greater than or equal to 0"),
        ("{by: language, temperature: 5}", "where a paper divides by T, it is 1 / T"),
        ("{by: source, weights: {2: 1}}", "2 is no number of a source, 0 to 1"),
        ("{by: source, weights: {first: 1}}", "first is no number of a source, 0 to 1"),
    ],
)
def test_mistakes_are_told_before_anything_runs(dumps: Path, mixture: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        recipe(dumps, f"mixture: {mixture}")


def test_a_group_that_nobody_has_is_told(dumps: Path, tmp_path: Path) -> None:
    with pytest.raises(StepError, match="no kept file is of JavaScript; there are Go, Java, Python"):
        run(recipe(dumps, "mixture: {by: language, weights: {Javascript: 1}}"), Store(str(tmp_path)))
