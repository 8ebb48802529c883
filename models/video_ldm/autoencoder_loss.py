"""What autoencoder and video decoder minimise (Rombach et al., CVPR 2022, App. G, without a perceptual network).

Reconstruction and Kullback-Leibler terms are sums over an image's values, means over images; adversarial terms are
means. The constants are the latent diffusion authors'. In place of LPIPS, whose weights are a download, stand L1 at
three scales and the discriminator's own features.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

KL_WEIGHT = 1e-6
"""Of `kl_divergence`."""
MATCHING_WEIGHT = 0.1
"""Of `feature_matching`, times the number of an image's values; in the autoencoder's loss alone."""
ADVERSARIAL_WEIGHT = 0.5
MAX_RATIO = 1e4
SCALES = 3


def reconstruction_loss(real: Tensor, decoded: Tensor) -> Tensor:
    """Mean L1 at the full, half and quarter side, averaged, times the number of an image's values: a scalar.

    Args:
        real: images `[N, 3, H, W]`.
        decoded: as `real`.
    """
    size, total = real[0].numel(), real.new_zeros([])
    for scale in range(SCALES):
        if scale:
            real, decoded = F.avg_pool2d(real, 2), F.avg_pool2d(decoded, 2)
        total = total + (real - decoded).abs().mean()
    return total * (size / SCALES)


def kl_divergence(mean: Tensor, logvar: Tensor) -> Tensor:
    """Of the encoder's normal distributions `[N, C, h, w]` from the standard one, summed over an image: a scalar."""
    return 0.5 * reduce(mean.square() + logvar.exp() - 1 - logvar, "n c h w -> n", "sum").mean()


def feature_matching(real: Sequence[Tensor], decoded: Sequence[Tensor]) -> Tensor:
    """Mean over the discriminator's layers, logits left out, of the mean L1 between its activations: a scalar."""
    pairs = list(zip(real[:-1], decoded[:-1], strict=True))
    return torch.stack([(a.detach() - b).abs().mean() for a, b in pairs]).mean()


def adversarial_loss(
    reconstruction: Tensor, logits: Tensor, last_weight: nn.Parameter, mean: Callable[[Tensor], Tensor]
) -> Tensor:
    """Minus the mean logit, weighted so that it pulls at a weight half as much as the reconstruction: a scalar.

    Esser et al., *Taming Transformers for High-Resolution Image Synthesis*, CVPR 2021, Eq. 7.

    Args:
        reconstruction: `reconstruction_loss`.
        logits: of what was decoded, of any shape.
        last_weight: of the decoder's last convolution.
        mean: over all processes, so that they weigh alike.
    """
    loss = -logits.mean()
    losses = (reconstruction, loss)
    pulls = [mean(torch.autograd.grad(each, last_weight, retain_graph=True)[0]).norm() for each in losses]
    ratio = (pulls[0] / (pulls[1] + 1e-4)).clamp(0, MAX_RATIO).detach()
    weighted: Tensor = ADVERSARIAL_WEIGHT * ratio * loss
    return weighted
