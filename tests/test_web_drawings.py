"""workers/web/drawings.py: what each page shows, and what none may show."""

import msgspec
import pytest

from core import commands as c
from core.policy_parts import OptionSetPart
from core.state import HallState
from devices import pictures
from devices.pictures import STATUS
from tests.halls import MIN, MORNING, Driven, opened
from workers.vitals import Vitals
from workers.web import drawings, guidance
from workers.web.texts import OPTIONS

REF = "9f0c" * 8


def at_work() -> Driven:
    """Three at counters, one held, some waiting, one rated badly."""
    driven = opened()
    for _ in range(6):
        driven.take()
    driven.take("tax", person_ref=REF)
    driven.take("id", cls="care")
    driven.serve(1)
    driven.ask(c.SubmitEvaluation(call=1, level=2, channel="pad"))
    driven.call(1)
    driven.ask(c.HoldTicket(1))
    driven.call(1)
    driven.call(3)
    return driven


def test_the_board_has_calls_newest_last_and_who_waits_for_what() -> None:
    driven = at_work()
    board = drawings.board(driven.state, "")
    assert [(one.number, one.counter, one.times) for one in board.calls][-2:] == [("A003", 1, 1), ("C001", 3, 1)]
    assert board.calls[0].label == {"zh": "1号窗口", "en": "Counter 1"}
    assert {row.code: row.waiting for row in board.waiting} == {"si": 3, "tax": 1, "id": 0}
    assert board.open and board.waiting[0].name == {"zh": "si", "en": "si"}


def test_a_recall_counts_as_said_again() -> None:
    driven = at_work()
    driven.wait(MIN)
    driven.ask(c.RecallTicket(3))
    assert drawings.board(driven.state, "").calls[-1].times == 2


def test_the_board_of_a_zone_has_its_own_calls_and_services() -> None:
    driven = opened()
    driven.take("tax")
    driven.take("si")
    driven.call(2)
    driven.call(1)
    board = drawings.board(driven.state, "w1")
    assert [one.counter for one in board.calls] == [2]
    assert len(board.waiting) == 3, "services of no zone are everybody's"


def test_the_board_keeps_the_current_call_and_the_last_eight() -> None:
    driven = opened()
    for _ in range(12):
        driven.take()
    for _ in range(11):
        driven.serve(1)
    assert [one.call for one in drawings.board(driven.state, "").calls] == list(range(3, 12))


def test_the_console_says_who_it_is_and_why() -> None:
    driven = at_work()
    console = drawings.console(driven.state, driven.state.devices["caller-1"])
    assert (console.status, console.number, console.staff, console.counter) == ("calling", "A003", "staff-1", 1)
    assert console.why["zh"].startswith("A003") and console.why["en"].startswith("A003")
    assert [one.number for one in console.held] == ["A002"] and console.waiting == 3
    assert [row.code for row in console.rows] == ["si"] and len(console.services) == 3
    assert console.service == {"zh": "si", "en": "si"} and console.cls["en"] == "ordinary"


def test_an_idle_console_has_nothing_of_anybody() -> None:
    driven = opened()
    console = drawings.console(driven.state, driven.state.devices["caller-2"])
    assert (console.status, console.number, console.since_ms, console.service) == ("idle", "", 0, {})


def test_the_pad_asks_with_the_levels_of_its_profile() -> None:
    driven = opened()
    driven.take()
    opening = driven.serve(1)
    device = driven.state.devices["ev-1"]
    assert drawings.rated_at(driven.state, device) == (opening.call, opening.due_ms)
    pad = drawings.pad(driven.state, device, "token")
    assert (pad.phase, pad.call, pad.levels, pad.token) == ("rating", 1, [5, 4, 3, 2, 1], "token")
    driven.ask(c.SubmitEvaluation(call=1, level=5))
    assert drawings.rated_at(driven.state, device) is None
    assert drawings.pad(driven.state, driven.state.devices["ev-2"], "").levels == [5, 4, 2]
    assert drawings.rated_at(driven.state, driven.state.devices["kiosk-1"]) is None


def test_the_overview_adds_up() -> None:
    driven = at_work()
    seen = drawings.overview(driven.state, Vitals(), driven.at_ms)
    assert seen.tickets == {"waiting": 4, "called": 2, "serving": 0, "held": 1, "missed": 0}
    assert seen.ended["taken"] == 8 == sum(seen.tickets.values()) + seen.ended["served"]
    assert seen.levels == [0, 1, 0, 0, 0] and seen.cases == 1 and seen.evaluations["submitted"] == 1
    assert seen.oldest_ms > MORNING and [one.status for one in seen.counters] == ["calling", "idle", "calling"]
    assert {one.status for one in seen.counters} <= set(STATUS.values())
    assert len(seen.devices) == len(driven.state.devices)
    assert not any(one.suspect or one.clock_ms for one in seen.devices)


def test_the_overview_names_who_is_suspect_and_whose_clock_is_off() -> None:
    driven, vitals = opened(), Vitals()
    vitals.mistaken("kiosk-1", MORNING, grave=True)
    vitals.stamped("ev-1", -180_000)
    seen = {one.device: one for one in drawings.overview(driven.state, vitals, MORNING).devices}
    assert [name for name, one in seen.items() if one.suspect] == ["kiosk-1"]
    assert {name: one.clock_ms for name, one in seen.items() if one.clock_ms} == {"ev-1": -180_000}


def test_the_reasons_are_those_of_the_set_the_same_for_every_level() -> None:
    assert drawings.reasons(opened().state, "gov@3") == list(OPTIONS)
    own = OptionSetPart("own@1", {"5": ("kind",), "1": ("slow", "rude"), "2": ("slow",)})
    assert drawings.reasons(opened(option_sets=(own,)).state, "own@1") == ["slow", "rude", "kind"]


def test_nobody_waits_for_longest_in_an_empty_hall() -> None:
    assert drawings.oldest_ms(opened().state) == 0


@pytest.mark.parametrize("page", ["board", "console", "pad", "overview"])
def test_no_picture_knows_a_person_and_equal_states_give_equal_pictures(page: str) -> None:
    def drawn(state: HallState) -> bytes:
        made: dict[str, msgspec.Struct] = {
            "board": drawings.board(state, ""),
            "console": drawings.console(state, state.devices["caller-2"]),
            "pad": drawings.pad(state, state.devices["ev-2"], ""),
            "overview": drawings.overview(state, Vitals(), MORNING),
        }
        return msgspec.json.encode(made[page])

    driven = at_work()
    driven.call(2)
    before = driven.state.digest()
    assert REF not in drawn(driven.state).decode()
    assert drawn(driven.state) == drawn(driven.replayed().state)
    assert driven.state.digest() == before, "looking changes nothing"


def test_what_clerks_guides_and_everybody_see_is_the_same_whatever_was_rated() -> None:
    """Results of a clerk are for the case desk and the reports: not for a neighbour, a guide or a board."""

    def seen(level: int) -> list[bytes]:
        driven = opened()
        for counter, service in ((1, "si"), (2, "tax")):
            driven.take(service)
            opening = driven.serve(counter)
            driven.ask(c.SubmitEvaluation(opening.call, level if counter == 1 else 5, channel="pad"))
        driven.wait(2 * MIN)
        state = driven.state
        console, ev = state.devices["caller-2"], state.devices["ev-1"]
        shown = [drawings.board(state, ""), drawings.console(state, console), drawings.pad(state, ev, "")]
        shown += [guidance.guide(state, "", driven.at_ms)]
        shown += [found for one in state.devices.values() if (found := pictures.draw(state, one)) is not None]
        return [msgspec.json.encode(one) for one in shown]

    assert seen(1) == seen(5) and len(seen(1)) > 8
