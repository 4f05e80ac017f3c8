from services.cli.looks import Activity, Counts, Look, activities
from services.prediction.pb import open_inference_pb2 as pb

Index = pb.RepositoryIndexResponse.ModelIndex
DIGITS = Index(name="digits", version="3", state="READY", reason="champion")
REFUSED = Index(name="digits", version="4", state="UNAVAILABLE", reason="golden rows: output 'y' is off by 1")


def test_rates_and_means_are_those_between_the_looks() -> None:
    before = Look(10.0, [DIGITS], {("digits", "3"): Counts(100, 200, 50, 1, 10**9, 10**9, 5)})
    now = Look(12.0, [DIGITS, REFUSED], {("digits", "3"): Counts(140, 280, 60, 2, 10**9 + 8 * 10**7, 3 * 10**9, 7)})
    served, refused = activities(before, now)
    assert served == Activity(
        *("digits", "3", "READY", "champion"),
        requests_per_second=20.0,
        rows_per_second=40.0,
        failures_per_second=0.5,
        queue_ms=2.0,
        compute_ms=50.0,
        rows_per_batch=8.0,
        last_inference_ms=7,
    )
    assert refused == Activity("digits", "4", "UNAVAILABLE", "golden rows: output 'y' is off by 1")


def test_where_nothing_was_asked_there_is_no_mean() -> None:
    counts = {("digits", "3"): Counts(100, 200, 50)}
    (quiet,) = activities(Look(10.0, [DIGITS], counts), Look(11.0, [DIGITS], counts))
    assert (quiet.requests_per_second, quiet.queue_ms, quiet.compute_ms, quiet.rows_per_batch) == (
        0.0,
        None,
        None,
        None,
    )


def test_a_server_that_has_started_anew_counts_from_zero() -> None:
    before = Look(10.0, [DIGITS], {("digits", "3"): Counts(requests=100, rows=100)})
    now = Look(11.0, [DIGITS], {("digits", "3"): Counts(requests=5, rows=5, batches=5)})
    assert activities(before, now)[0].requests_per_second == 5.0
