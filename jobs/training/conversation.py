"""How a dialogue is told to the model: what the user says as comment lines, the answer as plain code.

So Nijkamp et al., "CodeGen" (ICLR 2023), section 4, put the turns of their multi-turn benchmark: each request is a
comment between the pieces of one growing program. An end-of-text token closes each answer.
"""

from collections.abc import Iterable, Iterator, Mapping

LINE_COMMENTS = {"Python": "#"}
"""By linguist's language name; all others of CodeGen's six languages use //."""


def pieces(messages: Iterable[Mapping[str, str]], language: str | None = "Python") -> Iterator[tuple[str, bool]]:
    """Texts to be encoded one after the other, and whether the model is to learn each; answers end with a new line.

    Roles are `system`, `user` and `assistant`. Raises ValueError for another role.
    """
    mark = LINE_COMMENTS.get(language or "Python", "//")
    for message in messages:
        role, content = message["role"], message["content"].strip("\n")
        if role == "assistant":
            yield f"{content}\n", True
        elif role in ("user", "system"):
            yield "".join(f"{mark} {line}".rstrip() + "\n" for line in content.splitlines()), False
        else:
            raise ValueError(f"role {role!r}: give system, user or assistant")
