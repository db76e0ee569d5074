"""What a campaign would have done over the last days, had it been there.

Pings are not kept, movements are. So the movements of the last days go through the deciding code of
every day once more (`targeting.decide`), together with the other campaigns that speak now, for they
compete for people's caps and for the transitions themselves. What gates remember begins as it was
on the first day: what people did and heard since is taken out again (`behaviour.undone`), budgets
hold what was spent before. Nothing is written, neither here nor elsewhere.

Costs 90 to 120 µs a movement and some 4 KB of memory for each person that moved; both are bounded.
What can't be known is said with the answer (`hindsight_words`).
"""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

from geotarget.behaviour import KEPT_DAYS, decode, encode, undone
from geotarget.insight.longer_stays import LongerStays
from geotarget.model import (
    Behaviour,
    Campaign,
    Decision,
    Fired,
    Policy,
    Spent,
    Status,
    Transition,
)
from geotarget.snapshot import Snapshot
from geotarget.store import Store
from geotarget.targeting import CampaignTable, Ledger, asked, decide, parse_when
from geotarget.targeting.decide import EXPOSED, FIRED, HOLDOUT
from geotarget.targeting.ledger import THOMPSON, Questions
from geotarget.targeting.local_time import date_of
from geotarget.targeting.table import LISTENING

MOST_DAYS = 31
DAY_MS = 86_400_000

MOST_MOVEMENTS = 100_000
"""Of more the newest are played."""

MOST_BYTES = 256 << 20
"""What is remembered of people may come to; then the rest is left."""

AT_ONCE = 500
"""Movements that are decided together."""

_WEST_OF_ALL_MS = 14 * 3_600_000
"""No time zone is further from UTC."""


@dataclass(frozen=True, slots=True)
class Played:
    """What was played.

    Parameters
    ----------
    from_ms, to_ms
        The days that were asked about, Unix milliseconds.
    first_ms, last_ms
        When the first and the last of the movements were; 0 without any.
    movements
        How many.
    cut
        Whether there were more before, that were left out.
    whole
        False where time or memory did not suffice for the newest ones.
    redrawn
        Movements of zones that have been changed since.
    stays
        Stays that were worked out from entries and exits.
    others
        Ids of the campaigns that were played along.
    moved_days
        By how many days the campaign's dates were moved back, so that it could speak.
    """

    from_ms: int
    to_ms: int
    first_ms: int
    last_ms: int
    movements: int
    cut: bool
    whole: bool
    redrawn: int
    stays: int
    others: tuple[str, ...]
    moved_days: int


@dataclass(slots=True)
class Outcome:
    """What the campaign answered.

    Parameters
    ----------
    gates
        Answers by gate; ``fired`` are offers.
    people, held_out
        Profiles that would have got an offer, and that were in the control group.
    days
        Date -> (offers, cost in micros); a date of the budget, else at the zone.
    zones, variants
        Offers by zone and by variant.
    """

    gates: Counter[str] = field(default_factory=Counter)
    people: set[str] = field(default_factory=set)
    held_out: set[str] = field(default_factory=set)
    days: dict[str, tuple[int, int]] = field(default_factory=dict)
    zones: Counter[str] = field(default_factory=Counter)
    variants: Counter[str] = field(default_factory=Counter)

    @property
    def offers(self) -> int:
        """Offers that would have been sent."""
        return self.gates[FIRED]

    @property
    def answered(self) -> int:
        """Movements that the campaign means."""
        return self.gates.total()

    @property
    def eligible(self) -> int:
        """Of them, those that the audience let pass and that were not held out."""
        return sum(count for gate, count in self.gates.items() if gate in EXPOSED - {HOLDOUT})

    @property
    def cost_micros(self) -> int:
        """What all offers would have cost."""
        return sum(cost for _, cost in self.days.values())

    def note(self, made: Decision) -> None:
        """Count an answer."""
        self.gates[made.gate] += 1
        if made.held_out:
            self.held_out.add(made.profile)
        if not made.fired:
            return
        self.people.add(made.profile)
        self.zones[made.zone] += 1
        if made.variant:
            self.variants[made.variant] += 1
        day = made.budget_day or made.day
        offers, cost_micros = self.days.get(day, (0, 0))
        self.days[day] = offers + 1, cost_micros + made.cost_micros


def look_back(
    store: Store,
    snapshot: Snapshot,
    campaign: Campaign,
    *,
    days: int,
    now_ms: int,
    policy: Policy | None = None,
    goes_on: Callable[[], bool] = lambda: True,
    on_decision: Callable[[Decision], object] = lambda _: None,
    most: int = MOST_MOVEMENTS,
) -> tuple[Played, Outcome]:
    """Play the movements of the last days to a campaign.

    Parameters
    ----------
    store, snapshot
        Where the movements are, and zones, audiences and campaigns as they are now. Only read.
    campaign
        Taken as active, in place of what is stored under its id.
    days
        1 to `MOST_DAYS`, of 24 hours each, up to `now_ms`.
    now_ms
        Unix milliseconds.
    policy
        What the operator set for all campaigns.
    goes_on
        Asked every `AT_ONCE` movements; what was played so far is the answer once it says no.
    on_decision
        Called with each answer of the campaign.
    most
        Movements; of more the newest.

    Raises
    ------
    StoreError
        The database can't be read.
    """
    stretch = store.stretch_since(now_ms - days * DAY_MS, most=most)
    begin_ms = stretch.from_ms
    if stretch.cut:
        begin_ms = next(store.transitions_in(stretch)).ts_ms
    mine, moved_days = _begun(replace(campaign, status=Status.ACTIVE), begin_ms)
    others = [
        each for each in snapshot.campaigns if each.id != mine.id and each.status in LISTENING
    ]
    memory = _Memory(store, [mine, *others], begin_ms)
    table = CampaignTable.compile([mine, *others], snapshot.tags)
    marks = store.stay_marks(stretch) if mine.trigger.dwell_s is not None else ()
    stays = LongerStays.of(mine, table, marks)
    outcome = Outcome()
    coming = stays.among(store.transitions_in(stretch), to_ms=now_ms)
    first_ms = last_ms = redrawn = movements = 0
    whole = True
    while some := tuple(islice(coming, AT_ONCE)):
        for made in memory.decided(some, table=table, snapshot=snapshot, policy=policy or Policy()):
            if made.campaign == mine.id:
                outcome.note(made)
                on_decision(made)
        instants = [each.ts_ms for each in some]
        first_ms, last_ms = min(first_ms or instants[0], *instants), max(last_ms, *instants)
        movements += len(some)
        redrawn += _redrawn(some, snapshot)
        if not goes_on() or memory.bytes > MOST_BYTES:
            whole = next(coming, None) is None
            break
    return (
        Played(
            from_ms=now_ms - days * DAY_MS,
            to_ms=now_ms,
            first_ms=first_ms,
            last_ms=last_ms,
            movements=movements - stays.count,
            cut=stretch.cut,
            whole=whole,
            redrawn=redrawn,
            stays=stays.count,
            others=tuple(each.id for each in others if each.status is not Status.PAUSED),
            moved_days=moved_days,
        ),
        outcome,
    )


class _Memory:
    """What the gates remember, from the first day on.

    What people did is kept as documents, for a hundred thousand of them would not fit otherwise.
    """

    def __init__(self, store: Store, campaigns: Sequence[Campaign], begin_ms: int) -> None:
        self._store = store
        self._begin_ms = begin_ms
        self._documents: dict[str, bytes] = {}
        self._asked: set[tuple[str, str]] = set()
        self._ledger = Ledger(spent=dict(self._spent(campaigns)))
        for each in campaigns:
            if each.allocation == THOMPSON:
                arms = store.arms(each.id)
                self._ledger.arms |= {(each.id, name): arm for name, arm in arms.items()}
        self.bytes = 0

    def decided(
        self,
        movements: Sequence[Transition],
        *,
        table: CampaignTable,
        snapshot: Snapshot,
        policy: Policy,
    ) -> list[Decision]:
        """Let campaigns answer some movements, and remember what follows."""
        ledger = self._ledger
        with self._store.questions() as questions:
            profiles = questions.profiles_of(sorted({each.device for each in movements}))
            ledger.profiles = profiles
            ledger.behaviour = self._recalled(questions, {each.id for each in profiles.values()})
            needed = asked(movements, table=table, profiles=profiles)
            self._recall_fired(questions, needed.pairs)
        made = decide(
            movements,
            table=table,
            zones=snapshot.zones,
            audiences=snapshot.audiences,
            ledger=ledger,
            # nobody wrote down how late they came: none is too old
            now_ms=min(each.decided_ms for each in movements),
            policy=policy,
        )
        for profile, behaviour in ledger.behaviour.items():
            document = encode(behaviour)
            self.bytes += len(document) - len(self._documents.get(profile, b""))
            self._documents[profile] = document
        return made

    def _recalled(self, questions: Questions, profiles: set[str]) -> dict[str, Behaviour]:
        """Return what people had done by now: the first time as it was on the first day."""
        unknown = sorted(profiles - self._documents.keys())
        found = {
            profile: undone(behaviour, self._begin_ms)
            for profile, behaviour in questions.behaviour_of(unknown).items()
        }
        known = profiles & self._documents.keys()
        return found | {profile: decode(self._documents[profile]) for profile in sorted(known)}

    def _recall_fired(self, questions: Questions, pairs: Iterable[tuple[str, str]]) -> None:
        new = [each for each in pairs if each not in self._asked]
        self._asked.update(new)
        found = questions.last_fired(new)
        late = {pair for pair, fired in found.items() if fired.last_ms >= self._begin_ms}
        heard = questions.behaviour_of(sorted({profile for _, profile in late}))
        for campaign, profile in late:
            pair = campaign, profile
            found[pair] = _before(heard[profile], campaign, found[pair], self._begin_ms)
        self._ledger.fired |= {pair: fired for pair, fired in found.items() if fired.count > 0}

    def _spent(self, campaigns: Iterable[Campaign]) -> Iterator[tuple[tuple[str, str], Spent]]:
        """Yield what campaigns had spent when the first day began."""
        for each in campaigns:
            if each.budget is None:
                continue
            first_day = date_of(self._begin_ms, each.budget.time_zone)
            known = self._store.budget_days(each.id)
            since = [spent for day, spent in known.items() if day >= first_day]
            total = known.get("", Spent())
            yield (
                (each.id, ""),
                Spent(
                    total.offers - sum(spent.offers for spent in since),
                    total.cost_micros - sum(spent.cost_micros for spent in since),
                ),
            )


def _before(behaviour: Behaviour, campaign: str, fired: Fired, begin_ms: int) -> Fired:
    """Return how often a campaign had fired before an instant, and when last."""
    sent = [
        each.at_ms for each in behaviour.heard if each.campaign == campaign and not each.held_out
    ]
    earlier = [at_ms for at_ms in sent if at_ms < begin_ms]
    forgotten_ms = begin_ms - KEPT_DAYS * DAY_MS  # or before: that is as much as is kept
    return Fired(max(earlier, default=forgotten_ms), fired.count - (len(sent) - len(earlier)))


def _begun(campaign: Campaign, begin_ms: int) -> tuple[Campaign, int]:
    """Move the dates of a campaign that starts later, by whole days, so that it has started."""
    if campaign.starts is None:
        return campaign, 0
    late_ms = parse_when(campaign.starts).start_ms(dt.UTC) - begin_ms
    if late_ms <= -_WEST_OF_ALL_MS:
        return campaign, 0
    days = -(-(late_ms + _WEST_OF_ALL_MS) // DAY_MS)
    ends = None if campaign.ends is None else _earlier(campaign.ends, days)
    return replace(campaign, starts=_earlier(campaign.starts, days), ends=ends), days


def _earlier(text: str, days: int) -> str:
    when = parse_when(text)
    moved = when.moment - dt.timedelta(days=days)
    return moved.date().isoformat() if when.whole_day else moved.isoformat()


def _redrawn(movements: Iterable[Transition], snapshot: Snapshot) -> int:
    """Count movements of zones that are other ones now, or gone."""
    return sum(
        each.zone not in snapshot.zones or snapshot.zones[each.zone].revision != each.zone_revision
        for each in movements
    )


def days_between(from_ms: int, to_ms: int, seen: Collection[str], time_zone: str) -> list[str]:
    """Return every date of a stretch of time in order, and those that were seen besides."""
    dates = {date_of(at_ms, time_zone) for at_ms in (*range(from_ms, to_ms, DAY_MS), to_ms)}
    return sorted(dates.union(seen))
