"""bench/plots.py: the plots of each suite's result, with their data in tables under them and their baseline in them."""

import statistics
from collections.abc import Callable, Sequence
from html import escape
from typing import Any, Final

from bench import svg

Document = dict[str, Any]
FIRST: Final = "first part 起始"


def goals(one: Document) -> str:
    """Each gate as a multiple of its goal: above 1 is good where more is better, bad elsewhere."""
    judged = [gate for gate in one["gates"] if gate["value"] and gate["goal"]]
    values = [(f"{gate['name']} {'≥' if gate['at_least'] else '≤'}", gate["value"] / gate["goal"]) for gate in judged]
    return svg.bars(values, "x goal 倍", log=True) + svg.table(("gate", "value / goal"), values) if values else ""


def _rates(one: Document) -> str:
    """Throughput by pair, ours beside the baseline."""
    found = []
    for name, runs in one["runs"].items():
        series = {
            who: [(at, run[side]["received"] / run[side]["seconds"]) for at, run in enumerate(runs, 1)]
            for side, who in enumerate(("ours", "baseline"))
        }
        rows = [(at, ours[1], other[1]) for at, (ours, other) in enumerate(zip(*series.values(), strict=True), 1)]
        found.append(f"<h3>{escape(name)}</h3>{svg.lines(series, 'pair 配对', 'messages/s 每秒消息')}")
        found.append(svg.table(("pair", "ours", "baseline"), rows))
    return "".join(found)


def _latency(one: Document) -> str:
    """Percentiles of the first pair of each rate, ours over the relay."""
    found = []
    for rate, some in one["pairs"].items():
        curves = {
            who: [(1 / max(1e-4, 1 - share), value) for share, value in some[0][who]["curve_ms"]]
            for who in ("ours", "relay")
        }
        rows = [
            (f"{share:.3%}", ours, relay)
            for (share, ours), (_, relay) in zip(some[0]["ours"]["curve_ms"], some[0]["relay"]["curve_ms"], strict=True)
        ]
        found.append(f"<h3>{rate}/s</h3>" + svg.lines(curves, "1 / (1 - share)", "ms", log_x=True))
        found.append(svg.table(("share", "ours ms", "relay ms"), rows))
    return "".join(found)


def _scale(one: Document) -> str:
    """CPU an event over size, with the full product where it was run and the smallest point as a level."""
    found = []
    for what, curve in one["curves"].items():
        level = [(curve[0][0], curve[0][1]), (curve[-1][0], curve[0][1])]
        series = {"durable ingest": curve, "smallest 最小": level}
        full = one["full_product"][what]
        if full:
            series["full product 全程"] = [(level[0][0], full[0][1]), (level[1][0], full[0][0])]
        found.append(f"<h3>{what}</h3>" + svg.lines(series, what, "us an event 每事件微秒", log_x=True))
        found.append(svg.table((what, "us an event"), curve))
    return "".join(found)


def _ranking(one: Document) -> str:
    """Every structure's time for a call and a count on one axis, PING among them."""
    found = []
    for what, some in one["peers"].items():
        rows = [(name, us) for name, us in some]
        found.append(f"<h3>{escape(what)}</h3>" + svg.bars(rows, "us", log=True) + svg.table(("structure", "us"), rows))
    values = [(gate["name"].removeprefix("ranking."), gate["value"] or 0.0) for gate in one["gates"]]
    return "".join(found) + "<h3>ratios 倍数</h3>" + svg.bars(values, "x", log=True) + svg.table(("gate", "x"), values)


def _drain(one: Document) -> str:
    """What the broker still holds, from the first message on: each run of ours, and the no-op of the first."""
    held, runs = one["load"]["held"], one["runs"]
    series = {f"ours 本系统 {at}": mine["backlog"] for at, (mine, _) in enumerate(runs[:3], 1)}
    series["no-op 空转"] = [(0.0, held), (runs[0][1]["seconds"], 0)]
    rows = [(at, left) for at, left in runs[0][0]["backlog"][::10]]
    rates = [(at, mine["rate"], other["received"] / other["seconds"]) for at, (mine, other) in enumerate(runs, 1)]
    floods = [
        (how, run["quiet_p99_ms"], run["live_p99_ms"], run["live"])
        for how, some in one["floods"].items()
        for run in some
    ]
    return (
        svg.lines(series, "seconds 秒", "held 积压")
        + svg.table(("seconds", "held, first run"), rows)
        + svg.table(("pair", "ours/s", "no-op/s"), rates)
        + svg.table(("devices come back", "p99 ms before", "p99 ms during", "presses"), floods)
    )


def _http(one: Document) -> str:
    """Clicks against a bare transaction."""
    rows = [(name, ratio["median"]) for name, ratio in one["ratios"].items()]
    more = [(name, *map(_middle, zip(*ratio["raw"], strict=True))) for name, ratio in one["ratios"].items()]
    return (
        "<h3>over a bare transaction 与裸事务之比</h3>"
        + svg.bars(rows, "x")
        + svg.table(("clicks", "ours/s", "bare transaction/s"), more)
    )


def _middle(values: Sequence[float]) -> float:
    return statistics.median(values)


def _memory(one: Document) -> str:
    """Bytes of one more; `struct` is the baseline of `ticket`."""
    rows = [(what, _middle(values)) for what, values in one["bytes"].items()]
    return svg.bars(rows, "B", log=True) + svg.table(("one more", "bytes"), rows)


def _theory(one: Document) -> str:
    """Mean waits by class."""
    form = one["closed_form"] or [0.0] * len(one["mean_wait"])
    pairs = list(enumerate(zip(one["mean_wait"], form, strict=True)))
    bars = [(f"class {cls} {who}", wait) for cls, both in pairs for who, wait in zip(("", "theory"), both, strict=True)]
    rows = [(cls, *both) for cls, both in pairs]
    return svg.bars(bars, "of 1/mu") + svg.table(("class", "simulated 模拟", "closed form 理论"), rows)


def _ratings(one: Document) -> str:
    """Lateness of the loop by pair."""
    series = {
        who: [(at, window["lag_ms"]) for at, window in enumerate(one[key], 1)]
        for who, key in (("beside reports 同时出报表", "beside"), ("alone 单独", "alone"))
    }
    rows = [
        (at, busy["lag_ms"], quiet["lag_ms"], busy["p99_ms"], quiet["p99_ms"])
        for at, (busy, quiet) in enumerate(zip(one["beside"], one["alone"], strict=True), 1)
    ]
    heads = ("pair", "loop late ms", "alone", "screen p99 ms", "alone")
    return svg.lines(series, "pair 配对", "ms") + svg.table(heads, rows)


def _stages(one: Document) -> str:
    values = list(one["stages_us"].items())
    rows = [(stage, cost, f"{cost / one['total_us']:.1%}") for stage, cost in values]
    return svg.bars(values, "us") + svg.table(("stage", "us", "share"), rows)


def _core(one: Document) -> str:
    values = [(name, part["us"]) for name, part in one["micro"].items()]
    rows = [(name, part["us"], part["ratio"]) for name, part in one["micro"].items()]
    return svg.bars(values, "us", log=True) + svg.table(("part", "us", "ratio to msgspec decode"), rows)


def _peak(one: Document) -> str:
    """Waits by the quarter hour of the taking, over those of the core alone."""
    summary, core = one["outcome"]["summary"], one["core_alone"]
    series = {
        name: [(at, row[2 + column]) for at, row in enumerate(summary["quarters"])]
        for column, name in enumerate(("median 中位", "P90", "longest 最长"))
    }
    series["P90, core alone 仅核心"] = [(at, row[3]) for at, row in enumerate(core["quarters"])]
    heads = ("from", "tickets", "median", "P90", "longest")
    figures = [
        (name, value) for part in ("counts", "ratings", "eta", "fairness") for name, value in summary[part].items()
    ]
    figures += [(name, one["outcome"][name]) for name in ("speed", "messages", "cpu_us", "cpu_share", "rss_peak_mb")]
    figures += [
        (f"press to screen p{share}, ms", ms) for share, ms in one["outcome"]["pressed"]["quantiles_ms"].items()
    ]
    waits = [(name, value, core["wait_min"][name]) for name, value in summary["wait_min"].items()]
    return (
        svg.lines(series, "quarter hour 刻钟", "minutes 分钟")
        + svg.table(heads, summary["quarters"])
        + svg.table(("wait", "minutes", "core alone"), waits)
        + svg.table(("figure", "value"), figures)
    )


def _soak(one: Document) -> str:
    """Memory and p99 over time, each over the level of its own first part."""
    rss, rounds = one["rss"], [(at, run["quantiles_ms"]["0.99"]) for at, run in enumerate(one["rounds"])]
    return (
        svg.lines({"RSS": rss, FIRST: _level(rss)}, "seconds 秒", "MB")
        + svg.table(("seconds", "MB"), rss[:: max(1, len(rss) // 24)])
        + svg.lines({"p99": rounds, FIRST: _level(rounds)}, "round 轮", "ms")
        + svg.table(("round", "p99 ms"), rounds[:: max(1, len(rounds) // 48)])
    )


def _level(points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """The median of the first eighth, all the way."""
    first = _middle([y for _, y in points[: max(1, len(points) // 8)]])
    return [(points[0][0], first), (points[-1][0], first)]


PLOTS: Final[dict[str, Callable[[Document], str]]] = {
    "link": _rates,
    "ingest": _rates,
    "loop": _rates,
    "latency": _latency,
    "scale": _scale,
    "ranking": _ranking,
    "stages": _stages,
    "core": _core,
    "peak": _peak,
    "soak": _soak,
    "drain": _drain,
    "peers-http": _http,
    "memory": _memory,
    "theory": _theory,
    "ratings": _ratings,
}
TITLES: Final = {
    "core": "部件",
    "drain": "积压",
    "ingest": "入库",
    "journal": "日志",
    "latency": "按键到屏幕",
    "link": "链路",
    "loop": "全程",
    "memory": "内存",
    "peak": "高峰日",
    "peers-http": "网页点击",
    "ranking": "排序",
    "ratings": "评价报表",
    "recovery": "恢复",
    "scale": "规模",
    "soak": "浸泡",
    "stages": "各阶段",
    "theory": "理论",
}
