"""Counts, sizes, time spans, and errors in words."""

import pytest

from daam_syntax.util.wording import duration, human_size, one_line, plural


def test_nouns_agree_with_their_counts():
    assert [plural(n, "prompt") for n in (0, 1, 2)] == ["0 prompts", "1 prompt", "2 prompts"]
    assert plural(2, "category") == "2 categories"


@pytest.mark.parametrize(
    ("n_bytes", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1536, "1.54 kB"),
        (999_999, "1 MB"),
        (2.5e9, "2.5 GB"),
        (1.2345e15, "1,234 TB"),
    ],
)
def test_sizes_have_a_readable_unit(n_bytes, text):
    assert human_size(n_bytes) == text


def test_time_spans_have_days_only_if_there_are_any():
    assert duration(3725) == "01:02:05"
    assert duration(200_000) == "2 d 07:33:20"


def test_errors_have_one_line():
    assert one_line(ValueError("it is\n  altered")) == "it is altered"
    assert one_line(TimeoutError()) == "TimeoutError"
