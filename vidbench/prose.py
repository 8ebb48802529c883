"""Scores in words: for a reader of the terminal, and for a paper (a sentence, BibTeX, a row of a LaTeX table)."""

import math
import re
from importlib.resources import files

from .comparison import MANY_CLIPS, Difference
from .record import Record
from .tables import number

W1 = "the Wasserstein-1 distance between the distributions over clips of"
MEASURES = {
    "frechet": "the Fréchet distance between Gaussians fitted to the features of",
    "kernel": "the squared maximum mean discrepancy with kernel (a.b/d + 1)^3 between the features of",
    "prdc": "the {value_of}, in balls that reach to the fifth-nearest neighbour, of the features of",
    "color-similarity": "the mean absolute gap between the curves of colour similarity S(x, t) of",
    "drift": "the {value_of} of the Fréchet distance of each {window}-frame window from real clips, by the features of",
    "flicker": f"{W1} temporal flicker of",
    "smoothness": f"{W1} weight-free motion smoothness of",
    "repetition": f"{W1} the repetition index of",
}
"""What a measure's value is, in the words of the sentence; in braces: fields of the record."""
MEASURE_REFERENCES = {
    "frechet": ["unterthiner2018fvd"],
    "kernel": ["ge2022tats", "binkowski2018kid"],
    "prdc": ["naeem2020prdc", "kynkaanniemi2019precision"],
    "color-similarity": ["brooks2022longvideogan"],
    "drift": ["unterthiner2018fvd"],
    "flicker": ["huang2024vbench"],
    "smoothness": ["huang2024vbench"],
}
PROTOCOL_REFERENCES = {
    "styleganv": ["skorokhodov2022styleganv"],
    "longvideogan": ["brooks2022longvideogan"],
    "videogpt": ["yan2021videogpt"],
    "tats": ["ge2022tats"],
    "cdfvd": ["ge2024cdfvd"],
}
"""By the first part of a protocol's name, and by the preparation of a learned backbone's input."""
BACKBONE_REFERENCES = {
    "i3d": ["carreira2017i3d"],
    "i3d-imagenet": ["carreira2017i3d"],
    "toy3d": ["adelson1985energy"],
    "toy3d-long": ["adelson1985energy"],
}
PREPARING = ("i3d", "i3d-imagenet")
"""Backbones that prepare their input as the protocol says."""
VISITS = {
    "cycle": "real videos visited {}, again until there are enough clips",
    "one": "one clip of each real video {}",
    "all": "real clips from all windows of all videos {}",
}
ORDERS = {"shuffled": "in shuffled order", "sorted": "in order of path"}
STARTS = {"random": "at random frames", "zero": "at frame 0", "random-phase": "at a frame drawn among their phases"}
CROPS = {
    "center-to-aspect": "other sizes cropped to the centred box of the aspect ratio and resized by {}",
    "shorter-side": "other sizes resized by {} to the shorter side and cropped to the centre",
    "none": "sizes taken as they are",
}
FILTERS = {
    "lanczos/pillow": "Lanczos filtering (Pillow)",
    "linear/torch": "linear interpolation (PyTorch)",
    "linear-antialias/torch": "antialiased linear interpolation (PyTorch)",
    "none": "nothing",
}
LEVELS = {"round": "rounded to 8 bit", "truncate": "truncated to 8 bit", "none": "not quantised"}
NORMALISERS = {"n-1": "covariances over N - 1", "n": "covariances over N"}
ESTIMATES = {"n-1": "the unbiased estimate", "n": "the biased estimate"}
"""What the same field means to the measure `kernel`."""
LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def plus_minus(value: float, se: float | None) -> str:
    """A value and its error, both to the error's first digit, or to its second where the first is a 1."""
    if not se or not math.isfinite(se):
        return number(value)
    exponent = math.floor(math.log10(max(abs(value), se)))
    if not -3 <= exponent < 6:
        scale = 10.0**exponent
        return f"({plus_minus(value / scale, se / scale)}) × 10^{exponent}"
    return " ± ".join(rounded(se, value, se))


def rounded(se: float, *values: float) -> list[str]:
    """Values to the first digit of an error above 0, or to its second where the first is a 1."""
    digit, _, power = f"{se:.0e}".partition("e")
    places = (digit == "1") - int(power)
    return [f"{round(value, places):.{max(places, 0)}f}" for value in values]


def score_line(record: Record) -> str:
    """The score in one line."""
    value = plus_minus(record.value, record.se)
    infinity = f"; {number(record.extrapolated)} with infinitely many clips" if record.extrapolated is not None else ""
    return f"{record.metric} of {record.model} against {real_set(record)}: {value} ({reading(record)}){infinity}"


def sentence(record: Record) -> str:
    """The score and its protocol in one sentence, ready for a paper: nothing that decides the number is left out."""
    protocol = record.protocol
    groups = f", {len(record.leave_out)} groups" if record.leave_out else ""
    notes = [reading(record)]
    if record.se is not None:
        notes.append(f"± standard error, delete-a-group jackknife over videos{groups}")
    if record.extrapolated is not None:
        notes.append(f"{number(record.extrapolated)} extrapolated to infinitely many clips")
    words = MEASURES.get(protocol.measure, "the {value_of} of")
    normalisers = ESTIMATES if protocol.measure == "kernel" else NORMALISERS
    parts = [
        f"{words.format(value_of=record.value_of, window=protocol.seen)} {sides(record)}",
        f"{frames(record)}, {starts(record)}",
        VISITS[protocol.clips_per_video].format(ORDERS[protocol.order]),
        needed(record),
        CROPS[protocol.crop].format(FILTERS[protocol.filter]),
        f"pixels of generators {LEVELS[protocol.quantise]}",
        *backbone(record),
        *([normalisers[protocol.covariance]] if protocol.covariance in normalisers else []),
        f"seed {protocol.seed}",
    ]
    made = f"vidbench {record.versions.get('vidbench', '')}, measure version {record.measure_version}"
    return (
        f"We report {record.metric} = {plus_minus(record.value, record.se)} ({'; '.join(notes)}), {', '.join(parts)};"
        f" computed with {made}, under protocol {protocol.name} version {protocol.version}"
        f" ({record.protocol_hash[:12]})."
    )


def reading(record: Record) -> str:
    """What the value is, and which way is better."""
    return f"{record.value_of}, {record.better} is better"


def real_set(record: Record) -> str:
    """The real side's name and split."""
    half = "one half of " if record.floor_of else ""
    return f"{half}{record.real.name}{f' ({record.real.split} split)' if record.real.split else ''}"


def sides(record: Record) -> str:
    """What was compared: `512 clips generated by A and 512 clips of 100 videos of B`."""
    fake, real = record.fake.counts, record.real.counts
    made = "generated by" if record.fake.kind == "generator" else f"of the {fake.available} videos of"
    left_out = sum(counts.unreadable for counts in (fake, real))
    without = f" ({left_out} unreadable videos left out)" if left_out else ""
    return (
        f"{fake.used} clips {made} {record.model} and {real.used} clips of the {real.available} videos of"
        f" {real_set(record)}{without}"
    )


def frames(record: Record) -> str:
    """A clip's frames and their size."""
    protocol = record.protocol
    strided = f"frames, every {ordinal(protocol.stride)} of {protocol.span}," if protocol.stride > 1 else ""
    height, width = protocol.size or (0, 0)
    return f"{protocol.frames} {strided or 'consecutive frames'} at {height}×{width} pixels (height × width)"


def needed(record: Record) -> str:
    """Which videos count, and how long real clips are where they are no longer than a window."""
    protocol = record.protocol
    if protocol.window is None:
        return f"only videos of {protocol.needed} frames or more"
    return f"real clips of {protocol.window} frames, only real videos of {protocol.of_real.needed} frames or more"


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th."""
    ending = "th" if 10 <= n % 100 <= 20 else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def starts(record: Record) -> str:
    """Where clips start."""
    protocol = record.protocol
    fake = protocol.generated_start if record.fake.kind == "generator" else protocol.start
    return f"real clips starting {STARTS[protocol.start]} and generated ones {STARTS[fake]}"


def backbone(record: Record) -> list[str]:
    """Whose features were compared."""
    network = record.backbone
    if network is None:
        return []
    weights = f", weights {network.weights}" if network.weights else ""
    prepared = f", input prepared as by {record.protocol.preparation}" if network.name in PREPARING else ""
    identity = f"version {network.version}, tensors {network.tensor_hash[:12]}{weights}"
    return [f"features by {network.name} ({identity}) in {record.numeric_mode}{prepared}"]


def references(record: Record) -> list[str]:
    """Keys of what a record rests on, each once: vidbench, the measure, the clips, the backbone, the error."""
    protocol = record.protocol
    imitated = protocol.name.partition("/")[0]
    clips = PROTOCOL_REFERENCES["styleganv"] + PROTOCOL_REFERENCES["longvideogan"]
    keys = ["vidbench", *MEASURE_REFERENCES.get(protocol.measure, [])]
    keys += PROTOCOL_REFERENCES.get(imitated, clips if protocol.measure in MEASURES else [])
    if record.backbone is not None:
        keys += BACKBONE_REFERENCES.get(record.backbone.name, [])
        keys += PROTOCOL_REFERENCES.get(protocol.preparation, []) if record.backbone.name in PREPARING else []
    keys += ["efron1981jackknife"] if record.se is not None else []
    keys += ["chong2020unbiased"] if record.extrapolated is not None else []
    return list(dict.fromkeys(keys))


def bibtex(record: Record) -> str:
    """BibTeX entries of what a record rests on."""
    text = files("vidbench").joinpath("references.bib").read_text(encoding="utf-8")
    entries = {entry.split("{", 1)[1].split(",", 1)[0]: entry for entry in text.strip().split("\n\n")}
    found = "\n\n".join(entries[key] for key in references(record))
    return found.replace("VERSION", record.versions.get("vidbench", "unknown"))


def latex(record: Record) -> str:
    """A booktabs row, after comments that say what goes around it."""
    arrow = r"$\downarrow$" if record.better == "lower" else r"$\uparrow$"
    cells = {"Model": escaped(record.model)}
    cells[f"{escaped(record.metric)} {arrow}"] = in_maths(plus_minus(record.value, record.se))
    if record.extrapolated is not None:
        cells["Infinitely many clips"] = in_maths(number(record.extrapolated))
    cells["Clips"] = str(record.fake.counts.used)
    return "\n".join(
        [
            r"% \usepackage{booktabs}",
            rf"% \begin{{tabular}}{{l{'r' * (len(cells) - 1)}}} \toprule",
            rf"% {' & '.join(cells)} \\ \midrule",
            rf"{' & '.join(cells.values())} \\",
            r"% \bottomrule \end{tabular}",
        ]
    )


def escaped(text: str) -> str:
    """Text with what LaTeX would read as commands written out."""
    return re.sub(r"[\\~^&%$#_{}]", lambda found: LATEX.get(found[0], rf"\{found[0]}"), text)


def in_maths(text: str) -> str:
    """A number of `plus_minus` in LaTeX."""
    text = re.sub(r"e([+-]\d+)", lambda found: f" × 10^{int(found[1])}", text)
    text = re.sub(r"10\^(-?\d+)", r"10^{\1}", text)
    return "$" + text.replace("±", r"\pm").replace("×", r"\times") + "$"


def difference_sentence(found: Difference) -> str:
    """Which of two models is better, and by how much; or that they cannot be told apart."""
    first, other = found.first, found.other
    if found.verdict == "same":
        return f"{first} and {other} score the same, to the last digit."
    if found.verdict == "unknown":
        by = number(abs(found.value))
        return f"{first} and {other} differ by {by}, but the records hold no error to judge that by: score them again."
    how = f"{'paired' if found.paired else 'unpaired'} jackknife, {found.groups} groups"
    size = plus_minus(abs(found.value), found.se)
    if found.verdict == "undecided":
        return (
            f"{first} and {other} cannot be told apart with {found.clips:,} clips: they differ by {size} ({how});"
            f" {would_do(found)}."
        )
    ahead, behind = (first, other) if found.verdict == "better" else (other, first)
    if found.se and found.limit:
        middle = abs(found.value)
        how += "; 95 % interval {} to {}".format(*rounded(found.se, middle - found.limit, middle + found.limit))
    return f"{ahead} is better than {behind} by {size} ({how})."


def would_do(found: Difference) -> str:
    """How many clips would tell two models apart."""
    if found.clips_needed is None:
        return "no number of clips would"
    if found.clips_needed > MANY_CLIPS:
        return f"it would take more than {MANY_CLIPS:,}"
    return f"about {found.clips_needed:,} would do"
