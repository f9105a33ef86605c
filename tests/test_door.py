"""workers/door.py: commands are answered after the commit, looks see the committed state."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from core import commands as c
from core.facts import StaffSignedOff
from devices import topics
from tests.desks import said
from tests.halls import HALL, MORNING
from tests.test_dispatcher import Around, around
from workers.door import WAITING_MAX, Busy, Door

TAKE = b'{"boot":"boot","seq":1,"body":{"type":"ticket.take","service":"si"}}'


def serve(one: Around, *asked: Awaitable[Any], batches: int = 1) -> list[Any]:
    """What each hears when the loop turns so many times."""

    async def scenario() -> list[Any]:
        tasks = [asyncio.ensure_future(ask) for ask in asked]
        await asyncio.sleep(0)
        one.batches_, one.log = [()] * batches, []
        await one.dispatcher.serve()
        return await asyncio.gather(*tasks, return_exceptions=True)

    return asyncio.run(scenario())


def test_a_page_is_answered_after_the_commit_and_not_on_its_topic() -> None:
    one = around()
    told: list[str] = []

    async def ask() -> Any:
        found = await one.dispatcher.door.submit(HALL, "kiosk-1", TAKE)
        told.extend(one.steps())
        return found

    (result,) = serve(one, ask())
    assert result.ok.number == "A001"
    assert told.index("durable") >= 0, "nothing is heard before it is durable"
    assert not one.messages(topics.ACK), "a page reads its answer, not the broker"


def test_a_page_takes_no_answer_away_from_a_device_of_the_same_batch() -> None:
    one = around()

    async def scenario() -> None:
        page = asyncio.ensure_future(one.dispatcher.door.submit(HALL, "kiosk-1", TAKE))
        await asyncio.sleep(0)
        one.batches_ = [[said("kiosk-2", 1)]]
        await one.dispatcher.serve()
        assert (await page).ok is not None

    asyncio.run(scenario())
    (result,) = one.results("kiosk-2")
    assert result.ok is not None and not one.results("kiosk-1")


def test_a_page_that_resends_gets_its_first_answer() -> None:
    one = around()
    door = one.dispatcher.door
    first, again = serve(one, door.submit(HALL, "kiosk-1", TAKE), door.submit(HALL, "kiosk-1", TAKE))
    assert again.again and again.ok == first.ok
    (part,) = one.parts()
    assert len(part.facts) == 1


@pytest.mark.parametrize(
    ("hall", "device", "payload", "refused"),
    [
        ("h9", "kiosk-1", TAKE, "device_unknown"),
        (HALL, "nobody", TAKE, "device_unknown"),
        (HALL, "caller-1", TAKE, "forbidden"),
        (HALL, "kiosk-1", b"{", "bad_field"),
        (HALL, "kiosk-1", TAKE.replace(b"ticket.take", b"ticket.bake"), "unknown_kind"),
    ],
)
def test_what_cannot_be_is_refused(hall: str, device: str, payload: bytes, refused: str) -> None:
    one = around()
    (result,) = serve(one, one.dispatcher.door.submit(hall, device, payload))
    assert result.refused == refused


def test_a_command_of_the_shell_gives_its_facts() -> None:
    one = around()
    facts, none = serve(one, one.dispatcher.door.ask(HALL, c.SignOffStaff(1)), one.dispatcher.door.ask("h9", c.Tick()))
    assert [type(fact) for fact in facts] == [StaffSignedOff] and none == []


def test_a_look_sees_what_is_durable() -> None:
    one = around()
    door = one.dispatcher.door
    seen, _ = serve(
        one, door.look(lambda desks: desks[HALL].hall.state.tally.taken), door.submit(HALL, "kiosk-1", TAKE)
    )
    assert seen == 1


def test_too_many_are_told_at_once_and_a_closed_door_opens_no_more() -> None:
    async def scenario() -> None:
        door = Door()
        tasks = [asyncio.ensure_future(door.look(len)) for _ in range(WAITING_MAX)]
        await asyncio.sleep(0)
        assert door.restless()
        with pytest.raises(Busy):
            await door.look(len)
        door.close()
        assert all(
            isinstance(one, asyncio.CancelledError) for one in await asyncio.gather(*tasks, return_exceptions=True)
        )
        with pytest.raises(Busy):
            await door.ask(HALL, c.Tick())
        assert not door.restless()

    asyncio.run(scenario())


def test_whoever_has_gone_meanwhile_is_not_missed() -> None:
    one = around()

    async def scenario() -> None:
        waits = asyncio.ensure_future(one.dispatcher.door.submit(HALL, "kiosk-1", TAKE))
        looks = asyncio.ensure_future(one.dispatcher.door.look(len))
        await asyncio.sleep(0)
        waits.cancel()
        looks.cancel()
        one.batches_ = [()]
        await one.dispatcher.serve()

    asyncio.run(scenario())
    assert one.parts(), "what was asked is done all the same"


def test_the_loop_ends_and_so_does_the_waiting() -> None:
    one = around()

    async def scenario() -> Any:
        door = one.dispatcher.door
        await one.dispatcher.serve()
        try:
            return await door.look(len)
        except Busy:
            return "busy"

    assert asyncio.run(scenario()) == "busy"
    assert one.now_ms == MORNING
