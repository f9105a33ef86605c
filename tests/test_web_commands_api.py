"""workers/web/commands_api.py: the same commands and the same window as devices; ratings by token; look-ups."""

import json
from typing import Any

import pytest

from core import commands as c
from core import facts as f
from core.facts_cases import EvaluationSupplemented
from core.record import decode
from tests.halls import HALL, MIN, Driven, opened
from tests.sites import PROOFS, WITH_GUIDE, Around, bearer, token_of, with_site
from workers.proofs import Proofs

NEXT = {"type": "ticket.call_next"}


def rateable() -> tuple[Driven, str]:
    """A hall with one serving to be rated, and the token for it."""
    driven = opened()
    driven.take()
    opening = driven.serve(1)
    return driven, PROOFS.mint(HALL, opening.call, opening.due_ms)


def journaled(around: Around, kind: type[Any]) -> list[Any]:
    stored = around.dispatcher._journal.stored  # type: ignore[attr-defined]  # of memory
    facts = [decode(row.kind, row.v, row.payload)[0] for _, _, row in stored.items]
    return [fact for fact in facts if isinstance(fact, kind)]


def test_a_page_is_a_device_and_may_resend() -> None:
    driven = opened()
    driven.take()

    async def scenario(around: Around) -> None:
        first = await around.say("clerk", "caller-1", NEXT)
        again = await around.say("clerk", "caller-1", NEXT, seq=1)
        assert first["ok"]["number"] == "A001" and again == {**first, "again": True}
        assert len(journaled(around, f.StaffSignedOn)) == 3
        assert (await around.say("clerk", "caller-1", {"type": "ticket.recall"}, seq=1))["refused"] == "seq_reused"
        assert (await around.say("clerk", "caller-1", NEXT))["refused"] == "counter_busy"

    with_site(scenario, driven)


@pytest.mark.parametrize(
    ("role", "device", "status"),
    [
        ("", "caller-1", 403),  # neither a token nor our own page
        ("guide", "caller-1", 403),
        ("operator", "caller-1", 403),
        ("auditor", "caller-1", 403),
        ("metrics", "caller-1", 403),
        ("clerk", "ev-1", 403),
        ("clerk", "kiosk-1", 403),
        ("device", "caller-1", 403),
        ("clerk", "nobody", 403),
    ],
)
def test_nobody_speaks_for_a_device_of_another_role(role: str, device: str, status: int) -> None:
    async def scenario(around: Around) -> None:
        n = around.driven.state.n
        assert await around.say(role, device, NEXT) == status
        assert around.driven.state.n == n, "it did not reach the hall"

    with_site(scenario)


def test_the_number_stands_in_the_header_too() -> None:
    async def scenario(around: Around) -> None:
        path = f"/api/v1/commands?hall={HALL}&device=caller-1"
        headers = {**bearer("clerk"), "Content-Type": "application/json"}
        event = {"boot": "boot", "seq": 1, "body": NEXT}
        for key, body in (("", event), ("boot:2", event), ("boot:1", {"seq": 1}), ("boot:1", [event])):
            status, found = await around.post(path, body, {**headers, "Idempotency-Key": key})
            assert (status, found) == (400, {"error": "other"})
        assert (await around.post(path, b"{", headers))[0] == 400

    with_site(scenario)


def test_what_cannot_be_understood_is_a_refusal_with_a_fact() -> None:
    async def scenario(around: Around) -> None:
        assert (await around.say("clerk", "caller-1", {"type": "ticket.bake"}))["refused"] == "unknown_kind"
        assert (await around.say("clerk", "caller-1", {"type": "staff.sign_on", "staff": "张 三"}))[
            "refused"
        ] == "bad_field"
        assert len(journaled(around, f.Refused)) == 2

    with_site(scenario)


def test_me_names_what_a_token_speaks_for() -> None:
    async def scenario(around: Around) -> None:
        assert (await around.get("/api/v1/me"))[0] == 401
        found = json.loads((await around.get("/api/v1/me", "clerk"))[1])
        assert found["role"] == "clerk" and {one["device"] for one in found["devices"]} == {
            "caller-1",
            "caller-2",
            "caller-3",
        }
        assert json.loads((await around.get("/api/v1/me", "auditor"))[1])["devices"] == []

    with_site(scenario)


def test_login_and_logout() -> None:
    async def scenario(around: Around) -> None:
        assert (await around.post("/api/v1/login", {"token": token_of("operator")}))[1]["home"] == "/ops"
        assert (await around.get("/api/v1/me"))[0] == 200
        assert (await around.get("/ops"))[0] == 200
        await around.post("/api/v1/logout", {})
        assert (await around.get("/api/v1/me"))[0] == 401
        assert (await around.post("/api/v1/login", {"token": "short"}))[0] == 400

    with_site(scenario)


def test_tokens_can_be_taken_away() -> None:
    async def scenario(around: Around) -> None:
        await around.post("/api/v1/login", {"token": token_of("operator")})
        around.site.renew([])
        assert (await around.get("/api/v1/me"))[0] == 401
        assert (await around.get("/api/v1/me", "clerk"))[0] == 401

    with_site(scenario)


def test_a_guide_takes_moves_and_changes_the_class_for_somebody() -> None:
    driven = Driven(WITH_GUIDE)
    driven.sign_on()

    async def scenario(around: Around) -> None:
        taken = await around.say("guide", "guide-1", {"type": "ticket.take", "service": "si"})
        ticket = taken["ok"]["ticket"]
        found = json.loads((await around.get("/api/v1/ticket?hall=h1&number=a001", "guide"))[1])
        assert (found["number"], found["ahead"], found["service"]) == ("A001", 0, "si")
        for body in (
            {"type": "ticket.reclass", "ticket": ticket, "class": "care"},
            {"type": "ticket.transfer", "ticket": ticket, "to_service": "tax"},
        ):
            assert (await around.say("guide", "guide-1", body))["ok"]["type"] == "done"
        found = json.loads((await around.get("/api/v1/ticket?hall=h1&number=A001", "guide"))[1])
        assert (found["cls"], found["service"]) == ("care", "tax")
        assert (await around.say("guide", "guide-1", NEXT))["refused"] == "forbidden"
        assert json.loads((await around.get("/api/v1/ticket?hall=h1&number=Z9", "guide"))[1]) is None
        assert (await around.get("/api/v1/ticket?hall=h1&number=A001", "clerk"))[0] == 403
        assert (await around.get("/api/v1/ticket?hall=h2&number=A001", "guide"))[0] == 403

    with_site(scenario, driven)


def test_a_guide_sends_part_of_a_queue_elsewhere_counts_people_and_calls_help() -> None:
    driven = Driven(WITH_GUIDE)
    driven.sign_on()
    for _ in range(3):
        driven.take("si")

    async def scenario(around: Around) -> None:
        for body in (
            {"type": "queue.divert", "from_service": "si", "to_service": "tax", "count": 2, "why": "guide"},
            {"type": "zone.count", "zone": "w1", "people": 12},
            {"type": "device.call_help", "device": "kiosk-1"},
        ):
            assert (await around.say("guide", "guide-1", body))["ok"]["type"] == "done"
        found = json.loads((await around.get("/api/v1/ticket?hall=h1&number=A003", "guide"))[1])
        assert found["service"] == "tax"
        assert around.driven.state.zone_people == {"w1": 12}

    with_site(scenario, driven)


def test_the_series_is_for_whoever_looks_after_the_hall() -> None:
    async def scenario(around: Around) -> None:
        around.site.ring.sample({HALL: around.driven.state})
        found = json.loads((await around.get("/api/v1/series?hall=h1", "auditor"))[1])
        assert found["fields"][:2] == ["at_ms", "waiting"] and len(found["rows"][0]) == len(found["fields"])
        assert (await around.get("/api/v1/series?hall=h1", "guide"))[0] == 403
        assert (await around.get("/api/v1/series?hall=h1"))[0] == 401

    with_site(scenario)


# Ratings by token.


@pytest.mark.parametrize("level", [1, 2, 3, 4, 5])
def test_each_level_counts_once_from_a_phone(level: int) -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.site.limits._rates = {name: rate._replace(burst=99) for name, rate in around.site.limits._rates.items()}
        body = {"level": level, "options": ["speed", "nonsense"], "option_set": "gov@3"}
        assert await around.post(f"/api/v1/e/{token}", body) == (200, {"ok": "done"})
        assert await around.post(f"/api/v1/e/{token}", body) == (200, {"refused": "already_rated"})
        (rated,) = journaled(around, f.EvaluationSubmitted)
        assert (rated.level, rated.channel, rated.options, rated.call) == (level, "qr", ("speed",), 1)
        (rejected,) = journaled(around, f.EvaluationRejected)
        assert (rejected.reason, rejected.level) == ("already_rated", level)
        assert len(journaled(around, f.CaseOpened)) == (level <= 2)
        assert around.site.refused["token"] == 1

    with_site(scenario, driven)


def test_reasons_may_be_added_once_and_the_level_stays() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.site.limits._rates = {name: rate._replace(burst=99) for name, rate in around.site.limits._rates.items()}
        more = {"options": ["speed", "13912345678", "speed"], "option_set": "gov@3"}
        assert (await around.post(f"/api/v1/e/{token}/more", more))[1] == {"refused": "wrong_state"}
        await around.post(f"/api/v1/e/{token}", {"level": 2})
        assert (await around.post(f"/api/v1/e/{token}/more", more))[1] == {"ok": "done"}
        assert (await around.post(f"/api/v1/e/{token}/more", more))[1] == {"refused": "already_rated"}
        assert (await around.post(f"/api/v1/e/{token}/more", {"options": []}))[0] == 400
        forged = Proofs(b"x" * 32).mint(HALL, 1, driven.at_ms + MIN)
        assert (await around.post(f"/api/v1/e/{forged}/more", more))[1] == {"refused": "bad_token"}
        (added,) = journaled(around, EvaluationSupplemented)
        assert (added.call, added.options) == (1, ("speed",))
        assert around.driven.state.evaluations[1].level == 2

    with_site(scenario, driven)


def test_words_from_a_phone_are_read_at_the_case_desk_alone() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.site.limits._rates = {name: rate._replace(burst=99) for name, rate in around.site.limits._rates.items()}
        path, texts = f"/api/v1/e/{token}", f"/api/v1/cases/texts?hall={HALL}&case=1"
        body = {"level": 1, "comment": "没有人理我", "real_name": True}
        assert await around.post(path, body) == (200, {"ok": "done"})
        rude = {"comment": "打我电话 13912345678", "options": ["speed"], "option_set": "gov@3"}
        assert await around.post(f"{path}/more", rude) == (200, {"refused": "personal_data"})
        assert await around.post(f"{path}/more", {"comment": "还要等"}) == (200, {"ok": "done"}), (
            "so it can be sent again"
        )
        assert json.loads((await around.get(texts, "operator"))[1]) == {"texts": ["没有人理我", "还要等"], "gone": []}
        assert [(await around.get(texts, role))[0] for role in ("auditor", "clerk", "guide", "")] == [
            200,
            403,
            403,
            401,
        ]
        (case,) = journaled(around, f.CaseOpened)
        (added,) = journaled(around, EvaluationSupplemented)
        assert case.real_name and around.driven.state.cases[1].texts == (case.text_ref, added.comment_ref)
        assert around.site.refused["personal_data"] == 1
        around.dispatcher._journal.stored.notes.clear()  # type: ignore[attr-defined]  # their time is over
        assert json.loads((await around.get(texts, "operator"))[1]) == {
            "texts": [],
            "gone": [case.text_ref, added.comment_ref],
        }
        for none in ("2", "x", "9" * 20):
            path = f"/api/v1/cases/texts?hall={HALL}&case={none}"
            assert json.loads((await around.get(path, "operator"))[1]) == {"texts": [], "gone": []}

    with_site(scenario, driven)


def test_words_with_a_number_are_not_kept_and_the_rating_counts() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        body = {"level": 1, "comment": "身份证 11010519491231002X"}
        assert await around.post(f"/api/v1/e/{token}", body) == (200, {"ok": "done", "dropped": ["comment"]})
        (rated,) = journaled(around, f.EvaluationSubmitted)
        assert rated.comment_ref == "" and len(journaled(around, f.CaseOpened)) == 1
        assert around.dispatcher._journal.stored.notes == []  # type: ignore[attr-defined]  # of memory

    with_site(scenario, driven)


def test_a_forged_token_is_a_fact_with_its_level_and_names_no_call() -> None:
    driven, token = rateable()
    forged = Proofs(b"x" * 32).mint(HALL, 1, driven.at_ms + MIN)

    async def scenario(around: Around) -> None:
        assert await around.post(f"/api/v1/e/{forged}", {"level": 1}) == (200, {"refused": "bad_token"})
        (rejected,) = journaled(around, f.EvaluationRejected)
        assert (rejected.reason, rejected.level, rejected.channel, rejected.call) == ("bad_token", 1, "qr", 0)
        found = [(await around.post(f"/api/v1/e/{forged}{at}", {"level": 1}))[0] for at in range(9)]
        assert 429 in found, "a flood of them does not fill the journal"
        assert (await around.post("/api/v1/e/nothing", {"level": 1}))[0] == 404
        assert (await around.post(f"/api/v1/e/{token}", {"level": 5}))[1] == {"ok": "done"}

    with_site(scenario, driven)


def test_a_late_token_is_refused_and_counted() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.driven.at_ms += 8 * 24 * 60 * MIN
        assert (await around.post(f"/api/v1/e/{token}", {"level": 5}))[1] == {"refused": "window_over"}
        assert len(journaled(around, f.EvaluationRejected)) == 1

    with_site(scenario, driven)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"level": 0},
        {"level": 6},
        {"level": "5"},
        {"level": 5, "options": "speed"},
        [],
        {"level": 5, "option_set": "11010519491231002X"},
    ],
)
def test_a_form_that_is_none_is_refused(body: Any) -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        assert (await around.post(f"/api/v1/e/{token}", body))[0] == 400

    with_site(scenario, driven)


def test_a_token_may_ask_once_a_second() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.site.limits._now_s = lambda: 0.0
        found = [(await around.post(f"/api/v1/e/{token}", {"level": 5}))[0] for _ in range(4)]
        assert found == [200, 200, 200, 429]

    with_site(scenario, driven)


def test_a_loop_that_does_not_answer_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.web.gate.ANSWER_S", 0.05)

    async def scenario(around: Around) -> None:
        wake, around.site.door.wake = around.site.door.wake, lambda: None
        around.dispatcher.restless = lambda: False  # type: ignore[method-assign]  # the loop stands still
        assert await around.say("clerk", "caller-1", NEXT) == 504
        around.site.door.wake = wake
        assert (await around.say("clerk", "caller-1", NEXT, seq=1))["refused"] == "nothing_eligible"
        around.dispatcher.door.close()
        assert await around.say("clerk", "caller-1", NEXT) == 503

    with_site(scenario)


def test_no_person_in_what_is_looked_up() -> None:
    ref = "9f0c" * 8
    driven = opened()
    driven.take(person_ref=ref)

    async def scenario(around: Around) -> None:
        text = (await around.get("/api/v1/ticket?hall=h1&number=A001", "guide"))[1]
        assert "A001" in text and ref not in text
        assert c.TakeTicket("si", person_ref=ref).person_ref == ref

    with_site(scenario, driven)
