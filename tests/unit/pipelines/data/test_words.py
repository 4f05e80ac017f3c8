"""Words that are counted block by block are those of all texts, also where memory is short."""

from collections import Counter

from pipelines.data.words import WordCounter, Words
from pipelines.registry.texts import fit_vocabulary, most_frequent
from pipelines.spec.data import TextSource

TEXTS = [f"the word{row} and the word{row % 3}, or not" for row in range(40)]


def source(**options: object) -> TextSource:
    return TextSource.model_validate({"source": "text", "path": "rows.csv"} | options)


def counted(counter: WordCounter, texts: list[str], size: int = 7) -> Words:
    for start in range(0, len(texts), size):
        counter.add(Words.of(texts[start : start + size], source()))
    return counter.words


def test_blocks_add_up_to_the_vocabulary_of_all() -> None:
    words = counted(WordCounter(), TEXTS)
    assert most_frequent(words.counts, 20) == fit_vocabulary(TEXTS, 20)
    assert words.longest == 8


def test_tokens_end_where_a_text_is_cut_and_are_at_least_one() -> None:
    assert Words.of(TEXTS, source(max_tokens=5)).longest == 5
    assert Words.of([""], source()).longest == 1
    assert Words.of([], source()) == Words()


def test_bytes_have_a_length_and_no_words() -> None:
    assert Words.of(["Größe", "a"], source(unit="bytes")) == Words(Counter(), 7)


def test_the_rarest_words_are_forgotten_where_memory_is_short() -> None:
    counter = WordCounter(most_bytes=30 * 128)
    words = counted(counter, TEXTS)
    assert len(words.counts) <= 30
    frequent = ("the", "word0", "word1", ",", "and", "not", "or", "word2")
    assert set(most_frequent(words.counts, 8)) == set(frequent)
    exact = Counter(word for text in TEXTS for word in Words.of([text], source()).counts.elements())
    assert all(words.counts[word] == exact[word] for word in frequent)
