"""devices/yaml_text.py: what could be misread is quoted; the official parser reads a whole document elsewhere."""

from devices.yaml_text import lines, scalar


def test_scalars_that_could_be_misread_are_quoted() -> None:
    words = {
        "yes": '"yes"',
        "3.0": '"3.0"',
        "a: b": '"a: b"',
        "": '""',
        "x ": '"x "',
        "null": '"null"',
        "plain text": "",
    }
    for word, quoted in words.items():
        assert scalar(word) == (quoted or word)
    assert [scalar(one) for one in (True, 1, [], {})] == ["true", "1", "[]", "{}"]
    assert lines({"a": [[1, {"b": 2}], 3]}) == ["a:", "  - - 1", "    - b: 2", "  - 3"]
