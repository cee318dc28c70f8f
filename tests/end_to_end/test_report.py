"""Reports as a browser sees them: of a small run, of made files with several formats, devices and real weights.

NF4BENCH_REPORT names more reports (separated by ':'), such as those that the unit tests leave in
NF4BENCH_TEST_REPORT_DIR. With NF4BENCH_TEST_SCREENSHOT_DIR set, pictures stay there for eyes. Needs Debian's chromium,
chromium-driver and python3-selenium.
"""

import base64
import csv
import hashlib
import html.parser
import json
import math
import os
import pathlib
import re
import shutil
import xml.etree.ElementTree

import h5py
import made_results
import numpy as np
import pytest
from conftest import missing, stride
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

SMALL = """\
suite: small
measure: {min_samples: 10, max_samples: 12, max_seconds: 2, settle_seconds: 0}
cases:
  - op: dequant
    shapes: [[16, 64], [3, 33]]
    regime: [cold, hot]
    variants: ["nf4_dequant_bf16__*"]
  - op: gemm
    m: [1, 3]
    shapes: [[8, 96]]
    regime: cold
    variants: ["nf4_gemm_f32_acc1__scalar", "nf4_gemm_f32_acc16__*"]
"""
MORE = [p for p in os.environ.get("NF4BENCH_REPORT", "").split(":") if p]
NAMES = ["small", "formats", "weights", "two_files", *MORE]
VOID = {"meta", "br", "wbr", "input", "hr"}
MAX_BYTES = 2_000_000
A4_WIDTH = 718  # 210 mm at 96 dots an inch, less margins of 1 cm
VALUES = {  # what a mark shows that is no ratio: columns by figure
    "Speed against M": ["weights_per_s"],
    "Share of the measured ceiling": ["ceiling_fraction"],
    "Samples": ["median_us"],
    "SQNR of NF4 and int4 per tensor": ["weight_sqnr_db", "int4_sqnr_db"],
}
T_975_3 = 3.182446305284263  # Student's t, 3 degrees of freedom


# ---- the reports ----


@pytest.fixture(scope="session")
def made(nf4bench, tmp_path_factory):
    """Paths by name: results files, and the reports made of them."""
    folder = tmp_path_factory.mktemp("report")
    small, formats, weights = (folder / f"{name}.h5" for name in ("small", "formats", "weights"))
    suite = folder / "small.yaml"
    suite.write_text(SMALL)
    nf4bench("run", suite, "-o", small)
    made_results.make(small, formats, devices=("gpu", "cpu"))
    made_results.make(small, weights, weights="model.safetensors:w", seed=2)
    files = dict(small=[small], formats=[formats], weights=[weights], two_files=[formats, weights])
    reports = {name: folder / f"{name}.html" for name in files}
    for name, paths in files.items():
        nf4bench("report", *paths, "-o", reports[name], "-o", folder / f"{name}.md", "-o", folder / f"{name}.csv")
    reports.update({name: pathlib.Path(name) for name in MORE})
    return dict(files=files, reports=reports, folder=folder)


@pytest.fixture(params=NAMES)
def report(request, made):
    return made["reports"][request.param]


# ---- the text ----


class Page(html.parser.HTMLParser):
    """Tags with their attributes, ids, and the cells of all tables."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.stack, self.errors, self.rows = [], [], [], []
        self.script = self.style = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th") and self.rows:
            self.rows[-1].append("")
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if not self.stack or self.stack.pop() != tag:
            self.errors.append(f"</{tag}> at {self.getpos()}")

    def handle_data(self, data):
        if self.stack[-1:] == ["script"]:
            self.script += data
        elif self.stack[-1:] == ["style"]:
            self.style += data
        elif self.rows and self.rows[-1] and ("td" in self.stack or "th" in self.stack):
            self.rows[-1][-1] += data

    def all(self, name):
        return [a for tag, a in self.tags if tag == name]


@pytest.fixture
def text(report):
    return report.read_text(encoding="utf-8")


@pytest.fixture
def page(text):
    return Page(text)


def test_is_well_formed(text, page):
    assert page.errors == [] and page.stack == []
    xml.etree.ElementTree.fromstring(text)


def test_is_small(report):
    assert report.stat().st_size < MAX_BYTES


def test_names_nothing_outside(text, page):
    assert not re.search(r"https?://", text)
    assert not re.search(r"url\(|@import|@font-face", page.style)
    for tag, attributes in page.tags:
        assert tag not in ("img", "link", "iframe", "object", "embed", "base", "form", "video", "audio")
        assert "src" not in attributes
        assert not [a for a in attributes if a.startswith("on")], attributes
        assert attributes.get("href", "#").startswith("#"), attributes
        for value in attributes.values():
            assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", value or "")), value


def test_only_our_script_may_run(page):
    policy = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    assert len(policy) == 1 and policy[0].startswith("default-src 'none';")
    assert len(page.all("script")) == 1
    digest = "sha256-" + base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src '{digest}'" in policy[0], f'html.c must say script_digest[] = "{digest}"'


def test_ids_are_unique_and_links_lead_somewhere(page):
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert sorted(ids) == sorted(set(ids))
    assert {a["href"][1:] for _, a in page.tags if "href" in a} <= set(ids)


def test_can_be_read_by_everyone(page):
    assert [a.get("lang") for a in page.all("html")] == ["en"]
    assert len(page.all("h1")) == 1
    assert all(svg.get("aria-label") for svg in page.all("svg"))
    assert len(page.all("figure")) == len(page.all("figcaption"))
    for _, attributes in page.tags:
        for name in ("fill", "stroke", "color"):
            assert not re.search(r"rgb\(|#", attributes.get(name) or ""), "a colour that no scheme can change"


def test_numbers_are_numbers(page):
    for row in page.rows:
        assert row, "an empty row"
        assert not [cell for cell in row if re.fullmatch(r"\s*-?(nan|inf)\s*", cell)]


def test_share_bars_are_percentages(page):
    for _, attributes in page.tags:
        if "style" in attributes:
            share = re.fullmatch(r"--f:(\d+)%", attributes["style"])
            assert share and int(share[1]) <= 100, attributes


# ---- in a browser ----


@pytest.fixture(scope="session")
def chromium():
    driver = shutil.which("chromedriver")
    if not driver:
        missing("chromedriver is not installed")
    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    browser = webdriver.Chrome(options=options, service=Service(driver))
    yield browser
    browser.quit()


@pytest.fixture
def browser(chromium):
    """As on a desk, in light, not printing."""
    emulate(chromium)
    return chromium


def emulate(browser, width=1280, scheme="light", media="screen"):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            dict(width=width, height=900, deviceScaleFactor=1, mobile=width < 600))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", dict(
        media=media, features=[dict(name="prefers-color-scheme", value=scheme)]))


def visit(browser, path):
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(f"file://{path.resolve()}")


def script(browser, body, *arguments):
    return browser.execute_script(body, *arguments)


def picture(browser, name):
    """A screenshot of the whole page; kept where a folder for it is named."""
    height = script(browser, "return document.documentElement.scrollHeight")
    width = script(browser, "return innerWidth")
    shot = base64.b64decode(browser.execute_cdp_cmd("Page.captureScreenshot", dict(
        format="png", captureBeyondViewport=True,
        clip=dict(x=0, y=0, width=width, height=min(height, 12000), scale=1)))["data"])
    if "NF4BENCH_TEST_SCREENSHOT_DIR" in os.environ:
        (pathlib.Path(os.environ["NF4BENCH_TEST_SCREENSHOT_DIR"]) / f"{name}.png").write_bytes(shot)
    return shot


def test_says_nothing_to_the_console_and_asks_for_nothing(browser, report):
    visit(browser, report)
    script(browser, "document.querySelectorAll('details').forEach(function(d){d.open=true})")
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert urls == [f"file://{report.resolve()}"]


def test_a_foreign_script_does_not_run(browser, report, tmp_path):
    injected = tmp_path / "injected.html"
    injected.write_text(report.read_text().replace("<main>", "<main><script>document.title='owned'</script>"
                                                   "<p id='x' onclick=\"document.title='owned'\">x</p>"))
    visit(browser, injected)
    browser.find_element(By.ID, "x").click()
    assert browser.title != "owned"
    assert browser.get_log("browser") != []  # the browser says what it held back


def numbers_of(browser, table, column):
    cells = script(browser, """var out=[],rows=arguments[0].tBodies[0].rows,i;
        for(i=0;i<rows.length;i++)out.push(rows[i].cells[arguments[1]].textContent);return out""", table, column)
    return [float(m[0]) for m in (re.match(r"-?[\d.]+", c.replace("\u202f", "")) for c in cells) if m]


def test_columns_sort(browser, report):
    step, first = stride("NF4BENCH_STRIDE", 1)
    visit(browser, report)
    script(browser, "document.querySelectorAll('details').forEach(function(d){d.open=true})")
    for table in browser.find_elements(By.CSS_SELECTOR, "table.sort")[:12]:
        heads = table.find_elements(By.CSS_SELECTOR, "thead th")
        assert {h.get_attribute("aria-sort") for h in heads} == {"none"}
        for column, head in list(enumerate(heads))[first - 1 : 8 : step]:
            script(browser, "arguments[0].click()", head)
            assert head.get_attribute("aria-sort") == "ascending"
            up = numbers_of(browser, table, column)
            head.send_keys(Keys.ENTER)
            assert head.get_attribute("aria-sort") == "descending"
            down = numbers_of(browser, table, column)
            if script(browser, "return getComputedStyle(arguments[0]).textAlign", head) == "right":
                assert up == sorted(up) and down == sorted(up, reverse=True)


def shown(browser, selector):
    return script(browser, """return [].filter.call(document.querySelectorAll(arguments[0]),
        function(r){return r.getClientRects().length>0}).length""", selector)


def test_the_filter_of_the_page_hides_rows(browser, report):
    visit(browser, report)
    script(browser, "document.querySelectorAll('details').forEach(function(d){d.open=true;d.was=true})")
    everything = shown(browser, ".filter tbody tr")
    field = browser.find_element(By.ID, "filter")
    field.send_keys("no such word")
    assert shown(browser, ".filter tbody tr") == 0
    field.clear()
    field.send_keys("a", Keys.BACKSPACE)
    assert shown(browser, ".filter tbody tr") == everything


def test_a_table_has_its_own_filter(browser, made):
    visit(browser, made["reports"]["formats"])
    script(browser, "document.querySelectorAll('details').forEach(function(d){d.open=true})")
    rows = "[data-table=pairs] tbody tr"
    everything, others = shown(browser, rows), shown(browser, "[data-table=speedup] tbody tr")
    field = script(browser, "return document.querySelector('[data-table=pairs]').closest('.box').previousSibling")
    field.send_keys("repacked nvidia")
    some = shown(browser, rows)
    with h5py.File(made["files"]["formats"][0]) as f:
        sizes = len({tuple(r) for r in f["results"]["n", "k", "m"]})
    assert (everything, some) == (sizes * 5, sizes)  # best and isolated on each device, and on the GPU repacked twice
    assert shown(browser, "[data-table=speedup] tbody tr") == others


@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_never_scrolls_sideways(browser, report, width):
    emulate(browser, width)
    visit(browser, report)
    script(browser, "document.querySelectorAll('details').forEach(function(d){d.open=true})")
    assert script(browser, "return document.documentElement.scrollWidth") <= width
    wide = script(browser, """return [].filter.call(document.querySelectorAll('table,svg,pre,p,h1,h2,h3,input'),
        function(e){var box=e.closest('.box,.plot');if(box&&box!==e)e=box;
        return e.getBoundingClientRect().right>innerWidth+1}).map(function(e){return e.outerHTML.slice(0,200)})""")
    assert wide == []


def luminance(browser, selector, what):
    """0 to 1, of a computed colour."""
    colour = script(browser, "return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]", selector, what)
    red, green, blue = (float(c) / 255 for c in re.findall(r"[\d.]+", colour)[:3])
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_follows_the_scheme(browser, report):
    grounds = {}
    for scheme in ("light", "dark"):
        emulate(browser, scheme=scheme)
        visit(browser, report)
        grounds[scheme] = luminance(browser, "body", "backgroundColor"), luminance(browser, "body", "color")
        # A page that is not drawn is one colour, and compresses to next to nothing.
        assert len(picture(browser, f"{report.stem}-{scheme}")) > 5_000
    assert grounds["light"][0] > 0.9 and grounds["light"][1] < 0.2
    assert grounds["dark"][0] < 0.1 and grounds["dark"][1] > 0.8
    emulate(browser, 390, "dark")
    assert len(picture(browser, f"{report.stem}-phone")) > 5_000


def test_marks_can_be_told_in_any_scheme(browser, made):
    for scheme in ("light", "dark"):
        emulate(browser, scheme=scheme)
        visit(browser, made["reports"]["formats"])
        ground = luminance(browser, "body", "backgroundColor")
        colours = script(browser, """return [].map.call(document.querySelectorAll('.chart .mark'),
            function(e){var s=getComputedStyle(e);return s.stroke==='none'?s.fill:s.stroke})""")
        assert len(set(colours)) >= 5  # a colour a format
        for colour in set(colours):
            red, green, blue = (float(c) / 255 for c in re.findall(r"[\d.]+", colour)[:3])
            assert abs(0.2126 * red + 0.7152 * green + 0.0722 * blue - ground) > 0.15, colour


def test_prints(browser, report):
    emulate(browser, A4_WIDTH, scheme="dark", media="print")
    visit(browser, report)
    assert luminance(browser, "body", "backgroundColor") > 0.9  # paper is white
    assert shown(browser, "input, .how") == 0
    assert script(browser, "return document.documentElement.scrollWidth") <= A4_WIDTH
    picture(browser, f"{report.stem}-print")
    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", dict(paperWidth=8.27, paperHeight=11.69))["data"])
    if "NF4BENCH_TEST_SCREENSHOT_DIR" in os.environ:
        (pathlib.Path(os.environ["NF4BENCH_TEST_SCREENSHOT_DIR"]) / f"{report.stem}.pdf").write_bytes(pdf)
    assert pdf.startswith(b"%PDF") and len(pdf) > 10_000


# ---- what is drawn is what is in the file ----


def load(path):
    with h5py.File(path) as f:
        rows, times = f["results"][()], f["samples/time_us"][()]
    return rows, [times[r["sample_start"]:r["sample_start"] + r["sample_count"]] for r in rows]


def test_every_mark_is_a_value_of_the_file(browser, made):
    for name in ("formats", "weights", "two_files"):
        files = [load(path) for path in made["files"][name]]
        visit(browser, made["reports"][name])
        marks = script(browser, """return [].map.call(document.querySelectorAll('.mark'),function(e){
            return Object.assign({section:e.closest('section').id,words:e.firstElementChild.textContent,
            figure:e.closest('svg').getAttribute('aria-label')},e.dataset)})""")
        assert {m["section"] for m in marks} >= {"headline", "speedup", "roofline", "figures"}
        for mark in marks:
            value = float(mark["value"])
            assert math.isfinite(value) and mark["words"]
            if "row" not in mark:
                continue
            rows, samples = files[int(mark["file"])]
            row = rows[int(mark["row"])]
            assert float(mark["us"]) == row["median_us"]
            if "SQNR" not in mark["figure"]:
                assert row["variant"].decode() in mark["words"] or mark["section"] == "decode"
            if "over" in mark:
                ratio = np.median(samples[int(mark["over"])] / samples[int(mark["row"])])
                ratio = np.median(samples[int(mark["row"])] / samples[int(mark["over"])]) \
                    if mark["section"] == "decode" else ratio
                assert value == pytest.approx(ratio, rel=1e-12)
            else:
                assert value in [row[c] for c in VALUES.get(mark["figure"].split(":")[0], ["flop_per_s", "weight_sqnr_db"])], mark


def geometric_mean(rows, samples, nf4, int4, m):
    """Of int4's times over NF4's, by shape, and its 95 % interval."""
    logs = []
    for n, k in made_results.SHAPES:
        pair = [next(i for i, r in enumerate(rows) if (r["variant"].decode(), r["m"], r["n"], r["k"]) == (v, m, n, k))
                for v in (int4, nf4)]
        logs.append(math.log(np.median(samples[pair[0]] / samples[pair[1]])))
    mean, half = np.mean(logs), T_975_3 * np.std(logs, ddof=1) / 2
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


HEADLINES = [  # attribution, layout, NF4's variant, int4's
    ("best in class", "checkpoint", made_results.GPU[0][0], made_results.GPU[4][0]),
    ("best in class", "repacked", made_results.GPU[2][0], made_results.GPU[5][0]),
    ("isolated decode", "rows", made_results.GPU[0][0], made_results.GPU[3][0]),
]


@pytest.mark.parametrize("attribution, layout, nf4, int4", HEADLINES)
def test_headlines_follow_from_the_samples(browser, made, attribution, layout, nf4, int4):
    rows, samples = load(made["files"]["formats"][0])
    visit(browser, made["reports"]["formats"])
    cells = script(browser, """return [].map.call(document.querySelectorAll('[data-table=headline] tbody tr'),
        function(r){return [].map.call(r.cells,function(c){return c.textContent})})""")
    device = script(browser, """return [].map.call(document.querySelectorAll('[data-table=headline] thead th'),
        function(c){return c.textContent})""").index("NVIDIA Made 9000int4 time / NF4 time")
    with open(made["folder"] / "formats.csv", newline="") as f:
        lines = [r for r in csv.DictReader(f) if r["table"] == "headline" and r["device"] == "NVIDIA Made 9000"]
    for m, use in ((1, "M = 1"), (16, "M 2\u201332"), (256, "M 64\u2013512")):
        expected = geometric_mean(rows, samples, nf4, int4, m)
        line, = [r for r in lines if (r["use"], r["attribution"], r["layout"]) == (use, attribution, layout)]
        found = [float(line["nf4_speed_over_int4" + end]) for end in ("", "_lo", "_hi")]
        assert found == pytest.approx(expected, rel=1e-9)
        cell, = [r[device] for r in cells if r[0] == use and r[3:5] == [attribution, layout] and r[device][0] != "\u2013"]
        assert cell.startswith("%.3f [%.3f, %.3f] 4 shapes" % expected)


def test_figures_say_their_command(made):
    text = made["reports"]["formats"].read_text()
    assert text.count("<pre>nf4bench run suites/made.yaml -o made.h5\nnf4bench report formats.h5 -o formats.html</pre>") \
        == text.count('<div class="plot chart">')
    assert "/some/where" not in text.split('<section id="environment">')[0]


# ---- other forms ----


def test_csv_is_one_table_and_markdown_has_the_same(made):
    with open(made["folder"] / "formats.csv", newline="") as f:
        rows = list(csv.reader(f))
    assert {len(r) for r in rows} == {len(rows[0])}
    tables = {r[0] for r in rows[1:]}
    assert tables == {"headline", "causes", "pairs", "speedup", "ceilings", "roofline", "winners", "decode", "models",
                      "models_incomplete"}
    markdown = (made["folder"] / "formats.md").read_text()
    heads = [line for line in markdown.splitlines() if re.fullmatch(r"\| [-:| ]+\|", line)]
    assert len(heads) == len(tables) + 2  # the maps of both devices
    for line in markdown.splitlines():
        if line.startswith("|"):
            assert line.endswith("|")
