"""What is offered to authors of generators finds what it says: each way of breaking the promise is caught."""

from itertools import count, islice

import pytest
import torch

from vidbench import Generator, testing
from vidbench.testing import check_generator


class Good(Generator):
    """Every frame shows one colour, drawn from (seed, frame)."""

    size, fps = (4, 6), 25.0

    def frame(self, seed, t):
        return torch.rand(3, generator=torch.Generator().manual_seed((seed * 31 + t) % 2**63)) * 2 - 1

    def stream(self, seed):
        for first in range(0, self.max_frames or 10**9, 5):
            count = min(5, (self.max_frames or 10**9) - first)
            frames = torch.stack([self.frame(seed, first + t) for t in range(count)], dim=1)
            yield frames[:, :, None, None].expand(-1, -1, *self.size)


def broken(**parts):
    return type("Broken", (Good,), parts)


def leaks(self, seeds, num_frames, start=0):
    videos = Good.sample(self, seeds, num_frames, start)
    return (videos + videos.mean(dim=0, keepdim=True)) / 2


made = count()

BROKEN = {
    "gives other videos": broken(frame=lambda self, seed, t: torch.rand(3)),
    "another instance": broken(__init__=lambda self: setattr(self, "number", next(made)),
                               frame=lambda self, seed, t: Good.frame(self, self.number, t)),
    "give the same video": broken(frame=lambda self, seed, t: torch.tensor([0.1, 0.2, 0.01 * (t % 50)])),
    "alone, and as number 0": broken(sample=leaks),
    r"reach from .* to .*clamp": broken(frame=lambda self, seed, t: 3 * Good.frame(self, seed, t)),
    "float64; float32": broken(sample=lambda self, *asked: Good.sample(self, *asked).double()),
    "not finite": broken(frame=lambda self, seed, t: Good.frame(self, seed, t) / 0),
    r"shape \[2, 3, 1, 6, 4\]": broken(sample=lambda self, *asked: Good.sample(self, *asked).mT),
    "carry gradients": broken(sample=lambda self, *asked: Good.sample(self, *asked).requires_grad_()),
    "stream and sample": broken(sample=lambda self, seeds, count, start=0: Good.sample(self, seeds, count, start + 1)),
    "the same of a longer video": broken(sample=lambda self, seeds, count, start=0: Good.sample(self, seeds, count)),
    "is no ValueError": broken(max_frames=20, sample=lambda self, seeds, n, start=0: Good().sample(seeds, n, start)),
    "the stream goes on": broken(max_frames=20, stream=lambda self, seed: Good().stream(seed)),
    "the stream ended after": broken(stream=lambda self, seed: islice(Good().stream(seed), 1),
                                     sample=lambda self, *asked: Good().sample(*asked)),
    "fps is 0": broken(fps=0),
}  # fmt: skip


@pytest.mark.parametrize("longest", [None, 20, 3])
def test_a_good_generator_passes(longest):
    check_generator(broken(max_frames=longest), length=8)


@pytest.mark.parametrize("problem", BROKEN)
def test_a_broken_one_is_told_what_is_wrong(problem):
    with pytest.raises(AssertionError, match=problem):
        check_generator(BROKEN[problem], length=8)


def test_a_stream_that_switches_gradients_off_for_all_is_told_so():
    def stream(self, seed):
        with torch.no_grad():
            yield from Good().stream(seed)

    try:
        with pytest.raises(AssertionError, match="leaves gradients off between its chunks"):
            check_generator(broken(stream=stream, sample=lambda self, *asked: Good().sample(*asked)), length=8)
    finally:
        torch.set_grad_enabled(True)


def test_the_two_lines_that_the_documentation_promises_do():
    lines = [line.strip() for line in (testing.__doc__ or "").splitlines() if line.startswith("    ")]
    code = "\n".join([*lines, "test_my_model()"])
    exec(code, {"MyModel": Good})
    with pytest.raises(AssertionError, match="float64"):
        exec(code, {"MyModel": BROKEN["float64; float32"]})
