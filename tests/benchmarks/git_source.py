"""How fast the git source reads, beside `git cat-file --batch` and `git log` on the same repository in the same run.

    python -m tests.benchmarks.git_source .venv/lib/python3.11/site-packages [--megabytes 200] [--commits 20000]

Packs the folder's texts with `git gc`; then a history of many commits on few files. Processor time of one core.
"""

import argparse
import os
import random
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from pipeline.sources.git import GitSource

ENDINGS = (".py", ".pyi", ".h", ".txt", ".md", ".json", ".js", ".c", ".cpp")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--commits", type=int, default=20_000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        texts, history = Path(scratch, "texts.git"), Path(scratch, "history.git")
        imported(texts, snapshot(Path(chosen.folder), chosen.megabytes * 10**6))
        imported(history, commits(chosen.commits))
        ids = git(texts, "ls-tree", "-r", "--format=%(objectname)", "main")
        ours, rows, size = read(texts)
        theirs = taken(lambda: git(texts, "cat-file", "--batch", stdin=ids), resource.RUSAGE_CHILDREN)
        packed = sum(path.stat().st_size for path in texts.rglob("*.pack"))
        print(f"{rows} files, {size / 1e6:.0f} MB in a pack of {packed / 1e6:.0f} MB")
        print(
            f"codesieve {size / 1e6 / ours:.0f} MB/s, git cat-file {size / 1e6 / theirs:.0f} MB/s: {theirs / ours:.2f}"
        )
        ours, rows, _ = read(history)
        theirs = taken(lambda: git(history, "log", "--format=%ae", "main"), resource.RUSAGE_CHILDREN)
        print(f"{chosen.commits} commits, {rows} files: codesieve {ours:.2f} s, git log {theirs:.2f} s")
        many = Path(scratch, "many")
        imported(Path(scratch, "small.git"), commits(10))
        for number in range(1000):
            shutil.copytree(Path(scratch, "small.git"), many / f"{number}.git")
        listed = taken(lambda: GitSource(f"{many}/**/*.git").splits(1 << 40))
        ours, rows, _ = read(many / "*.git")
        print(f"1000 repositories: listed in {listed:.2f} s, read in {ours:.2f} s ({rows} files)")


def read(uri: Path) -> tuple[float, int, int]:
    """Seconds to list and read a source; its rows, and bytes of text."""
    counts = [0, 0]

    def whole() -> None:
        for split in GitSource(str(uri)).splits(1 << 40):
            for batch in split.read():
                counts[0] += batch.num_rows
                counts[1] += batch.column("content").nbytes - 4 * batch.num_rows

    return taken(whole), counts[0], counts[1]


def taken(action, whose: int = resource.RUSAGE_SELF) -> float:
    before = resource.getrusage(whose)
    started = time.process_time()
    action()
    if whose == resource.RUSAGE_SELF:
        return time.process_time() - started
    after = resource.getrusage(whose)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def git(folder: Path, *command: str, stdin: bytes = b"") -> bytes:
    return subprocess.run(["git", *command], cwd=folder, input=stdin, check=True, capture_output=True).stdout


def imported(folder: Path, stream: Iterator[bytes]) -> None:
    """A packed bare repository of what a stream for `git fast-import` says."""
    folder.mkdir()
    git(folder, "init", "--bare", "-b", "main")
    importing = subprocess.Popen(["git", "fast-import", "--quiet"], cwd=folder, stdin=subprocess.PIPE)
    assert importing.stdin
    importing.stdin.writelines(stream)
    importing.stdin.close()
    assert importing.wait() == 0
    git(folder, "gc", "--prune=now")


def commit(number: int) -> bytes:
    who = b"%d@example.com> %d +0000" % (number % 500, 1_600_000_000 + number)
    return b"commit refs/heads/main\nauthor a <%b\ncommitter c <%b\ndata 1\nm\n" % (who, who)


def snapshot(folder: Path, most: int) -> Iterator[bytes]:
    """One commit of a folder's texts, up to so many bytes."""
    yield commit(0)
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(name for name in names if name.endswith(ENDINGS)):
            path = Path(root, name)
            data = path.read_bytes()
            if len(data) > 1 << 20:
                continue
            most -= len(data)
            if most < 0:
                return
            yield b'M 100644 inline "%b"\ndata %d\n%b\n' % (str(path.relative_to(folder)).encode(), len(data), data)


def commits(count: int) -> Iterator[bytes]:
    """A line of commits, each of which writes one of 600 files anew."""
    draw = random.Random(0)
    for number in range(count):
        data = "".join(f"line {draw.randrange(10**9)}\n" for _ in range(50)).encode()
        yield commit(number) + b"M 100644 inline d%d/f%d\ndata %d\n%b\n" % (number % 30, number % 600, len(data), data)


if __name__ == "__main__":
    main()
