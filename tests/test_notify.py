"""workers/notify.py: over a real datagram socket: ready, alive while loop and writer move, silent when they do not."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from devices.simulator import example_policy
from tests.brokers import RunningBroker
from tests.processes import Served
from workers.notify import Notifier, notifier


class Listener:
    """What systemd would hear."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)

    def next(self, timeout_s: float = 10.0) -> str:
        self._socket.settimeout(timeout_s)
        return self._socket.recv(4096).decode()

    def until(self, text: str, timeout_s: float = 15.0) -> str:
        deadline = time.monotonic() + timeout_s
        while text not in (found := self.next(max(0.01, deadline - time.monotonic()))):
            pass
        return found

    def silent(self, seconds: float) -> bool:
        try:
            return not self.next(seconds)
        except TimeoutError:
            return True

    def drain(self) -> None:
        while not self.silent(0.01):
            pass

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    found = Listener(tmp_path / "notify")
    yield found
    found.close()


def test_ready_is_said_once_and_the_line_may_change(listener: Listener) -> None:
    one = Notifier(listener.path)
    one.ready("1 hall")
    one.ready("connected again")
    assert listener.next() == "READY=1\nSTATUS=1 hall" and listener.next() == "STATUS=connected again"


def test_pings_come_three_times_in_the_time_that_systemd_waits(listener: Listener) -> None:
    now_s = 100.0
    one = Notifier(listener.path, 15.0, lambda: now_s)
    for _ in range(300):
        one.alive(lambda: True)
        now_s += 0.05
    assert [listener.next() for _ in range(3)] == ["WATCHDOG=1"] * 3 and listener.silent(0.01)


def test_what_does_not_move_is_not_alive(listener: Listener) -> None:
    one = Notifier(listener.path, 15.0, lambda: 100.0)
    one.alive(lambda: False)
    assert listener.silent(0.01)
    one.alive(lambda: True)
    assert listener.next() == "WATCHDOG=1"


def test_without_systemd_nothing_is_sent_and_nothing_breaks(tmp_path: Path) -> None:
    for one in (notifier({}), notifier({"WATCHDOG_USEC": "x"}), Notifier(str(tmp_path / "gone"), 1.0)):
        one.ready("")
        one.status("")
        one.alive(lambda: True)
        one.stopping()


def test_the_environment_names_socket_and_patience(listener: Listener) -> None:
    one = notifier({"NOTIFY_SOCKET": listener.path, "WATCHDOG_USEC": "15000000"})
    one.alive(lambda: True)
    one.alive(lambda: True)
    assert listener.next() == "WATCHDOG=1" and listener.silent(0.01)


def test_an_abstract_socket_is_one_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(f"\0jiaohao-test-{time.monotonic_ns()}")
        name = heard.getsockname()
        heard.settimeout(5.0)
        Notifier("@" + name[1:].decode()).stopping()
        assert heard.recv(100) == b"STOPPING=1"


def test_a_process_is_ready_with_its_subscription_and_a_blocked_loop_is_silent(
    tmp_path: Path, iotcore_broker: RunningBroker, listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", listener.path)
    monkeypatch.setenv("WATCHDOG_USEC", "300000")
    policies = [example_policy(hall="h1", counters=2, services=2)]
    with Served(tmp_path, policies, iotcore_broker.url, broker__receive_maximum=iotcore_broker.receive_max) as served:
        assert listener.next() == "STATUS=recovered, waiting for the broker"
        assert listener.until("READY=1") == "READY=1\nSTATUS=1 halls, connected"
        served.up()
        assert listener.until("WATCHDOG=1")
        served.process.send_signal(signal.SIGSTOP)  # as a loop that hangs
        listener.drain()
        assert listener.silent(0.6)
        served.process.send_signal(signal.SIGCONT)
        assert listener.until("WATCHDOG=1")
        served.process.send_signal(signal.SIGTERM)
        assert listener.until("STOPPING=1")
        assert served.ended() == 0
