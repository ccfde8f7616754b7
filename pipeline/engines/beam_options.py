"""Beam's pipeline options as a recipe names them: each takes effect as Beam means it, or is refused.

Beam itself drops a flag that is false and an option that it does not know, keeps the last of several values, and ends
the process at a value of the wrong type.
"""

import argparse
import difflib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import redirect_stderr
from typing import Any

from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.execution import EngineError

ELSEWHERE = {"runner": "engine.runner", "direct_num_workers": "engine.workers"}
"""Options that the recipe has a key of its own for."""


def parsed(options: Mapping[str, Any]) -> PipelineOptions:
    """The options as Beam understands them.

    A name is one of Beam's flags, with or without its dashes, or what Beam calls the option that a flag switches
    (`use_public_ips` for `no_use_public_ips`). Null leaves an option at its default. Raises EngineError, which names
    the option.
    """
    flags, switched, named = [], {}, {}
    for name, value in options.items():
        action = _action(name)
        if key := ELSEWHERE.get(action.dest):
            raise EngineError(f"engine.options: {name} is told by {key}; leave it out here")
        if first := named.get(action.dest):
            raise EngineError(f"engine.options: {first} and {name} are the same option; leave one of them out")
        named[action.dest] = name
        if value is None:
            continue
        if action.nargs == 0:
            switched[action.dest] = _switch(action, name, value)
        else:
            flags += [f"--{name.removeprefix('--')}={text}" for text in _texts(action, name, value)]
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            settings = PipelineOptions(flags, **switched)
            settings.get_all_options()
    except SystemExit:
        raise EngineError(f"engine.options: {said.getvalue().strip().rpartition('error: ')[2]}") from None
    except (ValueError, argparse.ArgumentError, AssertionError) as error:
        raise EngineError(f"engine.options: {error}") from error
    return settings


def _action(name: str) -> argparse.Action:
    """What Beam does at an option of this name."""
    actions: list[argparse.Action] = []
    PipelineOptions([]).get_all_options(add_extra_args_fn=lambda parser: actions.extend(parser._actions))
    by_name = {action.dest: action for action in actions if action.nargs == 0}
    by_name |= {flag[2:]: action for action in actions for flag in action.option_strings if flag.startswith("--")}
    del by_name["help"]
    if found := by_name.get(name.removeprefix("--")):
        return found
    close = difflib.get_close_matches(name.replace("-", "_").lower(), by_name, 1)
    mend = f"; did you mean {close[0]}?" if close else "; see Beam's PipelineOptions for the names"
    raise EngineError(f"engine.options: Beam has no option {name}{mend}")


def _switch(action: argparse.Action, name: str, value: object) -> bool:
    """What a flag's option becomes: a `no_…` that is false switches it on."""
    given = {"true": True, "false": False}.get(str(value).lower())
    if given is None:
        raise EngineError(f"engine.options: {name} is true or false, not {value!r}")
    stands_for_itself = name.removeprefix("--") == action.dest
    return given if stands_for_itself or action.const else not given


def _texts(action: argparse.Action, name: str, value: object) -> Iterator[str]:
    """The texts that an option gets, as on Beam's command line."""
    takes_many = type(action).__name__ != "_StoreAction"
    takes_json = action.type is json.loads or isinstance(action.default, dict) or name.endswith("audit_entries")
    if isinstance(value, list) and not takes_many and not takes_json:
        raise EngineError(f"engine.options: {name} takes one value, not a list")
    for item in value if isinstance(value, list) and takes_many else [value]:
        if isinstance(item, dict | list) and takes_json:
            yield json.dumps(item)
        elif isinstance(item, bool | dict | list | None) or (isinstance(item, float) and action.type is not float):
            raise EngineError(f"engine.options: {name} takes no {json.dumps(item)}; write it as text, in quotes")
        else:
            yield str(item)
