"""The domain: pure functions over Arrow record batches, on the contracts of `schemas.contracts`."""

from schemas.contracts import BatchFunction, Reducer, Transform

__all__ = ["BatchFunction", "Reducer", "Transform"]
