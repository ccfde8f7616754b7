"""The YAML of a recipe: read so that no key is lost, overlaid by `--set`, and searched for the line of a mistake."""

from collections.abc import Iterable
from copy import copy
from typing import Any

import yaml

MERGE = "tag:yaml.org,2002:merge"
TEXT = "tag:yaml.org,2002:str"
NUMBER = "tag:yaml.org,2002:int"


class RecipeError(ValueError):
    """A mistake in a recipe: one line that names the place and the mend."""


def parsed(text: str, place: str) -> tuple[Any, yaml.Node | None]:
    """What a YAML text says, and its tree. JSON is YAML.

    A key that stands twice in a mapping is refused; one that a merge (`<<`) brings may be given anew, as YAML has it.
    Raises RecipeError, which begins with `place` and the line.
    """
    loader = yaml.SafeLoader(text)
    try:
        tree = loader.get_single_node()
        if tree is None:
            return None, None
        _refuse_repeated(tree, place, loader)
        return loader.construct_document(tree), tree
    except (yaml.YAMLError, ValueError) as error:
        if isinstance(error, RecipeError):
            raise
        mark = getattr(error, "problem_mark", None)
        told = getattr(error, "problem", None) or " ".join(str(error).split())
        raise RecipeError(f"{_at(place, mark)}: not valid YAML: {told}") from error
    except RecursionError:
        raise RecipeError(f"{place}: not valid YAML: nested too deeply") from None
    finally:
        loader.dispose()


def _refuse_repeated(tree: yaml.Node, place: str, loader: yaml.SafeLoader) -> None:
    pending, seen = [("", tree)], set()
    while pending:
        path, node = pending.pop()
        if id(node) in seen:  # an alias
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            pending += [(f"{path}{number}.", item) for number, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            lines: dict[str, int] = {}
            for key, value in node.value:
                name = _name(key, place, loader)
                if first := lines.get(name):
                    raise RecipeError(
                        f"{_at(place, key.start_mark)}: key {path}{name} is given twice, first in line {first}; "
                        "leave one of them out"
                    )
                lines[name] = key.start_mark.line + 1
                pending.append((f"{path}{name}.", value))


def _name(key: yaml.Node, place: str, loader: yaml.SafeLoader) -> str:
    """A key as text: 0, 0x0 and "0" are the same one."""
    if key.tag in (MERGE, TEXT):
        return str(key.value)
    if isinstance(key, yaml.ScalarNode) and key.tag == NUMBER:
        return str(loader.construct_yaml_int(key))
    told = key.value if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
    raise RecipeError(
        f"{_at(place, key.start_mark)}: key {told} is taken for {key.tag.rpartition(':')[2]}; put it in quotes"
    )


def _at(place: str, mark: yaml.Mark | None) -> str:
    return f"{place}:{mark.line + 1}" if mark else place


def override(data: dict[str, Any], setting: str) -> None:
    """Puts `key.path=value`, whose value is YAML, into a recipe's data; below a key that is null as well."""
    key, equals, value = setting.partition("=")
    if not equals or not key:
        raise RecipeError(f"--set {setting}: write it as key.path=value")
    *parents, last = key.split(".")
    at: Any = data
    for name in parents:
        where = _place(at, name, setting)
        found = at.get(where) if isinstance(at, dict) else at[where]
        # A copy, since an alias may share it with another key.
        at[where] = {} if found is None else copy(found)
        at = at[where]
    try:
        chosen, _ = parsed(value, "value")
    except RecipeError as error:
        raise RecipeError(f"--set {setting}: {error}") from error
    at[_place(at, last, setting)] = chosen


def _place(at: Any, name: str, setting: str) -> Any:
    """A mapping's key, or a list's index."""
    if isinstance(at, dict):
        return name
    if not isinstance(at, list):
        raise RecipeError(f"--set {setting}: what holds {name} is a plain value and has no keys")
    if not name.isdecimal() or int(name) >= len(at):
        raise RecipeError(f"--set {setting}: {name} is no index of a list of {len(at)}")
    return int(name)


def line(tree: yaml.Node | None, place: Iterable[Any]) -> int | None:
    """The line of a key, or of the nearest one above it that the file has."""
    node, found = tree, None
    for part in place:
        if isinstance(node, yaml.MappingNode):
            # Of a key that was merged in and given anew, the last one holds.
            pair = next((pair for pair in reversed(node.value) if pair[0].value == str(part)), None)
            if pair is None:
                return found
            found, node = pair[0].start_mark.line + 1, pair[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            found = node.start_mark.line + 1
    return found
