"""devices/conformance_stage.py: a stage waits for what is new, and tells a resend from another body."""

import asyncio
import time
from typing import Any

import pytest

from devices.conformance_stage import Failed, Limits, Skipped, Stage, need
from devices.gate import Gate
from devices.scripted_core import Core, Sending

QUICK = Limits(press=0.2, answer=0.1, quiet=0.01)


class Hands:
    """Does what it is told to when a key is to be pressed."""

    def __init__(self, core: Core, *sent: Sending, can: bool = True) -> None:
        self.core, self.sent, self.can = core, sent, can

    async def press(self) -> bool:
        self.core.sendings += self.sent
        return self.can

    async def power(self) -> bool:
        return False

    async def shown(self) -> str | None:
        return None


def one(seq: int, **body: Any) -> Sending:
    return Sending(time.monotonic(), ("boot", seq), body, 0)


def stage(*sent: Sending, can: bool = True) -> Stage:
    core = Core(None, "h1", "d")  # type: ignore[arg-type]  # nothing is published
    core.sendings.append(one(1))
    return Stage(core, Gate(0), Hands(core, *sent, can=can), QUICK, "kiosk", "h1", "d", 0)


def test_only_a_new_event_answers_a_press() -> None:
    async def scenario() -> None:
        assert (await stage(one(1), one(2)).event()).key == ("boot", 2)
        with pytest.raises(Failed, match="no event after a key"):
            await stage(one(1)).event()
        with pytest.raises(Skipped):
            await stage(can=False).event()

    asyncio.run(scenario())


def test_a_resend_has_the_same_body() -> None:
    async def scenario() -> None:
        for body, fails in (({"type": "a"}, False), ({"type": "b"}, True)):
            now = stage(one(2, type="a"))
            event = await now.event()
            later = asyncio.create_task(now.again(event, 0.5, "never"))
            await asyncio.sleep(0)
            now.core.sendings.append(one(2, **body))
            async with now.core._news:
                now.core._news.notify_all()
            if fails:
                with pytest.raises(Failed, match="another body"):
                    await later
            else:
                assert (await later).key == event.key
        with pytest.raises(Failed, match="never"):
            await now.again(event, 0.05, "never")

    asyncio.run(scenario())


def test_need_is_silent_when_it_holds() -> None:
    need(True, "no")
    with pytest.raises(Failed, match="no"):
        need(False, "no")
