"""The contract on a real PostgreSQL server, and what is PostgreSQL's own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from backends import PostgresBackend
from contract import StoreContract

from tests.postgres_server import make_database


class TestPostgres(StoreContract):
    """Through psycopg."""

    @pytest.fixture
    def backend(self, postgres_url: str, postgres_template: str) -> Iterator[PostgresBackend]:
        """Make a database of its own."""
        made = PostgresBackend(make_database(postgres_url, postgres_template))
        yield made
        made.close()
