"""The panel of a tiered fleet where it lives: each slider moved by keyboard changes the words and the picture, the button solves exactly."""

import time

import pytest
from test_live import ERROR, run_cells, write_notebook

CASE = """import infertco as ic
from infertco.studies import tiering as study
from infertco.views import tier_panel

demand = [
    dict(demand="fast", model="llama-3.1-70b", workload="chat", tpot_slo_s=0.03, demand_requests_per_s=8, residency="us-average"),
    dict(demand="nights", model="llama-3.1-70b", workload="batch", demand_requests_per_s=6, offline=True, residency="us-average"),
]
chips = ["h100-sxm", "h200-sxm", "b200-sxm"]
asked = dict(periods=2, supply={"b200-sxm": 8}, power_cap_w=3.2e4, budget_usd=6e5, mip_gap=0.01, solver_limit_s=10)
found = study.tiering(demand, chips, ic.scenario(), **asked)
tier_panel.explore(found, demand, chips, ic.scenario(), 2027, **asked)"""
SLIDERS = ("TPOT limits", "Power cap", "Budget", "Supply of b200-sxm")


def settled(shown, before: str) -> str:
    """What the panel says once it says something else, and says it twice."""
    last = before
    for _ in range(200):
        now = shown.inner_html()
        if now != before and now == last:
            return now
        last = now
        time.sleep(0.05)
    raise AssertionError(f"the panel still says: {shown.inner_text()}")


@pytest.mark.browser
def test_each_slider_changes_the_panel_and_the_button_solves_exactly(page, lab):
    write_notebook(lab.folder / "tiers.ipynb", CASE)
    run_cells(page, lab, "tiers.ipynb")
    page.wait_for_selector(f".widget-html svg, {ERROR}", state="attached", timeout=180_000)
    assert page.locator(ERROR).count() == 0, page.locator(ERROR).first.inner_text()
    shown = page.locator(".widget-html-content").last
    shown.scroll_into_view_if_needed()
    first = shown.inner_html()
    assert "a lower bound" in shown.inner_text() and "Chips by tier" in shown.inner_text()

    for name in SLIDERS:
        row, times, seen = page.locator(".widget-hslider", has_text=name), [], [shown.inner_html()]
        handle = row.locator(".noUi-handle")
        key = "ArrowLeft"  # less of each: slower chips are out, less power, less money, fewer of the best
        for _ in range(3):
            handle.focus()
            start = time.monotonic()
            page.keyboard.press(key)
            seen.append(settled(shown, seen[-1]))
            times.append(1e3 * (time.monotonic() - start))
        assert len(set(seen)) == 4 and "At least $" in shown.inner_text()
        print(f"\n{name}: changed after {', '.join(f'{ms:.0f}' for ms in times)} ms, two looks 50 ms apart included")
        page.get_by_text("Reset", exact=True).click()
        assert settled(shown, seen[-1]) == first

    page.locator(".widget-hslider", has_text="Budget").locator(".noUi-handle").focus()
    page.keyboard.press("ArrowLeft")
    moved = settled(shown, first)
    page.get_by_text("Solve exactly", exact=True).click()
    page.wait_for_function("(old) => document.querySelector('.widget-html-content').innerText.includes('Solved exactly')", arg=moved, timeout=60_000)
    words = shown.inner_text()
    assert "Solved exactly: $" in words and "The bound of the sliders was" in words and "too low" in words
    assert page.outside == [] and page.errors == []
