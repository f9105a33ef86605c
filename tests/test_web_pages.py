"""workers/web/pages.py: who sees which page, in which language, and with which headers."""

import pytest

from tests.halls import HALL, MIN
from tests.sites import PROOFS, Around, pictures, with_site
from tests.test_web_commands_api import rateable
from workers.web.access import PAGES
from workers.web.server import CSP
from workers.web.site import Limit
from workers.web.texts import CATALOGUES

STAFF = ("console", "guide", "ops", "pad", "cases")


def test_everybody_sees_the_board_and_nothing_of_the_staff() -> None:
    async def scenario(around: Around) -> None:
        for path in ("/", "/login", f"/board/{HALL}", f"/board/{HALL}/w1", "/static/page.js", "/texts/en"):
            assert (await around.get(path))[0] == 200, path
        for page in STAFF:
            async with around.session.get(f"{around.web.url}/{page}?lang=en", allow_redirects=False) as answer:
                assert answer.status == 303 and answer.headers["Location"].startswith(
                    f"/login?lang=en&next=/{page}?lang"
                )
            assert (await around.get(f"/events/{page}?hall=h1&name=caller-1"))[0] == 401
        assert around.site.refused["token"] == 2 * len(STAFF)

    with_site(scenario)


def test_each_role_sees_its_own_pages() -> None:
    async def scenario(around: Around) -> None:
        for role, pages in PAGES.items():
            for page in STAFF:
                status, text = await around.get(f"/{page}", role)
                assert status == (200 if page in pages else 403), (role, page)
                if status == 403:
                    assert CATALOGUES["zh"]["error.forbidden"] in text
            assert (await around.get("/ops?hall=h9", role))[0] == 403

    with_site(scenario)


@pytest.mark.parametrize(
    ("path", "role", "status"),
    [
        ("/events/board?hall=h9", "", 404),
        ("/events/board?hall=h1&name=nowhere", "", 404),
        ("/events/nothing?hall=h1", "clerk", 403),
        ("/events/console?hall=h1&name=ev-1", "clerk", 403),
        ("/events/console?hall=h1&name=nobody", "clerk", 403),
        ("/events/pad?hall=h1&name=caller-1", "device", 403),
        ("/events/ops?hall=h1", "clerk", 403),
        ("/events/ops?hall=h1&name=x", "operator", 403),
        ("/events/guide?hall=h1&name=caller-1", "guide", 403),
        ("/board/h9", "", 404),
        ("/board/h1/nowhere", "", 404),
        ("/static/..%2fpages.py", "", 404),
        ("/static/board.html", "", 404),
        ("/static/nothing.js", "", 404),
        ("/texts/fr", "", 404),
        ("/nothing", "", 404),
        ("/qr/nothing.svg", "device", 403),
    ],
)
def test_what_is_not_there_or_not_ones_own(path: str, role: str, status: int) -> None:
    async def scenario(around: Around) -> None:
        assert (await around.get(path, role))[0] == status

    with_site(scenario)


def test_every_answer_has_its_headers() -> None:
    async def scenario(around: Around) -> None:
        for path in ("/", "/nothing", "/static/page.css", "/events/board?hall=h1", "/api/v1/me", "/healthz"):
            async with around.session.get(around.web.url + path) as answer:
                assert answer.headers["Content-Security-Policy"] == CSP, path
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                assert answer.headers["Cache-Control"] == "no-store" and answer.headers["Server"] == "jiaohao"

    with_site(scenario)


@pytest.mark.parametrize(("query", "lang", "other"), [("", "zh-CN", "lang=en"), ("?lang=en", "en", "lang=zh")])
def test_chinese_unless_english_is_asked_for(query: str, lang: str, other: str) -> None:
    async def scenario(around: Around) -> None:
        _, text = await around.get(f"/board/{HALL}{query}")
        assert f'<html lang="{lang}"' in text and other in text
        assert CATALOGUES[lang[:2]]["board.waiting"] in text and "{{" not in text

    with_site(scenario)


def test_what_an_address_says_is_escaped() -> None:
    async def scenario(around: Around) -> None:
        evil = '"><script>alert(1)</script>'
        for path in (f"/login?next={evil}", f"/ops?x={evil}", f"/e/{evil}", f"/pad/{evil}", f"/board/{evil}"):
            for role in ("", "operator", "device"):
                assert "<script>alert" not in (await around.get(path, role))[1], path

    with_site(scenario)


# Streams.


def test_a_stream_is_the_picture_and_then_its_changes() -> None:
    async def scenario(around: Around) -> None:
        (first,) = await pictures(around, f"/events/board?hall={HALL}")
        assert first["n"] == around.driven.state.n and first["body"]["calls"] == []
        url = f"{around.web.url}/events/board?hall={HALL}"
        async with around.session.get(url) as answer:
            await answer.content.readuntil(b"data:")
            await around.say("clerk", "caller-1", {"type": "ticket.call_next"})
            around.driven.at_ms += 1
            await around.say("clerk", "caller-2", {"type": "counter.pause"})
            assert around.site.hub.by_page() == {"board": 1}
        console = (await pictures(around, "/events/console?hall=h1&name=caller-2", "clerk"))[0]["body"]
        assert console["status"] == "paused"
        for path, role in (("ops", "auditor"), ("guide", "guide"), ("pad&", "")):
            if role:
                body = (await pictures(around, f"/events/{path}?hall=h1", role))[0]["body"]
                assert body["hall"] == HALL
        pad = (await pictures(around, "/events/pad?hall=h1&name=ev-1", "device"))[0]["body"]
        assert pad["phase"] == "idle" and pad["token"] == ""

    with_site(scenario)


def test_no_more_streams_than_allowed() -> None:
    async def scenario(around: Around) -> None:
        url = f"{around.web.url}/events/board?hall={HALL}"
        async with around.session.get(url) as answer:
            await answer.content.readuntil(b"data:")
            async with around.session.get(url) as second:
                assert second.status == 503 and second.headers["Retry-After"] == "5"

    with_site(scenario, limit=Limit(sse_clients=1))


def test_a_crowd_before_the_board_does_not_shut_the_staff_out() -> None:
    async def scenario(around: Around) -> None:
        url = f"{around.web.url}/events/board?hall={HALL}"
        answers = [await around.session.get(url) for _ in range(5)]
        assert [one.status for one in answers] == [200] * 4 + [503]
        assert len(await pictures(around, "/events/ops?hall=h1", "operator")) == 1
        for one in answers:
            one.close()

    with_site(scenario, limit=Limit(sse_clients=5))


# The page of a token.


def test_the_page_of_a_token_says_what_it_is_good_for() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        status, text = await around.get(f"/e/{token}")
        assert status == 200 and 'data-phase="open"' in text and "窗口 1" in text
        assert (await around.get("/e/nothing"))[0] == 404
        wrong, text = await around.get(f"/e/{token[:-1]}{'A' if token[-1] != 'A' else 'B'}")
        assert wrong == 404 and 'data-phase="bad"' in text
        await around.post(f"/api/v1/e/{token}", {"level": 4})
        more, text = await around.get(f"/e/{token}")
        assert more == 200 and 'data-phase="more"' in text and 'data-reasons="attitude,' in text
        await around.post(f"/api/v1/e/{token}/more", {"options": ["speed"]})
        used, text = await around.get(f"/e/{token}")
        assert used == 410 and 'data-phase="used"' in text
        assert around.site.refused["token"] == 3

    with_site(scenario, driven)


def test_a_late_token_has_a_page_of_its_own() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        around.driven.at_ms += 8 * 24 * 60 * MIN
        status, text = await around.get(f"/e/{token}")
        assert status == 410 and 'data-phase="over"' in text
        unknown = PROOFS.mint(HALL, 999, around.driven.at_ms + MIN)
        assert 'data-phase="over"' in (await around.get(f"/e/{unknown}"))[1]
        elsewhere = PROOFS.mint("h9", 1, around.driven.at_ms + MIN)
        assert (await around.get(f"/e/{elsewhere}"))[0] == 404

    with_site(scenario, driven)


def test_the_pad_shows_the_code_of_its_rating() -> None:
    driven, token = rateable()

    async def scenario(around: Around) -> None:
        pad = (await pictures(around, "/events/pad?hall=h1&name=ev-1", "device"))[0]["body"]
        assert (pad["phase"], pad["call"], pad["token"]) == ("rating", 1, token)
        status, svg = await around.get(f"/qr/{token}.svg", "device")
        assert status == 200 and "<path" in svg
        assert (await around.get(f"/qr/{token}.svg"))[0] == 403
        assert (
            await around.say("device", "ev-1", {"type": "evaluation.submit", "call": 1, "level": 2, "channel": "pad"})
        )["ok"]

    with_site(scenario, driven)
