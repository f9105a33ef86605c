"""core/policy.py: the rules of one hall as a document (规则), validated as a whole; every problem names its path.

`parse(text)` reads TOML, `problems(policy)` says all that is wrong with it. Minutes, seconds and days as written there;
everything derived from it is integer milliseconds.
"""

import tomllib
import zlib
from itertools import pairwise
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta, field

from core.policy_parts import (
    AlertsPart,
    CasesPart,
    ConductPart,
    Days,
    EvaluationPart,
    Ident,
    Natural,
    OptionSetPart,
    Part,
    VoicePart,
    option_problems,
    voice_problems,
)

MINUTE_MS = 60_000
DAY_MS = 86_400_000
Names = dict[str, str]
Clock = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Span = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d-(([01]\d|2[0-3]):[0-5]\d|24:00)$")]


class PolicyError(Exception):
    """The document is wrong; `problems` lists all of it, each with its path."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class HallPart(Part, frozen=True):
    """Who and where the hall is; `cutover`: local time at which one business day ends and the next begins."""

    id: Ident
    level: Literal["province", "city", "county", "town", "village"] = "county"
    region: Annotated[str, Meta(pattern=r"^\d{12}$")] = "000000000000"
    tz: str = "Asia/Shanghai"
    cutover: Clock = "03:00"
    langs: tuple[str, ...] = ("zh", "en")


class CalendarPart(Part, frozen=True):
    """When the hall works: ISO week days, local periods, days off, make-up days (调休); `holidays`: of a file."""

    week: tuple[Annotated[int, Meta(ge=1, le=7)], ...] = (1, 2, 3, 4, 5)
    periods: tuple[Span, ...] = ("08:30-12:00", "14:00-17:30")
    off: tuple[Days, ...] = ()
    work: tuple[Days, ...] = ()
    holidays: Annotated[str, Meta(pattern=r"^[a-z0-9-]{0,32}$(?!\n)")] = ""


class TicketsPart(Part, frozen=True):
    """Numbers and slips. `self_service`: terminals (自助终端) give numbers in the hall's hours, or round the clock."""

    digits: Annotated[int, Meta(ge=2, le=5)] = 3
    one_open_per_person: bool = True
    reprints: Natural = 2
    press_gap_ms: Natural = 1500
    on_print_failed: Literal["keep", "cancel"] = "keep"
    take_early_min: Natural = 15
    self_service: Literal["hours", "always"] = "hours"


class CallingPart(Part, frozen=True):
    """Calls. `arrive_timeout_s` 0: nobody is missed by the clock."""

    max_recalls: Annotated[int, Meta(ge=0, le=5)] = 2
    recall_gap_s: Natural = 20
    start: Literal["implied", "explicit"] = "implied"
    arrive_timeout_s: Natural = 0
    next_while_serving: Literal["finish", "refuse"] = "finish"
    picking: bool = False


class ReturnsPart(Part, frozen=True):
    """Missed, held and transferred tickets. `after`: places behind which each return re-enters; then no more."""

    return_min: Natural = 30
    after: tuple[Natural, ...] = (3, 6)
    holds: Natural = 3
    hold_max_min: Natural = 120
    senior_hops: Natural = 2
    max_hops: Natural = 4


class BookingPart(Part, frozen=True):
    """Slots."""

    early_min: Natural = 15
    credit_min: Natural = 20
    late_min: Natural = 10
    void_min: Natural = 60
    days_ahead: Natural = 5
    cancel_min: Natural = 120
    per_person_day: Natural = 1
    slot_places: Natural = 4


class ClassPart(Part, frozen=True):
    """A priority class. List order breaks ties; `rate` in points a ms, `cap` (k, n): at most k contested of n calls."""

    code: Ident
    rate: Annotated[int, Meta(ge=1, le=64)] = 4
    head_start_min: Natural = 0
    tier: Annotated[int, Meta(ge=0, le=1)] = 0
    cap: tuple[Natural, Natural] | None = None
    name: Names = field(default_factory=dict)


class ZonePart(Part, frozen=True):
    """A part of the hall."""

    code: Ident
    kind: str = "waiting"
    floor: int = 1
    seats: Natural = 0
    party_ppm: Natural = 1_000_000


class ServicePart(Part, frozen=True):
    """A service (业务): what people queue for. `quota_day` 0: no limit."""

    code: Ident
    prefix: Annotated[str, Meta(pattern=r"^[A-Z]{1,2}$")]
    kind: Literal["consult", "query", "accept", "collect", "assist", "other"] = "accept"
    department: Ident = "hall"
    zone: str = ""
    quota_day: Natural = 0
    classes: tuple[Ident, ...] = ()
    name: Names = field(default_factory=dict)


class CounterPart(Part, frozen=True):
    """A counter (窗口) and its skills; `theta_min`: how long an overflow head must have waited."""

    no: Annotated[int, Meta(ge=1, le=999)]
    primary: tuple[Ident, ...]
    overflow: tuple[Ident, ...] = ()
    theta_min: Natural = 10
    handicap_min: Natural = 0
    zone: str = ""
    rostered: bool = True
    label: Names = field(default_factory=dict)
    pictogram: str = ""


class ProfilePart(Part, frozen=True):
    """How a kind of evaluator says its levels: raw key -> level 1-5; `ignore`: keys that are no answer (默认)."""

    id: Ident
    kind: str = "evaluator"
    levels: dict[str, Annotated[int, Meta(ge=1, le=5)]] = field(default_factory=dict)
    ignore: tuple[int, ...] = ()
    channel: str = "device"
    call_id: bool = True


class DevicePart(Part, frozen=True):
    """A device of the hall; `offline_prefix`: a kiosk's own numbers when it is cut off."""

    id: Ident
    kind: Literal[
        "kiosk",
        "caller",
        "counter_screen",
        "board",
        "voice",
        "evaluator",
        "self_service",
        "guide",
        "peripheral",
        "sensor",
    ]
    profile: str = ""
    counter: Annotated[int, Meta(ge=0, le=999)] = 0
    zone: str = ""
    offline_prefix: Annotated[str, Meta(pattern=r"^([A-Z]{1,2})?$")] = ""


DEFAULT_CLASSES = (
    ClassPart(code="green", tier=1, cap=(1, 3), name={"zh": "绿色通道", "en": "green channel"}),
    ClassPart(code="military", head_start_min=15, name={"zh": "军人", "en": "military"}),
    ClassPart(code="care", head_start_min=15, name={"zh": "老残孕幼", "en": "courtesy"}),
    ClassPart(code="ordinary", name={"zh": "普通", "en": "ordinary"}),
    ClassPart(code="booked", name={"zh": "预约", "en": "booked"}),
)


class Policy(Part, frozen=True):
    """The whole document of a hall."""

    version: Annotated[int, Meta(ge=1)]
    hall: HallPart
    services: tuple[ServicePart, ...]
    counters: tuple[CounterPart, ...]
    calendar: CalendarPart = CalendarPart()
    tickets: TicketsPart = TicketsPart()
    calling: CallingPart = CallingPart()
    returns: ReturnsPart = ReturnsPart()
    booking: BookingPart = BookingPart()
    classes: tuple[ClassPart, ...] = DEFAULT_CLASSES
    zones: tuple[ZonePart, ...] = ()
    evaluation: EvaluationPart = EvaluationPart()
    profiles: tuple[ProfilePart, ...] = ()
    devices: tuple[DevicePart, ...] = field(default=())
    option_sets: tuple[OptionSetPart, ...] = ()
    cases: CasesPart = CasesPart()
    conduct: ConductPart = ConductPart()
    alerts: AlertsPart = AlertsPart()
    voice: VoicePart = VoicePart()


def parse(text: str, *, canonical: bool = False) -> Policy:
    """The document in `text`: TOML, or the `canonical` JSON. PolicyError with a path for each thing wrong."""
    try:
        policy = from_document(text) if canonical else msgspec.convert(tomllib.loads(text), Policy)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError([f"not TOML: {error}"]) from error
    except msgspec.MsgspecError as error:
        raise PolicyError([str(error)]) from error
    found = problems(policy)
    if found:
        raise PolicyError(found)
    return policy


def document(policy: Policy) -> str:
    """The canonical text (JSON) of a policy."""
    return msgspec.json.encode(policy, order="deterministic").decode()


def from_document(text: str) -> Policy:
    """The inverse of `document`. msgspec.ValidationError when it is none."""
    return msgspec.json.decode(text, type=Policy)


def digest(policy: Policy) -> str:
    """A short name for the content of a policy."""
    return f"{zlib.crc32(document(policy).encode()):08x}"


def option_sets(policy: Policy) -> list[str]:
    """The option sets that may be rated with: the one shown, and those described."""
    return list(dict.fromkeys((policy.evaluation.options, *(one.id for one in policy.option_sets))))


def problems(policy: Policy) -> list[str]:
    """All that is wrong with a policy, each as `what - at $.path`; empty when it can act."""
    return [
        *_twice("services", "code", [s.code for s in policy.services]),
        *_twice("services", "prefix", _prefixes(policy)),
        *_twice("counters", "no", [str(c.no) for c in policy.counters]),
        *_twice("classes", "code", [c.code for c in policy.classes]),
        *_twice("devices", "id", [d.id for d in policy.devices]),
        *_twice("zones", "code", [z.code for z in policy.zones]),
        *_twice("profiles", "id", [p.id for p in policy.profiles]),
        *_references(policy),
        *_limits(policy),
        *_levels(policy),
        *_periods(policy),
        *_days(policy),
        *option_problems(policy.option_sets),
        *voice_problems(policy.voice),
    ]


def _prefixes(policy: Policy) -> list[str]:
    """Every prefix that numbers are printed from, offline ones too: a number names its service."""
    own = [device.offline_prefix for device in policy.devices if device.offline_prefix]
    return [*(service.prefix for service in policy.services), *own]


def _twice(table: str, key: str, values: list[str]) -> list[str]:
    return [
        f"{value!r} stands twice - at $.{table}[].{key}" for value in dict.fromkeys(values) if values.count(value) > 1
    ]


def _references(policy: Policy) -> list[str]:
    services = {service.code for service in policy.services}
    counters = {counter.no for counter in policy.counters}
    classes = {cls.code for cls in policy.classes}
    found: list[str] = []
    for i, counter in enumerate(policy.counters):
        found += [
            f"unknown service {code!r} - at $.counters[{i}]"
            for code in (*counter.primary, *counter.overflow)
            if code not in services
        ]
        found += [
            f"{code!r} is primary and overflow - at $.counters[{i}]"
            for code in counter.overflow
            if code in counter.primary
        ]
    primary = {code for counter in policy.counters for code in counter.primary}
    found += [
        f"no counter has {s.code!r} as primary - at $.services[{i}]"
        for i, s in enumerate(policy.services)
        if s.code not in primary
    ]
    found += [
        f"unknown counter {d.counter} - at $.devices[{i}].counter"
        for i, d in enumerate(policy.devices)
        if d.counter and d.counter not in counters
    ]
    zones = {zone.code for zone in policy.zones}
    found += [
        f"unknown zone {d.zone!r} - at $.devices[{i}].zone"
        for i, d in enumerate(policy.devices)
        if d.kind == "sensor" and d.zone and d.zone not in zones
    ]
    found += [
        f"unknown class {code!r} - at $.services[{i}].classes"
        for i, s in enumerate(policy.services)
        for code in s.classes
        if code not in classes
    ]
    if "ordinary" not in classes:
        found.append("the class 'ordinary' is needed - at $.classes")
    return found


def _limits(policy: Policy) -> list[str]:
    found = [
        f"cap needs 0 <= k < n - at $.classes[{i}].cap"
        for i, cls in enumerate(policy.classes)
        if cls.cap is not None and not 0 <= cls.cap[0] < cls.cap[1]
    ]
    if len({cls.cap for cls in policy.classes if cls.cap is not None}) > 1:
        found.append("one cap for all capped classes: their calls are counted together - at $.classes[].cap")
    found += [
        f"quota_day must be below 10^digits - at $.services[{i}].quota_day"
        for i, s in enumerate(policy.services)
        if s.quota_day >= 10**policy.tickets.digits
    ]
    if policy.calling.arrive_timeout_s and policy.calling.start != "explicit":
        found.append('arrive_timeout_s needs start = "explicit" - at $.calling.arrive_timeout_s')
    if policy.evaluation.keypad_window_s < policy.evaluation.prompt_s:
        found.append("keypad_window_s must not be below prompt_s - at $.evaluation.keypad_window_s")
    return found


def _levels(policy: Policy) -> list[str]:
    profiles = {profile.id for profile in policy.profiles}
    found = [
        f"unknown profile {d.profile!r} - at $.devices[{i}].profile"
        for i, d in enumerate(policy.devices)
        if d.kind == "evaluator" and d.profile and d.profile not in profiles
    ]
    for i, profile in enumerate(policy.profiles):
        levels = list(profile.levels.values())
        if len(set(levels)) != len(levels):
            found.append(f"two keys mean one level - at $.profiles[{i}].levels")
        if profile.kind == "evaluator" and not {1, 2} & set(levels):
            found.append(f"an evaluator that cannot say 'bad' is refused - at $.profiles[{i}].levels")
    return found


def _periods(policy: Policy) -> list[str]:
    times = [time for span in policy.calendar.periods for time in span.split("-")]
    if any(a >= b for a, b in pairwise(times)):
        return ["periods must ascend and not touch - at $.calendar.periods"]
    if times and policy.hall.cutover > times[0]:  # what is open before it would belong to the day before
        return ["cutover must not come after the first period begins - at $.hall.cutover"]
    return []


def _days(policy: Policy) -> list[str]:
    """Time zone, days off and make-up days. ISO dates compare as text."""
    found: list[str] = []
    try:
        ZoneInfo(policy.hall.tz)
    except (OSError, ValueError, KeyError):
        found.append(f"unknown time zone {policy.hall.tz!r} - at $.hall.tz")
    off = [(span[:10], span[-10:]) for span in policy.calendar.off]
    work = [(span[:10], span[-10:]) for span in policy.calendar.work]
    found += [f"{a} ends before it begins - at $.calendar" for a, b in (*off, *work) if a > b]
    found += [f"{a} is off and work - at $.calendar.work" for a, b in work if any(a <= y and x <= b for x, y in off)]
    return found
