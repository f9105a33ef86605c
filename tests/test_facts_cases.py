"""core/facts_cases.py: its part of the catalogue is in the whole, what lasts has a number of what lasts."""

from core import facts, facts_cases
from core.fact import Fact


def test_every_fact_of_the_file_has_a_number_in_the_catalogue() -> None:
    here = {one for one in vars(facts_cases).values() if isinstance(one, type) and issubclass(one, Fact)} - {Fact}
    assert set(facts_cases.KINDS.values()) == here
    assert facts_cases.KINDS.items() <= facts.KINDS.items()


def test_what_a_person_may_be_asked_about_later_is_long_lived() -> None:
    words = ("Case", "Conduct", "Finding", "Staff", "Inspection", "Honor", "EvaluationA", "EvaluationU", "EvaluationE")
    for kind, fact in facts_cases.KINDS.items():
        assert (kind > 127) is fact.__name__.startswith((*words, "EvaluationS")), fact
