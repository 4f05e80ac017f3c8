"""The loop that most people would write: torch's DataLoader, one batch at a time."""

import time

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tests.benchmarks.training.peers.networks import network_of
from tests.benchmarks.training.peers.task import Learned, Task, main


def carry_out(task: Task) -> Learned:
    """Train."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    network = network_of(task)
    rows = TensorDataset(torch.from_numpy(task.train_x), torch.from_numpy(task.train_y))
    loader = DataLoader(rows, batch_size=task.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(network.parameters(), lr=task.learning_rate)
    criterion = nn.CrossEntropyLoss()
    seconds = []
    for _ in range(task.epochs):
        started, total = time.perf_counter(), 0.0
        for features, targets in loader:
            optimizer.zero_grad()
            loss = criterion(network(features), targets)
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets)
        seconds.append(time.perf_counter() - started)
    with torch.no_grad():
        return Learned(seconds, network(torch.from_numpy(task.validation_x)).numpy())


if __name__ == "__main__":
    main(carry_out)
