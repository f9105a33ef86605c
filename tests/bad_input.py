"""tests/bad_input.py: the table of bad input: what is sent, what the device hears, what is counted, what is kept."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.window import BOOTS, REACH
from workers.desk import LETTER_MAX

PHONE, IDENTITY = "13812345678", "11010519491231002X"
TAKE = {"type": "ticket.take", "service": "s1"}
REPRINT = {"type": "ticket.reprint", "ticket": 999_999}


def event(seq: int, body: object = TAKE, **more: Any) -> bytes:
    return json.dumps({"boot": "boot", "seq": seq, "body": body} | more).encode()


def many(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


@dataclass(frozen=True)
class Row:
    """One row. `hears`: (seq, "ok" or reason) of each result; `fault`; counters by name; how many facts and letters.

    `whole`: the letter is the payload, else its first KiB, or only its length where it is secret.
    """

    name: str
    sends: Sequence[bytes]
    hears: Sequence[tuple[int, str]] = ()
    fault: str = ""
    counts: dict[str, int] = field(default_factory=dict)
    facts: int = 0
    letters: Sequence[str] = ()
    kept: Callable[[bytes], bytes] = lambda payload: payload[:LETTER_MAX]
    kind: str = "kiosk"
    device: str = ""
    hall: str = "h1"
    keep: bool = False
    good_after: bool = True
    suspect: bool = False

    @property
    def sender(self) -> str:
        return self.device or "d-" + self.name.replace(" ", "-")


def rejected(reason: str, count: int = 1) -> dict[str, int]:
    return {f'jiaohao_wire_rejected_total{{reason="{reason}"}}': count}


def refused(reason: str, count: int = 1) -> dict[str, int]:
    return {f'jiaohao_refused_total{{reason="{reason}"}}': count}


def of_kiosks(what: str, count: int) -> dict[str, int]:
    return {f'jiaohao_device_{what}_total{{hall="h1",kind="kiosk"}}': count}


def fault(name: str, payload: bytes, word: str, counted: str) -> Row:
    return Row(name, [payload], fault=word, counts=rejected(counted), letters=[word])


def refusal(name: str, payload: bytes, word: str, counted: str, **more: Any) -> Row:
    counts = rejected(counted) | refused(word)
    return Row(name, [payload], [(7, word)], counts=counts, facts=1, letters=[word], **more)


SECRET: dict[str, Any] = {"kept": lambda payload: b"%d bytes" % len(payload), "suspect": True}
ROWS = [
    fault("not json", b"no json", "not_json", "syntax"),
    fault("bad utf-8", b'{"boot":"\xff\xfe"}', "not_json", "syntax"),
    fault("empty", b"", "not_json", "syntax"),
    fault("too deep", b"[" * 12_000, "not_json", "syntax"),
    refusal("field missing", event(7, {"type": "ticket.take"}), "bad_field", "schema"),
    refusal("wrong type", event(7, TAKE | {"service": 3}), "bad_field", "schema"),
    fault("seq out of range", event(2**53), "bad_field", "schema"),
    fault("no seq", b'{"boot":"boot","body":{"type":"ticket.take"}}', "bad_field", "schema"),
    refusal("unknown type", event(7, {"type": "ticket.fly"}), "unknown_kind", "unknown_kind"),
    Row(
        "one bad in an array",
        [many(event(7, REPRINT), event(8, {"type": "ticket.take"}), event(9, REPRINT))],
        [(7, "ticket_unknown"), (8, "bad_field"), (9, "ticket_unknown")],
        counts=rejected("schema") | refused("bad_field") | refused("ticket_unknown", 2),
        facts=3,
        letters=["bad_field"],
    ),
    fault("array of none", b"[]", "bad_batch", "schema"),
    fault("array of too many", many(*(event(seq, REPRINT) for seq in range(1, 66))), "bad_batch", "schema"),
    refusal("too large", event(7, TAKE | {"x": "y" * 20_000}), "too_large", "size"),
    fault("too large without seq", b"x" * 20_000, "too_large", "size"),
    Row(
        "unknown device",
        [event(7)],
        [(7, "device_unknown")],
        counts=rejected("identity"),
        letters=["device_unknown"],
        device="stranger-1",
        keep=True,
        good_after=False,
    ),
    Row(
        "wrong hall",
        [event(7)],
        [(7, "wrong_hall")],
        counts=rejected("identity") | {"jiaohao_wire_wrong_hall_total": 1},
        letters=["wrong_hall"],
        hall="h9",
        keep=True,
        good_after=False,
    ),
    Row(
        "type not in the profile",
        [event(7, {"type": "ticket.call_next"})],
        [(7, "forbidden")],
        counts=rejected("identity") | refused("forbidden"),
        facts=1,
    ),
    refusal("personal data", event(7, TAKE | {"number": PHONE}), "personal_data", "personal_data", **SECRET),
    refusal("identity number", event(7, TAKE | {"assisted_by": IDENTITY}), "personal_data", "personal_data", **SECRET),
    Row(
        "clock off",
        [event(7, age_ms=-5), event(8, age_ms=10**15, sent_ms=-1), event(9, REPRINT, sent_ms=2**52)],
        [(7, "ok"), (8, "ok"), (9, "ticket_unknown")],
        counts={"jiaohao_device_clock_skew_total": 3} | refused("ticket_unknown"),
        facts=3,
    ),
    Row(
        "number skipped",
        [event(7, REPRINT), event(7 + 2 * REACH, REPRINT), event(9, REPRINT)],
        [(7, "ticket_unknown"), (7 + 2 * REACH, "ticket_unknown"), (9, "seq_old")],
        counts=refused("seq_old") | refused("ticket_unknown", 2) | of_kiosks("gaps", REACH + 6),
        facts=3,
        letters=["seq_old"],
        kept=lambda payload: payload,
        good_after=False,
    ),
    Row(
        "number used twice",
        [event(7, REPRINT), event(7)],
        [(7, "ticket_unknown"), (7, "seq_reused")],
        counts=rejected("identity") | refused("seq_reused") | refused("ticket_unknown"),
        facts=2,
        suspect=True,
    ),
    Row(
        "boot of long ago",
        [*(event(7, REPRINT, boot=f"life-{life}") for life in range(BOOTS + 1)), event(8, boot="life-0")],
        [*[(7, "ticket_unknown")] * (BOOTS + 1), (8, "boot_retired")],
        counts=rejected("identity") | refused("boot_retired") | refused("ticket_unknown", BOOTS + 1),
        facts=BOOTS + 2,
    ),
    Row(
        "resend",
        [event(7), event(7), event(7)],
        [(7, "ok")] * 3,
        counts={"jiaohao_duplicates_total": 2} | of_kiosks("resent", 2),
        facts=1,
    ),
]
