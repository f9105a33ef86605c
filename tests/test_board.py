"""devices/board.py: whatever a board has missed, it ends with the hall's last picture, and says so when it may not."""

import asyncio
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from core import commands as c
from core.policy import Policy
from devices import pictures, wire
from devices.board import Board
from devices.client import Device
from devices.flight import Counts, Timing, wall_ms
from devices.gate import Gate
from devices.intake import Pictures, Shown
from devices.pictures import BoardPicture, Line
from tests.brokers import RunningBroker
from tests.halls import POLICY, changed, opened
from tests.minicore import eventually, real_core_at
from tests.scripted import play

TIMING = Timing(backoff_s=0.02, backoff_max_s=0.1, connect_s=0.4)
ALWAYS: dict[str, Any] = {"week": (1, 2, 3, 4, 5, 6, 7), "periods": ("00:00-24:00",)}


class Wall:
    """What is drawn; stands for the device, too."""

    def __init__(self) -> None:
        self.drawn: list[tuple[BoardPicture, list[Line], bool]] = []
        self.reported: list[int] = []
        self.online = asyncio.Event()
        self.board = Board(self, lambda *what: self.drawn.append(what), stale_s=0.2)  # type: ignore[arg-type]  # all that it uses
        self.pictures = Pictures(Counts(), self.board.show)

    def post(self, command: c.ReportCall) -> None:
        self.reported.append(command.call)

    def shows(self, epoch: int, revision: int, body: Any) -> None:
        self.pictures.take(wire.encode(wire.Screen(epoch, revision, 0, body)))


def a_morning() -> list[BoardPicture]:
    """The pictures of a morning with calls, recalls and returns, as the hall draws them."""
    hall, found = opened(calling={"recall_gap_s": 0}), []
    for at in range(20):
        hall.take("si")
        hall.call(1)
        found.append(pictures.board(hall.state))
        if at % 3 == 0:
            hall.ask(c.RecallTicket(1))
            found.append(pictures.board(hall.state))
        hall.ask(c.MissTicket(1))
        found.append(pictures.board(hall.state))
    return found


MORNING = a_morning()


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_board_that_missed_revisions_and_heard_some_late_or_twice_ends_right(data: st.DataObject) -> None:
    """The broker keeps the last: it comes in the end, among older ones that were under way."""
    heard = data.draw(st.lists(st.integers(0, len(MORNING) - 1), max_size=30))
    restart = data.draw(st.integers(0, len(MORNING)))  # of the hall: epochs rise, and stand before revisions
    heard.insert(data.draw(st.integers(0, len(heard))), len(MORNING) - 1)

    async def scenario() -> None:
        wall = Wall()
        for at in heard:
            wall.shows(*((1, 1000 + at) if at < restart else (2, at)), MORNING[at])
        assert wall.drawn[-1][0] == MORNING[-1]
        assert wall.reported == sorted(set(wall.reported)), "each call once, in order"
        told = {line.call for picture, _, _ in wall.drawn for line in picture.calls}
        assert told == set(wall.reported)

    asyncio.run(scenario())


def test_what_is_new_is_called_out_once_a_recall_again_and_what_it_found_at_its_start_not() -> None:
    async def scenario() -> None:
        wall = Wall()
        first, second = Line(1, "A001", 1), Line(2, "A002", 2)
        steps = [[first], [first, second], [first, second], [first, Line(2, "A002", 2, 2)], [second]]
        for at, calls in enumerate(steps):
            wall.shows(1, at, BoardPicture(calls, []))
        assert [fresh for _, fresh, _ in wall.drawn] == [[], [second], [], [Line(2, "A002", 2, 2)], []]
        wall.board.show(Shown(9, 9, 0, msgspec.Raw(b"{}")))
        assert len(wall.drawn) == len(steps), "a picture of another kind changes nothing"

    asyncio.run(scenario())


def test_a_board_without_a_broker_for_a_while_says_so_until_it_is_back() -> None:
    async def scenario() -> None:
        wall = Wall()
        wall.online.set()
        watching = asyncio.create_task(wall.board.watch())
        wall.shows(1, 1, MORNING[0])
        await asyncio.sleep(0.3)
        assert [stale for _, _, stale in wall.drawn] == [False]
        wall.online.clear()
        await eventually(lambda: wall.drawn[-1][2])
        assert wall.drawn[-1][:2] == (MORNING[0], [])
        wall.online.set()
        await eventually(lambda: not wall.drawn[-1][2])
        watching.cancel()

    play(scenario, 10)


def rules_of_now() -> Policy:
    rules = changed(POLICY, calendar=ALWAYS, calling={"recall_gap_s": 0})
    return msgspec.structs.replace(rules, hall=msgspec.structs.replace(rules.hall, cutover="00:00"))


def test_a_board_that_was_cut_off_while_the_hall_went_on_shows_the_hall_as_it_is(iotcore_broker: RunningBroker) -> None:
    """The real hall and a broker: calls made meanwhile are one retained picture, drawn once."""

    async def scenario() -> None:
        gate, drawn = Gate(iotcore_broker.port), list[BoardPicture]()
        await gate.start("127.0.0.1", 0)
        url = f"mqtt://127.0.0.1:{iotcore_broker.port}"
        cut = f"mqtt://127.0.0.1:{gate.port}"
        device = Device(cut, hall="h1", device="board-1", timing=TIMING, on_screen=lambda shown: board.show(shown))
        board = Board(device, lambda picture, fresh, stale: drawn.append(picture))
        caller = Device(url, hall="h1", device="caller-1", timing=TIMING)
        async with real_core_at(iotcore_broker.port, rules_of_now(), wall_ms) as core, device, caller:
            await device.arrive()
            await caller.send(c.SignOnStaff("s001"))
            await caller.send(c.CallNext())
            await eventually(lambda: drawn)
            gate.shut(True)
            await eventually(lambda: not device.online.is_set())
            core.desk.ask(c.TakeTicket("si"), wall_ms())
            for _ in range(5):
                core.desk.ask(c.TakeTicket("si"), wall_ms())
                assert (await caller.send(c.CallNext())).ok is not None
                await caller.send(c.MissTicket())
            before = len(drawn)
            gate.shut(False)
            await eventually(lambda: drawn[-1] == pictures.board(core.hall.state))
            assert len(drawn[-1].calls) == 5 and len(drawn) <= before + 2
        await gate.stop()

    play(scenario, 30)
