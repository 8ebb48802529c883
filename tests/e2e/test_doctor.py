"""`doctor` through the command: a table, JSON, and an exit code that scripts can rely on."""

import json

import pytest

from tests.e2e.running import Run
from vidbench import selftest
from vidbench.selftest import Answer


def test_a_sound_installation_is_said_to_be_so(run: Run) -> None:
    found = json.loads(run("doctor", "--json").stdout)
    assert "wrong" not in {finding["state"] for finding in found}
    shown = run("doctor").stdout
    assert all(part in shown for part in ("decoder", "toy3d", "quantisation", "vidbench weights fetch"))


def test_wrong_numerics_are_exit_code_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(selftest.KNOWN, "moments", lambda: Answer(1.0, 2.0, 0.5))
    assert "Trust no score" in run("doctor", code=1).stdout
    found = {finding["what"]: finding for finding in json.loads(run("doctor", "--json", code=1).stdout)}
    assert found["moments"]["state"] == "wrong" and found["moments"]["found"] == "off by 1.0e+00, 5e-01 allowed"
