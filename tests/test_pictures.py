"""devices/pictures.py: what each screen shows in each state; equal states, equal pictures."""

import msgspec
import pytest

from core import commands as c
from core.device import Device, DeviceState
from core.facts import PolicyChanged
from core.hall import Hall
from core.policy import ZonePart
from core.state import restored
from devices.pictures import (
    BoardPicture,
    CallerPicture,
    CounterPicture,
    EvaluatorPicture,
    KioskPicture,
    Line,
    Picture,
    draw,
)
from tests.halls import POLICY, Driven, changed, opened


def shown(hall: Driven, device: str) -> Picture:
    picture = draw(hall.state, hall.state.devices[device])
    assert picture is not None
    return picture


def screen(hall: Driven, counter: int = 1) -> CounterPicture:
    picture = draw(hall.state, Device("s", "counter_screen", counter=counter))
    assert isinstance(picture, CounterPicture)
    return picture


def test_a_counters_screen_follows_the_ticket() -> None:
    hall = Driven()
    assert screen(hall) == CounterPicture(1, "", "closed", "")
    hall.sign_on(1)
    assert screen(hall) == CounterPicture(1, "", "idle", "staff-1")
    hall.take()
    hall.call(1)
    assert screen(hall) == CounterPicture(1, "A001", "calling", "staff-1")
    hall.ask(c.StartServing(1))
    assert screen(hall) == CounterPicture(1, "A001", "serving", "staff-1")
    hall.ask(c.PauseCounter(1, after_current=True))
    hall.ask(c.FinishServing(1))
    assert screen(hall) == CounterPicture(1, "", "paused", "staff-1")


def test_a_keypad_counts_who_waits_for_it_and_who_is_held_and_tells_why() -> None:
    hall = opened()
    for _ in range(3):
        hall.take()
    hall.call(1)
    hall.ask(c.HoldTicket(1))
    hall.call(1)
    picture = shown(hall, "caller-1")
    assert isinstance(picture, CallerPicture)
    assert (picture.number, picture.status, picture.waiting, picture.held) == ("A002", "calling", 1, 1)
    assert picture.why["en"].startswith("A002") and "A002" in picture.why["zh"]
    hall.ask(c.StartServing(1))
    assert shown(hall, "caller-1").why == {}


def test_a_reason_outlives_a_policy_that_drops_a_class() -> None:
    """A call by the old classes, told under the new: no picture fails, whatever it says."""
    hall = opened()
    picked, passed = hall.take(), hall.take(cls="care")
    hall.ask(c.CallTicket(picked.ticket, 1))
    hall.ask(c.CancelTicket(passed.ticket))
    services = tuple(msgspec.structs.replace(part, classes=()) for part in POLICY.services)
    (fact,) = hall.change(changed(POLICY, classes=POLICY.classes[3:4], services=services))
    assert isinstance(fact, PolicyChanged)
    assert draw(hall.state, hall.state.devices["caller-1"]) is not None


def test_an_evaluator_asks_after_a_finish_until_it_is_answered_or_the_next_counts() -> None:
    hall = opened()
    assert shown(hall, "ev-1") == EvaluatorPicture(1, "idle", "staff-1", 0, 0, "gov@3")
    hall.take()
    hall.serve(1)
    asking = shown(hall, "ev-1")
    assert asking == EvaluatorPicture(1, "rating", "staff-1", 1, hall.at_ms + 45_000, "gov@3")
    hall.ask(c.SubmitEvaluation(1, 5))
    assert shown(hall, "ev-1") == EvaluatorPicture(1, "idle", "staff-1", 0, 0, "gov@3")
    hall.ask(c.PauseCounter(1))
    assert shown(hall, "ev-1").phase == "paused"
    hall.ask(c.SignOffStaff(1))
    assert shown(hall, "ev-1") == EvaluatorPicture(1, "signed_out", "", 0, 0, "gov@3")


def test_the_board_shows_the_last_calls_and_who_waits() -> None:
    hall = opened()
    for service in ("si", "si", "tax"):
        hall.take(service)
    hall.call(1)
    hall.call(2)
    assert shown(hall, "board-1") == BoardPicture(
        [Line(1, "A001", 1), Line(2, "A002", 2)], [("si", 0), ("tax", 1), ("id", 0)]
    )


def test_a_recall_is_seen_on_the_board() -> None:
    """Not everybody hears the voice."""
    hall = opened(calling={"recall_gap_s": 0, "max_recalls": 2})
    for counter, service in ((1, "si"), (3, "id")):
        hall.take(service)
        hall.call(counter)
    hall.ask(c.RecallTicket(1))
    hall.ask(c.RecallTicket(1))
    assert shown(hall, "board-1").calls == [Line(1, "A001", 1, 3), Line(2, "C001", 3, 1)]
    hall.ask(c.HoldTicket(1, "papers"))
    hall.ask(c.ResumeTicket(1))
    assert shown(hall, "board-1").calls[-1] == Line(3, "A001", 1, 1), "another call begins anew"
    hall.ask(c.RecallTicket(1))
    assert [line.times for line in shown(hall, "board-1").calls] == [1, 1, 2], "and is no recall of the first"


def test_a_board_in_a_zone_shows_the_calls_there_and_who_waits_there_or_anywhere() -> None:
    services = (msgspec.structs.replace(POLICY.services[2], zone="w2"), *POLICY.services[:2])
    zones = (ZonePart("w1"), ZonePart("w2"))
    boards = tuple(msgspec.structs.replace(POLICY.devices[-1], id=f"board-{zone}", zone=zone) for zone in ("w1", "w2"))
    hall = opened(services=services, zones=zones, devices=(*POLICY.devices, *boards))
    for counter, service in ((1, "si"), (2, "tax"), (3, "id")):
        hall.take(service)
        hall.call(counter)
    assert shown(hall, "board-w1") == BoardPicture([Line(2, "B001", 2)], [("si", 0), ("tax", 0)])
    assert shown(hall, "board-w2") == BoardPicture([], [("id", 0), ("si", 0), ("tax", 0)])
    assert len(shown(hall, "board-1").calls) == 3


def test_a_kiosk_shows_places_left() -> None:
    hall = opened()
    hall.take("si")
    assert shown(hall, "kiosk-1") == KioskPicture(True, [("si", 1, 39), ("tax", 0, -1), ("id", 0, -1)])
    hall.ask(c.CloseDay())
    assert shown(hall, "kiosk-1").open is False


@pytest.mark.parametrize("kind", ["voice", "peripheral", "sensor", "caller", "counter_screen", "evaluator"])
def test_what_has_no_counter_or_no_screen_shows_nothing(kind: str) -> None:
    assert draw(opened().state, Device("d", kind, counter=9)) is None
    if kind in ("voice", "peripheral", "sensor"):
        assert draw(opened().state, Device("d", kind, counter=1)) is None


def test_a_retired_device_shows_nothing() -> None:
    assert draw(opened().state, Device("d", "caller", counter=1, state=DeviceState.RETIRED)) is None


def test_equal_states_give_equal_pictures_and_drawing_changes_nothing() -> None:
    hall = opened()
    for service in ("si", "tax", "si"):
        hall.take(service)
    hall.serve(1)
    hall.call(1)
    before = hall.state.digest()
    again = Hall(restored(hall.state.snapshot())).state
    for device in hall.state.devices.values():
        assert msgspec.json.encode(draw(hall.state, device)) == msgspec.json.encode(draw(again, device))
    assert hall.state.digest() == before
