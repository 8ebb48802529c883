"""TATS in its authors' files: what is read off them, and files that are not what they should be."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.models.tats.small import config, made
from vidbench.models.tats import TATS, TATSHierarchical
from vidbench.models.tats.networks import build_transformer
from vidbench.models.tats.perceptual import Perceptual
from vidbench.stage import Network, Snapshot
from vidbench.weights.snapshots import open_snapshot

REFERENCE = Path(__file__).parents[2] / "reference" / "tats"
STATES = made(True)
VQGAN_ARGUMENTS = {
    "downsample": [2, 4, 4], "resolution": 8, "sequence_length": 4, "sample_every_n_frames": 1, "norm_type": "batch",
    "image_folder": True,
}  # fmt: skip
ARGUMENTS = {"n_head": 2, "cond_stage_key": "label", "sample_every_n_latent_frames": 0}


def snapshot(tensors, arguments, steps=7):
    stats = {"global_step": steps, "hyper_parameters": {"args": dict(arguments)}}
    return Snapshot({"state_dict": Network(dict(tensors), {}, {})}, stats)


def prefixed(at, tensors):
    return {at + name: x for name, x in tensors.items()}


def vqgan_file(extra=(), **arguments):
    """An autoencoder's, as the authors write it."""
    parts = STATES["vqgan"]
    tensors = {
        **STATES["transformer"]["vqgan"],
        **prefixed("image_discriminator.", parts["D_image"]),
        **prefixed("video_discriminator.", parts["D_video"]),
        **dict(extra),
    }
    return snapshot(tensors, VQGAN_ARGUMENTS | arguments, 3)


def transformer_file(stage="transformer", extra=(), **arguments):
    """A transformer's, with the autoencoder and the masks in it."""
    own = STATES[stage]["transformer"]
    mask = build_transformer(config(True).model, stage, "cpu").mask.float()[None, None]
    masks = {f"blocks.{i}.attn.mask": mask for i in range(2)}
    tensors = prefixed("first_stage_model.", STATES[stage]["vqgan"]) | prefixed("transformer.", own | masks)
    return snapshot(tensors | dict(extra), ARGUMENTS | arguments)


def model(settings):
    return settings.model.model_dump()


def test_both_stages_are_recovered_in_any_order():
    files = [vqgan_file(), transformer_file()]
    for order in (files, files[::-1]):
        found = TATS.from_official(order)
        assert model(found.config) == model(config())
        assert list(found.states) == ["vqgan", "transformer"]
        assert found.states["vqgan"].keys() == {"vqgan", "D_image", "D_video"}
        assert (found.steps, found.fps) == (7, None)
    ours = TATS.from_states(config(), {"transformer": STATES["transformer"]}, 25.0)
    theirs = TATS.from_states(found.config, found.states, 25.0)
    assert torch.equal(theirs.sample([3], 9), ours.sample([3], 9))


def test_of_frame_folders_a_clip_has_its_length_and_of_video_files_an_item_is_a_window_that_is_thinned():
    given = {"sequence_length": 8, "sample_every_n_frames": 2}
    folders, files = (
        TATS.from_official([vqgan_file(image_folder=kind, **given), transformer_file()]).config.model.vqgan
        for kind in (True, False)
    )
    assert (folders.frames, folders.time_step, folders.every_clip) == (8, 2, False)
    assert (files.frames, files.time_step, files.every_clip) == (4, 2, True)


def test_a_hierarchical_model_is_of_three_files():
    files = [vqgan_file(), transformer_file(sample_every_n_latent_frames=2), transformer_file("interpolation")]
    found = TATSHierarchical.from_official(files)
    assert model(found.config) == model(config(True))
    ours = TATSHierarchical.from_states(config(True), STATES, 25.0)
    theirs = TATSHierarchical.from_states(found.config, found.states, 25.0)
    assert torch.equal(theirs.sample([3], 9), ours.sample([3], 9))
    with pytest.raises(ValueError, match="as in tats-hierarchical alone"):
        TATS.from_official(files)
    with pytest.raises(ValueError, match="one latent frame of 2, and 1 is needed here"):
        TATS.from_official(files[:2])
    with pytest.raises(ValueError, match="one latent frame of 1, and 2 is needed here"):
        TATSHierarchical.from_official([vqgan_file(), transformer_file(), files[2]])


def test_the_autoencoder_may_come_alone_and_with_vgg():
    assert list(TATS.from_official([vqgan_file()]).states) == ["vqgan"]
    part = {"perceptual_model.lin0.model.1.weight": torch.zeros(1, 64, 1, 1)}
    found = TATS.from_official([vqgan_file(part)])
    assert "perceptual" not in found.states["vqgan"]
    assert found.notes == ("VGG's weights are not whole, and are left out.",)
    with torch.device("meta"):
        vgg = Perceptual().state_dict()
    found = TATS.from_official([vqgan_file(prefixed("perceptual_model.", vgg))])
    assert found.states["vqgan"]["perceptual"].keys() == vgg.keys()
    assert not found.notes


def test_classes_are_what_codes_leave_of_the_vocabulary():
    own = STATES["transformer"]["transformer"]
    extra = {
        f"transformer.{name}": torch.cat([torch.zeros(5, 8), own[name]]) for name in ("tok_emb.weight", "head.weight")
    }
    assert TATS.from_official([vqgan_file(), transformer_file(extra=extra)]).config.model.transformer.classes == 5


STRANGE = {
    "no autoencoder": ([transformer_file()], "how much its autoencoder reduces is said in that one's own file alone"),
    "two of a stage": ([vqgan_file(), vqgan_file()], "two files hold the stage vqgan"),
    "no state_dict": ([Snapshot({"G": Network({}, {}, {})}, {})], "a file has no state_dict"),
    "no autoencoder in it": ([snapshot({"x": torch.zeros(1)}, {})], "encoder.conv_first.conv.weight is missing"),
    "no heads": ([vqgan_file(), transformer_file(n_head=None)], "its arguments do not say n_head"),
    "no reduction": ([vqgan_file(downsample=None)], "its arguments do not say downsample"),
    "wrong reduction": ([vqgan_file(downsample=[2, 4, 3])], "downsample.2"),
    "other heads": ([vqgan_file(), transformer_file(n_head=3)], "a width of 8 does not divide by 3 heads"),
    "no number": ([vqgan_file(resolution="a lot")], "its argument resolution is a lot"),
    "sound": ([vqgan_file(), transformer_file(cond_stage_key="stft")], "conditioned on stft"),
    "other padding": ([vqgan_file(padding_type="unheard of")], "padding"),
    "a tensor too many": ([vqgan_file({"encoder.other": torch.zeros(1)})], "encoder.other is unknown"),
    "another autoencoder": (
        [vqgan_file({"codebook.N": torch.zeros(12)}), transformer_file()],
        "the stage transformer was trained on another autoencoder than is given",
    ),
    "another mask": (
        [vqgan_file(), transformer_file(extra={"transformer.blocks.1.attn.mask": torch.ones(1, 1, 8, 8)})],
        "what its tokens see is not as in TATS",
    ),
    "another size of mask": (
        [vqgan_file(), transformer_file(extra={"transformer.blocks.1.attn.mask": torch.ones(1, 1, 4, 8)})],
        "attn.mask has shape",
    ),
    "another grid": ([vqgan_file(resolution=24), transformer_file()], "its 8 tokens are no clip"),
}


@pytest.mark.parametrize(("files", "message"), STRANGE.values(), ids=STRANGE)
def test_files_that_are_not_as_they_should_be_are_refused(files, message):
    with pytest.raises(ValueError, match=message):
        TATS.from_official(files)


def test_group_norm_is_refused():
    tensors = {name: x for name, x in STATES["transformer"]["vqgan"].items() if "running" not in name}
    with pytest.raises(ValueError, match="its autoencoder has group norm"):
        TATS.from_official([snapshot(tensors, VQGAN_ARGUMENTS)])


def test_a_file_as_the_authors_write_it():
    found = TATS.from_official([open_snapshot(REFERENCE / "tiny_vqgan_checkpoint.ckpt")])
    expected = load_file(REFERENCE / "tiny_vqgan_checkpoint.safetensors")
    assert found.steps == 4321
    for name, x in found.states["vqgan"]["vqgan"].items():
        assert torch.equal(x, expected[f"state/{name}"])
    assert found.config.model.vqgan.downsample == (2, 4, 4)
