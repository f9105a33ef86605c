"""workers/inbox.py: batches, tokens, generations; the whole against a plain model."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.inbox import BATCH_BYTES, PROBE, Received
from workers.ports import Input


def an_inbox(batch_max: int = 3) -> tuple[Received, list[int]]:
    acked: list[int] = []
    return Received(batch_max, acked.extend), acked


def put(inbox: Received, *packet_ids: int) -> None:
    for one in packet_ids:
        inbox.inputs.append(Input("jh/v1/h1/k1/event", b"%d" % one, 0, False))
        inbox.ids.append(one)
    inbox.wake()


def test_batches_are_cut_and_nothing_is_lost() -> None:
    async def scenario() -> list[list[bytes]]:
        inbox, _ = an_inbox()
        put(inbox, *range(1, 8))
        inbox.close()
        return [[one.payload for one in batch] async for batch in inbox]

    assert asyncio.run(scenario()) == [[b"1", b"2", b"3"], [b"4", b"5", b"6"], [b"7"]]


def test_a_batch_is_cut_by_its_bytes_too() -> None:
    """An array counts as what it holds: a fold of all of them at once would hold the loop for a second."""

    async def scenario() -> list[int]:
        inbox, _ = an_inbox(1000)
        for size in (BATCH_BYTES + 1, BATCH_BYTES // 2, BATCH_BYTES // 2, 1, 0):
            inbox.inputs.append(Input("jh/v1/h1/k1/event", b"x" * size, 0, False))
            inbox.ids.append(1)
        inbox.close()
        return [len(batch) async for batch in inbox]

    assert asyncio.run(scenario()) == [1, 2, 2]


def test_what_gathered_meanwhile_is_one_batch_and_a_waiting_reader_is_woken() -> None:
    async def scenario() -> None:
        inbox, _ = an_inbox(10)
        reader = asyncio.create_task(anext(inbox))
        await asyncio.sleep(0)
        assert not reader.done()
        put(inbox, 1, 2)
        assert len(await reader) == 2

    asyncio.run(scenario())


def test_a_cancelled_reader_leaves_the_inbox_usable() -> None:
    async def scenario() -> None:
        inbox, _ = an_inbox()
        reader = asyncio.create_task(anext(inbox))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.wait([reader])
        put(inbox, 1)
        assert len(await anext(inbox)) == 1

    asyncio.run(scenario())


def test_qos_0_has_nothing_to_acknowledge() -> None:
    async def scenario() -> None:
        inbox, acked = an_inbox()
        put(inbox, 0, 5, 0)
        inbox.settle(await anext(inbox))
        assert acked == [5] and inbox.level() == 0

    asyncio.run(scenario())


def test_a_strange_batch_is_refused() -> None:
    inbox, _ = an_inbox()
    with pytest.raises(StopIteration):
        inbox.settle([Input("t", b"", 0, False)])


def test_finished_means_settled_and_the_reader_came_back() -> None:
    async def scenario() -> None:
        inbox, _ = an_inbox()
        put(inbox, 1)
        batch = await anext(inbox)
        inbox.close()
        assert not inbox.finished()
        inbox.settle(batch)
        assert not inbox.finished(), "its effects may not be emitted yet"
        with pytest.raises(StopAsyncIteration):
            await anext(inbox)
        assert inbox.finished()

    asyncio.run(scenario())


STEPS = st.lists(st.sampled_from(["put", "probe", "qos0", "take", "settle", "settle last", "break"]), max_size=60)


@given(STEPS)
def test_acknowledged_are_the_settled_prefix_of_this_connection(steps: list[str]) -> None:
    """Model: every message with its generation, in order of receipt; a PUBACK only when all before it are settled."""

    async def scenario() -> None:
        inbox, acked = an_inbox()
        open_batches: list[Sequence[Input]] = []
        received: list[int] = []  # of this connection
        settled: set[int] = set()
        for next_id, step in enumerate(steps, 1):
            if step in ("put", "qos0"):
                put(inbox, next_id if step == "put" else 0)
                received += [next_id] if step == "put" else []
            elif step == "probe":
                inbox.inputs.append(Input(PROBE, b"", 0, False))
                inbox.ids.append(next_id)
                inbox.probes += 1
                received.append(next_id)
                settled.add(next_id)
            elif step == "take" and inbox.inputs:
                inbox.nudge()
                if batch := await anext(inbox):
                    open_batches.append(batch)
            elif step.startswith("settle") and open_batches:
                batch = open_batches.pop(-1 if step == "settle last" else 0)
                settled |= {int(one.payload) for one in batch}
                inbox.settle(batch)
            elif step == "break":
                inbox.next_generation()
                received.clear()
                acked.clear()
            prefix = [one for at, one in enumerate(received) if set(received[: at + 1]) <= settled]
            assert acked == prefix[: len(acked)], "in order, none before it is settled"
            if not inbox.inputs and not open_batches:
                assert acked == prefix, "and none is forgotten"
                assert inbox.level() == 0
            assert inbox.level() >= len(inbox.inputs) + sum(map(len, open_batches))

    asyncio.run(scenario())
