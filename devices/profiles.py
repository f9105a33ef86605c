"""devices/profiles.py: which commands each kind of device may send. A new kind is one entry here, and its vectors."""

from typing import Final

from core import commands as c
from core import commands_cases as cc

Commands = frozenset[type[c.Command]]

_KIOSK: Final[Commands] = frozenset(
    {c.TakeTicket, c.CancelTicket, c.ReprintTicket, c.ReportPrint, c.RequeueTicket, c.CheckInBooking}
)
_CALLER: Final[Commands] = frozenset(
    {
        c.CallNext,
        c.CallTicket,
        c.RecallTicket,
        c.MissTicket,
        c.ReleaseTicket,
        c.AbandonTicket,
        c.HoldTicket,
        c.ResumeTicket,
        c.TransferTicket,
        c.StartServing,
        c.FinishServing,
        c.PauseCounter,
        c.ResumeCounter,
        c.SignOnStaff,
        c.SignOffStaff,
        c.CancelTicket,
        c.RequeueTicket,
        c.ReclassTicket,
    }
)
_REPORTS: Final[Commands] = frozenset({c.ReportCall})
_HELP: Final[Commands] = frozenset({cc.CallHelp})
_FLOOR: Final[Commands] = frozenset({cc.CountZone, cc.DivertQueue, cc.StartFacilityUse, cc.EndFacilityUse})
_RATES: Final[Commands] = frozenset({c.SubmitEvaluation, c.ReportShown})
ALLOWED: Final[dict[str, Commands]] = {
    "kiosk": _KIOSK | _HELP,
    "self_service": _KIOSK | _HELP | {c.SubmitEvaluation},
    "caller": _CALLER,
    "counter_screen": _REPORTS,
    "board": _REPORTS,
    "voice": _REPORTS,
    "evaluator": _RATES,
    "guide": _KIOSK | _HELP | _FLOOR | {c.ReclassTicket, c.TransferTicket},
    "peripheral": frozenset(),
    "sensor": frozenset({cc.CountZone}),
}
