"""Whether classes are so uneven that accuracy misleads."""

from collections.abc import Mapping

MOST_UNEVEN = 10
"""Times as many rows as the rarest class has. A model that never finds a class that is rarer than that beside the most
frequent one may still be right nine times in ten."""


def imbalance(counts: Mapping[str, int]) -> str:
    """A warning about rows by class, for people; empty where there is nothing to warn of."""
    if not counts:
        return ""
    rarest, most_frequent = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
    if counts[most_frequent] <= MOST_UNEVEN * counts[rarest]:
        return ""
    return (
        f"classes are uneven: {counts[rarest]} training rows are {rarest!r}, {counts[most_frequent]} are "
        f"{most_frequent!r}; accuracy says little about the rare ones (loss.class_weights: balanced makes up for it)"
    )
