"""core/hall.py: a whole hall against a plain model of it, and what only the joint does."""

import os
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from core import commands as c
from core import facts as f
from core.fact import Cause
from core.refusals import Refusal
from core.window import RefusedAnswer
from tests.hall_machine import HallAgainstModel
from tests.halls import MORNING, opened

TestHallAgainstModel = HallAgainstModel.TestCase
TestHallAgainstModel.settings = settings(
    max_examples=60, stateful_step_count=60, derandomize=True, deadline=None, suppress_health_check=list(HealthCheck)
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_longer_lives_of_halls_from_a_new_seed() -> None:
    """HALL_SEED repeats a run, HALL_LIVES makes it longer (3,000 take minutes)."""
    number = int(os.environ.get("HALL_SEED", "0")) or int.from_bytes(os.urandom(4), "big")
    print(f"HALL_SEED={number}")
    longer = settings(
        max_examples=int(os.environ.get("HALL_LIVES", "400")),
        stateful_step_count=150,
        deadline=None,
        database=None,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    seeded: Any = seed(number)(HallAgainstModel)
    run_state_machine_as_test(seeded, settings=longer)


def test_a_command_is_due_in_no_table_but_time() -> None:
    with pytest.raises(KeyError):
        opened().hall.decide(c.Tick(), MORNING)


def test_what_was_due_before_the_last_fact_happens_no_earlier_than_it() -> None:
    """A journal that was erased or restored says so later than what is due since: the start brings both in order."""
    driven = opened()
    driven.take()
    driven.call()
    driven.ask(c.HoldTicket(1))
    due_ms = driven.state.next_due_ms()
    driven.fold([f.JournalErased("2026-11-01", 1, ("2026-10",))], due_ms + 1)
    found = driven.hall.due(due_ms + 1)
    assert found is not None and found[0] == due_ms + 1 and found[1]


def test_a_rating_that_cannot_be_counted_keeps_its_level_whoever_refuses_it() -> None:
    hall = opened().hall
    (kept,) = hall.refuse(c.SubmitEvaluation(4, 2, channel="pad"), Refusal.FORBIDDEN, "kiosk-1")
    assert kept == f.EvaluationRejected(Refusal.FORBIDDEN, 2, "pad", "kiosk-1", 4)
    assert hall.refuse(c.CallNext(), Refusal.FORBIDDEN) == hall.refuse_type("ticket.call_next", Refusal.FORBIDDEN)


@pytest.mark.parametrize("reason", [Refusal.SEQ_OLD, Refusal.SEQ_REUSED, Refusal.BOOT_RETIRED])
def test_an_answer_about_the_envelope_leaves_the_numbers_as_they_were(reason: Refusal) -> None:
    driven = opened()
    driven.send("kiosk-1", c.TakeTicket("si"))
    before = msgspec.msgpack.encode(driven.state.windows)
    driven.fold(driven.hall.refuse_type("ticket.take", reason), driven.at_ms, Cause("kiosk-1", "boot", 9, 7))
    assert msgspec.msgpack.encode(driven.state.windows) == before


def test_what_a_device_did_not_say_well_is_settled_and_answered_again() -> None:
    driven = opened()
    cause = Cause("kiosk-1", "boot", 1, 7)
    driven.fold(driven.hall.refuse_type("unknown", Refusal.BAD_FIELD), driven.at_ms, cause)
    assert driven.hall.judge(cause) == RefusedAnswer(Refusal.BAD_FIELD)
