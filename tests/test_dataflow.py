"""A submission to Dataflow, whole: the real command, a bucket, and a server that plays Dataflow's REST API."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from apache_beam.portability import common_urns
from apache_beam.portability.api import beam_runner_api_pb2

from jobs.curate import curation
from jobs.deploy import launch
from jobs.recipe import load_recipe
from pipeline.locations import read_location
from pipeline.storage import Store
from tests.corpora import one_of_everything
from tests.object_stores import BUCKET, ROOT, codesieve, environment, gcs

DEPLOY = ROOT / "jobs" / "deploy"
IMAGE = "europe-docker.pkg.dev/some-project/images/codesieve:0.1.0"
WORKERS = {
    "project": "some-project",
    "region": "europe-west1",
    "temp_location": f"gs://{BUCKET}/temp",
    "machine_type": "n2-highmem-4",
    "max_num_workers": "7",
    "autoscaling_algorithm": "THROUGHPUT_BASED",
    "disk_size_gb": "50",
    "sdk_container_image": IMAGE,
    "service_account_email": "worker@some-project.iam.gserviceaccount.com",
    "subnetwork": "regions/europe-west1/subnetworks/workers",
}


@dataclass
class Dataflow:
    """The jobs that were created, and the state that the service tells of them."""

    endpoint: str = ""
    state: str = "JOB_STATE_PENDING"
    jobs: list[dict[str, Any]] = field(default_factory=list)


@pytest.fixture
def dataflow() -> Iterator[Dataflow]:
    service = Dataflow()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert re.match(r"/v1b3/projects/some-project/locations/europe-west1/jobs\b", self.path)
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if any(job["name"] == other["name"] for other in service.jobs):
                self.answer(409, {"error": {"code": 409, "message": "there is an active job of that name"}})
            else:
                service.jobs.append(job)
                self.answer(200, self.job())

        def do_GET(self) -> None:
            self.answer(200, {"jobMessages": []} if "/messages" in self.path else self.job())

        def job(self) -> dict[str, Any]:
            known = {key: service.jobs[-1][key] for key in ("name", "clientRequestId")}
            return {"id": "2026-01-01_00_00_00-1", "currentState": service.state, **known}

        def answer(self, status: int, content: dict[str, Any]) -> None:
            data = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    service.endpoint = f"http://localhost:{server.server_port}"
    yield service
    server.shutdown()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """A bucket with archives and a recipe; gives the variables that lead to it."""
    dumps = one_of_everything(tmp_path_factory.mktemp("corpus") / "dumps")
    with gcs() as port, pytest.MonkeyPatch.context() as patch:
        variables = environment("gs", port)
        for name, value in variables.items():
            patch.setenv(name, value)
        store = Store(f"gs://{BUCKET}")
        for file in (file for file in dumps.rglob("*") if file.is_file()):
            store.write_bytes(file.read_bytes(), "dumps", file.relative_to(dumps).as_posix())
        recipe = f"sources:\n  - kind: archive\n    uri: gs://{BUCKET}/dumps/**/*\n"
        store.write_bytes(recipe.encode(), "recipe.yaml")
        yield variables


def submitted(out: str, dataflow: Dataflow, env: dict[str, str], **options: str) -> subprocess.CompletedProcess[str]:
    options = WORKERS | {"dataflow_endpoint": dataflow.endpoint, "no_auth": "true"} | options
    settings = [part for name, value in options.items() for part in ("--set", f"engine.options.{name}={value}")]
    recipe = f"gs://{BUCKET}/recipe.yaml"
    return codesieve("run", recipe, "--out", out, "--runner", "DataflowRunner", *settings, env=env)


def staged_pipeline(job: dict[str, Any]) -> beam_runner_api_pb2.Pipeline:
    uri = job["environment"]["sdkPipelineOptions"]["options"]["pipelineUrl"]
    return beam_runner_api_pb2.Pipeline.FromString(read_location(uri))


@pytest.mark.slow
def test_a_submission_is_whole(bucket: dict[str, str], dataflow: Dataflow, tmp_path: Path) -> None:
    out = f"gs://{BUCKET}/out"
    run = submitted(out, dataflow, bucket, no_wait_until_finish="true")
    assert run.returncode == 0, run.stderr
    assert f"codesieve status {out}" in run.stdout
    assert "Dataflow job 2026-01-01_00_00_00-1" in run.stderr

    [job] = dataflow.jobs
    [pool] = job["environment"]["workerPools"]
    assert pool["machineType"] == "n2-highmem-4"
    assert pool["diskSizeGb"] == 50
    assert pool["autoscalingSettings"] == {"algorithm": 2, "maxNumWorkers": 7}  # 2 is BASIC, by throughput
    assert pool["subnetwork"] == WORKERS["subnetwork"]
    assert [image["containerImage"] for image in pool["sdkHarnessContainerImages"]] == [IMAGE]
    assert job["environment"]["serviceAccountEmail"] == WORKERS["service_account_email"]

    pipeline = staged_pipeline(job)
    plan = curation(load_recipe(f"gs://{BUCKET}/recipe.yaml"))
    names = {transform.unique_name for transform in pipeline.components.transforms.values()}
    for step in plan.steps:
        assert any(name.startswith(f"{step.name}: commit") for name in names)
    strangers = {name.partition(":")[0] for name in names if ": " in name} - {step.name for step in plan.steps}
    assert not strangers
    assert not [e for environment in pipeline.components.environments.values() for e in environment.dependencies]
    assert len(pipeline.SerializeToString()) < 1_000_000

    loaded = loaded_elsewhere(pipeline, tmp_path)
    assert loaded["payloads"] > 4 * len(plan.steps)
    assert loaded["foreign"] == []

    status = codesieve("status", out, env=bucket)
    assert [line.split()[0] for line in status.stdout.splitlines()] == [step.name for step in plan.steps]
    assert "ingest 0 of" in " ".join(status.stdout.split())

    again = submitted(out, dataflow, bucket, no_wait_until_finish="true")
    assert again.returncode == 3
    assert "active job of that name" in again.stderr


LOADER = """
import json, sys
from apache_beam.internal import pickler
payloads = [bytes.fromhex(line) for line in sys.stdin.read().split()]
for payload in payloads:
    pickler.loads(payload)
modules = {getattr(module, "__file__", None) or "" for module in list(sys.modules.values())}
allowed = tuple(sys.argv[1:])
foreign = sorted(file for file in modules if file and not file.startswith(allowed) and not file.startswith("<"))
print(json.dumps({"payloads": len(payloads), "foreign": foreign}))
"""


def loaded_elsewhere(pipeline: beam_runner_api_pb2.Pipeline, folder: Path) -> dict[str, Any]:
    """Unpickles every function of a pipeline where nothing but the packages of the distribution can be imported."""
    payloads = []
    for transform in pipeline.components.transforms.values():
        if transform.spec.urn == common_urns.primitives.PAR_DO.urn:
            par_do = beam_runner_api_pb2.ParDoPayload.FromString(transform.spec.payload)
            payloads.append(par_do.do_fn.payload)
            payloads += [side.view_fn.payload for side in par_do.side_inputs.values()]
    for name in ("schemas", "transforms", "pipeline", "jobs"):
        (folder / name).symlink_to(ROOT / name)
    command = [sys.executable, "-P", "-c", LOADER, str(folder), sys.prefix, sys.base_prefix, str(ROOT / ".venv")]
    text = "\n".join(payload.hex() for payload in payloads)
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, cwd=folder, env={"PYTHONPATH": str(folder)}, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_job_that_ends_without_its_shards_is_no_success(bucket: dict[str, str], dataflow: Dataflow) -> None:
    dataflow.state = "JOB_STATE_DONE"
    run = submitted(f"gs://{BUCKET}/nothing", dataflow, bucket)
    assert run.returncode == 3
    assert "the engine has ended without committing ingest, " in run.stderr


def refused(*arguments: str) -> str:
    """The one line in which the command refuses."""
    told = codesieve("run", *arguments, "--runner", "DataflowRunner", env={})
    assert told.returncode == 2, told.stderr
    [line] = told.stderr.splitlines()
    return line


def test_what_workers_cannot_reach_is_refused(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("sources:\n  - kind: archive\n    uri: dumps/*.zip\n")
    assert "workers write to a bucket; give --out gs://bucket/folder" in refused(str(recipe), "--out", "out/here")
    assert "sources.0: dumps/*.zip is on this machine" in refused(str(recipe), "--out", f"gs://{BUCKET}/out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"machine_typo": "n2"}, "engine.options: Beam has no option machine_typo; did you mean machine_type?"),
        ({"max_num_workers": "many"}, "engine.options: argument --max_num_workers: invalid int value: 'many'"),
    ],
)
def test_a_mistake_in_an_option_is_told_in_one_line(
    bucket: dict[str, str], dataflow: Dataflow, options: dict[str, str], told: str
) -> None:
    run = submitted(f"gs://{BUCKET}/refused", dataflow, bucket, **options)
    assert run.returncode == 2, run.stderr
    assert told in run.stderr
    assert len(run.stderr.splitlines()) == 1
    assert not dataflow.jobs


PARAMETERS = {
    "recipe": f"gs://{BUCKET}/recipe.yaml",
    "out": f"gs://{BUCKET}/templated",
    "settings": "output.shards=4; license.keep=[permissive, MPL-2.0]",
    "sdk_container_image": IMAGE,
    "autoscaling_algorithm": "THROUGHPUT_BASED",
}


def test_the_template_describes_its_parameters() -> None:
    """The shape that Dataflow documents for a Flex Template's metadata."""
    metadata = json.loads((DEPLOY / "flex-template.json").read_text())
    assert set(metadata) == {"name", "description", "parameters"}
    for parameter in metadata["parameters"]:
        assert set(parameter) - {"isOptional"} == {"name", "label", "helpText", "regexes"}
        [regex] = parameter["regexes"]
        assert re.fullmatch(regex, PARAMETERS[parameter["name"]])
    assert {parameter["name"] for parameter in metadata["parameters"]} == PARAMETERS.keys()
    local = next(parameter for parameter in metadata["parameters"] if parameter["name"] == "out")
    assert not re.fullmatch(local["regexes"][0], "out/here")


def test_the_launcher_describes_the_job_for_dataflow_to_start(bucket: dict[str, str], dataflow: Dataflow) -> None:
    """As a Flex Template's launcher calls it: the job goes to `template_location` instead of to the service."""
    described = f"gs://{BUCKET}/templates/job.json"
    options = WORKERS | {"template_location": described, "dataflow_endpoint": dataflow.endpoint}
    arguments = [f"--{name}={value}" for name, value in (options | PARAMETERS).items()]
    command = [sys.executable, str(DEPLOY / "launch.py"), *arguments, "--no_auth", "--runner", "DataflowRunner"]
    variables = os.environ | bucket | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, capture_output=True, text=True, env=variables, check=False)
    assert done.returncode == 0, done.stderr
    assert not dataflow.jobs
    job = json.loads(read_location(described))
    assert job["environment"]["workerPools"][0]["machineType"] == "n2-highmem-4"
    assert any(
        transform.unique_name == "shuffle: commit" or transform.unique_name.startswith("shuffle: commit/")
        for transform in staged_pipeline(job).components.transforms.values()
    )
    identity = Store(PARAMETERS["out"]).read_json("_run.json")["recipe"]
    assert (identity["output"]["shards"], identity["license"]["keep"]) == (4, ["permissive", "MPL-2.0"])


def test_options_come_in_any_form() -> None:
    given = [
        "--recipe=gs://b/r.yaml",
        "--out=gs://b/o",
        "--experiments=a",
        "--experiments=b",
        "--region",
        "here",
        "--x",
    ]
    command = launch.command(given)
    assert command[:4] == ["run", "gs://b/r.yaml", "--out", "gs://b/o"]
    settings = command[command.index("--set") + 1 :: 2]
    assert settings == [
        'engine.options.experiments=["a", "b"]',
        'engine.options.region="here"',
        "engine.options.x=true",
        "engine.options.no_wait_until_finish=true",
    ]
