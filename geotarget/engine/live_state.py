"""What the engine remembers between batches: one record a device, one a (device, zone).

Structured arrays rather than objects, because a batch touches thousands of them: 344 bytes a
device and 72 a membership, so a million devices take 350 MB. Memberships live in a pool of slots
that are chained per device, so that a batch costs what it touches, not what is stored.

The records are also what the store keeps, as opaque bytes. Fields are only ever added at the
end: a shorter record of an earlier version is read with zeros for what it lacks.
"""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Sequence
from itertools import repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geotarget.engine.compiled import njit
from geotarget.engine.rules import MOST_SUSPECTS
from geotarget.errors import StoreError
from geotarget.model import IntArray, MemberRow

OUTSIDE, ENTERING, INSIDE, EXITING = 0, 1, 2, 3
RECENT = 8
"""How many pings a device's record remembers for telling re-deliveries from late pings."""

DEVICE = np.dtype(
    [
        ("known", "i8"),  # 0 until the first ping was applied
        ("last_ms", "i8"),  # the last fix that was accepted
        ("last_lng", "f8"),
        ("last_lat", "f8"),
        ("last_acc", "f8"),
        ("interval_ms", "f8"),  # moving average of the time between applied pings
        ("old_ms", "i8"),  # a fix at least `moving_after_s` older than the last one, 0: none
        ("old_lng", "f8"),
        ("old_lat", "f8"),
        ("next_ms", "i8"),  # the fix that becomes the old one, 0: none
        ("next_lng", "f8"),
        ("next_lat", "f8"),
        ("position", "i8"),  # where the next key goes in `recent`
        ("recent", "u8", (RECENT,)),
        ("seen_ms", "i8"),  # the last ping that came in order, accepted or suspect
        ("speed", "f8"),  # moving average between accepted fixes, metres a second
        ("suspects", "i8"),  # how many wait for one that agrees with them
        ("suspect_ms", "i8", (MOST_SUSPECTS,)),
        ("suspect_lng", "f8", (MOST_SUSPECTS,)),
        ("suspect_lat", "f8", (MOST_SUSPECTS,)),
        ("suspect_acc", "f8", (MOST_SUSPECTS,)),
        ("old_acc", "f8"),
        ("next_acc", "f8"),
        ("before_lng", "f8"),  # the accepted fix before the last one
        ("before_lat", "f8"),
        ("before_acc", "f8"),  # 0: none
        ("rest_ms", "i8"),  # the anchor: since when, where, its weight (0: none)
        ("rest_lng", "f8"),
        ("rest_lat", "f8"),
        ("rest_weight", "f8"),
        ("rest_strays", "i8"),  # fixes in a row that do not agree with it
    ]
)

_DEVICE_WORDS = (np.uint64, DEVICE.itemsize // 8)
"""The same memory as plain numbers: numpy copies records field by field when it scatters them."""

MEMBER = np.dtype(
    [
        ("zone", "i8"),  # Zone.key
        ("phase", "i8"),
        ("since_ms", "i8"),  # start of the visit; while ENTERING the first evidence
        ("mark_ms", "i8"),  # ENTERING: last evidence; EXITING: first fix outside
        ("dwelled_s", "i4"),  # highest dwell threshold that was emitted in this visit
        ("outside", "i4"),  # fixes outside in a row
        ("initial", "i8"),  # 1: began with the device's first ping ever
        ("revision", "i8"),  # of the zone, as it was last judged
        ("p", "f8"),  # of being inside, as the last evidence of the entry gave it
        ("left", "i8"),  # EXITING: 1 if the first fix outside was fast and clear
    ]
)

Records = NDArray[Any]

NOBODY_MS = np.iinfo(np.int64).max
"""Until when the clock changes nothing about a slot that holds no membership."""


@njit()
def _gather(
    rows: IntArray,
    heads: IntArray,
    following: IntArray,
    devices_out: IntArray,
    slots_out: IntArray,
) -> int:
    """List the slots of some devices; returns how many there are (or would be)."""
    found = 0
    for position in range(rows.size):
        slot = heads[rows[position]]
        while slot >= 0:
            if found < slots_out.size:
                devices_out[found] = position
                slots_out[found] = slot
            found += 1
            slot = following[slot]
    return found


class LiveState:
    """Device records and memberships of the devices that this process owns.

    Not safe for use from several threads: one writer, as the rules demand.

    Attributes
    ----------
    quiet_ms
        Of each slot: up to and with this instant the clock alone changes nothing about the
        membership as it is, `timers` found; 0 where nobody has looked since it was changed.
    """

    def __init__(self) -> None:
        self._row: dict[str, int] = {}
        self.ids: list[str] = []  # by row; empty where the device was forgotten
        self.zone_ids: dict[int, str] = {}
        self.devices: Records = np.zeros(1024, DEVICE)
        self._heads: IntArray = np.full(1024, -1, np.int64)
        self.members: Records = np.zeros(1024, MEMBER)
        self._owner: IntArray = np.full(1024, -1, np.int64)
        self._following: IntArray = np.full(1024, -1, np.int64)
        self.quiet_ms: IntArray = np.full(1024, NOBODY_MS, np.int64)
        self._quiet_by: tuple[object, ...] = ()
        self._free = list(range(1023, -1, -1))

    def __len__(self) -> int:
        return len(self._row)

    @property
    def memberships(self) -> int:
        """How many (device, zone) pairs are not outside."""
        return len(self.members) - len(self._free)

    @property
    def hosted(self) -> int:
        """How many devices are in a zone, or about to be."""
        return int(np.count_nonzero(self._heads[: len(self.ids)] >= 0))

    def rows(self, devices: Sequence[str]) -> IntArray:
        """Return the row of each device; unknown ones get a blank record."""
        row = self._row
        with contextlib.suppress(KeyError):  # nearly always all of them are known
            return np.fromiter(map(row.__getitem__, devices), np.int64, len(devices))
        for device in devices:
            if device not in row:
                row[device] = len(self.ids)
                self.ids.append(device)
        while len(self.ids) > len(self.devices):
            self.devices = np.concatenate([self.devices, np.zeros_like(self.devices)])
            self._heads = np.concatenate([self._heads, np.full_like(self._heads, -1)])
        return np.fromiter(map(row.__getitem__, devices), np.int64, len(devices))

    def strangers(self, devices: Sequence[str]) -> IntArray:
        """Return the positions of devices of which no ping was applied yet; some 60 ns each."""
        rows = np.fromiter(map(self._row.get, devices, repeat(-1)), np.int64, len(devices))
        known = (rows >= 0) & (self.devices["known"][rows] != 0)
        return np.flatnonzero(~known)

    def heard_since(self, since_ms: int) -> NDArray[np.float32]:
        """Return lng, lat, lng, lat … of the devices that were heard since an instant.

        May be called from another thread: at worst it sees half of a batch. 0.1 ms for 10,000.
        """
        devices = self.devices
        heard = devices[devices["last_ms"] >= max(1, since_ms)]
        places = np.empty(2 * len(heard), np.float32)
        places[0::2], places[1::2] = heard["last_lng"], heard["last_lat"]
        return places

    def forget(self, device: str) -> None:
        """Forget a device that is known, with its memberships.

        Its row stays empty until the end of the process: others go by the numbers of rows.
        """
        row = self._row.pop(device)
        for slot in self.slots(np.array([row], np.int64))[1].tolist():
            self.remove(slot)
        self.ids[row] = ""
        self.devices[row] = np.zeros(1, DEVICE)[0]

    def write(self, rows: IntArray, devices: Records) -> None:
        """Replace the records of some devices; 14 ns each."""
        self.devices.view(_DEVICE_WORDS)[rows] = devices.view(_DEVICE_WORDS)

    def slots(self, rows: IntArray) -> tuple[IntArray, IntArray]:
        """Return (positions in `rows`, slots) of all memberships of some devices."""
        room = max(64, 2 * rows.size)
        while True:
            positions, slots = np.empty(room, np.int64), np.empty(room, np.int64)
            found = _gather(rows, self._heads, self._following, positions, slots)
            if found <= room:
                return positions[:found], slots[:found]
            room = found

    def insert(self, row: int, record: np.void, zone: str) -> int:
        """Add a membership of the zone with this id to a device and return its slot."""
        if not self._free:
            size = len(self.members)
            self.members = np.concatenate([self.members, np.zeros_like(self.members)])
            self._owner = np.concatenate([self._owner, np.full(size, -1, np.int64)])
            self._following = np.concatenate([self._following, np.full(size, -1, np.int64)])
            self.quiet_ms = np.concatenate([self.quiet_ms, np.full(size, NOBODY_MS, np.int64)])
            self._free.extend(range(2 * size - 1, size - 1, -1))
        slot = self._free.pop()
        self.zone_ids[int(record["zone"])] = zone
        self.replace(slot, record)
        self._owner[slot] = row
        self._following[slot] = self._heads[row]
        self._heads[row] = slot
        return slot

    def replace(self, slot: int, record: np.void) -> None:
        """Write the record of a membership."""
        self.members[slot] = record
        self.quiet_ms[slot] = 0

    def remove(self, slot: int) -> None:
        """Take a membership out."""
        row = int(self._owner[slot])
        after = int(self._following[slot])
        before = int(self._heads[row])
        if before == slot:
            self._heads[row] = after
        else:
            while self._following[before] != slot:
                before = int(self._following[before])
            self._following[before] = after
        self._owner[slot] = -1
        self._following[slot] = -1
        self.quiet_ms[slot] = NOBODY_MS
        self._free.append(slot)

    def adopt(
        self, devices: Sequence[str], device_states: bytes, members: Sequence[MemberRow]
    ) -> None:
        """Add devices that are not known here, as the store kept them; 1 µs each.

        Raises
        ------
        StoreError
            The records were written by a newer version.
        """
        records = records_from_bytes(device_states, len(devices), DEVICE)
        rows = self.rows(devices)
        self.devices[rows] = records
        owners = self.rows([member.device for member in members])
        for row, member in zip(owners.tolist(), members, strict=True):
            self.insert(row, records_from_bytes(member.state, 1, MEMBER)[0], member.zone)

    def occupied(self) -> tuple[IntArray, IntArray]:
        """Return (rows, slots) of every membership."""
        slots = np.flatnonzero(self._owner >= 0)
        return self._owner[slots], slots

    def awake(self, now_ms: int, *by: object) -> tuple[IntArray, IntArray]:
        """Return (rows, slots) of the memberships of which `quiet_ms` doesn't say enough.

        Parameters
        ----------
        now_ms
            The instant that counts, Unix milliseconds.
        by
            What `quiet_ms` is reckoned by. Where this is not what it was the last time, nothing
            of it holds any more.
        """
        if len(by) != len(self._quiet_by) or any(map(operator.is_not, by, self._quiet_by)):
            self.quiet_ms[self._owner >= 0] = 0
            self._quiet_by = by
        slots = np.flatnonzero(self.quiet_ms < now_ms)
        return self._owner[slots], slots


def records_from_bytes(data: bytes, count: int, dtype: np.dtype[Any]) -> Records:
    """Read `count` stored records, of this or of an earlier, shorter version.

    Raises
    ------
    StoreError
        The length is no multiple of `count`, or the records are longer than this version's.
    """
    records = np.zeros(count, dtype)
    if count == 0:
        return records
    width, rest = divmod(len(data), count)
    if rest or width > dtype.itemsize:
        raise StoreError(
            f"stored state has {len(data)} bytes for {count} records; this version reads up to "
            f"{dtype.itemsize} bytes a record: the database was written by a newer version"
        )
    raw = np.frombuffer(data, np.uint8).reshape(count, width)
    records.view(np.uint8).reshape(count, dtype.itemsize)[:, :width] = raw
    return records
