"""devices/pictures.py: what each screen must show. Pure: equal states, equal pictures."""

from typing import Final

from msgspec import Struct

from core.counter import Counter, CounterState
from core.device import Device, DeviceState
from core.evaluation import EvaluationState
from core.policy import MINUTE_MS, CounterPart
from core.state import HallState
from core.why import Language, Why, sentence

ROWS: Final = 40
LANGUAGES: Final[tuple[Language, ...]] = ("zh", "en")
STATUS: Final = {
    CounterState.CLOSED: "closed",
    CounterState.IDLE: "idle",
    CounterState.CALLED: "calling",
    CounterState.SERVING: "serving",
    CounterState.PAUSED: "paused",
}
AT_COUNTER: Final = ("counter_screen", "caller", "evaluator")
SHARED: Final = ("board", "kiosk", "self_service")


class CounterPicture(Struct, frozen=True, tag_field="type", tag="counter"):
    """A counter's screen (窗口屏): the number called or served there."""

    counter: int
    number: str
    status: str
    staff: str


class CallerPicture(Struct, frozen=True, tag_field="type", tag="caller"):
    """A keypad's display (叫号器): the number, the people waiting for this counter, and why it was this number."""

    counter: int
    number: str
    status: str
    waiting: int
    held: int
    why: dict[str, str] = {}


class EvaluatorPicture(Struct, frozen=True, tag_field="type", tag="evaluator"):
    """An evaluator (评价器): `rating` asks for `call` until `until_ms` by the device's own clock. `token`: the right to
    rate this serving, minted by the shell; `address`: where a phone uses it, to be shown as a QR code."""

    counter: int
    phase: str
    staff: str
    call: int
    until_ms: int
    option_set: str
    token: str = ""
    address: str = ""


class Line(Struct, frozen=True, array_like=True):
    """One call on a board: call, number, counter, and how often it was called, so that a recall is seen, too."""

    call: int
    number: str
    counter: int
    times: int = 1


class BoardPicture(Struct, frozen=True, tag_field="type", tag="board"):
    """The hall board (综合屏): the last calls, newest last, and who waits for what."""

    calls: list[Line]
    waiting: list[tuple[str, int]]


class KioskPicture(Struct, frozen=True, tag_field="type", tag="kiosk"):
    """A kiosk (取号机): whether the day is open, people waiting and places left (-1: no limit) by service."""

    open: bool
    services: list[tuple[str, int, int]]


Picture = CounterPicture | CallerPicture | EvaluatorPicture | BoardPicture | KioskPicture


def draw(state: HallState, device: Device) -> Picture | None:
    """The picture of one device; None if its kind shows nothing."""
    if device.kind == "board":
        return board(state, device.zone)
    if device.kind in ("kiosk", "self_service"):
        return kiosk(state)
    counter = state.counters.get(device.counter)
    if counter is None or device.state is DeviceState.RETIRED:
        return None
    if device.kind == "counter_screen":
        return CounterPicture(counter.counter, number_at(state, counter), STATUS[counter.state], counter.staff)
    if device.kind == "caller":
        return caller(state, counter)
    return evaluator(state, counter) if device.kind == "evaluator" else None


def number_at(state: HallState, counter: Counter) -> str:
    """The number at a counter, or nothing."""
    return state.tickets[counter.ticket].number if counter.ticket else ""


def caller(state: HallState, counter: Counter) -> CallerPicture:
    """The keypad's display."""
    waiting = state.pool.length(state.pool.view_of(counter.profile))
    held = len(state.held.get(counter.counter, ()))
    called = counter.why if counter.state is CounterState.CALLED else None
    assert state.policy is not None
    known = called is not None and called.policy_version == state.policy.version  # its classes are still those
    why: dict[str, str] = {lang: tell(state, called, lang) for lang in LANGUAGES} if called and known else {}
    return CallerPicture(counter.counter, number_at(state, counter), STATUS[counter.state], waiting, held, why)


def tell(state: HallState, why: Why, lang: Language) -> str:
    """The reason of a call in one sentence, while the day of the call is open."""
    policy = state.policy
    assert policy is not None, "nobody is called without a policy"

    def name_of(serial: int) -> str:
        return state.tickets[state.ticket_of(serial)].number

    def class_name(cls: int) -> str:
        part = policy.classes[cls]
        return part.name.get(lang, part.code)

    def head_start_ms(cls: int) -> int:
        return policy.classes[cls].head_start_min * MINUTE_MS

    return sentence(why, lang=lang, name_of=name_of, class_name=class_name, head_start_ms=head_start_ms)


def evaluator(state: HallState, counter: Counter) -> EvaluatorPicture:
    """Asks for the last finished serving until its prompt is over or it is rated."""
    assert state.policy is not None
    rules = state.policy.evaluation
    evaluation = state.evaluations.get(counter.last_call)
    phase, call, until_ms = "idle", 0, 0
    if counter.state is CounterState.CLOSED:
        phase = "signed_out"
    elif counter.state is CounterState.PAUSED:
        phase = "paused"
    elif evaluation is not None and evaluation.state is EvaluationState.OPENED:
        phase, call, until_ms = "rating", evaluation.call, evaluation.opened_ms + rules.prompt_s * 1000
    return EvaluatorPicture(counter.counter, phase, counter.staff, call, until_ms, rules.options)


def waiting_by_service(state: HallState) -> list[tuple[str, int]]:
    """People waiting by service, in the order of the policy."""
    assert state.policy is not None
    services, queued = state.rules.services, state.queued
    return [(part.code, queued.get(services[part.code][0], 0)) for part in state.policy.services[:ROWS]]


def board(state: HallState, zone: str = "") -> BoardPicture:
    """The hall board; in a zone: the calls to its counters, and who waits there or anywhere."""
    parts, services = state.rules.counters, state.rules.services
    lines = [Line(*call, times=times(state, call[0])) for call in state.last_calls if _stands_in(parts, call[2], zone)]
    rows = [row for row in waiting_by_service(state) if services[row[0]][1].zone in ("", zone) or not zone]
    return BoardPicture(lines, rows)


def times(state: HallState, call: int) -> int:
    """How often a call was called."""
    ticket = state.tickets.get(state.calls.get(call, 0))
    return 1 + (ticket.recalls if ticket is not None and ticket.call == call else 0)


def _stands_in(parts: dict[int, CounterPart], no: int, zone: str) -> bool:
    part = parts.get(no)
    return not zone or (part is not None and part.zone == zone)


def kiosk(state: HallState) -> KioskPicture:
    """The kiosk's choice."""
    assert state.policy is not None
    rows = []
    for (code, waiting), part in zip(waiting_by_service(state), state.policy.services, strict=False):
        taken = state.taken_of.get(state.rules.services[code][0], 0)
        rows.append((code, waiting, part.quota_day - taken if part.quota_day else -1))
    return KioskPicture(state.day_is_open, rows)


assert set(STATUS) == set(CounterState)
