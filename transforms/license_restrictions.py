"""Conditions written into a permissive licence, as "for non-commercial purposes only" into the MIT licence.

Matching texts tells which licence a text is most like, and a few words more hardly change the likeness. So the words
that forbid a use are looked for by themselves. Those that stand in the texts of the licences found ("any purpose,
commercial or non-commercial" in the Unlicense) are theirs; any other makes the terms unknown.
"""

import re
from bisect import bisect_right
from functools import lru_cache
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path

from transforms.license_class import find_license, license_names

_FREE = r"(?!\s+(?:\w+\s+)?(?:cost|charge|fee|royalt))"  # "for commercial purposes at absolutely no cost"
_NO = rf"\b(?:not|nor|no{_FREE}|never|prohibit\w*|forbid\w*|forbidden)\b"
_NEAR = r"[^.;:]{0,80}?"
_RESTRICTION = re.compile(
    rf"non-? ?commercial(?:ly)?\b"
    rf"|{_NO}{_NEAR}\bcommercial(?:ly)?\b"
    rf"|\bcommercial (?:use|usage|purposes?|exploitation|(?:re)?distribution){_NEAR}{_NO}"
    rf"|\b(?:research|academic|educational|evaluation|personal|private|teaching)\b[^.;:]{{0,40}}?\bonly\b"
    rf"|\bonly for (?:\w+ ){{0,2}}(?:research|academic|educational|evaluation|personal|private|teaching)\b"
    rf"|{_NO}{_NEAR}\b(?:military|weapons?|machine learning|artificial intelligence|train(?:ing)? \w+ models?)\b"
    rf"|\b(?:military|weapons?|machine learning|artificial intelligence)\b{_NEAR}{_NO}"
    rf"|{_NO}[^.;:]{{0,30}}?\b(?:sell|sold|resell|resold)\b"
    rf"|\b(?:may|must|can|shall) ?not be used by\b"
    rf"|\bexcept\b{_NEAR}\b(?:proprietary|confidential|not (?:licensed|covered|free))\b"
)
_HINT = re.compile(
    r"commercial|\bonly\b|be used by\b|\bexcept\b|military|weapon|machine learning|artificial int|\btrain"
    r"|\b(?:re-?)?s[eo]l[ld]\b"
)
_HARMLESS = re.compile(
    r"(?:commercial(?:ly)?|profit)(?: \w+)?,? (?:and|or|and/or|as well as|&) non-? ?commercial(?:ly)?"
    r"|non-? ?commercial(?:ly)?(?: \w+)?,? (?:and|or|and/or|as well as|&) (?:for )?commercial(?:ly)?"
)
_DECORATION = " \t\r#*/;!-%<>\"'|"


@lru_cache(maxsize=4096)
def find_restriction(text: str, expression: str) -> tuple[int, str] | None:
    """Line (from 1) and words of the first condition in a text that the licences of an SPDX expression do not state."""
    lines = [line.strip(_DECORATION).lower() + " " for line in text.split("\n")]
    joined = "".join(lines)
    if not _HINT.search(joined):
        return None
    starts = list(accumulate(map(len, lines), initial=0))
    known = " ".join(_own_text(name) for name in sorted(license_names(expression)))
    for found in _RESTRICTION.finditer(_HARMLESS.sub(lambda same: "_" * len(same[0]), joined)):
        words = " ".join(found[0].split())
        if words not in known:
            return bisect_right(starts, found.start()), words
    return None


@lru_cache(maxsize=1024)
def _own_text(name: str) -> str:
    """The text of a licence or exception as scancode's database has it, its words in lower case."""
    license = find_license(name)
    package = find_spec("licensedcode")
    if license is None or package is None or not package.submodule_search_locations:
        return ""
    file = Path(package.submodule_search_locations[0], "data", "licenses", f"{license.key}.LICENSE")
    text = file.read_text(encoding="utf-8").split("\n---\n", 1)[-1]
    return " ".join(" ".join(line.strip(_DECORATION) for line in text.lower().split("\n")).split())
