"""What the author of an app can do about a ping that was refused, by the reason's code.

The detail of a dead letter says what was wrong, with value and bound; this says what to change.
"""

from __future__ import annotations

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "json": "Send one JSON object, or an array of them, in UTF-8; a JSON library writes it right.",
    "type": "Send numbers as numbers, without quotes, and each ping as an object.",
    "unsupported": "Name the members ts, lat and lng; OwnTracks has a topic of its own, "
    "owntracks/{user}/{device}.",
    "latitude": "Send lat in degrees within ±90; where lng is larger, the two are swapped.",
    "longitude": "Send lng (or lon) in degrees within ±180.",
    "not_finite": "Leave a member out where the phone has no value: JSON has no NaN.",
    "timestamp": "Send ts as epoch seconds, milliseconds divided by 1000, or as RFC 3339 with an "
    "offset.",
    "future": "The phone's clock is ahead: take ts from the fix, and let the phone set its clock "
    "by the network.",
    "null_island": "The phone had no fix: wait for one before the first ping is sent.",
    "device": "Name the device in the topic or in the ping: at most 128 characters without + and "
    "#; letters, digits, _ and - are safe everywhere.",
    "erased": "The device was erased: what it sends from now on is taken.",
    "too_many": "Send fewer pings in one message, and more messages.",
    "too_large": "Send fewer pings in one message, and leave out members that nobody reads.",
    "undecodable": "This is a defect of geotarget: please report it with what came.",
}
"""What to do, in a sentence; every reason that is counted has one."""

ANY = "Compare what came with the example on the page 'Connect your app'."


def advice(reason: str) -> str:
    """Say what to do about a ping that was refused.

    Examples
    --------
    >>> advice("too_many")
    'Send fewer pings in one message, and more messages.'
    """
    return ADVICE.get(reason, ANY)
