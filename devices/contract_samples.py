"""devices/contract_samples.py: what messages look like, for the document and for people. A test decodes each."""

from typing import Any, Final

Json = dict[str, Any]
EXAMPLES: Final[dict[str, tuple[Json | list[Json], ...]]] = {
    "event": (
        {
            "boot": "k7Qx21",
            "seq": 118,
            "sent_ms": 1795420800123,
            "body": {"type": "ticket.take", "service": "si", "class": "ordinary"},
        },
        {"boot": "p04aa9", "seq": 9, "sent_ms": 1795420811000, "body": {"type": "ticket.call_next"}},
        {
            "boot": "e1c0ff",
            "seq": 31,
            "sent_ms": 1795421400500,
            "body": {"type": "evaluation.submit", "level": 2, "options": ["slow"], "option_set": "gov@3"},
        },
    ),
    "events": (
        [
            {"boot": "k7Qx21", "seq": 119, "age_ms": 7100000, "body": {"type": "ticket.report_print", "ticket": 811}},
            {"boot": "k7Qx21", "seq": 120, "age_ms": 7040000, "body": {"type": "ticket.report_print", "ticket": 812}},
        ],
    ),
    "state": (
        {"state": "ready", "boot": "k7Qx21", "link": 4, "fw": "2.1.0", "profile": "kiosk", "faults": []},
        {"state": "lost", "boot": "k7Qx21", "link": 4},
    ),
    "ack": (
        {
            "boot": "k7Qx21",
            "now_ms": 1795420800140,
            "results": [{"seq": 118, "ok": {"type": "ticket", "ticket": 812, "number": "A012", "ahead": 3}}],
        },
        {"boot": "p04aa9", "now_ms": 1795420811009, "results": [{"seq": 9, "refused": "nothing_eligible"}]},
        {"boot": "", "now_ms": 1795420811009, "results": [], "fault": "not_json"},
    ),
    "command": (
        {
            "id": 48213,
            "sent_ms": 1795420811020,
            "until_ms": 1795420841020,
            "body": {
                "type": "voice.say",
                "call": 990,
                "text": "请A零一二号到3号窗口",
                "lang": "zh",
                "times": 2,
                "number": "A012",
                "counter": 3,
                "zone": "w1",
            },
        },
    ),
    "screen": (
        {
            "epoch": 1,
            "revision": 48213,
            "sent_ms": 1795420811020,
            "body": {"type": "counter", "counter": 3, "number": "A012", "status": "calling", "staff": "s003"},
        },
    ),
}
