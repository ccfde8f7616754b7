"""Licences that a text leaves to its reader are a choice, in whatever words; all others are duties."""

import pyarrow as pa
import pytest

from tests.corpora import license_text
from transforms.license import LicenseScan, license_class
from transforms.license_restrictions import find_restriction

CHOICES = {
    "This file is licensed under both the BSD-style license, which is in the LICENSE\n"
    "file of the root directory, and the GPLv2, which is in the COPYING file of the\n"
    "root directory. You may select whichever of these two licenses you prefer.": "BSD-3-Clause OR GPL-2.0-only",
    "This code is licensed under both the BSD-style license (found in the LICENSE file)\n"
    "and the GPLv2 (found in the COPYING file). At your option, you may pick\n"
    "one of the above-listed licenses.": "BSD-3-Clause OR GPL-2.0-only",
    "This source code is licensed under either the MIT license or the GNU General\n"
    "Public License, version 2.": "MIT OR GPL-2.0-only",
    "Dual-licensed under the MIT license and the GPL version 3.": "MIT OR GPL-3.0-only",
    "This is free software: it is dual-licensed (MIT/GPLv2).": "MIT OR GPL-2.0-only",
    "The code is tri-licensed under the MPL 1.1, the GPL 2.0 and the LGPL 2.1.": (
        "MPL-1.1 OR GPL-2.0-only OR LGPL-2.1-only"
    ),
    "You can use this software under the terms of the Apache License, Version 2.0 or\n"
    "the GNU General Public License version 2, at your option.": "Apache-2.0 OR GPL-2.0-only",
    "The contents of this file may be used under the terms of either the BSD 2-Clause\n"
    "License or the GNU General Public License version 2.": "BSD-2-Clause OR GPL-2.0-only",
    "This work is available under two licenses: the MIT License and the GNU General\n"
    "Public License version 3. You may choose which one you accept.": "MIT OR GPL-3.0-only",
    "You may use this file under the terms of the ISC license, or, alternatively,\n"
    "under the GPL version 2 or later.": "ISC OR GPL-2.0-or-later",
    "It is distributed, at your choice, under the MIT license or under the GNU GPL v3.": "MIT OR GPL-3.0-only",
    "Licensed under your choice of the BSD 3-Clause license or the GPL-2.0.": "BSD-3-Clause OR GPL-2.0-only",
    "You may redistribute it under the BSD license and/or the GNU General Public\n"
    "License version 2 or any later version.": "BSD-3-Clause OR GPL-2.0-or-later",
    "One may take this file either under the terms of the zlib license or of the GNU\n"
    "General Public License version 2 only.": "Zlib OR GPL-2.0-only",
    "Users may elect to receive this file under the MIT License instead of the GPL version 2.": "MIT OR GPL-2.0-only",
}
DUTIES = {
    "This file is under the MIT license. Parts of it are under the GNU General Public License version 2.": "copyleft",
    "Both the MIT license and the GNU General Public License version 2 apply to this file.": "copyleft",
    "This file is licensed under the MIT license and the GPLv3. You must comply with both.": "copyleft",
    "Licensed under the MIT License.\nThe function at the end is licensed under the GNU General\n"
    "Public License version 2 or (at your option) any later version.": "copyleft",
    "This program is free software; you can redistribute it and/or modify it under the terms of the\n"
    "GNU General Public License as published by the Free Software Foundation; either version 2 of the\n"
    "License, or (at your option) any later version. It contains code under the MIT license.": "copyleft",
    "Library code is licensed under the MIT license, the tools are licensed under the GPLv2.\n"
    "You may choose to install only one of them.": "copyleft",
    "Licensed under the GPL version 2. Some icons are licensed under either MIT or BSD licenses, at\n"
    "your option.": "copyleft",
    "Licensed under the LGPL 2.1 and the Apache License, Version 2.0.": "weak-copyleft",
}


@pytest.fixture(scope="module")
def scan():
    function = LicenseScan().load()

    def scan_one(path: str, text: str) -> dict:
        [row] = function(pa.record_batch({"path": [path], "content": [text]})).to_pylist()
        return row

    return scan_one


def comment(text: str) -> str:
    return "/*\n" + "".join(f" * {line}\n" for line in text.split("\n")) + " */\nint scaled(int x) { return x * 3; }\n"


@pytest.mark.parametrize("text", CHOICES)
def test_a_choice_in_prose(scan, text: str) -> None:
    for path, content in (("a.c", comment(text)), ("a.py", f'"""\n{text}\n"""\n'), ("LICENSE", text + "\n")):
        row = scan(path, content)
        assert row["license_found"] == CHOICES[text]
        assert row["license_granted"] == CHOICES[text]


@pytest.mark.parametrize("text", DUTIES)
def test_what_leaves_no_choice_is_owed(scan, text: str) -> None:
    assert license_class(scan("a.c", comment(text))["license_found"]) == DUTIES[text]
    assert license_class(scan("LICENSE", text + "\n")["license_granted"]) == DUTIES[text]


def test_texts_appended_to_a_choice_are_those_to_choose_from(scan) -> None:
    choice = "The conditions are one or the other of these two licenses: the BSD 3-Clause License or the GPL v2.0.\n"
    texts = [license_text("bsd-new"), license_text("gpl-2.0"), license_text("mpl-2.0")]
    both = scan("LICENSE", "\n----\n\n".join([choice, *texts[:2]]))
    assert license_class(both["license_granted"]) == "permissive"
    third = scan("LICENSE", "\n----\n\n".join([choice, *texts]))
    assert license_class(third["license_granted"]) == "weak-copyleft"


@pytest.mark.parametrize(
    ("text", "is_free"),
    [
        ("It may be used for any purpose, including commercial purposes, at absolutely no cost.", True),
        ("For commercial use there is no charge.", True),
        ("Commercial use is granted, with no royalties asked.", True),
        ("No commercial use.", False),
        ("Commercial use is at no time allowed.", False),
        ("There is no cost, but not for commercial use.", False),
    ],
)
def test_what_costs_nothing_is_not_forbidden(text: str, is_free: bool) -> None:
    assert (find_restriction(f"Copyright 2020\n{text}\n", "MIT") is None) is is_free


@pytest.mark.parametrize("between", ["\n", "\n\n", "\n----------\n\n", "\n\n===\n\nBSD 3-Clause License\n\n"])
@pytest.mark.parametrize(
    "keys", [("apache-2.0", "bsd-new"), ("zlib", "bsd-new"), ("mit", "lgpl-2.1"), ("mit", "gpl-2.0")]
)
def test_texts_one_behind_the_other_are_no_choice(scan, keys: tuple[str, str], between: str) -> None:
    row = scan("LICENSE", between.join(license_text(key) for key in keys))
    assert " OR " not in row["license_found"]


PATENTS = {
    "Opus is subject to the royalty-free patent licenses which are\nspecified at:\n\nXiph.Org Foundation:\n"
    "https://datatracker.ietf.org/ipr/1524/\n\nMicrosoft Corporation:\nhttps://datatracker.ietf.org/ipr/1914/\n\n"
    "Broadcom Corporation:\nhttps://datatracker.ietf.org/ipr/1526/\n": "permissive",
    "THIS IS NOT A GRANT OF PATENT RIGHTS.\n\nGoogle makes no representation or warranty that the codecs for which\n"
    "source code is made available hereunder are unencumbered by\nthird-party patents. Those intending to use this "
    "source code in\nhardware or software products are advised that implementations of\nthese codecs, including in "
    "open source software or shareware, may\nrequire patent licenses from the relevant patent holders.\n": "permissive",
    "This technology is protected by multiple US and International patents.\n"
    "This notice and attribution to IBM may not be removed.\n": "proprietary",
}


@pytest.mark.parametrize("notice", PATENTS)
def test_a_notice_about_patents_alone_takes_nothing_away(scan, notice: str) -> None:
    row = scan("COPYING", f"{license_text('bsd-new')}\n{notice}")
    assert license_class(row["license_granted"]) == PATENTS[notice]


def test_a_name_without_a_version_is_the_version_that_the_text_names(scan) -> None:
    gpl, afl = license_text("gpl-2.0"), license_text("afl-2.1")
    choice = (
        "It is licensed to you under your choice of the Academic Free License\nversion 2.1, or the GNU General Public "
        "License version 2\n(or, at your option any later version).\n"
    )
    row = scan("COPYING", f"{choice}\n{afl}\n--\nSTART OF GNU GENERAL PUBLIC LICENSE\n--\n\n{gpl}")
    assert row["license_granted"] == "AFL-2.1 OR GPL-2.0-or-later"
    instead = (
        "ALTERNATIVELY, this product may be distributed under the terms of the\nGNU General Public License (v2.0 - see "
        "below), in which case the\nprovisions of the GNU GPL are required INSTEAD OF the above restrictions.\n"
    )
    assert scan("License", f"{license_text('bsd-new')}\n{instead}")["license_granted"] == "BSD-3-Clause OR GPL-2.0-only"
    tests = (
        "This is under the MIT license or the GPL version 2, at your option.\n\nThe tests are licensed under the GPL.\n"
    )
    assert license_class(scan("LICENSE", tests)["license_found"]) == "copyleft"


SIDE_BY_SIDE = """Licensed under the Academic Free License version 2.1

This program is free software; you can redistribute it and/or modify
it under the terms of the GNU General Public License as published by
the Free Software Foundation; either version 2 of the License, or
(at your option) any later version.
"""


@pytest.mark.parametrize(
    ("words", "is_joint"),
    [
        ("", False),
        ("Both licenses apply.", True),
        ("You must comply with both of these licenses.", True),
        ("Portions of this file are under the latter.", True),
        ("It is derived from code under the latter.", True),
    ],
)
def test_licences_side_by_side_may_hold_together(scan, words: str, is_joint: bool) -> None:
    row = scan("a.c", comment(SIDE_BY_SIDE + words))
    assert license_class(row["license_found"]) == "copyleft"
    assert row["license_joint"] is is_joint


def test_a_choice_in_prose_is_what_the_file_states(scan) -> None:
    for text in CHOICES:
        kind = scan("a.c", comment(text))["license_evidence"].partition(" ")[0]
        assert kind == "header", text
    assert scan("a.c", comment("See the MIT license or the GPL version 2."))["license_evidence"].startswith("mention ")
