"""bench/ranking.py: who is next and how many are ahead, against other structures — ratios of one run.

Load: n waiting, 50 services, 10 profiles (one with all services, nine with 5 consecutive ones), seven classes, of which
green is capped; a called ticket is replaced by a new one outside the clock. A ratio is peer time / our time.
"""

import importlib.util
import random
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from bench import ranking_shapes, redis_peer
from bench.pairs import PAIRS, Gate, Options, Ratio, Report, Subject, compare, gate, not_run
from bench.peers import Floor, HeapLazy, ListScan, Ours, Peer, SortedContainers, SqliteStaticKey, SqlOrderBy, Ticket
from core.ranking import ClassRule, Skills

MIN: Final = 60_000
SERVICES: Final = 50
OPENING: Final = 3 * 60 * MIN  # the n tickets came evenly over three hours
GREEN: Final = ClassRule(tier=1, cap=(1, 3))
CLASSES: Final = (GREEN, *(ClassRule(head_start_ms=15 * MIN),) * 4, ClassRule(), ClassRule())
MIX: Final = (4, 4, 10, 5, 5, 60, 12)  # green, military, elderly, disabled, pregnant, ordinary, booked
assert len(CLASSES) == len(MIX), "a share a class"

Make = Callable[..., Peer]


class Size(msgspec.Struct, frozen=True):
    """How much a measurement does: operations in a batch, batches of which the best counts."""

    waiting: int
    batch: int
    rounds: int


class Rig:
    """One peer under the load. Two rigs of one seed see the same tickets while they answer alike."""

    def __init__(
        self, make: Make, size: Size, seed: int, classes: tuple[ClassRule, ...], profiles: list[Skills]
    ) -> None:
        self.peer: Peer = make(classes, profiles)
        self.size = size
        self.profiles = len(profiles)
        self.moves = size.batch > 10  # the slow peers answer in a hall that stands still
        self.rng = random.Random(seed)
        self.serial = 0
        self.t = OPENING
        self.waiting: dict[int, Ticket] = {}
        for place in range(size.waiting):
            self.take(place * OPENING // size.waiting)

    def take(self, t_eff: int) -> None:
        """One ticket of the mix."""
        self.serial += 1
        ticket = self.rng.randrange(SERVICES), self.rng.choices(range(len(MIX)), MIX)[0], t_eff
        self.waiting[self.serial] = ticket
        self.peer.add(self.serial, *ticket)

    def orders(self) -> list[int]:
        """The profiles that call in the next batch: all alike often, in random order."""
        orders = [place % self.profiles for place in range(self.size.batch)]
        self.rng.shuffle(orders)
        return orders

    def settle(self, called: Iterable[int | None]) -> None:
        """Replace the called, let a minute pass."""
        for serial in called:
            if serial is not None:
                del self.waiting[serial]
        for _ in range(self.size.waiting - len(self.waiting)):
            self.take(self.t - self.rng.randrange(MIN))
        self.t += MIN

    def calls(self) -> float:
        """Seconds a call, the best of some batches."""
        best = float("inf")
        for _ in range(self.size.rounds):
            orders, call, t = self.orders(), self.peer.call_next, self.t
            begin = time.perf_counter()
            called = [call(profile, t) for profile in orders]
            best = min(best, time.perf_counter() - begin)
            self.settle(called)
        return best / self.size.batch

    def aheads(self) -> float:
        """Seconds a people-ahead of a random ticket, all services; best of some batches. Before each the hall moves."""
        best = float("inf")
        clock, ahead = time.perf_counter, self.peer.ahead
        for _ in range(self.size.rounds):
            asked, orders, spent = self.rng.choices(list(self.waiting), k=self.size.batch), self.orders(), 0.0
            for serial, profile in zip(asked, orders, strict=True):
                if self.moves:
                    self.settle([self.peer.call_next(profile, self.t)])
                serial = serial if serial in self.waiting else self.serial
                begin = clock()
                ahead(serial, 0, self.t)
                spent += clock() - begin
            best = min(best, spent)
        return best / self.size.batch

    def adds(self) -> float:
        """Seconds an add (take), the best of some batches; the added are called again outside the clock."""
        best = float("inf")
        for _ in range(self.size.rounds):
            self.settle([self.peer.call_next(profile, self.t) for profile in self.orders()])
            add = self.peer.add
            services = [(self.rng.randrange(SERVICES), self.rng.randrange(len(MIX))) for _ in range(self.size.batch)]
            first = self.serial + 1
            begin = time.perf_counter()
            for serial, (service, cls) in enumerate(services, first):
                add(serial, service, cls, self.t)
            best = min(best, time.perf_counter() - begin)
            self.serial += self.size.batch
            self.waiting |= {first + i: (service, cls, self.t) for i, (service, cls) in enumerate(services)}
            self.settle([self.peer.call_next(0, self.t) for _ in services])
        return best / self.size.batch


def skills(overflow: bool = False) -> list[Skills]:
    """The ten profiles; with `overflow` three of them help out with the five services after their own."""
    found = [Skills(tuple(range(SERVICES)))]
    for start in range(0, 45, 5):
        extra = tuple(range(start + 5, start + 10)) if overflow and start in (0, 15, 30) else ()
        found.append(Skills(tuple(range(start, start + 5)), extra, 10 * MIN if extra else 0))
    return found


def classes_for(peer: Make) -> tuple[ClassRule, ...]:
    """The class rules, without the cap where the peer has none."""
    if "cap" in getattr(peer, "lacks", ()):
        return (msgspec.structs.replace(GREEN, cap=None), *CLASSES[1:])
    return CLASSES


def passes_oracle(peer: Make, seed: int, calls: int = 200) -> bool:
    """The peer calls whom the plain rule calls, and counts whom it counts, on a small hall of the same load."""
    size = Size(waiting=120, batch=1, rounds=1)
    rigs = [Rig(make, size, seed, classes_for(peer), skills()) for make in (peer, ListScan)]
    can_count = "ahead" not in getattr(peer, "lacks", ())
    for _ in range(calls):
        answers = []
        for rig in rigs:
            asked = rig.rng.choice(list(rig.waiting))
            count = rig.peer.ahead(asked, 0, rig.t) if can_count else 0
            called = rig.peer.call_next(rig.rng.randrange(10), rig.t)
            rig.settle([called])
            answers.append((count, called))
        if answers[0] != answers[1]:
            return False
    return True


def floor_ratio(size: Size, seed: int, pairs: int) -> Ratio:
    """call_next with tier, cap and overflow over one bisect and C head comparisons on the same lists."""
    rig = Rig(Ours, size, seed, CLASSES, skills(overflow=True))
    assert isinstance(rig.peer, Ours)
    floor = Floor(rig.peer, CLASSES)

    def touch() -> float:
        best = float("inf")
        for _ in range(size.rounds):
            keys, t, touch_one = rig.rng.choices(floor.longest, k=size.batch), rig.t, floor.touch
            begin = time.perf_counter()
            for key in keys:
                touch_one(key, t)
            best = min(best, time.perf_counter() - begin)
        return best / size.batch

    return compare(rig.calls, touch, pairs=pairs)


def why_ratio(size: Size, seed: int, pairs: int) -> Ratio:
    """`why` over `peek`: what the reason costs beside the choice."""
    rig = Rig(Ours, size, seed, CLASSES, skills(overflow=True))
    assert isinstance(rig.peer, Ours)
    pool, ids = rig.peer.pool, rig.peer.ids

    def timed(query: Callable[[int, int], object]) -> float:
        best = float("inf")
        for _ in range(size.rounds):
            orders, t = [ids[place] for place in rig.orders()], rig.t
            begin = time.perf_counter()
            for profile in orders:
                query(profile, t)
            best = min(best, time.perf_counter() - begin)
        return best / size.batch

    return compare(
        lambda: timed(lambda p, t: pool.why(p, t, 1)), lambda: timed(lambda p, t: pool.peek(p, t)), pairs=pairs
    )


def against(peer: Make, size: Size, peer_size: Size, what: str, seed: int, pairs: int) -> Ratio:
    """Peer time over our time for `what` (calls, aheads, adds), each with its own rig under one load."""
    rules = classes_for(peer)
    ours = Rig(Ours, size, seed, rules, skills())
    theirs = Rig(peer, peer_size, seed, rules, skills())
    subjects: tuple[Subject, Subject] = getattr(theirs, what), getattr(ours, what)
    return compare(*subjects, pairs=pairs)


class Row(msgspec.Struct, frozen=True):
    """One comparison: gate (empty: reported only), goal, peer, operation, waiting, operations in the peer's batch."""

    name: str
    goal: float
    peer: Make
    what: str
    waiting: int
    peer_batch: int


ROWS: Final = (
    Row("ranking.call_vs_sortedcontainers_10k", 1.5, SortedContainers, "calls", 10_000, 200),
    Row("ranking.call_vs_sortedcontainers_100", 2.5, SortedContainers, "calls", 100, 40),
    Row("ranking.ahead_vs_sortedcontainers_10k", 2.0, SortedContainers, "aheads", 10_000, 200),
    Row("ranking.call_vs_sqlite_static_key_10k", 2.0, SqliteStaticKey, "calls", 10_000, 200),
    Row("ranking.ahead_vs_sqlite_static_key_10k", 50.0, SqliteStaticKey, "aheads", 10_000, 40),
    Row("ranking.call_vs_sql_order_by_10k", 100.0, SqlOrderBy, "calls", 10_000, 10),
    Row("ranking.call_vs_list_scan_10k", 300.0, ListScan, "calls", 10_000, 10),
    Row("", 0.0, SortedContainers, "adds", 10_000, 200),
    Row("", 0.0, SortedContainers, "aheads", 100, 40),
    Row("", 0.0, HeapLazy, "calls", 10_000, 200),
    Row("", 0.0, HeapLazy, "calls", 100, 40),
    Row("", 0.0, SqlOrderBy, "aheads", 10_000, 5),
    Row("", 0.0, ListScan, "aheads", 10_000, 5),
)
REDIS: Final = ("ranking.call_vs_redis_lua_10k", 50.0)
SIZES: Final = (10_000, 100)
FLOOR: Final = ("ranking.call_vs_floor", 3.0)
FLAT: Final = ("ranking.call_500_services_vs_1", 3.0)


def run(options: Options, rest: list[str]) -> Report:
    """The suite."""
    assert not rest, f"no such argument: {rest}"
    pairs = options.pairs or (3 if options.quick else PAIRS)
    rounds = 5 if options.quick else 25
    labels: dict[str, str] = {}
    gates, rows, peers = [], [], dict[str, dict[str, float]]()
    for row in ROWS:
        missing = row.peer is SortedContainers and importlib.util.find_spec("sortedcontainers") is None
        if missing:
            gates += [not_run(row.name, row.goal, "sortedcontainers is not installed")] if row.name else []
            continue
        peer = getattr(row.peer, "__name__", "peer")
        if peer not in labels:
            labels[peer] = label(row.peer, options.seed)
        size = Size(row.waiting, 40 if row.waiting <= 100 else 200, rounds)
        peer_size = Size(row.waiting, row.peer_batch, rounds if row.peer_batch > 10 else (2 if options.quick else 8))
        ratio = against(row.peer, size, peer_size, row.what, options.seed, pairs)
        gates += [gate(row.name, ratio, row.goal)] if row.name else []
        rows.append(told(peer, row.what, row.waiting, ratio))
        note(peers, peer, row.what, row.waiting, ratio)
    redis_gate, redis_notes = redis(options.seed, pairs, rounds, 200 if not options.quick else 40, peers)
    gates.append(redis_gate)
    big, small = SIZES
    gates.append(gate(FLOOR[0], floor_ratio(Size(big, 200, rounds), options.seed, pairs), FLOOR[1], at_least=False))
    rows.append(told("floor", "calls", small, floor_ratio(Size(small, 40, rounds), options.seed, pairs)))
    rows.append(told("why over peek", "calls", small, why_ratio(Size(small, 40, rounds), options.seed, pairs)))
    gates.append(gate(FLAT[0], flat_ratio(options.seed, pairs, rounds), FLAT[1], at_least=False))
    shapes = ranking_shapes.measured(options.seed, quick=options.quick)
    rows += ranking_shapes.rows(shapes)
    notes = [*(f"{peer}: {text}" for peer, text in labels.items()), *redis_notes]
    extra = {"rows": rows, "load": {"services": SERVICES, "mix": MIX}, "shapes": shapes}
    extra["peers"] = {what: sorted(some.items(), key=lambda one: one[1]) for what, some in peers.items()}
    return Report("ranking", gates, extra, rows, notes)


def note(peers: dict[str, dict[str, float]], peer: str, what: str, waiting: int, ratio: Ratio) -> None:
    """The medians of both in us, for one axis."""
    above, below = (statistics.median(side) * 1e6 for side in zip(*ratio.raw, strict=True))
    some = peers.setdefault(f"{what[:-1]}, {waiting} waiting", {})
    some[peer] = above
    some.setdefault("ours", below)


def label(peer: Make, seed: int) -> str:
    """What the oracle says of a peer."""
    lacks = ", ".join(getattr(peer, "lacks", ())) or "nothing"
    passed = passes_oracle(peer, seed)
    return f"{'passes the oracle' if passed else 'WRONG, fails the oracle'}; lacks {lacks}"


def told(peer: str, what: str, waiting: int, ratio: Ratio) -> tuple[str, ...]:
    """One line of the terminal: medians of both sides in µs, as orientation, and the ratio."""
    above, below = (sorted(side) for side in zip(*ratio.raw, strict=True))
    middle = len(above) // 2
    return (
        f"{what[:-1]:<6}n={waiting:<6}",
        f"{peer:<16}{above[middle] * 1e6:>10.2f} µs",
        f"{below[middle] * 1e6:>8.2f} µs",
        f"ratio {ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f}), spread {ratio.spread:.2f}",
    )


def redis(seed: int, pairs: int, rounds: int, batch: int, peers: dict[str, dict[str, float]]) -> tuple[Gate, list[str]]:
    """Redis, if server and client are here; neither is a dependency. PING beside it: what the boundary alone costs."""
    name, goal = REDIS
    why = redis_peer.missing()
    if why:
        return not_run(name, goal, why), []
    try:
        words = f"RedisLua: {label(redis_peer.RedisLua, seed)}"
        sizes = Size(10_000, batch, rounds), Size(10_000, batch, 3)
        ratio = against(redis_peer.RedisLua, *sizes, "calls", seed, pairs)
        ping_us = redis_peer.RedisLua.ping_s() * 1e6
        call_us = min(above for above, _ in ratio.raw) * 1e6
        note(peers, "RedisLua", "calls", 10_000, ratio)
        peers["call, 10000 waiting"]["Redis PING"] = ping_us
        return gate(name, ratio, goal), [words, f"RedisLua: PING {ping_us:.0f} of {call_us:.0f} us a call"]
    finally:
        redis_peer.RedisLua.close()


def flat_ratio(seed: int, pairs: int, rounds: int) -> Ratio:
    """A call in a hall of 500 services over one in a hall of a single service, at equal views a service."""
    size = Size(200, 50, rounds)

    def hall(services: int) -> Rig:
        rig = Rig(Ours, size, seed, CLASSES, [Skills((0,))])
        assert isinstance(rig.peer, Ours)
        for service in range(services):
            rig.peer.pool.add_service(service)
        for serial in list(rig.waiting):
            _, cls, t_eff = rig.waiting[serial]
            rig.peer.pool.remove(serial)
            rig.peer.add(serial, 0, cls, t_eff)
        return rig

    many, one = hall(500), hall(1)
    return compare(many.calls, one.calls, pairs=pairs)
