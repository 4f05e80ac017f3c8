import asyncio

import pytest

from services.prediction.data_plane import DataPlane
from services.prediction.errors import StartingError
from services.prediction.repository import Repository
from services.rpc.errors import StoppingError
from tests.unit.prediction.planes import plane_over, served


@pytest.fixture
def plane() -> DataPlane:
    repository = Repository()
    repository.follow("digits", {"champion": "1"})
    repository.swap(served("digits", "1"))
    return plane_over(repository)


async def test_draining_refuses_the_new_and_waits_for_those_under_way(plane: DataPlane) -> None:
    with plane.request("digits", ""):
        draining = asyncio.create_task(plane.drain())
        await asyncio.sleep(0)
        with pytest.raises(StoppingError), plane.request("digits", ""):
            pass
        assert not plane.model_ready("digits", "")
        assert not draining.done()
    await draining


async def test_draining_an_idle_server_does_not_wait(plane: DataPlane) -> None:
    async with asyncio.timeout(0):
        await plane.drain()


async def test_a_failed_request_is_counted_and_is_under_way_no_more(plane: DataPlane) -> None:
    with pytest.raises(KeyError), plane.request("digits", "") as served:
        raise KeyError
    assert served.metrics.failures == {"OTHER": 1}
    await plane.drain()


async def test_ready(plane: DataPlane) -> None:
    assert not plane.ready, "the registry was not read yet"
    assert plane.model_ready("digits", "1")
    with pytest.raises(StartingError):
        plane.model_ready("other", "")
    assert [row.name for row in plane.index(ready_only=True)] == ["digits"]


async def test_what_is_not_there_before_the_registry_was_read_may_be_soon(plane: DataPlane) -> None:
    with pytest.raises(StartingError):
        plane.find("other", "")
    assert plane.find("digits", "").version == "1"
