"""A repository's files lie together, each after those that it imports; nothing is lost, whatever they import."""

import random
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import MIT, tar_gz
from transforms.dependencies import Imports, dependency_order
from transforms.language import Language


def ordered(repo: str, files: dict[str, str]) -> list[str]:
    """The paths in the order in which they are packed."""
    batch = pa.record_batch({"path": list(files), "content": list(files.values())})
    language = Language().load()(batch).column("language")
    imports = Imports().load()(pa.record_batch({"content": batch["content"], "language": language}))["imports"]
    order = dependency_order(repo, list(files), language.to_pylist(), imports.to_pylist())
    return [list(files)[number] for number in order]


CASES = {
    "python absolute": (
        {"src/a/core.py": "import os, a.util.text as t  # x", "src/a/util/text.py": "x = 1", "src/a/__init__.py": ""},
        ("src/a/util/text.py", "src/a/core.py"),
    ),
    "python names in brackets": (
        {"a/b.py": "from a import (\n    c,  # why\n    zed as d,\n)\n", "a/c.py": "", "a/zed.py": "from . import c"},
        ("a/c.py", "a/zed.py", "a/b.py"),
    ),
    "python relative": (
        {"p/q/r.py": "from ..s import t\nfrom .u import *", "p/s/t.py": "", "p/q/u.py": ""},
        ("p/s/t.py", "p/q/r.py"),
        ("p/q/u.py", "p/q/r.py"),
    ),
    "python package from its tests": (
        {"a_tests/test_it.py": "import lib.it", "src/lib/it.py": ""},
        ("src/lib/it.py", "a_tests/test_it.py"),
    ),
    "javascript": (
        {
            "a.js": "import x from './z'; const y = require( '../up/w' )",
            "z/index.js": "",
            "b.js": "export * from './a.js'",
        },
        ("z/index.js", "a.js", "b.js"),
    ),
    "java": (
        {
            "src/main/java/a/App.java": "package a;\nimport a.b.Tool;\nimport static a.c.Sums.add;",
            "src/main/java/a/b/Tool.java": "package a.b;\nimport a.d.*;",
            "src/main/java/a/c/Sums.java": "package a.c;",
            "src/main/java/a/d/Zoo.java": "package a.d;",
        },
        ("src/main/java/a/d/Zoo.java", "src/main/java/a/b/Tool.java", "src/main/java/a/App.java"),
        ("src/main/java/a/c/Sums.java", "src/main/java/a/App.java"),
    ),
    "go": (
        {
            "main.go": 'package main\nimport (\n\t"fmt"\n\tx "example.org/me/tool/v2/util"\n)\n',
            "util/one.go": 'package util\nimport "example.org/me/tool/v2/zed/deep"\n',
            "util/two.go": "package util\n",
            "zed/deep/d.go": "package deep\n",
            "fmt/other.go": "package fmt\n",
        },
        ("zed/deep/d.go", "util/one.go", "main.go"),
        ("util/two.go", "main.go"),
    ),
    "c": (
        {"src/a.c": '#include "b.h"\n # include "x/z.h"\n#include <stdio.h>', "src/b.h": "", "include/x/z.h": "int z;"},
        ("src/b.h", "src/a.c"),
        ("include/x/z.h", "src/a.c"),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_imported_comes_first(name: str) -> None:
    files, *chains = CASES[name]
    order = ordered("me/tool", files)
    assert sorted(order) == sorted(files)
    for chain in chains:
        places = [order.index(path) for path in chain]
        assert places == sorted(places), f"{chain} in {order}"


def test_what_nothing_ties_together_follows_the_paths() -> None:
    """A namesake of another module's is not taken for it, nor are other repositories' files."""
    files = {
        "b/x.py": "import json",
        "a/json.py": "",
        "c.py": "",
        "main.go": 'import "github.com/other/thing"',
        "z.rs": "",
    }
    assert ordered("me/tool", files) == sorted(files)


def test_a_cycle_is_broken_where_least_is_left_to_come() -> None:
    """Algorithm 1 takes the file with the fewest imports left: c needs one, a and b two each."""
    files = {"a.py": "import b, c", "b.py": "import a, c", "c.py": "import a"}
    assert ordered("r", files) == ["c.py", "a.py", "b.py"]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(1, 14), st.booleans())
def test_any_repository_keeps_its_files_and_an_acyclic_one_their_order(data, count, acyclic) -> None:
    shuffled = data.draw(st.permutations(range(count)))
    names = [f"{'pkg/' * (number % 3)}m{number}" for number in range(count)]
    needs = {
        place: data.draw(st.sets(st.sampled_from(range(place) if acyclic else range(count)), max_size=4))
        for place in range(1, count)
    }
    files = {
        f"{names[shuffled[place]]}.py": "\n".join(
            f"import {names[shuffled[other]].replace('/', '.')}" for other in needs.get(place, ())
        )
        for place in data.draw(st.permutations(range(count)))
    }
    order = ordered("r", files)
    assert sorted(order) == sorted(files)
    assert ordered("r", dict(random.Random(0).sample(list(files.items()), count))) == order
    if acyclic:
        for place, others in needs.items():
            for other in others:
                needed = f"{names[shuffled[other]]}.py"
                assert order.index(needed) < order.index(f"{names[shuffled[place]]}.py")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.py", "from a import (" * 60_000),
        ("a.py", "import " + "a." * 400_000),
        ("a.js", "import" + " " * 900_000 + "require(" * 9_000),
        ("a.go", "import (\n" * 100_000),
        ("/abs/b.py", "import c"),
        ("a/" * 3000 + "b.py", "import c"),
    ],
    ids=["brackets", "dots", "blanks", "groups", "absolute", "deep"],
)
def test_hostile_files_are_read_like_any_other(path: str, text: str) -> None:
    assert ordered("r", {path: text, "z.py": ""}) == sorted([path, "z.py"])


@pytest.fixture(scope="module")
def dumps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five repositories of eight modules, each importing the one of the next lower number."""
    folder = tmp_path_factory.mktemp("repositories") / "dumps"
    for repo in "pqrst":
        files = {
            f"m{(5 * number) % 8}.py": f"import m{(5 * number - 5) % 8}\n" * bool(number) + f"x_{repo} = '{repo}'\n" * 9
            for number in range(8)
        }
        tar_gz(
            folder / f"{repo}.tar.gz",
            {name: f"# {repo} {name}\n{text}" for name, text in files.items()} | {"LICENSE": MIT},
        )
    return folder


def curated(dumps: Path, out: Path, *settings_: str) -> Store:
    (dumps.parent / "recipe.yaml").write_text(
        f"sources: [{{kind: archive, uri: {dumps}/*.tar.gz}}]\n"
        "tokenize: {vocab_size: 300, block: 32, order: repository}\noutput: {shards: 3}\nengine: {kind: inline}\n"
        "dedup: {near: {enabled: false}}\n"
        + "".join(
            f"{block}: {{enabled: false}}\n" for block in ("license", "toxicity", "pii", "decontaminate", "dialogue")
        )
    )
    store = Store(str(out))
    run(load_recipe(dumps.parent / "recipe.yaml", settings_), store)
    return store


def test_a_run_lays_each_repository_out_whole_and_in_order(dumps: Path, tmp_path: Path) -> None:
    store = curated(dumps, tmp_path)
    corpus = {
        row["row_id"]: (row["repo"], row["path"])
        for shard in range(3)
        for batch in store.read("corpus", shard, ("row_id", "repo", "path"))
        for row in batch.to_pylist()
    }
    assert len(corpus) == 40
    laid = [
        list(dict.fromkeys(document for row in batch["documents"].to_pylist() for document in row))
        for shard in range(3)
        for batch in store.read("_work/blocks", shard, ("documents",))
    ]
    documents = [document for shard in laid for document in shard]
    assert sorted(documents) == sorted(corpus)
    named = [corpus[document] for document in documents]
    repos = [repo for repo, _ in named]
    assert sum(one != other for one, other in pairwise(repos)) == 4  # neighbours all
    for repo in set(repos):
        assert [path for other, path in named if other == repo] == [f"m{(5 * number) % 8}.py" for number in range(8)]
    assert sum(store.table("tokens", ("token_count",))["token_count"].to_pylist()) == sum(
        store.table("_work/encoded", ("token_count",))["token_count"].to_pylist()
    )


def test_repositories_are_shuffled_by_the_seed(dumps: Path, tmp_path: Path) -> None:
    one, other = (curated(dumps, tmp_path / str(seed), f"seed={seed}", "output.shards=1") for seed in (1, 2))
    first, second = (np.concatenate(store.table("_work/blocks")["documents"].to_pylist()) for store in (one, other))
    assert sorted(set(first)) == sorted(set(second))
    assert list(dict.fromkeys(first)) != list(dict.fromkeys(second))
