"""Which of what a file, its folder and its repository say of its licence holds.

They are levels, the nearest first. What each states is heard, less what a nearer one explains:

- A choice, as `BSD-3-Clause OR GPL-2.0-only` in a header, explains the texts of all its licences further out, LICENSE
  with the one and COPYING with the other. A header that names the licences of a choice that is offered further out,
  one beside the other and nothing else, means that choice.
- A licence file that holds several licences, as Apache's with the MPL's of a list that comes along behind it, says that
  parts of a project are under one or another. Where a nearer word names one of them, it tells which part that is, and
  so that the texts of the others beside that list, such as COPYING.GPLv2 and COPYING.LGPL, are about other parts.
  Not so a file that holds unknown or proprietary terms as well, which may restrict the others.

Of what is left the strictest holds, or the first level that states any terms, known or not. Riders, which take away
from a licence and so from those of files, are heard in any case.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from transforms.license_class import (
    combine_strictest,
    conjuncts,
    license_class,
    license_names,
    offers_choice,
    states_terms,
    unexplained,
)

Scope = Literal["strictest", "nearest"]

_OF_GENERATED = "fsfullrwd"
"""The FSF's notice in what automake makes out of a project's own files, Makefile.in: it is about automake's part."""

_KNOWN = ("permissive", "weak-copyleft", "copyleft")


class Level(NamedTuple):
    """What one place says: states; only mentions, which is heard but decides nothing; states as a list of parts.

    `lists` has with each expression all the licences that the file names, be it as an example. Of what is stated,
    `texts` are files named after the licence whose text they have, and `riders` take away from others. `is_joint` tells
    of a file that its licences may hold together.
    """

    stated: tuple[str, ...] = ()
    mentioned: tuple[str, ...] = ()
    lists: tuple[tuple[str, str], ...] = ()
    texts: tuple[str, ...] = ()
    riders: tuple[str, ...] = ()
    is_joint: bool = False


def lists_parts(expression: str) -> bool:
    """Whether a licence file of this expression holds several licences, all of them known."""
    parts = conjuncts(expression)
    return len(parts) > 1 and all(license_class(part) in _KNOWN for part in parts)


def rides(expression: str) -> bool:
    """Whether an expression holds known licences beside terms that may restrict them."""
    classes = {license_class(part) for part in conjuncts(expression) if states_terms(part)}
    return bool(classes.intersection(_KNOWN)) and not classes.issubset(_KNOWN)


def weigh(levels: Sequence[Level]) -> dict[Scope, tuple[str | None, str]]:
    """Licence and class by scope. Levels are the file's, its folder's and its repository's, in this order."""
    levels = [_chosen(levels), *levels[1:]]
    heard = [_heard(levels, place) for place in range(len(levels))]
    return {
        "strictest": combine_strictest(said for level in heard for said in (*level.stated, *level.mentioned)),
        "nearest": _nearest(heard),
    }


def _chosen(levels: Sequence[Level]) -> Level:
    """What is said of a file, with the project's choice in the place of the same licences side by side."""
    of_file, *around = levels
    offers = [offer for level in around for said in level.stated for offer in conjuncts(said) if offers_choice(offer)]
    if of_file.is_joint or not offers:
        return of_file
    by_names = {license_names(offer): offer for offer in reversed(offers)}
    stated = (by_names.get(license_names(said), said) if len(conjuncts(said)) > 1 else said for said in of_file.stated)
    return of_file._replace(stated=tuple(stated))


def _heard(levels: Sequence[Level], place: int) -> Level:
    """One level without what the nearer ones explain."""
    level, nearer = levels[place], levels[:place]
    choices = [expression for other in nearer for expression in other.stated]
    texts = [expression for other in levels[1:] for expression in (*other.stated, *(said for said, _ in other.lists))]
    word = next((found for other in nearer if (found := list(filter(_decides, other.stated)))), [])
    parts = frozenset().union(*map(license_names, word))
    placed = {said: license_names(named) for said, named in level.lists if word and parts <= license_names(named)}
    listed = frozenset().union(*placed.values())
    said = [
        expression
        for expression in level.stated
        if not (expression in level.texts and license_names(expression) <= listed)
    ]
    said += [said for said, _ in level.lists if said not in placed]
    return level._replace(stated=tuple(unexplained(said, choices, texts)))


def _decides(expression: str) -> bool:
    """Whether what a file or folder states can go before what others state of it."""
    return states_terms(expression) and license_names(expression) != {_OF_GENERATED}


def _nearest(levels: Sequence[Level]) -> tuple[str | None, str]:
    """What the first level says that states terms, with what is but mentioned there or nearer, and all riders."""
    said = [expression for level in levels for expression in level.riders]
    for level in levels:
        said += [*level.stated, *level.mentioned]
        if any(map(_decides, level.stated)):
            break
    return combine_strictest(said)
