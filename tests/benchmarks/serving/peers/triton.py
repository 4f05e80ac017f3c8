"""NVIDIA's Triton from the wheel `nvidia-pytriton`, which carries the real server, with its Python backend.

Its fastest form here: onnxruntime in the backend, one run for all requests of a dynamic batch, and no waiting for more.
"""

import shutil
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from pipelines.registry.manifest import Tensor
from pipelines.registry.package import MODEL_FILE
from tests.benchmarks.environments import SetUpError, environment, site_packages
from tests.benchmarks.serving.contestant import Launch
from tests.benchmarks.serving.models import Model

HERE = Path(__file__).parent
MODEL_CODE = HERE / "triton_model.py"


@dataclass(frozen=True)
class Triton:
    """Triton with so many instances of each model, each a process of its own."""

    instances: int

    def set_up(self, workplace: Path) -> None:
        """Install the wheel, and put the Python backend beside the stub for this interpreter. Raises SetUpError."""
        server = self._server(environment(workplace / "triton", HERE / "triton.txt"))
        minor = f"{sys.version_info.major}.{sys.version_info.minor}"
        stub = server / "python_backend_stubs" / minor / "triton_python_backend_stub"
        if not stub.exists():
            raise SetUpError(f"nvidia-pytriton has no Python backend for Python {minor}")
        backend = workplace / "triton-backends" / "python"
        shutil.copytree(server / "backends" / "python", backend, dirs_exist_ok=True)
        shutil.copy(stub, backend)

    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """A server of this model alone; the other protocols are off, which costs it nothing."""
        python = workplace / "triton" / "bin" / "python"
        packages = site_packages(python)
        repository = self._write_repository(model, workplace / "triton-models" / f"{model.name}-{self.instances}")
        libraries = f"{packages / 'nvidia_pytriton.libs'}:{sysconfig.get_config_var('LIBDIR')}"
        options = {
            "--model-repository": repository,
            "--backend-directory": workplace / "triton-backends",
            "--grpc-port": port,
            "--grpc-address": "127.0.0.1",
            "--allow-http": "false",
            "--allow-metrics": "false",
        }
        return Launch(
            [self._server(python) / "bin" / "tritonserver", *(f"{name}={value}" for name, value in options.items())],
            {
                "LD_LIBRARY_PATH": libraries,
                "PATH": f"{python.parent}:/usr/bin:/bin",
                "VIRTUAL_ENV": str(python.parent.parent),
                "PYTHONPATH": str(packages),
            },
        )

    @staticmethod
    def _server(python: Path) -> Path:
        return site_packages(python) / "pytriton" / "tritonserver"

    def _write_repository(self, model: Model, repository: Path) -> Path:
        version = repository / model.name / "1"
        version.mkdir(parents=True, exist_ok=True)
        shutil.copy(model.package / MODEL_FILE, version)
        shutil.copy(MODEL_CODE, version / "model.py")
        (repository / model.name / "config.pbtxt").write_text(model_config(model, self.instances))
        return repository


def model_config(model: Model, instances: int) -> str:
    """Triton's description of the model: the manifest's tensors without the axis of the batch."""
    return f"""name: "{model.name}"
backend: "python"
max_batch_size: 64
input [{", ".join(map(_tensor, model.manifest.inputs))}]
output [{", ".join(map(_tensor, model.manifest.outputs))}]
instance_group [{{ kind: KIND_CPU count: {instances} }}]
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
"""


def _tensor(tensor: Tensor) -> str:
    dims = ", ".join(str(size) for size in tensor.shape[1:]) or "1"
    reshape = "" if len(tensor.shape) > 1 else " reshape { shape: [] }"
    return f'{{ name: "{tensor.name}" data_type: TYPE_{tensor.datatype} dims: [ {dims} ]{reshape} }}'
