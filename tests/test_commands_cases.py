"""core/commands_cases.py: words of a closed list are closed, and nobody's identity has a field."""

from typing import get_args

import msgspec
import pytest

from core import commands_cases as cc
from core.commands import COMMANDS
from core.conduct import ONE_KIND


def test_every_one_is_in_the_catalogue() -> None:
    assert set(get_args(cc.CaseCommand)) <= set(COMMANDS)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (cc.OpenCase, {"kind": "bad_review"}),
        (cc.OpenCase, {"kind": "inspection"}),
        (cc.VerifyCase, {"case": 1, "verdict": "maybe"}),
        (cc.ExtendCase, {"case": 1, "stage": "verify", "to_ms": 1}),
        (cc.DecideAppeal, {"call": 1, "decision": "disliked", "reviewer": "boss"}),
        (cc.RecordConduct, {"staff": "u1", "kind": "sleepy", "on_day": 20260101}),
        (cc.RecordConduct, {"staff": "u1", "kind": "absent", "on_day": 20260101, "half_days": 0}),
        (cc.ReviewFinding, {"finding": 1, "decision": "perhaps", "reviewer": "boss"}),
        (cc.RecordInspection, {"item": "x", "severity": 4}),
        (cc.RevisitCase, {"case": 1, "satisfaction": 4}),
        (cc.OpenCase, {"kind": "complaint", "text_ref": "He was rude"}),
    ],
)
def test_other_words_do_not_pass(kind: type, fields: dict[str, object]) -> None:
    """A case of a bad rating comes from the rating alone, one of an inspection from its record."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"type": kind.__struct_config__.tag, **fields}, kind)


@pytest.mark.parametrize("kind", [kind for kind, _ in ONE_KIND.values()])
def test_every_kind_of_the_ledger_can_be_recorded(kind: str) -> None:
    fields = {"type": "conduct.record", "staff": "u1", "kind": kind, "on_day": 20260101}
    assert msgspec.convert(fields, cc.RecordConduct).kind == kind


@pytest.mark.parametrize("kind", [*get_args(cc.CaseCommand), *get_args(cc.FloorCommand)])
def test_no_field_is_made_for_a_person(kind: type) -> None:
    fields = {spec.name for spec in msgspec.structs.fields(kind)}
    assert not fields & {"name", "phone", "identity", "address", "comment", "text", "image", "signature"}
