"""core/commands.py: the catalogue of what a device or a person may ask of a hall. Imperatives, frozen; units in names.

`counter = 0` and `device = ""` mean the sender's own. No free text: `why` and
`*_ref` are codes and ids of text kept outside. The wire type of a command is its tag.
Follow-up, conduct and records are in `core/commands_cases.py`; the form and the bounds in `core/command.py`.
"""

from typing import Annotated, get_args

from msgspec import Meta, field

from core.command import Code as Code
from core.command import Command as Command
from core.command import Count as Count
from core.command import CounterNo as CounterNo
from core.command import Id as Id
from core.command import Key as Key
from core.command import Level as Level
from core.command import PersonRef as PersonRef
from core.commands_cases import CaseCommand, FloorCommand


class TakeTicket(Command, frozen=True, tag="ticket.take"):
    """A place in the queue of `service` (取号). `number`: printed offline from the kiosk's own prefix; `replaces`: the
    seq of a take that had no answer in time and must not count."""

    service: Id
    cls: Id = field(name="class", default="ordinary")
    visit: Count = 0
    plan: tuple[Id, ...] = ()
    person_ref: PersonRef = ""
    assisted_by: Code = ""
    lang: Code = ""
    party: Annotated[int, Meta(ge=1, le=20)] = 1
    number: Code = ""
    happened_ms: Count = 0
    replaces: Count = 0


class ReportPrint(Command, frozen=True, tag="ticket.report_print"):
    """The slip came out, or did not (打印结果)."""

    ticket: Count
    ok: bool = True
    fault: Code = ""


class ReprintTicket(Command, frozen=True, tag="ticket.reprint"):
    """Print the slip again (补打)."""

    ticket: Count


class CancelTicket(Command, frozen=True, tag="ticket.cancel"):
    """The citizen gives the place up (取消)."""

    ticket: Count
    why: Code = ""


class ReclassTicket(Command, frozen=True, tag="ticket.reclass"):
    """Another priority class; the effective time stays (改类)."""

    ticket: Count
    cls: Id = field(name="class")
    why: Code = ""


class RequeueTicket(Command, frozen=True, tag="ticket.requeue"):
    """Back after a missed call (过号返回)."""

    ticket: Count


class CallNext(Command, frozen=True, tag="ticket.call_next"):
    """The next ticket for this counter (呼叫). Finishes what is being served, by policy."""

    counter: CounterNo = 0


class CallTicket(Command, frozen=True, tag="ticket.call"):
    """This very ticket, outside the ranking (选呼)."""

    ticket: Count
    counter: CounterNo = 0
    why: Code = ""


class RecallTicket(Command, frozen=True, tag="ticket.recall"):
    """Announce the called ticket once more (重呼)."""

    counter: CounterNo = 0


class ReportCall(Command, frozen=True, tag="call.report"):
    """A screen or voice box has shown or said a call, or could not."""

    call: Count
    zone: Code = ""
    medium: Code = ""
    ok: bool = True


class MissTicket(Command, frozen=True, tag="ticket.miss"):
    """Nobody came (过号)."""

    counter: CounterNo = 0
    why: Code = ""


class ReleaseTicket(Command, frozen=True, tag="ticket.release"):
    """Undo a call: the ticket waits again where it was (释放)."""

    counter: CounterNo = 0
    why: Code = ""


class AbandonTicket(Command, frozen=True, tag="ticket.abandon"):
    """The person has left for good (弃号). By counter or by ticket."""

    counter: CounterNo = 0
    ticket: Count = 0
    why: Code = ""


class HoldTicket(Command, frozen=True, tag="ticket.hold"):
    """Set the current ticket aside, to be resumed here (挂起)."""

    counter: CounterNo = 0
    why: Code = ""


class ResumeTicket(Command, frozen=True, tag="ticket.resume"):
    """Call a held ticket back (回呼). 0: the oldest held here."""

    counter: CounterNo = 0
    ticket: Count = 0


class TransferTicket(Command, frozen=True, tag="ticket.transfer"):
    """On to another service, seniority kept (转移). 0: the current ticket of the counter."""

    to_service: Id
    ticket: Count = 0
    counter: CounterNo = 0
    to_counter: CounterNo = 0
    why: Code = ""


class StartServing(Command, frozen=True, tag="serving.start"):
    """The person has come to the counter (开始办理)."""

    counter: CounterNo = 0


class FinishServing(Command, frozen=True, tag="serving.finish"):
    """Done at this counter (办结)."""

    counter: CounterNo = 0
    outcome: Annotated[str, Meta(pattern=r"^(done|need_material|declined|consulted)$(?!\n)")] = "done"
    project_ref: Code = ""


class MakeBooking(Command, frozen=True, tag="booking.make"):
    """Reserve a slot (预约)."""

    service: Id
    slot_ms: Count
    person_ref: PersonRef = ""


class CancelBooking(Command, frozen=True, tag="booking.cancel"):
    """Give a slot back (取消预约)."""

    booking: Count


class CheckInBooking(Command, frozen=True, tag="booking.check_in"):
    """The booked person is here; takes a ticket (预约签到)."""

    booking: Count


class SignOnStaff(Command, frozen=True, tag="staff.sign_on"):
    """A clerk sits down (签到)."""

    staff: Id
    counter: CounterNo = 0
    substitute_for: Code = ""


class SignOffStaff(Command, frozen=True, tag="staff.sign_off"):
    """The clerk leaves (签退)."""

    counter: CounterNo = 0


class PauseCounter(Command, frozen=True, tag="counter.pause"):
    """No calls here for a while (暂停服务); `after_current` waits for the serving to end."""

    counter: CounterNo = 0
    why: Code = ""
    after_current: bool = False


class ResumeCounter(Command, frozen=True, tag="counter.resume"):
    """Calls again (恢复服务)."""

    counter: CounterNo = 0


class SetSkills(Command, frozen=True, tag="counter.set_skills"):
    """What the counter serves from now on (窗口业务)."""

    primary: tuple[Id, ...]
    overflow: tuple[Id, ...] = ()
    counter: CounterNo = 0
    theta_min: Annotated[int, Meta(ge=0, le=600)] = 0


class SubmitEvaluation(Command, frozen=True, tag="evaluation.submit"):
    """A rating (评价): `level` 1-5, or the raw `key` of a key box; `call` 0: the counter's last finished serving.
    `proof`: token, device, operator or bad, set by the shell after checking."""

    call: Count = 0
    level: Level = 0
    key: Key = -1
    options: tuple[Code, ...] = ()
    option_set: Code = ""
    comment_ref: Code = ""
    channel: Code = ""
    proof: Code = "device"
    real_name: bool = False


class ReportShown(Command, frozen=True, tag="evaluation.report_shown"):
    """The evaluator has asked (已提示评价)."""

    call: Count


class RegisterDevice(Command, frozen=True, tag="device.register"):
    """A new device (设备登记)."""

    device: Id
    kind: Id
    profile: Code = ""
    counter: CounterNo = 0


class RetireDevice(Command, frozen=True, tag="device.retire"):
    """The device is gone for good (设备停用)."""

    device: Id


class QuarantineDevice(Command, frozen=True, tag="device.quarantine"):
    """A person has decided not to listen to it (隔离)."""

    device: Id


class ReadmitDevice(Command, frozen=True, tag="device.readmit"):
    """Listened to again (解除隔离)."""

    device: Id


class HelloDevice(Command, frozen=True, tag="device.hello"):
    """Birth of a connection (上线)."""

    device: Id
    boot: Code = ""
    link: Count = 0
    firmware: Code = ""
    profile: Code = ""
    faults: tuple[Code, ...] = ()


class LoseDevice(Command, frozen=True, tag="device.lose"):
    """The broker has lost it (掉线)."""

    device: Id
    boot: Code = ""
    link: Count = 0


class ChangePolicy(Command, frozen=True, tag="policy.change"):
    """Another policy document, validated by the shell; `document` is its canonical JSON (规则变更)."""

    version: Count
    digest: Code
    document: str
    effective_ms: Count = 0


class OpenDay(Command, frozen=True, tag="day.open"):
    """Open the business day by hand."""

    day: Count


class CloseDay(Command, frozen=True, tag="day.close"):
    """Close the business day by hand; open tickets expire (日终)."""

    day: Count = 0


class Tick(Command, frozen=True, tag="tick"):
    """Time has passed: produce what is due."""


DeviceCommand = (
    TakeTicket
    | ReportPrint
    | ReprintTicket
    | CancelTicket
    | ReclassTicket
    | RequeueTicket
    | CallNext
    | CallTicket
    | RecallTicket
    | ReportCall
    | MissTicket
    | ReleaseTicket
    | AbandonTicket
    | HoldTicket
    | ResumeTicket
    | TransferTicket
    | StartServing
    | FinishServing
    | CheckInBooking
    | SignOnStaff
    | SignOffStaff
    | PauseCounter
    | ResumeCounter
    | SubmitEvaluation
    | ReportShown
    | FloorCommand
)
"""What may arrive on a device's event topic; the profile of its kind narrows it."""

ShellCommand = (
    MakeBooking
    | CancelBooking
    | SetSkills
    | RegisterDevice
    | RetireDevice
    | QuarantineDevice
    | ReadmitDevice
    | HelloDevice
    | LoseDevice
    | ChangePolicy
    | OpenDay
    | CloseDay
    | Tick
)
"""What only the shell, a supervisor or the web may ask."""

COMMANDS: tuple[type[Command], ...] = (*get_args(DeviceCommand), *get_args(ShellCommand), *get_args(CaseCommand))
TYPE_OF: dict[type[Command], str] = {kind: str(kind.__struct_config__.tag) for kind in COMMANDS}
