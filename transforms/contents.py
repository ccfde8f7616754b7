"""Rows that share one content, and the components that contents are in."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa


@dataclass(frozen=True)
class Contents:
    """The distinct contents of a batch, numbered by the place of their first row."""

    of_row: np.ndarray
    representative: np.ndarray  # row of each content's representative
    component: np.ndarray  # of each content
    copies: np.ndarray  # rows of each content

    @staticmethod
    def of(batch: pa.RecordBatch) -> "Contents":
        """Raises ValueError where a representative is not in the batch: its component would not be whole."""
        row_ids = batch.column("row_id").to_numpy()
        ids, first, of_row, copies = np.unique(
            batch.column("representative").to_numpy(),
            return_index=True,
            return_inverse=True,
            return_counts=True,
        )
        by_id = np.argsort(row_ids)
        places = by_id[np.minimum(np.searchsorted(row_ids[by_id], ids), len(by_id) - 1)] if len(by_id) else by_id
        if not np.array_equal(row_ids[places], ids):
            raise ValueError("the representative of a row is not in its batch")
        order = np.argsort(first)
        number = np.empty(len(order), np.int64)
        number[order] = np.arange(len(order))
        component = batch.column("component").to_numpy()[first[order]]
        return Contents(number[of_row], places[order], component, copies[order])

    def bounds(self, contents: np.ndarray) -> np.ndarray:
        """Where components begin in some contents in ascending order, and where the last one ends."""
        component = self.component[contents]
        return np.concatenate([[0], np.flatnonzero(component[1:] != component[:-1]) + 1, [len(component)]])
