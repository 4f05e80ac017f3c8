"""What goes wrong around the service: nonsense and slowness from MLflow, corrupt artifacts, full disks, many swaps."""

import asyncio
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from tests.integration.prediction.faults import Answer, Switch, answering
from tests.integration.prediction.serving import ROW, Serving, raw_probabilities, raw_request, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import probabilities
from tests.waiting import eventually_async

NONSENSE = {
    "nothing": Answer(200, b""),
    "an empty object": Answer(200, b"{}"),
    "a page": Answer(200, b"<html><body>Sign in</body></html>"),
    "bytes": Answer(200, bytes(range(256))),
    "a list": Answer(200, b"[1, 2]"),
    "a wrong type": Answer(200, b'{"registered_models": 7, "registered_model": []}'),
    "a wrong version": Answer(
        200, b'{"registered_models": [{"name": "digits", "aliases": [{"alias": "champion", "version": "../1"}]}]}'
    ),
    "a model without a name": Answer(200, b'{"registered_models": [{}]}'),
    "less than it promised": Answer(200, b'{"registered_models": [', promised_bytes=1000),
    "not found": Answer(404, b"no such page"),
    "an error": Answer(503, b"later"),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command sets MLflow's client, and quicker."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")


async def serves(it: Serving, version: str) -> bool:
    return ("digits", version, "READY") in await it.index()


async def assert_answers(it: Serving, version: str) -> None:
    answer = await it.stub.ModelInfer(raw_request("digits"))
    assert answer.model_version == version
    np.testing.assert_allclose(raw_probabilities(answer), probabilities(ROW, float(version)), atol=1e-6)


async def logged(caplog: pytest.LogCaptureFixture, text: str) -> bool:
    return text in caplog.text


@pytest.mark.parametrize("kind", NONSENSE)
async def test_nonsense_from_mlflow_is_an_outage(store: Store, caplog: pytest.LogCaptureFixture, kind: str) -> None:
    store.promote("digits", 1.0)
    registry = Switch(store.registry)
    async with serving(registry, cache_dir=store.directory / "cache") as it:
        with answering(NONSENSE[kind]) as nonsense:
            registry.registry = nonsense
            await eventually_async(lambda: logged(caplog, "the registry cannot be reached"))
            await assert_answers(it, "1")
            assert await it.index() == [("digits", "1", "READY")]
            async with serving(registry, cache_dir=store.directory / "cache") as restarted:
                await assert_answers(restarted, "1")
        registry.registry = store.registry
        store.promote("digits", 2.0)
        await eventually_async(lambda: serves(it, "2"))
        await assert_answers(it, "2")
    assert not [record for record in caplog.records if record.exc_info], "an outage needs no traceback"


async def test_a_slow_mlflow_delays_promotions_and_nothing_else(store: Store) -> None:
    store.promote("digits", 1.0)
    registry, hanging = Switch(store.registry), Answer(200, b"{}")
    hanging.may_end.clear()
    async with serving(registry) as it:
        with answering(hanging) as slow:
            registry.registry = slow
            for _ in range(100):
                await assert_answers(it, "1")
                await asyncio.sleep(0.01)
        registry.registry = store.registry
        store.promote("digits", 2.0)
        await eventually_async(lambda: serves(it, "2"))


@pytest.mark.parametrize("file", ["model.onnx", "golden.npz", "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "altered", "missing", "a folder"])
async def test_a_corrupt_artifact_is_refused_and_the_old_version_serves(store: Store, file: str, damage: str) -> None:
    store.promote("digits", 1.0)
    async with serving(store.registry, cache_dir=store.directory / "cache") as it:
        version = store.register("digits", 2.0)
        place = store.artifact("digits", version, file)
        content = place.read_bytes()
        place.unlink()
        if damage == "a folder":
            place.mkdir()
        elif damage != "missing":
            place.write_bytes(content[: len(content) // 2] if damage == "truncated" else content[::-1])
        store.registry.promote("digits", version)
        await eventually_async(lambda: is_refused(it, version, file))
        await assert_answers(it, "1")


async def is_refused(it: Serving, version: str, text: str) -> bool:
    return text in await it.reason("digits", version)


async def test_downloads_go_beneath_the_cache_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    version = store.register("digits", 1.0)
    async with serving(store.registry, cache_dir=store.directory / "cache") as it:
        monkeypatch.setattr(tempfile, "tempdir", str(store.directory / "there" / "is" / "none"))
        store.registry.promote("digits", version)
        await eventually_async(lambda: serves(it, version))
        await assert_answers(it, version)
    assert len(list((store.directory / "cache" / "packages").glob("*/model.onnx"))) == 1
    assert list((store.directory / "cache" / "partial").iterdir()) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 256 kB."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextmanager
def full(disk: Path) -> Iterator[None]:
    """Not a byte is left meanwhile."""
    with (disk / "ballast").open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(bytes(4096))
    yield
    (disk / "ballast").unlink()


async def test_a_full_disk_costs_the_cache_only(
    store: Store, small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store.promote("digits", 1.0)
    with full(small_disk):
        async with serving(store.registry, cache_dir=small_disk / "cache") as it:
            await assert_answers(it, "1")
            assert "the model cache cannot be written" in caplog.text
    async with serving(store.registry, cache_dir=small_disk / "cache") as it:
        await assert_answers(it, "1")
    assert len(list((small_disk / "cache" / "packages").glob("*/model.onnx"))) == 1


async def test_a_disk_that_runs_full_in_a_download_refuses_the_version_until_there_is_room(
    store: Store, small_disk: Path
) -> None:
    registry = Switch(store.registry)
    store.promote("digits", 1.0)
    async with serving(registry, cache_dir=small_disk / "cache") as it:
        registry.tells_sizes = False
        with full(small_disk):
            version = store.promote("digits", 2.0)
            await eventually_async(lambda: is_refused(it, version, "No space left on device"))
            await assert_answers(it, "1")
        await eventually_async(lambda: serves(it, version))
        await assert_answers(it, version)
    assert list((small_disk / "cache" / "partial").iterdir()) == []


@pytest.mark.slow
@pytest.mark.usefixtures("each_transport")
async def test_a_hundred_swaps_under_load_fail_no_request_and_mix_no_versions(store: Store) -> None:
    for scale in (1.0, 2.0, 3.0):
        store.promote("digits", scale)
    enough = asyncio.Event()
    async with serving(store.registry, poll_interval_s=0.05, cache_dir=store.directory / "cache") as it:
        clients = [asyncio.create_task(ask_without_pause(it, enough)) for _ in range(4)]
        for swap in range(100):
            version = str(swap % 3 + 1)
            await asyncio.to_thread(store.client.set_registered_model_alias, "digits", "champion", version)
            if swap % 2:
                await it.load("digits")
            else:
                await eventually_async(lambda version=version: serves(it, version))  # type: ignore[misc]  # bound now
            await assert_answers(it, version)
        enough.set()
        answered = await asyncio.gather(*clients)
        page = await it.scrape()
    assert all(each > 100 for each in answered)
    assert 'drivetrain_model_loads_total{model="digits"} 101.0' in page
    failures = [line for line in page.splitlines() if line.startswith("nv_inference_request_failure{")]
    assert failures
    assert all(line.endswith(" 0.0") for line in failures)


async def ask_without_pause(it: Serving, enough: asyncio.Event) -> int:
    """How many requests were answered, each as the version that it names answers."""
    answered = 0
    while not enough.is_set():
        answer = await it.stub.ModelInfer(raw_request("digits"))
        expected = probabilities(ROW, float(answer.model_version))
        np.testing.assert_allclose(raw_probabilities(answer), expected, atol=1e-6)
        answered += 1
    return answered
