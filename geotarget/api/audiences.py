"""``/v1/audiences``: named rules over people, and how many they mean."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request

from geotarget.api.auth import Scope
from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Document, Id, Limit, Line, Name, Page
from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.model import Audience
from geotarget.targeting.audience import Rule
from geotarget.targeting.facts import Facts

EXACT_UP_TO = 50_000
SAMPLE = 20_000
"""Of more people than the first, so many are asked and the rest is estimated."""

MOST_SHOWN = 10
EXAMPLE: dict[str, Any] = {
    "rule": "profile.tier == 'gold' && visits.tag('grocery', 30) >= 3",
    "name": "Gold regulars",
    "description": "At least three visits to a branch in 30 days",
}
RuleText = Annotated[str, StringConstraints(min_length=1, max_length=4_000)]
RULE = "CEL over `profile`, `visits`, `offers`, `purchases`, `zone`, `transition`, `local`, `now`."


class AudienceDocument(Document):
    """An audience as its author writes it."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    rule: RuleText = Field(description=RULE)
    name: Line = Field(default="", description="For people.")
    description: Annotated[str, StringConstraints(max_length=2_000)] = Field(
        default="", description="For people."
    )


class AudienceAnswer(AudienceDocument):
    """An audience as it is stored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": "gold-regulars", **EXAMPLE, "revision": 7}]}
    )

    id: str
    revision: int = Field(description="Rises with every change.")

    @classmethod
    def of(cls, audience: Audience) -> AudienceAnswer:
        """Return what the API says about an audience."""
        return cls(
            id=audience.id,
            rule=audience.rule,
            name=audience.name,
            description=audience.description,
            revision=audience.revision,
        )


class AudiencePage(Page[AudienceAnswer]):
    """Audiences, by id."""


class CountDocument(Document):
    """Whom to count: by a rule, or by an audience that is stored."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"rule": "profile.tier == 'gold'", "zone": None}]}
    )

    rule: RuleText | None = Field(default=None, description=RULE)
    audience: Name | None = Field(default=None, description="Id of a stored one.")
    zone: Name | None = Field(
        default=None, description="Id of the zone that rules mean by `zone` and `here`."
    )


class CountAnswer(BaseModel):
    """How many people a rule means."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "count": 1240,
                    "of": 48210,
                    "exact": True,
                    "text": "1,240 of 48,210 people",
                    "sample": ["p-1001", "p-1017"],
                    "undecided": 12,
                    "undecided_because": "column 1: profile.tier is missing",
                }
            ]
        }
    )

    count: int | None = Field(description="Null when it is below the minimum audience.")
    of: int = Field(description="How many people are known at all.")
    exact: bool = Field(
        description=f"Whether all of them were asked; of more than {EXACT_UP_TO:,} a random sample "
        f"of {SAMPLE:,} is."
    )
    text: str = Field(description="The same as a sentence.")
    sample: list[str] = Field(
        description=f"Ids of up to {MOST_SHOWN} of them; empty without the scope `profiles:read`."
    )
    undecided: int = Field(
        description="Of those who were asked, for how many the rule had no answer; they do not "
        "belong to it. 0 where they are fewer than the minimum audience."
    )
    undecided_because: str = Field(
        description="The most frequent reason; empty when there is none."
    )


def list_audiences(here: Here, limit: Limit = 100, cursor: Cursor = None) -> AudiencePage:
    """List audiences.

    By id.
    """
    page = here.services.store.audiences_page(limit=limit, cursor=cursor)
    return AudiencePage(items=[AudienceAnswer.of(each) for each in page.items], next=page.next)


def get_audience(id: Id, here: Here) -> AudienceAnswer:
    """Show one audience.

    With its rule.
    """
    audience = here.services.store.audience(id)
    if audience is None:
        raise NotFound("audience", id)
    return AudienceAnswer.of(audience)


def put_audience(id: Id, document: AudienceDocument, here: Here, who: Who) -> AudienceAnswer:
    """Create or replace an audience.

    The rule is checked with its types: what is wrong is named with its column. Campaigns that name
    the audience ask the new rule from then on.
    """
    stored = here.services.catalog.put_audience(
        Audience(
            id=id,
            rule=document.rule,
            name=document.name,
            description=document.description,
        ),
        by=who,
    )
    return AudienceAnswer.of(stored)


def delete_audience(id: Id, here: Here, who: Who) -> None:
    """Delete an audience.

    Refused while a campaign names it.
    """
    here.services.catalog.delete_audience(id, by=who)


def count_audience(document: CountDocument, here: Here, request: Request) -> CountAnswer:
    """Count whom a rule means now.

    Over everybody of whom a profile is stored or a visit was seen, exactly up to 50,000 people and
    from a random sample beyond. Fewer people than the minimum audience are not told.
    """
    store, snapshot = here.services.store, here.services.catalog.snapshot
    rule = _rule(document, here)
    zone = None
    if document.zone is not None:
        zone = snapshot.zones.get(document.zone)
        if zone is None:
            raise InvalidInput(Problem("$.zone", document.zone, "no active zone has this id"))
    total = store.people_count()
    exact = total <= EXACT_UP_TO
    ids = store.people_ids(most=None if exact else SAMPLE)
    now_ms = time.time_ns() // 1_000_000
    members, why = [], Counter[str]()
    for profile, behaviour in store.people(ids):
        facts = Facts(profile, behaviour, zone, now_ms=now_ms, tagged=snapshot.table.tagged)
        verdict = rule.holds(facts)
        if verdict.holds:
            members.append(profile.id)
        elif not verdict.known:
            place = f"column {verdict.column}: " if verdict.column else ""
            why[place + verdict.reason] += 1
    least = here.services.limits.minimum_audience
    count = None
    if len(members) >= least:
        count = len(members) if exact else round(len(members) * total / max(1, len(ids)))
    may_see = request.state.caller.scopes & Scope.PROFILES_READ.sufficient
    return CountAnswer(
        count=count,
        of=total,
        exact=exact,
        text=_sentence(count, total, exact=exact, least=least),
        sample=members[:MOST_SHOWN] if may_see and count is not None else [],
        undecided=why.total() if why.total() >= least else 0,
        undecided_because=next((reason for reason, n in why.most_common(1) if n >= least), ""),
    )


def _rule(document: CountDocument, here: Here) -> Rule:
    if (document.rule is None) == (document.audience is None):
        raise InvalidInput(Problem("$", "", "give either a rule or an audience"))
    if document.rule is not None:
        return Rule.compile(document.rule, path="$.rule")
    name = document.audience or ""
    audience = here.services.store.audience(name)
    if audience is None:
        raise InvalidInput(Problem("$.audience", name, "no audience has this id"))
    return Rule.compile(audience.rule)


def _sentence(count: int | None, total: int, *, exact: bool, least: int) -> str:
    if count is None:
        return f"fewer than {least} people{'' if exact else ' in the sample'}: not shown"
    return f"{'' if exact else 'about '}{count:,} of {total:,} people"
