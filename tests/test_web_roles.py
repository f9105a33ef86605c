"""Every route of the pages against every role, and against nobody: the whole table, and no route outside of it."""

import json
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from tests.halls import HALL
from tests.sites import OWN, ROLES, Around, bearer, with_site
from tests.test_web_commands_api import rateable
from workers.web.access import PAGES

NOBODY = ""
EVERYBODY = frozenset((NOBODY, *ROLES))
PUBLIC = {"/", "/login", f"/board/{HALL}", f"/board/{HALL}/w1", "/static/page.js", "/texts/en", "/healthz", "/readyz"}
LOCAL = {"/metrics", "/metrics/halls", "/digest"}  # from this machine; off it, role metrics: test_web_server
STEP = {"boot": "boot", "seq": 1, "body": {"type": "case.close", "case": 9}}
PRESS = {"boot": "boot", "seq": 1, "body": {"type": "ticket.call_next"}}
ORDER = {"boot": "boot", "seq": 2, "body": {"type": "device.quarantine", "device": "kiosk-1"}}
OF_PAGE = {"console": "caller-1", "guide": "", "ops": "", "pad": "ev-1", "cases": ""}


def sees(*pages: str) -> frozenset[str]:
    return frozenset(role for role in ROLES if PAGES[role] & set(pages))


def table(token: str) -> Iterator[tuple[str, str, str, Any, frozenset[str]]]:
    """(route, method, address, body, who gets in)."""
    for path in sorted(PUBLIC | LOCAL):
        yield path, "GET", path, None, EVERYBODY
    for page, device in OF_PAGE.items():
        yield f"/{page}", "GET", f"/{page}?hall={HALL}", None, sees(page)
        yield f"/events/{page}", "GET", f"/events/{page}?hall={HALL}&name={device}", None, sees(page)
    yield "/pad/{device}", "GET", "/pad/ev-1", None, sees("pad")
    yield "/events/board", "GET", f"/events/board?hall={HALL}", None, EVERYBODY
    yield "/e/{token}", "GET", f"/e/{token}", None, EVERYBODY
    yield "/qr/{token}.svg", "GET", f"/qr/{token}.svg", None, sees("pad")
    yield "/api/v1/me", "GET", "/api/v1/me", None, frozenset(ROLES)
    yield "/api/v1/series", "GET", f"/api/v1/series?hall={HALL}", None, sees("ops")
    yield "/api/v1/audit", "GET", f"/api/v1/audit?hall={HALL}", None, sees("ops")
    yield "/api/v1/ticket", "GET", f"/api/v1/ticket?hall={HALL}&number=A001", None, sees("guide")
    yield "/api/v1/cases/texts", "GET", f"/api/v1/cases/texts?hall={HALL}&case=1", None, sees("cases")
    yield "/api/v1/commands", "POST", f"/api/v1/commands?hall={HALL}&device=caller-1", PRESS, frozenset({"clerk"})
    yield "/api/v1/cases", "POST", f"/api/v1/cases?hall={HALL}", STEP, frozenset({"operator"})
    yield "/api/v1/devices", "POST", f"/api/v1/devices?hall={HALL}", ORDER, frozenset({"operator"})
    yield "/api/v1/login", "POST", "/api/v1/login", {"token": "nobody-has-this-one"}, frozenset()
    yield "/api/v1/logout", "POST", "/api/v1/logout", {}, EVERYBODY
    yield "/api/v1/e/{token}", "POST", f"/api/v1/e/{token}", {"level": 4}, EVERYBODY
    yield "/api/v1/e/{token}/more", "POST", f"/api/v1/e/{token}/more", {"options": ["speed"]}, EVERYBODY


async def status(around: Around, role: str, method: str, path: str, body: Any) -> int:
    own = (
        {
            **OWN,
            "Origin": around.web.url,
            "Content-Type": "application/json",
            "Idempotency-Key": f"boot:{body.get('seq', 1)}",
        }
        if body is not None
        else {}
    )
    sent = None if body is None else json.dumps(body).encode()
    headers = own | bearer(role)
    url = around.web.url + path
    async with around.session.request(method, url, data=sent, headers=headers, allow_redirects=False) as answer:
        return answer.status


def unlimited(around: Around) -> None:
    around.site.limits._rates = {name: one._replace(burst=9999) for name, one in around.site.limits._rates.items()}


def test_every_route_lets_in_whom_it_is_for_and_nobody_else() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        unlimited(around)
        wrong = []
        for route, method, path, body, allowed in table(token):
            for role in sorted(EVERYBODY):
                before = sum(around.site.refused.values())
                found = await status(around, role, method, path, body)
                refused = sum(around.site.refused.values()) - before
                good = found == 200 if role in allowed else found in (401, 403, 303) and refused == 1
                if not good:
                    wrong.append((route, role or "nobody", found, refused))
        assert wrong == []

    with_site(scenario, driven)


def test_the_table_has_every_route() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        assert around.web._runner is not None and around.web._runner.app is not None
        served = {
            (route.method, route.resource.canonical)
            for route in around.web._runner.app.router.routes()
            if route.resource is not None and route.method != "HEAD"
        }
        asked = set()
        for _, method, path, _, _ in table(token):
            for name, canonical in served:
                resource = next(one for one in around.web._runner.app.router.resources() if one.canonical == canonical)
                if name == method and resource._match(path.partition("?")[0]) is not None:  # type: ignore[attr-defined]  # of both kinds
                    asked.add((name, canonical))
        assert served - asked == set()

    with_site(scenario, driven)


@pytest.mark.parametrize("hall", ["h9", ""])
def test_another_hall_is_for_nobody(hall: str) -> None:
    async def scenario(around: Around) -> None:
        unlimited(around)
        for page in OF_PAGE:
            for role in ROLES:
                for path in (f"/{page}?hall={hall}", f"/events/{page}?hall={hall}"):
                    assert await status(around, role, "GET", path, None) in (403, 404), (path, role)
        for path, body in (("commands", PRESS), ("cases", STEP)):
            for role in ROLES:
                found = await status(around, role, "POST", f"/api/v1/{path}?hall={hall}&device=caller-1", body)
                assert found in (403, 404), (path, role)

    with_site(scenario)


@pytest.mark.parametrize("kind", ["wrong", "another site's", "expired", "used"])
def test_a_token_that_is_not_good_is_refused_in_words_and_counted(kind: str) -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        unlimited(around)
        shown = token
        if kind == "wrong":
            shown = token[:-1] + ("A" if token[-1] != "A" else "B")
        elif kind == "another site's":
            shown = token.rpartition(".")[0] + "." + "x" * len(token.rpartition(".")[2])
        elif kind == "expired":
            around.driven.at_ms += 30 * 86_400_000
        else:
            await around.post(f"/api/v1/e/{token}", {"level": 4})
            await around.post(f"/api/v1/e/{token}/more", {"options": ["speed"]})
        before = around.site.refused["token"]
        found, text = await around.get(f"/e/{shown}")
        phase = {"wrong": "bad", "another site's": "bad", "expired": "over", "used": "used"}[kind]
        assert found in (404, 410) and f'data-phase="{phase}"' in text
        assert around.site.refused["token"] == before + 1
        status_, said = await around.post(f"/api/v1/e/{shown}", {"level": 1})
        assert "refused" in said or status_ in (404, 410)
        assert around.site.refused["token"] == before + 2

    with_site(scenario, driven)


def test_nothing_that_everybody_sees_names_a_clerk_a_token_or_a_case() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        for path in sorted(PUBLIC - {"/static/page.js", "/texts/en"}):
            _, text = await around.get(path)
            assert "staff-1" not in text and token not in text, path
        async with around.session.get(f"{around.web.url}/events/board?hall={HALL}") as answer:
            assert isinstance(answer, aiohttp.ClientResponse)
            frame = (await answer.content.readuntil(b"\n\n")) + await answer.content.readuntil(b"\n\n")
        assert b"staff" not in frame and b"person" not in frame and b"A001" in frame

    with_site(scenario, driven)
