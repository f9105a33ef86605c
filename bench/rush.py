"""bench/rush.py: what the devices of many halls say in a rush, as bytes, and the policy of such halls. Pure, by seed.

A visit is five messages: take, call next, start, finish, rating. All devices of a hall share a lane: order holds.
`presses` are the same at intended times over many connections, with the picture that each must bring about.
"""

from collections.abc import Iterator
from itertools import islice
from random import Random
from typing import Final, NamedTuple

from core.policy import (
    CalendarPart,
    CounterPart,
    DevicePart,
    HallPart,
    Policy,
    ProfilePart,
    ServicePart,
    TicketsPart,
)

MESSAGES_A_VISIT: Final = 5
LEVELS: Final = ((5, 900), (4, 970), (3, 990), (2, 996), (1, 1000))  # level, cumulative permille
CLASSES: Final = ((("military", "care"), 60), (("green",), 70), (("ordinary",), 1000))


def hall_policy(name: str, counters: int = 12, services: int = 20) -> Policy:
    """A hall that is always open; a double press is no matter here."""
    codes = [f"s{i}" for i in range(services)]
    prefixes = [a + b for a in "ABCDEFGHIJ" for b in "ABCDEFGHIJ"]
    numbers = range(1, counters + 1)
    return Policy(
        version=1,
        hall=HallPart(id=name, cutover="00:00"),
        calendar=CalendarPart(week=(1, 2, 3, 4, 5, 6, 7), periods=("00:00-24:00",)),
        tickets=TicketsPart(digits=5, press_gap_ms=0),
        services=tuple(ServicePart(code=code, prefix=prefixes[i]) for i, code in enumerate(codes)),
        counters=tuple(
            CounterPart(no=no, primary=tuple(codes[(no * 2 + k) % services] for k in range(5))) for no in numbers
        ),
        profiles=(ProfilePart(id="pad5", levels={str(level): level for level in range(1, 6)}),),
        devices=(
            DevicePart(id="kiosk", kind="kiosk"),
            *(DevicePart(id=f"caller-{no}", kind="caller", counter=no) for no in numbers),
            *(DevicePart(id=f"screen-{no}", kind="counter_screen", counter=no) for no in numbers),
            *(DevicePart(id=f"ev-{no}", kind="evaluator", profile="pad5", counter=no) for no in numbers),
            DevicePart(id="board", kind="board"),
            DevicePart(id="voice", kind="voice"),
        ),
    )


class Rush:
    """One hall's messages in order: sign-ons, then visits, each device counting its own seq."""

    def __init__(
        self,
        hall: str,
        seed: int,
        *,
        counters: int = 12,
        services: int = 20,
        backlog: int = 20,
        boot: str = "bench-1",
    ) -> None:
        self.hall, self.counters, self.services, self.backlog = hall, counters, services, backlog
        self._rng = Random(f"{seed}/{hall}")  # a str seeds alike in every process
        self._boot = boot
        self._seq: dict[str, int] = {}

    def messages(self, count: int) -> Iterator[tuple[str, bytes]]:
        """Exactly `count` of (topic, payload)."""
        return islice(self._endless(), count)

    def _endless(self) -> Iterator[tuple[str, bytes]]:
        yield from self.sign_ons()
        for turn in range(self.backlog):
            yield self.take(turn % self.counters + 1)
        turn = 0
        while True:
            no = turn % self.counters + 1
            turn += 1
            yield self.take(no)
            yield self.say(f"caller-{no}", '"type":"ticket.call_next"')
            yield self.say(f"caller-{no}", '"type":"serving.start"')
            yield self.say(f"caller-{no}", '"type":"serving.finish"')
            yield self._rate(no)

    def sign_ons(self) -> list[tuple[str, bytes]]:
        """A clerk at every counter."""
        numbers = range(1, self.counters + 1)
        return [self.say(f"caller-{no}", f'"type":"staff.sign_on","staff":"{self.hall}-{no}"') for no in numbers]

    def take(self, no: int) -> tuple[str, bytes]:
        """A ticket for a service of this counter."""
        service = f"s{(no * 2 + self._rng.randrange(5)) % self.services}"
        draw = self._rng.randrange(1000)
        names = next(names for names, upto in CLASSES if draw < upto)
        return self.say("kiosk", f'"type":"ticket.take","service":"{service}","class":"{self._rng.choice(names)}"')

    def _rate(self, no: int) -> tuple[str, bytes]:
        draw = self._rng.randrange(1000)
        level = next(level for level, upto in LEVELS if draw < upto)
        return self.say(f"ev-{no}", f'"type":"evaluation.submit","level":{level}')

    def say(self, device: str, body: str) -> tuple[str, bytes]:
        """The next event of a device without a clock: a stamp of another day would be a fault to look into."""
        seq = self._seq[device] = self._seq.get(device, 0) + 1
        text = f'{{"boot":"{self._boot}","seq":{seq},"sent_ms":0,"body":{{{body}}}}}'
        return f"jh/v1/{self.hall}/{device}/event", text.encode()


def lanes(halls: int, count: int, seed: int, connections: int = 128) -> list[list[tuple[str, bytes]]]:
    """`count` messages of `halls` halls over at most so many connections, a hall on one of them, by turns within it."""
    share, extra = divmod(count, halls)
    streams = [Rush(f"h{at}", seed).messages(share + (at < extra)) for at in range(halls)]
    found: list[list[tuple[str, bytes]]] = [[] for _ in range(min(connections, halls))]
    for at, lane in enumerate(found):
        mine = streams[at :: len(found)]
        while mine:
            mine = [stream for stream in mine if (one := next(stream, None)) is not None and not lane.append(one)]  # type: ignore[func-returns-value]  # append says None
    return found


class Press(NamedTuple):
    """One message, due so long after the start. `screen`: the topic on which `status` must be seen, if any must."""

    due_ns: int
    topic: str
    payload: bytes
    screen: str = ""
    status: str = ""


class Presses(NamedTuple):
    """`before`: sent at once and waited for; `timed`: a list a connection, each in order of its times."""

    before: list[list[tuple[str, bytes]]]
    timed: list[list[Press]]


STEPS: Final = (
    ("kiosk", "", ""),
    ("caller", '"type":"ticket.call_next"', "calling"),
    ("caller", '"type":"serving.start"', "serving"),
    ("caller", '"type":"serving.finish"', "idle"),
)


def presses(
    *,
    halls: int,
    counters: int,
    rate: float,
    seconds: float,
    seed: int,
    connections: int,
    first: int = 0,
    services: int = 20,
    boot: str = "bench-1",
    resent: float = 0.0,
) -> Presses:
    """Visits at `rate` messages a second in all, each counter evenly, in the halls from `first` on.

    The kiosks have connections of their own.
    """
    rng = Random(f"{seed}/presses")
    names = [f"h{at}" for at in range(first, first + halls)]
    talks = [Rush(name, seed, counters=counters, services=services, boot=boot) for name in names]
    before = [[*talk.sign_ons(), *(talk.take(turn % counters + 1) for turn in range(3 * counters))] for talk in talks]
    desks = [(talk, no) for talk in talks for no in range(1, counters + 1)]
    kiosks = min(halls, max(1, connections // 5))
    lanes: list[list[Press]] = [[] for _ in range(max(connections, kiosks + 1))]
    step_ns = int(1e9 * len(desks) / rate)
    due: list[tuple[int, int, int]] = []
    for at in range(len(desks)):
        begin = at * step_ns // len(desks)
        steps = int((seconds * 1e9 - begin) // step_ns)
        steps -= steps % len(STEPS) if steps >= len(STEPS) else 0  # nobody is left at a counter
        due += [(begin + one * step_ns + rng.randrange(step_ns // 2), at, one % len(STEPS)) for one in range(steps)]
    for due_ns, at, step in sorted(due):
        talk, no = desks[at]
        kind, body, status = STEPS[step]
        if kind == "kiosk":
            lanes[at // counters % kiosks].append(Press(due_ns, *talk.take(no)))
        else:
            screen = f"jh/v1/{talk.hall}/screen-{no}/screen"
            lane = lanes[kiosks + at % (len(lanes) - kiosks)]
            lane.append(Press(due_ns, *talk.say(f"caller-{no}", body), screen, status))
            if rng.random() < resent:
                lane.append(Press(*lane[-1][:3]))
    return Presses(before, lanes)
