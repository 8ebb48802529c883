"""Contact sheets: the clips as they were compared."""

import numpy as np
import pytest
from PIL import Image

from vidbench.sheets import COLUMNS, GAP, HEADER, SIDE, contact_sheet, scaled, strip

LEFT, TOP = 4 * GAP, 2 * HEADER


def clips(count, frames=16, size=(16, 24), seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, 3, frames, *size), np.uint8))


def sheet(tmp_path, sides):
    contact_sheet(tmp_path / "sheet.png", "fvd16", sides)
    with Image.open(tmp_path / "sheet.png") as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
        return np.asarray(picture)


def test_the_first_frame_of_the_first_clip_stands_at_the_top_left_upscaled(tmp_path):
    [clip] = clips(1)
    pixels = sheet(tmp_path, {"real": [clip]})
    shown = pixels[TOP : TOP + 48, LEFT : LEFT + 72]
    assert np.array_equal(shown[::3, ::3], clip[:, 0].transpose(1, 2, 0))
    assert np.array_equal(shown, shown[::3, ::3].repeat(3, 0).repeat(3, 1))


def test_the_last_frame_stands_at_the_right(tmp_path):
    [clip] = clips(1)
    pixels = sheet(tmp_path, {"real": [clip]})
    left = LEFT + (COLUMNS - 1) * (72 + GAP)
    assert np.array_equal(pixels[TOP : TOP + 48 : 3, left : left + 72 : 3], clip[:, -1].transpose(1, 2, 0))


def test_each_clip_has_a_row_and_each_side_a_column(tmp_path):
    sides = {"real": clips(3), "wheel": clips(2, seed=1)}
    pixels = sheet(tmp_path, sides)
    right = LEFT + COLUMNS * (72 + GAP) + 4 * GAP
    for left, side in ((LEFT, sides["real"]), (right, sides["wheel"])):
        for row, clip in enumerate(side):
            top = TOP + row * (48 + GAP)
            assert np.array_equal(pixels[top : top + 48 : 3, left : left + 72 : 3], clip[:, 0].transpose(1, 2, 0))


def test_title_and_names_stand_above(tmp_path):
    pixels = sheet(tmp_path, {"real": clips(1), "wheel": clips(1)})
    assert (pixels[:HEADER] < 128).any()
    assert (pixels[HEADER:TOP] < 160).any()


@pytest.mark.parametrize("frames", [1, 2, 7, 8, 9, 128])
def test_a_clip_of_any_length_fits(frames):
    [clip] = clips(1, frames, (64, 64))
    row = strip(clip)
    shown = min(frames, COLUMNS)
    assert row.shape == (64 + GAP, shown * (64 + GAP), 3)
    assert np.array_equal(row[:64, :64], clip[:, 0].transpose(1, 2, 0))
    assert np.array_equal(row[:64, -64 - GAP : -GAP], clip[:, -1].transpose(1, 2, 0))


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (32, 32), (63, 20), (64, 64), (100, 128), (256, 144), (1000, 20)])
def test_frames_are_shown_neither_tiny_nor_huge_and_keep_their_aspect(size):
    shown = scaled(np.zeros((*size, 3), np.uint8))
    assert SIDE <= max(shown.shape[:2]) <= 2 * SIDE
    assert shown.shape[0] / shown.shape[1] == pytest.approx(size[0] / size[1], rel=0.25)


def test_a_sheet_leaves_nothing_else_behind(tmp_path):
    sheet(tmp_path / "new", {"real": clips(1)})
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["sheet.png"]
