"""Wrong calls of the training service, with the status and the words that each gets."""

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import pytest

from services.rpc import logs
from services.training.pb import training_pb2 as pb
from tests.integration.training.ray_head import RayHead
from tests.integration.training.service import Training, spec, training

Code = grpc.StatusCode
UNKNOWN = "0" * 32
Call = Callable[[Training], Awaitable[object]]


def submit(text: str, key: str = "") -> Call:
    return lambda it: it.submit(text, key)


def upload(*parts: pb.UploadDatasetRequest) -> Call:
    async def messages() -> AsyncIterator[pb.UploadDatasetRequest]:
        for part in parts:
            yield part

    return lambda it: it.stub.UploadDataset(messages())


def header(sha256: str, size_bytes: int = 3, offset: int = 0) -> pb.UploadDatasetRequest:
    return pb.UploadDatasetRequest(header=pb.UploadHeader(sha256=sha256, size_bytes=size_bytes, offset=offset))


def csv(path: str) -> str:
    return spec(data={"source": "csv", "path": path})


WRONG: dict[str, tuple[Call, grpc.StatusCode, str]] = {
    "a spec that is no YAML": (submit("a: b: c"), Code.INVALID_ARGUMENT, "spec: expected valid YAML"),
    "a misspelt key": (
        submit(spec(training={"epoch": 3})),
        Code.INVALID_ARGUMENT,
        "training.epoch: expected 'epochs' (the nearest known key), came 'epoch'",
    ),
    "a path of the caller's machine": (
        submit(csv("rows.csv")),
        Code.INVALID_ARGUMENT,
        "data.path: expected content that was uploaded, as sha256:HEX (drivetrain upload FILE), came 'rows.csv'",
    ),
    "content that was never uploaded": (
        submit(csv(f"sha256:{'a' * 64}")),
        Code.INVALID_ARGUMENT,
        "data.path: expected content that was uploaded (drivetrain upload FILE)",
    ),
    "an address that the operator has not opened": (
        submit(csv("s3://bucket/rows.csv")),
        Code.INVALID_ARGUMENT,
        "data.path: expected uploaded content as sha256:HEX, came 's3://bucket/rows.csv'",
    ),
    "more than the cluster has": (
        submit(spec(compute={"workers": 64})),
        Code.FAILED_PRECONDITION,
        "compute: asks for 64 × (1 CPU), and 0.01 CPU for the driver; the Ray cluster has 1 × (2 CPU, 0 GPU)",
    ),
    "a wrong idempotency key": (
        submit(spec(), "two words"),
        Code.INVALID_ARGUMENT,
        "idempotency_key: expected up to 128 letters, digits, '.', '_' and '-', came 'two words'",
    ),
    "an unknown job": (
        lambda it: it.get(UNKNOWN),
        Code.NOT_FOUND,
        f"unknown job '{UNKNOWN}'",
    ),
    "an id that is none": (lambda it: it.get("../etc"), Code.NOT_FOUND, "unknown job '../etc'"),
    "watching an unknown job": (lambda it: it.events(UNKNOWN), Code.NOT_FOUND, f"unknown job '{UNKNOWN}'"),
    "cancelling an unknown job": (
        lambda it: it.stub.CancelJob(pb.CancelJobRequest(job_id=UNKNOWN)),
        Code.NOT_FOUND,
        f"unknown job '{UNKNOWN}'",
    ),
    "a page that is too large": (
        lambda it: it.stub.ListJobs(pb.ListJobsRequest(page_size=5000)),
        Code.INVALID_ARGUMENT,
        "page_size: expected 0 to 1000, came 5000",
    ),
    "a page that there is not": (
        lambda it: it.stub.ListJobs(pb.ListJobsRequest(page_token="nonsense")),
        Code.INVALID_ARGUMENT,
        "page_token: expected the next_page_token of a page, came 'nonsense'",
    ),
    "a state that is none": (
        lambda it: it.stub.ListJobs(pb.ListJobsRequest(states=[pb.JOB_STATE_UNSPECIFIED])),
        Code.INVALID_ARGUMENT,
        "states: expected any of QUEUED, STARTING, RUNNING, FINISHED, FAILED, KILLED, came 0",
    ),
    "an upload without a header": (
        upload(pb.UploadDatasetRequest(chunk=b"abc")),
        Code.INVALID_ARGUMENT,
        "part: expected a header in the first message, came chunk",
    ),
    "an upload under no hash": (
        upload(header("abc")),
        Code.INVALID_ARGUMENT,
        "sha256: expected 64 hexadecimal digits, lower case, came 'abc'",
    ),
    "an upload that is too large": (upload(header("a" * 64, 2**50)), Code.RESOURCE_EXHAUSTED, "1125899906842624"),
    "content that is not what its hash says": (
        upload(header("a" * 64), pb.UploadDatasetRequest(chunk=b"abc")),
        Code.INVALID_ARGUMENT,
        "sha256",
    ),
}


@pytest.mark.parametrize("case", WRONG)
async def test_a_wrong_call_is_told_what_is_wrong(cluster: RayHead, case: str) -> None:
    call, code, words = WRONG[case]
    async with training(cluster.dashboard) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await call(it)
    assert refusal.value.code() is code
    assert words in str(refusal.value.details())


async def test_a_wrong_cursor(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.events(UNKNOWN, "nonsense")
    assert refusal.value.code() is Code.INVALID_ARGUMENT
    assert "cursor: expected the cursor of an event, or nothing, came 'nonsense'" in str(refusal.value.details())


async def test_validation_lists_every_mistake_and_starts_nothing(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        text = spec(name="validated", seed=-1, training={"epochs": 0})
        wrong = await it.stub.ValidateSpec(pb.ValidateSpecRequest(spec=text))
        assert {each.path for each in wrong.mismatches} == {"seed", "training.epochs"}
        right = await it.stub.ValidateSpec(pb.ValidateSpecRequest(spec=spec(name="validated")))
        assert not right.mismatches
        assert "batch_size" in right.complete_spec
        assert not (await it.stub.ListJobs(pb.ListJobsRequest(model="validated"))).jobs


async def test_a_refusal_is_logged_under_the_id_of_its_request(
    cluster: RayHead, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRIVETRAIN_LOG_FORMAT", "json")
    with logging_restored():
        logs.configure()
        async with training(cluster.dashboard) as it:
            with pytest.raises(grpc.aio.AioRpcError):
                await it.stub.GetJob(pb.GetJobRequest(job_id=UNKNOWN), metadata=[("x-request-id", "4711")])
    told = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    [refusal] = [each for each in told if "NOT_FOUND" in each["message"]]
    assert refusal["request_id"] == "4711"


@contextmanager
def logging_restored() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level


async def test_without_its_token_a_call_is_refused(cluster: RayHead, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("read looker\nsubmit doer\n")
    async with training(cluster.dashboard, tokens_file=tokens) as it:
        calls: list[Call] = [
            lambda it: it.get(UNKNOWN),
            submit(spec()),
            lambda it: it.events(UNKNOWN),
            upload(header("a" * 64)),
        ]
        for call in calls:  # one of each kind: unary, with a stream of answers, with a stream of requests
            with pytest.raises(grpc.aio.AioRpcError) as refusal:
                await call(it)
            assert refusal.value.code() is Code.UNAUTHENTICATED
        looker = [("authorization", "Bearer looker")]
        with pytest.raises(grpc.aio.AioRpcError) as denied:
            await it.stub.SubmitTraining(pb.SubmitTrainingRequest(spec=spec()), metadata=looker)
        assert denied.value.code() is Code.PERMISSION_DENIED
        status = await it.stub.GetStatus(pb.GetStatusRequest(), metadata=looker)
        assert list(status.rights) == ["read"]


async def test_the_status_names_what_is_there(cluster: RayHead) -> None:
    async with training(cluster.dashboard) as it:
        status = await it.stub.GetStatus(pb.GetStatusRequest())
        assert (status.mlflow.ok, status.ray.ok) == (True, True)
        assert [node.cpus for node in status.nodes] == [2]
        assert list(status.rights) == ["read", "submit"]


async def test_with_ray_away_the_service_says_so(cluster: RayHead) -> None:
    async with training("http://127.0.0.1:9") as it:
        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.submit(spec())
        assert refusal.value.code() is Code.UNAVAILABLE
        assert refusal.value.details() == "the Ray cluster cannot be reached"
        status = await it.stub.GetStatus(pb.GetStatusRequest())
        assert (status.mlflow.ok, status.ray.ok) == (True, False)


async def test_addresses_below_the_operators_prefix_are_taken(cluster: RayHead) -> None:
    async with training(cluster.dashboard, data_prefix="s3://bucket/open/") as it:

        async def wrong(address: str) -> list[str]:
            validated = await it.stub.ValidateSpec(pb.ValidateSpecRequest(spec=csv(address)))
            return [mismatch.path for mismatch in validated.mismatches]

        assert await wrong("s3://bucket/open/rows/*.csv") == []
        assert await wrong("drivetrain:penguins.csv") == []
        closed = [
            "s3://bucket/openly.csv",
            "s3://bucket/open/../rows.csv",
            "s3://bucket/open/%2e%2E/rows.csv",
            "s3://bucket/open/a/.%252e/%252e./rows.csv",
            "s3://bucket/open/..\\rows.csv",
            "s3://bucket/open/a%3A:s3://other/b",
            "s3://bucket/open/a::s3://other/b",
            "file:///x",
        ]
        for address in closed:
            assert await wrong(address) == ["data.path"], address
