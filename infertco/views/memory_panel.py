"""Sliders on a chip's memory: bandwidth, capacity, price a GB, who pays it, and context; cost curve, bounds, elasticities.

A state is a scenario plus a price of HBM and a rule of passing it on, which together set the price of the chip.
"""

import textwrap

import altair as alt
import numpy as np
import pandas as pd

from infertco import units
from infertco.scenario import Scenario, scenario
from infertco.studies import hbm
from infertco.studies.ranges import one
from infertco.studies.sensitivity import CHOICES, elasticities, optimum
from infertco.views import marks, theme
from infertco.views.controls import LINE, Panel, control
from infertco.views.live import LiveChart
from infertco.views.tables import text

USD, TPOT, TTFT, W, C = "usd_per_mtok", "tpot_s", "ttft_s", "hbm_bytes_per_s", "hbm_bytes"
TRIED = CHOICES | dict(weight_bits=(16.0, 8.0))
FIELDS = {W: "bandwidth", C: "capacity", "peak_flop_per_s_bf16": "arithmetic", "link_bytes_per_s": "links", "chip_usd": "chip price"}
RULES = {"not": "not at all", "dollars": "in dollars", "share": "in per cent"}
SETS = ("cells", "cursor", "line", "mark", "bars")
CELLS, POINTS, SHORT = 9, 25, 170  # cells a side, points of the curve, height of the lower charts
REACH, HEADROOM = 5, 4  # times today's memory, to either side; times today's highest cost, on the axis


class MemoryPanel(Panel):
    """The controls and their charts; `moved` holds what differs from the base, fields and the two of the price alike."""

    def __init__(self, base: Scenario):
        self._base, self._a = one(base), None
        self._price = float(hbm.bills(base.as_of)["hbm_usd_per_gb"].get(base.chip.chip, np.nan))
        known = self._price == self._price
        self._ends = {name: (base.value(name) / REACH, base.value(name) * REACH) for name in (W, C)}
        controls = [control(base, name, span) for name, span in self._ends.items()]
        controls += [_price_control(self._price), _rule_control()] if known else []
        controls.append(control(base, "input_tokens"))
        start = self._solve({})
        self._usd, self._most = start["row"][USD], HEADROOM * start["curve"][USD].max()
        summary = f"{base.model.model}, {base.workload.workload}, {base.site.site}; layout, 8- or 16-bit weights and batch chosen anew at every point."
        LiveChart.__init__(self, _spec(self._ends, start), controls=controls, kept=None, summary=summary)
        self.observe(self._compare, "kept")
        self.observe(self._answer, "moved")
        self._compare()

    @property
    def scenario(self) -> Scenario:
        """The scenario that the controls show, the price of its chip included."""
        return self._now(self.moved)

    def _now(self, moved):
        fields = {name: value for name, value in moved.items() if name not in ("hbm_usd_per_gb", "pass_through")}
        rule, now = moved.get("pass_through", "not"), self._base.vary(**fields)
        if rule == "not":
            return now
        return now.vary(chip_usd=float(hbm.chip_price(self._base, now.value(C), moved.get("hbm_usd_per_gb", self._price), rule)))

    def _solve(self, moved):
        now = self._now(moved)
        curve, cells = (np.geomspace(*self._ends[W], n) for n in (POINTS, CELLS))
        rooms = np.geomspace(*self._ends[C], CELLS)
        frame = pd.DataFrame(
            {W: np.r_[now.value(W), curve, np.repeat(cells, CELLS)], C: np.r_[now.value(C), np.full(POINTS, now.value(C)), np.tile(rooms, CELLS)]}
        )
        wanted = [USD, TPOT, TTFT, "bound", "batch_limit", "batch", "chips_per_replica", "reason", f"{USD}_low", f"{USD}_high"]
        found = optimum(frame.assign(**_paid(self, moved, frame[C].to_numpy())), now, wanted, TRIED)
        found["feasible"] &= found[USD].notna()
        row = {name: found[name].iloc[0] for name in found}
        slopes = (
            elasticities(now.vary(weight_bits=row["weight_bits"], tensor_parallel=row["tensor_parallel"]), list(FIELDS), [USD])[USD] if row["feasible"] else []
        )
        return dict(now=now, row=row, curve=found.iloc[1 : POINTS + 1], cells=found.iloc[POINTS + 1 :], slopes=list(slopes))

    def _answer(self, *_):
        try:
            state = self._solve(self.moved)
            self.push(self._columns(state), self._title(state), readout=self._words(state), code=f"ic.s{repr(state['now'])[1:]}", texts=self._texts())
        except ValueError as error:
            self.push({name: {} for name in SETS}, [" ", str(error)[:LINE]], readout=[], code="", texts={})

    def _texts(self):
        return {name: text(name, x) if name != "hbm_usd_per_gb" else f"${x:,.0f}" for name, x in self.moved.items() if isinstance(x, int | float)}

    def _columns(self, state):
        row, now = state["row"], state["now"]
        bound = [_bound(r.feasible, r.bound, r.batch_limit) for r in state["cells"].itertuples()]
        step = [(end[1] / end[0]) ** (0.5 / (CELLS - 1)) for end in self._ends.values()]
        cells = dict(x=state["cells"][W], y=state["cells"][C], fill=[theme.BOUNDS.get(b, theme.PAPER) for b in bound])
        cells |= dict(x0=cells["x"] / step[0], x1=cells["x"] * step[0], y0=cells["y"] / step[1], y1=cells["y"] * step[1])
        good = state["curve"][state["curve"]["feasible"]]
        line = dict(x=good[W], y=good[USD], low=good[f"{USD}_low"], high=good[f"{USD}_high"])
        mark = dict(x=[now.value(W)], y=[row[USD]], text=[text(USD, row[USD])]) if row["feasible"] and row[USD] < self._most else {}
        bars = (
            dict(
                name=list(FIELDS.values()),
                value=state["slopes"],
                at=[max(v, 0.0) for v in state["slopes"]],
                text=[f"{v:+.2f}".replace("-", units.MINUS) for v in state["slopes"]],
            )
            if state["slopes"]
            else {}
        )
        sets = dict(cells=cells, cursor=dict(x=[now.value(W)], y=[now.value(C)]), line=line, mark=mark, bars=bars)
        return {name: {c: [_short(v) for v in column] for c, column in columns.items()} for name, columns in sets.items()}

    def _title(self, state):
        row = state["row"]
        if not row["feasible"]:
            said = f"{self._base.chip.name}: {str(row['reason']).partition('; overlay')[0]}"
        else:
            worth = dict(zip(FIELDS, state["slopes"], strict=True))
            pays = [name for name in (W, C) if worth[name] < -0.1]
            what = {
                0: "neither bandwidth nor capacity pays",
                1: f"{FIELDS[pays[0]]} pays, {FIELDS[C if pays[0] == W else W]} does not" if pays else "",
                2: "both pay",
            }
            lead = f"1% more bandwidth saves {abs(worth[W]):.2f}%, 1% more capacity {abs(worth[C]):.2f}%"
            said = f"At {text(USD, row[USD])} a million tokens {what[len(pays)]}: {lead}"
        lines = textwrap.wrap(said, LINE, max_lines=2, placeholder=" …")
        return [" "] * (2 - len(lines)) + lines

    def _words(self, state):
        row = state["row"]
        if not row["feasible"]:
            return [("name", self._base.chip.name), ("plain", "no figure")]
        change = row[USD] / self._usd - 1
        words = [
            ("name", self._base.chip.name),
            ("number", f"{text(USD, row[USD])} per Mtok"),
            ("plain", f"TTFT {text(TTFT, row[TTFT])}"),
            ("plain", f"TPOT {text(TPOT, row[TPOT])}"),
        ]
        words += [("plain", f"batch {row['batch']:,.0f} on {row['chips_per_replica']:.0f}, {row['weight_bits']:.0f}-bit weights"), ("break", "")]
        words += [("plain", f"chip {text('chip_usd', state['now'].value('chip_usd'))}")]
        words += [("change", "as base" if abs(change) < 1e-9 else f"{100 * change:+.0f}% to base".replace("-", units.MINUS))]
        if self._a:
            words += [("plain", f"A {text(USD, self._a['row'][USD])}")]
        return words


def _paid(panel, moved, rooms):
    """The price of the chip at each capacity, where a rule passes it on."""
    rule = moved.get("pass_through", "not")
    return {} if rule == "not" else dict(chip_usd=hbm.chip_price(panel._base, rooms, moved.get("hbm_usd_per_gb", panel._price), rule))


def _bound(feasible, bound, limit):
    return "" if not feasible else "capacity" if limit == "memory" else str(bound)


def _short(x):
    return float(f"{x:.5g}") if isinstance(x, float | np.floating) else x


def _price_control(price):
    stops = sorted({*(float(f"{x:.3g}") for x in np.geomspace(price / 4, price * 6, 40)), price})
    facts = np.interp([0.7 * price, 1.4 * price], stops, range(len(stops))).tolist()
    return dict(name="hbm_usd_per_gb", label="HBM price", help="US dollars for one GB of HBM", group="Price of memory", kind="slider", stops=stops,
                texts=[f"${x:,.0f}/GB" for x in stops], base=stops.index(price), sourced=facts, factor=1.0)  # fmt: skip


def _rule_control():
    return dict(name="pass_through", label="Passed on", help="How the bill for memory reaches the price: not at all, margin kept in dollars, or in per cent",
                group="Price of memory", kind="toggle", stops=list(RULES), texts=list(RULES.values()), base=0, sourced=[], factor=1.0)  # fmt: skip


def _spec(ends, start):
    """Curve above; map of bounds and elasticities below."""
    plot, half = theme.WIDTH["live"] - 70, (theme.WIDTH["live"] - 70) // 2 - 30
    line, mark, cells, cursor, bars = (alt.NamedData(name) for name in ("line", "mark", "cells", "cursor", "bars"))
    usd = start["curve"][USD].dropna()
    x, y = (
        marks.axis(alt.X, W, ends[W], title="Memory bandwidth, TB/s →"),
        marks.axis(alt.Y, USD, (usd.min() / 2, usd.max() * HEADROOM), title="↑ US$ per million output tokens", minExtent=44),
    )
    band = alt.Chart(line).mark_area(color=theme.NEUTRAL["accent"], opacity=theme.BAND_OPACITY, clip=True).encode(x=x("x"), y=y("low"), y2="high")
    curve = alt.Chart(line).mark_line(color=theme.NEUTRAL["accent"], strokeWidth=2.5, clip=True).encode(x=x("x"), y=y("y"))
    dot = alt.Chart(mark).mark_point(color=theme.INK, filled=True, size=80, clip=True, opacity=1).encode(x=x("x"), y=y("y"))
    top = alt.layer(band, curve, dot, *marks.texts(mark, x("x"), y("y"), bold=True, dx=9, dy=-9), width=plot, height=SHORT)
    x2, y2 = (
        marks.axis(alt.X, W, ends[W], title="Memory bandwidth, TB/s →", grid=False),
        marks.axis(alt.Y, C, ends[C], title="↑ Capacity, GB", minExtent=44, grid=False),
    )
    rect = alt.Chart(cells).mark_rect(stroke=theme.PAPER, strokeWidth=1, clip=True)
    rect = rect.encode(x=x2("x0"), x2="x1", y=y2("y0"), y2="y1", fill=marks.style("fill", alt.Fill))
    cross = alt.Chart(cursor).mark_point(shape="cross", filled=True, size=140, color=theme.INK, stroke=theme.PAPER, opacity=1).encode(x=x2("x"), y=y2("y"))
    lower = alt.layer(rect, cross, width=half, height=SHORT)
    names = alt.Y("name:N", sort=list(FIELDS.values()), scale=alt.Scale(domain=list(FIELDS.values())), axis=alt.Axis(title=None, minExtent=76))
    values = alt.X(
        "value",
        type="quantitative",
        scale=alt.Scale(domain=[-1.6, 1.6]),
        axis=alt.Axis(values=[-1.5, -1, -0.5, 0, 0.5, 1, 1.5], title="Per cent of cost for one per cent more", grid=True),
    )
    bar = alt.Chart(bars).mark_bar(height=18, clip=True, color=theme.NEUTRAL["accent"]).encode(x=values, y=names)
    words = (
        alt.Chart(bars)
        .mark_text(align="left", dx=5, color=theme.INK)
        .encode(x=alt.X("at", type="quantitative"), y=names, text=alt.Text("text", type="nominal"))
    )
    right = alt.layer(bar, words, width=half - 60, height=SHORT)
    key = [
        (part.capitalize() if part != "capacity" else "Memory full", theme.BOUNDS[part], theme.NEUTRAL["axis"])
        for part in ("compute", "memory", "network", "overhead", "capacity")
    ]
    lower = alt.layer(lower, width=half, height=SHORT)
    keys = alt.layer(*_keys(key), width=plot, height=14)
    what = ["Cost against bandwidth, band = 80% interval; what bounds a step at every memory, + = here; what 1% more of each is worth"]
    heading = alt.TitleParams(text=alt.expr("ttl"), subtitle=what)
    chart = alt.vconcat(top, keys, alt.hconcat(lower, right, spacing=24), spacing=18, title=heading).add_params(alt.param(name="ttl", value=[" ", " "]))
    spec = chart.to_dict(validate=False) | dict(
        description="Cost of a million tokens over memory bandwidth, bounds and elasticities; the title tells what changes"
    )
    return spec | dict(datasets=spec.get("datasets", {}) | {name: [] for name in SETS})


def _keys(entries):
    layers, at = [], 0.0
    for words, fill, outline in entries:
        square = pd.DataFrame([dict(fill=fill, outline=outline, shape="square")])
        layers += [
            marks.points(square, alt.value(at + 6), alt.value(7), 80),
            *marks.note(words, at + 16, 7, color=marks.INK2, size=theme.SIZE["axis"], halo=False),
        ]
        at += marks.px(words, theme.SIZE["axis"]) + 34
    return layers


def explore(base: Scenario | None = None) -> MemoryPanel:
    """A panel of sliders on the memory of a scenario's chip: what bandwidth, capacity and price of HBM are worth.

    The price of HBM has its sliders where the chip's bill of materials is known (`hbm.bills`).

    Raises
    ------
    ValueError
        For a scenario with arrays.
    """
    return MemoryPanel(base or scenario(chip="b200-sxm"))
