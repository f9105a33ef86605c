"""deploy/grafana/panels.py: what the dashboards show, as a table: title, kind, unit, queries with their legends.

`$hall`, `$service` and `$instance` are variables; `$__rate_interval` is Grafana's. Titles are bilingual: the desk reads
Chinese, the manual English.
"""

from typing import Final, NamedTuple

SERIES, STAT, TABLE, HEATMAP = "timeseries", "stat", "table", "heatmap"
H: Final = 'hall=~"$hall"'
S: Final = 'hall=~"$hall",service=~"$service"'
I: Final = 'instance=~"$instance"'  # noqa: E741 - beside H and S
RATE: Final = "$__rate_interval"


class Panel(NamedTuple):
    """`queries`: expression and legend. `limit`: a line at which it is too much. `wide`: the whole row."""

    title: str
    kind: str
    unit: str
    queries: tuple[tuple[str, str], ...]
    text: str = ""
    limit: float | None = None
    wide: bool = False


class Board(NamedTuple):
    """One dashboard. `variables`: name to the label it takes its values from."""

    uid: str
    title: str
    text: str
    panels: tuple[Panel, ...]
    variables: tuple[tuple[str, str], ...] = ()


HALL_VARIABLE: Final = ("hall", "label_values(jiaohao_tickets, hall)")
SERVICE_VARIABLE: Final = ("service", 'label_values(jiaohao_waiting{hall=~"$hall"}, service)')
INSTANCE_VARIABLE: Final = ("instance", "label_values(jiaohao_build_info, instance)")


def q(share: float, metric: str, labels: str, by: str = "le", window: str = "15m") -> str:
    """A quantile of a histogram of ours."""
    return f"histogram_quantile({share}, sum by ({by}) (rate(jiaohao_{metric}_bucket{{{labels}}}[{window}])))"


def grown(metric: str, labels: str, by: str, window: str = "15m") -> str:
    """How much a counter grew."""
    return f"sum by ({by}) (increase(jiaohao_{metric}_total{{{labels}}}[{window}]))"


def speed(metric: str, labels: str, by: str) -> str:
    """How fast a counter grows, a second."""
    return f"sum by ({by}) (rate(jiaohao_{metric}_total{{{labels}}}[{RATE}]))"


def p99(metric: str, labels: str = I) -> str:
    """Of a histogram of the process."""
    return q(0.99, metric, labels, "instance, le", RATE)


OVERVIEW: Final = Board(
    "jiaohao-hall",
    "Jiaohao · Hall overview 大厅总览",
    "What goes on in a hall now.",
    (
        Panel("Ready 就绪", STAT, "short", (("min by (check) (jiaohao_ready)", "{{check}}"),), "1: the check holds."),
        Panel(
            "Oldest wait 最长等候",
            STAT,
            "s",
            ((f"max by (hall) (jiaohao_hall_oldest_wait_seconds{{{H}}})", "{{hall}}"),),
            limit=1800,
        ),
        Panel(
            "Devices offline 掉线设备",
            STAT,
            "short",
            ((f"sum by (hall) (jiaohao_hall_devices_offline{{{H}}})", "{{hall}}"),),
            limit=1,
        ),
        Panel(
            "Tickets by state 号票状态", SERIES, "short", ((f"sum by (state) (jiaohao_tickets{{{H}}})", "{{state}}"),)
        ),
        Panel(
            "Arrivals, calls, served per 15 min 取号/叫号/办结",
            SERIES,
            "short",
            (
                (grown("tickets_taken", H, "hall"), "{{hall}} taken 取号"),
                (grown("calls", H, "hall"), "{{hall}} called 叫号"),
                (grown("tickets_ended", H + ',outcome="served"', "hall"), "{{hall}} served 办结"),
                ("jiaohao:arrivals_minus_served:15m", "{{hall}} arrivals - ended"),
            ),
        ),
        Panel(
            "Wait until the first call 等候时长",
            SERIES,
            "s",
            ((q(0.5, "wait_seconds", H), "P50"), (q(0.9, "wait_seconds", H), "P90")),
            "Taken until the first call; the objective is 900 s for 90 %.",
            limit=900,
        ),
        Panel(
            "Counters by state 窗口状态", SERIES, "short", ((f"sum by (state) (jiaohao_counters{{{H}}})", "{{state}}"),)
        ),
        Panel(
            "People and seats by zone 候区人数与座位",
            SERIES,
            "short",
            (
                (f"sum by (zone) (jiaohao_zone_waiting{{{H}}})", "{{zone}} waiting 等候"),
                (f"sum by (zone) (jiaohao_zone_seats{{{H}}})", "{{zone}} seats 座位"),
                (f"sum by (zone) (jiaohao_zone_people{{{H}}})", "{{zone}} people 人数"),
            ),
        ),
        Panel(
            "Ratings of a day 一日评价", SERIES, "short", ((grown("evaluations", H, "level", "1d"), "level {{level}}"),)
        ),
    ),
    (HALL_VARIABLE,),
)
SERVICES: Final = Board(
    "jiaohao-services",
    "Jiaohao · Services and waits 业务与等候",
    "Where people wait, and whether what they were told came true.",
    (
        Panel(
            "Waits 等候分布",
            HEATMAP,
            "s",
            ((f"sum by (le) (increase(jiaohao_wait_seconds_bucket{{{S}}}[{RATE}]))", "{{le}}"),),
            wide=True,
        ),
        Panel(
            "Wait by service 各业务等候",
            SERIES,
            "s",
            tuple(
                (q(share, "wait_seconds", S, "service, le"), f"{{{{service}}}} P{share * 100:.0f}")
                for share in (0.5, 0.9, 0.99)
            ),
            limit=900,
        ),
        Panel(
            "Slow share against the objective 超时占比",
            SERIES,
            "percentunit",
            tuple(
                (f"jiaohao:wait_slow:ratio{span}{{{H}}}", f"{{{{hall}}}} {span}") for span in ("5m", "30m", "1h", "6h")
            ),
            "First calls after 900 s; the objective allows a tenth.",
            limit=0.1,
        ),
        Panel(
            "Burn of the objective 目标消耗",
            SERIES,
            "short",
            ((f"jiaohao:wait_slow:ratio1h{{{H}}} / 0.1", "{{hall}}"),),
            "1: exactly what is allowed.",
            limit=1,
        ),
        Panel(
            "Waiting by service 各业务等候人数",
            SERIES,
            "short",
            ((f"sum by (service) (jiaohao_waiting{{{S}}})", "{{service}}"),),
        ),
        Panel(
            "Oldest wait by service 各业务最长等候",
            SERIES,
            "s",
            ((f"max by (service) (jiaohao_oldest_wait_seconds{{{S}}})", "{{service}}"),),
        ),
        Panel(
            "Service time 办理时长",
            SERIES,
            "s",
            (
                (q(0.5, "service_seconds", S, "service, le"), "{{service}} P50"),
                (q(0.9, "service_seconds", S, "service, le"), "{{service}} P90"),
            ),
        ),
        Panel(
            "Missed, recalls, transfers per 15 min 过号/重呼/转移",
            SERIES,
            "short",
            (
                (grown("missed", S, "hall"), "{{hall}} missed 过号"),
                (grown("recalls", S, "hall"), "{{hall}} recalls 重呼"),
                (grown("transfers", H, "hall"), "{{hall}} transfers 转移"),
                (grown("diversions", H, "hall"), "{{hall}} diversions 分流"),
            ),
        ),
        Panel(
            "Error of the told wait 预计误差",
            SERIES,
            "s",
            ((q(0.5, "eta_error_seconds", H), "P50"), (q(0.9, "eta_error_seconds", H), "P90")),
        ),
        Panel(
            "Told and come true 预计是否兑现",
            SERIES,
            "percentunit",
            (
                (
                    f"jiaohao_eta_within_p50_total{{{H}}} / (jiaohao_eta_scored_total{{{H}}} > 0)",
                    "{{hall}} within P50 (0.5)",
                ),
                (
                    f"jiaohao_eta_optimistic_total{{{H}}} / (jiaohao_eta_scored_total{{{H}}} > 0)",
                    "{{hall}} beyond P90 (0.1)",
                ),
            ),
        ),
        Panel(
            "Bias of the told wait 预计偏差",
            SERIES,
            "s",
            ((f"jiaohao_eta_bias_seconds{{{H}}} / (jiaohao_eta_scored_total{{{H}}} > 0)", "{{hall}}"),),
            "Below 0: too hopeful.",
        ),
        Panel(
            "Taken by class per 15 min 各类别取号", SERIES, "short", ((grown("taken_class", H, "class"), "{{class}}"),)
        ),
        Panel("Overtaken within the bound 限内插序", SERIES, "short", ((grown("overtaken", H, "hall"), "{{hall}}"),)),
        Panel(
            "Must stay 0 必须为零",
            STAT,
            "short",
            (
                (f"sum by (hall) (jiaohao_overtake_bound_broken_total{{{H}}})", "{{hall}} bound broken 越界"),
                (f"sum by (hall) (jiaohao_rank_argmax_wrong_total{{{H}}})", "{{hall}} not first 非首位"),
                (f"sum by (hall) (jiaohao_tickets_unaccounted{{{H}}})", "{{hall}} unaccounted 号票守恒"),
            ),
            limit=1,
        ),
        Panel(
            "Time of counters 窗口时间",
            SERIES,
            "percentunit",
            (
                (
                    f"sum by (state) (rate(jiaohao_counter_seconds_total{{{H}}}[15m]))"
                    f" / scalar(sum(rate(jiaohao_counter_seconds_total{{{H}}}[15m])))",
                    "{{state}}",
                ),
            ),
        ),
    ),
    (HALL_VARIABLE, SERVICE_VARIABLE),
)
RATINGS: Final = Board(
    "jiaohao-ratings",
    "Jiaohao · Evaluation and cases 评价与工单",
    "Only what people gave counts as a rating; silence and defaults stand apart.",
    (
        Panel(
            "Ratings by level per hour 各档评价",
            SERIES,
            "short",
            ((grown("evaluations", S, "level", "1h"), "level {{level}}"),),
        ),
        Panel(
            "Good share 好评率",
            SERIES,
            "percentunit",
            (
                (f"1 - jiaohao:bad:ratio1d{{{H}}}", "{{hall}} share 好评率"),
                (f"jiaohao:bad:ratio1d{{{H}}}", "{{hall}} bad 差评率"),
            ),
            "Active ratings of a day; their number stands beside it.",
        ),
        Panel("Of how many 样本数", SERIES, "short", ((f"jiaohao:rated:num1d{{{H}}}", "{{hall}}"),)),
        Panel("Who rates 评价率", SERIES, "percentunit", ((f"jiaohao:rated:ratio1d{{{H}}}", "{{hall}}"),)),
        Panel(
            "Asked, silent, defaulted per hour 已提示/未评/默认",
            SERIES,
            "short",
            (
                (grown("evaluations_opened", H, "hall", "1h"), "{{hall}} opened 可评"),
                (grown("evaluations_shown", H, "hall", "1h"), "{{hall}} shown 已提示"),
                (grown("evaluations_unrated", H, "hall", "1h"), "{{hall}} unrated 未评"),
                (grown("evaluations_defaulted", H, "hall", "1h"), "{{hall}} defaulted 默认"),
            ),
        ),
        Panel(
            "Channels per hour 评价渠道",
            SERIES,
            "short",
            ((grown("evaluations_channel", H, "channel", "1h"), "{{channel}}"),),
        ),
        Panel(
            "Prompt until rating 评价耗时",
            SERIES,
            "s",
            ((q(0.5, "rating_delay_seconds", H), "P50"), (q(0.9, "rating_delay_seconds", H), "P90")),
        ),
        Panel(
            "Turned away per hour 被拒评价",
            SERIES,
            "short",
            ((grown("evaluations_rejected", H, "reason, level", "1h"), "{{reason}} level {{level}}"),),
            "A blocked bad rating is visible here.",
        ),
        Panel(
            "Since the last bad rating 距上次差评",
            SERIES,
            "s",
            (
                (
                    f'time() - (jiaohao_evaluation_level_timestamp_seconds{{{H},level=~"1|2"}} > 0)',
                    "{{hall}} level {{level}}",
                ),
            ),
        ),
        Panel(
            "Findings 研判结果",
            SERIES,
            "short",
            (
                (f"sum by (rule) (jiaohao_findings_open{{{H}}})", "{{rule}} open 待核"),
                (grown("findings", H, "rule", "1d"), "{{rule}} a day"),
                ("sum(increase(jiaohao_scan_failures_total[1d]))", "scans failed 扫描失败"),
            ),
        ),
        Panel(
            "Probes 差评探测",
            SERIES,
            "short",
            (
                (f"(time() - jiaohao_probe_timestamp_seconds{{{H}}}) / 3600", "{{hall}} {{profile}} hours ago"),
                (grown("probe_failures", H, "profile", "1d"), "{{profile}} failed"),
            ),
        ),
        Panel(
            "Open cases 未结工单",
            SERIES,
            "short",
            (
                (f"sum by (kind) (jiaohao_cases_open{{{H}}})", "{{kind}}"),
                (f"sum by (stage) (jiaohao_cases_overdue{{{H}}})", "overdue 超时 {{stage}}"),
            ),
            limit=1,
        ),
        Panel(
            "Age of the oldest case 最久未结",
            SERIES,
            "s",
            ((f"max by (kind) (jiaohao_case_oldest_seconds{{{H}}})", "{{kind}}"),),
        ),
        Panel(
            "Cases of a day 一日工单",
            SERIES,
            "short",
            (
                (grown("cases_opened", H, "kind", "1d"), "{{kind}} opened 新增"),
                (grown("cases_closed", H, "in_time", "1d"), "closed 办结 in time: {{in_time}}"),
                (grown("cases_reopened", H, "kind", "1d"), "{{kind}} reopened 重开"),
            ),
        ),
    ),
    (HALL_VARIABLE, SERVICE_VARIABLE),
)
