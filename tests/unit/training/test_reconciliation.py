from dataclasses import replace

import pytest

from services.training.cluster import RayJob, RayStatus
from services.training.reconciliation import Close, Decision, End, QueueAgain, Stop, Wait, decide, originals
from tests.unit.training.jobs import job, waiting

LOST = RayJob("FAILED", "the driver was killed\nby a signal")


def ray(status: RayStatus) -> RayJob:
    return RayJob(status, "")


@pytest.mark.parametrize("status", ["PENDING", "RUNNING"])
@pytest.mark.parametrize("state", ["STARTING", "RUNNING"])
def test_what_is_at_work_is_left_alone(state: str, status: RayStatus) -> None:
    assert decide(job(state=state), ray(status)) == Wait()


def test_what_is_at_work_is_stopped_when_it_was_cancelled_and_what_waits_for_resources_ends() -> None:
    assert decide(job(state="STARTING", cancel_requested=True), ray("RUNNING")) == Stop()
    assert decide(job(state="RUNNING", cancel_requested=True), ray("RUNNING")) == Stop()
    waiting = decide(job(state="STARTING", cancel_requested=True), ray("PENDING"))
    assert waiting == End("KILLED", "cancelled before it began")


def test_a_queued_job_waits_for_its_turn_or_is_cancelled() -> None:
    assert decide(job(state="QUEUED"), None) == Wait()
    assert decide(job(state="QUEUED", cancel_requested=True), None) == End("KILLED", "cancelled before it began")


@pytest.mark.parametrize("state", ["FINISHED", "FAILED", "KILLED"])
@pytest.mark.parametrize(
    ("known", "step"),
    [
        (None, Close()),
        (ray("SUCCEEDED"), Close()),
        (ray("FAILED"), Close()),
        (ray("PENDING"), Close()),
        (ray("RUNNING"), Wait()),
    ],
)
def test_an_ended_job_is_closed_when_its_driver_is_gone(state: str, known: RayJob | None, step: Decision) -> None:
    assert decide(job(state=state, cancel_requested=True), known) == step


def test_a_lost_attempt_is_retried_as_often_as_the_spec_allows() -> None:
    first, last = decide(job(restarts=0), LOST), decide(job(restarts=3), LOST)
    assert isinstance(first, QueueAgain)
    assert "the driver was killed by a signal" in first.reason
    assert isinstance(last, End)
    assert last.state == "FAILED"
    assert last.reason.endswith("training.retries allows 3 restarts and there were 3")


def test_a_cluster_that_forgot_the_job_has_lost_it() -> None:
    step = decide(job(), None)
    assert isinstance(step, QueueAgain)
    assert step.is_restart
    assert "does not know the job" in step.reason


def test_an_attempt_that_never_began_does_not_count() -> None:
    step = decide(job(state="STARTING", retries=0), None)
    assert isinstance(step, QueueAgain)
    assert not step.is_restart
    assert isinstance(decide(job(state="STARTING", retries=0), LOST), End)  # this one did begin


def test_of_one_key_one_job_goes_on() -> None:
    first, second = (replace(waiting("a", minute), key="monday") for minute in (1, 2))
    others = [waiting("a", 0), waiting("b", 0), replace(waiting("a", 3), key="tuesday")]
    assert originals([second, *others, first]) == {second.id: first.id}
    begun = replace(second, state="RUNNING", attempt=1)
    assert originals([first, begun]) == {first.id: begun.id}
    assert originals([replace(first, state="RUNNING", attempt=1), begun]) == {}  # too late: both work
    assert decide(second, None, first.id) == End(
        "KILLED", f"submitted under the same key as job {first.id}, which goes on"
    )


def test_a_driver_that_ended_well_without_closing_its_run_is_lost_too() -> None:
    assert isinstance(decide(job(), ray("SUCCEEDED")), QueueAgain)


def test_a_stopped_driver_leaves_a_killed_run() -> None:
    assert decide(job(cancel_requested=True), ray("STOPPED")) == End("KILLED", "cancelled")
    assert decide(job(cancel_requested=True), None) == End("KILLED", "cancelled")
    assert decide(job(), ray("STOPPED")) == End("KILLED", "stopped on the Ray cluster")
