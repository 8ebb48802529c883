"""Every layout that the authors' tools read or write opens in place; whatever is unclear is refused with the mend."""

import json
from pathlib import Path
from zipfile import ZipFile

import h5py
import numpy as np
import pytest
from PIL import Image

from tests.videos import SIZE, numbered, numbers, render, render_frames, zipped
from vidbench.errors import BadVideoError, UserError
from vidbench.sources import Source, open_source


def keys(source: Source) -> list[str]:
    return [video.key for video in source.videos]


def frames_of(source: Source) -> dict[str, list[int]]:
    """The numbers that the frames of each video show."""
    return {video.key: numbers(source.read(video, 0, source.info(video).length)) for video in source.videos}


def refusal(path: Path, **how) -> str:
    with pytest.raises(UserError) as error:
        open_source(path, **how)
    assert str(path) in str(error.value)
    return str(error.value)


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """Two videos as folders of frames."""
    render_frames(tmp_path / "set" / "a", 4)
    render_frames(tmp_path / "set" / "b", [numbered(t) for t in (7, 8)])
    return tmp_path / "set"


FRAMES = {"a": [0, 1, 2, 3], "b": [7, 8]}


def test_stylegan_v_folder_of_frame_folders(folders: Path) -> None:
    source = open_source(folders)
    assert frames_of(source) == FRAMES
    assert source.notes == []
    assert source.info(source.videos[0]).codec == "png"


@pytest.mark.parametrize("root", ["", "set/"])
@pytest.mark.parametrize("entries_for_folders", [False, True])
def test_stylegan_v_zip_with_or_without_root_and_folder_entries(
    folders: Path, root: str, entries_for_folders: bool
) -> None:
    path = zipped(folders, folders.parent / "set.zip", root=root, entries_for_folders=entries_for_folders)
    assert frames_of(open_source(path)) == FRAMES


def test_the_same_videos_as_files_folders_and_zip_have_the_same_keys_and_frames(folders: Path, tmp_path: Path) -> None:
    for key, shown in FRAMES.items():
        render(tmp_path / "files" / f"{key}.mkv", [numbered(t) for t in shown], "ffv1", pix_fmt="bgr0")
    sources = [open_source(tmp_path / "files"), open_source(folders), open_source(zipped(folders, tmp_path / "x.zip"))]
    assert keys(sources[0]) == keys(sources[1]) == keys(sources[2])
    for video in range(2):
        clips = [source.read(source.videos[video], 0, 2) for source in sources]
        assert np.array_equal(clips[0], clips[1])
        assert np.array_equal(clips[1], clips[2])


def test_labels_change_the_fingerprint_and_are_no_video(folders: Path) -> None:
    before = open_source(folders)
    (folders / "dataset.json").write_text('{"labels": [["a/000000.png", 1], ["b/000000.png", 0]]}')
    after = open_source(folders)
    assert keys(after) == keys(before)
    assert after.fingerprint != before.fingerprint


@pytest.mark.parametrize("names", ["{}.png", "img_{:04d}.png", "{:06d}.JPG", "frame{:05d}.png"])
def test_frames_at_any_depth_in_natural_order(tmp_path: Path, names: str) -> None:
    render_frames(tmp_path / "set" / "x" / "y", 12, names)
    render_frames(tmp_path / "set" / "z", 3, names)
    source = open_source(tmp_path / "set")
    assert frames_of(source) == {"x/y": list(range(12)), "z": [0, 1, 2]}
    assert len(source.notes) == (names == "{}.png")


def test_a_folder_of_frames_is_one_video(tmp_path: Path) -> None:
    assert frames_of(open_source(render_frames(tmp_path / "clip", 3))) == {".": [0, 1, 2]}


def test_sky_timelapse_as_downloaded(tmp_path: Path) -> None:
    for split in ("train", "test"):
        render_frames(tmp_path / f"sky_{split}" / "id" / "id_1", 3, "id_frames_{:08d}.jpg")
    source = open_source(tmp_path)
    assert (source.split, source.splits, keys(source)) == ("train", ("test", "train"), ["id/id_1"])
    assert open_source(tmp_path, split="test").split == "test"
    assert "has no split 'val'; choose one of test, train" in refusal(tmp_path, split="val")


def test_a_split_opened_by_its_folder_is_the_same_source(tmp_path: Path) -> None:
    for split in ("train", "val"):
        render_frames(tmp_path / split / "a", 3)
    whole, part = open_source(tmp_path), open_source(tmp_path / "train")
    assert (whole.fingerprint, keys(whole)) == (part.fingerprint, keys(part))


def test_no_train_split_asks_which_one(tmp_path: Path) -> None:
    for split in ("test", "val"):
        render_frames(tmp_path / split / "a", 3)
    assert "choose one of test, val with --split" in refusal(tmp_path)


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    for name in ("a_train", "b_train"):
        render_frames(tmp_path / name / "a", 3)
    assert "a_train and b_train" in refusal(tmp_path)


def test_a_split_that_is_not_there_is_refused(folders: Path, tmp_path: Path) -> None:
    assert "--split" in refusal(folders, split="test")
    assert "--split" in refusal(zipped(folders, tmp_path / "x.zip"), split="test")


def test_video_files_at_any_depth(tmp_path: Path) -> None:
    for name in ("Class/v_2.avi", "Class/v_10.avi", "Other/v_1.avi"):
        render(tmp_path / name, 3, "mpeg4")
    (tmp_path / "metadata_16.pkl").write_bytes(b"never loaded")
    source = open_source(tmp_path)
    assert keys(source) == ["Class/v_2", "Class/v_10", "Other/v_1"]
    assert "Class/v_2 comes before Class/v_10" in source.notes[0]


def test_a_single_video_file(tmp_path: Path) -> None:
    assert frames_of(open_source(render(tmp_path / "one.mp4", 3))) == {"one": [0, 1, 2]}


def test_of_long_video_gan_samples_only_the_final_videos_are_taken(tmp_path: Path) -> None:
    for what in ("sres.mp4", "lres.mp4"):
        render(tmp_path / f"seed=1_len=4_{what}", 4)
    Image.fromarray(numbered(0)).save(tmp_path / "seed=1_len=4_sres_frame=0000.png")
    source = open_source(tmp_path)
    assert keys(source) == ["seed=1_len=4_sres"]
    assert "2 low-resolution videos and single frames" in source.notes[0]
    assert keys(open_source(tmp_path, kind="images")) == ["."]
    (tmp_path / "seed=1_len=4_sres.mp4").unlink()
    assert keys(open_source(tmp_path)) == ["seed=1_len=4_lres"]


def test_images_beside_videos_are_refused_unless_one_kind_is_chosen(tmp_path: Path) -> None:
    render(tmp_path / "a.mp4", 3)
    render_frames(tmp_path / "b", 2)
    message = refusal(tmp_path)
    assert all(part in message for part in ("a.mp4", "b/000000.png", "--kind videos", "--kind images"))
    assert keys(open_source(tmp_path, kind="videos")) == ["a"]
    assert keys(open_source(tmp_path, kind="images")) == ["b"]


def shard(path: Path, clips: dict[str, list[int]], order: dict[str, list[str]] | None = None) -> Path:
    """A LongVideoGAN shard of clips whose frames show the given numbers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    index = order or {clip: [f"frame_{t:06d}.png" for t in range(len(shown))] for clip, shown in clips.items()}
    with ZipFile(path, "w") as file:
        for clip, shown in clips.items():
            for t, value in enumerate(shown):
                with file.open(f"{clip}/frame_{t:06d}.png".removeprefix("./"), "w") as entry:
                    Image.fromarray(numbered(value)).save(entry, "png")
        file.writestr("frame_paths.json", json.dumps(index))
    return path


def test_long_video_gan_clips_are_ordered_by_shard_and_path(tmp_path: Path) -> None:
    shard(tmp_path / "partition_0001.zip", {"b/1_05": [1], "b/0_31": [2]})
    shard(tmp_path / "partition_0000.zip", {"c": [3], ".": [4]})
    assert frames_of(open_source(tmp_path)) == {".": [4], "c": [3], "b/0_31": [2], "b/1_05": [1]}


def test_long_video_gan_frames_play_in_the_order_of_the_index(tmp_path: Path) -> None:
    order = {"a": ["frame_000002.png", "frame_000000.png", "frame_000001.png"]}
    path = shard(tmp_path / "partition_0000.zip", {"a": [0, 1, 2]}, order)
    assert frames_of(open_source(path)) == {"a": [2, 0, 1]}


def test_of_a_clip_in_two_shards_the_last_one_counts(tmp_path: Path) -> None:
    shard(tmp_path / "partition_0000.zip", {"a": [1]})
    shard(tmp_path / "partition_0001.zip", {"a": [2]})
    assert frames_of(open_source(tmp_path)) == {"a": [2]}


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_duplicate_entries_the_last_one_counts(tmp_path: Path) -> None:
    path = shard(tmp_path / "partition_0000.zip", {"a": [1]})
    with ZipFile(path, "a") as file, file.open("a/frame_000000.png", "w") as entry:
        Image.fromarray(numbered(9)).save(entry, "png")
    assert frames_of(open_source(path)) == {"a": [9]}


def test_long_video_gan_resolutions_are_chosen_by_size(tmp_path: Path) -> None:
    shard(tmp_path / "0018x0032" / "partition_0000.zip", {"a": [1]})
    assert frames_of(open_source(tmp_path)) == {"a": [1]}
    shard(tmp_path / "0036x0064" / "partition_0000.zip", {"a": [2]})
    assert frames_of(open_source(tmp_path, size=(36, 64))) == {"a": [2]}
    assert frames_of(open_source(tmp_path / "0018x0032")) == {"a": [1]}
    assert "18x32, 36x64" in refusal(tmp_path)
    assert "--size HxW" in refusal(tmp_path, size=(8, 8))


def test_frames_that_the_index_names_but_the_zip_lacks_make_the_clip_bad(tmp_path: Path) -> None:
    order = {"a": ["frame_000000.png", "lost.png"], "b": ["frame_000000.png"]}
    source = open_source(shard(tmp_path / "partition_0000.zip", {"a": [1], "b": [2]}, order))
    assert source.index() == {"partition_0000.zip/a": "1 of its frames are not in partition_0000.zip, first lost.png"}
    assert numbers(source.read(source.videos[1], 0, 1)) == [2]


def test_the_listing_that_long_video_gans_tool_leaves_is_no_shard_index(folders: Path, tmp_path: Path) -> None:
    (folders / "frame_paths.json").write_text('[["a", ["/elsewhere/a/000000.png"]]]')
    assert keys(open_source(folders)) == ["a", "b"]
    assert keys(open_source(zipped(folders, tmp_path / "x.zip"))) == ["a", "b"]


def test_a_zip_of_videos_asks_to_be_unzipped(tmp_path: Path) -> None:
    render(tmp_path / "set" / "a.mp4", 2)
    assert "unzip it" in refusal(zipped(tmp_path / "set", tmp_path / "set.zip"))


def test_a_corrupt_zip_is_refused_in_one_sentence(folders: Path, tmp_path: Path) -> None:
    path = zipped(folders, tmp_path / "x.zip")
    path.write_bytes(path.read_bytes()[:-30])
    assert refusal(path) == f"{path} is not a readable zip (File is not a zip file); copy or make it again."


def test_a_damaged_entry_makes_its_video_bad(folders: Path, tmp_path: Path) -> None:
    path = zipped(folders, tmp_path / "x.zip")
    content = bytearray(path.read_bytes())
    with ZipFile(path) as file:
        content[file.getinfo("a/000001.png").header_offset + 60] ^= 255
    path.write_bytes(content)
    source = open_source(path)
    assert numbers(source.read(source.videos[0], 0, 1)) == [0]
    with pytest.raises(BadVideoError, match=r"a cannot be read \(frame 000001.png: Bad CRC-32"):
        source.read(source.videos[0], 0, 3)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-40]), "truncated"),
        (lambda path: path.write_text("not an image"), "it is not an image"),
        (lambda path: path.unlink(), "No such file"),
        (lambda path: Image.fromarray(numbered(1, (8, 8))).save(path), "has 8x8 pixels, the first one 48x64"),
    ],
)
def test_a_frame_that_cannot_be_read_fails_its_video_by_name(folders: Path, damage, reason: str) -> None:
    source = open_source(folders)
    source.index()
    damage(folders / "a" / "000002.png")
    with pytest.raises(BadVideoError, match=rf"a cannot be read \(frame 000002.png.*{reason}"):
        source.read(source.videos[0], 0, 4)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "I;16"])
def test_frames_of_any_kind_are_brought_to_rgb(tmp_path: Path, mode: str) -> None:
    grey = np.full(SIZE, 100, np.uint8)
    image = Image.fromarray(grey.astype(np.uint16) * 257) if mode == "I;16" else Image.fromarray(grey).convert(mode)
    (tmp_path / "a").mkdir()
    image.save(tmp_path / "a" / ("0.tif" if mode in ("CMYK", "I;16") else "0.png"))
    source = open_source(tmp_path)
    assert np.all(np.abs(source.read(source.videos[0], 0, 1).astype(int) - 100) <= 1)


def test_a_folder_without_videos_says_what_it_holds(tmp_path: Path) -> None:
    assert "no files at all" in refusal(tmp_path)
    (tmp_path / "a.npy").touch()
    assert "1 with .npy" in refusal(tmp_path)


def test_a_kind_matters_only_where_both_are(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").touch()
    assert [video.key for video in open_source(tmp_path, kind="images").videos] == ["b"]


def test_what_is_not_there_or_no_source_is_refused(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "nowhere")
    (tmp_path / "a.txt").touch()
    assert "no folder, zip, video or array file" in refusal(tmp_path / "a.txt")


VIDEOS = np.stack([np.stack([numbered(10 * n + t) for t in range(5)]) for n in range(3)])  # [N, T, H, W, 3]


def test_arrays_of_several_videos_or_one(tmp_path: Path) -> None:
    np.save(tmp_path / "many.npy", VIDEOS)
    np.save(tmp_path / "one.npy", VIDEOS[1])
    np.savez(tmp_path / "many.npz", samples=VIDEOS)
    expected = {f"{n:06d}": [10 * n + t for t in range(5)] for n in range(3)}
    assert frames_of(open_source(tmp_path / "many.npy")) == expected
    assert frames_of(open_source(tmp_path / "many.npz")) == expected
    assert frames_of(open_source(tmp_path / "one.npy")) == {"000000": expected["000001"]}


def test_floats_need_their_range(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VIDEOS.astype(np.float32) / 127.5 - 1)
    message = refusal(tmp_path / "x.npy")
    assert "float32 values from about -0.6" in message
    assert "--range -1,1" in message
    source = open_source(tmp_path / "x.npy", value_range=(-1, 1))
    assert np.array_equal(source.read(source.videos[2], 0, 5), VIDEOS[2].transpose(3, 0, 1, 2))


def test_values_that_are_no_numbers_make_a_video_bad(tmp_path: Path) -> None:
    floats = VIDEOS.astype(np.float32)
    floats[1, 2] = np.nan
    np.save(tmp_path / "x.npy", floats)
    source = open_source(tmp_path / "x.npy", value_range=(0, 255))
    assert numbers(source.read(source.videos[1], 0, 2)) == [10, 11]
    with pytest.raises(BadVideoError, match="not finite"):
        source.read(source.videos[1], 0, 5)


def test_other_axes_are_refused_with_the_shape(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", VIDEOS.transpose(0, 4, 1, 2, 3))
    assert "[3, 3, 5, 48, 64]" in refusal(tmp_path / "x.npy")


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.array([{}]), allow_pickle=True)
    assert "not a readable array file" in refusal(tmp_path / "x.npy")


def test_of_several_arrays_one_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", real=VIDEOS, fake=VIDEOS[:1])
    assert "--key" in refusal(tmp_path / "x.npz")
    assert "'other'" in refusal(tmp_path / "x.npz", key="other")
    assert len(open_source(tmp_path / "x.npz", key="fake").videos) == 1


def test_array_flags_are_refused_for_other_sources(folders: Path) -> None:
    assert "--key and --range" in refusal(folders, key="a")


def test_hdf5_of_tats_and_videogpt(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for split in ("train", "test"):
            file[f"{split}_data"] = VIDEOS.reshape(-1, *VIDEOS.shape[2:])
        file["train_idx"] = [0, 5, 10, 15]  # the last entry is the end
        file["test_idx"] = [0, 2]
    source = open_source(tmp_path / "x.h5")
    assert (source.split, source.splits) == ("train", ("test", "train"))
    assert frames_of(source) == {f"{n:06d}": [10 * n + t for t in range(5)] for n in range(3)}
    assert frames_of(open_source(tmp_path / "x.h5", split="test"))["000000"] == [0, 1]


def test_hdf5_with_one_data_set(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["videos"] = VIDEOS
        file["names"] = np.arange(3)
    source = open_source(tmp_path / "x.h5")
    assert np.array_equal(source.read(source.videos[1], 0, 5, 2), VIDEOS[1, ::2].transpose(3, 0, 1, 2))


def test_hdf5_without_h5py_names_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    (tmp_path / "x.h5").touch()
    assert "pip install 'vidbench[h5]'" in refusal(tmp_path / "x.h5")
