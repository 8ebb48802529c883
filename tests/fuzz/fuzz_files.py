"""Videos, images and arrays in files, under their own ending or another's."""

import io
import tempfile
from pathlib import Path

import h5py
import numpy as np
from hypothesis import strategies as st
from PIL import Image

from tests.fuzz.fuzz_driver import Target
from tests.fuzz.fuzz_mutation import CLAIMS, damaged
from tests.fuzz.fuzz_zips import look
from tests.videos import numbered, render
from vidbench.sources import open_source

SIZE = (24, 32)
CONTAINERS = (
    ("a.mp4", "libx264"),
    ("a.avi", "mjpeg"),
    ("a.mkv", "mpeg4"),
    ("a.webm", "libvpx"),
    ("a.ts", "mpeg2video"),
)
KINDS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "PPM", "TGA", "JPEG2000")
PLAY_LISTS = (
    b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
)


def videos() -> list[bytes]:
    """A small video in every kind of container, and a GIF."""
    frames = [numbered(t, SIZE) for t in range(10)]
    with tempfile.TemporaryDirectory() as folder:
        files = [
            render(
                Path(folder, f"{codec}-{name}"), frames, codec, pix_fmt="yuvj420p" if codec == "mjpeg" else "yuv420p"
            )
            for name, codec in CONTAINERS
        ]
        files.append(render(Path(folder, "a.gif"), frames, "gif", pix_fmt="rgb8"))
        return [*(path.read_bytes() for path in files), *PLAY_LISTS]


def images() -> list[bytes]:
    """A small image of every kind."""
    files = []
    for kind in KINDS:
        file = io.BytesIO()
        Image.fromarray(numbered(1, SIZE)).save(file, kind)
        files.append(file.getvalue())
    return [*files, b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n(ran) (w) file\n"]


def arrays() -> list[bytes]:
    """Arrays of videos in every form."""
    few = np.stack([[numbered(t, (6, 8)) for t in range(4)] for _ in range(2)])
    npy, npz, small = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.save(npy, few)
    np.savez(npz, few)
    np.savez_compressed(small, few, other=np.arange(4))
    return [npy.getvalue(), npz.getvalue(), small.getvalue()]


def hdf5() -> list[bytes]:
    """The same in HDF5, as one array and as rows with their first frames."""
    rows = np.stack([numbered(t, (6, 8)) for t in range(8)])
    with tempfile.TemporaryDirectory() as folder:
        with h5py.File(Path(folder, "a.h5"), "w") as file:
            file["train_data"], file["train_idx"] = rows, [0, 4]
        with h5py.File(Path(folder, "b.h5"), "w") as file:
            file.create_dataset("videos", data=rows[None], compression="gzip")
        return [Path(folder, name).read_bytes() for name in ("a.h5", "b.h5")]


def numpy_headers() -> st.SearchStrategy[bytes]:
    """Headers of .npy files that claim anything."""
    kinds = st.sampled_from(["|u1", "<f4", "<f8", "|O", "<U4", "<c8", "<M8[s]", "|V3", "|b1", "x", "<f2", "|S0"])
    sides = st.sampled_from([0, 1, 2, 3, 8, *CLAIMS])
    shapes = st.lists(sides, max_size=4).map(lambda shape: (*shape, 3)) | st.lists(sides, max_size=6).map(tuple)
    text = st.builds(
        lambda kind, order, shape: repr({"descr": kind, "fortran_order": order, "shape": shape}),
        kinds,
        st.booleans() | st.just(3),
        shapes,
    ) | st.sampled_from(["{" * 300, "__import__('os').system('touch ran')", "{'descr': " + "(" * 500])
    return st.builds(
        lambda header, rest: b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + rest,
        text,
        st.binary(max_size=64),
    )


def targets() -> dict[str, Target]:
    """By what is damaged."""
    boxes = [
        b"mvhd",
        b"tkhd",
        b"stsz",
        b"stts",
        b"stsc",
        b"stco",
        b"avc1",
        b"GIF89a",
        b"avih",
        b"strh",
        b"moov",
        b"elst",
    ]
    chunks = [b"IHDR", b"\xff\xc0", b"VP8 ", b"II*\0", b"BM", b"\xff\x51", b"IDAT"]
    fields = [b"NUMPY", b"'shape': (", b"PK\1\2", b"PK\3\4"]
    ranges = {"value_range": (0.0, 1.0)}

    def in_folder(path: Path) -> None:
        look(open_source(path.parent, kind="images"))

    def with_range(path: Path) -> None:
        look(open_source(path))
        look(open_source(path, **ranges))

    return {
        "videos": Target(damaged(videos(), boxes), st.sampled_from([".mp4", ".avi", ".mkv", ".gif", ".ts"]), _look),
        "images": Target(damaged(images(), chunks), st.sampled_from([".png", ".jpg", ".tif", ".webp"]), in_folder),
        "arrays": Target(
            damaged(arrays(), fields) | numpy_headers(), st.sampled_from([".npy", ".npz", ".h5"]), with_range
        ),
        "hdf5": Target(damaged(hdf5(), [b"TREE", b"SNOD", b"HEAP", b"train_data"]), ".h5", with_range),
    }


def _look(path: Path) -> None:
    look(open_source(path))
