"""Interrupts that come while a call is carried out: told at its end, by real signals."""

import signal
import threading
from collections.abc import Iterator

import pytest

from pipelines.embedded_client import interrupts_wait


@pytest.fixture(autouse=True)
def interrupting() -> Iterator[None]:
    """SIGTERM raises KeyboardInterrupt, as in the commands."""
    usual = signal.signal(signal.SIGTERM, signal.default_int_handler)
    yield
    signal.signal(signal.SIGTERM, usual)


@interrupts_wait()
def _call(times: int, steps: list[str]) -> None:
    for _ in range(times):
        signal.raise_signal(signal.SIGTERM)
    steps.append("went on")


@interrupts_wait()
def _call_that_calls(steps: list[str]) -> None:
    _call(1, steps)
    steps.append("went on")


@interrupts_wait()
def _call_that_fails() -> None:
    signal.raise_signal(signal.SIGTERM)
    raise ValueError("the call's own")


def test_an_interrupt_is_raised_at_the_end() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _call(1, steps)
    assert steps == ["went on"]
    assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler


def test_an_interrupt_of_a_call_within_a_call_is_raised_at_the_end_of_the_outer_one() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _call_that_calls(steps)
    assert steps == ["went on", "went on"]


def test_an_error_is_not_lost_to_the_interrupt() -> None:
    with pytest.raises(KeyboardInterrupt) as told:
        _call_that_fails()
    assert isinstance(told.value.__context__, ValueError)


def test_whoever_insists_is_not_kept_waiting() -> None:
    steps: list[str] = []
    with pytest.raises(KeyboardInterrupt):
        _call(2, steps)
    assert steps == []


def test_other_handlers_stay() -> None:
    came: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: came.append(number))
    with interrupts_wait():
        signal.raise_signal(signal.SIGTERM)
        assert came == [signal.SIGTERM]
    assert came == [signal.SIGTERM]


def test_other_threads_may_call() -> None:
    steps: list[str] = []
    thread = threading.Thread(target=_call, args=(0, steps))
    thread.start()
    thread.join()
    assert steps == ["went on"]
