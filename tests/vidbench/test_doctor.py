"""Findings about an installation: what is wrong is said to be, with its mend, and the self-test can fail."""

import json
from collections import namedtuple

import av
import numpy as np
import pytest
import torch

from vidbench import doctor, selftest
from vidbench.doctor import Finding, examination
from vidbench.metrics import toy3d
from vidbench.selftest import KNOWN, Answer


def findings(what: str) -> list[Finding]:
    return [finding for finding in examination() if finding.what == what]


def test_everything_that_is_not_ok_has_a_mend():
    found = list(examination())
    assert {finding.state for finding in found} <= {"ok", "warning"}
    assert all(bool(finding.mend) == (finding.state != "ok") for finding in found)
    assert {"versions", "threads", "processor", "GPU", "decoder", "cache", "disk", *KNOWN} <= {f.what for f in found}


@pytest.mark.parametrize("name", KNOWN)
def test_this_machine_gives_the_known_answers(name):
    answer = KNOWN[name]()
    assert np.shape(answer.found) == np.shape(answer.known) and answer.error <= answer.tolerance


def test_an_answer_that_is_not_a_number_is_wrong():
    assert not Answer([1.0, float("nan")], [1.0, 1.0], 1e9).error <= 1e9


@pytest.mark.parametrize(
    ("name", "module", "attribute", "broken"),
    [
        ("quantisation", selftest, "quantise", lambda x: (x.clamp(-1, 1) * 127.5 + 127.5).byte().numpy()),
        ("named draws", selftest, "draw", lambda seed, name: torch.Generator().manual_seed(seed)),
        ("toy3d", toy3d, "plain_statistics", lambda video: torch.zeros(len(video), 7)),
        ("kernel distance", selftest, "polynomial_mmd", lambda x, y: float("nan")),
        ("moments", selftest, "Moments", None),
    ],
)
def test_what_computes_otherwise_is_wrong(monkeypatch, name, module, attribute, broken):
    monkeypatch.setattr(module, attribute, broken)
    [found] = findings(name)
    assert found.state == "wrong" and "Trust no score" in found.mend


def test_more_threads_than_cores_are_warned_of(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 10_000)
    [found] = findings("threads")
    assert found.state == "warning" and "OMP_NUM_THREADS=" in found.mend


def test_a_system_that_keeps_its_processor_to_itself_is_no_failure(monkeypatch):
    def refuse(self):
        raise FileNotFoundError

    monkeypatch.setattr(doctor.Path, "read_text", refuse)
    assert "does not say" in doctor.extensions()


def test_a_decoder_that_fails_or_gives_other_frames_is_wrong(monkeypatch):
    monkeypatch.setattr(doctor, "coded", lambda frames, codec, pix_fmt: frames[:, ::-1])
    [found] = findings("decoder")
    assert found.state == "wrong" and "levels off" in found.found

    def fail(*arguments):
        raise av.error.EncoderNotFoundError(1, "no such encoder")

    monkeypatch.setattr(doctor, "coded", fail)
    [found] = findings("decoder")
    assert found.state == "wrong" and "ffv1 fails" in found.found


def test_a_frame_that_is_lost_is_a_failure_too(monkeypatch):
    monkeypatch.setattr(doctor, "coded", lambda frames, codec, pix_fmt: frames[:-1])
    assert findings("decoder")[0].state == "wrong"


def test_a_cache_that_cannot_be_written_is_a_warning(monkeypatch):
    monkeypatch.setenv("VIDBENCH_CACHE", "/proc/nothing/here")
    [found] = findings("cache")
    assert found.state == "warning" and "VIDBENCH_CACHE" in found.mend


@pytest.mark.parametrize("inner", ["", "/cache"])
def test_a_file_where_the_cache_should_be_is_a_warning(tmp_path, monkeypatch, inner):
    (tmp_path / "file").touch()
    monkeypatch.setenv("VIDBENCH_CACHE", f"{tmp_path}/file{inner}")
    found = doctor.cache()
    assert found.state == "warning" and "cannot be written to" in found.found


def test_a_cache_that_is_not_made_yet_is_not_made_now(tmp_path, monkeypatch):
    monkeypatch.setenv("VIDBENCH_CACHE", str(tmp_path / "new" / "cache"))
    assert "not made yet" in findings("cache")[0].found
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_warned_of(monkeypatch):
    usage = namedtuple("usage", "total used free")(10, 10, 2**20)
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda folder: usage)
    found = findings("disk")
    assert {finding.state for finding in found} == {"warning"}


def test_weights_that_are_others_or_broken_are_wrong(own_cache):
    path = own_cache / "weights" / "i3d_torchscript.pt"
    path.parent.mkdir()
    torch.save({"weight": torch.zeros(3)}, path)
    [found] = findings("weights of i3d")
    assert found.state == "wrong" and str(path) in found.mend
    path.write_bytes(b"nothing")
    [found] = findings("weights of i3d")
    assert found.state == "wrong"


def test_a_plug_in_that_cannot_be_imported_is_named_with_what_brings_it(plug_in):
    plug_in("broken", "vidbench.models", {"broken-model": "broken_module:Model"}, broken_module="import nothing_at_all")
    [found] = findings("model broken-model")
    assert found.state == "warning" and "nothing_at_all" in found.found and "broken" in found.mend


def test_findings_are_plain_data():
    assert json.loads(json.dumps(vars(Finding("cache", "ok", "here")))) == {
        "what": "cache", "state": "ok", "found": "here", "mend": "",
    }  # fmt: skip
