"""Sliders over a study: each is a field of its plan or scenario, and its figure is drawn anew when one is let go.

Label, unit, range and help of a slider are those of the field; what is no field brings its own. Nothing is fetched; the
figure stands without them.
"""

from html import escape

import ipywidgets as widgets
import numpy as np

from infertco import plans, units, values
from infertco.views.tables import unit

STEPS = 40


def slider(name: str, value: float, *span, own=None) -> widgets.Widget:
    """One slider, the value as the reader would write it: from `low` to `high`, logarithmic where that is more than twentyfold, or over a list of steps.

    `own` is the label, unit and help of what is no field.
    """
    meta = own or (values.FIELDS | plans.FIELDS)[name].metadata
    base = meta["unit"] if own else unit(name) or "1"
    if len(span) == 2:
        low, high = span
        steps = np.geomspace(low, high, STEPS) if low > 0 and high / low > 20 else np.linspace(low, high, STEPS)
    else:
        (steps,) = span
    steps = np.unique([float(f"{x:.3g}") for x in (*steps, value)])
    options = [(units.format(x, base, 3), x) for x in steps]
    about = dict(description=meta["label"], tooltip=f"{name}: {meta['help']}", continuous_update=False)
    return widgets.SelectionSlider(options=options, value=float(f"{value:.3g}"), style=dict(description_width="180px"), layout=dict(width="460px"), **about)


def markup(found) -> str:
    """A figure as its picture with its words above, anything else as text."""
    if not hasattr(found, "svg"):
        return f"<p>{escape(str(found))}</p>"
    return f"<p><b>{escape(found.title)}</b><br>{escape(' '.join(found.subtitle))}</p>{found.svg(title=False)}"


def explore(draw, spans: dict, exact=None, own=None) -> widgets.VBox:
    """Sliders above the figure that `draw` makes of their values.

    Parameters
    ----------
    draw : function
        Takes the fields by name and gives a figure, or a sentence, or a list of them.
    spans : dict
        `{field: (value, low, high)}`, or `(value, steps)`.
    exact : function, optional
        Takes a function that shows words while it works, then the same fields, and is slow: behind a button, its answer
        stands until a slider moves.
    own : dict, optional
        `{name: dict(label=, unit=, help=)}` of sliders that are no fields.

    Notes
    -----
    What cannot be is said in the place of the figure.
    """
    sliders = {name: slider(name, *span, own=(own or {}).get(name)) for name, span in spans.items()}
    shown, back = widgets.HTML(), widgets.Button(description="Reset", tooltip="All sliders back to where they began")
    moving = []

    def show(found):
        shown.value = "".join(markup(each) for each in (found if isinstance(found, list) else [found]))

    def answered(how, *first):
        try:
            show(how(*first, **{name: one.value for name, one in sliders.items()}))
        except ValueError as why:
            show(f"Not so: {why}")

    def redraw(_=None):
        if not moving:
            answered(draw)

    def solve(_):
        show("Solving ...")
        answered(exact, show)

    def reset(_):
        moving.append(True)  # all of them, then one figure
        for name, (value, *_) in spans.items():
            sliders[name].value = float(f"{value:.3g}")
        moving.clear()
        redraw()

    for one in sliders.values():
        one.observe(redraw, "value")
    back.on_click(reset)
    buttons = [back]
    if exact:
        buttons.append(widgets.Button(description="Solve exactly", tooltip="The whole problem at these values; takes a while"))
        buttons[1].on_click(solve)
    redraw()
    return widgets.VBox([*sliders.values(), widgets.HBox(buttons), shown])
