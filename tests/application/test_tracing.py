"""Trace context of messages: what is taken over, what is ignored, and who goes first."""

from __future__ import annotations

import pytest

from application.tracing import is_sampled, traceparent_of, valid_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
GOOD = f"00-{TRACE}-00f067aa0ba902b7-01"
OTHER = f"00-{TRACE[::-1]}-b7ad6b7169203331-00"


def test_a_valid_context_is_carried_unchanged() -> None:
    assert valid_traceparent(GOOD) == GOOD
    assert valid_traceparent(OTHER) == OTHER


def test_a_context_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    assert (
        valid_traceparent(f"cc-{TRACE}-00f067aa0ba902b7-ff-what-the-future-adds")
        == f"00-{TRACE}-00f067aa0ba902b7-03"
    )
    assert valid_traceparent(f"01-{TRACE}-00f067aa0ba902b7-01") == GOOD


@pytest.mark.parametrize(
    "garbage",
    [
        None,
        7,
        "",
        "00",
        GOOD.upper(),
        f" {GOOD}",
        f"{GOOD}\n",
        f"{GOOD}-more",
        f"ff{GOOD[2:]}",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7-1",
        f"00-{TRACE[:-1]}٣-00f067aa0ba902b7-01",
        f"01-{TRACE}-00f067aa0ba902b7-01-{'x' * 500}",
    ],
)
def test_garbage_is_as_good_as_no_context(garbage: object) -> None:
    assert valid_traceparent(garbage) is None


def test_the_header_goes_before_the_envelope() -> None:
    headers = (("event_id", b"x"), ("traceparent", GOOD.encode()))
    assert traceparent_of(headers, OTHER) == GOOD
    assert traceparent_of(headers) == GOOD
    assert traceparent_of((), OTHER) == OTHER
    assert traceparent_of(()) is None


@pytest.mark.parametrize("header", [b"", b"\xff\xfe", b"00-garbage"])
def test_a_header_of_garbage_does_not_hide_the_envelope(header: bytes) -> None:
    assert traceparent_of((("traceparent", header),), OTHER) == OTHER


def test_the_last_digit_says_whether_the_caller_records() -> None:
    assert is_sampled(GOOD)
    assert not is_sampled(OTHER)
