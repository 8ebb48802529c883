"""Where vidbench keeps its cache, and how it writes files."""

import contextlib
import os
import uuid
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
    path = Path(path)
    temporary = path.with_name(f".{uuid.uuid4().hex}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}). Free some space or change the permissions there, "
            "or choose another place."
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
