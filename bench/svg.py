"""bench/svg.py: lines and bars as SVG text, nothing else. Every plot has its data as a table under it."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT = 720, 280
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 30, 36
COLOURS: Final = ("#0b6e4f", "#c1440e", "#2a5caa", "#8a6d00", "#7b3f98", "#555555")
ROW, LABELS = 22, 260
NAMES: Final = 190  # where the names of the lines begin, above the plot
MARKED: Final = 40  # points of a line that has its points marked
Points = Sequence[tuple[float, float]]


def lines(series: Mapping[str, Points], x_name: str, y_name: str, *, log_x: bool = False) -> str:
    """A plot of some lines over one axis."""
    every = [point for points in series.values() for point in points]
    if not every:
        return ""
    place = math.log10 if log_x else float
    xs, top = [place(x) for x, _ in every], max(y for _, y in every) or 1.0
    low, high = min(xs), max(xs) if max(xs) > min(xs) else min(xs) + 1

    def at(x: float, y: float) -> str:
        across = LEFT + (place(x) - low) / (high - low) * (WIDTH - LEFT - RIGHT)
        return f"{across:.1f},{HEIGHT - BOTTOM - y / top * (HEIGHT - TOP - BOTTOM):.1f}"

    parts = [_grid(top, y_name), _ends(every, x_name)]
    for turn, (name, points) in enumerate(series.items()):
        colour = COLOURS[turn % len(COLOURS)]
        path = " ".join(at(x, y) for x, y in points)
        if len(points) <= MARKED:
            parts += [_mark(at(x, y), colour) for x, y in points]
        parts.append(f'<polyline fill="none" stroke="{colour}" stroke-width="2" points="{path}"/>')
        across = NAMES + turn * (WIDTH - NAMES) // len(series)
        parts.append(f'<text x="{across}" y="14" fill="{colour}">{escape(name)}</text>')
    return _svg(WIDTH, HEIGHT, "".join(parts), f"{y_name}, {x_name}")


def _mark(place: str, colour: str) -> str:
    """A point of a line, which may be its only one."""
    x, y = place.split(",")
    return f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>'


def _grid(top: float, name: str) -> str:
    """Four horizontal lines with their values."""
    parts = []
    for step in range(5):
        y = HEIGHT - BOTTOM - step / 4 * (HEIGHT - TOP - BOTTOM)
        parts.append(f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{number(top * step / 4)}</text>')
    return "".join(parts) + f'<text x="4" y="14" class="axis">{escape(name)}</text>'


def _ends(every: Points, name: str) -> str:
    """The range of the x axis."""
    low, high = min(x for x, _ in every), max(x for x, _ in every)
    y = HEIGHT - BOTTOM + 18
    return (
        f'<text x="{LEFT}" y="{y}">{number(low)}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{y}" text-anchor="end">{number(high)}</text>'
        f'<text x="{(LEFT + WIDTH) / 2}" y="{y}" text-anchor="middle" class="axis">{escape(name)}</text>'
    )


def bars(values: Sequence[tuple[str, float]], unit: str, *, log: bool = False) -> str:
    """Horizontal bars; on a log axis from a tenth of the smallest."""
    shown = [(name, value) for name, value in values if value > 0]
    if not shown:
        return ""
    least, most = min(value for _, value in shown) / 10, max(value for _, value in shown)
    parts = []
    for turn, (name, value) in enumerate(shown):
        share = math.log(value / least) / math.log(most / least) if log else value / most
        y, wide = turn * ROW + 4, share * (WIDTH - LABELS - 110)
        parts.append(f'<text x="{LABELS - 6}" y="{y + 13}" text-anchor="end">{escape(name)}</text>')
        parts.append(f'<rect x="{LABELS}" y="{y}" width="{wide:.1f}" height="16" fill="{COLOURS[0]}"/>')
        parts.append(f'<text x="{LABELS + wide + 6:.1f}" y="{y + 13}">{number(value)} {escape(unit)}</text>')
    return _svg(WIDTH, len(shown) * ROW + 8, "".join(parts), unit)


def _svg(width: int, height: int, body: str, label: str) -> str:
    return f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">{body}</svg>'


def table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Plain HTML; floats with four digits."""
    head = "".join(f"<th>{escape(one)}</th>" for one in heads)
    body = "".join(f"<tr>{''.join(f'<td>{escape(_text(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _text(cell: object) -> str:
    return number(cell) if isinstance(cell, float) else str(cell)


def number(value: float) -> str:
    """Four digits, and no powers of ten where people read."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.4g}"
