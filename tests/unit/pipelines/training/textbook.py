"""The textbook's formulas in plain numpy: forward and backward pass, penalties, and each optimizer's update.

Weights are stored as torch has them, (out, in); a network is a list of (W, b), the last one without activation.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]


def sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
}
DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: np.asarray(1 - np.tanh(z) ** 2),
    "relu": lambda z: (z > 0).astype(np.float64),
}


def softmax(z: Array) -> Array:
    exponents = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def row_losses(loss: str, outputs: Array, targets: NDArray[np.generic]) -> Array:
    """cross_entropy: -log p(target). mse: (output - target)²."""
    if loss == "cross_entropy":
        return np.asarray(-np.log(softmax(outputs)[np.arange(len(targets)), targets.astype(np.int64)]))
    return np.asarray((outputs[:, 0] - targets.astype(np.float64)) ** 2)


def loss_gradient(loss: str, outputs: Array, targets: NDArray[np.generic]) -> Array:
    """Of the mean loss with regard to the outputs: (p - onehot) / n, or 2 (output - target) / n."""
    if loss == "cross_entropy":
        return np.asarray((softmax(outputs) - np.eye(outputs.shape[1])[targets.astype(np.int64)]) / len(targets))
    return np.asarray(2 * (outputs - targets.astype(np.float64)[:, None]) / len(targets))


def forward(layers: Layers, activation: str, x: Array) -> tuple[list[Array], list[Array]]:
    """What goes into each layer, and what each layer puts out before its activation."""
    inputs, sums = [x], []
    for weight, bias in layers:
        sums.append(inputs[-1] @ weight.T + bias)
        inputs.append(ACTIVATIONS[activation](sums[-1]))
    return inputs[:-1], sums


@dataclass(frozen=True)
class Problem:
    """What is minimised."""

    loss: str
    activation: str = "relu"
    l1: float = 0.0
    l2: float = 0.0

    def gradients(self, layers: Layers, x: Array, y: NDArray[np.generic]) -> Layers:
        """Of mean loss + λ₁‖w‖₁ + (λ₂/2)‖w‖² by backpropagation; the penalties leave biases out."""
        inputs, sums = forward(layers, self.activation, x)
        delta = loss_gradient(self.loss, sums[-1], y)
        found: Layers = []
        for at in reversed(range(len(layers))):
            weight = layers[at][0]
            penalty = self.l1 * np.sign(weight) + self.l2 * weight
            found.insert(0, (delta.T @ inputs[at] + penalty, delta.sum(axis=0)))
            if at:
                delta = delta @ weight * DERIVATIVES[self.activation](sums[at - 1])
        return found

    def data_loss(self, layers: Layers, x: Array, y: NDArray[np.generic]) -> float:
        return float(row_losses(self.loss, forward(layers, self.activation, x)[1][-1], y).mean())

    def penalty(self, layers: Layers) -> float:
        return float(sum(self.l1 * np.abs(w).sum() + self.l2 / 2 * (w**2).sum() for w, _ in layers))


@dataclass
class Descent:
    """w ← w - ηv with v ← μv + g; Nesterov steps along g + μv."""

    rate: float
    momentum: float = 0.0
    nesterov: bool = False
    velocity: dict[int, Array] = field(default_factory=dict)

    def step(self, at: int, weight: Array, gradient: Array) -> Array:
        velocity = self.momentum * self.velocity.get(at, np.zeros_like(weight)) + gradient
        self.velocity[at] = velocity
        along = gradient + self.momentum * velocity if self.nesterov else velocity
        return np.asarray(weight - self.rate * along)


@dataclass
class Adagrad:
    """s ← s + g², w ← w - ηg / (√s + ε)."""

    rate: float
    epsilon: float
    squares: dict[int, Array] = field(default_factory=dict)

    def step(self, at: int, weight: Array, gradient: Array) -> Array:
        self.squares[at] = self.squares.get(at, np.zeros_like(weight)) + gradient**2
        return np.asarray(weight - self.rate * gradient / (np.sqrt(self.squares[at]) + self.epsilon))


@dataclass
class Adam:
    """m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - η m̂ / (√v̂ + ε), m̂ = m / (1-β₁ᵗ), v̂ = v / (1-β₂ᵗ)."""

    rate: float
    betas: tuple[float, float]
    epsilon: float
    state: dict[int, tuple[int, Array, Array]] = field(default_factory=dict)

    def step(self, at: int, weight: Array, gradient: Array) -> Array:
        first, second = self.betas
        steps, mean, square = self.state.get(at, (0, np.zeros_like(weight), np.zeros_like(weight)))
        steps += 1
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        self.state[at] = steps, mean, square
        corrected_mean, corrected_square = mean / (1 - first**steps), square / (1 - second**steps)
        return np.asarray(weight - self.rate * corrected_mean / (np.sqrt(corrected_square) + self.epsilon))


Rule = Descent | Adagrad | Adam


def train(
    problem: Problem, rule: Rule, layers: Layers, x: Array, y: NDArray[np.generic], batches: Iterable[Array]
) -> Layers:
    """One update a batch of row numbers; returns the new weights."""
    for batch in batches:
        rows = batch.astype(np.int64)
        gradients = problem.gradients(layers, x[rows], y[rows])
        layers = [
            (rule.step(2 * at, w, gw), rule.step(2 * at + 1, b, gb))
            for at, ((w, b), (gw, gb)) in enumerate(zip(layers, gradients, strict=True))
        ]
    return layers
