"""Recordings of Video LDM: the image networks of diffusers, and the temporal layers of the authors' later model.

Where a recording has no weights, they lie in the folder of its name. Image networks are compared as vidbench runs them:
by the walk of a video UNet and of a video decoder.
"""

from pathlib import Path

import torch
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.transformers.transformer_2d import Transformer2DModel
from einops import rearrange, repeat
from torch import Tensor, nn

from vidbench.models.video_ldm.attention import TemporalAttention
from vidbench.models.video_ldm.autoencoder import moments
from vidbench.models.video_ldm.decoder import VideoDecoder
from vidbench.models.video_ldm.diffusion import Diffusion, own_schedule, sampled
from vidbench.models.video_ldm.folders import load_unet, load_weights, read_config
from vidbench.models.video_ldm.residual import TemporalResidualBlock
from vidbench.models.video_ldm.unet import VideoUNet

from . import Recording

PRECISIONS = (("out", torch.float32), ("out64", torch.float64))
MIX = "state/time_mixer.mix_factor"
BETAS = {
    "ddpm_linear": (1e-4, 0.02, "linear"),
    "ldm_unconditional": (0.0015, 0.0195, "scaled_linear"),
    "stable_diffusion": (0.00085, 0.012, "scaled_linear"),
}


def folder_of(recording: Recording) -> Path:
    """The folder of diffusers whose name begins the recording's; of several, the longest."""
    stem = recording.path.stem
    fitting = [path for path in recording.path.parent.iterdir() if path.is_dir() and stem.startswith(f"{path.name}_")]
    assert fitting, f"no folder beside {recording.path} has the beginning of its name"
    return max(fitting, key=lambda path: len(path.name))


def compare(recording: Recording, found: dict[str, Tensor], tolerance: float, relative_to: str = "") -> None:
    """Absolute, or in deviations of an output."""
    scale = recording[f"out/{relative_to}"].std().item() if relative_to else 1.0
    for name, value in found.items():
        expected = recording[f"out/{name}"]
        torch.testing.assert_close(value, expected, rtol=0, atol=tolerance * scale, msg=lambda m, n=name: f"{n}: {m}")


@torch.no_grad()
def check_image_unet(recording: Recording) -> None:
    """Two videos of four frames, as the image UNet itself and as a video UNet at its birth see them."""
    unet = load_unet(folder_of(recording) / "unet")
    times, text = recording["in/timestep"][::4], recording.tensors.get("in/encoder_hidden_states")
    for prefix, dtype in PRECISIONS:
        network = VideoUNet(unet.to(dtype)).to(dtype)
        z = rearrange(recording["in/sample"].to(dtype), "(b t) c h w -> b c t h w", t=4)
        found = network(z, times, text=None if text is None else text[::4].to(dtype))
        frames = rearrange(found, "b c t h w -> (b t) c h w").float()
        torch.testing.assert_close(frames, recording[f"{prefix}/sample"], rtol=0, atol=1e-5)


@torch.no_grad()
def check_conditional_unet(recording: Recording) -> None:
    """Images that are told a noise level or label, each as a video of one frame."""
    unet = load_unet(folder_of(recording) / "unet")
    text = recording.tensors.get("in/encoder_hidden_states")
    z = rearrange(recording["in/sample"], "n c h w -> n c 1 h w")
    labels = recording["in/class_labels"]
    found = VideoUNet(unet)(z, recording["in/timestep"], text=text, labels=labels)
    compare(recording, {"sample": found[:, :, 0]}, 1e-5, relative_to="sample")


@torch.no_grad()
def check_autoencoder(recording: Recording) -> None:
    """Moments of latents; their mean decoded, by a video decoder at its birth."""
    vae = load_weights(folder_of(recording) / "vae", ("AutoencoderKL",))
    mean, logvar = moments(vae, recording["in/x"])
    compare(recording, {"mean": mean, "logvar": logvar}, 5e-5)
    for prefix, dtype in PRECISIONS:
        decoder = VideoDecoder(vae.to(dtype)).to(dtype)
        latents = rearrange(moments(vae, recording["in/x"].to(dtype))[0], "t c h w -> 1 c t h w")
        decoded = rearrange(decoder(latents), "1 c t h w -> t c h w").float()
        torch.testing.assert_close(decoded, recording[f"{prefix}/decoded"], rtol=0, atol=5e-5)


@torch.no_grad()
def check_trajectory(recording: Recording) -> None:
    """Noise, through all of the sampler's steps; images as videos of one frame."""
    folder = folder_of(recording)
    network, text = VideoUNet(load_unet(folder / "unet")), recording.tensors.get("in/encoder_hidden_states")
    steps, visited, states = recording.config["steps"], [], []

    def denoise(z: Tensor, tau: Tensor) -> Tensor:
        visited.append(tau[0])
        states.append(z)
        predicted: Tensor = network(z, tau, text=text)
        return predicted

    noise = rearrange(recording["in/noise"], "n c h w -> n c 1 h w")
    final = sampled(denoise, noise, read_config(folder / "scheduler" / "scheduler_config.json"), steps)
    assert torch.equal(torch.stack(visited), recording["out/timesteps"])
    after = {f"after_step_{i}": states[i + 1] for i in (0, 12)} | {"final": final}
    found = {name: z[:, :, 0] for name, z in after.items()}
    compare(recording, found, 1e-4, relative_to="" if text is None else "final")


@torch.no_grad()
def check_temporal_resblock(recording: Recording) -> None:
    """The spatial block, what the temporal one makes of it, and their mix."""
    config = recording.config
    channels, frames = config["out_channels"], config["num_frames"]
    spatial = ResnetBlock2D(
        in_channels=config["in_channels"],
        out_channels=channels,
        temb_channels=config["temb_channels"],
        eps=config["eps"],
    )
    spatial.load_state_dict(weights(recording, "spatial_res_block."))
    temporal = TemporalResidualBlock(channels, 32, config["eps"], config["temb_channels"])
    temporal.load_state_dict(weights(recording, "temporal_res_block.") | {"mix": recording[MIX]})
    temb = recording["in/temb"]
    x = spatial(recording["in/hidden_states"], temb)
    found = {
        "spatial": x,
        "temporal": temporal.branch(x, frames, temb),
        "mixed": temporal(x, frames, temb),
    }
    temporal.mix.fill_(40)
    compare(recording, found | {"image_only": temporal(x, frames, temb)}, 1e-5)


@torch.no_grad()
def check_temporal_transformer(recording: Recording) -> None:
    """Positions of frames, tokens after the spatial and after the temporal block, and the whole transformer."""
    config = recording.config
    heads, channels, frames = config["num_attention_heads"], config["in_channels"], config["num_frames"]
    width = config["cross_attention_dim"]
    spatial = Transformer2DModel(
        heads, config["attention_head_dim"], channels, cross_attention_dim=width, use_linear_projection=True
    )
    spatial.load_state_dict(known(spatial, weights(recording)))
    temporal = TemporalAttention(channels, heads, config["num_layers"], width)
    blocks = weights(recording, "temporal_transformer_") | {"mix": recording[MIX]}
    temporal.load_state_dict(known(temporal, weights(recording)) | blocks)
    text = recording["in/text"]
    per_frame = text.repeat_interleave(frames, dim=0)
    tokens = keep_output(spatial.transformer_blocks[0])
    found = {"hidden_states": temporal.inside(spatial, recording["in/hidden_states"], frames, per_frame, text)}
    found |= {
        "time_position": repeat(temporal.time_pos_embed(frames), "t c -> (b t) c", b=len(text)),
        "spatial_0": tokens[0],
        "temporal_0": temporal.attended(temporal.blocks[0], tokens[0], frames, text),
    }
    compare(recording, found, 1e-5)


def weights(recording: Recording, start: str = "") -> dict[str, Tensor]:
    """The recorded weights whose names begin so, under the rest of their names."""
    start = f"state/{start}"
    return {name.removeprefix(start): x for name, x in recording.tensors.items() if name.startswith(start)}


def known(network: nn.Module, states: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: x for name, x in states.items() if name in network.state_dict()}


def keep_output(module: nn.Module) -> list[Tensor]:
    """What the module puts out is appended to this once it is called."""
    outputs: list[Tensor] = []
    module.register_forward_hook(lambda module, args, output: outputs.append(output))
    return outputs


def check_schedules(recording: Recording) -> None:
    """Tables of alpha-bar, times that samplers visit, noisy data and velocity."""
    x, noise, tau = (recording[f"in/{name}"] for name in ("x", "noise", "timestep"))
    for name, (start, end, kind) in BETAS.items():
        diffusion = Diffusion(own_schedule() | {"beta_start": start, "beta_end": end, "beta_schedule": kind})
        times = torch.arange(1000)
        signal = diffusion.noised(torch.ones(1000), torch.zeros(1000), times)
        compare(recording, {f"alphas_cumprod_{name}": signal.square()}, 1e-6)
    for spacing in ("leading", "linspace", "trailing"):
        for steps in (25, 50):
            assert torch.equal(visited_times(spacing, steps), recording[f"out/timesteps_{spacing}_{steps}"])
    own = Diffusion(own_schedule())
    compare(recording, {"noisy": own.noised(x, noise, tau), "velocity": own.target(x, noise, tau)}, 1e-6)


def visited_times(spacing: str, steps: int) -> Tensor:
    visited: list[Tensor] = []

    def denoise(z: Tensor, tau: Tensor) -> Tensor:
        visited.append(tau[0])
        return z

    sampled(denoise, torch.zeros(1, 1), own_schedule() | {"timestep_spacing": spacing}, steps)
    return torch.stack(visited)


CHECKS = {
    "autoencoder": check_autoencoder,
    "conditional_unet": check_conditional_unet,
    "ddim_trajectory": check_trajectory,
    "image_unet": check_image_unet,
    "schedules": check_schedules,
    "temporal_resblock": check_temporal_resblock,
    "temporal_transformer": check_temporal_transformer,
}
