import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipelines.errors import PackageError, RegistryError
from pipelines.registry.package import Package
from services.prediction import follower as module
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.errors import LoadFailedError, RegistryAwayError, UnknownModelError
from services.prediction.follower import Follower
from services.prediction.metrics import Metrics
from services.prediction.model import load
from services.prediction.repository import Repository, ServedVersion
from services.prediction.sources import Memory, NoMemory
from tests.unit.prediction.graphs import manifest, package


class Source:
    """A registry at the follower's outer edge, with the faults that a test asks for."""

    def __init__(self, **champions: str | None) -> None:
        self.aliases: dict[str, str | None] = champions
        self.fault: Exception | None = None
        self.fetch_faults: dict[str, Exception] = {}
        self.fetched: list[tuple[str, str]] = []
        self.fetching, self.may_fetch = threading.Event(), threading.Event()
        self.may_fetch.set()

    def champions(self) -> Mapping[str, str | None]:
        if self.fault is not None:
            raise self.fault
        return dict(self.aliases)

    def fetch(self, model: str, version: str, directory: Path) -> Package:
        assert directory.is_dir()
        self.fetched.append((model, version))
        self.fetching.set()
        assert self.may_fetch.wait(10)
        if version in self.fetch_faults:
            raise self.fetch_faults[version]
        return package(model, scale=float(version))


class Remembering:
    """A memory in memory, with the faults that a test asks for."""

    def __init__(self, **versions: str) -> None:
        self.versions = versions
        self.faults: dict[str, Exception] = {}
        self.recalled: list[tuple[str, str]] = []

    def remembered(self) -> Mapping[str, str]:
        return dict(self.versions)

    def recall(self, model: str, version: str) -> Package:
        self.recalled.append((model, version))
        if model in self.faults:
            raise self.faults[model]
        return package(model, scale=float(version))

    def remember(self, model: str, version: str) -> None:
        self.versions[model] = version

    def forget(self, model: str) -> None:
        self.versions.pop(model, None)


def follow(source: Source, poll_interval_s: float = 60.0, memory: Memory | None = None) -> tuple[Follower, Repository]:
    metrics, repository = Metrics(), Repository()

    def load_version(name: str, version: str, fetched: Package) -> ServedVersion:
        counts = metrics.of_version(name, version)
        batcher = Batcher(load(name, version, fetched, 1, 4), counts, Budget(2**20), 4, 4)
        return ServedVersion(name, version, manifest(name), batcher, counts)

    return Follower(source, memory or NoMemory(), repository, load_version, metrics, poll_interval_s), repository


async def eventually(condition: Callable[[], bool], within_s: float = 10) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - the repository has no event to wait for
            await asyncio.sleep(0.001)


def index(repository: Repository) -> list[tuple[str, str, str]]:
    return [(row.name, row.version, row.state) for row in repository.index()]


async def test_champions_are_fetched_once_and_swapped_when_they_change() -> None:
    source = Source(digits="1", wine="4", idle=None)
    follower, repository = follow(source)
    assert not follower.synced.is_set()
    for _ in range(3):
        await follower.sync()
    assert follower.synced.is_set()
    assert sorted(source.fetched) == [("digits", "1"), ("wine", "4")]
    source.aliases["digits"] = "2"
    await follower.sync()
    assert index(repository) == [
        ("digits", "2", "READY"),
        ("idle", "", "UNAVAILABLE"),
        ("wine", "4", "READY"),
    ]


async def test_a_refused_version_waits_longer_each_time_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(digits="1")
    follower, repository = follow(source, poll_interval_s=1e-6)
    await follower.sync()
    source.fetch_faults["2"] = PackageError("model.onnx was altered")
    source.aliases["digits"] = "2"
    for _ in range(4):
        await follower.sync()
    assert source.fetched.count(("digits", "2")) > 1
    assert index(repository) == [("digits", "1", "READY"), ("digits", "2", "UNAVAILABLE")]
    assert sum("was refused" in record.getMessage() for record in caplog.records) == 1


async def test_a_refused_version_is_not_tried_before_its_time_except_by_refresh() -> None:
    source = Source(digits="1")
    source.fetch_faults["1"] = RegistryError("cannot download")
    follower, repository = follow(source)
    await follower.sync()
    await follower.sync()
    assert source.fetched == [("digits", "1")]
    assert follower.synced.is_set(), "a champion that was refused does not keep the server from being ready"
    with pytest.raises(LoadFailedError, match="cannot download"):
        await follower.refresh("digits")
    source.fetch_faults.clear()
    await follower.refresh("digits")
    assert index(repository) == [("digits", "1", "READY")]


async def test_an_older_answer_of_the_registry_never_undoes_a_newer() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    source.may_fetch.clear()
    first = asyncio.create_task(follower.sync())
    assert await asyncio.to_thread(source.fetching.wait, 10)
    waiting = [asyncio.create_task(follower.sync()), asyncio.create_task(follower.refresh("digits"))]
    source.aliases["digits"] = "2"
    source.may_fetch.set()
    await asyncio.gather(first, *waiting)
    assert index(repository) == [("digits", "2", "READY")]
    assert source.fetched == [("digits", "1"), ("digits", "2")]


async def test_an_unreachable_registry_is_told_once_and_its_return_too(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = Source(digits="1")
    source.fault = RegistryError("connection refused")
    follower, repository = follow(source)
    for _ in range(3):
        with pytest.raises(RegistryAwayError):
            await follower.sync()
    assert not follower.synced.is_set()
    source.fault = None
    await follower.sync()
    assert index(repository) == [("digits", "1", "READY")]
    messages = [record.getMessage() for record in caplog.records if "registry" in record.getMessage()]
    assert len(messages) == 2
    assert "connection refused" in messages[0]
    assert messages[1] == "the registry can be reached again"


async def test_a_bug_while_loading_is_a_refusal_and_following_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(digits="1", wine="1")
    follower, repository = follow(source, poll_interval_s=0.001)
    source.fetch_faults["1"] = KeyError("a bug")
    running = asyncio.create_task(follower.run())
    await asyncio.wait_for(follower.synced.wait(), 10)
    assert {row.reason for row in repository.index()} == {"an unexpected error, see the server's log"}
    assert any(record.exc_info for record in caplog.records)
    source.aliases = dict.fromkeys(source.aliases, "2")
    await eventually(lambda: index(repository) == [("digits", "2", "READY"), ("wine", "2", "READY")])
    running.cancel()
    await asyncio.wait({running})


async def test_retired_and_forgotten() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    await follower.sync()
    source.aliases["digits"] = None
    await follower.sync()
    assert index(repository) == [("digits", "", "UNAVAILABLE")]
    with pytest.raises(LoadFailedError, match=module.NO_CHAMPION):
        await follower.refresh("digits")
    source.aliases.clear()
    await follower.sync()
    assert index(repository) == []
    with pytest.raises(UnknownModelError):
        await follower.refresh("digits")


@asynccontextmanager
async def running(follower: Follower) -> AsyncIterator[None]:
    task = asyncio.create_task(follower.run())
    try:
        await asyncio.wait_for(follower.synced.wait(), 20)
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


async def test_what_serves_is_remembered_and_forgotten_with_its_alias() -> None:
    source, memory = Source(digits="1", wine="4", idle=None), Remembering(idle="2")
    follower, _ = follow(source, memory=memory)
    await follower.sync()
    assert memory.versions == {"digits": "1", "wine": "4"}
    source.fetch_faults["2"] = PackageError("model.onnx was altered")
    source.aliases |= {"digits": "2", "wine": None}
    await follower.sync()
    assert memory.versions == {"digits": "1"}, "a refused version does not serve"
    del source.aliases["digits"]
    await follower.sync()
    assert memory.versions == {}


async def test_a_start_without_the_registry_serves_what_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    source, memory = Source(digits="2", wine="4"), Remembering(digits="1", iris="3", wine="4")
    source.fault = RegistryError("connection refused")
    memory.faults["iris"] = PackageError("not held")
    follower, repository = follow(source, poll_interval_s=0.01, memory=memory)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY"), ("iris", "3", "UNAVAILABLE"), ("wine", "4", "READY")]
        assert source.fetched == []
        assert any("taken out of the cache" in record.getMessage() for record in caplog.records)
        source.fault = None
        await eventually(lambda: index(repository) == [("digits", "2", "READY"), ("wine", "4", "READY")])
    assert source.fetched == [("digits", "2")], "what was recalled and is champion needs no download"
    assert sorted(memory.recalled) == [("digits", "1"), ("iris", "3"), ("wine", "4")]


async def test_nothing_is_recalled_while_the_registry_answers_and_the_deleted_is_forgotten() -> None:
    source, memory = Source(digits="2"), Remembering(digits="1", deleted="7")
    follower, repository = follow(source, memory=memory)
    async with running(follower):
        assert index(repository) == [("digits", "2", "READY")]
    assert memory.recalled == []
    assert memory.versions == {"digits": "2"}


async def test_a_registry_that_hangs_delays_the_start_by_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Source):
        def champions(self) -> Mapping[str, str | None]:
            assert self.answers.wait(20)
            return super().champions()

        answers = threading.Event()

    monkeypatch.setattr(module, "FIRST_ANSWER_S", 0.05)
    source, memory = Hanging(digits="2"), Remembering(digits="1")
    follower, repository = follow(source, poll_interval_s=0.01, memory=memory)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY")]
        source.answers.set()
        await eventually(lambda: index(repository) == [("digits", "2", "READY")])


async def test_a_bug_while_recalling_is_logged_and_following_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    source, memory = Source(digits="1", wine="4"), Remembering(digits="1", wine="4")
    source.fault = RegistryError("connection refused")
    memory.faults["wine"] = KeyError("a bug")
    follower, repository = follow(source, poll_interval_s=0.01, memory=memory)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY"), ("wine", "4", "UNAVAILABLE")]
        assert any(record.exc_info for record in caplog.records)
        source.fault = None
        await eventually(lambda: index(repository) == [("digits", "1", "READY"), ("wine", "4", "READY")])


async def test_without_a_memory_a_server_waits_for_the_registry() -> None:
    memory = NoMemory()
    assert memory.remembered() == {}
    with pytest.raises(PackageError, match="not remembered"):
        memory.recall("digits", "1")
