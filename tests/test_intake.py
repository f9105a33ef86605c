"""devices/intake.py: a bounded memory of orders, a bounded queue of them."""

import asyncio

from devices import wire
from devices.flight import Counts
from devices.intake import ORDERS_MAX, REMEMBERED, Orders


def an_order(ident: int) -> bytes:
    return wire.encode(wire.Message(ident, 0, 1, wire.Beep()))


def test_the_last_64_orders_are_remembered() -> None:
    async def scenario() -> None:
        counts = Counts()
        orders = Orders(counts, lambda order: None)
        for ident in range(REMEMBERED + 1):
            orders.take(an_order(ident))
            assert await orders.next() is not None
        orders.take(an_order(1))
        assert counts.repeated == 1
        orders.take(an_order(0))
        assert counts.repeated == 1, "forgotten by now"

    asyncio.run(scenario())


def test_orders_that_nobody_takes_push_out_the_oldest() -> None:
    async def scenario() -> None:
        counts = Counts()
        orders = Orders(counts, lambda order: None)
        for ident in range(ORDERS_MAX + 3):
            orders.take(an_order(ident))
        assert counts.overflowed == 3
        first = await orders.next()
        assert first is not None
        assert first.id == 3
        orders.end()

    asyncio.run(scenario())
