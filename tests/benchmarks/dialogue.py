"""Speed and yield of `Dialogues` on source files: ``python -m tests.benchmarks.dialogue FOLDER…``.

One process, processor time, by language. Also told: what became of the files.
"""

import sys
import time
from collections import Counter
from pathlib import Path

import pyarrow as pa

from transforms import dialogue

ENDINGS = {"py": "Python", "java": "Java", "js": "JavaScript", "go": "Go", "cc": "C++", "h": "C++", "hpp": "C++"}
ENDINGS["rs"] = "Rust"


def files(folders: list[Path]) -> dict[str, list[str]]:
    """Texts of up to 1 MiB by language."""
    found: dict[str, list[str]] = {}
    for path in (path for folder in folders for path in sorted(folder.rglob("*"))):
        language = ENDINGS.get(path.suffix[1:])
        if language and path.is_file() and path.stat().st_size <= 1 << 20:
            found.setdefault(language, []).append(path.read_bytes().decode(errors="replace"))
    return found


def main(folders: list[Path]) -> None:
    for language, texts in sorted(files(folders).items()):
        batch = pa.record_batch({"content": texts, "language": [language] * len(texts)})
        function = dialogue.Dialogues().load()
        started = time.process_time()
        made = function(batch)
        seconds = time.process_time() - started
        turns = [len(messages) // 2 for messages in made.column("messages").to_pylist() if messages]
        fates = dict(Counter(made.column("dialogue").to_pylist()))
        megabytes = sum(map(len, texts)) / 1e6
        print(f"{language:12}{megabytes:8.1f} MB {megabytes / seconds:6.1f} MB/s {sum(turns):6} turns {fates}")


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
