"""Attribution: whom the kept files of a small run name, and which lines name anybody at all."""

import re
from pathlib import Path

import licensedcode
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from jobs import attribution
from jobs.attribution import ATTRIBUTION, is_notice, write_attribution
from jobs.cli import cli
from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.corpora import GPL_HEADER, MIT, stdlib, tar_gz
from transforms.copyrights import copyright_holders

LICENSE_TEXTS = Path(licensedcode.__file__).parent / "data" / "licenses"
BEA = "# Copyright 2019-2020 Bea Beispiel <bea@example.org>\n# SPDX-License-Identifier: Apache-2.0\n"
GRETA = "# Copyright (C) 1999 Greta Gnu\n"
OFF = ("quality", "dedup.near", "pii", "toxicity", "decontaminate", "tokenize")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("attribution")
    dumps = folder / "dumps"
    tools = {
        "LICENSE": MIT,
        "NOTICE": "Tools\nCopyright 2018 Noah Notice\n",
        "src/heap.py": stdlib("heapq"),
        "src/own.py": BEA + stdlib("bisect"),
        "src/free.py": GRETA + GPL_HEADER + stdlib("textwrap"),
        "src/deep.py": stdlib("keyword") + "#\n" * 4096 + "# Copyright 2001 Far Below\n",
    }
    tar_gz(dumps / "ada" / "tools.tar.gz", tools)
    tar_gz(dumps / "bob" / "free.tar.gz", {"COPYING": GPL_HEADER.replace("# ", ""), "shelf.py": stdlib("shelve")})
    forged = {"LICENSE": MIT.replace("Ada Example", "Eve\u202e Example, eve (at) example.org"), "q.py": stdlib("queue")}
    tar_gz(dumps / "eve\n  copyright: Nobody.tar.gz", forged)
    recipe = folder / "recipe.yaml"
    recipe.write_text("sources:\n  - kind: archive\n    uri: UNSET\n")
    off = [f"{block}.enabled=false" for block in OFF]
    out = Store(str(folder / "out"))
    run(load_recipe(recipe, [f"sources.0.uri={dumps}/**/*", "engine.kind=inline", "output.shards=2", *off]), out)
    write_attribution(out)
    return out


def attributed(store: Store) -> dict[str, dict]:
    table = pq.read_table(store.path("report", "attribution.parquet"))
    return {row["repo"]: row for row in table.to_pylist()}


def test_a_repository_has_the_licences_holders_and_paths_of_its_kept_files(store: Store) -> None:
    row = attributed(store)["ada/tools"]
    assert row["paths"] == ["src/deep.py", "src/heap.py", "src/own.py"]
    assert row["files"] == 3
    assert "MIT" in row["licenses"]
    assert any("Apache-2.0" in expression for expression in row["licenses"])
    assert row["holders"] == ["Ada Example", "Bea Beispiel", "Noah Notice"]
    assert row["holders_left_out"] == 0
    [source] = row["sources"]
    assert source.startswith("archive")


def test_every_kept_file_is_attributed_and_no_other(store: Store) -> None:
    ledger = store.table("ledger").to_pylist()
    kept = {(row["repo"], row["path"]) for row in ledger if row["decision"] == "kept"}
    rows = attributed(store)
    assert {(repo, path) for repo, row in rows.items() for path in row["paths"]} == kept
    assert list(rows) == sorted(rows)
    assert "bob/free" not in rows


def test_every_column_says_what_it_means(store: Store) -> None:
    schema = pq.read_schema(store.path("report", "attribution.parquet"))
    assert schema.equals(ATTRIBUTION)
    assert all(column.metadata[b"doc"] for column in schema)


def test_the_notice_tells_the_same_and_no_name_fakes_a_line(store: Store) -> None:
    notice = Path(store.path("report", "NOTICE.txt")).read_text()
    assert notice.startswith("NOTICE\n\nThe corpus holds 4 files of 2 repositories.")
    [section] = [part for part in notice.split("\n\n") if part.startswith("ada/tools\n")]
    assert "  copyright: Ada Example; Bea Beispiel; Noah Notice\n" in section
    assert "  files:     3" in section
    assert "eve\\n  copyright: Nobody\n" in notice
    assert not re.search(r"^ *copyright: Nobody", notice, re.M)
    assert "\u202e" not in notice
    ids = notice.partition("Licences named above\n")[2].splitlines()
    assert "  MIT  https://spdx.org/licenses/MIT.html" in ids
    assert len(ids) == len(set(ids))


def test_no_address_reaches_the_report(store: Store) -> None:
    for name in ("attribution.parquet", "NOTICE.txt"):
        assert b"example.org" not in Path(store.path("report", name)).read_bytes()
    assert attributed(store)["eve\\n  copyright: Nobody"]["holders"] == ["Eve Example"]


def test_the_same_datasets_give_the_same_bytes(store: Store) -> None:
    paths = [Path(store.path("report", name)) for name in ("attribution.parquet", "NOTICE.txt")]
    before = [path.read_bytes() for path in paths]
    write_attribution(store)
    assert [path.read_bytes() for path in paths] == before


def test_the_report_command_writes_it(store: Store) -> None:
    Path(store.path("report", "NOTICE.txt")).unlink()
    done = CliRunner().invoke(cli, ["report", store.path()])
    assert done.exit_code == 0, done.output
    assert "Ada Example" in Path(store.path("report", "NOTICE.txt")).read_text()


def test_runs_of_repositories_change_no_row(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = attributed(store)
    monkeypatch.setattr(attribution, "FILES_AT_ONCE", 1)
    write_attribution(store)
    assert pq.ParquetFile(store.path("report", "attribution.parquet")).num_row_groups == 2
    assert attributed(store) == before
    monkeypatch.undo()
    write_attribution(store)


def test_holders_beyond_the_cap_are_counted_and_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "MOST_HOLDERS", 2)
    write_attribution(store)
    row = attributed(store)["ada/tools"]
    assert row["holders"] == ["Ada Example", "Noah Notice"]
    assert row["holders_left_out"] == 1
    assert "Noah Notice; and others, in 1 more statements" in Path(store.path("report", "NOTICE.txt")).read_text()
    monkeypatch.undo()
    write_attribution(store)


@pytest.mark.parametrize(
    ("text", "holders"),
    [
        ("Copyright (c) 2021 Ada Example", ["Ada Example"]),
        ("# Copyright 2016-present, Ada Example. All rights reserved.", ["Ada Example"]),
        ("/* Copyright © 1999, 2001-2004 by Ada Example, Inc. */", ["Ada Example, Inc."]),
        (" * (c) 2007 The Example Authors; see LICENSE", ["The Example Authors"]),
        ("// Copyright The Example Authors", ["The Example Authors"]),
        ("# Copyright Øyvind Example", ["Øyvind Example"]),
        ("// Copyright by Авторы примера", ["Авторы примера"]),
        (" * Copyright 例の作者", ["例の作者"]),
        ("# Copyright مثال", ["مثال"]),
        ("# Copyright été", []),
        ("# SPDX-FileCopyrightText: 2020 Jane Doe <jane@example.com>", ["Jane Doe"]),
        ("Copyright (C) 2010 Jané Döe (jane at example dot com) 2012", ["Jané Döe"]),
        ("Copyright 2010 jane -at- example.com", []),
        ("Copyright 2010 " + "jane" * 100 + "@example.com", []),
        ("Copyright (c) 2010 Jane <EMAIL_ADDRESS>, https://example.com/~jane", ["Jane"]),
        ("(c) 2001 Ann Other, (c) 2002 Bob Other", ["Ann Other", "Bob Other"]),
        ('__copyright__ = "Copyright 2007 Ada Example"\n', ["Ada Example"]),
        ("Copyright (c) 2010 A. Smith, 2012 B. Jones", ["A. Smith, B. Jones"]),
        ("Copyright (C) <year>  <name of author>", []),
        ("Copyright [yyyy] [name of copyright owner]", []),
        ("Copyright (c) {{ year }} {{ name }}", []),
        ("Copyright (c) 2020", []),
        ("The above copyright notice and this permission notice", []),
        ("COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM", []),
        ("2. Grant of Copyright License. Subject to the terms", []),
        ("(c) You must retain, in the Source form", []),
        ("x = call(c)", []),
    ],
)
def test_statements_name_holders(text: str, holders: list[str]) -> None:
    assert list(copyright_holders(text.encode())) == holders


@pytest.mark.parametrize(
    "license", ["gpl-2.0", "gpl-3.0", "lgpl-2.1", "agpl-3.0", "apache-2.0", "mit", "bsd-new", "mpl-2.0", "wtfpl-2.0"]
)
def test_the_text_of_a_licence_names_nobody(license: str) -> None:
    text = (LICENSE_TEXTS / f"{license}.LICENSE").read_text().split("---\n", 2)[2]
    assert len(text) > 400
    assert list(copyright_holders(text.encode())) == []


def test_the_foundation_that_wrote_a_file_is_named() -> None:
    header = b"# Copyright (C) 1989 Free Software Foundation, Inc.\n# This file is part of GNU sed.\n"
    assert list(copyright_holders(header)) == ["Free Software Foundation, Inc."]


@given(st.lists(st.sampled_from(["Copyright ", "(c)", "©", "2020", " ", "a@b.c", "<", "at", ".", "\n", "ü", "Ada"])))
def test_no_holder_has_an_at_sign_a_line_or_too_many_letters(parts: list[str]) -> None:
    for holder in copyright_holders("".join(parts).encode()):
        assert "@" not in holder
        assert holder.isprintable()
        assert 2 <= len(holder) <= 200


@given(st.binary())
def test_any_bytes_can_be_asked(text: bytes) -> None:
    assert all(isinstance(holder, str) for holder in copyright_holders(b"Copyright 2020 " + text))


def test_which_files_speak_of_a_repository() -> None:
    assert all(map(is_notice, ("LICENSE", "a/COPYING.txt", "NOTICE", "b/NOTICE.md", "AUTHORS", "COPYRIGHT.txt")))
    assert not any(map(is_notice, ("notice.py", "authors.json", "src/license.c", "README.md", "noticeboard.txt")))
