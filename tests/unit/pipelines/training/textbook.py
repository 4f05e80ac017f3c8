"""The textbook's formulas in plain numpy: forward and backward pass, penalties, and each optimizer's update.

Weights are stored as torch has them, (out, in); a network is a list of (W, b), the last one without activation.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]

SLOPE = 0.01
"""Of leaky_relu below 0."""


def sigmoid(z: Array) -> Array:
    return np.asarray(1 / (1 + np.exp(-z)))


def normal_share(z: Array) -> Array:
    """Φ, the share of a standard normal distribution below z."""
    return np.array([[(1 + math.erf(value / math.sqrt(2))) / 2 for value in row] for row in z])


def normal_density(z: Array) -> Array:
    return np.asarray(np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "relu": lambda z: np.maximum(z, 0),
    "leaky_relu": lambda z: np.where(z > 0, z, SLOPE * z),
    "gelu": lambda z: np.asarray(z * normal_share(z)),
    "silu": lambda z: np.asarray(z * sigmoid(z)),
}
DERIVATIVES: dict[str, Callable[[Array], Array]] = {
    "sigmoid": lambda z: sigmoid(z) * (1 - sigmoid(z)),
    "tanh": lambda z: np.asarray(1 - np.tanh(z) ** 2),
    "relu": lambda z: (z > 0).astype(np.float64),
    "leaky_relu": lambda z: np.where(z > 0, 1.0, SLOPE),
    "gelu": lambda z: np.asarray(normal_share(z) + z * normal_density(z)),
    "silu": lambda z: np.asarray(sigmoid(z) * (1 + z * (1 - sigmoid(z)))),
}


def softmax(z: Array) -> Array:
    exponents = np.exp(z - z.max(axis=1, keepdims=True))
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True))


def smoothed(targets: NDArray[np.generic], classes: int, smoothing: float) -> Array:
    """(1 - ε) onehot + ε / C."""
    return np.asarray((1 - smoothing) * np.eye(classes)[targets.astype(np.int64)] + smoothing / classes)


def row_losses(
    loss: str, outputs: Array, targets: NDArray[np.generic], smoothing: float = 0.0, delta: float = 1.0
) -> Array:
    """cross_entropy: -Σ q log p. binary_cross_entropy of one logit: -log p(target). Else functions of the error."""
    match loss:
        case "cross_entropy":
            wanted = smoothed(targets, outputs.shape[1], smoothing)
            return np.asarray(-(wanted * np.log(softmax(outputs))).sum(axis=1))
        case "binary_cross_entropy":
            likelihood = sigmoid(outputs[:, 0])
            return np.asarray(-np.log(np.where(targets.astype(bool), likelihood, 1 - likelihood)))
    errors = outputs[:, 0] - targets.astype(np.float64)
    size = np.abs(errors)
    match loss:
        case "mse":
            return np.asarray(errors**2)
        case "mae":
            return np.asarray(size)
        case _:
            return np.where(size <= delta, errors**2 / 2, delta * (size - delta / 2))


def loss_gradient(
    loss: str, outputs: Array, targets: NDArray[np.generic], smoothing: float = 0.0, delta: float = 1.0
) -> Array:
    """Of each row's loss with regard to its outputs: p - q, σ - y, 2e, sign(e), or e held within ±δ."""
    match loss:
        case "cross_entropy":
            return np.asarray(softmax(outputs) - smoothed(targets, outputs.shape[1], smoothing))
        case "binary_cross_entropy":
            return np.asarray(sigmoid(outputs) - targets.astype(np.float64)[:, None])
    errors = outputs - targets.astype(np.float64)[:, None]
    match loss:
        case "mse":
            return np.asarray(2 * errors)
        case "mae":
            return np.sign(errors)
        case _:
            return np.clip(errors, -delta, delta)


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
    smoothing: float = 0.0
    delta: float = 1.0
    class_weights: tuple[float, ...] | None = None

    def gradients(self, layers: Layers, x: Array, y: NDArray[np.generic]) -> Layers:
        """Of mean weighted loss + λ₁‖w‖₁ + (λ₂/2)‖w‖² by backpropagation; the penalties leave biases out."""
        inputs, sums = forward(layers, self.activation, x)
        delta = loss_gradient(self.loss, sums[-1], y, self.smoothing, self.delta) * self._weights(y)[:, None] / len(y)
        found: Layers = []
        for at in reversed(range(len(layers))):
            weight = layers[at][0]
            penalty = self.l1 * np.sign(weight) + self.l2 * weight
            found.insert(0, (delta.T @ inputs[at] + penalty, delta.sum(axis=0)))
            if at:
                delta = delta @ weight * DERIVATIVES[self.activation](sums[at - 1])
        return found

    def data_loss(self, layers: Layers, x: Array, y: NDArray[np.generic]) -> float:
        outputs = forward(layers, self.activation, x)[1][-1]
        return float((row_losses(self.loss, outputs, y, self.smoothing, self.delta) * self._weights(y)).mean())

    def penalty(self, layers: Layers) -> float:
        return float(sum(self.l1 * np.abs(w).sum() + self.l2 / 2 * (w**2).sum() for w, _ in layers))

    def _weights(self, y: NDArray[np.generic]) -> Array:
        if self.class_weights is None:
            return np.ones(len(y))
        return np.array(self.class_weights)[y.astype(np.int64)]


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
class RmsProp:
    """s ← αs + (1-α)g², w ← w - ηg / (√s + ε)."""

    rate: float
    decay: float
    epsilon: float
    squares: dict[int, Array] = field(default_factory=dict)

    def step(self, at: int, weight: Array, gradient: Array) -> Array:
        before = self.squares.get(at, np.zeros_like(weight))
        self.squares[at] = self.decay * before + (1 - self.decay) * gradient**2
        return np.asarray(weight - self.rate * gradient / (np.sqrt(self.squares[at]) + self.epsilon))


@dataclass
class Adam:
    """m ← β₁m + (1-β₁)g, v ← β₂v + (1-β₂)g², w ← w - η m̂ / (√v̂ + ε), m̂ = m / (1-β₁ᵗ), v̂ = v / (1-β₂ᵗ).

    Before that a weight, but no bias, loses ηλw (AdamW).
    """

    rate: float
    betas: tuple[float, float]
    epsilon: float
    weight_decay: float = 0.0
    state: dict[int, tuple[int, Array, Array]] = field(default_factory=dict)

    def step(self, at: int, weight: Array, gradient: Array) -> Array:
        first, second = self.betas
        steps, mean, square = self.state.get(at, (0, np.zeros_like(weight), np.zeros_like(weight)))
        steps += 1
        mean = first * mean + (1 - first) * gradient
        square = second * square + (1 - second) * gradient**2
        self.state[at] = steps, mean, square
        if at % 2 == 0:  # the odd ones are biases
            weight = np.asarray(weight * (1 - self.rate * self.weight_decay))
        corrected_mean, corrected_square = mean / (1 - first**steps), square / (1 - second**steps)
        return np.asarray(weight - self.rate * corrected_mean / (np.sqrt(corrected_square) + self.epsilon))


Rule = Descent | Adagrad | RmsProp | Adam


def clipped(gradients: Layers, longest: float) -> Layers:
    """g ← g · min(1, c / (‖g‖ + 1e-6)), with the norm over all weights and biases together."""
    norm = math.sqrt(sum(float((part**2).sum()) for layer in gradients for part in layer))
    factor = min(1.0, longest / (norm + 1e-6))
    return [(weight * factor, bias * factor) for weight, bias in gradients]


def train(
    problem: Problem,
    rule: Rule,
    layers: Layers,
    x: Array,
    y: NDArray[np.generic],
    batches: Iterable[Array],
    clip_norm: float = math.inf,
) -> Layers:
    """One update a batch of row numbers; returns the new weights."""
    for batch in batches:
        rows = batch.astype(np.int64)
        gradients = clipped(problem.gradients(layers, x[rows], y[rows]), clip_norm)
        layers = [
            (rule.step(2 * at, w, gw), rule.step(2 * at + 1, b, gb))
            for at, ((w, b), (gw, gb)) in enumerate(zip(layers, gradients, strict=True))
        ]
    return layers
