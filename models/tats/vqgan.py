"""TATS's autoencoder: clips to small grids of codes and back, whatever their time and length (ECCV 2022, Sec. 3.1)."""

import math

from torch import Tensor, nn

from .codebook import Codebook
from .convolution import Factors, Norm, PaddedConv3d, PaddedConvTranspose3d, Padding, ResidualBlock, make_norm


def block_strides(downsample: Factors) -> list[Factors]:
    """Strides over T, H and W of each block: 2 until an axis has its factor."""
    exponents = [int(math.log2(factor)) for factor in downsample]
    t, h, w = ([2 if i < exponent else 1 for i in range(max(exponents))] for exponent in exponents)
    return list(zip(t, h, w, strict=True))


class EncoderBlock(nn.Module):
    """Reduction to twice the channels, and a residual block."""

    def __init__(self, channels: int, strides: Factors, norm: Norm, padding: Padding) -> None:
        super().__init__()
        self.down = PaddedConv3d(channels, 2 * channels, 4, strides, padding)
        self.res = ResidualBlock(2 * channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, 2 C, T', H', W']`."""
        y: Tensor = self.res(self.down(x))
        return y


class DecoderBlock(nn.Module):
    """Enlargement, and two residual blocks."""

    def __init__(self, in_channels: int, out_channels: int, strides: Factors, norm: Norm) -> None:
        super().__init__()
        self.up = PaddedConvTranspose3d(in_channels, out_channels, strides)
        self.res1, self.res2 = ResidualBlock(out_channels, norm), ResidualBlock(out_channels, norm)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, C, T, H, W]` to `[N, C', T', H', W']`."""
        y: Tensor = self.res2(self.res1(self.up(x)))
        return y


class Encoder(nn.Module):
    """From clips to features that are reduced by `downsample`."""

    def __init__(self, downsample: Factors, width: int, norm: Norm, padding: Padding) -> None:
        super().__init__()
        strides = block_strides(downsample)
        self.conv_first = PaddedConv3d(3, width, 3, padding=padding)
        self.conv_blocks = nn.ModuleList(
            EncoderBlock(width * 2**i, each, norm, padding) for i, each in enumerate(strides)
        )
        self.final_block = nn.Sequential(make_norm(norm, width * 2 ** len(strides)), nn.SiLU())

    def forward(self, x: Tensor) -> Tensor:
        """Clips `[N, 3, T, H, W]` in [-0.5, 0.5] to features `[N, C, t, h, w]`."""
        x = self.conv_first(x)
        for block in self.conv_blocks:
            x = block(x)
        y: Tensor = self.final_block(x)
        return y


class Decoder(nn.Module):
    """From features to clips; `final_block` comes first, whatever it is called."""

    def __init__(self, downsample: Factors, width: int, norm: Norm) -> None:
        super().__init__()
        strides = block_strides(downsample)
        widths = [width * 2**i for i in range(len(strides), 0, -1)]
        self.final_block = nn.Sequential(make_norm(norm, widths[0]), nn.SiLU())
        self.conv_blocks = nn.ModuleList(
            DecoderBlock(before, after, each, norm)
            for before, after, each in zip([widths[0], *widths], widths, strides, strict=False)
        )
        self.conv_last = PaddedConv3d(2 * width, 3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Features `[N, C, t, h, w]` to clips `[N, 3, T, H, W]`, about [-0.5, 0.5]."""
        x = self.final_block(x)
        for block in self.conv_blocks:
            x = block(x)
        y: Tensor = self.conv_last(x)
        return y


class VQGAN(nn.Module):
    """The autoencoder.

    Args:
        downsample: frames, rows and columns to one code; powers of two.
        width: channels of the first layer; each block has twice as many as the one before.
        codes: entries of the codebook.
        code_width: of an entry.
        norm: with group norm a frame depends on the whole clip.
        padding: around the inputs of the layers of the encoder that do not keep their input's width.
    """

    def __init__(
        self,
        downsample: Factors = (4, 8, 8),
        width: int = 32,
        codes: int = 16384,
        code_width: int = 256,
        norm: Norm = "batch",
        padding: Padding = "replicate",
    ) -> None:
        super().__init__()
        self.downsample = downsample
        inner = width * 2 ** len(block_strides(downsample))
        self.encoder = Encoder(downsample, width, norm, padding)
        self.pre_vq_conv = PaddedConv3d(inner, code_width, 1, padding=padding)
        self.codebook = Codebook(codes, code_width)
        self.post_vq_conv = PaddedConv3d(code_width, inner, 1)
        self.decoder = Decoder(downsample, width, norm)

    def latents(self, clips: Tensor) -> Tensor:
        """Vectors `[N, D, t, h, w]` of clips `[N, 3, T, H, W]` in [-0.5, 0.5]."""
        z: Tensor = self.pre_vq_conv(self.encoder(clips))
        return z

    def rendered(self, z: Tensor) -> Tensor:
        """Clips `[N, 3, T, H, W]`, about [-0.5, 0.5], of entries `[N, D, t, h, w]`."""
        clips: Tensor = self.decoder(self.post_vq_conv(z))
        return clips

    def encode(self, clips: Tensor) -> Tensor:
        """Codes `[N, t, h, w]` of clips."""
        codes: Tensor = self.codebook(self.latents(clips)).codes
        return codes

    def decode(self, codes: Tensor) -> Tensor:
        """Clips of codes `[N, t, h, w]`, as one piece: their ends are ends."""
        return self.rendered(self.codebook.entries(codes))


def decoder_reach(downsample: Factors) -> tuple[int, int]:
    """How many latent frames before and after its own a latent frame's pictures depend on.

    With batch norm, in evaluation; ends of a video aside.
    """
    low, high = -1, downsample[0]
    for stride, _, _ in reversed(block_strides(downsample)):
        low, high = low - 4, high + 4
        low, high = low - 2, high + 1
        low, high = -(-low // stride), high // stride
    return -low, high
