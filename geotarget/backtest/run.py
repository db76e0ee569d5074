"""Drafts and a recording in; what would have happened out.

A scratch database, a catalogue and the pipeline of every day, on the recording's clock. The
scratch lies in the folder for temporary files and goes when the work is done, also when it fails:
130 MB for the log of states, then about 300 bytes for each transition. Memory holds what the live
engine holds of devices (350 bytes each), one batch, and the counts of the summary.

Endpoints that the drafts name need not exist: each has a stand-in that takes no events, so nothing
is written to an outbox, and no sender is there that could send it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from urllib.parse import urlencode

from geotarget.backtest.feeding import MOST_SPAN_MS, Fed, RecordedClock, batches, feed, shown
from geotarget.backtest.files import Writer, check_folder
from geotarget.backtest.summary import Summary, summarise
from geotarget.catalog import Catalog
from geotarget.engine.rules import Rules
from geotarget.engine.zone_table import ZoneTable
from geotarget.errors import InvalidAudience, InvalidCampaign, InvalidInput, Problem
from geotarget.model import Audience, Campaign, Endpoint, Policy, Profile, Status, Zone
from geotarget.pipeline import Pipeline
from geotarget.recording import BadRow, RecordedPing, Recording, Survey, pings_in_order
from geotarget.snapshot import Snapshot
from geotarget.store import Store

PROFILES_AT_ONCE = 1_000
NOT_ACTIVE = frozenset({Status.DRAFT, Status.PAUSED})

_STAND_IN = "https://backtest.invalid/"
_NO_SECRET = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105 signs nothing: nothing is sent


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A scratch store with drafts in it, and what it takes to play recordings to it."""

    store: Store
    catalog: Catalog
    clock: RecordedClock
    rules: Rules
    policy: Policy

    def play(
        self,
        recording: Recording,
        survey: Survey,
        *,
        on_bad: Callable[[BadRow], object] = lambda _: None,
        on_progress: Callable[[int], object] = lambda _: None,
    ) -> Fed:
        """Let the pipeline work off a recording, in its own time; once.

        Parameters
        ----------
        recording, survey
            What to play, and what is known of it.
        on_bad
            Called with each row that is no ping, with place and reason.
        on_progress
            Called with the number of pings after each batch.

        Raises
        ------
        InvalidInput
            The file holds no pings, or breaks off.
        StoreError
            The folder for temporary files is full.
        """
        if not survey.pings:
            raise InvalidInput(Problem(str(recording.path), "", _why_empty(survey)))
        fed = Fed(recording.path.name, survey.first_ms, survey.last_ms, survey.in_order)

        def bad(row: BadRow) -> None:
            fed.note_bad(row)
            on_bad(row)

        for _ in self.work_off(pings_in_order(recording, survey, bad), fed, on_bad=bad):
            on_progress(fed.pings + fed.bad)
        return fed

    def work_off(
        self, pings: Iterable[RecordedPing], fed: Fed, *, on_bad: Callable[[BadRow], object]
    ) -> Iterator[None]:
        """Let the pipeline work off pings, in their own time; once.

        Parameters
        ----------
        pings
            In the order of time, none before the first one of `fed`.
        fed
            Takes what becomes of them.
        on_bad
            Called with each ping that is refused, and why.

        Yields
        ------
        None
            After each batch.

        Raises
        ------
        StoreError
            The folder for temporary files is full.
        """
        self.clock.now_ms = max(fed.first_ms, 0)
        snapshot = self.catalog.snapshot
        table = ZoneTable.compile(snapshot.index, snapshot.table.thresholds_s, self.rules)
        pipeline = Pipeline(
            catalog=self.catalog,
            store=self.store,
            rules=self.rules,
            policy=self.policy,
            now_ms=self.clock,
            behind_s=0.0,
        )
        parts = batches(
            pings,
            on_bad,
            # no transition may be too old for an offer only because its batch is long
            span_ms=min(MOST_SPAN_MS, int(1000 * self.policy.max_age_s)),
        )
        for batch, outcome in feed(pipeline, self.clock, table, self.rules, parts):
            fed.pings += outcome.accepted
            fed.late += outcome.late
            fed.duplicates += outcome.duplicates
            fed.suspects += outcome.suspects
            for position, _, sentence in outcome.refused:
                on_bad(BadRow(shown(batch.device[position], int(batch.ts[position])), sentence))
            yield
        fed.devices = len(pipeline.state)


@contextmanager
def rehearsal(
    *,
    zones: Sequence[Zone],
    campaigns: Sequence[Campaign] = (),
    audiences: Sequence[Audience] = (),
    profiles: Iterable[Profile] = (),
    rules: Rules | None = None,
    policy: Policy | None = None,
    as_active: bool = False,
) -> Iterator[Rehearsal]:
    """Put drafts into a scratch store, which goes at the end.

    Parameters
    ----------
    zones, campaigns, audiences, profiles
        As they would be put; each id once. Endpoints need not exist.
    rules, policy
        Figures of the entry rules, and what the operator sets for all campaigns; the defaults if
        None.
    as_active
        Treat campaigns that are drafts or paused as active.

    Raises
    ------
    InvalidAudience, InvalidCampaign
        With all that is wrong with the rules, or with the campaigns; their ids stand in front.
    """
    clock = RecordedClock(0)
    with Store.open("sqlite://", now_ms=clock) as store:
        catalog = Catalog(store)
        catalog.put_zones(zones)
        wrong: list[Problem] = []
        for audience in audiences:
            with _naming(audience.id, wrong):
                catalog.put_audience(audience)
        if wrong:
            raise InvalidAudience(*wrong)
        for name in sorted({name for each in campaigns for name in each.endpoints}):
            catalog.put_endpoint(Endpoint(id=name, url=_STAND_IN, secret=_NO_SECRET, events=()))
        for campaign in campaigns:
            with _naming(campaign.id, wrong):
                catalog.put_campaign(as_if_active(campaign) if as_active else campaign)
        if wrong:
            raise InvalidCampaign(*wrong)
        _put_profiles(store, profiles)
        yield Rehearsal(store, catalog, clock, rules or Rules(), policy or Policy())


@contextmanager
def staged(
    snapshot: Snapshot,
    *,
    profiles: Iterable[Profile] = (),
    rules: Rules | None = None,
    policy: Policy | None = None,
    folder: Path | None = None,
) -> Iterator[Rehearsal]:
    """Open a scratch store for a catalogue that is compiled and checked already.

    What `rehearsal` does where many play parts of one recording beside each other.

    Parameters
    ----------
    snapshot
        Zones, campaigns and audiences; those of a `rehearsal`, where nothing is to differ from it.
    profiles, rules, policy
        As of `rehearsal`.
    folder
        Where the scratch is made; the one for temporary files if None.
    """
    clock = RecordedClock(0)
    url = "sqlite://" if folder is None else f"sqlite://?{urlencode({'folder': str(folder)})}"
    with Store.open(url, now_ms=clock) as store:
        _put_profiles(store, profiles)
        catalog = Catalog(store, begin_with=snapshot)
        yield Rehearsal(store, catalog, clock, rules or Rules(), policy or Policy())


def backtest(
    recording: Recording,
    *,
    zones: Sequence[Zone],
    campaigns: Sequence[Campaign] = (),
    audiences: Sequence[Audience] = (),
    profiles: Iterable[Profile] = (),
    rules: Rules | None = None,
    policy: Policy | None = None,
    as_active: bool = False,
    out: Path | None = None,
    parquet: bool = False,
    overwrite: bool = False,
    survey: Survey | None = None,
    on_bad: Callable[[BadRow], object] = lambda _: None,
    on_progress: Callable[[int], object] = lambda _: None,
) -> Summary:
    """Run drafts over a recording and say what would have happened.

    The same drafts, recording and version give the same answer, to the last byte of every file.

    Parameters
    ----------
    recording
        The pings; larger than memory if need be.
    zones, campaigns, audiences, profiles, rules, policy, as_active
        As of `rehearsal`.
    out
        Folder for every transition, every decision and the summary; None writes nothing.
    parquet
        Write the two tables as Parquet instead of CSV.
    overwrite
        Replace files of an earlier run.
    survey
        What the first reading found; read here if None.
    on_bad
        Called with each row that is no ping, with place and reason.
    on_progress
        Called with the number of pings that are done, after each batch.

    Raises
    ------
    InvalidInput
        The recording or a draft is wrong: names place, value and bound. Or a file of `out` exists.
    StoreError
        The folder for temporary files is full.
    """
    if out is not None:
        check_folder(out, parquet=parquet, overwrite=overwrite)
    survey = survey or recording.survey()
    with rehearsal(
        zones=zones,
        campaigns=campaigns,
        audiences=audiences,
        profiles=profiles,
        rules=rules,
        policy=policy,
        as_active=as_active,
    ) as stage:
        fed = stage.play(recording, survey, on_bad=on_bad, on_progress=on_progress)
        if out is None:
            return summarise(stage.store, stage.catalog.snapshot, fed)
        with Writer.into(out, parquet=parquet) as writer:
            summary = summarise(
                stage.store,
                stage.catalog.snapshot,
                fed,
                on_transition=writer.transition,
                on_decision=writer.decision,
            )
            writer.summary(summary.document())
        return summary


@contextmanager
def _naming(name: str, wrong: list[Problem]) -> Iterator[None]:
    """Collect what the catalogue refuses, with the name of the draft in front."""
    try:
        yield
    except (InvalidCampaign, InvalidAudience) as error:
        wrong += [
            Problem(f"{name}{each.path.removeprefix('$')}", each.value, each.reason)
            for each in error.problems
        ]


def _put_profiles(store: Store, profiles: Iterable[Profile]) -> None:
    left = iter(profiles)
    while some := list(islice(left, PROFILES_AT_ONCE)):
        store.put_profiles(some)


def as_if_active(campaign: Campaign) -> Campaign:
    """Return a campaign that is a draft or paused as if it were active; others as they are."""
    return replace(campaign, status=Status.ACTIVE) if campaign.status in NOT_ACTIVE else campaign


def _why_empty(survey: Survey) -> str:
    if survey.bad:
        return f"holds no pings: none of its {survey.bad:,} rows can be read as one"
    return "holds no pings"
