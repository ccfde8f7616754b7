"""Licences are not laundered: planted repositories through `codesieve run`, asked by `codesieve why`."""

from pathlib import Path

import pytest

from tests.command_line import curated, explained, ledger, named
from tests.corpora import GPL_HEADER, MIT, license_text, stdlib, tar_gz

NON_COMMERCIAL = "\nThe Software may not be used for commercial purposes.\n"
GPL_MINIFIED = "/*! " + " ".join(GPL_HEADER.replace("# ", "").split()) + " */ var a=1;function b(c){return c*a}\n"


def renamed(text: str) -> str:
    """A copy in disguise: without its first comment lines, tabs for spaces, a few names changed, other line ends."""
    text = text.replace("    ", "\t").replace("whitespace", "blank_space").replace("fix_sentence_endings", "fix_ends")
    return text.replace("\n", "\r\n")


CORPUS = {
    "gnu/free": {"COPYING": license_text("gpl-3.0"), "sched.py": stdlib("sched"), "wrap.py": stdlib("textwrap")},
    "mit/whole": {"LICENSE": MIT, "shelf.py": GPL_HEADER + stdlib("shelve"), "own.py": stdlib("bisect")},
    "mit/stripped": {"LICENSE": MIT, "shelf.py": stdlib("shelve")},
    "mit/reformatted": {"LICENSE": MIT, "wrap.py": renamed(stdlib("textwrap"))},
    "mit/decorated": {
        "LICENSE": MIT,
        "box.c": "/" + "*" * 76 + "\n" + GPL_HEADER.replace("# ", " ** ") + " " + "*" * 76 + "/\nint main(void);\n",
        "short.min.js": GPL_MINIFIED,
    },
    "mit/vendoring": {
        "LICENSE": MIT,
        "own.py": stdlib("cmd"),
        "vendor/lib/COPYING": license_text("gpl-2.0"),
        "vendor/lib/deep/in.py": stdlib("chunk"),
        "vendor/closed/LICENSE": "Copyright 2020 Example Corp. All rights reserved.\n",
        "vendor/closed/in.py": stdlib("sndhdr"),
        "vendor/modules.txt": "# example.org/lib v1.0.0\n## explicit\nexample.org/lib\n",
        "go.mod": "module example.org/vendoring\n",
    },
    "mit/same": {"LICENSE": MIT, "sched.py": stdlib("sched")},
    "two/dual": {
        "either.py": "# SPDX-License-Identifier: MIT OR GPL-2.0-only\n" + stdlib("code"),
        "both.py": "# SPDX-License-Identifier: MIT AND GPL-2.0-only\n" + stdlib("codeop"),
    },
    "rust/choice": {
        "Cargo.toml": '[package]\nname = "choice"\nlicense = "MIT OR GPL-2.0-only"\n',
        "LICENSE-MIT": MIT,
        "LICENSE-GPL": license_text("gpl-2.0"),
        "lib.py": stdlib("colorsys"),
    },
    "altered/words": {"LICENSE": MIT.replace("obtaining a copy", "who gets a copy"), "a.py": stdlib("copy")},
    "altered/meaning": {"LICENSE": MIT + NON_COMMERCIAL, "a.py": stdlib("csv")},
    "altered/header": {"a.py": f'"""\n{MIT}{NON_COMMERCIAL}"""\n' + stdlib("dis")},
    "closed/custom": {
        "LICENSE": "You may look at this code. For all else ask the author, who may say no.\n",
        "package.json": '{"name": "custom", "license": "MIT"}',
        "a.py": stdlib("filecmp"),
    },
    "mit/twin": {"LICENSE": MIT, "a.py": stdlib("fileinput")},
    "nobody/twin": {"a.py": stdlib("fileinput")},
    "lesser/three": {
        "COPYING": license_text("gpl-3.0"),
        "COPYING.LESSER": license_text("lgpl-3.0"),
        "a.py": stdlib("fnmatch"),
    },
    "lesser/gcc": {
        "COPYING3": license_text("gpl-3.0"),
        "COPYING3.LIB": license_text("lgpl-3.0"),
        "a.py": stdlib("fractions"),
    },
    "reuse/toml": {
        "REUSE.toml": 'version = 1\n\n[[annotations]]\npath = "src/**"\nSPDX-License-Identifier = "MIT"\n\n'
        '[[annotations]]\npath = "src/gpl/*.py"\nSPDX-License-Identifier = "GPL-3.0-or-later"\n',
        "LICENSES/MIT.txt": MIT,
        "LICENSES/GPL-3.0-or-later.txt": license_text("gpl-3.0"),
        "src/free.py": stdlib("getopt"),
        "src/gpl/a.py": stdlib("getpass"),
        "side.py": stdlib("gettext"),
        "side.py.license": "SPDX-FileCopyrightText: 2020 Ada Example\nSPDX-License-Identifier: MPL-2.0\n",
        "tagged.py": "# SPDX-License-Identifier: MIT\n" + stdlib("glob"),
        "nowhere.py": stdlib("graphlib"),
    },
    "debian/package": {
        "debian/copyright": "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n"
        "Files: *\nCopyright: 2020 Ada Example\nLicense: Expat\n\n"
        "Files: contrib/*\n  tools/?.py\nCopyright: 2020 Ada Example\nLicense: GPL-2+\n See common-licenses.\n\n"
        "License: Expat\n The text.\n",
        "main.py": stdlib("imghdr"),
        "contrib/deep/a.py": stdlib("linecache"),
        "tools/a.py": stdlib("mailcap"),
    },
}

EXPECTED = {
    "gnu/free/sched.py": ("GPL-3.0-only", "copyleft", "COPYING: license-file lines 1-674 score 100: GPL-3.0-only"),
    "mit/whole/shelf.py": ("GPL-2.0-or-later", "copyleft", "shelf.py: header lines 1-4 score 100: GPL-2.0-or-later"),
    "mit/whole/own.py": ("MIT", "permissive", "LICENSE: license-file lines 1-21 score 100: MIT"),
    "mit/stripped/shelf.py": ("GPL-2.0-or-later", "copyleft", "near copy (*): mit/whole/shelf.py GPL-2.0-or-later"),
    "mit/reformatted/wrap.py": ("GPL-3.0-only", "copyleft", "near copy (*): gnu/free/wrap.py GPL-3.0-only"),
    "mit/decorated/box.c": ("GPL-2.0-or-later", "copyleft", "box.c: header lines 2-5 score 100: GPL-2.0-or-later"),
    "mit/decorated/short.min.js": (
        "GPL-2.0-or-later",
        "copyleft",
        "short.min.js: header lines 1 score 100: GPL-2.0-or-later",
    ),
    "mit/vendoring/own.py": ("MIT", "permissive", "LICENSE: license-file lines 1-21 score 100: MIT"),
    "mit/vendoring/vendor/lib/deep/in.py": (
        "GPL-2.0-only",
        "copyleft",
        "vendor/lib/COPYING: license-file lines 1-339 score 100: GPL-2.0-only",
    ),
    "mit/vendoring/vendor/closed/in.py": (
        "LicenseRef-scancode-unknown",
        "unknown",
        "vendor/closed/LICENSE: license-file lines 1 score 0: LicenseRef-scancode-unknown",
    ),
    "mit/same/sched.py": ("GPL-3.0-only", "copyleft", "copy: gnu/free/sched.py GPL-3.0-only"),
    "two/dual/either.py": (
        "GPL-2.0-only OR MIT",
        "permissive",
        "either.py: spdx-tag lines 1 score 100: MIT OR GPL-2.0-only",
    ),
    "two/dual/both.py": (
        "GPL-2.0-only AND MIT",
        "copyleft",
        "both.py: spdx-tag lines 1 score 100: MIT AND GPL-2.0-only",
    ),
    "rust/choice/lib.py": (
        "GPL-2.0-only OR MIT",
        "permissive",
        "Cargo.toml: package-metadata package.license score 100: GPL-2.0-only OR MIT",
    ),
    "altered/words/a.py": ("MIT", "permissive", "LICENSE: license-file lines 1-21 score *: MIT"),
    "altered/meaning/a.py": (
        "LicenseRef-scancode-unknown AND MIT",
        "unknown",
        "LICENSE: license-file lines 1-21 score 100, restricted in line 23 "
        '("not be used for commercial"): MIT AND LicenseRef-scancode-unknown',
    ),
    "altered/header/a.py": (
        "LicenseRef-scancode-unknown AND MIT",
        "unknown",
        'a.py: header lines 2-22 score 100, restricted in line 24 ("not be used for commercial"): '
        "MIT AND LicenseRef-scancode-unknown",
    ),
    "closed/custom/a.py": (
        "LicenseRef-scancode-unknown",
        "unknown",
        "LICENSE: license-file lines 1 score 0: LicenseRef-scancode-unknown",
    ),
    "mit/twin/a.py": ("MIT", "permissive", "LICENSE: license-file lines 1-21 score 100: MIT"),
    "nobody/twin/a.py": (None, "unknown", None),
    "lesser/three/a.py": (
        "LGPL-3.0-only",
        "weak-copyleft",
        "COPYING.LESSER: license-file lines 1-165 score 100: LGPL-3.0-only",
    ),
    "lesser/gcc/a.py": ("GPL-3.0-only", "copyleft", "COPYING3: license-file lines 1-674 score 100: GPL-3.0-only"),
    "reuse/toml/src/free.py": ("MIT", "permissive", "REUSE.toml: reuse annotation 1 src/** score 100: MIT"),
    "reuse/toml/src/gpl/a.py": (
        "GPL-3.0-or-later",
        "copyleft",
        "REUSE.toml: reuse annotation 2 src/gpl/*.py score 100: GPL-3.0-or-later",
    ),
    "reuse/toml/side.py": ("MPL-2.0", "weak-copyleft", "side.py.license: spdx-tag lines 2 score 100: MPL-2.0"),
    "reuse/toml/tagged.py": ("MIT", "permissive", "tagged.py: spdx-tag lines 1 score 100: MIT"),
    "reuse/toml/nowhere.py": (
        "GPL-3.0-only",
        "copyleft",
        "LICENSES/GPL-3.0-or-later.txt: license-file lines 1-674 score 100: GPL-3.0-only",
    ),
    "debian/package/main.py": ("MIT", "permissive", "debian/copyright: debian-copyright line 3 * score *: MIT"),
    "debian/package/contrib/deep/a.py": (
        "GPL-2.0-or-later",
        "copyleft",
        "debian/copyright: debian-copyright line 7 contrib/* tools/?.py score 100: GPL-2.0-or-later",
    ),
    "debian/package/tools/a.py": (
        "GPL-2.0-or-later",
        "copyleft",
        "debian/copyright: debian-copyright line 7 contrib/* tools/?.py score 100: GPL-2.0-or-later",
    ),
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("promise")
    for repo, files in CORPUS.items():
        tar_gz(folder / "dumps" / f"{repo}.tar.gz", files, top="top/")
    blocks = {
        "license": {"enabled": True, "keep": ["permissive"]},
        "dedup": {name: {"enabled": True} for name in ("exact", "near")},
        "languages": {"keep": "programming"},
    }
    return curated(folder, [{"kind": "archive", "uri": f"{folder}/dumps/**/*"}], blocks)


@pytest.mark.parametrize("file", EXPECTED)
def test_licences_are_not_laundered(out: Path, file: str) -> None:
    expression, license_class, evidence = EXPECTED[file]
    [row] = [row for row in ledger(out) if named(row) == file]
    told = explained(out, file)
    assert row["license"] == expression
    assert told["license"] == [f"{expression or 'none known'} ({license_class})"]
    is_kept = license_class == "permissive"
    assert (row["decision"], row["reason"]) == (("kept", None) if is_kept else ("dropped", f"license.{license_class}"))
    if evidence is None:
        assert "evidence" not in told
        return
    before, _, behind = evidence.partition("(*)" if "(*)" in evidence else "score *")
    assert any(line.startswith(before) and line.endswith(behind) for line in told["evidence"]), told["evidence"]


def test_what_is_no_reason_to_keep_is_told_too(out: Path) -> None:
    told = explained(out, "closed/custom/a.py")
    assert "package.json: package-metadata license score 100: MIT" in told["evidence"]
    told = explained(out, "mit/same/sched.py")
    assert told["evidence"][0] == "LICENSE: license-file lines 1-21 score 100: MIT"
