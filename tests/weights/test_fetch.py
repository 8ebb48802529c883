"""Downloads: resumed, checked, removed where they are wrong, and in place only when they are whole."""

import hashlib
import io
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch

from vidbench.errors import UserError
from vidbench.weights.fetch import fetch
from vidbench.weights.names import Table
from vidbench.weights.public import PublicFile


@dataclass
class Server:
    """Serves one file, as well or as badly as a test wants."""

    content: bytes
    cuts: list[int] = field(default_factory=list)
    """After how many bytes each of the first answers ends."""
    ranges: bool = True
    length: bool = True
    kind: str = "application/binary"
    status: int = 200
    asked: list[str | None] = field(default_factory=list)
    """The ranges that were asked for."""
    address: str = ""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        asked = request.headers.get("Range")
        self.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.ranges else 0
        if start >= len(self.content) > 0:
            request.send_error(416)
            return
        request.send_response(206 if start and self.status == 200 else self.status)
        request.send_header("Content-Type", self.kind)
        if start:
            request.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        if self.length:
            request.send_header("Content-Length", str(len(self.content) - start))
        request.end_headers()
        end = start + self.cuts.pop(0) if self.cuts else len(self.content)
        request.wfile.write(self.content[start:end])


@pytest.fixture
def good(small: Mapping[str, torch.Tensor]) -> bytes:
    stream = io.BytesIO()
    torch.save(dict(small), stream)
    return stream.getvalue()


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Server]]:
    """Starts servers on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("vidbench.weights.fetch.PAUSES", (0, 0, 0))
    running: list[ThreadingHTTPServer] = []

    def start(content: bytes, **behaviour: object) -> Server:
        served = Server(content, **behaviour)  # type: ignore[arg-type]

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                served.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        served.address = f"http://127.0.0.1:{server.server_port}/i3d_torchscript.pt?dl=1"
        return served

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def publish(monkeypatch: pytest.MonkeyPatch, good: bytes) -> Callable[..., None]:
    """Says where the file is."""

    def make(*servers: Server, hashed: bool = True) -> None:
        blob = hashlib.sha1(b"blob %d\0" % len(good) + good).hexdigest()
        file = PublicFile(
            "i3d_torchscript.pt",
            "i3d",
            blob=blob,
            sha256=hashlib.sha256(good).hexdigest() if hashed else None,
            size=len(good) if hashed else None,
            addresses=tuple(server.address for server in servers),
        )
        monkeypatch.setattr("vidbench.weights.public.FILES", (file,))

    return make


@pytest.fixture
def get(small_table: Table, weights: Path) -> Callable[[], str]:
    """Fetches, and gives the verdict."""
    return lambda: fetch("i3d", lambda chunks, label, total: chunks, small_table).verdict


PROVEN = "these are the FVD weights (6 of 6 variables)"


def names(weights: Path) -> list[str]:
    return sorted(path.name for path in weights.iterdir())


@pytest.mark.parametrize("hashed", [True, False])
def test_a_file_is_fetched_checked_and_proven(serve, publish, get, good, weights, hashed: bool) -> None:
    publish(serve(good), hashed=hashed)
    assert get() == PROVEN
    assert (weights / "i3d_torchscript.pt").read_bytes() == good
    assert names(weights) == ["i3d.safetensors", "i3d_torchscript.pt"]


@pytest.mark.parametrize("hashed", [True, False])
def test_an_interrupted_transfer_goes_on_where_it_was(serve, publish, get, good, hashed: bool) -> None:
    server = serve(good, cuts=[1000, 500])
    publish(server, hashed=hashed)
    assert get() == PROVEN
    assert server.asked == [None, "bytes=1000-", "bytes=1500-"]


def test_the_next_command_goes_on_where_the_last_one_was(serve, publish, get, good, weights) -> None:
    publish(serve(good, cuts=[100] * 4))
    with pytest.raises(UserError, match=rf"127\.0\.0\.1: cut off after 400 of {len(good):,} bytes"):
        get()
    assert names(weights) == ["i3d_torchscript.pt.part"]
    server = serve(good)
    publish(server)
    assert get() == PROVEN
    assert server.asked == ["bytes=400-"]
    assert "i3d_torchscript.pt.part" not in names(weights)


def test_a_server_that_cannot_resume_is_asked_for_all(serve, publish, get, good) -> None:
    publish(serve(good, cuts=[1000], ranges=False))
    assert get() == PROVEN


def test_a_length_that_is_not_announced_is_known_from_the_table(serve, publish, get, good) -> None:
    server = serve(good, cuts=[1000], length=False)
    publish(server)
    assert get() == PROVEN
    assert server.asked == [None, "bytes=1000-"]


@pytest.mark.parametrize("beginning", [b"wrong", b"wrong" * 10_000])
def test_the_beginning_of_another_file_is_thrown_away(
    serve, publish, get, good, weights, small, beginning: bytes
) -> None:
    (weights / "i3d_torchscript.pt.part").write_bytes(beginning)
    publish(serve(good))
    assert get() == PROVEN


def test_wrong_content_is_refused_and_removed(serve, publish, get, good, weights) -> None:
    wrong = bytes(len(good))
    for hashed, found in ((True, "SHA-256"), (False, "git blob")):
        publish(serve(wrong), hashed=hashed)
        with pytest.raises(UserError, match=rf"another file, with {found} \w+ instead of \w+; it was deleted"):
            get()
        assert names(weights) == []


def test_another_length_is_refused_before_it_is_fetched(serve, publish, get, good, weights) -> None:
    publish(serve(good + b"x"))
    with pytest.raises(UserError, match=rf"a file of {len(good) + 1:,} bytes instead of {len(good):,}"):
        get()
    publish(serve(good + b"x", length=False))
    with pytest.raises(UserError, match="more bytes than it announced"):
        get()
    assert names(weights) == []


def test_a_web_page_is_refused(serve, publish, get, weights) -> None:
    server = serve(b"<html>Sign in</html>", kind="text/html; charset=utf-8")
    publish(server)
    with pytest.raises(UserError, match="a web page instead of the file"):
        get()
    assert len(server.asked) == 1
    assert names(weights) == []


@pytest.mark.parametrize(("status", "tries"), [(404, 1), (403, 1), (500, 4), (429, 4)])
def test_an_error_is_tried_again_if_it_may_pass(serve, publish, get, good, status: int, tries: int) -> None:
    server = serve(good, status=status)
    publish(server)
    with pytest.raises(UserError, match=f"HTTP Error {status}"):
        get()
    assert len(server.asked) == tries


def test_the_mirror_is_asked_where_the_first_address_fails(serve, publish, get, good) -> None:
    first = serve(bytes(len(good)))
    publish(serve(b"", status=404), first, serve(good))
    assert get() == PROVEN
    assert len(first.asked) == 1


def test_a_host_that_cannot_be_reached_gives_the_sentence(publish, get, weights, monkeypatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("vidbench.weights.fetch.PAUSES", (0,))
    publish(Server(b"", address="http://127.0.0.1:1/i3d_torchscript.pt"))
    with pytest.raises(UserError) as caught:
        get()
    assert str(caught.value) == (
        'Weights "i3d" are not in the cache and could not be fetched (127.0.0.1: Connection refused). Copy'
        f" i3d_torchscript.pt into {weights} by hand (vidbench weights verify FILE proves that it is the right one), or"
        " use the built-in backbone: --backbone toy3d."
    )


def test_the_very_file_in_the_cache_is_not_fetched_again(serve, publish, get, good, weights) -> None:
    (weights / "i3d_torchscript.pt").write_bytes(good)
    server = serve(good)
    publish(server)
    assert get() == PROVEN
    assert server.asked == []


def test_another_file_of_that_name_is_replaced_once_the_right_one_is_there(serve, publish, get, good, weights) -> None:
    (weights / "i3d_torchscript.pt").write_bytes(b"old")
    publish(serve(b"", status=404))
    with pytest.raises(UserError):
        get()
    assert (weights / "i3d_torchscript.pt").read_bytes() == b"old"
    publish(serve(good))
    assert get() == PROVEN


def test_two_jobs_at_once_fetch_one_file_once(serve, publish, get, good) -> None:
    server = serve(good)
    publish(server)
    verdicts: list[str] = []
    jobs = [threading.Thread(target=lambda: verdicts.append(get())) for _ in range(4)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
    assert verdicts == [PROVEN] * 4
    assert len(server.asked) == 1


def test_a_silent_server_is_given_up(publish, get, monkeypatch) -> None:
    import socket

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("vidbench.weights.fetch.PAUSES", ())
    monkeypatch.setattr("vidbench.weights.fetch.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        publish(Server(b"", address=f"http://127.0.0.1:{silent.getsockname()[1]}/"))
        began = time.monotonic()
        with pytest.raises(UserError, match="timed out"):
            get()
    assert time.monotonic() - began < 5
