"""What a licence expression asks of those who reuse the code: classes, and the strictest of several."""

import difflib
import re
from collections.abc import Iterable
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import license_expression

STRICTNESS = ("permissive", "weak-copyleft", "unknown", "copyleft", "proprietary")
"""The classes from the most liberal to the strictest.

`unknown` stands for terms that nobody could name. Beside a permissive licence they win, since they may hide anything;
a weak one stays beside them; beside a copyleft or proprietary one they change nothing.
"""

_CLASS_OF_CATEGORY = {
    "Permissive": "permissive",
    "Public Domain": "permissive",
    "CC0": "permissive",
    "Copyleft Limited": "weak-copyleft",
    "Copyleft": "copyleft",
    "Commercial": "proprietary",
    "Free Restricted": "proprietary",
    "Non-Commercial": "proprietary",
    "Proprietary Free": "proprietary",
    "Source-available": "proprietary",
    "Unstated License": "unknown",
}
"""scancode's licence categories; one that is not listed counts as unknown."""

_WITHOUT_TERMS = frozenset(
    {
        "any-osi",
        "free-unknown",
        "generic-export-compliance",
        "generic-trademark",
        "here-disclaimer",
        "license-file-reference",
        "see-license",
        "trademark-notice",
        "unknown-license-reference",
        "unstated",
        "warranty-disclaimer",
    }
)
"""scancode keys for phrases that state no terms, such as "see the LICENSE file".

Beside a named licence they are passed over; alone they leave the class unknown. So it is with the categories of
`_CATEGORIES_WITHOUT_TERMS`.
"""

_CATEGORIES_WITHOUT_TERMS = frozenset({"CLA", "Patent License"})
"""Contributor agreements bind those who contribute. A patent licence, as WebM's PATENTS, adds a permission to a
licence of copyright and takes none of its own away. Nor does one that ends when its holder is sued over patents, as
Facebook's of 2015: what ends then is the licence of the patents. Clauses that forbid have other categories, such as
"Free Restricted" (Cisco's of AVC) and "Proprietary Free" (one for OpenSSL alone).
"""

_LONGEST_EXPRESSION = 20_000  # characters; a longer "expression" is text, and slow to parse

_licensing: Any = license_expression.Licensing()


class License(NamedTuple):
    """A licence of scancode's database."""

    key: str
    spdx: str
    license_class: str
    has_terms: bool


@cache
def licenses() -> dict[str, License]:
    """scancode's licences under each of their names (its own key, SPDX ids, old SPDX ids), in lower case.

    Read from the front matter of the texts that scancode ships: some 0.1 s once per process, where the matching index
    takes seconds and a gigabyte.
    """
    package = find_spec("licensedcode")
    if package is None or not package.submodule_search_locations:
        raise ModuleNotFoundError("scancode's licence texts are missing: install scancode-toolkit")
    folder = Path(package.submodule_search_locations[0], "data", "licenses")
    current: dict[str, License] = {}
    deprecated: dict[str, License] = {}
    for file in sorted(folder.glob("*.LICENSE")):
        matter = file.read_text(encoding="utf-8").split("\n---\n", 1)[0]
        fields = dict(re.findall(r"^(key|category|spdx_license_key|is_deprecated): +(.+)$", matter, re.M))
        others = re.search(r"^other_spdx_license_keys:\n((?: *- .*(?:\n|$))+)", matter, re.M)
        key, category = fields["key"], fields.get("category", "")
        spdx = fields.get("spdx_license_key") or f"LicenseRef-scancode-{key}"
        has_terms = key not in _WITHOUT_TERMS and category not in _CATEGORIES_WITHOUT_TERMS
        license = License(key, spdx, _CLASS_OF_CATEGORY.get(category, "unknown"), has_terms)
        names = [key, spdx, *(re.findall(r"- +(\S.*)", others[1]) if others else ())]
        table = deprecated if "is_deprecated" in fields else current
        for name in names:
            table.setdefault(name.strip().lower(), license)
    return deprecated | current


def find_license(name: str) -> License | None:
    """The licence that a key or SPDX id names, in any case; `X+` falls back to `X`; null where none has that name."""
    table = licenses()
    return table.get(name.lower()) or table.get(name.lower().removesuffix("+"))


def nearest_licenses(name: str) -> list[str]:
    """Up to three SPDX ids that a name which is none may mean, such as Apache-2.0 for Apache 2.0."""
    found = sorted({each.spdx for each in licenses().values()}, reverse=True)
    ids = {_letters(spdx): spdx for spdx in found if not spdx.startswith("LicenseRef")}
    written = _letters(name)
    longer = sorted((spelled for spelled in ids if written and spelled.startswith(written)), key=lambda s: (len(s), s))
    close = [written] if written in ids else longer[:3] or difflib.get_close_matches(written, sorted(ids), 1)
    return [ids[spelled] for spelled in close]


def _letters(name: str) -> str:
    """A name's letters and digits, less what is often left out."""
    return re.sub(r"[^a-z0-9]|version|licen[cs]e|only|(?<=\d)\.0", "", name.lower())


@lru_cache(maxsize=65536)
def license_class(expression: str | None) -> str:
    """permissive, weak-copyleft, copyleft, proprietary or unknown, for an SPDX expression.

    AND takes the strictest operand, OR the most liberal one that is known. In `L WITH E` the exception's own category
    decides for a copyleft licence (Classpath: weak-copyleft), though never below weak-copyleft; for others the
    stricter of the two. No expression, one that does not parse, and one that names no terms are unknown.
    """
    return _class_of_terms(expression) or "unknown"


def states_terms(expression: str) -> bool:
    """Whether an expression names a licence, or unknown terms: more than a phrase such as "see the LICENSE file"."""
    return _class_of_terms(expression) is not None


@lru_cache(maxsize=65536)
def spdx_expression(text: str) -> str | None:
    """A declared expression under SPDX's names (`mit or GPL-2.0+` is `MIT OR GPL-2.0-or-later`); null if it is none."""
    parsed = _parse(text)
    return None if parsed is None else _rename(parsed)


@lru_cache(maxsize=65536)
def license_names(expression: str) -> frozenset[str]:
    """The licences that an expression names, without versions' `-only` and `-or-later`; phrases without terms are not.

    `GPL-2.0-or-later OR MIT` names gpl-2.0 and mit: a text of the GPL cannot tell which of the two variants holds.
    """
    parsed = _parse(expression)
    if parsed is None:
        return frozenset({expression})
    names = {symbol.key for symbol in _licensing.license_symbols(parsed, decompose=True)}
    return frozenset(re.sub("-only$|-or-later$|\\+$", "", name.lower()) for name in names if _class_of_terms(name))


@lru_cache(maxsize=65536)
def offers_choice(expression: str) -> bool:
    """Whether an expression as a whole is a choice among licences: `A OR B`, but not `A AND (B OR C)`."""
    return isinstance(_parse(expression), license_expression.OR)


@lru_cache(maxsize=65536)
def conjuncts(expression: str) -> list[str]:
    """The licences of `A AND B`, one by one; of any other expression, itself."""
    parsed = _parse(expression)
    return [operand.render() for operand in parsed.args] if isinstance(parsed, license_expression.AND) else [expression]


def settle_choices(expressions: Iterable[str]) -> list[str]:
    """The distinct expressions, in order, less those that only repeat what a choice beside them offers.

    `MIT OR GPL-2.0-only` explains a text of the MIT licence and one of the GPL: the two to choose from, no duties.
    """
    distinct = sorted(set(expressions))
    choices = [expression for expression in distinct if offers_choice(expression)]
    return [
        expression
        for expression in distinct
        if expression in choices or not any(license_names(expression) <= license_names(choice) for choice in choices)
    ]


def unexplained(said: Iterable[str], choices: Iterable[str], texts: Iterable[str]) -> list[str]:
    """The expressions, less those that only repeat what a choice offers of which all is among the texts."""
    texts, explained = list(texts), set()
    for choice in filter(offers_choice, choices):
        offered = license_names(choice)
        repeats = [
            expression for expression in texts if not offers_choice(expression) and license_names(expression) <= offered
        ]
        if offered == frozenset().union(*map(license_names, repeats)):
            explained.update(repeats)
    return [expression for expression in said if expression not in explained]


def combine_strictest(expressions: Iterable[str | None]) -> tuple[str | None, str]:
    """The strictest licence among several that all speak of one file, and its class.

    Expressions of the strictest class are joined by AND, in a canonical order and without repetition: `MIT` and
    `Apache-2.0` give `Apache-2.0 AND MIT`, `MIT` and `GPL-2.0-only` give `GPL-2.0-only`. Weak copyleft stays beside
    unknown terms, lest it be lost on those who keep unknown ones. What states no terms is passed over where
    anything else is there. Without any expression the result is null and unknown. The order of the
    expressions does not matter.
    """
    return _combine(frozenset(expression for expression in expressions if expression))


@lru_cache(maxsize=65536)
def _combine(expressions: frozenset[str]) -> tuple[str | None, str]:
    if not expressions:
        return None, "unknown"
    with_terms = {expression: found for expression in expressions if (found := _class_of_terms(expression))}
    strictest = max(with_terms.values(), key=STRICTNESS.index, default=None)
    decisive = {strictest, "weak-copyleft"} if strictest == "unknown" else {strictest}
    chosen = sorted(expression for expression in expressions if with_terms.get(expression) in decisive)
    parsed = [_parse(expression) for expression in chosen]
    operands = [_drop_phrases(operand) for operand in parsed if operand is not None]
    if len(operands) < len(chosen):  # one of them is no expression: keep its words, they cannot be simplified
        return " AND ".join(chosen), strictest or "unknown"
    together: Any = operands[0] if len(operands) == 1 else license_expression.AND(*operands)
    return together.simplify().render(), strictest or "unknown"


def _parse(text: str) -> Any:
    """license-expression's tree; null where the text is no expression."""
    if len(text) > _LONGEST_EXPRESSION:
        return None
    try:
        return _licensing.parse(text)
    except license_expression.ExpressionError:
        return None


@lru_cache(maxsize=65536)
def _class_of_terms(expression: str | None) -> str | None:
    """`license_class`, but null where there is no expression or one that names no terms."""
    if not expression:
        return None
    parsed = _parse(expression)
    return "unknown" if parsed is None else _class_of_tree(parsed)


def _class_of_tree(tree: Any) -> str | None:
    if isinstance(tree, license_expression.LicenseWithExceptionSymbol):
        return _class_with_exception(tree.license_symbol.key, tree.exception_symbol.key)
    if isinstance(tree, license_expression.LicenseSymbol):
        return _class_of_name(tree.key)
    classes = {found for operand in tree.args if (found := _class_of_tree(operand))}
    if isinstance(tree, license_expression.OR):
        return min(classes - {"unknown"} or classes, key=STRICTNESS.index, default=None)
    return max(classes, key=STRICTNESS.index, default=None)


def _class_of_name(name: str) -> str | None:
    license = find_license(name)
    if license is None:
        return "unknown"
    return license.license_class if license.has_terms else None


def _class_with_exception(name: str, exception_name: str) -> str | None:
    license, exception = _class_of_name(name), _class_of_name(exception_name)
    if license is None or exception is None or exception == "unknown":
        return license
    floor = "weak-copyleft" if license == "copyleft" else license
    return max(exception, floor, key=STRICTNESS.index)


def _drop_phrases(tree: Any) -> Any:
    """The tree without those operands of an AND that name no terms, unless none is left."""
    if not isinstance(tree, license_expression.AND):
        return tree
    operands = [_drop_phrases(operand) for operand in tree.args if _class_of_tree(operand)]
    if not operands:
        return tree
    return operands[0] if len(operands) == 1 else license_expression.AND(*operands)


def _rename(tree: Any) -> str | None:
    """The expression with each name replaced by its SPDX id; null where a name is in nobody's list."""
    names: dict[str, str] = {}
    for symbol in _licensing.license_symbols(tree, unique=True, decompose=True):
        license = find_license(symbol.key)
        if license is None:
            return None
        names[symbol.key] = license.spdx
    return _render(tree, names)


def _render(tree: Any, names: dict[str, str], inside: bool = False) -> str:
    if isinstance(tree, license_expression.LicenseWithExceptionSymbol):
        return f"{names[tree.license_symbol.key]} WITH {names[tree.exception_symbol.key]}"
    if isinstance(tree, license_expression.LicenseSymbol):
        return names[tree.key]
    operator = " OR " if isinstance(tree, license_expression.OR) else " AND "
    text = operator.join(_render(operand, names, inside=True) for operand in tree.args)
    return f"({text})" if inside else text
