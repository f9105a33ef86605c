"""workers/web/drawings.py: what each page shows, from the committed state of a hall. Equal states, equal pictures.

Plain immutable structs; nothing of the state is kept. No person, no text of a person: numbers, codes, staff ids.
"""

from typing import Final

from msgspec import Struct

from core.counter import Counter
from core.device import Device
from core.evaluation import EvaluationState
from core.policy import CounterPart, Names, Policy
from core.state import HallState
from core.ticket import State, Ticket
from devices import pictures
from workers.vitals import Vitals
from workers.web.texts import OPTIONS

LINES: Final = 9  # the current call and the last 8


class Row(Struct, frozen=True):
    """People waiting for a service."""

    code: str
    name: Names
    waiting: int


class Call(Struct, frozen=True):
    """A call. `times`: how often it was said, so that a recall is shown again."""

    call: int
    number: str
    counter: int
    label: Names
    times: int


class Board(Struct, frozen=True):
    """The hall board (叫号大屏); newest call last."""

    hall: str
    zone: str
    open: bool
    calls: list[Call]
    waiting: list[Row]


class Offer(Struct, frozen=True):
    """A ticket that may be called back or sent on."""

    ticket: int
    number: str


class Console(Struct, frozen=True):
    """A clerk's console (叫号台)."""

    hall: str
    device: str
    counter: int
    label: Names
    staff: str
    status: str
    pausing: bool
    number: str
    service: Names
    cls: Names
    since_ms: int
    waited_ms: int
    recalls: int
    recalls_max: int
    waiting: int
    rows: list[Row]
    held: list[Offer]
    why: dict[str, str]
    services: list[Row]


class Pad(Struct, frozen=True):
    """An evaluator (评价器): asks for `call` until `until_ms`. `token`: the right to rate it on one's own phone."""

    hall: str
    device: str
    counter: int
    phase: str
    staff: str
    call: int
    until_ms: int
    levels: list[int]
    option_set: str
    token: str


class Seat(Struct, frozen=True):
    """A counter of the overview."""

    counter: int
    status: str
    staff: str
    number: str
    since_ms: int


class Thing(Struct, frozen=True):
    """A device of the overview."""

    device: str
    kind: str
    counter: int
    state: str
    faults: tuple[str, ...]
    suspect: bool = False
    clock_ms: int = 0  # its clock is so far behind, if that is too far


class Overview(Struct, frozen=True):
    """A hall as its operator sees it (运行总览)."""

    hall: str
    tz: str
    day: int
    open: bool
    policy_version: int
    tickets: dict[str, int]
    ended: dict[str, int]
    oldest_ms: int
    evaluations: dict[str, int]
    levels: list[int]
    cases: int
    rows: list[Row]
    counters: list[Seat]
    devices: list[Thing]


def names(part_name: Names, code: str) -> Names:
    """What to call something in each language; its code where nothing is written."""
    return {lang: part_name.get(lang, code) for lang in pictures.LANGUAGES}


def rules(state: HallState) -> Policy:
    """The policy; a hall without one has no page."""
    assert state.policy is not None
    return state.policy


def reasons(state: HallState, option_set: str) -> list[str]:
    """The reasons of an option set, of all its levels: each level is offered the same, so that none is asked more."""
    chosen = next((one for one in rules(state).option_sets if one.id == option_set), None)
    if chosen is None:
        return list(OPTIONS)
    return list(dict.fromkeys(code for level in sorted(chosen.options) for code in chosen.options[level]))


def label(part: CounterPart | None, no: int) -> Names:
    """A counter's name."""
    found = part.label if part is not None else {}
    return {"zh": found.get("zh", f"{no}号窗口"), "en": found.get("en", f"Counter {no}")}


def rows(state: HallState, zone: str = "") -> list[Row]:
    """Waiting by service; of a zone: the services that wait there."""
    waits = dict(pictures.waiting_by_service(state))
    parts = [part for part in rules(state).services if not zone or part.zone in ("", zone)]
    return [Row(part.code, names(part.name, part.code), waits[part.code]) for part in parts if part.code in waits]


def board(state: HallState, zone: str) -> Board:
    """The board of a zone, or of the whole hall."""
    parts = state.rules.counters
    calls = []
    for call, number, counter in state.last_calls:
        part = parts.get(counter)
        if not zone or (part is not None and part.zone == zone):
            calls.append(Call(call, number, counter, label(part, counter), pictures.times(state, call)))
    return Board(state.hall, zone, state.day_is_open, calls[-LINES:], rows(state, zone))


def console(state: HallState, device: Device) -> Console:
    """The console of the counter that its device stands at."""
    policy, counter = rules(state), state.counters[device.counter]
    shown = pictures.caller(state, counter)
    ticket = state.tickets.get(counter.ticket)
    part = state.rules.counters.get(counter.counter)
    mine = {state.services[code] for code in state.pool.skills_of(counter.profile).primary}
    service, cls = _what(policy, state, ticket)
    every = rows(state)
    return Console(
        hall=state.hall,
        device=device.device,
        counter=counter.counter,
        label=label(part, counter.counter),
        staff=counter.staff,
        status=shown.status,
        pausing=counter.pause_pending,
        number=shown.number,
        service=service,
        cls=cls,
        since_ms=(ticket.started_ms or ticket.called_ms) if ticket is not None else 0,
        waited_ms=ticket.waited_ms if ticket is not None else 0,
        recalls=ticket.recalls if ticket is not None else 0,
        recalls_max=policy.calling.max_recalls,
        waiting=shown.waiting,
        rows=[row for row in every if row.code in mine],
        held=[Offer(one, state.tickets[one].number) for one in state.held.get(counter.counter, ())],
        why=shown.why,
        services=every,
    )


def _what(policy: Policy, state: HallState, ticket: Ticket | None) -> tuple[Names, Names]:
    """Service and class of a ticket by name."""
    if ticket is None:
        return {}, {}
    code = state.services[ticket.service]
    service, cls = state.rules.services[code][1], policy.classes[ticket.cls]
    return names(service.name, code), names(cls.name, cls.code)


def pad(state: HallState, device: Device, token: str) -> Pad:
    """The evaluator of a counter."""
    shown = pictures.evaluator(state, state.counters[device.counter])
    profile = state.rules.profiles.get(device.profile)
    levels = sorted(set(profile.levels.values()), reverse=True) if profile is not None else [5, 4, 3, 2, 1]
    return Pad(
        hall=state.hall,
        device=device.device,
        counter=shown.counter,
        phase=shown.phase,
        staff=shown.staff,
        call=shown.call,
        until_ms=shown.until_ms,
        levels=levels,
        option_set=shown.option_set,
        token=token,
    )


def rated_at(state: HallState, device: Device) -> tuple[int, int] | None:
    """(call, end of its window) of the rating that an evaluator asks for."""
    counter = state.counters.get(device.counter)
    found = state.evaluations.get(counter.last_call) if counter is not None else None
    return (found.call, found.due_ms) if found is not None and found.state is EvaluationState.OPENED else None


def overview(state: HallState, vitals: Vitals, now_ms: int) -> Overview:
    """O(tickets of the day + open ratings)."""
    by_state = {one.name.lower(): 0 for one in EvaluationState}
    levels = [0] * 5
    for evaluation in state.evaluations.values():
        by_state[evaluation.state.name.lower()] += 1
        if evaluation.level:
            levels[evaluation.level - 1] += 1
    tally, suspects = state.tally, vitals.suspects(now_ms)
    return Overview(
        hall=state.hall,
        tz=rules(state).hall.tz,
        day=state.day,
        open=state.day_is_open,
        policy_version=rules(state).version,
        tickets={one.name.lower(): count for one, count in state.counted().items()},
        ended={name: getattr(tally, name) for name in ("taken", "served", "cancelled", "abandoned", "expired")},
        oldest_ms=oldest_ms(state),
        evaluations=by_state,
        levels=levels,
        cases=state.next_case - 1,
        rows=rows(state),
        counters=[_seat(state, one) for one in state.counters.values()],
        devices=[
            Thing(
                one.device,
                one.kind,
                one.counter,
                one.state.name.lower(),
                one.faults,
                one.device in suspects,
                vitals.skew_ms(one.device),
            )
            for one in state.devices.values()
        ],
    )


def _seat(state: HallState, counter: Counter) -> Seat:
    ticket = state.tickets.get(counter.ticket)
    since_ms = (ticket.started_ms or ticket.called_ms) if ticket is not None else 0
    status = pictures.STATUS[counter.state]
    return Seat(counter.counter, status, counter.staff, pictures.number_at(state, counter), since_ms)


def oldest_ms(state: HallState) -> int:
    """When the ticket that waits longest was taken (UTC ms); 0: nobody waits."""
    return min((one.taken_ms for one in state.tickets.values() if one.state is State.WAITING), default=0)
