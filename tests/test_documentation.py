"""The documentation says what the code does: reference pages are the generated ones, and console blocks are run."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest

from jobs.cli import cli
from jobs.reference import DOCS, HEAD, PAGES

ROOT = Path(__file__).parent.parent
MANUAL = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))

NOT_RUN = ("make ", "ray job submit ", "kubectl ", "torchrun ", "pip install ")
"""Commands of other programs: continuous integration runs `make`, the others need a cluster or a registry."""

PARSED_ONLY = re.compile(r"gs://|s3://|--engine ray|codesieve (?:train|finetune|score|demo|export) ")
"""Commands that need a cluster, a bucket or a trained model: their words are checked, other tests run their like."""


@pytest.mark.parametrize("name", PAGES)
def test_reference_pages_are_those_of_the_code(name: str) -> None:
    assert (DOCS / name).read_text() == HEAD + PAGES[name](), "run `python -m jobs.reference`"


def test_links_lead_somewhere() -> None:
    for page in (*MANUAL, *DOCS.glob("*.md"), *ROOT.glob("*.md")):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


@pytest.fixture(scope="module")
def example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's recipe and an archive of the kind that it names."""
    folder = tmp_path_factory.mktemp("manual")
    block = re.search(r"```yaml\n# mine\.yaml\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert block, "the README has the recipe mine.yaml"
    (folder / "mine.yaml").write_text(block[1])
    found = find_spec("requests")
    assert found is not None
    assert found.origin is not None
    package, upstream = Path(found.origin).parent, folder / "requests"
    shutil.copytree(package, upstream / "src" / "requests", ignore=shutil.ignore_patterns("__pycache__"))
    (upstream / "pyproject.toml").write_text('[project]\nname = "requests"\nlicense = "Apache-2.0"\n')
    (folder / "dumps" / "psf").mkdir(parents=True)
    with tarfile.open(folder / "dumps" / "psf" / "requests.tar.gz", "w:gz") as archive:
        archive.add(upstream, "requests-2")
    return folder


@pytest.fixture(scope="module")
def environment(example: Path) -> dict[str, str]:
    """Finds the `codesieve` of this checkout, and keeps the runs to small vocabularies."""
    tools = example / "bin"
    tools.mkdir()
    (tools / "codesieve").write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m jobs.cli "$@"\n')
    (tools / "codesieve").chmod(0o755)
    return os.environ | {"PATH": f"{tools}:{os.environ['PATH']}"}


def commands() -> Iterator[tuple[str, str]]:
    """Every command of the manual's console blocks, in order, with its page."""
    for page in MANUAL:
        for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.S):
            for command in re.findall(r"^\$ (.*)$", block, re.M):
                yield page.name, command


@pytest.mark.slow
def test_console_blocks_run(example: Path, environment: dict[str, str]) -> None:
    for page, command in commands():
        words = shlex.split(command, comments=True)
        if command.startswith(NOT_RUN):
            continue
        assert words[0] == "codesieve", f"{page}: {command}: run it here, or say in NOT_RUN why not"
        if PARSED_ONLY.search(command):
            _check_words(page, words[1:])
            continue
        done = subprocess.run(words, cwd=example, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, f"{page}: {command}: {done.stderr or done.stdout}"


def _check_words(page: str, words: list[str]) -> None:
    """Fails where a command or an option does not exist; runs nothing."""
    found = cli.get_command(click.Context(cli), words[0])
    assert found is not None, f"{page}: there is no command {words[0]}"
    try:
        found.make_context(words[0], words[1:])
    except click.BadParameter as error:
        if "does not exist" not in error.message:  # a file of the example's
            raise AssertionError(f"{page}: {' '.join(words)}: {error.message}") from error
