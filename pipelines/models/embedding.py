"""Series and texts as steps of numbers."""

from torch import nn

from pipelines.errors import DataError
from pipelines.models.shapes import RowShape
from pipelines.registry.texts import FIRST_WORD


def embedding_of(row: RowShape, size: int, expected: str) -> tuple[nn.Module, int]:
    """What makes (B, T, F) of a batch, and F: nothing for series (T, F), for tokens (T,) a vector a token (F = `size`).

    Vectors are drawn from the normal distribution; those of padding and of an unknown word, which training may never
    see, are 0: what nobody has fitted should speak for nothing. Raises DataError that names what was `expected` where a
    row is neither.
    """
    if len(row.shape) != (1 if row.vocabulary is not None else 2):
        raise DataError("data.shape", expected, str(list(row.shape)))
    if row.vocabulary is not None:
        embedding = nn.Embedding(row.vocabulary, size)
        nn.init.zeros_(embedding.weight[:FIRST_WORD])
        return embedding, size
    return nn.Identity(), row.shape[1]
