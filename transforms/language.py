"""Programming language by linguist's names, through enry, from the path alone where that is enough."""

import re
import string
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import enry
import pyarrow as pa
import pyarrow.compute as pc
from enry import definitions
from enry.utils import go_str_slice_to_py

from schemas.contracts import BatchFunction
from schemas.datasets import field

CONSIDERED_BYTES = 50 * 1024
"""Content beyond this is not looked at, as in linguist (its HEURISTICS_CONSIDER_BYTES)."""

LANGUAGE_COLUMNS = pa.schema(
    [
        field("language", pa.string(), "linguist's name for the language; null where linguist knows none"),
        field("language_type", pa.string(), "linguist's type of it: programming, data, markup or prose"),
        field("language_by", pa.string(), "what decided the language: name (the path alone) or content"),
    ]
)


@dataclass(frozen=True)
class Language:
    """Names the language of each file and tells whether its path or its content decided.

    A name that linguist ties to one language (a file name such as Makefile, else an extension such as .py)
    decides alone, also where there is no content. All others go through linguist's strategies in their order:
    modeline, file name, shebang, extension, heuristics, then a naive Bayes classifier among the candidates.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        return ("path", "content")

    @property
    def adds(self) -> pa.Schema:
        return LANGUAGE_COLUMNS

    def load(self, *sides: pa.Table) -> BatchFunction:
        return measure_language


def measure_language(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The columns of `LANGUAGE_COLUMNS` for a batch that holds ``path`` and ``content``."""
    paths = batch.column("path").to_pylist()
    heads = head_of(batch.column("content")).to_pylist()
    decisions = [language_of(path, head) for path, head in zip(paths, heads, strict=True)]
    languages = [language for language, _ in decisions]
    types = {language: language and language_type(language) for language in set(languages)}
    columns = [languages, [types[language] for language in languages], [by for _, by in decisions]]
    return pa.RecordBatch.from_arrays([pa.array(column, pa.string()) for column in columns], schema=LANGUAGE_COLUMNS)


def language_of(path: str, head: bytes | None) -> tuple[str | None, str | None]:
    """The language of a file and what decided it; (None, None) where linguist cannot tell.

    `head` is the first part of the content, None where no text could be read.
    """
    name = path.rpartition("/")[2]
    language = language_by_name(name)
    if language is not None:
        return language, "name"
    if head is None:
        return None, None
    if head.strip():
        language = enry.get_language(name, head)
    else:  # the classifier would pick one of the extension's languages by its prior alone
        candidates = enry.get_languages(name, b"")
        language = candidates[0] if len(candidates) == 1 else None
    return (language, "content") if language else (None, None)


@lru_cache(1 << 16)
def language_by_name(name: str) -> str | None:
    """The one language that linguist ties to a file name or, failing that, to its extension; else None.

    Asks enry's library itself: the package's call for extensions gives the first of several languages, and
    calls each answer safe.
    """
    library: Any = definitions.lib
    encoded = name.encode()
    for strategy in (library.GetLanguagesByFilename, library.GetLanguagesByExtension):
        languages = go_str_slice_to_py(library, strategy(encoded, b"", 0, definitions.ffi.NULL))
        if languages:
            return languages[0] if len(languages) == 1 else None
    return None


def language_type(language: str) -> str | None:
    """Linguist's type of a language (programming, data, markup, prose); None for a name it does not know."""
    kind = enry.get_language_type(language)
    return None if kind == "unknown" else kind


def find_language(name: str) -> str | None:
    """Linguist's name for a language, by that name or an alias such as golang or cpp, in any case; else None."""
    if language_type(name):
        return name
    # An editor's mode line is the way to linguist's aliases that the library has.
    alias = name.strip().replace(" ", "_")
    plain = alias and not re.search(r"[\s;:]|-\*-", alias)
    return enry.get_language_by_emacs_modeline(f"-*- mode: {alias} -*-".encode()).language or None if plain else None


def nearest_languages(name: str) -> list[str]:
    """Languages whose name or alias is one letter away from a name, or two of its letters exchanged."""
    cuts = [(name[:place], name[place:]) for place in range(len(name) + 1)]
    letters = string.ascii_lowercase + string.digits + "+#-."
    edits = [head + tail[1:] for head, tail in cuts if tail]
    edits += [head + tail[1] + tail[0] + tail[2:] for head, tail in cuts if len(tail) > 1]
    edits += [head + letter + tail for head, tail in cuts for letter in letters]
    edits += [head + letter + tail[1:] for head, tail in cuts if tail for letter in letters]
    return sorted({found for edit in edits if (found := find_language(edit))})


def head_of(content: pa.Array) -> pa.Array:
    """The first bytes of each text, as binary: all that the language is told from."""
    binary = content.cast(pa.large_binary() if pa.types.is_large_string(content.type) else pa.binary())
    return pc.binary_slice(binary, 0, CONSIDERED_BYTES)
