"""Runs programs that a model wrote, shut off from the machine. See `sandboxed` for the walls."""

import json
import os
import secrets
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

SCRIPT = Path(__file__).with_name("sandboxed.py")
GRACE = 2.0
"""Seconds that a program has to start and to write its answer, above its own time."""
ANSWER_LIMIT = 16 << 20


class SandboxError(Exception):
    """This machine cannot shut a program in; the message says what is missing."""


@dataclass(frozen=True)
class Outcome:
    """What came of a program.

    `result`: "passed" (it ran to its end), "timed out", or "failed: " and the exception's message. `output`: what it
    printed. `value`: the repr of its last statement if that is an expression and was asked for.
    """

    result: str
    output: str = ""
    value: str | None = None

    @property
    def passed(self) -> bool:
        return self.result == "passed"


def run_program(program: str, seconds: float = 3.0, memory: int = 1 << 30, gives_value: bool = False) -> Outcome:
    """Runs a Python program for at most `seconds` in at most `memory` bytes of address space.

    Raises SandboxError where the machine offers no namespaces: a program is never run without its walls.
    """
    read, write = os.pipe()
    secret = secrets.token_hex()
    task = {"program": program, "seconds": seconds, "memory": memory, "gives_value": gives_value, "secret": secret}
    try:
        process = subprocess.Popen(
            [sys.executable, "-I", str(SCRIPT), str(write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(write,),
            env={"PATH": os.defpath},
            start_new_session=True,
        )
        os.close(write)
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(task).encode())
            process.stdin.close()
            answer = read_answer(read, time.monotonic() + seconds + GRACE)
        finally:
            process.kill()
            process.wait()
    finally:
        os.close(read)
    return told(answer, secret)


def told(answer: bytes | None, secret: str) -> Outcome:
    if answer is None:
        return Outcome("timed out")
    try:
        given = json.loads(answer or "{}")
    except ValueError:
        given = {}
    if given.get("secret") != secret:
        return Outcome("failed: the program ended its process")
    if "refused" in given:
        raise SandboxError(
            f"programs cannot be shut in here ({given['refused']}): score on Linux 5.12 or newer, on x86-64 or "
            "64-bit Arm, where users may make namespaces"
        )
    return Outcome(given["result"], given["output"], given["value"])


def read_answer(pipe: int, end: float) -> bytes | None:
    """All that is written to a pipe until it is closed; None if that takes until `end` or is too long."""
    answer = b""
    while len(answer) < ANSWER_LIMIT:
        ready, _, _ = select.select([pipe], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return None
        part = os.read(pipe, 1 << 16)
        if not part:
            return answer
        answer += part
    return None
