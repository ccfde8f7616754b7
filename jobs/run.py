"""Runs a recipe's plan on an output location: claims it, starts the engine, shows progress."""

import logging
import os
import sys
from dataclasses import replace
from typing import Any

from jobs.curate import curation
from jobs.lock import locked
from jobs.progress import RUN, shown
from jobs.recipe import Recipe, RecipeError
from jobs.recipe_blocks import EngineBlock
from pipeline.execution import Job, StepError
from pipeline.locations import is_address
from pipeline.plan import Map, Plan
from pipeline.sources.bigquery import answered, queries
from pipeline.storage import PROGRESS, Store

log = logging.getLogger(__name__)


def run(recipe: Recipe, store: Store, replace: bool = False) -> bool:
    """Curates what the recipe names into the store; False where every step was committed already.

    Raises RecipeError where the location holds something else, StepError or ConservationError where a step failed.
    """
    check_reach(recipe, store)
    plan = curation(recipe)
    _check_resources(recipe.engine, plan)
    check_location(recipe, store, replace)
    with locked(store):
        job = Job(plan, store, recipe.failures.max_share)
        pending = [step.name for step in job.prepare()]
        if not pending:
            return False
        answers = _answers(plan, pending)
        if answers != (store.read_json(RUN) or {}).get("answers", {}):
            # A query without an order may answer otherwise the next time: shards of two answers must not meet.
            store.remove_folder(PROGRESS, plan.steps[0].name)
        store.write_json(_description(recipe, plan) | {"answers": answers}, RUN)
        job = Job(_reading(plan, answers), store, job.max_failed)
        log.info("run started", extra={"steps": pending, "engine": recipe.engine.model_dump()})
        with shown(store):
            has_ended = run_on(recipe.engine, job)
        if has_ended and (left := [step.name for step in job.pending()]):
            raise StepError(f"the engine has ended without committing {', '.join(left)}")
        log.info("run ended" if has_ended else "run submitted")
    return True


def _answers(plan: Plan, pending: list[str]) -> dict[str, str]:
    """Has BigQuery answer the plan's queries, unless all files are there already: table → when it was made."""
    first = plan.steps[0]
    if not isinstance(first, Map) or first.name not in pending:
        return {}
    answers = {}
    for query in queries(first.splits):
        print(f"BigQuery {query.cost}", file=sys.stderr, flush=True)
        answers[query.table] = query.ask()
        log.info("query answered", extra={"bytes": query.size, "dataset": query.dataset, "table": query.table})
    return answers


def _reading(plan: Plan, answers: dict[str, str]) -> Plan:
    """The plan as workers get it, who must not read what a query answered later."""
    first = plan.steps[0]
    if not answers or not isinstance(first, Map):
        return plan
    return replace(plan, steps=(replace(first, splits=answered(first.splits, answers)), *plan.steps[1:]))


def run_on(engine: EngineBlock, job: Job) -> bool:
    """Hands the job to the recipe's engine; False where it goes on after this returns.

    Engines are imported only when they are asked for. Raises EngineError, StepError or ConservationError.
    """
    cores = len(os.sched_getaffinity(0))
    workers = None if engine.workers == "auto" else engine.workers
    if engine.kind == "inline":
        from pipeline.engines import inline

        inline.run(job)
        return True
    if engine.kind == "ray":
        from pipeline.engines import ray

        resources = {name: ray.Resources(block.cpus, block.memory) for name, block in engine.resources.items()}
        ray.run(job, engine.address, workers if engine.address else workers or cores, resources)
        return True
    from pipeline.engines import beam

    if beam.is_local(engine.runner):
        workers = workers or cores
    return beam.run(job, engine.runner, workers, engine.options)


def check_reach(recipe: Recipe, store: Store) -> None:
    """Refuses locations that workers on Dataflow could not reach, and a runner or options that Beam does not know.

    Raises RecipeError or EngineError.
    """
    if recipe.engine.kind != "beam" or (recipe.engine.runner == "DirectRunner" and not recipe.engine.options):
        return
    from pipeline.engines import beam, beam_options

    beam_options.parsed(recipe.engine.options)
    if not beam.is_dataflow(recipe.engine.runner):
        return
    if not store.uri.startswith("gs://"):
        raise RecipeError(
            f"--out {store.address()}: Dataflow's workers write to a bucket; give --out gs://bucket/folder"
        )
    named = [(f"sources.{n}", getattr(source, "uri", "")) for n, source in enumerate(recipe.sources)]
    named += [(f"tokenize.text.sources.{n}", source.uri) for n, source in enumerate(recipe.tokenize.text.sources)]
    named += [(f"repositories.{n}", block.uri) for n, block in enumerate(recipe.repositories)]
    named += [("dialogue.files", location) for location in recipe.dialogue.files]
    named += [("dedup.against", location) for location in recipe.dedup.against]
    named += [("license.against", location) for location in recipe.license.against]
    here = [f"{key}: {location}" for key, location in named if location and not is_address(location)]
    here += [f"sources.{n}: the Python environment" for n, s in enumerate(recipe.sources) if s.kind == "environment"]
    if here:
        raise RecipeError(f"{here[0]} is on this machine, where Dataflow's workers cannot read it; copy it to a bucket")


def _check_resources(engine: EngineBlock, plan: Plan) -> None:
    names = [step.name for step in plan.steps]
    if unknown := [name for name in engine.resources if name not in names]:
        raise RecipeError(f"engine.resources: no step is called {unknown[0]}; the steps are {', '.join(names)}")


def check_location(recipe: Recipe, store: Store, replace: bool) -> None:
    """Refuses a location that holds another recipe's data, or files that no run of ours wrote.

    Raises RecipeError.
    """
    found = store.read_json(RUN)
    mend = "choose another --out"
    for key, against in (("dedup", recipe.dedup.against), ("license", recipe.license.against)):
        if any(Store(location).path() == store.path() for location in against):
            raise RecipeError(f"{key}.against: {store.address()} is --out itself, and would be overwritten; {mend}")
    if found is None:
        if names := [name for name in store.names() + store.folders() if not name.startswith(("_", "."))]:
            raise RecipeError(f"--out {store.address()} holds files of something else ({names[0]}); {mend}")
    elif not replace and (key := _difference(found["recipe"], recipe.identity())):
        raise RecipeError(
            f"--out {store.address()} holds the data of another recipe ({key} differs); {mend}, or add --replace"
        )


def _difference(old: Any, new: Any, key: str = "recipe") -> str | None:
    """The dotted key at which two recipes first differ."""
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            inner = name if key == "recipe" else f"{key}.{name}"
            if found := _difference(old.get(name), new.get(name), inner):
                return found
        return None
    return None if old == new else key


def _description(recipe: Recipe, plan: Plan) -> dict[str, Any]:
    steps = [
        {
            "name": step.name,
            "shards": step.shards,
            "outputs": [output.dataset for output in step.outputs],
            "fingerprint": plan.fingerprints[step.name],
        }
        for step in plan.steps
    ]
    return {"recipe": recipe.identity(), "steps": steps}
