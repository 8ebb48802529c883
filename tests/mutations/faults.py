"""Planted faults: one line each, of the kind that people make, that leave everything running."""

from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Fault(NamedTuple):
    """One line that is wrong."""

    name: str
    old: str
    new: str
    subject: str
    """What `regress` must find it in."""
    file: str

    def __str__(self) -> str:
        return f"{self.subject}: {self.name}"

    def planted(self) -> str:
        """The file with the fault in it.

        Raises:
            AssertionError: the old text is not in it exactly once.
        """
        text = (ROOT / self.file).read_text()
        assert text.count(self.old) == 1, f"{self.name}: {text.count(self.old)} times in {self.file}: {self.old}"
        return text.replace(self.old, self.new)


PLANTED = {
    ("stylegan-v", "models/layers/convolution.py"): [
        ("demodulation dropped", "styles, norms * gain)", "styles, 0 * norms + gain)"),
        ("filter gain", "padding=(1, 1, 1, 1), gain=4.0)", "padding=(1, 1, 1, 1), gain=2.0)"),
    ],
    ("stylegan-v", "models/stylegan_v/stage.py"): [
        ("lazy R1 weight", 'self._descend("D", loss * self.settings.r1_every, step)', 'self._descend("D", loss, step)'),
    ],
    ("stylegan-v", "models/stylegan_v/loss.py"): [
        ("R1 sign", "return gamma / 2 *", "return -gamma / 2 *"),
    ],
    ("stylegan-v", "models/stylegan_v/motion.py"): [
        ("alpha inverted", "start[at].lerp(stop[at], alpha)", "stop[at].lerp(start[at], alpha)"),
        ("off by one in time", "(index + 1) * self.distance", "index * self.distance"),
    ],
    ("stylegan-v", "models/layers/minibatch_std.py"): [
        ("minibatch deviation", "correction=0", "correction=1"),
    ],
    ("stylegan-v", "models/layers/augment.py"): [
        ("augmentation the wrong way", "np.sign(signs_mean - target)", "np.sign(target - signs_mean)"),
    ],
    ("stylegan-v", "models/layers/training.py"): [
        ("EMA half-life", "0.5 ** (batch /", "0.5 ** (2 * batch /"),
        ("Adam's second decay", "0.99**share", "0.999**share"),
    ],
    ("long-video-gan", "models/long_video_gan/adversarial.py"): [
        ("EMA takes the wrong share", "mean.lerp_(new, 1 - decay)", "mean.lerp_(new, decay)"),
    ],
    ("long-video-gan", "models/long_video_gan/temporal_noise.py"): [
        ("filters at the wrong end", "row[-len(taps) :] = taps", "row[: len(taps)] = taps"),
    ],
    ("long-video-gan", "models/long_video_gan/stretch.py"): [
        ("stretch half a frame off", "((index + 0.5).double() / factor - 0.5)", "(index.double() / factor)"),
    ],
    ("long-video-gan", "models/long_video_gan/superres_stage.py"): [
        (
            "context forgotten",
            "source.read(video, first, first + self.frames)",
            "source.read(video, start, start + self.frames)",
        ),
    ],
    ("long-video-gan", "models/layers/alias_free.py"): [
        ("alias-free filter gain", "up * math.sqrt(2)", "up"),
    ],
    ("long-video-gan", "models/long_video_gan/lowres_stage.py"): [
        ("R1 sign", "add_gradients(penalty * (", "add_gradients(-penalty * ("),
    ],
    ("long-video-gan", "models/layers/averages.py"): [
        ("magnitude multiplied", "self.magnitude_ema.rsqrt()", "self.magnitude_ema.sqrt()"),
    ],
    ("long-video-gan", "models/long_video_gan/corruption.py"): [
        ("corruption inverted", "(happens < augment", "(happens > augment"),
    ],
    ("long-video-gan", "models/layers/loss.py"): [
        ("generator's sign", "return F.softplus(-fake)", "return F.softplus(fake)"),
    ],
    ("mocogan-hd", "models/mocogan_hd/pca.py"): [
        ("PCA basis transposed", "vectors.T.flip(0)", "vectors.flip(0)"),
    ],
    ("mocogan-hd", "models/mocogan_hd/image_stage.py"): [
        (
            "EMA takes the wrong share",
            "mean.lerp_(new, 1 - self.settings.ema_decay)",
            "mean.lerp_(new, self.settings.ema_decay)",
        ),
    ],
    ("mocogan-hd", "models/mocogan_hd/motion_generator.py"): [
        ("walk backwards", "alpha=self.strength", "alpha=-self.strength"),
    ],
    ("mocogan-hd", "models/mocogan_hd/image_loss.py"): [
        ("path length average", "PATH_DECAY * (batch - mean), lengths", "PATH_DECAY * (mean - batch), lengths"),
    ],
    ("mocogan-hd", "models/mocogan_hd/motion_loss.py"): [
        ("relativistic target", "other.mean() - target)", "other.mean() + target)"),
    ],
    ("mocogan-hd", "models/mocogan_hd/video.py"): [
        ("pairs off by one in time", "later = clips[:, 1:]", "later = clips[:, :-1]"),
    ],
    ("mocogan-hd", "models/mocogan_hd/spectral.py"): [
        ("spectral norm dropped", "return self.weight_orig / (u @ matrix @ v)", "return self.weight_orig"),
    ],
    ("video-ldm", "models/video_ldm/mixing.py"): [
        ("mixing alpha inverted", "torch.lerp(branch.to(z.dtype), z,", "torch.lerp(z, branch.to(z.dtype),"),
    ],
    ("video-ldm", "models/video_ldm/context.py"): [
        ("context mask inverted", "torch.where(shown, z, 0.0)", "torch.where(shown, 0.0, z)"),
    ],
    ("video-ldm", "models/video_ldm/diffusion.py"): [
        ("sign of the velocity", "return self._scheduler.get_velocity(", "return -self._scheduler.get_velocity("),
    ],
    ("video-ldm", "models/video_ldm/autoencoder_loss.py"): [
        ("adaptive weight dropped", "ADVERSARIAL_WEIGHT * ratio * loss", "ADVERSARIAL_WEIGHT * loss"),
        ("weight of the divergence", "KL_WEIGHT = 1e-6", "KL_WEIGHT = 1e-5"),
    ],
    ("video-ldm", "models/video_ldm/averages.py"): [
        ("EMA takes the wrong share", "weight = 1 - min(", "weight = min("),
    ],
    ("video-ldm", "models/video_ldm/windows.py"): [
        ("window begins a frame early", "window[:, :, -MOTION:]", "window[:, :, -MOTION - 1 : -1]"),
    ],
    ("metrics", "metrics/color.py"): [
        ("histogram bins", "k *= bins - 1", "k *= bins - 2"),
        ("union instead of intersection", "np.minimum(counts, first[occupied])", "np.maximum(counts, first[occupied])"),
    ],
    ("metrics", "metrics/frechet.py"): [
        ("half of the trace", "trace_y - 2 * trace_sqrt", "trace_y - trace_sqrt"),
    ],
    ("metrics", "metrics/moments.py"): [
        ("biased covariance", "else self.weight - 1)", "else self.weight)"),
        ("merging without the cross term", "* (self.weight * weight / total)", "* 0"),
    ],
    ("metrics", "metrics/toy3d.py"): [
        ("variance for deviation", "over_time.std(dim=2), plain", "over_time.var(dim=2), plain"),
    ],
    ("metrics", "metrics/uncertainty.py"): [
        ("jackknife's factor", "np.sqrt((len(values) - 1) / len(values)", "np.sqrt(1 / len(values)"),
        ("extrapolated to one", "line(0.0)", "line(1.0)"),
    ],
    ("metrics", "metrics/kernel.py"): [
        ("kernel's divisor", "else len(b) - 1))", "else len(b)))"),
    ],
    ("metrics", "metrics/temporal.py"): [
        ("repetition's reach", "3 * len(g) // 4 + 1", "len(g) // 2 + 1"),
    ],
    ("metrics", "metrics/drift.py"): [
        (
            "drift's windows",
            "np.arange(len(distances)) * self.window",
            "np.arange(1, len(distances) + 1) ** 2 * self.window",
        ),
    ],
    ("metrics", "metrics/neighbours.py"): [
        ("nearest of all", "inside = squares < radii", "inside = squares < fake_radii"),
    ],
    ("metrics", "metrics/i3d_prepare.py"): [
        ("range of I3D's pixels", "return frames / 127.5 - 1", "return frames / 255"),
    ],
}

FAULTS = [Fault(*fault, *place) for place, faults in PLANTED.items() for fault in faults]
