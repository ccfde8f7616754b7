"""The six languages of dialogues: what to look for in their trees, and a parser that does not hang or overflow."""

import re
from dataclasses import dataclass
from importlib import import_module

import numpy as np
from tree_sitter import Language as Grammar
from tree_sitter import Parser, Tree

BYTES_PER_CALL = 40
"""The parser's progress is told every 195 to 230 bytes of ordinary code, and far more often where it gropes about in
text that is none; it is stopped at one call in so many bytes, a bound in work and not in time, the same everywhere."""
MAX_BRACKETS, MAX_INDENTS = 10_000, 300
"""Open at once. tree-sitter's recovery from errors recurses: 300,000 open brackets overflow the stack. Python's scanner
has room for 512 indents and does not look. Either ends the process."""
INDENT = re.compile(rb"^[ \t]+", re.MULTILINE)
BRACKETS = np.zeros(256, np.int8)
BRACKETS[list(b"([{")], BRACKETS[list(b")]}")] = 1, -1


@dataclass(frozen=True)
class Syntax:
    """What to look for in a language's tree. `bodies`: nodes whose members are blocks; `plain` ones have no head."""

    module: str
    bodies: tuple[str, ...]
    functions: tuple[str, ...]
    wrappers: tuple[str, ...] = ()
    opening: tuple[str, ...] = ()
    plain: tuple[str, ...] = ()
    attributes: tuple[str, ...] = ()
    """Nodes between a comment and its block."""
    sections: tuple[str, ...] = ()
    """Nodes that hold for the members after them."""
    docstrings: bool = False


C_IF = ("preproc_if", "preproc_ifdef", "preproc_else", "preproc_elif")
SYNTAXES = {
    "Python": Syntax(
        "tree_sitter_python",
        bodies=("class_definition",),
        functions=("function_definition",),
        wrappers=("decorated_definition",),
        opening=("import_statement", "import_from_statement", "future_import_statement"),
        docstrings=True,
    ),
    "Java": Syntax(
        "tree_sitter_java",
        bodies=("class_declaration", "interface_declaration", "enum_declaration", "record_declaration"),
        functions=("method_declaration", "constructor_declaration"),
        opening=("package_declaration", "import_declaration"),
        plain=("enum_body_declarations",),
    ),
    "JavaScript": Syntax(
        "tree_sitter_javascript",
        bodies=("class_declaration", "class"),
        functions=(
            "function_declaration",
            "generator_function_declaration",
            "method_definition",
            "function_expression",
        ),
        wrappers=(
            *("export_statement", "lexical_declaration", "variable_declaration", "variable_declarator"),
            *("expression_statement", "assignment_expression"),
        ),
        opening=("import_statement",),
    ),
    "Go": Syntax(
        "tree_sitter_go",
        bodies=(),
        functions=("function_declaration", "method_declaration"),
        opening=("package_clause", "import_declaration"),
    ),
    "C++": Syntax(
        "tree_sitter_cpp",
        bodies=("namespace_definition", "class_specifier", "struct_specifier", "linkage_specification"),
        functions=("function_definition",),
        wrappers=("template_declaration",),
        opening=("preproc_include", "using_declaration"),
        plain=C_IF,
        sections=("access_specifier",),
    ),
    "Rust": Syntax(
        "tree_sitter_rust",
        bodies=("impl_item", "trait_item", "mod_item"),
        functions=("function_item",),
        opening=("use_declaration", "extern_crate_declaration"),
        attributes=("attribute_item",),
    ),
}
"""By linguist's name of the language: the six of CodeGen's multi-language data."""


def load_parser(syntax: Syntax) -> Parser:
    """A parser with the language's grammar."""
    return Parser(Grammar(import_module(syntax.module).language()))


def is_nested_deeply(source: bytes) -> bool:
    """Whether more brackets or indents may be open at once than the parser can bear; strings count as well."""
    brackets = BRACKETS[np.frombuffer(source, np.uint8)].cumsum(dtype=np.int32).max(initial=0)
    return bool(brackets > MAX_BRACKETS) or len({len(indent) for indent in INDENT.findall(source)}) > MAX_INDENTS


def parse(parser: Parser, source: bytes) -> Tree | None:
    """The tree of a text; None where it is so unlike the language that the parser would take too long, or too deep."""
    if is_nested_deeply(source):
        return None
    calls, bound = 0, 1000 + len(source) // BYTES_PER_CALL

    def is_too_slow(offset: int, has_error: bool) -> bool:
        nonlocal calls
        calls += 1
        return calls > bound

    try:
        return parser.parse(lambda offset, point: source[offset : offset + 65536], progress_callback=is_too_slow)
    except ValueError:
        parser.reset()
        return None
