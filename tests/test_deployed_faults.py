"""Faults seen in deployed systems: each has a test named by its id, beside its rule or here."""

import asyncio
import json
import re
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from msgspec import structs

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.hall import Hall
from core.policy import CounterPart, DevicePart, Policy
from core.state import restored
from devices.privacy import personal
from tests.brokers import RunningBroker
from tests.halls import MIN, POLICY, changed, opened
from tests.processes import Served


def test_each_fault_has_a_test_named_by_it() -> None:
    text = "".join(path.read_text() for path in Path("tests").glob("test_*.py"))
    assert {
        int(number) for number in re.findall(r"(?<=_)f(\d+)(?=_)", " ".join(re.findall(r"def (test_f\d\w+)", text)))
    } == set(range(1, 21))


@pytest.mark.parametrize("minutes", [6, 59, 60, 65, 125])
def test_f8_a_serving_of_65_minutes_is_not_one_of_5(minutes: int) -> None:
    hall = opened()
    hall.take()
    hall.serve(1, minutes * MIN)
    assert hall.only(t.ServingFinished).handling_ms == minutes * MIN
    assert hall.only(f.EvaluationOpened).handling_ms == minutes * MIN


@pytest.mark.parametrize("then", ["call", "restart", "sign_off", "day"])
def test_f3_a_rating_after_the_next_call_goes_to_the_clerk_who_served(then: str) -> None:
    """From the keypad within its window, from a page until the window of days ends."""
    hall = opened()
    hall.take("tax")
    hall.take("tax")
    hall.serve(2)
    if then == "call":
        hall.call(2)
    elif then == "restart":
        hall.hall = Hall(restored(hall.state.snapshot()))
    elif then == "sign_off":
        hall.ask(c.SignOffStaff(2))
        hall.ask(c.SignOnStaff("staff-9", 2))
    else:
        hall.wait(1440 * MIN)
    rate = c.SubmitEvaluation(1, 4, channel="sms") if then == "day" else c.SubmitEvaluation(key=0)
    hall.send("ev-2", rate)
    rating = hall.only(f.EvaluationSubmitted)
    assert (rating.call, rating.staff, rating.level) == (1, "staff-2", 4 if then == "day" else 2)
    assert rating.late is (then in ("call", "day"))


def test_f4_every_rating_of_every_profile_has_its_clerk() -> None:
    for device, counter, service, command in (
        ("ev-1", 1, "si", c.SubmitEvaluation(level=1)),
        ("ev-2", 2, "tax", c.SubmitEvaluation(key=0)),
    ):
        hall = opened()
        hall.take(service)
        hall.serve(counter)
        hall.send(device, command)
        assert hall.only(f.EvaluationSubmitted).staff == hall.only(f.CaseOpened).staff == f"staff-{counter}"


@pytest.mark.parametrize("second", [1, 2, 5])
def test_f5_a_rating_stored_twice_is_one_rating_one_rejection_and_one_case(second: int) -> None:
    """Whether the level is the same or not, from another channel, after a restart: the first stands."""
    hall = opened()
    hall.take()
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(1, 2))
    hall.hall = Hall(restored(hall.state.snapshot()))
    (again,) = hall.ask(c.SubmitEvaluation(1, second, channel="qr"))
    assert isinstance(again, f.EvaluationRejected) and again.reason == "already_rated"
    assert (hall.state.evaluations[1].level, list(hall.state.cases)) == (2, [1])


def test_f20_no_id_is_read_from_a_clock_and_no_fact_carries_a_person() -> None:
    """Two halls at other times give the same ids; what they wrote has no identity or phone number in it."""
    ids = []
    for shift in (0, 987_654_321):
        hall = opened()
        hall.at_ms += shift // 1_000_000 * 1000
        hall.take()
        hall.serve(1)
        hall.ask(c.SubmitEvaluation(1, 1))
        ids.append((hall.only(f.EvaluationSubmitted).call, hall.only(f.CaseOpened).case, hall.state.next_ticket))
        assert not any(personal(line.payload.decode("latin-1")) for line in hall.journal)
    assert ids[0] == ids[1] == (1, 1, 2)


# With real devices, a real broker and a process that is killed.


class Desks:
    """Clients of 3.1.1 that press at the same moment; every press is sent again until its result is heard."""

    def __init__(self, client: aiomqtt.Client) -> None:
        self.client = client
        self.seq: Counter[str] = Counter()
        self.results: dict[tuple[str, int], dict[str, Any]] = {}
        self.heard = asyncio.Event()

    async def listen(self) -> None:
        async for message in self.client.messages:
            device = str(message.topic).split("/")[3]
            assert isinstance(message.payload, bytes)
            for one in json.loads(message.payload)["results"]:
                self.results.setdefault((device, one["seq"]), one)
            self.heard.set()

    async def all_at_once(self, devices: list[str], body: dict[str, Any]) -> list[dict[str, Any]]:
        """One press each; their results."""
        keys = []
        for device in devices:
            self.seq[device] += 1
            keys.append((device, self.seq[device]))
        async with asyncio.timeout(20):
            while missing := [key for key in keys if key not in self.results]:
                self.heard.clear()
                for device, seq in missing:
                    event = json.dumps({"boot": "boot", "seq": seq, "body": body})
                    await self.client.publish(f"jh/v1/h1/{device}/event", event, qos=1)
                with suppress(TimeoutError):
                    async with asyncio.timeout(1):
                        while not all(key in self.results for key in keys):
                            await self.heard.wait()
                            self.heard.clear()
        return [self.results[key] for key in keys]


def eight(hall: Policy) -> Policy:
    """Eight counters for everything, eight kiosks."""
    numbers = range(1, 9)
    return changed(
        hall,
        counters=tuple(CounterPart(no, ("tax", "si", "id")) for no in numbers),
        services=tuple(structs.replace(one, quota_day=0) for one in hall.services),
        tickets={"press_gap_ms": 0},
        calendar={"week": (1, 2, 3, 4, 5, 6, 7), "periods": ("00:00-24:00",)},
        hall={"cutover": "00:00"},
        devices=tuple(
            DevicePart(f"{kind}-{no}", kind, counter=no if kind == "caller" else 0)
            for kind in ("caller", "kiosk")
            for no in numbers
        ),
    )


@pytest.mark.slow
def test_f1_f2_eight_devices_at_the_same_moment_and_a_kill_in_between(
    iotcore_broker: RunningBroker, tmp_path: Path
) -> None:
    """Twenty races of eight callers for one ticket: one gets it, each time. Eight kiosks: no number twice."""
    callers, kiosks = ([f"{kind}-{no}" for no in range(1, 9)] for kind in ("caller", "kiosk"))
    policy, url = eight(POLICY), iotcore_broker.url
    settings = {"broker__receive_maximum": iotcore_broker.receive_max}

    async def scenario() -> None:
        async with aiomqtt.Client("127.0.0.1", iotcore_broker.port, protocol=aiomqtt.ProtocolVersion.V311) as client:
            await client.subscribe("jh/v1/h1/+/ack", qos=1)
            desks = Desks(client)
            listening = asyncio.create_task(desks.listen())
            served = await asyncio.to_thread(lambda: Served(tmp_path, [policy], url, **settings).up())
            try:
                for device in callers:
                    await desks.all_at_once([device], {"type": "staff.sign_on", "staff": f"u-{device}"})
                numbers: list[str] = []
                for turn in range(20):
                    if turn % 7 == 3:
                        await asyncio.to_thread(served.kill)
                        served = await asyncio.to_thread(lambda: Served(tmp_path, [policy], url, **settings).up())
                    (taken,) = await desks.all_at_once(kiosks[:1], {"type": "ticket.take", "service": "tax"})
                    numbers.append(taken["ok"]["number"])
                    called = await desks.all_at_once(callers, {"type": "ticket.call_next"})
                    won = [device for device, one in zip(callers, called, strict=True) if "ok" in one]
                    assert len(won) == 1, called
                    assert {one["refused"] for one in called if "refused" in one} == {"nothing_eligible"}
                    await desks.all_at_once(won, {"type": "serving.finish"})
                for turn in range(10):
                    if turn == 5:
                        await asyncio.to_thread(served.kill)
                        served = await asyncio.to_thread(lambda: Served(tmp_path, [policy], url, **settings).up())
                    found = await desks.all_at_once(kiosks, {"type": "ticket.take", "service": "si"})
                    numbers += [one["ok"]["number"] for one in found]
                assert len(set(numbers)) == len(numbers) == 100
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
                await asyncio.to_thread(served.__exit__, None, None, None)

    asyncio.run(scenario())
