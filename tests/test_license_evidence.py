"""A licence that nobody could read is not absent: unread licence files and manifests, from every kind of source."""

import gzip
import hashlib
import io
import json
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.command_line import curated, ledger, named
from tests.corpora import MIT, license_text

GPL = """\
Copyright (c) 2020 Jürgen Muster

This program is free software: you can redistribute it and/or modify
it under the terms of the GNU General Public License as published by
the Free Software Foundation, either version 3 of the License, or
(at your option) any later version.
"""
GPL_3, UNKNOWN = "GPL-3.0-or-later", "LicenseRef-scancode-unknown"
NOBODYS = "You may look at this. For all else ask its owner, who may say no. Grüße.\n"
PACKAGE = '{"name": "x", "license": "GPL-3.0-or-later", "author": "Jürgen Muster"}\n'
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab12' * 16}\nsize 12345\n"
NUL_IN_IT = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 8
BLOCKS = {"license": {"enabled": True, "keep": ["permissive"]}}


def code(number: int) -> str:
    return f"def scaled_{number}(value, offset):\n    return value * {number} + offset\n"


class Part(NamedTuple):
    """A folder of an MIT repository, with what speaks for it."""

    files: Mapping[str, str | bytes]
    license: str | None
    """Of the code beside these files."""


UNREAD = {
    "latin1": Part({"COPYING": GPL.encode("latin-1")}, GPL_3),
    "cp1252": Part({"LICENSE.txt": GPL.replace("(at", "\u2013 (at").encode("cp1252")}, GPL_3),
    "cp437": Part({"LICENCE.md": GPL.encode("cp437")}, GPL_3),
    "utf16": Part({"COPYING": GPL.encode("utf-16")}, GPL_3),
    "utf16-le": Part({"LICENSE": GPL.encode("utf-16-le")}, GPL_3),
    "utf16-be": Part({"COPYING.txt": GPL.encode("utf-16-be")}, GPL_3),
    "utf32": Part({"COPYING": GPL.encode("utf-32")}, GPL_3),
    "nul": Part({"COPYING": GPL.encode().replace(b"\n\n", b"\n\0\n")}, GPL_3),
    "nobodys-words": Part({"LICENSE": NOBODYS.encode("latin-1")}, UNKNOWN),
    "binary": Part({"COPYING": NUL_IN_IT}, UNKNOWN),
    "pdf": Part({"EULA.pdf": NUL_IN_IT}, UNKNOWN),
    "pdf-with-control-characters": Part({"LICENSE.pdf": b"%PDF-1.4\n\x01stream\x02"}, UNKNOWN),
    "named-after-a-licence": Part({"gpl-3.0.txt": license_text("gpl-3.0")}, "GPL-3.0-only"),
    "no-terms": Part({"LICENSE.md": "# License\n\nTBD\n"}, UNKNOWN),
    "short-refusal": Part(
        {"EULA.md": "End user licence. You may not copy this. See EULA.md. Confidential.\n"}, UNKNOWN
    ),
    "pointer": Part({"LICENSE": "See the file LICENSE in the folder above.\n"}, "MIT"),
    "pointer-as-path": Part({"LICENSE": "../LICENSE"}, "MIT"),
    "picture": Part({"license.png": NUL_IN_IT}, "MIT"),
    "other-binary": Part({"data.bin": NUL_IN_IT}, "MIT"),
    "empty": Part({"LICENSE": ""}, "MIT"),
    "lfs": Part({"LICENSE": POINTER}, UNKNOWN),
    "too-large": Part({"COPYING": license_text("gpl-3.0")}, "GPL-3.0-only"),
    "far-too-large": Part({"COPYING": GPL + "\n" * (1 << 20)}, UNKNOWN),
    "manifest-latin1": Part({"package.json": PACKAGE.encode("latin-1")}, GPL_3),
    "manifest-utf16": Part({"package.json": PACKAGE.encode("utf-16")}, GPL_3),
    "manifest-marked": Part({"package.json": b"\xef\xbb\xbf" + PACKAGE.encode()}, GPL_3),
    "manifest-broken": Part({"package.json": '{"name": "x", "license": "GPL-3.0-or-later",}'}, GPL_3),
    "by-path-broken": Part(
        {"REUSE.toml": '[[annotations]\npath = "*"\nSPDX-License-Identifier = [\n "MIT",\n "GPL-3.0-or-later"]\n'},
        "GPL-3.0-or-later AND MIT",
    ),
    "by-path-marked": Part(
        {"REUSE.toml": '\ufeff[[annotations]]\npath = "*"\nSPDX-License-Identifier = "MPL-2.0"\n'}, "MPL-2.0"
    ),
    "manifest-binary": Part({"Cargo.toml": NUL_IN_IT}, UNKNOWN),
    "manifest-silent": Part({"package.json": '{"name": "ü"}\n'.encode("latin-1")}, "MIT"),
    "reuse-folder": Part({"LICENSES/GPL-3.0-or-later.txt": GPL.encode("latin-1")}, GPL_3),
    "sidecar": Part(
        {"b.py.license": b"SPDX-FileCopyrightText: 2020 J\xfcrgen Muster\nSPDX-License-Identifier: MPL-2.0\n"},
        "MPL-2.0",
    ),
    "sidecar-binary": Part({"b.py.license": NUL_IN_IT}, UNKNOWN),
    "rider": Part({"LICENSE": MIT, "EULA.md": NOBODYS}, UNKNOWN),
    "commons-clause": Part(
        {"COMMONS-CLAUSE.txt": license_text("commons-clause")}, "LicenseRef-scancode-commons-clause"
    ),
    "additional-terms": Part({"ADDITIONAL_LICENSE_TERMS.txt": NOBODYS}, UNKNOWN),
    "restrictions": Part({"USE-RESTRICTIONS": NOBODYS}, UNKNOWN),
    "notice": Part({"NOTICE": NOBODYS, "restrictions.py": code(9)}, "MIT"),
    "patents": Part({"PATENTS": license_text("google-patent-license-webm")}, "MIT"),
    "patents-in-licence": Part({"LICENSE": MIT + "\n\n" + license_text("google-patent-license-webm")}, "MIT"),
    "patents-taken": Part({"LICENSE": license_text("facebook-patent-rights-2")}, "MIT"),
}
"""What speaks for a part of a repository, and what holds there. The recipe reads files of up to 20,000 bytes."""


class Link(NamedTuple):
    """A link in the place of a file; in a tar it may be a hard one."""

    target: str
    hard: bool = False


Files = Mapping[str, str | bytes | Link]


def write(folder: Path, files: Files) -> None:
    for path, content in files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            place.symlink_to(content.target)
        else:
            place.write_bytes(content if isinstance(content, bytes) else content.encode())


def tar(files: Files) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as writer:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            if isinstance(content, Link):
                member.type, member.linkname = tarfile.LNKTYPE if content.hard else tarfile.SYMTYPE, content.target
                writer.addfile(member)
                continue
            data = content if isinstance(content, bytes) else content.encode()
            member.size = len(data)
            writer.addfile(member, io.BytesIO(data))
    return out.getvalue()


def zipped(files: Files, system: int = 3) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as writer:
        for path, content in files.items():
            member = zipfile.ZipInfo("x")
            member.filename, member.create_system, member.compress_type = path, system, zipfile.ZIP_DEFLATED
            if isinstance(content, Link):
                member.external_attr = 0o120777 << 16
            writer.writestr(member, content.target if isinstance(content, Link) else content)
    return out.getvalue()


def licenses(out: Path) -> dict[str, str | None]:
    return {named(row): row["license"] for row in ledger(out)}


@pytest.fixture(scope="module")
def unread(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder = tmp_path_factory.mktemp("unread")
    for number, (name, part) in enumerate(UNREAD.items()):
        files = {f"part/{path}": content for path, content in part.files.items()}
        write(folder / "repos" / name, {"LICENSE": MIT, "a.py": code(1), "part/b.py": code(number + 2), **files})
    source = {"kind": "directory", "uri": f"{folder}/repos/*"}
    out = curated(folder, [source], BLOCKS | {"input": {"max_file_bytes": 20000}})
    return licenses(out)


@pytest.mark.parametrize("name", UNREAD)
def test_what_speaks_for_a_folder_is_read_or_leaves_it_unknown(unread: dict[str, str | None], name: str) -> None:
    assert unread[f"{name}/a.py"] == "MIT"
    found = unread[f"{name}/part/b.py"]
    expected = UNREAD[name].license
    assert found == expected, found


def test_a_licence_under_a_name_that_leads_out_leaves_its_repository_unknown(tmp_path: Path) -> None:
    write(tmp_path, {"x.tar": tar({"r/../r/COPYING": GPL, "r/LICENSE": MIT, "r/sub/a.py": code(1)})})
    write(tmp_path, {"y.tar": tar({"r/../r/data.txt": GPL, "r/LICENSE": MIT, "r/sub/a.py": code(2)})})
    found = licenses(curated(tmp_path, [{"kind": "archive", "uri": f"{tmp_path}/*.tar"}], BLOCKS))
    assert (found["x/r/sub/a.py"], found["y/r/sub/a.py"]) == (UNKNOWN, "MIT")


def test_what_an_archive_lost_may_have_been_a_licence(tmp_path: Path) -> None:
    files = {"p/LICENSE": MIT, "p/gpl/COPYING": license_text("gpl-3.0"), "p/gpl/deep/c.py": code(3)}
    files |= {"p/vendor/x/b.py": code(2), "p/vendor/x/data.txt": "17 4\n" * 900, "p/vendor/x/COPYING": GPL}
    whole = tar(files)
    cut = whole[: whole.index(b"17 4\n") + 1500]
    bomb = zipped({"LICENSE": MIT, "b.py": code(4)} | {f"{number}.txt": "0" * 1_000_000 for number in range(20)})
    write(tmp_path, {"plain.tar": cut, "packed.tar.gz": gzip.compress(cut), "whole.tar": whole, "bomb.zip": bomb})
    sources = [{"kind": "archive", "uri": f"{tmp_path}/*.*"}]
    found = licenses(curated(tmp_path / "strict", sources, BLOCKS))
    assert found["whole/vendor/x/b.py"] == GPL_3
    for file in ("plain/vendor/x/b.py", "packed/vendor/x/b.py", "bomb/b.py"):
        assert found[file] == UNKNOWN
    assert found["plain/gpl/deep/c.py"] == "GPL-3.0-only"
    as_read = licenses(curated(tmp_path / "lax", sources, {"license": BLOCKS["license"] | {"incomplete": "as_read"}}))
    assert as_read["plain/vendor/x/b.py"] == as_read["packed/vendor/x/b.py"] == "MIT"


def dos_zip(files: Mapping[bytes, str], system: int = 0) -> bytes:
    """A zip whose names are these very bytes, without the flag of UTF-8."""
    stand_ins = {f"{number:x<{len(name)}}": name for number, name in enumerate(files, 10)}
    data = zipped(dict(zip(stand_ins, files.values(), strict=True)), system)
    for stand_in, name in stand_ins.items():
        data = data.replace(stand_in.encode(), name)
    return data


BACKSLASHES = {
    "fat": (dos_zip({rb"LICENSE": MIT, rb"a.py": code(1), rb"sub\COPYING": GPL, rb"sub\b.py": code(2)}), "sub"),
    "ntfs": (dos_zip({rb"LICENSE": MIT, rb"a.py": code(1), rb"sub\COPYING": GPL, rb"sub\b.py": code(2)}, 10), "sub"),
    "no-slash": (
        dos_zip({rb"top\LICENSE": MIT, rb"top\a.py": code(1), rb"top\sub\COPYING": GPL, rb"top\sub\b.py": code(2)}, 3),
        "sub",
    ),
    "mixed": (dos_zip({rb"LICENSE": MIT, rb"a.py": code(1), rb"sub/COPYING": GPL, rb"sub\b.py": code(2)}), "sub"),
    "folders": (
        dos_zip({b"sub\\": "", rb"LICENSE": MIT, rb"a.py": code(1), rb"sub\COPYING": GPL, rb"sub\b.py": code(2)}),
        "sub",
    ),
    "cp437": (
        dos_zip({b"LICENSE": MIT, b"a.py": code(1), b"caf\x82\\COPYING": GPL, b"caf\x82\\b.py": code(2)}),
        "café",
    ),
    "shift-jis": (
        dos_zip(
            {
                b"LICENSE": MIT,
                b"a.py": code(1),
                b"\x83\x5c\x81\x5b\x83\x58\\COPYING": GPL,
                b"\x83\x5c\x81\x5b\x83\x58\\b.py": code(2),
            }
        ),
        "ソース",
    ),
}


def test_backslashes_part_the_folders_of_a_zip_from_windows(tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.zip": data for name, (data, _) in BACKSLASHES.items()})
    unix = {"LICENSE": MIT, "a.py": code(1), "sub\\COPYING": GPL, "sub\\b.py": code(2), "other/c.py": code(3)}
    write(tmp_path, {"unix.zip": zipped(unix)})
    found = licenses(curated(tmp_path, [{"kind": "archive", "uri": f"{tmp_path}/*.zip"}], BLOCKS))
    for name, (_, folder) in BACKSLASHES.items():
        assert (found[f"{name}/a.py"], found[f"{name}/{folder}/b.py"]) == ("MIT", GPL_3), name
    assert found["unix/sub\\b.py"] == "MIT"


NOTICE = "These are the notices of parts.\n\n" + GPL
LIMITED = MIT + "\nThe Software may not be used for commercial purposes.\n"
BESIDE: Files = {
    "LICENSE": MIT,
    "a.py": code(1),
    "texts/notice": NOTICE,
    "texts/limited": LIMITED,
    "texts/nobodys": NOBODYS,
    "texts/latin": GPL.encode("latin-1"),
    "texts/binary": NUL_IN_IT,
    "texts/empty": "",
    "texts/store/GPL.txt": GPL,
    "texts/package.json": PACKAGE,
    "elsewhere": Link("texts"),
}
"""What there is in each repository of which a part is reached by links."""

LINKED = {
    "file": ({"COPYING": Link("../texts/notice")}, GPL_3),
    "root-licence": ({"LICENSE": Link("../LICENSE")}, "MIT"),
    "limited": ({"COPYING": Link("../texts/limited")}, f"{UNKNOWN} AND MIT"),
    "nobodys": ({"COPYING": Link("../texts/nobodys")}, UNKNOWN),
    "latin": ({"COPYING": Link("../texts/latin")}, UNKNOWN),
    "binary": ({"COPYING": Link("../texts/binary")}, UNKNOWN),
    "chain": ({"COPYING": Link("one"), "one": Link("./two"), "two": Link("../texts/notice")}, GPL_3),
    "through-a-folder": ({"COPYING": Link("../elsewhere/notice")}, GPL_3),
    "circle": ({"COPYING": Link("one"), "one": Link("COPYING")}, UNKNOWN),
    "nowhere": ({"COPYING": Link("missing")}, UNKNOWN),
    "outside": ({"COPYING": Link("../../../../etc/hostname")}, UNKNOWN),
    "absolute": ({"COPYING": Link("/etc/hostname")}, UNKNOWN),
    "folder": ({"licenses": Link("../texts/store")}, GPL_3),
    "folder-nowhere": ({"LICENSES": Link("../missing")}, UNKNOWN),
    "manifest": ({"package.json": Link("../texts/package.json")}, GPL_3),
    "sidecar": ({"b.py.license": Link("../texts/notice")}, GPL_3),
    "no-evidence": ({"data.txt": Link("../texts/notice")}, "MIT"),
}


def git(at: Path, *arguments: str, day: str = "2025-06-01") -> None:
    settings = ("-c", "core.autocrlf=false", "-c", "user.name=A B", "-c", "user.email=a.b@corp.test")
    dates = {f"GIT_{role}_DATE": f"{day}T12:00:00Z" for role in ("AUTHOR", "COMMITTER")}
    env = os.environ | dates | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", *settings, "-C", str(at), *arguments], check=True, capture_output=True, env=env)


def commit(at: Path, files: Files, day: str = "2025-06-01") -> None:
    if not at.exists():
        at.mkdir(parents=True)
        git(at, "init", "-q", "-b", "main")
    write(at, files)
    git(at, "add", "-A", day=day)
    git(at, "commit", "-q", "-m", day, day=day)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder = tmp_path_factory.mktemp("linked")
    hard = {"top/COPYING": Link("top/texts/notice", hard=True), "top/part/COPYING": Link("top/texts/notice", hard=True)}
    for number, (name, (part, _)) in enumerate(LINKED.items()):
        files = {**BESIDE, "part/b.py": code(number + 2), **{f"part/{path}": what for path, what in part.items()}}
        write(folder / "folders" / name, files)
        commit(folder / "clones" / name, files)
        below = {f"top/{path}": what for path, what in files.items()}
        write(folder, {f"tars/{name}.tar": tar(below), f"zips/{name}.zip": zipped(files)})
    hard = {f"top/{path}": what for path, what in BESIDE.items()} | {"top/part/b.py": code(99), **hard}
    write(folder, {"tars/hard.tar": tar({path: what for path, what in hard.items() if path != "top/COPYING"})})
    kinds = {"folders": "directory", "clones": "git", "tars": "archive", "zips": "archive"}
    found = {}
    for place, kind in kinds.items():
        out = curated(folder / f"of-{place}", [{"kind": kind, "uri": f"{folder}/{place}/*"}], BLOCKS)
        found |= {f"{place}/{file}": license for file, license in licenses(out).items()}
    return found


@pytest.mark.parametrize("name", LINKED)
@pytest.mark.parametrize("place", ["folders", "clones", "tars", "zips"])
def test_a_linked_licence_says_what_its_target_says(linked: dict[str, str | None], place: str, name: str) -> None:
    assert linked[f"{place}/{name}/a.py"] == "MIT"
    assert linked[f"{place}/{name}/part/b.py"] == LINKED[name][1]


def test_a_hard_link_in_a_tar_is_followed(linked: dict[str, str | None]) -> None:
    assert linked["tars/hard/part/b.py"] == GPL_3


CARGO = '[package]\nname = "x"\n'
POM = "<project><licenses><license>{}</license></licenses></project>\n"
APACHE = "https://www.apache.org/licenses/LICENSE-2.0.txt"
MSBUILD = "<Project><PropertyGroup>{}</PropertyGroup></Project>"
POINTED = {
    "npm": ({"package.json": '{"license": "SEE LICENSE IN EULA.md"}', "EULA.md": NOBODYS}, UNKNOWN),
    "npm-gpl": ({"package.json": '{"license": "SEE LICENSE IN docs/terms"}', "docs/terms": GPL}, GPL_3),
    "npm-missing": ({"package.json": '{"license": "SEE LICENSE IN terms.txt"}'}, UNKNOWN),
    "npm-outside": ({"package.json": '{"license": "SEE LICENSE IN ../../../terms.txt"}'}, UNKNOWN),
    "npm-above": ({"package.json": '{"license": "SEE LICENSE IN ../LICENSE"}'}, "MIT"),
    "npm-own": ({"package.json": '{"license": "SEE LICENSE IN LICENSE"}', "LICENSE": MIT}, "MIT"),
    "npm-latin": ({"package.json": '{"license": "SEE LICENSE IN LICENSE"}', "LICENSE": GPL.encode("latin-1")}, GPL_3),
    "npm-limited": ({"package.json": '{"license": "SEE LICENSE IN t.md"}', "t.md": LIMITED}, f"{UNKNOWN} AND MIT"),
    "npm-address": ({"package.json": '{"license": {"url": "https://opensource.org/licenses/MIT"}}'}, "MIT"),
    "npm-own-address": ({"package.json": '{"license": {"url": "https://corp.test/terms"}}'}, UNKNOWN),
    "cargo": ({"Cargo.toml": CARGO + 'license-file = "TERMS"\n', "TERMS": GPL}, GPL_3),
    "cargo-missing": ({"Cargo.toml": CARGO + 'license-file = "TERMS"\n'}, UNKNOWN),
    "cargo-binary": ({"Cargo.toml": CARGO + 'license-file = "TERMS"\n', "TERMS": NUL_IN_IT}, UNKNOWN),
    "pyproject": ({"pyproject.toml": '[project]\nlicense = {file = "T.txt"}\n', "T.txt": NOBODYS}, UNKNOWN),
    "pyproject-missing": ({"pyproject.toml": '[project]\nlicense = {file = "LICENSE"}\n'}, UNKNOWN),
    "pep639": ({"pyproject.toml": '[project]\nlicense-files = ["t/*.txt"]\n', "t/x.txt": GPL}, GPL_3),
    "pep639-class": (
        {
            "pyproject.toml": '[project]\nlicense-files = ["LICEN[CS]E*", "AUTHORS*"]\n',
            "LICENCE": MIT,
            "AUTHORS": "Ada\n",
        },
        "MIT",
    ),
    "pep639-missing": ({"pyproject.toml": '[project]\nlicense-files = ["LICEN[CS]E*"]\n'}, UNKNOWN),
    "setup-cfg": ({"setup.cfg": "[metadata]\nlicense_files =\n    TERMS\n", "TERMS": GPL}, GPL_3),
    "setup-cfg-file": ({"setup.cfg": "[metadata]\nlicense = file: TERMS\n", "TERMS": NOBODYS}, UNKNOWN),
    "maven-url": ({"pom.xml": POM.format(f"<url>{APACHE}</url>")}, "Apache-2.0"),
    "maven-name": ({"pom.xml": POM.format("<name>MIT License</name><url>https://corp.test/mit</url>")}, "MIT"),
    "maven-own": ({"pom.xml": POM.format("<name>Corp Terms</name><url>https://corp.test/terms</url>")}, UNKNOWN),
    "maven-file": ({"pom.xml": POM.format("<url>terms.txt</url>"), "terms.txt": GPL}, GPL_3),
    "nuget-file": ({"x.nuspec": '<package><license type="file">d\\t.txt</license></package>', "d/t.txt": GPL}, GPL_3),
    "nuget-missing": ({"x.nuspec": '<package><license type="file">t.txt</license></package>'}, UNKNOWN),
    "nuget-url": ({"x.nuspec": f"<licenseUrl>{APACHE}</licenseUrl>"}, "Apache-2.0"),
    "nuget-own-url": ({"x.nuspec": "<licenseUrl>https://corp.test/eula</licenseUrl>"}, UNKNOWN),
    "nuget-hosted": (
        {"x.nuspec": "<licenseUrl>https://github.com/o/nuget-hosted/blob/main/LICENSE</licenseUrl>"},
        "MIT",
    ),
    "nuget-others": ({"x.nuspec": "<licenseUrl>https://github.com/o/other/blob/main/LICENSE</licenseUrl>"}, UNKNOWN),
    "msbuild-file": (
        {"x.csproj": MSBUILD.format("<PackageLicenseFile>T.txt</PackageLicenseFile>"), "T.txt": GPL},
        GPL_3,
    ),
    "msbuild-included": (
        {
            "x.csproj": MSBUILD.format("<PackageLicenseFile>LICENSE</PackageLicenseFile>")
            + '<None Include="..\\LICENSE" Pack="true" PackagePath="" />'
        },
        "MIT",
    ),
    "msbuild-missing": ({"x.fsproj": MSBUILD.format("<PackageLicenseFile>T.txt</PackageLicenseFile>")}, UNKNOWN),
    "msbuild-expression": (
        {"Directory.Build.props": MSBUILD.format("<PackageLicenseExpression>Apache-2.0</PackageLicenseExpression>")},
        "Apache-2.0",
    ),
    "lesser": (
        {
            "pyproject.toml": '[project]\nlicense = "LGPL-3.0-only"\nlicense-files = ["COPYING*"]\n',
            "COPYING": license_text("gpl-3.0"),
            "COPYING.LESSER": license_text("lgpl-3.0"),
        },
        "LGPL-3.0-only",
    ),
}


@pytest.fixture(scope="module")
def pointed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    folder = tmp_path_factory.mktemp("pointed")
    for number, (name, (part, _)) in enumerate(POINTED.items()):
        files = {"LICENSE": MIT, "part/b.py": code(number)} | {f"part/{path}": what for path, what in part.items()}
        write(folder / "repos" / name, files)
    return licenses(curated(folder, [{"kind": "directory", "uri": f"{folder}/repos/*"}], BLOCKS))


@pytest.mark.parametrize("name", POINTED)
def test_the_file_that_a_manifest_names_decides(pointed: dict[str, str | None], name: str) -> None:
    expected = POINTED[name][1]
    assert pointed[f"{name}/part/b.py"] in (expected, f"{expected} AND MIT")


def test_a_changed_file_has_the_licence_of_a_full_run(tmp_path: Path) -> None:
    forms = {name: part for name, (part, _) in (LINKED | POINTED).items()} | {
        name: UNREAD[name].files for name in UNREAD
    }
    before: dict[str, str | bytes | Link] = {"LICENSE": MIT}
    for name, part in forms.items():
        before |= {f"{name}/{path}": what for path, what in BESIDE.items()}
        before |= {f"{name}/part/{path}": what for path, what in part.items()}
    after = {f"{name}/{path}": code(number) for number, name in enumerate(forms) for path in ("c.py", "part/b.py")}
    commit(tmp_path / "repos/repo", before)
    commit(tmp_path / "repos/repo", after, day="2026-02-01")
    commit(tmp_path / "repos/still", {"LICENSE": GPL, "a.py": code(1)})
    source = {"kind": "git", "uri": f"{tmp_path}/repos/*"}
    whole = licenses(curated(tmp_path / "whole", [source], BLOCKS))
    out = curated(tmp_path / "since", [source | {"since": "2026-01-01"}], BLOCKS)
    found = licenses(out)
    assert {path: found[f"repo/{path}"] for path in after} == {path: whole[f"repo/{path}"] for path in after}
    rows = {named(row): row for row in ledger(out)}
    others = {path: row for path, row in rows.items() if path.removeprefix("repo/") not in after}
    assert {(row["decision"], row["reason"]) for row in others.values()} == {("dropped", "input.unchanged")}
    assert "repo/LICENSE" in others
    assert not {path for path in others if path.startswith("still/") or path.endswith("/a.py")}


def test_what_a_clone_lacks_and_rows_without_content_are_not_absent(tmp_path: Path) -> None:
    files = {"LICENSE": MIT, "a.py": code(1), "part/COPYING": GPL, "part/b.py": code(2), "debian/copyright": MIT}
    commit(tmp_path / "repo", files)
    content = GPL.encode()
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()
    (tmp_path / "repo/.git/objects" / blob[:2] / blob[2:]).unlink()
    rows = [
        {"repo": "rows", "path": path, "content": None if path == "part/COPYING" else text}
        for path, text in files.items()
    ]
    lines = "".join(f"{json.dumps(row)}\n" for row in rows)
    write(tmp_path, {"rows.jsonl": lines})
    pq.write_table(pa.Table.from_pylist([row | {"repo": "table"} for row in rows]), tmp_path / "rows.parquet")
    kinds = {"git": "repo", "jsonl": "rows.jsonl", "parquet": "rows.parquet"}
    sources = [{"kind": kind, "uri": f"{tmp_path}/{name}"} for kind, name in kinds.items()]
    found = licenses(curated(tmp_path, sources, BLOCKS))
    for repo in ("repo", "rows", "table"):
        assert (found[f"{repo}/a.py"], found[f"{repo}/part/b.py"]) == ("MIT", UNKNOWN), repo
