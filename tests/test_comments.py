"""Comments and strings, told from code in many languages."""

import io
import tokenize
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms import comments
from transforms.comments import COMMENT, FAMILIES, PROSE, PROSE_LANGUAGES, STRING, comment_spans
from transforms.language import language_type


def spans(language: str | None, *texts: str | None) -> list[tuple[int, int, str]]:
    """Row, kind and text of each span."""
    found = comment_spans(pa.array(texts, pa.string()), pa.array([language] * len(texts), pa.string()))
    encoded = [text.encode() if text else b"" for text in texts]
    bounds = zip(found.row.tolist(), found.kind.tolist(), found.start.tolist(), found.end.tolist(), strict=True)
    return [(row, kind, encoded[row][start:end].decode()) for row, kind, start, end in bounds]


CASES = {
    "Python": (
        "a = 'it\\'s'  # c\n'''d # e\n''' x = r\"f\" \"open\ny#z",
        ["'it\\'s'", "# c", "'''d # e\n'''", '"f"', '"open', "#z"],
    ),
    "C": ('c = \'"\'; /* b " */ s = "q\\"//"; // e', ["'\"'", '/* b " */', '"q\\"//"', "// e"]),
    "C++": ("R\"x(a)\"b)x\" n = 1'000'000; // '", ['R"x(a)"b)x"', "// '"]),
    "Java": ("String s = \"a\" + '\\u0041'; /** doc */", ['"a"', "'\\u0041'", "/** doc */"]),
    "C#": ('@"c:\\" + "d" // e', ['@"c:\\"', '"d"', "// e"]),
    "Go": ("a := `raw\\` // c\nb := '\"'", ["`raw\\`", "// c", "'\"'"]),
    "Rust": (
        "fn f<'a>(x: &'a str) { '\"'; /* a /* b */ c */ #\"x\"y\"# } // z",
        ["'\"'", "/* a /* b */ c */", '#"x"y"#', "// z"],
    ),
    "JavaScript": ("a = /[\"'/]/g; b = `x\n${y}`; c = a / b / 'd'; // k", ["`x\n${y}`", "'d'", "// k"]),
    "Kotlin": ('"""a\n"b" """ /* /* */ x */', ['"""a\n"b" """', "/* /* */ x */"]),
    "Shell": ("echo $# ${#x} \"a # b\" # c\nx='q' ; echo \\'", ['"a # b"', "# c", "'q'"]),
    "Ruby": ("x = 'a' # c\n=begin\nfoo\n=end\n\"b\"", ["'a'", "# c", "=begin\nfoo\n=end", '"b"']),
    "Perl": ('$#a; # c\n=head1 X\n\ndoc\n\n=cut\n"s"', ["# c", "=head1 X\n\ndoc\n\n=cut", '"s"']),
    "SQL": ("select 'it''s' -- c\n/* d */", ["'it'", "'s'", "-- c", "/* d */"]),
    "Lua": ("--[[ a\nb ]] x = [[s]] -- c\n--[=[ ]] ]=]", ["--[[ a\nb ]]", "[[s]]", "-- c", "--[=[ ]] ]=]"]),
    "Haskell": ("f' = g 'x' {- a {- b -} c -} \"s\" -- c", ["'x'", "{- a {- b -} c -}", '"s"', "-- c"]),
    "OCaml": ('let f\' = "s" (* a (* b *) *)', ['"s"', "(* a (* b *) *)"]),
    "MATLAB": ("a = b'; c = 'str'; % k\n%{\nblock\n%}", ["'str'", "% k", "%{\nblock\n%}"]),
    "Common Lisp": ('; a\n(f "d\nd") #\\" \'q #| x |#', ["; a", '"d\nd"', "#| x |#"]),
    "TeX": ("50\\% off % c", ["% c"]),
    "YAML": ("a: it's # c\nurl: http://x#y\nb: 'q'", ["# c", "'q'"]),
    "HTML": ("<!-- a --> it's <b>'x'</b>", ["<!-- a -->"]),
    "JSON": ('{"a": ["b\\"c"]}', ['"a"', '"b\\"c"']),
    "Markdown": ("it's *text*", ["it's *text*"]),
}


@pytest.mark.parametrize("language", CASES)
def test_comments_and_strings(language: str) -> None:
    text, found = CASES[language]
    assert [span for _, _, span in spans(language, text)] == found


def test_kinds_and_rows() -> None:
    assert spans("Python", "'s'", None, "# c", "") == [(0, STRING, "'s'"), (2, COMMENT, "# c")]
    assert spans("Text", "words") == [(0, PROSE, "words")]
    assert spans(None, "'s' # c") == spans("Brainfuck", "'s' # c") == []


def test_what_is_never_closed_ends_with_its_line_or_the_text() -> None:
    assert spans("C", 'a = "open\nb /* open\nc') == [(0, STRING, '"open'), (0, COMMENT, "/* open\nc")]
    assert spans("Python", '"""open\n\\') == [(0, STRING, '"""open\n\\')]
    assert spans("C++", 'R"x(open') == [(0, STRING, 'R"x(open')]


def test_python_as_its_own_tokenizer_sees_it() -> None:
    """Over modules of the standard library: the same tokens, to the byte."""
    folder = Path(tokenize.__file__).parent
    for path in [*folder.glob("[a-h]*.py"), *folder.glob("email/*.py")]:
        text = path.read_text()
        tokens = tokenize.generate_tokens(io.StringIO(text).readline)
        kinds = {tokenize.COMMENT: COMMENT, tokenize.STRING: STRING}
        expected = [(0, kinds[token.type], token.string.lstrip("rRbBfFuU")) for token in tokens if token.type in kinds]
        assert spans("Python", text) == expected, path


SNIPPETS = [
    "'",
    '"',
    "`",
    "/*",
    "*/",
    "//",
    "#",
    "--",
    "[[",
    "]]",
    "{-",
    "-}",
    "\\",
    "\n",
    " ",
    "a",
    "é",
    'R"x(',
    ')x"',
    "/[",
]


@settings(deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(SNIPPETS), max_size=30).map("".join), max_size=4),
    st.sampled_from([names.split("|")[0] for names, _ in FAMILIES.values()]),
)
def test_spans_lie_in_order_within_whole_characters(texts: list[str], language: str) -> None:
    content = pa.array(texts, pa.string())
    found = comment_spans(content, pa.array([language] * len(texts), pa.string()))
    assert (found.start < found.end).all()
    for row, text in enumerate(texts):
        bounds = np.stack([found.start, found.end], axis=1)[found.row == row].ravel()
        assert (np.diff(bounds) >= 0).all()
        assert all(
            len(text.encode()[:bound].decode().encode()) == bound <= len(text.encode()) for bound in bounds.tolist()
        )
    if len(texts) > 1:
        sliced = comment_spans(content.slice(1), pa.array([language] * (len(texts) - 1)))
        assert sliced.start.tolist() == found.start[found.row > 0].tolist()


@pytest.mark.parametrize("text", ["=/[", "'", '"', 'R"x(', "/*", "`${", 'r#"'])
@pytest.mark.parametrize("language", ["JavaScript", "C++", "Rust", "Perl"])
def test_hostile_texts_take_linear_time(text: str, language: str) -> None:
    found = comment_spans(pa.array([text * 200_000]), pa.array([language]))
    assert len(found.row) <= 200_000 * len(text)


def test_the_table_holds_names_that_linguist_knows_and_each_once() -> None:
    names = [
        name for group in [*(names for names, _ in FAMILIES.values()), PROSE_LANGUAGES] for name in group.split("|")
    ]
    assert len(names) == len(set(names))
    assert [name for name in names if language_type(name) is None] == []
    assert all(len(mark) <= 8 for _, family in FAMILIES.values() for d in family for mark in (d.opening, d.closing))
    assert comments.family_of()["Markdown"] == len(FAMILIES)
