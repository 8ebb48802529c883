"""Training of transformers on the codes of a frozen autoencoder (TATS, ECCV 2022, Sec. 3.2 and 3.3)."""

import copy
from abc import abstractmethod
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidbench.generator import VideoSource
from vidbench.stage import Batches, Origin, Stage, State, Step

from .config import TATSConfig, TATSHierarchicalConfig, TransformerModel, TransformerStage
from .networks import build_transformer, frozen_transformer, frozen_vqgan
from .reader import Reader
from .system import TATS, TATSHierarchical
from .transformer import Transformer

BETAS = (0.9, 0.95)
"""Of Adam."""


class CodeStage(Stage):
    """A transformer that learns to continue the codes of clips.

    The frozen autoencoder is kept beside it: codes mean nothing to another one.

    Args:
        config: the configuration.
        origin: of the videos.
        device: where it runs.
        before: states of the stages before.
        source: the stage among them whose autoencoder is taken.
        every: latent frames of a clip from each whose codes are taken to the next.

    Raises:
        ValueError: that stage is not trained, or the model has classes.
    """

    reader: Reader

    def __init__(
        self, config: TATSConfig, origin: Origin, device: str, before: Mapping[str, State], source: str, every: int
    ) -> None:
        self.config, self.origin, self.every = config, origin, every
        self.settings: TransformerStage = getattr(config.stages, self.name)
        part: TransformerModel = getattr(config.model, self.name)
        if part.classes:
            raise ValueError("a model of several classes can be sampled, but not trained")
        if "vqgan" not in before.get(source, {}):
            raise ValueError(f"the stage {source} is not trained")
        self.vqgan = frozen_vqgan(config.model, before[source], device)
        self.transformer = build_transformer(config.model, self.name, device).train()
        self.networks = {"vqgan": self.vqgan, "transformer": self.transformer}
        self.optimizers = {"transformer": make_optimizer(self.transformer, self.settings)}
        vqgan = config.model.vqgan
        self.reader = Reader(part.latent_frames * every * vqgan.downsample[0], vqgan.time_step, vqgan.every_clip)
        self.frames = self.reader.span

    def weight(self, length: int) -> int:
        """Of a video; as the data set says."""
        return self.reader.weight(length)

    def update(self, batches: Batches, step: Step) -> dict[str, Tensor]:
        """One step of the transformer."""
        with torch.no_grad():
            codes = self.vqgan.encode(batches["real"]["clip"].float() / 255 - 0.5)
        loss = next_code_loss(self.transformer, codes[:, :: self.every].flatten(1))
        loss.backward()  # type: ignore[no-untyped-call]
        step.average_gradients(self.transformer.parameters())
        self.optimizers["transformer"].step()
        self.optimizers["transformer"].zero_grad(set_to_none=True)
        return {"loss": loss.detach()}

    def _sampled(self) -> Transformer:
        """The transformer as it is, for sampling."""
        return copy.deepcopy(self.transformer).eval().requires_grad_(False).double()

    @abstractmethod
    def preview(self, real: VideoSource, num_frames: int) -> TATS:
        """The system as it is."""


class TransformerTraining(CodeStage):
    """The stage `transformer`, of all latent frames or of a few."""

    name = "transformer"

    def __init__(self, config: TATSConfig, origin: Origin, device: str, before: Mapping[str, State]) -> None:
        super().__init__(config, origin, device, before, "vqgan", config.model.every)

    def preview(self, real: VideoSource, num_frames: int) -> TATS:
        """The transformer as it is; the few latent frames of a hierarchical model as if they were neighbours."""
        return TATS(self.vqgan, self._sampled(), None, self.config.model, self.origin.fps)


class InterpolationTraining(CodeStage):
    """The stage `interpolation`, of the codes between two latent frames, by the autoencoder of the stage before."""

    name = "interpolation"

    def __init__(
        self, config: TATSHierarchicalConfig, origin: Origin, device: str, before: Mapping[str, State]
    ) -> None:
        super().__init__(config, origin, device, before, "transformer", 1)
        self.few = frozen_transformer(config.model, "transformer", before["transformer"], device)

    def preview(self, real: VideoSource, num_frames: int) -> TATS:
        """Both transformers as they are."""
        return TATSHierarchical(self.vqgan, self.few, self._sampled(), self.config.model, self.origin.fps)


def next_code_loss(network: Transformer, codes: Tensor) -> Tensor:
    """Mean cross-entropy of each code after a start token and the codes before it, a scalar.

    The start token is that of the first code.

    Args:
        network: in training, or not.
        codes: `[N, T]`.
    """
    tokens = torch.cat([torch.zeros_like(codes[:, :1]), codes[:, :-1]], dim=1)
    return F.cross_entropy(network(tokens).flatten(0, 1), codes.flatten())


def make_optimizer(network: Transformer, settings: TransformerStage) -> torch.optim.AdamW:
    """AdamW, with decay of the weights of linear layers alone."""
    decayed = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    others = [parameter for parameter in network.parameters() if all(parameter is not weight for weight in decayed)]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, settings.lr, BETAS)
