"""Every name in a recipe is known by its vocabulary, or refused with the nearest; an empty corpus is told."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from jobs.cli import cli
from jobs.recipe import Recipe, RecipeError, load_recipe

SOURCE = "sources: [{kind: environment}]\n"


def loaded(folder: Path, setting: str) -> Recipe:
    (folder / "recipe.yaml").write_text(SOURCE)
    return load_recipe(folder / "recipe.yaml", [setting])


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("[Python, Java]", ["Python", "Java"]),
        ("[golang, cpp, JS]", ["Go", "C++", "JavaScript"]),
        ("[python, PYTHON, Python]", ["Python"]),
        ("['c#', 'F#', objective-c++, bash]", ["C#", "F#", "Objective-C++", "Shell"]),
        ("[visual basic .net, jupyter notebook]", ["Visual Basic .NET", "Jupyter Notebook"]),
        ("all", "all"),
        ("programming", "programming"),
    ],
)
def test_languages_are_known_by_their_names_and_aliases(tmp_path: Path, named: str, meant: object) -> None:
    assert loaded(tmp_path, f"languages.keep={named}").languages.keep == meant


@pytest.mark.parametrize(
    ("named", "meant"),
    [
        ("[permissive, MIT]", ["permissive", "MIT"]),
        ("[GPL-2.0, GPL-2.0+, LGPL-2.1]", ["GPL-2.0-only", "GPL-2.0-or-later", "LGPL-2.1-only"]),
        ("[mit, apache-2.0, gpl-3.0-OR-later]", ["MIT", "Apache-2.0", "GPL-3.0-or-later"]),
        ("[GPL-2.0, GPL-2.0-only]", ["GPL-2.0-only"]),
        ("[GPL-2.0 with Classpath-exception-2.0]", ["GPL-2.0-only WITH Classpath-exception-2.0"]),
        ("[LicenseRef-scancode-public-domain]", ["LicenseRef-scancode-public-domain"]),
    ],
)
def test_licences_are_known_by_class_and_id(tmp_path: Path, named: str, meant: list[str]) -> None:
    assert loaded(tmp_path, f"license.keep={named}").license.keep == meant


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("languages.keep=[golang, Pyton]", "'Pyton' is no language of linguist's; did you mean Python"),
        ("languages.keep=[Rustt]", "'Rustt' is no language of linguist's; did you mean Rust?"),
        ("languages.keep=[Jvaa]", "did you mean Java?"),
        ("languages.keep=[Klingon]", "'Klingon' is no language of linguist's"),
        ("languages.keep=['']", "'' is no language of linguist's"),
        ("license.keep=[Apache 2.0]", "'Apache 2.0' is neither a class .* nor an SPDX id; did you mean Apache-2.0?"),
        ("license.keep=[GPL3]", "did you mean GPL-3.0-only"),
        ("license.keep=[MPL2]", "did you mean MPL-2.0"),
        ("license.keep=[permisive]", "did you mean permissive?"),
        ("license.keep=[Permissive]", "did you mean permissive?"),
        ("license.keep=[BSD-3]", "did you mean BSD-3-Clause"),
        ("license.keep=[MIT AND Apache-2.0]", "is neither a class"),
        ("tokenize.mixture={by: language, weights: {Pyton: 1}}", "did you mean Python"),
        ("tokenize.mixture={by: language, weights: {go: 1, golang: 2}}", "go and golang are the same language"),
        ("quality.preset=codexx", "'codexx' is none of none, codex"),
    ],
)
def test_a_name_that_nobody_knows_is_refused_with_the_nearest(tmp_path: Path, setting: str, told: str) -> None:
    with pytest.raises(RecipeError, match=told) as error:
        loaded(tmp_path, setting)
    assert "\n" not in str(error.value)


def test_a_mixture_knows_aliases(tmp_path: Path) -> None:
    mixture = loaded(
        tmp_path, "tokenize.mixture={by: language, weights: {golang: 2, cpp: 1, none: 1}}"
    ).tokenize.mixture
    assert mixture is not None
    assert mixture.weights == {"Go": 2, "C++": 1, "none": 1}


def test_a_run_that_keeps_nothing_says_so(tmp_path: Path) -> None:
    (tmp_path / "code").mkdir()
    for name in ("a.py", "b.py"):
        (tmp_path / "code" / name).write_text(f"def {name[0]}(x):\n    return x\n" * 9)
    (tmp_path / "code" / "c.md").write_text("# Title\n")
    (tmp_path / "recipe.yaml").write_text(
        f"sources: [{{kind: directory, uri: {tmp_path}/code}}]\nlanguages: {{keep: [golang, Markdown]}}\n"
        "license: {enabled: false}\nquality: {enabled: true, min_size: 100}\ntoxicity: {enabled: false}\n"
        "pii: {enabled: false}\ntokenize: {enabled: false}\ndialogue: {enabled: false}\n"
        "decontaminate: {enabled: false}\noutput: {shards: 1}\nengine: {kind: inline}\n"
    )
    for _ in range(2):
        result = CliRunner().invoke(cli, ["run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "out")])
        assert result.exit_code == 0
        assert (
            "WARNING: the corpus is empty: no file was kept; most went by language.not_selected, 2 of 3"
            in result.output
        )
    result = CliRunner().invoke(
        cli, ["run", str(tmp_path / "recipe.yaml"), "--out", str(tmp_path / "two"), "--set", "languages.keep=[python]"]
    )
    assert "WARNING" not in result.output
