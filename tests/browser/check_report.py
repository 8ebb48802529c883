"""The report in a real browser, Debian's Chromium: `make check-report`, apart from the other tests.

Its screenshots, at the width of a laptop and of a phone, light and dark, are left for people to look at.
"""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from selenium.common.exceptions import TimeoutException
from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from vidbench.cli import cli
from vidbench.journal import Journal

QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = {"laptop": (1280, 800), "phone": (390, 844)}
PATIENCE = 60  # seconds: machines are shared


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The report of a small evaluation, by the command."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("VIDBENCH_CACHE", str(folder / "cache"))
        models = [word for name in ("real", "freeze", "noise") for word in ("--model", name)]
        small = ("--clips", "6", "--workers", "0", "--no-references", *models)
        with Journal(Path("runs/stylegan-v/toy-ride-tiny"), "gan", 0) as journal:
            for step in range(1, 200):
                journal.write(step, loss_G=1 + 1 / step, loss_D=1 - 1 / step)
            journal.write(200, metric="fvd16@8[toy3d]", value=20.0, se=2.0)
        for words in (
            ("eval", "--metric", "fvd16", "--metric", "color-drift", *small),
            ("eval", "--metric", "fvd16", "--data", "toy-sky", *small),
            ("eval", "--metric", "drift", "--set", "frames=48", *small),
            ("report",),
        ):
            result = CliRunner().invoke(cli, words)
            assert result.exit_code == 0, result.output
    yield folder / "runs/report/index.html"


@pytest.fixture
def browse(page: Path, tmp_path: Path) -> Iterator[Callable[..., Chrome]]:
    """Opens the page: `width` is of `WIDTHS`, `features` what the reader prefers."""
    opened: list[Chrome] = []

    def open_page(width: str = "laptop", **features: str) -> Chrome:
        options = ChromeOptions()
        options.binary_location = str(shutil.which("chromium"))
        for argument in (*QUIET, f"--user-data-dir={tmp_path / 'profile'}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        browser = Chrome(options, ChromeService(shutil.which("chromedriver")))
        opened.append(browser)
        across, down = WIDTHS[width]
        metrics = {"width": across, "height": down, "deviceScaleFactor": 1, "mobile": width == "phone"}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        browser.get(page.as_uri())
        return browser

    yield open_page
    for browser in opened:
        browser.quit()


def visible(browser: Chrome, selector: str) -> list[WebElement]:
    return [element for element in browser.find_elements(By.CSS_SELECTOR, selector) if element.is_displayed()]


def until(browser: Chrome, holds: Callable[[Chrome], object]) -> None:
    WebDriverWait(browser, PATIENCE).until(holds)


def times(browser: Chrome) -> list[float]:
    found: list[float] = browser.execute_script("return all('video').map(video => video.currentTime)")
    return found


def test_the_page_asks_the_network_for_nothing_and_reports_no_problem(browse: Callable[..., Chrome]) -> None:
    browser = browse()
    until(browser, lambda b: b.execute_script("return all('video').every(video => video.readyState >= 2)"))
    assert browser.get_log("browser") == []
    entries: list[str] = browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
    assert [name for name in entries if not name.startswith("data:")] == []
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert asked and {url.partition(":")[0] for url in asked} <= {"file", "data", "chrome"}  # chrome: its new tab


def test_videos_play_in_step_and_stop(browse: Callable[..., Chrome]) -> None:
    browser = browse(prefers_reduced_motion="reduce")
    button = browser.find_element(By.CSS_SELECTOR, ".play")
    assert button.text == "Play all" and set(times(browser)) == {0}
    button.send_keys(Keys.ENTER)
    first = len(browser.find_elements(By.CSS_SELECTOR, ".tiles")[0].find_elements(By.TAG_NAME, "video"))
    assert first == 12  # three each of the data, real, freeze and noise
    until(browser, lambda b: min(times(b)[:first]) > 0.5)
    button.send_keys(Keys.ENTER)
    until(browser, lambda b: b.execute_script("return all('video').every(v => v.paused && !v.seeking)"))
    stopped = times(browser)[:first]
    assert max(stopped) - min(stopped) < 0.01
    assert set(times(browser)[first:]) == {0}


def test_videos_play_by_themselves_where_they_can_be_seen_unless_motion_is_unwanted(
    browse: Callable[..., Chrome],
) -> None:
    for wanted, plays in (("no-preference", True), ("reduce", False)):
        browser = browse(prefers_reduced_motion=wanted)
        browser.execute_script("document.querySelector('.tiles').scrollIntoView({behavior: 'instant'})")
        if plays:
            until(browser, lambda b: max(times(b)) > 0.2)
        else:
            with pytest.raises(TimeoutException):
                WebDriverWait(browser, 3).until(lambda b: max(times(b)) > 0)
        browser.quit()


def test_the_table_is_filtered_and_sorted(browse: Callable[..., Chrome]) -> None:
    browser = browse()
    output = browser.find_element(By.CSS_SELECTOR, "#filter output")
    assert output.text == "12 scores" and len(visible(browser, "#scores tbody tr")) == 12
    Select(browser.find_element(By.NAME, "dataset")).select_by_visible_text("toy-sky")
    assert output.text == "3 of 12 scores" and len(visible(browser, "#scores article")) == 1
    assert {row.get_attribute("data-dataset") for row in visible(browser, "#provenance details")} == {"toy-sky"}
    browser.find_element(By.NAME, "model").send_keys("free")
    assert [row.text for row in visible(browser, "#scores tbody th")] == ["freeze"]
    browser.find_element(By.CSS_SELECTOR, "#filter button").click()
    until(browser, lambda b: output.text == "12 scores")
    head = visible(browser, "#scores thead button")[0]
    for direction, reverse in (("ascending", False), ("descending", True)):
        head.send_keys(Keys.ENTER)
        names = [row.text for row in visible(browser, "#scores table:first-of-type tbody th")][:3]
        assert names == sorted(["real", "freeze", "noise"], reverse=reverse)
        assert head.find_element(By.XPATH, "..").get_attribute("aria-sort") == direction


def test_a_number_leads_to_how_it_was_made(browse: Callable[..., Chrome]) -> None:
    browser = browse()
    visible(browser, "#scores tbody a")[0].send_keys(Keys.ENTER)
    until(browser, lambda b: visible(b, "details:target dl"))
    assert "protocol" in browser.find_element(By.CSS_SELECTOR, "details:target").text


def test_a_line_of_a_chart_is_switched_off_and_on(browse: Callable[..., Chrome]) -> None:
    browser = browse()
    button = visible(browser, "#pace .legend button")[1]
    for expected in (3, 4):
        button.send_keys(Keys.ENTER)
        assert len(browser.find_elements(By.CSS_SELECTOR, "#pace .chart .line:not(.off)")) == expected


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_its_width_and_is_photographed(
    browse: Callable[..., Chrome], page: Path, width: str, scheme: str
) -> None:
    browser = browse(width, prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    until(browser, lambda b: b.execute_script("return all('video').every(video => video.readyState >= 2)"))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= WIDTHS[width][0]
    ground: str = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) > 384) == (scheme == "light")
    height = browser.execute_script("return document.documentElement.scrollHeight")
    across = WIDTHS[width][0]
    metrics = {"width": across, "height": height, "deviceScaleFactor": 1, "mobile": width == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    assert browser.save_screenshot(str(page.parent / f"{width}-{scheme}.png"))
