"""workers/web/texts_oversight.py: every decision, state, kind and act has its words."""

from typing import get_args

from core.commands_cases import ConductKind, Decision, Review
from core.conduct import FindingState
from workers.trail import TOLD
from workers.web.oversight import ASKED
from workers.web.texts import CATALOGUES
from workers.web.texts_oversight import PAIRS


def choices(annotated: object) -> list[str]:
    """The words of a pattern `^(a|b)$`."""
    pattern = str(get_args(annotated)[1].pattern)
    return pattern.partition("(")[2].partition(")")[0].split("|")


def test_every_decision_state_kind_and_act_has_its_words() -> None:
    wanted = {f"decision.{one}" for kind in (Decision, Review) for one in choices(kind)}
    wanted |= {f"conduct.{one}" for one in choices(ConductKind)} | {f"audit.{one.__name__}" for one in TOLD}
    wanted |= {f"finding.{one.name.lower()}" for one in FindingState} | {f"appeal.{one.name.lower()}" for one in ASKED}
    assert wanted <= PAIRS.keys()


def test_they_are_part_of_the_catalogue_and_hide_nothing_of_it() -> None:
    for at, lang in enumerate(("zh", "en")):
        assert all(CATALOGUES[lang][key] == pair[at] for key, pair in PAIRS.items())
