"""core/policy.py: every rule of validation has a document that breaks it, and the error names the path."""

from typing import Any

import msgspec
import pytest

from core.policy import PolicyError, digest, document, from_document, parse, problems
from core.policy_parts import OptionSetPart
from tests.halls import POLICY, TEXT, changed

SI, TAX, IDENTITY = POLICY.services
ONE, TWO, THREE = POLICY.counters
GREEN, MILITARY, CARE, ORDINARY, BOOKED = POLICY.classes
PAD, KEYS = POLICY.profiles
KIOSK = POLICY.devices[0]


def but(part: Any, **values: Any) -> Any:
    return msgspec.structs.replace(part, **values)


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a service twice": (
        {"services": (SI, TAX, IDENTITY, but(SI, prefix="D"))},
        "'si' stands twice - at $.services[].code",
    ),
    "a prefix twice": ({"services": (SI, but(TAX, prefix="A"), IDENTITY)}, "'A' stands twice - at $.services[].prefix"),
    "an offline prefix of a service": (
        {"devices": (but(KIOSK, offline_prefix="A"),)},
        "'A' stands twice - at $.services[].prefix",
    ),
    "a counter twice": ({"counters": (ONE, TWO, THREE, ONE)}, "'1' stands twice - at $.counters[].no"),
    "a class twice": ({"classes": (*POLICY.classes, CARE)}, "'care' stands twice - at $.classes[].code"),
    "a device twice": ({"devices": (KIOSK, KIOSK)}, "'kiosk-1' stands twice - at $.devices[].id"),
    "a zone twice": ({"zones": POLICY.zones * 2}, "'w1' stands twice - at $.zones[].code"),
    "a profile twice": ({"profiles": (PAD, KEYS, PAD)}, "'pad' stands twice - at $.profiles[].id"),
    "a skill that is no service": (
        {"counters": (but(ONE, overflow=("none",)), TWO, THREE)},
        "unknown service 'none' - at $.counters[0]",
    ),
    "primary and overflow at once": (
        {"counters": (but(ONE, overflow=("si",)), TWO, THREE)},
        "'si' is primary and overflow - at $.counters[0]",
    ),
    "a service that no counter has first": (
        {"counters": (but(ONE, overflow=("id",)), TWO)},
        "no counter has 'id' as primary - at $.services[2]",
    ),
    "a device at no counter": (
        {"devices": (KIOSK, but(POLICY.devices[2], counter=9))},
        "unknown counter 9 - at $.devices[1].counter",
    ),
    "a people counter in no zone of the hall": (
        {"devices": (KIOSK, but(KIOSK, id="sensor-1", kind="sensor", offline_prefix="", zone="w9"))},
        "unknown zone 'w9' - at $.devices[1].zone",
    ),
    "a class that is none": (
        {"services": (but(SI, classes=("vip",)), TAX, IDENTITY)},
        "unknown class 'vip' - at $.services[0].classes",
    ),
    "nobody is ordinary": (
        {"classes": (GREEN, CARE, BOOKED), "services": (SI, TAX, but(IDENTITY, classes=()))},
        "the class 'ordinary' is needed - at $.classes",
    ),
    "a cap of all": (
        {"classes": (but(GREEN, cap=(3, 3)), ORDINARY, CARE)},
        "cap needs 0 <= k < n - at $.classes[0].cap",
    ),
    "two caps": (
        {"classes": (GREEN, but(CARE, cap=(1, 4)), ORDINARY)},
        "one cap for all capped classes: their calls are counted together - at $.classes[].cap",
    ),
    "a quota beyond the digits": (
        {"services": (but(SI, quota_day=1000), TAX, IDENTITY)},
        "quota_day must be below 10^digits - at $.services[0].quota_day",
    ),
    "a time to arrive without a start": (
        {"calling": {"arrive_timeout_s": 60}},
        'arrive_timeout_s needs start = "explicit" - at $.calling.arrive_timeout_s',
    ),
    "a window shorter than the prompt": (
        {"evaluation": {"prompt_s": 200}},
        "keypad_window_s must not be below prompt_s - at $.evaluation.keypad_window_s",
    ),
    "a profile that is none": (
        {"devices": (but(POLICY.devices[5], profile="x"),)},
        "unknown profile 'x' - at $.devices[0].profile",
    ),
    "two keys for one level": (
        {"profiles": (but(PAD, levels={"1": 2, "2": 2}), KEYS)},
        "two keys mean one level - at $.profiles[0].levels",
    ),
    "an evaluator that cannot say bad": (
        {"profiles": (PAD, but(KEYS, levels={"1": 5, "2": 3}))},
        "an evaluator that cannot say 'bad' is refused - at $.profiles[1].levels",
    ),
    "periods that touch": (
        {"calendar": {"periods": ("08:30-12:00", "12:00-17:30")}},
        "periods must ascend and not touch - at $.calendar.periods",
    ),
    "a period backwards": (
        {"calendar": {"periods": ("12:00-08:30",)}},
        "periods must ascend and not touch - at $.calendar.periods",
    ),
    "a cut-over in a period": (
        {"hall": {"cutover": "10:00"}},
        "cutover must not come after the first period begins - at $.hall.cutover",
    ),
    "a cut-over after the first period": (
        {"hall": {"cutover": "13:00"}, "calendar": {"periods": ("08:30-12:00", "14:00-17:30")}},
        "cutover must not come after the first period begins - at $.hall.cutover",
    ),
    "a time zone that is none": ({"hall": {"tz": "Asia/Nowhere"}}, "unknown time zone 'Asia/Nowhere' - at $.hall.tz"),
    "a time zone outside its folder": ({"hall": {"tz": "../x"}}, "unknown time zone '../x' - at $.hall.tz"),
    "off and work": (
        {"calendar": {"off": ("2026-10-01/2026-10-07",), "work": ("2026-10-07",)}},
        "2026-10-07 is off and work - at $.calendar.work",
    ),
    "an option set twice": (
        {"option_sets": (OptionSetPart("gov@3"), OptionSetPart("gov@3"))},
        "'gov@3' stands twice - at $.option_sets[].id",
    ),
    "reasons of a level that is none": (
        {"option_sets": (OptionSetPart("gov@3", {"6": ("slow",)}),)},
        "'6' is no level - at $.option_sets[0].options",
    ),
    "days backwards": (
        {"calendar": {"off": ("2026-10-07/2026-10-01",)}},
        "2026-10-07 ends before it begins - at $.calendar",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_refuses_and_names_the_path(name: str) -> None:
    parts, problem = BROKEN[name]
    assert problem in problems(changed(**parts))


def test_all_problems_are_told_at_once() -> None:
    bad = changed(hall={"tz": "x"}, evaluation={"prompt_s": 200}, devices=(POLICY.devices[1],) * 2)
    assert len(problems(bad)) == 3


@pytest.mark.parametrize(
    ("old", "new", "path"),
    [
        ("version = 1", "version = 0", "$.version"),
        ('id = "h1"', 'id = "a b"', "$.hall.id"),
        ('id = "h1"', 'id = "h1", colour = 1', "$.hall"),
        ('hall = { id = "h1" }', 'hall = { id = "h1", cutover = "24:00" }', "$.hall.cutover"),
        ('hall = { id = "h1" }', 'hall = { id = "h1", region = "53" }', "$.hall.region"),
        ('"08:30-17:30"', '"08:30-24:30"', "$.calendar.periods"),
        ('"08:30-17:30"]', '"08:30-17:30"], off = ["1 May"]', "$.calendar.off"),
        ('prefix = "A"', 'prefix = "AAA"', "$.services[0].prefix"),
        ("no = 1,", "no = 1000,", "$.counters[0].no"),
        ("5 = 5", "5 = 6", "$.profiles[0].levels"),
        ('kind = "board"', 'kind = "robot"', "$.devices[7].kind"),
        ("picking = true", "picking = true, max_recalls = 6", "$.calling.max_recalls"),
        ("days_ahead = 3", "days_ahead = -1", "$.booking.days_ahead"),
        ("version = 1", 'version = 1\ncases = { preset = "here" }', "$.cases.preset"),
        ("version = 1", 'version = 1\ncases = { assist_reply = "0wd" }', "$.cases.assist_reply"),
        ("version = 1", 'version = 1\nevaluation = { options = "gov" }', "$.evaluation.options"),
        ("version = 1", 'version = 1\nevaluation = { watch = ["R5"] }', "$.evaluation.watch"),
    ],
)
def test_a_value_out_of_its_range_names_the_path(old: str, new: str, path: str) -> None:
    with pytest.raises(PolicyError) as failure:
        parse(TEXT.replace(old, new, 1))
    assert path in failure.value.problems[0]


def test_text_that_is_no_toml_is_said_to_be_none() -> None:
    with pytest.raises(PolicyError, match="not TOML"):
        parse("version = ")


def test_a_document_round_trips() -> None:
    assert problems(POLICY) == []
    assert from_document(document(POLICY)) == POLICY
    assert digest(from_document(document(POLICY))) == digest(POLICY) != digest(changed())


DESIGN = """
version = 7
hall = { id = "hongta", level = "county", region = "530402000000", tz = "Asia/Shanghai", cutover = "03:00", langs = ["zh", "en"] }
calendar = { week = [1,2,3,4,5], periods = ["08:30-12:00", "14:00-17:30"], off = ["2026-10-01/2026-10-07"], work = ["2026-10-10"] }
tickets = { digits = 3, one_open_per_person = true, reprints = 2, press_gap_ms = 1500, on_print_failed = "keep", take_early_min = 15 }
calling = { max_recalls = 2, recall_gap_s = 20, start = "implied", arrive_timeout_s = 0, next_while_serving = "finish", picking = false }
returns = { return_min = 30, after = [3, 6], holds = 3, hold_max_min = 120, senior_hops = 2, max_hops = 4 }
booking = { early_min = 15, credit_min = 20, late_min = 10, void_min = 60, days_ahead = 5, cancel_min = 120, per_person_day = 1 }
classes = [ { code = "green", tier = 1, cap = [1, 3] }, { code = "military", head_start_min = 15 }, { code = "care", head_start_min = 15 },
            { code = "ordinary" }, { code = "booked" } ]
zones = [ { code = "w1", kind = "waiting", floor = 1, seats = 80, party_ppm = 1300000 } ]
evaluation = { window_days = 7, unrated = "expire", prompt_s = 45, keypad_window_s = 120, supplement = true, options = "gov@3", appeal = "5wd" }
cases = { preset = "liaoning", reopen_days = 15, extensions = 1, bad_review_counts_as_complaint = false }
conduct = { year = "calendar", late_early = "sum", min_posting_months = 24, uncovered_min = 15 }
alerts = { waiting = 20, eta_min = 40, seats_ppm = 1000000 }
services = [ { code = "si", prefix = "A", kind = "accept", department = "hrss", zone = "w1", quota_day = 400, name = { zh = "社保" } } ]
counters = [ { no = 3, zone = "w1", primary = ["si"], overflow = [], theta_min = 10, rostered = true, label = { zh = "3号窗口" }, pictogram = "p-si" } ]
profiles = [ { id = "keys4-qs", kind = "evaluator", levels = { 3 = 5, 2 = 4, 0 = 2 }, ignore = [1], channel = "device", call_id = false } ]
devices = [ { id = "ev-03", kind = "evaluator", profile = "keys4-qs", counter = 3 }, { id = "kiosk-1", kind = "kiosk", offline_prefix = "X" } ]
"""  # noqa: E501 - the example of the design, as written there


def test_the_example_of_the_design_parses_as_far_as_its_keys_exist() -> None:
    """Left out: services.quota."""
    policy = parse(DESIGN)
    assert (policy.version, policy.profiles[0].levels["0"], policy.classes[0].cap) == (7, 2, (1, 3))


LATER = {
    "services.quota": ("quota_day = 400,", 'quota_day = 400, quota = ["08:30-12:00=250"],'),
}


@pytest.mark.parametrize("key", LATER)
def test_a_key_that_means_nothing_yet_is_refused_not_ignored(key: str) -> None:
    with pytest.raises(PolicyError, match=f"unknown field `{key.rsplit('.', 1)[-1]}`"):
        parse(DESIGN.replace(*LATER[key]))
