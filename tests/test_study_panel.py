"""Sliders over a study: they begin at the value, redraw when let go, say what cannot be, and go back."""

import pytest

from infertco.views import study_panel


def asked(**moved):
    if moved["request_growth_per_year"] > 0.5:
        raise ValueError("too much <growth>")
    return f"grows by {moved['request_growth_per_year']:g}"


def test_a_panel_follows_its_slider_and_says_what_cannot_be():
    panel = study_panel.explore(asked, dict(request_growth_per_year=(0.25, 0.0, 1.0)), lambda show, **moved: f"exactly {moved['request_growth_per_year']:g}")
    slider, buttons, shown = panel.children
    assert slider.description == "Growth of requests" and slider.value == 0.25 and "grows by 0.25" in shown.value
    slider.value = slider.options[-1][1]
    assert shown.value == "<p>Not so: too much &lt;growth&gt;</p>"
    buttons.children[0].click()
    assert slider.value == 0.25 and "grows by 0.25" in shown.value
    buttons.children[1].click()
    assert "exactly 0.25" in shown.value


def test_a_wide_range_is_logarithmic_and_holds_the_value():
    one = study_panel.slider("power_cap_w", 4e5, 2e4, 8e6)
    steps = [value for _, value in one.options]
    assert one.value == 4e5 and steps[0] == pytest.approx(2e4) and steps[-1] == pytest.approx(8e6)
    assert 3 < sum(step < 1e5 for step in steps)


def test_what_is_no_field_brings_its_own_words_and_steps():
    own = dict(speed=dict(label="Speed", unit="share", help="Of all limits"))
    panel = study_panel.explore(lambda **moved: f"at {moved['speed']:g}", dict(speed=(1.0, (0.5, 1.0, 2.0))), own=own)
    slider, _, shown = panel.children
    assert slider.description == "Speed" and [text for text, _ in slider.options] == ["50%", "100%", "200%"] and shown.value == "<p>at 1</p>"


def test_the_exact_answer_tells_how_far_it_is():
    seen = []

    def exact(show, **moved):
        show("half of it")
        seen.append(panel.children[-1].value)
        return "done"

    panel = study_panel.explore(asked, dict(request_growth_per_year=(0.25, 0.0, 1.0)), exact)
    panel.children[1].children[1].click()
    assert seen == ["<p>half of it</p>"] and panel.children[-1].value == "<p>done</p>"
