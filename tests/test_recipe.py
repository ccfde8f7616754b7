"""Recipes: what is refused, and how the mistake is told."""

from pathlib import Path

import pytest

from jobs.cli import QUICKSTART, RECIPES
from jobs.recipe import RecipeError, load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import tar_gz


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
        *(
            (f"sources:\n  - kind: environment\nquality: {{{key}: {value}}}\n", rf":3: quality: {key} is .*, not ")
            for key, value in {"max_lines": "many", "min_lines": "-3", "max_size": "[1]", "generated": "1"}.items()
        ),
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


SOURCES = "sources:\n  - kind: environment\n"
TEXT = "sources: [{kind: environment}]\ntokenize:\n  text:\n    sources:\n      - kind: jsonl\n        uri: a.jsonl\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SOURCES + "pii: {enabled: true}\npii: {enabled: false}\n", r":4: key pii is given twice, first in line 3"),
        (SOURCES + "seed: 1\nseed: 1\n", r":4: key seed is given twice"),
        (SOURCES + "pii: {enabled: true, policy: drop, enabled: false}\n", r":3: key pii.enabled is given twice"),
        (SOURCES + "dedup:\n  near:\n    ngram: 5\n    ngram: 6\n", r":6: key dedup.near.ngram is given twice"),
        (SOURCES + "sources: []\n", r":3: key sources is given twice"),
        ("sources:\n  - kind: archive\n    uri: a\n    uri: b\n", r":4: key sources.0.uri is given twice"),
        (TEXT + "        uri: b.jsonl\n", r":7: key tokenize.text.sources.0.uri is given twice"),
        (SOURCES + "repositories:\n- [{a: 1}, {b: 1, b: 2}]\n", r":4: key repositories.0.1.b is given twice"),
        ('{"sources": [{"kind": "environment"}],\n "seed": 1,\n "seed": 2}', r":3: key seed is given twice"),
        (SOURCES + 'seed: 1\n"seed": 2\n', r":4: key seed is given twice"),
        (SOURCES + "? seed\n: 1\n? seed\n: 2\n", r":5: key seed is given twice"),
        (
            SOURCES + "tokenize: {mixture: {by: source, weights: {0: 2, '0': 1}}}\n",
            r":3: key tokenize\.mixture\.weights\.0 is given twice",
        ),
        (SOURCES + "pii: &a {enabled: true}\ntoxicity:\n  <<: *a\n  <<: *a\n", r":6: key toxicity.<< is given twice"),
        (
            SOURCES + "tokenize: {mixture: {by: language, weights: {NO: 1}}}\n",
            r":3: key NO is taken for bool; put it in",
        ),
        (SOURCES + "null: 1\n", r":3: key null is taken for null"),
        (SOURCES + "[a, b]: 1\n", r":3: key a list or a mapping is taken for seq"),
        (SOURCES + "seed: *none\n", r":3: not valid YAML: found undefined alias"),
        (SOURCES + "seed: 2026-13-45\n", r"not valid YAML: month must be in"),
        ("[" * 5000, r"recipe.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_a_key_given_twice_is_refused_at_any_depth(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as told:
        load_recipe(write(tmp_path, text))
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sources:\n  - kind: gitt\n    uri: a\n", r":2: sources\.0\.kind: 'gitt' is none of .*; did you mean git\?$"),
        ("sources:\n  - uri: a\n", r":2: sources\.0\.kind is missing"),
        ("sources:\n  - kind: git\n    url: a\n", r":3: unknown key sources\.0\.url; did you mean uri\?$"),
        (TEXT.replace("uri", "url"), r":6: unknown key tokenize\.text\.sources\.0\.url; did you mean uri\?$"),
        (SOURCES + "languages: {keep: Python}\n", r":3: languages\.keep: a list is wanted; write it as \[Python\]$"),
        (SOURCES + "languages: {keep: [Pyton]}\n", r":3: languages\.keep: 'Pyton' .* did you mean [^,]*\?$"),
        (SOURCES + "engine: {workers: many}\n", r":3: engine\.workers: .* not 'many'$"),
        (SOURCES + "tokenize: {mixture: {by: language}}\n", r":3: tokenize\.mixture: name either weights, [^{]*$"),
        (
            SOURCES + "tokenize: {mixture: {by: source, weights: {7: 1}}}\n",
            r"yaml: tokenize\.mixture\.weights: 7 [^{]*$",
        ),
    ],
)
def test_a_mistake_is_told_in_the_words_of_the_recipe(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(write(tmp_path, text))


def test_a_merged_key_may_be_given_anew(tmp_path: Path) -> None:
    text = (
        SOURCES
        + "toxicity: &off\n  enabled: false\n  max: 0.5\npii:\n  <<: {enabled: false, policy: drop}\n  policy: redact\n"
    )
    recipe = load_recipe(write(tmp_path, text + "decontaminate:\n  <<: [{enabled: false}, {enabled: true}]\n"))
    assert (recipe.pii.enabled, recipe.pii.policy, recipe.decontaminate.enabled) == (False, "redact", False)
    with pytest.raises(RecipeError, match=r":8: pii.policy: .* not 'burn'"):
        load_recipe(write(tmp_path, text.replace("redact", "burn")))
    with pytest.raises(RecipeError, match=r":4: pii.enabled: .* not 'perhaps'"):
        load_recipe(
            write(
                tmp_path,
                text.replace("&off\n  enabled: false", "&off\n  enabled: perhaps").replace(
                    "{enabled: false, policy: drop}", "*off"
                ),
            )
        )


def test_an_override_of_what_an_alias_shares_changes_one_place(tmp_path: Path) -> None:
    text = SOURCES + "toxicity: &off {enabled: false}\npii: *off\n"
    recipe = load_recipe(write(tmp_path, text), ["pii.enabled=true"])
    assert (recipe.toxicity.enabled, recipe.pii.enabled) == (False, True)


@pytest.mark.parametrize("tail", ["", "tokenize:\n", "tokenize: {mixture: null, block: 64}\n"])
def test_overrides_reach_below_a_key_that_is_null(tmp_path: Path, tail: str) -> None:
    settings = ["tokenize.mixture.by=language", "tokenize.mixture.weights.Python=2", "tokenize.mixture.weights.Java=1"]
    mixture = load_recipe(write(tmp_path, SOURCES + tail), settings).tokenize.mixture
    assert mixture is not None
    assert (mixture.by, mixture.weights) == ("language", {"Python": 2, "Java": 1})


def test_an_override_with_a_key_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"--set pii=.*: key enabled is given twice"):
        load_recipe(write(tmp_path, SOURCES), ["pii={enabled: true, enabled: false}"])


def test_resources_of_a_step(tmp_path: Path) -> None:
    path = write(tmp_path, "sources:\n  - kind: environment\n")
    engine = load_recipe(path, ["engine.resources={scan: {memory: 2GiB}, select: {cpus: 0.5, memory: 1500MB}}"]).engine
    assert (engine.resources["scan"].memory, engine.resources["scan"].cpus) == (2 << 30, 1)
    assert (engine.resources["select"].memory, engine.resources["select"].cpus) == (1_500_000_000, 0.5)
    with pytest.raises(RecipeError, match=r"engine\.resources\.scan\.memory: '2 gigs' is no size; write it as 2GiB"):
        load_recipe(path, ["engine.resources={scan: {memory: 2 gigs}}"])


def test_a_ray_client_address_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "sources:\n  - kind: environment\n")
    with pytest.raises(RecipeError, match=r"engine\.address: .* start it there with `ray job submit`, not 'ray://head"):
        load_recipe(path, ["engine.address=ray://head:10001"])


def test_resources_of_a_step_that_there_is_not(tmp_path: Path) -> None:
    tar_gz(tmp_path / "dumps" / "r.tar.gz", {"a.py": b"a = 1\n"})
    path = write(tmp_path, f"sources:\n  - kind: archive\n    uri: {tmp_path}/dumps/*.tar.gz\n")
    with pytest.raises(RecipeError, match=r"engine\.resources: no step is called skan; the steps are ingest, "):
        run(load_recipe(path, ["engine.resources={skan: {cpus: 2}}"]), Store(str(tmp_path / "out")))
    assert not (tmp_path / "out").exists()


def test_the_engine_is_no_part_of_the_data(tmp_path: Path) -> None:
    path = write(tmp_path, "sources:\n  - kind: environment\n")
    assert load_recipe(path, ["engine.kind=inline"]).identity() == load_recipe(path).identity()
    assert load_recipe(path, ["seed=1"]).identity() != load_recipe(path).identity()
