"""Speed of TATS beside its bare products: `python -m tests.benchmarks.bench_tats [THREADS] [TIER]`.

The bare operations are the convolutions, matrix products and attentions that a pass made, at the same shapes and in the
same memory format, with nothing between: what the machine can do. Training steps are whole ones, with optimisers. Of
sampling, the codes of one more latent frame of a full window, and the pictures of codes. The plain form attends by a
matrix of weights, keeps channels apart in memory, and asks for each code by the whole window anew. Then the transformer
in float32 and bfloat16 beside the float64 that it is sampled in: how many times faster, and how far off.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from unittest import mock

import torch
import torch.nn.functional as F

from tests.benchmarks.bare import best_seconds, compare
from tests.benchmarks.bench_video_ldm import plain_attention
from vidbench import config
from vidbench.models.tats import TATS, sampling
from vidbench.models.tats.config import TATSConfig
from vidbench.models.tats.networks import frozen_transformer, frozen_vqgan
from vidbench.models.tats.reconstruction import CHUNK
from vidbench.models.tats.vqgan import decoder_reach
from vidbench.stage import Origin, State, Step

CHANGES = {
    "tiny": [],
    "paper-sky-timelapse": ["stages.vqgan.accumulation=1", "stages.vqgan.batch=1", "stages.transformer.batch=1"],
}
"""A sample a step, where the tier's own are for many GPUs."""
Forms = dict[str, Callable[[], object]]


@contextmanager
def plain() -> Iterator[None]:
    """The networks, and the codes of a video, as they are defined."""
    with (
        mock.patch.object(F, "scaled_dot_product_attention", plain_attention),
        mock.patch.object(torch, "channels_last_3d", torch.contiguous_format),
        mock.patch.object(sampling, "generate", plain_generate),
    ):
        yield


def plain_generate(network, prompt, count, choose, first=0):
    tokens = prompt
    for i in range(count):
        tokens = torch.cat([tokens, choose(network(tokens)[:, -1], first + i)[:, None]], dim=1)
    return tokens[:, prompt.shape[1] :]


def training_steps(settings: TATSConfig) -> tuple[Forms, dict[str, State]]:
    """Of both stages, the first without and with its discriminators; and their networks."""
    forms: Forms = {}
    states: dict[str, State] = {}
    for name, make in TATS.stages.items():
        own = getattr(settings.stages, name)
        stage = make(settings, Origin(TATS.size_of(settings), 25.0), "cpu", states)
        states[name] = stage.state()
        shape = (own.batch, 3, stage.reader.frames, *TATS.size_of(settings))
        batch = {"real": {"clip": torch.randint(256, shape, dtype=torch.uint8)}}
        begins = {"vqgan alone": 0, "vqgan": own.steps} if name == "vqgan" else {name: 0}
        for shown, index in begins.items():
            step = Step(0, name, index, own.batch)
            forms[shown] = lambda stage=stage, step=step, batch=batch: stage.update(batch, step)
    return forms, states


def sampling_steps(settings: TATSConfig, states: dict[str, State]) -> Forms:
    """One more latent frame, and the pictures that are made at once."""
    model, state = settings.model, states["transformer"]
    network = frozen_transformer(model, "transformer", state, "cpu")
    vqgan = frozen_vqgan(model, state, "cpu")
    frame, context = model.vqgan.latent_frame, model.transformer.latent_frames - 1
    prompt = torch.randint(model.vqgan.codes, (1, 1 + context * frame))
    side = model.vqgan.side // model.vqgan.downsample[1]
    codes = torch.randint(model.vqgan.codes, (1, CHUNK + sum(decoder_reach(model.vqgan.downsample)), side, side))
    choose = sampling.Draw([0], "codes", frame, 1.0, sampling.Filter(2048, 0.8))
    return {
        "codes": torch.no_grad()(lambda: sampling.generate(network, prompt, frame, choose, context * frame)),
        "pictures": torch.no_grad()(lambda: vqgan.decode(codes)),
    }


def steps(settings: TATSConfig) -> tuple[Forms, dict[str, State]]:
    """All of it."""
    torch.manual_seed(0)
    forms, states = training_steps(settings)
    return forms | sampling_steps(settings, states), states


@torch.no_grad()
def precisions(settings: TATSConfig, states: dict[str, State], repeats: int) -> None:
    """The logits of a whole window in less than float64."""
    model = settings.model
    networks = [
        frozen_transformer(model, "transformer", states["transformer"], "cpu").to(dtype)
        for dtype in (torch.float64, torch.float32, torch.bfloat16)
    ]
    tokens = torch.randint(model.vqgan.codes, (1, networks[0].pos_emb.shape[1]))
    forms = [lambda network=network: network(tokens) for network in networks]
    exact, *others = (form() for form in forms)
    whole, *taken = best_seconds(forms, repeats)
    for logits, seconds in zip(others, taken, strict=True):
        error = float((logits - exact).abs().mean() / exact.std())
        print(f"logits in {logits.dtype}: {whole / seconds:.2f} times as fast, mean error {error:.1e} of the deviation")


def main() -> None:
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    tier = sys.argv[2] if len(sys.argv) > 2 else "tiny"
    repeats = 3 if tier == "tiny" else 1
    settings = config.change(config.shipped(TATSConfig, "models/tats", tier), CHANGES[tier])
    ours, states = steps(settings)
    with plain():
        theirs, _ = steps(settings)
    twins = dict(zip(ours.values(), theirs.values(), strict=True))

    def plainly(step: Callable[[], object]) -> Callable[[], object]:
        def run() -> None:
            with plain():
                twins[step]()

        return run

    print(f"{tier}, {torch.get_num_threads()} threads")
    compare(ours, plainly, repeats)
    precisions(settings, states, repeats)


if __name__ == "__main__":
    main()
