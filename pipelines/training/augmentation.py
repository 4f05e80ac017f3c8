"""Images as training sees them: mirrored, moved, cut and enlarged at random, all in one resampling of each batch."""

import torch
from torch import Tensor, nn
from torch.nn import functional

from pipelines.spec.data import Augmentation, Data, ImagesSource


class Augmented(nn.Module):
    """A network that sees its images otherwise each time, while it is in training mode; its parameters are its own.

    Draws come from torch's generator of the CPU, which checkpoints keep.
    """

    def __init__(self, network: nn.Module, settings: Augmentation) -> None:
        super().__init__()
        self.network, self.settings = network, settings

    def forward(self, images_BCHW: Tensor) -> Tensor:
        """(B, C, H, W) → what the network makes of it."""
        seen = (
            functional.grid_sample(images_BCHW, self._views(images_BCHW), align_corners=False)
            if self.training
            else images_BCHW
        )
        outputs: Tensor = self.network(seen)
        return outputs

    def _views(self, images_BCHW: Tensor) -> Tensor:
        """Where in its image each value is taken from, (B, H, W, 2) in [-1, 1]; outside is 0, the mean if standardised.

        An affine map a row (Jaderberg et al., 2015): x = s·m·x' + t, with m = ±1, 1 - crop ≤ s ≤ 1 and
        |t| ≤ 1 - s + 2·shift.
        """
        num_rows, _, height, width = images_BCHW.shape
        scale = 1 - self.settings.crop * torch.rand(num_rows, 1)
        half = torch.tensor([width, height]) / 2
        moved = (2 * torch.rand(num_rows, 2) - 1) * (1 - scale + 2 * self.settings.shift)
        moved = (moved * half).round() / half  # whole pixels: an image that is only moved stays sharp
        mirror = 1 - 2 * (torch.rand(num_rows, 1) < 0.5).float() * self.settings.flip
        maps = torch.zeros(num_rows, 2, 3)
        maps[:, 0, :1], maps[:, 1, 1:2], maps[:, :, 2] = scale * mirror, scale, moved
        size = list(images_BCHW.shape)
        return functional.affine_grid(maps.to(images_BCHW), size, align_corners=False)


def augmented(network: nn.Module, source: Data) -> nn.Module:
    """The network as training calls it: on changed images if the spec wants that, else the network itself."""
    if not isinstance(source, ImagesSource) or source.augment == Augmentation():
        return network
    return Augmented(network, source.augment)
