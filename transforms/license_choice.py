"""Choices among licences that a text leaves to its reader, in its own words.

"Licensed under either the MIT license or the GPL", "dual-licensed under X and Y", "X and Y. You may select whichever
you prefer", "X. Alternatively, this file may be used under Y": each names licences of which one is enough. "X and Y
apply" is no choice, nor is the GPL's "either version 2 of the License, or (at your option) any later version".
"""

import re
from collections.abc import Sequence
from typing import NamedTuple

_LONGEST_BETWEEN = 300  # characters from one licence of a list to the next
_LONGEST_NOTICE = (
    300  # characters; what is longer is a licence's text, whose own words of choice are about other things
)

_HINT = re.compile(
    r"licen[cs]|either|whichever|choice|choos|select|elect|pick|option|one of|instead|alternativ|\bor\b",
    re.I,
)
_NO_CHOICE = re.compile(  # words of choice that are about something else
    r"either\s+(?:version|v\.?\s?\d)"
    r"|either\s+express(?:ed)?,?\s+or\s+implied|express(?:ed)?\s+or\s+implied"
    r"|\(?\s*,?\s*at\s+your\s+(?:own\s+)?(?:option|choice|discretion)\s*,?\s*\)?\s*,?\s*(?:or\s+)?(?:any|a)\s+(?:later|newer|higher)"
    r"|\bor\s*,?\s*\(?\s*at\s+your\s+(?:option|choice)\s*\)?\s*,?\s*(?:any|a)\s+(?:later|newer|higher)"
    r"|\bor\s+(?:any\s+|a\s+)?(?:later|newer|higher|above|greater)\b",
    re.I,
)
_OFFER = re.compile(
    r"\b(?:dual|double|tri|triple|multi|multiple|multiply)[-\s]?licen[cs]\w*|\beither\b|\bwhichever\b"
    r"|\b(?:a|your|the|his|her|their)\s+choice\b|\bchoices?\s+of\b|\b(?:at|by|of|on)\s+(?:your|the|his|her|their|one's)\s+(?:\w+(?:'s?)?\s+)?"
    r"(?:option|choice|discretion|election)"
    r"|\b(?:may|can|could|to|must|free|please|and|should|you)\s+(?:freely\s+)?(?:choose|select|pick|elect|opt)\b"
    r"|(?:^|[.:;]\s+)(?:choose|select|pick|take)\b"
    r"|\bone\s+(?:\w+\s+)?(?:of\s+)?(?:the|these|those|two|three|several)\s+(?:\w+\s+){0,2}licen[cs]es|\bone\s+or\s+the\s+other\b|\binstead\s+of\b"
    r"|\balternativ\w+",
    re.I,
)
_OF_LICENSES = re.compile(r"licen[cs]e|\bterms\b|\bwhich\s+one\b|\bwhichever\b|\bof\s+(?:these|those)\s+two\b", re.I)
_LISTS = re.compile(r"\bfollowing\b|\bbelow\b|licen[cs]es\b", re.I)
_ALTERNATIVELY = re.compile(r"\balternatively\b", re.I)
_OR = re.compile(r"(?<![\w-])or(?![\w-])|(?<=\w)/(?=\w)", re.I)
_AND = re.compile(r"(?<![\w-])and(?![\w/-])|&", re.I)
_BOTH_HOLD = re.compile(
    r"\b(?:both|all)\b[^.]{0,100}\bappl(?:y|ies)\b|\bcomply\s+with\s+(?:both|all|each)\b|\b(?:subject|according)\s+to\s+(?:both|all)\b"
    r"|\bcumulativ|\bas\s+well\s+as\b|\bin\s+addition\s+to\b|\bmust\s+(?:also\s+)?(?:comply|honou?r|follow|satisfy|meet)\b"
    r"|\bsimultaneously\b|\bnot\s+(?:\w+\s+){0,3}(?:either|choose|select)\b",
    re.I,
)
_PARTS = re.compile(  # what follows is about something else
    r"\b(?:parts?|portions?|sections?|components?|tools?|programs?|functions?|examples?|tests?|icons?|images?|fonts?|documentation"
    r"|others?\s+(?:files?|parts?|code)|remaining|remainder|rest|except\w*|but|while|whereas|contains?|includes?|incorporates?"
    r"|(?:is|are|was|were)\s+(?:also\s+)?(?:licen[cs]ed|under|released|distributed|covered|governed|available|provided))\b",
    re.I,
)
_SENTENCE_END = re.compile(
    r"[.!;][\"')\]]*\s+(?=[\"'(\[]?[A-Z])"
    r"|(?<![:,])(?<!\bor)(?<!\band)(?<!either)[^\S\n]*\n\s*\n(?!\s*(?:or|and)\b|\s*[-*•]\s|\s*\(?\w[.)]\s)"
    r"|[-=_*#~]{4,}"
)


_OF_PARTS = re.compile(  # a header whose licences are for parts of the file, or come along with what it was made from
    r"\b(?:parts?|portions?|sections?|components?|pieces|functions?|routines|algorithms?|remaining|remainder|rest)\b"
    r"|\b(?:based|derived|taken|adapted|borrowed|copied)\s+(?:up)?(?:on|from)\b|\boriginal(?:ly)?\b|\bincorporat|\bcontains?\b",
    re.I,
)


class Run(NamedTuple):
    """Licences named one after the other in one list: the first and last of them, and whether one is enough."""

    first: int
    last: int
    is_choice: bool


def find_runs(text: str, places: Sequence[tuple[int, int]]) -> list[Run]:
    """The lists that licences at these places of a text stand in; places are (begin, end), sorted by begin."""
    if len(places) < 2 or not _HINT.search(text):
        return []
    plain = _NO_CHOICE.sub(lambda found: "_" * len(found[0]), text)
    runs: list[Run] = []
    first, reach = 0, places[0][1]
    for number, (begin, end) in enumerate([*places[1:], (len(text), len(text))], 1):
        if number == len(places) or not _is_joined(plain[reach:begin]):
            if number - first > 1:
                runs.append(Run(first, number - 1, _is_choice(plain, places[first:number])))
            first = number
        reach = max(reach, end) if first < number else end
    return runs


def may_hold_together(text: str) -> bool:
    """Whether the licences of a header may be meant to hold together, or each for a part, by its own words."""
    plain = " ".join(text.replace("*", " ").replace("#", " ").split())
    return bool(_BOTH_HOLD.search(plain) or _OF_PARTS.search(plain))


def _is_joined(between: str) -> bool:
    """Whether what stands between two licences makes them one list."""
    if len(between) > _LONGEST_BETWEEN:
        return False
    alternative = _ALTERNATIVELY.search(between)
    if alternative:
        return True
    return not _SENTENCE_END.search(between) and not _PARTS.search(between)


def _is_choice(text: str, places: Sequence[tuple[int, int]]) -> bool:
    """Whether one of the licences of a list is enough, by the list and by the sentences around it."""
    first, last = places[0][0], max(end for _, end in places)
    ends = [found.end() for found in _SENTENCE_END.finditer(text)]
    begin = max((end for end in ends if end <= first), default=0)
    before = max((end for end in ends if end < begin), default=0)
    end = min((end for end in ends if end >= last), default=len(text))
    behind = min((found for found in ends if found > end), default=len(text))
    sentence, following = _without_texts(text, places, begin, end), text[end:behind]
    if _BOTH_HOLD.search(sentence) or _BOTH_HOLD.search(following):
        return False
    if _OFFER.search(sentence):
        return True
    if _OFFER.search(following) and _OF_LICENSES.search(following):
        return True
    if _OFFER.search(text[before:begin]) and _LISTS.search(text[before:begin]):
        return True
    joints, reach = [], places[0][1]
    for start, stop in places[1:]:
        joints.append(text[reach:start])
        reach = max(reach, stop)
    return any(map(_OR.search, joints)) and not any(map(_AND.search, joints))


def _without_texts(text: str, places: Sequence[tuple[int, int]], begin: int, end: int) -> str:
    """`text[begin:end]` without the licences of the list that are too long to be words of it."""
    pieces = []
    for start, stop in places:
        if stop - start > _LONGEST_NOTICE and stop > begin:
            pieces.append(text[begin : max(begin, start)])
            begin = stop
    return "\n".join([*pieces, text[begin:end]])
