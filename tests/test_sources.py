"""What each source gives: a row per file, whatever the splits, in an order that names decide."""

import gzip
import hashlib
import io
import json
import os
import pickle
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import Interrupted, Limits, Source, SourceError, Split
from pipeline.sources.archive import ArchiveSource
from pipeline.sources.directory import DirectorySource
from pipeline.sources.environment import EnvironmentSource
from pipeline.sources.files import find_files
from pipeline.sources.jsonl import JsonlSource
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.streams import Stream
from pipeline.sources.tables import Columns
from pipeline.sources.tar import members
from schemas.datasets import SOURCE_ROW

HUGE = 1 << 40


def rows(source: Source, target: int = HUGE, limits: Limits = Limits()) -> list[dict]:  # noqa: B008
    """All rows of a source, after the splits have travelled as they would to a worker."""
    splits: list[Split] = pickle.loads(pickle.dumps(source.splits(target)))
    found = []
    for split in splits:
        for batch in split.read(limits):
            assert batch.schema.equals(SOURCE_ROW, check_metadata=True)
            batch.validate(full=True)
            assert batch.num_rows <= limits.batch_rows
            found += batch.to_pylist()
    return found


def in_any_order(found: list[dict]) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True, default=str) for row in found)


def contents(found: list[dict]) -> dict[str, str]:
    return {f"{row['repo']}/{row['path']}": row["content"] for row in found}


def tar_bytes(files: dict[str, bytes], mode: str = "w", format: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode, format=format) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def zip_bytes(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def zstd_bytes(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


PROJECT = {
    "top/src/main.py": b"print('hi')\n",
    "top/LICENSE": b"MIT License\n",
    "top/café.md": b"caf\xc3\xa9\n",
}
STRIPPED = {"src/main.py": "print('hi')\n", "LICENSE": "MIT License\n", "café.md": "café\n"}


# Archives


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("p.tar", tar_bytes(PROJECT)),
        ("p.tar.gz", tar_bytes(PROJECT, "w:gz")),
        ("p.tgz", tar_bytes(PROJECT, "w:gz")),
        ("p.crate", tar_bytes(PROJECT, "w:gz")),
        ("p.tar.bz2", tar_bytes(PROJECT, "w:bz2")),
        ("p.tar.xz", tar_bytes(PROJECT, "w:xz")),
        ("p.tar.zst", zstd_bytes(tar_bytes(PROJECT))),
        ("p.zip", zip_bytes(PROJECT)),
        ("p.whl", zip_bytes(PROJECT)),
        ("p.tar", tar_bytes(PROJECT, format=tarfile.GNU_FORMAT)),
        ("p.tar", tar_bytes(PROJECT, "w:gz")),  # its bytes tell what it is, not its name
    ],
)
def test_an_archive_is_one_repository_without_its_top_folder(tmp_path, name, data):
    found = rows(ArchiveSource(str(write(tmp_path / name, data))))
    assert {row["path"]: row["content"] for row in found} == STRIPPED
    assert {row["repo"] for row in found} == {"p"}
    assert [row["input_reason"] for row in found] == [None, None, None]


def test_repositories_are_named_by_their_path_below_the_fixed_part(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "dumps/psf/requests.tar.gz", tar_bytes(PROJECT, "w:gz"))
    write(tmp_path / "dumps/a.b/c/tool-1.2.tar.gz", tar_bytes(PROJECT, "w:gz"))
    write(tmp_path / "dumps/top.tar.gz", tar_bytes(PROJECT, "w:gz"))
    write(tmp_path / "dumps/.hidden/no.tar.gz", tar_bytes(PROJECT, "w:gz"))
    write(tmp_path / "dumps/README", "no archive")

    def named(uri: str) -> set[tuple[str, str]]:
        return {(row["repo"], row["source"]) for row in rows(ArchiveSource(uri))}

    assert named("dumps/**/*.tar.gz") == {
        ("psf/requests", "archive:dumps/psf/requests.tar.gz"),
        ("a.b/c/tool-1.2", "archive:dumps/a.b/c/tool-1.2.tar.gz"),
        ("top", "archive:dumps/top.tar.gz"),
    }
    assert named("dumps/*/*.tar.gz") == {("psf/requests", "archive:dumps/psf/requests.tar.gz")}
    assert named("dumps/psf/requests.tar.gz") == {("requests", "archive:dumps/psf/requests.tar.gz")}
    assert named("d*/top.t?r.gz") == {("dumps/top", "archive:dumps/top.tar.gz")}
    assert named(f"{tmp_path}/dumps/[t]*.tar.gz") == {("top", f"archive:{tmp_path}/dumps/top.tar.gz")}


def test_only_a_top_folder_that_all_files_share_is_left_off(tmp_path):
    def paths(files: dict[str, bytes], pack=zip_bytes) -> list[str]:
        return [row["path"] for row in rows(ArchiveSource(str(write(tmp_path / "p", pack(files)))))]

    for pack in (zip_bytes, tar_bytes):
        assert paths({"a/x": b"1", "a/b/y": b"2"}, pack) == ["x", "b/y"]
        assert paths({"a/x": b"1", "b/y": b"2"}, pack) == ["a/x", "b/y"]
        assert paths({"a/x": b"1", "README": b"2"}, pack) == ["a/x", "README"]
        assert paths({"README": b"2"}, pack) == ["README"]
        assert paths({"./a/x": b"1", "a//y": b"2"}, pack) == ["x", "y"]
        assert paths({"a/x": b"1", "ab/y": b"2"}, pack) == ["a/x", "ab/y"]


def test_a_git_archive_tells_its_commit_and_its_header_is_no_file(tmp_path):
    buffer = io.BytesIO()
    commit = "0123456789abcdef0123456789abcdef01234567"
    with tarfile.open(fileobj=buffer, mode="w:gz", pax_headers={"comment": commit}) as archive:
        folder = tarfile.TarInfo("repo-0123/")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        archive.addfile(tarfile.TarInfo("repo-0123/a.py"), io.BytesIO(b""))
    found = rows(ArchiveSource(str(write(tmp_path / "repo.tar.gz", buffer.getvalue()))))
    assert [(row["path"], row["revision"], row["input_reason"]) for row in found] == [("a.py", commit, "input.empty")]


def test_the_same_rows_whatever_the_splits(tmp_path):
    text = b"".join(hashlib.sha256(b"%d" % i).hexdigest().encode() + b"\n" for i in range(2000))
    files = {f"top/{i:03}.py": text[i * 7 : i * 100 + 50] for i in range(250)}
    for name, data in [
        ("big.tar.gz", tar_bytes(files, "w:gz")),
        ("big.tar", tar_bytes(files)),
        ("big.zip", zip_bytes(files)),
        ("small.zip", zip_bytes(PROJECT)),
        ("cut.tar.gz", tar_bytes(files, "w:gz")[:-20_000]),
        ("empty.tar.gz", tar_bytes({}, "w:gz")),
    ]:
        write(tmp_path / "archives" / name, data)
    for i, data in enumerate(files.values()):
        write(tmp_path / f"folders/{i % 3}/{i % 7}/{i}.py", data)
    for uri in ("archives/*", "folders/*"):
        kind = ArchiveSource if uri.startswith("archives") else DirectorySource
        whole, cut = kind(str(tmp_path / uri)), kind(str(tmp_path / uri))
        assert len(whole.splits(HUGE)) == 1
        assert len(cut.splits(1 << 18)) > 5
        assert in_any_order(rows(whole)) == in_any_order(rows(cut, 1 << 18)) == in_any_order(rows(cut, 1 << 16))


def test_a_large_archive_is_dealt_out_evenly(tmp_path):
    noise = hashlib.shake_128(b"noise").hexdigest(1 << 22).encode()
    files = {f"{i:04}.txt": noise[i * 8192 : (i + 1) * 8192] for i in range(1024)}
    for name, data in [
        ("p.tar", tar_bytes(files)),
        ("p.tar.gz", tar_bytes(files, "w:gz")),
        ("p.zip", zip_bytes(files)),
    ]:
        splits = ArchiveSource(str(write(tmp_path / name, data))).splits(4 << 20)
        counts = [sum(batch.num_rows for batch in split.read()) for split in splits]
        assert sum(counts) == 1024
        assert len(counts) >= 3
        assert max(counts) < 2 * 1024 / len(counts), (name, counts)


def test_a_tar_that_each_split_decompresses_anew_is_cut_the_less_the_slower_that_is(tmp_path):
    for name, most in (("p.tar", 16), ("p.tar.gz", 16), ("p.tar.zst", 16), ("p.tar.xz", 4), ("p.tar.bz2", 4)):
        with open(tmp_path / name, "wb") as file:
            file.truncate(1 << 32)
        splits = ArchiveSource(str(tmp_path / name)).splits(256 << 20)
        assert len(splits) == most
        assert min(split.size for split in splits) >= 256 << 20


def test_splits_do_not_depend_on_the_order_in_which_the_file_system_lists(tmp_path, monkeypatch):
    for name in ("b", "a", "c/d", "c/e"):
        write(tmp_path / f"x/{name}.zip", zip_bytes({f"{name}.py": name.encode()}))
    expected_archives = rows(ArchiveSource(str(tmp_path / "x/**/*.zip")))
    expected_folder = rows(DirectorySource(str(tmp_path / "x")))
    expected_splits = [split.fingerprint for split in DirectorySource(str(tmp_path / "x")).splits(1)]
    scandir, listdir = os.scandir, os.listdir
    monkeypatch.setattr(os, "scandir", lambda path: iter(sorted(scandir(path), key=lambda e: e.name, reverse=True)))
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listdir(path), reverse=True))
    assert rows(ArchiveSource(str(tmp_path / "x/**/*.zip"))) == expected_archives
    assert rows(DirectorySource(str(tmp_path / "x"))) == expected_folder
    assert [split.fingerprint for split in DirectorySource(str(tmp_path / "x")).splits(1)] == expected_splits


def test_a_changed_source_has_another_fingerprint(tmp_path):
    path = write(tmp_path / "x/a.zip", zip_bytes(PROJECT))
    jsonl = write(tmp_path / "x/a.jsonl", '{"content": "a"}\n')
    sources = [ArchiveSource(str(path)), DirectorySource(str(tmp_path / "x")), JsonlSource(str(jsonl))]
    before = [source.splits(HUGE)[0].fingerprint for source in sources]
    assert before == [source.splits(HUGE)[0].fingerprint for source in sources]
    os.utime(path, ns=(1, 1))
    os.utime(jsonl, ns=(1, 1))
    after = [source.splits(HUGE)[0].fingerprint for source in sources]
    assert not set(before) & set(after)


def test_splits_stay_small_on_the_wire(tmp_path):
    for i in range(3000):
        write(tmp_path / f"x/{i % 10}/{i}.py", "1")
    assert len(pickle.dumps(DirectorySource(str(tmp_path / "x")).splits(HUGE))) < 2000


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=200),
            st.binary(max_size=2000),
        ),
        max_size=8,
    ),
    st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]),
    st.integers(1, 5000),
)
def test_tar_members_are_those_that_tarfile_finds(files, format, chunk):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=format) as archive:
        for name, data in files:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            try:
                archive.addfile(info, io.BytesIO(data))
            except ValueError:  # a name that ustar cannot hold
                continue
    data = buffer.getvalue()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        expected = [
            (info.name.rstrip("/"), b"" if info.isdir() else archive.extractfile(info).read())  # type: ignore[union-attr]
            for info in archive
        ]
    stream = Stream(data[i : i + chunk] for i in range(0, len(data), chunk))
    found = [(member.name.decode().rstrip("/"), stream.read(member.size)) for member in members(stream)]
    assert found == expected


# Folders


def test_folders_matched_by_a_pattern_are_repositories(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "projects/one/a.py", "a")
    write(tmp_path / "projects/one/.git/config", "no content")
    write(tmp_path / "projects/one/sub/.git", "gitdir: elsewhere")
    write(tmp_path / "projects/one/.github/ci.yml", "on: push")
    write(tmp_path / "projects/two/b.py", "b")
    write(tmp_path / "projects/file", "no folder")
    (tmp_path / "projects/three").mkdir()
    found = rows(DirectorySource("projects/*"))
    assert contents(found) == {
        "one/.github/ci.yml": "on: push",
        "one/a.py": "a",
        "two/b.py": "b",
        "three/": None,
    }
    assert {row["source"] for row in found if row["repo"] == "one"} == {"directory:projects/one"}
    assert [row["input_reason"] for row in found if row["repo"] == "three"] == ["input.empty"]
    assert contents(rows(DirectorySource("projects/one/"))) == {
        "one/.github/ci.yml": "on: push",
        "one/a.py": "a",
    }


def test_a_folder_within_a_matched_folder_is_part_of_it(tmp_path):
    write(tmp_path / "a/b/c.py", "c")
    write(tmp_path / "a-b/d.py", "d")
    assert contents(rows(DirectorySource(f"{tmp_path}/**"))) == {"a/b/c.py": "c", "a-b/d.py": "d"}


# The environment


def distribution(site: Path, name: str, files: dict[str, str], **extra: str) -> None:
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    files = {**files, f"{info}/METADATA": f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n", **extra}
    record = "".join(f"{path},,\n" for path in (*files, f"{info}/RECORD"))
    for path, text in {**files, f"{info}/RECORD": record}.items():
        write(site / path, text)


def test_each_distribution_is_a_repository(tmp_path):
    site = tmp_path / "site-packages"
    distribution(site, "Some.Tool", {"tool/a.py": "a", "tool/__pycache__/a.pyc": "no", "../../bin/tool": "no"})
    distribution(site, "another", {"tool/a.py": "a", "licenses/MIT": "MIT"})
    write(site / "stray.py", "of no distribution")
    (site / "another-1.0.dist-info/METADATA").write_text("Name: another\nVersion: 1.0\nLicense-Expression: MIT\n")
    editable = {"edited-1.0.dist-info/direct_url.json": '{"url": "file:///x", "dir_info": {"editable": true}}'}
    distribution(site, "edited", {"edited.pth": "/x"}, **editable)
    write(site / "old-2.0.egg-info/PKG-INFO", "Name: old\nVersion: 2.0\n")
    write(site / "old-2.0.egg-info/top_level.txt", "old\n")
    write(site / "old/core.py", "old")
    found = rows(EnvironmentSource((str(site),), standard_library=False))
    assert {f"{row['repo']}/{row['path']}" for row in found} == {
        "another/tool/a.py",
        "another/licenses/MIT",
        "another/another-1.0.dist-info/METADATA",
        "another/another-1.0.dist-info/RECORD",
        "some-tool/Some.Tool-1.0.dist-info/METADATA",
        "some-tool/Some.Tool-1.0.dist-info/RECORD",
        "old/old-2.0.egg-info/PKG-INFO",
        "old/old-2.0.egg-info/top_level.txt",
        "old/old/core.py",
    }
    told = {row["repo"]: (row["source"], row["revision"], row["claimed_license"]) for row in found}
    assert told["another"] == ("environment:another", "1.0", "MIT")
    assert told["some-tool"] == ("environment:some-tool", "1.0", None)
    cut = rows(EnvironmentSource((str(site),), standard_library=False), 600)
    assert in_any_order(cut) == in_any_order(found)


def test_the_standard_library_is_the_repository_python():
    splits = EnvironmentSource().splits(64 << 20)
    assert max(split.size for split in splits) <= 65 << 20
    last = pa.Table.from_batches(splits[-1].read())
    python = last.filter(pa.compute.equal(last["repo"], "python"))
    paths = python["path"].to_pylist()
    assert len(paths) > 500
    assert not [path for path in paths if "site-packages" in path or "__pycache__" in path]
    assert set(python["revision"].to_pylist()) == {".".join(map(str, sys.version_info[:3]))}


def application(site: Path, further: tuple[str, ...] = ()) -> None:
    """An application, what it requires, and what else is installed beside it."""
    needs = {
        "app": ["Web_Kit[http2]>=1", "gone; python_version < '3'", "extra-tool; extra == 'tools'"],
        "web-kit": ["app", "frames (>=2); extra == 'http2'", "templates; extra == 'pages'"],
        "frames": [],
        **{name: [] for name in ("templates", "extra-tool", "gone", *further)},
    }
    for name, requirements in needs.items():
        module = name.replace("-", "_")
        told = "".join(f"Requires-Dist: {line}\n" for line in requirements)
        metadata = f"Metadata-Version: 2.4\nName: {name}\nVersion: 1.0\n{told}"
        extra = {f"{module}-1.0.dist-info/METADATA": metadata}
        distribution(site, name, {f"{module}/a.py": f"from {module} import b", f"{module}/b.py": "b = 1"}, **extra)


def test_packages_are_those_named_and_what_they_require(tmp_path):
    application(tmp_path / "one")
    application(tmp_path / "two", ("another", "a-tool-of-developers"))
    one, two, every = (
        rows(EnvironmentSource((str(tmp_path / site),), standard_library=False, packages=packages))
        for site, packages in (("one", ("App",)), ("two", ("App",)), ("one", None))
    )
    assert {row["repo"] for row in one} == {"app", "web-kit", "frames"}
    assert contents(one) == contents(two)
    assert {row["repo"] for row in every} == {"app", "web-kit", "frames", "templates", "extra-tool", "gone"}
    alone = rows(EnvironmentSource((str(tmp_path / "one"),), standard_library=False, packages=("frames",)))
    assert {row["repo"] for row in alone} == {"frames"}


def test_an_editable_application_is_no_row_and_what_it_requires_is(tmp_path):
    application(tmp_path)
    editable = '{"url": "file:///x", "dir_info": {"editable": true}}'
    write(tmp_path / "app-1.0.dist-info/direct_url.json", editable)
    found = rows(EnvironmentSource((str(tmp_path),), standard_library=False, packages=("app",)))
    assert {row["repo"] for row in found} == {"web-kit", "frames"}


@pytest.mark.parametrize("target", [600, 1 << 20])
def test_a_package_that_is_left_out_is_one_row(tmp_path, target):
    application(tmp_path)
    leave_out = {"Web.Kit": "too large to show", "python": "well known"}
    source = EnvironmentSource((str(tmp_path),), packages=("app",), leave_out=leave_out)
    found = rows(source, target)
    told = {row["repo"]: row for row in found if row["input_reason"] == "input.left_out"}
    assert {row["repo"] for row in found} == {"app", "web-kit", "frames", "python"}
    assert sorted(told) == ["python", "web-kit"]
    left = [path for path in tmp_path.rglob("*") if "web_kit" in str(path) and path.is_file()]
    assert told["web-kit"]["input_detail"] == f"{len(left)} files: too large to show"
    assert told["web-kit"]["size"] == sum(path.stat().st_size for path in left)
    assert told["web-kit"]["content"] is None
    assert [row["repo"] for row in found].count("web-kit") == 1
    assert re.fullmatch(r"\d{1,2},?\d{3} files: well known", told["python"]["input_detail"])
    before = [split.fingerprint for split in source.splits(target)]
    write(tmp_path / "web_kit/a.py", "longer than it was before")
    assert [split.fingerprint for split in source.splits(target)] != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"packages": ("web-kitt",)}, "packages: web-kitt is no package .*; did you mean web-kit?"),
        ({"packages": ("zzz",)}, "packages: zzz is no package .*; install it, or take the name out"),
        ({"packages": ("frames",), "leave_out": {"web-kit": "x"}}, "leave_out: web-kit is no package"),
        ({"leave_out": {"pyhton": "x"}}, "leave_out: pyhton .*; did you mean python?"),
    ],
)
def test_a_package_of_no_such_name_is_refused(tmp_path, settings, message):
    application(tmp_path)
    with pytest.raises(SourceError, match=message):
        EnvironmentSource((str(tmp_path),), **settings).splits(1 << 20)


def test_a_requirement_that_is_none_is_told(tmp_path):
    metadata = "Metadata-Version: 2.4\nName: odd\nVersion: 1.0\nRequires-Dist: a b c\n"
    distribution(tmp_path, "odd", {}, **{"odd-1.0.dist-info/METADATA": metadata})
    assert rows(EnvironmentSource((str(tmp_path),), standard_library=False))
    with pytest.raises(SourceError, match="odd requires 'a b c', which is no requirement"):
        EnvironmentSource((str(tmp_path),), packages=("odd",)).splits(1 << 20)


# Tables

TABLE = [
    {
        "max_stars_repo_name": "o/r",
        "max_stars_repo_path": "a.py",
        "content": "a = 1\n",
        "max_stars_repo_licenses": ["MIT", "ISC"],
    },
    {
        "max_stars_repo_name": "o/r",
        "max_stars_repo_path": "b.py",
        "content": "é\n" * 100,
        "max_stars_repo_licenses": [],
    },
    {
        "max_stars_repo_name": None,
        "max_stars_repo_path": None,
        "content": None,
        "max_stars_repo_licenses": None,
    },
]


def table_files(folder: Path) -> dict[str, Source]:
    lines = "".join(json.dumps(row) + "\n" for row in TABLE)
    pq.write_table(pa.Table.from_pylist(TABLE), folder / "t.parquet", row_group_size=1)
    write(folder / "t.jsonl", lines)
    write(folder / "t.jsonl.gz", gzip.compress(lines.encode()))
    write(folder / "t.jsonl.zst", zstd_bytes(lines.encode()))
    sources: dict[str, Source] = {"R": ParquetSource(str(folder / "t.parquet"))}
    return sources | {f"L {name}": JsonlSource(str(folder / name)) for name in ("t.jsonl", "t.jsonl.gz", "t.jsonl.zst")}


def test_tables_give_a_row_per_row(tmp_path):
    for name, source in table_files(tmp_path).items():
        found = rows(source)
        assert [row["content"] for row in found] == [row["content"] for row in TABLE]
        assert [row["repo"] for row in found] == ["o/r", "o/r", "t"]
        assert [row["claimed_license"] for row in found] == ["MIT AND ISC", None, None]
        assert [row["input_reason"] for row in found] == [None, None, "input.no_content"]
        assert found[2]["path"] == f"{source.uri.rsplit('/', 1)[-1]}#{name[0]}3"  # type: ignore[attr-defined]
        assert rows(source, 1) == found


LAYOUTS = {
    "the-stack": {
        "hexsha": "5e7a",
        "size": 6,
        "ext": "py",
        "lang": "Python",
        "max_stars_repo_path": "a/b.py",
        "max_stars_repo_name": "o/r",
        "max_stars_repo_head_hexsha": "c0ffee",
        "max_stars_repo_licenses": ["MIT", "GPL-2.0-only"],
        "max_stars_count": 3,
        "content": "x = 1\n",
    },
    "github-code": {
        "code": "x = 1\n",
        "repo_name": "o/r",
        "path": "a/b.py",
        "language": "Python",
        "license": "mit",
        "size": 6,
    },
    "starcoderdata": {
        "max_stars_repo_path": "a/b.py",
        "max_stars_repo_name": "o/r",
        "max_stars_count": 3,
        "id": "7",
        "content": "x = 1\n",
    },
}


@pytest.mark.parametrize(
    ("layout", "revision", "license"),
    [("the-stack", "c0ffee", "MIT AND GPL-2.0-only"), ("github-code", None, "mit"), ("starcoderdata", None, None)],
)
def test_known_corpora_need_no_names_of_columns(tmp_path, layout, revision, license):
    pq.write_table(pa.Table.from_pylist([LAYOUTS[layout]]), tmp_path / "t.parquet")
    write(tmp_path / "t.jsonl", json.dumps(LAYOUTS[layout]))
    for source in (ParquetSource(str(tmp_path / "t.parquet")), JsonlSource(str(tmp_path / "t.jsonl"))):
        [row] = rows(source)
        assert (row["repo"], row["path"], row["content"]) == ("o/r", "a/b.py", "x = 1\n")
        assert (row["revision"], row["claimed_license"]) == (revision, license)


def test_a_corpus_of_blob_ids_is_refused(tmp_path):
    row = {"blob_id": "5e7a", "path": "/a/b.py", "repo_name": "o/r", "detected_licenses": ["MIT"], "length_bytes": 6}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="names blobs"):
        ParquetSource(str(tmp_path / "t.parquet")).splits(1 << 20)


def test_columns_by_other_names(tmp_path):
    write(tmp_path / "t.jsonl", '{"body": "x", "project": 7}\n\n{"body": "y", "project": 8}')
    columns = Columns(content="body", repo="project")
    assert contents(rows(JsonlSource(str(tmp_path / "t.jsonl"), columns))) == {
        "7/t.jsonl#L1": "x",
        "8/t.jsonl#L3": "y",
    }
    for uri, source in {"t.jsonl": JsonlSource, "t.parquet": ParquetSource}.items():
        pq.write_table(pa.table({"body": ["x"]}), tmp_path / "t.parquet")
        with pytest.raises(SourceError, match=rf"{uri}: no column of text .*it has body.*columns:"):
            source(str(tmp_path / uri)).splits(HUGE)
        with pytest.raises(SourceError, match="no column txt"):
            source(str(tmp_path / uri), Columns(content="txt")).splits(HUGE)
    pq.write_table(pa.table({"content": [1]}), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="holds int64, not text"):
        ParquetSource(str(tmp_path / "t.parquet")).splits(HUGE)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.sampled_from([b'{"content": "a"}', b"", b"  ", b"{", b'{"content": "' + b"b" * 300 + b'"}']),
        max_size=12,
    ),
    st.booleans(),
)
def test_json_lines_cut_anywhere_give_the_same_rows(tmp_path_factory, lines, newline):
    path = tmp_path_factory.mktemp("jsonl") / "t.jsonl"
    path.write_bytes(b"\n".join(lines) + b"\n" * newline)
    source = JsonlSource(str(path))
    whole = rows(source)
    assert [row["path"] for row in whole if row["size"] != 0] == [
        f"t.jsonl#L{number}" for number, line in enumerate(lines, 1) if line.strip()
    ]
    for target in (1, 7, 20, 100):
        assert rows(source, target) == whole


# The bytes of a file


def test_content_id_is_the_git_blob_id(tmp_path):
    write(tmp_path / "p/hello", "hello world\n")
    assert rows(DirectorySource(str(tmp_path / "p")))[0]["content_id"] == "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"


def test_batches_are_bounded(tmp_path):
    for i in range(40):
        write(tmp_path / f"p/{i:02}", "x" * 100 * i)
    limits = Limits(batch_bytes=5000, batch_rows=7)
    batches = list(DirectorySource(str(tmp_path / "p")).splits(HUGE)[0].read(limits))
    assert sum(batch.num_rows for batch in batches) == 40
    assert max(batch.num_rows for batch in batches) <= 7
    assert max(sum(filter(None, batch["size"].to_pylist())) for batch in batches) <= 5000


# Recipes' mistakes, other file systems


@pytest.mark.parametrize("kind", [ArchiveSource, DirectorySource, JsonlSource, ParquetSource])
@pytest.mark.parametrize("uri", ["nowhere", "nowhere/*.zip", "here/*.nothing", "here/**/nothing", ""])
def test_a_uri_that_matches_nothing_is_told_in_one_line(tmp_path, monkeypatch, kind, uri):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "here/file", "x")
    with pytest.raises(SourceError) as raised:
        kind(uri).splits(HUGE)
    assert uri in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_are_found_by_address_too(tmp_path):
    """file:// takes the way that gs:// and s3:// take."""
    write(tmp_path / "dumps/psf/requests.zip", zip_bytes(PROJECT))
    write(tmp_path / "dumps/x.tar.gz", tar_bytes(PROJECT, "w:gz"))
    pq.write_table(pa.table({"content": ["x"]}), tmp_path / "t.parquet")
    found = rows(ArchiveSource(f"file://{tmp_path}/dumps/**/*"))
    assert {(row["repo"], row["source"]) for row in found} == {
        ("psf/requests", f"archive:file://{tmp_path}/dumps/psf/requests.zip"),
        ("x", f"archive:file://{tmp_path}/dumps/x.tar.gz"),
    }
    assert len(rows(ArchiveSource(f"file://{tmp_path}/dumps/x.tar.gz"))) == 3
    assert contents(rows(ParquetSource(f"file://{tmp_path}/*.parquet"))) == {"t/t.parquet#R1": "x"}
    with pytest.raises(SourceError, match="does not exist"):
        find_files(f"file://{tmp_path}/nowhere/*.zip")
    with pytest.raises(SourceError, match="unlikely-scheme"):
        find_files("unlikely-scheme://login:secret@host/x")


def test_a_remote_file_that_fails_is_no_corrupt_file(tmp_path):
    path = write(tmp_path / "x.zip", zip_bytes(PROJECT))
    splits = ArchiveSource(f"file://{path}").splits(HUGE)
    path.unlink()
    with pytest.raises(Interrupted):
        list(splits[0].read())


def test_secrets_of_an_address_are_not_shown(tmp_path):
    with pytest.raises(SourceError) as raised:
        find_files("s3://key:secret@bucket/x?scheme=http&endpoint_override=127.0.0.1:1&retries=no")
    assert "secret" not in str(raised.value)
    assert "endpoint" not in str(raised.value)
