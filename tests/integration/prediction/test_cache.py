"""Restarts with the registry away: what was served before is served again, out of the cache on disk."""

import asyncio
import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest

from services.prediction.pb import open_inference_pb2 as pb
from tests.integration.prediction.serving import (
    ROW,
    Serving,
    raw_probabilities,
    raw_request,
    serving,
)
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import probabilities
from tests.waiting import eventually_async


@pytest.fixture
def cache_dir(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def answer(it: Serving, model: str) -> pb.ModelInferResponse:
    return await it.stub.ModelInfer(raw_request(model))


async def assert_answers(it: Serving, model: str, version: str, scale: float) -> None:
    answered = await answer(it, model)
    assert answered.model_version == version
    np.testing.assert_allclose(raw_probabilities(answered), probabilities(ROW, scale), atol=1e-6)


async def serves(it: Serving, model: str, version: str) -> bool:
    return (model, version, "READY") in await it.index()


async def count(it: Serving, name: str) -> float:
    """The value of a metric that has no labels."""
    return next(float(line.split()[1]) for line in (await it.scrape()).splitlines() if line.startswith(f"{name} "))


async def served_once(store: Store, cache_dir: Path) -> None:
    """The life before the restart."""
    async with serving(store.registry, cache_dir=cache_dir) as it:
        assert await it.is_healthy()


def cached_files(cache_dir: Path, name: str) -> list[Path]:
    return sorted((cache_dir / "packages").glob(f"*/{name}"))


async def test_a_restart_while_the_registry_is_away_gives_the_same_answers(
    store: Store, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.promote("digits")
    store.promote("wine", 2.0)
    async with serving(store.registry, cache_dir=cache_dir) as it:
        before = [await answer(it, "digits"), await answer(it, "wine")]
        assert await count(it, "drivetrain_model_cache_misses_total") == 2
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            await eventually_async(it.is_healthy)
            assert [await answer(it, "digits"), await answer(it, "wine")] == before
            assert await count(it, "drivetrain_model_cache_hits_total") == 2
            assert "the versions that served last are taken out of the cache" in caplog.text
            store.come_back()
            store.promote("digits", 3.0)
            await eventually_async(lambda: serves(it, "digits", "2"))
            await assert_answers(it, "digits", "2", 3.0)
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            await assert_answers(it, "digits", "2", 3.0)


async def test_with_the_registry_back_nothing_is_downloaded_twice(store: Store, cache_dir: Path) -> None:
    version = store.promote("digits")
    await served_once(store, cache_dir)
    shutil.rmtree(store.artifact("digits", version, "model.onnx").parent)
    async with serving(store.registry, cache_dir=cache_dir) as it:
        await assert_answers(it, "digits", "1", 1.0)
        assert await count(it, "drivetrain_model_cache_hits_total") == 1
        assert await count(it, "drivetrain_model_cache_misses_total") == 0


async def test_a_rollback_needs_no_download(store: Store, cache_dir: Path) -> None:
    first = store.promote("digits")
    await served_once(store, cache_dir)
    store.promote("digits", 2.0)
    async with serving(store.registry, cache_dir=cache_dir) as it:
        shutil.rmtree(store.artifact("digits", first, "model.onnx").parent)
        store.registry.rollback("digits")
        await eventually_async(lambda: serves(it, "digits", first))


async def test_a_damaged_file_is_downloaded_anew(store: Store, cache_dir: Path) -> None:
    store.promote("digits")
    await served_once(store, cache_dir)
    (model,) = cached_files(cache_dir, "model.onnx")
    whole = model.read_bytes()
    model.write_bytes(whole[:-1] + b"?")
    async with serving(store.registry, cache_dir=cache_dir) as it:
        await assert_answers(it, "digits", "1", 1.0)
    assert model.read_bytes() == whole


async def test_a_damaged_file_is_refused_while_the_registry_is_away_and_healed_after(
    store: Store, cache_dir: Path
) -> None:
    store.promote("digits")
    store.promote("wine", 2.0)
    await served_once(store, cache_dir)
    cached_files(cache_dir, "model.onnx")[0].write_bytes(b"")
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            assert sorted(row[2] for row in await it.index()) == ["READY", "UNAVAILABLE"]
            store.come_back()
            await eventually_async(lambda: both_serve(it))


async def both_serve(it: Serving) -> bool:
    return [row[2] for row in await it.index()] == ["READY", "READY"]


async def test_a_model_made_anew_is_not_taken_for_the_old_one(store: Store, cache_dir: Path) -> None:
    store.promote("digits", 1.0)
    await served_once(store, cache_dir)
    store.client.delete_registered_model("digits")
    assert store.promote("digits", 2.0) == "1"
    async with serving(store.registry, cache_dir=cache_dir) as it:
        await assert_answers(it, "digits", "1", 2.0)


async def test_a_retired_model_does_not_come_back(store: Store, cache_dir: Path) -> None:
    store.promote("digits")
    store.promote("wine")
    async with serving(store.registry, cache_dir=cache_dir) as it:
        store.demote("digits")
        await eventually_async(lambda: is_retired(it, "digits"))
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            assert await it.index() == [("wine", "1", "READY")]


async def is_retired(it: Serving, model: str) -> bool:
    return (model, "", "UNAVAILABLE") in await it.index()


async def test_old_versions_leave_a_small_cache_and_champions_stay(store: Store, cache_dir: Path) -> None:
    store.promote("wine", 9.0)
    store.promote("digits", 1.0)
    async with serving(store.registry, cache_dir=cache_dir) as it:
        one = sum(path.stat().st_size for path in cached_files(cache_dir, "*")) // 2
        limit = one * 5 // 2
        await it.scrape()
    async with serving(store.registry, cache_dir=cache_dir, cache_max_bytes=limit) as it:
        for scale in (2.0, 3.0, 4.0):
            version = store.promote("digits", scale)
            await eventually_async(lambda version=version: serves(it, "digits", version))  # type: ignore[misc]  # bound now
    assert len(cached_files(cache_dir, "model.onnx")) <= 3
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            await assert_answers(it, "wine", "1", 9.0)
            await assert_answers(it, "digits", "4", 4.0)


async def test_servers_share_a_folder(store: Store, cache_dir: Path) -> None:
    store.promote("digits")
    store.promote("wine", 2.0)
    async with contextlib.AsyncExitStack() as stack:
        servers = await asyncio.gather(
            *(stack.enter_async_context(serving(store.registry, cache_dir=cache_dir)) for _ in range(3))
        )
        store.promote("digits", 3.0)
        for it in servers:
            await eventually_async(lambda it=it: serves(it, "digits", "2"))  # type: ignore[misc]  # bound now
    with store.away():
        async with (
            serving(store.registry, cache_dir=cache_dir) as first,
            serving(store.registry, cache_dir=cache_dir) as second,
        ):
            for it in (first, second):
                await assert_answers(it, "digits", "2", 3.0)
                await assert_answers(it, "wine", "1", 2.0)


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    """A file where the folder should be: it refuses also the superuser."""
    path = tmp_path / "file"
    path.touch()
    return path


async def test_a_folder_that_cannot_be_written_costs_the_cache_only(
    store: Store, no_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.promote("digits")
    store.promote("wine")
    async with serving(store.registry, cache_dir=no_folder) as it:
        await assert_answers(it, "digits", "1", 1.0)
        store.promote("digits", 2.0)
        await eventually_async(lambda: serves(it, "digits", "2"))
    told = [record for record in caplog.records if "the model cache cannot be written" in record.getMessage()]
    assert len(told) == 1


async def test_nonsense_among_what_served_is_passed_over(
    store: Store, cache_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.promote("digits")
    await served_once(store, cache_dir)
    (cache_dir / "served" / "nonsense.json").write_text("{")
    with store.away():
        async with serving(store.registry, cache_dir=cache_dir) as it:
            assert await it.index() == [("digits", "1", "READY")]
    assert "nonsense.json is passed over" in caplog.text
