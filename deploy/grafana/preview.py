"""deploy/grafana/preview.py: a dashboard without Grafana: its JSON, the answers of a Prometheus, plain SVG.

`python -m deploy.grafana.preview --prometheus http://127.0.0.1:9090 --out DIR [--minutes 15]` writes one page each.
It reads title, type, unit, legend, threshold, place and queries of each panel, and nothing that it cannot draw. It says
on the page that Grafana did not draw it.
"""

import argparse
import html
import json
import math
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

DASHBOARDS: Final = Path(__file__).resolve().parent / "dashboards"
COLOURS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#56b4e9", "#5b3a9b", "#8c1515", "#3d7a00")
UNIT_W, UNIT_H, GAP = 62, 30, 8  # of Grafana's grid, in pixels
LEGEND_MAX: Final = 10
ROWS_MAX: Final = 12
STYLE: Final = """body{margin:0;background:#eef1f5;font:13px "Noto Sans CJK SC",sans-serif;color:#10151d}
h1{font-size:20px;margin:10px 12px 0}p{margin:2px 12px 8px}#all{position:relative}
.panel{position:absolute;background:#fff;border:1px solid #c3ccd9;border-radius:6px;overflow:hidden}
.panel h2{font-size:13px;margin:6px 10px 0}.legend{padding:0 10px;line-height:1.35;font-size:11px}
.legend span{margin-right:10px;white-space:nowrap}.stats{display:flex;flex-wrap:wrap;gap:4px 18px;padding:8px 12px}
.stat b{display:block;font-size:24px}.stat{font-size:12px}table{border-collapse:collapse;margin:6px 10px;width:96%}
td,th{border-bottom:1px solid #c3ccd9;padding:3px 8px;text-align:left}text{font-size:10px;fill:#4a5361}
.none{padding:30px 12px;color:#8c1515}"""


class Line(NamedTuple):
    """A series: its legend, its labels, its points (unix seconds, value)."""

    legend: str
    labels: dict[str, str]
    points: list[tuple[float, float]]


Ask = Callable[[str, bool], list[dict[str, Any]]]


class Prometheus:
    """Asks a server over the last `seconds`, at `step` seconds. `variables`: text in queries -> what stands for it."""

    def __init__(self, url: str, seconds: float, step: float, variables: dict[str, str]) -> None:
        self.url, self.step, self.variables = url.rstrip("/"), step, variables
        self.until = time.time()
        self.since = self.until - seconds

    def __call__(self, query: str, instant: bool) -> list[dict[str, Any]]:
        """The result of a query; with `instant` of the last moment."""
        for name, value in self.variables.items():
            query = query.replace(name, value)
        asked: dict[str, object] = {"query": query}
        asked |= {"time": self.until} if instant else {"start": self.since, "end": self.until, "step": self.step}
        path = "query" if instant else "query_range"
        address = f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(asked)}"
        with urllib.request.urlopen(address, timeout=30) as answer:  # noqa: S310 - the server that the caller names
            found = json.load(answer)
        assert found["status"] == "success", found
        result: list[dict[str, Any]] = found["data"]["result"]
        return result


def shown(value: float, unit: str) -> str:
    """A value with its unit, as short as it can be read."""
    if not math.isfinite(value):
        return "—"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        size = abs(value)
        return f"{value * 1000:.3g} ms" if size < 1 else f"{value:.3g} s" if size < 120 else f"{value / 60:.3g} min"
    if unit in ("bytes", "Bps"):
        return _thousands(value, 1024, ("B", "KiB", "MiB", "GiB", "TiB")) + ("/s" if unit == "Bps" else "")
    return _thousands(value, 1000, ("", "k", "M", "G", "T")) + ("" if unit == "short" else f" {unit}")


def _thousands(value: float, base: int, names: tuple[str, ...]) -> str:
    at = 0
    while abs(value) >= base and at + 1 < len(names):
        value, at = value / base, at + 1
    return f"{value:.3g}" + (f" {names[at]}" if names[at] else "")


def lines(ask: Ask, panel: dict[str, Any]) -> list[Line]:
    """Every series of a panel, legends filled in."""
    found = []
    for target in panel["targets"]:
        instant = bool(target.get("instant"))
        for one in ask(target["expr"], instant):
            labels = dict(one["metric"])
            legend = target.get("legendFormat") or ""
            for name, value in labels.items():
                legend = legend.replace(f"{{{{{name}}}}}", value)
            points = [(float(at), float(value)) for at, value in ([one["value"]] if instant else one["values"])]
            points = [(at, value) for at, value in points if math.isfinite(value)]
            if points:
                found.append(Line(legend, labels, points))
    return found


def limit_of(panel: dict[str, Any]) -> float | None:
    """Where it is too much; None: nowhere."""
    steps = panel["fieldConfig"]["defaults"].get("thresholds", {}).get("steps", [])
    return next((float(step["value"]) for step in steps if step.get("value") is not None), None)


def _tag(name: str, text: str = "", **more: object) -> str:
    attributes = "".join(f' {key.replace("_", "-")}="{html.escape(str(value))}"' for key, value in more.items())
    return f"<{name}{attributes}>{text}</{name}>"


class Frame(NamedTuple):
    """The plane of a drawing: pixels and the values at its edges."""

    width: int
    height: int
    since: float
    until: float
    low: float
    high: float

    def x(self, at: float) -> float:
        """Of a time."""
        return 48 + (at - self.since) / max(self.until - self.since, 1e-9) * (self.width - 58)

    def y(self, value: float) -> float:
        """Of a value."""
        return self.height - 18 - (value - self.low) / max(self.high - self.low, 1e-12) * (self.height - 26)

    def axes(self, unit: str) -> Iterator[str]:
        """Three lines with their values, both ends of the time."""
        for share in (0.0, 0.5, 1.0):
            value = self.low + (self.high - self.low) * share
            y = f"{self.y(value):.1f}"
            yield _tag("line", x1=48, x2=self.width - 8, y1=y, y2=y, stroke="#dde3ea")
            yield _tag("text", shown(value, unit), x=44, y=f"{self.y(value) + 3:.1f}", text_anchor="end")
        for at, anchor in ((self.since, "start"), (self.until, "end")):
            said = time.strftime("%H:%M:%S", time.gmtime(at))
            yield _tag("text", said, x=f"{self.x(at):.0f}", y=self.height - 4, text_anchor=anchor)


def series(found: list[Line], panel: dict[str, Any], width: int, height: int) -> str:
    """Lines over time, their limit dashed, a legend with the last value."""
    unit, limit = panel["fieldConfig"]["defaults"].get("unit", "short"), limit_of(panel)
    values = [value for one in found for _, value in one.points] + ([limit] if limit is not None else [])
    times = [at for one in found for at, _ in one.points]
    low, high = min(0.0, *values), max(values)
    rows = -(-min(len(found), LEGEND_MAX + 1) // 3)
    frame = Frame(width, height - 30 - 15 * rows, min(times), max(times), low, high if high > low else low + 1)
    drawn = list(frame.axes(unit))
    if limit is not None:
        y = f"{frame.y(limit):.1f}"
        drawn.append(_tag("line", x1=48, x2=width - 8, y1=y, y2=y, stroke="#c4162a", stroke_dasharray="6 4"))
    for at, one in enumerate(found):
        points = " ".join(f"{frame.x(t):.1f},{frame.y(v):.1f}" for t, v in one.points)
        colour = COLOURS[at % len(COLOURS)]
        drawn.append(_tag("polyline", points=points, fill="none", stroke=colour, stroke_width=1.6))
    svg = _tag("svg", "".join(drawn), width=frame.width, height=frame.height)
    legend = [_legend(one, unit, COLOURS[at % len(COLOURS)]) for at, one in enumerate(found[:LEGEND_MAX])]
    if len(found) > LEGEND_MAX:
        legend.append(_tag("span", f"+ {len(found) - LEGEND_MAX}"))
    return svg + f'<div class="legend">{"".join(legend)}</div>'


def _legend(one: Line, unit: str, colour: str) -> str:
    text = html.escape(one.legend or " ".join(one.labels.values()) or "value")
    mark = f'<svg width="10" height="8"><rect width="10" height="4" y="2" fill="{colour}"/></svg>'
    return f"<span>{mark} {text} <b>{shown(one.points[-1][1], unit)}</b></span>"


def stats(found: list[Line], panel: dict[str, Any], width: int, height: int) -> str:
    """The last value of each."""
    unit, limit = panel["fieldConfig"]["defaults"].get("unit", "short"), limit_of(panel)
    cells = []
    for one in found[:ROWS_MAX]:
        value = one.points[-1][1]
        colour = "#10151d" if limit is None else "#0b5a2b" if value < limit else "#c4162a"
        said = html.escape(one.legend or "")
        cells.append(f'<div class="stat"><b style="color:{colour}">{shown(value, unit)}</b>{said}</div>')
    return f'<div class="stats">{"".join(cells)}</div>'


def table(found: list[Line], panel: dict[str, Any], width: int, height: int) -> str:
    """The queries joined by their labels, a row each."""
    columns = list(dict.fromkeys(target.get("legendFormat") or "value" for target in panel["targets"]))
    rows: dict[tuple[tuple[str, str], ...], dict[str, float]] = {}
    for one in found:
        rows.setdefault(tuple(sorted(one.labels.items())), {})[one.legend] = one.points[-1][1]
    names = [name for name, _ in next(iter(rows))]
    unit = panel["fieldConfig"]["defaults"].get("unit", "short")
    head = "".join(_tag("th", html.escape(name)) for name in (*names, *columns))
    body = "".join(
        "<tr>" + "".join(_tag("td", html.escape(value)) for _, value in labels)
        + "".join(_tag("td", shown(cells[name], unit) if name in cells else "—") for name in columns) + "</tr>"
        for labels, cells in list(rows.items())[:ROWS_MAX]
    )  # fmt: skip
    return f"<table><tr>{head}</tr>{body}</table>"


def heatmap(found: list[Line], panel: dict[str, Any], width: int, height: int) -> str:
    """Cumulative buckets made single; darker is more."""
    found = sorted(found, key=lambda one: float(one.labels["le"].replace("+Inf", "inf")))
    times = sorted({at for one in found for at, _ in one.points})
    frame = Frame(width, height - 34, times[0], times[-1], 0, len(found))
    cells: dict[tuple[int, float], float] = {}
    below = dict.fromkeys(times, 0.0)
    for at, one in enumerate(found):
        for moment, value in one.points:
            cells[at, moment] = max(0.0, value - below[moment])
            below[moment] = value
    most = max(cells.values()) or 1.0
    wide = (frame.width - 58) / max(len(times), 1) + 0.6
    drawn = [
        _tag("rect", x=f"{frame.x(moment):.1f}", y=f"{frame.y(at + 1):.1f}", width=f"{wide:.1f}",
             height=f"{(frame.height - 26) / len(found):.1f}", fill="#0a3d91", fill_opacity=f"{value / most:.2f}")
        for (at, moment), value in cells.items() if value
    ]  # fmt: skip
    drawn += [
        _tag("text", one.labels["le"], x=44, y=f"{frame.y(at + 0.5):.1f}", text_anchor="end")
        for at, one in enumerate(found)
    ]
    drawn.append(_tag("text", time.strftime("%H:%M:%S", time.gmtime(times[0])), x=48, y=frame.height - 4))
    return _tag("svg", "".join(drawn), width=frame.width, height=frame.height)


DRAW: Final = {"timeseries": series, "stat": stats, "table": table, "heatmap": heatmap}


def page(board: dict[str, Any], ask: Ask, note: str) -> tuple[str, list[str]]:
    """The page of a dashboard, and the titles of panels that had nothing to show."""
    empty, made, bottom = [], [], 0
    for panel in board["panels"]:
        place = panel["gridPos"]
        left, top = place["x"] * UNIT_W + GAP, place["y"] * UNIT_H + GAP
        width, height = place["w"] * UNIT_W - GAP, place["h"] * UNIT_H - GAP
        bottom = max(bottom, top + height)
        found = lines(ask, panel)
        if not found:
            empty.append(str(panel["title"]))
        body = DRAW[panel["type"]](found, panel, width, height) if found else '<div class="none">no data</div>'
        style = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
        made.append(f'<div class="panel" style="{style}"><h2>{html.escape(panel["title"])}</h2>{body}</div>')
    title = html.escape(board["title"])
    text = f"""<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>
<h1>{title}</h1><p>{html.escape(note)}</p><div id="all" style="height:{bottom + GAP}px;width:{24 * UNIT_W + GAP}px">
{"".join(made)}</div></html>"""
    return text, empty


def boards() -> dict[str, dict[str, Any]]:
    """The dashboards that are checked in, by name."""
    return {path.stem: json.loads(path.read_text("utf-8")) for path in sorted(DASHBOARDS.glob("*.json"))}


NOTE: Final = (
    "Drawn by deploy/grafana/preview.py from the dashboard's JSON, not by Grafana. "
    "由 preview.py 按看板 JSON 绘制，非 Grafana 界面。"
)
ALL: Final = {"$hall": ".*", "$service": ".*", "$instance": ".*"}


def main() -> None:
    """One page a dashboard."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])  # type: ignore[union-attr]  # it has one
    parser.add_argument("--prometheus", default="http://127.0.0.1:9090")
    parser.add_argument("--out", type=Path, default=Path("artefacts"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--rate-interval", default="1m")
    chosen = parser.parse_args()
    chosen.out.mkdir(parents=True, exist_ok=True)
    seconds = chosen.minutes * 60
    ask = Prometheus(
        chosen.prometheus, seconds, max(1.0, seconds / 300), {**ALL, "$__rate_interval": chosen.rate_interval}
    )
    for name, board in boards().items():
        text, empty = page(board, ask, NOTE)
        (chosen.out / f"{name}.html").write_text(text, "utf-8")
        print(chosen.out / f"{name}.html", *(f"no data: {one}" for one in empty), sep="\n  ")


if __name__ == "__main__":
    main()
