"""devices/tally.py: planted losses and doubles are found, an honest journal is not accused."""

from dataclasses import dataclass, field

import msgspec
import pytest
from msgspec.structs import replace

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core import policy, record
from core.fact import Cause, Fact
from core.hall import Hall
from core.refusals import Refusal
from core.state import HallState
from devices import pictures, wire
from devices.simulator import example_policy
from devices.tally import Row, Tally, compare, screens_wrong
from tests.halls import HALL, opened

AT_MS = 1_795_420_800_000


@dataclass
class Journal:
    """A small hall that writes rows as the shell does."""

    hall: Hall = field(default_factory=lambda: Hall(HallState("h1")))
    rows: list[tuple[str, int, Row]] = field(default_factory=list)
    acked: list[tuple[str, str, int]] = field(default_factory=list)
    seq: int = 0
    at_ms: int = AT_MS

    def __post_init__(self) -> None:
        rules = example_policy(counters=2, services=2)
        self.ask(c.ChangePolicy(1, policy.digest(rules), policy.document(rules)))

    def ask(self, command: c.Command, device: str = "") -> list[Fact]:
        """Decided, folded, written; acknowledged when a device asks."""
        self.at_ms += 5_000
        cause = None
        if device:
            self.seq += 1
            cause = Cause(device, "boot", self.seq, 0)
            self.acked.append(cause[:3])
        while (due := self.hall.due(self.at_ms)) is not None:
            for fact in due[1]:
                self.write(fact, None)
        facts = self.hall.decide(command, self.at_ms, device)
        for fact in facts:
            self.write(fact, cause)
        return facts

    def write(self, fact: Fact, cause: Cause | None, *, folds: bool = True) -> None:
        if folds:
            self.hall.evolve(fact, self.at_ms, cause)
        kind, v, payload = record.encode(fact, cause)
        device, boot, seq = cause[:3] if cause else ("", "", 0)
        self.rows.append(("h1", len(self.rows) + 1, (self.at_ms, kind, v, device, boot, seq, payload)))

    def day(self) -> None:
        """Everything that can happen to a ticket, and a refusal."""
        for no in (1, 2):
            self.ask(c.SignOnStaff(staff=f"s{no}"), f"caller-0{no}")
        for at in range(6):
            self.ask(c.TakeTicket(service=f"s0{at % 2 + 1}"), "kiosk-1")
        first, second = "caller-01", "caller-02"
        for key in (c.CallNext(), c.MissTicket(), c.CallNext(), c.HoldTicket(), c.ResumeTicket(), c.FinishServing()):
            assert not isinstance(self.ask(key, first)[0], f.Refused), key
        self.ask(c.SubmitEvaluation(level=5), "ev-01")
        self.ask(c.SubmitEvaluation(level=1), "ev-01")
        for key in (c.CallNext(), c.TransferTicket(to_service="s01"), c.CallNext(), c.StartServing(), c.CallNext()):
            self.ask(key, second)


@pytest.fixture
def journal() -> Journal:
    made = Journal()
    made.day()
    return made


def test_an_honest_day_is_not_accused(journal: Journal) -> None:
    found = compare(journal.acked, journal.rows)
    assert found == ([], [], len(journal.rows))


def test_a_resent_command_leaves_no_trace_but_about_its_envelope(journal: Journal) -> None:
    cause = Cause(*journal.acked[3], 1)
    journal.write(f.Refused("ticket.take", Refusal.SEQ_REUSED), cause)
    journal.write(f.Refused("ticket.take", Refusal.SEQ_REUSED), cause)
    journal.acked.append(("kiosk-1", "gone", 9))
    journal.write(f.Refused("ticket.take", Refusal.BOOT_RETIRED), Cause("kiosk-1", "gone", 9, 0))
    assert compare(journal.acked, journal.rows)[:2] == ([], [])


def test_a_lost_fact_is_found(journal: Journal) -> None:
    victim = journal.acked[5]
    rows = [row for row in journal.rows if row[2][3:6] != victim]
    assert compare(journal.acked, rows).lost == [victim]


def test_a_lost_refusal_is_found(journal: Journal) -> None:
    journal.ask(c.RecallTicket(), "caller-01")
    lost = journal.acked[-1]
    assert compare(journal.acked, journal.rows[:-1]).lost == [lost]


def a_fact(journal: Journal, kind: type[Fact]) -> tuple[Fact, Cause]:
    for _, _, (_, number, v, device, boot, seq, payload) in journal.rows:
        fact, body, _ = record.decode(number, v, payload)
        if type(fact) is kind:
            return fact, Cause(device, boot, seq, body)
    raise AssertionError(kind)


@pytest.mark.parametrize(
    "kind", [t.TicketTaken, t.TicketCalled, f.EvaluationSubmitted, t.TicketHeld, t.ServingFinished]
)
def test_a_command_applied_twice_is_found(kind: type[Fact], journal: Journal) -> None:
    fact, cause = a_fact(journal, kind)
    journal.write(fact, cause, folds=False)
    assert any("decided twice" in said for said in compare(journal.acked, journal.rows).duplicated)


def test_a_command_applied_and_then_refused_is_found(journal: Journal) -> None:
    _, cause = a_fact(journal, t.TicketTaken)
    journal.write(f.Refused("ticket.take", Refusal.QUOTA_FULL), cause)
    assert len(compare(journal.acked, journal.rows).duplicated) == 1


def test_the_same_number_twice_a_day_is_found(journal: Journal) -> None:
    fact, _ = a_fact(journal, t.TicketTaken)
    assert isinstance(fact, t.TicketTaken)
    journal.write(msgspec.structs.replace(fact, ticket=999), Cause("kiosk-1", "x", 1, 0), folds=False)
    assert compare([], journal.rows).duplicated == [f"number {fact.number} on {fact.day} twice: tickets 1 and 999"]


def test_a_ticket_at_two_counters_is_found(journal: Journal) -> None:
    fact = journal.ask(c.CallNext(), "caller-01")[-1]
    assert isinstance(fact, t.TicketCalled)
    other = msgspec.structs.replace(fact, counter=9, call=999)
    journal.write(other, Cause("caller-09", "x", 1, 0), folds=False)
    [said] = compare([], journal.rows).duplicated
    assert said == f"ticket {fact.ticket} called to {fact.counter} and 9"


def test_a_counter_with_two_tickets_is_found(journal: Journal) -> None:
    fact = journal.ask(c.CallNext(), "caller-01")[-1]
    assert isinstance(fact, t.TicketCalled)
    other = msgspec.structs.replace(fact, ticket=998, call=999)
    journal.write(other, Cause("caller-01", "x", 1, 0), folds=False)
    [said] = compare([], journal.rows).duplicated
    assert said == f"counter {fact.counter} holds {fact.ticket} and 998"


def test_a_second_counted_rating_is_found(journal: Journal) -> None:
    fact, _ = a_fact(journal, f.EvaluationSubmitted)
    journal.write(fact, Cause("ev-01", "x", 1, 0), folds=False)
    [said] = compare([], journal.rows).duplicated
    assert "rated twice" in said


def test_screens_are_compared_byte_by_byte(journal: Journal) -> None:
    state = journal.hall.state
    bodies = {
        one.device: msgspec.json.encode(picture)
        for one in state.devices.values()
        if (picture := pictures.draw(state, one)) is not None
    }
    assert screens_wrong(state, bodies) == []
    assert "voice-1" not in bodies
    bodies["screen-01"] = bodies["screen-02"]
    del bodies["board-1"]
    assert sorted(screens_wrong(state, bodies)) == ["board-1", "screen-01"]


def test_a_token_shown_must_be_of_the_serving_shown() -> None:
    driven = opened()
    driven.take()
    call = driven.serve(1).call
    picture = pictures.draw(driven.state, driven.state.devices["ev-1"])
    assert isinstance(picture, pictures.EvaluatorPicture) and picture.call == call

    def shown(token: str) -> list[str]:
        body = replace(picture, token=token, address=f"http://hall/e/{token}")
        return [one for one in screens_wrong(driven.state, {"ev-1": msgspec.json.encode(body)}) if one == "ev-1"]

    assert shown(f"k.{HALL}.{call}.9.mac") == [] and shown(f"k.{HALL}.{call + 1}.9.mac") == ["ev-1"]


def test_the_tally_counts_by_answer() -> None:
    tally = Tally()
    tally.observe("kiosk-1", "b", 1, "ticket.take", wire.Result(1, ok=wire.Ok("ticket", 1, "A001")))
    tally.observe("caller-01", "b", 1, "ticket.call_next", wire.Result(1, ok=wire.Ok("called", 1, "A001", 1, 1)))
    tally.observe("caller-01", "b", 2, "serving.finish", wire.Result(2, ok=wire.Ok("done")))
    tally.observe("ev-01", "b", 1, "evaluation.submit", wire.Result(1, ok=wire.Ok("done")))
    tally.observe("ev-01", "b", 2, "evaluation.submit", wire.Result(2, refused="already_rated"))
    assert (tally.taken, tally.called, tally.served, tally.rated, tally.refused) == (1, 1, 1, 1, 1)
    assert tally.commands_acked == len(tally.acked) == 5
    assert tally.reasons == {"already_rated": 1}
    assert tally.press_quantile_ms(0.99) == 0.0
    tally.press_ms.extend([3.0, 1.0, 2.0])
    assert tally.press_quantile_ms(0.5) == 2.0


def test_a_command_applied_twice_in_a_row_is_found(journal: Journal) -> None:
    journal.ask(c.ReportPrint(ticket=1), "kiosk-1")
    journal.write(t.TicketPrinted(1), Cause(*journal.acked[-1], 0))
    [said] = compare(journal.acked, journal.rows).duplicated
    assert said.endswith("decided twice: TicketPrinted")
