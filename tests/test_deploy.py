"""What is shipped to start runs elsewhere: it parses, and what it starts is a command of ours."""

import json
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from jobs.cli import cli, run
from jobs.recipe import load_recipe
from jobs.run import run as run_recipe
from pipeline.storage import Store
from tests.corpora import stdlib, tar_gz
from tests.datasets_on_disk import digests
from tests.ray_cluster import two_nodes

ROOT = Path(__file__).parent.parent
RAY_JOB = ROOT / "jobs" / "deploy" / "ray-job.yaml"


def test_the_ray_job_starts_a_run_on_its_own_cluster() -> None:
    job = yaml.safe_load(RAY_JOB.read_text())
    assert (job["apiVersion"], job["kind"]) == ("ray.io/v1", "RayJob")
    program, command, *arguments = shlex.split(job["spec"]["entrypoint"])
    assert (program, command in cli.commands) == ("codesieve", True)
    given = run.make_context("run", arguments).params
    assert (given["engine"], given["address"]) == ("ray", "auto")
    cluster = job["spec"]["rayClusterSpec"]
    pods = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {pod["template"]["spec"]["containers"][0]["image"] for pod in pods}
    assert len(images) == 1


@pytest.mark.slow
def test_ray_job_submit_gives_the_same_bytes(tmp_path: Path) -> None:
    tar_gz(tmp_path / "dumps" / "r.tar.gz", {f"{name}.py": stdlib(name) for name in ("queue", "sched", "bisect")})
    path = tmp_path / "mine.yaml"
    off = "".join(
        f"{block}: {{enabled: false}}\n" for block in ("license", "toxicity", "pii", "decontaminate", "tokenize")
    )
    path.write_text(f"sources:\n  - kind: archive\n    uri: {tmp_path}/dumps/*.tar.gz\n{off}")
    run_recipe(load_recipe(path, ["engine.kind=inline"]), Store(str(tmp_path / "inline")))

    submit = [
        sys.executable,
        "-m",
        "ray.scripts.scripts",
        "job",
        "submit",
        "--address",
        f"http://{two_nodes().webui_url}",
    ]
    there = ["--runtime-env-json", json.dumps({"env_vars": {"PYTHONPATH": str(ROOT)}})]
    command = [sys.executable, "-m", "jobs.cli", "run", str(path), "--engine", "ray", "--address", "auto"]
    for _ in range(10):
        done = subprocess.run(
            [*submit, *there, "--", *command, "--out", str(tmp_path / "ray")],
            env=os.environ | {"RAY_ADDRESS": ""},
            capture_output=True,
            text=True,
            timeout=300,
        )
        if "No available agent to submit job" not in done.stderr:  # the new cluster's, on a busy machine
            break
        time.sleep(5)
    assert done.returncode == 0, done.stdout + done.stderr
    write = {name: digest for name, digest in digests(tmp_path / "ray").items() if not name.startswith("report/")}
    assert write == digests(tmp_path / "inline")
