"""devices/clerk.py: how a press is timed to the counter's own screen, whichever comes first; who is known."""

import asyncio

import msgspec

from devices import clerk
from devices.clerk import Floor, remember
from devices.people import MINUTE_MS
from devices.pictures import CounterPicture


def a_floor() -> Floor:
    return Floor("mqtt://127.0.0.1:1", "h1", seed=7, speed=60, now_ms=lambda: 0)


def a_screen(number: str, status: str = "calling") -> bytes:
    return msgspec.json.encode(CounterPicture(3, number, status, "s1"))


def test_a_press_ends_when_the_counter_s_screen_shows_the_number() -> None:
    floor = a_floor()
    floor.presses(3)
    floor.answered(3, "A002")
    floor.on_counter(a_screen("A001"))
    floor.on_counter(a_screen("A002", "serving"))
    assert len(floor.tally.press_ms) == 0
    floor.on_counter(a_screen("A002"))
    floor.on_counter(a_screen("A002"))
    assert len(floor.tally.press_ms) == 1


def test_a_screen_may_be_faster_than_the_answer() -> None:
    floor = a_floor()
    floor.presses(3)
    floor.on_counter(a_screen("A002"))
    assert len(floor.tally.press_ms) == 0, "nobody has said yet that it was granted"
    floor.answered(3, "A002")
    assert len(floor.tally.press_ms) == 1


def test_a_refused_press_is_not_timed() -> None:
    floor = a_floor()
    floor.presses(3)
    floor.answered(3, "")
    floor.on_counter(a_screen("A002"))
    assert len(floor.tally.press_ms) == 0
    assert floor.tally.presses == 1


def test_hall_time_is_real_time_times_speed() -> None:
    assert a_floor().real_s(MINUTE_MS) == 1.0

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await a_floor().sleep(MINUTE_MS // 20)
        assert 0.04 <= loop.time() - began < 1

    asyncio.run(scenario())


def test_everybody_draws_for_themselves_and_the_same_each_time() -> None:
    one, two = a_floor(), a_floor()
    one.rng("caller-02").random()
    assert one.rng("caller-01").random() == two.rng("caller-01").random()
    assert one.rng("caller-01").random() != one.rng("caller-02").random()


def test_the_oldest_are_forgotten() -> None:
    table = {at: at for at in range(clerk.KNOWN_MAX)}
    remember(table, -1, -1)
    assert len(table) == clerk.KNOWN_MAX
    assert 0 not in table
    assert -1 in table
