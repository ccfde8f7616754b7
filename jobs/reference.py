"""The reference pages of the documentation, written from what they describe: `python -m jobs.reference` in a checkout.

`docs/reference/` has one page on the recipe's keys, one on the datasets' columns, one on the reasons of the ledger and
one on the presets of thresholds. A test fails where a page and the code differ.
"""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa

from jobs.curate import curation
from jobs.recipe import Recipe
from jobs.report import REASONS
from transforms.quality import PRESETS, RULES

DOCS = Path(__file__).parent.parent / "docs" / "reference"

DATASETS = {
    "corpus": 'The kept files, scrubbed. `datasets.load_from_disk("OUT/corpus")`',
    "ledger": 'The fate of every input file. `pyarrow.parquet.read_table("OUT/ledger")`',
    "tokens": 'Packed and shuffled blocks of token ids. `datasets.load_from_disk("OUT/tokens")`',
    "tokenizer": 'The tokenizer. `transformers.AutoTokenizer.from_pretrained("OUT/tokenizer")`',
    "dialogue": "Multi-turn conversations made from commented code.",
    "instructions": "The conversations of `dialogue.files`. Only with that key.",
    "mixture": "How often each file of `corpus` is packed. Aligned with `corpus`. Only with `tokenize.mixture`.",
    "files": "Every input file with its content, before scrubbing, and its cheap measures.",
    "licenses": "Licence, class and evidence of each file, before copies are considered. Aligned with `files`.",
    "measures": "Toxicity, contamination and personal data (places, never values). Aligned with `files`.",
    "copies": "Cluster, survivor, similarity and final licence of each file. Aligned with `files`.",
    "license_texts": "Each distinct text that may state a licence, once. For `license.against` of later runs.",
    "license_rules": "scancode's rules as numbers. For `license.against` of later runs.",
    "signatures": "MinHash and shingle hashes of the kept files. For `dedup.against` of later runs.",
    "families": "Forks and vendored copies: repositories, what they share and with whom.",
    "popularity": "Stars, forks and age of each file's repository. Aligned with `files`. Only with `repositories`.",
    "repositories": "Stars, forks, age and last event by repository. Only with `repositories`.",
    "events": "What was read of the archives of events, and what could not be. Only with `repositories`.",
}
"""The public datasets of a run, in the order in which a reader meets them."""

HEAD = "<!-- Written by `python -m jobs.reference`; edit the code that it reads instead. -->\n"


def datasets_page() -> str:
    """Every public dataset with its columns, from the schemas of a plan that has them all."""
    schemas = _all_schemas()
    parts = [
        "# Datasets\n",
        "What a run leaves in `OUT`. Datasets that are *aligned with* another one have the same shards and rows:",
        "row *i* of shard *j* is about the same file. A `row_id` is the shard of `files` << 32 plus the row in it.",
        "`content_id` is the git blob id. Texts of `tokenize.text` have the same datasets with `text_` before their names.\n",
    ]
    for name, purpose in DATASETS.items():
        parts += [f"## {name}\n", purpose + "\n"]
        if name in schemas:
            rows = ((f"`{each.name}`", f"`{each.type}`", _doc(each)) for each in schemas[name])
            parts.append(_table(("column", "type", "meaning"), rows))
    return "\n".join(parts)


def reasons_page() -> str:
    """Every reason of the ledger, in the order of the families."""
    parts = [
        "# Reasons\n",
        "The column `reason` of `ledger/` says why a file is not in the corpus. Reasons are dotted and stable; the",
        "first part is the rule's family. `detail` has the value and the threshold.\n",
        _table(("reason", "meaning"), ((f"`{reason}`", words) for reason, words in REASONS.items())),
    ]
    return "\n".join(parts)


def presets_page() -> str:
    """The thresholds of each quality preset, side by side."""
    names = [name for name in PRESETS if name != "none"]
    thresholds = [rule.threshold for rule in RULES]
    rows = (
        (f"`{key}`", *(_value(PRESETS[name].get(key)) for name in names))
        for key in dict.fromkeys([*thresholds, *PRESETS["none"]])
    )
    parts = [
        "# Presets of the quality rules\n",
        "`quality.preset` names one of these; any threshold can be set beside it, and `null` switches a rule off. The",
        "preset `none` sets no threshold.\n",
        _table(("threshold", *names), rows),
        "Sources: codex is Chen et al. 2021, section 3.1; codegen is Nijkamp et al. 2022, appendix A; starcoder is",
        "Li et al. 2023, section 3.1, with BigCode's exceptions by language (`inspected_languages`).\n",
    ]
    return "\n".join(parts)


PAGES: dict[str, Callable[[], str]] = {
    "datasets.md": datasets_page,
    "reasons.md": reasons_page,
    "presets.md": presets_page,
}


def _all_schemas() -> dict[str, pa.Schema]:
    """The schemas of a plan in which every optional dataset is there."""
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for name, text in {"code/a.py": "pass\n", "text/a.txt": "text\n", "2024-01-01-0.json.gz": ""}.items():
            (place / name).parent.mkdir(exist_ok=True)
            (place / name).write_text(text)
        turns = [{"role": "user", "content": "Add."}, {"role": "assistant", "content": "a + b"}]
        (place / "turns.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
        recipe = Recipe.model_validate(
            {
                "sources": [{"kind": "directory", "uri": str(place / "code")}],
                "repositories": [{"kind": "gharchive", "uri": str(place / "2024-01-01-0.json.gz")}],
                "tokenize": {"mixture": {"by": "language", "temperature": 1}},
                "dialogue": {"files": [str(place / "turns.jsonl")]},
            }
        )
        return dict(curation(recipe).schemas)


def _doc(column: pa.Field) -> str:
    return (column.metadata or {}).get(b"doc", b"").decode()


def _value(value: Any) -> str:
    return "" if value is None else f"`{json.dumps(value)}`"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of Markdown; cells may hold `|`."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def main() -> None:
    DOCS.mkdir(parents=True, exist_ok=True)
    for name, page in PAGES.items():
        (DOCS / name).write_text(HEAD + page())


if __name__ == "__main__":
    main()
