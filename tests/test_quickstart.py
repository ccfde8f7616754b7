"""The shipped quickstart reads what codesieve runs on, whatever else is installed, and tells what it leaves out."""

from importlib.metadata import requires

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from jobs.cli import QUICKSTART
from jobs.recipe import RecipeError, load_recipe
from jobs.steps.sources import listed
from pipeline.sources import Limits, SourceError

MOST_BYTES = 200 << 20
"""So that a run takes about a minute on two cores; compiled modules under 1 MiB are in it, though no text."""


def listing(*overrides: str) -> tuple[int, dict[str, list]]:
    """Bytes of text that the quickstart reads, and the parts of each repository."""
    size, sources = listed(load_recipe(QUICKSTART, overrides).sources, Limits())
    repositories: dict[str, list] = {}
    for source in sources:
        for split in source:
            for part in split.parts:
                repositories.setdefault(part.origin.repo, []).append(part)
    return size, repositories


def test_it_is_bounded_and_tells_what_it_leaves_out():
    size, repositories = listing()
    assert size < MOST_BYTES
    [source] = load_recipe(QUICKSTART).sources
    for name, why in source.leave_out.items():
        [part] = repositories[name]
        [row] = part.rows(Limits())
        assert row.reason == "input.left_out"
        assert row.detail.endswith(f" files: {why}")
    scancode = repositories["scancode-toolkit"][0]
    assert scancode.files > 30_000


def test_it_reads_what_codesieve_requires_and_nothing_of_its_extras():
    _, repositories = listing()
    requirements = [Requirement(line) for line in requires("codesieve") or ()]
    outside = {"extra": ""}
    needed = {canonicalize_name(r.name) for r in requirements if not r.marker or r.marker.evaluate(outside)}
    assert needed <= repositories.keys()
    assert {"pip", "python"} <= repositories.keys()
    assert not {"pytest", "ruff", "torch", "ray", "gradio", "moto"} & repositories.keys()


def test_a_name_that_is_not_installed_is_refused():
    with pytest.raises(SourceError, match=r"packages: codeseive is no package .*; did you mean codesieve\?"):
        listing('sources.0.packages=["codeseive"]')
    with pytest.raises(RecipeError, match="packages"):
        listing("sources.0.packages=some")


def test_the_empty_list_is_the_standard_library():
    _, repositories = listing("sources.0.packages=[]", "sources.0.leave_out={}")
    assert repositories.keys() == {"python"}
