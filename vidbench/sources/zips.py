"""Layouts of frames in zips: StyleGAN-V's folders of frames, and LongVideoGAN's shards with their index."""

import json
import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from zipfile import ZipFile, ZipInfo

from vidbench.errors import UserError
from vidbench.sources import fingerprint
from vidbench.sources.frames import ZipFrames
from vidbench.sources.names import IMAGES, VIDEOS, ending, natural_key, order_notes, skipped
from vidbench.sources.source import Source
from vidbench.sources.video import Video

SHARD_INDEX = "frame_paths.json"
LABELS = "dataset.json"
RESOLUTION = re.compile(r"\d{4}x\d{4}")  # folders of one resolution, height first
LARGEST = 2**28  # bytes of either

Frames = dict[str, tuple[str, ...]]


@dataclass(frozen=True)
class Archive:
    """What a zip's directory says: its files (of duplicates the last one), and the index or labels it holds."""

    path: Path
    entries: dict[str, ZipInfo]
    index: bytes
    """Content of the shard index or of the labels, empty if there is neither."""
    clips: dict[str, list[str]] | None
    """Frames of each clip in playing order, if it is a LongVideoGAN shard."""


def read_archive(path: Path) -> Archive:
    """Read the directory of a zip.

    Raises:
        UserError: It is not a whole zip.
    """
    try:
        with ZipFile(path) as file:
            entries = {entry.filename: entry for entry in file.infolist() if not entry.is_dir()}
            _require_inside(path, entries)
            clips = _clips(_content(file, SHARD_INDEX)) if SHARD_INDEX in entries else None
            labels = [name for name in entries if posixpath.basename(name) == LABELS and name.count("/") < 2]
            names = [SHARD_INDEX] if clips is not None else labels
            index = b"".join(_content(file, name) for name in names)
    except UserError:
        raise
    except Exception as error:  # whatever a damaged zip makes zipfile and the decompressors raise
        reason = str(error) or type(error).__name__
        raise UserError(f"{path} is not a readable zip ({reason}); copy or make it again.") from error
    return Archive(path, entries, index, clips)


def _require_inside(path: Path, names: Iterable[str]) -> None:
    """Refuse a zip that would write outside the folder that it is unpacked to; nobody makes one without intent."""
    for name in names:
        if name.startswith(("/", "\\")) or (".." in name and ".." in re.split(r"[/\\]", name)):
            raise UserError(f"{path} holds an entry that points outside of it, {name[:80]!r}. Make the zip again.")


def _content(file: ZipFile, name: str) -> bytes:
    """An index or labels, unless unpacking it would fill the memory."""
    size = file.getinfo(name).file_size
    if size > LARGEST:
        raise ValueError(f"its {name} has {size:,} bytes; the limit is {LARGEST:,}")
    return file.read(name)


def _clips(content: bytes) -> dict[str, list[str]] | None:
    """The index of a shard; a file of the same name that LongVideoGAN's tool leaves with frame folders is a list."""
    try:
        clips = json.loads(content)
        json.dumps(clips, ensure_ascii=False).encode()  # names of half a character are no names
    except (ValueError, RecursionError):
        return None
    listed = isinstance(clips, dict) and all(isinstance(names, list) for names in clips.values())
    return clips if listed and all(isinstance(name, str) for names in clips.values() for name in names) else None


def open_zip(path: Path) -> Source:
    """A zip of either layout."""
    archive = read_archive(path)
    if archive.clips is not None:
        return open_shards(path.name, [archive])
    listed = list_frame_folders(archive)
    splits = {video.key.split("/")[0] for video in listed if "/" in video.key} & {"train", "test", "val"}
    if len(splits) > 1:
        raise UserError(f"{path} holds splits ({', '.join(sorted(splits))}); unzip it, or make one zip of each.")
    if not listed:
        videos = [name for name in archive.entries if ending(name) in VIDEOS]
        if videos:
            raise UserError(f"{path} holds videos ({videos[0]}); they cannot be read inside a zip, so unzip it first.")
        raise UserError(f"{path} holds no images.")
    notes = order_notes([[video.key for video in listed], *(_frames(video).names for video in listed)])
    return Source(path.name, listed, _fingerprint(listed, [archive]), notes=notes)


def open_shards(name: str, shards: Sequence[Archive]) -> Source:
    """LongVideoGAN's data set at one resolution: all clips of its shards; of clips listed twice the last one."""
    shards = sorted(shards, key=lambda shard: natural_key(shard.path.stem))
    listed = list({video.key: video for shard in shards for video in list_shard(shard)}.values())
    listed.sort(key=lambda video: (natural_key(_frames(video).archive.stem), natural_key(video.key)))
    if not listed:
        raise UserError(f"{name} holds no clips: its {SHARD_INDEX} is empty.")
    notes = order_notes([[video.name for video in listed]])
    return Source(name, listed, _fingerprint(listed, shards), notes=notes, beside=partial(open_beside, listed))


def open_beside(videos: Sequence[Video], size: tuple[int, int]) -> Source | None:
    """The clips of LongVideoGAN's data set at another resolution (height, width); None where it has no such folder.

    Raises:
        UserError: Zips, clips or frames are not the same there, or it cannot be read.
    """
    here = _frames(videos[0]).archive.parent
    there = here.with_name(f"{size[0]:04d}x{size[1]:04d}")
    if not RESOLUTION.fullmatch(here.name) or there == here or not there.is_dir():
        return None
    try:
        zips: list[Frames] = [{path.name: () for path in list_zips(folder)} for folder in (here, there)]
    except OSError as error:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}. Check its permissions.") from error
    if not zips[1]:
        return None
    _require_same(here, there, *zips)
    names = dict.fromkeys(_frames(video).archive.name for video in videos)
    source = open_shards(there.name, [read_archive(there / name) for name in names])
    _require_same(here, there, *({video.name: _frames(video).names for video in v} for v in (videos, source.videos)))
    return source.resized(size)


def _require_same(here: Path, there: Path, ours: Frames, theirs: Frames) -> None:
    """Refuse two resolutions of which one has a name that the other has not, or other frames of a clip."""
    for name in [*ours, *theirs]:
        if name not in ours or name not in theirs:
            difference = f"only {(here if name in ours else there).name} has {name}"
        elif ours[name] != theirs[name]:
            pairs = enumerate(zip_longest(ours[name], theirs[name], fillvalue="missing"))
            frame, (one, other) = next((i, pair) for i, pair in pairs if pair[0] != pair[1])
            difference = f"frame {frame} of {name} is {one} in the first and {other} in the second"
        else:
            continue
        raise UserError(
            f"{here} and {there} must list the same clips and frames, but {difference}. Make both from the same videos,"
            " or remove the smaller one."
        )


def list_zips(folder: Path) -> list[Path]:
    """The zips in a folder."""
    paths = [path for path in folder.iterdir() if ending(path.name) == ".zip" and not skipped(path.name)]
    return sorted(path for path in paths if not path.is_dir())


def list_frame_folders(archive: Archive) -> list[Video]:
    """One video a folder that directly holds images. One root folder around all of them does not count for the keys."""
    folders: dict[str, list[str]] = {}
    for name in archive.entries:
        if ending(name) in IMAGES and not any(map(skipped, name.split("/"))):
            folder, slash, frame = name.rpartition("/")
            folders.setdefault(folder + slash, []).append(frame)
    parts = [folder.split("/") for folder in folders]
    root = parts[0][0] + "/" if len({top for top, *_ in parts}) == 1 and all(len(part) > 2 for part in parts) else ""
    listed = []
    for folder in sorted(folders, key=natural_key):
        frames = ZipFrames(folder, tuple(sorted(folders[folder], key=natural_key)), archive.path)
        listed.append(Video(folder.rstrip("/") or ".", folder[len(root) :].rstrip("/") or ".", frames))
    return listed


def list_shard(shard: Archive) -> list[Video]:
    """One video a clip of a LongVideoGAN shard, its frames in the order that the index gives."""
    return [
        Video(f"{shard.path.name}/{clip}", clip, ZipFrames("" if clip == "." else clip + "/", tuple(names), shard.path))
        for clip, names in (shard.clips or {}).items()
        if names
    ]


def _fingerprint(listed: list[Video], archives: Sequence[Archive]) -> str:
    entries = {archive.path: archive.entries for archive in archives}
    found = []
    for video in listed:
        frames = _frames(video)
        for name in frames.names:
            entry = entries[frames.archive].get(frames.folder + name)
            found.append((f"{video.key}/{name}", entry.file_size if entry else 0, entry.CRC if entry else 0))
    return fingerprint.of_entries(found, (archive.index for archive in archives))


def _frames(video: Video) -> ZipFrames:
    assert isinstance(video.medium, ZipFrames)
    return video.medium
