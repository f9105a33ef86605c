"""workers/web/texts.py: both languages say the same things, and pages ask only for what is there."""

import re
from pathlib import Path
from string import Formatter

import pytest

from core.cases import STAGES, CaseState
from core.refusals import Refusal
from core.ticket import State
from devices.pictures import STATUS
from workers.web.pages import STATIC
from workers.web.texts import CATALOGUES, OPTIONS

ZH, EN = CATALOGUES["zh"], CATALOGUES["en"]


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name}


def test_both_have_the_same_keys_and_the_same_blanks() -> None:
    assert ZH.keys() == EN.keys()
    assert [key for key in ZH if fields(ZH[key]) != fields(EN[key])] == []
    assert all(text.strip() for said in CATALOGUES.values() for text in said.values())


def test_every_reason_and_state_has_its_words() -> None:
    wanted = {f"refused.{reason}" for reason in Refusal} | {f"status.{status}" for status in STATUS.values()}
    wanted |= {f"state.{state.name.lower()}" for state in State} | {f"options.{one}" for one in OPTIONS}
    wanted |= {f"case.{state.name.lower()}" for state in CaseState} | {f"stage.{stage}" for stage in STAGES}
    assert wanted <= ZH.keys()


@pytest.mark.parametrize("path", sorted(STATIC.glob("*.*")), ids=lambda path: path.name)
def test_pages_ask_for_texts_that_are_there_and_for_nothing_elsewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    asked = re.findall(r'\bt\("([a-z_.0-9]+)"', text) + re.findall(r"\{\{([a-z0-9_.]+)\}\}", text)
    assert [key for key in asked if key not in ZH] == []
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|style=", text)
    addresses = set(re.findall(r"https?://[^\s\"'`]+", text)) - {"http://www.w3.org/2000/svg"}
    assert not addresses, "nothing comes from elsewhere"
