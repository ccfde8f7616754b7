"""The git source: repositories made by git itself, then damaged ones and hostile ones."""

import hashlib
import os
import shutil
import subprocess
import tracemalloc
import zlib
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobs.recipe import RecipeError, load_recipe
from jobs.run import run
from pipeline.sources import Limits, SourceError
from pipeline.sources.git import GitSource
from pipeline.storage import Store
from tests.test_hostile_inputs import check_rows, details, mutated, reasons
from tests.test_sources import HUGE, contents, in_any_order, rows, write

NOON = {f"{who}_{what}": value for who in ("GIT_AUTHOR", "GIT_COMMITTER") for what, value in (("NAME", "n"),)}
OFF = ("license", "quality", "dedup.near", "pii", "toxicity", "tokenize", "decontaminate")
TEXT = "".join(f"line {i} of a text that is long enough to be stored as differences\n" for i in range(200))


def git(folder: Path, *command: str, day: int = 1, author: str = "a", stdin: bytes = b"") -> str:
    """Runs git as if at noon of that day of January 2024, without the machine's configuration."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        **NOON,
        **{f"GIT_{who}_DATE": f"2024-01-{day:02}T12:00:00Z" for who in ("AUTHOR", "COMMITTER")},
        "GIT_AUTHOR_EMAIL": f"{author}@example.com",
        "GIT_COMMITTER_EMAIL": "c@example.com",
    }
    quiet = ("-c", "protocol.file.allow=always", "-c", "gc.auto=0", "-c", "init.defaultBranch=main")
    done = subprocess.run(
        ["git", *quiet, *command], cwd=folder, env=environment, input=stdin, capture_output=True, check=True
    )
    return done.stdout.decode().strip()


def repository(folder: Path, *options: str) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", *options)
    return folder


def commit(folder: Path, files: dict[str, str | bytes], day: int = 1, author: str = "a") -> str:
    """Writes files, commits the whole folder and gives the commit's id."""
    for name, data in files.items():
        write(folder / name, data)
    git(folder, "add", "--all", "--force")
    git(folder, "commit", "--allow-empty", "--message", "m", day=day, author=author)
    return git(folder, "rev-parse", "HEAD")


def raw(folder: Path, kind: str, data: bytes) -> str:
    """Writes an object as it stands, whatever git thinks of it."""
    return git(folder, "hash-object", "-t", kind, "-w", "--literally", "--stdin", stdin=data)


def raw_tree(folder: Path, *entries: tuple[str, bytes, str]) -> str:
    return raw(folder, "tree", b"".join(b"%b %b\0%b" % (m.encode(), n, bytes.fromhex(i)) for m, n, i in entries))


def head(folder: Path, tree: str) -> None:
    """Makes a tree the last commit of the main branch."""
    git(folder, "update-ref", "refs/heads/main", git(folder, "commit-tree", tree, "-m", "m"))


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    return repository(tmp_path / "repo")


# What repositories hold


def test_a_row_is_a_file_of_the_default_branch(repo):
    commit(repo, {"old.py": "gone\n", "src/main.py": TEXT}, author="a")
    (repo / "old.py").unlink()
    last = commit(repo, {"src/main.py": TEXT + "x\n", "src.py": "y\n", "caf\udce9": "z\n", "tool": "#!\n"}, 2, "b")
    (repo / "tool").chmod(0o755)
    (repo / "src/uncommitted.py").write_text("no")
    for _ in range(2):
        found = rows(GitSource(str(repo)))
        assert contents(found) == {
            "repo/caf\\xe9": "z\n",
            "repo/src.py": "y\n",
            "repo/src/main.py": TEXT + "x\n",
            "repo/tool": "#!\n",
        }
        assert {row["revision"] for row in found} == {last}
        assert {row["source"] for row in found} == {f"git:{repo}"}
        assert {row["repo_authors"] for row in found} == {2}
        assert {row["repo_last_commit"] for row in found} == {datetime(2024, 1, 2, 12, tzinfo=UTC)}
        blobs = git(repo, "-c", "core.quotePath=false", "ls-tree", "-r", "HEAD", "--format=%(objectname)").split()
        assert [row["content_id"] for row in found] == blobs
        git(repo, "gc", "--prune=now")


def test_bare_and_ordinary_repositories_are_named_by_their_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    commit(repository(tmp_path / "in/psf/requests"), {"a": "a"})
    git(tmp_path, "clone", "--bare", "in/psf/requests", "bare/psf/requests.git")
    git(tmp_path, "clone", "--bare", "in/psf/requests", "bare/tool.git")

    def named(uri: str) -> list[tuple[str, str, str]]:
        return [(row["repo"], row["source"], row["path"]) for row in rows(GitSource(uri))]

    assert named("bare/**/*.git") == [
        ("psf/requests", "git:bare/psf/requests.git", "a"),
        ("tool", "git:bare/tool.git", "a"),
    ]
    assert named("in/*/*") == [("psf/requests", "git:in/psf/requests", "a")]
    assert named("in/*/*/.git") == [("psf/requests", "git:in/psf/requests/.git", "a")]
    assert named("in/psf/requests/.git/") == [("requests", "git:in/psf/requests/.git", "a")]
    assert named("bare/tool.git") == [("tool", "git:bare/tool.git", "a")]


def test_what_is_no_file_has_its_own_reason(repo):
    inner = repository(repo.parent / "inner")
    pinned = commit(inner, {"i": "i"})
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 12345\n"
    commit(repo, {"big.bin": pointer, "empty": "", "nul": b"\0", "large": "x" * 1001, "talks.md": "see " + pointer})
    git(repo, "submodule", "add", str(inner), "sub")
    (repo / "link").symlink_to("/etc/passwd")
    commit(repo, {})
    found = [row for row in rows(GitSource(str(repo)), limits=Limits(max_file_bytes=1000)) if row["path"][0] != "."]
    assert reasons(found) == {
        "big.bin": "input.git_lfs_pointer",
        "empty": "input.empty",
        "large": "input.too_large",
        "link": "input.not_regular",
        "nul": "input.binary",
        "sub": "input.submodule",
        "talks.md": None,
    }
    told = details(found)
    assert told["big.bin"] == f"sha256:{'ab' * 32}, 12345 bytes"
    assert told["large"] == "1001 bytes > 1000"
    assert told["link"] == "symlink"
    assert told["sub"] == f"commit {pinned}"


def test_a_revision_is_a_branch_a_tag_or_a_commit(repo):
    first = commit(repo, {"f": "first"})
    git(repo, "tag", "-a", "v1", "-m", "m")
    git(repo, "tag", "-a", "v1-again", "v1", "-m", "m")
    git(repo, "checkout", "-b", "topic/x")
    second = commit(repo, {"f": "second"})
    git(repo, "checkout", "--detach")
    third = commit(repo, {"f": "third"})
    for _ in range(2):
        for revision, id in [
            (None, third),
            ("HEAD", third),
            ("main", first),
            ("v1", first),
            ("v1-again", first),
            ("refs/tags/v1", first),
            ("topic/x", second),
            ("heads/topic/x", second),
            (second, second),
        ]:
            assert [row["revision"] for row in rows(GitSource(str(repo), revision))] == [id], revision
        git(repo, "pack-refs", "--all")
        git(repo, "repack", "-a", "-d", "--depth=50")
    for wrong in ("nothing", "../../HEAD", "refs", "", "a\0b", first[:8]):
        with pytest.raises(SourceError, match="repo: no branch, tag or commit"):
            GitSource(str(repo), wrong).splits(HUGE)
    absent = "1" * 40
    assert details(rows(GitSource(str(repo), absent))) == {"": f"{absent} is missing"}


def test_of_many_repositories_each_that_cannot_be_read_has_a_row_that_says_why(tmp_path):
    def made(name: str, *options: str) -> Path:
        return repository(tmp_path / "in" / name, *options)

    commit(made("good"), {"a": "a"})
    made("empty")
    made("no-branch", "--bare")
    commit(made("sha256", "--object-format=sha256"), {"a": "a"})
    git(tmp_path / "in/good", "worktree", "add", "../worktree")
    git(tmp_path, "clone", "--shared", "in/good", "in/shared")
    (tmp_path / "in/linked").mkdir()
    (tmp_path / "in/linked/.git").symlink_to(tmp_path / "in/good/.git")
    write(tmp_path / "in/none/a.py", "no repository")
    write(made("reftable") / ".git/reftable/tables.list", "")
    (made("no-files") / "x").mkdir()
    commit(tmp_path / "in/no-files", {})
    found = rows(GitSource(f"{tmp_path}/in/*"))
    assert {row["repo"]: (row["path"], row["input_reason"]) for row in found} == {
        "empty": ("", "input.empty"),
        "good": ("a", None),
        "linked": ("", "input.unreadable"),
        "no-branch": ("", "input.empty"),
        "no-files": ("", "input.empty"),
        "none": ("", "input.unreadable"),
        "reftable": ("", "input.unreadable"),
        "sha256": ("", "input.unreadable"),
        "shared": ("", "input.unreadable"),
        "worktree": ("", "input.unreadable"),
    }
    told = {row["repo"]: row["input_detail"] for row in found}
    assert told["empty"] == "refs/heads/main has no commit"
    assert "git repack -a -d" in told["shared"]
    assert "SHA-256" in told["sha256"]
    for name in ("linked", "none", "reftable", "sha256", "shared", "worktree"):
        with pytest.raises(SourceError, match=f"in/{name}: "):
            GitSource(f"{tmp_path}/in/{name}").splits(HUGE)
    with pytest.raises(SourceError, match="no folder matches"):
        GitSource(f"{tmp_path}/in/*.git").splits(HUGE)
    with pytest.raises(SourceError, match="local disks only"):
        GitSource("gs://bucket/*.git").splits(HUGE)


def test_authors_are_counted_over_merges_and_once_each(repo):
    commit(repo, {"a": "1"}, 1, "a")
    git(repo, "checkout", "-b", "side")
    commit(repo, {"b": "1"}, 2, "b")
    commit(repo, {"b": "2"}, 3, "B")
    git(repo, "checkout", "main")
    commit(repo, {"c": "1"}, 4, "c")
    git(repo, "merge", "--no-ff", "-m", "m", "side", day=5, author="a")
    assert {row["repo_authors"] for row in rows(GitSource(str(repo)))} == {3}
    git(repo.parent, "clone", "--depth=1", f"file://{repo}", "shallow")
    shallow = rows(GitSource(str(repo.parent / "shallow")))
    assert contents(shallow) == {"shallow/a": "1", "shallow/b": "2", "shallow/c": "1"}
    assert {row["repo_authors"] for row in shallow} == {1}


# Increments


def test_since_gives_what_differs_from_the_last_commit_before(tmp_path):
    repo = repository(tmp_path / "in/changed")
    commit(repo, {"same/a": "a", "touched/b": "b", "gone": "x", "back": "1", "kind": "file"}, 1)
    commit(repo, {"touched/b": "b2", "same/c": "c", "back": "2"}, 10)
    for name in ("gone", "kind"):
        (repo / name).unlink()
    commit(repo, {"new/d": "d", "back": "1", "kind/e": "e", "moved": "a"}, 20)
    commit(repository(tmp_path / "in/still"), {"a": "a"}, 5)
    commit(repository(tmp_path / "in/young"), {"a": "a"}, 15)

    def since(day: int) -> list[str]:
        return list(contents(rows(GitSource(f"{tmp_path}/in/*", since=date(2024, 1, day)))))

    assert since(21) == []
    assert since(20) == ["changed/back", "changed/kind/e", "changed/moved", "changed/new/d"]
    assert since(10) == [
        *("changed/kind/e", "changed/moved", "changed/new/d", "changed/same/c", "changed/touched/b"),
        "young/a",
    ]
    assert len(since(1)) == len(rows(GitSource(f"{tmp_path}/in/*"))) == 9
    git(tmp_path, "clone", "--depth=1", f"file://{repo}", "shallow")
    assert len(rows(GitSource(f"{tmp_path}/shallow", since=date(2024, 1, 20)))) == 7


@pytest.mark.slow
def test_a_run_since_a_day_keeps_only_what_changed(tmp_path):
    repo = repository(tmp_path / "in/repo")
    commit(repo, {"old.py": "print('old')\n"}, 1)
    last = commit(repo, {"new.py": "print('new')\n"}, 10)
    path = write(tmp_path / "recipe.yaml", f"sources:\n  - {{kind: git, uri: {tmp_path}/in/*}}\n")
    off = [f"{name}.enabled=false" for name in OFF]
    recipe = load_recipe(path, [*off, "languages.keep=all", "output.format=parquet", "engine.kind=inline"])
    for day, expected in ((date(2024, 1, 2), ["new.py"]), (date(2024, 2, 1), [])):
        store = Store(str(tmp_path / f"out-{day}"))
        assert run(recipe.increment(day), store)
        corpus = pq.read_table(store.path("corpus")).to_pylist()
        assert [row["path"] for row in corpus] == expected
        assert [(row["revision"], row["repo_authors"]) for row in corpus] == [(last, 1)] * len(expected)
    other = write(tmp_path / "other.yaml", "sources:\n  - kind: environment\n")
    with pytest.raises(RecipeError, match="no source of kind git"):
        load_recipe(other).increment(date(2024, 1, 2))


# Splits


def test_a_large_repository_is_dealt_out_and_small_ones_are_grouped(tmp_path):
    noise = hashlib.shake_128(b"noise").hexdigest(1 << 20)
    large = repository(tmp_path / "in/large")
    commit(large, {f"{i % 7}/{i}": noise[i * 3000 : (i + 1) * 3000] for i in range(340)} | {"odd": b"\xff"})
    git(large, "gc")
    for i in range(9):
        commit(repository(tmp_path / f"in/small{i:02}"), {"a": str(i)})
    source = GitSource(f"{tmp_path}/in/*")
    assert len(source.splits(HUGE)) == 1
    cut = source.splits(1 << 17)
    assert 4 <= len(cut) <= 12
    assert in_any_order(rows(source)) == in_any_order(rows(source, 1 << 17))
    counts = [sum(batch.num_rows for batch in split.read()) for split in GitSource(str(large)).splits(1 << 17)]
    assert sum(counts) == 341
    assert max(counts) < 2 * 341 / len(counts)


def test_a_new_commit_or_another_setting_changes_the_fingerprint(repo):
    commit(repo, {"a": "a"})

    def prints(*settings: object) -> list[str]:
        return [split.fingerprint for split in GitSource(str(repo), *settings).splits(HUGE)]  # type: ignore[arg-type]

    before = prints()
    assert before == prints()
    assert before != prints(None, date(2024, 1, 1))
    git(repo, "commit", "--allow-empty", "-m", "m")
    assert prints() != before


def test_a_repository_packed_while_it_is_read_is_read_on(repo):
    names = [f"{i:04}" for i in range(600)]
    commit(repo, {name: name for name in names})
    (split,) = GitSource(str(repo)).splits(HUGE)
    batches = split.read(Limits(batch_rows=50))
    read = next(batches).column("content").to_pylist()
    git(repo, "gc", "--prune=now")
    for batch in batches:
        read += batch.column("content").to_pylist()
    assert read == names


# Damage


def objects(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / ".git/objects").glob("??/*"))


def loose(folder: Path, id: str) -> Path:
    return folder / ".git/objects" / id[:2] / id[2:]


def test_a_damaged_or_missing_object_costs_no_more_than_it_names(repo):
    commit(repo, {"a": "a", "d/b": "b", "d/c": "c", "e/f/g": "g", "z": "z"})
    name = {path: git(repo, "rev-parse", f"HEAD:{path}") for path in ("a", "d", "d/b", "e/f", "e/f/g", "z")}
    loose(repo, name["a"]).unlink()
    loose(repo, name["e/f"]).unlink()
    other = loose(repo, name["d/b"])
    other.chmod(0o644)
    other.write_bytes(zlib.compress(b"blob 1\0?"))
    found = rows(GitSource(str(repo)))
    assert reasons(found) == {
        "a": "input.corrupt",
        "d/b": "input.corrupt",
        "d/c": None,
        "e/f": "input.corrupt",
        "z": None,
    }
    assert details(found)["e/f"] == f"{name['e/f']} is missing"
    assert details(found)["d/b"] == f"{name['d/b']} has other bytes than its id says"
    loose(repo, git(repo, "rev-parse", "HEAD^{tree}")).unlink()
    assert reasons(rows(GitSource(str(repo)))) == {"": "input.corrupt"}


def test_a_broken_history_leaves_the_files_and_no_count_of_authors(repo):
    first = commit(repo, {"a": "a"})
    commit(repo, {"b": "b"}, 2)
    loose(repo, first).unlink()
    found = rows(GitSource(str(repo)))
    assert [(row["content"], row["repo_authors"]) for row in found] == [("a", None), ("b", None)]
    increment = rows(GitSource(str(repo), since=date(2024, 1, 2)))
    assert [(row["path"], row["input_detail"]) for row in increment] == [("", f"{first} is missing")]


def test_nothing_outside_the_repository_is_read(repo, tmp_path):
    last = commit(repo, {"a": "a", "b": "b"})
    secret = write(tmp_path / "secret", last)
    git(repo, "replace", git(repo, "rev-parse", "HEAD:a"), git(repo, "rev-parse", "HEAD:b"))
    assert contents(rows(GitSource(str(repo)))) == {"repo/a": "a", "repo/b": "b"}
    blob = loose(repo, git(repo, "rev-parse", "HEAD:b"))
    blob.rename(tmp_path / "moved")
    blob.symlink_to(tmp_path / "moved")
    assert reasons(rows(GitSource(str(repo)))) == {"a": None, "b": "input.unreadable"}
    (repo / ".git/refs/heads/link").symlink_to(secret)
    with pytest.raises(SourceError, match="symbolic links"):
        GitSource(str(repo), "link").splits(HUGE)
    for text in (
        "ref: ../../secret",
        f"ref: {secret}",
        "ref: refs/../../../secret",
        "ref: refs/heads/../../../../secret",
    ):
        (repo / ".git/HEAD").write_text(text)
        for row in rows(GitSource(f"{tmp_path}/rep*")):
            assert row["input_reason"] in ("input.unreadable", "input.empty")
            assert row["revision"] is None
    (repo / ".git/HEAD").write_text("ref: HEAD")
    with pytest.raises(SourceError, match="no name of a reference"):
        GitSource(str(repo)).splits(HUGE)
    (repo / ".git/HEAD").write_text("ref: refs/heads/x")
    (repo / ".git/refs/heads/x").write_text("ref: refs/heads/x")
    with pytest.raises(SourceError, match="without end"):
        GitSource(str(repo)).splits(HUGE)
    (repo / ".git/objects").rename(tmp_path / "objects")
    (repo / ".git/objects").symlink_to(tmp_path / "objects")
    with pytest.raises(SourceError, match="no folder of objects"):
        GitSource(str(repo), "main").splits(HUGE)


def test_hostile_names_are_no_paths(repo):
    blob = raw(repo, "blob", b"x")
    inner = raw_tree(repo, ("100644", b"up", blob))
    head(
        repo,
        raw_tree(
            repo,
            ("40000", b"..", inner),
            ("100644", b"/etc/passwd", blob),
            ("100644", b"C:\\x", blob),
            ("100644", b"new\nline", blob),
            ("100644", b"n" * 5000, blob),
            ("170000", b"odd", blob),
            ("40000", b"file", blob),
            ("100644", b"tree", inner),
            ("100644", b"zzz", blob),
        ),
    )
    found = rows(GitSource(str(repo)))
    assert {path[:12]: reason for path, reason in reasons(found).items()} == {
        "../up": "input.unsafe_path",
        "/etc/passwd": "input.unsafe_path",
        "C:\\x": "input.unsafe_path",
        "new\\nline": None,
        "n" * 12: "input.unsafe_path",
        "odd": "input.not_regular",
        "file": "input.corrupt",
        "tree": "input.corrupt",
        "zzz": None,
    }


# Bombs


def test_trees_that_repeat_one_another_come_to_an_end(repo):
    tree = raw_tree(repo, ("100644", b"x", raw(repo, "blob", b"x")))
    for _ in range(12):
        tree = raw_tree(repo, *(("40000", b"%d" % i, tree) for i in range(10)))
    head(repo, tree)
    found = rows(GitSource(str(repo)))
    assert 1000 < len(found) < 50_000
    assert (found[-1]["path"], found[-1]["input_reason"]) == ("", "input.bomb")
    assert {row["input_reason"] for row in found[:-1]} == {None}


def test_deep_trees_come_to_an_end(repo):
    tree = raw_tree(repo, ("100644", b"x", raw(repo, "blob", b"x")))
    for _ in range(80):
        tree = raw_tree(repo, ("40000", b"n" * 250, tree))
    head(repo, tree)
    assert [row["input_reason"] for row in rows(GitSource(str(repo)))] == ["input.unsafe_path"]


def test_objects_that_inflate_without_end_fill_no_memory(repo):
    commit(repo, {"a": "a", "b": "b"})
    path = loose(repo, git(repo, "rev-parse", "HEAD:a"))
    path.chmod(0o644)
    rows(GitSource(str(repo)))
    for size in (1000, 64 << 20, 10**30):
        path.write_bytes(zlib.compress(b"blob %d\0" % size + bytes(64 << 20)))
        tracemalloc.start()
        found = rows(GitSource(str(repo)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert reasons(found)["a"] in ("input.corrupt", "input.too_large"), size
        assert reasons(found)["b"] is None
        assert peak < 8 << 20


def number(size: int) -> bytes:
    """A number as deltas write it: seven bits a byte, the lowest first."""
    out = b""
    while size > 0x7F:
        out, size = out + bytes([size & 0x7F | 0x80]), size >> 7
    return out + bytes([size])


def packed(kind: int, size: int, extra: bytes, data: bytes) -> bytes:
    """An object of a pack: its kind and size, the base of a delta, its data."""
    first, rest = size & 15, size >> 4
    head = bytes([kind << 4 | first | (0x80 if rest else 0)]) + (number(rest) if rest else b"")
    return head + extra + zlib.compress(data)


def pack(repo: Path, found: list[tuple[str, bytes]]) -> None:
    """Writes a pack and its index (version 1) as they stand."""
    body, places = b"PACK\0\0\0\2" + len(found).to_bytes(4, "big"), []
    for id, data in found:
        places.append((bytes.fromhex(id), len(body)))
        body += data
    places.sort()
    counts = [sum(id[0] <= first for id, _ in places) for first in range(256)]
    index = b"".join(count.to_bytes(4, "big") for count in counts)
    index += b"".join(at.to_bytes(4, "big") + id for id, at in places)
    end = hashlib.sha1(body).digest()
    write(repo / ".git/objects/pack/pack-x.pack", body + end)
    write(repo / ".git/objects/pack/pack-x.idx", index + end + hashlib.sha1(index + end).digest())


def test_deltas_are_bounded(repo):
    blob = {name: hashlib.sha1(name.encode()).hexdigest() for name in ("grows", "pair", "riap", "huge", "none")}
    grown = number(10) + number(1 << 40) + b"\x90\x0a"
    copy = number(10) + number(10) + b"\x90\x0a"
    back = bytes.fromhex
    pack(
        repo,
        [
            (blob["grows"], packed(7, len(grown), back(blob["none"]), grown)),
            (blob["pair"], packed(7, len(copy), back(blob["riap"]), copy)),
            (blob["riap"], packed(7, len(copy), back(blob["pair"]), copy)),
            (blob["huge"], packed(3, 1 << 40, b"", b"x")),
            (blob["none"], packed(6, len(copy), b"\x00", copy)),
        ],
    )
    head(repo, raw_tree(repo, *(("100644", name.encode(), id) for name, id in sorted(blob.items()) if name != "riap")))
    assert reasons(rows(GitSource(str(repo)))) == {
        "grows": "input.too_large",
        "huge": "input.too_large",
        "none": "input.corrupt",
        "pair": "input.corrupt",
    }


# Fuzz


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    """A repository with every kind of object and reference, half of it packed with deltas."""
    repo = repository(tmp_path_factory.mktemp("fuzz") / "whole")
    for day in range(1, 5):
        commit(repo, {"a.py": TEXT + f"{day}\n" * day, f"d/{day}": str(day), "d/e/f": TEXT[day:]}, day, f"{day}")
    git(repo, "tag", "-a", "v1", "-m", "m")
    git(repo, "gc", "--prune=now")
    commit(repo, {"late": "late", "d/1": "1!"}, 6)
    shutil.rmtree(repo / ".git/hooks")
    for path in (repo / ".git").rglob("*"):
        path.chmod(0o755)
    return repo


@settings(deadline=None, max_examples=120)
@given(data=st.data())
def test_mutated_repositories_always_give_rows(whole, data):
    kept = [path for path in (whole / ".git").rglob("*") if path.is_file()]
    names = sorted(
        path for path in kept if {"objects", "refs"} & set(path.parts) or path.name in ("HEAD", "packed-refs")
    )
    packs = [path for path in names if path.parent.name == "pack"]
    chosen = data.draw(st.lists(st.sampled_from(names + packs * 5), min_size=1, max_size=3, unique=True))
    before = {path: path.read_bytes() for path in chosen}
    source = GitSource(
        f"{whole.parent}/whol?",
        data.draw(st.sampled_from([None, None, None, "v1"])),
        data.draw(st.sampled_from([None, None, date(2024, 1, 3)])),
    )
    limits = Limits(max_file_bytes=20_000)
    try:
        after = {path: data.draw(mutated([held])) for path, held in before.items()}
        for path, held in after.items():
            path.write_bytes(held)
        found = check_rows(source, limits)
        assert 1 <= len(found) <= 40 or source.since
        assert in_any_order(rows(source, 1000, limits)) == in_any_order(found)
        assert {path: path.read_bytes() for path in chosen} == after
        assert sorted(path for path in (whole / ".git").rglob("*") if path.is_file()) == sorted(kept)
    finally:
        for path, held in before.items():
            path.write_bytes(held)
