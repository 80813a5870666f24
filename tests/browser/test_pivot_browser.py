"""The sliders of the notebook of the pivot, in JupyterLab in Chromium: one is moved, and its figure is drawn anew."""

import time
from pathlib import Path

import pytest
from test_live import ERROR, run_cells

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_pivot.ipynb"
PANEL = ".jp-OutputArea-output .widget-vbox:has(.widget-html svg)"
MOST_S = 10  # for a figure of 256 paths, on a machine that may be busy


@pytest.fixture
def panels(page, lab):
    """The panels of the notebook, every cell of it run."""
    (lab.folder / NOTEBOOK.name).write_bytes(NOTEBOOK.read_bytes())
    run_cells(page, lab, NOTEBOOK.name)
    page.wait_for_function("([panel, error]) => document.querySelectorAll(panel).length == 2 || document.querySelector(error)", arg=[PANEL, ERROR], timeout=180_000)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()
    return page.locator(PANEL)


def drag(page, panel, label: str, share: float) -> str:
    """Drag the handle of a slider to a share of its track; what the slider then says."""
    slider = panel.locator(".widget-slider", has_text=label)
    slider.scroll_into_view_if_needed()
    track, handle = slider.locator(".noUi-target").bounding_box(), slider.locator(".noUi-handle").bounding_box()
    page.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    page.mouse.down()
    page.mouse.move(track["x"] + share * track["width"], track["y"] + track["height"] / 2, steps=8)
    page.mouse.up()
    return slider.locator(".widget-readout").inner_text()


def redrawn(page, panel, before: str) -> str:
    """The figure and its words once they differ from `before`."""
    until = time.monotonic() + MOST_S
    while (now := panel.locator(".widget-html").inner_html()) == before:
        assert time.monotonic() < until, "the figure is not drawn anew"
        page.wait_for_timeout(50)
    return now


@pytest.mark.browser
def test_a_slider_of_the_pivot_moves_its_figure_and_reset_brings_it_back(page, panels):
    dates = panels.first
    first, title = dates.locator(".widget-html").inner_html(), dates.locator(".widget-html b").inner_text()
    start = time.monotonic()
    words = drag(page, dates, "Growth of requests", 0.95)
    moved = redrawn(page, dates, first)
    print(f"\npanel of the pivot: drawn anew after {time.monotonic() - start:.1f} s")
    assert words.endswith("%/year") and dates.locator(".widget-html b").inner_text() != title  # more requests, another date
    assert dates.locator(".widget-html svg path").count() > 3
    dates.locator(".widget-slider", has_text="Growth of requests").locator(".noUi-handle").focus()
    page.keyboard.press("ArrowLeft")
    moved = redrawn(page, dates, moved)
    drag(page, dates, "Price-performance", 0.05)  # common to both: the spend moves, whatever the date does
    redrawn(page, dates, moved)
    dates.get_by_text("Reset", exact=True).click()
    page.wait_for_function("([panel, title]) => document.querySelector(panel).querySelector('.widget-html b').innerText == title", arg=[PANEL, title], timeout=1000 * MOST_S)
    fleet = panels.last
    before = fleet.locator(".widget-html").inner_html()
    drag(page, fleet, "Refresh", 0.9)
    assert "<svg" in redrawn(page, fleet, before)
    assert page.outside == [] and page.errors == []
