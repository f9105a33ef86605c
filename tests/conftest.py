"""tests/conftest.py: fixtures shared by the tests: a broker of each kind, and `broker` for both."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.brokers import RunningBroker
from tests.crowds import killed_morning
from tests.faulty import Machine


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


@pytest.fixture(scope="module")
def built_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    machine = Machine(tmp_path_factory.mktemp("machine"))
    yield machine
    machine.close()


@pytest.fixture
def machine(built_machine: Machine) -> Iterator[Machine]:
    """A machine that is well at first, and again at the end."""
    well = {"clock_ms": 0, "sync_ms": 0, "sync_errno": 0, "no_room": 0}
    built_machine.set(**well)
    yield built_machine
    built_machine.set(**well)


@pytest.fixture(scope="module")
def a_morning(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A journal of some hundred facts whose process was killed: no snapshot, so that a start reads them all."""
    broker = RunningBroker("iotcore", tmp_path_factory.mktemp("morning"))
    broker.start()
    try:
        killed_morning(broker)
    finally:
        broker.stop()
    return broker.directory


@pytest.fixture
def copied(a_morning: Path, tmp_path: Path) -> Path:
    """Its files, to be damaged."""
    shutil.copytree(a_morning / "data", tmp_path / "data")
    return tmp_path
