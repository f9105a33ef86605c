"""workers/web/cases_api.py: an operator takes the steps of a case, once each; an auditor looks on."""

import json
from typing import Any, get_args

from core import facts as f
from core import facts_cases as fc
from core.device import DeviceState
from core.record import decode
from tests.halls import HALL, opened
from tests.sites import PROOFS, Around, bearer, pictures, with_site
from tests.test_web_casework import with_cases
from tests.test_web_commands_api import journaled
from workers.web import cases_api


async def step(
    around: Around, role: str, seq: int, body: dict[str, Any], boot: str = "boot", about: str = "cases"
) -> Any:
    headers = {**bearer(role), "Content-Type": "application/json", "Idempotency-Key": f"{boot}:{seq}"}
    path = f"/api/v1/{about}?hall={HALL}"
    status, found = await around.post(path, {"boot": boot, "seq": seq, "body": body}, headers)
    return found["result"] if status == 200 else status


def test_the_steps_of_a_case_each_once() -> None:
    async def scenario(around: Around) -> None:
        assign = {"type": "case.assign", "case": 1, "handler": "h-1"}
        assert (await step(around, "operator", 1, assign))["ok"]["type"] == "done"
        assert (await step(around, "operator", 1, assign))["again"] is True, "sent again, done once"
        assert len(journaled(around, fc.CaseAssigned)) == 1
        assert (await step(around, "operator", 2, {**assign, "handler": "staff-1"}))["refused"] == "wrong_state"
        verify = {"type": "case.verify", "case": 1, "verdict": "no_basis"}
        assert (await step(around, "operator", 3, verify))["ok"]
        assert (await step(around, "operator", 3, assign))["refused"] == "seq_reused"
        (line,) = [
            one
            for one in (await pictures(around, "/events/cases?hall=h1", "auditor"))[0]["body"]["cases"]
            if one["case"] == 1
        ]
        assert (line["state"], line["handler"]) == ("explaining", "h-1")
        rows = around.dispatcher._journal.stored.items  # type: ignore[attr-defined]  # of memory
        assert rows[-1][2].device.startswith("web-") and rows[-1][2].device[4:].isalpha(), "the journal says who"

    with_site(scenario, with_cases())


def test_only_an_operator_acts() -> None:
    async def scenario(around: Around) -> None:
        close = {"type": "case.close", "case": 1}
        for role, status in (("auditor", 403), ("clerk", 403), ("guide", 403), ("device", 403), ("", 403)):
            assert await step(around, role, 1, close) == status, role
        assert (await around.get("/cases", "operator"))[0] == (await around.get("/cases", "auditor"))[0] == 200
        assert (await around.get("/cases", "clerk"))[0] == 403
        assert (await around.get("/events/cases?hall=h1"))[0] == 401

    with_site(scenario, with_cases())


def test_what_cannot_be_is_refused() -> None:
    async def scenario(around: Around) -> None:
        n = around.driven.state.n
        assert await step(around, "operator", 1, {"type": "case.burn", "case": 1}) == 400
        assert await step(around, "operator", 1, {"type": "ticket.call_next"}) == 400
        for text in ("13912345678", "11010519491231002X"):
            found = await step(around, "operator", 1, {"type": "case.reply", "case": 1, "text_ref": text})
            assert found["refused"] == "personal_data"
            assert (await step(around, "operator", 1, {"type": "case.close", "case": 1}, boot=text))["refused"]
        assert around.driven.state.n == n, "nothing of it is kept"
        headers = {**bearer("operator"), "Content-Type": "application/json", "Idempotency-Key": "boot:9"}
        event = {"boot": "boot", "seq": 1, "body": {"type": "case.close", "case": 1}}
        assert (await around.post(f"/api/v1/cases?hall={HALL}", event, headers))[0] == 400
        assert (await around.post("/api/v1/cases?hall=h9", event, headers))[0] == 403
        assert json.dumps(event)

    with_site(scenario, with_cases())


def test_an_operator_quarantines_a_device_and_readmits_it() -> None:
    async def scenario(around: Around) -> None:
        quarantine, readmit = ({"type": f"device.{what}", "device": "kiosk-1"} for what in ("quarantine", "readmit"))
        for role in ("auditor", "clerk", "guide", "device"):
            assert await step(around, role, 1, quarantine, about="devices") == 403
        assert (await step(around, "operator", 1, quarantine, about="devices"))["ok"]
        assert (await step(around, "operator", 1, quarantine, about="devices"))["again"]
        assert around.driven.state.devices["kiosk-1"].state is DeviceState.QUARANTINED
        assert (await step(around, "operator", 2, quarantine, about="devices"))["refused"] == "wrong_state"
        assert (await step(around, "operator", 3, readmit, about="devices"))["ok"]
        assert around.driven.state.devices["kiosk-1"].state is DeviceState.OFFLINE
        gone = {"type": "device.retire", "device": "kiosk-1"}
        assert await step(around, "operator", 4, gone, about="devices") == 400
        assert await step(around, "operator", 4, quarantine, about="cases") == 400, "each at its own address"

    with_site(scenario, with_cases())


def test_a_rating_that_came_otherwise_is_typed_in_once_and_counts_like_any() -> None:
    driven = opened()
    driven.take()
    opening = driven.serve(2)
    token = PROOFS.mint(HALL, opening.call, opening.due_ms)

    async def scenario(around: Around) -> None:
        rate = {"type": "evaluation.submit", "channel": "sms", "level": 2, "reference": token, "comment": "没人接电话"}
        assert (await step(around, "auditor", 1, rate)) == 403
        assert (await step(around, "operator", 1, rate))["ok"]["type"] == "done"
        assert (await step(around, "operator", 1, rate))["again"] is True
        assert (await step(around, "operator", 2, rate))["refused"] == "already_rated"
        forged = {**rate, "reference": token[:-3] + "AAA"}
        assert (await step(around, "operator", 3, forged))["refused"] == "bad_token"
        (rated,) = journaled(around, f.EvaluationSubmitted)
        assert (rated.call, rated.channel, rated.late, rated.staff) == (opening.call, "sms", True, "staff-2")
        (case,) = journaled(around, f.CaseOpened)
        texts = await around.get(f"/api/v1/cases/texts?hall={HALL}&case={case.case}", "operator")
        assert json.loads(texts[1])["texts"] == ["没人接电话"]

    with_site(scenario, driven)


def test_what_is_not_a_rating_from_elsewhere_is_refused() -> None:
    async def scenario(around: Around) -> None:
        n = around.driven.state.n
        rate = {"type": "evaluation.submit", "channel": "paper", "level": 2, "call": 1}
        for wrong in ({"channel": "pad"}, {"channel": ""}, {"level": 0}, {"level": 6}):
            assert await step(around, "operator", 1, {**rate, **wrong}) == 400
        for wrong in ({"comment": "13912345678"}, {"options": ["13912345678"]}, {"option_set": "11010519491231002X"}):
            assert (await step(around, "operator", 1, {**rate, **wrong}))["refused"] == "personal_data"
        assert around.driven.state.n == n and around.site.refused["personal_data"] == 3

    with_site(scenario, with_cases())


STEPS: list[tuple[dict[str, Any], str]] = [
    ({"type": "case.open", "kind": "complaint", "source": "desk"}, "CaseOpened"),
    ({"type": "case.assign", "case": 2, "handler": "h-1"}, "CaseAssigned"),
    ({"type": "case.verify", "case": 2, "verdict": "substantiated", "complex": True}, "CaseVerified"),
    ({"type": "case.extend", "case": 2, "stage": "rectify", "to_ms": 2**45, "why": "parts"}, "CaseExtended"),
    ({"type": "case.rectify", "case": 2, "action_ref": "doc-1"}, "CaseRectified"),
    ({"type": "case.reply", "case": 2, "text_ref": "doc-2"}, "CaseReplied"),
    ({"type": "case.revisit", "case": 2, "satisfaction": 3}, "CaseRevisited"),
    ({"type": "case.close", "case": 2}, "CaseClosed"),
    ({"type": "case.reopen", "case": 2, "handler": "h-2"}, "CaseReopened"),
    ({"type": "evaluation.appeal", "call": 1, "by": "staff-1", "ground": "mistaken"}, "EvaluationAppealed"),
    ({"type": "evaluation.decide", "call": 1, "decision": "mistaken", "reviewer": "h-1"}, "EvaluationExcluded"),
    ({"type": "conduct.record", "staff": "staff-1", "kind": "sanction", "on_day": 20261120}, "ConductRecorded"),
    ({"type": "conduct.void", "entry": 1, "why": "wrong"}, "ConductVoided"),
    ({"type": "finding.raise", "rule": "R7", "subject": "staff-1", "num": 9, "den": 9}, "FindingRaised"),
    ({"type": "finding.review", "finding": 2, "decision": "dismissed", "reviewer": "h-1"}, "FindingReviewed"),
    ({"type": "staff.post", "staff": "staff-9", "department": "tax", "day": 20261101}, "StaffPosted"),
    ({"type": "staff.rotate", "staff": "staff-9", "day": 20261130, "successor": "staff-10"}, "StaffRotated"),
    ({"type": "staff.post", "staff": "staff-11", "department": "tax", "day": 20261101}, "StaffPosted"),
    ({"type": "finding.raise", "rule": "C9", "subject": "staff-11"}, "FindingRaised"),
    ({"type": "finding.review", "finding": 7, "decision": "confirmed", "reviewer": "h-1"}, "FindingReviewed"),
    ({"type": "staff.return", "staff": "staff-11", "finding": 7}, "StaffReturned"),
    ({"type": "inspection.record", "item": "attitude", "severity": 1}, "InspectionRecorded"),
    ({"type": "honor.grant", "subject": "staff-2", "badge": "star"}, "HonorGranted"),
    ({"type": "honor.revoke", "subject": "staff-2", "badge": "star"}, "HonorRevoked"),
    ({"type": "volunteer.record", "kind": "guide"}, "VolunteerServiceRecorded"),
]


def test_the_list_of_what_a_person_may_put_on_record_is_whole() -> None:
    known = {str(kind.__struct_config__.tag) for kind in get_args(cases_api.Step) if kind is not cases_api.Entered}
    assert known == {body["type"] for body, _ in STEPS}


def test_everything_put_on_record_by_hand_is_a_fact_that_says_who() -> None:
    async def scenario(around: Around) -> None:
        for at, (body, fact) in enumerate(STEPS, 1):
            result = await step(around, "operator", at, body)
            assert result.get("ok"), (body, result)
            rows = [
                row for _, _, row in around.dispatcher._journal.stored.items if row.dseq == at and row.boot == "boot"
            ]  # type: ignore[attr-defined]  # of memory
            made = [type(decode(row.kind, row.v, row.payload)[0]).__name__ for row in rows if row.device[:4] == "web-"]
            assert fact in made, (body, made)

    with_site(scenario, with_cases())
