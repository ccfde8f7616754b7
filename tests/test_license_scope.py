"""`license.scope`: the strictest of what a file, its folder and its repository say, or the nearest word."""

import pytest

from tests.test_license import resolve
from transforms.license import license_scope

GPL = ("COPYING", "GPL-2.0-only", "directory")
MIT = ("LICENSE", "MIT", "directory")
UNKNOWN = "LicenseRef-scancode-unknown"
NO_TERMS = "LicenseRef-scancode-unknown-license-reference"


@pytest.mark.parametrize(
    ("rows", "strictest", "nearest"),
    [
        ([GPL, ("a.c", "MIT", "file")], "GPL-2.0-only", "MIT"),
        ([MIT, ("a.c", "GPL-2.0-only", "file")], "GPL-2.0-only", "GPL-2.0-only"),
        ([GPL, ("lib/LICENSE", "BSD-2-Clause", "directory"), ("lib/a.c", None, None)], "GPL-2.0-only", "BSD-2-Clause"),
        (
            [MIT, ("lib/COPYING", "GPL-2.0-only", "directory"), ("lib/x/a.c", None, None)],
            "GPL-2.0-only",
            "GPL-2.0-only",
        ),
        ([MIT, ("lib/COPYING", "GPL-2.0-only", "directory"), ("lib/a.c", "ISC", "file")], "GPL-2.0-only", "ISC"),
        ([GPL, ("lib/package.json", "MIT", "package"), ("lib/a.js", None, None)], "GPL-2.0-only", "MIT"),
        ([GPL, ("a.c", None, None)], "GPL-2.0-only", "GPL-2.0-only"),
        # what stands nearer and is unknown still speaks
        ([MIT, ("a.c", UNKNOWN, "file")], UNKNOWN, UNKNOWN),
        ([MIT, ("lib/LICENSE", UNKNOWN, "directory"), ("lib/a.c", None, None)], UNKNOWN, UNKNOWN),
        ([MIT, ("a.c", f"MIT AND {UNKNOWN}", "file")], f"{UNKNOWN} AND MIT", f"{UNKNOWN} AND MIT"),
        # what states no terms leaves the word to the next
        ([GPL, ("a.c", NO_TERMS, "file")], "GPL-2.0-only", "GPL-2.0-only"),
        ([GPL, ("lib/LICENSE", NO_TERMS, "directory"), ("lib/a.c", None, None)], "GPL-2.0-only", "GPL-2.0-only"),
    ],
)
def test_strictest_and_nearest(rows: list, strictest: str, nearest: str) -> None:
    path = rows[-1][0]
    by_strictest, by_nearest = (resolve(*rows, scope=scope)[path] for scope in ("strictest", "nearest"))
    assert (by_strictest["license"], by_strictest["license_other_scope"]) == (strictest, nearest)
    assert (by_nearest["license"], by_nearest["license_other_scope"]) == (nearest, strictest)
    assert by_strictest["license_evidence"] == by_nearest["license_evidence"]


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
def test_a_licence_that_is_only_mentioned_frees_nobody(scope: str) -> None:
    kind = "mention lines 3 score 100:"
    assert resolve(GPL, ("a.c", "MIT", "file"), scope=scope, kind=kind)["a.c"]["license"] == "GPL-2.0-only"
    assert resolve(MIT, ("a.c", "GPL-2.0-only", "file"), scope=scope, kind=kind)["a.c"]["license"] == "GPL-2.0-only"
    assert resolve(("a.c", "MIT", "file"), scope=scope, kind=kind)["a.c"]["license"] == "MIT"


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
def test_a_choice_explains_the_texts_that_it_points_to(scope: str) -> None:
    texts = [("COPYING", "GPL-2.0-only", "directory"), ("LICENSE", "BSD-3-Clause", "directory")]
    choice = "BSD-3-Clause OR GPL-2.0-only"
    assert resolve(*texts, ("lib/a.c", choice, "file"), scope=scope)["lib/a.c"]["license"] == choice
    [*_, folder] = [("lib/LICENSE", choice, "directory"), ("lib/a.c", None, None)]
    assert resolve(*texts, ("lib/LICENSE", choice, "directory"), folder, scope=scope)["lib/a.c"]["license"] == choice


def test_a_choice_explains_no_more_than_all_its_texts() -> None:
    choice = "BSD-3-Clause OR GPL-2.0-only"
    only_gpl = resolve(GPL, ("a.c", choice, "file"))["a.c"]
    assert (only_gpl["license"], only_gpl["license_other_scope"]) == ("GPL-2.0-only", choice)
    texts = [GPL, ("LICENSE", "BSD-3-Clause", "directory"), ("LICENSE.MPL", "MPL-2.0", "directory")]
    assert resolve(*texts, ("a.c", choice, "file"))["a.c"]["license_class"] == "weak-copyleft"


def test_a_choice_further_out_explains_nothing_nearer() -> None:
    rows = [("Cargo.toml", "MIT OR GPL-2.0-only", "package"), ("LICENSE", "MIT", "directory")]
    assert resolve(*rows, ("a.c", "GPL-2.0-only", "file"))["a.c"]["license"] == "GPL-2.0-only"
    rows.append(("x/COPYING", "GPL-2.0-only", "directory"))
    for scope in ("strictest", "nearest"):
        assert resolve(*rows, ("x/a.c", None, None), scope=scope)["x/a.c"]["license"] == "GPL-2.0-only"


@pytest.mark.parametrize("readme", ["README", "README.md", "lib/readme.rst"])
def test_a_readme_tells_that_the_texts_beside_it_are_a_choice(readme: str) -> None:
    folder = readme.rpartition("/")[0]
    gpl, bsd, code = (f"{folder}/{name}".lstrip("/") for name in ("COPYING", "LICENSE", "a.c"))
    texts = [(gpl, "GPL-2.0-only", "directory"), (bsd, "BSD-3-Clause", "directory"), (code, None, None)]

    def license(*rows: tuple) -> str:
        return resolve(*rows, kind="header lines 2 score 100:")[code]["license"]

    assert license(*texts, (readme, "BSD-3-Clause OR GPL-2.0-only", "file")) == "BSD-3-Clause OR GPL-2.0-only"
    assert license(*texts, (readme, "(BSD-3-Clause OR GPL-2.0-only) AND MIT", "file")) == "GPL-2.0-only"
    assert license(*texts, (readme, "BSD-3-Clause", "file")) == "GPL-2.0-only"
    assert license(*texts[::2], (readme, "BSD-3-Clause OR GPL-2.0-only", "file")) == "GPL-2.0-only"
    assert license(*texts, ("docs/README", "BSD-3-Clause OR GPL-2.0-only", "file")) == "GPL-2.0-only"
    assert license((code, None, None), (readme, "BSD-3-Clause OR GPL-2.0-only", "file")) is None


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
@pytest.mark.parametrize("license_file", ["LICENSE", "COPYING", "lib/LICENSE"])
def test_a_licence_file_of_several_parts_is_explained_by_a_word_that_names_one(scope: str, license_file: str) -> None:
    parts = "Apache-2.0 AND BSD-3-Clause AND MPL-2.0"

    def license(own: str | None, listed: str = parts, folder: str | None = None) -> str:
        rows = [(license_file, listed, "directory"), ("lib/x/a.c", own, "file" if own else None)]
        rows += [("lib/x/COPYING", folder, "directory")] if folder else []
        return resolve(*rows, scope=scope, kind="header lines 2 score 100:")["lib/x/a.c"]["license"]

    assert license("Apache-2.0") == "Apache-2.0"
    assert license("MPL-2.0") == "MPL-2.0"
    assert license("BSD-3-Clause AND Apache-2.0") == "Apache-2.0 AND BSD-3-Clause"
    assert license(None, folder="BSD-3-Clause") == "BSD-3-Clause"
    assert license(None) == parts
    assert license("BSD-2-Clause", "BSD-2-Clause AND GPL-2.0-only") == "BSD-2-Clause"
    assert license("GPL-2.0-only", "BSD-2-Clause AND GPL-2.0-only") == "GPL-2.0-only"


def test_a_licence_file_is_no_list_where_its_terms_may_restrict_each_other() -> None:
    for rider in (UNKNOWN, "LicenseRef-scancode-proprietary-license", "LicenseRef-scancode-commons-clause"):
        assert resolve(("LICENSE", f"MIT AND {rider}", "directory"), ("a.c", "MIT", "file"))["a.c"]["license"] != "MIT"
    [manifest, file] = [("package.json", "MIT AND GPL-2.0-only", "package"), ("a.js", "MIT", "file")]
    assert resolve(manifest, file)["a.js"]["license"] == "GPL-2.0-only AND MIT"
    assert resolve(("LICENSE", "MIT AND GPL-2.0-only", "directory"), ("a.c", "ISC", "file"))["a.c"]["license"] != "ISC"
    mention = resolve(("LICENSE", "MIT AND GPL-2.0-only", "directory"), ("a.c", "MIT", "file"), kind="mention lines 2")
    assert mention["a.c"]["license"] == "GPL-2.0-only AND MIT"


def test_a_licence_file_named_after_a_part_frees_no_folder() -> None:
    def license(name: str) -> str:
        rows = [GPL, (f"i18n/{name}", "MIT", "directory"), ("i18n/da.po", None, None)]
        return resolve(*rows, scope="nearest")["i18n/da.po"]["license"]

    assert [license(name) for name in ("polib.LICENSE", "jquery-license.txt")] == ["GPL-2.0-only"] * 2
    assert [license(name) for name in ("LICENSE", "MIT-LICENSE.txt", "COPYING.MIT")] == ["MIT"] * 3
    alone = resolve(("i18n/polib.LICENSE", "MIT", "directory"), ("i18n/da.po", None, None), scope="nearest")
    assert alone["i18n/da.po"]["license"] == "MIT"


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
def test_licences_side_by_side_are_the_choice_that_the_project_offers(scope: str) -> None:
    offer = ("COPYING", "AFL-2.1 OR GPL-2.0-or-later", "directory")

    def license_class(*rows: tuple, joint: bool = False) -> str:
        return resolve(*rows, scope=scope, joint=joint)[rows[-1][0]]["license_class"]

    both = ("lib/a.c", "AFL-2.1 AND GPL-2.0-or-later", "file")
    assert license_class(offer, both) == "permissive"
    assert license_class(("Cargo.toml", "AFL-2.1 OR GPL-2.0-only", "package"), both) == "permissive"
    assert license_class(offer, both, joint=True) == "copyleft"
    assert license_class(offer, ("a.c", "MIT AND GPL-2.0-or-later", "file")) == "copyleft"
    assert license_class(offer, ("a.c", "AFL-2.1 AND GPL-2.0-only AND MIT", "file")) == "copyleft"
    assert license_class(offer, ("a.c", "GPL-2.0-or-later", "file")) == "copyleft"
    assert license_class(("COPYING", "AFL-2.1 AND GPL-2.0-or-later", "directory"), both) == "copyleft"


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
def test_texts_beside_a_list_of_parts_are_those_of_its_parts(scope: str) -> None:
    listing = ("COPYING", "LicenseRef-scancode-public-domain AND LGPL-2.1-or-later AND GPL-2.0-or-later", "directory")
    texts = [("COPYING.GPLv2", "GPL-2.0-only", "directory"), ("COPYING.LGPLv2.1", "LGPL-2.1-only", "directory")]

    def license_class(own: str | None, *rows: tuple) -> str:
        kind = "header lines 2 score 100:"
        return resolve(*rows, ("src/a.c", own, "file" if own else None), scope=scope, kind=kind)["src/a.c"][
            "license_class"
        ]

    free = "LicenseRef-scancode-public-domain"
    assert license_class(free, listing, *texts) == "permissive"
    assert license_class("GPL-2.0-or-later", listing, *texts) == "copyleft"
    assert license_class(None, listing, *texts) == "copyleft"
    if scope == "strictest":
        assert license_class(free, *texts) == "copyleft"
        assert license_class("MIT", listing, *texts) == "copyleft"
        assert license_class(free, listing, ("LICENSE", "GPL-2.0-only", "directory")) == "copyleft"
        assert license_class(free, listing, ("package.json", "GPL-2.0-only", "package")) == "copyleft"
        assert license_class(free, listing, ("COPYING.GPLv3", "GPL-3.0-only", "directory")) == "copyleft"


@pytest.mark.parametrize("scope", ["strictest", "nearest"])
@pytest.mark.parametrize("folder", ["", "lib/"])
@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("COMMONS-CLAUSE.txt", "LicenseRef-scancode-commons-clause"),
        ("ADDITIONAL-TERMS", UNKNOWN),
        ("LICENSE-RESTRICTIONS.md", UNKNOWN),
        ("LICENSE", f"MIT AND {UNKNOWN}"),
        ("LICENSE", "Apache-2.0 AND LicenseRef-scancode-commons-clause"),
    ],
)
def test_what_takes_away_from_a_licence_is_heard_beside_any_header(
    scope: str, folder: str, name: str, terms: str
) -> None:
    rows = [(folder + name, terms, "directory"), ("lib/x/LICENSE", "MIT", "directory"), ("lib/x/a.c", "MIT", "file")]
    for row in (rows, rows[::2]):
        if folder and len(row) == 3:
            continue  # the nearer folder's word has replaced it
        assert resolve(*row, scope=scope)["lib/x/a.c"]["license_class"] in ("unknown", "proprietary")


def test_the_notice_in_what_automake_generates_is_not_about_the_project() -> None:
    for scope in ("strictest", "nearest"):
        made = resolve(GPL, ("Makefile.in", "FSFULLRWD", "file"), scope=scope)["Makefile.in"]
        assert made["license_class"] == "copyleft"
    assert (
        resolve(MIT, ("Makefile.in", "FSFULLRWD", "file"), scope="nearest")["Makefile.in"]["license_class"]
        == "permissive"
    )


@pytest.mark.parametrize(
    ("repo", "path", "is_heard"),
    [
        ("o/hsqldb", "doc/hsqldb_lic.txt", True),
        ("hsqldb_2.7.1.orig", "docs/hsqldb_lic.txt", True),
        ("o/tool-2.0", "doc/Tool-LICENSE.txt", True),
        ("o/hsqldb", "doc/hypersonic_lic.txt", False),
        ("o/hsqldb", "doc/lic.txt", False),
        ("o/hsqldb", "lib/hsqldb_lic.txt", False),
        ("o/hsqldb", "doc/LICENSE", False),
    ],
)
def test_a_licence_in_doc_named_after_the_project_is_the_projects(repo: str, path: str, is_heard: bool) -> None:
    assert license_scope(path) == ("file" if path.endswith("/lic.txt") else "directory")
    rows = [(path, "BSD-3-Clause", license_scope(path)), ("src/x/a.java", None, None)]
    found = resolve(*rows, repo=repo)["src/x/a.java"]["license"]
    assert found == ("BSD-3-Clause" if is_heard else None)
    gpl = resolve(*rows, ("src/x/b.java", "GPL-2.0-only", "file"), repo=repo)["src/x/b.java"]
    assert gpl["license"] == "GPL-2.0-only"
