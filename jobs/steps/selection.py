"""Selection: corpus, signatures and ledger, the fate of every file."""

import pyarrow as pa

from jobs.against import SIGNATURES
from jobs.recipe_blocks import OutputBlock
from jobs.steps.popularity import popular
from jobs.steps.settings import Settings
from pipeline.plan import Input, Map, Output
from pipeline.storage import ROW_BITS
from schemas.datasets import COPIES, LEDGER, POPULARITY, SOURCE_ROW, field
from transforms.conditional import Unmeasured, Where
from transforms.minhash import ShingleSets
from transforms.mixture import Origin
from transforms.pii import Redact, Unredacted
from transforms.popularity import Claimed
from transforms.rules import Decide, KeptDetail
from transforms.signatures import Signed, signatures
from transforms.text_measures import TextMeasures

NATURAL_LANGUAGE = pa.schema([field("natural_language", pa.string(), "language of the comments; not measured yet")])
ABOUT_REPOSITORY = ("repo_last_commit", "repo_authors")
MEASURED = (*TextMeasures().adds.names, "language_type", "language_by")


def select(settings: Settings) -> Map:
    """Decides on every file, and writes what is kept."""
    recipe, minhash, origin, popularity = settings.recipe, settings.minhash, _origin(settings), popular(settings)
    ledger = tuple(("detail", "ledger_detail") if name == "detail" else name for name in LEDGER.names)
    signed = Output(
        SIGNATURES,
        tuple(signatures(minhash).names),
        where="kept",
        tally=tuple(Signed().adds.names),
        matches="decision=kept",
    )
    origins = Output("_work/origins", ("origin",), where="kept", matches="decision=kept")
    row_id = ("row_id",) if origin else ()
    files = (*row_id, *SOURCE_ROW.names[:7], *ABOUT_REPOSITORY, *Claimed.reads, "language", *MEASURED)
    copies = tuple(name for name in COPIES.names if name not in ("row_id", "copies", "similarity"))
    redact = Where("kept", Redact()) if recipe.pii.enabled else Unredacted()
    shingles = ShingleSets(recipe.dedup.near.ngram)
    sets = Where("kept", shingles) if recipe.dedup.near.enabled else Unmeasured(shingles.adds)
    return Map(
        "select",
        (
            _corpus(recipe.output),
            Output("ledger", ledger, tally=("decision", "reason")),
            *((signed,) if settings.finds_copies else ()),
            *((origins,) if origin else ()),
        ),
        shards=recipe.output.shards,
        inputs=(
            Input("files", (*files, *minhash.adds.names)),
            Input("copies", copies),
            Input("measures", ("pii", "toxicity")),
            *popularity.inputs,
        ),
        transforms=(
            *popularity.transforms,
            Decide(),
            redact,
            KeptDetail(),
            Unmeasured(NATURAL_LANGUAGE),
            sets,
            Signed(),
            *origin,
        ),
    )


def _corpus(output: OutputBlock) -> Output:
    is_arrow = output.format == "arrow"
    return Output(
        "corpus",
        (
            "repo",
            "revision",
            "path",
            ("content", "redacted"),
            "content_id",
            "size",
            "language",
            "license",
            "license_class",
            "license_evidence",
            "natural_language",
            "cluster",
            "pii_kinds",
            "toxicity",
            *ABOUT_REPOSITORY,
            *POPULARITY.names,
            *MEASURED,
        ),
        where="kept",
        matches="decision=kept",
        format=output.format,
        file_name="data-{shard:05d}-of-{shards:05d}.arrow" if is_arrow else "part-{shard:05d}.parquet",
    )


def _origin(settings: Settings) -> tuple[Origin, ...]:
    """Tells the source of a row, where the mixture counts by it."""
    mixture = settings.recipe.tokenize.mixture
    if mixture is None or mixture.by != "source":
        return ()
    return (Origin(tuple(shard << ROW_BITS for shard in settings.first_shards)),)
