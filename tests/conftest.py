"""tests/conftest.py: fixtures shared by the tests: a broker of each kind, and `broker` for both."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker


def _running(kind: str, directory: Path) -> Iterator[RunningBroker]:
    broker = RunningBroker(kind, directory)
    try:
        broker.start()
        yield broker
    finally:
        broker.stop()


@pytest.fixture
def iotcore_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """The embedded broker."""
    yield from _running("iotcore", tmp_path)


@pytest.fixture
def mosquitto_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """Mosquitto with the shipped queues and limits, without TLS and ACL."""
    yield from _running("mosquitto", tmp_path)


@pytest.fixture(params=["iotcore", pytest.param("mosquitto", marks=pytest.mark.broker)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """Either of them: the contract holds on both."""
    yield from _running(request.param, tmp_path)
