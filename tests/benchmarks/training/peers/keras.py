"""Keras on TensorFlow: the same network by Keras's own layers, from the same first weights, trained by `fit`."""

import time

import keras
import numpy as np
import tensorflow as tf

from tests.benchmarks.training.peers.task import Array, Learned, Task, main


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc] # Keras lives in an environment of its own
    """Seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._started = 0.0

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        """Start."""
        self._started = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Stop."""
        self.seconds.append(time.perf_counter() - self._started)


def mlp(task: Task) -> keras.Sequential:
    """Dense layers."""
    model = task.spec["model"]
    hidden = [keras.layers.Dense(width, activation=model["activation"]) for width in model["hidden"]]
    network = keras.Sequential([keras.Input(task.train_x.shape[1:]), *hidden, keras.layers.Dense(task.outputs)])
    network.set_weights([weight.T for weight in task.weights])
    return network


def cnn(task: Task) -> keras.Sequential:
    """Blocks over images (height, width, channels), which is how TensorFlow has them on a CPU; then a dense layer."""
    model = task.spec["model"]
    _, channels, height, width = task.train_x.shape
    network = keras.Sequential([keras.Input((height, width, channels))])
    for count in model["channels"]:
        network.add(keras.layers.Conv2D(count, model["kernel_size"], padding="same", activation=model["activation"]))
        network.add(keras.layers.MaxPooling2D())
    network.add(keras.layers.Flatten())
    network.add(keras.layers.Dense(task.outputs))
    *kernels, dense, bias = task.weights
    shape = (task.outputs, model["channels"][-1], *network.layers[-3].output.shape[1:3])
    weights = [each.transpose(2, 3, 1, 0) if each.ndim == 4 else each for each in kernels]
    network.set_weights([*weights, dense.reshape(shape).transpose(2, 3, 1, 0).reshape(-1, task.outputs), bias])
    return network


def lstm(task: Task) -> keras.Sequential:
    """Keras has one bias where torch adds two."""
    inputs, states, bias, more_bias, head, head_bias = task.weights
    layers = [keras.layers.LSTM(task.spec["model"]["hidden_size"]), keras.layers.Dense(task.outputs)]
    network = keras.Sequential([keras.Input(task.train_x.shape[1:]), *layers])
    network.set_weights([inputs.T, states.T, bias + more_bias, head.T, head_bias])
    return network


NETWORKS = {"mlp": mlp, "cnn": cnn, "rnn": lstm}


def in_order(rows: Array) -> Array:
    """Channels last, where rows are images."""
    return np.ascontiguousarray(rows.transpose(0, 2, 3, 1)) if rows.ndim == 4 else rows


def carry_out(task: Task) -> Learned:
    """Train."""
    tf.config.threading.set_intra_op_parallelism_threads(1)
    keras.utils.set_random_seed(0)
    network, stopwatch = NETWORKS[task.spec["model"]["family"]](task), Stopwatch()
    network.compile(
        optimizer=keras.optimizers.Adam(task.learning_rate, epsilon=1e-8),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    network.fit(
        in_order(task.train_x),
        task.train_y,
        batch_size=task.batch_size,
        epochs=task.epochs,
        verbose=0,
        callbacks=[stopwatch],
    )
    return Learned(stopwatch.seconds, network.predict(in_order(task.validation_x), verbose=0))


if __name__ == "__main__":
    main(carry_out)
