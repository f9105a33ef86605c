"""devices/wire.py: bytes to commands and back. JSON, decoded strictly by type into the catalogue of `core.commands`.

Fault-tolerant only here: whatever arrives becomes Heard or Bad(reason); nothing raises.
"""

import zlib
from collections.abc import Callable
from operator import attrgetter
from typing import Annotated, Final, Literal, NamedTuple, get_args

import msgspec
from msgspec import Meta, Struct, field

from core import commands as c
from core import commands_cases as cc
from core.fact import Cause, new_cause
from core.refusals import Refusal
from core.window import Answer, CalledAnswer, DoneAnswer, RefusedAnswer, SeenAnswer, TicketAnswer
from devices.privacy import SHORTEST, personal, remark

MAX_PAYLOAD: Final = 16 * 1024
MAX_BATCH: Final = 64
BOOT_PATTERN: Final = r"^[A-Za-z0-9_-]{4,32}$(?!\n)"


class Rate(Struct, frozen=True, tag_field="type", tag="evaluation.submit", omit_defaults=True):
    """A rating as a device sends it; the shell turns `token` into proof and `comment` into a reference."""

    call: c.Count = 0
    level: c.Level = 0
    key: c.Key = -1
    options: Annotated[tuple[c.Code, ...], Meta(max_length=16)] = ()
    option_set: c.Code = ""
    channel: c.Code = ""
    token: Annotated[str, Meta(max_length=200)] = ""
    comment: str = ""
    real_name: bool = False


Body = (
    c.TakeTicket
    | c.ReportPrint
    | c.ReprintTicket
    | c.CancelTicket
    | c.ReclassTicket
    | c.RequeueTicket
    | c.CallNext
    | c.CallTicket
    | c.RecallTicket
    | c.ReportCall
    | c.MissTicket
    | c.ReleaseTicket
    | c.AbandonTicket
    | c.HoldTicket
    | c.ResumeTicket
    | c.TransferTicket
    | c.StartServing
    | c.FinishServing
    | c.CheckInBooking
    | c.SignOnStaff
    | c.SignOffStaff
    | c.PauseCounter
    | c.ResumeCounter
    | c.ReportShown
    | cc.DivertQueue
    | cc.CountZone
    | cc.StartFacilityUse
    | cc.EndFacilityUse
    | cc.CallHelp
    | Rate
)
assert {*get_args(Body), c.SubmitEvaluation} == {*get_args(c.DeviceCommand), Rate}, "the wire speaks the catalogue"


class Event(Struct, frozen=True):
    """One event of a device. `boot`: one life of `seq`; `sent_ms` its clock; `age_ms` how long ago it happened."""

    boot: Annotated[str, Meta(pattern=BOOT_PATTERN)]
    seq: Annotated[int, Meta(ge=1, le=2**53 - 1)]
    body: Body
    sent_ms: int = 0
    age_ms: int = 0


DeviceState = Literal["ready", "degraded", "closed", "lost"]


class State(Struct, frozen=True):
    """A device's own state, retained; the broker publishes `lost` for it."""

    state: DeviceState
    boot: c.Code = ""
    link: c.Count = 0
    fw: c.Code = ""
    profile: c.Code = ""
    faults: Annotated[tuple[c.Code, ...], Meta(max_length=32)] = ()


class Heard(Struct, frozen=True, gc=False):
    """A command that was understood. `age_ms` how long before its receipt it happened, `sent_ms` the device's clock.
    `comment`: what a rating says in words, fit to be kept beside the journal; `token`: its right, still to be checked.
    Neither is part of the command."""

    cause: Cause
    command: c.Command
    sent_ms: int
    age_ms: int
    dropped: tuple[str, ...] = ()
    comment: str = ""
    token: str = ""


class Bad(NamedTuple):
    """What could not be. `reason`: a refusal where a seq could be read, else a fault word; `counted` as in metrics."""

    reason: str
    counted: str
    cause: Cause | None = None
    type: str = ""


class _Head(Struct, frozen=True):
    boot: str = ""
    seq: int = 0
    body: msgspec.Raw = msgspec.Raw(b"{}")


class _Type(Struct, frozen=True):
    type: str = ""


_EVENT: Final = msgspec.json.Decoder(Event)
_EITHER: Final = msgspec.json.Decoder(Event | list[Event])
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_HEAD: Final = msgspec.json.Decoder(_Head)
_TYPE: Final = msgspec.json.Decoder(_Type)
_STATE: Final = msgspec.json.Decoder(State)
AT_A_DEVICE: Final = ("device", "pad", "kiosk")  # what a device says of itself; the other channels end elsewhere
_PACK: Final = msgspec.msgpack.Encoder()
_LOOKED_UP: Final = ("service", "cls", "to_service", "person_ref", "outcome", "plan", "options", "comment", "token")


def _texts_of(kind: type[Struct]) -> Callable[[Struct], tuple[str, ...]] | None:
    """Reads the text fields of a command that end in facts as they are; those looked up in a table cannot."""
    names = [
        spec.name
        for spec in msgspec.structs.fields(kind)
        if isinstance(spec.default, str) or spec.name in ("staff", "number")
        if spec.name not in _LOOKED_UP
    ]
    if not names:
        return None
    one = attrgetter(*names)

    def read(body: Struct) -> tuple[str, ...]:
        found = one(body)
        return found if isinstance(found, tuple) else (found,)

    return read


_TEXTS: Final = {kind: _texts_of(kind) for kind in get_args(Body)}


def decode(payload: bytes, device: str) -> list[Heard | Bad]:
    """The events of one message, in order: one, or an array of 1 to 64. Never raises; never empty."""
    if len(payload) > MAX_PAYLOAD:
        return [_headed(payload, device, Refusal.TOO_LARGE, "size")]
    try:
        events = _EITHER.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _piecewise(payload, device)
    if isinstance(events, Event):
        return [_heard(events, device)]
    if not 1 <= len(events) <= MAX_BATCH:
        return [Bad("bad_batch", "schema")]
    return [_heard(event, device) for event in events]


def _heard(event: Event, device: str) -> Heard | Bad:
    body = event.body
    # Fields left at their defaults are not in the bytes: one that a later version adds changes no digest.
    cause = new_cause((device, event.boot, event.seq, zlib.crc32(_PACK.encode(body))))
    read = _TEXTS[type(body)]
    if read is not None:
        for text in read(body):
            if len(text) >= SHORTEST and personal(text):
                return Bad(Refusal.PERSONAL_DATA, "personal_data", cause, _type_of(body))
    if isinstance(body, Rate):
        return _rated(body, event, cause)
    return Heard(cause, body, event.sent_ms, event.age_ms)


def _type_of(body: Struct) -> str:
    return str(body.__struct_config__.tag)


def _rated(body: Rate, event: Event, cause: Cause) -> Heard:
    """Options come from a set; a comment goes its own way, and one with a number in it is said to be dropped."""
    comment = remark(body.comment)
    command = c.SubmitEvaluation(
        call=body.call,
        level=body.level,
        key=body.key,
        options=tuple(option for option in body.options if not personal(option)),
        option_set=body.option_set,
        channel=body.channel if body.channel in AT_A_DEVICE else "",
        proof="bad" if body.token else "device",  # until somebody with the key has looked at it
        real_name=body.real_name,
    )
    dropped = () if comment is not None else ("comment",)
    return Heard(cause, command, event.sent_ms, event.age_ms, dropped, comment or "", body.token)


def _piecewise(payload: bytes, device: str) -> list[Heard | Bad]:
    """What is wrong with a message, element by element: the good ones apply."""
    try:
        raws = _RAWS.decode(payload) if payload.lstrip()[:1] == b"[" else [msgspec.Raw(payload)]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return [Bad("not_json", "syntax")]
    if not 1 <= len(raws) <= MAX_BATCH:
        return [Bad("bad_batch", "schema")]
    return [_one(bytes(raw), device) for raw in raws]


def _one(raw: bytes, device: str) -> Heard | Bad:
    try:
        return _heard(_EVENT.decode(raw), device)
    except msgspec.ValidationError:
        return _headed(raw, device, Refusal.BAD_FIELD, "schema")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Bad("not_json", "syntax")


def _headed(raw: bytes, device: str, reason: Refusal, counted: str) -> Bad:
    """A message that is refused, with its seq if that much can be read."""
    try:
        head = _HEAD.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Bad("too_large" if counted == "size" else "bad_field", counted)
    kind = _kind_of(head)
    if reason is Refusal.BAD_FIELD and kind and kind not in _TYPES:
        reason, counted = Refusal.UNKNOWN_KIND, "unknown_kind"
    readable = 1 <= head.seq < 2**53 and _BOOT(head.boot)
    cause = Cause(device, head.boot, head.seq, zlib.crc32(bytes(head.body))) if readable else None
    fault = "too_large" if counted == "size" else "bad_field"
    return Bad(reason if cause else fault, counted, cause, kind if kind in _TYPES else "unknown")


def _kind_of(head: _Head) -> str | None:
    try:
        return _TYPE.decode(head.body).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


_TYPES: Final = {_type_of_kind: kind for kind in get_args(Body) for _type_of_kind in [str(kind.__struct_config__.tag)]}


def _BOOT(boot: str) -> bool:
    return 4 <= len(boot) <= 32 and boot.replace("-", "").replace("_", "").isalnum() and boot.isascii()


def decode_state(payload: bytes) -> State | Bad:
    """A device's own state; an empty payload is `lost`."""
    if not payload:
        return State("lost")
    if len(payload) > MAX_PAYLOAD:
        return Bad("too_large", "size")
    try:
        state = _STATE.decode(payload)
    except msgspec.ValidationError:
        return Bad("bad_field", "schema")
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Bad("not_json", "syntax")
    if any(personal(text) for text in (state.fw, state.profile, *state.faults)):
        return Bad(Refusal.PERSONAL_DATA, "personal_data")
    return state


# Down: acknowledgements, commands, screens.


class Ok(Struct, frozen=True, omit_defaults=True):
    """What was done: `ticket`, `called`, `done` or `seen`."""

    type: str
    ticket: int = 0
    number: str = ""
    call: int = 0
    counter: int = 0
    ahead: int | None = None
    eta_s: int | None = None
    eta_p90_s: int | None = None


class Result(Struct, frozen=True, omit_defaults=True):
    """The result of one seq: `ok` or `refused`. `again`: answered before; `keep`: not recorded, try later."""

    seq: int
    ok: Ok | None = None
    refused: str | None = None
    again: bool = False
    keep: bool = False
    dropped: tuple[str, ...] = ()


class Ack(Struct, frozen=True, omit_defaults=True):
    """What became of events: only after the commit. `fault`: something arrived without a readable seq."""

    boot: str
    now_ms: int
    results: list[Result]
    fault: str = ""


class Message(Struct, frozen=True):
    """A one-shot order to a device: `id` is the position of its fact; not to be done after `until_ms`."""

    id: int
    sent_ms: int
    until_ms: int
    body: "VoiceSay | KioskPrint | Beep | DeviceSync"


class VoiceSay(Struct, frozen=True, tag_field="type", tag="voice.say"):
    """Speak this, `times` over: `text` as it stands, its digits apart. A box with recordings speaks `number` and
    `counter`. One announcement at a time in each `zone`."""

    call: int
    text: str
    lang: str
    times: int = 2
    number: str = ""
    counter: int = 0
    zone: str = ""


class KioskPrint(Struct, frozen=True, tag_field="type", tag="kiosk.print"):
    """Print the slip of a ticket."""

    ticket: int
    number: str


class Beep(Struct, frozen=True, tag_field="type", tag="caller.beep"):
    """Make yourself heard."""

    times: int = 1


class DeviceSync(Struct, frozen=True, tag_field="type", tag="device.sync"):
    """Publish your birth again and resend your outbox at a random moment within `within_ms`."""

    now_ms: int
    within_ms: int


class Screen(Struct, frozen=True):
    """A whole picture. Newer is the larger (epoch, revision)."""

    epoch: int
    revision: int
    sent_ms: int
    body: Struct = field(default_factory=Struct)


_JSON: Final = msgspec.json.Encoder()
_DONE: Final = Ok("done")
_SEEN: Final = Ok("seen")


def result_of(seq: int, answer: Answer, *, again: bool = False, dropped: tuple[str, ...] = ()) -> Result:
    """The answer of the core as a device reads it."""
    match answer:
        case DoneAnswer():  # first: as nearly always
            ok = _DONE
        case TicketAnswer():
            ok = Ok("ticket", answer.ticket, answer.number, 0, 0, answer.ahead, answer.eta_s, answer.eta_p90_s)
        case CalledAnswer():
            ok = Ok("called", answer.ticket, answer.number, answer.call, answer.counter)
        case RefusedAnswer():
            return Result(seq, refused=str(answer.reason), again=again)
        case SeenAnswer():
            ok = _SEEN
    return Result(seq, ok=ok, again=again, dropped=dropped)


def encode(message: Ack | Message | Screen | Event | State) -> bytes:
    """The bytes of a message."""
    return _JSON.encode(message)
