"""The command line. Exit codes: 0 done, 2 the user's mistake, 3 the run failed and what was committed stays."""

import json
import logging
import os
import sys
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import click
from pythonjsonlogger.json import JsonFormatter
from rich.console import Console
from rich.table import Table

from jobs import why
from jobs.attribution import write_attribution
from jobs.curate import curation
from jobs.demo import demo
from jobs.estimate import told
from jobs.export_tokens import EXPORTS
from jobs.places import LOCATION
from jobs.progress import TEXT, progress
from jobs.recipe import RecipeError, load_recipe
from jobs.report import write_report
from jobs.run import run as run_recipe
from jobs.scoring.commands import score
from jobs.training import TrainingError
from jobs.training.commands import finetune, train
from jobs.training.export import export
from pipeline.execution import ConservationError, EngineError, StepError
from pipeline.locations import LocationError
from pipeline.plan import Plan, PlanError, describe
from pipeline.sources import SourceError
from pipeline.sources.rows import printable
from pipeline.storage import MissingDataset, Store

RECIPES = Path(__file__).parent / "recipes"
QUICKSTART = RECIPES / "quickstart.yaml"


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="codesieve")
def cli() -> None:
    """Curates code corpora for model training, and tells every file's fate."""


@cli.command()
@click.argument("recipe", type=LOCATION, required=False)
@click.option("--out", type=LOCATION, help="Where datasets go: a path, gs://… or s3://…  [default: out/RECIPE]")
@click.option("--engine", type=click.Choice(["beam", "inline", "ray"]), help="Overrides engine.kind.")
@click.option("--runner", help="Overrides engine.runner: DirectRunner, DataflowRunner, …")
@click.option("--address", help="Overrides engine.address: a running Ray cluster, auto or host:port.")
@click.option("--workers", type=click.IntRange(min=1), help="Overrides engine.workers.")
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Overrides any key of the recipe.")
@click.option(
    "--since",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="YYYY-MM-DD",
    help="Of git sources, only what changed from that day on.",
)
@click.option("--replace", is_flag=True, help="Replaces another recipe's data in --out, reusing what still fits.")
def run(
    recipe: str | None,
    out: str | None,
    engine: str | None,
    runner: str | None,
    address: str | None,
    workers: int | None,
    overrides: tuple[str, ...],
    since: datetime | None,
    replace: bool,
) -> None:
    """Curates what RECIPE names; without one, the packages of this Python environment."""
    location = _recipe_location(recipe)
    chosen = [
        ("engine.kind", engine),
        ("engine.runner", runner),
        ("engine.address", address),
        ("engine.workers", workers),
    ]
    settings = [*overrides, *(f"{key}={value}" for key, value in chosen if value is not None)]
    loaded = load_recipe(location, settings)
    if since:
        loaded = loaded.increment(since.date())
    store = Store(out or f"out/{PurePosixPath(location).stem}")
    _log_to(store)
    worked = run_recipe(loaded, store, replace)
    if not all(step.is_done for step in progress(store)):
        click.echo(f"Submitted. See how far it is with: codesieve status {store.address()}")
        click.echo(f"When it is done, write the report: codesieve report {store.address()}")
        return
    if worked or not store.exists("report", "summary.json"):
        _write_reports(store)
    if not worked:
        click.echo("Nothing to do: every step is committed for this recipe, these sources and this release.")
    _print_result(store, store.read_json("report", "summary.json"))


def _write_reports(store: Store) -> None:
    write_attribution(store)
    write_report(store)  # last: where its summary is, all of it is


def _recipe_location(recipe: str | None) -> str:
    """A path or an address; the name of a shipped recipe leads to it, unless a file of that name is nearer."""
    if recipe is None:
        return str(QUICKSTART)
    is_shipped = "/" not in recipe and not Path(recipe).exists() and (RECIPES / recipe).exists()
    return str(RECIPES / recipe) if is_shipped else recipe


def _log_to(store: Store) -> None:
    """Structured logs beside local datasets: one JSON object a line. Libraries' warnings go there as well."""
    logging.raiseExceptions = False  # a full disk must not bury the run's own message under the log's
    handler = logging.NullHandler()
    if store.is_local:
        folder = Path(store.path())
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise RecipeError(f"--out {store.address()}: cannot be written: {error.strerror}") from error
        handler = logging.FileHandler(folder / "_log.jsonl", encoding="utf-8", delay=True)
        handler.setFormatter(JsonFormatter("{asctime}{levelname}{name}{message}", style="{"))
    logging.getLogger().addHandler(handler)
    logging.getLogger("jobs").setLevel(logging.INFO)


def _print_result(store: Store, summary: dict) -> None:
    console = Console()
    table = Table("fate", "reason", "files", "bytes", title=f"{summary['rows']:,} files read")
    for column in table.columns[2:]:
        column.justify = "right"
    for entry in summary["reasons"]:
        table.add_row(entry["decision"], entry["reason"] or "", f"{entry['rows']:,}", f"{entry['bytes']:,}")
    console.print(table)
    for dataset in ("corpus", "ledger", "tokenizer", "tokens", "text_tokens", "dialogue", "report/index.html"):
        if store.exists(*dataset.split("/")):
            console.print(f"{dataset.partition('/')[0]:<11} {store.address(dataset)}", soft_wrap=True, highlight=False)
    _warn_of_nothing(summary)


def _warn_of_nothing(summary: dict) -> None:
    """Says so where no file is left, and which rule took most of them."""
    lost = [entry for entry in summary["reasons"] if entry["decision"] != "kept"]
    if sum(entry["rows"] for entry in lost) < summary["rows"]:
        return
    most = max(lost, key=lambda entry: entry["rows"], default=None)
    told = (
        f"most went by {most['reason']}, {most['rows']:,} of {summary['rows']:,}" if most else "the sources are empty"
    )
    click.secho(f"WARNING: the corpus is empty: no file was kept; {told}", fg="red", bold=True, err=True)
    click.secho("Ask for one of the ledger's files with: codesieve why OUT REPO/PATH", fg="red", err=True)


@cli.command()
@click.argument("recipe", type=LOCATION, required=False)
@click.option("--set", "overrides", multiple=True, metavar="KEY.PATH=VALUE", help="Overrides any key of the recipe.")
@click.option("--json", "as_json", is_flag=True, help="The whole plan as JSON, to diff.")
def plan(recipe: str | None, overrides: tuple[str, ...], as_json: bool) -> None:
    """Prints the steps of RECIPE, their schemas and the estimated size and time; starts nothing."""
    loaded = load_recipe(_recipe_location(recipe), overrides)
    made = curation(loaded)
    if as_json:
        click.echo(json.dumps([describe(step) for step in made.steps], indent=1))
    else:
        workers = loaded.engine.workers
        _print_plan(made, len(os.sched_getaffinity(0)) if workers == "auto" else workers)


def _print_plan(made: Plan, cores: int) -> None:
    for step in made.steps:
        for output in step.outputs:
            schema = made.schemas[output.dataset]
            click.echo(f"{type(step).__name__.lower():<8} {step.name} -> {output.dataset} ({step.shards} shards)")
            for field in schema:
                doc = (field.metadata or {}).get(b"doc", b"").decode()
                click.echo(f"           {field.name}: {field.type}  {doc}")
    for line in told(made, cores):
        click.echo(line)


@cli.command()
@click.argument("out", type=LOCATION)
def status(out: str) -> None:
    """Tells how far the run in OUT is, wherever it runs."""
    steps = progress(Store(out))
    width = max(len(step.name) for step in steps)
    for step in steps:
        state = f"done, {step.rows:,} rows" if step.is_done else f"{step.made} of {step.shards} shards"
        click.echo(f"{step.name:<{width}} {state}")


@cli.command("why")
@click.argument("out", type=LOCATION)
@click.argument("file", metavar="REPO/PATH", required=False)
@click.option("--token", type=(int, int), metavar="BLOCK OFFSET", help="The file that this token of tokens/ is from.")
@click.option("--text", "of_text", is_flag=True, help="With --token: of text_tokens/.")
def why_(out: str, file: str | None, token: tuple[int, int] | None, of_text: bool) -> None:
    """Tells what became of a file of the run in OUT, and why.

    BLOCK is counted over the shards of OUT/tokens in order, OFFSET in the block, both from 0.
    """
    if (file is None) == (token is None) or (of_text and not token):
        raise click.UsageError(
            "name a file as REPO/PATH, or a token as --token BLOCK OFFSET; --text goes with --token only"
        )
    store = Store(out)
    found = _fates_of_token(store, *token, TEXT if of_text else "") if token else _fates_of_file(store, file or "")
    for fate in found:
        for label, text in why.tell(fate):
            click.echo(f"{label:<18} {text}")
        click.echo()


def _fates_of_file(store: Store, file: str) -> list[dict[str, Any]]:
    found = list(why.fates(store, file))
    if not found:
        near = why.nearest(store, file)
        mend = f"; did you mean {', '.join(near)}?" if near else "; name it as repository/path, as in the ledger"
        raise RecipeError(f"{printable(file)} is not in the ledger of {store.address()}{mend}")
    return found


def _fates_of_token(store: Store, block: int, offset: int, kind: str) -> list[dict[str, Any]]:
    try:
        token = why.token(store, block, offset, kind)
    except LookupError as error:
        raise RecipeError(f"--token: {error.args[0]}") from error
    for label, text in why.tell_token(token):
        click.echo(f"{label:<18} {text}")
    named = why.fates_of(store, f"{token.repo}/{token.path}", kind)
    return [fate for fate in named if fate["decision"] == "kept" and fate["content_id"] == token.content_id]


@cli.command("export-tokens")
@click.argument("run_out", type=LOCATION, metavar="OUT")
@click.option("--format", "format_", type=click.Choice(list(EXPORTS)), required=True)
@click.option("--out", "target", type=LOCATION, required=True, help="Where the files go: a path, gs://… or s3://…")
@click.option("--text", "of_text", is_flag=True, help="Those of OUT/text_tokens.")
def export_tokens(run_out: str, format_: str, target: str, of_text: bool) -> None:
    """Writes the blocks of OUT/tokens as Megatron's indexed dataset or as MosaicML's MDS."""
    store = Store(target)
    blocks = EXPORTS[format_](Store(run_out), store, f"{TEXT}tokens" if of_text else "tokens")
    click.echo(f"{blocks:,} blocks in {store.address()}")


@cli.command()
@click.argument("out", type=LOCATION)
def report(out: str) -> None:
    """Writes the web page about the run in OUT and the attribution of its corpus, and tells where the page is."""
    store = Store(out)
    _write_reports(store)
    click.echo(store.address("report", "index.html"))


cli.add_command(train)
cli.add_command(finetune)
cli.add_command(export)
cli.add_command(score)
cli.add_command(demo)


def main(*command: str) -> None:
    """Runs the command line, after `command`; a user's mistake ends in one line and exit code 2, a failed run in 3."""
    if sys.getfilesystemencoding() != "utf-8":
        _start_anew_in_utf8()
    try:
        cli.main([*command, *sys.argv[1:]], prog_name="codesieve", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (click.Abort, KeyboardInterrupt):
        _fail("stopped; what was committed stays, start it again to go on", 130)
    except (RecipeError, SourceError, PlanError, EngineError, LocationError, MissingDataset) as error:
        _fail(str(error), 2)
    except (StepError, ConservationError, TrainingError, OSError, ValueError) as error:
        _fail(f"the run failed: {error}; what was committed stays, mend the cause and start it again", 3)


def _start_anew_in_utf8() -> None:
    """In a locale of another encoding, files would have other names in the ledger."""
    os.environ["PYTHONUTF8"] = "1"  # for workers
    os.execv(sys.executable, [sys.executable, "-X", "utf8", *sys.orig_argv[1:]])


def _fail(message: str, code: int) -> None:
    print(f"codesieve: {message}", file=sys.stderr, flush=True)
    # Threads of an engine that was cut short must not hold the exit up.
    sys.stdout.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
