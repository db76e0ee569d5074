"""Every exception that geotarget raises on purpose, in one tree.

::

    GeotargetError
    ├── InvalidInput            somebody sent or wrote something wrong; holds `Problem`s
    │   ├── InvalidZone         a GeoJSON feature or file
    │   ├── InvalidPing         a ping or a message of pings
    │   ├── InvalidCampaign     a campaign or its template
    │   ├── InvalidAudience     a rule of an audience or a campaign
    │   ├── InvalidEndpoint     a webhook endpoint
    │   └── InvalidIndexFile    a file of a saved index: damaged, cut off, of another version
    ├── NotFound                the named thing does not exist
    ├── Conflict                it exists, or changed, in a way that forbids the request
    │   └── Outdated            somebody else changed it since the caller looked
    ├── NotAllowed              the key is missing, unknown, expired or lacks the scope
    ├── Overloaded              a bounded queue is full; holds `retry_after_s`
    │   └── TooManyRequests     one caller asks too often
    ├── SettingsError           a setting is out of its bounds or contradicts another
    ├── StoreError              the database is missing, locked for too long or of another version
    └── BrokerError             the MQTT broker refuses us or cannot be started

A receiver that answers 500 and a ping that is out of range are counted outcomes, not
exceptions of the hot path: `InvalidPing` is raised only where one caller waits for the answer.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with an input: where, what was found, and which bound it broke.

    Parameters
    ----------
    path
        A JSON path such as ``$.features[3].geometry.coordinates[0][7]``, a line such as
        ``line 12``, or the name of a setting.
    value
        What stood there, shortened to be printable.
    reason
        What is wrong with it, with the bound, as a sentence without a full stop.
    """

    path: str
    value: str
    reason: str

    def __str__(self) -> str:
        shown = f" ({self.value})" if self.value else ""
        return f"{self.path}: {self.reason}{shown}"


class GeotargetError(Exception):
    """The root of the tree; catch it to catch everything that geotarget raises on purpose."""


class InvalidInput(GeotargetError):
    """Input that breaks the rules.

    Parameters
    ----------
    *problems
        At least one problem, in the order of the input.

    Examples
    --------
    >>> str(InvalidInput(Problem("$.lat", "95.0", "latitude must be within -90 and 90")))
    '$.lat: latitude must be within -90 and 90 (95.0)'
    """

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


class InvalidZone(InvalidInput):
    """A zone that can't be accepted."""


class InvalidPing(InvalidInput):
    """A ping that can't be accepted."""


class InvalidCampaign(InvalidInput):
    """A campaign that can't be accepted."""


class InvalidAudience(InvalidInput):
    """A rule over profiles and their behaviour that can't be accepted."""


class InvalidEndpoint(InvalidInput):
    """A webhook endpoint that can't be accepted."""


class InvalidIndexFile(InvalidInput):
    """A file that is not a saved index which this version can read, or is damaged."""


class NotFound(GeotargetError):
    """The named thing does not exist."""

    def __init__(self, what: str, name: str) -> None:
        super().__init__(f"no {what} is named {name!r}")
        self.what = what
        self.name = name


class Conflict(GeotargetError):
    """The request contradicts what is stored."""


class Outdated(Conflict):
    """It is not at the version that the request was made for; nothing was changed."""


class NotAllowed(GeotargetError):
    """The caller may not do this.

    Parameters
    ----------
    message
        What was refused and why.
    known
        Whether the caller is known (then it lacks a scope) or not (then it must log in).
    """

    def __init__(self, message: str, *, known: bool) -> None:
        super().__init__(message)
        self.known = known


class Overloaded(GeotargetError):
    """A bounded queue is full; try again after `retry_after_s` seconds."""

    def __init__(self, message: str, *, retry_after_s: float) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequests(Overloaded):
    """One caller asks more often than it may; others are served."""


class SettingsError(GeotargetError):
    """A setting is out of its bounds or contradicts another."""


class StoreError(GeotargetError):
    """The database is missing, locked for too long, or of another version."""


class BrokerError(GeotargetError):
    """The MQTT broker refuses us or can't be started."""
