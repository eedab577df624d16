import pytest

from kist.util.json_text import load_json


def test_values():
    assert load_json(b'{"a": [1, "two"]}') == {"a": [1, "two"]}


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, '{"a":' * 100_000])
def test_4_2_whatever_is_no_json_of_ours_is_a_value_error(text):
    with pytest.raises(ValueError, match=r"nested|Expecting"):
        load_json(text)
