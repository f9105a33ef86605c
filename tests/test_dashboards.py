"""deploy/grafana: dashboards are current, name only what exists, and show something of a real hall."""

import asyncio
import html
import json
import math
import re
import shutil
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.policy import Policy, ZonePart
from deploy.grafana import build, preview
from devices import people
from devices.kit_broker import free_port
from devices.simulator import Simulator, example_policy
from tests.brokers import RunningBroker
from tests.processes import Served
from tests.test_alerts import PROMETHEUS, RECORDED, STORED, names_of, tool
from workers.demonstration import _clock

BOARDS = {board.uid: json.loads(build.built(board)) for board in build.BOARDS}
VARIABLES = {"$hall": ".*", "$service": ".*", "$instance": ".*", "$__rate_interval": "10s"}
SPEED, SECONDS = 60, 40.0
PATIENCE_S = 75.0
EAGER = people.Habits(visits_day=720, kiosks=2, response=1.0, late_rating=0.0)


def queries() -> list[tuple[str, str]]:
    """(dashboard and panel, query) of every panel."""
    return [
        (f"{uid}: {panel['title']} {target['refId']}", target["expr"])
        for uid, board in BOARDS.items()
        for panel in board["panels"]
        for target in panel["targets"]
    ]


def variables() -> list[tuple[str, str, str]]:
    """(dashboard and variable, series, label) of every variable that asks Prometheus."""
    found = []
    for uid, board in BOARDS.items():
        for one in board["templating"]["list"]:
            if one["type"] == "query":
                asked = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"])
                assert asked, one
                found.append((f"{uid}: {one['name']}", asked[1], asked[2]))
    return found


def substituted(query: str) -> str:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return query


@pytest.mark.parametrize("path", build.documents(), ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    said = path.read_text("utf-8") if path.exists() else ""
    assert said == build.documents()[path], "python -m deploy.grafana.build"


def test_no_dashboard_lies_there_that_nobody_builds() -> None:
    assert {path.stem for path in (build.HERE / "dashboards").glob("*.json")} == set(BOARDS)


def test_the_six_dashboards_are_told_apart() -> None:
    assert len(BOARDS) == 6 == len({board["title"] for board in BOARDS.values()})
    for board in BOARDS.values():
        panels = board["panels"]
        assert len({panel["id"] for panel in panels}) == len({panel["title"] for panel in panels}) == len(panels)
        assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels), "none hangs over the edge"
        assert {panel["datasource"]["uid"] for panel in panels} == {"${datasource}"}, "none is nailed to one server"


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_titles_speak_both_languages(board: dict[str, Any]) -> None:
    for title in (board["title"], *(panel["title"] for panel in board["panels"])):
        assert re.search(r"[a-zA-Z]", title) and re.search(r"[\u4e00-\u9fff]", title), title


@pytest.mark.parametrize(("where", "query"), queries(), ids=[where for where, _ in queries()])
def test_a_query_names_only_what_exists(where: str, query: str) -> None:
    names = names_of(query) | set(re.findall(r"\bscrape_\w+", query))
    assert names and names <= STORED | RECORDED | {"scrape_duration_seconds"}
    assert "$" not in substituted(query), where


def test_every_query_is_promql(tmp_path: Path) -> None:
    rules = [{"record": f"q:{at}", "expr": substituted(query)} for at, (_, query) in enumerate(queries())]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), "utf-8")
    done = tool("promtool", "check", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


# A real hall before a real Prometheus.


class Prometheus:
    """A server of our own on a free port, with the rules that are shipped, evaluated each second."""

    def __init__(self, directory: Path, target: str) -> None:
        tool("prometheus", "--version")
        rules = directory / "rules"
        rules.mkdir()
        for path in (PROMETHEUS / "rules").glob("*.yml"):
            (rules / path.name).write_text(path.read_text("utf-8").replace("interval: 1m", "interval: 1s"), "utf-8")
        config = {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(rules / "*.yml")],
            "scrape_configs": [{"job_name": "jiaohao", "static_configs": [{"targets": [target]}]}],
        }
        (directory / "prometheus.yml").write_text(json.dumps(config), "utf-8")
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                str(shutil.which("prometheus")),
                f"--config.file={directory / 'prometheus.yml'}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=directory,
        )

    def get(self, path: str, **query: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(query)}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success", found
        return found["data"]

    def up(self) -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            try:
                return self.get("query", query="1") and None
            except OSError:
                time.sleep(0.1)
        pytest.fail("Prometheus does not answer")

    def finite(self, query: str) -> bool:
        """Whether it returns at least one sample that is a number."""
        return any(math.isfinite(float(one["value"][1])) for one in self.get("query", query=query)["result"])

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)


def zoned(policy: Policy) -> Policy:
    """The simulated hall with two zones, so that their panel has something to show."""
    counters = tuple(msgspec.structs.replace(one, zone="w1" if one.no % 2 else "w2") for one in policy.counters)
    return msgspec.structs.replace(
        policy, zones=(ZonePart("w1", seats=40), ZonePart("w2", seats=40)), counters=counters
    )


@pytest.fixture
def watched(tmp_path: Path, iotcore_broker: RunningBroker) -> Iterator[tuple[Prometheus, Served, Policy, Any, str]]:
    policy, clock = zoned(example_policy(hall="h1", counters=6, services=4)), _clock(SPEED)
    settings = {
        "broker__receive_maximum": iotcore_broker.receive_max,
        "clock__speed": clock.speed,
        "clock__origin_ms": clock.origin_ms,
        "clock__anchor_ms": clock.anchor_ms,
    }
    with Served(tmp_path, [policy], iotcore_broker.url, **settings) as served:
        served.up()
        (tmp_path / "prometheus").mkdir()
        prometheus = Prometheus(tmp_path / "prometheus", served.url.removeprefix("http://"))
        try:
            prometheus.up()
            yield prometheus, served, policy, clock, f"mqtt://127.0.0.1:{iotcore_broker.port}"
        finally:
            prometheus.stop()


def drawn(url: str) -> None:
    """The preview draws every dashboard from the same answers, and finds something for every panel."""
    ask = preview.Prometheus(url, SECONDS, 1.0, VARIABLES)
    for name, board in preview.boards().items():
        text, empty = preview.page(board, ask, preview.NOTE)
        assert empty == [] and "no data" not in text, name
        assert all(html.escape(panel["title"]) in text for panel in board["panels"]) and "not by Grafana" in text


def test_the_preview_says_what_is_empty_and_reads_units_as_people_do() -> None:
    board = BOARDS["jiaohao-hall"]
    text, empty = preview.page(board, lambda query, instant: [], preview.NOTE)
    assert empty == [panel["title"] for panel in board["panels"]] and text.count("no data") == len(empty)
    said = [
        preview.shown(value, unit) for value, unit in ((0.25, "percentunit"), (0.004, "s"), (-1950, "s"), (90, "s"))
    ]
    assert said == ["25 %", "4 ms", "-32.5 min", "90 s"]
    assert preview.shown(1 << 20, "bytes") == "1 MiB" and preview.shown(2500, "short") == "2.5 k"
    assert preview.shown(3, "h") == "3 h" and preview.shown(math.inf, "s") == "—"


def test_the_pictures_are_small_and_there_is_one_of_each_dashboard_and_page() -> None:
    pictures = Path(preview.__file__).parent.parent / "pictures"
    wanted = {*BOARDS, "board", "console", "pad", "rating", "guide", "ops", "cases", "login"}
    assert {path.stem for path in pictures.glob("*.png")} == wanted
    assert all(path.stat().st_size <= 150_000 for path in pictures.iterdir())
    for readme in ("README.md", "README.zh-CN.md"):
        text = (pictures.parent.parent / readme).read_text("utf-8")
        assert all(f"deploy/pictures/{name}.png" in text for name in wanted) and "preview.py" in text


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_every_panel_and_variable_shows_something(
    watched: tuple[Prometheus, Served, Policy, Any, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "LEVELS", ((5, 250), (4, 150), (3, 100), (2, 250), (1, 250)))  # bad ones too, and soon
    prometheus, _, policy, clock, broker = watched
    waiting = {where: substituted(query) for where, query in queries()}

    def ask() -> None:
        for where, query in list(waiting.items()):
            if prometheus.finite(query):
                del waiting[where]

    async def scenario() -> None:
        simulator = Simulator(policy, broker, seed=7, speed=SPEED, now_ms=clock.now_ms, seconds=SECONDS, habits=EAGER)
        running = asyncio.create_task(simulator.run())
        deadline = time.monotonic() + PATIENCE_S
        while waiting and time.monotonic() < deadline:
            await asyncio.sleep(1.0)
            await asyncio.to_thread(ask)
        if not running.done():
            simulator.stop()
        await running

    asyncio.run(scenario())
    assert waiting == {}
    drawn(prometheus.url)
    for where, series, label in variables():
        values = prometheus.get(f"label/{label}/values", **{"match[]": substituted(series)})
        assert values and "" not in values, where
    assert not prometheus.finite('jiaohao_hall_waiting{hall="no such hall"}'), "a wrong query comes out empty"
    assert not prometheus.finite("rate(jiaohao_weather_total[10s])")
