"""Runs that are killed on purpose: a job in a process of its own, and a SIGKILL for it or one of its workers."""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

OF_NO_DATASET = (".writing-", "_lock", "_log", "_workers")
"""Beginnings of the names of files that say nothing of how far a run is."""


def in_process(body: Callable[[], object], log: Path) -> int:
    """Runs the body in a fork of this process, in which no Beam may have run before; gives its process id."""
    pid = os.fork()
    if pid == 0:
        run_to_exit(body, log)
    return pid


def run_to_exit(body: Callable[[], object], log: Path) -> None:
    """Ends the process with 0, or with 3 where the body raises; what it says goes to `log`."""
    status = 3
    try:
        os.setsid()
        with open(log, "ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        body()
        status = 0
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        raise
    finally:
        os._exit(status)


def exit_code(pid: int) -> int:
    """Waits for a process; minus the signal's number where one ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def kill_when(is_due: Callable[[], bool], pid: int, victim: str, random: Random) -> str:
    """Waits, then kills the driver `pid`, or with `worker` one of its Beam workers; tells what was killed.

    A worker that is not there yet is waited for. `nothing` where the run has ended before.
    """
    while not is_due():
        if has_ended(pid):
            return "nothing"
        time.sleep(0.005)
    while not has_ended(pid):
        if found := [pid] if victim == "driver" else workers(pid):
            os.kill(random.choice(found), signal.SIGKILL)
            return victim
        time.sleep(0.005)
    return "nothing"


def has_ended(pid: int) -> bool:
    """Whether a process has ended; it may still be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


class Appeared:
    """Counts the files that have ever taken their place below a folder: how far a run is, on whatever machine."""

    def __init__(self, out: Path) -> None:
        self._out = out
        self._seen: set[str] = set()

    def count(self) -> int:
        for folder, _, names in os.walk(self._out):
            self._seen |= {f"{folder}/{name}" for name in names if not name.startswith(OF_NO_DATASET)}
        return len(self._seen)


def workers(driver: int) -> list[int]:
    """The processes below a driver that run Beam's functions."""
    parents, commands = {}, {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                commands[int(entry.name)] = (entry / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue  # it has ended meanwhile

    def is_below(pid: int) -> bool:
        while pid in parents and pid != driver:
            pid = parents[pid]
        return pid == driver

    is_worker = b"apache_beam.runners.worker.sdk_worker_main"
    return sorted(pid for pid, command in commands.items() if is_worker in command and is_below(pid))
