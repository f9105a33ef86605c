"""core/state.py: digest, snapshot, and what a restored hall decides afterwards."""

import itertools

import msgspec
import pytest

from core import commands as c
from core.hall import Hall
from core.state import HallState, restored
from tests.halls import HALL, MIN, POLICY, Driven, changed, clock, opened


def busy_hall() -> Driven:
    """Tickets in every open state, a booking, a rating, a visit with a plan, a scheduled policy."""
    hall = opened(calling={"start": "explicit", "arrive_timeout_s": 600})
    hall.take("si", person_ref="a" * 32, plan=("tax",))
    for service in ("si", "si", "si", "tax", "tax", "id"):
        hall.take(service, cls="ordinary" if service == "id" else "green")
    hall.take("tax", number="X001")
    for step in (c.CallNext(1), c.HoldTicket(1), c.CallNext(1), c.MissTicket(1), c.CallNext(1), c.StartServing(1)):
        hall.ask(step)
    hall.ask(c.CallNext(2))
    hall.serve(3)
    hall.ask(c.MakeBooking("si", hall.at_ms + 90 * MIN))
    hall.ask(c.CheckInBooking(1))
    hall.ask(c.MakeBooking("si", hall.at_ms + 90 * MIN))
    hall.change(changed(hall.state.policy or POLICY), effective_ms=hall.at_ms + 240 * MIN)
    return hall


def test_an_empty_hall_has_a_digest_and_a_snapshot() -> None:
    state = HallState(HALL)
    assert restored(state.snapshot()).digest() == state.digest()
    assert state.digest() != HallState("h2").digest()


def test_a_restored_hall_is_byte_for_byte_the_same_and_goes_on_the_same() -> None:
    """Until the day after tomorrow: every deadline of the live hall comes to the restored one at the same time."""
    hall = busy_hall()
    again = Hall(restored(hall.state.snapshot()))
    assert again.state.digest() == hall.state.digest()
    end_ms = hall.at_ms + 3 * 1440 * MIN
    brought = 0
    while (due := hall.hall.due(end_ms)) is not None:
        assert again.due(end_ms) == due
        for fact in due[1]:
            hall.hall.evolve(fact, due[0])
            again.evolve(fact, due[0])
            brought += 1
        assert again.state.digest() == hall.state.digest()
    assert again.due(end_ms) is None
    assert brought > 12


def test_who_waits_by_service_is_known_after_a_restart() -> None:
    live = busy_hall().state
    again = restored(live.snapshot())
    assert sum(live.queued.values()) > 0
    assert [again.waiting(one) for one in range(4)] == [live.waiting(one) for one in range(4)]


def test_every_fact_is_a_place_to_restart() -> None:
    """Also between two facts of one command: the answer of its number is the same."""
    hall = busy_hall()
    whole = hall.state.digest()
    for cut in range(len(hall.journal)):
        start = Hall(HallState(HALL))
        short = Driven.__new__(Driven)
        short.journal = hall.journal[:cut]
        head = short.replayed(start)
        assert hall.replayed(Hall(restored(head.state.snapshot())), cut).state.digest() == whole


def test_bytes_that_are_no_snapshot_are_a_decode_error() -> None:
    for bytes_ in (b"", b"\x00", b"\xff" * 9, busy_hall().state.snapshot()[:-3]):
        with pytest.raises(msgspec.DecodeError):
            restored(bytes_)


def test_counts_name_every_open_state() -> None:
    counted = {state.name: count for state, count in busy_hall().state.counted().items()}
    assert counted == {"WAITING": 4, "CALLED": 1, "SERVING": 1, "HELD": 1, "MISSED": 1}


def test_another_policy_gives_the_same_history() -> None:
    """Replay evolves facts; the policy it finds in them is the one of then, whatever is in force later."""
    hall = busy_hall()
    before = hall.state.digest()
    lines = len(hall.journal)
    hall.change(changed(POLICY, version=9, calling={"max_recalls": 0}, returns={"holds": 0, "return_min": 0}))
    short = Driven.__new__(Driven)
    short.journal = hall.journal[:lines]
    assert short.replayed().state.digest() == before


def test_serials_start_at_one_each_day() -> None:
    hall = opened()
    hall.take()
    hall.take()
    hall.at_ms = clock("2026-11-24 08:30")
    hall.due()
    ticket = hall.take()
    assert (ticket.ticket, ticket.number, hall.state.serial(3), hall.state.ticket_of(1)) == (3, "A001", 1, 3)


def test_ids_are_never_used_again() -> None:
    hall = opened()
    seen: list[int] = []
    for day in itertools.count(23):
        hall.at_ms = clock(f"2026-11-{day} 09:00")
        hall.due()
        hall.take()
        seen.append(hall.call().call)
        hall.ask(c.CloseDay())
        if day == 25:
            break
    assert seen == [1, 2, 3]
