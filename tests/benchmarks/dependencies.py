"""What fill-in-the-middle and repository order cost, and how many imports the order puts before their users.

    python -m tests.benchmarks.dependencies [FOLDER]

takes each folder below FOLDER (by default the packages of this Python environment) for a repository of Python files.
"""

import argparse
import sysconfig
import time
from hashlib import sha1
from pathlib import Path

import pyarrow as pa

from transforms.dependencies import Imports, Tree, dependency_order, python_places
from transforms.draws import draw
from transforms.fill_in_the_middle import SENTINELS, FillInTheMiddle
from transforms.tokenizer import Encode, TrainTokenizer

MEGABYTES = 30


def repository(folder: Path) -> dict[str, str]:
    files = {}
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text("utf-8", "replace")
        if text and len(text) < 1 << 20:
            files[path.relative_to(folder.parent).as_posix()] = text
    return files


def first(files: dict[str, str]) -> tuple[int, int, int, float]:
    """Ties between files, those whose needed file comes first, those where it does by path; seconds for the order."""
    paths = sorted(files)
    batch = pa.record_batch({"content": [files[path] for path in paths], "language": ["Python"] * len(paths)})
    imports = Imports().load()(batch)["imports"].to_pylist()
    started = time.process_time()
    order = dependency_order("", paths, ["Python"] * len(paths), imports)
    seconds = time.process_time() - started
    tree = Tree(paths)
    for file, statements in enumerate(imports):
        for statement in statements:
            tree.tie(file, python_places(statement, "", paths[file]))
    place = {file: number for number, file in enumerate(order)}
    ties = [(file, needed) for file, others in enumerate(tree.needs) for needed in others]
    kept = sum(place[needed] < place[file] for file, needed in ties)
    return len(ties), kept, sum(needed < file for file, needed in ties), seconds


def speeds(texts: list[str]) -> None:
    ids = pa.array([sha1(text.encode()).hexdigest() for text in texts])
    batch = pa.record_batch({"content": texts, "content_id": ids, "language": ["Python"] * len(texts)})
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    sample = pa.record_batch({"draw": draw(ids, 0), "content": texts})
    trained = pa.Table.from_batches(
        [TrainTokenizer(8000, sample_bytes=4 << 20, special_tokens=SENTINELS).load()(sample)]
    )
    for name, transform in (
        ("encode", Encode(8041)),
        ("encode, half to fill in the middle", Encode(8041, FillInTheMiddle(0.5))),
        ("imports", Imports()),
    ):
        function = transform.load(*([trained] if isinstance(transform, Encode) else []))
        function(batch.slice(0, 9))
        started = time.process_time()
        for low in range(0, len(texts), 500):
            function(batch.slice(low, 500))
        print(f"{name:36} {megabytes / (time.process_time() - started):6.1f} MB/s")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("folder", nargs="?", type=Path, default=Path(sysconfig.get_path("purelib")))
    repositories = [repository(path) for path in sorted(arguments.parse_args().folder.iterdir()) if path.is_dir()]
    texts, size = [], 0
    for text in (text for files in repositories for text in files.values()):
        texts.append(text)
        size += len(text)
        if size > MEGABYTES * 1e6:
            break
    speeds(texts)
    found = [first(files) for files in repositories if len(files) > 9]
    ties, kept, by_path, seconds = (sum(column) for column in zip(*found, strict=True))
    print(
        f"{len(found)} repositories, {ties} imports; needed file first: {kept / ties:.3f}, by path {by_path / ties:.3f}"
    )
    print(f"order: {seconds:.1f} s for {sum(map(len, repositories))} files")


if __name__ == "__main__":
    main()
