"""Pages in a real browser against the real process: what people see and do, by mouse, by keys, in both languages."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from core import facts as f
from core import facts_tickets as t
from tests.browser.hall import HALL, ServedHall, hall_at_work
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
    with hall_at_work(tmp_path) as one:
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


def press(page: Page, key: str) -> None:
    """Once the page has heard what became of the last one: until then it takes no other."""
    expect(page.locator("#keys[aria-busy=true]")).to_have_count(0)
    page.keyboard.press(key)


def test_a_clerk_works_by_keys_alone(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall) as visitor:
        page = visitor.open(CONSOLE, "clerk")
        number, status, said = page.locator("#number"), page.locator("#status"), page.locator("#said")
        expect(number).to_have_text("A001")
        expect(page.locator("#why")).to_contain_text("A001")
        picture(page, "console-zh")
        press(page, "F2")
        expect(page.locator("#recalls")).to_contain_text("1/2")
        press(page, "F3")
        expect(status).to_have_text("办理中")
        press(page, "F1")
        expect(number).to_have_text("A002")
        expect(said).to_contain_text("A002")
        press(page, "F6")
        expect(number).to_have_text("—")
        expect(page.locator("#held")).to_contain_text("A002")
        press(page, "F7")
        expect(number).to_have_text("A002")
        press(page, "F5")
        expect(status).to_have_text("空闲")
        press(page, "F1")
        expect(number).to_have_text("A003")
        press(page, "F8")
        expect(page.locator("#transfer")).to_be_visible()
        picture(page, "console-transfer")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(number).to_have_text("—")
        press(page, "F1")
        expect(number).to_have_text("A004")
        press(page, "F9")
        expect(page.locator("#pausing")).to_be_visible()
        press(page, "F4")
        expect(status).to_have_text("暂停")
        press(page, "F9")
        expect(status).to_have_text("空闲")
        press(page, "F1")
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
        expect(again.locator("#title")).to_have_text(CATALOGUES["en"]["rate.used"])
        again.locator("#reasons input[value='clear']").check()
        picture(again, "rate-more-en", whole=True)
        assert accessible(again) == []
        again.locator("#send").click()
        expect(again.locator("#said")).to_have_text(CATALOGUES["en"]["pad.thanks"])
        again.reload()
        expect(again.locator("#said")).to_have_text(CATALOGUES["en"]["rate.used"])
        picture(again, "rate-used-en")
        wrong = phone.open(f"/e/{token[:-2]}AA")
        expect(wrong.locator("#said")).to_have_text(CATALOGUES["zh"]["rate.bad"])
        assert accessible(wrong) == []
    assert rated(hall) == [(level, "qr") for level in (1, 2, 3, 4, 5)]
    assert hall.facts(f.EvaluationSubmitted)[0].options == ("speed",)
