"""workers/outbox.py: order, screens newest first, the mark; the whole against a plain model."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.scripted import until
from workers.outbox import AGAIN_STEP_S, MqttOutbox
from workers.ports import Outgoing
from workers.tallies import PRESS


class FakeLink:
    """A window, and PUBACKs when the test says so."""

    def __init__(self, window: int = 1_000_000) -> None:
        self.window = window
        self.flying: list[Outgoing] = []
        self.sent: list[Outgoing] = []
        self.wants: list[bool] = []
        self.broker_waits = False
        self.sender: Any = None

    def attach(self, sender: object) -> None:
        self.sender = sender

    def publish(self, topic: str, payload: bytes, retain: bool, token: object) -> bool:
        if len(self.flying) >= self.window:
            return False
        assert isinstance(token, Outgoing) and (topic, payload, retain) == token[:3]
        self.flying.append(token)
        self.sent.append(token)
        return True

    def wants_acks(self, on: bool) -> None:
        self.wants.append(on)

    def choked(self) -> bool:
        return self.broker_waits

    def ack(self, at: int = 0, refusal: str = "") -> None:
        """As the link does it: told first, room afterwards."""
        self.sender.published(self.flying.pop(at), refusal)
        self.sender.room()


def a_command(n: int, hall: str = "h1") -> Outgoing:
    return Outgoing(f"jh/v1/{hall}/voice/command", b"%d" % n, False, hall, n)


def an_ack(one: int) -> Outgoing:
    return Outgoing("jh/v1/h1/k1/ack", b"%d" % one)


def a_screen(revision: int, device: str = "s1") -> Outgoing:
    return Outgoing(f"jh/v1/h1/{device}/screen", b"%d" % revision, True)


def payloads(messages: list[Outgoing], topic: str = "") -> list[int]:
    return [int(one.payload) for one in messages if one.topic.endswith(topic)]


def test_acks_and_commands_go_out_in_order_within_the_window() -> None:
    async def scenario() -> None:
        link = FakeLink(window=3)
        outbox = MqttOutbox(link)
        await outbox.emit([an_ack(1), a_command(2), an_ack(3), a_command(4), an_ack(5)])
        assert payloads(link.sent) == [1, 2, 3] and outbox.pending() == 5
        while link.flying:
            link.ack()
        assert payloads(link.sent) == [1, 2, 3, 4, 5] and outbox.pending() == 0
        assert outbox.stats.published == {"ack": 3, "command": 2}

    asyncio.run(scenario())


def test_a_screen_has_one_in_flight_and_the_newest_follows() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link, screen_gap_s=0)
        for revision in range(1, 6):
            await outbox.emit([a_screen(revision)])
        assert payloads(link.sent) == [1] and outbox.pending() == 2
        link.ack()
        assert payloads(link.sent) == [1, 5] and outbox.stats.replaced == 3
        link.ack()
        assert payloads(link.sent) == [1, 5] and outbox.pending() == 0

    asyncio.run(scenario())


def test_orders_are_counted_by_what_the_broker_made_of_them() -> None:
    async def scenario() -> None:
        link, now_ms = FakeLink(), 1000
        outbox = MqttOutbox(link, now_ms=lambda: now_ms)
        for n, until_ms in ((1, 1000), (2, 1000), (3, 9000), (4, 0)):
            await outbox.emit([a_command(n)._replace(kind="voice", until_ms=until_ms)])
        await outbox.emit([an_ack(5)])
        link.ack()
        now_ms += 1
        link.ack()
        link.ack(refusal="quota_exceeded")
        link.ack()
        link.ack()
        assert outbox.stats.down == {
            ("h1", "voice", "acked"): 2,
            ("h1", "voice", "expired"): 1,
            ("h1", "voice", "lost"): 1,
        }

    asyncio.run(scenario())


def test_a_press_is_measured_until_the_broker_has_the_picture_that_shows_it() -> None:
    async def scenario() -> None:
        loop, link = asyncio.get_running_loop(), FakeLink()
        outbox = MqttOutbox(link, screen_gap_s=0)
        pressed = a_screen(2)._replace(pressed_s=loop.time() - 0.15)
        for picture in (a_screen(1), pressed, a_screen(3)):  # the third replaces the second, and shows the call too
            await outbox.emit([picture])
        link.ack()
        assert sum(outbox.stats.press.counts) == 0, "the first was drawn before the press"
        link.ack()
        assert outbox.stats.press.counts[PRESS.index(0.2)] == 1 == sum(outbox.stats.press.counts)
        await outbox.emit([a_screen(4)._replace(pressed_s=loop.time())])
        link.ack(refusal="not_authorized")
        assert sum(outbox.stats.press.counts) == 1, "nobody has seen what was refused"

    asyncio.run(scenario())


def test_a_screen_that_waits_for_room_is_replaced_too() -> None:
    async def scenario() -> None:
        link = FakeLink(window=0)
        outbox = MqttOutbox(link)
        await outbox.emit([a_screen(1), a_screen(2)])
        link.window = 9
        outbox.room()
        assert payloads(link.sent) == [2]

    asyncio.run(scenario())


def test_a_screen_rests_between_two_pictures_but_others_do_not_wait_for_it() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        link = FakeLink()
        outbox = MqttOutbox(link, screen_gap_s=0.05)
        since = loop.time()
        for revision in (1, 2, 3):  # so many at once after a rest
            await outbox.emit([a_screen(revision, "s1")])
            link.ack()
        await outbox.emit([a_screen(4, "s1"), a_screen(1, "s2")])
        assert payloads(link.sent, "s2/screen") == [1] and payloads(link.sent, "s1/screen") == [1, 2, 3]
        await outbox.emit([a_screen(5, "s1")])
        await until(lambda: payloads(link.sent, "s1/screen") == [1, 2, 3, 5])
        assert loop.time() - since >= 0.045
        outbox.close()

    asyncio.run(scenario())


def test_three_pictures_at_once_then_ten_a_second_and_no_more() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        link = FakeLink()
        outbox = MqttOutbox(link)
        until_s = loop.time() + 0.35
        revision = 0
        while loop.time() < until_s:
            revision += 1
            await outbox.emit([a_screen(revision)])
            if link.flying:
                link.ack()
            await asyncio.sleep(0.001)
        assert 4 <= len(link.sent) <= 6, "three at 0, then one at 0.1, 0.2 and 0.3 s"
        await until(lambda: payloads(link.sent)[-1] == revision)
        outbox.close()

    asyncio.run(scenario())


def again(revision: int, device: str) -> Outgoing:
    return a_screen(revision, device)._replace(again=True)


def test_what_is_painted_again_goes_out_by_ten_and_behind_what_is_new() -> None:
    """≤ 500 a second: ten in 20 ms. A press waits for none of them."""

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        link = FakeLink()
        outbox = MqttOutbox(link)
        since = loop.time()
        await outbox.emit([again(1, f"s{one}") for one in range(35)])
        assert not link.sent
        await outbox.emit([a_screen(2, "s30"), a_screen(1, "new")])
        assert [one.topic.split("/")[3] for one in link.sent] == ["s30", "new"], "at once"
        await until(lambda: len(link.sent) == 2 + 34)
        assert loop.time() - since >= 3 * AGAIN_STEP_S + AGAIN_STEP_S - 0.005, "34 take four steps"
        assert len({one.topic for one in link.sent}) == 36 and payloads(link.sent, "s30/screen") == [2], "none twice"
        while link.flying:
            link.ack()
        assert outbox.pending() == 0
        outbox.close()

    asyncio.run(scenario())


def test_nothing_is_painted_again_while_the_link_takes_no_more() -> None:
    async def scenario() -> None:
        link = FakeLink(window=0)
        outbox = MqttOutbox(link)
        await outbox.emit([again(1, f"s{one}") for one in range(30)])
        await asyncio.sleep(4 * AGAIN_STEP_S)
        assert len(outbox._again) == 29, "one tried, and waits for room"
        assert outbox._again_timer is None, "nothing wakes while the link is down"
        link.window = 100
        outbox.room()
        await until(lambda: len(link.sent) == 30)
        outbox.close()

    asyncio.run(scenario())


def test_a_picture_painted_again_twice_is_sent_once_with_the_newer() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link)
        await outbox.emit([again(1, "s1"), again(2, "s1")])
        await outbox.emit([a_screen(3, "s1")])
        await outbox.emit([again(4, "s1")])
        link.ack()
        await until(lambda: len(link.sent) == 2)
        assert payloads(link.sent) == [3, 4] and outbox.stats.replaced == 2
        outbox.close()

    asyncio.run(scenario())


def test_screens_and_commands_take_turns() -> None:
    async def scenario() -> None:
        link = FakeLink(window=0)
        outbox = MqttOutbox(link)
        await outbox.emit([an_ack(one) for one in range(10)] + [a_screen(0, f"s{one}") for one in range(3)])
        link.window = 6
        outbox.room()
        assert [one.retain for one in link.sent] == [False, True] * 3

    asyncio.run(scenario())


def test_emit_waits_above_the_bound_and_asks_for_acks() -> None:
    async def scenario() -> None:
        link = FakeLink(window=1)
        outbox = MqttOutbox(link, queue_max=3)
        await outbox.emit([an_ack(1), an_ack(2), an_ack(3)])  # one flies, two wait
        waiting = asyncio.create_task(outbox.emit([an_ack(4)]))
        await until(lambda: link.wants == [True])
        assert not waiting.done()
        link.ack()
        await waiting
        assert link.wants == [True, False] and outbox.pending() == 3

    asyncio.run(scenario())


def test_emit_goes_on_when_the_broker_waits_for_us() -> None:
    async def scenario() -> None:
        link = FakeLink(window=1)
        outbox = MqttOutbox(link, queue_max=1)
        waiting = asyncio.create_task(outbox.emit([an_ack(1), an_ack(2)]))
        await asyncio.sleep(0.12)  # two stalls
        assert not waiting.done(), "no PUBACK alone is no reason"
        link.broker_waits = True
        await waiting
        assert link.wants == [True, False] and outbox.pending() == 2

    asyncio.run(scenario())


def test_a_refused_message_is_lost_counted_and_does_not_hold_the_mark() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link)
        await outbox.emit([a_command(1), a_command(2)])
        link.ack(refusal="not_authorized")
        link.ack()
        assert outbox.stats.lost == {"not_authorized": 1} and outbox.stats.published == {"command": 1}
        assert outbox.marks() == {"h1": 2}

    asyncio.run(scenario())


def test_the_mark_of_a_fact_with_two_effects_waits_for_both_also_when_emit_waits() -> None:
    async def scenario() -> None:
        link = FakeLink(window=1)
        outbox = MqttOutbox(link, queue_max=1)
        emitting = asyncio.create_task(outbox.emit([a_command(1), a_command(2), a_command(2)]))
        await until(lambda: link.sent)
        assert outbox.marks() == {"h1": 0}
        link.ack()
        link.ack()
        assert outbox.marks() == {"h1": 1}
        link.ack()
        await emitting
        assert outbox.marks() == {"h1": 2}

    asyncio.run(scenario())


def test_a_hall_is_heard_when_the_last_order_has_its_puback() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link)
        assert outbox.heard("h1"), "nothing was said"
        await outbox.emit([a_command(1), a_command(2), an_ack(3), a_command(1, "h2")])
        heard = []
        while link.flying:
            heard.append((outbox.heard("h1"), outbox.heard("h2")))
            link.ack()
        assert heard == [(False, False), (False, False), (True, False), (True, False)]
        assert outbox.heard("h2")

    asyncio.run(scenario())


def test_effects_emitted_again_after_a_restart_do_not_pull_the_mark_back() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link)
        await outbox.emit([a_command(7)])
        link.ack()
        assert outbox.marks() == {"h1": 7}
        await outbox.emit([a_command(5), a_command(9)])
        assert outbox.marks() == {"h1": 7}

    asyncio.run(scenario())


def test_the_age_of_the_oldest_and_flush() -> None:
    async def scenario() -> None:
        link = FakeLink()
        outbox = MqttOutbox(link)
        assert outbox.oldest_s() == 0.0
        await outbox.emit([an_ack(1), a_screen(1)])
        await until(lambda: outbox.oldest_s() > 0.002)
        await outbox.emit([an_ack(2)])
        assert outbox.oldest_s() > 0.002, "of the oldest, not of the newest"
        assert not await outbox.flush(0.01)
        flushing = asyncio.create_task(outbox.flush(5))
        await asyncio.sleep(0)
        while link.flying:
            link.ack()
        assert await flushing and outbox.oldest_s() == 0.0

    asyncio.run(scenario())


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("emit"), st.sampled_from(["h1", "h2"]), st.integers(1, 3)),
        st.tuples(st.just("ack"), st.integers(0, 9), st.just(0)),
    ),
    max_size=60,
)


@given(STEPS, st.integers(1, 5))
def test_the_mark_is_the_largest_n_with_everything_before_it_acknowledged(steps: list[Any], window: int) -> None:
    async def scenario() -> None:
        link = FakeLink(window)
        outbox = MqttOutbox(link)
        emitted: dict[str, list[Outgoing]] = {"h1": [], "h2": []}
        done: list[Outgoing] = []
        n = {"h1": 0, "h2": 0}
        before = {"h1": 0, "h2": 0}
        for kind, what, effects in steps:
            if kind == "emit":
                n[what] += effects  # gaps: facts without effects
                some = [Outgoing("t/command", b"%d" % at, False, what, n[what]) for at in range(effects)]
                emitted[what] += some
                await outbox.emit(some)
            elif link.flying:
                at = what % len(link.flying)
                done.append(link.flying[at])
                link.ack(at)
            for hall, mark in outbox.marks().items():
                left = [one.n for one in emitted[hall] if one not in done]
                assert mark == (min(left) - 1 if left else n[hall])
                assert mark >= before[hall], "it never goes back"
                before[hall] = mark

    asyncio.run(scenario())
