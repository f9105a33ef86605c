"""bench/pictures.py: each plot of the report as a PNG, drawn by a headless Chromium."""

import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
PLOT: Final = re.compile(r'<svg viewBox="0 0 (\d+) (\d+)".*?</svg>', re.DOTALL)
HEADING: Final = re.compile(r"<h2>[^<]*?([a-z][a-z-]*)</h2>")
PAGE: Final = "<!doctype html><meta charset='utf-8'><style>body{{margin:0;background:#fff}}{style}</style>{body}"
LONGEST_S: Final = 60


class NoBrowser(Exception):
    """Nothing here can draw."""


def plots(page: str) -> list[tuple[str, int, int, str]]:
    """(name, width, height, SVG) of every plot of a report, numbered within its suite."""
    found: list[tuple[str, int, int, str]] = []
    headings = list(HEADING.finditer(page))
    for at, heading in enumerate(headings):
        end = headings[at + 1].start() if at + 1 < len(headings) else len(page)
        for number, plot in enumerate(PLOT.finditer(page, heading.end(), end), 1):
            found.append((f"{heading[1]}-{number}", int(plot[1]), int(plot[2]), plot[0]))
    return found


def draw(page: str, style: str, directory: Path) -> list[Path]:
    """Writes the plots of a report there. NoBrowser: there is no Chromium on PATH."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise NoBrowser("PNGs need chromium on PATH; the page has the same plots")
    directory.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    with tempfile.TemporaryDirectory() as place:
        for name, width, height, body in plots(page):
            source, target = Path(place, "plot.html"), directory / f"{name}.png"
            source.write_text(PAGE.format(style=style, body=body), "utf-8")
            options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={place}/p"]
            shot = [f"--window-size={width},{height}", "--force-device-scale-factor=2", f"--screenshot={target}"]
            command = [browser, *options, *shot, source.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=LONGEST_S)
            written.append(target)
    return written
