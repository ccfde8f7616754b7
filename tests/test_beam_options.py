"""Beam's options and runners: what a recipe says is what Beam does, or it is refused by name."""

from pathlib import Path
from typing import Any

import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from click.testing import CliRunner

from jobs.cli import cli
from pipeline.engines.beam import is_dataflow, is_local
from pipeline.engines.beam_options import parsed
from pipeline.execution import EngineError


def settled(options: dict[str, Any]) -> dict[str, Any]:
    """What differs from Beam's defaults."""
    return parsed(options).get_all_options(drop_default=True)


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({}, {}),
        ({"max_num_workers": 7}, {"max_num_workers": 7}),
        ({"max_num_workers": "7"}, {"max_num_workers": 7}),
        ({"--max_num_workers": 7}, {"max_num_workers": 7}),
        ({"job-server-timeout": 9}, {"job_server_timeout": 9}),
        ({"job_server_timeout": 9}, {"job_server_timeout": 9}),
        ({"worker_machine_type": "n2-standard-4"}, {"machine_type": "n2-standard-4"}),
        ({"machine_type": "n2-standard-4"}, {"machine_type": "n2-standard-4"}),
        ({"use_public_ips": False}, {"use_public_ips": False}),
        ({"use_public_ips": True}, {"use_public_ips": True}),
        ({"no_use_public_ips": True}, {"use_public_ips": False}),
        ({"no_use_public_ips": False}, {"use_public_ips": True}),
        ({"--no_use_public_ips": "true"}, {"use_public_ips": False}),
        ({"use_public_ips": None}, {}),
        ({"save_main_session": False}, {"save_main_session": False}),
        ({"no_save_main_session": True}, {"save_main_session": False}),
        ({"save_main_session": "True"}, {"save_main_session": True}),
        ({"enable_streaming_engine": False}, {"enable_streaming_engine": False}),
        ({"pipeline_type_check": False}, {"pipeline_type_check": False}),
        ({"no_pipeline_type_check": True}, {"pipeline_type_check": False}),
        ({"no_pipeline_type_check": False}, {}),
        ({"no_auth": False}, {}),
        ({"experiments": ["a", "b=1"]}, {"experiments": ["a", "b=1"]}),
        ({"experiment": "a,b"}, {"experiments": ["a", "b"]}),
        ({"labels": ["team=data", "env=test"]}, {"labels": ["team=data", "env=test"]}),
        ({"transform_name_mapping": {"a": "b"}}, {"transform_name_mapping": {"a": "b"}}),
        ({"transform_name_mapping": '{"a": "b"}'}, {"transform_name_mapping": {"a": "b"}}),
        ({"sdk_harness_log_level_overrides": [{"a": "INFO"}, {"b": "WARN"}]},
         {"sdk_harness_log_level_overrides": {"a": "INFO", "b": "WARN"}}),
        ({"gcs_custom_audit_entries": {"k": "v"}}, {"gcs_custom_audit_entries": {"x-goog-custom-audit-k": "v"}}),
        ({"beam_services": {"a": "b"}}, {"beam_services": {"a": "b"}}),
        ({"job_name": 2026}, {"job_name": "2026"}),
    ],
)  # fmt: skip
def test_an_option_means_what_beam_means_by_it(options: dict[str, Any], meant: dict[str, Any]) -> None:
    assert settled(options) == meant
    for kind in PipelineOptions.__subclasses__():
        view = parsed(options).view_as(kind)
        assert all(getattr(view, name) == value for name, value in meant.items() if hasattr(view, name))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"max-num-workers": 7}, "Beam has no option max-num-workers; did you mean max_num_workers?"),
        ({"--maxNumWorkers": 7}, "Beam has no option --maxNumWorkers; did you mean max_num_workers?"),
        ({"maxNumWorkers": 7}, "Beam has no option maxNumWorkers; did you mean"),
        ({"use-public-ips": False}, "Beam has no option use-public-ips; did you mean use_public_ips?"),
        ({"machine_typo": "n2"}, "Beam has no option machine_typo; did you mean machine_type?"),
        ({"machine_typo": False}, "Beam has no option machine_typo"),
        ({"machine_typo": None}, "Beam has no option machine_typo"),
        ({"-h": True}, "Beam has no option -h"),
        ({"help": True}, "Beam has no option help"),
        ({"": True}, "Beam has no option "),
        ({"max_num_workers": "many"}, "argument --max_num_workers: invalid int value: 'many'"),
        ({"max_num_workers": [1, 2]}, "max_num_workers takes one value, not a list"),
        ({"max_num_workers": False}, "max_num_workers takes no false"),
        ({"max_num_workers": {"a": 1}}, 'max_num_workers takes no {"a": 1}'),
        ({"region": False}, "region takes no false; write it as text, in quotes"),
        ({"update_compatibility_version": 2.60}, "update_compatibility_version takes no 2.6; write it as text, in q"),
        ({"use_public_ips": "maybe"}, "use_public_ips is true or false, not 'maybe'"),
        ({"use_public_ips": ["a"]}, "use_public_ips is true or false"),
        ({"labels": {"team": "data"}}, "labels takes no {"),
        ({"experiments": [True]}, "experiments takes no true"),
        ({"use_public_ips": True, "no_use_public_ips": True}, "use_public_ips and no_use_public_ips are the same op"),
        ({"machine_type": "a", "worker_machine_type": "b"}, "machine_type and worker_machine_type are the same op"),
        ({"runner": "DataflowRunner"}, "runner is told by engine.runner; leave it out here"),
        ({"direct_num_workers": 3}, "direct_num_workers is told by engine.workers"),
        ({"flexrs_goal": "CHEAP"}, "argument --flexrs_goal: invalid choice: 'CHEAP'"),
        ({"transform_name_mapping": "{"}, "argument --transform_name_mapping: invalid loads value"),
    ],
)
def test_what_beam_would_discard_is_refused(options: dict[str, Any], told: str) -> None:
    with pytest.raises(EngineError) as error:
        parsed(options)
    assert str(error.value).startswith(f"engine.options: {told}")
    assert "\n" not in str(error.value)


DATAFLOW = [
    "DataflowRunner", "dataflow", "Dataflow", "DATAFLOWRUNNER", "dataflowrunner", "TestDataflowRunner",
    "apache_beam.runners.dataflow.dataflow_runner.DataflowRunner", "apache_beam.runners.DataflowRunner",
    "apache_beam.runners.dataflow.DataflowRunner",
]  # fmt: skip
LOCAL = [
    "DirectRunner", "direct", "directrunner", "DIRECT", "FnApiRunner", "fnapi", "SwitchingDirectRunner",
    "apache_beam.runners.DirectRunner", "apache_beam.runners.direct.direct_runner.DirectRunner",
]  # fmt: skip


def recipe(folder: Path) -> Path:
    (folder / "code").mkdir()
    (folder / "code/a.py").write_text("a = 1\n")
    path = folder / "recipe.yaml"
    path.write_text(
        f"sources: [{{kind: directory, uri: {folder}/code}}]\nlicense: {{enabled: false}}\nlanguages: {{keep: all}}\n"
        "quality: {enabled: false}\ntoxicity: {enabled: false}\npii: {enabled: false}\ntokenize: {enabled: false}\n"
        "dialogue: {enabled: false}\ndecontaminate: {enabled: false}\noutput: {shards: 1}\n"
    )
    return path


def refused(*arguments: object) -> str:
    result = CliRunner().invoke(cli, ["run", *map(str, arguments)])
    assert isinstance(result.exception, ValueError)
    return str(result.exception)


@pytest.mark.parametrize("name", DATAFLOW)
def test_dataflow_is_known_by_every_name(tmp_path: Path, name: str) -> None:
    assert is_dataflow(name)
    assert not is_local(name)
    path = recipe(tmp_path)
    assert "Dataflow's workers write to a bucket" in refused(path, "--out", tmp_path / "out", "--runner", name)
    assert "sources.0: " in refused(path, "--out", "gs://bucket/out", "--set", f"engine.runner={name}")


@pytest.mark.parametrize("name", LOCAL)
def test_the_local_runner_is_known_by_every_name(name: str) -> None:
    assert is_local(name)
    assert not is_dataflow(name)


def test_a_run_by_another_name_of_the_local_runner(tmp_path: Path) -> None:
    result = CliRunner().invoke(
        cli, ["run", str(recipe(tmp_path)), "--out", str(tmp_path / "out"), "--runner", "direct", "--workers", "1"]
    )
    assert result.exit_code == 0, result.output
    assert (tmp_path / "out/corpus/_manifest.json").exists()


@pytest.mark.parametrize("name", ["Dataflowrunner2", "apache_beam.runners.Nothing", "no.such.Runner", "os.getcwdb.x"])
def test_a_runner_that_beam_has_not_is_refused(tmp_path: Path, name: str) -> None:
    assert f"engine.runner: {name!r} is no runner of Beam's" in refused(recipe(tmp_path), "--runner", name)


def test_a_mistake_in_an_option_is_told_before_anything_is_listed(tmp_path: Path) -> None:
    text = "sources: [{kind: archive, uri: nowhere}]\nengine: {options: {use_public_ips: false, zzzz: false}}\n"
    (tmp_path / "recipe.yaml").write_text(text)
    assert refused(tmp_path / "recipe.yaml", "--out", tmp_path / "out") == (
        "engine.options: Beam has no option zzzz; see Beam's PipelineOptions for the names"
    )
