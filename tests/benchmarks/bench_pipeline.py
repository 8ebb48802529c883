"""How much of the backbone's speed is left when clips come from a zip: decoding and waiting should cost almost nothing.

A whole fvd16 of a set against itself (so that one side comes from the cache), with I3D of generated weights, on clips
stored as a zip of 32x32 frames, against the backbone alone on the same number of clips.

Run it: python -m tests.benchmarks.bench_pipeline
"""

import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from tests.weights.making import generated
from vidbench.datasets import load_dataset
from vidbench.evaluator import Evaluator
from vidbench.metrics.i3d_fast import I3DBackbone
from vidbench.sources import open_source
from vidbench.weights.names import load_table
from vidbench.writing import write_zip

CLIPS = 128


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["VIDBENCH_CACHE"] = folder
        ride = load_dataset("toy-ride").source()
        write_zip(Path(folder, "clips.zip"), ((v.key, ride.read(v, 0, 24)) for v in ride.videos[:CLIPS]), 25)
        evaluator = Evaluator("fvd16", open_source(Path(folder, "clips.zip")), backbone="toy3d", clips=CLIPS)
        evaluator.backbone = backbone = I3DBackbone(
            {entry.name: generated(entry.name, entry.shape) for entry in load_table()}
        )
        evaluator.measure = type(evaluator.measure)(backbone.dim)
        clips = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (32, 3, 16, 32, 32)).astype(np.uint8))
        backbone(clips[:4])
        began = time.perf_counter()
        for _ in range(CLIPS // 32):
            backbone(clips)
        alone = CLIPS / (time.perf_counter() - began)
        began = time.perf_counter()
        evaluator.score(evaluator.real, "itself")
        whole = CLIPS / (time.perf_counter() - began)
    print(f"backbone alone {alone:.2f} clips/s, whole pipeline {whole:.2f} clips/s: {whole / alone:.0%}")


if __name__ == "__main__":
    main()
