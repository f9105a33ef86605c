"""tests/node/device.mjs: a device in another language, from the document alone, works a hall and passes the kit."""

import asyncio
import json
import os
import subprocess
from typing import Any

import msgspec
import pytest

from devices import conformance
from devices.conformance import PASSED, SKIPPED, Wish, examine
from devices.conformance_cases import CASES
from devices.conformance_stage import Limits
from devices.kit_broker import free_port
from tests.brokers import RunningBroker
from tests.halls import POLICY
from tests.processes import Served
from tests.test_contract import node_modules

LIMITS = Limits(press=5, answer=2.0, quiet=0.4, resend=4, reconnect=5, keep=(0.9, 5), offline=1.0, boot=15)
QUICK = {**os.environ, "RESEND_MS": "1200", "KEEP_MS": "1000"}


class Node:
    """The process, and hands at it."""

    def __init__(self, port: int, *options: str) -> None:
        directory = node_modules()
        command = ["node", "device.mjs", f"mqtt://127.0.0.1:{port}", "h1", "kiosk-1", *options]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, cwd=directory, stdin=pipe, stdout=pipe, text=True, env=QUICK)

    def write(self, word: str) -> bool:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self.process.poll() is None

    def next(self, name: str) -> dict[str, Any]:
        """The next line that has such a field. The test's own timeout ends a wait for nothing."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            found: dict[str, Any] = json.loads(line)
            if name in found:
                return found
        pytest.fail("it ended")

    async def press(self) -> bool:
        return self.write("press")

    async def power(self) -> bool:
        return self.write("power")

    async def shown(self) -> str | None:
        return None

    def __enter__(self) -> "Node":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait(10)
        for stream in (self.process.stdin, self.process.stdout):
            assert stream is not None
            stream.close()


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--v5",)])
@pytest.mark.broker
def test_it_takes_tickets_of_a_real_hall(
    mosquitto_broker: RunningBroker, tmp_path: Any, options: tuple[str, ...]
) -> None:
    always = msgspec.structs.replace(POLICY.calendar, week=(1, 2, 3, 4, 5, 6, 7), periods=("00:00-24:00",))
    hall = msgspec.structs.replace(POLICY.hall, cutover="00:00")
    gap = msgspec.structs.replace(POLICY.tickets, press_gap_ms=0)
    policy = msgspec.structs.replace(POLICY, calendar=always, hall=hall, tickets=gap)
    with Served(tmp_path, [policy], mosquitto_broker.url) as served, Node(mosquitto_broker.port, *options) as node:
        served.up().until(lambda found: found['jiaohao_ready{check="halls"}'] == 1)
        assert node.next("birth")["link"] == 1
        for number in ("A001", "A002"):
            node.write("press")
            assert node.next("number")["number"] == number
        node.write("power")
        node.write("press")
        assert node.next("number") | {"ahead": 0, "eta_s": 0, "eta_p90_s": 0} == {
            "seq": 1,  # a new boot begins at 1, and is no resend
            "type": "ticket",
            "ticket": 3,
            "number": "A003",
            "ahead": 0,
            "eta_s": 0,
            "eta_p90_s": 0,
        }
        served.kill()
        node.write("press")
        with Served(tmp_path, [policy], mosquitto_broker.url) as again:
            assert node.next("number")["number"] == "A004", "kept while nobody was there"
            again.up()
            node.write("end")
            assert node.process.wait(10) == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=pytest.mark.broker)])
def test_it_passes_the_kit(kind: str) -> None:
    async def run() -> conformance.Report:
        port = free_port()
        with Node(port) as node:
            wish = Wish("h1", "kiosk-1", "kiosk", broker=kind, listen=("127.0.0.1", port), limits=LIMITS)
            return await examine(wish, node)

    report = asyncio.run(run())
    wanted = {case: SKIPPED if case in ("C11", "C14", "C21", "C22") else PASSED for case in CASES}
    assert {one.case: one.result for one in report.cases} == wanted, conformance.text(report)
