"""Jobs as MLflow keeps them: a run is the record of a job, its status and tags hold the state. No other database."""

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, get_args

from mlflow import MlflowClient
from mlflow.entities import Run, RunTag
from mlflow.exceptions import MlflowException

from pipelines.outages import is_outage
from pipelines.spec.training_spec import TrainingSpec
from pipelines.spec_file import dump_spec
from pipelines.tracking import FAILURE_TAG, RESTARTS_TAG, ensure_experiment
from services.rpc.errors import InvalidRequestError
from services.training import record
from services.training.errors import TrackingAwayError, TrackingRefusedError, UnknownJobError

logger = logging.getLogger(__name__)

State = Literal["QUEUED", "STARTING", "RUNNING", "FINISHED", "FAILED", "KILLED"]
Phase = Literal["queued", "started", "done"]

_PHASES: dict[str, Phase] = {phase: phase for phase in get_args(Phase)}

ENDED: tuple[State, ...] = ("FINISHED", "FAILED", "KILLED")

_JOBS = f"tags.`{record.JOB_TAG}` = '1'"
_RUN_STATUS = {"QUEUED": "SCHEDULED", "STARTING": "SCHEDULED"}
"""The status that a run has in a state, where it is not of the state's own name."""
_RUN_STATUSES = {_RUN_STATUS.get(state, state) for state in get_args(State)}

_PAGE = 1000
_JOB_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Job:
    """One job as its run tells it."""

    id: str
    model: str
    state: State
    phase: Phase
    reason: str
    key: str
    submitted: datetime
    started: datetime | None
    ended: datetime | None
    attempt: int
    """Number of the attempt that Ray was given last; 0 before the first."""
    restarts: int
    """Lost drivers and lost workers since the submission or the last resumption."""
    retries: int
    """How many restarts of either the spec allows."""
    epochs: int
    cancel_requested: bool
    spec: str
    """YAML, every default written out."""
    version: str

    @property
    def precedence(self) -> tuple[bool, datetime, str]:
        """Of jobs under one key, the least is the job of that key: one that Ray was given, else the oldest."""
        return self.attempt == 0, self.submitted, self.id

    @property
    def submission_id(self) -> str:
        """What Ray calls the present attempt."""
        return record.submission_id(self.id, self.attempt)


@dataclass(frozen=True)
class Filter:
    """Which jobs to list; what is empty or None does not restrict."""

    states: frozenset[State] = frozenset()
    model: str = ""
    after: datetime | None = None
    before: datetime | None = None


class JobStore:
    """Reads and writes jobs. Every method blocks, and raises TrackingAwayError when MLflow does not answer."""

    def __init__(self, client: MlflowClient) -> None:
        self._client = client

    def create(self, spec: TrainingSpec, key: str) -> Job:
        """A queued job; everything that makes it one is written at once, or nothing is."""
        tags = {record.JOB_TAG: "1", record.PHASE_TAG: "queued", record.MODEL_TAG: spec.name}
        tags |= {record.EPOCHS_TAG: str(spec.training.epochs), record.RETRIES_TAG: str(spec.training.retries)}
        tags |= record.spec_tags(dump_spec(spec))
        tags |= {"mlflow.source.name": "drivetrain training service", "mlflow.source.type": "JOB"}
        tags |= {record.KEY_TAG: key} if key else {}
        with translated():
            run = self._client.create_run(ensure_experiment(self._client, spec.name), tags=tags)
            self._client.update_run(run.info.run_id, status="SCHEDULED")
        return self.get(run.info.run_id)

    def get(self, job_id: str) -> Job:
        """The job of this id. Raises UnknownJobError."""
        if not _JOB_ID.fullmatch(job_id):
            raise UnknownJobError(job_id)
        try:
            with translated():
                run = self._client.get_run(job_id)
        except UnknownJobError:
            raise UnknownJobError(job_id) from None
        if run.data.tags.get(record.JOB_TAG) != "1" or run.info.lifecycle_stage != "active":
            raise UnknownJobError(job_id)
        return _job(run)

    def by_key(self, key: str) -> Job | None:
        """The job that was submitted under an idempotency key."""
        found, _ = self._search(f"{_JOBS} and tags.`{record.KEY_TAG}` = '{key}'", self._experiments(), _PAGE)
        return min(found, key=lambda job: job.precedence, default=None)

    def unfinished(self) -> list[Job]:
        """Every job that is not done, oldest first: the ended ones among them have their logs still to be kept."""
        experiments, found, token = self._experiments(), dict[str, Job](), ""
        while True:
            page, token = self._search(f"tags.`{record.PHASE_TAG}` != 'done'", experiments, _PAGE, token)
            found |= {job.id: job for job in page}  # a new job shifts the pages: the next begins with one that was seen
            if not token:
                return sorted(found.values(), key=lambda job: job.submitted)

    def page(self, wanted: Filter, size: int, token: str) -> tuple[list[Job], str]:
        """At most `size` jobs, newest first, and the token of the next page; empty after the last."""
        conditions = [_JOBS]
        if wanted.states:  # in its filters MLflow knows "and" only
            statuses = {_RUN_STATUS.get(state, state) for state in wanted.states}
            conditions += [f"attributes.status != '{each}'" for each in sorted(_RUN_STATUSES - statuses)]
        if wanted.after:
            conditions.append(f"attributes.start_time >= {_milliseconds(wanted.after)}")
        if wanted.before:
            conditions.append(f"attributes.start_time < {_milliseconds(wanted.before)}")
        experiments = self._experiments(wanted.model)
        if not experiments:
            return [], ""
        kept: list[Job] = []
        while len(kept) < size:
            found, token = self._search(" and ".join(conditions), experiments, size - len(kept), token)
            kept += [job for job in found if not wanted.states or job.state in wanted.states]
            if not token:
                break
        return kept, token

    def queue_again(self, job: Job, restarts: int, reason: str) -> None:
        """Put a job that Ray had back into the queue, and say why. A cancellation that has come meanwhile stays."""
        again = {record.PHASE_TAG: "queued", RESTARTS_TAG: str(restarts), FAILURE_TAG: reason}
        self._tag(job.id, again)
        with translated():
            self._client.update_run(job.id, status="SCHEDULED")

    def resume(self, job: Job) -> None:
        """Put an ended job back into the queue; what it ended with is forgotten."""
        again = {record.PHASE_TAG: "queued", RESTARTS_TAG: "0", FAILURE_TAG: "", record.CANCEL_TAG: ""}
        self._tag(job.id, again)
        with translated():
            self._client.update_run(job.id, status="SCHEDULED")

    def start(self, job: Job, attempt: int) -> None:
        """Record that Ray is about to be given this attempt."""
        with translated():
            self._client.update_run(job.id, status="SCHEDULED")  # whatever an earlier attempt ended as
        started = job.started or datetime.now(UTC)
        self._tag(
            job.id,
            {
                record.PHASE_TAG: "started",
                record.ATTEMPT_TAG: str(attempt),
                record.STARTED_TAG: started.isoformat(timespec="milliseconds"),
            },
        )

    def request_cancel(self, job: Job) -> None:
        """Record that somebody wants the job to end."""
        self._tag(job.id, {record.CANCEL_TAG: record.CANCEL_REQUESTED})

    def end(self, job: Job, state: Literal["FAILED", "KILLED"], reason: str) -> None:
        """End the run of a job whose driver did not."""
        with translated():
            self._client.set_tag(job.id, FAILURE_TAG, reason)
            self._client.set_terminated(job.id, state)

    def close(self, job: Job, logs: Mapping[str, str], files: Sequence[Path]) -> None:
        """Keep the logs of an ended job as artifacts under `logs/`; it is done then."""
        with translated():
            for name, text in logs.items():
                self._client.log_text(job.id, text, f"logs/{name}")
            for file in files:
                self._client.log_artifact(job.id, str(file), "logs")
        self._tag(job.id, {record.PHASE_TAG: "done"})

    def check(self) -> None:
        """Raise TrackingAwayError unless MLflow answers."""
        self._experiments("Default")

    def _tag(self, job_id: str, tags: Mapping[str, str]) -> None:
        with translated():
            self._client.log_batch(job_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _search(self, condition: str, experiments: list[str], size: int, token: str = "") -> tuple[list[Job], str]:
        with translated():
            try:
                page = self._client.search_runs(
                    experiments, condition, max_results=size, order_by=["start_time DESC"], page_token=token or None
                )
            except MlflowException as error:
                if token and error.error_code == "INVALID_PARAMETER_VALUE":
                    expected = "the next_page_token of a page"
                    raise InvalidRequestError("page_token", expected, repr(token[:100])) from error
                raise
        return [_job(run) for run in page], page.token or ""

    def _experiments(self, name: str = "") -> list[str]:
        """Ids of all experiments, or of the one of this name, if it exists."""
        with translated():
            if name:
                found = self._client.get_experiment_by_name(name)
                return [found.experiment_id] if found else []
            page = self._client.search_experiments(max_results=_PAGE)
            ids = [each.experiment_id for each in page]
            while page.token:
                page = self._client.search_experiments(max_results=_PAGE, page_token=page.token)
                ids += [each.experiment_id for each in page]
        return ids


@contextmanager
def translated() -> Iterator[None]:
    """The boundary where what MLflow raises becomes an error of ours."""
    try:
        yield
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            raise UnknownJobError("") from error
        logger.warning("MLflow: %s", error.message)
        raise (TrackingAwayError if is_outage(error) else TrackingRefusedError) from error
    except OSError as error:
        raise TrackingAwayError from error


def _job(run: Run) -> Job:
    tags, info = run.data.tags, run.info
    phase = _PHASES.get(tags.get(record.PHASE_TAG, ""), "done")
    state, started = _state(phase, info.status), tags.get(record.STARTED_TAG)
    return Job(
        id=info.run_id,
        model=tags.get(record.MODEL_TAG, ""),
        state=state,
        phase=phase,
        reason=tags.get(FAILURE_TAG, ""),
        key=tags.get(record.KEY_TAG, ""),
        submitted=datetime.fromtimestamp(info.start_time / 1000, UTC),
        started=datetime.fromisoformat(started) if started else None,
        ended=datetime.fromtimestamp(info.end_time / 1000, UTC) if info.end_time and state in ENDED else None,
        attempt=int(tags.get(record.ATTEMPT_TAG) or 0),
        restarts=int(tags.get(RESTARTS_TAG) or 0),
        retries=int(tags.get(record.RETRIES_TAG) or 0),
        epochs=int(tags.get(record.EPOCHS_TAG) or 0),
        cancel_requested=tags.get(record.CANCEL_TAG) == record.CANCEL_REQUESTED,
        spec=_spec(tags),
        version=tags.get(record.VERSION_TAG, ""),
    )


def _state(phase: Phase, status: str) -> State:
    if phase == "queued":
        return "QUEUED"
    ended = next((state for state in ENDED if state == status), None)
    return ended or ("RUNNING" if status == "RUNNING" else "STARTING")


def _spec(tags: Mapping[str, str]) -> str:
    """The spec; empty where somebody altered the tags, which the job's driver will refuse."""
    try:
        return record.spec_from_tags(tags)
    except ValueError:
        return ""


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
