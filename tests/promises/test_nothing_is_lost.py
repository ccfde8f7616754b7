"""Nothing is lost: rows in = kept + dropped by reason + failed by reason. Other readers count what went in."""

import gzip
import json
import os
import random
import tarfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import read_back
from tests.archives import COMPRESSIONS, Members, tar, zipped
from tests.command_line import Row, corpus, curated, ledger, named
from tests.corpora import LFS_POINTER, files, git, heapq_variant, installed, one_of_everything, stdlib, write
from tests.read_back import Entries

DEDUP = {"dedup": {name: {"enabled": True} for name in ("exact", "near", "repositories")}}
TOKENS = {"tokenize": {"vocab_size": 300, "block": 64, "enabled": True}}


@dataclass(frozen=True)
class Given:
    """An input on disk, and what another reader finds in it."""

    sources: list[dict[str, Any]]
    entries: Entries
    troubles: int = 0
    """Rows that stand for no file: an archive that is empty, or cut."""
    blocks: dict[str, Any] = field(default_factory=dict)


Form = Callable[[Path], Given]
FORMS: dict[str, Form] = {}


def form(make: Form) -> Form:
    FORMS[make.__name__] = make
    return make


def archives(folder: Path, **given: Any) -> Given:
    """All archives of a folder."""
    entries = [entry for path in sorted(folder.iterdir()) for entry in read_back.archive(path)]
    return Given([{"kind": "archive", "uri": f"{folder}/*"}], entries, **given)


def real(name: str) -> Members:
    """The files of an installed package, below a top folder."""
    root = installed(name)
    return [(f"{name}-1.0/{file.relative_to(root)}", file.read_bytes()) for file in files(root)]


@form
def real_packages_in_every_compression(folder: Path) -> Given:
    packs = {
        f"json{ending.replace('.', '_')}{ending}": pack(tar(real("json"))) for ending, pack in COMPRESSIONS.items()
    }
    write(folder, packs | {"click.zip": zipped(real("click")), "yaml.whl": zipped(real("yaml"))})
    return archives(folder)


@form
def members_of_every_kind(folder: Path) -> Given:
    folder.mkdir()
    with tarfile.open(folder / "odd.tar", "w") as archive:
        for number, kind in enumerate((b"0", b"\0", b"1", b"2", b"3", b"4", b"5", b"6")):
            info = tarfile.TarInfo(f"top/{number}.py")
            info.type, info.linkname = kind, "top/0.py"
            archive.addfile(info)
    found = archives(folder)
    # A hard link is read by tarfile as the file that it leads to; here it has a row that says what it is.
    assert len(found.entries) == 7
    return found


@form
def one_path_again_and_again_in_an_archive(folder: Path) -> Given:
    members = [("top/a.py", text) for text in ("a = 1\n", "a = 2\n", "a = 1\n", "", "a = 3\n")]
    write(folder, {"t.tar": tar(members), "z.zip": zipped(members)})
    return archives(folder)


@form
def odd_names(folder: Path) -> Given:
    names = ["a b.py", "naïve/Ж.py", "[x]*?.py", "a\nb.py", "-x.py", "tab\t.py", "e\u0301.py", ".hidden/.x.py", "C#.cs"]
    names += ["a//b.py", "./c.py", "nul.py", "con", "x" * 200 + ".py", "a:b.py", "%2e%2e.py", "~", "$(x).py", "'\".py"]
    members = [(f"top/{name}", f"name = {number}\n") for number, name in enumerate(names)]
    write(folder / "packed [1]", {"t a.tar": tar(members), "ж.zip": zipped(members)})
    for name, content in members:
        write(folder / "plain", {name: content})
    found = archives(folder / "packed [1]")
    sources = [
        {"kind": "archive", "uri": f"{folder}/packed */*"},
        {"kind": "directory", "uri": f"{folder}/plain"},
    ]
    return Given(sources, found.entries + read_back.folder(folder / "plain"))


@form
def names_that_lead_elsewhere(folder: Path) -> Given:
    members = [(name, b"\0") for name in ("../up.py", "/etc/x.py", "a/../../up.py", "c:/x.py", "\\\\server\\x.py")]
    write(folder, {"t.tar": tar(members), "z.zip": zipped(members)})
    return archives(folder)


@form
def archives_that_hold_nothing(folder: Path) -> Given:
    write(folder, {"t.tar": tar([]), "z.zip": zipped([]), "f.tar.gz": gzip.compress(tar([("only/", "")]))})
    write(folder, {"d.zip": zipped([("only/", ""), ("only/inner/", "")])})
    return archives(folder, troubles=4)


@form
def archives_that_are_cut(folder: Path) -> Given:
    noise = [(f"top/{n}.py", f"x = {random.Random(n).randbytes(300).hex()!r}\n") for n in range(40)]
    whole = tar(noise)
    write(folder, {f"{share}.tar": whole[: len(whole) * share // 100 + 7] for share in (10, 50, 80)})
    write(folder, {f"{share}.tgz": gzip.compress(whole)[: 9000 * share // 100] for share in (30, 90)})
    return archives(folder, troubles=5)


@form
def files_that_are_no_text(folder: Path) -> Given:
    large = "x = 1\n" * 200_000
    contents = [b"", b"a\0b", "é".encode("latin-1"), "x".encode("utf-16"), b"\xef\xbb\xbfx = 1\n", large, b"\xff" * 99]
    members = [(f"top/{number}.py", content) for number, content in enumerate(contents)]
    write(folder, {"t.tar": tar(members), "z.zip": zipped(members)})
    return archives(folder)


@form
def a_folder_with_links_pipes_and_hidden_files(folder: Path) -> Given:
    write(folder / "p", {path.name: path.read_bytes() for path in files(installed("yaml"))})
    write(
        folder / "p", {".hidden/.a.py": "a = 1\n", "deep/" * 30 + "b.py": "b = 1\n", "empty/x": "", ".git/config": "x"}
    )
    os.mkfifo(folder / "p" / "pipe")
    for name, target in (("up", ".."), ("gone", "nowhere"), ("loop", "loop"), ("same.py", ".hidden/.a.py")):
        (folder / "p" / name).symlink_to(target)
    write(folder / "none", {})
    (folder / "none").mkdir()
    entries = read_back.folder(folder / "p")
    assert entries.count(None) == 5
    return Given([{"kind": "directory", "uri": f"{folder}/*"}], entries, troubles=1)


@form
def repositories_with_submodules_pointers_and_links(folder: Path) -> Given:
    write(
        folder / "lib", {"LICENSE": "x\n", "a b/é.py": "é = 1\n", "b.bin": b"\0", "large.dat": LFS_POINTER, "e.py": ""}
    )
    write(folder / "lib", {f"real/{path.name}": path.read_bytes() for path in files(installed("json"))})
    (folder / "lib" / "link.py").symlink_to("a b/é.py")
    git(folder / "lib", "init", "--quiet", "-b", "main")
    git(folder / "lib", "add", "--all")
    git(folder / "lib", "update-index", "--add", "--cacheinfo", f"160000,{'a' * 40},vendor/sub")
    git(folder / "lib", "commit", "--quiet", "-m", "m")
    git(folder, "clone", "--quiet", "--bare", "lib", "mirror.git")
    git(folder, "init", "--quiet", "--bare", "empty.git")
    entries = read_back.git(folder / "lib")
    assert entries.count(None) == 2
    return Given([{"kind": "git", "uri": f"{folder}/*"}], entries * 2, troubles=1)


@form
def tables_of_every_shape(folder: Path) -> Given:
    folder.mkdir()
    code = [path.read_text() for path in files(installed("email"))]
    odd = pa.array(["a = 1\n", None, "", "a = 1\n", "\0", "ж"])
    columns = {"s": odd, "large": odd.cast(pa.large_string()), "dictionary": odd.dictionary_encode()}
    columns["bytes"] = pa.array([b"x = 1\n", b"\xff", None, b"", b"\0", b"x = 1\n"])
    for name, column in columns.items():
        pq.write_table(
            pa.table({"content": column, "path": ["same.py"] * 6}), folder / f"{name}.parquet", row_group_size=4
        )
    pq.write_table(pa.table({"content": code}), folder / "code.parquet", row_group_size=7)
    pq.write_table(pa.table({"content": pa.array([], pa.string())}), folder / "none.parquet")
    pq.ParquetWriter(folder / "groupless.parquet", pa.schema([("content", pa.string())])).close()
    entries = [entry for path in folder.iterdir() for entry in read_back.table(path)]
    return Given([{"kind": "parquet", "uri": f"{folder}/*.parquet"}], entries, troubles=2)


@form
def json_lines_good_and_bad(folder: Path) -> Given:
    good = [json.dumps({"content": path.read_text(), "path": path.name}) for path in files(installed("json"))]
    bad = [
        "{",
        "[1]",
        "null",
        '"text"',
        '{"content": 7}',
        '{"content": null}',
        '{"other": "x"}',
        '{"content": "\\ud800"}',
    ]
    blank = ["", "   ", "\t"]
    text = "\n".join([*good, *blank, *bad, *good]).encode()
    parts = {"a.jsonl": text, "b.jsonl": text + b"\n", "crlf.jsonl": text.replace(b"\n", b"\r\n")}
    write(
        folder,
        parts
        | {
            "c.jsonl.gz": gzip.compress(text[:99]) + gzip.compress(text[99:]),
            "empty.jsonl": b"",
            "blank.jsonl": b"\n \n",
        },
    )
    # A lone surrogate is no text, so the other reader's strict encoding finds none either.
    return Given([{"kind": "jsonl", "uri": f"{folder}/*"}], read_back.lines(text) * 4, troubles=2)


@form
def the_same_files_from_four_sources(folder: Path) -> Given:
    write(folder / "repo", {path.name: path.read_bytes() for path in files(installed("json"))})
    entries = read_back.folder(folder / "repo")
    git(folder / "repo", "init", "--quiet", "-b", "main")
    git(folder / "repo", "add", "--all", "--force")
    git(folder / "repo", "commit", "--quiet", "-m", "m")
    with tarfile.open(folder / "repo.tar", "w") as archive:
        archive.add(folder / "repo", "repo", filter=lambda info: None if ".git" in info.name.split("/") else info)
    sources = [
        {"kind": "directory", "uri": f"{folder}/repo"},
        {"kind": "archive", "uri": f"{folder}/repo.tar"},
        {"kind": "git", "uri": f"{folder}/repo"},
        {"kind": "archive", "uri": f"{folder}/*.tar"},
    ]
    return Given(sources, entries * 4, blocks=DEDUP)


@form
def duplicates_of_duplicates(folder: Path) -> Given:
    texts = [stdlib("heapq"), heapq_variant(), stdlib("bisect"), "x = 1\n", "", "# only a comment\n"]
    rows = [{"repo": f"o/r{n % 7}", "path": "same.py", "content": texts[n % 6]} for n in range(600)]
    write(folder, {"rows.jsonl": "".join(json.dumps(row) + "\n" for row in rows)})
    entries = read_back.lines((folder / "rows.jsonl").read_bytes())
    return Given([{"kind": "jsonl", "uri": f"{folder}/*"}], entries, blocks=DEDUP)


@form
def nothing_that_is_kept(folder: Path) -> Given:
    write(folder, {"a.tar": tar([("x.bin", b"\0"), ("y.bin", b"\0\1"), ("z.py", b"")])})
    return archives(folder, blocks=DEDUP | TOKENS)


@form
def a_single_file_in_64_shards(folder: Path) -> Given:
    write(folder, {"a.tar": tar([("x.py", stdlib("bisect"))])})
    return archives(folder, blocks={"output": {"shards": 64}} | TOKENS)


@form
def thousands_of_small_files_in_one_shard(folder: Path) -> Given:
    members = [(f"top/{n % 10}/{n}.py", f"x = {n % 1500}\n") for n in range(3000)]
    write(folder, {f"{ending[1:]}{ending}": pack(tar(members)) for ending, pack in COMPRESSIONS.items()})
    return archives(folder, blocks=DEDUP | {"output": {"shards": 1}})


@form
def every_rule_but_licences(folder: Path) -> Given:
    one_of_everything(folder)
    entries = [entry for path in folder.rglob("*") if path.is_file() for entry in read_back.archive(path)]
    on = {name: {"enabled": True} for name in ("quality", "pii", "toxicity", "decontaminate", "dialogue")}
    blocks = on | DEDUP | TOKENS | {"languages": {"keep": "programming"}, "output": {"format": "parquet"}}
    return Given([{"kind": "archive", "uri": f"{folder}/**/*"}], entries, blocks=blocks)


def check(rows: list[Row], kept: list[Row], count: int) -> None:
    """A ledger of so many rows, each with one fate, and the corpus that it tells of."""
    decisions = Counter(row["decision"] for row in rows)
    assert len(rows) == count == decisions["kept"] + decisions["dropped"] + decisions["failed"]
    assert all((row["decision"] == "kept") == (row["reason"] is None) for row in rows)
    told = Counter((named(row), row["content_id"]) for row in rows if row["decision"] == "kept")
    assert told == Counter((named(row), row["content_id"]) for row in kept)


@pytest.mark.parametrize("name", FORMS)
def test_nothing_is_lost(name: str, tmp_path: Path) -> None:
    given = FORMS[name](tmp_path / "input")
    out = curated(tmp_path, given.sources, given.blocks)
    rows, kept = ledger(out), _kept(out)
    check(rows, kept, len(given.entries) + given.troubles)
    texts = read_back.texts(given.entries)
    if not given.blocks:
        assert Counter(row["content"] for row in kept) == texts
    elif "pii" not in given.blocks:
        assert {row["content"] for row in kept} <= texts.keys()
    summary = json.loads((out / "report" / "summary.json").read_text())
    told = Counter({(entry["decision"], entry["reason"]): entry["rows"] for entry in summary["reasons"]})
    assert told == Counter((row["decision"], row["reason"]) for row in rows)
    assert summary["rows"] == len(rows)


def _kept(out: Path) -> list[Row]:
    return pq.read_table(out / "corpus").to_pylist() if list(out.glob("corpus/*.parquet")) else corpus(out)
