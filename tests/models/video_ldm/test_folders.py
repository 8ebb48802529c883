"""Image models in folders of diffusers: what is read, what is refused, and that it is seen before it is read."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, EulerDiscreteScheduler, PNDMScheduler
from safetensors.torch import load_file, save_file
from torch import nn

from tests.models.video_ldm.small import LATENTS, TEXT, autoencoder, normal, plain_unet, text_unet
from vidbench.models.video_ldm.diffusion import Diffusion, sampled
from vidbench.models.video_ldm.folders import load_image_model, load_unet
from vidbench.models.video_ldm.unet import VideoUNet

WEIGHTS = "diffusion_pytorch_model.safetensors"


def saved(folder: Path, unet: nn.Module, **settings) -> Path:
    unet.save_pretrained(folder / "unet")
    autoencoder(**settings).save_pretrained(folder / "vae")
    DDIMScheduler(prediction_type="v_prediction", clip_sample=False).save_pretrained(folder / "scheduler")
    return folder


def edit(file: Path, **values) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


@pytest.fixture
def folder(tmp_path) -> Path:
    return saved(tmp_path / "model", plain_unet())


def same(one: nn.Module, other: nn.Module) -> bool:
    states = other.state_dict()
    return all(torch.equal(x, states[name]) for name, x in one.state_dict().items())


def test_a_folder_is_read(folder):
    model = load_image_model(folder)
    assert same(model.unet, plain_unet())
    assert same(model.vae, autoencoder())
    assert model.schedule["prediction_type"] == "v_prediction"
    assert model.scaling_factor == 0.18215
    assert model.text_width is None


def test_a_text_model_is_read(tmp_path):
    model = load_image_model(saved(tmp_path, text_unet(), scaling_factor=0.7))
    assert same(model.unet, text_unet())
    assert (model.scaling_factor, model.text_width) == (0.7, TEXT)


def test_half_precision_is_read_where_there_is_nothing_else(folder):
    plain_unet().half().save_pretrained(folder / "unet", variant="fp16")
    (folder / "unet" / WEIGHTS).unlink()
    unet = load_image_model(folder).unet
    assert unet.dtype == torch.float32
    torch.testing.assert_close(unet.conv_in.weight, plain_unet().conv_in.weight, rtol=1e-3, atol=1e-4)


def test_an_older_autoencoder_is_read(folder):
    """Stable Diffusion's, whose attention had other names."""
    file = folder / "vae" / WEIGHTS
    older = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    states = load_file(file)
    for new, old in older.items():
        states = {name.replace(new, old): x for name, x in states.items()}
    assert any("proj_attn" in name for name in states)
    save_file(states, file, {"format": "pt"})
    assert same(load_image_model(folder).vae, autoencoder())


@torch.no_grad()
def test_an_upsampler_of_latents_is_read(tmp_path):
    """As Stable Diffusion's: more channels in than out, a noise level for a label, text in some places for both."""
    unet = text_unet(in_channels=7, num_class_embeds=100, only_cross_attention=(True, True, False))
    unet.save_pretrained(tmp_path)
    network = VideoUNet(load_unet(tmp_path))
    z, text = normal(2, 7, 1, 8, 8), normal(2, 5, TEXT)
    tau, labels = torch.tensor([3, 900]), torch.tensor([0, 99])
    expected = unet(z[:, :, 0], tau, text, class_labels=labels).sample
    found = network(z, tau, text=text, labels=labels, image_mode=True)[:, :, 0]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    other = network(z, tau, text=text, labels=labels.flip(0), image_mode=True)[:, :, 0]
    assert (other - expected).abs().max() > 1e-3


def only_bin(folder: Path) -> None:
    (folder / "vae" / WEIGHTS).rename(folder / "vae" / "diffusion_pytorch_model.bin")


def truncated(folder: Path) -> None:
    file = folder / "unet" / WEIGHTS
    file.write_bytes(file.read_bytes()[:1000])


def incomplete(folder: Path) -> None:
    file = folder / "unet" / WEIGHTS
    save_file({name: x for name, x in load_file(file).items() if name != "conv_in.bias"}, file, {"format": "pt"})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda folder: (folder / "unet" / "config.json").unlink(), "config.json does not exist"),
        (lambda folder: (folder / "unet" / "config.json").write_text("{"), "config.json cannot be read"),
        (lambda folder: (folder / "unet" / "config.json").write_text("[]"), "not a configuration"),
        (only_bin, r"vae has no .safetensors file"),
        (truncated, "unet cannot be read"),
        (incomplete, "unet has no tensor conv_in.bias"),
        (lambda folder: edit(folder / "unet" / "config.json", _class_name="UNet1DModel"), "not a UNet1DModel"),
        (lambda folder: edit(folder / "vae" / "config.json", _class_name="VQModel"), "vae holds a VQModel"),
        (lambda folder: edit(folder / "vae" / "config.json", shift_factor=0.1), "has shift_factor"),
        (lambda folder: edit(folder / "unet" / "config.json", time_embedding_type="fourier"), "time_embedding_type"),
        (
            lambda folder: edit(folder / "unet" / "config.json", mid_block_type=None),
            "image UNet with None is not supported",
        ),
    ],
)
def test_what_is_wrong_with_a_folder_is_named(folder, change, message):
    change(folder)
    with pytest.raises(ValueError, match=message) as raised:
        load_image_model(folder)
    assert str(folder) in str(raised.value)


def test_neither_files_nor_names_of_models_are_folders(tmp_path):
    file = tmp_path / "model.safetensors"
    file.touch()
    with pytest.raises(ValueError, match="single file"):
        load_image_model(file)
    with pytest.raises(ValueError, match="does not exist"):
        load_image_model(Path("nobody/no-model"))


def test_an_unsupported_unet_is_refused_before_its_weights_are_read(folder):
    edit(folder / "unet" / "config.json", down_block_types=["DownBlock2D", "KDownBlock2D", "AttnDownBlock2D"])
    (folder / "unet" / WEIGHTS).unlink()
    with pytest.raises(ValueError, match="KDownBlock2D is not supported"):
        load_image_model(folder)


def test_modules_are_imported_without_diffusers():
    names = ["autoencoder", "backbone", "context", "decoder", "diffusion", "folders", "unet", "upsampling", "windows"]
    lines = [f"import vidbench.models.video_ldm.{name}" for name in names]
    code = "; ".join([*lines, "import sys", "sys.exit('diffusers' in sys.modules)"])
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("scheduler", [PNDMScheduler, DDPMScheduler, EulerDiscreteScheduler])
def test_latents_are_not_clipped_whatever_the_folder_s_scheduler_does(folder, scheduler):
    scheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(folder / "scheduler")
    schedule = load_image_model(folder).schedule
    noise, large = normal(1, LATENTS, 8, 8), torch.full((1, LATENTS, 8, 8), 3.0)
    diffusion = Diffusion(schedule)

    def knowing(x, tau):
        signal = diffusion.signal[tau[0]]
        return (x - signal * large) / (1 - signal.square()).sqrt()

    torch.testing.assert_close(sampled(knowing, noise, schedule, 20), large, rtol=0.1, atol=0.1)


def test_image_models_of_something_else_are_refused(folder):
    plain_unet(in_channels=9).save_pretrained(folder / "unet")
    with pytest.raises(ValueError, match="does not take and give the latents of its autoencoder"):
        load_image_model(folder)
    plain_unet(num_class_embeds=10).save_pretrained(folder / "unet")
    with pytest.raises(ValueError, match="takes labels, which is not supported"):
        load_image_model(folder)
