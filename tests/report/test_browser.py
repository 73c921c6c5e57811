"""The report's page in a real browser: that it fits, reads and prints, and runs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

import pytest

from bench.report.page import write_report
from bench.store.trials import Store
from tests.report.browser import NAMES, Browser, BrowserError, find_browser
from tests.report.test_report import SEEDS, record, study

PATH = find_browser()
pytestmark = pytest.mark.skipif(PATH is None, reason=f"no browser: none of {', '.join(NAMES)}")

HOSTILE = "<script>alert(1)</script>"
BREAKING = '"><img src=x onerror=alert(2)>'
UNBROKEN = "an_arm_with_a_name_that_nobody_can_break_" + "x" * 60
MEANS = dict.fromkeys(("better", "worse", "equivalent"), f"it is told {BREAKING}")
WIDTHS = (360, 1024, 1280)

CONTRASTS = """
(() => {
  const parse = colour => colour.match(/[\\d.]+/g).map(Number);
  const over = (front, back) => {
    const alpha = front[3] ?? 1;
    return [0, 1, 2].map(i => alpha * front[i] + (1 - alpha) * back[i]);
  };
  const behind = element => {
    if (!element) return parse(matchMedia('(prefers-color-scheme: dark)').matches
      ? 'rgb(18, 18, 18)' : 'rgb(255, 255, 255)');
    const own = parse(getComputedStyle(element).backgroundColor);
    return (own[3] ?? 1) === 1 ? own : over(own, behind(element.parentElement));
  };
  const light = rgb => rgb.slice(0, 3).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return [...document.body.querySelectorAll('*')]
    .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => {
      const back = behind(e), front = over(parse(getComputedStyle(e).color), back);
      const [high, low] = [light(front), light(back)].sort((a, b) => b - a);
      return [(high + 0.05) / (low + 0.05), e.tagName, e.textContent.slice(0, 40)];
    });
})()
"""
"""Of every element with text of its own: contrast by WCAG 2's definition, tag and text."""

CLIPPED = """
[...document.querySelectorAll('h1, h2, h3, th, td, dt, dd, li, p, figcaption, summary')]
  .filter(e => e.checkVisibility() && e.getClientRects().length)
  .filter(e => {
    const box = e.getBoundingClientRect(), range = document.createRange();
    range.selectNodeContents(e);
    const text = range.getBoundingClientRect();
    return text.left < box.left - 1 || text.right > box.right + 1
      || text.top < box.top - 4 || text.bottom > box.bottom + 4;
  })
  .map(e => e.tagName + ': ' + e.textContent.slice(0, 60))
"""
"""Elements whose text reaches beyond their box."""

CHARTS_DRAWN = """
new Promise(done => {
  const open = '.chart:not(:has(svg))';
  const look = () => document.querySelector(open) ? setTimeout(look, 20) : done();
  look();
})
"""

CENTRE = """
(() => {
  const found = document.getElementById('figure-%s').closest('figure').querySelectorAll('%s')[%d];
  found.scrollIntoView({block: 'center'});
  const box = found.getBoundingClientRect();
  return [box.left + box.width / 2, box.top + box.height / 2];
})()
"""
"""Where a part of an interactive figure is in the window: figure, selector, number of the match."""

UNFOLD = "document.querySelectorAll('details').forEach(d => d.open = true)"

OUTSIDE = """
[...document.querySelectorAll('body *')]
  .filter(e => !e.closest('.scroll > *, .skip') && e.checkVisibility())
  .filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .map(e => e.tagName + ': ' + e.textContent.slice(0, 60))
"""
"""Elements that reach beyond the right edge, but for what is inside a scrolled region."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of hostile and unwieldy names; more arms than fit a screen; and the tables."""
    folder = tmp_path_factory.mktemp("browser")
    store = Store(folder / "results")
    names = ("gate=sigmoid", f"gate={HOSTILE}", f"gate={BREAKING}", UNBROKEN)
    arms: dict[str, dict[str, str]] = {}
    for number, name in enumerate(names + tuple(f"gate=same_{i}" for i in range(8))):
        arms[name] = {str(seed): f"{number}-{seed}" for seed in range(SEEDS)}
        for seed in range(SEEDS):
            if (number, seed) != (3, 0):
                found = record(f"{number}-{seed}", 0.9 if number == 1 else 0.5, seed)
                found.data["class_names"] = [HOSTILE, *"bcdef"]
                store.write(found)
    store.write_failure("3-0", {"error": f"ValueError: {HOSTILE} {'y' * 120}"})
    title = f"Gate {HOSTILE} {UNBROKEN}"
    asked = {"question": f"Does it help, {HOSTILE}", "answers": {f"gate={HOSTILE}": MEANS}}
    store.write_study(study("gates", arms, title=title, description=BREAKING, **asked))
    rows = {"Baseline-100": {str(seed): f"t-{seed}" for seed in range(SEEDS)}}
    for seed in range(SEEDS):
        store.write(record(f"t-{seed}", 0.6, seed))
    store.write_study(study("tables", rows, reproduces=["table_1", "table_2"]))
    return write_report(store, folder / "report").page


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    assert PATH is not None
    with Browser(PATH, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def page(running: Browser, report: Path) -> Browser:
    """The report, freshly opened in a window 1280 pixels wide, on a light screen."""
    running.resize(1280)
    running.emulate()
    running.open(report.as_uri())
    running.evaluate(CHARTS_DRAWN)
    return running


def test_a_browser_that_cannot_start_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(BrowserError, match="the browser ended"), Browser("/bin/false", tmp_path):
        pass


def test_the_page_opens_without_a_complaint_and_asks_for_nothing(
    page: Browser, report: Path
) -> None:
    assert page.named("Log.entryAdded") == []
    assert page.named("Runtime.consoleAPICalled") == []
    assert page.named("Runtime.exceptionThrown") == []
    asked = {sent["request"]["url"] for sent in page.named("Network.requestWillBeSent")}
    assert {url for url in asked if not url.startswith("data:")} == {report.as_uri()}


def test_a_complaint_would_be_seen(page: Browser) -> None:
    page.evaluate("console.warn('look'); new Image().src = 'missing.png'")
    page.evaluate("fetch('data:,').catch(() => {})")
    page.evaluate("new Promise(done => setTimeout(() => { alert(3); done(); }))")
    assert [call["type"] for call in page.named("Runtime.consoleAPICalled")] == ["warning"]
    assert [dialog["message"] for dialog in page.named("Page.javascriptDialogOpening")] == ["3"]


def test_names_from_a_study_are_shown_as_text_and_run_nothing(page: Browser) -> None:
    scripts = page.evaluate("[...document.scripts].map(s => [s.type, s.textContent])")
    assert [kind for kind, _ in scripts if kind != "application/json"] == ["module"]
    specs = [text for kind, text in scripts if kind == "application/json"]
    assert len(specs) > 5 and not any("<" in text for text in specs)
    assert page.named("Page.javascriptDialogOpening") == []
    shown = page.evaluate("document.body.innerText")
    for text in (
        f"Gate {HOSTILE}",
        f"gate={HOSTILE}",
        BREAKING,
        UNBROKEN,
        f"ValueError: {HOSTILE}",
    ):
        assert text in shown, text
    own = page.evaluate(
        "[...document.querySelectorAll('*')].flatMap(e => e.getAttributeNames())"
        ".filter(name => name.startsWith('on'))"
    )
    assert own == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (1024, 768), (390, 844)])
def test_the_first_screen_has_the_question_its_answer_and_verdicts(
    page: Browser, width: int, height: int
) -> None:
    page.resize(width, height)
    seen = page.evaluate(
        "[...document.querySelectorAll('h3, .headline, .verdict')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().bottom <= innerHeight)"
        ".map(e => e.textContent.trim())"
    )
    assert seen[0] == f"Does it help, {HOSTILE}"
    assert seen[1].startswith("It is told ") and "points of top-1 accuracy" in seen[1]
    assert any(text.endswith("better") for text in seen[2:])


def test_a_wide_window_shows_a_studys_answer_beside_the_figure_that_decides(page: Browser) -> None:
    page.resize(1440, 900)
    answer, figure = page.evaluate(
        "[...document.querySelectorAll('#study-gates .answer > *')].map(e => {"
        "const box = e.getBoundingClientRect(); return [box.left, box.right, box.top] })"
    )
    assert answer[1] < figure[0] and answer[2] == figure[2]
    assert page.evaluate(
        "document.querySelector('#study-gates .answer img').src.startsWith('data:image/png')"
    )


def test_tables_are_folded_and_open_by_key_without_a_script(page: Browser) -> None:
    folded = "document.querySelector('#study-gates details:has(table)')"
    assert page.evaluate(f"{folded}.open") is False
    page.evaluate(f"{folded}.querySelector('summary').focus()")
    page.press("Enter", "\r", 13)
    assert page.evaluate(f"{folded}.open") is True
    assert page.evaluate(f"{folded}.querySelector('table').checkVisibility()")


def test_every_link_leads_somewhere(page: Browser, report: Path) -> None:
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)), "an id stands twice"
    links = page.evaluate("[...document.links].map(a => a.getAttribute('href'))")
    assert len(links) > 30
    for link in links:
        if link.startswith("#"):
            assert unquote(link[1:]) in ids, link
        else:
            assert not urlparse(link).scheme and (report.parent / unquote(link)).is_file(), link
    named = page.evaluate(
        "[...document.querySelectorAll('[aria-labelledby], [aria-describedby]')].flatMap(e =>"
        "['aria-labelledby', 'aria-describedby'].flatMap(a => (e.getAttribute(a) ?? '')"
        ".split(' ').filter(Boolean)))"
    )
    assert named and set(named) <= set(ids)


def test_every_figure_is_drawn_and_described_on_white(page: Browser, report: Path) -> None:
    page.emulate(scheme="dark")
    figures = page.evaluate(
        "[...document.images].map(i => ({done: i.complete, width: i.naturalWidth, alt: i.alt,"
        "title: i.closest('figure').querySelector('h3').textContent,"
        "card: getComputedStyle(i.parentElement).backgroundColor}))"
    )
    assert len(figures) == len(list((report.parent / "figures").glob("*.png"))) > 5
    for figure in figures:
        assert figure["done"] and figure["width"] > 0
        assert figure["alt"].startswith(f"{figure['title']}. ")
        assert len(figure["alt"]) > len(figure["title"]) + 20, "the caption is missing"
        assert figure["card"] == "rgb(255, 255, 255)"


def test_a_figure_that_can_be_asked_stands_in_the_place_of_its_picture(page: Browser) -> None:
    page.evaluate(UNFOLD)
    count = "[...document.querySelectorAll('.chart ~ img')].map(i => [i.checkVisibility(),"
    count += "i.closest('figure').querySelector('.chart').checkVisibility(),"
    count += "i.closest('figure').querySelector('.hint').checkVisibility()])"
    shown = page.evaluate(count)
    assert len(shown) > 5 and all(found == [False, True, True] for found in shown)
    told = page.evaluate(
        "[...document.querySelectorAll('.chart')].map(c => [c.closest('figure')"
        ".querySelector('h3').textContent, c.getAttribute('role'), c.ariaLabel])"
    )
    assert all(role == "graphics-document" for _, role, _ in told)
    assert all(label.startswith(f"{title}. ") for title, _, label in told)
    page.emulate(media="print")
    assert page.evaluate(count) == [[True, False, False]] * len(shown)


def test_without_scripts_the_picture_is_there(running: Browser, report: Path) -> None:
    running.emulate()
    running.send("Emulation.setScriptExecutionDisabled", value=True)
    try:
        running.open(report.as_uri())
    finally:
        running.send("Emulation.setScriptExecutionDisabled", value=False)
    assert running.evaluate("document.querySelectorAll('.chart svg').length") == 0
    assert running.evaluate(
        "[...document.querySelectorAll('.answer figure')].every(f => f.querySelector('img')"
        ".checkVisibility() && !f.querySelector('.chart, .hint').checkVisibility())"
    )


def test_pointing_at_an_arm_tells_its_values_and_a_hostile_name_stays_text(page: Browser) -> None:
    told = {}
    for number in range(3):
        mark = "[aria-roledescription=point]"
        page.mouse("mouseMoved", *page.evaluate(CENTRE % ("gates.effects", mark, number)))
        told[number] = page.evaluate("document.getElementById('vg-tooltip-element').innerText")
    found = "\n".join(told.values())
    for text in (HOSTILE, BREAKING, UNBROKEN, "difference", "interval", "verdict", "seeds"):
        assert text in found, text
    assert page.named("Page.javascriptDialogOpening") == []
    # Were one to get out all the same, the page's policy would not let it run.
    page.evaluate("document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=alert(5)>')")
    page.evaluate("const s = document.createElement('script'); s.text = 'alert(6)';"
                  "document.body.append(s); new Promise(done => setTimeout(done, 50))")  # fmt: skip
    assert page.named("Page.javascriptDialogOpening") == []


def test_a_click_on_an_arm_hides_it_and_curves_zoom(page: Browser) -> None:
    page.evaluate(UNFOLD)
    figure = "document.getElementById('figure-gates.loss').closest('figure')"
    lines = f"{figure}.querySelectorAll('.mark-line path').length"
    ticks = (
        f"[...{figure}.querySelectorAll('.role-axis-label text')].map(t => t.textContent).join()"
    )
    every, scale = page.evaluate(lines), page.evaluate(ticks)
    entry = page.evaluate(CENTRE % ("gates.loss", ".role-legend-label text", 1))
    page.click(*entry)
    fewer = page.evaluate(lines)
    assert 0 < fewer < every
    page.click(*entry)
    assert page.evaluate(lines) == every and page.evaluate(ticks) == scale

    middle = page.evaluate(CENTRE % ("gates.loss", ".mark-group.role-scope path.background", 0))
    page.mouse("mouseWheel", *middle, deltaX=0, deltaY=-300)
    assert page.evaluate(ticks) == scale, "the wheel alone scrolls the page"
    middle = page.evaluate(CENTRE % ("gates.loss", ".mark-group.role-scope path.background", 0))
    page.mouse("mouseMoved", *middle)
    page.mouse("mouseWheel", *middle, deltaX=0, deltaY=-300, modifiers=2)
    assert page.evaluate(ticks) != scale


@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_reaches_beyond_the_window_or_its_box(page: Browser, width: int) -> None:
    page.resize(width)
    page.evaluate(UNFOLD)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []
    assert page.evaluate(CLIPPED) == []


def test_a_table_wider_than_a_phone_is_scrolled_in_its_own_region(page: Browser) -> None:
    page.resize(360)
    page.evaluate(UNFOLD)
    regions = page.evaluate(
        "[...document.querySelectorAll('table')].map(t => t.parentElement).map(r => ["
        "r.scrollWidth > r.clientWidth, getComputedStyle(r).overflowX, r.getAttribute('tabindex')])"
    )
    assert any(wide for wide, _, _ in regions)
    assert all(found[1:] == ["auto", "0"] for found in regions)
    named = [
        node["name"]["value"] for node in _accessible(page) if node["role"]["value"] == "group"
    ]
    assert len([name for name in named if name]) >= len(regions)
    # The name of the row stays in sight.
    left = page.evaluate(
        "(() => { const r = [...document.querySelectorAll('.scroll:has(table)')]"
        ".find(r => r.scrollWidth > r.clientWidth); r.scrollLeft = 1e6;"
        "return r.querySelector('tbody th').getBoundingClientRect().left"
        " - r.getBoundingClientRect().left })()"
    )
    assert left == pytest.approx(0, abs=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_background(page: Browser, scheme: str) -> None:
    page.emulate(scheme=scheme)
    page.evaluate(UNFOLD)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    level = [int(value) for value in ground[4:-1].split(",")]
    assert max(level) < 64 if scheme == "dark" else min(level) > 192
    found = page.evaluate(CONTRASTS)
    assert len(found) > 300
    assert [weak for weak in found if weak[0] < 4.5] == []


def test_a_verdict_is_told_by_sign_and_words_not_by_colour_alone(page: Browser) -> None:
    verdicts = page.evaluate(
        "[...document.querySelectorAll('.verdict')].map(v => [v.textContent,"
        "getComputedStyle(v).color, getComputedStyle(v, '::before').content])"
    )
    signs: dict[str, set[str]] = {}
    for words, colour, sign in verdicts:
        assert words.strip() and sign not in ("none", "normal")
        signs.setdefault(colour, set()).add(sign)
    assert len(signs) > 1
    assert len({sign for shown in signs.values() for sign in shown}) == len(signs)


def test_the_page_has_landmarks_and_headings_in_order(page: Browser) -> None:
    levels = page.evaluate(
        "[...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(h => +h.tagName[1])"
    )
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(later - level <= 1 for level, later in pairwise(levels))
    roles = [node["role"]["value"] for node in _accessible(page)]
    for role in ("banner", "navigation", "main", "contentinfo"):
        assert roles.count(role) == 1, role


def test_every_table_has_a_name_of_its_own_and_heads_for_rows_and_columns(page: Browser) -> None:
    page.evaluate(UNFOLD)
    tables = [node for node in _accessible(page) if node["role"]["value"] == "table"]
    names = [table["name"]["value"] for table in tables]
    assert len(tables) == page.evaluate("document.querySelectorAll('table').length") > 4
    assert all(names) and len(set(names)) == len(names)
    assert page.evaluate(
        "[...document.querySelectorAll('th')].every(th => th.scope === (th.closest('thead')"
        "? 'col' : 'row')) && [...document.querySelectorAll('tbody tr')]"
        ".every(tr => tr.cells[0].tagName === 'TH')"
    )


def test_the_tab_key_reaches_the_skip_link_first_and_then_everything_in_sight(
    page: Browser,
) -> None:
    page.press("Tab")
    first = page.evaluate(
        "(() => { const e = document.activeElement, box = e.getBoundingClientRect();"
        "return {to: e.getAttribute('href'), width: box.width, left: box.left, top: box.top,"
        "outline: getComputedStyle(e).outlineStyle} })()"
    )
    assert first["to"] == "#main" and first["width"] > 50 and first["outline"] == "solid"
    assert first["left"] >= 0 and first["top"] >= 0
    stops = page.evaluate(
        "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]"
        ".filter(e => e.checkVisibility()).length"
    )
    unseen = []
    for _ in range(stops - 1):
        page.press("Tab")
        stop = page.evaluate(
            "(() => { const e = document.activeElement, s = getComputedStyle(e);"
            "return [e.tagName, e.className, e.textContent.slice(0, 40), s.outlineStyle,"
            "parseFloat(s.outlineWidth)] })()"
        )
        if stop[0] == "BODY" or stop[3] != "solid" or stop[4] < 2:
            unseen.append(stop)
    assert unseen == []


def test_on_paper_nothing_is_cut_off_or_left_out(page: Browser, tmp_path: Path) -> None:
    page.resize(703)  # A4 between the page's margins
    page.emulate(media="print", scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    assert page.evaluate(CLIPPED) == []
    styles = page.evaluate(
        "[...document.querySelectorAll('body *')].map(e => getComputedStyle(e))"
        ".filter(s => ['sticky', 'fixed'].includes(s.position)).length"
    )
    assert styles == 0
    cut = page.evaluate(
        "[...document.querySelectorAll('.scroll')].filter(r => r.scrollWidth > r.clientWidth + 1"
        "|| r.scrollHeight > r.clientHeight + 1).map(r => r.textContent.slice(0, 60))"
    )
    assert cut == []
    assert page.evaluate(
        "[...document.querySelectorAll('tr, figure')]"
        ".every(e => getComputedStyle(e).breakInside === 'avoid')"
    )
    hidden = page.evaluate(
        "[...document.querySelectorAll('details :is(li, td, img)')].filter(e => !e.checkVisibility("
        "{contentVisibilityAuto: true})).length"
    )
    assert page.evaluate("document.querySelectorAll('details:not([open]) td').length") > 0
    assert hidden == 0
    page.emulate()
    page.pdf(tmp_path / "report.pdf")
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def _accessible(page: Browser) -> list[dict[str, Any]]:
    """What a screen reader is given."""
    nodes = page.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]
