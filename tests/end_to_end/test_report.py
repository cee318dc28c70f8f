"""A report as a browser sees it.

    NF4BENCH_REPORT=out.html python3 tests/end_to_end/test_report.py

NF4BENCH_REPORT names one or more reports (separated by ':'), as `nf4bench report FILE.h5 -o out.html` writes them.
The unit tests leave theirs in NF4BENCH_TEST_REPORT_DIR. Needs nothing but Python; the tests in a browser are skipped
where there is no chromium.
"""
import base64
import hashlib
import html
import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

REPORTS = [p for p in os.environ.get("NF4BENCH_REPORT", "").split(":") if p]
BROWSER = next(filter(None, map(shutil.which, ["chromium-headless-shell", "chromium", "chromium-browser",
                                               "google-chrome"])), None)
VOID = {"meta", "br", "wbr", "input", "hr"}
MAX_BYTES = 2_000_000


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


def each_report(test):
    """Runs a test on every report, with its path, its text and its page."""
    def run(self):
        for path in REPORTS:
            with self.subTest(report=path):
                with open(path, encoding="utf-8") as f:
                    text = f.read()
                test(self, path, text, Page(text))
    return run


@unittest.skipUnless(REPORTS, "NF4BENCH_REPORT names no report")
class Report(unittest.TestCase):
    @each_report
    def test_is_well_formed(self, _path, text, page):
        self.assertEqual(page.errors, [])
        self.assertEqual(page.stack, [])
        xml.etree.ElementTree.fromstring(text)

    @each_report
    def test_is_small(self, path, _text, _page):
        self.assertLess(os.path.getsize(path), MAX_BYTES)

    @each_report
    def test_asks_for_nothing_outside(self, _path, text, page):
        self.assertNotRegex(text, r"https?://")
        self.assertNotRegex(page.style, r"url\(|@import|@font-face")
        for tag, attributes in page.tags:
            self.assertNotIn(tag, ("img", "link", "iframe", "object", "embed", "base", "form", "video", "audio"))
            self.assertNotIn("src", attributes)
            self.assertFalse([a for a in attributes if a.startswith("on")], attributes)
            if "href" in attributes:
                self.assertTrue(attributes["href"].startswith("#"), attributes)
            for value in attributes.values():
                for target in re.findall(r"url\(([^)]*)\)", value or ""):
                    self.assertTrue(target.startswith("#"), target)

    @each_report
    def test_only_our_script_may_run(self, _path, _text, page):
        policy = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
        self.assertEqual(len(policy), 1)
        self.assertTrue(policy[0].startswith("default-src 'none';"))
        self.assertEqual(len(page.all("script")), 1)
        digest = "sha256-" + base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
        self.assertIn(f"script-src '{digest}'", policy[0], f'html.c must say script_digest[] = "{digest}"')

    @each_report
    def test_ids_are_unique_and_links_lead_somewhere(self, _path, _text, page):
        ids = [a["id"] for _, a in page.tags if "id" in a]
        self.assertEqual(sorted(ids), sorted(set(ids)))
        for _, attributes in page.tags:
            if "href" in attributes:
                self.assertIn(attributes["href"][1:], ids)

    @each_report
    def test_can_be_read_by_everyone(self, _path, _text, page):
        self.assertEqual([a.get("lang") for a in page.all("html")], ["en"])
        self.assertEqual(len(page.all("h1")), 1)
        for svg in page.all("svg"):
            self.assertTrue(svg.get("aria-label"))
        self.assertEqual(len(page.all("figure")), len(page.all("figcaption")))
        self.assertIn("prefers-color-scheme:dark", page.style)
        self.assertIn("@media print", page.style)
        for _, attributes in page.tags:
            for name in ("fill", "stroke", "color"):
                self.assertNotRegex(attributes.get(name) or "", r"rgb\(|#", "a colour that no scheme can change")

    @each_report
    def test_numbers_are_numbers(self, _path, _text, page):
        for row in page.rows:
            for cell in row:
                self.assertNotRegex(cell.strip(), r"^-?(nan|inf)$")
            self.assertTrue(row, "an empty row")

    @each_report
    def test_share_bars_are_percentages(self, _path, _text, page):
        for _, attributes in page.tags:
            if "style" in attributes:
                share = re.fullmatch(r"--f:(\d+)%", attributes["style"])
                self.assertTrue(share and int(share[1]) <= 100, attributes)


@unittest.skipUnless(REPORTS, "NF4BENCH_REPORT names no report")
@unittest.skipUnless(BROWSER, "no chromium is installed")
class InABrowser(unittest.TestCase):
    def browse(self, path, *arguments):
        """Standard output of the browser after loading a page."""
        with tempfile.TemporaryDirectory() as profile:
            return subprocess.run(
                [BROWSER, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--user-data-dir={profile}",
                 "--virtual-time-budget=5000", *arguments, "file://" + os.path.abspath(path)],
                capture_output=True, timeout=120, check=True, text=True).stdout

    def test_the_script_runs(self):
        for path in REPORTS:
            with self.subTest(report=path):
                page = Page(self.browse(path, "--dump-dom"))
                self.assertEqual(len([a for a in page.all("input") if a.get("id") == "filter"]), 1)
                sortable = [a for a in page.all("table") if "sort" in a.get("class", "")]
                marked = [a for a in page.all("th") if a.get("aria-sort") == "none"]
                self.assertEqual(bool(sortable), bool(marked))

    def test_a_foreign_script_does_not(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "injected.html")
            with open(REPORTS[0], encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace("<main>", "<main><script>document.title='owned'</script>"
                                               "<p id='x' onclick=\"document.title='owned'\">x</p>"))
            self.assertNotIn("<title>owned", self.browse(path, "--dump-dom"))

    def test_is_drawn_at_any_width_and_scheme(self):
        for path in REPORTS:
            for width, height, scheme in ((1280, 2000, 1), (1280, 2000, 0), (390, 2000, 0)):
                with self.subTest(report=path, width=width, dark=not scheme), tempfile.TemporaryDirectory() as folder:
                    picture = os.path.join(folder, "page.png")
                    self.browse(path, f"--blink-settings=preferredColorScheme={scheme}", f"--window-size={width},{height}",
                                f"--screenshot={picture}")
                    # A page that is not drawn is one colour, and compresses to next to nothing.
                    self.assertGreater(os.path.getsize(picture), 5_000)

    def probe(self, path, script, *arguments):
        """What a script of ours finds in a page, all of whose folds are open."""
        with open(path, encoding="utf-8") as f:
            text = re.sub(r"script-src '[^']*'", "script-src 'unsafe-inline'", f.read())
        text = text.replace("<details", '<details open=""').replace("</body>", (
            "<script>addEventListener('load',function(){document.title='found '+JSON.stringify((function(){"
            + script + "})())})</script></body>"))
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "probe.html")
            with open(copy, "w", encoding="utf-8") as f:
                f.write(text)
            title = re.search(r"<title>found (.*?)</title>", self.browse(copy, *arguments, "--dump-dom"), re.S)
        self.assertTrue(title)
        return json.loads(html.unescape(title[1]))

    def test_the_page_never_scrolls_sideways(self):
        for path in REPORTS:
            with self.subTest(report=path):
                wide = self.probe(path, "return document.documentElement.scrollWidth-innerWidth", "--window-size=390,900")
                self.assertLessEqual(wide, 0)

    def test_columns_sort(self):
        for path in REPORTS:
            with self.subTest(report=path):
                cells = self.probe(path, """var t=document.querySelector('#timings table.sort');if(!t)return [];
                    var th=t.querySelectorAll('th')[1];th.click();th.click();
                    return [].map.call(t.querySelectorAll('tbody tr'),function(r){return r.cells[1].textContent})""")
                values = [float(c) for c in cells]
                self.assertEqual(values, sorted(values, reverse=True))

    def test_the_filter_hides_rows(self):
        shown = """function shown(words){var f=document.getElementById('filter');f.value=words;
            f.dispatchEvent(new Event('input'));return [].filter.call(document.querySelectorAll('.filter tbody tr'),
            function(r){return r.getClientRects().length>0}).length}"""
        for path in REPORTS:
            with self.subTest(report=path):
                none, some, everything = self.probe(path, shown + "return [shown('no such word'),"
                                                    "shown(document.querySelector('.filter td')?"
                                                    "document.querySelector('.filter td').textContent:''),shown('')]")
                self.assertEqual(none, 0)
                self.assertLessEqual(some, everything)
                self.assertEqual(some > 0, everything > 0)


if __name__ == "__main__":
    sys.exit(unittest.main())
