"""Texts of every script are compared by all that they say: for near duplicates, and with benchmarks."""

import importlib
import json
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pytest

from jobs.recipe import load_recipe
from jobs.run import run
from pipeline.storage import Store
from tests.words import similarity, tokens
from transforms.decontaminate import Benchmark, Decontaminate
from transforms.minhash import ShingleSets

OFF = ("license", "toxicity", "pii", "decontaminate", "tokenize", "quality", "dedup.repositories")
BLANKLESS = ("ja", "th", "zh")
LANGUAGES = ("ar", "bg", "el", "fa", "he", "hi", "hy", "ja", "ko", "ru", "ta", "th", "uk", "zh")


def words_of(language: str) -> list[str]:
    """Common words of a language, which spaCy ships."""
    words: set[str] = importlib.import_module(f"spacy.lang.{language}.stop_words").STOP_WORDS
    return sorted(word for word in words if language == "en" or not word.isascii())


def text_of(language: str, seed: int = 0, count: int = 60) -> str:
    """Words of a language in a seeded order, written as the language is."""
    chosen = random.Random(seed).choices(words_of(language), k=count)
    return ("" if language in BLANKLESS else " ").join(chosen)


def string_table(words: list[str]) -> str:
    return "MESSAGES = {\n" + "".join(f'    "key_{n}": "{word}",\n' for n, word in enumerate(words)) + "}\n"


def fates(folder: Path, texts: dict[str, str]) -> dict[str, dict[str, str | None]]:
    """The ledger by path, of a run with near duplicates alone switched on."""
    lines = (json.dumps({"repo": "o/r", "path": path, "content": text}) + "\n" for path, text in texts.items())
    (folder / "dump.jsonl").write_text("".join(lines))
    (folder / "recipe.yaml").write_text(f"sources: [{{kind: jsonl, uri: {folder}/dump.jsonl}}]\n")
    chosen = [*(f"{block}.enabled=false" for block in OFF), "languages.keep=all", "engine.kind=inline"]
    store = Store(str(folder / "out"))
    assert run(load_recipe(folder / "recipe.yaml", chosen), store)
    return {row["path"]: row for row in store.table("ledger").to_pylist()}


def test_translations_of_a_string_table_all_stand(tmp_path: Path) -> None:
    tables = {f"{language}.py": string_table(words_of(language)[:15]) for language in LANGUAGES}
    tables |= {
        "emoji.py": string_table(list("😀🎉🚀🌍🐍🍎⚡🔥💡📦🔑🎵🧪🏠🚗")),
        "icons.py": string_table([chr(0xE000 + n) for n in range(15)]),
    }
    assert {row["reason"] for row in fates(tmp_path, tables).values()} == {None}


def test_a_changed_word_leaves_a_near_duplicate_in_any_script(tmp_path: Path) -> None:
    """Of sixty words one is another: the copy goes, with the similarity that the definition gives."""
    texts = {}
    for language in LANGUAGES:
        changed = random.Random(0).choices(words_of(language), k=60)
        changed[30] = next(word for word in reversed(words_of(language)) if word != changed[30])
        between = "" if language in BLANKLESS else " "
        texts |= {f"{language}/a.txt": text_of(language), f"{language}/b.txt": between.join(changed)}
    ledger = fates(tmp_path, texts)
    for language in LANGUAGES:
        measured = similarity(texts[f"{language}/a.txt"], texts[f"{language}/b.txt"])
        assert 0.7 <= measured < 1
        row = ledger[f"{language}/b.txt"]
        assert (row["reason"], row["survivor"]) == ("duplicate.near", f"o/r/{language}/a.txt")
        assert row["detail"] == f"similarity {measured:.3f} >= 0.7"
        assert ledger[f"{language}/a.txt"]["reason"] is None


def test_identifiers_of_letters_of_two_scripts_are_one_word(tmp_path: Path) -> None:
    code = "".join(f"def größe_{n}(Δt, señal, 変数{n}):\n    return Δt * señal + naïve_{n}\n" for n in range(20))
    assert {"größe_3", "Δt", "señal", "naïve_3"} <= set(tokens(code))
    other = code.replace("größe", "grösse").replace("señal", "signal").replace("Δt", "dt")
    ledger = fates(tmp_path, {"a.py": code, "b.py": code.replace("größe_7(", "länge_7("), "c.py": other})
    assert [ledger[path]["reason"] for path in ("a.py", "b.py", "c.py")] == [None, "duplicate.near", None]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("é", "e\u0301"),
        ("a\u200cb", "ab"),
        ("\u202eab", "ab"),
        ("👍🏽", "👍🏿"),
        ("\ue000", "\ue001"),
        ("o\u0301\u0323", "o\u0323\u0301"),
        ("かき", "かぎ"),
        ("\ufffd", "\U000e0041"),
        ("ﬁ", "fi"),
        ("Ａ", "A"),
    ],
)
def test_texts_that_differ_in_a_character_are_not_equal(one: str, other: str) -> None:
    text = " ".join(f"w{n}" for n in range(40))
    batch = pa.record_batch({"content": [f"{text} {each} {text}" for each in (one, other)]})
    a, b = (set(found) for found in ShingleSets().load()(batch).column("shingle_set").to_pylist())
    assert 0.7 <= len(a & b) / len(a | b) < 1


def task(language: str, seed: int) -> str:
    """What a benchmark may ask in a language: a signature, a docstring in it over some lines."""
    words = text_of(language, seed)
    lines = "\n    ".join(words[start : start + 50] for start in range(0, len(words), 50))
    return f'def solve(a, b):\n    """{lines}\n    """\n'


@pytest.mark.parametrize("language", [*LANGUAGES, "en"])
def test_a_benchmark_in_any_language_is_found(language: str) -> None:
    tasks = [task(language, seed) for seed in range(4)]
    lines = "".join(json.dumps({"id": n, "prompt": text}) + "\n" for n, text in enumerate(tasks[:3]))
    find = Decontaminate((Benchmark("own.jsonl", lines.encode()),)).load()
    copied = f"import os\n\n\n{tasks[1]}    return [a, b]\n"
    changes = {
        "as it is": copied,
        "decomposed": unicodedata.normalize("NFD", copied),
        "composed": unicodedata.normalize("NFC", copied),
        "upper case": copied.upper(),
        "one line": " ".join(copied.split()),
        "comments": "".join(f"# {line}\n" for line in copied.splitlines()),
        "JSON": json.dumps({"prompt": copied}),
        "full width": copied.translate({point: point + 0xFEE0 for point in range(0x21, 0x7F)}),
        "another word": copied.replace(text_of(language, 1, 30), text_of(language, 1, 29)),
    }
    found = find(pa.record_batch({"content": list(changes.values())})).column("contamination").to_pylist()
    assert {
        name for name, detail in zip(changes, found, strict=True) if not (detail or "").startswith("own/1 ")
    } == set()
    others = [tasks[3], text_of(language, 4, 2000), string_table(text_of(language, 5, 500).split())]
    assert find(pa.record_batch({"content": others})).column("contaminated").null_count == len(others)
