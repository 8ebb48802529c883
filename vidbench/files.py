"""Where vidbench keeps its cache, and how it writes files."""

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import platformdirs

from vidbench.errors import UserError


def cache_dir() -> Path:
    """The cache folder: `VIDBENCH_CACHE`, else the platform's own; it may not exist yet."""
    return Path(os.environ.get("VIDBENCH_CACHE") or platformdirs.user_cache_dir("vidbench"))


def atomic_write(path: str | Path, content: bytes | str) -> None:
    """Write a whole file or nothing: readers see the old file until the new one is complete.

    Missing folders are made. Text is stored as UTF-8.

    Raises:
        UserError: The file cannot be written, for example because the disk is full; an old file stays as it was.
    """
    with whole(Path(path)) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


def check_writable(folder: Path) -> None:
    """Find out before long work that nothing can be written to a folder, which need not exist yet.

    Raises:
        UserError: It, or the folder it would be made in, is a file or cannot be written to.
    """
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        what = "is no folder" if not existing.is_dir() else "cannot be written to"
        raise UserError(f"{folder} cannot hold results: {existing} {what}. Choose another place with --out.")


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, for a file or a folder, that becomes `path` when all went well.

    Raises:
        UserError: It cannot be written; nothing is left behind.
    """
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror or error}). Free some space or change the permissions there, "
            "or choose another place."
        ) from error
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
