import asyncio
import hashlib
import os
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.rpc.errors import (
    ConflictError,
    ExhaustedError,
    InvalidRequestError,
    InvalidSettingsError,
    PreconditionError,
)
from services.training.datasets import BLOCK_BYTES, STALE_S, Announcement, Dataset, DatasetStore

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()
WHOLE = Announcement(SHA256, len(CONTENT), 0)


@pytest.fixture
def store(tmp_path: Path) -> DatasetStore:
    store = DatasetStore(tmp_path / "datasets", max_bytes=64 * 2**20)
    store.prepare()
    return store


def files(store: DatasetStore) -> dict[str, int]:
    """Size by name of everything in the store."""
    return {path.name: path.stat().st_size for path in store.path(SHA256).parent.iterdir()}


async def chunks(content: bytes, size: int = 1000) -> AsyncIterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


async def unread() -> AsyncIterator[bytes]:
    raise AssertionError("nobody asks for these chunks")
    yield b""


class Stream:
    """Chunks of a client that stays connected; `get` says that all of them were taken."""

    def __init__(self, *first: bytes) -> None:
        self._queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.waits = asyncio.Event()
        for chunk in first:
            self._queue.put_nowait(chunk)

    def send(self, chunk: bytes | None) -> None:
        self._queue.put_nowait(chunk)

    async def chunks(self) -> AsyncIterator[bytes]:
        while True:
            if self._queue.empty():
                self.waits.set()
            chunk = await self._queue.get()
            if chunk is None:
                return
            yield chunk


async def test_content_is_stored_under_its_hash(store: DatasetStore) -> None:
    assert store.held(SHA256) == Dataset(SHA256, 0, complete=False)
    assert await store.receive(WHOLE, chunks(CONTENT)) == Dataset(SHA256, len(CONTENT), complete=True)
    assert store.held(SHA256).address == f"sha256:{SHA256}"
    assert store.exists(SHA256)
    assert store.path(SHA256).read_bytes() == CONTENT
    assert files(store) == {SHA256: len(CONTENT)}


async def test_content_that_is_there_is_answered_without_reading(store: DatasetStore) -> None:
    first = await store.receive(WHOLE, chunks(CONTENT))
    assert await store.receive(Announcement(SHA256, 5, 3), unread()) == first


@pytest.mark.parametrize("sha256", ["", "a" * 63, "A" * 64, "g" * 64, "../" + "a" * 61, "a" * 64 + "\n"])
async def test_anything_but_a_hash_is_refused(store: DatasetStore, sha256: str) -> None:
    with pytest.raises(InvalidRequestError, match="64 hexadecimal digits"):
        await store.receive(Announcement(sha256, 1, 0), unread())
    with pytest.raises(InvalidRequestError):
        store.held(sha256)
    with pytest.raises(InvalidRequestError):
        store.exists(sha256)


@pytest.mark.parametrize(
    ("size_bytes", "offset", "error", "text"),
    [
        (0, 0, InvalidRequestError, "size_bytes: expected at least 1, came 0"),
        (-5, 0, InvalidRequestError, "size_bytes: expected at least 1, came -5"),
        (10, -1, InvalidRequestError, "offset: expected 0 to size_bytes, 10, came -1"),
        (10, 11, InvalidRequestError, "offset: expected 0 to size_bytes, 10, came 11"),
        (64 * 2**20 + 1, 0, ExhaustedError, "an upload may have 67108864 bytes, came 67108865"),
        (10, 4, PreconditionError, "offset: expected 0, the bytes held of this content, came 4"),
    ],
)
async def test_wrong_announcements(
    store: DatasetStore, size_bytes: int, offset: int, error: type[Exception], text: str
) -> None:
    with pytest.raises(error, match=text):
        await store.receive(Announcement(SHA256, size_bytes, offset), unread())


async def test_more_than_announced_is_refused_and_the_rest_kept(store: DatasetStore) -> None:
    with pytest.raises(InvalidRequestError, match="chunk: expected 2500 bytes in all, as announced, came more"):
        await store.receive(Announcement(SHA256, 2500, 0), chunks(CONTENT))
    assert store.held(SHA256) == Dataset(SHA256, 2000, complete=False)


async def test_other_content_is_thrown_away(store: DatasetStore) -> None:
    other = CONTENT[::-1]
    with pytest.raises(InvalidRequestError) as refusal:
        await store.receive(WHOLE, chunks(other))
    assert refusal.value.expected == f"content of SHA-256 {SHA256}"
    assert refusal.value.came == hashlib.sha256(other).hexdigest()
    assert files(store) == {}


async def test_an_upload_that_ends_early_goes_on_where_it_stopped(store: DatasetStore) -> None:
    held = await store.receive(WHOLE, chunks(CONTENT[:3000]))
    assert held == Dataset(SHA256, 3000, complete=False) == store.held(SHA256)
    with pytest.raises(PreconditionError, match="offset: expected 3000"):
        await store.receive(WHOLE, unread())
    assert (await store.receive(Announcement(SHA256, len(CONTENT), 3000), chunks(CONTENT[3000:]))).complete
    assert store.path(SHA256).read_bytes() == CONTENT


async def test_a_whole_part_needs_no_chunk(store: DatasetStore) -> None:
    (store.path(SHA256).parent / f"{SHA256}.part").write_bytes(CONTENT)
    assert (await store.receive(Announcement(SHA256, len(CONTENT), len(CONTENT)), chunks(b""))).complete


async def test_a_cut_upload_keeps_what_came(store: DatasetStore) -> None:
    stream = Stream(CONTENT[:1000], CONTENT[1000:1500])
    upload = asyncio.create_task(store.receive(WHOLE, stream.chunks()))
    await asyncio.wait_for(stream.waits.wait(), 10)
    upload.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert store.held(SHA256) == Dataset(SHA256, 1500, complete=False)
    assert (await store.receive(Announcement(SHA256, len(CONTENT), 1500), chunks(CONTENT[1500:]))).complete


async def test_cancelled_at_any_step_the_part_is_a_prefix_and_free(store: DatasetStore) -> None:
    content = os.urandom(3 * BLOCK_BYTES)
    announced = hashlib.sha256(content).hexdigest()
    for steps in range(0, 40, 3):
        offset = store.held(announced).received_bytes
        rest = chunks(content[offset:], BLOCK_BYTES // 2)
        upload = asyncio.create_task(store.receive(Announcement(announced, len(content), offset), rest))
        for _ in range(steps):
            await asyncio.sleep(0)
        upload.cancel()
        await asyncio.wait({upload})
        if store.exists(announced):
            break
        part = store.path(announced).with_name(f"{announced}.part")
        assert not part.exists() or content.startswith(part.read_bytes())
    offset = store.held(announced).received_bytes
    rest = chunks(content[offset:], 2**20)
    assert (await store.receive(Announcement(announced, len(content), offset), rest)).complete


async def test_the_same_content_twice_at_a_time_is_a_conflict(store: DatasetStore) -> None:
    stream = Stream(CONTENT[:1000])
    first = asyncio.create_task(store.receive(WHOLE, stream.chunks()))
    await asyncio.wait_for(stream.waits.wait(), 10)
    with pytest.raises(ConflictError, match="being uploaded just now"):
        await store.receive(WHOLE, unread())
    other = b"something else"
    announced = Announcement(hashlib.sha256(other).hexdigest(), len(other), 0)
    assert (await store.receive(announced, chunks(other))).complete
    stream.send(CONTENT[1000:])
    stream.send(None)
    assert (await first).complete


async def test_many_uploads_of_one_content_give_it_once(store: DatasetStore) -> None:
    outcomes = await asyncio.gather(*(store.receive(WHOLE, chunks(CONTENT)) for _ in range(50)), return_exceptions=True)
    refused = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
    assert all(isinstance(refusal, ConflictError | PreconditionError) for refusal in refused)
    assert len(refused) < 50
    assert {SHA256: len(CONTENT)} == files(store)


@contextmanager
def largest_file(size_bytes: int) -> Iterator[None]:
    """The system takes no byte beyond that in any file, as a full disk would."""
    before, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, hard))


async def test_a_full_disk_is_told_and_what_came_is_kept(store: DatasetStore) -> None:
    content = os.urandom(2 * BLOCK_BYTES)
    sha256, fits = hashlib.sha256(content).hexdigest(), BLOCK_BYTES + 5000
    with largest_file(fits), pytest.raises(ExhaustedError, match="disk of the datasets is full"):
        await store.receive(Announcement(sha256, len(content), 0), chunks(content, 2**20))
    assert store.held(sha256) == Dataset(sha256, fits, complete=False)
    assert (await store.receive(Announcement(sha256, len(content), fits), chunks(content[fits:], 2**20))).complete


async def test_the_loop_is_free_while_a_large_upload_comes(store: DatasetStore) -> None:
    content = os.urandom(64 * 2**20)
    announced = Announcement(hashlib.sha256(content).hexdigest(), len(content), 0)
    upload = asyncio.create_task(store.receive(announced, chunks(content, 2**20)))
    longest_s, last_s = 0.0, time.monotonic()
    while not upload.done():
        await asyncio.sleep(0.001)
        longest_s, last_s = max(longest_s, time.monotonic() - last_s), time.monotonic()
    assert upload.result().complete
    assert longest_s < 0.5


def test_stale_parts_are_given_up(store: DatasetStore) -> None:
    folder = store.path(SHA256).parent
    for name, age_s in [
        ("a" * 64 + ".part", STALE_S + 60),
        ("b" * 64 + ".part", STALE_S - 60),
        ("c" * 64, 2 * STALE_S),
    ]:
        (folder / name).write_bytes(b"x")
        os.utime(folder / name, (time.time() - age_s,) * 2)
    store.prepare()
    assert set(files(store)) == {"b" * 64 + ".part", "c" * 64}


def test_a_folder_that_cannot_be_made_is_a_wrong_setting(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InvalidSettingsError, match="datasets: expected a writable folder"):
        DatasetStore(tmp_path / "file" / "datasets", 1).prepare()
