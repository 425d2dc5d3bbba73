"""Fixtures of the tests that other people's programs have a part in."""
import pytest

from lib.kafka_clients import Clients

collect_ignore = ["clients"]  # programs that tests run


@pytest.fixture(scope="session")
def drivers(tmp_path_factory):
    """Kafka's clients (lib.kafka_clients.Clients), whose programs live as long as the run."""
    drivers = Clients(tmp_path_factory.mktemp("drivers"))
    yield drivers
    drivers.close()
