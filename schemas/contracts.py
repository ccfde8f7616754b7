"""The two kinds of function that a step is made of. Both are plain data until `load` is called in a worker."""

from collections.abc import Callable
from typing import Protocol

import pyarrow as pa

BatchFunction = Callable[[pa.RecordBatch], pa.RecordBatch]


class Transform(Protocol):
    """Measures: adds columns to a batch, row by row; as many rows out as in, in the same order.

    Where a step isolates failures, a row on which the function raises gets nulls and is `failed` in the ledger.

    An implementation is a frozen dataclass that holds settings only, so that it pickles, prints and diffs.
    One that needs a small dataset whole names it in an attribute `side`, and gets the tables as arguments of `load`.
    One whose function holds much says how many bytes a worker needs for it in an attribute `memory`.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the columns that it needs."""
        ...

    @property
    def adds(self) -> pa.Schema:
        """The columns that it adds, each with a `doc` in its field metadata."""
        ...

    @property
    def load(self) -> Callable[..., BatchFunction]:
        """A method that builds models, automata and caches, and gives the function from a batch to the added columns
        alone. It takes no argument, or the tables that `side` names.
        """
        ...


class Reducer(Protocol):
    """Gives other rows than it gets: groups, edges, blocks.

    After a shuffle its batch holds many whole keys, sorted; before one it combines a batch into keyed rows; at the
    end of a `Map` its batch is the whole shard.
    """

    @property
    def reads(self) -> tuple[str, ...]:
        """Names of the columns that it needs."""
        ...

    @property
    def schema(self) -> pa.Schema:
        """The rows that it gives."""
        ...

    @property
    def load(self) -> Callable[..., BatchFunction]:
        """A method that builds what is costly once per worker, and gives the function from rows to rows. It takes no
        argument, or the tables that `side` names.
        """
        ...
