"""workers/speaker.py: which messages follow from facts, and which pictures are drawn when."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import msgspec

from core import commands as c
from devices import pictures, topics
from tests.desks import PROOFS
from tests.halls import HALL, MIN, POLICY, Driven, changed, opened
from workers.ports import Outgoing
from workers.speaker import PRINT_LIVES_MS, SAY_LIVES_MS, SYNC_WITHIN_MS, WAITING_GAP_MS, Speaker

VOICES = tuple(
    msgspec.structs.replace(POLICY.devices[0], id=f"voice-{zone}", kind="voice", offline_prefix="", zone=zone)
    for zone in ("", "w1")
)

STEP_MS: Final = 50  # as often as the dispatcher looks at every hall


@dataclass
class Spoken:
    """A hall, its speaker, and a real clock of its own."""

    driven: Driven
    real_ms: int = 1_000_000

    def __post_init__(self) -> None:
        self.speaker = Speaker(self.driven.hall, 3, lambda: self.driven.at_ms, lambda: self.real_ms, PROOFS)
        self.driven.hall.take_effects()

    def say(self, *, repaint: bool = False) -> list[Outgoing]:
        return self.speaker.messages(self.driven.hall.take_effects(), repaint=repaint)

    def screens(self, *, repaint: bool = False) -> list[str]:
        """Whose pictures are sent."""
        return sorted(one.topic.split("/")[3] for one in self.say(repaint=repaint) if one.retain)

    def wait(self, ms: int) -> None:
        """Time goes by."""
        self.real_ms += ms

    def orders(self) -> dict[str, Any]:
        """By device: the one-shot order."""
        found = [one for one in self.say() if not one.retain]
        assert all(one.topic.endswith("/command") and one.hall == HALL and one.n for one in found)
        return {one.topic.split("/")[3]: msgspec.json.decode(one.payload) for one in found}


def a_hall(**parts: Any) -> Spoken:
    spoken_ = Spoken(opened(**parts))
    spoken_.say(repaint=True)
    return spoken_


def with_voices() -> Spoken:
    return a_hall(devices=(*POLICY.devices, *VOICES))


def test_the_press_is_that_of_the_counters_own_screen() -> None:
    screens = tuple(
        msgspec.structs.replace(
            POLICY.devices[0], id=f"screen-{no}", kind="counter_screen", offline_prefix="", counter=no
        )
        for no in (1, 2)
    )
    said = a_hall(devices=(*POLICY.devices, *screens))
    said.driven.take()
    said.driven.call(1)
    said.real_ms += WAITING_GAP_MS
    found = said.speaker.messages(said.driven.hall.take_effects(), repaint=True, pressed={1: 5.0})
    assert {one.topic.split("/")[3]: one.pressed_s for one in found if one.pressed_s} == {"screen-1": 5.0}


def test_before_a_policy_there_is_nothing_to_say() -> None:
    from core.hall import Hall
    from core.state import HallState

    speaker = Speaker(Hall(HallState(HALL)), 1, lambda: 0, lambda: 0)
    assert speaker.messages(Hall(HallState(HALL)).take_effects(), repaint=True) == [] == speaker.sync()


def test_a_call_repaints_the_counter_the_board_and_who_counts_people() -> None:
    s = a_hall()
    s.driven.take()
    s.say()
    s.driven.call(1)
    assert s.screens() == ["board-1", "caller-1", "ev-1"], "the people are counted within a second"
    s.real_ms += WAITING_GAP_MS
    s.driven.take()
    s.driven.call(2)
    assert s.screens() == ["board-1", "caller-1", "caller-2", "caller-3", "ev-2", "kiosk-1", "kiosk-2"]


def test_takes_are_counted_once_a_second_and_none_is_forgotten() -> None:
    s, painted = a_hall(), list[int]()
    for turn in range(3 * WAITING_GAP_MS // STEP_MS):
        if turn % 2 == 0:
            s.driven.take()
        if found := s.screens():
            assert found == ["board-1", "caller-1", "caller-2", "caller-3", "kiosk-1", "kiosk-2"]
            painted.append(s.real_ms)
        s.real_ms += STEP_MS
    assert [later - one for one, later in pairwise(painted)] == [WAITING_GAP_MS] * (len(painted) - 1)
    assert len(painted) == 3, "none waits longer than the second"


def test_halls_painted_together_count_at_times_of_their_own() -> None:
    def counted_ms(name: str) -> int:
        driven = opened()
        driven.state.hall = name
        s = Spoken(driven)
        s.say(repaint=True)
        s.driven.take()
        return next(at for at in range(0, WAITING_GAP_MS + 1, STEP_MS) if s.screens() or s.wait(STEP_MS))

    times = [counted_ms(f"h{at}") for at in range(40)]
    assert max(map(times.count, times)) <= 6, "of 40 halls, few in the same 50 ms"


def test_a_repaint_shows_everything_once() -> None:
    s = a_hall()
    s.driven.take()
    everything = sorted(
        name
        for name, device in s.driven.state.devices.items()
        if device.kind in (*pictures.AT_COUNTER, *pictures.SHARED)
    )
    assert s.screens(repaint=True) == everything and not s.speaker.stale


def test_a_call_in_the_batch_of_a_repaint_is_not_put_behind_all_screens() -> None:
    s = a_hall()
    s.driven.take()
    s.say()
    s.driven.call(1)
    at_once = {one.topic.split("/")[3] for one in s.say(repaint=True) if not one.again}
    assert at_once == {"board-1", "caller-1", "ev-1"}


def test_a_picture_says_its_epoch_and_the_n_it_shows() -> None:
    s = a_hall()
    (one,) = [one for one in s.say(repaint=True) if "board-1" in one.topic]
    picture = msgspec.json.decode(one.payload)
    assert (picture["epoch"], picture["revision"], picture["sent_ms"]) == (3, s.driven.state.n, s.driven.at_ms)
    drawn = pictures.draw(s.driven.state, s.driven.state.devices["board-1"])
    assert picture["body"] == msgspec.json.decode(msgspec.json.encode(drawn))
    assert (one.topic, one.retain, one.n) == (topics.build(HALL, "board-1", topics.SCREEN), True, 0)


def test_a_call_is_spoken_in_its_zone_with_the_position_of_its_fact() -> None:
    s = with_voices()
    s.driven.take("tax")
    s.driven.call(2)  # stands in w1
    n = s.driven.state.n
    orders = s.orders()
    assert sorted(orders) == ["voice-", "voice-w1"], "a voice without a zone speaks everywhere"
    for order in orders.values():
        assert (order["id"], order["until_ms"]) == (n, s.driven.at_ms + SAY_LIVES_MS)
        assert order["body"]["type"] == "voice.say" and order["body"]["text"] == "请B零零一号到2号窗口"
    s.driven.take("id")
    s.driven.call(3)
    assert sorted(s.orders()) == ["voice-"]


def test_a_call_of_long_ago_is_not_spoken_but_its_picture_is_shown() -> None:
    s = with_voices()
    s.driven.take()
    s.driven.call()
    s.driven.at_ms += SAY_LIVES_MS
    effects = s.driven.hall.take_effects()
    assert [one for one in s.speaker.messages(effects) if not one.retain], "just in time"
    s.driven.at_ms += 1
    assert {one.topic.split("/")[3] for one in s.speaker.messages(effects)} == {"board-1", "caller-1", "ev-1"}


def test_a_reprint_goes_to_who_asked_for_it() -> None:
    s = with_voices()
    ticket = s.driven.take()
    s.driven.send("kiosk-2", c.ReprintTicket(ticket.ticket))
    ((device, order),) = s.orders().items()
    assert device == "kiosk-2" and order["body"] == {"type": "kiosk.print", "ticket": 1, "number": "A001"}
    assert order["until_ms"] == s.driven.at_ms + PRINT_LIVES_MS


def test_a_sync_asks_every_device_that_is_not_gone() -> None:
    s = a_hall()
    s.driven.ask(c.RetireDevice("kiosk-2"))
    told = s.speaker.sync()
    assert sorted(one.topic.split("/")[3] for one in told) == sorted({*s.driven.state.devices} - {"kiosk-2"})
    (order,) = {one.payload for one in told}
    body = msgspec.json.decode(order)["body"]
    assert body == {"type": "device.sync", "now_ms": s.driven.at_ms, "within_ms": SYNC_WITHIN_MS}
    assert not any(one.retain or one.n for one in told), "it is no effect of a fact"


def test_a_retired_device_is_shown_nothing() -> None:
    s = a_hall()
    for device in ("caller-1", "kiosk-2"):
        s.driven.ask(c.RetireDevice(device))
    shown = s.screens(repaint=True)
    assert "caller-1" not in shown and "kiosk-2" not in shown


def test_devices_of_a_new_policy_are_shown_at_once() -> None:
    s = a_hall()
    board = msgspec.structs.replace(POLICY.devices[-1], id="board-2")
    s.driven.change(changed(devices=(*POLICY.devices, board)))
    assert "board-2" in s.screens()


def test_a_device_that_comes_back_at_another_counter_is_shown_that_one() -> None:
    s = a_hall()
    s.driven.ask(c.RetireDevice("caller-1"))
    s.say()
    s.driven.ask(c.RegisterDevice("caller-1", "caller", counter=2))
    s.driven.at_ms += MIN
    s.driven.ask(c.PauseCounter(2))
    shown = {one.topic.split("/")[3]: msgspec.json.decode(one.payload) for one in s.say()}
    assert shown["caller-1"]["body"]["counter"] == 2


def test_a_call_is_spoken_in_the_language_of_its_ticket() -> None:
    s = with_voices()
    s.driven.take(lang="en")
    s.driven.call()
    assert s.orders()["voice-"]["body"]["text"] == "Number A zero zero one, please come to counter 1"


def test_the_order_says_all_that_a_box_with_recordings_needs() -> None:
    s = a_hall(devices=(*POLICY.devices, *VOICES), voice={"times": 3})
    s.driven.take("tax")
    s.driven.call(2)
    body = s.orders()["voice-w1"]["body"]
    assert body == {
        "type": "voice.say",
        "call": 1,
        "text": "请B零零一号到2号窗口",
        "lang": "zh",
        "times": 3,
        "number": "B001",
        "counter": 2,
        "zone": "w1",
    }


def test_who_has_come_is_not_called_any_more() -> None:
    """As after a broker that was away: the order is of a moment ago, its ticket is served already."""
    s = with_voices()
    s.driven.take()
    s.driven.call()
    effects = s.driven.hall.take_effects()
    s.driven.ask(c.StartServing(1))
    assert [one for one in s.speaker.messages(effects) if not one.retain] == []


def test_of_two_calls_of_a_counter_only_the_one_that_stands_is_spoken() -> None:
    s = with_voices()
    s.driven.take()
    s.driven.take()
    s.driven.call()
    effects = s.driven.hall.take_effects()
    s.driven.ask(c.MissTicket(1))
    s.driven.call()
    assert not [one for one in s.speaker.messages(effects) if not one.retain]
    assert s.orders()["voice-"]["body"]["number"] == "A002"


def test_a_recall_is_another_order_for_the_same_call_and_is_seen_on_the_board() -> None:
    s = with_voices()
    s.driven.take()
    s.driven.call()
    first = s.orders()["voice-"]
    s.driven.at_ms += MIN
    s.driven.ask(c.RecallTicket(1))
    assert s.driven.hall.effects.board
    again = s.orders()["voice-"]
    assert again["id"] > first["id"] and again["body"] == first["body"]


def test_an_evaluator_that_asks_shows_the_token_of_that_serving_and_no_other() -> None:
    PROOFS.base_url = "http://hall.example"
    a = a_hall()

    def shown() -> dict[str, Any]:
        return [msgspec.json.decode(one.payload)["body"] for one in a.say() if "/ev-1/" in one.topic][-1]

    a.driven.take()
    opening = a.driven.serve(1)
    body = shown()
    assert body["call"] == opening.call and body["token"] == PROOFS.mint(HALL, opening.call, opening.due_ms)
    assert body["address"] == f"http://hall.example/e/{body['token']}"
    a.driven.ask(c.SubmitEvaluation(call=opening.call, level=1, proof="token", channel="qr"))
    body = shown()
    assert (body["phase"], body["token"], body["address"]) == ("idle", "", "")
