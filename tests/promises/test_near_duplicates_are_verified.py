"""Near duplicates are verified: no file goes without its exact Jaccard similarity to the named file that stays.

The similarity is measured again in plain Python, from the input and by README's definition.
"""

import json
import random
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.command_line import corpus, curated, explained, ledger, named
from tests.corpora import GPL_HEADER, files, heapq_variant, installed, stdlib
from tests.words import similarity, tokens

EXACT_AND_NEAR = {"exact": {"enabled": True}, "near": {"enabled": True}}


@dataclass(frozen=True)
class Given:
    """Texts by repository and path, and the files that have to go as near duplicates; `gone` is their least number."""

    texts: dict[str, str]
    gone: int
    near: dict[str, Any] = field(default_factory=dict)
    blocks: dict[str, Any] = field(default_factory=dict)
    as_text: bool = False
    """Curated as natural language, by `tokenize.text`."""
    earlier: dict[str, str] = field(default_factory=dict)
    """Texts of an earlier run, which `dedup.against` names."""


Form = Callable[[], Given]
FORMS: dict[str, Form] = {}


def form(make: Form) -> Form:
    FORMS[make.__name__] = make
    return make


def words(seed: int, count: int) -> list[str]:
    drawn = random.Random(seed)
    return [f"w{drawn.getrandbits(40)}" for _ in range(count)]


@form
def names_changed() -> Given:
    return Given({"a/heap.py": stdlib("heapq"), "b/heap.py": heapq_variant(), "c/bisect.py": stdlib("bisect")}, gone=1)


@form
def layout_changed() -> Given:
    text = stdlib("textwrap")
    other = {"b/tabs.py": text.replace("    ", "\t"), "c/crlf.py": text.replace("\n", "\r\n")}
    return Given({"a/wrap.py": text, "d/dense.py": re.sub(r"\n\s*\n+", "\n", text), **other}, gone=3)


@form
def a_header_put_before_or_cut_off() -> Given:
    texts = {f"a/{name}.py": stdlib(name) for name in ("queue", "sched", "shelve", "heapq")}
    headed = {f"b/{name[2:]}": GPL_HEADER + text for name, text in texts.items()}
    return Given(texts | headed | {"c/heapq.py": "\n".join(stdlib("heapq").splitlines()[30:])}, gone=4)


@form
def comments_taken_out() -> Given:
    texts = {f"a/{name}.py": stdlib(name) for name in ("argparse", "configparser", "tarfile")}
    bare = {f"b/{name[2:]}": re.sub(r"(?m)^\s*#.*\n", "", text) for name, text in texts.items()}
    return Given(texts | bare, gone=2)


@form
def vendored_copies_of_real_packages() -> Given:
    texts = {}
    for name in ("rich", "packaging", "idna", "urllib3"):
        for repo in (name, f"pip/_vendor/{name}"):
            root = installed(repo.replace("/", "."))
            texts |= {f"{repo}/{path.relative_to(root)}": path.read_text() for path in files(root, "*.py")}
    return Given(texts, gone=20)


@form
def a_chain_of_resemblance() -> Given:
    story = words(0, 1200)
    return Given({f"o/r/{n:02}.py": " ".join(story[22 * n : 22 * n + 204]) for n in range(40)}, gone=20)


@form
def boilerplate_before_a_little_of_ones_own() -> Given:
    header = words(1, 200)
    return Given({f"o/r{n % 5}/{n}.py": " ".join([*header, *words(100 + n, 12)]) for n in range(60)}, gone=59)


@form
def at_the_threshold_and_just_below() -> Given:
    """Of 100 shingles 70 and 69: a text's first n words have n - 4 shingles."""
    long = [words(seed, 104) for seed in range(8)]
    texts = {f"a/{seed}.py": " ".join(long[seed]) for seed in range(8)}
    at = {f"b/{seed}.py": " ".join(long[seed][:74]) for seed in range(4)}
    below = {f"c/{seed}.py": " ".join(long[seed][:73]) for seed in range(4, 8)}
    return Given(texts | at | below, gone=4)


@form
def a_low_threshold_of_single_tokens() -> Given:
    words = tokens(stdlib("textwrap"))
    texts = {f"o/r/{part}.py": " ".join(words[: len(words) * part // 10]) for part in range(1, 11)}
    return Given(texts | {"a/heap.py": stdlib("heapq")}, 4, {"threshold": 0.5, "ngram": 1, "permutations": 64})


@form
def a_high_threshold_of_long_shingles() -> Given:
    texts = {"a/heap.py": stdlib("heapq"), "b/heap.py": heapq_variant(), "c/heap.py": "#!/bin/x\n" + stdlib("heapq")}
    return Given(texts, 1, {"threshold": 0.98, "ngram": 9, "permutations": 128})


@form
def repetition_does_not_count() -> Given:
    """Shingles are a set: one table written out once and forty times."""
    table = " ".join(words(3, 60))
    return Given({"a/once.py": table, "b/often.py": f"{table}\n" * 40, "c/other.py": " ".join(words(4, 60))}, gone=1)


@form
def long_lines_and_large_files() -> Given:
    large = words(5, 60_000)
    changed = [*large[:1000], *words(6, 6000), *large[7000:]]
    small = words(7, 40_000)
    texts = {"a/x.min.js": ";".join(large), "b/x.min.js": ";".join(changed), "c/y.py": "\n".join(small)}
    return Given(texts | {"d/y.py": " ".join([*small[:39_000], "end"])}, gone=2)


@form
def too_short_to_be_compared() -> Given:
    """Fewer than ten shingles: however alike, compared by content alone."""
    texts = {f"o/r/{n}.py": f"from a import b, c, d, e, f, g, h as name{n}\n" for n in range(30)}
    return Given(texts | {"a/empty.py": "\n", "b/empty.py": "\n\n"}, gone=0)


@form
def alike_and_of_other_files() -> Given:
    """Half of each text is another's: many pairs of which none reaches the threshold."""
    parts = [words(seed, 100) for seed in range(10)]
    return Given({f"o/r/{n}.py": " ".join(parts[n] + parts[(n + 1) % 10]) for n in range(10)}, gone=0)


@form
def what_other_rules_drop_is_nobodys_survivor() -> Given:
    marked = "# Code generated by a tool. DO NOT EDIT.\n"
    texts = {"a/1.py": marked + stdlib("heapq"), "b/2.py": stdlib("heapq"), "c/3.py": heapq_variant()}
    return Given(texts, 1, {}, {"quality": {"enabled": True, "generated": True}})


ALPHABETS = {
    name: [chr(point) for point in range(first, last)]
    for name, first, last in (
        ("cyrillic", 0x430, 0x450),
        ("greek", 0x3B1, 0x3C2),
        ("arabic", 0x641, 0x64B),
        ("hebrew", 0x5D0, 0x5EB),
        ("devanagari", 0x915, 0x93A),
        ("thai", 0xE01, 0xE2F),
        ("hangul", 0xAC00, 0xAD00),
        ("han", 0x4E00, 0x4F00),
        ("kana", 0x3042, 0x3080),
    )
}


def string_table(script: str, version: int) -> str:
    """Messages under the same keys in every script; in version 1 one of them is another."""
    drawn = random.Random(script)
    lines = []
    for number in range(40):
        text = " ".join("".join(drawn.choices(ALPHABETS[script], k=6)) for _ in range(6))
        changed = text[::-1] if (version, number) == (1, 20) else text
        lines.append(f'    "message_{number}": "{changed}",\n')
    return f"MESSAGES = {{\n{''.join(lines)}}}\n"


@form
def translations_into_every_script() -> Given:
    """The same keys, so that only what is no ASCII tells the files apart: none is another's copy."""
    return Given({f"o/{script}/strings.py": string_table(script, 0) for script in ALPHABETS}, gone=0)


@form
def one_word_changed_in_every_script() -> Given:
    texts = {f"o/{script}/{n}.py": string_table(script, n) for script in ALPHABETS for n in (0, 1)}
    return Given(texts, gone=len(ALPHABETS))


@form
def natural_language_beside_code() -> Given:
    prose = {f"o/r/{n}.txt": " ".join(words(8, 80) + words(200 + n, 6)) for n in range(12)}
    return Given(prose | {"o/r/other.txt": " ".join(words(9, 90))}, gone=11, as_text=True)


@form
def against_an_earlier_run() -> Given:
    texts = {"new/heap.py": heapq_variant(), "new/queue.py": stdlib("queue"), "new/q.py": stdlib("queue") + "# end\n"}
    return Given(texts, gone=2, earlier={"old/heap.py": stdlib("heapq"), "old/bisect.py": stdlib("bisect")})


def source(path: Path, texts: dict[str, str]) -> dict[str, str]:
    """A source of JSON lines of the texts, whose repositories are all but the last part of their names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = (dict(zip(("repo", "path"), name.rsplit("/", 1), strict=True), content=texts[name]) for name in texts)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"kind": "jsonl", "uri": str(path)}


@pytest.mark.parametrize("name", FORMS)
def test_near_duplicates_are_verified(name: str, tmp_path: Path) -> None:
    given = FORMS[name]()
    dedup = EXACT_AND_NEAR | {"near": {"enabled": True} | given.near}
    texts = {**given.texts, **{f"earlier:{name}": text for name, text in given.earlier.items()}}
    if given.earlier:
        earlier = curated(tmp_path / "earlier", [source(tmp_path / "old.jsonl", given.earlier)], {"dedup": dedup})
        dedup["against"] = [str(earlier.rename(tmp_path / "earlier" / "earlier"))]
    sources = [source(tmp_path / "texts.jsonl", given.texts)]
    blocks: dict[str, Any] = given.blocks | {"dedup": dedup}
    if given.as_text:
        blocks["tokenize"] = {"enabled": True, "vocab_size": 300, "block": 64, "text": {"sources": sources}}
        sources = [source(tmp_path / "code.jsonl", {"o/code/a.py": stdlib("bisect")})]
    out = curated(tmp_path, sources, blocks)

    kind = "text_" if given.as_text else ""
    rows = ledger(out, f"{kind}ledger")
    stays = {named(row) for row in corpus(out, f"{kind}corpus")}
    stays |= {name for name in texts if name.startswith("earlier:")}
    similarities = pq.read_table(out / f"{kind}copies").column("similarity").to_pylist()
    near = [(row, told) for row, told in zip(rows, similarities, strict=True) if row["reason"] == "duplicate.near"]
    assert len(near) >= given.gone if given.gone else not near
    for row, told in near:
        assert row["survivor"] in stays
        measured = similarity(texts[named(row)], texts[row["survivor"]], given.near.get("ngram", 5))
        threshold = given.near.get("threshold", 0.7)
        assert told == measured >= threshold, named(row)
        assert row["detail"] == f"similarity {measured:.3f} >= {threshold:g}"
    for row, _ in near[:5]:
        answer = explained(out, named(row))
        assert (answer["survivor"], answer["detail"]) == ([row["survivor"]], [row["detail"]])
    for row in rows:
        if row["reason"] == "duplicate.exact":
            assert texts[row["survivor"]] == texts[named(row)]
            assert row["survivor"] in stays
        elif row["reason"] is None:
            assert named(row) in stays
