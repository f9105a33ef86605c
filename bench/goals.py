"""bench/goals.py: what each gate is held against: the baseline of the same run, in words. A gate without is no gate."""

from typing import Final

ZERO: Final = {
    "lost": "events sent, in the journal",
    "doubled": "events of the journal, once",
    "called_twice": "calls of the journal",
    "digest_differs": "fold of the journal",
    "unfinished": "messages sent",
    "screens_wrong": "fold of the journal",
    "overtaken_beyond_bound": "largest head start",
}
BASELINES: Final = {
    "ingest.durable_vs_noop": "no-op receiver: same codec, mosquitto, pacing",
    "ingest.cpu_vs_noop": "CPU an event of the no-op receiver",
    "ingest.iotcore_durable_vs_noop": "no-op receiver, through iotcore",
    "loop.full_vs_relay": "relay: same link and codec, two publishes an event",
    "latency.p99_vs_bound": "2 x relay p99 + 2 x fdatasync p99",
    "drain.rate_vs_noop": "no-op receiver emptying the same queue",
    "drain.live_p99_s": "1 s",
    "drain.live_p99_vs_quiet": "the same presses before the flood",
    "journal.batch_1000_vs_raw": "RAW executemany, batch 1000",
    "journal.batch_100_vs_raw": "RAW executemany, batch 100",
    "journal.vs_row_commit": "a commit a row",
    "journal.cpu_1000_vs_raw": "CPU of RAW executemany",
    "journal.hops_per_commit": "commits",
    "journal.loop_lag_p99_ms": "an idle loop",
    "journal.loop_lag_vs_sync": "a loop that writes by itself",
    "journal.ack_p99_vs_bound": "25 ms, or 3 x fdatasync p99",
    "journal.checkpoint_p99_ratio": "autocheckpoint 1000",
    "journal.wal_mb": "64 MB",
    "journal.with_projections_vs_raw": "RAW executemany of the rows alone",
    "journal.with_projections_cpu_vs_raw": "CPU of RAW executemany",
    "journal.disk_vs_row": "payload and integers of a row",
    "journal.wal_vs_row": "payload and integers of a row",
    "recovery.rate_vs_fetchmany": "bare fetchmany of the same rows",
    "recovery.snapshot_encode_ms": "100 ms",
    "recovery.snapshot_decode_ms": "100 ms",
    "scale.halls_1000_vs_1": "1 hall, same rate",
    "scale.waiting_100k_vs_100": "100 waiting, same rate",
    "memory.bytes_per_waiting_ticket": "1,500 bytes; bare Structs beside it",
    "soak.rss_growth_per_hour": "its own middle",
    "soak.p99_last_vs_first": "its own first hour",
    "theory.error_vs_closed_form": "closed form",
    "ratings.loop_lag_vs_alone": "the same loop without reports",
    "ratings.screen_p99_vs_alone": "the same presses without reports",
    "ranking.call_vs_sortedcontainers_10k": "sortedcontainers, 10,000 waiting",
    "ranking.call_vs_sortedcontainers_100": "sortedcontainers, 100 waiting",
    "ranking.ahead_vs_sortedcontainers_10k": "sortedcontainers, 10,000 waiting",
    "ranking.call_vs_sqlite_static_key_10k": "SQLite in memory, static key (no ageing: easier)",
    "ranking.ahead_vs_sqlite_static_key_10k": "SQLite in memory, static key (no ageing: easier)",
    "ranking.call_vs_sql_order_by_10k": "naive SQL ORDER BY",
    "ranking.call_vs_redis_lua_10k": "Redis ZSET + Lua, one trip; PING beside it",
    "ranking.call_vs_list_scan_10k": "list scan",
    "ranking.call_vs_floor": "one bisect + C head comparisons",
    "ranking.call_500_services_vs_1": "a hall of one service",
}


def baseline_of(gate: str) -> str:
    """In words; "" for a gate that nobody has described."""
    return BASELINES.get(gate) or ZERO.get(gate.rpartition(".")[2], "")


def peer_over_ours(gate: str) -> bool:
    """Whether the ratio is the other's time over ours: how many times faster we are."""
    return gate.startswith("ranking.") and gate not in ("ranking.call_vs_floor", "ranking.call_500_services_vs_1")
