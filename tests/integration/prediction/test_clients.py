"""Every call of tritonclient's and KServe's gRPC clients, unchanged, against a real server: the README's table."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from services.prediction.servicer import EXTENSIONS
from tests.integration.prediction.environments import python_with
from tests.integration.prediction.serving import asked, serving
from tests.integration.prediction.store import Store
from tests.integration.prediction.test_datatypes import promote_identity
from tests.unit.prediction.graphs import probabilities

pytestmark = pytest.mark.usefixtures("each_transport")

CLIENTS = Path(__file__).parent / "clients"
KSERVE = "kserve==0.21.0"  # it brings 67 packages

ROWS = np.array([[0.25, -0.5, 1.0], [0.5, 0.5, 0.5]], np.float32)
EXPECTED = probabilities(ROWS, 1.0)


def classes() -> list[str]:
    """The two classes of each row as the classification extension spells them."""
    spelled = []
    for no, yes in EXPECTED:
        both = [(no, f"{no:f}:0:no"), (yes, f"{yes:f}:1:yes")]
        spelled += [text for _, text in sorted(both, reverse=True)]
    return spelled


async def test_every_call_of_tritonclient(store: Store) -> None:
    store.promote("digits")
    promote_identity(store, "BYTES")
    async with serving(store.registry) as it:
        answers = await asked(sys.executable, str(CLIENTS / "triton_calls.py"), f"127.0.0.1:{it.server.port}")
    for client in ("sync", "aio"):
        came = answers[client]
        np.testing.assert_allclose(came["infer"], EXPECTED, atol=1e-6)
        assert came["infer, class_count"] == classes()
        assert came["infer, BYTES"] == ["naïve", "a\0b"]
        assert came["get_model_config"] == ["digits", 64, 3]
        assert came["get_inference_statistics"] == ["digits", "same"]
        assert came["get_server_metadata"] == EXTENSIONS
        assert came["infer, sequence"] == "StatusCode.INVALID_ARGUMENT"
        assert came["not here"] == ["StatusCode.UNIMPLEMENTED"] * 3
        assert came["ready"] == [True] * 3
        assert came["index"] == ["READY"] * 2
        assert came["get_model_metadata"] == "features"
    np.testing.assert_allclose(answers["sync"]["async_infer"], EXPECTED, atol=1e-6)
    for came in (answers["stream"]["async_stream_infer"], answers["aio"]["stream_infer"]):
        assert came.pop(3).startswith("inputs[features].shape: expected [-1, 3]")
        assert [id_ for id_, _ in came] == [str(number) for number in range(20) if number != 3]
        expected = [probabilities(ROWS * np.float32(number), 1.0)[0, 0] for number in range(20) if number != 3]
        np.testing.assert_allclose([first for _, first in came], expected, atol=1e-6)


@pytest.mark.slow
async def test_every_call_of_the_kserve_client(store: Store) -> None:
    python = await python_with(KSERVE)
    store.promote("digits")
    async with serving(store.registry) as it:
        answers = await asked(str(python), str(CLIENTS / "kserve_calls.py"), f"127.0.0.1:{it.server.port}")
    assert [answers[f"is_{what}"] for what in ("server_live", "server_ready", "model_ready")] == [True] * 3
    for kind in ("raw", "typed"):
        id_, version, came = answers[f"infer, {kind}"]
        assert (id_, version) == ("k-1", "1")
        np.testing.assert_allclose(came, EXPECTED, atol=1e-6)
    assert answers["infer, unknown model"] == "NOT_FOUND"


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [("-m", "digits"), ("-m", "digits", "--streaming"), ("-m", "same")],
    ids=["unary", "stream", "BYTES"],
)
async def test_nvidias_perf_analyzer(store: Store, options: tuple[str, ...]) -> None:
    program = os.environ.get("PERF_ANALYZER") or shutil.which("perf_analyzer")
    if program is None:
        pytest.skip("NOT TESTED with perf_analyzer: put it on the PATH, or name it in PERF_ANALYZER")
    store.promote("digits")
    promote_identity(store, "BYTES")
    async with serving(store.registry) as it:
        address = ("-i", "grpc", "-u", f"127.0.0.1:{it.server.port}")
        load = ("--concurrency-range", "4", "--request-count", "500", "--input-data", "zero")
        analyzer = await asyncio.create_subprocess_exec(
            program, *address, *load, *options, stdout=asyncio.subprocess.PIPE
        )
        report, _ = await analyzer.communicate()
    assert analyzer.returncode == 0, report.decode()
    assert "Successful request count: 500" in report.decode(), "the server's own count, by ModelStatistics"
