"""Licences: what a file states, what its repository states, and which of them holds."""

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpora import MIT, license_text
from transforms.license import STRICTNESS, LicenseScan, combine_strictest, license_class, license_scope
from transforms.license_match import match
from transforms.license_resolve import LICENSES, LicenseResolve, Scope
from transforms.license_rule import LicenseRule
from transforms.license_unread import UnheardLicenses

GPL_NOTICE = """\
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License as published by
 * the Free Software Foundation; either version 2 of the License, or
 * (at your option) any later version.
"""


@pytest.fixture(scope="module")
def scan():
    function = LicenseScan().load()

    def scan_rows(*files: tuple[str, str | None]) -> list[dict]:
        paths, contents = zip(*files, strict=True)
        batch = pa.record_batch({"path": pa.array(paths), "content": pa.array(contents, pa.string())})
        measured = function(batch)
        assert measured.schema.equals(LicenseScan().adds, check_metadata=True)
        return measured.to_pylist()

    return scan_rows


def nothing_else(rows: int) -> dict[str, pa.Array]:
    """Columns of rows that speak by no path, lead nowhere and were read."""
    names = ("license_paths", "license_joint", "license_named", "license_files", "link", "unread")
    return {name: pa.nulls(rows, UnheardLicenses.schema.field(name).type) for name in names}


def resolve(
    *rows: tuple[str, str | None, str | None],
    claim: str | None = None,
    scope: Scope = "strictest",
    kind: str = "seen:",
    repo: str = "o/r",
    joint: bool | None = None,
) -> dict[str, dict]:
    """Rows of one repository (path, licence found, scope) to what holds, by path."""
    paths, found, scopes = zip(*rows, strict=True)
    evidence = [expression and f"{kind} {expression}" for expression in found]
    batch = pa.record_batch(
        {
            "row_id": pa.array(range(len(rows)), pa.int64()),
            "repo": pa.array([repo] * len(rows)),
            "path": pa.array(paths),
            "license_found": pa.array(found, pa.string()),
            "license_granted": pa.array(found, pa.string()),
            "license_scope": pa.array(scopes, pa.string()),
            "license_evidence": pa.array(evidence, pa.string()),
            **nothing_else(len(rows)),
            "license_joint": pa.array([joint] * len(rows), pa.bool_()),
            "claimed_license": pa.array([claim] * len(rows), pa.string()),
        }
    )
    resolved = LicenseResolve(scope).load()(batch)
    assert resolved.schema.equals(LicenseResolve().schema)
    assert resolved["row_id"].to_pylist() == list(range(len(rows)))
    return dict(zip(paths, resolved.to_pylist(), strict=True))


# --- one file


def test_tags_headers_and_texts_without_a_licence(scan) -> None:
    tag, header, plain, missing, empty = scan(
        ("a.rs", "// SPDX-License-Identifier: (MIT OR Apache-2.0) AND Unicode-3.0\nfn main() {}\n"),
        ("b.c", f"/*\n{GPL_NOTICE} */\nint main;\n"),
        ("c.py", "def license_plate(car):\n    return car.plate\n"),
        ("d.py", None),
        ("e.py", ""),
    )
    assert tag["license_found"] == "(MIT OR Apache-2.0) AND Unicode-3.0"
    assert tag["license_evidence"].startswith("spdx-tag lines 1 score 100: ")
    assert (header["license_found"], header["license_scope"]) == ("GPL-2.0-or-later", "file")
    assert header["license_evidence"] == "header lines 2-5 score 100: GPL-2.0-or-later"
    nothing = dict.fromkeys(LicenseScan.adds.names)
    assert plain == missing == empty == nothing


def test_a_licence_far_down_is_found_at_its_lines(scan) -> None:
    code = "x = 1\n" * 2000
    late, both = scan(
        ("a.py", f"{code}# Licensed under the Apache License, Version 2.0\n"),
        ("b.py", f"# SPDX-License-Identifier: MIT\n{code}# SPDX-License-Identifier: ISC\n"),
    )
    assert late["license_evidence"] == "header lines 2001 score 100: Apache-2.0"
    assert both["license_evidence"] == "spdx-tag lines 1, 2002 score 100: MIT AND ISC"


@pytest.mark.parametrize(
    ("key", "expression"),
    [("mit", "MIT"), ("apache-2.0", "Apache-2.0"), ("gpl-3.0", "GPL-3.0-only"), ("bsd-new", "BSD-3-Clause")],
)
def test_licence_texts_whole_and_altered(scan, key: str, expression: str) -> None:
    text = license_text(key)
    reflowed = " ".join(text.split())
    altered = text.replace("software", "program").replace("Software", "Program").replace("copyright", "(c)")
    for row in scan(("LICENSE", text), ("COPYING.txt", reflowed), ("sub/License.md", altered)):
        assert row["license_found"] == expression
        assert row["license_scope"] == "directory"
        assert row["license_evidence"].startswith("license-file lines 1")


def test_an_altered_header_is_matched_approximately(scan) -> None:
    notice = GPL_NOTICE.replace("can redistribute it", "may share it").replace("General Public", "general public")
    warranty = (
        "This program comes in the hope of being useful, but WITHOUT ANY WARRANTY of any kind; not even that of\n"
    )
    [row] = scan(("a.c", f"/*\n{notice}\n{warranty}MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.\n*/"))
    assert license_class(row["license_found"]) == "copyleft"


AMAZON = """Licensed under the Apache License, Version 2.0 (the "License"). You
may not use this file except in compliance with the License. A copy of
the License is located at

http://aws.amazon.com/apache2.0/

or in the "license" file accompanying this file. This file is
distributed on an "AS IS" BASIS, WITHOUT WARRANTIES OR CONDITIONS OF
ANY KIND, either express or implied. See the License for the specific
language governing permissions and limitations under the License.
"""

EITHER_OR_BOTH = """This program is free software: you can redistribute it and/or
modify it under the terms of either:

  * the GNU Lesser General Public License as published by the Free
    Software Foundation; either version 3 of the License, or (at your
    option) any later version.

or

  * the GNU General Public License as published by the Free
    Software Foundation; either version 2 of the License, or (at your
    option) any later version.

or both in parallel, as here.

This program is distributed in the hope that it will be useful,
but WITHOUT ANY WARRANTY; without even the implied warranty of
MERCHANTABILITY or FITNESS FOR A PARTICULAR PURPOSE.  See the GNU
General Public License for more details.

You should have received copies of the GNU General Public License and
the GNU Lesser General Public License along with this program.  If
not, see http://www.gnu.org/licenses/.
"""


@pytest.mark.parametrize(
    ("notice", "expression"),
    [(AMAZON, "Apache-2.0"), (EITHER_OR_BOTH, "LGPL-3.0-or-later OR GPL-2.0-or-later")],
)
def test_a_notice_whose_pieces_match_exactly_is_read_as_a_whole(scan, notice: str, expression: str) -> None:
    [row] = scan(("a.py", "".join(f"# {line}".rstrip() + "\n" for line in notice.splitlines()) + "import os\n"))
    assert row["license_found"] == expression


def test_a_long_text_keeps_lines_that_repeat(scan) -> None:
    indented = "".join(f"\n     {word}" for word in license_text("cc-by-4.0").split())
    [row] = scan(("LICENSE", indented))
    assert row["license_found"] == "CC-BY-4.0"


def test_a_weak_approximate_match_does_not_displace_an_exact_one() -> None:
    found = match("Distributed under the MIT License (http://opensource.org/licenses/MIT)\n" + "x = 1\n" * 9, True)
    assert found is not None
    assert found.expression == "MIT"


def test_a_megabyte_on_one_line_is_cut_around_the_licence(scan) -> None:
    [row] = scan(("a.min.js", "a=1;" * 100_000 + "/* Released under the MIT license */" + "b=2;" * 100_000))
    assert row["license_found"] == "MIT"


def test_a_lock_file_that_repeats_licences(scan) -> None:
    lines = [f'"n{i}": {{"version": "{i}"}},\n"license": "{"ISC" if i == 2000 else "MIT"}",' for i in range(4000)]
    [row] = scan(("package-lock.json", "\n".join(lines)))
    assert row["license_found"] == "MIT AND ISC"


def test_result_does_not_depend_on_the_batch(scan) -> None:
    files = [("a.c", f"/*\n{GPL_NOTICE}*/"), ("b.c", None), ("LICENSE", license_text("mit")), ("c.c", "int x;")]
    assert scan(*files) == [row for file in files for row in scan(file)]
    assert scan(*reversed(files)) == list(reversed(scan(*files)))


GPL_3 = "License :: OSI Approved :: GNU General Public License v3 (GPLv3)"
METADATA = [
    ("pyproject.toml", '[project]\nname = "x"\nlicense = "MIT"\n', "MIT", "project.license score 100"),
    ("pyproject.toml", '[project]\nlicense = {text = "Apache 2.0"}\n', "Apache-2.0", "project.license score 100"),
    (
        "pyproject.toml",
        '[project]\nclassifiers = ["License :: OSI Approved :: MIT License"]\n',
        "MIT",
        "project.classifiers score 100",
    ),
    (
        "pyproject.toml",
        '[project]\nlicense = "MIT AND GPL-2.0-only"\n',
        "GPL-2.0-only AND MIT",
        "project.license score 100",
    ),
    ("pyproject.toml", '[tool.poetry]\nlicense = "gpl-2.0+"\n', "GPL-2.0-or-later", "tool.poetry.license score 100"),
    (
        "pyproject.toml",
        '[project]\nname = "x"\n[tool.poetry]\nlicense = "MIT"\n',
        "MIT",
        "tool.poetry.license score 100",
    ),
    ("pyproject.toml", '[tool.flit.metadata]\nlicense = "ISC"\n', "ISC", "tool.flit.metadata.license score 100"),
    (
        "pyproject.toml",
        f'[project]\nlicense = {{text = "MIT"}}\nclassifiers = ["{GPL_3}"]\n',
        "GPL-3.0-only",
        "project.classifiers score 100",
    ),
    (
        "pyproject.toml",
        f'[project]\nlicense = "MIT OR GPL-3.0-only"\nclassifiers = ["{GPL_3}"]\n',
        "GPL-3.0-only OR MIT",
        "project.license score 100",
    ),
    ("pyproject.toml", '[project\nlicense = "MIT"\n', "MIT", "license score 100"),
    ("setup.cfg", "[metadata]\nlicense = BSD-3-Clause\n", "BSD-3-Clause", "metadata.license score 100"),
    ("setup.cfg", "license = GPLv3\n[metadata", "GPL-3.0-only", "license score 100"),
    (
        "setup.py",
        'from setuptools import setup\nsetup(name="x", license="ISC")\n',
        "ISC",
        "license score 100",
    ),
    ("x-1.dist-info/METADATA", "Name: x\nLicense: ISC\n\nA library.\n", "ISC", "License score 100"),
    ("x.egg-info/PKG-INFO", "License-Expression: MIT\nLicense: MIT License\n", "MIT", "License-Expression score 100"),
    ("package.json", '{"license": "ISC"}', "ISC", "license score 100"),
    ("package.json", '{"license": {"type": "MIT", "url": "https://example.org"}}', "MIT", "license score 100"),
    (
        "package.json",
        '{"licenses": [{"type": "MIT"}, {"type": "Apache-2.0"}]}',
        "Apache-2.0 OR MIT",
        "licenses score 100",
    ),
    ("package.json", '{"license": "MIT", "licenses": [{"type": "GPL-3.0"}]}', "GPL-3.0-only", "licenses score 100"),
    ("package.json", '{"license": "UNLICENSED"}', "LicenseRef-scancode-proprietary-license", "license score 100"),
    ("package.json", '{"name": "x",\n "license": "MIT",,}', "MIT", "license score 100"),
    ("composer.json", '{"license": ["MIT", "GPL-3.0-only"]}', "GPL-3.0-only OR MIT", "license score 100"),
    ("Cargo.toml", '[package]\nlicense = "MIT/Apache-2.0"\n', "Apache-2.0 OR MIT", "package.license score 100"),
    (
        "Cargo.toml",
        '[package]\nlicense.workspace = true\n[workspace.package]\nlicense = "MPL-2.0"\n',
        "MPL-2.0",
        "workspace.package.license score 100",
    ),
    ("pom.xml", "<licenses><license><name>CDDL-1.0</name></license></licenses>", "CDDL-1.0", "licenses score 100"),
    ("x.gemspec", 'Gem::Specification.new do |s|\n  s.licenses = ["MIT"]\nend\n', "MIT", "license score 100"),
    ("package.json", '{"license": "Ask our lawyers"}', "LicenseRef-scancode-unknown", "license score 0"),
]


@pytest.mark.parametrize(("path", "content", "expression", "place"), METADATA)
def test_package_metadata(scan, path: str, content: str, expression: str, place: str) -> None:
    [row] = scan((path, content))
    assert row | {"license_files": None} == {
        "license_found": expression,
        "license_granted": expression,
        "license_scope": "package",
        "license_evidence": f"package-metadata {place}: {expression}",
        "license_paths": None,
        "license_joint": None,
        "license_named": None,
        "license_files": None,
    }


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("package.json", '{"license": "SEE LICENSE IN LICENSE.txt"}'),
        ("Cargo.toml", '[package]\nlicense-file = "LICENSE"\n'),
        ("pyproject.toml", '[project]\nlicense = {file = "LICENSE"}\n'),
        ("pyproject.toml", '[project]\nclassifiers = ["License :: OSI Approved"]\n'),
        ("setup.cfg", "[metadata]\nlicense = LICENSE.txt\n"),
        ("go.mod", "module example.org/x\n"),
    ],
)
def test_metadata_that_only_points_at_a_licence_declares_none(scan, path: str, content: str) -> None:
    [row] = scan((path, content))
    assert row["license_scope"] in (None, "file")
    assert license_class(row["license_found"]) == "unknown"


@pytest.mark.parametrize(
    ("path", "content", "licenses"),
    [
        (
            "debian/copyright",
            "Format: x\nLicense: MIT\n\nFiles: *\nLicense: GPL-2+ with OpenSSL exception\n\nFiles: a?.c\n ./doc/*\n"
            "License: GPL-2+ or Artistic, and ISC\n The text.\n\nLicense: GPL-2+\n The text.\n",
            ["GPL-2.0-or-later", "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND ISC"],
        ),
        (".reuse/dep5", "Format: x\n\nFiles: *\nLicense: CC0-1.0\n", ["CC0-1.0"]),
        (
            "sub/REUSE.toml",
            'version = 1\n[[annotations]]\npath = ["a", "b\\\\*"]\nSPDX-License-Identifier = ["MIT", "ISC"]\n',
            ["MIT AND ISC"],
        ),
        ("debian/copyright", "Files: *\nLicense: what the author says\n", ["LicenseRef-scancode-unknown"]),
    ],
)
def test_licences_by_path(scan, path: str, content: str, licenses: list[str]) -> None:
    [row] = scan((path, content))
    assert [entry["license"] for entry in row["license_paths"]] == licenses
    assert (row["license_scope"], license_class(row["license_found"])) == ("file", combine_strictest(licenses)[1])


@pytest.mark.parametrize("content", ["version = [[", "Format: x\n", "Files:\nLicense:\n", "Files: *\n" * 9, "\0"])
def test_broken_files_of_licences_by_path_speak_for_none(scan, content: str) -> None:
    for row in scan(("REUSE.toml", content), (".reuse/dep5", content), ("debian/copyright", content)):
        assert row["license_paths"] is None


@pytest.mark.parametrize(
    ("changed", "to"),
    [
        ("free of charge, to any person", "free of charge for non-commercial use only, to any person"),
        ("to deal\nin the Software without restriction", "to use\nthe Software for research purposes only"),
        ("distribute, sublicense, and/or sell\ncopies of the Software", "and distribute copies, but not to sell them"),
        ("following conditions:\n", "following conditions:\n\nUse for military purposes is prohibited.\n"),
        ("SOFTWARE.\n", "SOFTWARE.\n\nYou may not use it to train machine learning models.\n"),
        ("following conditions:\n", "following conditions:\n\nIt may not be used by employees of banks.\n"),
        ("MIT License\n", "MIT License, except the files in src/, which are proprietary\n"),
    ],
)
def test_a_condition_written_into_a_permissive_licence(scan, changed: str, to: str) -> None:
    text = MIT.replace(changed, to)
    assert text != MIT
    for row in scan(("LICENSE", text), ("a.c", f"/*\n{text}*/\n"), ("sub/LICENSE.md", " ".join(text.split()))):
        assert license_class(row["license_granted"]) in ("unknown", "proprietary")


def test_words_on_commerce_that_are_a_licences_own_change_nothing(scan) -> None:
    keys = (
        "unlicense",
        "cc0-1.0",
        "zlib",
        "boost-1.0",
        "apache-2.0",
        "bsd-new",
        "isc",
        "wtfpl-2.0",
        "python",
        "ofl-1.1",
    )
    for row in scan(*((f"{key}/LICENSE", license_text(key)) for key in keys)):
        assert "restricted" not in row["license_evidence"]


@pytest.mark.parametrize("name", ["pyproject.toml", "setup.cfg", "package.json", "Cargo.toml", "pom.xml", "METADATA"])
def test_broken_metadata_loses_no_other_evidence(scan, name: str) -> None:
    bomb = '<!DOCTYPE l [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>'
    broken, deep, tagged = scan(
        (name, f"[[[{{{{]]\0\x01 = = {bomb}"),
        (name, "[" * 100_000),
        (name, "# SPDX-License-Identifier: ISC\n{{ broken"),
    )
    assert broken["license_found"] is deep["license_found"] is None
    assert (tagged["license_found"], tagged["license_scope"]) == ("ISC", "file")


def test_a_description_counts_for_the_metadata_file_alone(scan) -> None:
    text = "License-Expression: MIT\nLicense: GPL-2.0\n\nThe tests are licensed under the GPL-3.0-only.\n"
    [row] = scan(("x-1.dist-info/METADATA", text))
    assert (row["license_granted"], row["license_scope"]) == ("MIT", "package")
    assert license_class(row["license_found"]) == "copyleft"


def test_metadata_in_code_is_no_milder_than_its_header(scan) -> None:
    [row] = scan(("setup.py", "# SPDX-License-Identifier: GPL-3.0-only\nsetup(license='MIT')\n"))
    assert (row["license_found"], row["license_scope"]) == ("GPL-3.0-only AND MIT", "package")
    assert license_class(row["license_found"]) == "copyleft"


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("LICENSE", "directory"),
        ("src/vendor/COPYING.LESSER", "directory"),
        ("LICENSE-MIT", "directory"),
        ("MIT-LICENSE.txt", "directory"),
        ("UNLICENSE", "directory"),
        ("Licence.md", "directory"),
        ("LICENSES/GPL-3.0-only.txt", "directory"),
        ("COPYING3.LIB", "directory"),
        ("x-1.0.dist-info/licenses/LICENSE", "directory"),
        ("x-1.0.dist-info/licenses/AUTHORS", "file"),
        ("licenses/CHANGELOG.rst", "file"),
        ("NOTICE", "file"),
        ("THIRD-PARTY-LICENSES.txt", "file"),
        ("LICENSES_bundled.txt", "file"),
        ("logo.png.license", "file"),
        ("gpl.txt", "directory"),
        ("LGPL-2.1", "directory"),
        ("gpl_check.txt", "file"),
        ("licenses/check.py", "file"),
        ("license.go", "file"),
        ("copyright_years.py", "file"),
        ("README.md", "file"),
    ],
)
def test_what_a_licence_file_speaks_for(path: str, scope: str) -> None:
    assert license_scope(path) == scope


# --- classes


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", "permissive"),
        ("CC0-1.0", "permissive"),
        ("LicenseRef-scancode-public-domain", "permissive"),
        ("MPL-2.0", "weak-copyleft"),
        ("GPL-2.0+", "copyleft"),
        ("AGPL-3.0-only", "copyleft"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "weak-copyleft"),
        ("Apache-2.0 WITH LLVM-exception", "permissive"),
        ("GPL-3.0-only WITH LLVM-exception", "weak-copyleft"),
        ("MIT OR GPL-3.0-only", "permissive"),
        ("MIT AND GPL-3.0-only", "copyleft"),
        ("(MIT OR GPL-3.0-only) AND LGPL-3.0-only", "weak-copyleft"),
        ("CC-BY-NC-4.0", "proprietary"),
        ("BUSL-1.1", "proprietary"),
        ("MIT AND LicenseRef-scancode-commons-clause", "proprietary"),
        ("LicenseRef-scancode-unknown-license-reference", "unknown"),
        ("MIT AND LicenseRef-scancode-unknown-license-reference", "permissive"),
        ("MIT AND LicenseRef-scancode-unknown", "unknown"),
        ("MIT OR LicenseRef-our-own", "permissive"),
        ("GPL-3.0-only OR LicenseRef-our-own", "copyleft"),
        ("LicenseRef-our-own", "unknown"),
        ("MIT, or so they say", "unknown"),
        ("", "unknown"),
        (None, "unknown"),
    ],
)
def test_class_of_an_expression(expression: str | None, expected: str) -> None:
    assert license_class(expression) == expected


EXPRESSIONS = [
    None,
    "MIT",
    "Apache-2.0",
    "MIT OR GPL-2.0-only",
    "LGPL-2.1-only",
    "GPL-3.0-only",
    "BUSL-1.1",
    "LicenseRef-our-own",
    "LicenseRef-scancode-see-license",
    "not, an expression",
]


@given(st.lists(st.sampled_from(EXPRESSIONS), max_size=6), st.randoms())
def test_the_strictest_of_several(expressions: list[str | None], random) -> None:
    license, found_class = combine_strictest(expressions)
    shuffled = random.sample(expressions, len(expressions))
    assert combine_strictest([*shuffled, *shuffled]) == (license, found_class)
    stated = [e for e in expressions if e and e != "LicenseRef-scancode-see-license"]
    expected = max((license_class(e) for e in stated), key=STRICTNESS.index, default="unknown")
    assert found_class == expected
    assert license_class(license) == expected
    assert (license is None) == (not any(expressions))


def test_combined_expressions_are_canonical() -> None:
    assert combine_strictest(["MIT", "Apache-2.0"]) == ("Apache-2.0 AND MIT", "permissive")
    assert combine_strictest(["MIT", "GPL-2.0-only", None]) == ("GPL-2.0-only", "copyleft")
    assert combine_strictest(["MIT AND LicenseRef-scancode-see-license"]) == ("MIT", "permissive")
    assert combine_strictest([]) == (None, "unknown")


def test_weak_copyleft_is_not_lost_beside_unknown_terms() -> None:
    together, found_class = combine_strictest(["MIT", "LGPL-2.1-only", "LicenseRef-scancode-unknown"])
    assert (together, found_class) == ("LGPL-2.1-only AND LicenseRef-scancode-unknown", "unknown")
    assert not LicenseRule(("permissive", "unknown")).keeps(together)
    assert LicenseRule(("permissive", "weak-copyleft", "unknown")).keeps(together)
    assert LicenseRule(("unknown",)).keeps(None)
    assert LicenseRule(("permissive",)).keeps("MIT AND LicenseRef-scancode-see-license")
    ranks = [STRICTNESS.index(name) for name in ("permissive", "weak-copyleft", "copyleft", "proprietary")]
    assert all(milder < stricter for milder, stricter in pairwise(ranks))


# --- one repository


def test_a_gpl_file_and_a_gpl_folder_in_an_mit_repository() -> None:
    files = resolve(
        ("LICENSE", "MIT", "directory"),
        ("src/main.py", None, None),
        ("src/copied.c", "GPL-2.0-only", "file"),
        ("vendor/lib/COPYING", "GPL-3.0-only", "directory"),
        ("vendor/lib/deep/down.c", None, None),
        ("vendor/lib/deep/mit.c", "MIT", "file"),
        ("vendor/other.c", None, None),
    )
    assert files["src/main.py"]["license"] == files["vendor/other.c"]["license"] == "MIT"
    assert (files["src/copied.c"]["license"], files["src/copied.c"]["license_class"]) == ("GPL-2.0-only", "copyleft")
    assert files["src/copied.c"]["license_evidence"] == "src/copied.c: seen: GPL-2.0-only; LICENSE: seen: MIT"
    assert files["vendor/lib/deep/down.c"]["license"] == files["vendor/lib/deep/mit.c"]["license"] == "GPL-3.0-only"
    assert files["vendor/lib/deep/down.c"]["license_evidence"].startswith("vendor/lib/COPYING: seen: GPL-3.0-only; ")


def test_permissive_code_stays_under_all_its_licences_and_copyleft_is_not_softened() -> None:
    apache = resolve(("LICENSE", "Apache-2.0", "directory"), ("v/LICENSE", "MIT", "directory"), ("v/x.js", None, None))
    assert apache["v/x.js"]["license"] == "Apache-2.0 AND MIT"
    gpl = resolve(("COPYING", "GPL-3.0-only", "directory"), ("a.py", "MIT", "file"))
    assert gpl["a.py"]["license"] == "GPL-3.0-only"


def test_a_choice_is_not_a_duty() -> None:
    rust = resolve(
        ("Cargo.toml", "Apache-2.0 OR MIT", "package"),
        ("LICENSE-APACHE", "Apache-2.0", "directory"),
        ("LICENSE-MIT", "MIT", "directory"),
        ("src/lib.rs", None, None),
    )
    assert rust["src/lib.rs"]["license"] == "Apache-2.0 OR MIT"
    either = resolve(
        ("COPYING", "GPL-2.0-only", "directory"),
        ("package.json", "GPL-2.0-or-later OR MIT", "package"),
        ("a", None, None),
    )
    assert either["a"]["license_class"] == "permissive"
    part = resolve(
        ("COPYING", "GPL-2.0-only", "directory"),
        ("LICENSE", "BSD-3-Clause AND (GPL-2.0-only OR MIT)", "directory"),
        ("a", None, None),
    )
    assert part["a"]["license_class"] == "copyleft"
    elsewhere = resolve(
        ("package.json", "GPL-2.0-only OR MIT", "package"),
        ("v/COPYING", "GPL-2.0-only", "directory"),
        ("v/a", None, None),
    )
    assert elsewhere["v/a"]["license_class"] == "copyleft"


def test_a_wheel_and_its_folder_of_licences() -> None:
    wheel = resolve(
        ("p-1.dist-info/METADATA", "MIT", "package"),
        ("p-1.dist-info/licenses/LICENSES/GPL-3.0.txt", "GPL-3.0-only", "directory"),
        ("p-1.dist-info/licenses/p/vendored/LICENSE", "LGPL-2.1-only", "directory"),
        ("p/a.py", None, None),
        ("p/vendored/b.py", None, None),
    )
    assert wheel["p/a.py"]["license"] == "MIT"
    assert wheel["p/vendored/b.py"]["license"] == "LGPL-2.1-only"
    alone = resolve(
        ("LICENSES/MIT.txt", "MIT", "directory"), ("LICENSES/GPL.txt", "GPL-3.0-only", "directory"), ("a", None, None)
    )
    assert alone["a"]["license"] == "GPL-3.0-only"


def test_a_vendored_wheel_speaks_for_its_own_package() -> None:
    files = resolve(
        ("x-1.dist-info/METADATA", "MIT", "package"),
        ("x/_vendor/other-2.0.dist-info/LICENSE", "LGPL-3.0-only", "directory"),
        ("x/_vendor/other/a.py", None, None),
        ("x/_vendor/third/b.py", None, None),
    )
    assert files["x/_vendor/other/a.py"]["license"] == "LGPL-3.0-only"
    assert files["x/_vendor/third/b.py"]["license"] == "MIT"


def test_claims_and_nothing_at_all() -> None:
    assert resolve(("a.py", None, None), claim="mit")["a.py"]["license"] == "MIT"
    claimed = resolve(("LICENSE", "MIT", "directory"), ("a.py", None, None), claim="gpl-2.0")["a.py"]
    assert (claimed["license"], claimed["license_class"]) == ("GPL-2.0-only", "copyleft")
    assert claimed["license_evidence"] == "LICENSE: seen: MIT; source's claim score 100: GPL-2.0-only"
    nothing = dict.fromkeys(LICENSES.names) | {"row_id": 0, "license_class": "unknown"}
    assert resolve(("a.py", None, None))["a.py"] == nothing
    assert resolve(("a.py", None, None), claim="other")["a.py"] == nothing
    unclear = resolve(("LICENSE", "LicenseRef-scancode-unknown", "directory"), ("a.py", "MIT", "file"))
    assert unclear["a.py"]["license_class"] == "unknown"


def test_repositories_do_not_mix() -> None:
    batch = pa.record_batch(
        {
            "row_id": pa.array([7, 3, 5, 1], pa.int64()),
            "repo": ["a", "a", "b", "b"],
            "path": ["LICENSE", "x.py", "x.py", "y.py"],
            "license_found": pa.array(["GPL-3.0-only", None, None, "MIT"], pa.string()),
            "license_granted": pa.array(["GPL-3.0-only", None, None, "MIT"], pa.string()),
            "license_scope": pa.array(["directory", None, None, "file"], pa.string()),
            "license_evidence": pa.array(["text", None, None, "header"], pa.string()),
            **nothing_else(4),
            "claimed_license": pa.array([None, None, None, None], pa.string()),
        }
    )
    resolved = LicenseResolve().load()(batch)
    assert resolved["row_id"].to_pylist() == [7, 3, 5, 1]
    assert resolved["license"].to_pylist() == ["GPL-3.0-only", "GPL-3.0-only", None, "MIT"]
    assert LicenseResolve().load()(batch.slice(0, 0)).num_rows == 0


def test_a_licence_file_that_only_names_another_licence_does_not_grant_it(scan) -> None:
    python, apart = (
        f"{MIT}\nUnlike code under the GPL, this may be linked with anything. The GPL-compatible licence makes it\n"
        "possible to combine it with other software that is released under the GPL; the others don't.\n",
        "This program is released under the GPL.\n",
    )
    stated, named = scan(("LICENSE", python), ("sub/LICENSE", apart))
    assert stated["license_granted"] == "MIT"
    assert license_class(named["license_granted"]) == "copyleft"


# --- the index


def test_two_processes_load_at_once_and_write_nothing(tmp_path: Path) -> None:
    home, scratch = tmp_path / "home", tmp_path / "scratch"
    home.mkdir()
    scratch.mkdir()
    code = (
        "import pyarrow as pa; from transforms.license import LicenseScan, release_index\n"
        "batch = pa.record_batch({'path': ['a.py'], 'content': ['# License: MIT']})\n"
        "assert LicenseScan().load()(batch)['license_found'].to_pylist() == ['MIT']\n"
        "release_index()"
    )
    environment = os.environ | {"HOME": str(home), "TMPDIR": str(scratch)}
    running = [subprocess.Popen([sys.executable, "-c", code], env=environment) for _ in range(2)]
    assert [process.wait(timeout=120) for process in running] == [0, 0]
    assert not list(home.rglob("*"))
    assert not list(scratch.rglob("*"))
