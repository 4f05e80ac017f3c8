"""How often texts have each word, counted block by block within bounded memory."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipelines.registry.texts import most_frequent, words_of
from pipelines.spec.data import TextSource

MOST_BYTES = 256 * 2**20
"""What counted words may take: two million of them, twice the largest vocabulary that a spec may ask for."""

_WORD_BYTES = 120
"""Of a word in a counter, besides its letters."""


@dataclass
class Words:
    """Counts of words, and how many tokens the longest text has."""

    counts: Counter[str] = field(default_factory=Counter)
    longest: int = 0

    @classmethod
    def of(cls, texts: Iterable[str], source: TextSource) -> "Words":
        """Of a block of texts; bytes need no counts. A text's tokens count up to `max_tokens`, its words all."""
        words = cls()
        for text in texts:
            found = list(words_of(text)) if source.unit == "words" else []
            words.counts.update(found)
            num_tokens = len(found) if source.unit == "words" else len(text.encode())
            words.longest = max(words.longest, min(max(1, num_tokens), source.max_tokens))
        return words


class WordCounter:
    """The words of all blocks.

    Where they would take more than `most_bytes` the rarest are forgotten, until half is left. So a word can only lose
    counts from while it was rarer than a million others, and a frequent one loses none that matters.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self.words = Words()
        self._most_bytes = most_bytes
        self._bytes = 0

    def add(self, block: Words) -> None:
        """Count the words of one more block."""
        counts = self.words.counts
        for word, count in block.counts.items():
            if word not in counts:
                self._bytes += _bytes_of(word)
            counts[word] += count
        self.words.longest = max(self.words.longest, block.longest)
        if self._bytes > self._most_bytes:
            self._forget_the_rarest()

    def _forget_the_rarest(self) -> None:
        known, kept = self.words.counts, Counter[str]()
        self._bytes = 0
        for word in most_frequent(known, len(known)):
            if self._bytes + _bytes_of(word) > self._most_bytes / 2:
                break
            self._bytes += _bytes_of(word)
            kept[word] = known[word]
        self.words.counts = kept


def _bytes_of(word: str) -> int:
    return _WORD_BYTES + len(word)
