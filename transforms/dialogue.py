"""Multi-turn conversations from curated files: what a comment asks for, answered by the code it speaks of.

One file gives at most one conversation, in the file's order: the user's part of a turn is the comment or docstring
of a block, the assistant's part the block itself. So the turns are the pieces of one growing program, each continuing
the one before, as in the multi-turn benchmark of CodeGen (Nijkamp et al., ICLR 2023, section 4).

What is paired:

- A statement, function, class or member with a docstring or with comment lines right above it. Members of classes and
  namespaces follow as turns of their own; what stands undocumented between them is left out.
- Inside the body of a paired function, comments between its statements: the function is cut there.
- A piece has `min_lines` lines of code at least, else it is not cut off from what comes next.
- The first turn also holds what the block needs to stand in: imports, and the heads of the classes around it; the
  closing brackets come with the last member. So an answer's lines are lines of the file, in its order.

What is asked is the comment's first paragraph, as in CodeSearchNet (Husain et al. 2019, section 2), which also leaves
out short comments, functions of fewer than three lines, and tests. Further rules are in `refusal`.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from dataclasses import field as default
from importlib import import_module
from itertools import dropwhile, islice, takewhile
from textwrap import dedent
from typing import Any

import numpy as np
import pyarrow as pa
from tree_sitter import Language as Grammar
from tree_sitter import Node, Parser, Tree

from schemas import json_lines
from schemas.contracts import BatchFunction
from schemas.datasets import field

MESSAGES = pa.list_(pa.struct([pa.field("role", pa.string()), pa.field("content", pa.string())]))

DIALOGUE = pa.schema(
    [
        field("messages", MESSAGES, "turns: role (user, assistant, system) and content; null where there are none"),
        field("dialogue", pa.string(), "made, or why not: language, unparsed, too_few_turns", nullable=False),
        field("is_dialogue", pa.bool_(), "whether there are messages", nullable=False),
    ]
)

SURROGATE = re.compile("[\ud800-\udfff]")
ROLES = ("system", "user", "assistant")
MIN_WORDS, MAX_WORDS = 3, 80
"""Of a request. CodeSearchNet drops under three tokens; the other bound keeps essays out of a user's mouth."""
MAX_COMMENT = 4096
"""Characters of a comment that are looked at."""
MIN_LETTERS = 0.7
"""Share of letters among a request's characters other than blanks; rulers, tables, formulas and code have fewer."""
MIN_ASCII = 0.9
"""Share of ASCII among a request's letters: below, it is in a language with other letters, or drawn in them."""
MAX_OPENING = 20
"""Lines of imports that the first turn may begin with."""
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


@dataclass(frozen=True)
class Dialogues:
    """Makes a conversation of each file that has `min_turns` commented blocks or more.

    A conversation ends before the turn that would pass `max_turns` turns or `max_chars` characters. A block of more
    than `max_chars / 2` characters is left out; what those after it need of it, such as imports and the head of their
    class, goes to the next turn, and the rest of a function goes with its beginning.
    """

    min_turns: int = 2
    max_turns: int = 8
    min_lines: int = 3
    max_chars: int = 8192

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content", "language")

    @property
    def adds(self) -> pa.Schema:
        return DIALOGUE

    def load(self) -> BatchFunction:
        parsers = {name: load_parser(syntax) for name, syntax in SYNTAXES.items()}

        def converse(batch: pa.RecordBatch) -> pa.RecordBatch:
            made = [
                self.conversation(content.as_buffer().to_pybytes(), language, parsers)
                for content, language in zip(batch.column("content"), batch.column("language").to_pylist(), strict=True)
            ]
            messages = [None if isinstance(turns, str) else turns for turns in made]
            fates = [turns if isinstance(turns, str) else "made" for turns in made]
            columns = [pa.array(messages, MESSAGES), pa.array(fates), pa.array([fate == "made" for fate in fates])]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return converse

    def conversation(self, source: bytes, language: str | None, parsers: dict[str, Parser]) -> list[dict] | str:
        """The messages of a file, or why there are none."""
        if language not in parsers:
            return "language"
        parser = parsers[language]
        tree = parse(parser, source)
        if tree is None:
            return "unparsed"
        file = File(source, SYNTAXES[language], parser, self.min_lines)
        turns: list[dict] = []
        needed: list[tuple[int, int]] = []  # lines of blocks left out, and up to where they are needed
        length, lost = 0, -1
        for block in Blocks(tree.root_node, file, self.max_turns).turns:
            rows = [row for row, until in needed if block.begin <= until]
            code = file.text([*rows, *block.rows])
            if len(code) > self.max_chars // 2 or block.begin <= lost:
                needed += block.needed
                lost = max(lost, block.function_end)
                continue
            needed = []
            length += len(block.request) + len(code)
            if len(turns) == 2 * self.max_turns or length > self.max_chars:
                break
            turns += {"role": "user", "content": block.request}, {"role": "assistant", "content": code}
        return turns if len(turns) >= 2 * self.min_turns else "too_few_turns"


@dataclass(frozen=True)
class Instructions:
    """Takes the conversations of users' JSON lines, but for those in which `Decontaminate` found a benchmark.

    Raises ValueError for a line that holds none.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return ("content", "contaminated")

    @property
    def adds(self) -> pa.Schema:
        doc = "the line's `language`, linguist's name; null where it tells none"
        return pa.schema([*DIALOGUE, field("told_language", pa.string(), doc)])

    def load(self) -> BatchFunction:
        def read(batch: pa.RecordBatch) -> pa.RecordBatch:
            found = batch.column("contaminated").to_pylist()
            told = [messages_of(json_lines.parse(line.encode())) for line in batch.column("content").to_pylist()]
            messages = [None if by else turns for by, (turns, _) in zip(found, told, strict=True)]
            columns = [
                pa.array(messages, MESSAGES),
                pa.array([f"contaminated.{by}" if by else "made" for by in found], pa.string()),
                pa.array([not by for by in found], pa.bool_()),
                pa.array([language for _, language in told], pa.string()),
            ]
            return pa.RecordBatch.from_arrays(columns, schema=self.adds)

        return read


def messages_of(row: dict[str, Any]) -> tuple[list[dict[str, str]], str | None]:
    """Messages and language of a JSON line's object. Raises ValueError, which says what is wrong with it."""
    turns = row.get("messages")
    if not isinstance(turns, list) or not turns:
        raise ValueError('give an object with a list of messages: {"messages": [{"role": "user", "content": "…"}, …]}')
    for number, turn in enumerate(turns, 1):
        if not isinstance(turn, dict) or turn.get("role") not in ROLES:
            raise ValueError(f"message {number}: its role is none of {', '.join(ROLES)}")
        if not isinstance(turn.get("content"), str) or not turn["content"].strip():
            raise ValueError(f"message {number}: its content is no text")
    if all(turn["role"] != "assistant" for turn in turns):
        raise ValueError("no message is the assistant's")
    language = row.get("language")
    if language is not None and not isinstance(language, str):
        raise ValueError("its language is no text")
    return [{"role": turn["role"], "content": turn["content"]} for turn in turns], language


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


@dataclass
class File:
    """A file on its way: its lines, and how to read its language."""

    source: bytes
    syntax: Syntax
    parser: Parser
    min_lines: int

    def __post_init__(self) -> None:
        self.lines = self.source.split(b"\n")

    def text(self, rows: list[int]) -> str:
        """The lines of these numbers, without blank ones at either end."""
        return b"\n".join(self.lines[row] for row in rows).decode().strip("\r\n").rstrip()

    def is_long_enough(self, rows: list[int]) -> bool:
        code = (row for row in rows if self.lines[row].strip())
        return sum(1 for _ in islice(code, self.min_lines)) == self.min_lines

    def begins_line(self, node: Node) -> bool:
        row, column = node.start_point
        return not self.lines[row][:column].strip()

    def adjoins(self, comment: Node, row: int, is_definition: bool) -> bool:
        """Whether nothing but attributes stands between; a blank line may only follow a definition's /** comment."""
        between = self.lines[last_row(comment) + 1 : row]
        return all(map(bytes.strip, between)) or (
            is_definition and len(between) == 1 and text_of(comment).startswith("/**")
        )

    def asked(self, *comments: Node) -> str | None:
        """What comments or a docstring ask for; None where it is nothing that a user might ask."""
        lines = paragraph("\n".join(text_of(comment).rstrip("\n") for comment in comments))
        return None if refusal(lines, self.parser) else request(lines)


@dataclass
class Block:
    """A turn: what is asked, and the numbers of the lines that answer it."""

    request: str
    rows: list[int]
    begin: int
    """The first of the lines that are its own; those before are there for it to stand in."""
    needed: list[tuple[int, int]]
    """Lines that later blocks need if this one is left out, each with the last line up to where it is needed."""
    function_end: int = -1
    """The last line of the function that it begins or goes on with."""


@dataclass
class Body:
    """A file, class or namespace whose members are being visited: the next one is `members[at]`."""

    members: list[Node]
    last_row: int = -1
    closing: int | None = None
    """The line of its closing bracket, if it is alone there."""
    turns: int = 0
    context: int = 0
    comments: list[Node] = default(default_factory=list)
    """Those right above the next member."""
    at: int = 0


class Blocks:
    """The commented blocks of a tree in the order of the file, without a line in common.

    Visits the members of files, classes and namespaces on a stack of its own, however deep they lie.
    """

    def __init__(self, root: Node, file: File, most: int):
        """Ends at the turn after the first `most`, for until then the last of these may still be cut."""
        self.file, self.most = file, most
        self.turns: list[Block] = []
        self.context: list[tuple[int, int]] = []  # lines that the next turn needs before its own, as in Block.needed
        self.stack = [Body(root.named_children)]
        while self.stack and len(self.turns) <= self.most:
            body = self.stack[-1]
            if body.at < len(body.members):
                body.at += 1
                self.visit(body.members[body.at - 1], body)
            else:
                self.leave(self.stack.pop())

    def visit(self, node: Node, body: Body) -> None:
        """Takes the next member of a body; one that goes on in a line that is taken already is passed over."""
        syntax, first, last = self.file.syntax, node.start_point.row, last_row(node)
        comments = body.comments
        if is_comment(node):
            body.comments = gathered(comments, node) if first > body.last_row and self.file.begins_line(node) else []
            return
        if node.type not in syntax.attributes:
            body.comments = []
        if node.is_error:
            body.at = len(body.members)  # What follows may be read amiss: a method outside its class.
        elif first > body.last_row:
            if node.type in syntax.plain:
                self.stack.append(Body(node.named_children, first, turns=len(self.turns), context=len(self.context)))
            elif node.type in syntax.opening:
                if not self.turns and len(self.context) < MAX_OPENING:
                    self.context += ((row, len(self.file.lines)) for row in range(first, last + 1))
            elif node.type in syntax.sections:
                self.context.append((first, node.parent.end_point.row if node.parent else first))
            elif node.type not in syntax.attributes:
                self.take(node, comments, body)
        body.last_row = max(body.last_row, last)

    def take(self, node: Node, comments: list[Node], body: Body) -> None:
        """Makes the turns of a member that is commented, and goes into one that has members itself."""
        file, definition = self.file, unwrapped(node, self.file.syntax)
        is_definition = definition.type in (*file.syntax.bodies, *file.syntax.functions)
        if is_definition and TEST.match(name(definition)):
            return
        first, last = node.start_point.row, last_row(node)
        if comments and not file.adjoins(comments[-1], first, is_definition):
            comments = []
        begin = last_row(comments[-1]) + 1 if comments else first
        rows, told = list(range(begin, last + 1)), comments
        if file.syntax.docstrings and is_definition and (docstring := docstring_of(definition)):
            rows = [row for row in rows if not docstring.start_point.row <= row <= docstring.end_point.row]
            told = [docstring] if file.begins_line(docstring) and rows and rows[-1] > docstring.end_point.row else []
        if not is_definition:
            rows += self.adjoining(body, last)
        asked = file.asked(*told) if told and file.begins_line(node) and not node.has_error else None
        made = asked is not None and self.add(asked, comments[0].start_point.row if comments else begin, rows)
        members = definition.child_by_field_name("body") if is_definition else None
        if members is None or members.end_point.row == members.start_point.row or not members.child_count:
            return
        if definition.type in file.syntax.functions:
            self.cut_function(inside(definition, members), last) if made else None
            return
        opens, context = members.start_point.row, len(self.context)
        closer = members.children[-1]
        head = [(row, last) for row in range(begin, opens + (closer.type == "}"))]
        (self.turns[-1].needed if made else self.context).extend(head)
        closing = closer.start_point.row if closer.type == "}" and file.begins_line(closer) else None
        inner = inside(definition, members)
        self.stack.append(Body(inner, opens if closer.type == "}" else opens - 1, closing, len(self.turns), context))

    def add(self, asked: str, begin: int, rows: list[int]) -> bool:
        """Adds a turn. One that begins inside the last one ends it there, unless too little would be left of that."""
        if not self.file.is_long_enough(rows):
            return False
        if self.turns and begin <= self.turns[-1].rows[-1]:
            whole = self.turns[-1].rows
            own, end = bisect_left(whole, self.turns[-1].begin), bisect_left(whole, begin)
            if not self.file.is_long_enough(whole[own:end]):
                return False
            self.turns[-1].rows = whole[:end]
        after = self.turns[-1].rows[-1] if self.turns else -1
        context = [(row, until) for row, until in self.context if after < row < rows[0]]
        self.turns.append(Block(asked, [*(row for row, _ in context), *rows], rows[0], context))
        self.context = []
        return True

    def cut_function(self, statements: list[Node], last: int) -> None:
        """Gives the rest of the last turn, a function, to each comment between its statements that asks for it."""
        self.turns[-1].function_end = last
        comments: list[Node] = []
        taken = -1
        for node in statements:
            first = node.start_point.row
            if len(self.turns) > self.most:
                return
            if is_comment(node):
                comments = gathered(comments, node) if first > taken and self.file.begins_line(node) else []
                continue
            if comments and first == last_row(comments[-1]) + 1 and (asked := self.file.asked(*comments)):
                rows = self.turns[-1].rows
                if self.add(asked, comments[0].start_point.row, rows[bisect_left(rows, first) :]):
                    self.turns[-1].function_end = last
            comments, taken = [], last_row(node)

    def adjoining(self, body: Body, last: int) -> list[int]:
        """Lines of the plain statements that follow without a blank line or a comment, and are taken with it."""
        rows: list[int] = []
        while body.at < len(body.members):
            node = body.members[body.at]
            syntax = self.file.syntax
            known = (*syntax.bodies, *syntax.functions, *syntax.plain, *syntax.opening, *syntax.sections)
            is_plain = not is_comment(node) and unwrapped(node, syntax).type not in (*known, *syntax.attributes)
            if not is_plain or node.has_error or node.start_point.row > last + 1:
                break
            rows += range(last + 1, last_row(node) + 1)
            last = max(last, last_row(node))
            body.at += 1
        body.last_row = max(body.last_row, last)
        return rows

    def leave(self, body: Body) -> None:
        """Closes a body: its bracket goes to its last member's turn; where it has none, its head is not needed."""
        if len(self.turns) == body.turns:
            del self.context[body.context :]
            return
        self.context = []
        if body.closing is not None and body.closing > self.turns[-1].rows[-1]:
            self.turns[-1].rows.append(body.closing)


def text_of(node: Node) -> str:
    return (node.text or b"").decode(errors="replace")


def is_comment(node: Node) -> bool:
    return "comment" in node.type


def gathered(comments: list[Node], comment: Node) -> list[Node]:
    """The comments with one more; that one alone if it is not on the next line."""
    if comments and comment.start_point.row == last_row(comments[-1]) + 1:
        comments.append(comment)
        return comments
    return [comment]


def last_row(node: Node) -> int:
    """The line in which a node ends; some take in the line's end."""
    row, column = node.end_point
    return row - 1 if column == 0 and row > node.start_point.row else row


def unwrapped(node: Node, syntax: Syntax) -> Node:
    """The definition inside decorators, exports, templates and assignments."""
    for _ in range(8):
        if node.type not in syntax.wrappers or not node.named_child_count:
            break
        node = node.named_child(node.named_child_count - 1) or node
    return node


def inside(definition: Node, body: Node) -> list[Node]:
    """The members or statements of a body. Python leaves its first comment outside, Go puts a list between."""
    before = [node for node in definition.named_children if is_comment(node) and node.end_byte <= body.start_byte]
    nodes = before + body.named_children
    for place, node in enumerate(nodes):
        if node.type == "statement_list":
            return sorted([*nodes[:place], *node.named_children, *nodes[place + 1 :]], key=lambda node: node.start_byte)
    return nodes


def docstring_of(definition: Node) -> Node | None:
    """The string that is the first statement of a Python definition."""
    body = definition.child_by_field_name("body")
    for statement in body.named_children[:1] if body else []:
        for string in statement.named_children[:1] if statement.type == "expression_statement" else []:
            return string if string.type == "string" else None
    return None


def name(definition: Node) -> str:
    """The name of a definition, which C++ keeps inside its declarator; "" where it has none."""
    for _ in range(8):
        if (named := definition.child_by_field_name("name")) is not None:
            return text_of(named)
        if (inner := definition.child_by_field_name("declarator")) is None:
            return text_of(definition) if "identifier" in definition.type else ""
        definition = inner
    return ""


TEST = re.compile(r"_*(?:[Tt]ests?|TEST)(?![a-z])")
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
