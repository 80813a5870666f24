"""Sliders on a live chart: move one, and the whole model runs again behind it.

A control knows its label, unit, help and range from the field's metadata and the fact behind it. What it changes is
`scenario.vary`, so a state of the panel is a scenario that can be copied into code.
"""

import textwrap

import numpy as np
import traitlets

from infertco import catalog, units
from infertco.columns import check_name, choice_names
from infertco.scenario import Scenario, evaluate, scenario
from infertco.values import CHOICES, FIELDS, IDS, ONE, OWNER, VALUES
from infertco.views.figure import COUNT, apart, looks
from infertco.views.live import COLUMNS, PARTS, SPEED, TPOT, TTFT, USD, LiveChart, cost_columns, cost_extents, cost_spec
from infertco.views.tables import text, unit

USUAL = ("tpot_slo_s", "input_tokens", "weight_bits", "usd_per_kwh", "utilization", "chip_usd")
LAYOUTS = (1, 2, 4, 8)
BATCHES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)
GROUPS = dict(chip="Chip", model="Model", workload="Workload", deployment="Deployment", site="Site and prices", finance="Site and prices")
WIDTHS = dict(weight_bits=(4, 8, 16), kv_bits=(4, 8, 16), activation_bits=(4, 8, 16))
DOUBLING = dict(tensor_parallel=8, pipeline_parallel=8, expert_parallel=64, attention_data_parallel=8, batch=1024, max_batch=4096)
UNNAMED = dict(tensor_parallel="best", batch="largest", ttft_slo_s="none", tpot_slo_s="none", engine="usual")
LINE = 80  # characters of a title line over the live chart
STOPS, FAR = 50, 20  # stops of a slider; high over low from which its scale is logarithmic
OUTPUTS = [*COLUMNS.values(), *PARTS, TTFT, TPOT, "batch", "chips_per_replica", "fits_memory", "meets_slo", "extrapolated", "reason"]


# ------------------------------------------------------------------ controls


def stops(scenario: Scenario, name: str, span=None) -> list:
    """The values a control goes through, the scenario's own among them; None where the model chooses.

    `span` is (low, high) or the values themselves; by default a fifth to five times the base (tokens: a sixteenth to
    sixteen times) and the sourced range, within what is usual.
    """
    if name in IDS or unit(name) == "text" and name not in CHOICES:
        raise ValueError(f"{name} is neither a number nor a choice; set it in the scenario")
    base, tokens = scenario.value(name), unit(name) == "token"
    if name in CHOICES:
        found = choice_names(name)
    elif name in WIDTHS or span is not None and len(span) > 2:
        found = span or WIDTHS[name]
    elif name in DOUBLING:
        high = span[1] if span else DOUBLING[name]
        found = [2.0**i for i in range(20) if (span[0] if span else 1) <= 2**i <= high]
    else:
        low, high = span or _range(scenario, name, base, 16 if tokens else 5)
        if low > 0 and high / low > FAR:
            found = [float(f"{x:.2g}") for x in np.geomspace(low, high, STOPS)]
        else:
            step = next(s for s in (m * 10.0 ** np.floor(np.log10((high - low) / STOPS)) for m in (1, 2, 2.5, 5, 10)) if s * STOPS >= high - low)
            found = [float(f"{i * step:.6g}") for i in range(int(np.ceil(low / step - 1e-9)), int(high / step + 1e-9) + 1)]
        found = [max(round(x), 1) for x in found] if tokens else found
    own = _own(scenario, name)
    found = list(found) if name in CHOICES else sorted({float(x) for x in found} | {own} - {None})
    return [None] * (own is None) + found


def _own(scenario, name):
    """What a control shows at first: the value in force; None where the model chooses or there is no figure."""
    base = scenario.value(name)
    if name in ("weight_bits", "kv_bits") and base != base:
        base = scenario.value("published_weight_bits") if name == "weight_bits" else 16.0
    return None if base == "" or base != base else base


def _fact(scenario, name):
    part = OWNER[name]
    id = "default" if part == "finance" else getattr(getattr(scenario, part), part, None)
    return catalog.fact(part, id, name, scenario.as_of) if id else None


def _range(scenario, name, base, times):
    """Lowest and highest value of a slider."""
    about, fact = FIELDS[name].metadata, _fact(scenario, name)
    low, high = about["usual"]
    if about["allowed"] != ONE:
        known = [x for x in (base / times, base * times, *((fact.low, fact.high) if fact else ())) if x == x]
        unknown = (low, high) if about["usual"] != about["allowed"] else (0.0, np.inf)
        low, high = (max(low, min(known)), min(high, max(known))) if known else unknown
    if name == "input_tokens":
        high = np.nanmin([high, scenario.value("max_context_tokens") - scenario.value("output_tokens")])
    if not np.isfinite(high) or high <= low:
        raise ValueError(f"{name} has no usual range; give one: fields=dict({name}=(low, high))")
    return low, high


def control(scenario: Scenario, name: str, span=None, whose: str = "") -> dict:
    """One control as the front end wants it: words, stops with their texts, base and sourced range as stop numbers."""
    about, values, fact = FIELDS[name].metadata, stops(scenario, name, span), _fact(scenario, name)
    numbers = np.array([np.nan if v is None or isinstance(v, str) else v for v in values], float)
    own = values.index(_own(scenario, name))
    sourced = []
    if fact and fact.low == fact.low and not isinstance(values[own], str):
        known = ~np.isnan(numbers)
        sourced = np.interp([fact.low, fact.high], numbers[known], np.flatnonzero(known)).tolist()
    words = [str(v).replace("_", " ") if isinstance(v, str) else UNNAMED.get(name, units.MISSING) if v is None else text(name, v) for v in values]
    kind = "slider" if name not in CHOICES and len(values) > 5 else "toggle" if len(values) <= 5 else "list"
    factor = 0.01 if unit(name) == "share" else units.word(numbers[own], unit(name), name)[0] if numbers[own] == numbers[own] else 1.0
    return dict(
        name=name, label=about["label"] + whose, help=about["help"], group=GROUPS[OWNER[name]], kind=kind, stops=values, texts=words, base=own,
        sourced=sourced, factor=factor,
    )  # fmt: skip


# ------------------------------------------------------------------ the panel


class Panel(LiveChart):
    """Controls and their chart. `moved` holds what differs from the base scenario, `kept` the same of the state A."""

    controls = traitlets.List().tag(sync=True)
    summary = traitlets.Unicode().tag(sync=True)
    moved = traitlets.Dict().tag(sync=True, echo_update=False)
    kept = traitlets.Dict(allow_none=True).tag(sync=True, echo_update=False)

    def __init__(self, base: Scenario, spans: dict, chips, views, layouts):
        self._base, self._looks = base, looks([base.chip.chip, *chips]).reset_index().to_dict("records")
        self.chips = [look["chip"] for look in self._looks]
        grid = np.meshgrid(range(len(self.chips)), (np.nan, *layouts), (np.nan, *BATCHES), indexing="ij")
        self._chip, self._layout, self._batch = (axis.ravel() for axis in grid)  # batch NaN: the scenario's, or the largest within the limits
        whose = f", {self._looks[0]['name']}" if len(chips) else ""
        controls = [control(base, name, spans[name], whose * (OWNER[name] == "chip")) for part in VALUES for name in spans if OWNER[name] == part]
        self._start = start = self._solve({})
        ends = [self._solve({c["name"]: c["stops"][i]}) for c in controls for i in (0, -1)]
        self._extents, self._lines = cost_extents([start, *ends]), {}
        given = base.fields().get("tensor_parallel")
        layout = f"tensor parallel {given:.0f}" if given else f"each chip at its best tensor parallel of {', '.join(map(str, layouts))}"
        summary = f"{', '.join(base.value(name) for name in (*IDS[1:], 'ownership'))}; {layout}."
        super().__init__(cost_spec(self._looks, self._extents, start["rows"], views), controls=controls, kept=None, summary=summary)
        self.observe(self._compare, "kept")
        self.observe(self._answer, "moved")
        self._compare()

    @property
    def scenario(self) -> Scenario:
        """The scenario that the controls show."""
        return self._base.vary(**self.moved)

    def move(self, name: str, value) -> None:
        """Set one control, as the front end does; the base value is no change."""
        about = next(c for c in self.controls if c["name"] == name)
        others = {k: v for k, v in self.moved.items() if k != name}
        self.moved = others if value == about["stops"][about["base"]] else others | {name: value}

    def reset(self) -> None:
        """All controls back to the base."""
        self.moved = {}

    def keep(self) -> None:
        """Freeze the present state as A, drawn in grey."""
        self.kept = dict(self.moved)

    def clear(self) -> None:
        """Forget A."""
        self.kept = None

    def _solve(self, moved: dict) -> dict:
        """One state: `rows`, each chip at its best within the limits, and `lines`, what it can reach at any speed."""
        import pandas as pd

        now, chip, searched = self._base.vary(**moved), self._chip, np.isnan(self._batch)
        named = now.fields()
        columns = dict(
            chip=pd.Categorical.from_codes(chip.astype(int), self.chips),
            tensor_parallel=np.full(len(chip), named["tensor_parallel"]) if "tensor_parallel" in named else self._layout,
            batch=np.where(searched, now.value("batch"), self._batch),
        ) | {name: np.where(chip == 0, x, np.nan) for name, x in named.items() if OWNER[name] == "chip" and name != "chip"}  # fmt: skip
        table = evaluate(pd.DataFrame(columns, copy=False), OUTPUTS, base=now)
        of = {name: table[name].to_numpy() for name in OUTPUTS if name != "reason"}
        usd, speed = of[USD], of[SPEED]
        good = of["meets_slo"] & ~np.isnan(usd)
        furthest = of["fits_memory"].astype(int) + ~np.isnan(speed) + of["meets_slo"]
        order = np.lexsort((of["chips_per_replica"], np.where(good, usd, of[TPOT]), -furthest, ~good))
        order = order[searched[order]]
        first = order[np.unique(chip[order], return_index=True)[1]]
        rows = [
            {name: x[i].item() for name, x in of.items()} | dict(chip=id, name=look["name"], good=bool(good[i]), reason=str(table["reason"].iat[i]))
            for i, id, look in zip(first, self.chips, self._looks, strict=True)
        ]
        order = np.lexsort((usd, -speed, chip))
        order, lines = order[~np.isnan(usd[order])], {}
        for i, id in enumerate(self.chips):
            mine = order[chip[order] == i]
            mine = mine[usd[mine] < np.minimum.accumulate(np.r_[np.inf, usd[mine]])[:-1]]
            if len(mine):
                lines[id] = {c: of[name][mine] for c, name in COLUMNS.items()}
        return dict(rows=rows, lines=lines, now=now)

    def _compare(self, *_):
        """Solve the state kept as A once, then draw."""
        self._a = None if self.kept is None else self._solve(self.kept)
        self._answer()

    def _answer(self, *_):
        """Solve the state shown and push it; what cannot be leaves its last line standing, in grey, and says why."""
        try:
            state = self._solve(self.moved)
            title, code = _title(state), f"ic.s{repr(state['now'])[1:]}"
        except ValueError as error:  # typed, and not allowed
            stale = [row | dict(good=False, reason="") for row in self._start["rows"]]
            state, title, code = self._start | dict(lines={}, rows=stale), str(error), ""
        self._lines |= state["lines"]
        columns = cost_columns(state | dict(lines=self._lines), self._a, self._looks, self._extents)
        lines = textwrap.wrap(title, LINE, max_lines=2, placeholder=" …")
        texts = {name: text(name, x) for name, x in self.moved.items() if isinstance(x, int | float)}
        self.push(columns, [" "] * (2 - len(lines)) + lines, readout=self._readout(state, self._a) if code else [], code=code, texts=texts)

    def _readout(self, state, a) -> list:
        """Headline numbers of the scenario's own chip and their change against base and A, as (kind, words)."""
        row, words = state["rows"][0], [("name", self._looks[0]["name"])]
        if row[USD] != row[USD]:
            return [*words, ("plain", "no figure")]
        chips = f"{row['chips_per_replica']:.0f} chip{'s' if row['chips_per_replica'] > 1 else ''}"
        words += [("number", f"{text(USD, row[USD])} per Mtok"), ("plain", f"TTFT {text(TTFT, row[TTFT])}"), ("plain", f"TPOT {text(TPOT, row[TPOT])}")]
        words += [("plain", f"batch {row['batch']:,.0f} on {chips}"), ("break", "")]
        for name, there in (("base", self._start["rows"][0][USD]), ("A", a["rows"][0][USD] if a else np.nan)):
            if there == there:
                same, change = abs(row[USD] / there - 1) < 1e-9, units.format(row[USD] - there, "USD/Mtok", digits=2)
                words += [("plain", f"A {text(USD, there)}")] * (name == "A")
                words += [("change", f"as {name}" if same else f"{'+' * (row[USD] > there)}{change} to {name}")]
        return words + [("plain", "† extrapolated beyond what was measured")] * row["extrapolated"]

    def __repr__(self):
        texts = self.update["texts"] | {k: str(v) for k, v in self.moved.items() if isinstance(v, str)}
        shown = ", ".join(f"{c['label']} {texts.get(c['name'], c['texts'][c['base']])}" for c in self.controls)
        return f"[live chart] {self.title} | {' · '.join(words for _, words in self.update['readout'] if words)} | sliders: {shown}"


def explore(base: Scenario | None = None, fields=USUAL, chips=(), view=("curve", "stack"), tensor_parallel=LAYOUTS) -> Panel:
    """A panel of sliders on the cost of tokens: $/Mtok against speed, and by component, for the scenario's chip and others.

    Parameters
    ----------
    base : Scenario
        Where the sliders start; `scenario()` if None. Fields of its chip are varied for that chip alone.
    fields : names, or dict of name to (low, high), to the values themselves, or to None
        What gets a control: any numeric field or choice. At most eight are readable.
    chips : list of ids
        Chips drawn beside the scenario's own.
    view : "curve", "stack" or both
        What is drawn.
    tensor_parallel : list of int
        Layouts out of which each chip takes its best, unless the scenario names one.

    Raises
    ------
    ValueError
        For a field that does not exist, cannot be slid or has no range, and an unknown chip or view.
    """
    base, views = base or scenario(), (view,) if isinstance(view, str) else tuple(view)
    if any(np.ndim(x) for x in base.fields().values()):
        raise ValueError("explore takes one scenario, without arrays")
    for name in fields:
        check_name(name)
    for chip in chips:
        catalog.check_id("chip", chip, base.as_of)
    if not views or set(views) - {"curve", "stack"}:
        raise ValueError(f"view is 'curve', 'stack' or both, got {view!r}")
    return Panel(base, fields if isinstance(fields, dict) else dict.fromkeys(fields), chips, views, tensor_parallel)


# ------------------------------------------------------------------ words


def _title(state) -> str:
    """The finding at the limits; where the scenario's own chip cannot be within them, why."""
    own, slo = state["rows"][0], state["now"].value("tpot_slo_s")
    if not own["good"]:
        reached = f"; at best TTFT {text(TTFT, own[TTFT], digits=3)}, TPOT {text(TPOT, own[TPOT], digits=3)}" if own[TPOT] == own[TPOT] else ""
        return f"{own['name']}: {own['reason'].partition('; overlay')[0]}{reached}"
    where = f"At {text(TPOT, slo, digits=None)} per token" if slo == slo else "At the largest batch"
    first, *others = sorted((row for row in state["rows"] if row["good"]), key=lambda row: row[USD])
    if not others:
        return f"{where} {own['name']} serves a million tokens for {text(USD, own[USD])}"
    other = own if own is not first else others[-1]
    if apart(first, other, USD):
        return f"{where} {other['name']} costs {units.format(other[USD] / first[USD], 'ratio')[:-1]} times as much per token as {first['name']}"
    same = [row for row in others if not apart(first, row, USD)]
    return f"{where} the cheapest {COUNT[len(same) + 1]} cannot be told apart: {units.span(first[USD], same[-1][USD], 'USD/Mtok')} per million tokens"
