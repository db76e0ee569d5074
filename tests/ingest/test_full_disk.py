"""A broker on a full disk: phones keep their pings, and it goes on when there is room."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from geotarget.ingest import EmbeddedBroker
from geotarget.ingest.full_disk import FullDisk
from tests.ingest.harness import Eventually, Phone


def test_nothing_is_wrong_until_the_server_says_so(tmp_path: Path) -> None:
    """Other lines mean nothing; where there is room, the server may begin anew at once."""
    disk = FullDisk(tmp_path)
    disk.note("[ERR] JetStream is slow")
    assert (disk.trouble, disk.is_over) == ("", False)
    disk.note("[ERR] Filestore [$MQTT_msgs] Critical write error: no space left on device")
    assert str(tmp_path) in disk.trouble
    assert disk.is_over
    disk.forget()
    assert (disk.trouble, disk.is_over) == ("", False)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    folder = tmp_path / "broker"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"missing: the right to mount a small disk ({done.stderr.strip()})")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=False)


def test_a_full_disk_is_told_and_survived(small_disk: Path, eventually: Eventually) -> None:
    """No acknowledgement while it is full, and why; one as soon as there is room again."""
    broker = EmbeddedBroker(small_disk, port=0, ack_wait_s=1)
    broker.start()
    try:
        phone = Phone(broker.port)
        phone.publish("pings/a", '{"ts": 1, "lat": 60, "lng": 24}')
        phone.settle(1)
        ballast = small_disk / "ballast"
        with ballast.open("wb", buffering=0) as out:
            try:
                while True:
                    out.write(bytes(4_096))
            except OSError:
                pass
        for _ in range(20):
            phone.publish("pings/a", "x" * 60_000)
        eventually(lambda: "can't write" in broker.health()[1])
        assert len(phone.acknowledged) < 21
        ballast.unlink()
        eventually(lambda: broker.health()[0])
        phone.settle(21)  # it sends again what was not acknowledged
        phone.close()
    finally:
        broker.stop()
