"""How texts become the token indices that a graph takes: the same in training and in serving."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.registry.manifest import Tensor, Text

PADDING, UNKNOWN = 0, 1
"""Token indices: what fills up the rows of a batch, and a word that the vocabulary does not have."""
FIRST_WORD = 2
TOKENS = "features"
"""The graph's input."""

_WORD = re.compile(r"\w+|[^\w\s]")


def words_of(text: str) -> Iterator[str]:
    """Words in lower case, and every sign that is not a space by itself."""
    return (found.group() for found in _WORD.finditer(text.lower()))


def fit_vocabulary(texts: Iterable[str], size: int) -> tuple[str, ...]:
    """The most frequent words, at most `size`; of equally frequent ones those that come first in the alphabet."""
    return most_frequent(Counter(word for text in texts for word in words_of(text)), size)


def most_frequent(counts: Mapping[str, int], size: int) -> tuple[str, ...]:
    """As `fit_vocabulary` gives them, of words that are counted."""
    return tuple(sorted(counts, key=lambda word: (-counts[word], word))[:size])


class Tokenizer:
    """Texts to rows of token indices."""

    def __init__(self, settings: Text) -> None:
        self._settings = settings
        self._indices = {word: index for index, word in enumerate(settings.vocabulary, start=FIRST_WORD)}

    def tokens(self, texts: Sequence[str], steps: int | None = None) -> NDArray[np.int64]:
        """(N, T): T is the longest text's number of tokens, at most `max_tokens`; what comes after that is left out.

        Where `steps` are given T is that, and no text is longer.
        """
        rows = [self._row(text) for text in texts]
        padded = np.full((len(rows), steps or max(map(len, rows))), PADDING, np.int64)
        for at, row in enumerate(rows):
            padded[at, : len(row)] = row
        return padded

    def _row(self, text: str) -> list[int]:
        """At least one token, so that there is something to read."""
        if self._settings.unit == "bytes":
            content = text.encode()[: self._settings.max_tokens]
            return [byte + FIRST_WORD for byte in content] or [UNKNOWN]
        words = islice(words_of(text), self._settings.max_tokens)
        return [self._indices.get(word, UNKNOWN) for word in words] or [UNKNOWN]


def num_tokens(settings: Text) -> int:
    """How many different token indices there are, padding included."""
    return FIRST_WORD + (256 if settings.unit == "bytes" else len(settings.vocabulary))


def in_graph(tensor: Tensor) -> Tensor:
    """The graph's own input for what a client sends: token indices for texts, everything else as it is."""
    return Tensor(name=TOKENS, datatype="INT64", shape=(-1, -1)) if tensor.text is not None else tensor


class GraphInputs:
    """Makes what a graph takes of what a client sends."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tokenizers = {tensor.name: Tokenizer(tensor.text) for tensor in tensors if tensor.text is not None}

    def __call__(self, inputs: Mapping[str, NDArray[Any]]) -> Mapping[str, NDArray[Any]]:
        """Texts (N, 1) become tokens (N, T)."""
        if not self._tokenizers:
            return inputs
        made = dict(inputs)
        for name, tokenizer in self._tokenizers.items():
            made[TOKENS] = tokenizer.tokens(made.pop(name)[:, 0].tolist())
        return made
