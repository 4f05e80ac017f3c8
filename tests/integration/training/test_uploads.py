"""Uploads to the real service: 200 MB that are cut in the middle, and content that is there already."""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import numpy as np
import pytest

from services.cli.training_client import TrainingClient
from services.training.pb import training_pb2 as pb
from tests.integration.training.ray_head import RayHead
from tests.integration.training.service import Training, training
from tests.waiting import eventually_async

pytestmark = pytest.mark.slow

SIZE = 200 * 2**20
CHUNK = 2**20


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """200 MiB of noise."""
    path = tmp_path_factory.mktemp("large") / "rows.bin"
    path.write_bytes(np.random.default_rng(0).bytes(SIZE))
    return path


async def test_a_cut_upload_goes_on_where_it_stopped(cluster: RayHead, large: Path) -> None:
    content = await asyncio.to_thread(large.read_bytes)
    sha256 = hashlib.sha256(content).hexdigest()
    async with training(cluster.dashboard) as it:
        await cut_upload(it, content, sha256)
        held = (await it.stub.GetDataset(pb.GetDatasetRequest(sha256=sha256))).received_bytes
        assert SIZE // 4 < held < SIZE
        sent: list[int] = []
        uploaded = await asyncio.to_thread(upload, it, large, sent)
        assert uploaded == f"sha256:{sha256}"
        assert min(sent) >= held  # nothing is sent again
        stored = cluster.home / "datasets" / sha256
        assert hashlib.sha256(await asyncio.to_thread(stored.read_bytes)).hexdigest() == sha256
        sent.clear()
        assert await asyncio.to_thread(upload, it, large, sent) == uploaded
        assert not sent
        assert [path.name for path in stored.parent.iterdir()].count(sha256) == 1


async def cut_upload(it: Training, content: bytes, sha256: str) -> None:
    """Send a good third of it, then vanish."""

    async def messages() -> AsyncIterator[pb.UploadDatasetRequest]:
        yield pb.UploadDatasetRequest(header=pb.UploadHeader(sha256=sha256, size_bytes=SIZE))
        for start in range(0, SIZE * 2 // 5, CHUNK):
            yield pb.UploadDatasetRequest(chunk=content[start : start + CHUNK])
        await asyncio.sleep(30)  # the rest does not come: the caller cancels

    call = it.stub.UploadDataset(messages())

    async def has_come() -> bool:
        held = await it.stub.GetDataset(pb.GetDatasetRequest(sha256=sha256))
        return held.received_bytes > SIZE // 4

    await eventually_async(has_come)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


def upload(it: Training, path: Path, sent: list[int]) -> str:
    """The client's own upload; `sent` gets the place of each chunk that it sends. Returns the address."""

    def note(what: str, done: int, _total: int) -> None:
        if what == "sending":
            sent.append(done)

    started = time.monotonic()
    with TrainingClient(f"127.0.0.1:{it.server.port}") as client:
        address = client.upload(path, note).address
    print(f"uploaded in {time.monotonic() - started:.1f} s")
    return address


async def test_an_upload_that_is_too_large_is_refused(cluster: RayHead, large: Path) -> None:
    async with training(cluster.dashboard, max_upload_bytes=1000) as it:
        header = pb.UploadHeader(sha256="b" * 64, size_bytes=SIZE)

        async def messages() -> AsyncIterator[pb.UploadDatasetRequest]:
            yield pb.UploadDatasetRequest(header=header)

        with pytest.raises(grpc.aio.AioRpcError) as refusal:
            await it.stub.UploadDataset(messages())
        assert refusal.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1000" in str(refusal.value.details())
