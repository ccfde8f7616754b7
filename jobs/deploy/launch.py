"""The Flex Template's entry point: a recipe's address and Beam's options in, a submitted job out.

Dataflow's launcher calls `python launch.py --recipe=gs://… --out=gs://… --runner=DataflowRunner --project=… …` and
starts the job that it describes. What is no parameter of ours is one of Beam's.
"""

import argparse
import json
import sys

from jobs.cli import main


def command(arguments: list[str]) -> list[str]:
    """The template's parameters as arguments of `codesieve run`."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--recipe", required=True)
    parser.add_argument("--out", required=True)
    parser.add_argument("--settings", default="", help="key.path=value, separated by semicolons")
    parser.add_argument("--runner", default="DataflowRunner")
    ours, theirs = parser.parse_known_args(arguments)
    settings = [setting.strip() for setting in ours.settings.split(";") if setting.strip()]
    # The launcher ends when the job is described; it must not wait for it.
    options = _options(theirs) | {"no_wait_until_finish": True}
    settings += [f"engine.options.{name}={json.dumps(value)}" for name, value in options.items()]
    chosen = [part for setting in settings for part in ("--set", setting)]
    return ["run", ours.recipe, "--out", ours.out, "--engine", "beam", "--runner", ours.runner, *chosen]


def _options(arguments: list[str]) -> dict[str, str | bool | list[str]]:
    """`--name=value`, `--name value` and `--name`, as they come; a name that comes again becomes a list."""
    found: dict[str, list[str | bool]] = {}
    name = ""
    for argument in arguments:
        if argument.startswith("--"):
            name, equals, value = argument[2:].partition("=")
            found.setdefault(name, []).append(value if equals else True)
        elif found:
            found[name][-1] = argument
    return {name: values if len(values) > 1 else values[0] for name, values in found.items()}  # type: ignore[misc]


if __name__ == "__main__":
    given, sys.argv[1:] = command(sys.argv[1:]), []
    main(*given)
