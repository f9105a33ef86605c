"""Pages of guides, operators and case handlers in a real browser; both languages of every page; a full hall."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, expect

from tests.browser.hall import HALL, ServedHall, a_policy, hall_at_work, served_hall
from tests.browser.visitor import accessible, chromium, picture, small_targets, visiting
from workers.web.texts import CATALOGUES

pytestmark = [pytest.mark.slow, pytest.mark.browser, pytest.mark.timeout(180)]
BIG = {"width": 1920, "height": 1080}
DAY = "Number(new Date().toISOString().slice(0, 10).replaceAll('-', ''))"
CONSOLE = f"/console?hall={HALL}&device=caller-01"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[ServedHall]:
    with hall_at_work(tmp_path) as one:
        yield one


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


def test_a_guide_diverts_the_last_of_a_queue(browser: Browser, hall: ServedHall) -> None:
    with visiting(browser, hall) as visitor:
        page = visitor.open("/guide?lang=en", "guide")
        waiting = page.locator("#services tr td:nth-child(2)")
        expect(waiting.first).not_to_have_text("0")
        before = [int(text) for text in waiting.all_inner_texts()]
        page.locator("#to").select_option("s03")
        page.locator("#many").fill("2")
        page.keyboard.press("Enter")
        expect(waiting.first).to_have_text(str(before[0] - 2))
        expect(waiting.nth(2)).to_have_text(str(before[2] + 2))
        page.locator("#to").select_option("s01")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("#said.bad")).to_be_visible()  # to itself
        picture(page, "guide-divert", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []


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


def test_a_bad_rating_is_followed_up_to_its_end(browser: Browser, hall: ServedHall) -> None:
    hall.clerk(1, "serving.finish")
    hall.say("device", "ev-01", {"type": "evaluation.submit", "call": 1, "level": 1, "channel": "pad"})
    with visiting(browser, hall, viewport={"width": 1600, "height": 900}) as visitor:
        page = visitor.open("/cases", "operator")
        case = page.locator("[data-case='1']")
        state = case.locator("td").nth(4)
        expect(state).to_have_text("待分派")
        expect(case).to_contain_text("还剩")
        page.locator("#ref").fill("doc-7")
        page.locator("#open button").click()
        expect(page.locator("[data-case='2']")).to_contain_text("投诉")
        picture(page, "cases-zh", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []

        def take(name: str, value: str, then: str) -> None:
            case.get_by_role("button", name=name).click()
            if value:
                field = page.locator("#value")
                field.select_option(value) if field.evaluate("f => f.tagName") == "SELECT" else field.fill(value)
                page.locator("#go").click()
            expect(state).to_have_text(then)

        case.get_by_role("button", name="分派").click()
        picture(page, "cases-step")
        page.locator("#value").fill("P001")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("当事人")
        take("分派", "H042", "待核实")
        take("核实", "no_basis", "解释中")
        take("已回复", "doc-8", "已回复")
        take("已回访", "2", "已回访")
        take("办结", "", "已办结")
    with visiting(browser, hall) as looking:
        page = looking.open("/cases?lang=en", "auditor")
        expect(page.locator("[data-case='1']")).to_contain_text("closed")
        assert page.locator("#cases button:not(.texts)").count() == 0 and page.locator("#new").is_hidden()
        picture(page, "cases-en")
        assert accessible(page) == []
    n, digest = hall.served.digests()[HALL]
    assert hall.replayed(n) == digest


def test_appeals_findings_and_conduct_are_decided_and_stand_in_the_audit(browser: Browser, hall: ServedHall) -> None:
    """All of it by keyboard, from the button to the answer."""
    hall.clerk(1, "serving.finish")
    hall.say("device", "ev-01", {"type": "evaluation.submit", "call": 1, "level": 1, "channel": "pad"})
    with visiting(browser, hall, viewport={"width": 1600, "height": 1400}) as visitor:
        page = visitor.open("/cases", "operator")
        row = page.locator("[data-appeal='1']")

        def act(button: Locator, *values: str) -> None:
            button.focus()
            page.keyboard.press("Enter")
            for at, value in enumerate(values):
                field = page.locator("#ask-fields input, #ask-fields select").nth(at)
                field.select_option(value) if field.evaluate("f => f.tagName") == "SELECT" else field.fill(value)
            page.locator("#ask-fields input").last.press("Enter")

        expect(row).to_contain_text("可申诉")
        act(row.get_by_role("button"), "P001", "doc-1")
        expect(row).to_contain_text("待复核")
        row.get_by_role("button").click()
        assert accessible(page) == []
        page.keyboard.press("Escape")
        act(row.get_by_role("button"), "mistaken", "P001")
        expect(page.locator("#said")).to_contain_text("当事人")
        act(row.get_by_role("button"), "mistaken", "S900")
        expect(row).to_contain_text("不计入")
        for no in (1, 2):
            act(page.locator("#record"), "P003", "complaint", str(page.evaluate(DAY)), "1")
            expect(page.locator(f"[data-entry='{no}']")).to_contain_text("有责投诉")
        finding = page.locator("#findings tr").first
        expect(finding).to_contain_text("C4")
        act(finding.get_by_role("button"), "confirmed", "S900")
        expect(finding).to_contain_text("已复核")
        act(page.locator("[data-entry='1']").get_by_role("button"), "doc-9")
        expect(page.locator("[data-entry='1']")).to_contain_text("已撤销")
        picture(page, "cases-over-zh", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []
        page.goto(f"{hall.url}/ops?lang=en")
        expect(page.locator("[data-audit='EvaluationExcluded']")).to_contain_text("mistake")
        expect(page.locator("[data-audit='ConductVoided']")).to_contain_text("web-")
        expect(page.locator("[data-finding='1']")).to_contain_text("C4")
        picture(page, "ops-over-en", whole=True)
        assert accessible(page) == [] and small_targets(page, 48) == []
    with visiting(browser, hall) as looking:
        page = looking.open("/cases?lang=en", "auditor")
        assert page.locator("#appeals button, #findings button, #conduct button").count() == 0
        assert page.locator("#record").is_hidden() and accessible(page) == []
    n, digest = hall.served.digests()[HALL]
    assert hall.replayed(n) == digest


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
        ("/cases", "auditor", "cases.title"),
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
            ("/cases", "operator", "#cases tr"),
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
