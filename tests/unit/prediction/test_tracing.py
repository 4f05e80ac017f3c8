import asyncio
import subprocess
import sys

import pytest

from services.prediction.tracing import NullTracing, make_tracing, rpc
from services.rpc.errors import DeadlineError, InvalidSettingsError

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
SOMEWHERE = {ENDPOINT: "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {ENDPOINT: ""},
        {"OTEL_SERVICE_NAME": "shop"},
        SOMEWHERE | {"OTEL_SDK_DISABLED": "TRUE"},
        SOMEWHERE | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_it_is_off_unless_there_is_a_collector(variables: dict[str, str]) -> None:
    assert isinstance(make_tracing(variables), NullTracing)


@pytest.mark.parametrize("name", [ENDPOINT, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"])
def test_a_collector_turns_it_on(name: str) -> None:
    tracing = make_tracing({name: "http://127.0.0.1:1"})
    assert not isinstance(tracing, NullTracing)
    tracing.close()


def test_another_protocol_than_grpc_is_refused() -> None:
    name = "OTEL_EXPORTER_OTLP_PROTOCOL"
    make_tracing(SOMEWHERE | {name: "grpc"}).close()
    with pytest.raises(InvalidSettingsError, match=f"{name}: expected grpc, came http/protobuf"):
        make_tracing(SOMEWHERE | {name: "http/protobuf"})


def test_without_the_extra_the_setting_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "services.prediction.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with pytest.raises(InvalidSettingsError, match=r"the extra otel.*pip install 'drivetrain\[otel\]'"):
        make_tracing(SOMEWHERE)


def test_nothing_of_opentelemetry_is_imported_while_it_is_off() -> None:
    code = (
        "import sys; from services.prediction import server, tracing; tracing.make_tracing({});"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout == "[]\n"


def test_a_method_tells_its_status() -> None:
    endpoint = rpc("/inference.GRPCInferenceService/ModelInfer")
    assert endpoint.name == endpoint.attributes["rpc.method"] == "inference.GRPCInferenceService/ModelInfer"
    assert endpoint.bad(DeadlineError()) == "DEADLINE_EXCEEDED"
    assert endpoint.bad(KeyError()) == "INTERNAL"
    assert endpoint.bad(asyncio.CancelledError()) == endpoint.bad(GeneratorExit()) == "CANCELLED"
