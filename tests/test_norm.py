"""The norm (市政务服务实体大厅管理规范), row by row: what is not tested beside its rule is here; each row has its test.

Rows by id as in the design: `core` is decided and journaled, `edge` an event recorded or a view given, others act.
"""

import re
from pathlib import Path

import pytest

from core import commands as c
from core import commands_cases as cc
from core import facts as f
from core import facts_cases as fc
from core import facts_tickets as t
from core.policy import DevicePart, PolicyError, parse
from core.statistics import Levels, rates
from devices.pictures import LANGUAGES
from tests.halls import POLICY, TEXT, Driven, clock, kinds, opened

CORE = "N1 N2 N3 N4 N5 N6 N7 N8 N9 N10 N16 N17 N18 N19 N21 N22 N23 N24 N25 N26 N27 N28 N29 N30".split()  # noqa: SIM905 - reads as a list
EDGE = ["N11", "N13", "N14"]


def rows_tested(path: Path) -> set[str]:
    """The rows that tests of a file are named by: `test_n22_...`, `test_n13_n14_...`."""
    names = re.findall(r"def (test_n\d+_\w+)", path.read_text("utf-8"))
    return {f"N{number}" for name in names for number in re.findall(r"(?<=_)n(\d+)(?=_)", name)}


def test_every_row_that_is_ours_has_a_test_named_by_it() -> None:
    tested = {row for path in Path("tests").glob("test_*.py") for row in rows_tested(path)}
    assert tested == {*CORE, *EDGE}


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_lists_every_row_and_names_files_that_have_its_test(readme: str) -> None:
    said = re.findall(r"^\| (N\d+(?: N\d+)*) \|[^|]*\|(.*)\|$", Path(readme).read_text("utf-8"), re.MULTILINE)
    listed: dict[str, set[str]] = {}
    for rows, files in said:
        found = [rows_tested(Path(name)) for name in re.findall(r"`(tests/\w+\.py)`", files)]
        assert all(one & set(rows.split()) for one in found), "a file that is named tests one of the rows"
        for row in rows.split():
            listed[row] = listed.get(row, set()).union(*found)
    assert listed.keys() == {*CORE, *EDGE}
    assert [row for row, found in listed.items() if row not in found] == []


def test_n1_one_counter_for_many_services_and_one_errand_to_the_end() -> None:
    hall = opened()
    hall.take("si", plan=("tax",))
    hall.serve(1)
    assert hall.only(t.TicketTaken).service == "tax", "the next step of the plan"
    hall.serve(2)
    assert hall.only(t.VisitClosed).once_done
    assert set(POLICY.counters[1].primary) == {"tax", "si"}


def test_n1_who_is_sent_home_for_papers_was_not_done_at_once() -> None:
    hall = opened()
    hall.take("si", person_ref="a" * 32)
    hall.call(1)
    hall.ask(c.FinishServing(1, "need_material"))
    assert not hall.only(t.VisitClosed).once_done


@pytest.mark.parametrize("level", ["province", "city", "county", "town", "village"])
def test_n2_a_hall_has_its_level_and_region(level: str) -> None:
    text = TEXT.replace('id = "h1"', f'id = "h1", level = "{level}", region = "530402000000"')
    assert (parse(text).hall.level, parse(text).hall.region) == (level, "530402000000")
    with pytest.raises(PolicyError):
        parse(text.replace(level, "planet"))


def test_n3_the_appraisal_of_a_clerk_is_ratings_and_the_ledger_each_with_its_denominator() -> None:
    found = rates(Levels((1, 1, 2, 6, 30), evaluable=60))
    assert (found["bad"], found["rated"]) == ((2, 40), (40, 60))
    hall = opened()
    hall.ask(cc.RecordConduct("staff-1", "late", 20261120))
    assert [one.kind for one in hall.state.conduct.values()] == ["late"]


def test_n4_who_looks_from_above_changes_nothing() -> None:
    """A report reads the journal alone: the same facts, the same digest, whoever has looked."""
    from workers.totals import Counter, Totals

    hall = opened()
    hall.take()
    hall.serve(1)
    before, counter = hall.state.digest(), Counter(Totals())
    for fact in hall.facts:
        counter.note("h1", fact, hall.at_ms)
    assert hall.state.digest() == before and counter.totals.halls["h1"].calls.keys() == {1}


def test_n6_a_call_says_where_to_go() -> None:
    hall = opened()
    hall.take("tax")
    hall.ask(c.CallNext(2))
    (say,) = hall.hall.take_effects().orders
    assert (say.zone, say.counter, say.number) == ("w1", 2, "B001")


def test_n8_labels_by_language_and_a_pictogram() -> None:
    text = TEXT.replace("{ no = 3,", '{ no = 3, label = { zh = "3号窗口", en = "Counter 3" }, pictogram = "p-id",')
    part = parse(text).counters[2]
    assert (set(part.label), part.pictogram) == ({"zh", "en"}, "p-id")
    assert set(LANGUAGES) <= set(part.label)


def test_n9_a_kind_of_service_and_the_project_it_belongs_to() -> None:
    kinds_of = [parse(TEXT.replace('"si", prefix = "A",', f'"si", prefix = "A", kind = "{kind}",')).services[0].kind
                for kind in ("consult", "query", "accept", "collect", "assist")]  # fmt: skip
    assert kinds_of == ["consult", "query", "accept", "collect", "assist"]
    hall = opened()
    hall.take()
    hall.call(1)
    hall.ask(c.FinishServing(1, "done", "P-2026-17"))
    assert hall.only(t.ServingFinished).project_ref == "P-2026-17"


def test_n10_a_rating_out_of_hours_is_counted() -> None:
    hall = opened()
    hall.take()
    hall.serve(1)
    hall.at_ms = clock("2026-11-23 22:00")
    assert kinds(hall.ask(c.SubmitEvaluation(1, 4, channel="kiosk"))) == ["EvaluationSubmitted"]


def test_n10_a_terminal_gives_numbers_round_the_clock_where_the_hall_says_so() -> None:
    terminal = DevicePart("self-1", "self_service")
    for rule, refused in (("hours", True), ("always", False)):
        hall = opened(tickets={"self_service": rule}, devices=(*POLICY.devices, terminal))
        hall.at_ms = clock("2026-11-23 22:00")
        answer = hall.ask(c.TakeTicket("si"), "self-1")
        assert kinds(answer) == (["Refused"] if refused else ["TicketTaken"])
        assert hall.refused(c.TakeTicket("tax"), "kiosk-1") == "hall_closed"


def test_n11_devices_of_every_kind_are_in_the_inventory() -> None:
    hall = opened()
    hall.ask(c.RegisterDevice("camera-1", "peripheral"))
    hall.ask(c.HelloDevice("camera-1", "boot", 1, faults=("lens",)))
    assert (hall.state.devices["camera-1"].kind, hall.state.devices["camera-1"].state.name) == (
        "peripheral",
        "DEGRADED",
    )


def test_n16_hours_rule_the_kiosk_and_the_clocks() -> None:
    hall = opened()
    hall.at_ms = clock("2026-11-23 17:30")
    assert hall.refused(c.TakeTicket("si"), "kiosk-1") == "hall_closed"
    hall.ask(cc.OpenCase("complaint"))
    assert hall.only(f.CaseOpened).verify_due_ms == clock("2026-11-24 17:30")


def test_n18_an_evaluator_in_full_and_a_camera_only_by_its_presence() -> None:
    hall = opened()
    hall.take()
    hall.serve(1)
    for level in (5,):
        assert kinds(hall.ask(c.SubmitEvaluation(1, level), "ev-1")) == ["EvaluationSubmitted"]
    from devices.profiles import ALLOWED

    assert ALLOWED["peripheral"] == frozenset()


def test_n19_assisted_service_is_taken_on_and_the_result_reported_in_time() -> None:
    hall = opened()
    hall.take("si", assisted_by="vol-3")
    assert hall.only(t.TicketTaken).assisted_by == "vol-3"
    hall.ask(cc.OpenCase("assist", service="si"))
    due = hall.only(f.CaseOpened).reply_due_ms
    for step in (cc.AssignCase(1, "vol-3"), cc.VerifyCase(1, "accepted"), cc.RectifyCase(1)):
        hall.ask(step)
    hall.at_ms = due
    assert [one.stage for one in hall.due() if isinstance(one, fc.CaseOverdue)] == ["reply"]
    assert kinds(hall.ask(cc.ReplyCase(1))) == ["CaseReplied"]
    assert not hall.ask(cc.CloseCase(1))[0].in_time


def test_n21_a_complaint_is_recorded_and_answered_and_names_no_person() -> None:
    hall = opened()
    hall.ask(cc.OpenCase("complaint", "box", "staff-1", text_ref="t-1"))
    steps = (cc.AssignCase(1, "boss"), cc.VerifyCase(1, "substantiated"), cc.RectifyCase(1), cc.ReplyCase(1, "t-2"))
    told = [kinds(hall.ask(step))[0] for step in (*steps, cc.RevisitCase(1, 3), cc.CloseCase(1))]
    assert told == ["CaseAssigned", "CaseVerified", "CaseRectified", "CaseReplied", "CaseRevisited", "CaseClosed"]


def test_n29_whoever_doubts_can_count_again() -> None:
    """The journal folds to the same digest; a rate has numerator and denominator; both ends are probed."""
    hall = opened()
    hall.take()
    hall.serve(1)
    hall.ask(c.SubmitEvaluation(1, 1))
    hall.ask(cc.ProbeEvaluation("pad", 1))
    assert hall.replayed().state.digest() == hall.state.digest()
    assert list(hall.state.level_ms) == [1]


def test_n30_evidence_and_honor_but_no_automatic_penalty() -> None:
    """A hundred findings change nobody's posting, count or rating: a person decides."""
    hall: Driven = opened()
    hall.ask(cc.PostStaff("staff-1", "hrss", 20240101, "l-1"))
    for day in range(1, 21):
        hall.ask(cc.RecordConduct("staff-1", "sanction", 20261100 + day))
    assert len(hall.state.findings) == 1 and not hall.state.postings["staff-1"].returned
    assert hall.state.counters[1].staff == "staff-1"
    hall.take()
    assert hall.call(1).staff == "staff-1"
    assert kinds(hall.ask(cc.GrantHonor("staff-1", "star"))) == ["HonorGranted"]
