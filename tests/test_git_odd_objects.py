"""Commits, tags and trees that are not what git writes today, though it reads them: so are their files."""

import subprocess
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from pipeline.sources.git import GitSource
from tests.test_git import commit, git, raw, raw_tree, repository
from tests.test_hostile_inputs import details, reasons
from tests.test_sources import rows

WHO = b"A B <a.b@example.com> 1312735823 +0200"
ADDRESS = b"a.b@example.com"


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo", "--bare")


def point_main_at(folder: Path, id: str) -> None:
    """git itself would not have a branch at such an object."""
    (folder / "refs/heads/main").write_text(f"{id}\n")


def with_lines(folder: Path, *lines: bytes, parents: tuple[str, ...] = ()) -> str:
    """A commit of one file `a.py` whose header has these lines behind tree and parents."""
    tree = raw_tree(folder, ("100644", b"a.py", raw(folder, "blob", b"x = 1\n")))
    above = [f"tree {tree}".encode(), *(f"parent {parent}".encode() for parent in parents)]
    return raw(folder, "commit", b"\n".join((*above, *lines, b"", b"message <b@example.com> 1 +0000", b"")))


COMMITTERS = {
    "as git writes it": (WHO, 1312735823),
    "no zone": (WHO.removesuffix(b" +0200"), 1312735823),
    "no zone but its blank": (WHO.removesuffix(b"+0200"), 1312735823),
    "a zone that is none": (WHO.replace(b"+0200", b"CEST"), 1312735823),
    "a zone of many digits": (WHO.replace(b"+0200", b"+51800"), 1312735823),
    "no date": (WHO[: WHO.index(b">") + 1], None),
    "a date that is none": (WHO.replace(b"1312735823", b"Sun Aug 7"), None),
    "a date of too many digits": (WHO.replace(b"1312735823", b"1" * 30), None),
    "a date after the year 9999": (WHO.replace(b"1312735823", b"1" * 15), None),
    "no brackets": (WHO.replace(b"<", b"").replace(b">", b""), None),
    "no opening bracket": (WHO.replace(b"<", b""), 1312735823),
    "no closing bracket": (WHO.replace(b">", b""), None),
    "brackets twice": (WHO.replace(b"<a.b", b"<<a.b>").replace(b"> 1", b">> 1"), 1312735823),
    "no address": (WHO.replace(ADDRESS, b""), 1312735823),
    "no blank before the date": (WHO.replace(b"> ", b">"), 1312735823),
    "many blanks": (WHO.replace(b"> ", b">   \t"), 1312735823),
    "bytes of an old code page": (WHO.replace(b"A B", b"J\xf6rg \xff"), 1312735823),
    "a name alone": (b"A B", None),
    "nothing": (b"", None),
    "a carriage return": (WHO + b"\r", 1312735823),
}


@pytest.mark.parametrize(("who", "time"), COMMITTERS.values(), ids=COMMITTERS)
def test_what_is_wrong_in_a_committer_line_costs_no_file(repo, who, time):
    point_main_at(repo, with_lines(repo, b"author " + WHO, b"committer " + who))
    (row,) = rows(GitSource(str(repo)))
    assert (row["path"], row["content"]) == ("a.py", "x = 1\n")
    assert row["repo_last_commit"] == (datetime.fromtimestamp(time, UTC) if time else None)
    assert row["repo_authors"] == 1
    if time and b">>" not in who:  # git takes the date for the same; with more brackets it does since 2.41
        assert git(repo, "rev-list", "--timestamp", "-1", "main").split()[0] == str(time)


AUTHORS = {
    "as git writes it": (WHO, 1),
    "no zone": (WHO.removesuffix(b" +0200"), 1),
    "no date": (WHO[: WHO.index(b">") + 1], 1),
    "no brackets": (WHO.replace(b"<", b"").replace(b">", b""), None),
    "no closing bracket": (WHO.replace(b">", b""), None),
    "no address": (WHO.replace(ADDRESS, b""), None),
    "nothing": (b"", None),
}


@pytest.mark.parametrize(("who", "authors"), AUTHORS.values(), ids=AUTHORS)
def test_what_is_wrong_in_an_author_line_costs_no_file(repo, who, authors):
    point_main_at(repo, with_lines(repo, b"author " + who, b"committer " + WHO))
    (row,) = rows(GitSource(str(repo)))
    assert (row["content"], row["repo_authors"]) == ("x = 1\n", authors)
    assert row["repo_last_commit"] == datetime.fromtimestamp(1312735823, UTC)


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"committer " + WHO],
        [b"author " + WHO],
        [b"committer " + WHO, b"author " + WHO],
        [b"encoding latin-1", b"author " + WHO, b"committer " + WHO],
        [b"author " + WHO, b"committer " + WHO, b"gpgsig -----BEGIN", b" committer <x@example.com> 1 +0000"],
        [b"author " + WHO, b"author " + WHO, b"committer " + WHO],
    ],
)
def test_lines_that_lack_or_stand_elsewhere_cost_no_file(repo, lines):
    point_main_at(repo, with_lines(repo, *lines))
    (row,) = rows(GitSource(str(repo)))
    assert row["content"] == "x = 1\n"
    has_date = any(line.startswith(b"committer") for line in lines)
    assert row["repo_last_commit"] == (datetime.fromtimestamp(1312735823, UTC) if has_date else None)


def test_a_commit_without_a_date_is_taken_for_new(tmp_path):
    repo = repository(tmp_path / "repo")
    first = commit(repo, {"a.py": "x = 0\n", "old.py": "y"}, day=1)
    odd = with_lines(repo, b"author " + WHO, b"committer " + WHO[: WHO.index(b">") + 1], parents=(first,))
    (repo / ".git/refs/heads/main").write_text(f"{odd}\n")
    found = rows(GitSource(str(repo), since=date(2024, 1, 2)))
    assert [(row["path"], row["content"]) for row in found] == [("a.py", "x = 1\n")]
    git(repo, "reset", "--hard")
    last = commit(repo, {"b.py": "z"}, day=3)
    assert git(repo, "rev-parse", f"{last}^") == odd
    found = rows(GitSource(str(repo), since=date(2024, 1, 2)))
    assert [row["path"] for row in found] == ["a.py", "b.py"]
    assert {row["repo_authors"] for row in found} == {2}


def test_tags_without_a_tagger_and_upon_one_another(repo):
    id = with_lines(repo, b"author A B", b"committer A B")
    tag = raw(repo, "tag", f"object {id}\ntype commit\ntag v1\n\nold\n".encode())
    tag = raw(repo, "tag", f"object {tag}\ntype tag\ntag v2\ntagger A B\n\nmessage\n".encode())
    (repo / "refs/tags/v2").write_text(f"{tag}\n")
    point_main_at(repo, tag)
    for revision in (None, "v2"):
        (row,) = rows(GitSource(str(repo), revision))
        assert (row["content"], row["revision"]) == ("x = 1\n", id)


def test_odd_entries_of_trees_have_rows(repo):
    blob, other = raw(repo, "blob", b"text"), raw(repo, "blob", b"other")
    inner = raw_tree(repo, ("100644", b"", blob), ("100644", b"x", blob))
    tree = raw_tree(
        repo,
        ("100664", b"group.py", blob),
        ("100600", b"own.py", blob),
        ("0100644", b"zero.py", blob),
        ("100644", b"twice.py", blob),
        ("100644", b"twice.py", other),
        ("100644", b"", blob),
        ("100644", b".", blob),
        ("100644", b"with/slash.py", blob),
        ("040000", b"d", inner),
        ("40000", b"d", inner),
        ("0", b"no mode", blob),
        ("100644", b"caf\xe9.py", blob),
        ("100644", b"a.py", blob),  # out of order
    )
    who = b"A B <a@example.com> 1312735823 +0000"
    point_main_at(repo, raw(repo, "commit", b"tree %b\nauthor %b\ncommitter %b\n\nm\n" % (tree.encode(), who, who)))
    found = rows(GitSource(str(repo)))
    assert [(row["path"], row["content"] or row["input_reason"]) for row in found] == [
        ("group.py", "text"),
        ("own.py", "text"),
        ("zero.py", "text"),
        ("twice.py", "text"),
        ("twice.py", "other"),
        ("", "input.unsafe_path"),
        (".", "input.unsafe_path"),
        ("with/slash.py", "text"),
        ("d/", "input.unsafe_path"),
        ("d/x", "text"),
        ("d/", "input.unsafe_path"),
        ("d/x", "text"),
        ("no mode", "input.not_regular"),
        ("caf\\xe9.py", "text"),
        ("a.py", "text"),
    ]
    listed = subprocess.run(["git", "ls-tree", "main"], cwd=repo, capture_output=True, check=False)
    assert b"empty filename" in listed.stderr  # where git gives up, too


@pytest.mark.parametrize("cut", [1, 19, 25])
def test_a_tree_that_ends_early_has_a_row(repo, cut):
    blob = raw(repo, "blob", b"text")
    whole = b"".join(b"100644 %b\0%b" % (name, bytes.fromhex(blob)) for name in (b"a.py", b"b.py"))
    inner = raw(repo, "tree", whole[:-cut])
    tree = raw_tree(repo, ("40000", b"d", inner), ("100644", b"z.py", blob))
    point_main_at(repo, raw(repo, "commit", f"tree {tree}\n\nm\n".encode()))
    found = rows(GitSource(str(repo)))
    assert reasons(found) == {"d": "input.corrupt", "z.py": None}
    assert inner in str(details(found)["d"])
