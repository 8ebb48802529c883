"""Video LDM as a user meets it: six stages, what of them is sampled, and an image model with text of one's own."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from diffusers import PNDMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

import vidbench
from tests.e2e.running import Run, run_in
from tests.models.video_ldm.small import TEXT, autoencoder, plain_unet, text_unet
from vidbench.checkpoints import load_checkpoint, read_about
from vidbench.sources import open_source

STAGES = ["autoencoder", "image", "temporal", "decoder", "interpolation", "upsampler"]
TRAIN = ["train", "--model", "video-ldm", "--config", "quick.yaml", "--workers", "0"]
FOLDER = Path("runs/video-ldm/toy-ride-quick")
KEYS = ("--set", "interpolate=0", "--set", "decoder=false")


def write_settings(place: Path) -> None:
    """The tier `ci`, of two steps a stage."""
    values = yaml.safe_load((Path(vidbench.__file__).parent / "configs/models/video_ldm/ci.yaml").read_text())
    for stage in values["stages"].values():
        stage |= {"steps": 2, "metric": "fvd16@4"}
    values["stages"]["autoencoder"]["adversary_from"] = values["stages"]["upsampler"]["image_steps"] = 1
    (place / "quick.yaml").write_text(yaml.safe_dump(values))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all stages; its folder."""
    place = tmp_path_factory.mktemp("whole")
    write_settings(place)
    result = run_in(place, TRAIN)
    assert "  autoencoder: 2 steps of 2 samples; parameters: vae " in result.stderr
    assert all(f"{stage}: step 2, fvd16@4[toy3d]" in result.stderr for stage in STAGES)
    return place / FOLDER


def sampled(run: Run, out: str, *arguments: object, frames: int = 10) -> np.ndarray:
    """One video, `[3, T, H, W]`, as the command makes it."""
    run("sample", "--model", "video-ldm", "-n", 1, "--frames", frames, "--as", "png", "--out", out, *arguments)
    source = open_source(f"{out}/video-ldm")
    return source.read(source.videos[0], 0, frames).astype(int)


def fps_of(out: str) -> float:
    """Frames a second of what was sampled."""
    record = json.loads(Path(out, "video-ldm.json").read_text())
    return float(record["fps"])


def test_every_step_of_the_chain_can_be_left_out(trained: Run) -> None:
    video = sampled(trained, "plain")
    assert video.shape == (3, 10, 32, 32)
    assert abs(sampled(trained, "short", frames=5) - video[:, :5]).max() <= 1
    assert abs(sampled(trained, "frames", "--set", "decoder=false") - video).max() > 0
    assert sampled(trained, "large", "--set", "upsample=true", frames=3).shape == (3, 3, 64, 64)
    still = sampled(trained, "still", "--set", "still=true")
    assert abs(np.diff(still, axis=1)).max() == 0
    keys = sampled(trained, "keys", *KEYS, frames=3)
    assert abs(keys[:, 0] - still[:, 0]).max() <= 1
    assert fps_of("keys") == fps_of("plain") / 16


def test_it_is_scored_with_its_autoencoder_and_decoder_beside_it(trained: Run) -> None:
    asked = ("eval", "--model", "video-ldm", "--metric", "fvd16", "--clips", 4, "--workers", 0, "--json")
    rows = {record["model"]: record for record in json.loads(trained(*asked).stdout)}
    whole, *parts = (rows[f"video-ldm{part}"] for part in ("", "-autoencoder-on-real", "-decoder-on-real"))
    assert all(part["checkpoint_hash"] == whole["checkpoint_hash"] for part in parts)
    assert len({row["value"] for row in (whole, *parts)}) == 3


def test_what_a_run_lacks_is_named(trained: Run) -> None:
    only = FOLDER / "temporal" / "last.safetensors"
    shown = trained("sample", "--model", "video-ldm", "--checkpoint", only, code=2)
    assert "the stage autoencoder is not trained." in shown.stderr
    shown = trained("sample", "--model", "video-ldm", "--prompt", "a red car", code=2)
    assert "this image model takes no prompt." in shown.stderr


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image model in the shape of Stable Diffusion, whose tokens are letters; its folder."""
    place = tmp_path_factory.mktemp("pipeline")
    text_unet().save_pretrained(place / "unet")
    autoencoder().save_pretrained(place / "vae")
    PNDMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear").save_pretrained(
        place / "scheduler"
    )
    letters = "abcdefghijklmnopqrstuvwxyz"
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    CLIPTokenizer({token: i for i, token in enumerate(tokens)}, []).save_pretrained(place / "tokenizer")
    torch.manual_seed(0)
    encoder = CLIPTextConfig(
        vocab_size=len(tokens), hidden_size=TEXT, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2,
        max_position_embeddings=77, bos_token_id=52, eos_token_id=53, pad_token_id=53,
    )  # fmt: skip
    CLIPTextModel(encoder).save_pretrained(place / "text_encoder")
    return place


def test_an_image_model_with_text_learns_to_move(run: Run, pipeline: Path) -> None:
    write_settings(Path())
    shown = run(*TRAIN, "--image-model", pipeline, "--stage", "temporal", "--prompt", "a red car")
    assert "temporal: step 2, fvd16@4[toy3d]" in shown.stderr
    (folder,) = Path("runs/video-ldm").iterdir()
    assert [path.name for path in folder.iterdir() if (path / "last.safetensors").exists()] == ["temporal"]
    about = read_about(folder / "temporal" / "last.safetensors")
    assert (about.config["model"]["prompt"], about.config["model"]["image_model"]) == ("a red car", str(pipeline))
    kept = load_checkpoint(folder / "temporal" / "last.safetensors").state
    assert not kept.keys() - {"temporal", "temporal_ema", "trained_on"}
    asked = ("--checkpoint", folder, *KEYS)
    red, same = (sampled(run, out, *asked, frames=4) for out in ("red", "same"))
    assert np.array_equal(red, same)
    assert red.shape == (3, 4, 32, 32)
    assert np.array_equal(sampled(run, "told", *asked, "--prompt", "a red car", frames=4), red)
    assert abs(sampled(run, "blue", *asked, "--prompt", "a blue sky", frames=4) - red).max() > 0
    shown = run("sample", "--model", "video-ldm", "--checkpoint", folder, code=2)
    assert "the stage interpolation is not trained" in shown.stderr


def remove_weights(folder: Path) -> None:
    """Leave a file that could run code when it is read."""
    weights = folder / "vae" / "diffusion_pytorch_model.safetensors"
    weights.rename(weights.with_suffix(".bin"))


def use_other_blocks(folder: Path) -> None:
    """Name a block that no temporal layers are put between."""
    file = folder / "unet" / "config.json"
    file.write_text(file.read_text().replace('"AttnDownBlock2D"', '"KDownBlock2D"'))


def remove(folder: Path) -> None:
    """Leave nothing where the image model is said to be."""
    folder.rename(folder.with_name("elsewhere"))


@pytest.mark.parametrize(
    ("change", "prompt", "message"),
    [
        (remove, (), "mine/unet/config.json does not exist; an image model is a folder with unet, vae and scheduler."),
        (remove_weights, (), "mine/vae has no .safetensors file"),
        (use_other_blocks, (), "an image UNet with KDownBlock2D, KDownBlock2D is not supported"),
        (lambda folder: None, ("--prompt", "a red car"), "mine takes no prompt."),
    ],
    ids=["absent", "only .bin", "other blocks", "no text"],
)
def test_an_image_model_that_cannot_be_ends_in_one_sentence(run: Run, change, prompt, message) -> None:
    write_settings(Path())
    folder = Path("mine")
    plain_unet().save_pretrained(folder / "unet")
    autoencoder().save_pretrained(folder / "vae")
    PNDMScheduler().save_pretrained(folder / "scheduler")
    change(folder)
    shown = run(*TRAIN, "--image-model", folder, "--stage", "temporal", *prompt, code=2)
    assert message in shown.stderr
    assert "Traceback" not in shown.stderr
    assert not list(Path("runs").rglob("*.safetensors"))
