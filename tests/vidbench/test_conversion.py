"""`vidbench data convert`: the papers' preparation, pixel for pixel, that survives being killed."""

import io
import json
import subprocess
import sys
import time
from fractions import Fraction
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from click.testing import CliRunner
from filelock import FileLock
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import get_sampling

from tests.videos import SIZE, numbered, numbers, render, render_frames
from vidbench.cli import cli
from vidbench.conversion import Conversion
from vidbench.errors import BadVideoError, UserError
from vidbench.preparation import Settings
from vidbench.sources import Info, Video, open_source

forms = pytest.mark.parametrize("form", ["styleganv", "longvideogan"])


def noise(size, seed=0):
    """A picture, uint8 [H, W, 3], that shows every shift and every change of filter."""
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def convert(source, destination, size=(32, 32), form="styleganv", fps=None, workers=1, skip_bad=False, said=None):
    """Convert what lies at a path; gives the zip's path."""
    conversion = Conversion(open_source(source), destination, Settings(form, size, fps))
    conversion.run(workers, skip_bad, lambda items, label, total: items, ([] if said is None else said).append)
    return conversion.path


def sidecar(path):
    return json.loads(path.with_name(f"{path.name}.json").read_text())


def entries(path):
    with ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def jpeg(picture, **how):
    data = io.BytesIO()
    picture.save(data, "jpeg", **how)
    return data.getvalue()


def first_frame(path):
    return next(data for name, data in entries(path).items() if name.endswith("0.jpg"))


@pytest.fixture
def frames(tmp_path):
    """Three videos of 4, 5 and 6 frames, as folders of PNG files."""
    for i in range(3):
        render_frames(tmp_path / "set" / f"v{i}", 4 + i)
    return tmp_path / "set"


@pytest.fixture
def videos(tmp_path):
    """Two video files of 40 frames at 25 frames a second, one of them in a folder of its own."""
    render(tmp_path / "set" / "a.mp4")
    render(tmp_path / "set" / "deep" / "b.mkv")
    return tmp_path / "set"


# What comes out


def test_styleganv_gives_one_root_with_one_folder_a_video_and_entries_for_the_folders(frames, tmp_path):
    path = convert(frames, tmp_path / "out.zip")
    expected = ["out/"]
    for i in range(3):
        expected += [f"out/v{i}/", *(f"out/v{i}/{t:06d}.jpg" for t in range(4 + i))]
    assert list(entries(path)) == expected
    with ZipFile(path) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {ZIP_STORED}
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.getinfo("out/v0/").is_dir()


def test_longvideogan_gives_an_index_at_the_top_and_frames_below_the_path_of_each_clip(videos, tmp_path):
    content = entries(convert(videos, tmp_path / "out.zip", (36, 64), "longvideogan"))
    index = json.loads(content["frame_paths.json"])
    assert index == {clip: [f"frame_{t:06d}.jpg" for t in range(40)] for clip in ("a", "deep/b")}
    assert set(content) == {"frame_paths.json", *(f"{clip}/{name}" for clip in index for name in index[clip])}


@forms
def test_what_is_made_opens_with_the_same_videos_in_the_new_size(form, frames, tmp_path):
    source = open_source(convert(frames, tmp_path / "out.zip", (24, 24), form))
    assert [video.key for video in source.videos] == ["v0", "v1", "v2"]
    infos = [source.info(video) for video in source.videos]
    assert [(info.length, info.size, info.codec) for info in infos] == [(t, (24, 24), "jpeg") for t in (4, 5, 6)]


def test_a_folder_of_longvideogan_opens_at_every_level(videos, tmp_path):
    path = convert(videos, tmp_path / "horses", (36, 64), "longvideogan")
    assert path == tmp_path / "horses" / "0036x0064" / "partition_0000.zip"
    convert(videos, tmp_path / "horses", SIZE, "longvideogan")
    for place, size in ((tmp_path / "horses", (36, 64)), (path.parent, None), (path, None)):
        source = open_source(place, size=size)
        assert [video.key for video in source.videos] == ["a", "deep/b"]
        assert source.info(source.videos[0]).size == (36, 64)


def test_frames_keep_their_order(tmp_path):
    render_frames(tmp_path / "set" / "v", 12, pattern="{}.png")  # 10.png would come before 2.png as text
    source = open_source(convert(tmp_path / "set", tmp_path / "out.zip", SIZE, "longvideogan"))
    assert numbers(source.read(source.videos[0], 0, 12)) == list(range(12))


def test_an_array_is_converted_too(tmp_path):
    np.save(tmp_path / "set.npy", np.stack([np.stack([numbered(t) for t in range(100)])] * 2))
    source = open_source(convert(tmp_path / "set.npy", tmp_path / "out.zip", SIZE, "longvideogan"))
    assert [numbers(source.read(video, 0, 100)) for video in source.videos] == [list(range(100))] * 2


# Pixels


@pytest.mark.parametrize(
    ("stored", "side", "shrunk", "box"),
    [
        ((48, 64), 32, (42, 32), (5, 0, 37, 32)),
        ((64, 48), 32, (32, 42), (0, 5, 32, 37)),
        ((30, 61), 16, (32, 16), (8, 0, 24, 16)),
        ((30, 48), 16, (25, 16), (4, 0, 20, 16)),  # half of 9 is 4 ...
        ((16, 19), 16, (19, 16), (2, 0, 18, 16)),  # ... and half of 3 is 2
        ((20, 20), 32, (32, 32), (0, 0, 32, 32)),
        ((32, 32), 32, (32, 32), (0, 0, 32, 32)),
    ],
)
def test_styleganv_shrinks_the_smaller_edge_then_crops_and_encodes_at_75(stored, side, shrunk, box, tmp_path):
    render_frames(tmp_path / "set" / "v", [noise(stored)])
    picture = Image.fromarray(noise(stored)).resize(shrunk, Image.Resampling.LANCZOS).crop(box)
    written = first_frame(convert(tmp_path / "set", tmp_path / "out.zip", (side, side)))
    assert written == jpeg(picture, quality=75, subsampling="4:2:0")
    assert written == jpeg(picture, q=95)  # the authors' call


@pytest.mark.parametrize(
    ("stored", "size", "box"),
    [
        ((48, 64), (32, 32), (8, 0, 56, 48)),
        ((48, 64), (36, 64), (0, 6, 64, 42)),
        ((48, 85), (18, 32), (0, 0, 85, 48)),  # 47.8 rows
        ((50, 85), (18, 32), (0, 1, 85, 49)),  # rows 1.1 to 48.9
        ((51, 64), (24, 32), (0, 2, 64, 50)),  # rows 1.5 to 49.5, halves to the even row
        ((18, 32), (36, 64), (0, 0, 32, 18)),
        ((36, 64), (36, 64), (0, 0, 64, 36)),
    ],
)
def test_longvideogan_crops_to_the_aspect_then_shrinks(stored, size, box, tmp_path):
    render_frames(tmp_path / "set" / "v", [noise(stored)])
    picture = Image.fromarray(noise(stored)).crop(box).resize(size[::-1], Image.Resampling.LANCZOS)
    written = first_frame(convert(tmp_path / "set", tmp_path / "out.zip", size, "longvideogan"))
    assert written == jpeg(picture, quality=95, subsampling="4:2:0")
    assert written == jpeg(picture, quality=95)  # the authors' call


@pytest.mark.parametrize(
    ("form", "kind", "quality", "step"),
    [
        ("styleganv", "videos", 75, 8),
        ("styleganv", "frames", 75, 8),
        ("longvideogan", "videos", 100, 1),
        ("longvideogan", "frames", 95, 2),
    ],
)
def test_jpeg_settings_are_those_that_the_authors_tools_really_use(form, kind, quality, step, tmp_path, request):
    path = convert(request.getfixturevalue(kind), tmp_path / "out.zip", form=form)
    image = Image.open(io.BytesIO(first_frame(path)))
    other = Image.open(io.BytesIO(jpeg(Image.new("RGB", (32, 32)), quality=quality)))
    assert image.quantization == other.quantization
    assert image.quantization[0][0] == step  # of the mean brightness
    assert get_sampling(image) == 2  # 4:2:0
    assert sidecar(path)["jpeg"] == {"quality": quality, "subsampling": "4:2:0"}
    assert "really write" in sidecar(path)["remark"]


# Names


def test_paths_become_one_level_of_folders_without_collisions(tmp_path):
    for name in ("c#1", "c_1", "A__b", "a/b", "a/b/c"):
        render_frames(tmp_path / "set" / name, 1)
    path = convert(tmp_path / "set", tmp_path / "out.zip")
    folders = [name for name in entries(path) if name.endswith("/")]
    assert folders == ["out/", "out/A__b/", "out/a__b-2/", "out/a__b__c/", "out/c_1/", "out/c_1-2/"]
    renamed = {"a/b": "a__b-2", "a/b/c": "a__b__c", "c#1": "c_1", "c_1": "c_1-2"}
    assert sidecar(path)["renamed"] == renamed


def test_videos_that_differ_in_their_ending_alone_are_both_there(tmp_path):
    render(tmp_path / "set" / "a.mkv", 3)
    render(tmp_path / "set" / "a.mp4", 4)
    source = open_source(convert(tmp_path / "set", tmp_path / "out.zip", form="longvideogan"))
    assert {video.key: source.info(video).length for video in source.videos} == {"a": 3, "a-2": 4}


@forms
def test_frames_at_the_top_are_called_like_their_folder(form, tmp_path):
    source = open_source(convert(render_frames(tmp_path / "walk", 3), tmp_path / "out.zip", form=form))
    assert [video.key for video in source.videos] == ["walk"]


# Frame rates


def test_fps_takes_the_nearest_earlier_frames(videos, tmp_path):
    source = open_source(convert(videos, tmp_path / "out.zip", SIZE, "longvideogan", fps=10))
    for video in source.videos:
        frames = source.read(video, 0, source.info(video).length)
        assert numbers(frames) == [0, 2, 5, 7, 10, 12, 15, 17, 20, 22, 25, 27, 30, 32, 35, 37]


@given(st.integers(1, 400), st.fractions(1, 70, max_denominator=1001), st.fractions(1, 20, max_denominator=1001))
def test_frame_k_is_the_last_one_that_began_by_k_over_fps(length, fps, step):
    times = Settings("styleganv", (8, 8), float(fps)).times(
        Video("v", "v", None), Info(length, (8, 8), float(fps * step), "h264")
    )
    exact = [int(k * step) for k in range(length) if k * step + Fraction(1, 10**8) < length]
    assert times.tolist() == exact
    assert len(set(exact)) == len(exact)


def test_fps_of_the_source_takes_every_frame(videos, tmp_path):
    whole = convert(videos, tmp_path / "a" / "out.zip")
    same = convert(videos, tmp_path / "b" / "out.zip", fps=25)
    assert whole.read_bytes() == same.read_bytes()


def test_a_higher_frame_rate_is_refused_since_no_frame_is_doubled(videos, tmp_path):
    with pytest.raises(UserError, match=r"a\.mp4 has 25 frames a second, fewer than --fps 30"):
        convert(videos, tmp_path / "out.zip", fps=30)
    assert sorted(tmp_path.iterdir()) == [videos]


def test_a_frame_rate_of_frames_that_state_none_is_refused(frames, tmp_path):
    with pytest.raises(UserError, match="v0 states no frame rate"):
        convert(frames, tmp_path / "out.zip", fps=10)


# Stopped and continued


def test_a_killed_conversion_goes_on_where_it_was_and_gives_the_same_bytes(tmp_path):
    pictures = np.stack([np.stack([np.roll(noise(SIZE, i), t, 1) for t in range(25)]) for i in range(30)])
    np.save(tmp_path / "set.npy", pictures)
    uninterrupted = convert(tmp_path / "set.npy", tmp_path / "other" / "out.zip", (192, 192))
    command = [sys.executable, "-m", "vidbench", "data", "convert", "set.npy", "out.zip", "--size", "192"]
    process = subprocess.Popen([*command, "--workers", "2"], cwd=tmp_path, stderr=subprocess.PIPE)
    parts = tmp_path / "out.zip.parts"
    deadline = time.monotonic() + 60
    while len(list(parts.glob("*.zip"))) < 4:
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=20)  # until the workers have closed standard error, too
    assert not (tmp_path / "out.zip").exists()
    done, said = len(list(parts.glob("*.zip"))), []
    assert 4 <= done < 30

    path = convert(tmp_path / "set.npy", tmp_path / "out.zip", (192, 192), said=said)
    assert said == [f"{done} of 30 videos were converted before."]
    assert path.read_bytes() == uninterrupted.read_bytes()
    assert not parts.exists()


@pytest.fixture
def full_after_one(monkeypatch):
    """A disk that is full after the first video; gives what makes room."""
    writestr, room = ZipFile.writestr, [5]

    def write(self, name, data, *rest):
        room[0] -= 1
        if room[0] < 0:
            raise OSError(28, "No space left on device")
        writestr(self, name, data, *rest)

    monkeypatch.setattr(ZipFile, "writestr", write)
    return monkeypatch.undo


def test_a_full_disk_is_one_sentence_and_what_is_finished_is_kept(frames, tmp_path, full_after_one):
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        convert(frames, tmp_path / "out.zip")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.zip.parts", "set"]
    full_after_one()
    said = []
    path = convert(frames, tmp_path / "out.zip", said=said)
    assert said == ["1 of 3 videos were converted before."]
    assert path.read_bytes() == convert(frames, tmp_path / "other" / "out.zip").read_bytes()


@pytest.mark.parametrize("other", [{"size": (16, 16)}, {"form": "longvideogan"}])
def test_other_settings_do_not_take_what_was_begun(other, frames, tmp_path, full_after_one):
    with pytest.raises(UserError):
        convert(frames, tmp_path / "out.zip")
    full_after_one()
    said = []
    convert(frames, tmp_path / "out.zip", **other, said=said)
    assert said == []


def test_another_source_does_not_take_what_was_begun(frames, tmp_path, full_after_one):
    with pytest.raises(UserError):
        convert(frames, tmp_path / "out.zip")
    full_after_one()
    render_frames(frames / "v3", 1)
    said = []
    convert(frames, tmp_path / "out.zip", said=said)
    assert said == []


def test_a_part_that_was_damaged_on_disk_is_made_again(frames, tmp_path, full_after_one):
    with pytest.raises(UserError):
        convert(frames, tmp_path / "out.zip")
    full_after_one()
    part = next((tmp_path / "out.zip.parts").glob("*.zip"))
    part.write_bytes(part.read_bytes().replace(b"\xff\xd8\xff", b"\0\0\0", 1))
    with pytest.raises(UserError, match=r"v0 was damaged on disk after it was converted\. Run it again"):
        convert(frames, tmp_path / "out.zip")
    assert len(open_source(convert(frames, tmp_path / "out.zip"))) == 3


def test_neither_workers_nor_time_change_a_byte(videos, tmp_path):
    one = convert(videos, tmp_path / "1" / "out.zip")
    two = convert(videos, tmp_path / "2" / "out.zip", workers=2)
    assert one.read_bytes() == two.read_bytes()
    assert sidecar(one) == sidecar(two)
    assert sorted(path.name for path in two.parent.iterdir()) == ["out.zip", "out.zip.json"]


def test_two_processes_do_not_make_the_same_zip(frames, tmp_path):
    (tmp_path / "out.zip.parts").mkdir()
    with FileLock(tmp_path / "out.zip.parts" / "lock"), pytest.raises(UserError, match="made by another process"):
        convert(frames, tmp_path / "out.zip")


# Unreadable videos


@pytest.fixture
def torn(frames):
    """The same videos, of which one cannot be opened, and another not be read to its end."""
    (frames / "v0" / "000000.png").write_bytes(b"no picture")
    (frames / "v2" / "000005.png").write_bytes(b"no picture")
    return frames


def test_an_unreadable_video_stops_everything_by_name(torn, tmp_path):
    with pytest.raises(BadVideoError, match="v0 cannot be read"):
        convert(torn, tmp_path / "out.zip")
    (torn / "v0" / "000000.png").unlink()
    with pytest.raises(BadVideoError, match="v2 cannot be read"):
        convert(torn, tmp_path / "out.zip")


def test_unreadable_videos_are_left_out_and_counted_where_that_is_asked_for(torn, tmp_path):
    path = convert(torn, tmp_path / "out.zip", skip_bad=True, workers=2)
    assert [video.key for video in open_source(path).videos] == ["v1"]
    record = sidecar(path)
    assert record["counts"] == {"videos": 1, "frames": 5, "bytes": path.stat().st_size, "skipped": 2}
    assert list(record["skipped"]) == ["v0", "v2"]
    assert "frame 000005.png" in record["skipped"]["v2"]


def test_a_source_of_unreadable_videos_alone_gives_nothing(tmp_path):
    render_frames(tmp_path / "set" / "v", 1)
    (tmp_path / "set" / "v" / "000000.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="Not one of the 1 videos in set can be read"):
        convert(tmp_path / "set", tmp_path / "out.zip", skip_bad=True)
    assert not (tmp_path / "out.zip").exists()


# The command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs `vidbench data convert` beside the videos; `code` is the exit code that must come of it."""
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(cli, ["data", "convert", "--workers", "1", *arguments])
        assert result.exit_code == code, result.output
        return result.output.splitlines()

    return invoke


def test_the_command_says_what_it_will_do_and_what_is_next(frames, run):
    lines = run("set", "out.zip", "--size", "32")
    assert lines == [
        "set: 3 videos (the first: 4 frames, 48x64); as styleganv, 32x32, all frames: out.zip",
        "JPEG quality 75, 4:2:0, what StyleGAN-V's tool really writes: it asks for 95 under a keyword that Pillow "
        "ignores",
        "expected: roughly 12 frames, 0.0 MB (twice that while it is made)",
        "3 videos, 15 frames, 0.0 MB",
        "Look at it: vidbench data inspect out.zip",
    ]


def test_a_dry_run_writes_nothing(frames, run, tmp_path):
    assert "expected: roughly" in run("set", "out.zip", "--size", "32", "--dry-run")[-1]
    assert list(tmp_path.iterdir()) == [frames]


def test_the_same_again_is_done_already(frames, run):
    first = run("set", "out.zip", "--size", "32")
    assert run("set", "out.zip", "--size", "32") == ["out.zip is done already.", *first[-2:]]


def test_a_zip_that_was_made_otherwise_is_never_replaced(frames, run, tmp_path):
    run("set", "out.zip", "--size", "32")
    for arguments in (("--size", "16"), ("--size", "32", "--as", "longvideogan")):
        assert "out.zip exists already" in run("set", "out.zip", *arguments, code=2)[0]
    (tmp_path / "mine.zip").write_bytes(b"something else")
    assert "mine.zip exists already" in run("set", "mine.zip", "--size", "32", "--dry-run", code=2)[0]
    assert (tmp_path / "mine.zip").read_bytes() == b"something else"


def test_styleganv_has_squares_in_a_zip_only(frames, run):
    assert "36x64 is not" in run("set", "out.zip", "--size", "36x64", code=2)[0]
    assert "Call it out.zip" in run("set", "out", "--size", "32", code=2)[0]


def test_procedural_sets_are_rendered_at_the_size_asked_for(run):
    lines = run("toy-ride", "out.zip", "--size", "24", "--fps", "12.5", "--dry-run")
    assert "1024 frames, 24x24); as styleganv, 24x24, 12.5 frames a second" in lines[0]


def test_one_resolution_of_several_is_chosen_by_its_folder(videos, run):
    for size in ("24", "36x64"):
        run("set", "horses", "--size", size, "--as", "longvideogan")
    assert "choose one of them by giving its folder" in run("horses", "out.zip", "--size", "16", code=2)[0]
    run("horses/0036x0064", "out.zip", "--size", "16")


def test_the_json_file_says_how_the_zip_was_made(videos, run, tmp_path):
    run("set", "out.zip", "--size", "36x64", "--as", "longvideogan", "--fps", "12.5")
    record = sidecar(tmp_path / "out.zip")
    assert record["settings"] == {"as": "longvideogan", "size": [36, 64], "fps": 12.5}
    assert record["source"] == {"name": "set", "split": None}
    assert record["fingerprint"] == open_source(videos).fingerprint
    assert record["counts"]["videos"] == 2
    assert record["counts"]["frames"] == 40
    assert set(record["libraries"]) == {"vidbench", "pillow", "libjpeg", "av", "libavcodec"}
    assert all(record["libraries"].values())
