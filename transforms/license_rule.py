"""The recipe's rule on licences: which classes and which SPDX ids are kept."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import license_expression
import pyarrow as pa

from schemas.contracts import BatchFunction
from schemas.datasets import field
from transforms.license_class import combine_strictest, license_class

_licensing = license_expression.Licensing()


@dataclass(frozen=True)
class LicenseRule:
    """Keeps files under the classes and SPDX ids that `keep` names; None keeps every file.

    An expression is kept if all operands of its ANDs and one of each OR are. A file without a licence is `unknown`,
    and is kept only where `keep` says so.
    """

    keep: tuple[str, ...] | None

    @property
    def reads(self) -> tuple[str, ...]:
        return ("license",)

    @property
    def adds(self) -> pa.Schema:
        return pa.schema([field("license_kept", pa.bool_(), "the rule on licences keeps the file", nullable=False)])

    def load(self) -> BatchFunction:
        def decide(batch: pa.RecordBatch) -> pa.RecordBatch:
            names = batch.column("license").dictionary_encode()
            kept = pa.array([self.keeps(name) for name in names.dictionary.to_pylist()], pa.bool_())
            column = kept.take(names.indices).fill_null(self.keeps(None))
            return pa.RecordBatch.from_arrays([column], schema=self.adds)

        return decide

    def keeps(self, expression: str | None) -> bool:
        """Whether a file under this SPDX expression (None: no licence was found) is kept."""
        return self.keep is None or _keeps(self.keep, expression)

    def detail(self, expression: str | None) -> str:
        """Why a file under this expression is not kept, for the ledger."""
        return f"{expression or 'no licence found'}; kept are {', '.join(self.keep or ())}"


@lru_cache(maxsize=65536)
def _keeps(keep: tuple[str, ...], expression: str | None) -> bool:
    terms, found_class = combine_strictest([expression])  # without phrases that state no terms
    try:
        tree = _licensing.parse(terms or "")
    except license_expression.ExpressionError:
        tree = None
    return found_class in keep if tree is None else _keeps_tree(frozenset(name.lower() for name in keep), tree)


def _keeps_tree(keep: frozenset[str], tree: Any) -> bool:
    if isinstance(tree, license_expression.LicenseSymbol | license_expression.LicenseWithExceptionSymbol):
        name = str(tree)
        return name.lower() in keep or license_class(name) in keep
    operands = (_keeps_tree(keep, operand) for operand in tree.args)
    return any(operands) if isinstance(tree, license_expression.OR) else all(operands)
