"""The backbone for long clips: the features of `toy3d` at strides 1, 4 and 16."""

import pytest
import torch

from vidbench.metrics.toy3d import Toy3D, features
from vidbench.metrics.toy3d_long import Toy3DLong


@pytest.fixture(scope="module")
def backbone() -> Toy3DLong:
    return Toy3DLong()


def noise(clips: int, frames: int) -> torch.Tensor:
    return torch.rand(clips, 3, frames, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1


def test_it_is_toy3d_of_the_strided_clips_one_after_another(backbone):
    video = noise(2, 144)  # 9 frames at stride 16
    expected = torch.cat([Toy3D()(video[:, :, ::stride]) for stride in (1, 4, 16)], dim=1)
    found = backbone(video)
    assert (found.dtype, found.shape) == (torch.float32, (2, Toy3DLong.dim))
    torch.testing.assert_close(found, expected)


def test_128_frames_are_enough(backbone):
    """At stride 16 they are 8 frames, too few for `toy3d` itself, yet with two positions of its filters."""
    video, one = noise(3, 128), Toy3D()
    slowest = (features(video[:, :, ::16], one.filters) - one.mean) / one.std
    found = backbone(video)
    assert found.isfinite().all()
    torch.testing.assert_close(found[:, 174:], slowest, atol=1e-4, rtol=1e-4)


def test_frames_between_the_strides_leave_the_slower_features_alone(backbone):
    video = noise(1, 130)
    before, skipped = backbone(video), torch.arange(130) % 4 != 0
    video[:, :, skipped] *= -0.5
    after = backbone(video)
    assert (after[:, :87] != before[:, :87]).any()
    assert torch.equal(after[:, 87:], before[:, 87:])
    video[:, :, 4] *= -0.5
    assert (backbone(video)[:, 87:174] != before[:, 87:174]).any()
    assert torch.equal(backbone(video)[:, 174:], before[:, 174:])


def test_a_clip_has_the_same_features_alone_and_in_a_batch(backbone):
    video = noise(5, 128)
    alone = torch.cat([backbone(clip[None]) for clip in video])
    torch.testing.assert_close(backbone(video), alone, atol=1e-4, rtol=0)


def test_bytes_of_any_size_are_taken(backbone):
    video = torch.randint(0, 256, (1, 3, 128, 24, 40), dtype=torch.uint8)
    torch.testing.assert_close(backbone(video), backbone(video.float() / 127.5 - 1), atol=1e-4, rtol=1e-4)


def test_shorter_clips_are_refused(backbone):
    with pytest.raises(ValueError, match="T >= 128"):
        backbone(noise(1, 127))


def test_its_tensors_are_those_of_toy3d(backbone):
    assert backbone.tensor_hash() == Toy3D().tensor_hash()
    assert backbone.name != Toy3D.name
