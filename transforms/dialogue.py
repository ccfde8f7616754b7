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
out short comments, functions of fewer than three lines, and tests. Further rules are in
`dialogue_requests.refusal`.
"""

import re
from bisect import bisect_left
from dataclasses import dataclass
from dataclasses import field as default
from itertools import islice

import pyarrow as pa
from tree_sitter import Node, Parser

from schemas.contracts import BatchFunction
from transforms.dialogue_requests import paragraph, refusal, request
from transforms.dialogue_syntax import SYNTAXES, Syntax, load_parser, parse
from transforms.messages import DIALOGUE, MESSAGES

MAX_OPENING = 20
"""Lines of imports that the first turn may begin with."""


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
