"""One sentence for whatever is wrong with a file from outside."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError

SUSPECT = "It was opened no further, and nothing in it was run; check that it is what the authors published."
"""The mend for a file of networks."""


@contextlib.contextmanager
def refusing(path: Path, what: str, mend: str) -> Iterator[None]:
    """Turn every failure to read `path` into one sentence.

    Args:
        path: the file.
        what: it should be.
        mend: a sentence on what to do.

    Raises:
        UserError: whatever was raised inside; the message of a ValueError completes a sentence about the file.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}). Check the path.") from error
    except Exception as error:
        reason = str(error) if type(error) is ValueError else f"it is damaged, {type(error).__name__} {error}"
        raise UserError(f"{path} is not a readable {what} ({' '.join(reason.split())[:200]}). {mend}") from error
