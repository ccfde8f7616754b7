"""What a comment or docstring asks for: its first paragraph as plain text, unless nobody would ask that."""

import re
from itertools import dropwhile, takewhile
from textwrap import dedent

from tree_sitter import Parser

from transforms.dialogue_syntax import parse

MIN_WORDS, MAX_WORDS = 3, 80
"""Of a request. CodeSearchNet drops under three tokens; the other bound keeps essays out of a user's mouth."""
MAX_COMMENT = 4096
"""Characters of a comment that are looked at."""
MIN_LETTERS = 0.7
"""Share of letters among a request's characters other than blanks; rulers, tables, formulas and code have fewer."""
MIN_ASCII = 0.9
"""Share of ASCII among a request's letters: below, it is in a language with other letters, or drawn in them."""
QUOTES = re.compile(r"^[A-Za-z]{0,2}(\"\"\"|'''|\"|')(.*)\1$", re.DOTALL)
MARKERS = re.compile(r"^\s*(?:/\*+!?|\*+/|\*+|//+!?|#+!?)?(?:<\s)?[ \t]?")
RULER = re.compile(r"^[^\w]*$")
BRIEF = re.compile(r"^\s*[@\\](?:brief|short|summary|description|desc)\b\s*|^\s*<p>\s*")
SECTION = re.compile(
    r"^\s*(?:[@\\]\w+|:\w+[^:`]*:(?:\s|$)|>>>|```|#+ |\.\. |(?:[-*+•]|\d+[.)])\s|</?(?:p|pre|ul|ol|table|h\d)\b"
    r"|(?:args|arguments|parameters|params|returns?|yields?|raises|throws|errors|panics|safety|examples?|usage|notes?"
    r"|warnings?|see also|attributes|references|keyword args|input|output)\s*:?\s*$|(?:returns?|args|params?)\s*:)",
    re.IGNORECASE,
)
"""Where a comment's description ends: a tag, a field, an example, a list, a heading."""
INLINE = (
    (re.compile(r"\{@\w+\s+([^{}]*)\}"), r"\1"),
    (re.compile(r":\w+(?::\w+)?:`~?([^`<]*)(?:\s<[^`]*>)?`"), r"\1"),
    (re.compile(r"</?(?:p|code|b|i|em|strong|tt|br|a|li|ul|pre)(?:\s[^<>]*)?/?>"), ""),
    (re.compile(r"``"), "`"),
)
"""Markup inside a sentence, and what is left of it."""
NOTICE = re.compile(
    r"\b(?:todo|fixme|xxx|hack|bug|copyright|licen[cs]ed? (?:under|to)|spdx|all rights reserved|noqa|pylint|flake8|mypy"
    r"|pyright|nosec|nolint|eslint|jshint|jslint|istanbul|prettier|clang-format|clang-tidy|checkstyle|rustfmt|clippy"
    r"|pragma|auto-?generated|generated (?:by|from|code)|do not (?:edit|modify|use)|deprecated|type: ?ignore|coding[:=]"
    r"|inheritdoc|non-javadoc)\b|https?://|www\.|\w@\w+\.\w|^(?:note|see|warning|c\.?f\.|i\.?e\.|e\.?g\.)\b",
    re.IGNORECASE,
)
"""What speaks to editors, linters, lawyers and colleagues, or leads elsewhere, instead of describing the code."""
CODE = re.compile(
    r"[;{}]\s*$|^\s*(?:if|for|while|elif|with|def|class|switch|catch|except)\b.*[:({]\s*$|^\s*@\w+$|^\s*[)}\]]"
    r"|^\s*(?:[\w.\[\]\"'*&]+\s+){0,2}[\w.\[\]\"'*&]+\s*(?:[-+*/|&:]?=|<-)\s*\S|^\s*[\w.:>-]+\([^()]*\)\s*[;,]?\s*$"
    r"|^\s*(?:return|import|from|#include|using|let|const|var|print|assert|raise|throw)\b[^.]*[=(;]"
)
"""How a line of code looks that was commented out, whole or not."""
CODE_SIGNS = re.compile(r"[;{}=\[\]]|\w\(|->|::|\w[._]\w")
ENGLISH = frozenset(
    re.findall(r"\w+", "the a an of to and in is for if with from this that be it on as by are not or returns all")
)
OTHERS = frozenset(
    re.findall(
        r"\w+",
        "der die das und nicht ist ein eine für mit von wird le la les des est une pour dans avec sur el los las una"
        " por con que del para não uma os il di che per della een het van niet voor",
    )
)
"""Words that tell English from the other languages that comments are most often in."""


def paragraph(comment: str) -> list[str]:
    """The lines of a comment's or docstring's first paragraph, without markers, up to its first section or list."""
    if quoted := QUOTES.match(comment.strip()):
        lines = quoted[2][:MAX_COMMENT].splitlines()
    else:
        ends = (line.rstrip().removesuffix("*/") for line in comment[:MAX_COMMENT].splitlines())
        lines = [MARKERS.sub("", line) for line in ends]
    lines = [BRIEF.sub("", line) for line in lines]
    stripped = ["" if RULER.match(line) else line.rstrip() for line in lines]
    begun = dropwhile(lambda line: not line, stripped)
    return list(takewhile(lambda line: line and not SECTION.match(line), begun))


def request(lines: list[str]) -> str:
    """A paragraph as one line of plain text."""
    return " ".join(plain(" ".join(lines)).split())


def plain(text: str) -> str:
    """A text without markup inside its sentences."""
    for pattern, replacement in INLINE:
        text = pattern.sub(replacement, text)
    return text


def refusal(lines: list[str], parser: Parser) -> str | None:
    """Why a comment's paragraph asks for nothing: short, long, letters, notice, unfinished, language, code; or None."""
    text = request(lines)
    words = re.findall(r"[^\W\d_]+", text)
    letters, solid = sum(map(len, words)), len(text.replace(" ", ""))
    lower = [word.lower() for word in words]
    if len(words) < MIN_WORDS:
        return "short"
    if len(words) > MAX_WORDS:
        return "long"
    if letters < MIN_LETTERS * solid:
        return "letters"
    if NOTICE.search(text):
        return "notice"
    if text.endswith((":", ",", "(")):
        return "unfinished"
    if sum(len(word) for word in words if word.isascii()) < MIN_ASCII * letters:
        return "language"
    if (foreign := sum(word in OTHERS for word in lower)) > 1 and foreign > sum(word in ENGLISH for word in lower):
        return "language"
    if 2 * sum(bool(CODE.search(plain(line))) for line in lines) > len(lines) or is_code("\n".join(lines), parser):
        return "code"
    return None


def is_code(text: str, parser: Parser) -> bool:
    """Whether a comment's text, with the signs of code in it, is all of the language: code that was commented out."""
    if not CODE_SIGNS.search(text):
        return False
    tree = parse(parser, dedent(text).encode())
    return tree is not None and not tree.root_node.has_error
