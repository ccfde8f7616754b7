"""What the other `license.scope` would change: counted for the report from the column that `licenses` has of it."""

from collections import Counter
from typing import Any

import pyarrow.compute as pc

from jobs.progress import RUN
from pipeline.storage import Store
from transforms.license_rule import LicenseRule

_OTHER = {"strictest": "nearest", "nearest": "strictest"}


def other_scope(store: Store) -> dict[str, Any] | None:
    """`scope`, the `other`, and files that the rule on licences `would_keep` or `would_drop` under that alone.

    Licences are those before copies are heard. Null where the run measured none.
    """
    license = (store.read_json(RUN) or {}).get("recipe", {}).get("license", {})
    licenses = store.manifest("licenses")
    if licenses is None or "scope" not in license:
        return None
    rule = LicenseRule(tuple(license["keep"]))
    pairs: Counter[tuple[str | None, str | None]] = Counter()
    for shard in range(len(licenses.shards)):
        for batch in store.read("licenses", shard, ("license", "license_other_scope")):
            differing = batch.filter(pc.not_equal(batch["license"], batch["license_other_scope"]).fill_null(False))
            pairs.update(zip(*(column.to_pylist() for column in differing.columns), strict=True))
    would_keep = sum(count for (here, there), count in pairs.items() if rule.keeps(there) and not rule.keeps(here))
    would_drop = sum(count for (here, there), count in pairs.items() if rule.keeps(here) and not rule.keeps(there))
    scope = license["scope"]
    return {"scope": scope, "other": _OTHER[scope], "would_keep": would_keep, "would_drop": would_drop}
