"""Which of what a file, its folder and its repository say of its licence holds.

They are levels, the nearest first. What each states is heard, less what a nearer one explains:

- A choice, as `BSD-3-Clause OR GPL-2.0-only` in a header, explains the texts of all its licences further out, LICENSE
  with the one and COPYING with the other.
- A licence file that holds several licences, as Apache's with the MPL's of a list that comes along behind it, says that
  parts of a project are under one or another. Where a nearer word names one of them, it tells which part that is.
  Not so a file that holds unknown or proprietary terms as well, which may restrict the others.

Of what is left the strictest holds, or the first level that states any terms, known or not.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from transforms.license_class import (
    combine_strictest,
    conjuncts,
    license_class,
    license_names,
    states_terms,
    unexplained,
)

Scope = Literal["strictest", "nearest"]

_KNOWN = ("permissive", "weak-copyleft", "copyleft")


class Level(NamedTuple):
    """What one place says: states; only mentions, which is heard but decides nothing; states as a list of parts."""

    stated: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()


def lists_parts(expression: str) -> bool:
    """Whether a licence file of this expression holds several licences, all of them known."""
    parts = conjuncts(expression)
    return len(parts) > 1 and all(license_class(part) in _KNOWN for part in parts)


def weigh(levels: Sequence[Level]) -> dict[Scope, tuple[str | None, str]]:
    """Licence and class by scope. Levels are the file's, its folder's and its repository's, in this order."""
    heard = [_heard(levels, place) for place in range(len(levels))]
    return {
        "strictest": combine_strictest(said for level in heard for said in (*level.stated, *level.mentioned)),
        "nearest": _nearest(heard),
    }


def _heard(levels: Sequence[Level], place: int) -> Level:
    """One level without what the nearer ones explain."""
    level, nearer = levels[place], levels[:place]
    choices = [expression for other in nearer for expression in other.stated]
    texts = [expression for other in levels[1:] for expression in (*other.stated, *other.lists)]
    word = next((found for other in nearer if (found := list(filter(states_terms, other.stated)))), [])
    parts = frozenset().union(*map(license_names, word))
    lists = [expression for expression in level.lists if not word or not parts <= license_names(expression)]
    return Level(tuple(unexplained([*level.stated, *lists], choices, texts)), level.mentioned)


def _nearest(levels: Sequence[Level]) -> tuple[str | None, str]:
    """What the first level says that states terms, with what is but mentioned there or nearer."""
    said: list[str] = []
    for level in levels:
        said += [*level.stated, *level.mentioned]
        if any(map(states_terms, level.stated)):
            break
    return combine_strictest(said)
