"""The check of a folder of clips against its manifest finds what differs, and only that."""

import json
from pathlib import Path

from tests.sources.check_clips import check_clips
from tests.videos import SIZE, numbered, render


def clips(folder: Path, **changes) -> Path:
    """A video with its manifest, in which some entries are changed."""
    frames = [numbered(t) for t in range(12)]
    render(folder / "a.mp4", frames, audio=True, options={"bf": "2", "qp": "4"})
    colours = {str(t): frames[t].mean((0, 1)).tolist() for t in (0, 5, 11)}
    entry = {"file": "a.mp4", "frames": 12, "height": SIZE[0], "width": SIZE[1], "mean_rgb": colours, **changes}
    (folder / "manifest.json").write_text(json.dumps([entry]))
    return folder


def test_clips_that_are_as_the_manifest_says_pass(tmp_path: Path) -> None:
    assert check_clips(clips(tmp_path)) == []


def test_another_length_or_size_is_found(tmp_path: Path) -> None:
    assert "(13, (48, 64))" in check_clips(clips(tmp_path, frames=13))[0]


def test_another_colour_is_found(tmp_path: Path) -> None:
    assert "mean RGB of frame 5" in check_clips(clips(tmp_path, mean_rgb={"5": [0, 0, 0]}))[0]
