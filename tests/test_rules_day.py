"""core/rules_day.py: the business day, cut-over, policies now and later, whatever time brings."""

import msgspec

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.hall import Hall
from core.policy import document
from core.state import HallState
from tests.halls import HALL, MIN, POLICY, Driven, changed, clock, kinds, opened

DAY = 1440 * MIN
CUTOVER = clock("2026-11-24 03:00")


def test_the_first_policy_opens_the_first_day() -> None:
    hall = Driven()
    assert kinds(hall.facts) == ["PolicyChanged", "DayOpened"]
    assert (hall.state.day, hall.state.next_cutover_ms) == (20261123, CUTOVER)


def test_f11_a_late_tick_closes_the_day_once_at_its_own_time() -> None:
    hall = opened()
    hall.take()
    hall.at_ms = CUTOVER + 5 * 60 * MIN
    facts = hall.due()
    assert kinds(facts) == ["TicketExpired", "DayClosed", "DayOpened"]
    assert hall.state.at_ms == CUTOVER
    assert hall.due() == [] and hall.wait(60 * MIN) == []


def test_f11_a_hall_that_slept_for_days_opens_today() -> None:
    hall = opened()
    hall.take()
    hall.at_ms = clock("2026-11-27 09:00")
    assert kinds(hall.due()) == ["TicketExpired", "DayClosed", "DayOpened"]
    assert (hall.state.day, hall.take().number) == (20261127, "A001")


def test_f12_the_day_turns_at_local_time_and_a_clock_step_turns_it_once() -> None:
    """17:00 UTC is 01:00 here: no cut-over. A clock that stands or goes back does nothing."""
    hall = opened()
    hall.at_ms = clock("2026-11-24 01:00")
    assert hall.due() == []
    hall.at_ms = CUTOVER - 1
    assert hall.due() == []
    assert kinds(hall.wait(1)) == ["DayClosed", "DayOpened"]
    hall.at_ms = CUTOVER - 60 * MIN
    assert hall.due() == []
    hall.at_ms = CUTOVER + 1
    assert hall.due() == []


def test_f12_summer_time_has_one_cut_over_a_night() -> None:
    hall = Driven(changed(hall={"tz": "Europe/Berlin", "cutover": "02:30"}), at_ms=clock("2026-10-24 20:00"))
    days = []
    for _ in range(4 * 24 * 4):
        days += [fact.day for fact in hall.wait(15 * MIN) if isinstance(fact, f.DayOpened)]
    assert days == [20261025, 20261026, 20261027, 20261028]


def test_a_day_whose_end_a_policy_has_moved_is_closed_once() -> None:
    hall = opened()
    ticket = hall.take()
    hall.change(changed(hall={"cutover": "05:00"}))
    hall.at_ms = CUTOVER
    assert kinds(hall.due()) == ["DayOpened"]
    assert (ticket.state.name, hall.state.next_cutover_ms) == ("WAITING", CUTOVER + 120 * MIN)
    assert hall.take(number="X001").ticket == 2
    assert hall.call(1).ticket == 1
    assert kinds(hall.wait(120 * MIN)) == ["TicketExpired", "TicketExpired", "DayClosed", "DayOpened"]
    assert hall.state.day == 20261124


def test_the_counts_of_a_closed_day_are_the_conservation_law() -> None:
    hall = opened()
    for _ in range(5):
        hall.take()
    hall.serve(1)
    hall.ask(c.CancelTicket(2))
    hall.call(1)
    hall.ask(c.AbandonTicket(1))
    hall.ask(c.CloseDay())
    assert hall.facts[-1] == f.DayClosed(20261123, taken=5, served=1, cancelled=1, abandoned=1, expired=2)
    assert hall.state.tickets == {}


def test_every_open_ticket_expires_wherever_it_is() -> None:
    hall = opened()
    for _ in range(4):
        hall.take(person_ref="a" * 32 if not hall.state.tickets else "")
    for step in (c.CallNext(1), c.HoldTicket(1), c.CallNext(1), c.MissTicket(1), c.CallNext(1), c.StartServing(1)):
        hall.ask(step)
    hall.ask(c.CloseDay())
    assert hall.facts[:4] == [t.TicketExpired(1), t.TicketExpired(2), t.TicketExpired(3, 1), t.TicketExpired(4)]
    assert (hall.state.visits, hall.state.held, hall.state.calls) == ({}, {}, {})
    assert hall.state.counters[1].state.name == "IDLE"


def test_a_day_closed_by_hand_opens_by_hand_with_its_numbers() -> None:
    hall = opened()
    hall.take()
    assert hall.refused(c.OpenDay(0)) == "day_open"
    hall.ask(c.CloseDay())
    assert hall.refused(c.CloseDay()) == "day_closed"
    assert hall.refused(c.TakeTicket("si")) == "hall_closed"
    hall.ask(c.OpenDay(0))
    assert hall.take().number == "A002"
    assert kinds(hall.wait(DAY)) == ["TicketExpired", "DayClosed", "DayOpened"]


def test_a_day_closed_by_hand_is_not_closed_again_at_the_cut_over() -> None:
    hall = opened()
    hall.ask(c.CloseDay())
    assert kinds(hall.wait(DAY)) == ["DayOpened"]


def test_a_hall_without_a_policy_is_closed() -> None:
    hall = Hall(HallState(HALL))
    assert [fact.reason for fact in hall.decide(c.OpenDay(0), 5)] == ["hall_closed"]
    assert [fact.reason for fact in hall.decide(c.TakeTicket("si"), 5)] == ["service_unknown"]
    assert hall.due(1 << 60) is None


def test_a_document_that_cannot_act_is_refused() -> None:
    hall = opened()
    deep = c.ChangePolicy(2, "x", "[" * 100_000)
    broken = changed(evaluation={"prompt_s": 300})
    other = changed(hall={"id": "h2"})
    for command in (
        c.ChangePolicy(2, "x", "{}"),
        c.ChangePolicy(2, "x", "\ud800"),
        deep,
        c.ChangePolicy(2, "x", document(broken)),
        c.ChangePolicy(2, "x", document(other)),
    ):
        assert hall.refused(command) == "policy_invalid"
    assert hall.refused(c.ChangePolicy(1, "x", document(POLICY))) == "version_not_newer"


def test_what_open_tickets_need_is_not_dropped() -> None:
    hall = opened()
    hall.take("id")
    smaller = changed(POLICY, counters=POLICY.counters[:2], services=POLICY.services[:2], devices=POLICY.devices[:2])
    assert kinds(hall.change(smaller)) == ["Refused"]
    hall.ask(c.CancelTicket(1))
    assert kinds(hall.change(smaller)) == ["PolicyChanged"]
    assert list(hall.state.counters) == [1, 2]


def test_a_policy_for_later_acts_at_its_time() -> None:
    hall = opened()
    hall.change(changed(calling={"max_recalls": 0}), effective_ms=hall.at_ms + 10 * MIN)
    assert kinds(hall.facts) == ["PolicyScheduled"]
    assert hall.wait(10 * MIN - 1) == []
    assert kinds(hall.wait(1)) == ["PolicyChanged"]
    hall.take()
    hall.call(1)
    hall.at_ms += MIN
    assert hall.refused(c.RecallTicket(1)) == "recall_limit"


def test_a_policy_for_later_waits_for_tickets_that_it_would_drop() -> None:
    """At its time somebody is at the counter that goes: it acts after the day's end instead of dropping him."""
    hall = opened()
    smaller = changed(POLICY, counters=POLICY.counters[:2], services=POLICY.services[:2], devices=POLICY.devices[:2])
    hall.change(smaller, effective_ms=hall.at_ms + 10 * MIN)
    hall.take("id")
    hall.call(3)
    (put_off,) = hall.wait(10 * MIN)
    assert isinstance(put_off, f.PolicyScheduled) and put_off.effective_ms == CUTOVER + 1
    hall.ask(c.FinishServing(3))
    assert kinds(hall.wait(DAY)) == ["DayClosed", "DayOpened", "PolicyChanged"]
    assert list(hall.state.counters) == [1, 2]


def test_a_newer_policy_now_does_not_undo_a_still_newer_one_for_later() -> None:
    hall = opened()
    later = msgspec.structs.replace(changed(), version=5)
    hall.change(later, effective_ms=hall.at_ms + 10 * MIN)
    hall.change(changed())
    assert kinds(hall.wait(10 * MIN)) == ["PolicyChanged"]
    assert hall.state.policy is not None and hall.state.policy.version == 5
    hall.change(msgspec.structs.replace(later, version=6), effective_ms=hall.at_ms + 10 * MIN)
    hall.change(msgspec.structs.replace(later, version=7))
    assert hall.wait(10 * MIN) == []


def test_open_tickets_keep_class_number_and_time_when_classes_move() -> None:
    hall = opened()
    green, ordinary = hall.take(cls="green"), hall.take()
    before = (green.number, green.t_eff_ms, ordinary.t_eff_ms)
    hall.change(changed(classes=(*POLICY.classes[3:], *POLICY.classes[:3])))
    codes = hall.state.rules.class_codes
    assert (codes[green.cls], codes[ordinary.cls]) == ("green", "ordinary")
    assert (green.number, green.t_eff_ms, ordinary.t_eff_ms) == before
    assert hall.call(1).ticket == green.ticket


def test_opening_hours_change_with_the_policy() -> None:
    hall = opened()
    hall.change(changed(calendar={"periods": ("13:00-17:30",)}))
    assert hall.refused(c.TakeTicket("si")) == "hall_closed"
    hall.at_ms = clock("2026-11-23 12:45")
    assert hall.take().number == "A001"


def test_a_running_rating_keeps_its_due_time_when_the_window_changes() -> None:
    hall = opened()
    hall.take()
    due_ms = hall.serve(1).due_ms
    hall.change(changed(evaluation={"window_days": 1}))
    assert hall.state.evaluations[1].due_ms == due_ms


def test_the_green_channel_goes_on_counting_over_a_policy_change() -> None:
    """One of three calls: what was green before the change still counts, unless the classes are others."""
    for classes, second in ((POLICY.classes, "ordinary"), (POLICY.classes[:4], "green")):
        hall = opened()
        for cls in ("green", "ordinary", "green", "ordinary"):
            hall.take(cls=cls)
        assert hall.state.tickets[hall.call(2).ticket].number == "A001"
        hall.ask(c.FinishServing(2))
        hall.change(changed(classes=classes))
        called = hall.state.tickets[hall.call(2).ticket]
        assert hall.state.rules.class_codes[called.cls] == second


def test_a_ring_goes_with_the_skills_it_was_made_under() -> None:
    hall = opened()
    for cls in ("green", "ordinary", "green", "ordinary"):
        hall.take(cls=cls)
    hall.call(2)
    hall.ask(c.FinishServing(2))
    one, two, three = POLICY.counters
    two, three = msgspec.structs.replace(two, primary=("si",)), msgspec.structs.replace(three, primary=("id", "tax"))
    hall.change(changed(counters=(one, two, three)))
    assert hall.state.rules.class_codes[hall.state.tickets[hall.call(2).ticket].cls] == "green"


def test_a_handicap_is_minutes_of_an_ordinary_ticket() -> None:
    """5 minutes less for help from elsewhere: an overflow ticket 6 minutes older goes first, 4 minutes older not."""
    one, two, three = POLICY.counters
    for minutes, first in ((6, "tax"), (4, "si")):
        hall = opened(counters=(msgspec.structs.replace(one, theta_min=0, handicap_min=5), two, three))
        hall.take("tax")
        hall.at_ms += minutes * MIN - 2000
        hall.take("si")
        assert hall.call(1).service == first
