"""What to say to the service and what to make of its answers, as flows: nothing is said here."""

import random
from typing import Any

import grpc
from google.protobuf.message import Message

from services.prediction.client.description import (
    IndexEntry,
    ModelMetadata,
    ServerMetadata,
    read_index,
    read_model,
    read_server,
)
from services.prediction.client.errors import (
    DeadlineError,
    InvalidDataError,
    RefusedError,
    UnavailableError,
    UnknownModelError,
)
from services.prediction.client.messages import Ask, Prediction, read_prediction
from services.prediction.client.retry import Deadline, RetryPolicy
from services.prediction.client.status import Question, is_retryable, translate
from services.prediction.client.steps import Call, Flow, Method, Pause
from services.prediction.pb import open_inference_pb2 as pb

MAX_ROUNDS = 5
"""How often one prediction follows a model whose versions change while it is asked."""

MAX_KNOWN = 256
"""Descriptions that are kept, of models and versions."""


class Dialogue:
    """The flows of one client, with what it knows of the models. Errors are those of `errors.py`."""

    def __init__(self, address: str, timeout_s: float, retry: RetryPolicy) -> None:
        Deadline(timeout_s)  # refuses a time that is none
        self._address, self._timeout_s, self._retry = address, timeout_s, retry
        self._known: dict[tuple[str, str], ModelMetadata] = {}

    def is_live(self) -> Flow[bool]:
        """Whether the process answers; it is asked once."""
        return (yield from self._probe("ServerLive", pb.ServerLiveRequest(), "live"))

    def is_ready(self) -> Flow[bool]:
        """Whether the service is ready; it is asked once."""
        return (yield from self._probe("ServerReady", pb.ServerReadyRequest(), "ready"))

    def is_model_ready(self, model: str, version: str) -> Flow[bool]:
        """Whether the model would answer; it is asked once. An unknown model is not ready."""
        request = pb.ModelReadyRequest(name=model, version=version)
        return (yield from self._probe("ModelReady", request, "ready"))

    def server_metadata(self) -> Flow[ServerMetadata]:
        """Who answers."""
        deadline = Deadline(self._timeout_s)
        return read_server((yield from self._answer("ServerMetadata", pb.ServerMetadataRequest(), deadline)))

    def index(self, *, ready_only: bool) -> Flow[tuple[IndexEntry, ...]]:
        """The known models."""
        request, deadline = pb.RepositoryIndexRequest(ready=ready_only), Deadline(self._timeout_s)
        return read_index((yield from self._answer("RepositoryIndex", request, deadline)))

    def metadata(self, model: str, version: str) -> Flow[ModelMetadata]:
        """The model's metadata as it is now."""
        return (yield from self._describe(model, version, Deadline(self._timeout_s)))

    def predict(self, ask: Ask, timeout_s: float | None) -> Flow[Prediction]:
        """Ask with the metadata that is known, and again if the model turns out to take something else by now."""
        deadline = Deadline(self._timeout_s if timeout_s is None else timeout_s)
        known = self._known.get((ask.model, ask.version))
        if known is None:
            known = yield from self._describe(ask.model, ask.version, deadline)
        for _ in range(MAX_ROUNDS):
            asked_with = known
            try:
                response = yield from self._infer(ask, known, deadline)
            except (InvalidDataError, RefusedError):
                known = yield from self._describe(ask.model, ask.version, deadline)
                if known == asked_with:
                    raise
                continue
            known = yield from self._of_version(response.model_version, known, ask, deadline)
            if _answers(response.model_version, known) and _takes_the_same(known, asked_with):
                return read_prediction(response, known)
        raise UnavailableError(self._address, f"the versions of model {ask.model!r} change too fast", MAX_ROUNDS)

    def _infer(self, ask: Ask, known: ModelMetadata, deadline: Deadline) -> Flow[pb.ModelInferResponse]:
        request = ask.request(known)
        response: pb.ModelInferResponse
        response = yield from self._answer("ModelInfer", request, deadline, ask.model, ask.version)
        return response

    def _of_version(self, version: str, known: ModelMetadata, ask: Ask, deadline: Deadline) -> Flow[ModelMetadata]:
        """The metadata of the version that answered, or of the one that would answer now."""
        if _answers(version, known):
            return known
        found = self._known.get((ask.model, version))
        if found is None:
            found = yield from self._describe(ask.model, ask.version, deadline)
            if version in found.versions and version != found.version:
                found = yield from self._describe(ask.model, version, deadline)
        self._known[ask.model, ask.version] = found
        return found

    def _describe(self, model: str, version: str, deadline: Deadline) -> Flow[ModelMetadata]:
        request = pb.ModelMetadataRequest(name=model, version=version)
        found = read_model((yield from self._answer("ModelMetadata", request, deadline, model, version)), version)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[model, version] = found
        if found.version:
            self._known[model, found.version] = found
        return found

    def _probe(self, method: Method, request: Message, field: str) -> Flow[bool]:
        deadline = Deadline(self._timeout_s)
        question = Question(self._address, deadline.timeout_s)
        try:
            response = yield Call(method, request, deadline.remaining_s())
        except grpc.RpcError as error:
            told = translate(error, question, 1)
            if isinstance(told, UnavailableError | DeadlineError | UnknownModelError):
                return False
            raise told from error
        return bool(getattr(response, field))

    def _answer(
        self, method: Method, request: Message, deadline: Deadline, model: str = "", version: str = ""
    ) -> Flow[Any]:
        """The response, after as many attempts as the policy and the deadline allow."""
        question, num_attempts = Question(self._address, deadline.timeout_s, model, version), 0
        while True:
            num_attempts += 1
            try:
                return (yield Call(method, request, deadline.remaining_s()))
            except grpc.RpcError as error:
                pause_s = None
                if is_retryable(error):
                    pause_s = self._retry.pause_s(num_attempts, deadline.remaining_s(), random.random())
                if pause_s is None:
                    raise translate(error, question, num_attempts) from error
            yield Pause(pause_s)


def _answers(version: str, known: ModelMetadata) -> bool:
    """Whether `known` describes the version; a service that does not name its versions has one."""
    return version == known.version or "" in (version, known.version)


def _takes_the_same(one: ModelMetadata, other: ModelMetadata) -> bool:
    """Whether a request for one is right for the other: columns were put in the order of the features."""
    described = [(each.inputs, each.feature_names, each.encoded_images) for each in (one, other)]
    return described[0] == described[1]
