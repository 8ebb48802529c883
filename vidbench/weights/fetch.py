"""Downloads of the public weights files: resumable, checked, and in place only when they are whole."""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from ..errors import UserError
from .archive import LARGEST
from .names import Table
from .public import PublicFile, hashes, is_content_of, public_files
from .state import I3DState, absent, load_i3d_state, weights_dir

PAUSES = (1.0, 2.0, 4.0)
"""Seconds before each further try at the same address."""
TIMEOUT = 30.0
"""Seconds without an answer."""
CHUNK = 2**20
WORTH_ANOTHER_TRY = {408, 416, 425, 429, 500, 502, 503, 504}
"""Answers that may be others in a moment; after 416 (nothing there to resume) the next try begins anew."""

Track = Callable[[Iterable[bytes], str, int], Iterable[bytes]]
"""Passes chunks on and shows how far they are: the chunks, what they are, how many there will be."""


class Refused(Exception):
    """An address gives no file, or another one; no further try would change that."""


def fetch(name: str, track: Track, table: Table | None = None) -> I3DState:
    """Get a backbone's weights into the cache, unless the very file is there.

    Args:
        name: `i3d` or `i3d-imagenet`.
        track: shows progress.
        table: names, shapes and checksums.  Default: those of I3D.

    Raises:
        UserError: an unknown name, no address that gives the right file, or a file that is not proven.
    """
    file = public_files(name)[0]
    try:
        weights_dir().mkdir(parents=True, exist_ok=True)
        with _alone(weights_dir()):
            if not _matches(weights_dir() / file.name, file):
                _from_anywhere(file, track)
    except OSError as error:
        raise UserError(
            f"{weights_dir()} cannot be written ({error.strerror}). Change the permissions there, or choose another"
            " place with VIDBENCH_CACHE."
        ) from error
    return load_i3d_state(name, table=table)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process fetches into `folder`, where the file system can tell."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _matches(path: Path, file: PublicFile) -> bool:
    return path.exists() and is_content_of(file, *hashes(path))


def _from_anywhere(file: PublicFile, track: Track) -> None:
    target = weights_dir() / file.name
    part = target.with_name(f"{file.name}.part")
    reasons = []
    for address in file.addresses:
        try:
            _obtain(address, part, file, track)
        except (Refused, OSError, HTTPException) as error:
            reasons.append(f"{urlsplit(address).hostname}: {_reason(error)}")
        else:
            part.replace(target)
            return
    raise absent(file.backbone, f" and could not be fetched ({'; '.join(reasons)})")


def _obtain(address: str, part: Path, file: PublicFile, track: Track) -> None:
    """Fill `part` with the right file, or remove what is wrong there."""
    if _matches(part, file):
        return
    resumed = part.exists()
    _download(address, part, file, track)
    if resumed and not _matches(part, file):
        part.unlink()
        _download(address, part, file, track)
    if not _matches(part, file):
        sha256, blob = hashes(part)
        found, wanted = (f"SHA-256 {sha256}", file.sha256) if file.sha256 else (f"git blob {blob}", file.blob)
        part.unlink()
        raise Refused(f"another file, with {found} instead of {wanted}; it was deleted")


def _download(address: str, part: Path, file: PublicFile, track: Track) -> None:
    for pause in (*PAUSES, None):
        try:
            _transfer(address, part, file, track)
            return
        except (OSError, HTTPException) as error:
            if isinstance(error, HTTPError) and error.code == 416:
                part.unlink(missing_ok=True)
            if pause is None or (isinstance(error, HTTPError) and error.code not in WORTH_ANOTHER_TRY):
                raise
            time.sleep(pause)


def _transfer(address: str, part: Path, file: PublicFile, track: Track) -> None:
    """Add to `part` what it lacks, or begin it anew where the server cannot resume."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"User-Agent": "vidbench", "Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with urlopen(Request(address, headers=headers), timeout=TIMEOUT) as response:
        if response.headers.get_content_type() == "text/html":
            raise Refused("a web page instead of the file")
        if response.status != 206:
            have = 0
        elif not response.headers.get("Content-Range", "").startswith(f"bytes {have}-"):
            part.unlink()
            raise ConnectionError("resumed at another place than was asked")
        coming = response.length or 0
        if file.size and coming and have + coming != file.size:
            raise Refused(f"a file of {have + coming:,} bytes instead of {file.size:,}")
        expected = have + coming if coming else file.size
        chunks = track(_chunks(response), f"fetch {file.name} (MiB)", -(-((expected or LARGEST) - have) // CHUNK))
        with part.open("ab" if have else "wb") as out:
            for chunk in chunks:
                out.write(chunk)
                if out.tell() > (expected or LARGEST):
                    part.unlink()
                    raise Refused("more bytes than it announced")
            if expected and out.tell() < expected:
                raise ConnectionError(f"cut off after {out.tell():,} of {expected:,} bytes")


def _chunks(response: HTTPResponse) -> Iterator[bytes]:
    while chunk := response.read(CHUNK):
        yield chunk


def _reason(error: Exception) -> str:
    """The plainest words that an error of the network carries."""
    inner = error.reason if isinstance(error, URLError) and not isinstance(error, HTTPError) else error
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__
