"""Pages in a real browser against the real process: what people see and do, by mouse, by keys, in both languages."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core import facts as f
from core import facts_tickets as t
from tests.browser.hall import HALL, ServedHall, a_policy, served_hall
from tests.browser.visitor import accessible, chromium, picture, small_targets, visiting
from workers.web.texts import CATALOGUES

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(180)]
BIG = {"width": 1920, "height": 1080}
PHONE = {"width": 390, "height": 844}
CONSOLE = f"/console?hall={HALL}&device=caller-01"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[ServedHall]:
    """Staff at every counter, twenty people waiting, three called."""
    with served_hall(tmp_path) as one:
        for no in range(1, 7):
            one.clerk(no, "staff.sign_on", staff=f"P{no:03d}")
        for at in range(20):
            one.take(f"s0{at % 6 + 1}")
        for no in (1, 2, 3):
            one.clerk(no, "ticket.call_next")
        yield one


def shown(page: Page) -> list[str]:
    """The numbers that a board has shown large, in order."""
    return str(page.evaluate("document.body.dataset.shown || ''")).split()


def until(page: Page, holds: str) -> None:
    """Until an expression is true of the page, asked from outside: the page itself may not evaluate text."""
    deadline = time.monotonic() + 10
    while not page.evaluate(holds):
        assert time.monotonic() < deadline, holds
        page.wait_for_timeout(30)


def rated(hall: ServedHall) -> list[tuple[int, str]]:
    return [(one.level, one.channel) for one in hall.facts(f.EvaluationSubmitted)]


def finished(hall: ServedHall, counter: int) -> None:
    """Somebody has been served at the counter."""
    hall.clerk(counter, "ticket.call_next")
    hall.clerk(counter, "serving.finish")


# The board.


def test_two_calls_at_once_are_shown_in_turn(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall, viewport=BIG) as visitor:
        page = visitor.open(f"/board/{HALL}")
        expect(page.locator("#number")).to_have_text("C001")
        hall.clerk(4, "ticket.call_next")
        hall.clerk(5, "ticket.call_next")
        expect(page.locator("#calls li").first).to_contain_text("E001")
        until(page, "document.body.dataset.shown.includes('E001')")
        assert shown(page) == ["C001", "D001", "E001"], "one after the other, none left out"
        hall.clerk(5, "ticket.recall")
        until(page, "document.body.dataset.shown.endsWith('E001 E001')")
        share = page.evaluate("parseFloat(getComputedStyle(document.querySelector('#number')).fontSize) / innerHeight")
        assert share >= 0.12, "readable from ten metres"
        assert page.locator("#calls li").count() == 5
        picture(page, "board-zh")
        assert accessible(page, enhanced=True) == [] and small_targets(page, 48) == []


def test_a_board_that_was_cut_off_keeps_its_picture_says_how_old_it_is_and_comes_back_whole(
    browser: Browser, hall: ServedHall
) -> None:
    with visiting(browser, hall, viewport=BIG, complains=True) as visitor:
        page = visitor.open(f"/board/{HALL}")
        expect(page.locator("#number")).to_have_text("C001")
        hall.served.kill()
        expect(page.locator("#lost")).to_be_visible()
        expect(page.locator("#lost")).to_contain_text("连接中断")
        expect(page.locator("#number")).to_have_text("C001")
        picture(page, "board-lost")
        assert accessible(page, enhanced=True) == []
        hall.restart()
        hall.clerk(4, "ticket.call_next")
        expect(page.locator("#lost")).to_be_hidden(timeout=20_000)
        expect(page.locator("#number")).to_have_text("D001")
        fresh = visitor.open(f"/board/{HALL}")
        expect(fresh.locator("#calls li")).to_have_count(4)
        for part in ("#calls", "#waiting"):
            assert page.locator(part).inner_text() == fresh.locator(part).inner_text()


def test_the_board_of_a_zone_and_still_pictures_for_whom_motion_disturbs(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall, viewport=BIG, reduced_motion="reduce") as visitor:
        page = visitor.open(f"/board/{HALL}/w1?lang=en")
        expect(page.locator("#calls li")).to_have_count(2)
        hall.clerk(5, "ticket.call_next")
        expect(page.locator("body.new")).to_be_visible()
        name = page.evaluate("getComputedStyle(document.querySelector('#number')).animationName")
        assert name == "none"
        assert page.locator("html").get_attribute("lang") == "en"
        expect(page.locator("h1")).to_have_text(CATALOGUES["en"]["board.title"])
        picture(page, "board-en-zone")


# The console.


def test_a_clerk_works_by_keys_alone(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall) as visitor:
        page = visitor.open(CONSOLE, "clerk")
        number, status, said = page.locator("#number"), page.locator("#status"), page.locator("#said")
        expect(number).to_have_text("A001")
        expect(page.locator("#why")).to_contain_text("A001")
        picture(page, "console-zh")
        page.keyboard.press("F2")
        expect(page.locator("#recalls")).to_contain_text("1/2")
        page.keyboard.press("F3")
        expect(status).to_have_text("办理中")
        page.keyboard.press("F1")
        expect(number).to_have_text("A002")
        expect(said).to_contain_text("A002")
        page.keyboard.press("F6")
        expect(number).to_have_text("—")
        expect(page.locator("#held")).to_contain_text("A002")
        page.keyboard.press("F7")
        expect(number).to_have_text("A002")
        page.keyboard.press("F5")
        expect(status).to_have_text("空闲")
        page.keyboard.press("F1")
        expect(number).to_have_text("A003")
        page.keyboard.press("F8")
        expect(page.locator("#transfer")).to_be_visible()
        picture(page, "console-transfer")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(number).to_have_text("—")
        page.keyboard.press("F1")
        expect(number).to_have_text("A004")
        page.keyboard.press("F9")
        expect(page.locator("#pausing")).to_be_visible()
        page.keyboard.press("F4")
        expect(status).to_have_text("暂停")
        page.keyboard.press("F9")
        expect(status).to_have_text("空闲")
        page.keyboard.press("F1")
        expect(number).to_have_text("B002")
        expect(page.locator("#why")).to_contain_text("兼办")
        assert accessible(page) == [] and small_targets(page, 48) == []
    assert [
        len(hall.facts(kind)) for kind in (t.TicketRecalled, t.TicketHeld, t.TicketMissed, t.TicketTransferred)
    ] == [
        1,
        1,
        1,
        1,
    ]


def test_a_clerk_signs_on_and_off(browser: Browser, hall: ServedHall) -> None:
    hall.clerk(6, "staff.sign_off")
    with visiting(browser, hall) as visitor:
        page = visitor.open(f"/console?hall={HALL}", "clerk")
        page.get_by_role("link", name="caller-06").click()
        page.locator("#staff").fill("P777")
        page.keyboard.press("Enter")
        expect(page.locator("#who")).to_contain_text("P777")
        page.get_by_role("button", name="签退").click()
        expect(page.locator("#status")).to_have_text("未签到")


def test_a_press_that_is_not_answered_is_sent_again_and_done_once(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall, complains=True) as visitor:
        page = visitor.open(f"/console?hall={HALL}&device=caller-04", "clerk")
        expect(page.locator("#key-next")).to_be_enabled()
        lost = []

        def lose(route: object) -> None:
            if len(lost) < 2:
                lost.append(route.fetch().status)  # type: ignore[attr-defined]  # it arrives, its answer does not
                route.abort()  # type: ignore[attr-defined]  # a playwright route
            else:
                route.continue_()  # type: ignore[attr-defined]  # a playwright route

        page.route("**/api/v1/commands*", lose)
        page.keyboard.press("F1")
        expect(page.locator("#number")).to_have_text("D001")
        expect(page.locator("#said")).to_contain_text("D001")
        assert lost == [200, 200]
    assert [one.number for one in hall.facts(t.TicketCalled)].count("D001") == 1


# Ratings.


def test_each_level_from_the_pad_counts_and_a_double_tap_is_one_rating(browser: Browser, hall: ServedHall) -> None:
    hall.clerk(1, "serving.finish")
    with visiting(browser, hall) as visitor:
        page = visitor.open("/pad/ev-01", "device")
        for at, level in enumerate((5, 4, 3, 2, 1)):
            if at:
                hall.take("s01")
                finished(hall, 1)
            button = page.locator(f"#levels button[data-level='{level}']")
            expect(button).to_be_visible()
            if not at:
                boxes = [one.bounding_box() for one in page.locator("#levels button").all()]
                assert len({(round(box["width"]), round(box["height"])) for box in boxes if box}) == 1, "equal weight"
                styles = page.evaluate(
                    "[...document.querySelectorAll('#levels button')].map((b) => { const s = getComputedStyle(b);"
                    " return [s.color, s.backgroundColor, s.borderColor, s.fontSize].join() })"
                )
                assert len(set(styles)) == 1 and page.evaluate("document.activeElement.tagName") == "BODY"
                picture(page, "pad-zh")
                assert accessible(page) == [] and small_targets(page, 96) == []
            button.dblclick()
            expect(page.locator("#thanks")).to_be_visible()
            if not at:
                picture(page, "pad-thanks")
        expect(page.locator("#idle")).to_be_visible()
    assert rated(hall) == [(level, "pad") for level in (5, 4, 3, 2, 1)]
    assert hall.facts(f.EvaluationRejected) == [] and len(hall.facts(f.CaseOpened)) == 2


def test_each_level_from_a_phone_counts_once(browser: Browser, hall: ServedHall) -> None:
    hall.clerk(1, "serving.finish")
    token = ""
    with visiting(browser, hall) as at_the_counter, visiting(browser, hall, viewport=PHONE, complains=True) as phone:
        pad = at_the_counter.open("/pad/ev-01", "device")
        for at, level in enumerate((1, 2, 3, 4, 5)):
            if at:
                hall.take("s01")
                finished(hall, 1)
            until(pad, f"document.body.dataset.token && document.body.dataset.token !== {token!r}")
            token = pad.evaluate("document.body.dataset.token")
            page = phone.open(f"/e/{token}")
            expect(page.locator("#levels input")).to_have_count(5)
            assert page.locator("input:checked").count() == 0, "none chosen beforehand"
            if not at:
                picture(page, "rate-zh", whole=True)
                assert accessible(page) == [] and small_targets(page, 48) == []
                page.locator("#send").click()
                expect(page.locator("#said")).to_have_text(CATALOGUES["zh"]["rate.choose_first"])
            page.locator(f"#levels input[value='{level}']").check()
            page.locator("#reasons input[value='speed']").check()
            page.locator("#send").dblclick()
            expect(page.locator("#said")).to_have_text(CATALOGUES["zh"]["pad.thanks"])
            page.close()
        again = phone.open(f"/e/{token}?lang=en")
        expect(again.locator("#said")).to_have_text(CATALOGUES["en"]["rate.used"])
        picture(again, "rate-used-en")
        wrong = phone.open(f"/e/{token[:-2]}AA")
        expect(wrong.locator("#said")).to_have_text(CATALOGUES["zh"]["rate.bad"])
        assert accessible(wrong) == []
    assert rated(hall) == [(level, "qr") for level in (1, 2, 3, 4, 5)]
    assert hall.facts(f.EvaluationSubmitted)[0].options == ("speed",)


# The guide and the operator.


def test_a_guide_finds_takes_moves_and_changes_the_class(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall) as visitor:
        page = visitor.open("/guide", "guide")
        page.locator("#services tr").first.wait_for()
        page.locator("#number").fill("a004")
        page.keyboard.press("Enter")
        expect(page.locator("#ahead")).to_contain_text("前面 2 人:A002 A003")
        picture(page, "guide-zh", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []
        page.locator("#class").select_option("care")
        page.locator(".take[data-service='s02']").click()
        expect(page.locator("#said")).to_contain_text("B005")
        expect(page.locator("#found p").first).to_contain_text("B005")
        page.locator("#to-class").select_option("green")
        page.locator("#reclass").click()
        expect(page.locator("#found p").first).to_contain_text("绿色通道")
        page.locator("#found select").first.select_option("s03")
        page.locator("#move").click()
        expect(page.locator("#found p").first).to_contain_text("税务")
        page.locator("#number").fill("Z999")
        page.keyboard.press("Enter")
        expect(page.locator("#found")).to_contain_text("没有这个号")


def test_an_operator_sees_the_hall_move_and_a_clerk_does_not(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall, viewport={"width": 1600, "height": 1000}) as visitor:
        page = visitor.open("/ops", "operator")
        waiting = page.locator("[data-tile='ops.waiting']")
        expect(waiting).to_have_text("17")
        hall.take("s01")
        expect(waiting).to_have_text("18")
        expect(page.locator("#chart-waiting polyline")).to_have_count(2, timeout=20_000)
        expect(page.locator("#chart-oldest polyline")).to_have_count(1)
        expect(page.locator("#counters tr")).to_have_count(6)
        expect(page.locator("#ready")).to_contain_text("✓ broker")
        picture(page, "ops-zh", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []
    with visiting(browser, hall, complains=True) as clerk:
        page = clerk.open("/ops", "clerk")
        expect(page.locator("#text")).to_have_text(CATALOGUES["zh"]["error.forbidden"])
        picture(page, "refused-zh")
        assert accessible(page) == []
    with visiting(browser, hall) as nobody:
        page = nobody.open("/ops?lang=en")
        expect(page.locator("#token")).to_be_visible()
        picture(page, "login")
        assert accessible(page) == [] and small_targets(page, 48) == []


@pytest.mark.parametrize(
    ("path", "role", "heading"),
    [
        ("/", "", "home.title"),
        ("/login", "", "login.title"),
        (f"/board/{HALL}", "", "board.title"),
        (CONSOLE, "clerk", "console.title"),
        ("/pad/ev-02", "device", "pad.idle"),
        ("/guide", "guide", "guide.title"),
        ("/ops", "auditor", "ops.title"),
    ],
)
def test_every_page_speaks_both_languages(
    browser: Browser, hall: ServedHall, path: str, role: str, heading: str
) -> None:
    with visiting(browser, hall) as visitor:
        page = visitor.open(path, role)
        expect(page.locator("h1:visible").first).to_have_text(CATALOGUES["zh"][heading])
        page.locator("#language").click()
        expect(page.locator("h1:visible").first).to_have_text(CATALOGUES["en"][heading])
        assert page.locator("html").get_attribute("lang") == "en"
        page.wait_for_timeout(300)
        picture(page, f"{heading.partition('.')[0]}-en")
        assert accessible(page) == []


def test_pages_load_soon_in_a_full_hall(browser: Browser, tmp_path: Path) -> None:
    """500 people waiting, 60 counters."""
    with served_hall(tmp_path, a_policy(counters=60, services=30)) as hall:
        for no in range(1, 61):
            hall.clerk(no, "staff.sign_on", staff=f"P{no:03d}")
        for at in range(560):
            hall.take(f"s{at % 30 + 1:02d}")
        for no in range(1, 61):
            hall.clerk(no, "ticket.call_next")
        for path, role, ready in (
            (f"/board/{HALL}", "", "#calls li"),
            (CONSOLE, "clerk", "#rows li"),
            ("/guide", "guide", "#services tr"),
            ("/ops", "operator", "#counters tr"),
        ):
            with visiting(browser, hall, viewport=BIG) as visitor:
                page = visitor.open(path, role)
                page.locator(ready).first.wait_for()
                took = page.evaluate("performance.now()")
                page.reload()
                page.locator(ready).first.wait_for()
                took = min(took, page.evaluate("performance.now()"))
                print(f"{path} {took:.0f} ms")
                if path.startswith("/board"):
                    low = page.evaluate(
                        "document.querySelector('#waiting').getBoundingClientRect().bottom - innerHeight"
                    )
                    assert low <= 0, "nothing is cut off"
                picture(page, f"full-{path.split('/')[1].partition('?')[0]}")
                assert took < 1000
