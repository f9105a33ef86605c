"""bench/pictures.py: every plot of a report as a picture of its own."""

import zlib
from pathlib import Path

import pytest

from bench import pictures, report, svg
from tests.browser.visitor import CHROMIUM, missing

PAGE = (
    "<h2>门限 Gates</h2><table></table>"
    f"<h2>排序 ranking</h2>{svg.bars([('a', 2.0)], 'x')}"
    f"<h2>按键到屏幕 peers-http</h2>{svg.lines({'p': [(0, 1.0), (1, 2.0)]}, 'x', 'y')}{svg.bars([('b', 1.0)], 'us')}"
)


def test_plots_are_named_after_their_suite() -> None:
    found = pictures.plots(PAGE)
    assert [name for name, *_ in found] == ["ranking-1", "peers-http-1", "peers-http-2"]
    assert all(body.startswith("<svg") and body.endswith("</svg>") and width == 720 for _, width, _, body in found)


def test_without_a_browser_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(pictures.NoBrowser, match="chromium"):
        pictures.draw(PAGE, report.STYLE, tmp_path / "png")


@pytest.mark.slow
@pytest.mark.browser
def test_pictures_are_drawn(tmp_path: Path) -> None:
    if CHROMIUM is None:
        missing("chromium")
    written = pictures.draw(PAGE, report.STYLE, tmp_path / "png")
    assert [path.name for path in written] == ["ranking-1.png", "peers-http-1.png", "peers-http-2.png"]
    pngs = [path.read_bytes() for path in written]
    assert [size(one) for one in pngs] == [(1440, 2 * height) for _, _, height, _ in pictures.plots(PAGE)]
    bottom = pixels(pngs[1])[-40 * 1440 * 4 :]
    assert len(set(bottom)) > 1, "the axis at the bottom is in it: nothing is cut off"


def size(png: bytes) -> tuple[int, int]:
    assert png.startswith(pictures.SIGNATURE)
    return int.from_bytes(png[16:20], "big"), int.from_bytes(png[20:24], "big")


def pixels(png: bytes) -> bytes:
    """Rows as they are filtered; a white row is all alike but for its first byte."""
    start = png.index(b"IDAT")
    return zlib.decompress(png[start + 4 : start + 4 + int.from_bytes(png[start - 4 : start], "big")])


def test_a_picture_is_cut_to_its_rows() -> None:
    header = (3).to_bytes(4, "big") + (4).to_bytes(4, "big") + bytes((8, 2, 0, 0, 0))
    rows = b"".join(bytes((0, *[at] * 9)) for at in range(4))
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    whole = pictures.SIGNATURE + b"".join(len(data).to_bytes(4, "big") + kind + data + bytes(4) for kind, data in parts)
    found = pictures.cropped(whole, 2)
    assert size(found) == (3, 2) and pixels(found) == rows[:20]
