"""Layouts of videos on disk: each is a function that lists; `open_source` finds out which one it is."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from vidbench.errors import UserError
from vidbench.sources import fingerprint, zips
from vidbench.sources.arrays import ARRAYS, open_arrays
from vidbench.sources.decode import VideoFile
from vidbench.sources.frames import FolderFrames
from vidbench.sources.index import Index
from vidbench.sources.names import IMAGES, VIDEOS, ending, natural_key, order_notes, skipped, walk
from vidbench.sources.source import Source
from vidbench.sources.video import Video

Kind = Literal["videos", "images"]
# What LongVideoGAN's sampler writes: the videos themselves, their low-resolution versions, single frames.
FINAL = re.compile(r"seed=\d+_len=\d+_sres\.mp4$")
PREVIEW = re.compile(r"seed=\d+_len=\d+_lres\.mp4$")
PREVIEW_FRAME = re.compile(r"seed=\d+_[^/]*frame=\d+\.png$")


def open_source(
    path: str | Path,
    *,
    split: str | None = None,
    size: tuple[int, int] | None = None,
    key: str | None = None,
    value_range: tuple[float, float] | None = None,
    kind: Kind | None = None,
) -> Source:
    """Open whatever videos are at a path, in place.

    Args:
        path: A folder of video files or of folders of frames (at any depth), a zip of folders of frames, a folder of
            LongVideoGAN's zips, a video file, or a .npy, .npz or .h5 file.
        split: Which split, where there are splits: "train" unless told otherwise.
        size: Which resolution (H, W), where LongVideoGAN's zips are there in several.
        key: Which array of a file that holds several.
        value_range: Which values of an array are black and white.
        kind: Whether "videos" or "images" are meant, where both are there.

    Raises:
        UserError: There is nothing like that, or it is not clear which videos are meant.
    """
    path = Path(os.path.abspath(path))
    try:
        source = _open(path, split, size, key, value_range, kind)
    except OSError as error:
        at = f" (at {error.filename})" if error.filename and str(error.filename) != str(path) else ""
        raise UserError(f"{path} cannot be read: {error.strerror or error}{at}. Check path and permissions.") from error
    source.name = source.name.encode("utf-8", "replace").decode()  # names of files need not be text; records are
    return source


def _open(
    path: Path,
    split: str | None,
    size: tuple[int, int] | None,
    key: str | None,
    value_range: tuple[float, float] | None,
    kind: Kind | None,
) -> Source:
    if path.is_symlink() and not path.exists():
        raise UserError(f"{path} is a link to nowhere, {os.readlink(path)!r}. Mend it, or give another path.")
    if not path.exists():
        raise UserError(f"{path} does not exist.")
    if ending(path.name) in ARRAYS and path.is_file():
        return open_arrays(path, split=split, key=key, value_range=value_range)
    if key or value_range:
        raise UserError(f"{path} is not a file of arrays, so --key and --range mean nothing for it; leave them away.")
    if path.is_dir():
        return _open_folder(path, split, size, kind)
    if split:
        raise UserError(f"{path} has no splits; leave --split {split} away.")
    if ending(path.name) == ".zip":
        return zips.open_zip(path)
    if ending(path.name) in VIDEOS:
        content = fingerprint.of_files(path.parent, [path.name], None)
        return Source(path.name, list_videos(path.parent, [path.name]), content, index=Index(path))
    raise UserError(f"{path} is no folder, zip, video or array file, so no videos can be read from it.")


def _open_folder(root: Path, split: str | None, size: tuple[int, int] | None, kind: Kind | None) -> Source:
    splits = _splits(root)
    if split and split not in splits:
        mend = f"choose one of {', '.join(splits)}" if splits else "leave --split away"
        raise UserError(f"{root} has no split {split!r}; {mend}.")
    if split or len(splits) > 1:
        split = split or "train"
        if split not in splits:
            raise UserError(f"{root} has no train split; choose one of {', '.join(splits)} with --split.")
        source = _open_folder(splits[split], None, size, kind)
        source.name, source.split, source.splits = root.name, split, tuple(splits)
        return source
    shards = [zips.read_archive(path) for path in zips.list_zips(_at_resolution(root, size))]
    if shards and all(shard.clips is not None for shard in shards):
        return zips.open_shards(root.name, shards)
    return _open_files(root, kind)


def _splits(root: Path) -> dict[str, Path]:
    """Folders named train, test or val, or ending in _train, _test or _val, by split."""
    splits: dict[str, Path] = {}
    for folder in _folders(root):
        split = re.fullmatch(r"(?:.*_)?(train|test|val)", folder.name)
        if split and split[1] in splits:
            both = f"{splits[split[1]].name} and {folder.name}"
            raise UserError(f"{root} has two {split[1]} splits, {both}; open one of them instead.")
        if split:
            splits[split[1]] = folder
    return splits


def _at_resolution(root: Path, size: tuple[int, int] | None) -> Path:
    """The folder of one resolution, such as 0144x0256, where the root holds such folders with zips."""
    folders = [folder for folder in _folders(root) if zips.RESOLUTION.fullmatch(folder.name) and zips.list_zips(folder)]
    if not folders:
        return root
    wanted = [folder for folder in folders if size is None or folder.name == f"{size[0]:04d}x{size[1]:04d}"]
    if len(wanted) == 1:
        return wanted[0]
    sizes = ", ".join("x".join(str(int(side)) for side in folder.name.split("x")) for folder in folders)
    asked = f"not {size[0]}x{size[1]}" if size else "more than one resolution"
    raise UserError(f"{root} holds {sizes} (height x width), {asked}; choose one of them with --size HxW.")


def _folders(root: Path) -> list[Path]:
    folders = [path for path in root.iterdir() if path.is_dir() and not skipped(path.name)]
    return sorted(folders, key=lambda folder: natural_key(folder.name))


def _open_files(root: Path, kind: Kind | None) -> Source:
    """Frame folders or video files, at any depth."""
    files = [name if folder == "." else f"{folder}/{name}" for folder, names in walk(root) for name in names]
    videos = sorted((name for name in files if ending(name) in VIDEOS), key=natural_key)
    images = sorted((name for name in files if ending(name) in IMAGES), key=natural_key)
    if kind and videos and images:
        videos, images = (videos, []) if kind == "videos" else ([], images)
    videos, images, notes = _without_previews(videos, images)
    if videos and images:
        raise UserError(
            f"{root} holds both videos ({videos[0]}) and images ({images[0]}); "
            "choose with --kind videos or --kind images."
        )
    if not videos and not images:
        endings = Counter(ending(name) or "no ending" for name in files).most_common(4)
        found = ", ".join(f"{count} with {name}" for name, count in endings) or "no files at all"
        raise UserError(f"{root} holds no videos and no images (found: {found}).")
    listed = list_videos(root, videos) if videos else list_frame_folders(root, images)
    frames = [video.medium.names for video in listed if isinstance(video.medium, FolderFrames)]
    labels = root / "dataset.json"
    return Source(
        root.name,
        listed,
        fingerprint.of_files(root, videos or images, labels if labels.is_file() else None),
        notes=[*notes, *order_notes([[video.key for video in listed], *frames])],
        index=Index(root) if videos else None,
    )


def list_videos(root: Path, names: Sequence[str]) -> list[Video]:
    """One video a file."""
    return [Video(name, os.path.splitext(name)[0], VideoFile(root / name)) for name in names]


def list_frame_folders(root: Path, names: Sequence[str]) -> list[Video]:
    """One video a folder that directly holds images; `names` are all images, in order."""
    folders: dict[str, list[str]] = {}
    for name in names:
        folder, _, frame = name.rpartition("/")
        folders.setdefault(folder or ".", []).append(frame)
    return [
        Video(folder, folder, FolderFrames(str(root / folder), tuple(folders[folder])))
        for folder in sorted(folders, key=natural_key)
    ]


def _without_previews(videos: list[str], images: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Of what LongVideoGAN's sampler writes, only its final videos; and a note about what was left out."""
    names = [*videos, *images]
    unwanted = {name for name in names if PREVIEW_FRAME.search(name) and videos}
    if any(FINAL.search(name) for name in videos):
        unwanted |= {name for name in videos if PREVIEW.search(name)}
    notes = [f"{len(unwanted)} low-resolution videos and single frames of LongVideoGAN's sampler are left out."]
    return (
        [name for name in videos if name not in unwanted],
        [name for name in images if name not in unwanted],
        notes if unwanted else [],
    )
