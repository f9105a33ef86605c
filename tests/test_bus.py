"""devices/bus.py: one address at a time, with a device that only writes down what it is asked."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import commands as c
from devices import bus, frames, keys, wire
from devices.bus import Address, Counts, Unit
from devices.client import Device
from devices.frames import Frame
from devices.intake import Shown
from devices.outbox import OutboxFull
from devices.pictures import CallerPicture, CounterPicture, EvaluatorPicture
from tests.minicore import eventually

CALL = Frame(3, frames.KEYPAD, bytes([keys.CALL]))


class Diary:
    """Stands for a device and for the line: what happened, in order."""

    def __init__(self, **address: Any) -> None:
        self.happened: list[Any] = []
        self.futures: list[asyncio.Future[wire.Result]] = []
        self.full = False
        self.faults: tuple[str, ...] = ()
        self.counts = Counts()
        self.unit = Unit(Address(addr=3, device="k", **address), cast(Device, self), self.say, self.counts)

    def post(self, command: Any) -> "asyncio.Future[wire.Result]":
        if self.full:
            raise OutboxFull("full")
        self.happened.append(command)
        future: asyncio.Future[wire.Result] = asyncio.get_running_loop().create_future()
        self.futures.append(future)
        return future

    def report(self, faults: tuple[str, ...]) -> None:
        self.faults = faults
        self.happened.append(faults)

    def say(self, frame: Frame) -> None:
        self.happened.append(frame)

    def picture(self, number: str, status: str = "calling") -> None:
        body = msgspec.json.encode(CallerPicture(1, number, status, 0, 0))
        self.unit.on_screen(Shown(1, 1, 1, msgspec.Raw(body)))

    def taken(self) -> list[Any]:
        found, self.happened = self.happened, []
        return found


def in_a_loop(scenario: Callable[[Diary], Any], **address: Any) -> None:
    async def play() -> None:
        diary = Diary(**address)
        found = scenario(diary)
        if found is not None:
            await found
        diary.unit.rest()

    asyncio.run(play())


def test_the_event_is_kept_before_it_is_echoed() -> None:
    def scenario(diary: Diary) -> None:
        diary.unit.heard(CALL, 0)
        assert diary.taken() == [c.CallNext(), CALL]

    in_a_loop(scenario)


def test_what_cannot_be_kept_is_not_echoed_and_may_be_pressed_again() -> None:
    def scenario(diary: Diary) -> None:
        diary.full = True
        diary.unit.heard(CALL, 0)
        assert diary.taken() == [] and diary.counts.full == 1
        diary.full = False
        diary.unit.heard(CALL, 50)
        assert diary.taken() == [c.CallNext(), CALL]

    in_a_loop(scenario)


def test_a_bounce_is_echoed_and_not_kept() -> None:
    def scenario(diary: Diary) -> None:
        for at_ms in (1000, 1100, 1299):
            diary.unit.heard(CALL, at_ms)
        assert diary.taken() == [c.CallNext(), CALL, CALL, CALL] and diary.counts.bounced == 2
        diary.unit.heard(CALL, 1300)
        diary.unit.heard(Frame(3, 1, bytes([keys.RECALL])), 1310)
        diary.unit.heard(CALL, 1320)
        kept = [one for one in diary.taken() if not isinstance(one, Frame)]
        assert kept == [c.CallNext(), c.RecallTicket(), c.CallNext()], "another key in between is no bounce"

    in_a_loop(scenario)


@pytest.mark.parametrize(
    ("function", "data", "command"),
    [
        (1, "0c", c.CallNext()),
        (7, "0c", c.CallNext()),
        (1, "0d", c.RecallTicket()),
        (1, "0b", c.FinishServing()),
        (1, "12", c.PauseCounter(why="break")),
        (1, "13", c.TransferTicket(to_service="tax")),
        (1, "0213", c.TransferTicket(to_service="id")),
        (1, "0313", None),
        (1, "0013", None),
        (1, "060f", c.AbandonTicket()),
        (1, "000f", c.HoldTicket()),
        (1, "030f", c.ResumeTicket()),
        (1, "11", None),
        (1, "0e", None),
        (1, "040f", None),
        (0x11, "03", wire.Rate(key=3)),
        (0x11, "0100", wire.Rate(key=0)),
    ],
)
def test_a_frame_asks_for(function: int, data: str, command: Any) -> None:
    """Read off the protocol by hand. What asks for nothing is acknowledged and counted."""

    def scenario(diary: Diary) -> None:
        frame = Frame(3, function, bytes.fromhex(data))
        diary.unit.heard(frame, 0)
        assert diary.taken() == [*([command] if command else []), frames.echo(frame)]
        assert (diary.counts.pressed, diary.counts.unused) == ((1, 0) if command else (0, 1))

    in_a_loop(scenario, transfer_to=("tax", "id"))


def test_pause_ends_a_pause() -> None:
    def scenario(diary: Diary) -> None:
        for at_ms, (status, command) in enumerate(
            [("paused", c.ResumeCounter()), ("idle", c.PauseCounter(why="break"))]
        ):
            diary.picture("", status)
            diary.unit.heard(Frame(3, 1, bytes([keys.PAUSE])), at_ms * 1000)
            assert diary.taken()[0] == command

    in_a_loop(scenario)


def test_a_refusal_beeps_twice_and_a_grant_not_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "BEEP_GAP_S", 0.01)

    async def scenario(diary: Diary) -> None:
        for at_ms, result in ((0, wire.Result(1, ok=wire.Ok("done"))), (1000, wire.Result(2, refused="counter_busy"))):
            diary.unit.heard(CALL, at_ms)
            assert diary.unit.pending
            diary.taken()
            diary.futures[-1].set_result(result)
            await eventually(lambda: not diary.unit.pending)
            if result.refused:
                await eventually(lambda: len(diary.happened) == 2)
            await asyncio.sleep(0.05)
            assert diary.taken() == [frames.beep(3)] * (2 if result.refused else 0)
        diary.unit.heard(CALL, 2000)
        diary.futures[-1].cancel()
        diary.unit.heard(CALL, 3000)
        diary.futures[-1].set_exception(ConnectionError("off"))
        await asyncio.sleep(0.02)
        assert frames.beep(3) not in diary.taken()

    in_a_loop(scenario)


def test_a_number_is_shown_until_it_is_echoed_and_three_times_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bus, "ECHO_S", 0.02)
    shown = frames.show(3, "A012")

    async def scenario(diary: Diary) -> None:
        diary.picture("A012")
        diary.picture("A012")
        await eventually(lambda: ("silent",) in diary.happened)
        await asyncio.sleep(0.1)
        assert diary.taken() == [shown, shown, shown, ("silent",)]
        diary.unit.heard(shown, 0)  # its echo: it is there again, and shows what it should
        assert diary.taken() == [(), shown]
        diary.unit.heard(shown, 0)
        await asyncio.sleep(0.1)
        assert diary.taken() == [], "an echo is no key, and ends the waiting"
        diary.picture("B001")
        await eventually(lambda: len(diary.happened) == 2)
        diary.unit.heard(frames.show(3, "B001"), 0)
        await asyncio.sleep(0.1)
        assert diary.taken() == [frames.show(3, "B001")] * 2

    in_a_loop(scenario)


def test_pictures_of_other_kinds_show_nothing() -> None:
    def scenario(diary: Diary) -> None:
        for picture in (CounterPicture(1, "A1", "idle", ""), EvaluatorPicture(1, "rating", "", 1, 2, "x")):
            diary.unit.on_screen(Shown(1, 1, 1, msgspec.Raw(msgspec.json.encode(picture))))
        diary.unit.on_screen(Shown(1, 1, 1, msgspec.Raw(b"{}")))
        assert diary.taken() == []

    in_a_loop(scenario)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=1, max_size=3), st.integers(0, 400))))
@settings(max_examples=60, deadline=None)
def test_no_frame_raises_and_each_is_echoed_once_or_is_an_echo(pressed: list[tuple[int, bytes, int]]) -> None:
    def scenario(diary: Diary) -> None:
        at_ms = 0
        for function, data, later_ms in pressed:
            at_ms += later_ms
            diary.unit.heard(Frame(3, function, data), at_ms)
        said = [one for one in diary.taken() if isinstance(one, Frame)]
        assert said == [frames.echo(Frame(3, f, data)) for f, data, _ in pressed if f not in frames.FROM_HOST]
        counts = diary.counts
        assert counts.pressed + counts.bounced + counts.unused == len(said)

    in_a_loop(scenario)
