import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest
from prometheus_client import generate_latest

from pipelines.errors import PackageError, RegistryError
from pipelines.registry.package import Package
from pipelines.registry.promotion import Promotion
from pipelines.registry.traffic import Registered, rule_of
from services.prediction import follower as module
from services.prediction import looks
from services.prediction.batcher import Batcher
from services.prediction.budget import Budget
from services.prediction.entry import EVICTED, NO_CHAMPION, ServedVersion
from services.prediction.errors import (
    LoadFailedError,
    ModelNotReadyError,
    RegistryAwayError,
    UnknownModelError,
    UnknownVersionError,
)
from services.prediction.eviction import estimated_bytes
from services.prediction.follower import Follower
from services.prediction.loading import Loading
from services.prediction.metrics import Metrics
from services.prediction.model import load
from services.prediction.repository import Repository
from services.rpc.errors import InvalidRequestError
from tests.unit.prediction.graphs import manifest, package

Named = Mapping[str, str]


class Source:
    """A registry and a memory at the follower's outer edge, with the faults that a test asks for.

    A model is given by its champion, or by all of its aliases.
    """

    def __init__(self, **models: str | Named | None) -> None:
        self.registered: dict[str, Named] = {}
        self.name(**models)
        self.fault: Exception | None = None
        self.fetch_faults: dict[str, Exception] = {}
        self.fetched: list[tuple[str, str]] = []
        self.fetching, self.may_fetch = threading.Event(), threading.Event()
        self.may_fetch.set()
        self.num_looks = 0
        self.tags: dict[str, dict[str, str]] = {}
        self.memory: dict[str, Named] = {}
        self.recall_faults: dict[str, Exception] = {}
        self.recalled: list[tuple[str, str]] = []

    def name(self, **models: str | Named | None) -> None:
        """Move aliases: `None` takes the champion's away."""
        for model, named in models.items():
            self.registered[model] = {"champion": named} if isinstance(named, str) else named or {}

    def models(self) -> Mapping[str, Registered]:
        self.num_looks += 1
        if self.fault is not None:
            raise self.fault
        return {model: Registered(named, rule_of(self.tags.get(model, {}))) for model, named in self.registered.items()}

    def is_registered(self, model: str) -> bool:
        return model in self.registered

    def promotion(self, model: str, version: str) -> Promotion:
        if self.fault is not None:
            raise self.fault
        assert model in self.registered
        return Promotion(version, "ann", "2026-11-25T00:30Z")

    def fetch(self, model: str, version: str) -> Package:
        self.fetched.append((model, version))
        self.fetching.set()
        assert self.may_fetch.wait(10)
        if version in self.fetch_faults:
            raise self.fetch_faults[version]
        return package(model, scale=float(version))

    def remembered(self) -> Mapping[str, Named]:
        return dict(self.memory)

    def recall(self, model: str, version: str) -> Package:
        self.recalled.append((model, version))
        if model in self.recall_faults:
            raise self.recall_faults[model]
        return package(model, scale=float(version))

    def remember(self, model: str, aliases: Named) -> None:
        self.memory[model] = aliases

    def forget(self, model: str) -> None:
        self.memory.pop(model, None)

    def remembering(self, **champions: str) -> "Source":
        """This source, with a memory of these champions."""
        self.memory = {model: {"champion": version} for model, version in champions.items()}
        return self


def follow(
    source: Source, poll_interval_s: float = 60.0, models: str = "*", memory_max_bytes: int = 0
) -> tuple[Follower, Repository]:
    metrics, repository = Metrics(), Repository()

    def load_version(name: str, version: str, fetched: Package) -> ServedVersion:
        counts = metrics.of_version(name, version)
        batcher = Batcher(load(name, version, fetched, 1, 4), counts, Budget(2**20), 4, 4)
        return ServedVersion(name, version, manifest(name), batcher, counts, estimated_bytes(len(fetched.model)))

    loading = Loading(repository, load_version, metrics, poll_interval_s, memory_max_bytes)
    return Follower(source, repository, loading, metrics, poll_interval_s, models), repository


async def eventually(condition: Callable[[], bool], within_s: float = 60) -> None:
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
    source.name(digits="2")
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
    source.name(digits="2")
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
        await follower.load("digits")
    source.fetch_faults.clear()
    await follower.load("digits")
    assert index(repository) == [("digits", "1", "READY")]


async def test_an_older_answer_of_the_registry_never_undoes_a_newer() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    source.may_fetch.clear()
    first = asyncio.create_task(follower.sync())
    assert await asyncio.to_thread(source.fetching.wait, 10)
    waiting = [asyncio.create_task(follower.sync()), asyncio.create_task(follower.load("digits"))]
    source.name(digits="2")
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
    source.name(digits="2", wine="2")
    await eventually(lambda: index(repository) == [("digits", "2", "READY"), ("wine", "2", "READY")])
    running.cancel()
    await asyncio.wait({running})


async def test_retired_and_forgotten() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    await follower.sync()
    source.name(digits=None)
    await follower.sync()
    assert index(repository) == [("digits", "", "UNAVAILABLE")]
    with pytest.raises(LoadFailedError, match=NO_CHAMPION):
        await follower.load("digits")
    source.registered.clear()
    await follower.sync()
    assert index(repository) == []
    with pytest.raises(UnknownModelError):
        await follower.load("digits")


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
    source = Source(digits="1", wine="4", idle=None).remembering(idle="2")
    follower, _ = follow(source)
    await follower.sync()
    assert source.memory == {"digits": {"champion": "1"}, "wine": {"champion": "4"}}
    source.fetch_faults["2"] = PackageError("model.onnx was altered")
    source.name(digits="2", wine=None)
    await follower.sync()
    assert source.memory == {"digits": {"champion": "1"}}, "a refused version does not serve"
    del source.registered["digits"]
    await follower.sync()
    assert source.memory == {}


async def test_a_start_without_the_registry_serves_what_is_remembered(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(digits="2", wine="4").remembering(digits="1", iris="3", wine="4")
    source.fault = RegistryError("connection refused")
    source.recall_faults["iris"] = PackageError("not held")
    follower, repository = follow(source, poll_interval_s=0.01)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY"), ("iris", "3", "UNAVAILABLE"), ("wine", "4", "READY")]
        assert source.fetched == []
        assert any("taken out of the cache" in record.getMessage() for record in caplog.records)
        source.fault = None
        await eventually(lambda: index(repository) == [("digits", "2", "READY"), ("wine", "4", "READY")])
    assert source.fetched == [("digits", "2")], "what was recalled and is champion needs no download"
    assert sorted(source.recalled) == [("digits", "1"), ("iris", "3"), ("wine", "4")]


async def test_nothing_is_recalled_while_the_registry_answers_and_the_deleted_is_forgotten() -> None:
    source = Source(digits="2").remembering(digits="1", deleted="7")
    follower, repository = follow(source)
    async with running(follower):
        assert index(repository) == [("digits", "2", "READY")]
    assert source.recalled == []
    assert source.memory == {"digits": {"champion": "2"}}


async def test_a_registry_that_hangs_delays_the_start_by_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hanging(Source):
        def models(self) -> Mapping[str, Registered]:
            assert self.answers.wait(20)
            return super().models()

        answers = threading.Event()

    monkeypatch.setattr(module, "FIRST_ANSWER_S", 0.05)
    source = Hanging(digits="2")
    source.remembering(digits="1")
    follower, repository = follow(source, poll_interval_s=0.01)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY")]
        source.answers.set()
        await eventually(lambda: index(repository) == [("digits", "2", "READY")])


async def test_a_bug_while_recalling_is_logged_and_following_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    source = Source(digits="1", wine="4").remembering(digits="1", wine="4")
    source.fault = RegistryError("connection refused")
    source.recall_faults["wine"] = KeyError("a bug")
    follower, repository = follow(source, poll_interval_s=0.01)
    async with running(follower):
        assert index(repository) == [("digits", "1", "READY"), ("wine", "4", "UNAVAILABLE")]
        assert any(record.exc_info for record in caplog.records)
        source.fault = None
        await eventually(lambda: index(repository) == [("digits", "1", "READY"), ("wine", "4", "READY")])


async def test_every_alias_is_followed_with_one_look_a_poll() -> None:
    source = Source(digits={"champion": "1", "challenger": "2", "candidate": "2"}, wine={"challenger": "4"})
    follower, repository = follow(source)
    await follower.sync()
    assert source.num_looks == 1
    assert source.fetched == [("digits", "1"), ("wine", "4"), ("digits", "2")]
    assert [(row.version, row.reason) for row in repository.index() if row.name == "digits"] == [
        ("1", "champion, promoted 2026-11-25T00:30Z by ann"),
        ("2", "candidate, challenger"),
    ]
    source.name(digits={"champion": "2", "challenger": "3"}, wine={"challenger": "4"})
    await follower.sync()
    assert index(repository)[:2] == [("digits", "2", "READY"), ("digits", "3", "READY")]
    assert repository.find("digits", "").version == "2"
    assert source.fetched[3:] == [("digits", "3")], "what serves already is not fetched to be promoted"


async def test_an_alias_stays_at_its_old_version_while_the_new_one_is_refused() -> None:
    source = Source(digits={"champion": "1", "challenger": "2"})
    follower, repository = follow(source)
    await follower.sync()
    source.fetch_faults["3"] = PackageError("model.onnx was altered")
    source.name(digits={"champion": "1", "challenger": "3"})
    await follower.sync()
    assert repository.find("digits@challenger", "").version == "2"
    assert [row.reason for row in repository.index()][1:] == [
        "challenger until version 3 is loaded",
        "model.onnx was altered",
    ]


async def test_only_models_of_the_pattern_are_followed() -> None:
    source = Source(**{"digits-mlp": "1", "digits-cnn": "1", "wine": "1", "iris": "1"})
    source.remembering(iris="1")
    follower, repository = follow(source, models="digits-*, wine")
    async with running(follower):
        assert [row.name for row in repository.index()] == ["digits-cnn", "digits-mlp", "wine"]
        with pytest.raises(UnknownModelError):
            await follower.load("iris")
    assert "iris" in source.memory, "what another server of the folder may follow is left alone"


async def test_a_pinned_version_serves_until_it_is_unloaded() -> None:
    source = Source(digits="3")
    follower, repository = follow(source)
    await follower.sync()
    await follower.load("digits", "002")
    await follower.sync()
    assert index(repository) == [("digits", "2", "READY"), ("digits", "3", "READY")]
    assert next(repository.index()).reason == "pinned"
    await follower.unload("digits", "2")
    await follower.sync()
    assert index(repository) == [("digits", "2", "UNAVAILABLE"), ("digits", "3", "READY")]
    assert next(repository.index()).reason == "unloaded"


async def test_a_version_that_cannot_be_loaded_is_not_pinned() -> None:
    source = Source(digits="1")
    source.fetch_faults["9"] = RegistryError("no such version")
    follower, repository = follow(source)
    with pytest.raises(LoadFailedError, match="no such version"):
        await follower.load("digits", "9")
    assert index(repository) == [("digits", "1", "READY")]
    for version in ("nine", "-1", "9" * 50):
        with pytest.raises(InvalidRequestError):
            await follower.load("digits", version)


async def test_an_unloaded_model_is_not_followed_until_it_is_loaded() -> None:
    source = Source(digits="1", wine="1")
    follower, repository = follow(source)
    await follower.sync()
    source.fault = RegistryError("connection refused")
    await follower.unload("digits")  # which needs no registry
    source.fault = None
    source.name(digits="2")
    await follower.sync()
    assert index(repository) == [("digits", "1", "UNAVAILABLE"), ("wine", "1", "READY")]
    for version in ("", "1", "2"):
        with pytest.raises(ModelNotReadyError, match="unloaded"):
            repository.find("digits", version)
    await follower.load("digits")
    assert index(repository) == [("digits", "2", "READY"), ("wine", "1", "READY")]
    with pytest.raises(UnknownModelError):
        await follower.unload("other")
    with pytest.raises(UnknownVersionError):
        await follower.unload("digits", "7")
    with pytest.raises(InvalidRequestError):
        await follower.unload("digits", "latest")


async def test_what_is_unloaded_while_it_loads_does_not_serve() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    source.may_fetch.clear()
    loading = asyncio.create_task(follower.sync())
    assert await asyncio.to_thread(source.fetching.wait, 10)
    assert index(repository) == [("digits", "1", "LOADING")]
    await follower.unload("digits")
    source.may_fetch.set()
    await loading
    assert index(repository) == [("digits", "1", "UNAVAILABLE")]


async def test_a_load_that_was_broken_off_is_taken_up_by_the_next_look() -> None:
    source = Source(digits="1")
    follower, repository = follow(source)
    source.may_fetch.clear()
    loading = asyncio.create_task(follower.load("digits"))
    assert await asyncio.to_thread(source.fetching.wait, 10)
    loading.cancel()
    await asyncio.wait({loading})
    assert index(repository) == [("digits", "1", "UNAVAILABLE")]
    source.may_fetch.set()
    await follower.sync()
    assert index(repository) == [("digits", "1", "READY")]


async def test_the_counters_of_a_model_begin_at_0() -> None:
    source = Source(digits="1")
    metrics, repository = Metrics(), Repository()

    def observe(name: str, version: str, fetched: Package) -> ServedVersion:
        seen.append(generate_latest(metrics.registry).decode())
        raise PackageError("enough")

    seen: list[str] = []
    await Follower(source, repository, Loading(repository, observe, metrics, 60), metrics, 60).sync()
    for counter in ("loads", "load_failures"):
        assert f'drivetrain_model_{counter}_total{{model="digits"}} 0.0' in seen[0]


ROOM_FOR_TWO = 2 * estimated_bytes(len(package("digits").model)) + 1000


async def test_over_the_budget_what_was_not_used_for_longest_leaves_and_comes_back_when_asked_for() -> None:
    source = Source(digits={"champion": "1", "challenger": "2", "candidate": "3"})
    follower, repository = follow(source, memory_max_bytes=ROOM_FOR_TWO)
    async with running(follower):
        assert index(repository) == [
            ("digits", "1", "READY"),
            ("digits", "2", "READY"),
            ("digits", "3", "UNAVAILABLE"),
        ]
        await follower.sync()
        assert index(repository)[2] == ("digits", "3", "UNAVAILABLE"), "polling does not bring it back"
        assert [row.reason for row in repository.index()][2] == EVICTED
        assert not repository.is_ready("digits", "3")
        for _ in range(2):
            with pytest.raises(ModelNotReadyError, match="is being loaded"):
                repository.find("digits@candidate", "")
        await eventually(lambda: index(repository)[1:] == [("digits", "2", "UNAVAILABLE"), ("digits", "3", "READY")])
        assert repository.find("digits", "", "candidate").version == "3"
        await follower.load("digits", "2")
        assert index(repository)[1:] == [("digits", "2", "READY"), ("digits", "3", "UNAVAILABLE")]
    assert source.fetched == [("digits", "1"), ("digits", "3"), ("digits", "2"), ("digits", "3"), ("digits", "2")]


async def test_an_evicted_version_that_becomes_champion_is_loaded() -> None:
    source = Source(digits={"champion": "1", "challenger": "2", "candidate": "3"})
    follower, repository = follow(source, memory_max_bytes=ROOM_FOR_TWO)
    await follower.sync()
    evicted = next(row.version for row in repository.index() if row.state == "UNAVAILABLE")
    source.name(digits={"champion": evicted, "candidate": "1"})
    await follower.sync()
    assert repository.find("digits", "").version == evicted


async def test_a_hanging_registry_does_not_hold_up_what_is_remembered() -> None:
    class Hanging(Source):
        def promotion(self, model: str, version: str) -> Promotion:
            assert self.answers.wait(20)
            return super().promotion(model, version)

        answers = threading.Event()

    source = Hanging(digits="1")
    source.remembering(digits="1")
    source.fault = RegistryError("connection refused")
    follower, repository = follow(source)
    async with asyncio.timeout(10), running(follower):
        assert index(repository) == [("digits", "1", "READY")]
    source.answers.set()


async def test_champions_stay_and_what_finds_no_room_beside_them_is_refused() -> None:
    source = Source(digits="1", wine="1", iris="1")
    follower, repository = follow(source, memory_max_bytes=ROOM_FOR_TWO)
    await follower.sync()
    source.name(iris={"champion": "1", "challenger": "2"})
    await follower.sync()
    assert [row.state for row in repository.index()] == ["READY", "READY", "UNAVAILABLE", "READY"]
    assert "there is no room" in [row.reason for row in repository.index()][2]


async def test_an_empty_list_is_not_believed_unless_it_is_confirmed(caplog: pytest.LogCaptureFixture) -> None:
    class Absurd(Source):
        def models(self) -> Mapping[str, Registered]:
            return {} if self.absurd else super().models()

        absurd = False

    source = Absurd(digits="1")
    follower, repository = follow(source, poll_interval_s=0.01)
    await follower.sync()
    source.absurd = True
    with pytest.raises(RegistryAwayError):
        await follower.sync()
    assert index(repository) == [("digits", "1", "READY")]
    assert "its list lacks 'digits', which it has" in caplog.text
    restarted, repository = follow(source, poll_interval_s=0.01)
    async with running(restarted):
        assert index(repository) == [("digits", "1", "READY")], "what is remembered goes before an absurd list"
        source.registered.clear()
        await eventually(lambda: index(repository) == [])


async def test_a_registry_that_trickles_its_answer_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    class Trickling(Source):
        def models(self) -> Mapping[str, Registered]:
            assert self.answers.wait(20)
            return super().models()

        answers = threading.Event()

    monkeypatch.setattr(looks, "ANSWER_S", 0.02)
    source = Trickling(digits="1")
    follower, _ = follow(source)
    with pytest.raises(RegistryAwayError):
        await follower.sync()
    source.answers.set()
    await follower.sync()


async def test_a_version_that_takes_long_to_fetch_does_not_keep_others_waiting() -> None:
    source = Source(digits="1", wine="1")
    follower, repository = follow(source, poll_interval_s=0.01)
    async with running(follower):
        source.may_fetch.clear()
        source.fetching.clear()
        source.name(digits="2")
        assert await asyncio.to_thread(source.fetching.wait, 10)
        source.name(wine=None)
        await eventually(lambda: ("wine", "", "UNAVAILABLE") in index(repository))
        assert ("digits", "2", "LOADING") in index(repository)
        source.may_fetch.set()
        await eventually(lambda: ("digits", "2", "READY") in index(repository))
