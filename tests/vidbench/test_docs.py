"""The documentation holds: a page a metric, tables equal to the YAML, links that resolve, commands that parse."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from vidbench.cli import cli
from vidbench.metrics.corruptions import CORRUPTIONS
from vidbench.protocol import load_protocol, presets
from vidbench.registry import BACKBONES
from vidbench.sanity_report import SanityReport

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("results/**/*.md")])
METRIC_PAGES = [path for path in PAGES if path.parent == ROOT / "docs/metrics" and path.name != "README.md"]
RESULTS = sorted(ROOT.glob("results/sanity/*.json"))
HEADINGS = [
    "What it is",
    "The protocol",
    "What it sees and what it is blind to",
    "How sure",
    "How to cite and report",
]
MACHINE_PATH = re.compile(r"(?<![\w.:/~])/(?:home|mnt|opt|root|scratch|tmp|usr|var|work|Users)/")

pages = pytest.mark.parametrize("page", PAGES, ids=[path.relative_to(ROOT).as_posix() for path in PAGES])
metric_pages = pytest.mark.parametrize("page", METRIC_PAGES, ids=[path.stem for path in METRIC_PAGES])


def section(page: Path, heading: str) -> str:
    return page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]


def tables(text: str) -> Iterator[list[list[str]]]:
    """Cells of the Markdown tables, header first; without code quotes."""
    for block in re.findall(r"(?:^\|.*\|\n)+", text + "\n", flags=re.MULTILINE):
        rows = [[cell.strip(" `") for cell in line.strip("|").split("|")] for line in block.splitlines()]
        yield [rows[0], *rows[2:]]


def protocols(page: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """What a page's protocol tables say: a preset and its fields."""
    for header, *rows in tables(section(page, "The protocol")):
        for column, name in enumerate(header):
            if name in presets():
                yield name, {row[0]: row[column] for row in rows}


def targets(page: Path) -> list[str]:
    """Where links lead, the web left out."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [target for target in found if not re.match(r"[a-z]+:", target)]


def commands(page: Path) -> Iterator[str]:
    """Every command line of vidbench, in a block of code or between backquotes in a line."""
    text = page.read_text().replace("\\\n", " ")
    fenced = re.compile(r"^```\w*\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
    yield from re.findall(r"^(vidbench .*)$", "\n".join(fenced.findall(text)), flags=re.MULTILINE)
    rest = fenced.sub("", text)
    yield from re.findall(r"^ {4}(vidbench .*)$", rest, flags=re.MULTILINE)
    yield from (" ".join(found.split()) for found in re.findall(r"`(vidbench [^`]+)`", rest))


def test_every_metric_of_the_house_has_a_page_that_the_index_links_to():
    index = ROOT / "docs/metrics/README.md"
    linked = {(index.parent / target).resolve() for target in targets(index)}
    assert set(METRIC_PAGES) <= linked
    told = {name for page in METRIC_PAGES for name, _ in protocols(page)}
    assert {name for name in presets() if "/" not in name} <= told
    assert {name for name in presets() if "/" in name} <= set(re.findall(r"`([\w-]+/[\w-]+)`", index.read_text()))


@metric_pages
def test_every_page_of_a_metric_has_the_same_five_headings(page: Path):
    assert re.findall(r"^## (.*)$", page.read_text(), flags=re.MULTILINE) == HEADINGS


@metric_pages
def test_protocol_tables_are_the_presets(page: Path):
    found = dict(protocols(page))
    assert found
    for name, told in found.items():
        fields = load_protocol(name).model_dump(exclude={"name", "about", "source", "split", "size"}, exclude_none=True)
        assert told == {field: str(value) for field, value in fields.items()}, name


@metric_pages
def test_the_sentence_to_paste_is_of_the_protocol_as_it_is(page: Path):
    [(name, version, digest)] = re.findall(
        r"^> We report .* protocol (\S+) version (\d+) \((\w{12})\)\.$", page.read_text(), re.M
    )
    protocol = load_protocol(name).resolved(size=(32, 32), split="train")
    assert (str(protocol.version), protocol.hash[:12]) == (version, digest)


def test_the_table_of_corruptions_is_what_is_done():
    rows = [row for header, *rows in tables(section(ROOT / "docs/sanity.md", "Corruptions")) for row in rows]
    told = {
        row[1].split(":")[0]: (row[0], [float(level) for level in row[2].split(",")]) for row in rows if ":" in row[1]
    }
    levels = {each.name: (each.kind, list(each.levels)) for each in CORRUPTIONS if len(each.levels) > 1}
    assert told == levels
    single = {each.name for each in CORRUPTIONS if len(each.levels) == 1}
    assert single == {name for row in rows if ":" not in row[1] for name in row[1].split("; ")}


@pages
def test_links_lead_to_files(page: Path):
    missing = [target for target in targets(page) if not (page.parent / target.partition("#")[0]).exists()]
    assert not missing


@pages
def test_commands_parse_and_name_what_there_is(page: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(click.Path, "convert", lambda self, value, param, ctx: value)  # no file need be there
    for line in commands(page):
        words = shlex.split(line, comments=True)
        command: click.Command = cli
        name = words.pop(0)
        while isinstance(command, click.Group) and words:
            name = words.pop(0)
            found = command.get_command(click.Context(command), name)
            assert found is not None, line
            command = found
        if not words:  # the verb is spoken of
            continue
        values = command.make_context(name, words).params
        metrics = values.get("metrics") or [values.get("metric")]
        assert all(metric is None or metric.endswith(".yaml") or load_protocol(metric) for metric in metrics), line
        assert values.get("backbone") in (None, *BACKBONES.names()), line


@pages
def test_no_page_names_a_place_on_somebody_s_machine(page: Path):
    assert not MACHINE_PATH.findall(page.read_text())


def overview(reports: list[SanityReport]) -> Iterator[str]:
    """Rows of the table over all sanity checks that are kept: a line a check and seed."""
    for report in reports:
        name = re.sub(r"-n\d+$", "", report.stem()).replace("[", "-").replace("]", "")
        for trial in report.trials:
            fails = [f"{check.row} ({check.rule})" for check in trial.checks if not check.passed]
            index = ", ".join(f"{value:.3g}" for value in trial.content_bias[1:4])
            yield (
                f"| [`{report.metric}`]({name}.md) | {report.real.name} | {report.clips} | {trial.seed} |"
                f" {trial.mean:.3g} ± {trial.std:.2g} | {index} | {', '.join(fails) or 'none'} |"
            )


def test_the_overview_of_sanity_checks_is_that_of_the_reports():
    """Where a report is new, this prints the row to put in."""
    reports = [SanityReport.model_validate_json(path.read_text()) for path in RESULTS]
    page = ROOT / "results/sanity/README.md"
    found = [line for line in page.read_text().splitlines() if line.startswith("| [")] if page.exists() else []
    assert found == list(overview(reports)), "\n".join(overview(reports))
