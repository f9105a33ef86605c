"""devices/contract_samples.py: every message of the contract has a sample that the code can read."""

import msgspec
import pytest

from devices import contract
from devices.contract_samples import EXAMPLES


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_sample_is_read_and_written_back(name: str) -> None:
    for sample in EXAMPLES[name]:
        read = msgspec.convert(sample, contract.DECODED[name])
        assert msgspec.convert(msgspec.to_builtins(read), contract.DECODED[name]) == read


def test_every_message_has_one() -> None:
    assert all(EXAMPLES.values()) and EXAMPLES.keys() == contract.DECODED.keys()
