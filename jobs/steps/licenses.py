"""Licences: what each file states, weighed with what its repository states."""

import pyarrow as pa

from jobs.against import LicenseTexts, earlier_license_texts
from jobs.steps.settings import MAX_PARTITIONS, Joined, Settings, added, homeward
from pipeline.plan import Emit, Input, Map, Output, Shuffle, Step
from schemas.datasets import FAILURE
from transforms.conditional import Unmeasured
from transforms.license import LicenseEvidence, LicensePassages
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
from transforms.license_unread import UnheardLicenses

SIDE = ("license_rules",)
"""Read whole by the steps that read a file's licences."""


def steps(settings: Settings) -> list[Step]:
    """Texts that may state a licence are matched, each once; the answers go back to their files and are weighed."""
    earlier = earlier_license_texts(settings.recipe.license)
    return [
        _rules(earlier),
        _scan(settings),
        _match(settings, earlier),
        _answers(settings),
        _evidence(settings),
        _resolve(settings),
        homeward(settings, "licenses", Input("_work/license", tuple(LicenseResolve().schema.names))),
    ]


def licensed(settings: Settings) -> Joined:
    """Gives every row its licence, and the rule's word on it."""
    names = ("license", "license_class", "license_evidence")
    if settings.recipe.license.enabled:
        return Joined((Input("licenses", names),), (license_rule(settings),))
    unmeasured = pa.schema([LICENSES.field(name) for name in names])
    return Joined(transforms=(Unmeasured(unmeasured), license_rule(settings)))


def license_rule(settings: Settings) -> LicenseRule:
    """The rule on licences; without them it drops nothing."""
    license = settings.recipe.license
    return LicenseRule(tuple(license.keep) if license.enabled else None)


def _rules(earlier: list[LicenseTexts]) -> Shuffle:
    rules = tuple(RULE_TABLES.names)
    # What finds passages is read from an earlier run where there is one, so that the index is not needed for it.
    given = [Emit((Input("license_rules", rules, there.rules),)) for there in earlier[:1]]
    return Shuffle(
        "license_rules",
        tuple(given) or (Emit((Input("files", ("row_id",)),), (), NoRules()),),
        key="matcher",
        order=(),
        partitions=1,
        reduce=LicenseRules(),
        output=Output("license_rules", rules, tally=("matcher",)),
    )


def _scan(settings: Settings) -> Map:
    passages = LicensePassages(SIDE)
    return Map(
        "scan",
        (Output("_work/license_scan", (*added(passages), FAILURE.name)),),
        shards=len(settings.splits),
        inputs=(Input("files", (*passages.reads, FAILURE.name)),),
        transforms=(passages,),
        isolates=True,
    )


def _match(settings: Settings, earlier: list[LicenseTexts]) -> Shuffle:
    sent = Emit((Input("_work/license_scan", SendTexts().reads),), (), SendTexts())
    known = (
        Emit((Input("license_texts", KNOWN, there.texts),), (EarlierTexts(number),), columns=tuple(SENT.names))
        for number, there in enumerate(earlier)
    )
    return Shuffle(
        "license_texts",
        (sent, *known),
        key="text_id",
        order=("file",),
        partitions=min(len(settings.splits), MAX_PARTITIONS),
        reduce=MatchTexts(),
        output=Output("license_texts", tuple(TEXTS.names), tally=("earlier",)),
    )


def _answers(settings: Settings) -> Shuffle:
    return Shuffle(
        "home_license_texts",
        (
            Emit((Input("files", ("row_id",)),), (Unmeasured(HOME),)),
            Emit((Input("license_texts", SendAnswers().reads),), (), SendAnswers()),
        ),
        key="row_id",
        order=("text_id",),
        partitions=len(settings.splits),
        reduce=GatherAnswers(),
        output=Output("_work/license_answers", tuple(ANSWERS.names)),
        homeward=True,
    )


def _evidence(settings: Settings) -> Map:
    evidence = LicenseEvidence(SIDE)
    return Map(
        "evidence",
        (Output("_work/license_found", (*added(evidence), FAILURE.name)),),
        shards=len(settings.splits),
        inputs=(
            Input("files", ("path", "content", "evidence")),
            Input("_work/license_scan", ("license_asked", FAILURE.name)),
            Input("_work/license_answers", tuple(ANSWERS.names)),
        ),
        transforms=(evidence,),
        isolates=True,
    )


def _resolve(settings: Settings) -> Shuffle:
    names = Input("files", ("row_id", "repo", "path", "claimed_license", "link", "input_reason", "evidence"))
    found = Input("_work/license_found", (*added(LicenseEvidence(SIDE)), FAILURE.name))
    resolve = LicenseResolve(settings.recipe.license.scope)
    unheard = UnheardLicenses(settings.recipe.license.incomplete == "unknown")
    return Shuffle(
        "license",
        (Emit((names, found), (), unheard),),
        key="repo",
        order=("path", "row_id"),
        partitions=settings.partitions,
        reduce=resolve,
        output=Output("_work/license", tuple(resolve.schema.names)),
        conserves=True,
    )
