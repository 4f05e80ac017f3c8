"""The routes of the HTTP protocol, each a method of the gRPC service: same servicer, same rights, same errors."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import cast

from google.protobuf.message import Message
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.prediction.codec import LONG
from services.prediction.pb import open_inference_pb2 as pb
from services.prediction.rest.body import Bodies, gone
from services.prediction.rest.errors import TooLargeError, refusal, status_of
from services.prediction.rest.messages import (
    HEADER_LENGTH,
    Form,
    fill_parameters,
    read_object,
    read_request,
    write_answer,
)
from services.prediction.rest.plain import plain
from services.prediction.servicer import POLICY, Servicer
from services.prediction.tracing import Endpoint, NullTracing, Tracing
from services.rpc.authorization import Authorizer
from services.rpc.errors import InvalidRequestError
from services.rpc.logs import request_context
from services.rpc.status import Context, request_id_of

Answering = Callable[[Request], Awaitable[Response]]

VERSION = "/versions/{version}"
MODEL = "/v2/models/{name}"
REPOSITORY_MODEL = "/v2/repository/models/{name}"


class _Call:
    """What a method of the servicer asks of its call. HTTP has no deadline; the parameter `timeout` is one."""

    def time_remaining(self) -> None:
        """There is no limit."""


CALL = cast("Context", _Call())


class Api:
    """The application over a servicer; `app` is what a server runs."""

    def __init__(self, servicer: Servicer, authorizer: Authorizer, bodies: Bodies, tracing: Tracing) -> None:
        self._servicer, self._authorizer, self._bodies, self._tracing = servicer, authorizer, bodies, tracing
        self._json_turn = asyncio.Lock()

    def app(self) -> Starlette:
        """All routes; more special ones come first."""
        routes = [
            self._route("GET", "/v2/health/live", "ServerLive", self._live),
            self._route("GET", "/v2/health/ready", "ServerReady", self._ready),
            self._route("GET", "/v2", "ServerMetadata", self._metadata),
            self._route("GET", "/v2/models/stats", "ModelStatistics", self._statistics),
            self._route("POST", "/v2/repository/index", "RepositoryIndex", self._index),
            self._route("POST", f"{REPOSITORY_MODEL}/load", "RepositoryModelLoad", self._load),
            self._route("POST", f"{REPOSITORY_MODEL}/unload", "RepositoryModelUnload", self._unload),
        ]
        for model in (MODEL, MODEL + VERSION):
            routes += [
                self._route("GET", f"{model}/ready", "ModelReady", self._model_ready),
                self._route("GET", f"{model}/config", "ModelConfig", self._config),
                self._route("GET", f"{model}/stats", "ModelStatistics", self._statistics),
                self._route("POST", f"{model}/infer", "ModelInfer", self._infer),
                self._route("GET", model, "ModelMetadata", self._model_metadata),
            ]
        return Starlette(routes=routes, exception_handlers={HTTPException: _no_route})

    def _route(self, verb: str, path: str, method: str, answer: Answering) -> Route:
        """`path` answered by `answer`, for callers who may call the gRPC method of that name."""
        tracing = self._tracing if method == "ModelInfer" else NullTracing()
        traced = _traced(verb, path)

        async def endpoint(request: Request) -> Response:
            request_id = request_id_of(request.headers.items())
            with request_context(request_id):
                try:
                    with tracing.request(traced, request.headers.items()):
                        self._authorize(request, method)
                        response = await answer(request)
                except ClientDisconnect:
                    response = Response(status_code=499)  # nobody reads it
                except Exception as error:  # noqa: BLE001 - the table ends with Exception: nothing leaves unanswered
                    response = refusal(error, request_id, path)
            response.headers["x-request-id"] = request_id
            return response

        return Route(path, endpoint, methods=[verb])

    def _authorize(self, request: Request, method: str) -> None:
        authorization = request.headers.get("authorization", "")
        names = () if authorization else request.scope.get("state", {}).get("identities", ())
        self._authorizer.check(f"/{POLICY.service}/{method}", authorization, names)

    async def _live(self, _request: Request) -> Response:
        return _message(await self._servicer.ServerLive(pb.ServerLiveRequest(), CALL))

    async def _ready(self, _request: Request) -> Response:
        answer = await self._servicer.ServerReady(pb.ServerReadyRequest(), CALL)
        return _message(answer, 200 if answer.ready else 503)

    async def _model_ready(self, request: Request) -> Response:
        name, version = _model_of(request)
        answer = await self._servicer.ModelReady(pb.ModelReadyRequest(name=name, version=version), CALL)
        return JSONResponse({"name": name, "ready": answer.ready}, 200 if answer.ready else 503)

    async def _metadata(self, _request: Request) -> Response:
        answer = await self._servicer.ServerMetadata(pb.ServerMetadataRequest(), CALL)
        answer.extensions.append("binary_tensor_data")
        return _message(answer)

    async def _model_metadata(self, request: Request) -> Response:
        name, version = _model_of(request)
        return _message(await self._servicer.ModelMetadata(pb.ModelMetadataRequest(name=name, version=version), CALL))

    async def _config(self, request: Request) -> Response:
        name, version = _model_of(request)
        answer = await self._servicer.ModelConfig(pb.ModelConfigRequest(name=name, version=version), CALL)
        return _message(answer.config)

    async def _statistics(self, request: Request) -> Response:
        name, version = _model_of(request)
        asked = pb.ModelStatisticsRequest(name=name, version=version)
        return _message(await self._servicer.ModelStatistics(asked, CALL))

    async def _index(self, request: Request) -> Response:
        async with self._bodies.of(request) as body:
            ready = read_object(body).get("ready", False)
        if not isinstance(ready, bool):
            raise InvalidRequestError("ready", "true or false", "another value")
        answer = await self._servicer.RepositoryIndex(pb.RepositoryIndexRequest(ready=ready), CALL)
        return JSONResponse(plain(answer)["models"])

    async def _load(self, request: Request) -> Response:
        asked = pb.RepositoryModelLoadRequest(model_name=request.path_params["name"])
        await self._fill(asked.parameters, request)
        await self._servicer.RepositoryModelLoad(asked, CALL)
        return JSONResponse({})

    async def _unload(self, request: Request) -> Response:
        asked = pb.RepositoryModelUnloadRequest(model_name=request.path_params["name"])
        await self._fill(asked.parameters, request)
        await self._servicer.RepositoryModelUnload(asked, CALL)
        return JSONResponse({})

    async def _infer(self, request: Request) -> Response:
        async with self._bodies.of(request) as body:
            asked, form = await self._read(body, request.headers.get(HEADER_LENGTH))
            asked.model_name, asked.model_version = _model_of(request)
            answer = await _unless_gone(request, self._servicer.ModelInfer(asked, CALL))
        return self._answer(answer, form)

    async def _read(self, body: bytes, header_length: str | None) -> tuple[pb.ModelInferRequest, Form]:
        """Large bodies one at a time: as Python's values, numbers take several times the memory of their JSON."""
        if len(body) <= LONG:
            return read_request(body, header_length)
        async with self._json_turn:
            return await asyncio.to_thread(read_request, body, header_length)

    def _answer(self, answer: pb.ModelInferResponse, form: Form) -> Response:
        limit = self._bodies.max_bytes
        if sum(map(len, answer.raw_output_contents)) > limit:
            raise TooLargeError("the answer", limit)
        head, after = write_answer(answer, form)
        content = json.dumps(head, separators=(",", ":")).encode()
        if len(content) + sum(map(len, after)) > limit:
            raise TooLargeError("the answer", limit)
        if not after:
            return Response(content, media_type="application/json")
        headers = {HEADER_LENGTH: str(len(content))}
        return Response(b"".join((content, *after)), headers=headers, media_type="application/octet-stream")

    async def _fill(self, target: Mapping[str, pb.ModelRepositoryParameter], request: Request) -> None:
        async with self._bodies.of(request) as body:
            parameters = read_object(body).get("parameters", {})
        if not isinstance(parameters, dict):
            raise InvalidRequestError("parameters", "an object", "another value")
        fill_parameters(target, parameters, "parameters")


async def _unless_gone(request: Request, answer: Awaitable[pb.ModelInferResponse]) -> pb.ModelInferResponse:
    """The answer; given up, so that it leaves the queue, when the client does. Raises ClientDisconnect."""
    answering, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if answering.done():
            return answering.result()
    finally:
        leaving.cancel()
        answering.cancel()
    with suppress(asyncio.CancelledError):
        await answering
    raise ClientDisconnect


def _traced(verb: str, path: str) -> Endpoint:
    attributes = {"http.request.method": verb, "http.route": path}
    return Endpoint(f"{verb} {path}", attributes, "http.response.status_code", 200, _status)


def _status(error: BaseException) -> int:
    if isinstance(error, Exception) and not isinstance(error, ClientDisconnect):
        return status_of(error)
    return 499


def _message(answer: Message, status: int = 200) -> Response:
    return JSONResponse(plain(answer), status)


def _model_of(request: Request) -> tuple[str, str]:
    return request.path_params.get("name", ""), request.path_params.get("version", "")


def _no_route(_request: Request, error: Exception) -> Response:
    """Starlette's refusals, of unknown paths and methods, in the protocol's form."""
    if not isinstance(error, HTTPException):  # registered for this one alone
        raise error
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
