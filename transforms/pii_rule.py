"""A rule: one shape of personal data or of a secret, and how far its pattern may look.

A rule has a cheap `trigger` for RE2, a `pattern` for the `regex` module, and a test of the matched text. A pattern
matches nothing without a match of its trigger, reaches at most `BEFORE` bytes to the left of the trigger and
`AFTER` to its right, looks to either side included, and leaves the lines that the trigger touches at neither end.
On these bounds rests that a scan of the windows around triggers finds what a scan of the whole text finds.
``\\K`` in a pattern starts the part to redact.
"""

from collections.abc import Callable
from dataclasses import dataclass

from transforms.pii_values import varied

BEFORE = 512
"""Bytes of a long line that any pattern may look at to the left of its trigger."""

AFTER = 4096
"""Bytes of a long line that any pattern may look at to the right of its trigger's start."""

QUOTE = r"(?:\\{0,3}[\"'`]|&quot;|&apos;|&\#3[49];|%22)"
"""A quotation mark, escaped in whatever way."""
BARE = r"[^\s\"'`(){}\[\]<>,;$\\&|]"
"""A character of a value without quotes."""
ENDS = r"(?=[\s,;\"'`<>)}\]&|]|\\[nrt\"']|$)"
"""What ends it."""
CLOSED = rf"(?:{QUOTE}|[\])}}]){{0,2}}"
"""What may close a name."""


@dataclass(frozen=True)
class Rule:
    """A shape of personal data or of a secret."""

    kind: str
    source: str
    trigger: str
    """RE2 syntax, over bytes; no look-around, and no end that depends on what follows."""
    pattern: str
    """Syntax of the `regex` module, case-sensitive; `\\w`, `\\d`, `\\s` and `\\b` are ASCII's."""
    accept: Callable[[str], bool] = varied
    presidio: str = ""
    """The recognizer of presidio that runs the pattern and adds its own check; none if empty."""
