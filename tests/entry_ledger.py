"""The transitions that the plain reference tells, in the order in which they must be told."""

from __future__ import annotations

from collections.abc import Mapping

from tests.entry_evidence import Event, Evidence, Stay, confidence

# at one time exits come first, then what was crossed, then enters, then dwells
TURN = {"exit": 0, "crossed": 1, "enter": 2, "dwell": 3, "reconciled": 4}


class Ledger:
    """Collects transitions, and tells them sorted; `rank` puts zones in order."""

    def __init__(self) -> None:
        self.rank: Mapping[str, int] = {}
        self._found: list[tuple[tuple[int, str, int, int, int, int], Event]] = []

    def tell(
        self,
        kind: str,
        device: str,
        zone: str,
        stay: Stay,
        ts_ms: int,
        decided_ms: int,
        turn_ms: int,
        p: float,
        evidence: Evidence | None,
        threshold_s: int | None = None,
    ) -> None:
        """Note one transition; without evidence it was a timer."""
        timed = evidence is None
        event = Event(
            kind, device, zone, ts_ms, decided_ms, threshold_s,
            initial=stay.initial and kind in ("enter", "dwell"),
            duration_s=None if kind == "enter" else (ts_ms - stay.since) / 1000,
            start_ms=stay.since,
            confidence=1 if timed and kind == "enter" else confidence(p),
            p=p,
            reason="timer" if evidence is None else evidence.reason,
            distance_m=None if evidence is None else evidence.d,
            accuracy_m=None if evidence is None else evidence.acc,
        )  # fmt: skip
        key = (decided_ms, device, turn_ms, TURN[kind], self.rank[zone], threshold_s or 0)
        self._found.append((key, event))

    def crossed(
        self,
        device: str,
        zone: str,
        from_ms: float,
        to_ms: float,
        decided_ms: int,
        turn_ms: int,
    ) -> None:
        """Note that a way led through a zone."""
        event = Event(
            "crossed", device, zone, round(from_ms), decided_ms,
            duration_s=(to_ms - from_ms) / 1000, start_ms=round(from_ms), p=0.5, reason="chord",
        )  # fmt: skip
        key = (decided_ms, device, turn_ms, TURN["crossed"], self.rank[zone], 0)
        self._found.append((key, event))

    def reconciled(
        self,
        device: str,
        zone: str,
        *,
        at_ms: int,
        start_ms: int,
        duration_s: float | None,
        reason: str,
    ) -> None:
        """Note that an edit began or ended a visit."""
        event = Event(
            "reconciled", device, zone, at_ms, at_ms,
            duration_s=duration_s, start_ms=start_ms, reason=reason,
        )  # fmt: skip
        self._found.append(((at_ms, device, 0, TURN["reconciled"], 0, 0), event))

    def told(self) -> list[Event]:
        """Return what was noted since the last call."""
        found, self._found = sorted(self._found, key=lambda each: each[0]), []
        return [event for _, event in found]
