"""Reading h2load: its figures, and the errors that it takes for successes."""

import pytest

from tests.benchmarks.serving.load import Count, LoadError, bad_answers, framed, load_of, read_count, read_latencies

ANSWER_BYTES = 118
PRINTED = """\
starting benchmark...
spawning thread #0: 1 total client(s). Timing-based test
Main benchmark duration is started for thread #0.
Main benchmark duration is over for thread #0. Stopping all clients.
Stopped all clients for thread #0

finished in 3.00s, {rate} req/s, 375.41KB/s
requests: 100 total, 101 started, {done} done, {succeeded} succeeded, {failed} failed, {errored} errored, 0 timeout
status codes: 100 2xx, 0 3xx, 0 4xx, 0 5xx
traffic: 1.10MB (1153251) total, 20.92KB (21426) headers (space savings 96.28%), 11.52KB ({data}) data
                     min         max         mean         sd        +/- sd
time for request:      288us      2.16ms       416us       133us    80.81%
"""
LOG = "".join(f"1795567000000{number:03}\t200\t{number * 10}\n" for number in range(1, 101))


def printed(
    *, rate: str = "2372.33", done: int = 100, succeeded: int = 100, failed: int = 0, errored: int = 0, good: int = 100
) -> str:
    data = good * ANSWER_BYTES
    return PRINTED.format(rate=rate, done=done, succeeded=succeeded, failed=failed, errored=errored, data=data)


def test_figures_come_from_what_is_printed() -> None:
    assert read_count(printed(), ANSWER_BYTES) == Count(2372.33, requests=100, errors=0)


def test_the_rate_is_that_of_the_run_without_a_log_and_errors_are_those_of_both() -> None:
    load = load_of([Count(3000.0, 120, 1), Count(2000.0, 100, 2)], read_latencies(LOG))
    assert (load.requests_per_second, load.requests, load.errors) == (3000.0, 220, 3)
    assert load.p50_ms == pytest.approx(0.505)
    assert load.p99_ms == pytest.approx(0.9901)


def test_grpc_errors_which_h2load_takes_for_success_are_counted() -> None:
    assert read_count(printed(good=63), ANSWER_BYTES).errors == 37


def test_failed_requests_are_counted_once() -> None:
    assert read_count(printed(succeeded=90, failed=10, errored=10, good=90), ANSWER_BYTES).errors == 10


def test_a_server_that_answers_nothing_but_errors_has_as_many_as_requests() -> None:
    assert read_count(printed(good=0), ANSWER_BYTES).errors == 100


@pytest.mark.parametrize(
    ("data_bytes", "bad"),
    [(1180, 0), (1062, 1), (0, 10), (1181, 1), (1179, 2), (2360, 10)],
    ids=["all good", "one empty", "all empty", "one too long", "one cut short", "twice the size"],
)
def test_the_size_of_the_data_tells_bad_answers(data_bytes: int, bad: int) -> None:
    assert bad_answers(10, data_bytes, ANSWER_BYTES) == bad


def test_only_answered_requests_have_a_latency() -> None:
    assert read_latencies("1\t200\t1500\n2\t-1\t9\n3\t200\t250\n") == [1.5, 0.25]


@pytest.mark.parametrize("text", ["", "h2load: no such host"])
def test_what_is_not_understood_is_an_error(text: str) -> None:
    with pytest.raises(LoadError):
        read_count(text, ANSWER_BYTES)


def test_no_latency_is_an_error() -> None:
    count = Count(3000.0, 120, 0)
    with pytest.raises(LoadError):
        load_of([count, count], [])


def test_a_framed_message_begins_with_flag_and_length() -> None:
    assert framed(b"abc") == b"\x00\x00\x00\x00\x03abc"
