"""What an operator sets for all campaigns, as it is written in a setting.

One line of text each, because it comes from the environment: ``3/86400,10/604800`` are at most
three offers to a profile in 24 hours and ten in a week, ``21:00-08:00`` is when nobody wants to
hear. What is no text is given back as it is: a default has its form already.
"""

from __future__ import annotations

import re

from geotarget.errors import InvalidCampaign
from geotarget.model import Cap, Hours
from geotarget.targeting.caps import validate_policy_caps
from geotarget.targeting.hours import validate_hours

_CAP = re.compile(r"\s*([0-9]{1,9})\s*/\s*([0-9]{1,9})\s*")


def read_caps(text: object) -> object:
    """Return the caps over all campaigns; none of an empty text.

    Raises
    ------
    ValueError
        Says what is wrong and how it is written.

    Examples
    --------
    >>> read_caps("3/86400, 10/604800")
    (Cap(max=3, period_s=86400), Cap(max=10, period_s=604800))
    """
    if not isinstance(text, str):
        return text
    found = [_CAP.fullmatch(part) for part in text.split(",")] if text.strip() else []
    caps = tuple(Cap(int(each[1]), int(each[2])) for each in found if each)
    if len(caps) < len(found):
        raise ValueError("must be offers per seconds, such as 3/86400,10/604800")
    try:
        validate_policy_caps(caps, path="caps")
    except InvalidCampaign as error:
        raise ValueError(str(error)) from error
    return caps


def read_hours(text: object) -> object:
    """Return the quiet hours; None of an empty text.

    Raises
    ------
    ValueError
        Says what is wrong and how it is written.

    Examples
    --------
    >>> read_hours("21:00-08:00")
    Hours(start='21:00', end='08:00')
    """
    if not isinstance(text, str):
        return text
    if not text.strip():
        return None
    start, dash, end = text.partition("-")
    if not dash:
        raise ValueError("must be two times of the day, such as 21:00-08:00")
    hours = Hours(start.strip(), end.strip())
    try:
        validate_hours(hours, path="hours")
    except InvalidCampaign as error:
        raise ValueError(str(error)) from error
    return hours
