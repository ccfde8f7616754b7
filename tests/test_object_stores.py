"""Every location may be in a bucket: the same bytes over the wire, whatever the store and the network do."""

import functools
import hashlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow.fs as pafs
import pytest

from jobs.lock import CLAIMS, locked
from jobs.recipe import RecipeError, load_recipe
from pipeline.engines import beam, inline
from pipeline.execution import Job
from pipeline.locations import LocationError, open_location, shown
from pipeline.plan import describe
from pipeline.sources.files import SourceError, find_files
from pipeline.storage import PROGRESS, Store
from tests import toy
from tests.corpora import one_of_everything
from tests.datasets_on_disk import digests
from tests.object_stores import BUCKET, ROOT, BadNetwork, codesieve, environment, gcs, s3

ENGINES: dict[str, Callable[[Job], object]] = {"inline": inline.run, "beam": functools.partial(beam.run, workers=2)}
OFF = [f"{block}.enabled=false" for block in ("license", "toxicity", "pii", "decontaminate", "dedup.repositories")]
SMALL = [*OFF, "tokenize.vocab_size=300", "tokenize.block=64", "output.shards=2"]


@dataclass(frozen=True)
class Remote:
    """A bucket behind a network that can be made bad."""

    kind: str
    network: BadNetwork
    env: dict[str, str]

    def uri(self, name: str) -> str:
        return f"{self.kind}://{BUCKET}/{name}"


@pytest.fixture(scope="module", params=["s3", "gs"])
def remote(request: pytest.FixtureRequest) -> Iterator[Remote]:
    with (s3 if request.param == "s3" else gcs)() as port, pytest.MonkeyPatch.context() as patch:
        network = BadNetwork(port)
        variables = environment(request.param, network.port)
        for name, value in variables.items():
            patch.setenv(name, value)
        yield Remote(request.param, network, variables)
        network.close()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    out = tmp_path_factory.mktemp("oracle")
    inline.run(Job(toy.plan(), Store(str(out))))
    return digests(out)


def objects(store: Store) -> dict[str, bytes]:
    """Every object below a location."""
    selector = pafs.FileSelector(store.path(), recursive=True, allow_not_found=True)
    infos = store.file_system.get_file_info(selector)
    names = [info.path.removeprefix(store.path()).lstrip("/") for info in infos if info.is_file]
    return {name: b"".join([store.file_system.open_input_file(store.path(name)).read()]) for name in names if name}


def remote_digests(store: Store) -> dict[str, str]:
    """The counterpart of `digests`."""
    own = ("_timings/", "_log", "_run", CLAIMS)
    found = {name: data for name, data in objects(store).items() if not name.startswith(own)}
    return {name: hashlib.sha256(data).hexdigest() for name, data in found.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_bucket_gets_the_bytes_of_a_local_run(engine: str, remote: Remote, expected: dict[str, str]) -> None:
    job = Job(toy.plan(), Store(remote.uri(f"toy-{engine}")))
    ENGINES[engine](job)
    assert remote_digests(job.store) == expected
    assert job.pending() == []


@pytest.mark.slow
def test_troubles_of_the_network_change_no_byte(remote: Remote, expected: dict[str, str]) -> None:
    """500, 503, refused and cut connections: a run goes through, or fails with what it has committed staying."""
    store = Store(remote.uri("troubled"))
    before = remote.network.troubles
    remote.network.trouble(every=11)
    failures = 0
    try:
        while True:
            try:
                job = Job(toy.plan(), store)
                job.prepare()
                inline.run(job)
                break
            except (OSError, ValueError, RuntimeError):
                failures += 1
                assert failures < 20
    finally:
        remote.network.trouble(every=0)
    assert remote.network.troubles > before + 10
    assert remote_digests(store) == expected


def test_a_store_that_answers_nothing_but_503_ends_in_one_line(remote: Remote, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  - kind: archive\n    uri: {one_of_everything(tmp_path / 'dumps')}/*.zip\n")
    location = remote.uri("dead") + ("?retry_limit_seconds=2" if remote.kind == "gs" else "")
    remote.network.trouble(every=1)
    try:
        run = codesieve("run", str(recipe), "--out", location, "--engine", "inline", env=remote.env)
    finally:
        remote.network.trouble(every=0)
    assert run.returncode == 3, run.stderr
    [line] = run.stderr.splitlines()
    assert line.startswith("codesieve: the run failed: ")


def uploaded(remote: Remote, dumps: Path) -> str:
    store = Store(remote.uri("dumps"))
    for file in (file for file in dumps.rglob("*") if file.is_file()):
        store.write_bytes(file.read_bytes(), file.relative_to(dumps).as_posix())
    return remote.uri("dumps/**/*")


def test_a_folder_of_something_else_is_left_alone(remote: Remote, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  - kind: archive\n    uri: {one_of_everything(tmp_path / 'dumps')}/**/*\n")
    Store(remote.uri("mine")).write_bytes(b"years of work", "thesis", "chapter-1.txt")
    run = codesieve("run", str(recipe), "--out", remote.uri("mine"), "--engine", "inline", env=remote.env)
    assert run.returncode == 2, run.stderr
    assert "holds files of something else (thesis)" in run.stderr
    assert Store(remote.uri("mine")).folders() == ["thesis"]


@pytest.mark.slow
def test_the_command_from_bucket_to_bucket(remote: Remote, tmp_path: Path) -> None:
    """Sources, recipe and output in a bucket; killed in the middle, refused beside a living run, and gone on with."""
    dumps = one_of_everything(tmp_path / "dumps")
    text = f"sources:\n  - kind: archive\n    uri: {uploaded(remote, dumps)}\n"
    Store(remote.uri("recipes")).write_bytes(text.encode(), "mine.yaml")
    settings = [part for setting in SMALL for part in ("--set", setting)]
    out = Store(remote.uri("out"))
    command = ["run", remote.uri("recipes/mine.yaml"), "--engine", "inline", *settings, "--out", remote.uri("out")]

    variables = os.environ | remote.env | {"PYTHONPATH": str(ROOT)}
    first = subprocess.Popen([sys.executable, "-m", "jobs.cli", *command], env=variables, stderr=subprocess.DEVNULL)
    while not out.exists("files", "_manifest.json"):
        assert first.poll() is None
        time.sleep(0.05)
    first.send_signal(signal.SIGSTOP)
    second = codesieve(*command, env=remote.env)
    assert second.returncode == 2, second.stderr
    assert f"another run is writing to {remote.uri('out')}; wait for it" in second.stderr
    first.kill()
    first.wait()
    told = codesieve("status", remote.uri("out"), env=remote.env).stdout.splitlines()
    assert re.match(r"ingest +done, 21 rows", told[0])
    assert re.match(r"dialogue +0 of 2 shards", told[-1])

    again = codesieve(*command, env=remote.env)
    assert again.returncode == 0, again.stderr
    assert "ingest" not in again.stderr
    assert remote.uri("out/corpus") in again.stdout
    out.write_json({}, PROGRESS, "ingest", "00000.json")  # as a run that is killed right after a commit leaves it
    assert "Nothing to do" in codesieve(*command, env=remote.env).stdout
    assert not out.names(CLAIMS)

    here = ["--set", f"sources.0.uri={dumps}/**/*", "--out", str(tmp_path / "here")]
    assert codesieve(*command[:-2], *here, env=remote.env).returncode == 0
    local, found = digests(tmp_path / "here"), remote_digests(out)
    assert found.keys() == local.keys()
    for name in local:  # what names its source differs: the one says /…/dumps, the other s3://…/dumps
        if re.match(r"(corpus|copies|tokens|tokenizer|signatures|measures)/(data|part|tokenizer)[-.]", name):
            assert found[name] == local[name], name

    why = codesieve("why", remote.uri("out"), "eve/heapcopy.py", env=remote.env)
    assert "dropped: duplicate.exact" in why.stdout
    assert f"archive:{remote.uri('dumps/eve.zip')}" in why.stdout
    report = codesieve("report", remote.uri("out"), env=remote.env)
    assert report.stdout.strip() == remote.uri("out/report/index.html")


def test_an_upload_that_breaks_off_leaves_nothing(remote: Remote) -> None:
    store = Store(remote.uri("broken"))
    store.write_bytes(b"old", "whole.bin")

    def broken(name: str) -> None:
        with store.writing(name) as file:
            file.write(os.urandom(30 << 20))
            raise KeyboardInterrupt

    for name in ("whole.bin", "half.bin"):
        with pytest.raises(KeyboardInterrupt):
            broken(name)
    assert objects(store) == {"whole.bin": b"old"}
    large = os.urandom((20 << 20) + 7)
    store.write_bytes(large, "large.txt.gz")  # its name must not make anything compress it
    assert objects(store)["large.txt.gz"] == large


def test_an_object_that_exists_is_taken_as_it_is_written(remote: Remote) -> None:
    for name in (
        "lib[1].tar",
        "lib1.tar",
        "a?b.tar",
        "aXb.tar",
        "star*.tar",
        "star2.tar",
        "dumps[2]/x.tar",
        "dumps2/y.tar",
    ):
        Store(remote.uri("odd")).write_bytes(b"", name)
    for written, found in (
        ("lib[1].tar", ["lib[1].tar"]),
        ("lib[0-9].tar", ["lib1.tar"]),
        ("a?b.tar", ["a?b.tar"]),
        ("star*.tar", ["star*.tar"]),
        ("sta[r]*.tar", ["star*.tar", "star2.tar"]),
        ("dumps[2]/*.tar", ["x.tar"]),
        ("dumps[2-3]/*.tar", ["dumps2/y.tar"]),
    ):
        places = find_files(remote.uri(f"odd/{written}"))
        assert [place.name for place in places] == found
        assert [place.open().read() for place in places] == [b""] * len(found)


@pytest.mark.slow
def test_more_objects_than_a_page_holds(remote: Remote) -> None:
    store = Store(remote.uri("many"))
    for number in range(1050):
        store.file_system.open_output_stream(store.path(f"{number:04d}.zip")).close()
    assert store.names() == [f"{number:04d}.zip" for number in range(1050)]
    assert [place.name for place in find_files(remote.uri("many/*.zip"))] == [f"{n:04d}" + ".zip" for n in range(1050)]
    store.remove_folder()
    assert store.names() == []


def test_of_two_runs_one_waits(remote: Remote) -> None:
    store = Store(remote.uri("claimed"))
    with locked(store):
        with (
            pytest.raises(RecipeError, match=r"another run is writing to .*claimed; wait for it, or [0-9]+ s if"),
            locked(store),
        ):
            pass
        assert len(store.names(CLAIMS)) == 1
    assert store.names(CLAIMS) == []


SECRET = "wJalrXUtnFEMI/K7MDENG"


@pytest.mark.parametrize(
    "location",
    [
        f"s3://AKIAEXAMPLE:{SECRET}@bucket/dumps/x.zip",
        f"s3://AKIAEXAMPLE:{SECRET.replace('/', '%2F')}@bucket/dumps/x.zip?scheme=http",
        f"https://storage.example.org/dumps/x.zip?X-Goog-Signature={SECRET}",
    ],
)
def test_a_login_or_a_signature_is_never_shown(location: str, tmp_path: Path) -> None:
    assert shown(location).endswith("/dumps/x.zip")
    assert "wJalr" not in repr(Store(location))
    assert "wJalr" not in str(describe((location,)))
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(f"sources:\n  - kind: archive\n    uri: {location}\ndedup: {{against: ['{location}']}}\n")
    assert "wJalr" not in str(load_recipe(recipe).identity())
    if location.startswith("https"):
        with pytest.raises(SourceError, match="leads to no file system") as told:
            find_files(location)
        assert "wJalr" not in str(told.value)
        with pytest.raises(LocationError) as refused:
            open_location(location)
        assert "wJalr" not in str(refused.value)


@pytest.mark.slow
def test_a_run_with_a_login_writes_it_nowhere(tmp_path: Path) -> None:
    """The key is in the recipe and in --out; no file of the output holds it, and nothing that is printed."""
    with s3() as port:
        options = f"?scheme=http&endpoint_override=127.0.0.1:{port}&region=us-east-1"
        prefix = f"s3://testing:{SECRET.replace('/', '%2F')}@{BUCKET}"
        dumps, out = Store(f"{prefix}/dumps{options}"), f"{prefix}/out{options}"
        dumps.write_bytes((one_of_everything(tmp_path / "dumps") / "eve.zip").read_bytes(), "eve.zip")
        recipe = tmp_path / "recipe.yaml"
        recipe.write_text(f"sources:\n  - kind: archive\n    uri: {prefix}/dumps/*.zip{options}\n")
        settings = [part for setting in (*OFF, "tokenize.enabled=false") for part in ("--set", setting)]
        env = {"AWS_EC2_METADATA_DISABLED": "true"}
        run = codesieve("run", str(recipe), "--out", out, "--engine", "inline", *settings, env=env)
        assert run.returncode == 0, run.stderr
        printed = run.stdout + run.stderr
        printed += codesieve("plan", str(recipe), "--json", *settings, env=env).stdout
        assert "wJalr" not in printed
        found = objects(Store(out))
        assert "ledger/part-00000.parquet" in found
        assert not [name for name, data in found.items() if b"wJalr" in data]
