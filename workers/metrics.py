"""workers/metrics.py: the one table of all metrics: name, type, labels with their values, help, bucket limits.

Collector, README, dashboards and alert rules are compared with it. A label has a closed set of values and never names a
ticket, a person, a counter or a device. Names are those of the exposition without `_total`, which it adds to counters.
"""

from typing import Final, NamedTuple

from core.cases import STAGES
from core.commands import TYPE_OF
from core.conduct import RULES
from core.counter import CounterState
from core.device import DeviceState
from core.facts import KINDS
from core.refusals import Refusal
from core.rules_watch import LIMITS
from core.ticket import OPEN
from workers.logs import LEVELS
from workers.tallies import ACKNOWLEDGE, BATCH, BUCKETS, PRESS, REASONS, UNUSUAL

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"
ALL: Final = "all"
FULL, HALL, FLEET = DETAILS = ("full", "hall", "fleet")
WAIT_SLO_S: Final = 900.0
PRESS_SLO_S: Final = 0.2
WAIT: Final = (300.0, 600.0, 900.0, 1200.0, 1800.0, 2700.0, 3600.0, 7200.0)
SERVICE: Final = (120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0)
ETA: Final = (60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0)
DELAY: Final = (1.0, 3.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
assert WAIT_SLO_S in WAIT and PRESS_SLO_S in PRESS, "an objective is a bucket limit, or its share cannot be read"

Values = tuple[str, ...]
LEVEL: Final = tuple("12345")
LEVEL_OR_NONE: Final = ("none", *LEVEL)
OUTCOMES: Final = ("served", "abandoned", "cancelled", "expired")
CHANNELS: Final = ("device", "pad", "qr", "self_service", "web", "other")
KINDS_OF_CASE: Final = ("bad_review", "complaint", "assist", "inspection")
YES_NO: Final = ("yes", "no")
FINDINGS: Final = (*RULES, *LIMITS, "R9", "CUSUM", "posting_short", "no_letter", "handover_gap", "other")
PRINTS: Final = ("printed", "failed")
DOWN: Final = ("acked", "expired", "lost")
ANNOUNCED: Final = ("announced", "failed")
DEVICE_STATES: Final = tuple(one.name.lower() for one in DeviceState if one is not DeviceState.RETIRED)
COUNTER_STATES: Final = tuple(one.name.lower() for one in CounterState)
TICKET_STATES: Final = tuple(one.name.lower() for one in OPEN)
OUTBOX_EFFECTS: Final = ("ack", "command", "screen")
PAGES: Final = ("board", "console", "pad", "guide", "ops", "cases")
ROUTES: Final = ("metrics", "health", "board", "staff", "rating", "api", "events", "static")
CLASSES: Final = ("2xx", "3xx", "4xx", "5xx")
REFUSED_PAGES: Final = (
    "token",
    "role",
    "origin",
    "csrf",
    "rate",
    "size",
    "path",
    "form",
    "busy",
    "late",
    "personal_data",
)
CHECKS: Final = ("broker", "journal", "disk", "inbox", "clock", "halls")
RATING_REFUSALS: Final = (
    Refusal.ALREADY_RATED,
    Refusal.PROMPT_OVER,
    Refusal.WINDOW_OVER,
    Refusal.NO_SERVING,
    Refusal.BAD_TOKEN,
    Refusal.LEVEL_UNKNOWN,
    Refusal.OPTION_SET_UNKNOWN,
    Refusal.DEFAULT_KEY,
)
REJECTIONS: Final = (*map(str, RATING_REFUSALS), "other")


class Name(NamedTuple):
    """One metric: its type, its help, its labels with their values (none: of the policy), its bucket limits."""

    type: str
    help: str
    labels: dict[str, Values] = {}  # noqa: RUF012 - never written
    limits: tuple[float, ...] = ()


OF_HALL: Final[dict[str, Values]] = {"hall": ()}
OF_SERVICE: Final[dict[str, Values]] = {"hall": (), "service": ()}
OF_DEVICES: Final[dict[str, Values]] = {"hall": (), "kind": ()}  # the kinds that the hall has
OF_CASES: Final[dict[str, Values]] = {"hall": (), "kind": KINDS_OF_CASE}
DIRECTION: Final[dict[str, Values]] = {"direction": ("in", "out")}
PROCESS: Final[dict[str, Name]] = {
    "build_info": Name(GAUGE, "Always 1.", {"version": (), "python": (), "sqlite": ()}),
    "ready": Name(GAUGE, "1 when the check holds.", {"check": CHECKS}),
    "link_connected": Name(GAUGE, "1 with a session at the broker."),
    "link_paused": Name(GAUGE, "1 while nothing is read."),
    "link_unacked": Name(GAUGE, "Received and not yet acknowledged."),
    "link_sessions": Name(COUNTER, "Connections made."),
    "link_session_lost": Name(COUNTER, "Connections at which the broker knew no session."),
    "link_redelivered": Name(COUNTER, "Messages with DUP."),
    "broker_dropped": Name(COUNTER, "Messages that the broker itself says to have dropped ($SYS)."),
    "link_dropped": Name(COUNTER, "QoS 0 messages dropped above the bound of the inbox."),
    "link_paused_seconds": Name(COUNTER, "Time without reading."),
    "link_messages": Name(COUNTER, "Messages in and out.", DIRECTION),
    "link_bytes": Name(COUNTER, "Bytes in and out.", DIRECTION),
    "wire_rejected": Name(COUNTER, "Inputs that are no command of ours.", {"reason": REASONS}),
    "wire_unusual": Name(COUNTER, "Taken as usual, though no device should send so.", {"reason": UNUSUAL}),
    "wire_wrong_hall": Name(COUNTER, "Events for a hall that is not ours: a hole in the rules of the broker."),
    "commands": Name(COUNTER, "Commands of devices and pages, decided.", {"kind": tuple(TYPE_OF.values())}),
    "facts": Name(COUNTER, "Durable facts.", {"kind": tuple(fact.__name__ for fact in KINDS.values())}),
    "refused": Name(COUNTER, "Refused facts.", {"reason": tuple(map(str, Refusal))}),
    "duplicates": Name(COUNTER, "Commands answered before."),
    "inbox_depth": Name(GAUGE, "Inputs in the house: waiting and handed out."),
    "inbox_limit": Name(GAUGE, "Bound of the inbox."),
    "core_seconds": Name(COUNTER, "Decide and evolve."),
    "loop_lag_seconds": Name(HISTOGRAM, "How late the loop is.", limits=BUCKETS),
    "acknowledge_seconds": Name(HISTOGRAM, "Taken by the loop to PUBACK.", limits=ACKNOWLEDGE),
    "press_to_screen_seconds": Name(
        HISTOGRAM, "Call received until the broker confirmed its counter's screen.", limits=PRESS
    ),
    "journal_commit_seconds": Name(HISTOGRAM, "A commit.", limits=BUCKETS),
    "journal_batch_facts": Name(HISTOGRAM, "Facts of a commit.", limits=BATCH),
    "journal_commits": Name(COUNTER, "Transactions."),
    "journal_bytes": Name(COUNTER, "Payload bytes."),
    "journal_checkpoints": Name(COUNTER, "Checkpoints."),
    "journal_checkpoint_seconds": Name(COUNTER, "Time of checkpoints."),
    "journal_retries": Name(COUNTER, "The same batch again.", {"error": ("SQLITE_FULL", "SQLITE_BUSY")}),
    "journal_seq": Name(GAUGE, "Last durable row."),
    "journal_wal_bytes": Name(GAUGE, "Size of the write-ahead log."),
    "projection_lag_facts": Name(GAUGE, "Facts behind the watermark of the tables for people."),
    "disk_free_bytes": Name(GAUGE, "Free space where the journal is."),
    "ballast_bytes": Name(GAUGE, "Room set aside for the batch in hand; 0 after the disk was full."),
    "sqlite_affected": Name(GAUGE, "1 with an engine that has the WAL-reset mistake."),
    "snapshots": Name(COUNTER, "States stored."),
    "snapshot_timestamp_seconds": Name(GAUGE, "Unix time of the last state stored by this process; 0: none yet."),
    "backup_timestamp_seconds": Name(GAUGE, "Unix time of the last good backup; 0: none."),
    "backup_failures": Name(COUNTER, "Backups that failed."),
    "verify_failures": Name(COUNTER, "Verifications that failed."),
    "backup_failed_timestamp_seconds": Name(GAUGE, "Unix time of the last backup that failed; 0: none."),
    "verify_timestamp_seconds": Name(GAUGE, "Unix time of the last verification that found nothing; 0: none."),
    "verify_failed_timestamp_seconds": Name(GAUGE, "Unix time of the last verification that failed; 0: none."),
    "scan_timestamp_seconds": Name(
        GAUGE, "Unix time of the last scan of ratings by this process that went well; 0: none."
    ),
    "scan_failures": Name(COUNTER, "Scans of ratings that failed."),
    "erase_failures": Name(COUNTER, "Erasures by night that failed."),
    "recovery_seconds": Name(GAUGE, "The last start."),
    "recovery_facts": Name(GAUGE, "Facts applied at the last start."),
    "outbox_pending": Name(GAUGE, "Effects committed, not confirmed by the broker."),
    "outbox_oldest_seconds": Name(GAUGE, "Age of the oldest of them."),
    "outbox_published": Name(COUNTER, "Confirmed by the broker.", {"effect": OUTBOX_EFFECTS}),
    "outbox_lost": Name(COUNTER, "Refused by the broker.", {"reason": ("not_authorized", "other")}),
    "outbox_replaced": Name(COUNTER, "Pictures that a newer one replaced before they were sent."),
    "clock_clamped": Name(COUNTER, "Stamps held back by more than five seconds, so that time does not run backwards."),
    "device_clock_skew": Name(COUNTER, "Messages of devices whose stamp or age cannot be true."),
    "http_requests": Name(COUNTER, "Requests, by class of their status.", {"route": ROUTES, "class": CLASSES}),
    "http_seconds": Name(COUNTER, "Time of requests.", {"route": ROUTES}),
    "http_refused": Name(COUNTER, "Requests refused.", {"reason": REFUSED_PAGES}),
    "sse_clients": Name(GAUGE, "Open streams.", {"page": PAGES}),
    "sse_dropped": Name(COUNTER, "Pictures dropped for slow browsers.", {"page": PAGES}),
    "log_lines": Name(COUNTER, "Lines logged.", {"level": tuple(LEVELS)}),
    "log_suppressed": Name(COUNTER, "Lines not logged: the same was said within the minute.", {"level": tuple(LEVELS)}),
    "process_resident_memory_bytes": Name(GAUGE, "Memory in RAM."),
    "process_cpu_seconds": Name(COUNTER, "Processor time."),
    "process_open_fds": Name(GAUGE, "Open file descriptors."),
    "process_start_time_seconds": Name(GAUGE, "Unix time of the start."),
    "scrape_seconds": Name(GAUGE, "Time to read everything for the page before."),
    "metrics_series": Name(GAUGE, "Series of the page before."),
    "metrics_detail": Name(GAUGE, "1 for the level in use.", {"level": DETAILS}),
}
FLEET_GAUGES: Final[dict[str, Name]] = {
    "hall_waiting": Name(GAUGE, "Tickets waiting.", OF_HALL),
    "hall_oldest_wait_seconds": Name(GAUGE, "Longest wait of those who wait.", OF_HALL),
    "hall_open": Name(GAUGE, "1 while the business day is open.", OF_HALL),
    "hall_counters_open": Name(GAUGE, "Counters with a clerk.", OF_HALL),
    "hall_devices_offline": Name(GAUGE, "Devices offline.", OF_HALL),
    "hall_cases_overdue": Name(GAUGE, "Open cases with a stage overdue.", OF_HALL),
    "hall_last_fact_timestamp_seconds": Name(GAUGE, "Time of the last fact.", OF_HALL),
}
STANDING: Final[dict[str, Name]] = {  # read from the state when asked
    "tickets": Name(GAUGE, "Open tickets.", {"hall": (), "state": TICKET_STATES}),
    "tickets_unaccounted": Name(GAUGE, "Taken today, neither open nor ended: must stay 0.", OF_HALL),
    "waiting": Name(GAUGE, "Tickets waiting.", OF_SERVICE),
    "oldest_wait_seconds": Name(GAUGE, "Longest wait of those who wait.", OF_SERVICE),
    "counters": Name(GAUGE, "Counters.", {"hall": (), "state": COUNTER_STATES}),
    "zone_waiting": Name(GAUGE, "Tickets waiting for counters of the zone.", {"hall": (), "zone": ()}),
    "zone_seats": Name(GAUGE, "Seats of the zone.", {"hall": (), "zone": ()}),
    "zone_people": Name(GAUGE, "People in the zone, as last counted; 0: never.", {"hall": (), "zone": ()}),
    "devices": Name(GAUGE, "Devices.", OF_DEVICES | {"state": DEVICE_STATES}),
    "devices_suspect": Name(GAUGE, "Devices rejected too often or too gravely within the hour.", OF_HALL),
    "device_clock_skew_seconds": Name(GAUGE, "Worst clock of a device, beyond two minutes; 0: all are right.", OF_HALL),
    "down": Name(
        COUNTER, "Orders to devices, as the broker took them: in time, too late, not.", OF_DEVICES | {"result": DOWN}
    ),
    "cases_open": Name(GAUGE, "Open cases.", OF_CASES),
    "cases_overdue": Name(GAUGE, "Open cases whose stage was not done in time.", OF_CASES | {"stage": STAGES}),
    "case_oldest_seconds": Name(GAUGE, "Age of the oldest open case.", OF_CASES),
    "findings_open": Name(GAUGE, "Findings that nobody has reviewed.", OF_HALL | {"rule": FINDINGS}),
    "evaluation_level_timestamp_seconds": Name(
        GAUGE, "Time of the last rating of the level; 0: none.", OF_HALL | {"level": LEVEL}
    ),
    "probe_timestamp_seconds": Name(
        GAUGE, "When the stalest of its probed levels was probed well; 0: one never.", OF_HALL | {"profile": ()}
    ),
    "overtaken": Name(COUNTER, "Earlier visitors passed by a ranked call, within their bound.", OF_HALL),
    "overtake_bound_broken": Name(COUNTER, "Passed beyond the bound: must stay 0.", OF_HALL),
    "rank_argmax_wrong": Name(COUNTER, "Calls that were not the first in rank: must stay 0.", OF_HALL),
    "eta_scored": Name(COUNTER, "First calls of tickets that had been told a wait.", OF_HALL),
    "eta_within_p50": Name(COUNTER, "Waited at most the told P50.", OF_HALL),
    "eta_optimistic": Name(COUNTER, "Waited longer than the told P90.", OF_HALL),
    "eta_bias_seconds": Name(GAUGE, "Sum of told P50 - waited: below 0 is too hopeful.", OF_HALL),
}
COUNTED: Final[dict[str, Name]] = {  # fed by durable facts, from the start of the process
    "tickets_taken": Name(COUNTER, "Tickets taken.", OF_SERVICE),
    "tickets_ended": Name(COUNTER, "Tickets ended.", OF_SERVICE | {"outcome": OUTCOMES}),
    "calls": Name(COUNTER, "Calls.", OF_SERVICE),
    "recalls": Name(COUNTER, "Calls announced again.", OF_SERVICE),
    "missed": Name(COUNTER, "Calls to which nobody came.", OF_SERVICE),
    "wait_seconds": Name(HISTOGRAM, "Taken until the first call.", OF_SERVICE, WAIT),
    "service_seconds": Name(HISTOGRAM, "Handling of a served ticket.", OF_SERVICE, SERVICE),
    "eta_error_seconds": Name(HISTOGRAM, "|told P50 - waited| at first calls.", OF_HALL, ETA),
    "taken_class": Name(COUNTER, "Tickets taken by class.", {"hall": (), "class": ()}),
    "transfers": Name(COUNTER, "Tickets sent on to another service.", OF_HALL),
    "diversions": Name(COUNTER, "Of these: people who wait, diverted.", OF_HALL),
    "counter_seconds": Name(COUNTER, "Time of counters in a state.", {"hall": (), "state": COUNTER_STATES}),
    "evaluations_opened": Name(COUNTER, "Servings that could be rated.", OF_SERVICE),
    "evaluations": Name(COUNTER, "Ratings that people gave.", OF_SERVICE | {"level": LEVEL}),
    "evaluations_shown": Name(COUNTER, "Ratings that an evaluator asked for.", OF_HALL),
    "evaluations_unrated": Name(COUNTER, "Servings that nobody rated in time.", OF_HALL),
    "evaluations_defaulted": Name(COUNTER, "Defaults of the policy; never among the ratings.", OF_HALL),
    "evaluations_channel": Name(COUNTER, "Ratings by channel.", {"hall": (), "channel": CHANNELS}),
    "evaluations_rejected": Name(
        COUNTER,
        "Ratings that could not be counted.",
        {"hall": (), "reason": REJECTIONS, "level": LEVEL_OR_NONE},
    ),
    "rating_delay_seconds": Name(HISTOGRAM, "Prompt until rating.", OF_HALL, DELAY),
    "cases_opened": Name(COUNTER, "Cases opened.", OF_CASES),
    "cases_closed": Name(COUNTER, "Cases closed, in time or not.", OF_CASES | {"in_time": YES_NO}),
    "cases_reopened": Name(COUNTER, "Cases opened again.", OF_CASES),
    "findings": Name(COUNTER, "Findings raised.", OF_HALL | {"rule": FINDINGS}),
    "probe_failures": Name(COUNTER, "Synthetic ratings that could not be given.", OF_HALL | {"profile": ()}),
    "device_restarts": Name(COUNTER, "Devices that came back with another boot.", OF_DEVICES),
    "device_gaps": Name(COUNTER, "Numbers that devices skipped and that were given up.", OF_DEVICES),
    "device_resent": Name(COUNTER, "Messages of devices that were known already.", OF_DEVICES),
    "device_faults": Name(COUNTER, "Faults that devices reported.", OF_DEVICES),
    "prints": Name(COUNTER, "Slips.", {"hall": (), "result": PRINTS}),
    "announcements": Name(COUNTER, "Calls shown or spoken, as devices report.", {"hall": (), "result": ANNOUNCED}),
}
PREFIX: Final = "jiaohao_"
TABLE: Final[dict[str, Name]] = {
    PREFIX + name: spec for part in (PROCESS, FLEET_GAUGES, STANDING, COUNTED) for name, spec in part.items()
}
assert len(TABLE) == sum(map(len, (PROCESS, FLEET_GAUGES, STANDING, COUNTED))), "no name twice"


def exposed(name: str) -> tuple[str, ...]:
    """The names under which Prometheus stores a metric of the table."""
    spec = TABLE[name]
    if spec.type == HISTOGRAM:
        return (f"{name}_bucket", f"{name}_sum", f"{name}_count")
    return (f"{name}_total",) if spec.type == COUNTER else (name,)
