"""tests/simulation/world.py: one run of a plan: a hall of devices, a broker, a disk, and the lives of a dispatcher.

Whatever reaches the outside is checked when it does: no PUBACK, ack, picture or order before its facts are durable,
each picture the fold of the journal, each answer the first one. At the end everything heals, and all that was said must
be answered, every screen right, and the journal what the plain model would have decided.
"""

import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Any, NamedTuple

from core.hall import Hall
from tests.halls import HALL, MORNING
from tests.simulation.devices import Agent
from tests.simulation.disk import Disk
from tests.simulation.faults import strike
from tests.simulation.invariants import against_model
from tests.simulation.loop import NS, Owner
from tests.simulation.network import Broker
from tests.simulation.people import pressed
from tests.simulation.plan import LENGTH_S, POLICIES, Plan
from tests.simulation.process import Life, underneath
from tests.simulation.watch import Watch
from workers import engine, logs
from workers.connection import TakenOver
from workers.ports import Fenced, Missing
from workers.verify import verify

HEAL_S = 1800.0  # the longest patience of a device is twelve minutes
QUIET_S = 4.0


class Outcome(NamedTuple):
    """`failures` is empty when every invariant held. The trace is the same for the same plan, byte for byte."""

    plan: Plan
    failures: list[str]
    trace: list[str]
    facts: int
    lives: int


class World(Watch):
    """Everything around the process."""

    def __init__(self, plan: Plan) -> None:
        super().__init__(plan)
        self.policy = POLICIES[plan.policy]
        self.rng = Random(f"world {plan.seed}")
        self.skew_ms = 0
        self.disk = Disk(self.committed, self._disk_delay_s)
        self.disk_slow = (0, 0.0)
        self.broker = Broker(self.loop, Random(f"net {plan.seed}"), self.fail, self.confirmed, self.published)
        self.loop.dial = lambda factory: self.broker.dial(self._owner(), factory)
        self.lives: dict[Owner | None, Life] = {}
        self.life: Life | None = None
        self.healing = self.wants_life = False
        self.at_order: Callable[[], None] | None = None  # done once, when the next one is published
        self.live_since_s: dict[Life, float] = {}
        self.agents = {part.id: self._agent(part.id, part.kind) for part in self.policy.devices}

    def _agent(self, name: str, kind: str) -> Agent:
        rng = Random(f"{name} {self.plan.seed}")
        agent = Agent(name, kind, HALL, self.loop, self.broker, rng, self)
        if kind == "voice":
            agent.on_order = lambda body: pressed(self, agent, "said", body.get("call", 0), 0)
        if name == "kiosk-2":
            agent.window = self.plan.window
        return agent

    def _owner(self) -> Owner:
        assert self.loop.owner is not None
        return self.loop.owner

    def _disk_delay_s(self) -> float:
        most_ms, until_s = self.disk_slow
        return self.rng.uniform(0.0005, 0.004) + (most_ms / 1000 if self.loop.time() < until_s else 0.0)

    def wall_ms(self) -> int:
        """The machine's clock."""
        return MORNING + self.loop.now_ns // 1_000_000 + self.skew_ms

    # Lives of the process.

    def may_write(self, owner: Owner) -> bool:
        return self.lives[owner].app.journal.epoch == self.disk.epoch()

    def begin(self) -> None:
        """A process starts."""
        life = Life(self, len(self.lives) + 1)
        self.lives[life.owner] = life
        self.life = life
        self.note(f"{life.owner.name} starts")

    def recovered(self, life: Life) -> None:
        """Before it speaks to anybody its state must be the fold of the journal."""
        hall = life.app.halls.get(HALL)
        life.recovered = True
        if life is self.life and self.mirror.state.n and (hall is None or not _same(hall, self.mirror)):
            self.fail("the state after recovery is not the fold of the journal")

    def logged(self, life: Life, event: str, more: dict[str, Any]) -> None:
        self.note(f"{life.owner.name}: {event} {more or ''}")
        if event == logs.LINK_CONNECTED:
            life.up = True
            self.live_since_s[life] = self.loop.time()
        elif event == logs.LINK_DOWN:
            self._not_live(life)

    def _not_live(self, life: Life) -> None:
        since_s = self.live_since_s.pop(life, None)
        if since_s is not None:
            self.spans.append((since_s, self.loop.time()))

    def ended(self, life: Life, error: BaseException | None) -> None:
        """By itself: as it was told, or by something that is allowed to end it."""
        causes = _leaves(error) if error is not None else []
        self.note(f"{life.owner.name} ends: {[f'{type(one).__name__}: {one}' for one in causes]}")
        self._not_live(life)
        unexpected = [one for one in causes if not self._expected(life, one)]
        if unexpected or (error is None and not life.stopping):
            return self.fail(f"the process ended by itself: {unexpected!r}")
        self.cut_of(life)
        return self.again(life)

    def _expected(self, life: Life, error: BaseException) -> bool:
        """What may end a process here."""
        if isinstance(error, engine.driver.OperationalError):
            return engine.error_name(error).startswith("SQLITE_IOERR")
        if isinstance(error, Missing) and not isinstance(error, TakenOver):
            return "SQLITE_FULL" in str(error)
        return isinstance(error, (Fenced, TakenOver) + ((TimeoutError,) if life.stopping else ()))

    def killed(self, life: Life) -> None:
        self._not_live(life)
        self.again(life)

    def again(self, life: Life) -> None:
        """systemd starts it again after a while."""
        if self.life is life and self.wants_life:
            self.life = None
            delay_s = self.rng.uniform(0.3, 3.0)
            self.loop.at(self.loop.now_ns + round(delay_s * NS), None, self._again)

    def says(self) -> None:
        """An order is about to be published."""
        now, self.at_order = self.at_order, None
        if now is not None:
            now()

    def replaced(self, life: Life) -> None:
        """Another process starts, though this one is not dead."""
        self._not_live(life)
        self.begin()

    def _again(self) -> None:
        if self.life is None and self.wants_life:
            self.begin()

    def cut_of(self, life: Life) -> None:
        """The kernel closes its socket: what was written goes out, or is lost with the machine's buffers."""
        conn = self.broker.link
        if conn is not None and conn.owner is life.owner:
            if self.rng.random() < 0.5:
                conn.lose(seen_by_link=False, seen_by_broker=True)
            else:
                self.loop.at(conn.last_ns[0] + 1_000_000, None, self.broker.hung_up, conn)

    # The run.

    def run(self) -> Outcome:
        """From the first start to the last."""
        with underneath(self):
            try:
                self._run()
            finally:
                self._bury()
                self.disk.remove()
        failures = [*self.failures[:1], *self.loop.complaints[:1]]
        return Outcome(self.plan, failures, self.trace, len(self.ledger.lines), len(self.lives))

    def _run(self) -> None:
        self.wants_life = True
        self.begin()
        for agent in self.agents.values():
            self._in(self.rng.uniform(0.0, 1.0), agent.start)
        for one in self.plan.presses:
            self._in(one.at_s, pressed, self, self.agents[one.device], one.verb, one.a, one.b)
        for fault in self.plan.faults:
            self._in(fault.at_s, strike, self, fault)
        start_ns = self.loop.now_ns
        self.loop.run(start_ns + round((LENGTH_S + 10.0) * NS))
        self._heal()
        quiet_ns = 0
        while not self.loop.stopped and self.loop.now_ns < start_ns + round(HEAL_S * NS):
            self.loop.run(self.loop.now_ns + NS // 2)
            quiet_ns = quiet_ns + NS // 2 if self._calm() else 0
            if quiet_ns > QUIET_S * NS:
                break
        if not self.loop.stopped:
            self._judge()

    def _in(self, seconds: float, callback: Callable[..., Any], *args: Any) -> None:
        self.loop.at(self.loop.now_ns + round(seconds * NS), None, callback, *args)

    def _heal(self) -> None:
        """From here on nothing breaks any more."""
        self.note("all faults end")
        self.healing = True
        self.disk.fails.clear()
        self.disk.at_append = self.disk.at_commit = self.at_order = None
        self.disk.full_until_s = 0.0
        self.disk_slow = (0, 0.0)
        self.broker.up = True
        for life in list(self.lives.values()):
            life.owner.doom = 0
            if life.owner.frozen:
                self.loop.thaw(life.owner)
        if self.life is None:
            self._again()
        for agent in self.agents.values():
            agent.start()

    def _calm(self) -> bool:
        life = self.life
        if life is None or any(lane.free_at_s > self.loop.time() for lane in life.owner.lanes):
            return False
        at_rest = not life.over and life in self.live_since_s and not life.app.outbox.pending()
        return at_rest and all(agent.connected and not agent.outbox for agent in self.agents.values())

    def _judge(self) -> None:
        """The end: nothing is under way any more."""
        life = self.life
        since_s = self.live_since_s.get(life) if life is not None else None
        if since_s is not None:
            self.spans.append((since_s, self.loop.time()))
        waiting = [name for name, agent in self.agents.items() if agent.outbox]
        if life is None or life.over or waiting or life not in self.live_since_s:
            return self.fail(f"never answered: {waiting}; the process is {'there' if life else 'not there'}")
        if not _same(life.app.halls[HALL], self.mirror):
            return self.fail("the running state is not the fold of the journal")
        self.check(self.screens())
        self.check(self.unsaid())
        self.check(against_model(self.ledger.lines, self.asked))
        self._end(life)
        return None

    def _end(self, life: Life) -> None:
        """SIGTERM, and a last start: from the newest snapshot it must be the same state. The files are whole."""
        life.terminate()
        self.wants_life = False
        self.loop.run(self.loop.now_ns + 15 * NS)
        self.begin()
        self.loop.run(self.loop.now_ns + NS)
        assert self.life is not None
        if not self.life.recovered and not self.loop.stopped:
            self.fail("it does not start again")
        self.check([one for one in verify(self.disk.place) if not (self.disk.damaged and one.startswith("snapshot"))])

    def _bury(self) -> None:
        """Nothing is left for the garbage collector."""
        for life in self.lives.values():
            if not life.main.done():
                life.over = True
                life.sever()
                self.loop.bury(life.owner, life.main)


def _same(one: Hall, other: Hall) -> bool:
    return one.state.snapshot() == other.state.snapshot()


def _leaves(error: BaseException) -> list[BaseException]:
    """The single errors of a group of groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for one in error.exceptions for leaf in _leaves(one)]
    return [error]


def simulate(plan: Plan) -> Outcome:
    """One run."""
    return World(plan).run()


def digest(trace: Sequence[str]) -> int:
    """A number for a trace."""
    return zlib.crc32("\n".join(trace).encode())
