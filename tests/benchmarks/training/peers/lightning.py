"""Lightning's Trainer over torch's DataLoader, with everything switched off that can be."""

import time

import lightning
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.training.peers.networks import network_of
from tests.benchmarks.training.peers.task import Learned, Task, main


class Module(lightning.LightningModule):  # type: ignore[misc] # Lightning lives in an environment of its own
    """The task's network, loss and optimizer."""

    def __init__(self, task: Task) -> None:
        super().__init__()
        self.network = network_of(task)
        self.criterion = nn.CrossEntropyLoss()
        self.learning_rate = task.learning_rate

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """Loss of a batch."""
        features, targets = batch
        loss: Tensor = self.criterion(self.network(features), targets)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam."""
        return torch.optim.Adam(self.network.parameters(), lr=self.learning_rate)


class Stopwatch(lightning.Callback):  # type: ignore[misc] # likewise
    """Seconds of each epoch."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._started = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Start."""
        self._started = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._started)


def carry_out(task: Task) -> Learned:
    """Train."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    module, stopwatch = Module(task), Stopwatch()
    rows = TensorDataset(torch.from_numpy(task.train_x), torch.from_numpy(task.train_y))
    trainer = lightning.Trainer(
        max_epochs=task.epochs,
        accelerator="cpu",
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[stopwatch],
    )
    trainer.fit(module, DataLoader(rows, batch_size=task.batch_size, shuffle=True))
    with torch.no_grad():
        return Learned(stopwatch.seconds, module.network(torch.from_numpy(task.validation_x)).numpy())


if __name__ == "__main__":
    main(carry_out)
