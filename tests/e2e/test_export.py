"""`vidbench export`, as a user would run it: of a run what others need to sample and score it."""

import json
from pathlib import Path

from tests.e2e.running import Run
from vidbench.checkpoints import read_about

TRAIN = ("train", "--tier", "ci", "--workers", "0", "--steps", "1", "--set", "stages.gan.metric=fvd16@4")


def test_an_export_is_sampled_and_scored_as_a_run(run: Run) -> None:
    run(*TRAIN)
    said = run("export", "--out", "shared", "--dry-run").stderr
    assert "gan/best.safetensors: G_ema, 0." in said and not Path("shared").exists()
    [written] = json.loads(run("export", "--out", "shared", "--json").stdout)
    assert written == "shared/gan/best.safetensors"
    [best] = Path("runs").glob("*/*/gan/best.safetensors")
    assert Path(written).stat().st_size < 0.3 * best.stat().st_size
    assert (
        read_about(Path(written)).origin == "exported by vidbench for sampling, weights in float16; trained by vidbench"
    )
    assert {path.name for path in Path("shared").iterdir()} == {"gan", "config.yaml", "log.jsonl"}
    run("sample", "--checkpoint", "shared", "-n", 1, "--frames", 4)
    asked = ("--metric", "fvd16", "--clips", 4, "--workers", 0, "--no-references", "--json")
    [record] = json.loads(run("eval", "--checkpoint", "shared", *asked).stdout)
    assert record["model"] == "stylegan-v"


def test_a_stage_alone_is_exported_without_advice_that_cannot_work(run: Run) -> None:
    run("train", "--model", "long-video-gan", *TRAIN[1:-2], "--set", "stages.lowres.metric=fvd16@4",
        "--set", "stages.superres.metric=fvd16@4")  # fmt: skip
    assert (
        "Sample it: vidbench sample --model long-video-gan --checkpoint b"
        in run("export", "--model", "long-video-gan", "--out", "b").stderr
    )
    alone = run("export", "--model", "long-video-gan", "--stage", "superres", "--out", "a").stderr
    assert "superres/best.safetensors" in alone and "Sample it" not in alone


def test_a_mistake_ends_in_one_sentence(run: Run) -> None:
    assert (
        "There is no checkpoint of digan for toy-sky"
        in run("export", "--model", "digan", "--data", "toy-sky", "--out", "a", code=2).output
    )
    assert "freeze is not trained" in run("export", "--model", "freeze", "--out", "a", code=2).output
    assert not Path("a").exists()
