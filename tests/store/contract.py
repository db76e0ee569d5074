"""The behaviour of a store, whatever the database: a backend passes when all of this passes.

A test module makes a class of `StoreContract` and gives it a fixture `backend`.
"""

from __future__ import annotations

import pytest
from backends import Backend
from contract_batch import BatchContract
from contract_catalogue import (
    AudiencesContract,
    AuditContract,
    CampaignsContract,
    ZonesContract,
)
from contract_conversions import ConversionsContract
from contract_device_tokens import DeviceTokensContract
from contract_erasure import ErasureContract
from contract_history import HistoryContract
from contract_keys import KeysContract, RunsContract
from contract_ordering import OrderingContract
from contract_outbox import OutboxContract
from contract_people import ImportsContract, PeopleContract, ProfilesContract
from contract_replays import ReplaysContract
from contract_slots import SlotsContract
from contract_targeting import TargetingContract
from contract_traces import TracesContract

from geotarget.store import Store


class StoreContract(
    BatchContract,
    TargetingContract,
    ConversionsContract,
    OutboxContract,
    OrderingContract,
    ReplaysContract,
    HistoryContract,
    TracesContract,
    ZonesContract,
    CampaignsContract,
    AudiencesContract,
    AuditContract,
    ProfilesContract,
    ErasureContract,
    PeopleContract,
    ImportsContract,
    KeysContract,
    DeviceTokensContract,
    RunsContract,
    SlotsContract,
):
    """Everything that a store must do."""

    @pytest.fixture
    def store(self, backend: Backend) -> Store:
        """Open the database once."""
        return backend.open()
