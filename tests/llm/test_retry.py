"""Retry-After in all its forms, pauses, and what is not retried."""

from datetime import UTC, datetime

import pytest

from tmelt.llm.retry import failure_of, pause_s, retry_after_s

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after": "Sat, 21 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sat, 21 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sat, 21 Nov 2026 15:00:30 GMT", "date": "Sat, 21 Nov 2026 15:00:00 GMT"}, 30.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-3"}, None),
    ],
)
def test_retry_after(headers, seconds):
    assert retry_after_s(headers, NOW) == seconds


def test_pauses_double_up_to_a_minute_and_never_undercut_the_server():
    for tries, nominal in [(1, 1), (2, 2), (4, 8), (7, 60), (1000, 60)]:
        pauses = {pause_s(tries, 1.0, None) for _ in range(200)}
        assert nominal / 2 <= min(pauses) < max(pauses) <= nominal
    assert 5.0 <= min(pause_s(3, 1.0, 5.0) for _ in range(200)) <= max(pause_s(3, 1.0, 5.0) for _ in range(200)) <= 6.0


def test_our_own_mistakes_are_not_taken_for_an_outage():
    assert failure_of(ZeroDivisionError()) is None
    assert failure_of(AssertionError("x")) is None
    unknown = failure_of(TypeError("create() got an unexpected keyword argument 'reasonning'"))
    assert not unknown.passing and "extra" in unknown.message
    refused = failure_of(ValueError("`temperature` is not supported for this model"))
    assert not refused.passing and not refused.maybe_billed
