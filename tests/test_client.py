"""devices/client.py against a scripted hall on real brokers: what a device may and must do on the wire."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from core.commands import CallNext, PauseCounter, TakeTicket
from devices import topics, wire
from devices.client import Device, SwitchedOff
from devices.flight import Timing
from devices.outbox import MemoryOutbox, SqliteOutbox
from tests.brokers import RunningBroker
from tests.minicore import HALL, Core, core_at, done, eventually, heard_all, silent
from tests.scripted import play

QUICK = Timing(resend_s=0.15, resend_max_s=0.3, keep_s=0.3, backoff_s=0.02, backoff_max_s=0.1)
SLOW = Timing(backoff_s=0.02, backoff_max_s=0.1)  # nothing is sent again for want of an answer
KEEPING = Timing(keep_s=0.3, backoff_s=0.02, backoff_max_s=0.1)
NAME = "caller-01"


def a_device(broker: RunningBroker, **more: Any) -> Device:
    settings: dict[str, Any] = {"hall": HALL, "device": NAME, "profile": "caller", "timing": SLOW, **more}
    url = broker.url if settings.get("v5") else f"mqtt://127.0.0.1:{broker.port}"
    return Device(url, **settings)


@asynccontextmanager
async def at_work(broker: RunningBroker, **more: Any) -> AsyncIterator[tuple[Device, Core]]:
    """A connected device and its hall."""
    async with core_at(broker.port) as core, a_device(broker, **more) as device:
        await device.arrive()
        yield device, core


def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
    play(scenario, 20)


def test_a_command_is_answered(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(broker) as (device, core):
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], ok=wire.Ok("called", 5, "A001", 9, 1))]
            result = await device.send(CallNext())
            assert result == wire.Result(1, ok=wire.Ok("called", 5, "A001", 9, 1))
            _, [event] = core.messages[0]
            assert event["body"] == {"type": "ticket.call_next"}
            assert not len(device.outbox)

    run(scenario)


def test_version_5_works_too(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(broker, v5=broker.kind == "mosquitto") as (device, _):
            assert (await device.send(CallNext())).ok is not None

    run(scenario)


def test_birth_comes_before_events_and_the_will_speaks_when_the_cable_is_pulled(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with core_at(broker.port) as core:
            async with a_device(broker) as device:
                waiting = device.post(CallNext())
                await waiting
                assert core.states[0] == (NAME, {**core.states[0][1], "state": "ready", "link": 1})
                device.drop()
                await eventually(lambda: [state["state"] for _, state in core.states][1:] == ["lost", "ready"])
                assert [state["link"] for _, state in core.states] == [1, 1, 2]
                assert {state["boot"] for _, state in core.states} == {device.outbox.boot}
            await eventually(lambda: core.states and core.states[-1][1]["state"] == "closed")

    run(scenario)


def test_a_puback_without_an_answer_keeps_the_event_and_sends_it_again(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker, timing=QUICK) as (device, core):
            core.answer = silent
            future = device.post(CallNext())
            await eventually(lambda: len(core.messages) >= 3)
            assert len({(one["boot"], one["seq"], str(one["body"])) for _, [one] in core.messages}) == 1
            assert not future.done()
            assert len(device.outbox) == 1
            core.answer = done
            assert (await future).ok == wire.Ok("done")
            assert not len(device.outbox)

    run(scenario)


def test_a_lost_connection_sends_the_same_message_again(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(broker) as (device, core):
            core.answer = silent
            future = device.post(TakeTicket(service="si"))
            await eventually(lambda: core.messages)
            core.answer = done
            device.drop()
            await future
            (_, [first]), (_, [second]) = core.messages
            assert {**first, "sent_ms": 0, "age_ms": 0} == {**second, "sent_ms": 0, "age_ms": 0}
            assert second["sent_ms"] > first["sent_ms"]
            assert second["age_ms"] > 0

    run(scenario)


def test_one_message_is_unacknowledged_at_a_time(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (device, core):
            core.answer = silent
            futures = [device.post(CallNext())]
            await eventually(lambda: core.messages)
            futures += [device.post(CallNext()) for _ in range(100)]
            await heard_all(device, core)
            assert [len(events) for _, events in core.messages] == [1], "the first was alone when it was sent"
            core.answer = done
            await core.ack(NAME, device.outbox.boot, [wire.Result(1, ok=wire.Ok("done"))])
            await asyncio.gather(*futures)
            assert [len(events) for _, events in core.messages] == [1, 64, 36]
            assert [seq for message in core.numbers() for _, seq in message] == list(range(1, 102))

    run(scenario)


def test_a_batch_is_no_larger_than_a_message_may_be(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (device, core):
            large = wire.Rate(call=1, level=5, comment="好" * 1900)
            await asyncio.gather(*[device.post(large) for _ in range(6)])
            assert len(core.messages) >= 3
            with pytest.raises(ValueError, match="does not fit"):
                device.post(wire.Rate(call=1, level=5, comment="x" * 17_000))

    run(scenario)


def test_an_answer_to_half_of_a_batch_leaves_the_other_half(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker, timing=QUICK) as (device, core):
            core.answer = lambda _, events: (
                done("", events[: len(events) // 2]) if len(events) > 1 else done("", events)
            )
            futures = [device.post(CallNext()) for _ in range(5)]
            await asyncio.gather(*futures)
            assert len({future.result().seq for future in futures}) == 5

    run(scenario)


def test_sync_is_obeyed_with_birth_and_resend(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(broker) as (device, core):
            core.answer = silent
            future = device.post(CallNext())
            await eventually(lambda: core.messages)
            core.answer = done
            for _ in range(2):  # with the same id: an idle hall's position does not move
                births = len(core.states)
                await core.order(NAME, 7, wire.DeviceSync(core.now_ms(), 20))
                await eventually(lambda births=births: len(core.states) > births)
            await future
            await heard_all(device, core)
            assert [state["link"] for _, state in core.states][:3] == [1, 1, 1]
            assert len(core.messages) == 2, "and nothing that is answered"

    run(scenario)


def test_orders_are_done_once_in_time_and_if_known(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (device, core):
            say = wire.VoiceSay(1, "请", "zh")
            for ident, body, lives_ms in (
                (1, wire.Beep(), 30_000),
                (1, wire.Beep(), 30_000),
                (1, say, 30_000),
                (2, wire.Beep(), -1),
                (3, {"type": "door.open"}, 30_000),
                (4, {"type": "caller.beep", "colour": "red"}, 30_000),
            ):
                await core.order(NAME, ident, body, lives_ms=lives_ms)
            done_ids = []
            async for order in device.commands():
                done_ids.append((order.id, type(order.body).__name__))
                if order.id == 4:
                    break
            assert done_ids == [(1, "Beep"), (1, "VoiceSay"), (4, "Beep")]
            assert (device.counts.repeated, device.counts.too_late, device.counts.unreadable) == (1, 1, 1)

    run(scenario)


def test_the_hall_s_clock_decides_what_is_too_late(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        slow_ms = -3_600_000
        async with at_work(iotcore_broker, now_ms=lambda: time.time_ns() // 1_000_000 + slow_ms) as (device, core):
            await device.send(CallNext())
            assert device.skew_ms == pytest.approx(-slow_ms, abs=5_000)
            await core.order(NAME, 1, wire.Beep(), lives_ms=-1_000)
            await core.order(NAME, 2, wire.Beep())
            async for order in device.commands():
                assert order.id == 2, "by its own clock the first would have an hour left"
                break

    run(scenario)


def test_the_newest_picture_wins(broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with core_at(broker.port) as core:
            await core.show(NAME, 1, 5, {"at": "rest"})
            seen: list[bytes] = []
            async with a_device(broker, on_screen=lambda shown: seen.append(bytes(shown.body))) as device:
                await eventually(lambda: seen)
                coming = asyncio.ensure_future(device.next_screen())
                for epoch, revision in ((1, 4), (1, 5), (1, 9), (2, 1), (1, 99)):
                    await core.show(NAME, epoch, revision, {"at": [epoch, revision]})
                await core.say(NAME, topics.SCREEN, b"\xff not a picture")
                await eventually(lambda: device.counts.unreadable)
                assert [*map(bytes.decode, seen)] == ['{"at":"rest"}', '{"at":[1,9]}', '{"at":[2,1]}']
                assert (await coming).order == (1, 9)
                assert device.screen is not None
                assert device.screen.order == (2, 1)

    run(scenario)


def test_keep_means_later_and_the_same(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        at: list[float] = []

        def unknown_once(_: str, events: list[dict[str, Any]]) -> list[wire.Result]:
            at.append(time.monotonic())
            if len(at) > 1:
                return done("", events)
            return [wire.Result(events[0]["seq"], refused="device_unknown", keep=True)]

        async with at_work(iotcore_broker, timing=KEEPING) as (device, core):
            core.answer = unknown_once
            future = device.post(CallNext())
            await eventually(lambda: device.counts.kept)
            device.resend()
            assert (await future).ok is not None
            assert at[1] - at[0] >= KEEPING.keep_s
            assert core.numbers()[0] == core.numbers()[1]

    run(scenario)


def test_refused_is_final(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker, timing=KEEPING) as (device, core):
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], refused="nothing_eligible")]
            assert (await device.send(CallNext())).refused == "nothing_eligible"
            await heard_all(device, core)
            assert len(core.messages) == 1

    run(scenario)


@pytest.mark.parametrize("reason", ["seq_reused", "boot_retired"])
def test_a_number_known_to_the_hall_goes_again_under_a_new_boot(reason: str, iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        told: list[tuple[str, int, str]] = []
        outbox = MemoryOutbox()
        old = outbox.boot

        def observe(device: str, boot: str, seq: int, kind: str, result: wire.Result) -> None:
            told.append((boot, seq, kind))

        async with at_work(iotcore_broker, outbox=outbox, observer=observe) as (device, core):
            core.answer = silent
            futures = [device.post(CallNext())]
            await eventually(lambda: core.messages)
            futures.append(device.post(PauseCounter()))
            core.answer = done
            await core.ack(NAME, old, [wire.Result(1, refused=reason, again=True)])
            assert [(await future).ok for future in futures] == [wire.Ok("done")] * 2
            assert outbox.boot != old
            assert told == [(outbox.boot, 1, "ticket.call_next"), (outbox.boot, 2, "counter.pause")]
            assert core.numbers() == [[(old, 1)], [(outbox.boot, 1), (outbox.boot, 2)]]

    run(scenario)


def test_again_on_the_only_sending_is_an_answer_to_a_boot_of_our_own(iotcore_broker: RunningBroker) -> None:
    """The hall stopped after its commit, and the broker sent it the event once more."""

    async def scenario() -> None:
        async with at_work(iotcore_broker) as (device, core):
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], ok=wire.Ok("done"), again=True)]
            assert (await device.send(CallNext())).again
            assert (len(core.messages), device.counts.new_boots) == (1, 0)

    run(scenario)


def test_again_on_the_only_sending_tells_a_boot_from_storage_that_it_is_old(
    iotcore_broker: RunningBroker, tmp_path: Path
) -> None:
    async def scenario() -> None:
        SqliteOutbox(tmp_path / "outbox.db").close()
        outbox = SqliteOutbox(tmp_path / "outbox.db")
        old = outbox.boot
        async with at_work(iotcore_broker, outbox=outbox) as (device, core):
            core.answer = lambda _, events: [
                wire.Result(events[0]["seq"], ok=wire.Ok("done"), again=events[0]["boot"] == old)
            ]
            assert not (await device.send(CallNext())).again
            assert core.numbers() == [[(old, 1)], [(outbox.boot, 1)]]
            assert outbox.boot != old
        outbox.close()

    run(scenario)


def test_a_boot_that_was_answered_afresh_is_proven(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario() -> None:
        SqliteOutbox(tmp_path / "outbox.db").close()
        outbox = SqliteOutbox(tmp_path / "outbox.db")
        async with at_work(iotcore_broker, outbox=outbox) as (device, core):
            await device.send(CallNext())
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], ok=wire.Ok("done"), again=True)]
            assert (await device.send(CallNext())).again
            assert device.counts.new_boots == 0
        outbox.close()

    run(scenario)


def test_a_restarted_device_sends_what_its_storage_kept(iotcore_broker: RunningBroker, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with core_at(iotcore_broker.port) as core:
            core.answer = silent
            outbox = SqliteOutbox(tmp_path / "outbox.db")
            async with a_device(iotcore_broker, outbox=outbox) as device:
                future = device.post(TakeTicket(service="si"))
                await eventually(lambda: core.messages)
            with pytest.raises(SwitchedOff):
                await future
            outbox.close()
            core.answer = lambda _, events: [wire.Result(events[0]["seq"], ok=wire.Ok("done"), again=True)]
            outbox = SqliteOutbox(tmp_path / "outbox.db")
            async with a_device(iotcore_broker, outbox=outbox) as device:
                await eventually(lambda: not len(outbox))
                assert device.counts.new_boots == 0, "it had been sent before: `again` is its answer"
            outbox.close()
            assert core.numbers()[0] == core.numbers()[1]
            links = [state["link"] for _, state in core.states if state["state"] == "ready"]
            assert links == [1, 2]

    run(scenario)


def test_without_a_broker_commands_wait(broker: RunningBroker) -> None:
    async def scenario() -> None:
        await asyncio.to_thread(broker.stop)
        async with a_device(broker, timing=QUICK) as device:
            futures = [device.post(TakeTicket(service="si")) for _ in range(3)]
            await asyncio.to_thread(broker.start)
            async with core_at(broker.port) as core:
                await asyncio.gather(*futures)
                assert [seq for _, seq in core.numbers()[-1]] == [1, 2, 3]

    run(scenario)


def test_a_broken_observer_ends_the_device_loudly(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            async with at_work(iotcore_broker, observer=broken) as (device, _):
                device.post(CallNext())
                with pytest.raises(SwitchedOff):
                    await device.send(CallNext())

    run(scenario)


def test_faults_are_part_of_the_state(iotcore_broker: RunningBroker) -> None:
    async def scenario() -> None:
        async with at_work(iotcore_broker) as (device, core):
            device.report(("paper_out",))
            await eventually(lambda: core.states and core.states[-1][1]["state"] == "degraded")
            assert core.states[-1][1]["faults"] == ["paper_out"]
            device.report(())
            await eventually(lambda: core.states and core.states[-1][1]["state"] == "ready")

    run(scenario)
