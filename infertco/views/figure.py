"""A chart with its words: title, subtitle, alt text and table, all made from the rows drawn.

A title claims an order only where the 80% intervals do not overlap; else it says that the best cannot be told apart.
Rows that cannot be drawn are left out and counted.
"""

import re
import textwrap
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from infertco import catalog, units
from infertco.views import theme
from infertco.views.tables import format_table, meta, text, unit

COUNT = "no one two three four five six seven eight nine ten eleven twelve".split()
INTERVAL = "80% interval"
OF_WHAT = {"usd_per_mtok": " per million tokens", "output_tokens_per_s_per_chip": " per chip", "tokens_per_usd": " tokens per dollar"}


@dataclass(frozen=True)
class Figure:
    """A chart and the words that go with it; `data` is what the words were made from, `table` the same as text."""

    chart: alt.TopLevelMixin
    title: str
    subtitle: tuple[str, ...]
    description: str
    data: pd.DataFrame

    @property
    def table(self) -> pd.DataFrame:
        return format_table(self.data)

    def spec(self, title: bool = True) -> dict:
        """The Vega-Lite spec with this theme; without its title for a page that prints it. The tests hold it to the schema."""
        with alt.data_transformers.enable(once()):
            spec = self.chart.to_dict(validate=False)
        spec |= dict(config=theme.CONFIG, description=self.description)
        if title:
            spec["title"] = dict(text=title_lines(self.title), subtitle=list(self.subtitle))
        records = self.data.astype(object).where(self.data.notna(), None).to_dict("records")
        return theme.tidy(spec | dict(usermeta=dict(infertco=dict(table=records))))

    def svg(self, title: bool = True) -> str:
        return theme.svg(self.spec(title))

    def png(self, title: bool = True, scale: float = 2) -> bytes:
        return theme.png(self.spec(title), scale)

    def _repr_mimebundle_(self, **_):
        return theme.bundle(self.spec(), f"[chart] {self.title}")


def once() -> str:
    """The name of a way to turn frames into records, each once however many layers share it; the rest is Altair's own."""
    records = {}

    def transform(data):
        if id(data) not in records:
            records[id(data)] = data, alt.default_data_transformer(data)  # the frame held, so that its id stays its own
        return records[id(data)][1]

    alt.data_transformers.register("once", transform)
    return "once"


def title_lines(title: str) -> list[str]:
    """The title in as few lines as it needs, of about equal length."""
    lines, width = textwrap.wrap(title, theme.TITLE_CHARACTERS), theme.TITLE_CHARACTERS
    while width > 30 and len(shorter := textwrap.wrap(title, width - 1)) == len(lines):
        lines, width = shorter, width - 1
    return lines


def looks(ids) -> pd.DataFrame:
    """Name, colors and shape of chips, in the order given; the second chip of one color is drawn hollow or dashed."""
    facts, rows = catalog.table("chip"), []
    for id in dict.fromkeys(map(str, ids)):
        of = {f: facts.columns[f][facts.row[id]] for f in ("name", "vendor", "kind", "generation", "status")} if id in facts.row else {}
        name = re.sub(r" *\(.*?\)", "", of.pop("name", "") or id)
        rows.append(dict(chip=id, name=re.sub(r" \d+GB$", "", name), full=name) | theme.look(**dict(vendor="") | of)._asdict())
    frame = pd.DataFrame(rows).set_index("chip")
    frame["name"] = frame["name"].where(~frame["name"].duplicated(keep=False), frame["full"])
    frame["name"] = frame["name"].where(~frame["name"].duplicated(keep=False), frame.index) + np.where(frame["hollow"], " (announced)", "")
    frame["fill"] = frame["color"].where(~(frame["hollow"] | frame["color"].duplicated()), theme.PAPER)
    pattern = np.where(frame["hollow"], "announced", np.where(frame["fill"] == theme.PAPER, "twin", ""))
    frame["dash"] = [theme.DASH.get(name, [1, 0]) for name in pattern]
    return frame


KEPT = ("batch", "tensor_parallel", "compute_format", "ttft_s", "tpot_s", "extrapolated")


def drawable(table, columns, within_limits: bool = True, also=()) -> pd.DataFrame:
    """The rows with figures in all the columns (and within the SLO), chips styled; a missing interval has no width."""
    keep = table[list(columns)].notna().all(axis=1)
    if within_limits and "meets_slo" in table:
        keep &= table["meets_slo"].astype(bool)
    found = table[keep]
    if not len(found):
        return found
    code, ids = pd.factorize(found["chip"].astype(str))
    data = dict(chip=ids[code]) | {name: found[name].to_numpy() for name in (*KEPT, *columns, *also) if name in found}
    for end in (f"{name}{side}" for name in columns for side in ("_low", "_high")):
        point = data[end.rpartition("_")[0]]
        data[end] = np.where(found[end].isna(), point, found[end]) if end in found else point
    doubtful = data.get("extrapolated", np.zeros(len(found))).astype(bool)
    data["opacity"] = np.where(doubtful & ~doubtful.all(), theme.DOUBTFUL_OPACITY, 1.0)
    data |= {name: style.to_numpy()[code] for name, style in looks(ids).items()}
    data["name"] = data["name"] + np.where(data["opacity"] < 1, " †", "")
    return pd.DataFrame(data, index=found.index)


def best_rows(rows, by: str) -> pd.DataFrame:
    """One row a chip, its best; all sorted, best first."""
    return rows.sort_values(by, ascending=meta(by)["better"] != "more", kind="stable").drop_duplicates("chip").reset_index(drop=True)


def apart(a, b, by: str) -> bool:
    """Do the intervals of two rows not overlap?"""
    low, high = sorted((a, b), key=lambda row: row[by])
    return low[f"{by}_high"] < high[f"{by}_low"]


def finding(rows, by: str, reference, say, tied) -> str:
    """The title: `say(best, other, "2.1")` if their intervals allow, else `tied(how many, from what to what)`.

    `rows` are sorted, best first; `other` is the reference chip or, without one, the last.
    """
    rows, of_what = rows.assign(name=rows["name"].str.replace(" ", units.NBSP)), OF_WHAT.get(by, "")
    first = rows.iloc[0]
    if len(rows) == 1:
        return f"{first['name']} reaches {text(by, first[by], digits=2)}{of_what}"
    other = rows[rows["chip"] == reference].iloc[0] if reference in set(rows["chip"][1:]) else rows.iloc[-1]
    if apart(first, other, by):
        ratio = max(first[by], other[by]) / min(first[by], other[by])
        return say(first, other, units.format(ratio, "ratio")[:-1]).replace(" times", units.NBSP + "times")
    same = [row for _, row in rows.iterrows() if not apart(first, row, by)]
    span = units.span(*sorted((first[by], same[-1][by])), unit(by), name=by)
    return tied(COUNT[len(same)] if len(same) < len(COUNT) else str(len(same)), span + of_what)


def lower(label: str) -> str:
    """A label inside a sentence."""
    return label if label[:2].isupper() else label[0].lower() + label[1:]


def shared(table, name: str):
    """The value of a field that all rows share: a column, or the limit of the one workload; else None."""
    found = table[name].dropna().unique() if name in table else []
    if name not in table and name.endswith("_slo_s") and "workload" in table and table["workload"].nunique() == 1:
        facts = catalog.table("workload")
        row = facts.row.get(str(table["workload"].iloc[0]))
        found = [] if row is None else [v for v in [facts.columns[name][row]] if v == v]
    return found[0] if len(found) == 1 else None


def scenario_line(table, limits: bool = True) -> str:
    """Model, workload, site, weight width and latency limits that all rows share, as one phrase."""
    words = [str(v) for name in ("model", "workload", "site") if (v := shared(table, name)) is not None]
    words += [f"{v:g}-bit weights" for v in [shared(table, "weight_bits")] if v]
    known = [(label, name, shared(table, name)) for label, name in (("TTFT", "ttft_slo_s"), ("TPOT", "tpot_slo_s")) if limits]
    return ", ".join(words + [f"{label} ≤ {text(name, v, digits=None)}" for label, name, v in known if v])


def subtitle(width: int, what: str, *notes: str) -> tuple[str, ...]:
    """What is shown, then scenario and notes, in lines no longer than the chart is wide."""
    notes = "; ".join(filter(None, notes))
    return tuple(line for sentence in (what, notes) if sentence for line in textwrap.wrap(sentence, int(width / 6.1)))


def first_of(shown, best, reference) -> str:
    """How many of the rows are shown, and whether the reference is one more."""
    extra = len(shown) > 1 and shown["chip"].iloc[-1] == reference and best["chip"].iloc[len(shown) - 1] != reference
    if len(shown) == len(best):
        return ""
    return f"best {len(shown) - extra} of {len(best)}" + (f" and {shown['name'].iloc[-1]}" if extra else "")


def left_out(table, rows) -> str:
    """How many chips have no row that can be drawn, and whether what is drawn is extrapolated."""
    chips, missing = table["chip"].nunique(), table["chip"].nunique() - rows["chip"].nunique()
    words = [f"{missing} of {chips} chips left out: infeasible or without a figure"] if missing else []
    if "extrapolated" in rows and rows["extrapolated"].any():
        words.append("all extrapolated" if rows["extrapolated"].all() else "† extrapolated")
    return "; ".join(words)


def alt_text(what: str, rows, by: str, scenario: str, title: str) -> str:
    """Kind and scenario, the finding, the range with names, the uncertainty, where the table is."""
    ordered = rows.sort_values(by)
    low, high = ordered.iloc[0], ordered.iloc[-1]
    below, above = ((rows[by + side] / rows[by] - 1).median() for side in ("_low", "_high"))
    sure = f"The 80% intervals span about {units.format(below, 'share')} to +{units.format(above, 'share')}." if above > 0 else "No intervals are known."
    extremes = f"From {text(by, low[by], digits=2)} ({low['name']}) to {text(by, high[by], digits=2)} ({high['name']})"
    return f"{what}, {scenario or 'one scenario'}. {title}. {extremes}. {sure} Values in the table beside it."


def nothing(table, width: int) -> Figure:
    """In place of a chart none of whose rows can be drawn: the reason most of them give."""
    reasons = table["reason"].astype(str).loc[lambda r: r != ""].mode() if "reason" in table else []
    reason, title = str(reasons[0]) if len(reasons) else "no row has the figures", f"None of {table['chip'].nunique()} chips can be drawn"
    frame = pd.DataFrame([dict(text=line, line=i) for i, line in enumerate(textwrap.wrap(reason, int(width / 6.5)))])
    place = dict(x=alt.value(0), y=alt.Y("line:O", axis=None, scale=alt.Scale(domain=frame["line"].tolist())))
    chart = alt.Chart(frame, width=width - 20, height=18 * len(frame)).mark_text(align="left", baseline="middle").encode(text="text:N", **place)
    return Figure(chart, title, subtitle(width, scenario_line(table)), f"No chart. {title}: {reason}.", table[["chip"]].head(0))
