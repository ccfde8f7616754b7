"""The main plan: from a recipe's sources to files, measures, copies, corpus, ledger and tokens.

Steps that read contents are `Map`s over aligned shards; what must meet across shards travels as keys in `Shuffle`s.
Folders with a leading underscore are the plan's own; the others are public.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, TypeVar

import pyarrow as pa

from jobs.against import SIGNATURES, earlier_license_texts, earlier_signatures
from jobs.progress import TEXT
from jobs.recipe import (
    ArchiveSource,
    BigQuerySource,
    DecontaminateBlock,
    DialogueBlock,
    DirectorySource,
    EnvironmentSource,
    GitSource,
    JsonlSource,
    ParquetSource,
    Recipe,
    RecipeError,
    SourceBlock,
    TokenizeBlock,
)
from pipeline.locations import read_location, shown
from pipeline.plan import Elsewhere, Emit, Input, Map, Output, Plan, Shuffle, Step
from pipeline.sources import Limits, Source, Split
from pipeline.sources.archive import ArchiveSource as Archives
from pipeline.sources.bigquery import BigQuerySource as BigQuery
from pipeline.sources.directory import DirectorySource as Directories
from pipeline.sources.environment import EnvironmentSource as Environment
from pipeline.sources.gharchive import EventSplit, GhArchive
from pipeline.sources.git import GitSource as Git
from pipeline.sources.jsonl import JsonLines
from pipeline.sources.jsonl import JsonlSource as Jsonl
from pipeline.sources.parquet import ParquetSource as Parquet
from pipeline.sources.tables import Columns
from pipeline.storage import ROW_BITS
from schemas.contracts import Transform
from schemas.datasets import COPIES, FAILURE, LEDGER, POPULARITY, SOURCE_ROW, field
from transforms.clusters import BucketEdges, Buckets, Components, SpanningForest, optimal_bands
from transforms.conditional import Unmeasured, Where
from transforms.decontaminate import Decontaminate, digest
from transforms.dependencies import Imports
from transforms.dialogue import Dialogues, Instructions, messages_of
from transforms.families import FAMILIES, PAIRS, Families, Forks, Held, Holdings, SharedContents, SumPairs
from transforms.fill_in_the_middle import SENTINELS, FillInTheMiddle
from transforms.groups import GROUPS, Alone, Beside, Tied
from transforms.language import Language
from transforms.license import LicenseEvidence, LicensePassages, UnheardLicenses
from transforms.license_match import RULE_TABLES
from transforms.license_resolve import LICENSES, LicenseResolve
from transforms.license_rule import LicenseRule
from transforms.license_texts import (
    ANSWERS,
    HOME,
    KNOWN,
    SENT,
    TEXTS,
    EarlierTexts,
    GatherAnswers,
    LicenseRules,
    MatchTexts,
    NoRules,
    SendAnswers,
    SendTexts,
)
from transforms.minhash import MinHash, ShingleSets
from transforms.mixture import Drawn, Mixture, Origin, Packed, PackedTokens
from transforms.near_duplicates import IS_OWN, Verdicts
from transforms.pack import Pack, ShuffleBlocks
from transforms.pii import FindPersonalData, Redact, Unredacted
from transforms.popularity import (
    EVENT_COUNTS,
    IS_COUNT,
    IS_SIGHTING,
    REPOSITORIES,
    SIGHTINGS,
    Answering,
    Asking,
    Claimed,
    CombineEvents,
    Names,
    Popularity,
    Repositories,
)
from transforms.rules import CheapRules, ContentRules, Decide, KeptDetail, OwnReason, Pending, Preference
from transforms.signatures import LOCATION, Earlier, Met, signatures
from transforms.text_measures import TextMeasures
from transforms.tokenizer import (
    Encode,
    GivenTokenizer,
    SampleDocuments,
    SumSizes,
    TrainTokenizer,
)
from transforms.toxicity import Toxicity

Part = TypeVar("Part", Input, Output)

SPLITS = 64
"""Splits aimed at: enough to keep some dozens of workers busy to the end, few enough to start fast."""
SPLIT_BYTES = (4 << 20, 256 << 20)
"""Bounds of a split. They depend on the sources alone, so that the shards never depend on the workers."""
MAX_SPLITS, LARGE_SPLIT_BYTES = 1 << 15, 2 << 30
"""Of a corpus that would have more splits than these, each is larger, up to so many bytes: manifests and payloads
grow with the number of splits, a worker's memory hardly with their size."""
BEST_FIRST = ("ineligible", "forked", "license_rank", "star_rank", "age_rank", "repo", "path")
"""The order in which the survivor of like files is chosen."""
TOKENIZER_STEPS = ("corpus_size", "tokenizer")
PARTITION_BYTES = 256 << 20
"""Bytes of text behind one partition of a shuffle, which holds some hundred bytes of keys a file."""
MAX_PARTITIONS = 1 << 13
"""Each split sends a payload to each partition, so of the largest corpora partitions grow, and not their number."""
NATURAL_LANGUAGE = pa.schema([field("natural_language", pa.string(), "language of the comments; not measured yet")])


def curation(recipe: Recipe) -> Plan:
    """The plan of a recipe. Lists the sources; reads nothing of them.

    Raises SourceError for a mistake in a source, RecipeError for one in the recipe.
    """
    steps = _Curation.of(recipe).steps()
    if recipe.tokenize.text.sources:
        text = _Curation.of(recipe.of_text()).steps()
        steps += [_of_text(step) for step in text if step.name not in TOKENIZER_STEPS]
    return Plan.of(*steps)


def _of_text(step: Step) -> Step:
    """A step of the text's own: its name, and those of all datasets but the tokenizer, begin with `text_`."""
    if isinstance(step, Map):
        inputs, outputs = tuple(map(_text_dataset, step.inputs)), tuple(map(_text_dataset, step.outputs))
        return replace(step, name=f"{TEXT}{step.name}", inputs=inputs, outputs=outputs)
    emits = tuple(replace(emit, inputs=tuple(map(_text_dataset, emit.inputs))) for emit in step.emits)
    return replace(step, name=f"{TEXT}{step.name}", emits=emits, output=_text_dataset(step.output))


def _text_dataset(part: Part) -> Part:
    folder, work, name = part.dataset.rpartition("_work/")
    return replace(part, dataset=f"{folder}{work}{TEXT}{name}")


def split_bytes(size: int) -> int:
    """Bytes aimed at in a split of sources of `size` bytes of text."""
    usual = min(max(size // SPLITS, SPLIT_BYTES[0]), SPLIT_BYTES[1])
    return max(usual, min(-(-size // MAX_SPLITS), LARGE_SPLIT_BYTES))


def partitions_of(size: int) -> int:
    """Partitions of a shuffle of what belongs to `size` bytes of text."""
    return min(max(1, -(-size // PARTITION_BYTES)), MAX_PARTITIONS)


@dataclass(frozen=True)
class _Curation:
    recipe: Recipe
    limits: Limits
    splits: tuple[Split, ...]
    first_shards: tuple[int, ...]
    """The split that each source begins with."""
    partitions: int
    against: dict[str, Elsewhere]
    """Signatures that earlier runs left, by the name that the ledger gives the run."""
    duplicate_partitions: int
    events: tuple[EventSplit, ...]
    """Archives of events that tell of the files' repositories."""

    @staticmethod
    def of(recipe: Recipe) -> "_Curation":
        limits = Limits(**recipe.input.model_dump())
        sources = [_source(block) for block in recipe.sources]
        # Listed once in coarse splits to learn the size, then cut to it.
        size = sum(split.size for source in sources for split in source.splits(SPLIT_BYTES[1], limits))
        target = split_bytes(size)
        listed = [source.splits(target, limits) for source in sources]
        splits = tuple(split for own in listed for split in own)
        first_shards = tuple(accumulate(map(len, listed[:-1]), initial=0))
        against, earlier = earlier_signatures(recipe.dedup, len(splits))
        partitions, for_all = partitions_of(size), partitions_of(size + earlier)
        archives = [GhArchive(block.uri) for block in recipe.repositories]
        events = tuple(split for archive in archives for split in archive.splits(SPLIT_BYTES[1]))
        return _Curation(recipe, limits, splits, first_shards, partitions, against, for_all, events)

    def steps(self) -> list[Step]:
        """All steps in order; what the recipe switches off has none."""
        return [
            self._ingest(),
            *(self._repositories() if self.events else []),
            *(self._license() if self.recipe.license.enabled else []),
            *(self._families() if self.recipe.dedup.repositories.enabled else []),
            *(self._groups() if self._finds_copies else []),
            self._annotate(),
            *self._copies(),
            self._select(),
            *(self._tokenize() if self.recipe.tokenize.enabled else []),
            *(self._dialogue() if self.recipe.dialogue.enabled else []),
        ]

    @property
    def _finds_copies(self) -> bool:
        return self.recipe.dedup.exact.enabled or self.recipe.dedup.near.enabled

    # files: one row per file, with what is cheap to measure

    def _ingest(self) -> Map:
        minhash, is_near = self._minhash, self.recipe.dedup.near.enabled
        measures = (Language(), TextMeasures(), minhash if is_near else Unmeasured(minhash.adds))
        return Map(
            "ingest",
            (Output("files", (*SOURCE_ROW.names, *_added(*measures), FAILURE.name)),),
            shards=len(self.splits),
            splits=self.splits,
            limits=self.limits,
            transforms=measures,
            isolates=True,
        )

    @property
    def _minhash(self) -> MinHash:
        return MinHash(self.recipe.dedup.near.ngram, self.recipe.dedup.near.permutations)

    # popularity: what archives of events tell of the files' repositories

    def _repositories(self) -> list[Step]:
        partitions = partitions_of(sum(split.size for split in self.events))
        sightings, named = tuple(SIGHTINGS.names), tuple(Repositories.schema.names)
        events = Map(
            "events",
            (
                Output("_work/sightings", sightings, where=IS_SIGHTING.name),
                Output("events", tuple(EVENT_COUNTS.names), where=IS_COUNT.name),
            ),
            shards=len(self.events),
            splits=self.events,
            limits=self.limits,
            reduce=CombineEvents(),
            balance=("events", "events"),
        )
        gathered = Shuffle(
            "sightings",
            (Emit((Input("_work/sightings", sightings),)),),
            key="identity",
            order=("repo", "kind", "who"),
            partitions=partitions,
            reduce=Repositories(),
            output=Output("_work/repositories", named),
        )
        repositories = Shuffle(
            "repositories",
            (Emit((Input("_work/repositories", named),)),),
            key="repo",
            order=(),  # its reducer has an order of its own
            partitions=partitions,
            reduce=Names(),
            output=Output("repositories", tuple(REPOSITORIES.names)),
        )
        sent, told = Popularity.reads, tuple(Popularity.schema.names)
        files = Input("files", ("row_id", "repo", *Claimed.reads))
        joined = Shuffle(
            "popularity",
            (
                Emit((files,), (Claimed(), Asking()), columns=sent),
                Emit((Input("repositories", Answering.reads),), (Answering(),), columns=sent),
            ),
            key="key",
            order=("home",),
            partitions=max(partitions, self.partitions),
            reduce=Popularity(),
            output=Output("_work/popularity", told),
        )
        return [
            events,
            gathered,
            repositories,
            joined,
            self._homeward("popularity", (Input("_work/popularity", told),)),
        ]

    def _popular(self) -> tuple[tuple[Input, ...], tuple[Transform, ...]]:
        """Input and transforms that give every row its repository's popularity, beside `claimed_stars` of `files`."""
        if self.events:
            return (Input("popularity", tuple(POPULARITY.names)),), ()
        return (), (Claimed(),)

    # licenses: what each file states, weighed with what its repository states

    def _license(self) -> list[Step]:
        texts, rules, resolve = tuple(TEXTS.names), tuple(RULE_TABLES.names), LicenseResolve()
        earlier = earlier_license_texts(self.recipe.license)
        side = ("license_rules",)
        passages, evidence = LicensePassages(side), LicenseEvidence(side)
        # What finds passages is read from an earlier run where there is one, so that the index is not needed for it.
        given = [Emit((Input("license_rules", rules, there.rules),)) for there in earlier[:1]]
        found = Shuffle(
            "license_rules",
            tuple(given) or (Emit((Input("files", ("row_id",)),), (), NoRules()),),
            key="matcher",
            order=(),
            partitions=1,
            reduce=LicenseRules(),
            output=Output("license_rules", rules, tally=("matcher",)),
        )
        scan = Map(
            "scan",
            (Output("_work/license_scan", (*_added(passages), FAILURE.name)),),
            shards=len(self.splits),
            inputs=(Input("files", (*passages.reads, FAILURE.name)),),
            transforms=(passages,),
            isolates=True,
        )
        sent = Emit((Input("_work/license_scan", SendTexts().reads),), (), SendTexts())
        known = (
            Emit((Input("license_texts", KNOWN, there.texts),), (EarlierTexts(number),), columns=tuple(SENT.names))
            for number, there in enumerate(earlier)
        )
        match = Shuffle(
            "license_texts",
            (sent, *known),
            key="text_id",
            order=("file",),
            partitions=min(len(self.splits), MAX_PARTITIONS),
            reduce=MatchTexts(),
            output=Output("license_texts", texts, tally=("earlier",)),
        )
        answers = Shuffle(
            "home_license_texts",
            (
                Emit((Input("files", ("row_id",)),), (Unmeasured(HOME),)),
                Emit((Input("license_texts", SendAnswers().reads),), (), SendAnswers()),
            ),
            key="row_id",
            order=("text_id",),
            partitions=len(self.splits),
            reduce=GatherAnswers(),
            output=Output("_work/license_answers", tuple(ANSWERS.names)),
            homeward=True,
        )
        stated = Map(
            "evidence",
            (Output("_work/license_found", (*_added(evidence), FAILURE.name)),),
            shards=len(self.splits),
            inputs=(
                Input("files", ("path", "content")),
                Input("_work/license_scan", ("license_asked", FAILURE.name)),
                Input("_work/license_answers", tuple(ANSWERS.names)),
            ),
            transforms=(evidence,),
            isolates=True,
        )
        names = Input("files", ("row_id", "repo", "path", "claimed_license"))
        resolved = Shuffle(
            "license",
            (Emit((names, Input("_work/license_found", (*_added(evidence), FAILURE.name))), (), UnheardLicenses()),),
            key="repo",
            order=("path", "row_id"),
            partitions=self.partitions,
            reduce=resolve,
            output=Output("_work/license", tuple(resolve.schema.names)),
            conserves=True,
        )
        return [
            found,
            scan,
            match,
            answers,
            stated,
            resolved,
            self._homeward("licenses", (Input("_work/license", tuple(resolve.schema.names)),)),
        ]

    def _homeward(self, dataset: str, *inputs: tuple[Input, ...], **settings: Any) -> Shuffle:
        """Brings rows back to the shards of `files`, in its order."""
        columns = settings.pop("columns", inputs[0][0].columns)
        return Shuffle(
            f"home_{dataset}",
            tuple(Emit(given) for given in inputs),
            key="row_id",
            order=settings.pop("order", ()),
            partitions=len(self.splits),
            output=Output(dataset, columns),
            homeward=True,
            **settings,
        )

    def _licensed(self) -> tuple[tuple[Input, ...], tuple[Transform, ...]]:
        """Input and transforms that give every row its licence, and the rule's word on it."""
        names = tuple(name for name in LICENSES.names if name != "row_id")
        if self.recipe.license.enabled:
            return (Input("licenses", names),), (self._license_rule,)
        unmeasured = pa.schema([LICENSES.field(name) for name in names])
        return (), (Unmeasured(unmeasured), self._license_rule)

    @property
    def _license_rule(self) -> LicenseRule:
        return LicenseRule(tuple(self.recipe.license.keep) if self.recipe.license.enabled else None)

    # groups: exact copies, and components of files that may be near copies

    def _groups(self) -> list[Step]:
        dedup = self.recipe.dedup
        bands, rows = optimal_bands(dedup.near.threshold, dedup.near.permutations)
        best_first = (*self._forks.adds, *Preference().adds, *SOURCE_ROW)
        order = pa.schema([next(column for column in best_first if column.name == name) for name in BEST_FIRST])
        buckets = Buckets(bands, rows, order, exact=dedup.exact.enabled, near=dedup.near.enabled)
        licenses, transforms = self._licensed()
        popularity, claimed = self._popular()
        read = ("row_id", "repo", "path", "content_id", "minhash", *self._judged)
        same = ("row_id", "repo", "path", "content_id", *(("minhash",) if dedup.near.enabled else ()))
        candidates = Shuffle(
            "candidates",
            (
                Emit(
                    (Input("files", _distinct(read)), self._failures, *licenses, *popularity),
                    (*transforms, *claimed, self._cheap_rules, Preference(), self._forks),
                    buckets,
                ),
                *(Emit((given,), (mark, Forks()), buckets) for given, mark in self._earlier(*same)),
            ),
            key="key",
            order=("check", *order.names, "row_id"),
            partitions=self.duplicate_partitions,
            reduce=BucketEdges(earlier_from=len(self.splits) << ROW_BITS if self.against else None),
            output=Output("_work/edges", tuple(BucketEdges().schema.names)),
        )
        tied, edges = tuple(Components().schema.names), tuple(SpanningForest().schema.names)
        forest = Shuffle(
            "forest",
            (Emit((Input("_work/edges", edges),)),),
            key="left",
            order=("right", "exact"),
            partitions=self.duplicate_partitions,
            reduce=SpanningForest(),
            output=Output("_work/forest", edges),
        )
        components = Shuffle(
            "components",
            (Emit((Input("_work/forest", edges),)),),
            key="left",
            order=("right", "exact"),
            partitions=1,
            reduce=Components(),
            output=Output("_work/components", tied),
        )
        beside = Shuffle(
            "groups",
            (
                Emit((Input("files", ("row_id",)),), (Alone(), Tied(False))),
                *(Emit((given,), (Alone(), Tied(False))) for given, _ in self._earlier("row_id")),
                Emit((Input("_work/components", tied),), (Tied(True),)),
            ),
            key="row_id",
            order=("tied",),
            partitions=len(self.splits) + sum(there.shards for there in self.against.values()),
            output=Output("_work/groups", tuple(GROUPS.names)),
            reduce=Beside(),
            homeward=True,
        )
        return [candidates, forest, components, beside]

    def _earlier(self, *columns: str) -> Iterator[tuple[Input, Earlier]]:
        """The files that earlier runs kept, as shards after those of `files`, and what marks them as such."""
        for name, there in self.against.items():
            yield Input(SIGNATURES, columns, there), Earlier(name)

    def _grouped(self) -> tuple[tuple[Input, ...], tuple[Transform, ...]]:
        """Input and transforms that give every row its exact group and component."""
        if self._finds_copies:
            return (Input("_work/groups", tuple(GROUPS.names)),), ()
        return (), (Alone(),)

    # families: repositories that share most of their contents

    def _families(self) -> list[Step]:
        held, pairs, repositories = tuple(Holdings().schema.names), tuple(PAIRS.names), self.recipe.dedup.repositories
        licenses, rule = self._licensed()
        popularity, claimed = self._popular()
        read = Input("files", _distinct(("repo", "content_id", "shingles", *self._judged)))
        judged = (*rule, *claimed, self._cheap_rules, Preference())
        holdings = Shuffle(
            "holdings",
            (Emit((read, self._failures, *licenses, *popularity), judged, Held()),),
            key="repo",
            order=("key", "ineligible"),
            partitions=self.partitions,
            reduce=Holdings(),
            output=Output("_work/holdings", held),
        )
        shared = Shuffle(
            "shared",
            (Emit((Input("_work/holdings", held),)),),
            key="key",
            order=("star_rank", "precedence", "age_rank", "repo"),
            partitions=self.partitions,
            reduce=SharedContents(),
            output=Output("_work/shared", pairs),
        )
        summed = Shuffle(
            "pairs",
            (Emit((Input("_work/shared", pairs),)),),
            key="left",
            order=("right", "shared", "kept"),
            partitions=self.partitions,
            reduce=SumPairs(),
            output=Output("_work/pairs", pairs),
        )
        families = Shuffle(
            "families",
            (Emit((Input("_work/pairs", pairs),)),),
            key="left",
            order=("right",),
            partitions=1,
            reduce=Families(repositories.share, repositories.fork_share),
            output=Output("families", tuple(FAMILIES.names)),
        )
        return [holdings, shared, summed, families]

    @property
    def _forks(self) -> Forks:
        return Forks(("families",) if self.recipe.dedup.repositories.keep == "one" else ())

    @property
    def _judged(self) -> tuple[str, ...]:
        """Columns of `files` that the cheap rules read, and the stars that a source claims."""
        elsewhere = (*POPULARITY.names, FAILURE.name)
        return (*Claimed.reads, *(name for name in self._cheap_rules.reads if name not in elsewhere))

    @property
    def _cheap_rules(self) -> CheapRules:
        keep, quality = self.recipe.languages.keep, self.recipe.quality
        names = tuple(keep) if isinstance(keep, list) else None
        thresholds = tuple(sorted(quality.thresholds().items())) if quality.enabled else ()
        return CheapRules(names, keep == "programming", thresholds, self.recipe.popularity.min_stars)

    @property
    def _failures(self) -> Input:
        """On which files a transform has raised before `annotate`."""
        return Input("_work/license_found" if self.recipe.license.enabled else "files", (FAILURE.name,))

    # measures: what costs more, once per distinct content that the rules have kept so far

    def _annotate(self) -> Map:
        recipe = self.recipe
        measures = [
            Where("pending", transform) if enabled else Unmeasured(transform.adds)
            for transform, enabled in (
                (Toxicity(), recipe.toxicity.enabled),
                (_decontaminate(recipe.decontaminate), recipe.decontaminate.enabled),
                (FindPersonalData(), recipe.pii.enabled),
            )
        ]
        licenses, rule = self._licensed()
        groups, alone = self._grouped()
        popularity, claimed = self._popular()
        return Map(
            "annotate",
            (Output("measures", (*_added(*measures), FAILURE.name)),),
            shards=len(self.splits),
            inputs=(
                Input("files", _distinct(("row_id", "content", *self._judged))),
                self._failures,
                *licenses,
                *groups,
                *popularity,
            ),
            transforms=(*rule, *alone, *claimed, self._cheap_rules, Pending(), *measures),
            isolates=True,
        )

    @property
    def _content_rules(self) -> ContentRules:
        toxicity, pii = self.recipe.toxicity, self.recipe.pii
        return ContentRules(toxicity.max if toxicity.enabled else None, pii.enabled and pii.policy == "drop")

    # copies: each file's cluster, survivor and final licence

    def _copies(self) -> list[Step]:
        near, repositories = self.recipe.dedup.near, self.recipe.dedup.repositories
        forks = repositories.fork_share if repositories.keep == "one" else None
        verdicts = Verdicts(near.threshold, self._license_rule, against=bool(self.against), fork_share=forks)
        sent = _distinct((*verdicts.reads, *BEST_FIRST))
        licenses, rule = self._licensed()
        groups, alone = self._grouped()
        popularity, claimed = self._popular()
        read = ("row_id", "repo", "path", "content_id", "content", "shingles", *self._judged)
        judged = Emit(
            (
                Input("files", _distinct(read)),
                *licenses,
                *groups,
                *popularity,
                Input("measures", (*self._content_rules.reads, FAILURE.name)),
            ),
            (
                *rule,
                *alone,
                *claimed,
                self._cheap_rules,
                self._content_rules,
                Preference(),
                self._forks,
                OwnReason(),
                Where("compared", ShingleSets(near.ngram)),
                *((Unmeasured(pa.schema([LOCATION])),) if self.against else ()),
            ),
            columns=sent,
        )
        signed = ("row_id", "repo", "path", "content_id", "license", "license_class", "shingles", "shingle_set")
        nothing = Unmeasured(pa.schema([COPIES.field(name) for name in ("license_evidence", "reason", "detail")]))
        earlier = (
            Emit((given, *groups), (mark, Forks(), nothing, Met()), columns=sent, where="met")
            for given, mark in self._earlier(*signed)
        )
        verdict = Shuffle(
            "verdicts",
            (judged, *earlier),
            key="component",
            order=(*BEST_FIRST, "row_id"),
            partitions=self.duplicate_partitions,
            reduce=verdicts,
            output=Output("_work/verdicts", tuple(COPIES.names), where=IS_OWN.name if self.against else None),
            conserves=True,
        )
        return [verdict, self._homeward("copies", (Input("_work/verdicts", tuple(COPIES.names)),))]

    # corpus, signatures and ledger: the fate of every file

    def _select(self) -> Map:
        recipe = self.recipe
        redact = Where("kept", Redact()) if recipe.pii.enabled else Unredacted()
        is_arrow = recipe.output.format == "arrow"
        measured = (*TextMeasures().adds.names, "language_type", "language_by")
        about_repo = ("repo_last_commit", "repo_authors")
        popularity, claimed = self._popular()
        origin = self._origin
        corpus = Output(
            "corpus",
            (
                *(
                    "repo",
                    "revision",
                    "path",
                    ("content", "redacted"),
                    "content_id",
                    "size",
                    "language",
                    "license",
                ),
                *(
                    "license_class",
                    "license_evidence",
                    "natural_language",
                    "cluster",
                    "pii_kinds",
                    "toxicity",
                    *about_repo,
                    *POPULARITY.names,
                    *measured,
                ),
            ),
            where="kept",
            matches="decision=kept",
            format=recipe.output.format,
            file_name="data-{shard:05d}-of-{shards:05d}.arrow" if is_arrow else "part-{shard:05d}.parquet",
        )
        ledger = tuple(("detail", "ledger_detail") if name == "detail" else name for name in LEDGER.names)
        copies = tuple(name for name in COPIES.names if name not in ("row_id", "copies", "similarity"))
        minhash, shingles = self._minhash, ShingleSets(recipe.dedup.near.ngram)
        names = tuple(signatures(minhash).names)
        signed = Output(SIGNATURES, names, where="kept", matches="decision=kept")
        sets = Where("kept", shingles) if recipe.dedup.near.enabled else Unmeasured(shingles.adds)
        return Map(
            "select",
            (
                corpus,
                Output("ledger", ledger, tally=("decision", "reason")),
                *((signed,) if self._finds_copies else ()),
                *((Output("_work/origins", ("origin",), where="kept", matches="decision=kept"),) if origin else ()),
            ),
            shards=recipe.output.shards,
            inputs=(
                Input(
                    "files",
                    (
                        *(("row_id",) if origin else ()),
                        *SOURCE_ROW.names[:7],
                        *about_repo,
                        *Claimed.reads,
                        "language",
                        *measured,
                        *minhash.adds.names,
                    ),
                ),
                Input("copies", copies),
                Input("measures", ("pii", "toxicity")),
                *popularity,
            ),
            transforms=(*claimed, Decide(), redact, KeptDetail(), Unmeasured(NATURAL_LANGUAGE), sets, *origin),
        )

    @property
    def _origin(self) -> tuple[Origin, ...]:
        """Tells the source of a row, where the mixture counts by it."""
        mixture = self.recipe.tokenize.mixture
        if mixture is None or mixture.by != "source":
            return ()
        return (Origin(tuple(shard << ROW_BITS for shard in self.first_shards)),)

    # tokens: a tokenizer, the corpus encoded and packed, the blocks shuffled

    def _tokenize(self) -> list[Step]:
        settings, seed = self.recipe.tokenize, self.recipe.seed
        trained = _tokenizer(settings)
        vocabulary, block = trained.vocabulary, settings.block
        sample = SampleDocuments(settings.sample_bytes, seed, side=("_work/corpus_size",))
        size = Shuffle(
            "corpus_size",
            (Emit((Input("corpus", SumSizes().reads),), (), SumSizes()),),
            key="size",
            order=("language",),
            partitions=1,
            reduce=SumSizes(),
            output=Output("_work/corpus_size", SumSizes().reads),
        )
        train = Shuffle(
            "tokenizer",
            (Emit((Input("corpus", sample.reads),), (), sample),),
            key="draw",
            order=("content",),
            partitions=1,
            reduce=trained,
            output=Output("tokenizer", ("name", "data"), format="files"),
        )
        shuffle = ShuffleBlocks(block, vocabulary, seed)
        mix = Map(
            "shuffle",
            (Output("tokens", tuple(shuffle.schema.names), format="arrow", file_name="data-{shard:05d}.arrow"),),
            shards=self.recipe.output.shards,
            inputs=(Input("_work/blocks", tuple(shuffle.schema.names)),),
            reduce=shuffle,
            balance=("token_count", "token_count"),
            transposed=True,
        )
        return [size, train, *self._mixture(), *self._blocks(Encode(vocabulary, self._fim)), mix]

    def _mixture(self) -> list[Step]:
        """How often each file of the corpus is packed."""
        settings = self.recipe.tokenize.mixture
        if settings is None:
            return []
        weights = tuple((str(name), weight) for name, weight in settings.weights.items())
        mixture = Mixture(weights, 1 if settings.temperature is None else settings.temperature)
        drawn = Drawn("origin" if settings.by == "source" else "language", self.recipe.seed)
        given = ("origin",) if settings.by == "source" else ()
        files = Input("corpus", ("row_id", "content_id", "size", *(() if given else ("language",))))
        mixed = Shuffle(
            "mixture",
            (
                Emit(
                    (files, *(Input("_work/origins", given) for _ in given)),
                    (drawn,),
                    columns=("row_id", "size", *drawn.adds.names),
                ),
            ),
            key="group",
            order=("draw", "row_id"),
            partitions=1,
            reduce=mixture,
            output=Output("_work/mixture", tuple(mixture.schema.names)),
            conserves=True,
        )
        home = Shuffle(
            "home_mixture",
            (Emit((Input("_work/mixture", tuple(mixture.schema.names)),)),),
            key="row_id",
            order=(),
            partitions=self.recipe.output.shards,
            output=Output("mixture", ("group", "size", "copies"), tally=("group", "copies")),
            homeward=True,
        )
        return [mixed, home]

    def _blocks(self, encode: Encode) -> list[Step]:
        """The corpus encoded and packed: where it lies, or gathered by repository."""
        settings, shards, by_repository = self.recipe.tokenize, self.recipe.output.shards, self._by_repository
        pack = Pack(settings.block, encode.vocabulary, self.recipe.seed, by_repository, settings.mixture is not None)
        blocks = Output("_work/blocks", tuple(pack.schema.names), format="arrow", file_name="part-{shard:05d}.arrow")
        transforms, counted, copies = (encode,), "token_count", ()
        if settings.mixture:
            transforms, counted = (Packed(), Where("packed", encode), PackedTokens()), "packed_tokens"
            copies = (Input("mixture", ("copies",)),)
        if not by_repository:
            files = Input("corpus", ("row_id", "content_id", "content"))
            return [
                Map(
                    "tokenize",
                    (blocks,),
                    shards,
                    (files, *copies),
                    transforms=transforms,
                    reduce=pack,
                    balance=(counted, "token_count"),
                )
            ]
        encoded = _distinct((*pack.reads, counted))
        return [
            Map(
                "tokenize",
                (Output("_work/encoded", encoded, format="arrow", file_name="part-{shard:05d}.arrow"),),
                shards,
                (Input("corpus", ("row_id", "repo", "path", "language", "content_id", "content")), *copies),
                transforms=(*transforms, Imports()),
            ),
            Map(
                "pack",
                (blocks,),
                shards,
                (Input("_work/encoded", encoded),),
                reduce=pack,
                gathered_by="repo",
                balance=(counted, "token_count"),
            ),
        ]

    @property
    def _by_repository(self) -> bool:
        return self.recipe.tokenize.order == "repository"

    @property
    def _fim(self) -> FillInTheMiddle | None:
        fim = self.recipe.tokenize.fim
        return FillInTheMiddle(fim.rate, fim.spm_rate, self.recipe.seed) if fim.rate else None

    # dialogue: conversations made of the corpus, and those that the user gives

    def _dialogue(self) -> list[Step]:
        settings = self.recipe.dialogue
        made = Dialogues(**settings.model_dump(exclude={"enabled", "files"}))
        pair = Map(
            "dialogue",
            (
                Output(
                    "dialogue",
                    ("messages", "language", "repo", "path", "content_id", "license"),
                    where="is_dialogue",
                    matches="dialogue=made",
                ),
                Output("_work/dialogue_fates", ("dialogue",), tally=("dialogue",)),
            ),
            shards=self.recipe.output.shards,
            inputs=(Input("corpus", ("repo", "path", "content_id", "license", *made.reads)),),
            transforms=(made,),
        )
        return [pair, *([self._instructions(settings)] if settings.files else [])]

    def _instructions(self, settings: DialogueBlock) -> Map:
        splits = tuple(split for uri in settings.files for split in JsonLines(uri).splits(SPLIT_BYTES[1], self.limits))
        for split in splits:
            _check_messages(split, self.limits)
        decontaminate = _decontaminate(self.recipe.decontaminate)
        enabled = self.recipe.decontaminate.enabled
        return Map(
            "instructions",
            (
                Output(
                    "instructions",
                    ("messages", ("language", "told_language"), "repo", "path", "content_id"),
                    where="is_dialogue",
                    matches="dialogue=made",
                ),
                Output("_work/instruction_fates", ("path", "dialogue", "contamination"), tally=("dialogue",)),
            ),
            shards=len(splits),
            splits=splits,
            limits=self.limits,
            transforms=(decontaminate if enabled else Unmeasured(decontaminate.adds), Instructions()),
        )


def _check_messages(split: Split, limits: Limits) -> None:
    """Raises RecipeError for the first line of a file of messages that holds none."""
    for batch in split.read(limits):
        for row in batch.select(["path", "content", "input_reason", "input_detail"]).to_pylist():
            try:
                if row["content"] is None:
                    raise ValueError(f"{row['input_reason']} {row['input_detail'] or ''}".strip())
                messages_of(row["content"])
            except ValueError as error:
                raise RecipeError(f"dialogue.files: {row['path'].replace('#L', ':')}: {error}") from None


def _source(block: SourceBlock) -> Source:
    match block:
        case EnvironmentSource():
            return Environment()
        case ArchiveSource():
            return Archives(block.uri)
        case DirectorySource():
            return Directories(block.uri)
        case GitSource():
            return Git(block.uri, block.revision, block.since)
        case ParquetSource():
            return Parquet(block.uri, Columns(**block.columns))
        case JsonlSource():
            return Jsonl(block.uri, Columns(**block.columns))
        case BigQuerySource():
            return BigQuery(**block.model_dump(exclude={"kind", "columns"}), columns=Columns(**block.columns))


def _tokenizer(settings: TokenizeBlock) -> TrainTokenizer | GivenTokenizer:
    sentinels = SENTINELS if settings.fim.rate else ()
    if settings.tokenizer is None:
        return TrainTokenizer(settings.vocab_size, settings.sample_bytes, settings.block, sentinels)
    try:
        given = GivenTokenizer(read_location(settings.tokenizer), settings.block, special_tokens=sentinels)
        _ = given.vocabulary
    except (OSError, ValueError) as error:
        raise RecipeError(f"tokenize.tokenizer: {shown(settings.tokenizer)}: {error}") from error
    return given


def _decontaminate(settings: DecontaminateBlock) -> Decontaminate:
    names = tuple(str(name) for name in settings.benchmarks) if settings.enabled else ()
    try:
        return Decontaminate(names, digests=tuple(digest(name) for name in names))
    except (OSError, ValueError) as error:
        raise RecipeError(f"decontaminate.benchmarks: {error}") from error


def _added(*transforms: Transform) -> tuple[str, ...]:
    return tuple(name for transform in transforms for name in transform.adds.names)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


if __name__ == "__main__":
    from jobs.cli import main

    main("run")
