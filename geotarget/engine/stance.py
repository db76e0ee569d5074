"""How a device stands: at rest, on its way, or fast; and where it is best taken to be.

The fixes of a phone at rest wander for minutes around its place, together: each is honest about its
radius, and yet they cross a border again and again. Their mean does not. So while fixes are
compatible with standing still, a weighted mean of them is kept, an anchor; once it is old enough,
zones are judged by the anchor with its own, smaller radius instead of by the single fix. Errors
that last are counted for what they are: of two fixes a few seconds apart, the second adds little.

The opposite is a device that covers several radii between two fixes: noise can't do that, so one
fix decides.

A handful of multiplications a fix, compiled; five numbers a device. What it is worth is measured
by ``benchmarks/entries``: see the page about entries.
"""

from __future__ import annotations

import math
from typing import Any

from geotarget.engine.compiled import njit
from geotarget.engine.distances import hop_m

Record = Any

ON_ITS_WAY, AT_REST, STRAY, FAST = 0, 1, 2, 3
STANCES = ("on its way", "at rest", "stray", "fast")

SIGMA_PER_ACCURACY = 1.0 / 1.51
"""A reported accuracy holds 68 % of the errors in the plane, so it is 1.51 deviations an axis."""

_TURN = 360.0


@njit()
def _anchor(device: Record, fix: Record) -> None:
    """Begin a new anchor at a fix."""
    sigma = fix["acc"] * SIGMA_PER_ACCURACY
    device["rest_ms"] = fix["ms"]
    device["rest_lng"] = fix["lng"]
    device["rest_lat"] = fix["lat"]
    device["rest_weight"] = 1.0 / (sigma * sigma)
    device["rest_strays"] = 0


@njit()
def _settle(device: Record, fix: Record, rules: Record) -> None:
    """Take a fix into the anchor, with the weight that it has beside the fix before it."""
    sigma = fix["acc"] * SIGMA_PER_ACCURACY
    gap_s = 0.001 * (fix["ms"] - device["last_ms"])
    shared = rules["rest_shared"] * math.exp(-gap_s / rules["rest_memory_s"])
    news = (1.0 - shared) / (1.0 + shared) / (sigma * sigma)
    device["rest_weight"] += news
    share = news / device["rest_weight"]
    east = fix["lng"] - device["rest_lng"]
    if abs(east) > 0.5 * _TURN:
        east -= math.copysign(_TURN, east)
    lng = device["rest_lng"] + share * east
    device["rest_lng"] = lng - math.copysign(_TURN, lng) if abs(lng) > 0.5 * _TURN else lng
    device["rest_lat"] += share * (fix["lat"] - device["rest_lat"])
    most = rules["rest_most"] / (sigma * sigma)
    device["rest_weight"] = min(device["rest_weight"], most)


@njit()
def _go(device: Record, fix: Record, rules: Record) -> None:
    """Tell whether a device moved by more than noise can: in one hop, or in two one way."""
    hop = hop_m(fix["lng"], fix["lat"], device["last_lng"], device["last_lat"])
    acc = max(fix["acc"], device["last_acc"])
    if hop > rules["fast_hop"] * acc:
        fix["stance"] = FAST
    if device["before_acc"] == 0.0:
        return
    earlier = hop_m(
        device["last_lng"], device["last_lat"], device["before_lng"], device["before_lat"]
    )
    both = hop_m(fix["lng"], fix["lat"], device["before_lng"], device["before_lat"])
    far = both > rules["fast_hops"] * max(acc, device["before_acc"])
    if hop > acc and earlier > acc and far:
        fix["stance"] = FAST
    fix["straight"] = fix["stance"] == FAST and hop + earlier <= rules["blink_bend"] * both


@njit()
def stand(fix: Record, device: Record, rules: Record) -> None:
    """Work out how the device stands at a fix, and where; its last fix is still in the record."""
    if device["rest_weight"] == 0.0:
        _anchor(device, fix)
        return
    _go(device, fix, rules)
    old = fix["ms"] - device["rest_ms"] >= 1000.0 * rules["rest_after_s"]
    sigma = fix["acc"] * SIGMA_PER_ACCURACY
    apart = hop_m(fix["lng"], fix["lat"], device["rest_lng"], device["rest_lat"])
    if apart > rules["rest_apart"] * math.sqrt(sigma * sigma + 1.0 / device["rest_weight"]):
        device["rest_strays"] += 1
        if device["rest_strays"] >= 2 or (fix["stance"] == FAST and not old):
            _anchor(device, fix)
        elif old and fix["stance"] != FAST:
            fix["stance"] = STRAY
        return
    device["rest_strays"] = 0
    _settle(device, fix, rules)
    if old:
        fix["stance"] = AT_REST
        fix["straight"] = False
        fix["at_lng"] = device["rest_lng"]
        fix["at_lat"] = device["rest_lat"]
        fix["at_acc"] = 1.0 / (SIGMA_PER_ACCURACY * math.sqrt(device["rest_weight"]))
