"""What a plan's run will take: core hours, bytes shuffled and stored, memory of a worker, dollars.

A model of measured constants, one row a step, so that a step that the recipe switches off costs nothing. It grows
with the text, with the number of files, and with the payloads that each split sends to each partition.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import reduce
from operator import add

from jobs.progress import TEXT
from pipeline.plan import Map, Plan, Shuffle
from pipeline.sources.bigquery import DAYS_KEPT, queries

BYTES_A_FILE = 7_000
"""Mean size of the files measured. The Stack v2's is 22,500."""
START_SECONDS = 25
"""Of a run with every step, however small: kernels, the licence index once, a tokenizer."""
PAYLOAD_BYTES = 540
"""An Arrow stream's own share of a payload of few rows (tests/benchmarks/shuffle_simulation.py)."""
SPREAD = 0.7, 2.5
"""Least and most core time, of what the model says. The least: it was measured on a busy machine. The most: the
quickstart, two thirds of it licence texts, takes that much more."""
WORKER_BYTES = 450_000_000
"""A worker with its kernels loaded, one batch and one partition of keys."""
LICENSE_INDEX_BYTES = 1_400_000_000
"""What a worker that matches licences has on top."""
SENDING_BYTES = 10_700
"""What the map side of a shuffle holds for each partition it sends to (tests/benchmarks/shuffle_simulation.py)."""
EDGE_BYTES = 32.6
"""Memory of the fold over edges for each (tests/benchmarks/components.py)."""
EDGES_A_FILE = 0.7
"""Edges that the forest leaves for each file: one for each that has a copy, exact or near, before it."""

DATAFLOW_CORE_HOUR, DATAFLOW_GB_HOUR, DATAFLOW_SHUFFLED_GB = 0.056, 0.003557, 0.011
"""Dollars in us-central1, batch: a vCPU hour, a GB hour of memory, a GB of shuffle data processed, which is counted as
it is written and as it is read (cloud.google.com/dataflow/pricing, about 2024; check before you budget)."""
MACHINE_CORE_HOUR, MACHINE_GB_HOUR = 0.031611, 0.004237
"""The same of an N2 machine for Ray (cloud.google.com/compute/vm-instance-pricing, on demand; check likewise)."""
STORED_GB_MONTH = 0.020
"""Dollars a GB and month of Standard Storage in us-central1 (cloud.google.com/storage/pricing; check likewise)."""


@dataclass(frozen=True)
class Cost:
    """A step's: core seconds a GB of text, bytes sent a file, rows of a file that spread over the partitions of a
    shuffle (none in a fold, and none where they stay in their shard), bytes written a byte of text."""

    seconds: float = 0
    sent: float = 0
    rows: float = 0
    written: float = 0


STEPS = {
    "ingest": Cost(seconds=66, written=0.30),
    "license_rules": Cost(),
    "scan": Cost(seconds=19, written=0.004),
    "license_texts": Cost(seconds=63, sent=136, rows=0.8, written=0.0035),
    "home_license_texts": Cost(seconds=8, sent=90, rows=1.5, written=0.0024),
    "evidence": Cost(seconds=16, written=0.0021),
    "license": Cost(seconds=1.4, sent=30, rows=1, written=0.001),
    "home_licenses": Cost(seconds=1.9, sent=17, rows=1, written=0.0025),
    "events": Cost(),
    "sightings": Cost(),
    "repositories": Cost(),
    "popularity": Cost(seconds=1.4, sent=30, rows=1, written=0.001),
    "home_popularity": Cost(seconds=1.9, sent=17, rows=1, written=0.001),
    "holdings": Cost(seconds=4.4, sent=11, rows=1, written=0.001),
    "shared": Cost(seconds=0.5, sent=8, rows=1),
    "pairs": Cost(seconds=0.1, sent=0.2, rows=0.05),
    "families": Cost(seconds=0.1, sent=0.2),
    "candidates": Cost(seconds=7, sent=254, rows=37, written=0.0007),
    "forest": Cost(seconds=1, sent=6, rows=2, written=0.0001),
    "components": Cost(seconds=0.3, sent=4, written=0.0002),
    "groups": Cost(seconds=3, sent=14, written=0.0015),
    "annotate": Cost(seconds=13, written=0.002),
    "verdicts": Cost(seconds=10, sent=746, rows=1, written=0.0045),
    "home_copies": Cost(seconds=4, sent=51, rows=1, written=0.0075),
    "select": Cost(seconds=13, written=0.66),
    "dialogue": Cost(seconds=150, written=0.01),
    "instructions": Cost(),
    "corpus_size": Cost(),
    "tokenizer": Cost(),
    "mixture": Cost(seconds=0.3, sent=30),
    "home_mixture": Cost(seconds=0.3, sent=20, rows=1),
    "tokenize": Cost(seconds=40, written=0.21),
    "pack": Cost(seconds=24, written=0.21),
    "shuffle": Cost(seconds=1, written=0.21),
}
"""From tests/benchmarks/step_costs.py on 56 MB of projects in six languages (see BENCHMARKS.md). Set by hand: the
seconds of steps too quick to measure there (`shared`, `pairs`, `families`, `forest`, `components`, `shuffle`) or not in
every plan (`mixture`, `pack`), `ingest` without an archive that was decompressed nine times, and all `rows`, which
follow from the plan. `tokenize`, `pack` (with the reading of imports) and `dialogue` are from the speed of their
transforms on what is kept; `popularity` is taken to cost what `license` does, and the archives of events are not
counted. What a run pays once, such as training the tokenizer, is `START_SECONDS`."""


@dataclass(frozen=True)
class Size:
    """A corpus: bytes of text, files, splits, partitions of a shuffle."""

    text: int
    files: int
    splits: int
    partitions: int

    @staticmethod
    def of(plan: Plan) -> "Size":
        """What the plan's sources hold, as far as a listing tells."""
        first = plan.steps[0]
        assert isinstance(first, Map)
        text = sum(split.size for split in first.splits)
        spread = [step.partitions for step in plan.steps if isinstance(step, Shuffle) and not step.homeward]
        return Size(text, text // BYTES_A_FILE, len(first.splits), max(spread, default=1))


@dataclass(frozen=True)
class Estimate:
    """Core seconds, bytes through shuffles, bytes on storage, bytes of memory of the largest worker."""

    core_seconds: float
    shuffled: float
    payloads: float
    stored: float
    memory: float

    @staticmethod
    def of(plan: Plan, size: Size | None = None) -> "Estimate":
        """Of a plan's steps, for its sources or for a corpus of another size."""
        size = size or Size.of(plan)
        costs = {step.name: STEPS[step.name] for step in plan.steps}
        # Each split sends a payload to each partition, as far as its rows go.
        payloads = sum(min(size.splits * size.partitions, cost.rows * size.files) for cost in costs.values())
        sent = sum(cost.sent for cost in costs.values()) * size.files
        folds = EDGES_A_FILE * size.files * EDGE_BYTES if "components" in costs else 0
        matching = LICENSE_INDEX_BYTES if "license_texts" in costs else 0
        return Estimate(
            core_seconds=START_SECONDS + sum(cost.seconds for cost in costs.values()) * size.text / 1e9,
            shuffled=sent + payloads * PAYLOAD_BYTES,
            payloads=payloads,
            stored=sum(cost.written for cost in costs.values()) * size.text,
            memory=WORKER_BYTES + max(matching, folds, SENDING_BYTES * size.partitions),
        )

    def __add__(self, other: "Estimate") -> "Estimate":
        """Of one plan after another."""
        return Estimate(
            core_seconds=self.core_seconds + other.core_seconds,
            shuffled=self.shuffled + other.shuffled,
            payloads=self.payloads + other.payloads,
            stored=self.stored + other.stored,
            memory=max(self.memory, other.memory),
        )

    @property
    def dollars_on_dataflow(self) -> float:
        """Of workers with one core and 4 GB each, and of the shuffle service."""
        hours, shuffled = self.core_seconds / 3600, 2 * self.shuffled / 1e9
        return hours * (DATAFLOW_CORE_HOUR + 4 * DATAFLOW_GB_HOUR) + shuffled * DATAFLOW_SHUFFLED_GB

    @property
    def dollars_on_machines(self) -> float:
        """Of machines with 4 GB a core, for Ray, which shuffles in their memory and disks."""
        return self.core_seconds / 3600 * (MACHINE_CORE_HOUR + 4 * MACHINE_GB_HOUR)

    @property
    def dollars_a_month(self) -> float:
        """Of all datasets, kept."""
        return self.stored / 1e9 * STORED_GB_MONTH


def parts(plan: Plan) -> list[Plan]:
    """What the plan does for the code and, under the names of the same steps, what it does for `tokenize.text`."""
    code = tuple(step for step in plan.steps if not step.name.startswith(TEXT))
    text = tuple(replace(step, name=step.name.removeprefix(TEXT)) for step in plan.steps if step not in code)
    return [Plan(steps, plan.schemas, plan.fingerprints) for steps in (code, text) if steps]


def told(plan: Plan, cores: int) -> Iterator[str]:
    """The estimate as lines for people: size, time, memory, storage, cost."""
    made = reduce(add, (Estimate.of(part) for part in parts(plan)))
    size, *beside = [Size.of(part) for part in parts(plan)]
    text = "".join(f", and {part.text / 1e6:,.0f} MB in {part.splits} for tokenize.text" for part in beside)
    low, high = (share * made.core_seconds for share in SPREAD)
    yield f"about {size.text / 1e6:,.0f} MB of text in {size.splits} splits{text}"
    yield (
        f"about {_hours(low)} to {_hours(high)} of core time, on {cores} cores {_hours(low / cores)} to "
        f"{_hours(high / cores)}; {made.memory / 1e9:,.1f} GB of memory for the largest worker"
    )
    yield f"about {_size(made.shuffled)} through shuffles, {_size(made.stored)} written"
    prices = made.dollars_on_dataflow, made.dollars_on_machines
    on_dataflow, on_machines = (f"{low:,.2f} to {high:,.2f} $" for low, high in (_spread(price) for price in prices))
    yield (
        f"about {on_dataflow} on Dataflow, {on_machines} on machines with Ray; storage {made.dollars_a_month:,.2f} $ "
        f"a month (us-central1, prices of about 2024)"
    )
    first = plan.steps[0]
    assert isinstance(first, Map)
    for query in queries(first.splits):
        yield f"BigQuery {query.cost}, unless it was asked within {DAYS_KEPT} days"


def _spread(amount: float) -> tuple[float, float]:
    return SPREAD[0] * amount, SPREAD[1] * amount


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:,.1f} h" if seconds >= 3600 else f"{seconds / 60:,.1f} min"


def _size(amount: float) -> str:
    return f"{amount / 1e9:,.1f} GB" if amount >= 1e9 else f"{amount / 1e6:,.1f} MB"
