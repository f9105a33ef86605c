"""deploy/grafana/build.py: dashboards from the table of panels, and the list of metrics from theirs.

`python -m deploy.grafana.build` writes `dashboards/*.json` and `deploy/METRICS.md`; a test holds them current.
"""

import json
from pathlib import Path
from typing import Any, Final

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as options
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.grafana.panels import HEATMAP, OVERVIEW, RATINGS, SERVICES, STAT, TABLE, Board, Panel
from deploy.grafana.panels_process import DEVICES, DISPATCHER, FLEET
from workers.metrics import TABLE as METRICS
from workers.metrics import exposed

BOARDS: Final = (OVERVIEW, SERVICES, RATINGS, DEVICES, DISPATCHER, FLEET)
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
HERE: Final = Path(__file__).resolve().parent
METRICS_PAGE: Final = HERE.parent / "METRICS.md"
WIDTH, HEIGHT = 8, 8
HEAD: Final = """# Metrics

Written from the table in `workers/metrics.py` by `python -m deploy.grafana.build`. The settings `metrics.detail` and
`metrics.series_budget` choose how far halls and services are told apart; `/metrics/halls` has the gauges of every hall.

| name | type | labels | meaning |
|---|---|---|---|
"""


def _query(panel: Panel, at: int) -> prometheus.Dataquery:
    expr, legend = panel.queries[at]
    found = prometheus.Dataquery().expr(expr).legend_format(legend).ref_id(chr(ord("A") + at))
    if panel.kind == TABLE:
        return found.instant().format(PromQueryFormat.TABLE)
    return found.format(PromQueryFormat.HEATMAP) if panel.kind == HEATMAP else found


def _built(panel: Panel, number: int) -> Any:
    """The builder of its kind. Colours say too much only where there is a limit."""
    if panel.kind == STAT:
        found: Any = stat.Panel().graph_mode(options.BigValueGraphMode.NONE)
        found = found.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    elif panel.kind == TABLE:
        found = table.Panel().with_transformation(DataTransformerConfig(id_val="merge", options={}))
    elif panel.kind == HEATMAP:
        found = heatmap.Panel()
    else:
        found = timeseries.Panel().fill_opacity(8).min(0) if panel.unit != "s" else timeseries.Panel().fill_opacity(8)
    found = found.id(number).title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE)
    found = found.span(24 if panel.wide else WIDTH).height(HEIGHT)
    if panel.limit is not None:
        steps = [Threshold(value=None, color="green"), Threshold(value=panel.limit, color="red")]
        found = found.thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps))
        if panel.kind not in (STAT, TABLE, HEATMAP):
            found = found.thresholds_style(
                common.GraphThresholdsStyleConfig().mode(options.GraphThresholdsStyleMode.DASHED)
            )
    for at in range(len(panel.queries)):
        found = found.with_target(_query(panel, at))
    return found


def built(board: Board) -> str:
    """The JSON of a dashboard, as Grafana imports it."""
    found = dashboard.Dashboard(board.title).uid(board.uid).description(board.text).tags(["jiaohao"]).readonly()
    found = found.refresh("15s").time("now-3h", "now").timezone("browser").tooltip(DashboardCursorSync.CROSSHAIR)
    found = found.with_variable(dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    for name, query in board.variables:
        chosen = dashboard.QueryVariable(name).label(name).query(query).datasource(SOURCE)
        found = found.with_variable(
            chosen.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True).all_value(".*")
        )
    for number, panel in enumerate(board.panels, 1):
        found = found.with_panel(_built(panel, number))
    return (
        json.dumps(json.loads(JSONEncoder(sort_keys=True).encode(found.build())), indent=1, ensure_ascii=False) + "\n"
    )


def metrics_page() -> str:
    """Every metric of the table, one a line."""
    rows = [
        f"| `{exposed(name)[0].removesuffix('_bucket')}` | {one.type} | {', '.join(one.labels)} | {escaped} |"
        for name, one in METRICS.items()
        for escaped in [one.help.replace("|", "\\|")]
    ]
    return HEAD + "\n".join(rows) + "\n"


def documents() -> dict[Path, str]:
    """Every generated file and what must stand in it."""
    found = {HERE / "dashboards" / f"{board.uid}.json": built(board) for board in BOARDS}
    return {**found, METRICS_PAGE: metrics_page()}


if __name__ == "__main__":
    for path, text in documents().items():
        path.write_text(text, "utf-8")
