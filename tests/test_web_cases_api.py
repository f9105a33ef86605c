"""workers/web/cases_api.py: an operator takes the steps of a case, once each; an auditor looks on."""

import json
from typing import Any

from core import facts_cases as fc
from core.device import DeviceState
from tests.halls import HALL
from tests.sites import Around, bearer, pictures, with_site
from tests.test_web_casework import with_cases
from tests.test_web_commands_api import journaled


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
