"""devices/kiosk.py: a slip in time, whatever the hall does; every number in somebody's hand is reported, once."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core import commands as c
from core import facts_tickets as t
from core import record
from devices import wire
from devices.client import Device
from devices.flight import Timing, wall_ms
from devices.gate import Gate
from devices.kiosk import Kiosk, NoSlip, Slip
from devices.outbox import MemoryOutbox, SqliteOutbox
from tests.brokers import RunningBroker
from tests.halls import POLICY, changed
from tests.minicore import HALL, Core, core_at, eventually, real_core_at, silent
from tests.scripted import play

TIMING = Timing(backoff_s=0.02, backoff_max_s=0.1, connect_s=0.4)
TAKE = c.TakeTicket(service="si")
PATIENCE_S = 0.2  # where no answer can come; where one shall, it may take its time


class Printer:
    """What came out, and what is wrong with it."""

    def __init__(self) -> None:
        self.slips: list[Slip] = []
        self.fault = ""

    async def __call__(self, slip: Slip) -> str:
        if not self.fault:
            self.slips.append(slip)
        return self.fault


def a_kiosk(port: int, prefix: str = "X", outbox: MemoryOutbox | None = None) -> tuple[Kiosk, Printer]:
    device = Device(f"mqtt://127.0.0.1:{port}", hall=HALL, device="kiosk-1", timing=TIMING, outbox=outbox)
    printer = Printer()
    return Kiosk(device, printer, prefix=prefix, patience_s=20.0), printer


def granting(device: str, events: list[dict[str, Any]]) -> list[wire.Result]:
    """A hall that numbers tickets by seq; own numbers stay what they are."""
    found = []
    for one in events:
        ok = wire.Ok("done")
        if one["body"]["type"] == "ticket.take":
            ok = wire.Ok("ticket", one["seq"], one["body"].get("number") or f"A{one['seq']:03}", ahead=3, eta_s=60)
        found.append(wire.Result(one["seq"], ok=ok))
    return found


def bodies(core: Core, kind: str) -> list[dict[str, Any]]:
    """Of each event of a type, once, in order."""
    events = {(one["boot"], one["seq"]): one for _, events in core.messages for one in events}
    return [one["body"] for one in events.values() if one["body"]["type"] == kind]


Scene = tuple[Kiosk, Printer, Core, Gate]


@asynccontextmanager
async def at_work(broker: RunningBroker, prefix: str = "X", **more: Any) -> AsyncIterator[Scene]:
    """A kiosk behind a gate that can be shut, and its hall."""
    gate = Gate(broker.port)
    await gate.start("127.0.0.1", 0)
    kiosk, printer = a_kiosk(gate.port, prefix, **more)
    try:
        async with core_at(broker.port) as core, kiosk.device:
            core.answer = granting
            await kiosk.device.arrive()
            obey = asyncio.create_task(kiosk.obey())
            yield kiosk, printer, core, gate
            obey.cancel()
    finally:
        await gate.stop()


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    play(scenario, 20)


async def cut(kiosk: Kiosk, gate: Gate) -> None:
    gate.shut(True)
    await eventually(lambda: not kiosk.device.online.is_set())
    kiosk._patience_s = PATIENCE_S


def test_the_hall_s_slip_is_printed_and_reported(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (kiosk, printer, core, _):
            assert await kiosk.take(TAKE) == Slip("A001", 1, 3, 60) == printer.slips[0]
            await eventually(lambda: bodies(core, "ticket.report_print"))
            assert bodies(core, "ticket.report_print") == [{"type": "ticket.report_print", "ticket": 1}]

    run(scenario)


def test_a_refusal_prints_nothing(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (kiosk, printer, core, _):
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], refused="quota_full")]
            with pytest.raises(NoSlip, match="quota_full"):
                await kiosk.take(TAKE)
            assert printer.slips == []

    run(scenario)


def test_cut_off_it_gives_its_own_numbers_and_reports_them_in_order(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (kiosk, printer, core, gate):
            await cut(kiosk, gate)
            slips = [await kiosk.take(msgspec.structs.replace(TAKE, service=one)) for one in ("si", "tax", "si")]
            assert slips == [Slip("X001"), Slip("X002"), Slip("X003")] == printer.slips
            gate.shut(False)
            await eventually(lambda: len(bodies(core, "ticket.report_print")) == 3)
            takes = bodies(core, "ticket.take")
            assert [(one["number"], one["service"]) for one in takes] == [
                ("X001", "si"),
                ("X002", "tax"),
                ("X003", "si"),
            ]
            assert ["replaces" in one for one in takes] == [False] * 3, "no take was under way"
            assert [one["ticket"] for one in bodies(core, "ticket.report_print")] == [1, 2, 3]

    run(scenario)


def test_silence_of_the_hall_is_ended_by_an_own_number_that_replaces_the_take(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (kiosk, printer, core, _):
            core.answer, kiosk._patience_s = silent, PATIENCE_S
            assert await kiosk.take(TAKE) == Slip("X001")
            core.answer = granting
            kiosk.device.resend()
            await eventually(lambda: len(bodies(core, "ticket.report_print")) == 1)
            assert [(one.get("number"), one.get("replaces")) for one in bodies(core, "ticket.take")] == [
                (None, None),
                ("X001", 1),
            ]
            assert printer.slips == [Slip("X001")], "the late answer is nobody's"
            assert bodies(core, "ticket.report_print")[0]["ticket"] == 2

    run(scenario)


def test_a_kiosk_without_a_prefix_waits(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker, "") as (kiosk, printer, _, gate):
            await cut(kiosk, gate)
            waiting = asyncio.ensure_future(kiosk.take(TAKE))
            await asyncio.sleep(PATIENCE_S * 1.5)
            assert not waiting.done() and printer.slips == []
            gate.shut(False)
            assert (await waiting).number == "A001"

    run(scenario)


def test_own_numbers_go_on_over_a_restart_and_the_slips_of_before_are_reported(
    iotcore_broker: RunningBroker, tmp_path: Path
) -> None:
    async def scenario() -> None:
        outbox = SqliteOutbox(tmp_path / "kiosk.db")
        kiosk, _ = a_kiosk(1, outbox=outbox)  # nothing listens there
        kiosk._patience_s = PATIENCE_S
        async with kiosk.device:
            assert [(await kiosk.take(TAKE)).number for _ in range(2)] == ["X001", "X002"]
        outbox.close()
        outbox = SqliteOutbox(tmp_path / "kiosk.db")
        async with at_work(iotcore_broker, outbox=outbox) as (kiosk, _, core, gate):
            await eventually(lambda: len(bodies(core, "ticket.report_print")) == 2)
            assert [one["number"] for one in bodies(core, "ticket.take")] == ["X001", "X002"]
            await cut(kiosk, gate)
            assert (await kiosk.take(TAKE)).number == "X003"
        outbox.close()

    run(scenario)


def test_out_of_paper_is_said_of_the_ticket_and_of_the_kiosk(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (kiosk, printer, core, gate):
            printer.fault = "paper_out"
            with pytest.raises(NoSlip, match="paper_out"):
                await kiosk.take(TAKE)
            await eventually(lambda: core.states[-1][1]["faults"] == ["paper_out"])
            assert core.states[-1][1]["state"] == "degraded"
            await cut(kiosk, gate)
            with pytest.raises(NoSlip):
                await kiosk.take(TAKE)
            gate.shut(False)
            await eventually(lambda: len(bodies(core, "ticket.report_print")) == 2)
            reports = bodies(core, "ticket.report_print")
            assert [(one["ticket"], one["ok"], one["fault"]) for one in reports] == [
                (1, False, "paper_out"),
                (3, False, "paper_out"),
            ]
            printer.fault = ""
            await kiosk.take(TAKE)
            await eventually(lambda: core.states[-1][1]["state"] == "ready")

    run(scenario)


def test_a_slip_is_printed_again_when_the_hall_says_so(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (_, printer, core, __):
            await core.order("kiosk-1", 7, wire.KioskPrint(4, "A004"))
            await eventually(lambda: bodies(core, "ticket.report_print"))
            assert printer.slips == [Slip("A004", 4)]

    run(scenario)


def test_the_hall_puts_offline_people_where_they_belong(iotcore_broker: RunningBroker) -> None:
    """The real hall: an hour's own numbers, and one that replaces a take which the hall has heard."""

    async def scenario() -> None:
        gate = Gate(iotcore_broker.port)
        await gate.start("127.0.0.1", 0)
        kiosk, _ = a_kiosk(gate.port)
        rules = changed(POLICY, calendar={"week": (1, 2, 3, 4, 5, 6, 7), "periods": ("00:00-24:00",)})
        rules = msgspec.structs.replace(rules, hall=msgspec.structs.replace(rules.hall, cutover="00:00"))
        async with real_core_at(iotcore_broker.port, rules, wall_ms) as core, kiosk.device:
            await kiosk.device.arrive()
            assert (await kiosk.take(TAKE)).number == "A001"
            await cut(kiosk, gate)
            assert [(await kiosk.take(TAKE)).number for _ in range(2)] == ["X001", "X002"]
            gate.shut(False)
            facts: list[object] = []

            def told() -> int:
                facts[:] = [record.decode(row.kind, row.v, row.payload)[0] for _, _, row in core.rows]
                return sum(isinstance(one, t.TicketPrinted) for one in facts)

            await eventually(lambda: told() == 3)
            taken = [one for one in facts if isinstance(one, t.TicketTaken)]
            assert [(one.number, one.offline) for one in taken] == [("A001", False), ("X001", True), ("X002", True)]
            assert taken[1].t_eff_ms <= taken[2].t_eff_ms and taken[1].happened_ms
            await eventually(lambda: not len(kiosk.device.outbox))
        await gate.stop()

    run(scenario)
