"""What training sees of its images, by hand-made ones."""

import pytest
import torch
from torch import Tensor, nn

from pipelines.spec.data import Augmentation, ImagesSource, SklearnSource
from pipelines.training.augmentation import Augmented, augmented

RAMP = torch.arange(8.0).expand(1, 1, 8, 8)
"""Grows from left to right."""


def seen(images: Tensor, draws: int = 1, **settings: float | bool) -> Tensor:
    """(draws, C, H, W): what training sees of one image, several times."""
    torch.manual_seed(0)
    model = Augmented(nn.Identity(), Augmentation.model_validate(settings)).train()
    views: Tensor = model(images.expand(draws, *images.shape[1:]))
    return views


def test_flipping_mirrors_about_half_of_them() -> None:
    views = seen(RAMP, 200, flip=True)
    mirrored = torch.isclose(views, RAMP.flip(-1), atol=1e-4).flatten(1).all(dim=1)
    same = torch.isclose(views, RAMP, atol=1e-4).flatten(1).all(dim=1)
    assert bool((mirrored | same).all())
    assert 70 < int(mirrored.sum()) < 130


def test_shifting_moves_by_whole_pixels_and_fills_with_zero() -> None:
    images = torch.arange(1.0, 65.0).reshape(1, 1, 8, 8)
    moves = set()
    for view in seen(images, 200, shift=0.25):
        found = [
            (down, right)
            for down in range(-2, 3)
            for right in range(-2, 3)
            if torch.allclose(view, moved(images, down, right), atol=1e-3)
        ]
        assert len(found) == 1
        moves.add(found[0])
    assert len(moves) > 15


def moved(images: Tensor, down: int, right: int) -> Tensor:
    """(1, 8, 8): the image moved, zero where nothing was."""
    padded = nn.functional.pad(images[0], (2, 2, 2, 2))
    return padded[:, 2 - down : 10 - down, 2 - right : 10 - right]


def test_cropping_enlarges_a_part() -> None:
    views = seen(RAMP, 100, crop=0.5)
    spans = views[..., 4, 6] - views[..., 4, 1]
    assert bool((spans <= 5.0 + 1e-4).all()), "five steps of the ramp, or fewer where it is enlarged"
    assert spans.min() < 3.2
    assert bool((views[:, 0, 4, 1:7] > 0).all()), "nothing from outside"


def test_only_training_sees_it() -> None:
    model = Augmented(nn.Identity(), Augmentation(flip=True, shift=0.2, crop=0.2))
    torch.testing.assert_close(model.eval()(RAMP), RAMP, rtol=0, atol=0)


def test_the_seed_gives_the_views() -> None:
    first, again = seen(RAMP, 5, shift=0.25, crop=0.3), seen(RAMP, 5, shift=0.25, crop=0.3)
    torch.testing.assert_close(first, again, rtol=0, atol=0)


@pytest.mark.parametrize("source", [SklearnSource(), ImagesSource(source="images", path="x")])
def test_without_a_wish_the_network_is_left_alone(source: SklearnSource | ImagesSource) -> None:
    network = nn.Linear(2, 2)
    assert augmented(network, source) is network


def test_the_weights_are_the_networks_own() -> None:
    network = nn.Linear(2, 2)
    source = ImagesSource(source="images", path="x", augment=Augmentation(flip=True))
    assert [id(weight) for weight in augmented(network, source).parameters()] == [id(w) for w in network.parameters()]
