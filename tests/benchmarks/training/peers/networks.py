"""The network of a task for peers that have torch: Drivetrain's own modules, so that nothing differs but the loop."""

from torch import nn

from pipelines.models.network import build_network
from pipelines.spec.training_spec import TrainingSpec
from tests.benchmarks.training.peers.task import Task


def network_of(task: Task) -> nn.Module:
    """With the first weights that everybody has."""
    spec = TrainingSpec.model_validate(task.spec)
    return build_network(spec.model, task.train_x.shape[1:], task.outputs, spec.seed)
