import pytest
from hypothesis import given
from hypothesis import strategies as st

from kist.util.units import parse_duration, parse_size, show_duration, show_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("1.5 GiB", 3 << 29), ("64M", 64 << 20), ("10 kB", 10_000), ("0", 0), ("1 MB", 1_000_000), ("3b", 3), (5, 5), ("2KiB", 2048), (" 7 ", 7), ("-1", None), ("x", None), ("", None), (True, None), ("9" * 40, None), (-1, None), (None, None), ("1 XB", None)],
)  # fmt: skip
def test_sizes(text, size):
    if size is None:
        with pytest.raises(ValueError, match="size"):
            parse_size(text)
    else:
        assert parse_size(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("14d", 14 * 86400), (3.5, 3.5), ("7", 7), ("2 w", 14 * 86400), ("0", 0), ("-1", None), ("nan", None), ("inf", None), ("1e400", None), ("", None), (True, None), ("5x", None), (None, None), (-1, None)],
)  # fmt: skip
def test_durations(text, seconds):
    if seconds is None:
        with pytest.raises(ValueError, match="duration"):
            parse_duration(text)
    else:
        assert parse_duration(text) == seconds


def test_what_is_shown():
    assert [show_size(size) for size in (0, 1023, 1024, 1536, 10 << 20, 999 << 30, 1023 << 20)] == [
        "0 B", "1023 B", "1.00 KiB", "1.50 KiB", "10.0 MiB", "999 GiB", "1.00 GiB",
    ]  # fmt: skip
    assert [show_duration(seconds) for seconds in (0, 0.34, 9.96, 59.7, 303, 7500, 14 * 86400, 259203)] == [
        "0.0 s", "0.3 s", "10 s", "1 min", "5 min 3 s", "2 h 5 min", "14 d", "3 d",
    ]  # fmt: skip


@given(st.integers(0, 1 << 62))
def test_a_shown_size_is_read_back_nearly(size):
    assert parse_size(show_size(size)) == pytest.approx(size, rel=0.01)
