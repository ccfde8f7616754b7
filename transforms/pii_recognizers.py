"""The rules for personal data and secrets, as functions that find their shapes in a text."""

import logging
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import regex

from transforms.pii_named import NAMED_RULES
from transforms.pii_personal import PERSONAL_RULES
from transforms.pii_rule import Rule
from transforms.pii_secrets import FORM_RULES
from transforms.pii_tokens import VENDORS

RULE_SETS = (FORM_RULES, NAMED_RULES + PERSONAL_RULES)
"""The triggers of a set are one automaton of RE2. One for all rules runs out of states: 18 MB/s in place of 160."""

KINDS = tuple(
    sorted({"PRIVATE_KEY", "SECRET", *VENDORS.values(), *(rule.kind for rules in RULE_SETS for rule in rules)})
)

Finder = Callable[[str], Iterator[tuple[int, int]]]
"""From a text to where a shape starts and ends in it, in characters."""


@contextmanager
def _without_models() -> Iterator[None]:
    """Imports of this thread find no torch and no transformers.

    presidio and spaCy import both where they are installed, for models that no rule here uses: 3.5 s and
    300 MB a worker. What another part of the process has imported before stays as it is.
    """
    thread = threading.get_ident()

    class Refuse:
        @staticmethod
        def find_spec(name: str, path: Any = None, target: Any = None) -> None:
            if threading.get_ident() == thread and name.partition(".")[0] in ("torch", "transformers"):
                raise ModuleNotFoundError(f"{name} is not needed here", name=name)

    finder: Any = Refuse
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


def finder(rule: Rule) -> Finder:
    """What finds a rule's shape: its pattern and its test, or the recognizer of presidio that checks more."""
    if rule.presidio:
        recognizer = presidio_recognizer(rule)
        return lambda text: ((found.start, found.end) for found in recognizer.analyze(text, []))
    pattern = regex.compile(rule.pattern, regex.MULTILINE | regex.ASCII)
    return lambda text: (match.span() for match in pattern.finditer(text) if rule.accept(match[0]))


def presidio_recognizer(rule: Rule) -> Any:
    """Nothing is downloaded. presidio's logger is silenced, for it writes the text that it fails to check."""
    with _without_models():
        from presidio_analyzer import Pattern, predefined_recognizers

    logging.getLogger("presidio-analyzer").setLevel(logging.CRITICAL + 1)
    base: Any = getattr(predefined_recognizers, rule.presidio)

    class CodeRecognizer(base):
        def validate_result(self, pattern_text: str) -> bool | None:
            return rule.accept(pattern_text) and super().validate_result(pattern_text)

    pattern = Pattern(rule.source, rule.pattern, 1.0)
    recognizer = CodeRecognizer(supported_entity=rule.kind, patterns=[pattern], name=rule.source)
    recognizer.global_regex_flags = regex.MULTILINE | regex.ASCII
    return recognizer
