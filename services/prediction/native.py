"""The native transport: pygrpc-native (HTTP/2 in Rust, outside the GIL) takes ModelInfer, and hands all else to gRPC.

One thread leads: it takes what has arrived, reads and queues it, and runs the next batch of each quick version itself.
Versions that are not quick run in their own threads. If a run holds the leader up after all, the watch lets another
thread lead, so no model can stop the others. This module is all that knows of pygrpc-native.
"""

import asyncio
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial

from pygrpc_native import NativeGrpcFront

from services.prediction.batcher import Batcher
from services.prediction.calls import Call, Ran, Run
from services.prediction.cores import available_cores
from services.prediction.flood_guard import FloodGuard
from services.prediction.messages import MessageReader, Reading, TakesLongError
from services.prediction.settings import Settings
from services.prediction.tracing import Tracing, rpc
from services.prediction.worker import Worker
from services.rpc.errors import ExhaustedError, MessageTooLargeError
from services.rpc.hosting import KEEPALIVE_TIME_MS, KEEPALIVE_TIMEOUT_MS, Front
from services.rpc.logs import request_context
from services.rpc.status import answer_to, request_id_of

logger = logging.getLogger(__name__)

METHOD = "/inference.GRPCInferenceService/ModelInfer"
ENDPOINT = rpc(METHOD)
MAX_EVENTS = 32
"""Most events taken at a time: with all that is in flight in the leader's hands, the transport would have a rest."""
QUICK_S, ALONE_S = 0.001, 0.003
"""Seconds up to which the leader runs a batch itself: where other versions have their turns too, and where none has.
The hop to another thread costs more than it saves a small model."""
COMPANY_S = 1.0
"""Seconds after which a version that was not asked for is no company."""
STUCK_S = 0.02
"""Seconds after which a run that the leader does itself is taken for stuck."""
IO_THREADS = 1 if available_cores() <= 2 else 2
"""Of the transport; where two cores are all, a second thread costs more than it carries."""
IDLE_POLL_S = 0.005

Metadata = tuple[tuple[str, str | bytes], ...]
Authorize = Callable[[Metadata], None]
"""Raises AccessError unless the metadata allow the call."""
Details = tuple[Metadata, str, float | None]
"""Metadata, peer, and the seconds that remain until the deadline."""
Event = tuple[int, int, int, bytes | None, bytes | str | None, Details | None]
"""Kind, id of the call, index of the method, message, key of the client, details; no message tells a cancellation."""


class NativeFront(Front):
    """ModelInfer on a plaintext port; everything else goes on to the gRPC server behind it."""

    def __init__(
        self, reader: MessageReader, authorize: Authorize, guard: FloodGuard, tracing: Tracing, settings: Settings
    ) -> None:
        self._reader, self._authorize, self._guard, self._tracing = reader, authorize, guard, tracing
        self._max_message_bytes, self._busy_poll_s = settings.max_message_bytes, settings.busy_poll_us / 1e6
        self._calls: dict[int, NativeCall] = {}
        self._turns: deque[Batcher] = deque()
        self._arrived: defaultdict[Batcher, list[NativeCall]] = defaultdict(list)
        self._came_alone = False
        self._last: Batcher | None = None
        self._company_until_s = 0.0
        self._deferred: set[int] = set()
        self._slow_reads = Worker("native-slow-reads")
        self._leader: threading.Thread | None = None
        self._running_since_s: float | None = None
        self._front: NativeGrpcFront
        self._opened = ExitStack()

    def bind(self, address: str, *, reuse_port: bool) -> int:
        """Take the port, or a share of it. Raises OSError."""
        self._front = NativeGrpcFront(
            address,
            [(METHOD, False)],
            io_threads=IO_THREADS,
            call_details=True,  # without them no cancellation is told
            keepalive_time_ms=KEEPALIVE_TIME_MS,
            keepalive_timeout_ms=KEEPALIVE_TIMEOUT_MS,
            reuse_port=reuse_port,
        )
        self._opened.callback(self._front.close)
        return self._front.bound_port

    def start(self, behind: str) -> None:
        """Begin to take calls; `behind` is the path of the gRPC server's socket."""
        self._front.set_fallback(behind)
        self._front.start()
        self._guard.start(self._front.bound_port)
        self._opened.callback(self._guard.stop)
        self._lead_anew()
        self._opened.callback(asyncio.create_task(self._replace_stuck_leaders()).cancel)

    def wait_until_idle(self) -> None:
        """Block until no call waits for its answer."""
        while self._calls or self._deferred:
            time.sleep(IDLE_POLL_S)

    def close(self) -> None:
        """Close the port, with whatever is still under way."""
        self._leader = None
        self._opened.close()

    def respond(self, call: "NativeCall", payload: bytes) -> None:
        """Send the answer."""
        if len(payload) > self._max_message_bytes:
            raise MessageTooLargeError("Sent", len(payload), self._max_message_bytes)
        if self._calls.pop(call.call_id, None) is not None:
            self._front.respond(call.call_id, payload)

    def fail(self, call: "NativeCall", error: Exception) -> None:
        """Send the error's status."""
        if self._calls.pop(call.call_id, None) is not None:
            call.plan.served.metrics.failed(error, time.monotonic() - call.queued_s)
            call.cancelled = True
            self._refuse(call.call_id, error, call.metadata, call.queued_s)

    def trace(self, call: "NativeCall", ran: Ran) -> None:
        """Follow a request that was answered, and not refused or cancelled in the end."""
        if not call.cancelled:
            self._tracing.answered(ENDPOINT, call.metadata, call.queued_s, ran)

    def _refuse(self, call_id: int, error: Exception, metadata: Metadata, since_s: float) -> None:
        request_id = request_id_of(metadata)
        with request_context(request_id):
            status, text = answer_to(error, request_id)
            if not isinstance(error, ExhaustedError):  # the metrics count these: a line each would make things worse
                logger.info("%s: %s: %s", METHOD, status.name, text)
            self._front.fail(call_id, status.value[0], text)
            self._tracing.refused(ENDPOINT, metadata, since_s, error)

    def _lead_anew(self) -> None:
        self._running_since_s = None
        self._leader = threading.Thread(target=self._lead, name="native-leader", daemon=True)
        self._leader.start()

    def _lead(self) -> None:
        me = threading.current_thread()
        while self._leader is me and (events := self._receive()) is not None:
            self._reader.catch_up()
            self._came_alone = len(events) == 1
            now_s = time.monotonic()
            for event in events:
                self._take(event, now_s)
            for batcher, calls in self._arrived.items():
                if batcher.submit(calls):
                    self._turns.append(batcher)
            self._arrived.clear()
            if self._turns:
                self._run_turn(me)

    def _receive(self) -> list[Event] | None:
        """What has arrived; None when the port is closed.

        After a call that came alone it polls for a moment before it sleeps: to be woken takes as long as a small run.
        Where many come there is hardly a pause, and others need the processor.
        """
        receive = self._front.recv_batch_details
        if self._turns:
            return receive(MAX_EVENTS, 0)
        until_s = time.monotonic() + self._busy_poll_s
        while self._came_alone and time.monotonic() < until_s:
            if events := receive(MAX_EVENTS, 0):
                return events
        return receive(MAX_EVENTS)

    def _run_turn(self, me: threading.Thread) -> None:
        """The next batch of the version whose turn it is."""
        batcher = self._turns.popleft()
        if batcher.expected_s > (ALONE_S if self._is_alone(batcher) else QUICK_S):
            batcher.work_in_thread()
            return
        self._running_since_s = time.monotonic()
        more = batcher.run_batch()
        if self._leader is not me:  # it took too long: another thread leads now
            if more:
                batcher.work()
            return
        self._running_since_s = None
        if more:
            self._turns.append(batcher)

    def _is_alone(self, batcher: Batcher) -> bool:
        """Whether no other version has had a turn for a while."""
        now_s = time.monotonic()
        if batcher is not self._last:
            self._last, self._company_until_s = batcher, now_s + COMPANY_S
        return now_s > self._company_until_s

    async def _replace_stuck_leaders(self) -> None:
        while True:
            await asyncio.sleep(STUCK_S)
            since_s, leader = self._running_since_s, self._leader
            stuck = since_s is not None and time.monotonic() - since_s > STUCK_S
            if stuck or (leader is not None and not leader.is_alive()):
                self._lead_anew()

    def _take(self, event: Event, now_s: float) -> None:
        _, call_id, _, payload, peer, details = event
        if payload is None or details is None:
            self._cancel(call_id)
            return
        metadata, _, remaining_s = details
        if self._guard.alarmed:
            self._guard.handed_over(str(peer), len(payload), metadata)
        try:
            self._authorize(metadata)
            reading = self._reader.read(payload)
        except TakesLongError as long:
            self._deferred.add(call_id)
            self._slow_reads.do(partial(self._take_slowly, call_id, long.read, details, now_s))
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, the caller must hear of it
            self._refuse(call_id, error, metadata, now_s)
            return
        self._calls[call_id] = call = NativeCall(self, call_id, reading, metadata, now_s, remaining_s)
        self._arrived[call.plan.served.batcher].append(call)

    def _take_slowly(self, call_id: int, read: Callable[[], Reading], details: Details, now_s: float) -> None:
        """Decode in a thread of its own what would hold up the others."""
        metadata, _, remaining_s = details
        try:
            reading = read()
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(call_id, error, metadata, now_s)
            self._deferred.discard(call_id)
            return
        call = NativeCall(self, call_id, reading, metadata, now_s, remaining_s)
        self._calls[call_id] = call
        if call_id not in self._deferred:
            self._cancel(call_id)
            return
        self._deferred.discard(call_id)
        batcher = call.plan.served.batcher
        if batcher.submit([call]):
            batcher.work_in_thread()

    def _cancel(self, call_id: int) -> None:
        self._deferred.discard(call_id)
        call = self._calls.pop(call_id, None)
        if call is not None:
            call.cancelled = True
            left = asyncio.CancelledError()
            call.plan.served.metrics.failed(left)
            self._tracing.refused(ENDPOINT, call.metadata, call.queued_s, left)


class NativeCall(Call):
    """A call whose answer goes to the front."""

    __slots__ = ("_front", "_id_field", "call_id", "metadata", "plan")

    def __init__(
        self,
        front: NativeFront,
        call_id: int,
        reading: Reading,
        metadata: Metadata,
        queued_s: float,
        remaining_s: float | None,
    ) -> None:
        # The attributes of a call are set here, not by its own constructor: a tenth of the time to take a request.
        plan, self.contents, self._id_field, self.size_bytes = reading
        timeout_s = plan.timeout_s if remaining_s is None or remaining_s > plan.timeout_s else remaining_s
        self.lane, self.num_rows, self.cancelled = plan.lane, plan.num_rows, False
        self.deadline_s, self.queued_s = queued_s + timeout_s, queued_s
        self._front, self.metadata, self.call_id, self.plan = front, metadata, call_id, plan

    def answer(self, run: Run, start: int) -> None:
        """Write the response, and send it."""
        self._front.respond(self, self.plan.encode(run, start, self._id_field))

    def refuse(self, error: Exception) -> None:
        """Send the error's status."""
        self._front.fail(self, error)

    def trace(self, ran: Ran) -> None:
        """The request is answered as a whole."""
        self._front.trace(self, ran)
