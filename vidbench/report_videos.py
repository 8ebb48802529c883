"""Sample videos of a report: found beside the records or made anew, and encoded to be embedded in the page."""

import base64
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from einops import rearrange

from .clips import quantise
from .contenders import Request, hold_out, is_reference
from .datasets import dataset_names, load_dataset
from .draws import draw_seed
from .errors import UserError
from .record import LARGEST, Record
from .registry import MODELS
from .sheets import scaled
from .sources import Source, open_source

COUNT, FRAMES = 3, 128
"""Videos of each model, and frames of each, at most."""
BUDGET = 9 * 2**20
"""Bytes that all videos of a page take together, before they are written out as text."""
LARGEST_VIDEO = 150_000
"""Bytes of one video, where few are shown."""


@dataclass(frozen=True)
class Shown:
    """Videos of one model on one data set."""

    model: str
    """Its name."""
    origin: str
    """Where they come from."""
    fps: float
    """Frames a second."""
    videos: Sequence[np.ndarray]
    """uint8 `[3, T, H, W]` each."""


def find_documents(folders: Sequence[Path]) -> list[tuple[Path, dict[str, Any]]]:
    """What `vidbench sample` wrote about videos, in some folders and below, the newest first."""
    found = []
    for path in sorted({path for folder in folders for path in folder.rglob("*.json")}):
        if (path.parent / path.stem).is_dir() and path.stat().st_size <= LARGEST:
            try:
                document = json.loads(path.read_bytes())
            except (ValueError, RecursionError):
                continue
            if isinstance(document, dict) and {"model", "videos", "seeds", "created"} <= document.keys():
                found.append((path, document))
    return sorted(found, key=lambda entry: str(entry[1]["created"]), reverse=True)


def data_videos(record: Record) -> Shown | None:
    """Real videos of the set that a score is against; None where it is no data set at hand, or has changed."""
    source = real_source(record)
    if source is None:
        return None
    videos = [source.read(video, 0, min(FRAMES, source.length(video))) for video in source.videos[:COUNT]]
    return Shown(f"data: {record.real.name}", "the data set", source.info(source.videos[0]).fps or 25.0, videos)


def videos_of(
    record: Record, documents: Sequence[tuple[Path, dict[str, Any]]], folders: Sequence[Path]
) -> Shown | None:
    """Videos of what was scored: its own files, samples by the same weights, or a reference generator's, made anew.

    Args:
        record: the score.
        documents: of `find_documents`.
        folders: where the files may lie that were scored.
    """
    if record.fake.kind != "generator":
        places = [place for folder in folders for place in (folder, folder / record.fake.name) if place.is_dir()]
        return next((shown for place in places if (shown := stored(place, record, record.fake.fingerprint))), None)
    for path, document in documents:
        if document["model"] == record.model and document.get("checkpoint_hash") == record.checkpoint_hash:
            return stored(path.parent / path.stem, record)
    try:
        source = real_source(record)
        if source is None or record.model not in MODELS.names() or not is_reference(record.model):
            return None
        held_out, _ = hold_out(Request(data=record.real.name), source, record.protocol.size)
        size = record.protocol.size or (32, 32)
        generator = MODELS.load(record.model)((held_out or source).resized(size), FRAMES)
        seeds = [draw_seed(record.protocol.seed, "clip", index) for index in range(COUNT)]
        made = quantise(generator.sample(seeds, FRAMES))
    except (UserError, ValueError):  # not at hand, or no video is long enough
        return None
    return Shown(record.model, "made for this page", generator.fps, list(made))


def real_source(record: Record) -> Source | None:
    """The data set of a score, where it is one by name, at hand and unchanged."""
    if record.real.name not in dataset_names():
        return None
    try:
        source = load_dataset(record.real.name).source(record.real.split, record.protocol.size)
    except UserError:
        return None
    return source if source.fingerprint in (record.real.fingerprint, record.floor_of) else None


def stored(folder: Path, record: Record, fingerprint: str | None = None) -> Shown | None:
    """Videos in a folder; None where they cannot be read, or are not those with the fingerprint."""
    try:
        source = open_source(folder)
        if fingerprint not in (None, source.fingerprint):
            return None
        videos = [source.read(video, 0, min(FRAMES, source.length(video))) for video in source.videos[:COUNT]]
        return Shown(record.model, str(folder), source.info(source.videos[0]).fps or 25.0, videos)
    except UserError:
        return None


def data_uri(video: np.ndarray, fps: float, limit: int) -> str:
    """A video uint8 `[3, T, H, W]` as WebM (VP9) in a data URI, of about `limit` bytes at most before it is text."""
    pictures = list(even_pictures(video))
    height, width = pictures[0].shape[:2]
    data = io.BytesIO()
    rate = Fraction(fps).limit_denominator(1001)
    options = {"crf": "30", "cpu-used": "6", "threads": "1"}  # one thread: the same bytes everywhere
    with av.open(data, "w", format="webm", options={"fflags": "+bitexact"}) as container:
        stream = container.add_stream("libvpx-vp9", rate=rate, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.bit_rate = int(8 * limit * rate / len(pictures))
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return f"data:video/webm;base64,{base64.b64encode(data.getvalue()).decode()}"


def even_pictures(video: np.ndarray) -> Iterator[np.ndarray]:
    """Frames `[H, W, 3]` as on contact sheets: small ones enlarged, large ones shrunk; of even sides, as VP9 wants."""
    for frame in rearrange(video, "c t h w -> t h w c"):
        picture = scaled(frame)
        height, width = picture.shape[:2]
        yield np.ascontiguousarray(np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge"))
