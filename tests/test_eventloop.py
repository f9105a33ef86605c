"""workers/eventloop.py: timers to the microsecond, and what can be read ends the wait."""

import asyncio
import os

import pytest

from workers.eventloop import new, run


def test_a_loop_wakes_within_a_part_of_a_millisecond() -> None:
    loop, took = new(), list[float]()
    try:
        while len(took) < 20 or (min(took) >= 0.001 and len(took) < 1000):  # a busy machine is late now and then
            begin = loop.time()
            loop.call_later(0.0002, lambda: (took.append(loop.time() - begin), loop.stop()))  # noqa: B023 - run at once
            loop.run_forever()
    finally:
        loop.close()
    assert 0.0002 <= min(took) < 0.001, "epoll alone rounds up to whole milliseconds"


def test_what_can_be_read_ends_the_wait() -> None:
    loop, (here, there) = new(), os.pipe()
    try:
        loop.add_reader(here, loop.stop)
        loop.call_later(0.001, os.write, there, b"x")
        late = loop.call_later(30, pytest.fail)
        loop.run_forever()
        late.cancel()
    finally:
        loop.close()
        os.close(here)
        os.close(there)


def test_it_runs_as_asyncio_does() -> None:
    async def failing() -> None:
        await asyncio.sleep(0)
        raise ValueError("out")

    assert run(asyncio.sleep(0.0001, 7)) == 7
    with pytest.raises(ValueError, match="out"):
        run(failing())
