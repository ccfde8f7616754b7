"""Tokens that their vendors' prefixes and forms give away, found by kingfisher's scanner.

kingfisher-secret-scanner (Apache-2.0) has the rules of betterleaks and of Veles, some 490, compiled for
vectorscan, in its wheel; what is in base64, twice at the most, is decoded. A scan asks no network: kingfisher
validates tokens only where it is told to, and nothing here does.
"""

import threading
from bisect import bisect
from collections.abc import Iterator
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING

import re2

if TYPE_CHECKING:
    from kingfisher_sdk import Scanner

VENDORS = {
    "anthropic": "ANTHROPIC_KEY",
    "aws-access-token": "AWS_ACCESS_KEY",
    "aws-secret": "AWS_SECRET_KEY",
    "azure-storage": "AZURE_STORAGE_KEY",
    "digitalocean": "DIGITALOCEAN_TOKEN",
    "gcp-api-key": "GOOGLE_API_KEY",
    "github": "GITHUB_TOKEN",
    "gitlab": "GITLAB_TOKEN",
    "huggingface": "HUGGING_FACE_TOKEN",
    "jwt": "JWT",
    "npm": "NPM_TOKEN",
    "openai": "OPENAI_KEY",
    "private-key": "PRIVATE_KEY",
    "pypi": "PYPI_TOKEN",
    "sendgrid": "SENDGRID_KEY",
    "slack": "SLACK_TOKEN",
    "stripe": "STRIPE_KEY",
    "telegram": "TELEGRAM_TOKEN",
    "twilio": "TWILIO_KEY",
}
"""The kind of what a rule finds, by how its name begins; of other vendors it is `SECRET`."""

LEFT_TO_RULES = ("mongodb-connection-string", "generic-credential-uri", "slack-webhook")
"""Addresses, of which the rules take the secret part alone."""

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1

_PART = rb"[A-Za-z0-9_.~+/=-]*"
BRACKETED = re2.compile(
    rb"[A-Za-z]%b[0-9]%b[A-Za-z]%b[0-9]%b(?:[()\[\]{}<>,|&#:?!]|[^\x00-\x7f]|\.\s)" % (_PART, _PART, _PART, _PART),
    _LATIN1,
)
"""What may be a token before a sign other than a quotation mark or a blank, at which most rules want it to end."""

_loading = threading.Lock()


@cache
def scanner() -> "Scanner":
    """The scanner, compiled once in a process: 3 s, 70 MB; threads share it."""
    from kingfisher_sdk import DetectionPolicy, Rules, Scanner

    # Comments that tell kingfisher to look away, and rules for HTML, are not for a corpus.
    policy = DetectionPolicy(inline_ignores=False, markup_context=False, cli_match_semantics=False)
    return Scanner(Rules(confidence="low", cache=False), policy=policy)


def load_scanner() -> "Scanner":
    with _loading:
        return scanner()


def vendor_tokens(text: bytes) -> Iterator[tuple[int, int, str]]:
    """Start and end in bytes, and kind, of the tokens in a UTF-8 text, whatever sign comes after them."""
    yield from _found(text)
    spans = (match.span() for match in BRACKETED.finditer(text))
    runs = [(start, end) for start, end in spans if end - start > 16]
    # One to a line, each with a blank in the place of the sign.
    alone = b"".join(text[start : end - 1].rstrip(b".").ljust(end - start) + b"\n" for start, end in runs)
    firsts = list(accumulate((end - start + 1 for start, end in runs), initial=0))
    for start, end, kind in _found(alone) if runs else ():
        run = bisect(firsts, start) - 1
        if end < firsts[run + 1]:
            shift = runs[run][0] - firsts[run]
            yield start + shift, end + shift, kind


def _found(text: bytes) -> Iterator[tuple[int, int, str]]:
    for finding in scanner().scan(text):
        name = finding.rule_id.rpartition("/")[2].removeprefix("betterleaks.")
        if finding.visible and not name.startswith(LEFT_TO_RULES):
            kind = next((kind for prefix, kind in VENDORS.items() if name.startswith(prefix)), "SECRET")
            yield finding.location["start_offset"], finding.location["end_offset"], kind
