"""workers/web/gate.py: who asks, from where, how often; each refusal is counted."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.sites import OWN, Around, bearer, token_of, with_site
from workers.web.gate import host_is_ours
from workers.web.site import Limit

SAY = "/api/v1/commands?hall=h1&device=caller-1"
NEXT = {"boot": "boot", "seq": 1, "body": {"type": "ticket.call_next"}}
KEY = {"Idempotency-Key": "boot:1"}
JSON = {"Content-Type": "application/json"}


async def cookie(around: Around, role: str) -> None:
    status, found = await around.post("/api/v1/login", {"token": token_of(role)})
    assert status == 200, found


def test_a_cookie_acts_only_from_our_own_page() -> None:
    async def scenario(around: Around) -> None:
        await cookie(around, "clerk")
        origin = {"Origin": around.web.url}
        for headers, status, counted in (
            ({**JSON, **KEY, **origin}, 403, "csrf"),
            ({**JSON, **KEY, **OWN}, 403, "origin"),
            ({**JSON, **KEY, **OWN, "Origin": "http://evil.example"}, 403, "origin"),
            ({**JSON, **KEY, **OWN, "Origin": "null"}, 403, "origin"),
            ({"Content-Type": "text/plain", **KEY, **OWN, **origin}, 415, "csrf"),
        ):
            before = around.site.refused[counted]
            assert (await around.post(SAY, NEXT, headers))[0] == status, headers
            assert around.site.refused[counted] == before + 1
        assert (await around.post(SAY, NEXT, {**JSON, **KEY, **OWN, **origin}))[0] == 200

    with_site(scenario)


def test_a_cookie_is_strict_and_not_for_scripts() -> None:
    async def scenario(around: Around) -> None:
        headers = {**OWN, **JSON, "Origin": around.web.url}
        url = around.web.url + "/api/v1/login"
        async with around.session.post(url, json={"token": token_of("clerk")}, headers=headers) as answer:
            said = answer.headers["Set-Cookie"]
        assert "HttpOnly" in said and "SameSite=Strict" in said and "Max-Age=43200" in said and "Path=/" in said

    with_site(scenario)


def test_off_loopback_the_cookie_is_for_tls_alone() -> None:
    async def scenario(around: Around) -> None:
        headers = {**OWN, **JSON, "Origin": "https://hall.example"}
        url = around.web.url + "/api/v1/login"
        async with around.session.post(url, json={"token": token_of("clerk")}, headers=headers) as answer:
            assert answer.status == 200 and "Secure" in answer.headers["Set-Cookie"]

    with_site(scenario, limit=Limit(public_url="https://hall.example"))


def test_a_body_above_its_bound_is_refused() -> None:
    async def scenario(around: Around) -> None:
        headers = {**bearer("clerk"), **JSON, **KEY}
        assert (await around.post(SAY, b" " * 9000, headers))[0] == 413
        assert around.site.refused["size"] == 1

    with_site(scenario)


def test_a_console_may_press_twenty_times_a_second_and_no_more() -> None:
    async def scenario(around: Around) -> None:
        around.site.limits._now_s = lambda: 0.0
        found = [await around.say("clerk", "caller-1", {"type": "ticket.recall"}) for _ in range(41)]
        assert found[-1] == 429 and 429 not in found[:-1]
        async with around.session.post(
            around.web.url + SAY, json=NEXT, headers={**bearer("clerk"), **JSON, **KEY}
        ) as answer:
            assert answer.status == 429 and answer.headers["Retry-After"] == "1"

    with_site(scenario)


def test_an_overview_may_be_opened_twenty_times_at_once() -> None:
    async def scenario(around: Around) -> None:
        around.site.limits._now_s = lambda: 0.0
        found = [await around.get("/api/v1/audit?hall=h1", "operator") for _ in range(21)]
        assert [status for status, _ in found] == [200] * 20 + [429]

    with_site(scenario)


def test_five_logins_a_minute() -> None:
    async def scenario(around: Around) -> None:
        around.site.limits._now_s = lambda: 0.0
        found = [(await around.post("/api/v1/login", {"token": "nobody-has-this-token"}))[0] for _ in range(6)]
        assert found == [401] * 5 + [429]
        assert around.site.refused["token"] == 5 and around.site.refused["rate"] == 1

    with_site(scenario)


def test_an_address_is_that_of_the_peer_unless_a_proxy_of_ours_says_so() -> None:
    async def scenario(around: Around) -> None:
        around.site.limits._now_s = lambda: 0.0
        trusted = bool(around.site.limit.trusted_proxies)
        for at in range(7):
            headers = {**OWN, **JSON, "Origin": around.web.url, "X-Forwarded-For": f"9.9.9.9, 10.0.0.{at}"}
            status, _ = await around.post("/api/v1/login", {"token": "nobody-has-this-token"}, headers)
        assert status == (401 if trusted else 429)

    with_site(scenario)
    with_site(scenario, limit=Limit(trusted_proxies=("127.0.0.1",)))


@pytest.mark.parametrize(
    ("host", "listens_on", "ours"),
    [
        ("127.0.0.1:80", "127.0.0.1", True),
        ("localhost:80", "127.0.0.1", True),
        ("[::1]:80", "[::1]", True),
        ("evil.example:80", "127.0.0.1", False),
        ("hall.example", "127.0.0.1", False),
        ("hall.example", "0.0.0.0", True),
    ],
)
def test_on_loopback_a_foreign_name_is_turned_away(host: str, listens_on: str, ours: bool) -> None:
    request: Any = SimpleNamespace(host=host, app={})
    assert host_is_ours(request, listens_on) is ours


def test_a_foreign_name_gets_no_page() -> None:
    async def scenario(around: Around) -> None:
        async with around.session.get(around.web.url + "/readyz", headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403

    with_site(scenario)
