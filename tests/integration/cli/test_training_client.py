"""The client on connections that break, with real gRPC on both sides."""

import hashlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest

from services.cli import training_client
from services.cli.errors import AccessError, AwayError, InputError, TransientError
from services.cli.jobs import find
from services.cli.training_client import CHUNK_BYTES, TrainingClient
from services.training.pb import training_pb2 as pb
from tests.integration.cli.faulty_service import CutError, FaultyService, listening
from tests.integration.pipelines.ports import free_port

JOB = "1" * 32


def state(cursor: str, state: pb.JobState.ValueType) -> pb.JobEvent:
    return pb.JobEvent(cursor=cursor, job=pb.Job(id=JOB, state=state))


def epoch(cursor: str, number: int) -> pb.JobEvent:
    return pb.JobEvent(cursor=cursor, epoch=pb.Epoch(epoch=number))


def from_the_beginning(_: pb.WatchJobRequest) -> Iterator[pb.JobEvent]:
    yield state("a", pb.JOB_STATE_RUNNING)
    yield epoch("b", 1)
    raise CutError(grpc.StatusCode.UNAVAILABLE, "the server is stopping")


def broken(_: pb.WatchJobRequest) -> Iterator[pb.JobEvent]:
    raise CutError(grpc.StatusCode.INTERNAL)
    yield


def without_end(_: pb.WatchJobRequest) -> Iterator[pb.JobEvent]:
    yield pb.JobEvent(cursor="c", heartbeat=pb.Heartbeat())


def to_the_end(_: pb.WatchJobRequest) -> Iterator[pb.JobEvent]:
    yield epoch("d", 2)
    yield state("e", pb.JOB_STATE_FINISHED)


@pytest.fixture(autouse=True)
def _no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DRIVETRAIN_TOKEN", raising=False)
    monkeypatch.delenv("DRIVETRAIN_TOKEN_FILE", raising=False)


def test_a_watch_goes_on_after_the_last_event_and_tells_of_an_outage_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DRIVETRAIN_TOKEN", "secret")
    service, told = FaultyService([from_the_beginning, broken, without_end, to_the_end]), list[str]()
    with listening(service) as address, TrainingClient(address) as client:
        events = list(client.watch(JOB, told.append))
    assert [event.cursor for event in events] == ["a", "b", "c", "d", "e"]
    assert service.cursors == ["", "b", "b", "c"]
    assert set(service.tokens) == {"Bearer secret"}
    stopping = f"the training service at {address} could not answer: the server is stopping (UNAVAILABLE)"
    assert told == [stopping, "the watch ended before the job did"]  # the answer between them ended the first outage


def test_a_watch_outlasts_a_server_that_is_away() -> None:
    port, told = free_port(), list[str]()
    noticed = threading.Event()

    def on_outage(reason: str) -> None:
        told.append(reason)
        noticed.set()

    with TrainingClient(f"127.0.0.1:{port}") as client:
        watch = client.watch(JOB, on_outage)
        seen = list[pb.JobEvent]()
        watcher = threading.Thread(target=lambda: seen.extend(watch))
        watcher.start()
        assert noticed.wait(30)
        with listening(FaultyService([to_the_end]), port):
            watcher.join(30)
        assert not watcher.is_alive()
    assert [event.cursor for event in seen] == ["d", "e"]
    assert len(told) == 1
    assert told[0].startswith(f"no training service answers at 127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "kind"),
    [("NOT_FOUND", InputError), ("UNAUTHENTICATED", AccessError), ("PERMISSION_DENIED", AccessError)],
)
def test_a_watch_gives_up_where_waiting_cannot_help(status: str, kind: type[Exception]) -> None:
    def refuse(_: pb.WatchJobRequest) -> Iterator[pb.JobEvent]:
        raise CutError(grpc.StatusCode[status])
        yield

    with listening(FaultyService([refuse])) as address, TrainingClient(address) as client, pytest.raises(kind):
        list(client.watch(JOB))


def test_a_submission_is_tried_again_with_its_key() -> None:
    service = FaultyService(
        submit_faults=[CutError(grpc.StatusCode.UNAVAILABLE), CutError(grpc.StatusCode.UNAVAILABLE)]
    )
    with listening(service) as address, TrainingClient(address) as client:
        job, _ = client.submit("name: m", "key-1")
    assert job.id == JOB
    assert [each.idempotency_key for each in service.submissions] == ["key-1"] * 3


def test_pages_are_asked_for_as_they_are_needed() -> None:
    service = FaultyService(jobs=[pb.Job(id=f"{number:032x}") for number in range(7)])
    with listening(service) as address, TrainingClient(address) as client:
        assert [job.id for job in client.jobs(page_size=3)] == [job.id for job in service.jobs]
        assert next(client.jobs(page_size=1)).id == "0" * 32


def test_a_job_is_found_by_the_beginning_of_its_id() -> None:
    service = FaultyService(jobs=[pb.Job(id=f"{head}{'0' * 24}") for head in ("abcdef00", "abcdef11", "12345678")])
    with listening(service) as address, TrainingClient(address) as client:
        assert find(client, "123456").id.startswith("12345678")
        assert find(client, "abcdef1").id.startswith("abcdef11")
        with pytest.raises(InputError, match=r"just one, came 'abcdef', with which 2 of the last 1000 begin"):
            find(client, "abcdef")
        with pytest.raises(InputError, match=r"came 'fedcba', with which none of the last 1000 begin"):
            find(client, "fedcba")
        with pytest.raises(InputError, match="the training service refused the request: unknown job '1234'"):
            find(client, "1234")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rows.npz"
    path.write_bytes(bytes(range(256)) * (CHUNK_BYTES * 5 // 256) + b"rest")
    return path


def test_a_cut_upload_goes_on_where_it_stopped(file: Path) -> None:
    service = FaultyService(upload_cuts=[CHUNK_BYTES, 3 * CHUNK_BYTES])
    shown = list[tuple[str, int, int]]()
    with listening(service) as address, TrainingClient(address) as client:
        uploaded = client.upload(file, lambda *step: shown.append(step))
        again = client.upload(file)
    size = 5 * CHUNK_BYTES + 4
    assert bytes(service.content) == file.read_bytes()
    assert service.offsets == [0, CHUNK_BYTES, 3 * CHUNK_BYTES]
    assert uploaded.address == f"sha256:{hashlib.sha256(file.read_bytes()).hexdigest()}"
    assert (uploaded.size_bytes, uploaded.sent_bytes) == (size, size)
    assert (again.address, again.sent_bytes) == (uploaded.address, 0)
    assert ("hashing", size, size) in shown
    assert ("sending", size, size) in shown


def test_an_upload_gives_up_when_nothing_moves(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training_client, "UPLOAD_PATIENCE_S", 0.0)
    service = FaultyService(upload_cuts=[0, 0])
    service.content = bytearray(file.read_bytes())  # all is there, and its check fails again and again
    with listening(service) as address, TrainingClient(address) as client, pytest.raises(TransientError):
        client.upload(file)


def test_patience_begins_with_the_first_cut(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An upload that took long is cut, and nobody answers for the moment."""
    monkeypatch.setattr(training_client, "UPLOAD_PATIENCE_S", 0.5)
    service = FaultyService(upload_cuts=[CHUNK_BYTES])

    def take_long() -> None:
        service.on_chunk = lambda: None
        service.num_silences = 4  # gRPC itself tries that often
        time.sleep(1)

    service.on_chunk = take_long
    with listening(service) as address, TrainingClient(address) as client:
        assert client.upload(file).sent_bytes == file.stat().st_size
    assert service.offsets == [0, 0, CHUNK_BYTES]


def test_a_file_that_becomes_shorter_is_the_users(file: Path) -> None:
    service = FaultyService()

    def truncate() -> None:
        service.on_chunk = lambda: None
        with file.open("r+b") as opened:
            opened.truncate(CHUNK_BYTES // 2)

    service.on_chunk = truncate
    with (
        listening(service) as address,
        TrainingClient(address) as client,
        pytest.raises(InputError, match=r"rows\.npz' became shorter while it was sent"),
    ):
        client.upload(file)


def test_a_file_that_cannot_be_read_is_the_users(tmp_path: Path) -> None:
    with TrainingClient("127.0.0.1:1") as client, pytest.raises(InputError, match="expected a readable file, came "):
        client.upload(tmp_path)


def test_nobody_at_the_address_is_told_with_what_starts_one() -> None:
    with TrainingClient(f"127.0.0.1:{free_port()}") as client, pytest.raises(AwayError, match="make up"):
        client.status()
