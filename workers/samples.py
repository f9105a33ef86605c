"""workers/samples.py: what stands behind each metric right now: plain reads of the process and of its halls.

Names are those of the table without prefix; labels in its order. Nothing is copied or locked: a sample is one read.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from core.cases import STAGES, CaseState
from core.conduct import FindingState
from core.counter import CounterState
from core.device import DeviceState
from core.facts import KINDS
from core.state import HallState
from core.ticket import OPEN, State
from workers import counts, engine, logs
from workers.canary import probes
from workers.clock import utc_s
from workers.desk import Desk
from workers.journal import SqliteJournal
from workers.link import Link
from workers.metrics import (
    CLASSES,
    DEVICE_STATES,
    DOWN,
    FINDINGS,
    KINDS_OF_CASE,
    LEVEL,
    OUTBOX_EFFECTS,
    PAGES,
    REFUSED_PAGES,
    ROUTES,
)
from workers.outbox import MqttOutbox
from workers.tallies import Buckets, Tallies

if TYPE_CHECKING:
    from workers.web.site import Site

STAMPS: Final = ("backup", "verify")  # files beside the journal, left by the timers: backup.ok, backup.failed
STARTED_S: Final = utc_s()
PROC: Final = Path("/proc/self")
Labels = tuple[str, ...]
Samples = Iterator[tuple[str, Labels, float]]


class Sources(NamedTuple):
    """Where the samples are read. `budget`: series of a page; `detail`: auto, full, hall or fleet."""

    tallies: Tallies
    link: Link
    outbox: MqttOutbox
    journal: SqliteJournal
    desks: Callable[[], Iterable[Desk]]
    ready: Callable[[], Mapping[str, bool]]
    now_ms: Callable[[], int]
    build: tuple[str, str, str]
    recovery: tuple[float, int]
    inbox_max: int
    site: "Site | None" = None
    budget: int = 1500
    detail: str = "auto"
    scans: Callable[[], tuple[float, int]] = lambda: (0.0, 0)
    erasures: Callable[[], int] = lambda: 0


# The process.


def of_process(s: Sources) -> Samples:
    """Everything without a hall, histograms apart."""
    yield "build_info", s.build, 1.0
    for check, holds in s.ready().items():
        yield "ready", (check,), float(holds)
    yield from _of_link(s)
    yield from _of_core(s.tallies)
    yield from _of_journal(s)
    yield from _of_disk(s.journal.path.parent)
    yield from _of_outbox(s.outbox)
    yield from _of_pages(s.site)
    yield from _of_system()


def of_loop(s: Sources) -> dict[str, Buckets]:
    """The histograms of the process."""
    return {
        "loop_lag_seconds": s.tallies.loop_lag,
        "acknowledge_seconds": s.tallies.acknowledge,
        "press_to_screen_seconds": s.outbox.stats.press,
        "journal_commit_seconds": s.tallies.commit,
        "journal_batch_facts": s.tallies.batch,
    }


def _of_link(s: Sources) -> Samples:
    stats = s.link.stats
    yield "link_connected", (), float(stats.connected)
    yield "link_paused", (), float(stats.paused)
    yield "link_unacked", (), stats.unacked
    yield "link_sessions", (), stats.sessions
    yield "link_session_lost", (), stats.session_lost
    yield "link_redelivered", (), stats.redelivered
    yield "broker_dropped", (), stats.broker_dropped
    yield "link_dropped", (), stats.dropped
    yield "link_paused_seconds", (), stats.paused_s
    yield "link_messages", ("in",), stats.messages_in
    yield "link_messages", ("out",), stats.messages_out
    yield "link_bytes", ("in",), stats.bytes_in
    yield "link_bytes", ("out",), stats.bytes_out
    for reason, count in (s.tallies.unusual | {"qos0": stats.unpromised}).items():
        yield "wire_unusual", (reason,), count
    yield "inbox_depth", (), s.link.depth()
    yield "inbox_limit", (), s.inbox_max


def _of_core(tallies: Tallies) -> Samples:
    for reason, count in tallies.rejected.items():
        yield "wire_rejected", (reason,), count
    yield "wire_wrong_hall", (), tallies.wrong_hall
    for command, count in tallies.commands.items():
        yield "commands", (command,), count
    for kind, fact in KINDS.items():
        yield "facts", (fact.__name__,), tallies.facts[kind]
    for reason, count in tallies.refused.items():
        yield "refused", (reason,), count
    yield "duplicates", (), tallies.duplicates
    yield "core_seconds", (), tallies.core_seconds
    yield "clock_clamped", (), tallies.clock_clamped
    yield "device_clock_skew", (), tallies.clock_skewed


def _of_journal(s: Sources) -> Samples:
    stats, tallies = s.journal.stats, s.tallies
    yield "journal_commits", (), stats.commits
    yield "journal_bytes", (), stats.bytes
    yield "journal_checkpoints", (), stats.checkpoints
    yield "journal_checkpoint_seconds", (), stats.checkpoint_seconds
    for error, count in tallies.retries.items():
        yield "journal_retries", (error,), count
    yield "journal_seq", (), s.journal.last
    yield "journal_wal_bytes", (), stats.wal_bytes
    yield "projection_lag_facts", (), s.journal.views.lag(s.journal.last)
    yield "ballast_bytes", (), s.journal.ballast.size if s.journal.ballast.held else 0
    yield "sqlite_affected", (), float(engine.affected(engine.sqlite_version()))
    yield "snapshots", (), tallies.snapshots
    yield "snapshot_timestamp_seconds", (), tallies.snapshot_s
    yield "scan_timestamp_seconds", (), s.scans()[0]
    yield "scan_failures", (), s.scans()[1]
    yield "erase_failures", (), s.erasures()
    yield "recovery_seconds", (), s.recovery[0]
    yield "recovery_facts", (), s.recovery[1]


def _of_disk(directory: Path) -> Samples:
    there = os.statvfs(directory)
    yield "disk_free_bytes", (), there.f_bavail * there.f_frsize
    for what in STAMPS:
        yield f"{what}_timestamp_seconds", (), _touched(directory / f"{what}.ok")
        failed = directory / f"{what}.failed"
        yield f"{what}_failed_timestamp_seconds", (), _touched(failed)
        yield f"{what}_failures", (), failed.stat().st_size if failed.exists() else 0  # a byte each


def _touched(file: Path) -> float:
    """When a timer left its stamp; 0: never."""
    return file.stat().st_mtime if file.exists() else 0.0


def _of_outbox(outbox: MqttOutbox) -> Samples:
    yield "outbox_pending", (), outbox.pending()
    yield "outbox_oldest_seconds", (), outbox.oldest_s()
    for effect in OUTBOX_EFFECTS:
        yield "outbox_published", (effect,), outbox.stats.published.get(effect, 0)
    lost = dict(outbox.stats.lost)
    yield "outbox_lost", ("not_authorized",), lost.pop("not_authorized", 0)
    yield "outbox_lost", ("other",), sum(lost.values())
    yield "outbox_replaced", (), outbox.stats.replaced


def _of_pages(site: "Site | None") -> Samples:
    for level, count in logs.LINES.items():
        yield "log_lines", (level,), count
    for level, count in logs.SUPPRESSED.items():
        yield "log_suppressed", (level,), count
    streams = {} if site is None else site.hub.by_page()
    for route in ROUTES:
        for kind in CLASSES:
            yield "http_requests", (route, kind), 0 if site is None else site.requests[route, kind]
        spent = [0.0] if site is None else [site.seconds.get((route, kind), 0.0) for kind in CLASSES]
        yield "http_seconds", (route,), sum(spent)
    for reason in REFUSED_PAGES:
        yield "http_refused", (reason,), 0 if site is None else site.refused[reason]
    for page in PAGES:
        yield "sse_clients", (page,), streams.get(page, 0)
        yield "sse_dropped", (page,), 0 if site is None else site.hub.dropped.get(page, 0)


def _of_system() -> Samples:
    """What Linux says of us; 0 elsewhere."""
    there = PROC.exists()
    pages = int((PROC / "statm").read_text("ascii").split()[1]) if there else 0
    yield "process_resident_memory_bytes", (), pages * os.sysconf("SC_PAGE_SIZE")
    yield "process_cpu_seconds", (), time.process_time()
    yield "process_open_fds", (), sum(1 for _ in (PROC / "fd").iterdir()) if there else 0
    yield "process_start_time_seconds", (), STARTED_S


# A hall.


class Look(NamedTuple):
    """One walk over the tickets of a hall: by state, and of those who wait, number and longest wait by service."""

    by_state: dict[State, int]
    waiting: dict[str, int]
    oldest_s: dict[str, float]


def look(state: HallState, now_ms: int) -> Look:
    """O(tickets of the day)."""
    codes = state.services
    current = [] if state.policy is None else [one.code for one in state.policy.services]
    found = Look(dict.fromkeys(OPEN, 0), dict.fromkeys(current, 0), dict.fromkeys(current, 0.0))
    for ticket in state.tickets.values():
        if ticket.state not in found.by_state:
            continue
        found.by_state[ticket.state] += 1
        if ticket.state is State.WAITING:
            code = codes[ticket.service]
            found.waiting[code] = found.waiting.get(code, 0) + 1
            found.oldest_s[code] = max(found.oldest_s.get(code, 0.0), (now_ms - ticket.taken_ms) / 1000)
    return found


def of_fleet(state: HallState, seen: Look) -> Iterator[tuple[str, float]]:
    """The gauges that every hall has under its own name, whatever the level of detail."""
    yield "hall_waiting", sum(seen.waiting.values())
    yield "hall_oldest_wait_seconds", max(seen.oldest_s.values(), default=0.0)
    yield "hall_open", float(state.day_is_open)
    yield "hall_counters_open", sum(one.state is not CounterState.CLOSED for one in state.counters.values())
    yield "hall_devices_offline", sum(one.state is DeviceState.OFFLINE for one in state.devices.values())
    yield (
        "hall_cases_overdue",
        sum(bool(one.overdue) for one in state.cases.values() if one.state is not CaseState.CLOSED),
    )
    yield "hall_last_fact_timestamp_seconds", state.at_ms / 1000


def of_hall(desk: Desk, seen: Look, now_ms: int) -> Iterator[tuple[str, Labels, float | Buckets]]:
    """Everything else of a hall, labels behind the hall's."""
    state = desk.hall.state
    for ticket_state, count in seen.by_state.items():
        yield "tickets", (ticket_state.name.lower(),), count
    tally = state.tally
    ended = tally.served + tally.cancelled + tally.abandoned + tally.expired
    yield "tickets_unaccounted", (), tally.taken - ended - sum(seen.by_state.values())
    for service, count in seen.waiting.items():
        yield "waiting", (service,), count
        yield "oldest_wait_seconds", (service,), seen.oldest_s[service]
    yield from _of_counters(state)
    yield from _of_devices(state)
    yield "devices_suspect", (), len(desk.vitals.suspects(now_ms))
    yield "device_clock_skew_seconds", (), desk.vitals.worst_skew_ms() / 1000
    yield from _of_zones(state, seen)
    yield from _of_cases(state, now_ms)
    yield from _of_ratings(state)
    yield from _of_ranking(desk)
    desk.counts.stand(max(now_ms, state.at_ms))
    yield from counts.series(desk.counts)


def _of_counters(state: HallState) -> Samples:
    found = dict.fromkeys(CounterState, 0)
    for counter in state.counters.values():
        found[counter.state] += 1
    for counter_state, count in found.items():
        yield "counters", (counter_state.name.lower(),), count


def _of_devices(state: HallState) -> Samples:
    found: dict[Labels, int] = dict.fromkeys(product(counts.kinds_of(state.policy), DEVICE_STATES), 0)
    for device in state.devices.values():
        if device.state is not DeviceState.RETIRED:
            key = device.kind, device.state.name.lower()
            found[key] = found.get(key, 0) + 1
    for labels, count in found.items():
        yield "devices", labels, count


def of_orders(s: Sources, state: HallState) -> Samples:
    """What became of orders. Kinds that the hall has no more stay while the process lives."""
    hall = state.hall
    found: dict[Labels, int] = dict.fromkeys(product(counts.kinds_of(state.policy), DOWN), 0)
    found.update({key[1:]: count for key, count in s.outbox.stats.down.items() if key[0] == hall})
    for labels, count in found.items():
        yield "down", labels, count


def _of_zones(state: HallState, seen: Look) -> Samples:
    """People wait near the first counter that serves their service first."""
    zones = {} if state.policy is None else {one.code: one.seats for one in state.policy.zones}
    if state.policy is None or not zones:
        return
    zone_of: dict[str, str] = {}
    for counter in state.policy.counters:
        for service in counter.primary:
            zone_of.setdefault(service, counter.zone)
    for zone, seats in zones.items():
        waiting = sum(count for service, count in seen.waiting.items() if zone_of.get(service) == zone)
        yield "zone_waiting", (zone,), waiting
        yield "zone_seats", (zone,), seats
        yield "zone_people", (zone,), state.zone_people.get(zone, 0)


def _of_cases(state: HallState, now_ms: int) -> Samples:
    found, oldest_s = dict.fromkeys(KINDS_OF_CASE, 0), dict.fromkeys(KINDS_OF_CASE, 0.0)
    overdue = dict.fromkeys(product(KINDS_OF_CASE, STAGES), 0)
    for case in state.cases.values():
        if case.state is not CaseState.CLOSED:
            found[case.kind] += 1
            oldest_s[case.kind] = max(oldest_s[case.kind], (now_ms - case.opened_ms) / 1000)
            for stage in case.overdue:
                overdue[case.kind, stage] += 1
    for kind, count in found.items():
        yield "cases_open", (kind,), count
        yield "case_oldest_seconds", (kind,), oldest_s[kind]
    for labels, count in overdue.items():
        yield "cases_overdue", labels, count


def _of_ratings(state: HallState) -> Samples:
    for level in LEVEL:
        yield "evaluation_level_timestamp_seconds", (level,), state.level_ms.get(int(level), 0) / 1000
    probed_ms: dict[str, int] = {}
    for probe in [] if state.policy is None else probes(state.policy):
        at_ms = state.probes.get(f"{probe.profile}:{probe.level}", 0)
        probed_ms[probe.profile] = min(probed_ms.get(probe.profile, at_ms), at_ms)
    for profile, at_ms in probed_ms.items():
        yield "probe_timestamp_seconds", (profile,), at_ms / 1000
    found = dict.fromkeys(FINDINGS, 0)
    for finding in state.findings.values():
        if finding.state is FindingState.RAISED:
            found[finding.rule if finding.rule in FINDINGS else "other"] += 1
    for rule, count in found.items():
        yield "findings_open", (rule,), count


def _of_ranking(desk: Desk) -> Samples:
    """What the ranking promised, and how the estimates came out over all pools of the hall since its policy."""
    audit = desk.audit
    scores = [model.score for model in desk.hall.state.waits.values()]
    scored = sum(one.scored for one in scores)
    yield "overtaken", (), audit.overtaken
    yield "overtake_bound_broken", (), audit.bound_broken
    yield "rank_argmax_wrong", (), audit.argmax_wrong
    yield "eta_scored", (), scored
    yield "eta_within_p50", (), sum(one.within_p50 for one in scores)
    yield "eta_optimistic", (), scored - sum(one.within_p90 for one in scores)
    yield "eta_bias_seconds", (), sum(one.bias_sum_ms for one in scores) / 1000
