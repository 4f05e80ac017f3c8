"""The server goes away and comes back at the same address."""

import asyncio

import numpy as np

from tests.integration.prediction.client.asking import Asking, Kind, asking, both
from tests.integration.prediction.client.door import door_to
from tests.integration.prediction.client.test_clients import address
from tests.integration.prediction.serving import ROW, serving
from tests.integration.prediction.store import Store
from tests.unit.prediction.graphs import probabilities
from tests.waiting import eventually_async


class Load:
    """Asks for predictions, one after the other; none may fail or be wrong."""

    def __init__(self, ask: Asking) -> None:
        self.num_answers = 0
        self._ask, self._stopped = ask, False

    async def run(self) -> None:
        """Until `stop`."""
        while not self._stopped:
            prediction = await self._ask("predict", "digits", ROW)
            np.testing.assert_allclose(prediction.probabilities, probabilities(ROW, 1.0), atol=1e-5)
            self.num_answers += 1

    async def went_on(self, num_answers: int) -> None:
        """Return after as many more answers."""
        wanted = self.num_answers + num_answers

        async def are_there() -> bool:
            return self.num_answers >= wanted

        await eventually_async(are_there)

    def stop(self) -> None:
        """After the prediction that is under way."""
        self._stopped = True


@both
async def test_a_call_waits_for_the_server_to_come_back_to_its_port(kind: Kind, store: Store) -> None:
    async with serving(store.registry) as it:
        where, port = address(it), it.server.port
        async with asking(kind, where) as ask:
            await ask("server_metadata")
            await it.server.stop(grace_s=5)
            waiting = asyncio.create_task(ask("server_metadata"))
            assert not await ask("is_live")
            assert not waiting.done()
            async with serving(store.registry, port=port):
                assert (await waiting).name == "drivetrain"


@both
async def test_a_client_may_be_there_before_its_server(kind: Kind, store: Store) -> None:
    async with serving(store.registry) as it:
        where, port = address(it), it.server.port
    async with asking(kind, where) as ask:
        waiting = asyncio.create_task(ask("index"))
        assert not await ask("is_live")
        async with serving(store.registry, port=port):
            assert isinstance(await waiting, tuple)


@both
async def test_a_prediction_outlasts_a_restart(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, door_to(it.server.port) as door, asking(kind, door.address) as ask:
        await ask("predict", "digits", ROW)
        await door.close()
        await it.server.stop(grace_s=5)
        waiting = asyncio.create_task(ask("predict", "digits", ROW))
        assert not await ask("is_live")
        assert not waiting.done()
        async with serving(store.registry) as again:
            await door.open(again.server.port)
            prediction = await waiting
    np.testing.assert_allclose(prediction.probabilities, probabilities(ROW, 1.0), atol=1e-5)


@both
async def test_no_prediction_fails_while_a_server_is_restarted_under_load(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, door_to(it.server.port) as door, asking(kind, door.address) as ask:
        load = Load(ask)
        loads = [asyncio.create_task(load.run()) for _ in range(4)]
        await load.went_on(20)
        await it.server.stop(grace_s=5)
        await door.close()
        async with serving(store.registry) as again:
            await door.open(again.server.port)
            await load.went_on(20)
            load.stop()
            await asyncio.gather(*loads)


@both
async def test_all_calls_share_one_connection(kind: Kind, store: Store) -> None:
    store.promote("digits")
    async with serving(store.registry) as it, door_to(it.server.port) as door, asking(kind, door.address) as ask:
        await asyncio.gather(*(ask("predict", "digits", ROW) for _ in range(20)))
        await ask("index")
        assert door.num_connections == 1
