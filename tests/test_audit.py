"""workers/audit.py: what each call of a hall proves is counted, and a call that breaks the promise is seen."""

import msgspec

from bench.rush import hall_policy
from core.commands import ChangePolicy
from core.facts_tickets import TicketCalled
from core.hall import Hall
from core.policy import digest, document
from core.state import HallState
from core.why import Why
from workers.audit import Audit

MORNING = 1_795_420_800_000
ORDINARY, MILITARY = 3, 1
MINUTE = 60_000


def a_hall() -> HallState:
    hall, rules = Hall(HallState("h1")), hall_policy("h1")
    for fact in hall.decide(ChangePolicy(1, digest(rules), document(rules)), MORNING):
        hall.evolve(fact, MORNING)
    return hall.state


def a_call(state: HallState, *heads: tuple[int, int, int]) -> TicketCalled:
    """Heads as (class, serial, T), the winner first; scores as the classes give them."""
    t, classes = state.t(state.at_ms), state.pool.classes()
    told = tuple((c, s, at, classes[c].rate * (classes[c].head_start_ms + t - at), 1) for c, s, at in heads)
    why = Why("score", 1, told, False, 0)
    return TicketCalled(1, 1, "A001", 1, "u1", "s0", 0, why)


def test_a_visitor_with_head_start_who_passes_within_the_bound_is_counted_as_overtaking() -> None:
    state, audit = a_hall(), Audit()
    t = state.t(state.at_ms)
    audit.note(a_call(state, (MILITARY, 2, t - MINUTE), (ORDINARY, 1, t - 10 * MINUTE)), state)
    assert (audit.overtaken, audit.bound_broken, audit.argmax_wrong) == (1, 0, 0)


def test_a_call_beyond_the_bound_and_not_first_in_rank_is_seen() -> None:
    state, audit = a_hall(), Audit()
    t = state.t(state.at_ms)
    audit.note(a_call(state, (MILITARY, 2, t - MINUTE), (ORDINARY, 1, t - 20 * MINUTE)), state)
    assert (audit.overtaken, audit.bound_broken, audit.argmax_wrong) == (1, 1, 1)


def test_a_call_without_a_rival_proves_nothing() -> None:
    state, audit = a_hall(), Audit()
    audit.note(a_call(state, (ORDINARY, 1, 0)), state)
    assert (audit.overtaken, audit.bound_broken, audit.argmax_wrong) == (0, 0, 0)


def test_the_classes_are_those_of_the_policy_of_the_call() -> None:
    state, audit = a_hall(), Audit()
    t = state.t(state.at_ms)
    call = a_call(state, (MILITARY, 2, t - MINUTE), (ORDINARY, 1, t - 10 * MINUTE))
    audit.note(call, state)
    assert state.policy is not None
    without = [msgspec.structs.replace(one, head_start_ms=0) for one in state.pool.classes()]
    state.pool.set_classes(without)
    later = msgspec.structs.replace(call, why=msgspec.structs.replace(call.why, policy_version=2))
    audit.note(later, state)
    assert audit.bound_broken == 1, "under the new classes nobody may pass"
