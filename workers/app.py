"""workers/app.py: the wiring of one process: order of start and stop. Everything else takes plain arguments.

lock, journal, fold ─▶ web ─▶ one TaskGroup: link, dispatcher, clock. SIGTERM: read no more, commit, publish.
"""

import asyncio
import contextlib
import gc
import os
import platform
import signal
import ssl
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from random import Random
from typing import Any, Final

from core import policy
from core.commands import ChangePolicy
from core.hall import Hall
from core.policy import Policy
from core.state import HallState
from workers import collector, engine, erasure, fold, logs, settings, trail
from workers.canary import Canary
from workers.check import narrow
from workers.clock import Clock, Jumps, LagMeter, monotonic_s, utc_ms
from workers.dispatcher import Dispatcher
from workers.door import Door
from workers.journal import Listener, SqliteJournal
from workers.link import Link
from workers.link_settings import LinkSettings
from workers.months import Months
from workers.nightly import Nightly
from workers.notes import Notes
from workers.notify import notifier
from workers.opening import Options
from workers.outbox import MqttOutbox
from workers.owner import FlockOwner
from workers.proofs import Proofs, key_of
from workers.renewal import Renewal, grants, newer
from workers.retries import said
from workers.samples import Sources
from workers.settings import Settings, SettingsError
from workers.states import States
from workers.tallies import Tallies
from workers.web import Web
from workers.web.site import Limit, Site

BEAT_S: Final = 0.05
COLLECT_AFTER: Final = (50_000, 20, 50)  # facts, rows and tickets make no cycles: 4 % of an event, 10 % of the fold
STOP_S: Final = 10.0
ALIVE_S: Final = 5.0
BEHIND_MS: Final = 60_000
BACK_S, LEAP_S = -1.0, 600.0  # so far a clock must be set for a line
QUIET_S: Final = 1.0  # without news the loop is turned by hand, so that it can be seen to turn


class App:
    """One dispatcher process over a data directory."""

    def __init__(self, chosen: Settings, log: Any) -> None:
        self.settings, self.log = chosen, log
        clock = chosen.clock
        self.clock = Clock(clock.speed, clock.origin_ms, clock.anchor_ms)
        self.tallies = Tallies()
        self.notify = notifier(settings.process_environment())
        self._stopping = asyncio.Event()
        self._held = False
        self._rounds_at = 0.0
        self._recovery = (0.0, 0)
        self.owner = FlockOwner(None, ())
        self.jumps = Jumps()

    async def run(self) -> None:
        """Until SIGTERM or SIGINT; everything acknowledged is then in the journal. Failures propagate."""
        policies = settings.hall_files(self.settings.halls.dir)
        self.log.info(logs.START, version=version("jiaohao"), data=self.settings.journal.dir)
        directory = Path(self.settings.journal.dir)
        self.journal = await SqliteJournal.open(directory, now_ms=utc_ms, options=self._options())
        try:
            await self._recover(policies)
            await self._own()
            await self._serve(policies)
        finally:
            await self.journal.close()
            self.owner.release()
            self.log.info(logs.STOP)

    async def _own(self) -> None:
        """Before anything is subscribed. Taken when another process has one of our halls."""
        shared = self.settings.journal.locks_dir
        self.owner = FlockOwner(Path(shared) if shared else None, list(self.halls))
        mine = {change.hall async for change in self.owner.changes()}
        assert mine == self.halls.keys(), "one machine: all at once"

    def _options(self) -> Options:
        chosen = self.settings.journal
        return Options(
            checkpoint=chosen.checkpoint_wal_mb << 20,
            ballast=chosen.ballast_mb << 20,
            min_free=chosen.min_free_mb << 20,
            comments_days=self.settings.retention.comments_days,
        )

    async def _recover(self, policies: list[Policy]) -> None:
        started = time.perf_counter()
        await erasure.tell(self.journal, self.clock.now_ms())
        if engine.affected(engine.sqlite_version()):
            self.log.warning(logs.ENGINE_AFFECTED, sqlite=_sqlite())
        gc.set_threshold(*COLLECT_AFTER)
        folded = await fold.recover(self.journal)
        for skipped in folded.skipped:
            self.log.warning(logs.SNAPSHOT_SKIPPED, snapshot=skipped)
        self.halls = folded.halls
        self.halls.pop("_core", None)
        for one in policies:
            self.halls.setdefault(one.hall.id, Hall(HallState(one.hall.id)))
        self.clock.not_before(max((one.state.at_ms for one in self.halls.values()), default=0))
        self._recovery = (time.perf_counter() - started, folded.facts)
        self.log.info(logs.RECOVERED, seconds=round(self._recovery[0], 3), facts=folded.facts, halls=len(self.halls))

    async def _serve(self, policies: list[Policy]) -> None:
        self._wire()
        spare_the_collector()
        for one in newer(policies, self._policies()):
            self._load(one)
        self.journal.listener = Listener(commit=self._committed, retry=self._retry, recovered=self._recovered)
        self.renewal = Renewal(self.settings, self._policies, self.site.renew, self._load, self.log)
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.renewal.ask)
        await self.web.start()
        self.log.info(logs.LISTENING, url=self.web.url)
        self.notify.status("recovered, waiting for the broker")
        self.months.archive()
        async with contextlib.AsyncExitStack() as stack:  # whatever fails, the others are closed
            for close in (self.web.stop, self.months.close, self.nightly.close):
                stack.push_async_callback(close)
            await self._tasks()

    def _wire(self) -> None:
        link = Link(
            self._link_settings(),
            now_ms=self.clock.now_ms,
            random=Random(),  # noqa: S311 - spreads reconnects, protects nothing
            tls=self._tls(),
            on_live=self._live,
            on_down=lambda why: self.log.warning(logs.LINK_DOWN, why=why),
        )
        self.link, self.outbox = link, MqttOutbox(link, now_ms=self.clock.now_ms)
        self.proofs = self._proofs()
        self.dispatcher = Dispatcher(
            list(self.halls.values()),
            inbox=link,
            journal=self.journal,
            outbox=self.outbox,
            upkeep=self._upkeep,
            now_ms=self.clock.now_ms,
            epoch=self.journal.epoch,
            tallies=self.tallies,
            door=Door(link.nudge),
            proofs=self.proofs,
            speed=self.clock.speed,
        )
        for desk in self.dispatcher.desks.values():
            desk.touched = self.journal.views.of(desk.hall.state)
        self.canary = Canary()
        desks, every = self.dispatcher.desks, self.settings.journal.snapshot_every
        self.states = States(self.journal, desks, heard=self._heard, every=every, tallies=self.tallies)
        self.months = Months(
            self.journal,
            desks,
            heard=self._heard,
            store=self.states.store,
            log=self.log,
            retention=self.settings.retention,
            now_ms=self.clock.now_ms,
        )
        self.notes = Notes(self.journal, self.settings.retention.comments_days, self.clock.now_ms)
        self.nightly = Nightly(self.journal.path.parent, self.dispatcher, self.log, self.settings.report.scan_after_s)
        self.site = self._site()
        self.web = Web(
            self.settings.web.listen,
            registry=collector.registry(self._sources()),
            halls_registry=collector.registry(self._sources(), halls=True),
            ready=self.ready,
            alive=self.alive,
            digests=lambda: {name: (one.state.n, one.state.digest()) for name, one in self.halls.items()},
            site=self.site,
        )

    def _proofs(self) -> Proofs:
        file = self.settings.web.key_file
        try:
            return Proofs(key_of(Path(file) if file else Path(self.settings.journal.dir) / "web.key"))
        except (OSError, ValueError) as error:
            raise SettingsError([f"web.key_file: {error}"]) from error

    def _site(self) -> Site:
        chosen = self.settings.web
        return Site(
            self.dispatcher.door,
            self.dispatcher.desks,
            grants=grants(self.settings.web),
            proofs=self.proofs,
            notes=self.notes.read,
            now_ms=self.clock.now_ms,
            speed=self.clock.speed,
            trail=trail.Trail(Path(self.settings.journal.dir)).read,
            limit=Limit(
                sse_queue=chosen.sse_queue,
                sse_clients=chosen.sse_clients_max,
                body=chosen.body_max,
                trusted_proxies=tuple(one.strip() for one in chosen.trusted_proxies.split(",") if one.strip()),
                public_url=chosen.public_url,
            ),
        )

    def _link_settings(self) -> LinkSettings:
        broker = self.settings.broker
        return LinkSettings(
            url=broker.url,
            halls=tuple(self.halls) if self.settings.journal.locks_dir else (),
            client_id=broker.client_id,
            username=broker.username or None,
            password=settings.secret(broker.password_file, "broker.password_file"),
            receive_max=broker.receive_maximum,
            batch_max=self.settings.journal.batch_max,
            inbox_max=self.settings.inbox.max,
            pace_s=broker.read_pace_ms / 1000,
            dropped_topic=broker.dropped_topic,
        )

    def _tls(self) -> ssl.SSLContext | None:
        file = self.settings.broker.ca_file
        try:
            return ssl.create_default_context(cafile=file) if file else None
        except OSError as error:
            raise SettingsError([f"broker.ca_file: {file}: {error.strerror or error}"]) from error

    def _sources(self) -> Sources:
        return Sources(
            tallies=self.tallies,
            link=self.link,
            outbox=self.outbox,
            journal=self.journal,
            desks=self.dispatcher.desks.values,
            ready=self.ready,
            build=(version("jiaohao"), platform.python_version(), _sqlite()),
            recovery=self._recovery,
            inbox_max=self.settings.inbox.max,
            now_ms=self.clock.now_ms,
            site=self.site,
            budget=self.settings.metrics.series_budget,
            detail=self.settings.metrics.detail,
            scans=lambda: (self.nightly.scanned_s, self.nightly.failures),
            erasures=lambda: self.months.erase_failures,
        )

    def _policies(self) -> dict[str, Policy | None]:
        return {name: hall.state.policy for name, hall in self.halls.items()}

    def _load(self, one: Policy) -> None:
        """A changed hall file is a command, so it is journaled."""
        self.dispatcher.ask(one.hall.id, ChangePolicy(one.version, policy.digest(one), policy.document(one)))
        self.log.info(logs.POLICY_LOADED, hall=one.hall.id, policy_version=one.version)

    async def _tasks(self) -> None:
        meter = LagMeter(self.tallies.loop_lag.observe, BEAT_S)
        async with asyncio.TaskGroup() as group:
            clock = group.create_task(meter.run(self._beat), name="clock")
            link = group.create_task(self.link.run(), name="link")
            dispatcher = group.create_task(self.dispatcher.serve(), name="dispatcher")
            renewal = group.create_task(self.renewal.run(), name="renewal")
            group.create_task(self._end(link, dispatcher, renewal, clock), name="end")

    async def _end(self, *tasks: "asyncio.Task[None]") -> None:
        """Waits for the signal, then stops in order: read no more, commit, acknowledge, publish, store the states."""
        await self._stopping.wait()
        link, dispatcher, *others = tasks
        async with asyncio.timeout(STOP_S):
            await self.link.drain()
            await dispatcher
        self.journal.save_marks(self.outbox.marks())
        for name in self.halls:
            await self.states.store(name)
        self.outbox.close()
        for task in (link, *others):
            task.cancel()

    def stop(self) -> None:
        """Orderly; a second time at once."""
        if self._stopping.is_set():
            os._exit(130)  # the journal stays valid, that is its promise
        self.notify.stopping()
        self._stopping.set()

    def _beat(self) -> None:
        self.notify.alive(self.alive)
        jump_s = self.jumps.since_last()
        if not BACK_S < jump_s < LEAP_S:
            self.log.warning(logs.CLOCK_BACK if jump_s < 0 else logs.CLOCK_LEAP, seconds=round(jump_s, 1))
        self.nightly.turn()
        for hall, probe in self.canary.due((one.state for one in self.halls.values()), self.clock.now_ms()):
            self.dispatcher.ask(hall, probe)
        if self.dispatcher.restless() or monotonic_s() - self.dispatcher.moved_at > QUIET_S:
            self.link.nudge()

    def _live(self, session_present: bool) -> None:
        self.log.info(logs.LINK_CONNECTED, session_present=session_present)
        if narrow(self.link.stats.granted, self.settings):
            self.log.warning(logs.LINK_NARROW, granted=self.link.stats.granted, batch=self.settings.journal.batch_max)
        self.notify.ready(f"{len(self.halls)} halls, connected")
        first = self.link.stats.sessions == 1
        self.dispatcher.repaint(sync=first or not session_present)
        self.link.nudge()

    def alive(self) -> bool:
        """The loop turns, also with nothing to do. Where disk or broker hold it up, a restart would not help."""
        moves = monotonic_s() - self.dispatcher.moved_at < ALIVE_S
        return moves or self._held or not self.link.ready()

    def ready(self) -> Mapping[str, bool]:
        """The checks of readiness. A clock is wrong that was set too far, or lies behind what the journal holds."""
        now_ms = self.clock.now_ms()
        return {
            "broker": self.link.ready(),
            "journal": not self._held,
            "disk": self.journal.ballast.held,
            "inbox": not self.link.stats.paused,
            "clock": not self.clock.leapt and self._in_time(now_ms),
            "halls": all(one.state.policy is not None for one in self.halls.values()) and bool(self.halls),
        }

    def _in_time(self, now_ms: int) -> bool:
        return all(one.state.at_ms - now_ms < BEHIND_MS for one in self.halls.values())

    # The journal tells.

    def _committed(self, seconds: float, facts: int) -> None:
        self.tallies.commit.observe(seconds)
        self.tallies.batch.observe(facts)

    def _retry(self, error: str) -> None:
        self.tallies.retry(error)
        if not self._held:
            self._held = True
            self.link.hold(True)
            self.log.error(logs.JOURNAL_RETRY, error=error, what=said(error), waiting=self.link.depth())

    def _recovered(self) -> None:
        self._held = False
        self.link.hold(False)
        self.log.info(logs.JOURNAL_RECOVERED)

    async def _upkeep(self, idle: bool) -> None:
        """After the acknowledgements: a checkpoint, marks, and at most one hall's snapshot."""
        await self.journal.maybe_checkpoint(idle)
        await self.journal.sweep()
        if not idle and monotonic_s() < self._rounds_at:
            return
        self._rounds_at = monotonic_s() + BEAT_S  # the rest goes over all halls
        self.journal.save_marks(self.outbox.marks())
        if await self.months.turn(idle) or (idle and (await self.notes.turn() or await self.months.age())):
            return
        await self.states.turn()

    def _heard(self, name: str) -> bool:
        """Whether every order of a hall has its PUBACK; what a start has collected again waits to be sent."""
        return not self.halls[name].effects.orders and self.outbox.heard(name)


def spare_the_collector() -> None:
    """What is there now stays: it is looked at no more."""
    gc.collect()
    gc.freeze()


def _sqlite() -> str:
    return ".".join(map(str, engine.sqlite_version()))


async def serve(chosen: Settings, log: Any) -> None:
    """Run the process until it is told to stop."""
    with contextlib.suppress(asyncio.CancelledError):
        await App(chosen, log).run()
