# pyarrow is compiled and carries no types; to a type checker, everything in it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
