"""devices/keys.py: what a frame of an old keypad or evaluator asks of the hall. Its last byte is the key."""

from typing import Final

from core import commands as c
from devices import wire
from devices.frames import EVALUATOR, Frame

CALL, RECALL, FINISH, ONE_METRE, PAUSE, TRANSFER, CANCEL, DIGIT = 0x0C, 0x0D, 0x0B, 0x11, 0x12, 0x13, 0x0E, 0x0F
ABANDON, HOLD, RESUME = 6, 0, 3  # digits before DIGIT
KEYS: Final = {
    CALL: "ticket.call_next",
    RECALL: "ticket.recall",
    FINISH: "serving.finish",
    PAUSE: "counter.pause",
    TRANSFER: "ticket.transfer",
}
DIGITS: Final = {ABANDON: "ticket.abandon", HOLD: "ticket.hold", RESUME: "ticket.resume"}


def meaning(frame: Frame) -> str:
    """The wire type of the command; nothing for a key that has none (一米线, 取消, a digit alone)."""
    if frame.function == EVALUATOR:
        return "evaluation.submit"
    last = frame.data[-1]
    if last == DIGIT:
        return DIGITS.get(frame.data[-2], "") if len(frame.data) > 1 else ""
    return KEYS.get(last, "")


SIMPLE: Final[dict[str, type[c.Command]]] = {
    c.TYPE_OF[kind]: kind
    for kind in (c.CallNext, c.RecallTicket, c.FinishServing, c.AbandonTicket, c.HoldTicket, c.ResumeTicket)
}


def command(frame: Frame, *, paused: bool, transfer_to: tuple[str, ...]) -> c.Command | wire.Rate | None:
    """What a frame asks for; None: nothing. 暂停 ends a pause, too; a digit before 转移 chooses a service."""
    kind = meaning(frame)
    if kind == "evaluation.submit":
        return wire.Rate(key=frame.data[-1])
    if kind == "counter.pause":
        return c.ResumeCounter() if paused else c.PauseCounter(why="break")
    if kind == "ticket.transfer":
        chosen = frame.data[-2] - 1 if len(frame.data) > 1 else 0
        return c.TransferTicket(to_service=transfer_to[chosen]) if 0 <= chosen < len(transfer_to) else None
    return SIMPLE[kind]() if kind else None
