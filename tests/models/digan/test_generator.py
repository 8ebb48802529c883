"""Pixels are functions of latents, place and time alone; layers are normalised."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vidbench.models.digan.generator import FactorisedLayer, Generator

SIZES = {
    "resolution": 16, "z_dim": 10, "w_dim": 6, "channel_base": 128, "channel_max": 10, "base_resolution": 8,
    "num_waves": 3, "rank": 2, "extra_layers_at": (16,),
}  # fmt: skip


def tiny(**sizes) -> Generator:
    torch.manual_seed(0)
    return Generator(**(SIZES | sizes)).eval()


GENERATOR = tiny().requires_grad_(False)
Z, MOTION = torch.randn(3, 10), torch.randn(3, 6)


def frames(t, video: int = 0) -> Tensor:
    """`[T, 3, H, W]` of one video."""
    return GENERATOR(Z[video, None], torch.tensor([t]), MOTION[video, None])


def close(x: Tensor, y: Tensor) -> None:
    torch.testing.assert_close(x, y, rtol=0, atol=1e-5 * y.std().item())


times = st.lists(st.floats(-2, 10), min_size=2, max_size=6)


@settings(max_examples=30)
@given(times, st.data())
def test_a_frame_depends_on_its_time_alone(t, data):
    order = data.draw(st.permutations(range(len(t))))
    together = frames(t)
    close(frames([t[i] for i in order]), together[list(order)])
    close(torch.cat([frames([each]) for each in t]), together)


def test_a_video_does_not_depend_on_its_neighbours_in_the_batch():
    t = [[0.0, 0.5], [4.0, 2.0], [-1.0, 1.0]]
    together = GENERATOR(Z, torch.tensor(t), MOTION)
    close(torch.cat([frames(row, i) for i, row in enumerate(t)]), together)


def test_content_counts_at_any_time_and_motion_at_any_but_0():
    t = torch.tensor([[0.0, 1.0]]).expand(3, -1)
    before = GENERATOR(Z, t, MOTION)
    content, motion = (
        (GENERATOR(*latents) - before).flatten(1).abs().amax(dim=1).unflatten(0, (3, 2))
        for latents in ((Z.roll(1, 0), t, MOTION), (Z, t, MOTION.roll(1, 0)))
    )
    assert content.min() > 1e-3
    assert motion[:, 1].min() > 1e-3
    assert motion[:, 0].max() == 0


def test_motion_changes_no_frame_where_phases_stand_still():
    network = tiny().requires_grad_(False)
    for name, parameter in network.named_parameters():
        if ".motion_mlp.1." in name:
            parameter.zero_()
    video = network(Z, torch.tensor([[0.0, 0.5, 7.0]]).expand(3, -1), MOTION).unflatten(0, (3, 3))
    assert torch.equal(video, video[:, :1].expand_as(video))


def test_blocks_below_the_base_work_at_its_side():
    sides, widths = {}, {}
    network = tiny(resolution=32, channel_base=128, extra_layers_at=())
    for res in network.synthesis.resolutions:
        block = network.synthesis.get_submodule(f"b{res}")
        block.register_forward_hook(lambda module, args, out, res=res: sides.update({res: out[0].shape[-1]}))
        first = block.conv1 if block.conv0 is None else block.conv0
        widths[res] = first.weight.shape[1]
    network(Z, torch.zeros(3, 1), MOTION)
    assert sides == {4: 8, 8: 8, 16: 16, 32: 32}
    assert widths == {4: 6, 8: 10, 16: 10 + 6, 32: 8 + 6}  # waves alone, features alone, then both


def test_extra_layers_go_by_the_side_that_blocks_work_at():
    def extra(*sides):
        network = tiny(extra_layers_at=sides)
        return [len(network.synthesis.get_submodule(f"b{res}").extra_convs) for res in (4, 8, 16)]

    assert (extra(), extra(4), extra(8), extra(16)) == ([0, 0, 0], [0, 0, 0], [1, 1, 0], [0, 0, 1])


LAYER = FactorisedLayer(7, 5, w_dim=6, rank=2).double().requires_grad_(False)
LAYER.bias.normal_()
X, W = torch.randn(6, 7, 3, 4).double(), torch.randn(3, 6).double()


def test_weights_are_scaled_by_a_matrix_of_low_rank_and_have_rows_of_unit_norm():
    weights = LAYER.modulated(W)
    torch.testing.assert_close(weights.square().sum(dim=2), torch.ones(3, 5).double(), rtol=1e-6, atol=0)
    ratios = weights / LAYER.weight[:, :, 0, 0]
    assert torch.linalg.matrix_rank(ratios, rtol=1e-9).tolist() == [3, 3, 3]  # 1 and the two of the style
    plain = LAYER.weight[:, :, 0, 0]
    torch.testing.assert_close(
        LAYER.modulated(torch.zeros(1, 6).double())[0], plain / plain.norm(dim=1, keepdim=True), rtol=1e-7, atol=0
    )


def test_a_layer_is_a_matrix_of_its_own_for_every_video():
    expected = torch.einsum("noi,ntihw->ntohw", LAYER.modulated(W), X.unflatten(0, (3, 2)))
    expected = torch.nn.functional.leaky_relu(expected + LAYER.bias[:, None, None], 0.2).flatten(0, 1) * 2**0.5
    torch.testing.assert_close(LAYER(X, W, X.shape[-1]), expected)


def test_features_are_doubled_after_the_product_as_they_would_be_before():
    small, waves = X[:, :-2], X[:, -2:].repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    large = small.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    side = large.shape[-1]
    torch.testing.assert_close(LAYER(small, W, side, waves), LAYER(torch.cat([large, waves], dim=1), W, side))


def test_truncation_ends_at_the_average():
    network = tiny().requires_grad_(False)
    network.mapping.w_avg.normal_()
    w, average = network.style(Z), network.mapping.w_avg.expand(3, -1)
    torch.testing.assert_close(network.style(Z, 0.0), average)
    torch.testing.assert_close(network.style(Z, 0.3), average.lerp(w, 0.3))


def test_gradients_are_those_of_differences():
    """Every parameter, in float64, along a random direction."""
    network = tiny().double()
    z, motion, t = Z.double(), MOTION.double(), torch.rand(3, 2).double()
    weights = torch.randn(6, 3, 16, 16, dtype=torch.float64)

    def scalar() -> Tensor:
        return (network(z, t, motion) * weights).sum()

    gradients = torch.autograd.grad(scalar(), list(network.parameters()))
    for (name, parameter), gradient in zip(network.named_parameters(), gradients, strict=True):
        direction = torch.randn_like(parameter)
        direction *= 1e-5 * (parameter.norm() + 0.01) / direction.norm()
        with torch.no_grad():
            parameter += direction
            above = scalar()
            parameter -= 2 * direction
            below = scalar()
            parameter += direction
        torch.testing.assert_close((gradient * direction).sum(), (above - below) / 2, rtol=1e-3, atol=1e-8, msg=name)


def test_names_and_shapes_are_the_official_ones():
    """Less the filters, which nothing uses; the first coordinates of the authors' lie in `b4.input.input`."""
    with torch.device("meta"):
        network = Generator()
    expected = {"mapping.w_avg": (512,)}
    for i in range(2):
        expected |= {f"mapping.fc{i}.weight": (512, 512), f"mapping.fc{i}.bias": (512,)}
    width = 0
    for res, out in ((4, 512), (8, 512), (16, 512), (32, 512), (64, 512), (128, 256)):
        block = f"synthesis.b{res}"
        if res in (4, 64, 128):
            width += 256
            fuser = f"{block}.coord_fuser"
            shapes = {"xyaffine": (384, 512), "affine": (128, 1024), "motion_mlp.0": (128, 128)}
            for layer, shape in (shapes | {"motion_mlp.1": (128, 128)}).items():
                expected |= {f"{fuser}.{layer}.weight": shape, f"{fuser}.{layer}.bias": shape[:1]}
        for layer in ("conv0", "conv1", "extra_convs.0"):
            if (layer == "conv0" and res == 4) or (layer == "extra_convs.0" and res != 128):
                continue
            expected |= {f"{block}.{layer}.weight": (out, width, 1, 1), f"{block}.{layer}.bias": (out,)}
            rows = 10 * (out + width)
            expected |= {f"{block}.{layer}.affine.weight": (rows, 512), f"{block}.{layer}.affine.bias": (rows,)}
            width = out
        expected |= {f"{block}.torgb.weight": (3, out, 1, 1), f"{block}.torgb.bias": (3,)}
        expected |= {f"{block}.torgb.affine.weight": (out, 512), f"{block}.torgb.affine.bias": (out,)}
    assert {name: tuple(x.shape) for name, x in network.state_dict().items()} == expected


def test_styles_start_where_they_change_no_weight_and_all_colours():
    """The bias of a layer's affine map starts at 0, that of the colours at 1."""
    for name, bias in tiny().named_parameters():
        if name.endswith(".affine.bias"):
            assert (bias == (1 if "torgb" in name else 0)).all(), name
