"""What importing costs: the server drags in neither torch nor ray, a command what its options are made of."""

import subprocess
import sys

import pytest


def loaded_by(module: str) -> set[str]:
    """Top-level packages that importing `module` brings into a fresh interpreter."""
    code = f"import {module}, sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    return set(result.stdout.split())


def test_the_server_needs_neither_torch_nor_ray() -> None:
    loaded = loaded_by("services.prediction.server")
    assert "onnxruntime" in loaded
    assert not loaded & {"torch", "ray"}


def test_the_client_needs_nothing_of_a_server_or_of_training() -> None:
    loaded = loaded_by("services.prediction.client")
    assert {"grpc", "numpy"} <= loaded
    assert not loaded & {"torch", "ray", "onnxruntime", "mlflow", "pandas", "typer", "prometheus_client"}


def test_the_client_is_quick_to_import() -> None:
    code = "import numpy, grpc, time; import services.prediction.client; print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60) for _ in range(3)]
    assert min(float(run.stdout) for run in runs) < 1.0  # seconds of CPU, all of Python included; 0.35 on two cores


@pytest.mark.parametrize("module", ["services.prediction", "services.prediction.command", "services.training.command"])
def test_the_command_is_cheap_to_import(module: str) -> None:
    assert not loaded_by(module) & {"torch", "ray", "grpc", "mlflow", "onnxruntime", "numpy"}
