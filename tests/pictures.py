"""tests/pictures.py: `make pictures`: every page and every dashboard over simulated halls, into deploy/pictures.

Pages as a browser shows them. Dashboards as deploy/grafana/preview.py draws them from their JSON and the answers of a
real Prometheus: Grafana has no part in it. PNG with few colours, so that a picture is small.
"""

import asyncio
import struct
import sys
import tempfile
import zlib
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from playwright.sync_api import Browser, Page

from deploy.grafana import preview
from devices.simulator import Simulator, example_policy
from tests import test_dashboards as dashboards
from tests.brokers import RunningBroker
from tests.browser.hall import HALL, ServedHall, hall_at_work
from tests.browser.visitor import chromium, visiting
from tests.processes import Served
from workers.demonstration import _clock

PICTURES = Path(__file__).resolve().parent.parent / "deploy" / "pictures"
SECONDS, STEP_S, SPEED = 150.0, 1.0, 60
COLOURS = (64, 32, 16)  # the first that makes it small enough
LARGEST = 150_000


def small(png: bytes, colours: int) -> bytes:
    """The picture with its commonest colours; each other one becomes the nearest of them."""
    width, height, pixels = _decoded(png)
    common = [colour for colour, _ in Counter(pixels).most_common(colours)]
    index = {colour: at for at, colour in enumerate(common)}
    for colour in set(pixels) - index.keys():
        index[colour] = min(range(len(common)), key=lambda at: _far(colour, common[at]))
    rows = (b"\0" + bytes(index[one] for one in pixels[at : at + width]) for at in range(0, len(pixels), width))
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = (
        (b"IHDR", header),
        (b"PLTE", b"".join(common)),
        (b"IDAT", zlib.compress(b"".join(rows), 9)),
        (b"IEND", b""),
    )
    return png[:8] + b"".join(_chunk(kind, body) for kind, body in chunks)


def _far(one: bytes, other: bytes) -> int:
    return sum((a - b) ** 2 for a, b in zip(one, other, strict=True))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _decoded(png: bytes) -> tuple[int, int, list[bytes]]:
    """Width, height, pixels as RGB. Of what Chromium writes: 8 bits, RGB or RGBA, not interlaced."""
    at, data, width, height, wide = 8, b"", 0, 0, 3
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, _, colour = struct.unpack(">IIBB", body[:10])
            wide = 4 if colour == 6 else 3
        data += body if kind == b"IDAT" else b""
        at += 12 + size
    pixels: list[bytes] = []
    for row in _rows(zlib.decompress(data), width * wide, wide):
        pixels += [bytes(row[x : x + 3]) for x in range(0, width * wide, wide)]
    return width, height, pixels


def _rows(data: bytes, length: int, wide: int) -> Iterator[bytearray]:
    """Unfiltered, as PNG says it: none, left, above, mean, Paeth."""
    above = bytearray(length)
    for start in range(0, len(data), length + 1):
        how, row = data[start], bytearray(data[start + 1 : start + 1 + length])
        if how:
            for x in range(length):
                left, up = row[x - wide] if x >= wide else 0, above[x]
                corner = above[x - wide] if x >= wide else 0
                row[x] = (row[x] + (0, left, up, (left + up) // 2, _paeth(left, up, corner))[how]) & 255
        yield row
        above = row


def _paeth(left: int, up: int, corner: int) -> int:
    guess = left + up - corner
    return min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]


def keep(page: Page, name: str, *, whole: bool = True) -> None:
    """A picture into deploy/pictures."""
    shot = page.screenshot(full_page=whole)
    for colours in COLOURS:
        found = small(shot, colours)
        if len(found) <= LARGEST:
            break
    (PICTURES / f"{name}.png").write_bytes(found)
    print(f"{name}.png {len(found) // 1000} kB", "TOO LARGE" if len(found) > LARGEST else "", flush=True)


def bad_day(hall: ServedHall) -> None:
    """A bad rating."""
    hall.clerk(1, "serving.finish")
    hall.say("device", "ev-01", {"type": "evaluation.submit", "call": 1, "level": 1, "channel": "pad"})


def pages(browser: Browser, place: Path) -> None:
    """Every page of a hall at work."""
    with hall_at_work(place) as hall:
        wanted = (
            ("board", f"/board/{HALL}", "", "#calls li", {"width": 1920, "height": 1080}),
            ("login", "/login", "", "#token", {"width": 900, "height": 500}),
            ("console", f"/console?hall={HALL}&device=caller-02", "clerk", "#rows li", {"width": 1280, "height": 800}),
            ("guide", "/guide", "guide", "#services tr", {"width": 1280, "height": 900}),
        )
        for name, path, role, ready, viewport in wanted:
            with visiting(browser, hall, viewport=viewport) as visitor:
                page = visitor.open(path, role)
                page.locator(ready).first.wait_for()
                keep(page, name)
        hall.clerk(2, "serving.finish")
        with visiting(browser, hall) as visitor:
            page = visitor.open("/pad/ev-02", "device")
            page.locator("#levels button").first.wait_for()
            keep(page, "pad")
            link = page.locator("#qr[src]").get_attribute("src") or ""
        token = link.rpartition("/")[2].removesuffix(".svg")
        with visiting(browser, hall, viewport={"width": 390, "height": 844}) as visitor:
            page = visitor.open(f"/e/{token}")
            page.locator("button").first.wait_for()
            keep(page, "rating")
        bad_day(hall)
        for name, ready in (("cases", "#appeals [data-appeal]"), ("ops", "#chart-waiting polyline")):
            with visiting(browser, hall, viewport={"width": 1600, "height": 900}) as visitor:
                page = visitor.open(f"/{name}", "operator")
                page.locator(ready).first.wait_for(timeout=20_000)
                keep(page, name)


def boards(browser: Browser, place: Path) -> list[str]:
    """Every dashboard over a simulated hall; titles of panels that showed nothing."""
    policy, clock = dashboards.zoned(example_policy(hall="h1", counters=6, services=4)), _clock(SPEED)
    settings = {"speed": clock.speed, "origin_ms": clock.origin_ms, "anchor_ms": clock.anchor_ms}
    broker = RunningBroker("iotcore", place)
    broker.start()
    more = {f"clock__{name}": value for name, value in settings.items()}
    empty: list[str] = []
    try:
        with Served(place, [policy], broker.url, broker__receive_maximum=broker.receive_max, **more) as served:
            served.up()
            (place / "prometheus").mkdir()
            prometheus = dashboards.Prometheus(place / "prometheus", served.url.removeprefix("http://"))
            try:
                prometheus.up()
                url = f"mqtt://127.0.0.1:{broker.port}"
                simulator = Simulator(
                    policy, url, seed=7, speed=SPEED, now_ms=clock.now_ms, seconds=SECONDS, habits=dashboards.EAGER
                )
                with ThreadPoolExecutor(1) as thread:  # the browser's own loop runs in this one
                    thread.submit(lambda: asyncio.run(simulator.run())).result()
                empty = _drawn(browser, place, prometheus.url)
            finally:
                prometheus.stop()
    finally:
        broker.stop()
    return empty


def _drawn(browser: Browser, place: Path, url: str) -> list[str]:
    ask = preview.Prometheus(url, SECONDS, STEP_S, dashboards.VARIABLES)
    note = f"{preview.NOTE} A simulated hall, {SECONDS:.0f} s at speed {SPEED}."
    empty: list[str] = []
    for name, board in preview.boards().items():
        text, missing = preview.page(board, ask, note)
        empty += [f"{name}: {one}" for one in missing]
        (place / f"{name}.html").write_text(text, "utf-8")
        page = browser.new_page(viewport={"width": 24 * preview.UNIT_W + preview.GAP, "height": 700})
        page.goto((place / f"{name}.html").as_uri())
        keep(page, name)
        page.close()
    return empty


def main() -> int:
    """All pictures. 1 where a panel had nothing to show."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place, chromium() as browser:
        for part in ("pages", "boards"):
            (Path(place) / part).mkdir()
        wanted = sys.argv[1:] or ["pages", "boards"]
        if "pages" in wanted:
            pages(browser, Path(place) / "pages")
        empty = boards(browser, Path(place) / "boards") if "boards" in wanted else []
    print(*(f"no data: {one}" for one in empty), sep="\n")
    return int(bool(empty))


if __name__ == "__main__":
    sys.exit(main())
