"""One target, some seconds, in this process: every outcome is success or one clear error, soon, in little memory."""

import faulthandler
import os
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

import hypothesis
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st

from vidbench.errors import UserError

SECONDS = 10
"""Of a processor, that one example may take."""
STUCK = 60
"""Seconds by the clock after which an example counts as stuck, and ends the process."""
MEMORY = 2**31
"""Bytes that one example may take beside what the libraries have."""
ROUND = 100
"""Examples, before the next round has its own seed."""
FORBIDDEN = (
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "subprocess.Popen",
    "socket.connect",
    "pickle.find_class",
)
"""Audit events that no input may cause."""
LONGEST = 2000
"""Characters of a message."""


@dataclass(frozen=True)
class Target:
    """A door to be knocked at."""

    examples: st.SearchStrategy[bytes]
    """Contents of a file."""
    ending: str | st.SearchStrategy[str]
    """Of the file's name."""
    read: Callable[[Path], object]
    """What a user would have done with the file."""


class Broken(AssertionError):
    """The promise about bad input was not kept."""


@dataclass
class Guard:
    """Watches what an example causes."""

    folder: Path
    watching: bool = False
    heard: list[str] = field(default_factory=list)

    def hear(self, event: str, arguments: tuple[object, ...]) -> None:
        """An audit hook: nothing runs, nothing connects, nothing outside the folder is written."""
        if self.watching and (event.startswith(FORBIDDEN) or (event == "open" and self.writes_outside(*arguments))):
            self.heard.append(f"{event} {arguments!r:.200}")
            raise Broken(self.heard[-1])

    def writes_outside(self, path: object, mode: object, flags: object) -> bool:
        """Whether opening a file may change it, and it is none of ours."""
        ours = (str(self.folder), os.environ["VIDBENCH_CACHE"])
        return isinstance(path, str) and bool({*str(mode or "")} & {*"wax+"}) and not path.startswith(ours)


def drive(name: str, target: Target, folder: Path, seconds: float, seed: int) -> tuple[int, dict[str, str]]:
    """Knock for some seconds.

    Returns:
        How many examples there were, and the promises broken: what happened and where, by kind.
    """
    guard, broken, failures = Guard(folder), dict[str, str](), list[tuple[Exception, Path]]()
    count, end = 0, time.monotonic() + seconds
    sys.addaudithook(guard.hear)
    signal.signal(signal.SIGPROF, _too_long)
    limit_memory(MEMORY)
    endings = target.ending if isinstance(target.ending, st.SearchStrategy) else st.just(target.ending)

    def example(content: bytes, ending: str) -> None:
        nonlocal count
        if time.monotonic() > end:
            return
        count += 1
        path = folder / f"example{ending}"
        path.write_bytes(content)
        try:
            guarded(path, target.read, guard)
        except Exception as error:
            failures.append((error, path.rename(f"{folder}-{name}{ending}")))
            raise
        finally:
            for left in folder.iterdir():
                left.unlink()

    while time.monotonic() < end:
        settings = hypothesis.settings(
            max_examples=ROUND,
            deadline=None,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        )
        try:
            hypothesis.seed(seed)(settings(hypothesis.given(target.examples, endings)(example)))()
        except Exception:
            error, smallest = failures[-1]  # the last one is the one that hypothesis could not make any smaller
            kind = f"{type(error).__name__} at {_place(error)}"
            if kind not in broken:
                kept = smallest.rename(smallest.with_stem(f"{smallest.stem}-{len(broken)}"))
                broken[kind] = f"{error!s:.300}"
                print(f"{name}: {kind}: {broken[kind]}\n    in {kept}", flush=True)
        seed += 1
    return count, broken


def guarded(path: Path, read: Callable[[Path], object], guard: Guard) -> None:
    """Read one file under guard.

    Raises:
        Broken: see `knock` and `Guard`; or it left other files behind.
    """
    guard.watching = True
    try:
        knock(path, read)
    finally:
        guard.watching = False
    if guard.heard:  # the error that the hook raised may have become a sentence
        raise Broken(guard.heard.pop())
    if left := [other for other in path.parent.iterdir() if other != path]:
        raise Broken(f"it left {left} behind")


def knock(path: Path, read: Callable[[Path], object]) -> None:
    """Read one file.

    Raises:
        Broken: it takes too long, or fails in words that are no clear sentence; or whatever else is raised.
    """
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    faulthandler.dump_traceback_later(STUCK, exit=True)  # where Python has no say, or it waits
    try:
        read(path)
    except UserError as error:
        check_sentence(str(error), path)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
    if (took := time.process_time() - began) > SECONDS:
        raise Broken(f"it took {took:.0f} seconds")


def check_sentence(message: str, path: Path) -> None:
    """A message names the file, is one line that any terminal can show, and ends."""
    if path.name not in message:
        raise Broken(f"{path.name} is not named: {message!r:.500}")
    if not message.isprintable() or len(message) > LONGEST or not message.endswith("."):
        raise Broken(f"not a sentence: {message!r:.500}")


def limit_memory(more: int) -> None:
    """Let this process take only so much more memory, where the system can tell how much it has."""
    status = Path("/proc/self/statm")
    if status.exists():
        have = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (have + more, have + more))


def _too_long(signum: int, frame: FrameType | None) -> None:
    raise Broken(f"it takes more than {SECONDS} seconds")


def _place(error: BaseException) -> str:
    """The innermost line of vidbench that an error came through, else how it begins."""
    lines = [at for at in traceback.extract_tb(error.__traceback__) if "/vidbench/" in at.filename]
    return f"{Path(lines[-1].filename).name}:{lines[-1].lineno}" if lines else f"{error!s:.20}"
