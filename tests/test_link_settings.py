"""workers/link_settings.py: broker addresses."""

import pytest

from workers.link_settings import Address, parse_url


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("mqtt://localhost", Address("localhost", 1883, False, None, None)),
        ("mqtts://broker.hall:8884", Address("broker.hall", 8884, True, None, None)),
        ("mqtts://core:a%2Fb@10.0.0.1", Address("10.0.0.1", 8883, True, "core", "a/b")),
        ("mqtt://[::1]:1884", Address("::1", 1884, False, None, None)),
    ],
)
def test_an_address_is_taken_apart(url: str, address: Address) -> None:
    assert parse_url(url) == address


@pytest.mark.parametrize("url", ["localhost:1883", "http://localhost", "mqtt://", "mqtt://host:port", ""])
def test_what_is_no_address_is_said(url: str) -> None:
    with pytest.raises(ValueError, match=r"mqtt://host:port|[Pp]ort"):
        parse_url(url)
