"""Copyright statements in headers and licence files: whom they name.

The words that may begin a statement are found by RE2; the few lines that hold them are read with patterns that were
tried on the headers and licence files of some 400 Python packages. Their repeats are bounded, so that no hostile line
takes long.
"""

import re
from collections.abc import Iterator

import re2

LONGEST_STATEMENT = 300  # bytes from the copyright sign on
LONGEST_NAME = 200

_YEAR = r"(?:19|20)\d[\dx]"
_SIGN = r"(?:\(c\)|©|&copy;)"
# A tag, a sign or a year makes a statement; the bare word does so only at a line's start, before a capital letter,
# or a letter of a script that has none.
_STATEMENT = re2.compile(
    (
        r"SPDX-(?:File|Snippet)CopyrightText:"
        rf"|(?i:copyright[ \t:,]*{_SIGN}|{_SIGN}[ \t]*copyright)"
        rf"|(?i:copyright[ \t:,]*|\(c\)[ \t]*){_YEAR}"
        r"|©|&copy;"
        r"|(?m:^)[^\w\n]{0,20}(?:Copyright|COPYRIGHT)[ \t:]+(?:by[ \t]+)?[\p{Lu}\p{Lo}]"
    ).encode()
)
_OPENING = re.compile(rf"\W{{0,9}}(?:(?:SPDX-\w+:|copyright\b|{_SIGN})[\s:,]*)+", re.I)
_REST = re.compile(
    r"[\s,;|(-]{0,9}(?:\ball rights?\b|\b(?:licensed|released|distributed|published|provided) under\b"
    r"|\b(?:new |the )?(?:apache|bsd|l?gpl|mit)\b[^,;]*\blicen[cs]e|\bsee (?:the )?(?:licen[cs]e|copying|authors|file)"
    r"|\buse of this|\bsubject to|\bthis (?:file|program|software|code)|\bpermission |\bSPDX-|\bcopyright\b"
    rf"|\(c\)\s*{_YEAR}|©|\*/|-->|</|<br|[\\\"`]|',|\s\|\s).*",
    re.I | re.S,
)
_PLACEHOLDER = re.compile(
    r"[<\[{](?:yyyy|19yy|years?|(?:full|your|project|the )?\s*name|full|your|owner|authors?|copyright|dates?|holder|"
    r"organi[sz]ation|company|insert|project|software)\b"
    r"|\byyyy\b|\b19yy\b|name of (?:the )?(?:author|copyright|holder|owner)|\byour name\b|\{\{|\$\{|%[sd({]|\{\w*\}",
    re.I,
)
_ADDRESS = re.compile(
    r"<[A-Z_]+>"  # what redaction left of one
    r"|[<(]?\bhttps?:[^\s>)]*[>)]?"
    r"|[<(\[]?[^\s<>()\[\]]*@[^\s<>()\[\]]*[>)\]]?"
    r"|[<(\[]?\b[\w.+-]{1,64}?[\s_({\[<-]{1,3}at[\s_)}\]>-]{1,3}"
    r"[^\W_](?:-?[^\W_]){0,62}(?:(?:\.|[\s_({\[<-]{1,3}dot[\s_)}\]>-]{1,3})[^\W_](?:-?[^\W_]){0,62}){1,5}[>)\]]?",
    re.I,
)
_YEARS = re.compile(
    rf"[\s,(]{{0,9}}\b{_YEAR}\b(?:\s*(?:[-\u2013\u2014,&]|to|and)\s*(?:{_YEAR}|\d\d|present|now)\b)*[\s,)]*"
)
_BEFORE = re.compile(r"(?:[^\w(]|(?:present|now|today|onwards?|by|and|to)\b)+", re.I)
_BEHIND = re.compile(
    r"(?:[\s,;.(]{1,9}(?:and|or|is|are|it|all|to|from|derived|licensed|present|now)){1,9}[\s.,]{0,9}$", re.I
)
_FULL_STOP = re.compile(r"(?<=[^\W\d_]{5})\.$")  # and not that of Inc., Ltd., Corp., S.A.
_NOBODY = re.compile(
    r"(?:notices?|licen[cs]es?|licen[cs]ing|holders?|owners?|laws?|statements?|acts?|information|infos?|dates?|years?|"
    r"protection|infringement|interests?|assignments?|policy|symbol|signs?|messages?|strings?|lines?|headers?|rights?|"
    r"or|in|of|on|is|are|for|from|that|this|which|may|must|shall|as|if|it|its|you|see|below|above|applies|disclaimer|"
    r"comments?|text|file|files|management|claims?|agreement|section|statute|treat\w+|terms?|permission)\b",
    re.I,
)
_LICENSE_TEXT = re.compile(rb"Everyone is (?:permitted|allowed) to (?:copy and )?distribute verbatim")


def copyright_holders(text: bytes) -> Iterator[str]:
    """The holders that the copyright statements of a UTF-8 text name, in order, one as often as it is named.

    Names come without years, e-mail and web addresses. Passed over are templates such as `Copyright (C) <year> <name of
    author>`, words about copyright, and the copyright of a licence's own text, which `Everyone is permitted to copy and
    distribute verbatim copies of this license document` follows.
    """
    for match in _STATEMENT.finditer(text):
        end = text.find(b"\n", match.end())
        end = len(text) if end < 0 else end
        statement = text[match.start() : min(end, match.start() + LONGEST_STATEMENT + 1)]
        if len(statement) > LONGEST_STATEMENT:  # at a blank, so that no half address is left
            statement = statement[:LONGEST_STATEMENT].rpartition(b" ")[0]
        holder = _holder(statement.decode("utf-8", "ignore"))
        if holder and not _is_license_text(text, end):
            yield holder


def _holder(statement: str) -> str | None:
    """Whom a line from its copyright sign on names; None where nobody."""
    stated = _OPENING.sub("", statement, count=1).lstrip("\"'` ")
    stated = _REST.sub("", stated, count=1)
    if _PLACEHOLDER.search(stated):
        return None
    stated = "".join(char if char.isprintable() else " " for char in _ADDRESS.sub(" ", stated))
    name = _YEARS.sub(", ", stated).replace("(c)", " ").replace(" ,", ",")
    before = _BEFORE.match(name)
    name = " ".join(name[before.end() if before else 0 :].split())
    name = _BEHIND.sub("", name).strip(" ,;:|*#/'<>{}[]=+-\u2013\u2014")
    name = _FULL_STOP.sub("", name.removesuffix(" .").removesuffix("]"))[:LONGEST_NAME].rstrip(" ,(")
    if sum(map(str.isalpha, name)) < 2 or _NOBODY.match(name):
        return None
    return name


def _is_license_text(text: bytes, end: int) -> bool:
    """Whether a statement that ends here belongs to the licence's own text, as at the top of the GPL."""
    found = _LICENSE_TEXT.search(text, end, end + 300)
    return found is not None and b"opyright" not in text[end : found.start()]
