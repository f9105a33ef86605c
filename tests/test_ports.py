"""workers/ports.py: the seams: whoever stands there has what the dispatcher calls, and nothing more is asked of it."""

import inspect
from typing import Protocol

import pytest

from tests.ports_memory import MemoryInbox, MemoryLeases, MemoryOutbox
from workers import ports
from workers.journal import SqliteJournal
from workers.link import Link
from workers.memory_journal import MemoryJournal
from workers.outbox import MqttOutbox
from workers.owner import FlockOwner


@pytest.mark.parametrize(
    ("port", "stands_there"),
    [
        (ports.Inbox, Link),
        (ports.Outbox, MqttOutbox),
        (ports.Journal, SqliteJournal),
        (ports.Journal, MemoryJournal),
        (ports.Snapshots, SqliteJournal),
        (ports.Snapshots, MemoryJournal),
        (ports.Ownership, FlockOwner),
        (ports.Inbox, MemoryInbox),
        (ports.Outbox, MemoryOutbox),
        (ports.Ownership, MemoryLeases),
    ],
)
def test_who_stands_there_has_every_method_with_its_arguments(port: type, stands_there: type) -> None:
    wanted = {name: one for name, one in vars(port).items() if inspect.isfunction(one) and not name.startswith("_")}
    assert wanted, "a port asks for something"
    for name, method in wanted.items():
        has = inspect.signature(getattr(stands_there, name)).parameters
        asked = inspect.signature(method).parameters
        assert list(has)[: len(asked)] == list(asked), f"{stands_there.__name__}.{name}"
        assert all(one.default is not one.empty for one in list(has.values())[len(asked) :])
        assert inspect.iscoroutinefunction(method) is inspect.iscoroutinefunction(getattr(stands_there, name))


def test_ports_are_protocols_and_what_passes_through_them_is_data() -> None:
    kinds = {
        name: one for name, one in vars(ports).items() if inspect.isclass(one) and one.__module__ == ports.__name__
    }
    protocols = {name for name, one in kinds.items() if Protocol in one.__mro__}
    failures = {name for name, one in kinds.items() if issubclass(one, Exception)}
    assert protocols == {"Journal", "Snapshots", "Inbox", "Outbox", "Ownership"}
    assert failures == {"Fenced", "JournalDamaged", "Missing"}
    assert all(issubclass(kinds[name], tuple) for name in kinds.keys() - protocols - failures)


def test_what_is_said_once_counts_for_no_hall() -> None:
    message = ports.Outgoing("t", b"")
    assert (message.retain, message.hall, message.n) == (False, "", 0)
    assert ports.Part("h", 0, ()).letters == ()


def test_who_is_fenced_knows_its_halls() -> None:
    fenced = ports.Fenced(["h1", "h2"])
    assert fenced.halls == ("h1", "h2") and str(fenced) == "fenced: another writer has taken over\nhalls h1, h2"
