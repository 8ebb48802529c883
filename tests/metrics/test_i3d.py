"""I3D: the shapes of its table, its padding, its preparations, and that the fast form computes the same."""

import copy
import hashlib
import json
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from einops import rearrange
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.recordings import check_of, load
from tests.recordings.metrics import compare_spread, i3d_weights
from vidbench.metrics import i3d_fast, i3d_prepare
from vidbench.metrics.i3d import I3D, Inception, MaxPool, Unit, same_pad, same_padding
from vidbench.metrics.i3d_fast import FastI3D, I3DBackbone, step_weights
from vidbench.metrics.i3d_prepare import PREPARATIONS, prepared
from vidbench.metrics.toy3d import Toy3D

SHAPES = [
    ("Conv3d_1a_7x7", (64, 8, 112, 112), (64, 17, 112, 112)),
    ("MaxPool3d_2a_3x3", (64, 8, 56, 56), (64, 17, 56, 56)),
    ("Conv3d_2b_1x1", (64, 8, 56, 56), (64, 17, 56, 56)),
    ("Conv3d_2c_3x3", (192, 8, 56, 56), (192, 17, 56, 56)),
    ("MaxPool3d_3a_3x3", (192, 8, 28, 28), (192, 17, 28, 28)),
    ("Mixed_3b", (256, 8, 28, 28), (256, 17, 28, 28)),
    ("Mixed_3c", (480, 8, 28, 28), (480, 17, 28, 28)),
    ("MaxPool3d_4a_3x3", (480, 4, 14, 14), (480, 9, 14, 14)),
    ("Mixed_4b", (512, 4, 14, 14), (512, 9, 14, 14)),
    ("Mixed_4c", (512, 4, 14, 14), (512, 9, 14, 14)),
    ("Mixed_4d", (512, 4, 14, 14), (512, 9, 14, 14)),
    ("Mixed_4e", (528, 4, 14, 14), (528, 9, 14, 14)),
    ("Mixed_4f", (832, 4, 14, 14), (832, 9, 14, 14)),
    ("MaxPool3d_5a_2x2", (832, 2, 7, 7), (832, 5, 7, 7)),
    ("Mixed_5b", (832, 2, 7, 7), (832, 5, 7, 7)),
    ("Mixed_5c", (1024, 2, 7, 7), (1024, 5, 7, 7)),
    ("AvgPool", (1024, 1, 1, 1), (1024, 4, 1, 1)),
    ("logits", (400, 1, 1, 1), (400, 4, 1, 1)),
]


@pytest.fixture(scope="module")
def network() -> I3D:
    network = I3D()
    network.load_state_dict(i3d_weights())
    return network


@pytest.fixture(scope="module")
def backbone() -> I3DBackbone:
    return I3DBackbone(i3d_weights())


@pytest.fixture(scope="module")
def shapes() -> dict[int, dict[str, list[int]]]:
    """Shapes of all endpoints by the number of frames; nothing is computed for them."""
    network = I3D().to("meta")
    found = {frames: network.endpoints(torch.zeros(1, 3, frames, 224, 224, device="meta")) for frames in (16, 33)}
    return {frames: {name: list(value.shape) for name, value in values.items()} for frames, values in found.items()}


def clips(number: int, frames: int, height: int = 24, width: int = 32) -> torch.Tensor:
    generator = torch.Generator().manual_seed(frames)
    return torch.randint(0, 256, (number, 3, frames, height, width), generator=generator, dtype=torch.uint8)


def error(found: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest error relative to the standard deviation over the 400 logits."""
    return ((found - expected).abs().amax(dim=1) / expected.std(dim=1)).max().item()


# The network.


@pytest.mark.parametrize(("name", "at_16", "at_33"), SHAPES)
def test_endpoints_have_the_shapes_of_the_table(shapes, name, at_16, at_33):
    assert shapes[16][name] == [1, *at_16]
    assert shapes[33][name] == [1, *at_33]


def test_there_are_no_other_endpoints(shapes):
    assert list(shapes[16]) == [name for name, _, _ in SHAPES]


def test_it_has_57_convolutions_a_classifier_and_12697264_parameters(network):
    assert sum(isinstance(module, Unit) for module in network.modules()) == 57
    assert sum(parameter.numel() for parameter in network.parameters()) == 12_697_264
    assert len(network.state_dict()) == 344


@given(st.integers(1, 400), st.integers(1, 7), st.integers(1, 2))
def test_same_padding_is_tensorflow_s(length, kernel, stride):
    """The rule as TensorFlow's documentation writes it, by the remainder of the length."""
    total = max(kernel - (stride if length % stride == 0 else length % stride), 0)
    assert same_padding(length, kernel, stride) == (total // 2, total - total // 2)


@pytest.mark.parametrize(("length", "before", "after"), [(16, 2, 3), (33, 3, 3), (224, 2, 3), (9, 3, 3)])
def test_the_first_convolution_is_padded_by_the_parity_of_the_length(length, before, after):
    assert same_padding(length, 7, 2) == (before, after)
    ones = same_pad(torch.ones(1, 1, length, 1, 1), (7, 1, 1), (2, 1, 1)).flatten()
    assert ones.tolist() == [0] * before + [1] * length + [0] * after


@pytest.mark.parametrize(
    "shape",
    [(1, 3, 16, 225, 225), (1, 3, 16, 193, 193), (1, 3, 8, 224, 224), (1, 1, 16, 224, 224), (3, 16, 224, 224)],
)
def test_other_sizes_and_short_clips_are_refused(network, shape):
    for refusing in (network, network.endpoints, FastI3D(I3D())):
        with pytest.raises(ValueError, match=r"needs \[N, 3, T, 224, 224\] with T >= 9"):
            refusing(torch.zeros(shape))


def test_files_with_and_without_counters_of_batches_load_strictly():
    learned = {name: tensor for name, tensor in i3d_weights().items() if "num_batches" not in name}
    assert len(learned) == 287
    assert not any(I3D().load_state_dict(learned))
    with pytest.raises(RuntimeError, match=r"logits\.conv3d\.bias"):
        I3D().load_state_dict({name: tensor for name, tensor in learned.items() if name != "logits.conv3d.bias"})


def test_logits_are_those_of_the_last_endpoint_and_depend_on_eps(network):
    x = prepared(clips(1, 9), "styleganv")
    logits = network(x)
    assert logits.shape == (1, 400, 1)
    torch.testing.assert_close(logits, network.endpoints(x)["logits"].flatten(2))
    other = I3D(eps=1e-5)
    other.load_state_dict(i3d_weights())
    assert error(other(x), logits) > 1e-3


def test_gradients_of_strided_units_pools_and_blocks_agree_with_differences():
    torch.manual_seed(0)
    block = Inception(3, (2, 3, 2, 2, 3, 2)).double().eval()
    layers = torch.nn.Sequential(Unit(2, 3, (3, 3, 3), (2, 2, 2)), MaxPool((1, 3, 3), (1, 2, 2))).double().eval()
    assert torch.autograd.gradcheck(block, torch.rand(1, 3, 2, 2, 3, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(layers, torch.rand(1, 2, 3, 4, 5, dtype=torch.float64, requires_grad=True))


def test_the_gradient_of_logits_agrees_with_a_difference_along_a_direction(network):
    last = copy.deepcopy(torch.nn.Sequential(*list(network.children())[-4:])).double()
    generator = torch.Generator().manual_seed(0)
    x, direction = (torch.rand(1, 832, 2, 7, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    x.requires_grad_()
    last(x).square().sum().backward()
    ahead, behind = (last(x.detach() + step * direction).square().sum() for step in (1e-6, -1e-6))
    assert (x.grad * direction).sum().item() == pytest.approx((ahead - behind).item() / 2e-6, rel=1e-6)


# Preparations.


@pytest.mark.parametrize(
    ("name", "eps", "averaged"),
    [
        ("styleganv", 1e-3, True),
        ("tfhub", 1e-3, True),
        ("videogpt", 1e-5, True),
        ("tats", 1e-5, True),
        ("cdfvd", 1e-5, True),
        ("piergiaj", 1e-3, False),
    ],
)
def test_a_preparation_brings_its_eps_and_maps_bytes_to_minus_one_to_one(name, eps, averaged):
    assert PREPARATIONS[name][1:] == (eps, averaged)
    levels = torch.tensor([0, 51, 255], dtype=torch.uint8)
    video = levels[:, None, None].expand(2, 3, 3, 224, 224)
    found = prepared(video, name)
    expected = torch.tensor([-1, -0.6, 1])[:, None, None].expand(2, 3, 3, 224, 224)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def columns(name: str, height: int, width: int) -> torch.Tensor:
    """Where in the source each of the 224 prepared columns lies, from a ramp along the width."""
    ramp = torch.arange(width, dtype=torch.uint8).expand(1, 3, 9, height, width)
    values = (prepared(ramp, name).double() + 1) * 127.5
    assert values.std(dim=(1, 2, 3), correction=0).max() < 1e-4  # all rows, frames and channels alike
    return values[0, 0, 0, 0]


@pytest.mark.parametrize("name", ["styleganv", "tats", "cdfvd"])
def test_pixels_are_read_between_their_centres(name):
    expected = ((torch.arange(224) + 0.5) * 8 / 224 - 0.5).clamp(0, 7).double()
    torch.testing.assert_close(columns(name, 12, 8), expected, atol=1e-4, rtol=0)


def test_tfhub_reads_from_the_corner():
    expected = (torch.arange(224) * 8 / 224).clamp(0, 7).double()
    torch.testing.assert_close(columns("tfhub", 12, 8), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", [name for name in PREPARATIONS if name != "piergiaj"])
def test_both_axes_are_resized_alike(name):
    video = clips(1, 9, 20, 28)
    torch.testing.assert_close(prepared(video.mT, name).mT, prepared(video, name), atol=2e-6, rtol=0)


@pytest.mark.parametrize(("height", "width", "resized", "left"), [(8, 16, 448, 112), (40, 48, 269, 22)])
def test_videogpt_keeps_the_aspect_and_takes_the_centre(height, width, resized, left):
    expected = ((torch.arange(224) + left + 0.5) * width / resized - 0.5).double()
    torch.testing.assert_close(columns("videogpt", height, width), expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", PREPARATIONS)
def test_frames_of_224_by_224_are_not_resized(name):
    video = clips(1, 9, 224, 224)
    torch.testing.assert_close(prepared(video, name), video.float() / 127.5 - 1, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", PREPARATIONS)
def test_frames_are_prepared_alike_alone_and_together(name, monkeypatch):
    video = clips(2, 9, 224, 224) if name == "piergiaj" else clips(2, 9)
    together = prepared(video, name)
    monkeypatch.setattr(i3d_prepare, "PIXELS_AT_ONCE", 4 * 224**2)
    assert torch.equal(prepared(video, name), together)


def test_an_unknown_preparation_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r'"area".*styleganv, tfhub, videogpt, tats, cdfvd, piergiaj'):
        I3DBackbone({}, "area")


# The backbone.


@pytest.mark.parametrize(("preparation", "frames"), [("styleganv", 9), ("videogpt", 18)])
def test_the_backbone_computes_what_the_network_does(preparation, frames):
    network = I3D(PREPARATIONS[preparation].eps)
    network.load_state_dict(i3d_weights())
    video = clips(1, frames)
    found = I3DBackbone(i3d_weights(), preparation)(video)
    assert (found.dtype, found.shape, found.requires_grad) == (torch.float32, (1, 400), False)
    assert error(found, network(prepared(video, preparation)).mean(dim=2)) < 1e-5


def test_bfloat16_is_within_a_few_hundredths_of_the_spread(backbone):
    half = I3DBackbone(i3d_weights(), numeric_mode="bfloat16")
    video = clips(1, 9)
    found = half(video)
    assert found.dtype == torch.float32
    assert 1e-4 < error(found, backbone(video)) < 5e-2
    assert (half.numeric_mode, backbone.numeric_mode) == ("bfloat16", "float32")
    assert half.tensor_hash() == backbone.tensor_hash()


def test_a_clip_has_the_same_features_alone_and_in_a_batch(backbone, monkeypatch):
    video = clips(2, 9)
    together = backbone(video)
    assert error(backbone(video.flip(0)).flip(0), together) < 1e-5
    monkeypatch.setitem(i3d_fast.FRAMES_AT_ONCE, "cpu", 9)
    assert error(backbone(video), together) < 1e-5


@given(st.integers(2, 40))
def test_time_weights_give_the_mean_of_the_means_of_neighbours(steps):
    values = torch.randn(3, steps, generator=torch.Generator().manual_seed(steps))
    windows = (values[:, :-1] + values[:, 1:]) / 2
    torch.testing.assert_close(values @ step_weights(steps), windows.mean(dim=1), atol=1e-6, rtol=1e-5)


@given(st.tuples(*[st.integers(1, 6)] * 3))
def test_shifted_maxima_are_a_max_pooling(size):
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(i3d_fast.maximum_of_neighbours(x), F.max_pool3d(x, 3, stride=1, padding=1))


@given(st.tuples(*[st.integers(3, 12)] * 3), st.sampled_from([(1, 3, 3), (3, 3, 3), (2, 2, 2)]))
def test_pooling_by_cut_windows_is_pooling_with_zeros(size, kernel):
    pool = MaxPool(kernel, tuple(min(k, 2) for k in kernel))
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    assert torch.equal(i3d_fast.FastMaxPool(pool)(x), pool(x))


def test_the_backbone_says_what_it_is(backbone):
    assert (backbone.name, backbone.version, backbone.dim, backbone.min_frames) == ("i3d", 1, 400, 9)
    assert I3DBackbone(i3d_weights(), "piergiaj", name="i3d-imagenet").name == "i3d-imagenet"


def test_every_backbone_is_made_with_a_preparation_and_has_a_numeric_mode(backbone):
    toy = Toy3D("none")
    assert (backbone.numeric_mode, toy.numeric_mode) == ("float32", "float32")
    assert toy.tensor_hash() == Toy3D().tensor_hash()


def test_the_hash_is_over_names_and_values_whatever_the_file(backbone):
    learned = {name: tensor for name, tensor in i3d_weights().items() if "num_batches" not in name}
    expected = hashlib.sha256(b"".join(name.encode() + learned[name].numpy().tobytes() for name in sorted(learned)))
    assert backbone.tensor_hash() == expected.hexdigest()
    backwards = {name: learned[name].double() for name in sorted(learned, reverse=True)}
    assert I3DBackbone(backwards, "tats").tensor_hash() == backbone.tensor_hash()
    changed = {**learned, "logits.conv3d.bias": learned["logits.conv3d.bias"] + 1e-3}
    assert I3DBackbone(changed).tensor_hash() != backbone.tensor_hash()


@pytest.mark.parametrize(
    ("video", "message"),
    [
        (torch.zeros(1, 3, 8, 32, 32, dtype=torch.uint8), "T >= 9"),
        (torch.zeros(1, 1, 16, 32, 32, dtype=torch.uint8), "T >= 9"),
        (torch.zeros(3, 16, 32, 32, dtype=torch.uint8), "T >= 9"),
        (torch.zeros(1, 3, 16, 32, 32), "uint8"),
    ],
)
def test_the_backbone_refuses_other_videos(backbone, video, message):
    with pytest.raises(ValueError, match=message):
        backbone(video)


def test_a_preparation_that_does_not_resize_needs_frames_of_224():
    with pytest.raises(ValueError, match="224"):
        I3DBackbone(i3d_weights(), "piergiaj")(clips(1, 9))


def test_an_unknown_numeric_mode_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r'"float16".*float32, bfloat16'):
        I3DBackbone({}, numeric_mode="float16")


# Recordings of two conventions, made here by a second formulation of everything.


def second_i3d(x: torch.Tensor, eps: float) -> torch.Tensor:
    """Time-averaged logits `[N, 400]` in float64, written as one function of the named weights."""
    weights = {name: tensor.double() for name, tensor in i3d_weights().items()}

    def pad(x, kernel, stride):
        sizes = []
        for length, k, s in zip(reversed(x.shape[2:]), reversed(kernel), reversed(stride), strict=True):
            total = max(k - (length % s or s), 0)
            sizes += [total // 2, math.ceil(total / 2)]
        return F.pad(x, sizes)

    def unit(x, name, stride=(1, 1, 1)):
        kernel = weights[f"{name}.conv3d.weight"]
        y = F.conv3d(pad(x, kernel.shape[2:], stride), kernel, stride=stride)
        mean, var, gamma, beta = (
            weights[f"{name}.bn.{part}"][:, None, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((y - mean) / torch.sqrt(var + eps) * gamma + beta).clamp(min=0)

    def pool(x, kernel, stride):
        return F.max_pool3d(pad(x, kernel, stride), kernel, stride)

    def block(x, name):
        first = unit(x, f"{name}.b0")
        second = unit(unit(x, f"{name}.b1a"), f"{name}.b1b")
        third = unit(unit(x, f"{name}.b2a"), f"{name}.b2b")
        return torch.cat([first, second, third, unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b")], dim=1)

    x = pool(unit(x.double(), "Conv3d_1a_7x7", (2, 2, 2)), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3"), (1, 3, 3), (1, 2, 2))
    x = pool(block(block(x, "Mixed_3b"), "Mixed_3c"), (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = block(x, f"Mixed_4{letter}")
    x = block(block(pool(x, (2, 2, 2), (2, 2, 2)), "Mixed_5b"), "Mixed_5c")
    steps = x.mean(dim=(3, 4)).unfold(2, 2, 1).mean(dim=(2, 3))
    return steps @ weights["logits.conv3d.weight"].flatten(1).T + weights["logits.conv3d.bias"]


def second_grid(length: int, legacy: bool) -> np.ndarray:
    """Weights `[224, length]` of linear interpolation, float64."""
    at = np.arange(224) * length / 224 if legacy else np.maximum((np.arange(224) + 0.5) * length / 224 - 0.5, 0)
    weights = np.maximum(1 - abs(at[:, None] - np.arange(length)), 0)
    weights[:, -1] += 1 - weights.sum(axis=1)
    return weights


@pytest.mark.parametrize(("kind", "eps"), [("tfhub", 1e-3), ("tats", 1e-5)])
def test_recordings_of_conventions_without_an_example_are_checked(tmp_path, kind, eps):
    video = rearrange(clips(1, 9, 20, 28), "n c t h w -> n t h w c").contiguous()
    rows, columns = second_grid(20, kind == "tfhub"), second_grid(28, kind == "tfhub")
    frames = np.einsum("yh,xw,nthwc->nctyx", rows, columns, video.numpy(), optimize=True)
    truth = second_i3d(torch.from_numpy(2 * frames / 255 - 1).float(), eps)

    path = tmp_path / "recording.safetensors"
    config = json.dumps({"convention": kind, "bn_eps": eps, "x_shape": list(video.shape)})
    tensors = {"in/x": video, "out/logits": truth.float(), "out64/logits": truth}
    save_file(tensors, path, {"component": f"metrics/i3d_{kind}", "config": config})
    check_of(path)(load(path))


@pytest.mark.parametrize("name", ["logits", "mean/Mixed_5c", "probs"])
def test_a_recording_that_is_off_by_more_than_its_bound_fails(name):
    expected = torch.randn(2, 400, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    found = expected.clone()
    found[1, 7] += 1e-8 * expected[1].std()
    compare_spread(found, expected, 1.1e-8, name)
    with pytest.raises(AssertionError, match=f"{name} is off by 1e-08"):
        compare_spread(found, expected, 1e-9, name)
