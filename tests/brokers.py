"""tests/brokers.py: real brokers for tests: a process each on a free loopback port, ended by its own handle."""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import time
import weakref
from pathlib import Path

import pytest

from workers.broker import IOTCORE_RECEIVE_MAX, LOOPBACK, iotcore_toml, mosquitto_conf

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin")


def held_port(holder: object) -> int:
    """A port of the loopback that is the holder's as long as it lives, also while nobody listens there: bound, so that
    the system gives it to no other socket. Who sets SO_REUSEADDR, as brokers do, listens on it all the same."""
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind((LOOPBACK, 0))
    weakref.finalize(holder, held.close)
    return int(held.getsockname()[1])


class RunningBroker:
    """`url` speaks version 5 (the link), `port` 3.1.1 (devices). With mosquitto both are one."""

    def __init__(self, kind: str, directory: Path) -> None:
        self.kind = kind
        self.directory = directory
        self.port = held_port(self)
        self.port_v5 = held_port(self) if kind == "iotcore" else self.port
        self.url = f"mqtt://{LOOPBACK}:{self.port_v5}"
        self.receive_max = IOTCORE_RECEIVE_MAX if kind == "iotcore" else 1000
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Listening when it returns."""
        self.process = self._iotcore() if self.kind == "iotcore" else self._mosquitto()
        for port in {self.port, self.port_v5}:
            wait_for_port(self.process, port)

    def stop(self) -> None:
        """Politely, so that mosquitto writes what it keeps."""
        process, self.process = self.process, None
        if process is None:
            return
        if process.stdin is not None:
            process.stdin.close()
        process.terminate()
        process.wait(10)

    def kill(self) -> None:
        """As a power cut ends it: what it has not stored is forgotten."""
        process, self.process = self.process, None
        assert process is not None
        process.kill()
        process.wait(10)

    @property
    def stored(self) -> Path:
        """What mosquitto finds again."""
        return self.directory / "mosquitto.db"

    def _iotcore(self) -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "workers.broker"], stdin=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(iotcore_toml(self.port, self.port_v5).encode() + b"\0")
        process.stdin.flush()
        return process

    def _mosquitto(self) -> subprocess.Popen[bytes]:
        path = self.directory / "mosquitto.conf"
        path.write_text(f"user {getpass.getuser()}\n" + mosquitto_conf(self.port, str(self.directory)))
        return run_mosquitto(path)


def run_mosquitto(path: Path) -> subprocess.Popen[bytes]:
    """Skips without a mosquitto; where servers are required, fails instead."""
    if MOSQUITTO is None:
        if os.environ.get("JIAOHAO_REQUIRE_SERVERS") == "1":
            pytest.fail("mosquitto is not installed, and JIAOHAO_REQUIRE_SERVERS=1")
        pytest.skip("mosquitto is not installed")
    return subprocess.Popen([MOSQUITTO, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def wait_for_port(process: subprocess.Popen[bytes], port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 15
    while process.poll() is None and time.monotonic() < deadline:
        try:
            socket.create_connection((LOOPBACK, port), timeout=1).close()
        except OSError:
            time.sleep(0.01)
        else:
            return
    pytest.fail(f"no broker on port {port}; exit code {process.poll()}")
