"""Texts to tokens: words and bytes, known and unknown, long and short."""

import numpy as np
import pytest

from pipelines.registry.manifest import Tensor, Text
from pipelines.registry.texts import (
    FIRST_WORD,
    PADDING,
    UNKNOWN,
    GraphInputs,
    Tokenizer,
    fit_vocabulary,
    in_graph,
    num_tokens,
    words_of,
)

WORDS = Text(unit="words", vocabulary=("the", "cat", "!"), max_tokens=4)
BYTES = Text(unit="bytes", max_tokens=4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The cat, the CAT!", ["the", "cat", ",", "the", "cat", "!"]),
        ("don't", ["don", "'", "t"]),
        ("Größe  3,5\tkg\n", ["größe", "3", ",", "5", "kg"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words_and_signs(text: str, words: list[str]) -> None:
    assert list(words_of(text)) == words


def test_the_vocabulary_is_what_is_most_frequent() -> None:
    texts = ["b a c", "b a", "b d"]
    assert fit_vocabulary(texts, 3) == ("b", "a", "c")
    assert fit_vocabulary(texts, 100) == ("b", "a", "c", "d")


def test_rows_are_as_long_as_the_longest_text() -> None:
    tokens = Tokenizer(WORDS).tokens(["The dog!", "cat", "", "the the the the the"])
    assert tokens.dtype == np.int64
    the, cat, sign = range(FIRST_WORD, FIRST_WORD + 3)
    assert tokens.tolist() == [
        [the, UNKNOWN, sign, PADDING],
        [cat, PADDING, PADDING, PADDING],
        [UNKNOWN, PADDING, PADDING, PADDING],
        [the, the, the, the],
    ]


def test_bytes_need_no_vocabulary() -> None:
    assert Tokenizer(BYTES).tokens(["aä", "", "abcdef"]).tolist() == [
        [FIRST_WORD + 97, FIRST_WORD + 0xC3, FIRST_WORD + 0xA4, PADDING],
        [UNKNOWN, PADDING, PADDING, PADDING],
        [FIRST_WORD + each for each in b"abcd"],
    ]
    assert (num_tokens(BYTES), num_tokens(WORDS)) == (258, 5)


def test_a_graph_takes_tokens_where_a_client_sends_texts() -> None:
    text = Tensor(name="review", datatype="BYTES", shape=(-1, 1), text=WORDS)
    number = Tensor(name="stars", datatype="FP32", shape=(-1, 1))
    assert [in_graph(each).name for each in (text, number)] == ["features", "stars"]
    assert (in_graph(text).datatype, in_graph(text).shape) == ("INT64", (-1, -1))
    stars = np.ones((2, 1), np.float32)
    sent = {"review": np.array([["the cat"], ["!"]], object), "stars": stars}
    made = GraphInputs([text, number])(sent)
    assert made["features"].tolist() == [[2, 3], [4, 0]]
    assert made["stars"] is stars
    assert set(sent) == {"review", "stars"}, "what came stays as it was"
    assert GraphInputs([number])(sent) is sent
