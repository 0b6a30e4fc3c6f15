"""The page in headless Chromium: what it shows, what it lets nobody do, and that typing filters."""

import json
import shutil
import time

import pytest

from text_uda.report import build

pytest.importorskip("matplotlib")
webdriver = pytest.importorskip("selenium.webdriver")

from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

HOSTILE = [
    "<script>alert('script')</script><img src=x onerror=alert('img')>",
    "\"double\" 'single' `back` &amp; &lt;b&gt; </script> {{ 7 * 7 }} $x^2$",
    "so bad \N{FACE WITH TEARS OF JOY} \N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER} it is good",
    "فيلم جميل جدا \N{RIGHT-TO-LEFT OVERRIDE}dne eht",
    "aword" * 200,
]
PLAIN = ["the cast is superb", "the plot is a mess"]

BROWSERS = ("chromium", "chromium-browser", "google-chrome")

# Contrast of every text that can be seen, by WCAG 2: the colours as they are painted, opacity counted.
CONTRAST = """
const paint = document.createElement("canvas").getContext("2d", {willReadFrequently: true});
const parsed = (colour) => {
  paint.clearRect(0, 0, 1, 1); paint.fillStyle = colour; paint.fillRect(0, 0, 1, 1);
  return [...paint.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
};
const over = (top, alpha, ground) => ground.map((value, i) => alpha * top[i] + (1 - alpha) * value);
const luminance = (rgb) => {
  const [r, g, b] = rgb.map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const found = [];
for (const element of document.body.querySelectorAll("*")) {
  if (!element.checkVisibility() || element.closest(".unseen, option, script, .skip, title")) continue;
  if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
  const chain = []; for (let e = element; e; e = e.parentElement) chain.unshift(getComputedStyle(e));
  let ground = [1, 1, 1], opacity = 1;
  for (const css of chain) {
    const own = parsed(css.backgroundColor); ground = over(own, own[3], ground); opacity *= Number(css.opacity);
  }
  const last = chain.at(-1), inFigure = element.closest("svg");
  const ink = parsed(inFigure ? last.fill : last.color);
  const [a, b] = [luminance(over(ink, ink[3] * opacity, ground)), luminance(ground)].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), element.outerHTML.slice(0, 120)]);
}
return found.sort((x, y) => x[0] - y[0]);
"""


@pytest.fixture(scope="module")
def driver():
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    server = shutil.which("chromedriver")
    if browser is None or server is None:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(server))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("page") / "report.html"


@pytest.fixture
def page(place, driver, make_run, answer):
    """A page of hostile texts, opened anew, light and on a screen; written once for all tests."""
    if not place.exists():
        runs = []
        for method in ("none", "synonym"):
            for seed in (0, 1):
                runs.append(make_run(method, seed, texts=HOSTILE + PLAIN * 20, labels=40))
                right = {"none": "positive", "synonym": "negative"}[method]
                rows = [(text, "positive", right) for text in HOSTILE]
                answer(runs[-1], [*rows, *((f"{text} {n}", "negative", right) for n in range(15) for text in PLAIN)])
        build(
            [*runs, make_run("none", 0, labels=400, folder="more"), make_run("none", 1, labels=400, folder="yet more")],
            place,
        )
    driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    screen(driver, 1280)
    scheme(driver, "light")
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    driver.get(place.as_uri())
    return driver


def screen(driver, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 1, "mobile": width < 500}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def scheme(driver, name: str) -> None:
    features = [{"name": "prefers-color-scheme", "value": name}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def browsers(driver):
    return driver.find_elements(By.CSS_SELECTOR, ".browser")


def shown(browser) -> list[str]:
    items = browser.find_elements(By.CSS_SELECTOR, ".sources > li:not([hidden]) > .source > span")
    return [item.get_property("textContent") for item in items]


def test_nothing_is_complained_of_and_nothing_asked_for(page):
    for details in page.find_elements(By.CSS_SELECTOR, "summary"):
        details.click()
    assert page.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert asked == [page.current_url] and asked[0].startswith("file:")


def test_hostile_texts_are_shown_as_they_are(page):
    rows, pairs = browsers(page)
    assert shown(rows)[: len(HOSTILE)] == shown(pairs)[: len(HOSTILE)] == HOSTILE
    tags = "return [...document.querySelectorAll('*')].map((e) => e.localName)"
    found = page.execute_script(tags)
    assert found.count("script") == 1 and not {"img", "iframe", "object", "link"} & set(found)
    attributes = "return [...document.querySelectorAll('*')].flatMap((e) => e.getAttributeNames())"
    assert not [name for name in page.execute_script(attributes) if name.startswith("on")]
    # An open dialog would have ended the scripts above with an error. The right-to-left text reads from the right.
    direction = (
        "return getComputedStyle(document.querySelectorAll('#pairs ~ .sources > li > .source > span')[3]).direction"
    )
    assert page.execute_script(direction) == "rtl"


def test_typing_filters_the_paraphrases(page):
    _, pairs = browsers(page)
    search, count = pairs.find_element(By.CSS_SELECTOR, "input"), pairs.find_element(By.CSS_SELECTOR, "output")
    assert count.text == "7 texts"
    search.send_keys("SHAMBLES")  # what was put in is searched too
    assert shown(pairs) == ["the plot is a mess"] and count.text == "1 text"
    search.clear()
    search.send_keys("superb nowhere")
    assert shown(pairs) == [] and count.text == "0 texts"
    search.send_keys(Keys.CONTROL, "a")
    search.send_keys("<script>")
    assert shown(pairs) == HOSTILE[:1]
    assert count.get_attribute("aria-live") == "polite"


def test_typing_and_choosing_filter_the_test_rows(page):
    rows, pairs = browsers(page)
    search, count = rows.find_element(By.CSS_SELECTOR, "input"), rows.find_element(By.CSS_SELECTOR, "output")
    assert count.text == "35 rows" and len(shown(rows)) == 20
    more = rows.find_element(By.CSS_SELECTOR, "button")
    more.send_keys(Keys.ENTER)
    assert len(shown(rows)) == 35 and not more.is_displayed()
    assert page.switch_to.active_element == rows.find_elements(By.CSS_SELECTOR, ".sources > li")[20]
    search.send_keys("mess 7")
    assert shown(rows) == ["the plot is a mess 7"] and count.text == "1 row" and len(shown(pairs)) == 7
    search.send_keys(Keys.CONTROL, "a", Keys.BACKSPACE)
    who = rows.find_element(By.CSS_SELECTOR, "select[name=right]")
    counts = {
        "labels alone, but not every method": 5,
        "a method, but not labels alone": 30,
        "no method": 0,
        "synonym": 30,
    }
    for choice, number in (counts | {"labels alone": 5}).items():
        option = next(o for o in who.find_elements(By.CSS_SELECTOR, "option") if o.text == choice)
        option.click()
        assert count.text == f"{number} rows", choice
    assert shown(rows) == HOSTILE


@pytest.mark.parametrize("width", [360, 390, 768])
def test_the_page_does_not_scroll_sideways(page, width):
    screen(page, width)
    for details in page.find_elements(By.CSS_SELECTOR, "summary"):
        details.click()
    assert page.execute_script("return document.scrollingElement.scrollWidth") <= width


def test_the_table_of_results_fits_a_window(page, make_run, tmp_path):
    """With all its columns, long names and wide numbers."""
    runs = [
        make_run(method, seed, error=error + step * seed, name=f"{method} {'with a long name ' * 4}{seed}",
                 augmentation={"rate": rate}, folder=f"{method}-{rate}-{seed}")
        for method, error, step, rates in (("none", 40.0, 9, (0,)), ("back-translation", 30.0, 5, (0.25, 0.5)))
        for rate in rates
        for seed in (0, 1, 2)
    ]  # fmt: skip
    page.get(build(runs, tmp_path / "report.html").as_uri())
    assert len(page.find_elements(By.CSS_SELECTOR, ".results thead th")) == 12
    around = page.find_element(By.CSS_SELECTOR, ".scroll:has(.results)")
    assert around.get_property("scrollWidth") <= around.get_property("clientWidth")


@pytest.mark.parametrize("name", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(page, name):
    scheme(page, name)
    ground = page.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(21, 23, 26)"}[name]
    found = page.execute_script(CONTRAST)
    assert len(found) > 200
    assert [(round(ratio, 2), what) for ratio, what in found if ratio < 4.5] == []


def test_without_scripts_all_rows_are_there(page):
    page.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.get(page.current_url)
    seen = """[...document.querySelectorAll(".browser")].map((browser) => [".sources > li", "form, button"].map(
        (which) => [...browser.querySelectorAll(which)].filter((i) => i.checkVisibility()).length).join(" ")).join()"""
    for _ in range(100):  # without scripts nothing tells when the page is there
        found = page.execute_cdp_cmd("Runtime.evaluate", {"expression": seen})["result"]["value"]
        if found:
            break
        time.sleep(0.1)
    assert found == "35 0,7 0"


def test_the_keyboard_finds_its_way(page):
    body = page.find_element(By.CSS_SELECTOR, "body")
    body.send_keys(Keys.TAB)
    skip = page.switch_to.active_element
    assert skip.text == "Skip to the results" and skip.location["x"] >= 0
    skip.send_keys(Keys.ENTER)
    assert page.switch_to.active_element.tag_name == "main"
    names = """return [...document.querySelectorAll("input, select, [role=region], svg[role=img], section, nav")].map(
        (e) => e.ariaLabel || e.labels?.[0].textContent || document.getElementById(e.getAttribute("aria-labelledby"))
            .textContent)"""
    assert all(page.execute_script(names))
    search = page.find_element(By.CSS_SELECTOR, "input")
    search.send_keys(Keys.TAB, Keys.SHIFT + Keys.TAB)
    assert page.execute_script("return getComputedStyle(arguments[0]).outlineStyle", search) == "solid"
