"""From a backbone's name to its tensors: found in the cache, proven, and converted once."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import UserError
from ..files import atomic_write, cache_dir
from .archive import read_tensors
from .names import Table, canonical
from .proof import prove
from .public import FILES, hashes, is_content_of, public_files


@dataclass(frozen=True)
class I3DState:
    """The weights of an I3D backbone."""

    tensors: dict[str, torch.Tensor]
    """287 float32 tensors by canonical name."""
    verdict: str
    """What the checksums say that they are."""
    proven: bool
    """Whether they are those of the backbone that was asked for."""
    sha256: str
    """Of the file that they were published in, or were read from."""


@dataclass(frozen=True)
class Examination:
    """What a weights file turned out to be."""

    file: str
    """Its path."""
    network: str | None
    """The backbone whose weights it holds, or None."""
    verdict: str
    """The same in words."""
    published_as: str | None
    """The public file that it equals byte for byte, or None."""
    sha256: str
    """Of the file."""
    git_blob: str
    """Git's name of its content."""


def weights_dir() -> Path:
    """Where weights lie."""
    return cache_dir() / "weights"


def load_i3d_state(name: str, path: str | Path | None = None, table: Table | None = None) -> I3DState:
    """The weights of a backbone.

    Args:
        name: `i3d` or `i3d-imagenet`.
        path: a file to take them from; it may hold any weights of I3D, and `proven` says whether they are those of
            `name`.  Default: what lies in the cache, which must be proven.
        table: names, shapes and checksums.  Default: those of I3D.

    Raises:
        UserError: an unknown name, nothing there, a file that cannot be read, or unproven weights in the cache.
    """
    files = public_files(name)
    if path is not None:
        return _read(name, Path(path), table)
    converted = weights_dir() / f"{name}.safetensors"
    problems = []
    for candidate in (converted, *(weights_dir() / file.name for file in files)):
        if not candidate.exists():
            continue
        try:
            state = _read(name, candidate, table)
            if not state.proven:
                raise UserError(
                    f'{candidate} does not hold the weights of backbone "{name}": {state.verdict}. Replace it with what'
                    f" vidbench weights fetch {name} gets, or score with it all the same by --weights FILE."
                )
        except UserError as problem:
            problems.append(problem)
            continue
        if candidate != converted:
            with contextlib.suppress(UserError):  # a cache that cannot be written costs time at the next load only
                _convert(state, candidate, converted)
        return state
    raise problems[0] if problems else absent(name)


def absent(name: str, why: str = "") -> UserError:
    """The error for weights that are not at hand; `why` continues "Weights "i3d" are not in the cache"."""
    fetch = "" if why else f"Get them with vidbench weights fetch {name}. Without a network: copy"
    return UserError(
        f'Weights "{name}" are not in the cache{why}. {fetch or "Copy"} {public_files(name)[0].name} into'
        f" {weights_dir()} by hand (vidbench weights verify FILE proves that it is the right one), or use the built-in"
        " backbone: --backbone toy3d."
    )


def examine(path: str | Path, table: Table | None = None) -> Examination:
    """Say what a weights file is.

    Raises:
        UserError: it cannot be read.
    """
    path = Path(path)
    tensors = read_tensors(path)
    sha256, blob = hashes(path)
    published = next((file.name for file in FILES if is_content_of(file, sha256, blob)), None)
    try:
        proof = prove(canonical(tensors, table, str(path)), table)
    except UserError as error:
        return Examination(str(path), None, f"neither: {error}", published, sha256, blob)
    return Examination(str(path), proof.network, proof.verdict, published, sha256, blob)


def _read(name: str, path: Path, table: Table | None) -> I3DState:
    tensors = canonical(read_tensors(path), table, str(path))
    proof = prove(tensors, table)
    sha256 = _recorded_hash(path) if path.parent == weights_dir() and path.suffix == ".safetensors" else None
    return I3DState(tensors, proof.verdict, proof.network == name, sha256 or hashes(path)[0])


def _recorded_hash(path: Path) -> str | None:
    """SHA-256 of the public file that a converted one was made from."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("source_sha256")


def _convert(state: I3DState, source: Path, target: Path) -> None:
    import safetensors.torch

    metadata = {"source": source.name, "source_sha256": state.sha256, "verdict": state.verdict}
    atomic_write(target, safetensors.torch.save(state.tensors, metadata))
