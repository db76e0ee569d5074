"""``/v1/audiences``: named rules over people, and how many they mean."""

from __future__ import annotations

import time
from collections import Counter
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.requests import Request
from starlette.responses import Response

from geotarget.api.auth import Scope
from geotarget.api.preconditions import OnlyIf, etag
from geotarget.api.services import Here, Who
from geotarget.api.values import Cursor, Document, Id, Limit, Line, Name, Page
from geotarget.errors import InvalidInput, NotFound, Problem
from geotarget.model import Audience
from geotarget.store.seeking import LOOKED_AT
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


class AttributeItem(BaseModel):
    """One attribute that profiles have."""

    name: str
    profiles: int = Field(description="How many of those that were looked at have it.")
    values: list[str | int | bool] = Field(
        description="What at least as many people as the minimum audience have there, the most "
        "frequent first."
    )


class AttributesAnswer(BaseModel):
    """What rules can ask profiles for."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "of": 2000,
                    "items": [{"name": "tier", "profiles": 1740, "values": ["basic", "gold"]}],
                }
            ]
        }
    )

    of: int = Field(description=f"How many profiles were looked at: the {LOOKED_AT:,} newest.")
    items: list[AttributeItem] = Field(description="By name; the 200 most frequent.")


class CountDocument(Document):
    """Whom to count: by a rule and stored audiences, of which all must hold."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rule": "profile.tier == 'gold'", "audiences": [], "zone": None}]
        }
    )

    rule: RuleText | None = Field(default=None, description=RULE)
    audiences: Annotated[list[Name], Field(max_length=20)] = Field(
        default=[], description="Ids of stored ones, beside the rule or instead of it."
    )
    audience: Name | None = Field(default=None, description="The same for a single one.")
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


def get_audience(id: Id, here: Here, response: Response) -> AudienceAnswer:
    """Show one audience.

    With its rule. The header `ETag` is the revision, to be sent back in `If-Match` with a change.
    """
    audience = here.services.store.audience(id)
    if audience is None:
        raise NotFound("audience", id)
    response.headers["ETag"] = etag(audience.revision)
    return AudienceAnswer.of(audience)


def put_audience(
    id: Id,
    document: AudienceDocument,
    here: Here,
    who: Who,
    only_if: OnlyIf,
    response: Response,
) -> AudienceAnswer:
    """Create or replace an audience.

    The rule is checked with its types: what is wrong is named with its column. Campaigns that name
    the audience ask the new rule from then on. With `If-Match` it replaces only the revision that
    was looked at: 412 tells who stored another one, and when.
    """
    stored = here.services.catalog.put_audience(
        Audience(
            id=id,
            rule=document.rule,
            name=document.name,
            description=document.description,
        ),
        by=who,
        only_if=only_if,
    )
    response.headers["ETag"] = etag(stored.revision)
    return AudienceAnswer.of(stored)


def delete_audience(id: Id, here: Here, who: Who) -> None:
    """Delete an audience.

    Refused while a campaign names it.
    """
    here.services.catalog.delete_audience(id, by=who)


def list_attributes(here: Here) -> AttributesAnswer:
    """List the attributes that profiles have.

    With the values that many people have: for who writes a rule. Values of fewer people than the
    minimum audience are not told.
    """
    least = here.services.limits.minimum_audience
    looked, said = here.services.store.attributes_said(least=least)
    return AttributesAnswer(
        of=looked,
        items=[
            AttributeItem(name=each.name, profiles=each.profiles, values=list(each.values))
            for each in said
        ],
    )


def count_audience(document: CountDocument, here: Here, request: Request) -> CountAnswer:
    """Count whom rules mean now.

    Over everybody of whom a profile is stored or a visit was seen, exactly up to 50,000 people and
    from a random sample beyond. Fewer people than the minimum audience are not told.
    """
    store, snapshot = here.services.store, here.services.catalog.snapshot
    rules = _rules(document, here)
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
        verdicts = (rule.holds(facts) for rule in rules)
        verdict = next((each for each in verdicts if not each.holds), None)
        if verdict is None:
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


def _rules(document: CountDocument, here: Here) -> list[Rule]:
    named = [(f"$.audiences[{at}]", name) for at, name in enumerate(document.audiences)]
    if document.audience is not None:
        named.append(("$.audience", document.audience))
    if document.rule is None and not named:
        raise InvalidInput(Problem("$", "", "give a rule or an audience"))
    rules = [] if document.rule is None else [Rule.compile(document.rule, path="$.rule")]
    known = here.services.catalog.snapshot.audiences
    missing = [Problem(path, name, "no audience has this id") for path, name in named
               if name not in known]  # fmt: skip
    if missing:
        raise InvalidInput(*missing)
    return rules + [Rule.compile(known[name].rule) for _, name in named]


def _sentence(count: int | None, total: int, *, exact: bool, least: int) -> str:
    if count is None:
        return f"fewer than {least} people{'' if exact else ' in the sample'}: not shown"
    return f"{'' if exact else 'about '}{count:,} of {total:,} people"
