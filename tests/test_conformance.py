"""devices/conformance.py: the kit passes what is right, and fails what is wrong in the very case that forbids it."""

import asyncio
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import commands as c
from devices import conformance, wire
from devices.client import Device
from devices.conformance import FAILED, PASSED, SKIPPED, Report, Wish, examine
from devices.conformance_cases import CASES
from devices.conformance_stage import Limits
from devices.flight import Timing
from devices.kiosk import Kiosk, Slip
from devices.kit_broker import free_port
from devices.outbox import MemoryOutbox
from devices.voice import VoiceBox
from tests.processes import ROOT
from tests.toys import FAULTS, Toy

QUICK = Limits(press=3, answer=1.0, quiet=0.25, resend=2.5, reconnect=3, keep=(0.8, 3), offline=0.5, boot=5)
TIMING = Timing(resend_s=0.8, keep_s=1.0, backoff_s=0.05, backoff_max_s=0.2, connect_s=1.0)


VOICE = ("C21", "C22")


class Reference:
    """The reference client as a kiosk (with `prefix`: and its own numbers), a keypad or a voice box, and its hands."""

    def __init__(self, port: int, profile: str, prefix: str = "") -> None:
        self.port, self.profile, self.prefix = port, profile, prefix
        self.outbox = MemoryOutbox()
        self.tasks: set[asyncio.Task[Any]] = set()

    box: Any = VoiceBox

    async def press(self) -> bool:
        if self.profile == "kiosk":
            self.tasks.add(asyncio.create_task(self.kiosk.take(c.TakeTicket(service="si"))))
        else:
            self.device.post(c.CallNext())
        return True

    async def power(self) -> bool:
        await self.__aexit__()
        self.outbox = MemoryOutbox()  # it has no storage
        await self.__aenter__()
        return True

    async def shown(self) -> str | None:
        return bytes(self.device.screen.body).decode() if self.device.screen else ""

    async def __aenter__(self) -> "Reference":
        url = f"mqtt://127.0.0.1:{self.port}"
        self.device = Device(url, hall="h1", device=f"{self.profile}-1", outbox=self.outbox, timing=TIMING)
        self.kiosk = Kiosk(self.device, printed, prefix=self.prefix, patience_s=0.35)
        await self.device.__aenter__()
        box = self.box(self.device, spoken)
        self.tasks = {asyncio.create_task(box.obey() if self.profile == "voice" else self.kiosk.obey())}
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.device.__aexit__()


async def spoken(order: wire.VoiceSay) -> None:
    """A short sentence."""
    await asyncio.sleep(0.12)


async def printed(slip: Slip) -> str:
    """A printer that never fails."""
    return ""


def tried(make: Callable[[int], Any], profile: str = "kiosk", **wish: Any) -> Report:
    """The report on a device of this process."""

    async def run() -> Report:
        port = free_port()
        device = make(port)
        chosen = Wish("h1", f"{profile}-1", profile, listen=("127.0.0.1", port), limits=QUICK, **wish)
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        kit = asyncio.create_task(examine(chosen, device, ready=ready))
        await asyncio.wait([ready, kit], return_when=asyncio.FIRST_COMPLETED)
        async with device:
            return await kit

    return asyncio.run(run())


def results(report: Report) -> dict[str, str]:
    return {one.case: one.result for one in report.cases}


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["kiosk", "caller", "voice"])
@pytest.mark.parametrize("kind", ["embedded", pytest.param("mosquitto", marks=pytest.mark.broker)])
def test_the_reference_client_passes(kind: str, profile: str) -> None:
    prefix = "X" if profile == "kiosk" else ""
    report = tried(lambda port: Reference(port, profile, prefix), profile, broker=kind, offline_prefix=prefix)
    skipped = {"kiosk": {"C11", *VOICE}, "caller": {"C12", "C13", "C14", *VOICE}, "voice": {"C11", "C14", "C15"}}[
        profile
    ]
    assert results(report) == {case: SKIPPED if case in skipped else PASSED for case in CASES}, conformance.text(report)


@pytest.mark.slow
def test_another_device_that_is_right_passes_with_numbers_of_its_own() -> None:
    report = tried(lambda port: Toy(port, prefix="X"), offline_prefix="X")
    assert results(report) == {case: SKIPPED if case in ("C11", *VOICE) else PASSED for case in CASES}, (
        conformance.text(report)
    )


def test_the_shortest_cases_pass_a_device_that_is_right() -> None:
    report = tried(lambda port: Toy(port), only=("C03", "C05", "C12", "C16", "C17", "C19", "C20"))
    assert set(results(report).values()) == {PASSED}, conformance.text(report)


def faulty(fault: str, only: tuple[str, ...]) -> Report:
    profile = "caller" if fault == "shows the older" else "kiosk"
    prefix = "X" if FAULTS[fault] == "C14" else ""
    broker = "mosquitto" if fault == "speaks 5 alone" else "embedded"
    make = lambda port: Toy(port, profile, fault, prefix)  # noqa: E731 - named by its one use
    return tried(make, profile, only=only, offline_prefix=prefix, broker=broker)


FAST = ("no will", "prints twice", "too large")


@pytest.mark.parametrize(
    "fault", [pytest.param(fault, marks=() if fault in FAST else pytest.mark.slow) for fault in FAULTS]
)
def test_a_fault_fails_the_case_that_forbids_it(fault: str) -> None:
    """Its own case, alone or after the one that makes it speak; with a reason."""
    case = FAULTS[fault]
    report = faulty(fault, (case,) if case < "C16" or case == "C18" else ("C02", case))
    assert results(report)[case] == FAILED, conformance.text(report)
    assert all(one.why for one in report.cases if one.result == FAILED)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["age is nought", "deaf to sync", "prints late"])
def test_a_fault_fails_no_other_case(fault: str) -> None:
    report = faulty(fault, ())
    assert {case for case, result in results(report).items() if result == FAILED} == {FAULTS[fault]}


def test_no_device_is_told_apart_from_a_bad_one(capsys: pytest.CaptureFixture[str]) -> None:
    limits = '{"boot": 0.2}'
    arguments = ["--device", "h1/kiosk-1", "--profile", "kiosk", "--listen", f"127.0.0.1:{free_port()}"]
    assert conformance.main([*arguments, "--limits", limits]) == conformance.MISSING
    assert "no birth of h1/kiosk-1" in capsys.readouterr().err
    for wrong in (["--limits", "{"], ["--profile", "toaster"], ["--device", "kiosk"], ["--listen", "1883"]):
        with pytest.raises(SystemExit) as ended:
            conformance.main([*arguments, *wrong])
        assert ended.value.code == 2


def test_the_report_reads_as_a_page_and_as_json() -> None:
    outcomes = [
        conformance.Outcome("C01", "Will", PASSED),
        conformance.Outcome("C02", "Numbers", FAILED, "seq 3 after 1"),
    ]
    report = Report("h1/kiosk-1", "kiosk", "embedded", outcomes)
    assert not report.passed
    assert conformance.text(report).splitlines() == [
        "h1/kiosk-1 as kiosk, on embedded",
        "C01 passed  Will",
        "C02 failed  Numbers — seq 3 after 1",
        "1 passed, 1 failed, 0 skipped",
    ]
    found = json.loads(msgspec.json.encode(report))
    assert found["v"] == 1 and found["cases"][1]["why"] == "seq 3 after 1"


def test_hands_of_flesh_are_asked_and_programs_are_run(capsys: pytest.CaptureFixture[str]) -> None:
    async def scenario() -> None:
        asked, run = conformance.Person("", "", ""), conformance.Person("true", "false", "echo A012")
        assert await asked.press() and await asked.power() and await asked.shown() is None
        assert await run.press() and not await run.power() and await run.shown() == "A012\n"

    asyncio.run(scenario())
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and "press a key" in said[0] and "off and on" in said[1]


def test_nobody_at_a_terminal_and_no_command_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert conformance.Person("", "true", "").absent and not conformance.Person("true", "", "").absent
    monkeypatch.setattr("sys.stdin", None)
    assert conformance.Person("", "", "").absent, "closed"


@pytest.mark.slow
def test_a_vendor_runs_it_from_the_command_line(tmp_path: Path) -> None:
    """As a process, with a program at the keys; JSON on standard output, the exit code says whether all is well."""
    port, key = free_port(), tmp_path / "key"
    command = [sys.executable, "-m", "devices.conformance", "--device", "h1/kiosk-1", "--profile", "kiosk", "--json"]
    command += ["--listen", f"127.0.0.1:{port}", "--press", f"touch {key}", "--only", "C02", "C05", "C19"]
    command += ["--limits", msgspec.json.encode(QUICK).decode()]

    async def run(fault: str) -> tuple[int | None, Any]:
        process = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=asyncio.subprocess.PIPE)

        async def finger(toy: Toy) -> None:
            while True:
                if key.exists():
                    key.unlink()
                    await toy.press()
                await asyncio.sleep(0.01)

        async with Toy(port, fault=fault) as toy:
            pressing = asyncio.create_task(finger(toy))
            found, _ = await process.communicate()
            pressing.cancel()
        return process.returncode, json.loads(found)

    code, report = asyncio.run(run(""))
    assert code == 0 and [one["result"] for one in report["cases"]] == [PASSED] * 3, report
    code, report = asyncio.run(run("seq leaps"))
    assert code == 1 and [one["result"] for one in report["cases"]] == [FAILED, PASSED, PASSED], report
