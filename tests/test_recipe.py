"""Recipes: what is refused, and how the mistake is told."""

from pathlib import Path

import pytest

from jobs.cli import QUICKSTART, RECIPES
from jobs.recipe import RecipeError, load_recipe


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    return path


def test_defaults(tmp_path: Path) -> None:
    recipe = load_recipe(write(tmp_path, "sources:\n  - kind: environment\n"))
    assert recipe.license.keep == ["permissive"]
    assert (recipe.dedup.near.threshold, recipe.dedup.near.ngram, recipe.dedup.near.permutations) == (0.7, 5, 256)
    assert recipe.quality.thresholds()["max_line_length"] == 1000
    assert (recipe.tokenize.vocab_size, recipe.tokenize.block, recipe.output.shards) == (50257, 2048, 16)


@pytest.mark.parametrize("path", [QUICKSTART, RECIPES / "codegen.yaml"], ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    assert load_recipe(path).sources


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources:\n  - kind: environment\nlicence: {}\n", r":3: unknown key licence; did you mean license\?"),
        ("sources:\n  - kind: environment\nlicense:\n  enabled: true\n  kept: []\n", r":5: unknown key license.kept"),
        ("sources:\n  - kind: environment\nlicense: {keep: [permisive]}\n", r":3: license.keep: 'permisive' is nei"),
        ("sources:\n  - kind: archive\n", r":2: sources.0.uri is missing"),
        ("sources:\n  - kind: ftp\n", r":2: sources.0.*'ftp'"),
        ("sources: []\n", r":1: sources: List should have at least 1"),
        ("languages: {}\n", r"recipe.yaml: sources is missing"),
        ("sources:\n  - kind: environment\ndedup:\n  near: {threshold: 7}\n", r":4: dedup.near.threshold: .* not 7"),
        ("sources:\n  - kind: environment\nquality: {preset: codex2}\n", r":3: quality: preset: 'codex2' is none of"),
        ("sources:\n  - kind: environment\nquality: {max_line: 10}\n", r":3: quality: unknown key 'max_line'"),
        ("sources: [\n", r"recipe.yaml:2: not valid YAML"),
        ("just text\n", r"a recipe is a mapping"),
    ],
)
def test_a_mistake_is_told_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as told:
        load_recipe(write(tmp_path, text))
    assert "\n" not in str(told.value)


def test_a_missing_recipe_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.yaml: cannot be read: No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_overrides(tmp_path: Path) -> None:
    path = write(tmp_path, "sources:\n  - kind: archive\n    uri: a.zip\n")
    settings = ["dedup.near.threshold=0.8", "sources.0.uri=b.zip", "license.keep=[MIT, copyleft]", "seed=3"]
    recipe = load_recipe(path, settings)
    assert recipe.dedup.near.threshold == 0.8
    assert recipe.sources[0].model_dump() == {"kind": "archive", "uri": "b.zip"}
    assert (recipe.license.keep, recipe.seed) == (["MIT", "copyleft"], 3)


@pytest.mark.parametrize("override", ["seed", "=3", "seed.deeper=3", "sources.4=x", "seed=[", "seeds=3"])
def test_a_mistaken_override_is_told(tmp_path: Path, override: str) -> None:
    with pytest.raises(RecipeError):
        load_recipe(write(tmp_path, "sources:\n  - kind: environment\n"), [override])


def test_the_engine_is_no_part_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, "sources:\n  - kind: environment\n")
    assert load_recipe(path, ["engine.kind=inline"]).identity() == load_recipe(path).identity()
    assert load_recipe(path, ["seed=1"]).identity() != load_recipe(path).identity()
