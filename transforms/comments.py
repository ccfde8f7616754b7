"""Where comments and string literals stand in source code: one lexer for many languages, driven by a table.

It knows just enough of each family of languages to tell comments and strings from code: what opens them, what
closes them, what escapes. It does not parse: heredocs count as code, what is interpolated counts as string.
"""

from dataclasses import dataclass
from functools import cache

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.buffers import string_buffers

COMMENT, STRING, PROSE = 1, 2, 3
"""Kinds of span. Prose is a whole file in a language such as Markdown."""

NOTHING = 0
"""Kind of a delimiter that only keeps its bytes from opening something else, such as an escaped quote."""

# What a delimiter asks for, besides its opening bytes.
LINES = 1  # may run over several lines; any other ends with its line at the latest
ESCAPES = 2  # a backslash takes away the meaning of the byte behind it
NESTED = 4  # may hold itself
FIRST_IN_LINE = 8  # only white space may stand before it
FIRST_IN_WORD = 16  # no letter or digit may stand before it, nor what binds to one, such as $ or }
AFTER_NO_VALUE = 32  # no letter, digit or closing bracket before it: there it is a transposition, a prime, a mark
CHARACTER = 64  # holds a single character; anything else is a lifetime, a digit separator, an apostrophe
PATTERN = 128  # a regular expression: only where a value may stand, and closed in the same line
TAGGED = 256  # C++: the bytes between R" and ( are part of the closing delimiter


@dataclass(frozen=True)
class Delimiter:
    """What encloses a comment or a string; with no closing bytes the end of the line closes."""

    kind: int
    opening: str
    closing: str = ""
    needs: int = 0


def line_comments(*openings: str, needs: int = 0) -> tuple[Delimiter, ...]:
    return tuple(Delimiter(COMMENT, opening, "", needs) for opening in openings)


def block_comment(opening: str, closing: str, needs: int = 0) -> tuple[Delimiter, ...]:
    return (Delimiter(COMMENT, opening, closing, LINES | needs),)


def quotes(*marks: str, needs: int = ESCAPES) -> tuple[Delimiter, ...]:
    return tuple(Delimiter(STRING, mark, mark, needs) for mark in marks)


def plain(*openings: str) -> tuple[Delimiter, ...]:
    return tuple(Delimiter(NOTHING, opening, opening) for opening in openings)


C_COMMENTS = line_comments("//") + block_comment("/*", "*/")
NESTED_C_COMMENTS = line_comments("//") + block_comment("/*", "*/", NESTED)
TRIPLE_QUOTES = quotes('"""', "'''", needs=ESCAPES | LINES)
TRIPLE_DOUBLE = quotes('"""', needs=ESCAPES | LINES)
CHARACTERS = quotes("'", needs=CHARACTER)
UNPRIMED_CHARACTERS = quotes("'", needs=CHARACTER | AFTER_NO_VALUE)
LONG_TEXT = quotes('"', needs=ESCAPES | LINES)
LISP_ESCAPES = plain("\\\\", '\\"', "\\;", "\\|")
PATTERNS = (Delimiter(NOTHING, "/", "/", PATTERN | ESCAPES),)
POD = tuple(
    Delimiter(COMMENT, opening, "\n=cut", LINES | FIRST_IN_LINE)
    for opening in ("=pod", "=head", "=item", "=over", "=begin", "=for", "=enco")
)
LUA_BRACKETS = tuple(
    Delimiter(kind, f"{before}[{level}[", f"]{level}]", LINES)
    for kind, before in ((COMMENT, "--"), (STRING, ""))
    for level in ("", "=", "==")
)
CPP_RAW = (Delimiter(STRING, 'R"', "", LINES | TAGGED),)
RUST_RAW = (
    Delimiter(STRING, '##"', '"##', LINES),
    Delimiter(STRING, '#"', '"#', LINES),
    Delimiter(STRING, 'r"', '"', LINES | FIRST_IN_WORD),
)
VERBATIM = (Delimiter(STRING, '@"', '"', LINES), Delimiter(STRING, '$@"', '"', LINES))

FAMILIES: dict[str, tuple[str, tuple[Delimiter, ...]]] = {
    "c": (
        "C|C++|Objective-C|Objective-C++|Java|Protocol Buffer|Thrift|Cuda|OpenCL|GLSL|HLSL|Metal|WGSL"
        "|Verilog|SystemVerilog|Yacc|Lex|Bison|ANTLR|Vala|Processing|SWIG|Unified Parallel C|CSON|Solidity"
        "|Bicep|Linker Script|DTrace|ShaderLab|XS|nesC|ooc|Chapel|Cairo|CodeQL|Move|JSON with Comments",
        C_COMMENTS + CPP_RAW + quotes('"') + CHARACTERS,
    ),
    "c#": ("C#|Beef", C_COMMENTS + VERBATIM + TRIPLE_DOUBLE + quotes('"') + CHARACTERS),
    "go": (
        "Go|Go Module|Go Workspace|V|CUE",
        C_COMMENTS + quotes("`", needs=LINES) + quotes('"') + CHARACTERS,
    ),
    "rust": ("Rust|RenderScript", NESTED_C_COMMENTS + RUST_RAW + LONG_TEXT + CHARACTERS),
    "swift": (
        "Swift|Kotlin|Scala|Pony|Odin|Jai",
        NESTED_C_COMMENTS + TRIPLE_DOUBLE + quotes('"') + CHARACTERS,
    ),
    "groovy": (
        "Dart|Groovy|Gradle|Apex|Haxe|ActionScript|Squirrel|QML|AngelScript|Zephir|Vue|Svelte|Astro|Pug|Stylus|Jsonnet"
        "|JSON5|GAML|UnrealScript|Less|SCSS|Reason|ReScript|Ballerina|Monkey C|Typst",
        C_COMMENTS + block_comment("<!--", "-->") + TRIPLE_QUOTES + quotes('"', "'"),
    ),
    "d": (
        "D",
        C_COMMENTS + block_comment("/+", "+/", NESTED) + quotes("`", needs=LINES) + LONG_TEXT + CHARACTERS,
    ),
    "zig": ("Zig", line_comments("//") + quotes('"') + CHARACTERS),
    "javascript": (
        "JavaScript|TypeScript|TSX|JavaScript+ERB|Qt Script",
        C_COMMENTS + quotes("`", needs=ESCAPES | LINES) + quotes('"', "'") + PATTERNS,
    ),
    "css": ("CSS|PostCSS", block_comment("/*", "*/") + quotes('"', "'")),
    "php": ("PHP|Hack", C_COMMENTS + line_comments("#") + quotes('"', "'", needs=ESCAPES | LINES)),
    "sql": (
        "SQL|PLSQL|PLpgSQL|TSQL|SQLPL|HiveQL|Eiffel|AppleScript",
        line_comments("--") + block_comment("/*", "*/") + quotes('"', "'", needs=0),
    ),
    "ada": ("Ada|VHDL", line_comments("--") + quotes('"', needs=0) + UNPRIMED_CHARACTERS),
    "lua": ("Lua|Luau|MoonScript|Teal", LUA_BRACKETS + line_comments("--") + quotes('"', "'")),
    "haskell": (
        "Haskell|Elm|PureScript|Idris|Agda|Lean|Lean 4|Dhall|Curry",
        block_comment("{-", "-}", NESTED)
        + block_comment("/-", "-/", NESTED)
        + line_comments("--")
        + quotes('"')
        + UNPRIMED_CHARACTERS,
    ),
    "ocaml": (
        "OCaml|Standard ML|Rocq Prover|Isabelle",
        block_comment("(*", "*)", NESTED) + LONG_TEXT + UNPRIMED_CHARACTERS,
    ),
    "f#": (
        "F#|F*",
        block_comment("(*", "*)", NESTED)
        + line_comments("//")
        + TRIPLE_DOUBLE
        + VERBATIM
        + quotes('"')
        + UNPRIMED_CHARACTERS,
    ),
    "pascal": (
        "Pascal|Component Pascal|Modula-2|Modula-3|Oberon",
        block_comment("(*", "*)") + block_comment("{", "}") + line_comments("//") + quotes("'", '"', needs=0),
    ),
    "python": (
        "Python|Cython|Starlark|GDScript|Mojo|Xonsh|Snakemake|Sage|Python console|NumPy|Gentoo Ebuild|Meson",
        line_comments("#") + TRIPLE_QUOTES + quotes('"', "'"),
    ),
    "julia": (
        "Julia",
        block_comment("#=", "=#", NESTED) + line_comments("#") + TRIPLE_DOUBLE + LONG_TEXT + CHARACTERS,
    ),
    "nim": (
        "Nim",
        block_comment("#[", "]#", NESTED) + line_comments("#") + TRIPLE_DOUBLE + quotes('"') + CHARACTERS,
    ),
    "ruby": (
        "Ruby|Crystal|Elixir|HTML+ERB|Puppet",
        block_comment("=begin", "\n=end", FIRST_IN_LINE)
        + line_comments("#", needs=FIRST_IN_WORD)
        + TRIPLE_DOUBLE
        + quotes('"', needs=ESCAPES | LINES)
        + quotes("'", needs=ESCAPES | AFTER_NO_VALUE),
    ),
    "perl": (
        "Perl|Raku",
        POD
        + line_comments("#", needs=FIRST_IN_WORD)
        + plain("$'", '$"', "\\'", '\\"', "\\#")
        + quotes('"', needs=ESCAPES | LINES)
        + quotes("'", needs=ESCAPES | AFTER_NO_VALUE),
    ),
    "shell": (
        "Shell|Nushell|Tcsh|Makefile|Dockerfile|Awk|Tcl|Nginx|Procfile|Just|fish|M4Sugar|sed|Ninja|BitBake",
        line_comments("#", needs=FIRST_IN_WORD)
        + plain("\\'", '\\"', "\\#", "\\\\")
        + quotes('"', needs=ESCAPES | LINES)
        + quotes("'", needs=AFTER_NO_VALUE),
    ),
    "config": (
        "YAML|TOML|CMake|R|Nix|HCL|GraphQL|INI|Git Config|Git Attributes|Ignore List|EditorConfig"
        "|Java Properties|SSH Config|ApacheConf|Gettext Catalog|SPARQL|Turtle|Smarty|CoffeeScript|Cap'n Proto"
        "|RobotFramework|Gnuplot|Option List|Unix Assembly|Stan|jq|OASv3-yaml|OASv2-yaml|GN|AMPL",
        line_comments("#", ";", needs=FIRST_IN_WORD)
        + block_comment("/*", "*/", FIRST_IN_WORD)
        + line_comments("//", needs=FIRST_IN_WORD)
        + TRIPLE_QUOTES
        + quotes('"', "'", needs=ESCAPES | AFTER_NO_VALUE),
    ),
    "powershell": (
        "PowerShell",
        block_comment("<#", "#>") + line_comments("#", needs=FIRST_IN_WORD) + quotes('"', "'", needs=AFTER_NO_VALUE),
    ),
    "lisp": (
        "Common Lisp|Emacs Lisp|Scheme|Racket|Clojure|Fennel|NewLisp|Hy|WebAssembly|SMT|Janet",
        LISP_ESCAPES + block_comment("#|", "|#", NESTED) + line_comments(";") + LONG_TEXT,
    ),
    "assembly": (
        "Assembly|Motorola 68K Assembly",
        line_comments(";", "//") + block_comment("/*", "*/") + quotes('"'),
    ),
    "fortran": ("Fortran|Fortran Free Form", line_comments("!") + quotes('"', "'", needs=0)),
    "matlab": (
        "MATLAB",
        block_comment("%{", "%}", FIRST_IN_LINE) + line_comments("%", "#") + quotes('"', "'", needs=AFTER_NO_VALUE),
    ),
    "erlang": (
        "Erlang|Prolog|Mercury|Logtalk|PostScript",
        plain("$'", '$"', "$%") + line_comments("%") + block_comment("/*", "*/") + quotes('"', "'"),
    ),
    "tex": ("TeX|BibTeX|BibTeX Style", plain("\\%", "\\\\") + line_comments("%")),
    "basic": (
        "Visual Basic .NET|Visual Basic 6.0|VBA|VBScript|QuickBASIC|FreeBASIC|BASIC",
        line_comments("'") + quotes('"', needs=0),
    ),
    "batch": ("Batchfile", line_comments("REM ", "rem ", "Rem ", "@rem ", "::", needs=FIRST_IN_LINE)),
    "vim": (
        "Vim Script|Vim Help File",
        line_comments('"', needs=FIRST_IN_LINE) + quotes('"', "'", needs=AFTER_NO_VALUE),
    ),
    "markup": (
        "HTML|XML|SVG|Maven POM|XSLT|HTML+Razor|HTML+PHP|HTML+EEX|Jinja|Handlebars|Mustache|Liquid|Ecmarkup"
        "|Java Server Pages|ASP.NET|Blade|Twig|EJS|Genshi|Mako|WebIDL|XProc|XML Property List",
        block_comment("<!--", "-->") + block_comment("{#", "#}"),
    ),
    "json": ("JSON|Jupyter Notebook|JSONLD", quotes('"')),
}
"""By family: its languages, by linguist's names, and what encloses comments and strings, longest first."""

PROSE_LANGUAGES = (
    "Markdown|Text|reStructuredText|AsciiDoc|Org|RMarkdown|MDX|Textile|Creole|Roff|Roff Manpage|Texinfo|RDoc"
)


BREAKS_WORD, ENDS_VALUE, AWAITS_VALUE = 1, 2, 4
NEIGHBOURS = np.zeros(256, np.uint8)
"""What a byte tells of the place behind it: `BREAKS_WORD` and so on."""
NEIGHBOURS[list(b"\0\t\n\v\f\r ;&|(),[")] |= BREAKS_WORD
NEIGHBOURS[[byte for byte in range(256) if byte >= 128 or chr(byte).isalnum() or byte in b"_)]}'."]] |= ENDS_VALUE
NEIGHBOURS[list(b"\n\r(,=:[!&|?{;+-*%~^")] |= AWAITS_VALUE

LONGEST_PATTERN, LONGEST_CHARACTER, LONGEST_TAG = 256, 12, 16
"""Bytes: bounds on how far the lexer looks ahead for what may not be there."""


@dataclass(frozen=True)
class Spans:
    """Comments and strings of a column of texts, row by row in the order of the text, without overlap.

    Span k is the bytes ``start[k]:end[k]`` of the text of row ``row[k]``, with what encloses them. `kind` is
    `COMMENT`, `STRING` (docstrings too) or `PROSE`.
    """

    row: np.ndarray  # int32
    start: np.ndarray  # int64
    end: np.ndarray  # int64
    kind: np.ndarray  # uint8


def comment_spans(content: pa.Array, language: pa.Array) -> Spans:
    """Finds the comments and string literals of each text by the rules of its language (linguist's name).

    A null text and a text in an unknown language have none. What is opened and never closed ends with the
    line or, where it may run over several lines, with the text.
    """
    tables = delimiter_tables()
    names = pc.fill_null(
        pc.index_in(language.cast(pa.string()), pa.array(list(family_of()), pa.string())), len(family_of())
    )
    family = np.array([*family_of().values(), -1], np.int64)[names.to_numpy(zero_copy_only=False)]
    data, offsets = string_buffers(content)
    return Spans(*find_spans(data, offsets, family, *tables))


@cache
def family_of() -> dict[str, int]:
    """The number of each language's family: its place in `FAMILIES`; prose comes last."""
    families = [names for names, _ in FAMILIES.values()] + [PROSE_LANGUAGES]
    return {name: number for number, names in enumerate(families) for name in names.split("|")}


@cache
def delimiter_tables() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """`FAMILIES` as arrays for the lexer.

    opens: bool, families x 256, the bytes that some delimiter begins with.
    first: int64, families + 1, where a family's delimiters begin.
    shape: int64, delimiters x 4, kind, needs, and the lengths of both marks.
    marks: uint8, delimiters x 2 x 8, the opening and the closing bytes.
    stops: bool, delimiters x 256, the bytes between them that matter.
    """
    delimiters = [delimiter for _, family in FAMILIES.values() for delimiter in family]
    first = np.cumsum([0] + [len(family) for _, family in FAMILIES.values()])
    opens = np.zeros((len(FAMILIES), 256), np.bool_)
    for number, (_, family) in enumerate(FAMILIES.values()):
        opens[number, [ord(delimiter.opening[0]) for delimiter in family]] = True
    shape = np.array([[d.kind, d.needs, len(d.opening), len(d.closing)] for d in delimiters], np.int64)
    marks = np.zeros((len(delimiters), 2, 8), np.uint8)
    stops = np.zeros((len(delimiters), 256), np.bool_)
    for number, delimiter in enumerate(delimiters):
        for side, mark in enumerate((delimiter.opening, delimiter.closing)):
            marks[number, side, : len(mark)] = list(mark.encode())
        stops[number, list(delimiter.closing[:1].encode())] = True
        for needed, stopping in (
            (ESCAPES, b"\\"),
            (NESTED, delimiter.opening[:1].encode()),
            (PATTERN, b"[]"),
        ):
            stops[number, list(stopping)] |= bool(delimiter.needs & needed)
        stops[number, [10, 13]] |= not delimiter.needs & LINES
    return opens, first, shape, marks, stops


@numba.njit(nogil=True, cache=True)
def find_spans(
    data: np.ndarray,
    offsets: np.ndarray,
    family: np.ndarray,
    opens: np.ndarray,
    first: np.ndarray,
    shape: np.ndarray,
    marks: np.ndarray,
    stops: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The lexer: from one opening byte to the next, row by row; families below 0 are skipped."""
    found = 0
    row_of = np.empty(1024, np.int32)
    bounds = np.empty((1024, 2), np.int64)
    kind_of = np.empty(1024, np.uint8)
    for row in range(len(offsets) - 1):
        text = data[offsets[row] : offsets[row + 1]]
        size = len(text)
        i = 0 if family[row] >= 0 else size
        while i < size:
            kind, end = PROSE, size
            if family[row] < len(opens):
                while i < size and not opens[family[row], text[i]]:
                    i += 1
                if i == size:
                    break
                kind, end = NOTHING, i + 1
                for d in range(first[family[row]], first[family[row] + 1]):
                    if text[i] == marks[d, 0, 0] and may_open(text, i, d, shape, marks):
                        closed = close(text, i, d, shape, marks, stops)
                        if closed > 0:
                            kind, end = shape[d, 0], closed
                            break
            if kind != NOTHING:
                if found == len(row_of):
                    row_of = np.concatenate((row_of, np.empty_like(row_of)))
                    bounds = np.concatenate((bounds, np.empty_like(bounds)))
                    kind_of = np.concatenate((kind_of, np.empty_like(kind_of)))
                row_of[found], kind_of[found] = row, kind
                bounds[found, 0], bounds[found, 1] = i, end
                found += 1
            i = end
    return row_of[:found], bounds[:found, 0].copy(), bounds[:found, 1].copy(), kind_of[:found]


@numba.njit(nogil=True, cache=True)
def may_open(text: np.ndarray, i: int, d: int, shape: np.ndarray, marks: np.ndarray) -> bool:
    """Whether the opening bytes of delimiter d stand at i, in a place where they have their meaning."""
    if not same(text, i, marks[d, 0], shape[d, 2]):
        return False
    needs = shape[d, 1]
    if not needs & (FIRST_IN_WORD | AFTER_NO_VALUE | FIRST_IN_LINE | PATTERN):
        return True
    before = NEIGHBOURS[text[i - 1]] if i > 0 else np.uint8(BREAKS_WORD)
    if needs & FIRST_IN_WORD and not before & BREAKS_WORD:
        return False
    if needs & AFTER_NO_VALUE and before & ENDS_VALUE:
        return False
    k = i - 1
    if needs & (FIRST_IN_LINE | PATTERN):
        while k >= 0 and (text[k] == 32 or text[k] == 9):
            k -= 1
    if k < 0:
        return True
    if needs & FIRST_IN_LINE:
        return text[k] == 10 or text[k] == 13
    if needs & PATTERN:
        after_return = k >= 5 and text[k] == 110 and text[k - 1] == 114 and text[k - 2] == 117
        return after_return or NEIGHBOURS[text[k]] & AWAITS_VALUE != 0
    return True


@numba.njit(nogil=True, cache=True)
def close(text: np.ndarray, start: int, d: int, shape: np.ndarray, marks: np.ndarray, stops: np.ndarray) -> int:
    """Where what delimiter d opens at start ends; 0 if it does not hold what the delimiter asks for."""
    kind, needs, opening, closing = shape[d]
    end = start + opening
    if kind == NOTHING and not needs:
        return end
    if needs & CHARACTER:
        return close_character(text, start)
    if needs & TAGGED:
        return close_tagged(text, end)
    size = min(len(text), start + LONGEST_PATTERN) if needs & PATTERN else len(text)
    depth = 1
    in_class = False
    while True:
        while end < size and not stops[d, text[end]]:
            end += 1
        if end >= size:
            break
        byte = text[end]
        if byte == 92 and needs & ESCAPES:
            end += 2
        elif (byte == 10 or byte == 13) and not needs & LINES:
            break
        elif needs & PATTERN and (byte == 91 or byte == 93):
            in_class = byte == 91
            end += 1
        elif closing and not in_class and same(text, end, marks[d, 1], closing):
            end += closing
            depth -= 1
            if depth == 0:
                return end
        elif needs & NESTED and same(text, end, marks[d, 0], opening):
            end += opening
            depth += 1
        else:
            end += 1
    return 0 if needs & PATTERN else min(end, size)


@numba.njit(nogil=True, cache=True)
def close_character(text: np.ndarray, start: int) -> int:
    """The end of a literal such as 'x', '\\n' or '\\u{1F600}'; 0 where a quote is something else."""
    size = len(text)
    end = start + 2
    if end > size:
        return 0
    if text[start + 1] == 92:
        end += 1
        while end < min(size, start + LONGEST_CHARACTER) and text[end] != 39 and text[end] != 10:
            end += 1
    elif text[start + 1] == 39 or text[start + 1] == 10:
        return 0
    else:
        while end < size and (text[end] & 0xC0) == 0x80:
            end += 1
    return end + 1 if end < size and text[end] == 39 else 0


@numba.njit(nogil=True, cache=True)
def close_tagged(text: np.ndarray, start: int) -> int:
    """The end of C++'s R"tag(...)tag", whose tag begins at start; 0 where there is no tag."""
    size = len(text)
    opened = start
    while opened < size and text[opened] != 40:
        if opened - start > LONGEST_TAG or text[opened] <= 32 or text[opened] == 34:
            return 0
        opened += 1
    length = opened - start
    for end in range(opened + 1, size - length - 1):
        if text[end] == 41 and text[end + 1 + length] == 34 and same(text, end + 1, text[start:opened], length):
            return end + length + 2
    return size


@numba.njit(nogil=True, cache=True, inline="always")
def same(text: np.ndarray, i: int, mark: np.ndarray, length: int) -> bool:
    if i + length > len(text):
        return False
    k = 0
    while k < length and text[i + k] == mark[k]:
        k += 1
    return k == length
