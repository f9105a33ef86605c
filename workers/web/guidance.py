"""workers/web/guidance.py: what a guide tells people: who is ahead, how long it takes, where it is quicker.

Read from committed state, never used to choose. Waits are those of core/forecast.py: seconds, P50 and P90.
"""

from typing import Final

from msgspec import Struct

from core import forecast
from core.counter import CounterState
from core.policy import Names
from core.state import HallState
from core.ticket import OPEN, State, Ticket
from workers.web.drawings import names, rules

NAMED: Final = 8
MISSED_MAX: Final = 24
SHORTER: Final = 2  # another service of the same kind is advised when its wait is at most 1 / SHORTER of this one


class Place(Struct, frozen=True):
    """A service as one who comes now would find it. `eta_s`, `eta_p90_s` None: nothing is known."""

    code: str
    name: Names
    waiting: int
    ahead: int
    eta_s: int | None
    eta_p90_s: int | None
    open_counters: int
    left: int
    first: list[str]
    classes: list[str]
    advice: str


class Way(Struct, frozen=True):
    """A priority class."""

    code: str
    name: Names


class Missed(Struct, frozen=True):
    """Called in vain; may come back until `until_ms`."""

    ticket: int
    number: str
    until_ms: int


class Guide(Struct, frozen=True):
    """The guide's page (导办台)."""

    hall: str
    device: str
    open: bool
    services: list[Place]
    classes: list[Way]
    missed: list[Missed]


class Found(Struct, frozen=True):
    """One ticket: where it stands. `before`: the numbers of those ahead, first first, at most 8 of them."""

    ticket: int
    number: str
    state: str
    service: str
    service_name: Names
    cls: str
    cls_name: Names
    taken_ms: int
    ahead: int
    before: list[str]
    counter: int
    eta_s: int | None
    eta_p90_s: int | None


def guide(state: HallState, device: str, at_ms: int) -> Guide:
    """Every service, the classes, and who was called in vain."""
    policy = rules(state)
    ordinary = state.rules.classes["ordinary"]
    places = [_place(state, code, index, ordinary, at_ms) for code, (index, _) in state.rules.services.items()]
    missed = [one for one in state.tickets.values() if one.state is State.MISSED]
    missed.sort(key=lambda one: -one.called_ms)
    return Guide(
        hall=state.hall,
        device=device,
        open=state.day_is_open,
        services=_advised(state, places),
        classes=[Way(one.code, names(one.name, one.code)) for one in policy.classes if one.code != "booked"],
        missed=[Missed(one.ticket, one.number, one.until_ms) for one in missed[:MISSED_MAX]],
    )


def _place(state: HallState, code: str, service: int, cls: int, at_ms: int) -> Place:
    part, pool = state.rules.services[code][1], state.pool
    t = state.t(at_ms)
    view = pool.service_view(service)
    told = forecast.foresee(state, service, cls, t, t)
    believed = bool(told.eta_p90_s) or _free(state, service)  # a young pool tells its last wait, and that may be none
    serving = [one for one in state.counters.values() if service in pool.skills_of(one.profile).primary]
    return Place(
        code=code,
        name=names(part.name, code),
        waiting=pool.length(view),
        ahead=told.ahead,
        eta_s=told.eta_s if believed else None,
        eta_p90_s=told.eta_p90_s if believed else None,
        open_counters=sum(one.state is not CounterState.CLOSED for one in serving),
        left=part.quota_day - state.taken_of.get(service, 0) if part.quota_day else -1,
        first=[_number(state, serial) for serial in pool.top(view, 3, t)],
        classes=list(part.classes),
        advice="",
    )


def _advised(state: HallState, places: list[Place]) -> list[Place]:
    """To each service the one of its kind and department, if any, whose wait is much shorter (分流建议)."""
    parts = {code: part for code, (_, part) in state.rules.services.items()}
    found = []
    for place in places:
        mine = parts[place.code]
        others = [
            one
            for one in places
            if one.code != place.code
            and (parts[one.code].kind, parts[one.code].department) == (mine.kind, mine.department)
            and one.open_counters
            and one.eta_s is not None
            and place.eta_s is not None
            and one.eta_s * SHORTER <= place.eta_s
            and place.eta_s >= 300
        ]
        best = min(others, key=lambda one: one.eta_s or 0, default=None)
        found.append(place if best is None else _with(place, best.code))
    return found


def _with(place: Place, advice: str) -> Place:
    return Place(**{name: getattr(place, name) for name in Place.__struct_fields__} | {"advice": advice})


def _number(state: HallState, serial: int) -> str:
    return state.tickets[state.ticket_of(serial)].number


def _free(state: HallState, service: int) -> bool:
    """Whether a counter that serves it first has nobody."""
    idle = [one for one in state.counters.values() if one.state is CounterState.IDLE]
    return any(service in state.pool.skills_of(one.profile).primary for one in idle)


def find(state: HallState, number: str, at_ms: int) -> Found | None:
    """The newest open ticket of today with this number, else the newest; None: there is none."""
    same = [one for one in state.tickets.values() if one.number == number]
    ticket = max(same, key=lambda one: (one.state in OPEN, one.ticket), default=None)
    return None if ticket is None else _found(state, ticket, at_ms)


def _found(state: HallState, ticket: Ticket, at_ms: int) -> Found:
    code, cls = state.services[ticket.service], rules(state).classes[ticket.cls]
    ahead, before = 0, list[str]()
    eta: tuple[int | None, int | None] = (None, None)
    if ticket.state is State.WAITING and ticket.eligible:
        ahead, before, eta = _queue(state, ticket, at_ms)
    return Found(
        ticket=ticket.ticket,
        number=ticket.number,
        state=ticket.state.name.lower(),
        service=code,
        service_name=names(state.rules.services[code][1].name, code),
        cls=cls.code,
        cls_name=names(cls.name, cls.code),
        taken_ms=ticket.taken_ms,
        ahead=ahead,
        before=before,
        counter=ticket.counter,
        eta_s=eta[0],
        eta_p90_s=eta[1],
    )


def _queue(state: HallState, ticket: Ticket, at_ms: int) -> tuple[int, list[str], tuple[int | None, int | None]]:
    """People ahead of a waiting ticket in its service, their numbers, and the wait of the pool that serves it."""
    pool, t, serial = state.pool, state.t(at_ms), state.serial(ticket.ticket)
    view = pool.service_view(ticket.service)
    ahead = pool.ahead(serial, view, t)
    before = [_number(state, one) for one in pool.top(view, min(ahead, NAMED), t)]
    views = state.open_views(ticket.service)
    if not views:
        return ahead, before, (None, None)
    widest = max(views, key=pool.length)
    model = state.waits.get(widest)
    told = model.estimate(pool.ahead(serial, widest, t), ticket.cls, False) if model is not None else None
    if told is None or not (told.p90_ms or (not ahead and _free(state, ticket.service))):
        return ahead, before, (None, None)
    return ahead, before, (told.p50_ms // 1000, told.p90_ms // 1000)
