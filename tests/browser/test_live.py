"""The live chart where it lives: JupyterLab in Chromium, a slider moved by keyboard, the chart redrawn, no network."""

import json
import statistics
import time
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TARGET_MS, MOST_MS = 50, 150  # what is aimed at, and what fails here, on a machine that may be busy
MOVES = 20
PANEL = """import infertco as ic
from infertco.views import controls

controls.explore(ic.scenario(), chips=["h200-sxm", "b200-sxm", "mi300x"])"""
MEMORY = """import infertco as ic
from infertco.views import memory_panel

memory_panel.explore(ic.scenario(chip="b200-sxm"))"""
CHART, ERROR = ".infertco .chart svg .mark-line path", ".jp-RenderedText[data-mime-type='application/vnd.jupyter.error']"

# Of each key press: the time to the next frame after the drawing changed.
WATCH = """(panel) => {
  window.frames_ms = [];
  let pressed = null;
  panel.addEventListener("keydown", () => { pressed = performance.now(); }, true);
  new MutationObserver(() => {
    if (pressed === null) return;
    const start = pressed;
    pressed = null;
    requestAnimationFrame(() => { window.frames_ms.push(performance.now() - start); window.redrawn?.(); });
  }).observe(panel.querySelector(".chart svg"), {subtree: true, childList: true, attributes: true, characterData: true});
}"""
# Every shape and word of the chart; sorted, as a line that was grey for a while is laid on top of the others.
DRAWN = """(panel) => [...panel.querySelectorAll(".chart svg :is(path, line, text)")]
  .map((node) => ["d", "transform", "x2", "stroke"].map((name) => node.getAttribute(name)).join() + node.textContent).sort().join("|")"""
TITLE = "(panel) => [...panel.querySelectorAll('.chart svg .role-title-text text')].map((node) => node.textContent).join(' ').trim()"


def write_notebook(path: Path, *cells: str) -> None:
    code = [dict(cell_type="code", id=f"c{i}", metadata={}, source=cell, outputs=[], execution_count=None) for i, cell in enumerate(cells)]
    kernel = dict(name="python3", display_name="Python 3", language="python")
    path.write_text(json.dumps(dict(cells=code, metadata=dict(kernelspec=kernel), nbformat=4, nbformat_minor=5)), encoding="utf-8")


def run_cells(page, lab, name: str) -> None:
    """Open a notebook and have every cell run."""
    page.goto(f"{lab.address}/lab/tree/{name}?token={lab.token}&reset")
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    page.wait_for_function("() => window.jupyterapp?.shell.currentWidget?.sessionContext?.isReady", timeout=60_000)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")


def run(page, lab, name: str):
    """Open a notebook, run every cell, and hand back the first panel; an error in a cell is told at once."""
    run_cells(page, lab, name)
    page.wait_for_selector(f"{CHART}, {ERROR}", state="attached", timeout=180_000)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()
    panel = page.locator(".infertco").first
    panel.scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    panel.evaluate(WATCH)
    return panel


def settled(page, panel) -> str:
    """The drawing, once it is the same twice."""
    before = ""
    for _ in range(50):
        page.wait_for_timeout(300)
        if (now := panel.evaluate(DRAWN)) == before:
            return now
        before = now
    raise AssertionError("the drawing does not come to rest")


def move(page, panel, label: str, keys: list[str]):
    """Press keys on a slider, one after the other was drawn; the drawings, titles and texts seen."""
    slider = panel.locator(f"input[type=range][aria-label^='{label}']")
    slider.focus()
    page.evaluate("() => { window.frames_ms = []; }")
    seen = [(panel.evaluate(DRAWN), panel.evaluate(TITLE), slider.get_attribute("aria-valuetext"))]
    for key in keys:
        page.evaluate("() => { window.frame = new Promise((resolve, reject) => { window.redrawn = resolve; setTimeout(reject, 10_000); }); }")
        page.keyboard.press(key)
        page.evaluate("() => window.frame")
        seen.append((panel.evaluate(DRAWN), panel.evaluate(TITLE), slider.get_attribute("aria-valuetext")))
    return zip(*seen, strict=True)


def check_drag(page, panel):
    """Twenty moves of one slider, each redrawn; the latency is printed."""
    drawn, _, words = move(page, panel, "Electricity", ["ArrowRight"] * MOVES)
    assert len(set(words)) == len(set(drawn)) == MOVES + 1
    times = page.evaluate("() => window.frames_ms")
    median = statistics.median(times)
    print(f"\nkey press to redrawn chart: median {median:.0f} ms, worst {max(times):.0f} ms of {len(times)} moves (target {TARGET_MS} ms)")
    assert len(times) >= 15 and median <= MOST_MS


@pytest.mark.browser
def test_sliders_redraw_the_chart_in_time_and_nothing_is_fetched(page, lab):
    write_notebook(lab.folder / "panel.ipynb", PANEL)
    panel = run(page, lab, "panel.ipynb")
    first, title = settled(page, panel), panel.evaluate(TITLE)
    check_drag(page, panel)
    page.keyboard.press("r")
    assert settled(page, panel) == first  # R: everything back

    _, titles, words = move(page, panel, "TPOT limit", ["ArrowRight"] * 15)
    assert len(set(titles)) == len(set(words)) == 16
    assert all(f"At {text} per token" in seen for seen, text in zip(titles, words, strict=True))
    lines = panel.locator(".chart svg .mark-line path").count()
    move(page, panel, "TPOT limit", ["Home"])
    assert "misses the TPOT limit" in panel.evaluate(TITLE)
    assert panel.locator(".chart svg .mark-line path").count() == lines > 1  # greyed, not gone

    cells = page.locator(".jp-Notebook .jp-Cell").count()
    page.keyboard.press("a")
    settled(page, panel)
    assert "as A" in panel.locator(".readout").inner_text()
    assert page.locator(".jp-Notebook .jp-Cell").count() == cells  # not the notebook's A, which adds a cell
    panel.get_by_text("Clear A").click()
    panel.get_by_text("Reset", exact=True).click()
    assert settled(page, panel) == first and panel.evaluate(TITLE) == title

    typed = panel.locator("input[aria-label='Utilization, typed']")
    typed.click()
    typed.fill("55")
    page.keyboard.press("Enter")
    settled(page, panel)
    assert typed.input_value() == "55%" and "to base" in panel.locator(".readout").inner_text()
    panel.get_by_label("Weight width 8\u00a0bit", exact=True).check()
    assert settled(page, panel) != first
    assert page.outside == [] and page.errors == []


@pytest.mark.browser
def test_dragging_ends_on_what_is_shown(page, lab):
    """Keys faster than the kernel answers: what is drawn last is the state of the slider."""
    write_notebook(lab.folder / "drag.ipynb", PANEL)
    panel = run(page, lab, "drag.ipynb")
    settled(page, panel)
    panel.locator("input[type=range][aria-label^='TPOT limit']").focus()
    for key in ["ArrowRight"] * 20 + ["ArrowLeft"] * 7:
        page.keyboard.press(key)
    settled(page, panel)
    words = panel.locator("input[type=range][aria-label^='TPOT limit']").get_attribute("aria-valuetext")
    assert f"At {words} per token" in panel.evaluate(TITLE)


@pytest.mark.browser
def test_the_panel_of_memory_follows_its_sliders(page, lab):
    write_notebook(lab.folder / "memory.ipynb", MEMORY)
    panel = run(page, lab, "memory.ipynb")
    first = settled(page, panel)
    drawn, titles, words = move(page, panel, "Memory bandwidth", ["ArrowLeft"] * 8)
    times = page.evaluate("() => window.frames_ms")
    print(f"\npanel of memory: median {statistics.median(times):.0f} ms, worst {max(times):.0f} ms")
    assert len(set(drawn)) == len(set(titles)) == len(set(words)) == 9 and statistics.median(times) <= 2 * MOST_MS
    panel.get_by_label("Passed on in per cent", exact=True).check()
    moved = settled(page, panel)
    move(page, panel, "HBM price", ["ArrowRight"] * 3)
    assert settled(page, panel) != moved and "to base" in panel.locator(".readout").inner_text()
    panel.get_by_text("Reset", exact=True).click()
    assert settled(page, panel) == first
    assert page.outside == [] and page.errors == []


@pytest.mark.browser
def test_the_first_notebook_lives(page, lab):
    name = "00_start_here.ipynb"
    if not (NOTEBOOKS / name).exists():
        pytest.skip(f"no notebooks/{name} yet")
    (lab.folder / name).write_bytes((NOTEBOOKS / name).read_bytes())
    start = time.monotonic()
    panel = run(page, lab, name)
    print(f"\n{name}: sliders ready after {time.monotonic() - start:.0f} s")
    settled(page, panel)
    check_drag(page, panel)
    assert page.locator(ERROR).count() == 0
    assert page.outside == [] and page.errors == []


def test_a_missing_browser_is_a_failure_where_one_is_demanded(monkeypatch, request):
    missing = request.config.pluginmanager.get_plugin(str(Path(__file__).parent / "conftest.py")).missing
    monkeypatch.setenv("INFERTCO_REQUIRE_BROWSER", "1")
    with pytest.raises(pytest.fail.Exception, match="there is no Chromium"):
        missing("there is no Chromium")
    monkeypatch.delenv("INFERTCO_REQUIRE_BROWSER")
    with pytest.raises(pytest.skip.Exception):
        missing("there is no Chromium")


DOLLARS = """import pandas as pd
from infertco.views import report

report.summary("How much?", "It costs $2m a year and saves $3m.", [("$2m", "", "a year", "from $1m to $4m")])"""
TABLE = """report.table(pd.DataFrame(dict(What=["this costs $5", "that costs $6"], Why=["$7", "$8"])), "Between $5 and $8", "US$")"""


@pytest.mark.browser
def test_dollars_are_not_read_as_formulas(page, lab):
    write_notebook(lab.folder / "dollars.ipynb", DOLLARS, TABLE, 'report.say("From $1m to **$2m** at [home](x).")')
    run_cells(page, lab, "dollars.ipynb")
    shown = page.locator(".jp-RenderedHTMLCommon.jp-RenderedHTML")
    shown.nth(2).wait_for(timeout=60_000)
    page.wait_for_timeout(3000)  # formulas are set after the output is there
    assert page.locator("mjx-container").count() == 0
    said = " ".join(shown.all_inner_texts())
    assert "It costs $2m a year and saves $3m." in said and "from $1m to $4m" in said and "Between $5 and $8" in said and "From $1m to $2m at home." in said
