"""`license.scope`: the strictest of what a file, its folder and its repository say, or the nearest word."""

import pytest

from tests.test_license import resolve

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
