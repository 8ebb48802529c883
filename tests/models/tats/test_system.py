"""TATS as it is sampled and kept: videos that begin alike however long they are, options, stages."""

from itertools import islice

import pytest
import torch

from tests.models.tats.small import SIDE, config, made
from tests.models.tats.test_stages import noise
from tests.vidbench.systems import Listener
from vidbench.checkpoints import load_checkpoint
from vidbench.models.tats import TATS, TATSHierarchical
from vidbench.runs import Run
from vidbench.testing import check_generator, check_round_trip
from vidbench.training import train

STATES, BOTH = made(), made(True)
LENGTH = 45


def make(hierarchical: bool = False, **options) -> TATS:
    if hierarchical:
        return TATSHierarchical.from_states(config(True), BOTH, 30.0, **options)
    return TATS.from_states(config(), STATES, 30.0, **options)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_it_is_a_generator(hierarchical):
    check_generator(lambda: make(hierarchical), length=6)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_video_is_the_beginning_of_an_endless_one(hierarchical):
    generator = make(hierarchical)
    whole = generator.sample([5, 6], LENGTH)
    assert (whole[0] - whole[1]).abs().max() > 0.01
    assert whole.diff(dim=2).abs().max() > 0.01
    for start, count in ((0, 1), (0, 16), (15, 3), (31, 14), (44, 1)):
        close(generator.sample([5], count, start), whole[:1, :, start : start + count])
    chunks = list(islice(generator.stream(6), 3))
    close(torch.cat(chunks, dim=1)[:, :LENGTH], whole[1])


def test_pictures_are_those_of_all_codes_at_once():
    generator = make()
    codes = torch.stack(list(islice(generator.latents([5]), 40)), dim=1)
    with torch.no_grad():
        expected = (2 * generator.vqgan.decode(codes)).clamp(-1, 1)
    close(generator.sample([5], LENGTH), expected[:, :, :LENGTH])
    assert codes.min() >= 0
    assert codes.max() < 12


def test_few_latent_frames_are_those_of_the_first_transformer_and_the_others_lie_between():
    generator = make(True)
    whole = torch.stack(list(islice(generator.latents([5]), 9)), dim=1)
    begins = {"context": 1, "top_k_init": 16384, "top_p_init": 0.99}
    alone = TATS(generator.vqgan, generator.transformer, None, generator.model, 30.0, **begins)
    few = torch.stack(list(islice(alone.latents([5]), 5)), dim=1)
    assert torch.equal(whole[:, ::2], few)
    intended = make(True, mode="intended")
    assert torch.equal(torch.stack(list(islice(intended.latents([5]), 9)), dim=1)[:, ::2], few)


def test_draws_can_be_made_narrower():
    likeliest = [make(top_k=1).sample([seed], 8) for seed in (5, 6)]
    close(*likeliest)
    cold = make(temperature=1e-6).sample([5], 8)
    close(cold, likeliest[0])
    close(make(top_p=1e-9).sample([5], 8), cold)
    assert (make(top_k=0, top_p=1).sample([5], 8) - cold).abs().max() > 0.01


@pytest.mark.parametrize("hierarchical", [False, True])
def test_a_video_may_begin_more_freely_than_it_goes_on(hierarchical):
    def latents(seed, **options):
        return list(islice(make(hierarchical, top_k=1, **options).latents([seed]), 3))

    narrow, other = (latents(seed, top_k_init=1) for seed in (5, 6))
    assert torch.equal(narrow[0], other[0])
    free, another = (latents(seed, top_k_init=0, top_p_init=1) for seed in (5, 6))
    assert not torch.equal(free[0], another[0])
    assert torch.equal(free[0], latents(5, top_k_init=0, top_p_init=1, top_p=0.5)[0])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"context": 2}, "context is 2; it should be from 1 to 1 latent frames"),
        ({"top_p": 0}, "temperature should be above 0"),
        ({"temperature": 0}, "temperature should be above 0"),
        ({"mode": "other"}, "mode is other; it should be released or intended"),
    ],
)
def test_options_out_of_range_are_refused(options, said):
    with pytest.raises(ValueError, match=said):
        make(**options)


def test_it_says_what_it_is():
    generator = make()
    assert generator.size == TATS.size_of(config()) == (SIDE, SIDE)
    assert (generator.fps, generator.max_frames) == (30, None)
    assert list(TATS.stages) == ["vqgan", "transformer"]
    assert list(TATSHierarchical.stages) == ["vqgan", "transformer", "interpolation"]
    slow = TATS.from_states(config(model={"time_step": 4}), STATES, 30.0)
    assert slow.fps == 7.5


def test_classes_are_drawn_and_tokens_of_classes_are_no_codes():
    states = {"transformer": dict(STATES["transformer"])}
    own = dict(states["transformer"]["transformer"])
    for name in ("tok_emb.weight", "head.weight"):
        own[name] = torch.cat([torch.randn(5, 8, generator=torch.Generator().manual_seed(0)), own[name]])
    states["transformer"]["transformer"] = own
    settings = config().model_dump()
    settings["model"]["transformer"]["classes"] = 5
    generator = TATS.from_states(TATS.config_type(**settings), states, 30.0, top_k=0, top_p=1)
    labels = generator._condition(range(60))
    assert set(labels.flatten().tolist()) == set(range(5))
    codes = torch.stack(list(islice(generator.latents(range(20)), 3)))
    assert codes.min() >= 0
    assert codes.max() < 12
    assert (codes == 0).float().mean() > 1.5 / 12


def test_the_autoencoder_is_that_which_the_transformer_was_trained_on():
    other = {name: {key: x + 1 for key, x in part.items()} for name, part in STATES["vqgan"].items()}
    found = TATS.from_states(config(), {**STATES, "vqgan": other}, 30.0)
    assert torch.equal(found.sample([5], 3), make().sample([5], 3))


def test_missing_stages_are_named():
    with pytest.raises(ValueError, match=r"the stage transformer is not trained$"):
        TATS.from_states(config(), {"vqgan": STATES["vqgan"]}, 30.0)
    with pytest.raises(ValueError, match=r"the stage interpolation is not trained$"):
        TATSHierarchical.from_states(config(True), {"transformer": BOTH["transformer"]}, 30.0)


@pytest.mark.parametrize("hierarchical", [False, True])
def test_checkpoints_keep_its_videos(hierarchical):
    check_round_trip(*((TATSHierarchical, config(True), BOTH) if hierarchical else (TATS, config(), STATES)), length=6)


def test_real_videos_go_through_the_autoencoder():
    generator = make()
    generator.fingerprint = "weights"
    parts = generator.on_real(noise(), 6)
    assert parts.keys() == {"vqgan"}
    assert parts["vqgan"].sample([1], 6).shape == (1, 3, 6, SIDE, SIDE)
    assert parts["vqgan"].fingerprint.startswith("vqgan of weights/")


def test_a_training_that_was_stopped_ends_as_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.setattr("vidbench.training.Judge.look", lambda *arguments: None)
    values = {"steps": 3, "checkpoint_every": 2, "evaluate_every": 3, "metric": "fvd16@2"}
    settings = config(vqgan=values, transformer=values)
    runs = [
        Run("tats", TATS, settings, "small", noise(), "toy3d", tmp_path / name, workers=0)
        for name in ("whole", "parts")
    ]
    train(runs[0], ["vqgan", "transformer"], None, Listener())
    for stage in ("vqgan", "transformer"):
        train(runs[1], [stage], 1, Listener())
        train(runs[1], [stage], None, Listener())
        one, two = (load_checkpoint(run.last(stage)) for run in runs)
        for ours, other in ((one.state, two.state), (one.optimizers, two.optimizers)):
            assert ours.keys() == other.keys() != set()
            for name, tensors in ours.items():
                assert all(torch.equal(tensor, other[name][key]) for key, tensor in tensors.items()), name
