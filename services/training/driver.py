"""The process that Ray runs for an attempt at a job: `python -m services.training.driver RUN_ID ATTEMPT`.

It goes on with the run where earlier attempts left it, and tells its journal how that is going. The exit code says
whether the run was left in order: 0 if it was closed, whatever as, or belongs to a later attempt; else 1.
"""

import logging
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pipelines.errors import SupersededError
from pipelines.home import checkpoints_folder, mlflow_client
from pipelines.pipeline import Outcome, run_pipeline_in
from pipelines.spec_file import build_spec, parse_yaml
from pipelines.tracking import RESTARTS_TAG, Run, adopt_run
from pipelines.training.checkpoints import forget
from pipelines.training.launcher import ray_session
from services.rpc.logs import configure, job_context
from services.training.feed import last_epoch
from services.training.journal import Journal, JournalHandler, attempt_path, fence_of
from services.training.record import VERSION_TAG, spec_from_tags

_log = logging.getLogger("services.training.driver")  # the name by which it runs is __main__


def main(arguments: list[str]) -> int:
    """Make an attempt at a job; return the exit code."""
    run_id, attempt = arguments[0], int(arguments[1])
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # Ray stops a job so: the run ends KILLED
    configure()
    told = max((last_epoch(attempt_path(run_id, earlier)) for earlier in range(1, attempt)), default=0)
    with job_context(run_id), Journal(attempt_path(run_id, attempt), told) as journal, _logged_to(journal):
        try:
            return 0 if attempt_job(run_id, attempt, journal) else 1
        except SupersededError as error:
            _log.warning("%s", error)
            return 0
        except (Exception, KeyboardInterrupt):  # noqa: BLE001 - the journal is where it will be looked for
            _log.exception("the attempt broke off")
            return 1


def attempt_job(run_id: str, attempt: int, journal: Journal) -> bool:
    """Adopt the run of a job and carry it out; return whether the run was closed.

    Raises what could not become the reason of a FAILED run: there is no Ray, no MLflow, or a later attempt.
    """
    fence = fence_of(run_id, attempt)
    fence()
    with ray_session():  # outermost, so that a run is closed before the seconds that leaving Ray may take
        run: Run | None = None
        try:
            with adopt_run(mlflow_client(), run_id, fence) as run:
                _carry_out(run, journal)
        except (SupersededError, KeyboardInterrupt):
            if run is None or run.closed_as is None:
                raise
        except Exception:
            if run is None:
                raise
            _log.exception("the job failed")
        if run.closed_as == "FINISHED":
            forget(checkpoints_folder(run_id))
        return run.closed_as is not None


def _carry_out(run: Run, journal: Journal) -> Outcome:
    try:
        spec = build_spec(parse_yaml(spec_from_tags(run.tags), "the run's tags"))
        retries = max(spec.training.retries - int(run.tags.get(RESTARTS_TAG, "0")), 0)
        outcome = run_pipeline_in(run, spec, journal, retries)
    except Exception as error:
        journal.failure(str(error) or type(error).__name__)
        raise
    run.set_tag(VERSION_TAG, outcome.version)
    journal.outcome(outcome)
    return outcome


@contextmanager
def _logged_to(journal: Journal) -> Iterator[None]:
    handler = JournalHandler(journal)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
