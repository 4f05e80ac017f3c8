"""The protocol where several processes answer as one: what one is told of its models, all are told."""

from typing_extensions import override

from services.prediction.configuration import Scheduling
from services.prediction.data_plane import DataPlane
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.processes.ledger import Ledger
from services.prediction.processes.siblings import Siblings
from services.prediction.processes.sums import sum_of
from services.prediction.servicer import Servicer
from services.prediction.streaming import Streams
from services.rpc.status import Context


class SharedServicer(Servicer):
    """For callers: does it here, notes it, and has the other processes do it."""

    def __init__(
        self,
        plane: DataPlane,
        scheduling: Scheduling,
        streams: Streams,
        max_request_rows: int,
        ledger: Ledger,
        siblings: Siblings,
    ) -> None:
        super().__init__(plane, scheduling, streams, max_request_rows)
        self._ledger, self._siblings = ledger, siblings

    @override
    async def ModelStatistics(self, request: pb.ModelStatisticsRequest, context: Context) -> pb.ModelStatisticsResponse:
        """The sum over the processes that answer."""
        own = await super().ModelStatistics(request, context)
        return sum_of([own, *await self._siblings.statistics(request)])

    @override
    async def RepositoryModelLoad(
        self, request: pb.RepositoryModelLoadRequest, context: Context
    ) -> pb.RepositoryModelLoadResponse:
        """Done when every process has loaded it; an error says which has not."""
        async with self._ledger.turn():
            answer = await super().RepositoryModelLoad(request, context)
            self._ledger.note(self._plane.orders(request.model_name))
            await self._siblings.load(request)
        return answer

    @override
    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """Done when every process has unloaded it; an error says which has not."""
        async with self._ledger.turn():
            answer = await super().RepositoryModelUnload(request, context)
            self._ledger.note(self._plane.orders(request.model_name))
            await self._siblings.unload(request)
        return answer


class InnerServicer(Servicer):
    """For the other processes: does it here alone."""

    def __init__(
        self, plane: DataPlane, scheduling: Scheduling, streams: Streams, max_request_rows: int, ledger: Ledger
    ) -> None:
        super().__init__(plane, scheduling, streams, max_request_rows)
        self._ledger = ledger

    @override
    async def RepositoryModelUnload(
        self, request: pb.RepositoryModelUnloadRequest, context: Context
    ) -> pb.RepositoryModelUnloadResponse:
        """As noted, whether or not this process has come to load it."""
        self._plane.adopt(self._ledger.orders())
        return pb.RepositoryModelUnloadResponse()
