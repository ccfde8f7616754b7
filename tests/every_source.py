"""Repositories dealt out to one source of each kind, but for the running environment, which is as large as it is."""

import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.bigquery_emulator import Emulator
from tests.corpora import tar_gz

Repositories = dict[str, dict[str, str]]
"""Texts by path, by repository."""

COLUMNS = ("repo", "path", "content")


def sources(folder: Path, repos: Repositories, emulator: Emulator) -> list[dict[str, Any]]:
    """The blocks of a recipe: the repositories in turn as archives, folders, git, parquet, JSON lines, a query."""
    archives, folders, mirrors, tables, lines, queried = (dict(list(repos.items())[kind::6]) for kind in range(6))
    for name, files in archives.items():
        tar_gz(folder / "archives" / f"{name}.tar.gz", dict(files))
    for kind, given in (("folders", folders), ("mirrors", mirrors)):
        for name, files in given.items():
            for path, text in files.items():
                file = folder / kind / name / path
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")
    for name in mirrors:
        _commit(folder / "mirrors" / name)
    pq.write_table(pa.Table.from_pylist(list(_rows(tables))), folder / "table.parquet", row_group_size=16)
    with gzip.open(folder / "lines.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in _rows(lines))
    emulator.fill("lake.code.files", dict.fromkeys(COLUMNS, "STRING"), list(_rows(queried)))
    query = "SELECT repo, path, content FROM `lake.code.files`"
    return [
        {"kind": "archive", "uri": f"{folder}/archives/**/*"},
        {"kind": "directory", "uri": f"{folder}/folders/*"},
        {"kind": "git", "uri": f"{folder}/mirrors/*"},
        {"kind": "parquet", "uri": f"{folder}/table.parquet"},
        {"kind": "jsonl", "uri": f"{folder}/lines.jsonl.gz"},
        {"kind": "bigquery", "project": "payer", "query": query} | emulator.endpoints,
    ]


def _rows(repos: Repositories) -> list[dict[str, str]]:
    return [
        dict(zip(COLUMNS, (repo, path, text), strict=True))
        for repo, files in repos.items()
        for path, text in files.items()
    ]


def _commit(folder: Path) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=a@example.com")
    for command in (("init", "--quiet", "-b", "main"), ("add", "--all", "--force"), ("commit", "--quiet", "-m", "m")):
        subprocess.run(["git", *who, *command], cwd=folder, check=True, capture_output=True)
