"""deploy/grafana/panels_process.py: dashboards of devices, of the dispatcher and of the fleet. See `panels.py`."""

from typing import Final

from deploy.grafana.panels import (
    HALL_VARIABLE,
    INSTANCE_VARIABLE,
    RATE,
    SERIES,
    STAT,
    TABLE,
    Board,
    H,
    I,
    Panel,
    grown,
    p99,
    q,
    speed,
)

GAUGES: Final = (
    "waiting",
    "oldest_wait_seconds",
    "open",
    "counters_open",
    "devices_offline",
    "cases_overdue",
)
DEVICES: Final = Board(
    "jiaohao-devices",
    "Jiaohao · Devices 设备",
    "By kind, never by name: which one it is stands on the page of the operator.",
    (
        Panel(
            "Devices by kind and state 设备状态",
            SERIES,
            "short",
            ((f"sum by (kind, state) (jiaohao_devices{{{H}}}) > 0", "{{kind}} {{state}}"),),
            wide=True,
        ),
        Panel(
            "Offline 掉线",
            STAT,
            "short",
            ((f'sum by (kind) (jiaohao_devices{{{H},state="offline"}})', "{{kind}}"),),
            limit=1,
        ),
        Panel("Restarts per hour 重启", SERIES, "short", ((grown("device_restarts", H, "kind", "1h"), "{{kind}}"),)),
        Panel("Resent per 15 min 重发", SERIES, "short", ((grown("device_resent", H, "kind"), "{{kind}}"),)),
        Panel(
            "Numbers given up per hour 缺号", SERIES, "short", ((grown("device_gaps", H, "kind", "1h"), "{{kind}}"),)
        ),
        Panel(
            "Suspect 可疑",
            STAT,
            "short",
            ((f"sum by (hall) (jiaohao_devices_suspect{{{H}}})", "{{hall}}"),),
            limit=1,
        ),
        Panel(
            "Clocks 设备时钟",
            SERIES,
            "s",
            ((f"max by (hall) (jiaohao_device_clock_skew_seconds{{{H}}})", "{{hall}}"),),
            limit=120,
        ),
        Panel("Faults per hour 故障", SERIES, "short", ((grown("device_faults", H, "kind", "1h"), "{{kind}}"),)),
        Panel(
            "Calls shown or spoken per 15 min 播报",
            SERIES,
            "short",
            ((grown("announcements", H, "result"), "{{result}}"),),
        ),
        Panel("Slips per 15 min 打印", SERIES, "short", ((grown("prints", H, "result"), "{{result}}"),)),
        Panel(
            "To devices 下行",
            SERIES,
            "short",
            (
                (speed("outbox_published", I, "effect"), "{{effect}} confirmed 已确认"),
                (speed("outbox_lost", I, "reason"), "{{reason}} lost 丢失"),
                (speed("outbox_replaced", I, "instance"), "pictures replaced 已被更新"),
            ),
        ),
        Panel(
            "Orders to devices per hour 指令",
            SERIES,
            "short",
            ((grown("down", H, "result", "1h"), "{{result}}"),),
        ),
        Panel(
            "Clock held back 时钟回拨",
            SERIES,
            "short",
            ((grown("clock_clamped", I, "instance", "1h"), "{{instance}}"),),
            limit=1,
        ),
    ),
    (HALL_VARIABLE, INSTANCE_VARIABLE),
)
DISPATCHER: Final = Board(
    "jiaohao-dispatcher",
    "Jiaohao · Dispatcher 调度进程",
    "The process: what comes in, how long it takes, what it leaves on the disk.",
    (
        Panel("Ready 就绪", STAT, "short", ((f"min by (check) (jiaohao_ready{{{I}}})", "{{check}}"),)),
        Panel(
            "Link 代理连接",
            STAT,
            "short",
            ((f"jiaohao_link_connected{{{I}}}", "connected"), (f"jiaohao_link_paused{{{I}}}", "paused")),
        ),
        Panel(
            "Version 版本",
            STAT,
            "short",
            (
                (f"jiaohao_build_info{{{I}}}", "{{version}} · Python {{python}} · SQLite {{sqlite}}"),
                (f"jiaohao_sqlite_affected{{{I}}}", "engine affected"),
            ),
        ),
        Panel(
            "Messages per second 消息", SERIES, "short", ((speed("link_messages", I, "direction"), "{{direction}}"),)
        ),
        Panel("Bytes per second 字节", SERIES, "Bps", ((speed("link_bytes", I, "direction"), "{{direction}}"),)),
        Panel("Commands per second 命令", SERIES, "short", ((speed("commands", I, "kind") + " > 0", "{{kind}}"),)),
        Panel("Facts per second 事实", SERIES, "short", ((speed("facts", I, "kind") + " > 0", "{{kind}}"),)),
        Panel(
            "Refused, seen before, unreadable per second 拒绝/重复/无效",
            SERIES,
            "short",
            (
                (speed("refused", I, "instance"), "refused 拒绝"),
                (speed("duplicates", I, "instance"), "seen before 重复"),
                (speed("wire_rejected", I, "reason"), "{{reason}}"),
                (speed("link_dropped", I, "instance"), "dropped 丢弃"),
                (speed("broker_dropped", I, "instance"), "dropped by the broker 代理丢弃"),
            ),
        ),
        Panel(
            "Inbox 收件箱",
            SERIES,
            "short",
            (
                (f"jiaohao_inbox_depth{{{I}}}", "depth"),
                (f"jiaohao_inbox_limit{{{I}}}", "limit"),
                (f"jiaohao_link_unacked{{{I}}}", "unacknowledged"),
            ),
        ),
        Panel(
            "Share of the core 决策占比",
            SERIES,
            "percentunit",
            (
                (speed("core_seconds", I, "instance"), "decide and evolve"),
                (speed("process_cpu_seconds", I, "instance"), "process"),
            ),
        ),
        Panel(
            "Lag of the loop P99 循环滞后",
            SERIES,
            "s",
            (("jiaohao:loop_lag:p99_5m", "5m"), (p99("loop_lag_seconds"), "now")),
            limit=0.1,
        ),
        Panel(
            "Acknowledge P99 确认",
            SERIES,
            "s",
            (("jiaohao:ack:p99_5m", "5m"), (p99("acknowledge_seconds"), "now")),
            limit=0.1,
        ),
        Panel(
            "Press to screen 按键到显示",
            SERIES,
            "s",
            ((q(0.5, "press_to_screen_seconds", I, "le", RATE), "P50"), (p99("press_to_screen_seconds"), "P99")),
            limit=0.2,
        ),
        Panel(
            "Slow presses 过慢按键",
            SERIES,
            "percentunit",
            tuple((f"jiaohao:press_slow:ratio{span}", span) for span in ("5m", "30m", "1h", "6h")),
            limit=0.01,
        ),
        Panel(
            "Commit P99 提交", SERIES, "s", (("jiaohao:commit:p99_5m", "5m"), (p99("journal_commit_seconds"), "now"))
        ),
        Panel(
            "Facts of a commit 每批事实",
            SERIES,
            "short",
            ((q(0.5, "journal_batch_facts", I, "le", RATE), "P50"), (p99("journal_batch_facts"), "P99")),
        ),
        Panel(
            "Journal 日志",
            SERIES,
            "short",
            (
                (speed("journal_commits", I, "instance"), "commits/s"),
                (speed("journal_retries", I, "error"), "retries {{error}}"),
                (speed("journal_checkpoints", I, "instance"), "checkpoints/s"),
                (speed("journal_checkpoint_seconds", I, "instance"), "share of checkpoints"),
            ),
        ),
        Panel(
            "Disk 磁盘",
            SERIES,
            "bytes",
            (
                (f"jiaohao_journal_wal_bytes{{{I}}}", "WAL"),
                (f"jiaohao_disk_free_bytes{{{I}}}", "free 可用"),
                (f"jiaohao_ballast_bytes{{{I}}}", "ballast 预留"),
            ),
        ),
        Panel("Written per second 写入", SERIES, "Bps", ((speed("journal_bytes", I, "instance"), "payload"),)),
        Panel(
            "Backup, verification, states: hours ago 备份/校验/快照",
            SERIES,
            "h",
            tuple(
                (f"clamp_max((time() - jiaohao_{what}_timestamp_seconds{{{I}}}) / 3600, 100)", what)
                for what in ("backup", "verify", "snapshot")
            ),
            "100: longer ago, or never yet.",
            limit=26,
        ),
        Panel(
            "Outbox 发件箱",
            SERIES,
            "short",
            ((f"jiaohao_outbox_pending{{{I}}}", "pending"), (f"jiaohao_outbox_oldest_seconds{{{I}}}", "oldest, s")),
        ),
        Panel(
            "Tables behind the facts 报表滞后",
            SERIES,
            "short",
            ((f"jiaohao_projection_lag_facts{{{I}}}", "{{instance}}"),),
        ),
        Panel("Memory 内存", SERIES, "bytes", ((f"jiaohao_process_resident_memory_bytes{{{I}}}", "resident"),)),
        Panel(
            "Open files 打开文件",
            SERIES,
            "short",
            (
                (f"jiaohao_process_open_fds{{{I}}}", "descriptors"),
                (f"sum by (page) (jiaohao_sse_clients{{{I}}})", "streams {{page}}"),
                (speed("sse_dropped", I, "page"), "pictures dropped {{page}}"),
            ),
        ),
        Panel(
            "Pages per second 页面请求",
            SERIES,
            "short",
            (
                (speed("http_requests", I, "route, class") + " > 0", "{{route}} {{class}}"),
                (speed("http_refused", I, "reason"), "refused {{reason}}"),
            ),
        ),
        Panel(
            "Log lines per minute 日志行",
            SERIES,
            "short",
            ((f"sum by (level) (increase(jiaohao_log_lines_total{{{I}}}[1m]))", "{{level}}"),),
        ),
        Panel(
            "Cost of being watched 监控开销",
            SERIES,
            "short",
            (
                (f"jiaohao_scrape_seconds{{{I}}}", "read, s"),
                (f"scrape_duration_seconds{{{I}}}", "scrape, s"),
                (f"jiaohao_metrics_series{{{I}}} / 1000", "thousand series"),
                (f"jiaohao_metrics_detail{{{I}}} == 1", "detail {{level}}"),
            ),
        ),
        Panel(
            "Last start 上次启动",
            STAT,
            "short",
            (
                (f"jiaohao_recovery_seconds{{{I}}}", "recovery, s"),
                (f"jiaohao_recovery_facts{{{I}}}", "facts"),
                (f"time() - jiaohao_process_start_time_seconds{{{I}}}", "running, s"),
            ),
        ),
    ),
    (INSTANCE_VARIABLE,),
)
FLEET: Final = Board(
    "jiaohao-fleet",
    "Jiaohao · Fleet 全市大厅",
    "All halls beside each other; with metrics.detail = fleet scrape /metrics/halls too.",
    (
        Panel(
            "Halls open 开放大厅",
            STAT,
            "short",
            (("sum(jiaohao_hall_open)", "open"), ("count(jiaohao_hall_open)", "of")),
        ),
        Panel("People waiting 等候总人数", STAT, "short", (("sum(jiaohao_hall_waiting)", "waiting"),)),
        Panel("Counters open 开放窗口", SERIES, "short", (("sum by (hall) (jiaohao_hall_counters_open)", "{{hall}}"),)),
        Panel(
            "Halls 大厅一览",
            TABLE,
            "short",
            (
                *((f"sum by (hall) (jiaohao_hall_{name})", name) for name in GAUGES),
                ("time() - max by (hall) (jiaohao_hall_last_fact_timestamp_seconds)", "silent_seconds"),
            ),
            wide=True,
        ),
        Panel(
            "Top 20 by oldest wait 最长等候前二十",
            SERIES,
            "s",
            (("topk(20, max by (hall) (jiaohao_hall_oldest_wait_seconds))", "{{hall}}"),),
        ),
        Panel(
            "Top 20 by waiting 等候人数前二十",
            SERIES,
            "short",
            (("topk(20, sum by (hall) (jiaohao_hall_waiting))", "{{hall}}"),),
        ),
        Panel(
            "Silence of open halls 开放大厅静默",
            SERIES,
            "s",
            (
                (
                    "time() - jiaohao_hall_last_fact_timestamp_seconds and on (instance, hall) jiaohao_hall_open == 1",
                    "{{hall}}",
                ),
            ),
            limit=600,
        ),
        Panel(
            "Devices offline 掉线设备",
            SERIES,
            "short",
            (("sum by (hall) (jiaohao_hall_devices_offline)", "{{hall}}"),),
            limit=1,
        ),
        Panel(
            "Cases overdue 超时工单",
            SERIES,
            "short",
            (("sum by (hall) (jiaohao_hall_cases_overdue)", "{{hall}}"),),
            limit=1,
        ),
        Panel(
            "Facts per second 事实",
            SERIES,
            "short",
            ((f"sum by (instance) (rate(jiaohao_facts_total[{RATE}]))", "{{instance}}"),),
        ),
        Panel(
            "Versions 版本",
            TABLE,
            "short",
            (("count by (instance, version, python, sqlite) (jiaohao_build_info)", "processes"),),
        ),
    ),
)
