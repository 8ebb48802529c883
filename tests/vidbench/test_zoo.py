"""What ships trained is small, says how it came about, and can be sampled."""

from importlib.resources import files
from pathlib import Path

from vidbench.checkpoints import EXPORTED, file_hash, read_about
from vidbench.evaluation import stored_records
from vidbench.runs import load_settings, load_system
from vidbench.trained import open_trained

ZOO = Path(str(files("vidbench"))) / "results" / "toy"
LIMIT = 40 * 2**20
"""Bytes of all of it."""


def test_what_ships_trained_is_small_and_lies_where_it_is_looked_for() -> None:
    readme = (ZOO / "README.md").read_text()
    for folder in {path.parents[1] for path in ZOO.glob("*/*/*/*.safetensors")}:
        trained = open_trained(folder)
        for path in trained.paths:
            about = read_about(path)
            assert about.origin.startswith(EXPORTED) and path.name == "best.safetensors"
            assert (folder.parent.name, folder.name) == (about.model, f"{about.data}-{about.tier}")
            system = load_system(about.model)
            tier = load_settings(system, about.model, about.tier, None, ())
            assert system.config_type.model_validate(about.config).model == tier.model, f"{path}: another {about.tier}"
        assert f"--out results/toy/{folder.parent.name}/{folder.name}`" in readme
        assert trained.generator().sample([0], 2).shape == (1, 3, 2, 32, 32)
    assert sum(path.stat().st_size for path in ZOO.rglob("*")) < LIMIT


def test_scores_that_ship_are_of_the_weights_that_ship() -> None:
    weights = {file_hash(open_trained(path.parents[1]).paths) for path in ZOO.glob("*/*/*/best.safetensors")}
    records = stored_records(ZOO / "records")
    assert records
    for record in records:
        assert record.checkpoint_hash in weights | {None}, f"{record.model}, {record.metric}: of other weights"
