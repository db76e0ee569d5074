"""What a rule may use: every name with its type and its meaning, as data.

The checker, the page docs/audiences.md and the console's list of suggestions are made from this
one table, so none of them can know a name that the others don't.
"""

from __future__ import annotations

from dataclasses import dataclass

DAYS = (1, 90)
"""How far back a rule may look, in days of 24 hours; both ends included."""

NEVER = 36_500
"""Days since something that did not happen, or more than 90 days ago: a hundred years."""


@dataclass(frozen=True, slots=True)
class Word:
    """One name that a rule may use.

    Parameters
    ----------
    name
        As it is written, without arguments.
    gives
        Its type: ``text``, ``whole number``, ``number``, ``true or false``, ``time``,
        ``list of texts`` or ``object`` (whose members may be anything).
    meaning
        A sentence without a full stop.
    example
        A rule that uses it.
    arguments
        Name and type of each, in order; None for what is no function.
    """

    name: str
    gives: str
    meaning: str
    example: str
    arguments: tuple[tuple[str, str], ...] | None = None

    @property
    def written(self) -> str:
        """How it is written, with the names of its arguments."""
        if self.arguments is None:
            return self.name
        return f"{self.name}({', '.join(name for name, _ in self.arguments)})"

    @property
    def root(self) -> str:
        """What its name begins with."""
        return self.name.partition(".")[0]


_DAYS = ("days", "whole number")
_ZONE = ("zone", "text")
_TAG = ("tag", "text")
_CATEGORY = ("category", "text")
_CURRENCY = ("currency", "text")
_WHOLE, _TEXT, _NUMBER, _BOOL = "whole number", "text", "number", "true or false"

VOCABULARY: tuple[Word, ...] = (
    Word("profile", "object", "the attributes of the profile, and its `id`",
         "profile.tier == 'gold'"),
    Word("visits.here", _WHOLE, "visits to this zone that began within so many days",
         "visits.here(30) >= 3", (_DAYS,)),
    Word("visits.zone", _WHOLE, "visits to the zone of this id",
         "visits.zone('flagship', 30) == 0", (_ZONE, _DAYS)),
    Word("visits.tag", _WHOLE, "visits to zones that carry this tag",
         "visits.tag('grocery', 7) >= 2", (_TAG, _DAYS)),
    Word("visits.total", _WHOLE, "visits to any zone",
         "visits.total(90) > 10", (_DAYS,)),
    Word("visits.minutes_here", _WHOLE, "minutes spent in this zone, over visits that have ended",
         "visits.minutes_here(30) >= 45", (_DAYS,)),
    Word("visits.minutes_tag", _WHOLE, "minutes spent in zones that carry this tag",
         "visits.minutes_tag('grocery', 30) > 60", (_TAG, _DAYS)),
    Word("visits.days_since_here", _WHOLE, "whole days since the last visit to this zone",
         "visits.days_since_here() > 30", ()),
    Word("visits.days_since_zone", _WHOLE, "whole days since the last visit to the zone of this id",
         "visits.days_since_zone('flagship') < 14", (_ZONE,)),
    Word("visits.days_since_tag", _WHOLE,
         "whole days since the last visit to a zone that carries this tag",
         "visits.days_since_tag('grocery') <= 7", (_TAG,)),
    Word("visits.days_known", _WHOLE, "whole days since the profile was first seen; 0 if it is new",
         "visits.days_known() >= 14", ()),
    Word("offers.total", _WHOLE, "offers sent to the profile, of all campaigns",
         "offers.total(7) < 3", (_DAYS,)),
    Word("offers.campaign", _WHOLE, "offers sent to the profile by the campaign of this id",
         "offers.campaign('spring', 90) == 0", (("campaign", "text"), _DAYS)),
    Word("offers.days_since", _WHOLE, "whole days since the last offer was sent",
         "offers.days_since() >= 2", ()),
    Word("purchases.count", _WHOLE, "purchases that were reported as conversions",
         "purchases.count(30) > 0", (_DAYS,)),
    Word("purchases.count", _WHOLE, "purchases of one category",
         "purchases.count('coffee', 30) >= 4", (_CATEGORY, _DAYS)),
    Word("purchases.value", _NUMBER,
         "what was spent, in units of the currency; an error if there were several currencies",
         "purchases.value(90) >= 250", (_DAYS,)),
    Word("purchases.value", _NUMBER, "what was spent in one category",
         "purchases.value('wine', 90) > 49.9", (_CATEGORY, _DAYS)),
    Word("purchases.value_in", _NUMBER, "what was spent in one currency",
         "purchases.value_in('SEK', 90) >= 2500", (_CURRENCY, _DAYS)),
    Word("purchases.days_since", _WHOLE, "whole days since the last purchase",
         "purchases.days_since() > 60", ()),
    Word("purchases.days_since", _WHOLE, "whole days since the last purchase of a category",
         "purchases.days_since('coffee') < 14", (_CATEGORY,)),
    Word("zone.id", _TEXT, "id of the zone of the transition", "zone.id != 'flagship'"),
    Word("zone.name", _TEXT, "its name", "zone.name.startsWith('K-')"),
    Word("zone.tags", "list of texts", "its tags", "'grocery' in zone.tags"),
    Word("zone.properties", "object", "all its properties",
         "profile.branch == zone.properties.branch"),
    Word("transition.kind", _TEXT, "`enter`, `dwell`, `exit` or `crossed`",
         "transition.kind == 'enter'"),
    Word("transition.confidence", _WHOLE, "how sure it is: 1, 2 or 3",
         "transition.confidence == 3"),
    Word("transition.initial", _BOOL, "whether the device was inside when it was first seen",
         "!transition.initial"),
    Word("transition.dwell_s", _WHOLE, "seconds after which a dwell is told; 0 for other kinds",
         "transition.dwell_s >= 300"),
    Word("transition.duration_s", _NUMBER, "seconds that the visit lasted, at an exit; otherwise 0",
         "transition.duration_s > 120"),
    Word("now", "time", "when the transition was settled",
         "now < timestamp('2027-01-01T00:00:00Z')"),
    Word("local.hour", _WHOLE, "hour on the zone's clocks, 0 to 23", "local.hour >= 17"),
    Word("local.minute", _WHOLE, "minute, 0 to 59", "local.minute < 30"),
    Word("local.weekday", _TEXT, "`mon`, `tue`, `wed`, `thu`, `fri`, `sat` or `sun`",
         "local.weekday in ['sat', 'sun']"),
    Word("local.date", _TEXT, "date on the zone's calendar, such as `2026-11-22`",
         "local.date < '2026-12-24'"),
    Word("local.month", _WHOLE, "month, 1 to 12", "profile.birth_month == local.month"),
    Word("local.day", _WHOLE, "day of the month, 1 to 31", "local.day <= 7"),
    Word("lower", _TEXT, "a text in small letters; written after it",
         "profile.city.lower() == 'malmö'", ()),
    Word("upper", _TEXT, "a text in capitals; written after it",
         "profile.plan.upper() == 'PRO'", ()),
)  # fmt: skip
"""Every name, in the order of the documentation. `lower` and `upper` are called on any text."""

COUNTED = ("visits", "offers", "purchases")
"""Names that stand only before a dot and one of their functions."""


def members_of(root: str) -> list[str]:
    """Return what may follow a name and a dot, each once, in the order of the table.

    Examples
    --------
    >>> members_of("offers")
    ['total', 'campaign', 'days_since']
    """
    found = [word.name.partition(".")[2] for word in VOCABULARY if word.root == root]
    return list(dict.fromkeys(name for name in found if name))


def roots() -> list[str]:
    """Return what a name may begin with, each once.

    Examples
    --------
    >>> roots()
    ['profile', 'visits', 'offers', 'purchases', 'zone', 'transition', 'now', 'local']
    """
    names = dict.fromkeys(word.root for word in VOCABULARY)
    return [name for name in names if name not in TEXT_FUNCTIONS]


TEXT_FUNCTIONS = ("lower", "upper")
