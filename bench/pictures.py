"""bench/pictures.py: each plot of the report as a PNG, drawn by a headless Chromium."""

import re
import shutil
import subprocess
import tempfile
import zlib
from pathlib import Path
from typing import Final

BROWSERS: Final = ("chromium", "chromium-browser", "google-chrome")
PLOT: Final = re.compile(r'<svg viewBox="0 0 (\d+) (\d+)".*?</svg>', re.DOTALL)
HEADING: Final = re.compile(r"<h2>[^<]*?([a-z][a-z-]*)</h2>")
PAGE: Final = "<!doctype html><meta charset='utf-8'><style>{style}body{{all:unset;background:#fff}}</style>{body}"
LONGEST_S: Final = 60
SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
FRAME: Final = 200  # a window is larger than what it shows, by more than any browser takes


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
            shot = [
                f"--window-size={width},{height + FRAME}",
                "--force-device-scale-factor=2",
                f"--screenshot={target}",
            ]
            command = [browser, *options, *shot, source.as_uri()]
            subprocess.run(command, check=True, capture_output=True, timeout=LONGEST_S)
            target.write_bytes(cropped(target.read_bytes(), height * 2))
            written.append(target)
    return written


def cropped(picture: bytes, rows: int) -> bytes:
    """A PNG's first rows. Rows are filtered against those above them alone, so the rest can simply go."""
    chunks: list[tuple[bytes, bytes]] = []
    at = len(SIGNATURE)
    while at < len(picture):
        size = int.from_bytes(picture[at : at + 4], "big")
        chunks.append((picture[at + 4 : at + 8], picture[at + 8 : at + 8 + size]))
        at += size + 12
    header = dict(chunks)[b"IHDR"]
    wide, bits, colour = int.from_bytes(header[:4], "big"), header[8], header[9]
    stride = 1 + wide * bits * {0: 1, 2: 3, 6: 4}[colour] // 8
    body = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))[: rows * stride]
    kept = [
        (b"IHDR", header[:4] + rows.to_bytes(4, "big") + header[8:]),
        (b"IDAT", zlib.compress(body)),
        (b"IEND", b""),
    ]
    return SIGNATURE + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big") for kind, data in kept
    )
