"""Which of several jobs becomes champion, and what the versions say about it."""

import pytest

from pipelines.registry.model_registry import (
    METRIC_TAG,
    PROMOTED_TAG,
    REASON_TAG,
    REPLACED_TAG,
    VALUE_TAG,
)
from tests.integration.pipelines.conftest import History
from tests.integration.pipelines.jobs import MODEL


@pytest.mark.parametrize(
    ("number", "promoted", "reason"),
    [
        (1, "true", "first champion of this model"),
        (2, "false", " is below "),
        (3, "true", " is at least as good as "),
    ],
)
def test_the_decision_and_its_reason_are_tags(number: int, promoted: str, reason: str, history: History) -> None:
    outcome = history.jobs[number - 1].outcome
    version = history.client.get_model_version(MODEL, str(number))
    assert (outcome.version, version.run_id) == (str(number), outcome.run_id)
    assert version.tags[PROMOTED_TAG] == promoted == str(outcome.decision.promote).lower()
    assert version.tags[REASON_TAG] == outcome.decision.reason
    assert reason in outcome.decision.reason
    assert version.tags[METRIC_TAG] == "accuracy"
    assert float(version.tags[VALUE_TAG]) == outcome.validation.metrics["accuracy"]


def test_a_worse_job_is_worse_and_an_equal_one_equal(history: History) -> None:
    """The premises of the table above."""
    good, worse, equal = (job.outcome.validation.metrics["accuracy"] for job in history.jobs)
    assert worse < good == equal


def test_the_alias_is_where_the_last_promotion_put_it(history: History) -> None:
    assert history.registry.champions() == {MODEL: "3"}


@pytest.mark.parametrize(("number", "replaced"), [(1, None), (2, None), (3, "1")])
def test_a_champion_remembers_whom_it_replaced(number: int, replaced: str | None, history: History) -> None:
    assert history.client.get_model_version(MODEL, str(number)).tags.get(REPLACED_TAG) == replaced
