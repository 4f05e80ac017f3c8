"""Both clients against a real server: what they raise, and when they ask again."""

import asyncio
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.prediction.client import NO_RETRIES, errors
from services.prediction.data_plane import DataPlane
from tests.integration.prediction.client.asking import Asking, Kind, asking, both
from tests.integration.prediction.client.test_clients import address
from tests.integration.prediction.serving import ROW, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import FATAL, SLOW
from tests.waiting import eventually_async

SLOW_ROW = np.array([[SLOW, 0, 0]], np.float32)


async def predicting(ask: Asking, model: str = "digits", rows: object = ROW, **options: object) -> errors.ClientError:
    """What a prediction that must fail raises."""
    with pytest.raises(errors.ClientError) as caught:
        await ask("predict", model, rows, **options)
    return caught.value


@both
async def test_unknown_models_and_versions(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        unknown = await predicting(ask, "other")
        assert isinstance(unknown, errors.UnknownModelError)
        assert (unknown.model, unknown.version, str(unknown)) == ("other", "", "unknown model 'other'")
        unserved = await predicting(ask, version="7")
        assert isinstance(unserved, errors.UnknownModelError)
        assert (unserved.model, unserved.version) == ("digits", "7")


@both
async def test_what_does_not_fit_is_not_sent(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        wrong = await predicting(ask, rows=ROW[:, :2])
        assert isinstance(wrong, errors.InvalidDataError)
        expected = "[-1, 3], where -1 is any length from 1"
        assert (wrong.field, wrong.expected, wrong.came) == ("inputs[features].shape", expected, "[1, 2]")
        assert 'nv_inference_request_failure{model="digits",reason="OTHER",version="1"} 0.0' in await it.scrape()


@both
async def test_what_only_the_service_knows_it_refuses(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry, max_request_rows=2) as it, asking(kind, address(it)) as ask:
        refused = await predicting(ask, rows=np.zeros((3, 3)))
        assert type(refused) is errors.RefusedError
        assert refused.reason == "inputs: expected at most 2 rows in one request, came 3"
        not_an_integer = await predicting(ask, version="one")
        assert type(not_an_integer) is errors.RefusedError


@both
async def test_a_model_without_a_champion_is_unavailable(kind: Kind, store: Store) -> None:
    store.register("digits")
    async with serving(store.registry) as it, asking(kind, address(it), retry=NO_RETRIES) as ask:
        unready = await predicting(ask)
    assert type(unready) is errors.UnavailableError
    assert unready.reason == "model 'digits' is not ready: no version of it is champion"


@both
async def test_waiting_for_a_champion_is_worth_it(kind: Kind, store: Store) -> None:
    store.register("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        waiting = asyncio.create_task(ask("predict", "digits", ROW))
        assert not await ask("is_model_ready", "digits")
        version = store.promote("digits")
        assert (await waiting).version == version


@both
async def test_a_slow_answer_is_not_waited_for(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        await ask("predict", "digits", ROW)
        started_s = time.monotonic()
        late = await predicting(ask, rows=SLOW_ROW, timeout_s=0.2)
        assert 0.2 <= time.monotonic() - started_s < 15  # the client's own deadline is 30
        assert isinstance(late, errors.DeadlineError)
        assert late.timeout_s == 0.2


@both
async def test_nobody_there_is_tried_until_the_deadline(kind: Kind, store: Store) -> None:
    async with serving(store.registry) as it:
        gone = address(it)
    async with asking(kind, gone, timeout_s=0.5) as ask:
        assert not await ask("is_live")
        assert not await ask("is_ready")
        assert not await ask("is_model_ready", "digits")
        started_s = time.monotonic()
        away = await predicting(ask)
        assert 0.3 < time.monotonic() - started_s < 15
        assert isinstance(away, errors.UnreachableError)
        assert away.address == gone
        assert away.num_attempts > 2


@both
async def test_tokens(kind: Kind, store: Store, tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("infer alpha\n")
    store.promote("digits")
    async with serving(store.registry, tokens_file=tokens) as it:
        async with asking(kind, address(it), "alpha") as ask:
            assert (await ask("predict", "digits", ROW)).version == "1"
        for token in (None, "beta"):
            async with asking(kind, address(it), token) as ask:
                assert await ask("is_live")
                with pytest.raises(errors.UnauthenticatedError):
                    await ask("is_model_ready", "digits")
                assert isinstance(await predicting(ask), errors.UnauthenticatedError)


@both
async def test_messages_that_are_too_large(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it:
        limits: list[dict[str, Any]] = [{"max_send_bytes": 1000}, {"max_receive_bytes": 1000}]
        for limit in limits:
            async with asking(kind, address(it), **limit) as ask:
                await ask("predict", "digits", ROW)
                too_large = await predicting(ask, rows=np.zeros((200, 3)))
                assert isinstance(too_large, errors.ExhaustedError)


@both
async def test_a_fault_of_the_service_says_where_to_look(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        fault = await predicting(ask, rows=np.full((1, 3), FATAL))
    assert type(fault) is errors.ServerFaultError
    assert fault.reason.startswith("internal error; the server's log has more under request id ")


@both
async def test_a_closed_client_says_so(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking(kind, address(it)) as ask:
        running = asyncio.create_task(predicting(ask, rows=SLOW_ROW))
        await eventually_async(lambda: _is_active(it.server.plane))
        await ask("close")
        assert isinstance(await running, errors.ClosedError)
        assert isinstance(await predicting(ask), errors.ClosedError)
        await ask("close")


async def test_a_task_that_is_cancelled_cancels_its_request(store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, asking("aio", address(it)) as ask:
        running = asyncio.create_task(ask("predict", "digits", SLOW_ROW))
        await eventually_async(lambda: _is_active(it.server.plane))
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert (await ask("predict", "digits", ROW)).version == "1"


async def _is_active(plane: DataPlane) -> bool:
    return not plane.model("digits", "").batcher.idle
