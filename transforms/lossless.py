"""Whether a tokenizer gives every text back as it was: asked of it with texts of all kinds.

What a tokenizer may lose: bytes that its vocabulary lacks, capitals, accents and normal forms, blanks at the ends, runs
of blanks, line ends, what spells one of its own tokens or marks.
"""

import json
import string
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tokenizers import Tokenizer

STRETCH = 256
"""Characters in one text of the sweep over Unicode."""
RARE = 97
"""One in so many of the code points that Unicode has not assigned is asked for."""
SHOWN = 40
BLANKS = (" ", "  ", "\t", "\n", "\r\n", "\r", "\n\n\n", " \t \n", "\x0b", "\x0c", "\x1c", "\x85", "\xa0", "\u2003",
          "\u2028", "\u3000", "\u200b", "\ufeff")  # fmt: skip
FORMS = ("e\u0301", "\u00e9", "A\u030a \u212b", "\u1100\u1161 \uac00", "\u0323\u0307", "\ufb01 \u2460 \uff21")
"""Composed, decomposed and compatible forms."""
MARKS = ("\u2581a \u2581", "\u0120a \u010a", "##a x ##ing", "a</w> b", "@@ a@@ b", "<0x41><0x0A>", "\ufffd")
"""What stands for blanks, bytes and word parts in vocabularies."""
SPELLED = ("<|endoftext|>", "<s>", "</s>", "<unk>", "<pad>", "<mask>", "[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]")
LEADS = (*range(0x80, 0x800, 0x40), *range(0x800, 0xD800, 0x1000), 0xD000, 0xE000, 0xF000)
LEADS = (*LEADS, *range(1 << 16, 0x110000, 0x30000))
"""Code points whose UTF-8 begins with each of the bytes that one may begin with."""


def check(tokenizer: "Tokenizer", texts: Sequence[str], ids: Sequence[Sequence[int]], reserved: set[int]) -> None:
    """Raises ValueError, with a sample, where the ids are not those of the texts alone.

    `reserved`: ids that stand for no text.
    """
    for text, own, back in zip(texts, ids, tokenizer.decode_batch(list(ids), skip_special_tokens=False), strict=True):
        if text != back:
            text, back = _smallest(tokenizer, text)
            raise ValueError(f"it cannot give every text back: {_told(text)} comes back as {_told(back)}")
        if reserved and not reserved.isdisjoint(own):
            raise ValueError(f"it takes a text for the end of one: {_told(text)}")


def probe(tokenizer: "Tokenizer", reserved: set[int], sweeps: bool) -> None:
    """Asks a tokenizer for texts of all kinds and, with `sweeps`, for all that Unicode has assigned.

    Raises ValueError, with a sample, where one does not come back.
    """
    described = json.loads(tokenizer.to_str())
    if described["model"].get("dropout"):
        raise ValueError("its model has dropout, by which a text has other tokens each time; set it to null")
    for texts in (list(_texts(described)), list(_sweep()) if sweeps else []):
        encoded = tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        check(tokenizer, texts, [encoding.ids for encoding in encoded], reserved)


def _texts(described: dict) -> Iterator[str]:
    yield from ("", "x", "".join(map(chr, range(256))), "".join(map(chr, LEADS)), string.printable, string.punctuation)
    yield from ("Straße STRASSE İstanbul ǅ", "I'll don't we've ''quoted'' a . b , c ! d ?", "12345 0x1F 1e-5 ²³½ ٣Ⅷ")
    yield from ("a" * 5000, "ab " * 2000, "def f(x):\r\n\tif x:\r\n\t\treturn 'é 漢字 🎉👩‍💻 \u202e'  # a\r\n\r\n")
    yield from (*FORMS, *MARKS)
    for blank in BLANKS:
        yield from (blank, f"{blank}x{blank}", f"{blank}x ={blank}1{blank}{blank}y")
    yield from (f"a{blank * count}b" for blank in " \t\n" for count in range(2, 70))
    for token in (*SPELLED, *(token["content"] for token in described["added_tokens"])):
        yield from (
            token,
            f" {token} ",
            f"a{token}b",
            f"a \t{token}\n b",
            f"{token}{token}",
            f"x{token}.",
            token.upper(),
        )


def _sweep() -> Iterator[str]:
    points = (point for point in range(0x110000) if not 0xD800 <= point < 0xE000)
    kept = [chr(p) for p in points if p % RARE == 0 or unicodedata.category(chr(p)) not in ("Cn", "Co")]
    yield from ("".join(kept[low : low + STRETCH]) for low in range(0, len(kept), STRETCH))


def _smallest(tokenizer: "Tokenizer", text: str) -> tuple[str, str]:
    """A small part of a text that does not come back, and what comes back: cut at the front, then at the end."""

    def returned(part: str) -> str:
        ids = tokenizer.encode(part, add_special_tokens=False).ids
        return tokenizer.decode(ids, skip_special_tokens=False)

    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if returned(text[middle:]) != text[middle:] else (low, middle)
    text = text[low:]
    low, high = 0, len(text)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if returned(text[:middle]) != text[:middle] else (middle, high)
    return text[:high], returned(text[:high])


def _told(text: str) -> str:
    shown = text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
    return repr(shown) if shown.isprintable() else ascii(shown)
