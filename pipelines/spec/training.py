"""How long training takes, and on what."""

from typing import Literal

from pydantic import Field

from pipelines.spec.section import Section


class EarlyStopping(Section):
    """Stop when the validation loss has not improved for a while."""

    patience: int = Field(default=10, ge=1, le=100_000)
    """Epochs without improvement before training stops."""
    min_delta: float = Field(default=0.0, ge=0, le=1e6)
    """Smallest fall of the validation loss that counts as an improvement."""


class Training(Section):
    """How long and in what batches."""

    epochs: int = Field(default=20, ge=1, le=1_000_000)
    """Passes over the training rows, at most."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Rows an update, over all workers together: with more of them each takes fewer; the learning rate stays."""
    early_stopping: EarlyStopping | None = None
    """Off by default. The weights of the epoch with the lowest validation loss are kept either way."""
    retries: int = Field(default=3, ge=0, le=100)
    """How often lost workers, and how often a lost driver, are replaced; training goes on from the last checkpoint."""


class Compute(Section):
    """Workers and what each of them gets from Ray."""

    workers: int = Field(default=1, ge=1, le=1024)
    """Processes that train together; one runs as a Ray actor, several under Ray Train."""
    cpus_per_worker: int = Field(default=1, ge=1, le=1024)
    """CPU cores a worker; it uses as many threads if the network is large enough to gain by them."""
    gpus_per_worker: float = Field(default=0.0, ge=0, le=64)
    """GPUs a worker; 0 trains on the CPU, a fraction shares one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """What layers multiply in; auto takes bf16 for larger convolutions on hardware that has it. Weights stay fp32."""
    compile: bool = False
    """Whether the network is compiled (torch.compile), which takes up to a minute and seldom pays: measure it. A plain
    perceptron never is: what trains it takes a third of the time that its compiled network would."""
