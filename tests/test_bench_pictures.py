"""bench/pictures.py: every plot of a report as a picture of its own."""

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
    heads = [path.read_bytes()[:24] for path in written]
    assert all(head.startswith(b"\x89PNG") and int.from_bytes(head[16:20], "big") == 1440 for head in heads)
