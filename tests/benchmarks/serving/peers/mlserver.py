"""MLServer with a custom runtime that calls onnxruntime."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from pipelines.registry.package import MODEL_FILE
from tests.benchmarks.environments import environment
from tests.benchmarks.serving.contestant import Launch, free_port
from tests.benchmarks.serving.models import Model

HERE = Path(__file__).parent
RUNTIME = HERE / "mlserver_runtime.py"


@dataclass(frozen=True)
class MlServer:
    """One MLServer, by default with one worker process; with none, which is faster for small models, the model runs
    beside the protocol."""

    parallel_workers: int

    def set_up(self, workplace: Path) -> None:
        """Install it. Raises SetUpError."""
        environment(workplace / "mlserver", HERE / "mlserver.txt")

    def launch(self, model: Model, port: int, workplace: Path) -> Launch:
        """A server of this model alone."""
        folder = workplace / "mlserver-models" / f"{model.name}-{self.parallel_workers}"
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copy(RUNTIME, folder)
        settings = {
            "host": "127.0.0.1",
            "grpc_port": port,
            "http_port": free_port(),
            "metrics_port": free_port(),
            "parallel_workers": self.parallel_workers,
            "metrics_dir": str(folder / "metrics"),
            "debug": False,
        }
        model_settings = {
            "name": model.name,
            "implementation": "mlserver_runtime.OnnxRuntime",
            "parameters": {"uri": str(model.package / MODEL_FILE), "version": "1"},
        }
        (folder / "settings.json").write_text(json.dumps(settings))
        (folder / "model-settings.json").write_text(json.dumps(model_settings))
        programs = workplace / "mlserver" / "bin"
        return Launch([programs / "mlserver", "start", folder], {"PYTHONPATH": str(folder)})
