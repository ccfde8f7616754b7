"""Times the ray engine with one worker and with two on the same corpus, and watches a worker's memory as it grows.

    python -m tests.benchmarks.ray_scaling [FOLDER…] [--megabytes 200] [--repeats 3] [--times 1 4 16]

The corpus is `--megabytes` of the text files below the folders (site-packages), each content once, one repository per
package, tokenized as well. scancode's 36,000 licence texts are left out: no corpus has so many that differ.
Runs with one and two workers alternate; told are all wall clocks, the ratio of their medians, and the noise: how far
the same run's times are apart. Then two workers take the corpus 1, 4 and 16 times (each copy with names and a first
line of its own): MB/s, and the peak memory of the largest worker, read five times a second.
"""

import argparse
import hashlib
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

OVERRIDES = ["tokenize.vocab_size=8000", "output.shards=16", "languages.keep=all", "quality.enabled=false"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folders", nargs="*", default=[sysconfig.get_path("purelib")])
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--times", type=int, nargs="*", default=[1, 4, 16])
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        files = list(taken(list(map(Path, chosen.folders)), int(chosen.megabytes * 1e6)))
        size = write(files, place / "x1", 1)
        print(f"{len(files):,} files, {size / 1e6:.1f} MB")
        if chosen.repeats:
            clocks: dict[int, list[float]] = {1: [], 2: []}
            for _ in range(chosen.repeats):
                for workers, seconds in clocks.items():
                    seconds.append(run(place / "x1", workers)[0])
            for workers, seconds in clocks.items():
                noise = max(seconds) / min(seconds) - 1
                print(f"{workers} workers: {', '.join(f'{s:.1f}' for s in seconds)} s, {noise:.0%} apart")
            medians = [statistics.median(seconds) for seconds in clocks.values()]
            print(f"two workers are {medians[0] / medians[1]:.2f} times as fast as one (medians)")
        for times in chosen.times:
            size = write(files, place / f"x{times}", times)
            seconds, peak = run(place / f"x{times}", 2)
            print(f"{times:>3} x: {seconds:7.1f} s, {size / 1e6 / seconds:5.2f} MB/s, peak of a worker {peak:,.0f} MB")


def taken(folders: list[Path], size: int) -> Iterator[tuple[str, bytes]]:
    """Text files, in the order of their names, until there are enough."""
    seen = set()
    for number, folder in enumerate(folders):
        for file in sorted(folder.rglob("*")):
            if size <= 0:
                return
            if file.is_symlink() or not file.is_file() or not 0 < file.stat().st_size < 1 << 20:
                continue
            if "licensedcode" in file.parts:
                continue
            data = file.read_bytes()
            digest = hashlib.sha1(data).digest()
            if b"\0" not in data and digest not in seen:
                seen.add(digest)
                yield f"{number}-{file.relative_to(folder).as_posix()}", data
                size -= len(data)


def write(files: list[tuple[str, bytes]], place: Path, times: int) -> int:
    size = 0
    for copy in range(times):
        for name, data in files:
            file = place / f"{copy:02}-{name.partition('/')[0]}" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            size += file.write_bytes(b"# copy %d of %s\n" % (copy, name.encode()) + data)
    return size


def run(corpus: Path, workers: int) -> tuple[float, float]:
    """Seconds, and the peak MB of the largest worker."""
    with tempfile.TemporaryDirectory() as out:
        recipe = Path(out) / "recipe.yaml"
        recipe.write_text(f"sources:\n  - kind: directory\n    uri: {corpus}/*\n")
        command = [sys.executable, "-m", "jobs.cli", "run", str(recipe), "--out", f"{out}/out"]
        command += ["--engine", "ray", "--workers", str(workers)]
        command += [part for setting in OVERRIDES for part in ("--set", setting)]
        started = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        peaks = [0.0]
        watch = threading.Thread(target=_watch, args=(process, peaks))
        watch.start()
        if process.wait():
            raise SystemExit(f"{' '.join(command)} failed")
        seconds = time.perf_counter() - started
        watch.join()
        return seconds, peaks[0]


def _watch(process: subprocess.Popen[bytes], peaks: list[float]) -> None:
    """Reads Ray's workers, which are no children that `getrusage` would count, while they live.

    Without the pages of Ray's object store: all workers share them, and Ray bounds them and spills what is over.
    """
    while process.poll() is None:
        for status in Path("/proc").glob("[0-9]*/status"):
            try:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
            except OSError:
                continue  # ended meanwhile
            if (
                "RssAnon" in lines
                and lines["Name"].strip().startswith("ray::")
                and _is_below(int(lines["PPid"]), process.pid)
            ):
                own = sum(int(lines[kind].split()[0]) for kind in ("RssAnon", "RssFile"))
                peaks[0] = max(peaks[0], own / 1e3)
        time.sleep(0.2)


def _is_below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            return False
    return False


if __name__ == "__main__":
    main()
