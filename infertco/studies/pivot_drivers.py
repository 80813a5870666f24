"""What moves the date of the pivot, what to train given what will be served, and what others have said.

All ask `studies.pivot` for one path: inputs are moved one or two at a time, everything else at its value.
"""

from types import SimpleNamespace

import numpy as np

from infertco import catalog
from infertco.kernel import training
from infertco.stages import Z80
from infertco.studies.pivot import calendar, crossing, path, told, uncertain, years

# ------------------------------------------------------------------ what moves the date


def drivers(what=None, plan=None, measure="spend", most=10, **named):
    """How far each input that is not known moves the date: a row an input, its P10 and P90 and the dates there, widest first.

    A date that is never reached counts as the end of the calendar, `horizon`.
    """
    import pandas as pd

    from infertco.studies.ranges import quantile

    scn, plan, facts = told(what, plan, named)
    known, months = uncertain(scn, facts), calendar(facts.first_month, facts.last_month)
    n = len(known)
    numbers = np.tile(known["value"].to_numpy(float), (2 * n + 1, 1))
    for k, z in ((1, -Z80), (n + 1, Z80)):
        numbers[np.arange(n) + k, np.arange(n)] = quantile(known, np.full((1, n), z))[0]
    at = _dates(scn, facts, months, measure, dict(zip(known["field"], numbers.T, strict=True)))
    table = pd.DataFrame(dict(field=known["field"], label=known["label"], unit=known["unit"], low=np.diag(numbers[1 : n + 1]), high=np.diag(numbers[n + 1 :]),
                              date_low=at[1 : n + 1], date_high=at[n + 1 :], date=at[0]))  # fmt: skip
    end = float(years(months, len(months))[0])
    swing = (table["date_high"].fillna(end) - table["date_low"].fillna(end)).abs()
    return table.assign(swing=swing, horizon=end).sort_values("swing", ascending=False, kind="stable", ignore_index=True).head(most)


def elasticities(what=None, plan=None, measure="spend", step=0.01, **named):
    """Years that the date moves for one per cent more of each input: a row an input, largest first."""
    import pandas as pd

    scn, plan, facts = told(what, plan, named)
    known, months = uncertain(scn, facts), calendar(facts.first_month, facts.last_month)
    moved, n = {}, len(known)
    for i, row in enumerate(known.itertuples()):
        column = np.full(n + 1, row.value)
        column[i + 1] *= 1 + step
        moved[row.field] = column
    at = _dates(scn, facts, months, measure, moved)
    table = pd.DataFrame(dict(field=known["field"], label=known["label"], value=known["value"], years_per_percent=(at[1:] - at[0]) * 0.01 / step))
    return table.iloc[np.argsort(-table["years_per_percent"].abs().fillna(0.0).to_numpy(), kind="stable")].reset_index(drop=True)


def surface(x: str, y: str, what=None, plan=None, measure="spend", steps=6, **named):
    """The date over two inputs, each from its low to its high: columns of the two and `date`; NaN never."""
    import pandas as pd

    scn, plan, facts = told(what, plan, named)
    known, months = uncertain(scn, facts).set_index("field"), calendar(facts.first_month, facts.last_month)
    for name in (x, y):
        if name not in known.index:
            raise ValueError(f"{name} has no range in this story{catalog.nearest(name, known.index)}")
    spans = [np.linspace(known.loc[name, "low"], known.loc[name, "high"], steps) for name in (x, y)]
    grid = [axis.ravel() for axis in np.meshgrid(*spans, indexing="ij")]
    moved = {x: grid[0], y: grid[1]}
    return pd.DataFrame(moved | dict(date=_dates(scn, facts, months, measure, moved)))


def _dates(scn, facts, months, measure, moved):
    """Date of the crossing with inputs moved, arrays of one length by name."""
    return years(months, crossing(path(scn, SimpleNamespace(**vars(facts) | moved), months, {}), measure, facts.window_months))


def overtraining(what=None, plan=None, served_tokens=(0, 1e12, 1e13, 1e14), **named):
    """How large a model to train for the loss of the story's, given the tokens it will serve: in FLOP, and in dollars at each phase's own price.

    Returns
    -------
    DataFrame
        counted (flop, usd), served_tokens, params, tokens, saving_share (against the model given, at its own tokens).

    Notes
    -----
    A FLOP served costs more than one trained, as decoding waits for memory: the ratio is what the kernels say of this
    scenario's chip-seconds, with the chip-hours' own prices. Laws are of dense models; a mixture is taken at its active parameters.
    """
    import pandas as pd

    scn, plan, facts = told(what, plan, named)
    months = calendar(facts.first_month, facts.last_month)
    middle = path(scn, facts, months[:2], {})
    served = middle.inference_spend[0] / middle.inference_flop[0]
    own = middle.training_spend[0] / middle.training_flop[0]
    id = facts.trained_model or scn.model.model
    size, tokens = (float(catalog.models(scn.as_of)[name][id]) for name in ("active_params", "training_tokens"))
    rows = []
    for counted, ratio in (("flop", 1.0), ("usd", served / own)):
        n, d, paid, given = training.overtraining(size, tokens, np.asarray(served_tokens, dtype=float), served_over_trained=ratio)
        columns = dict(counted=counted, served_over_trained=ratio, served_tokens=np.asarray(served_tokens, float), params=n, tokens=d)
        rows.append(pd.DataFrame(columns | dict(saving_share=1 - paid / given)))
    return pd.concat(rows, ignore_index=True)


# ------------------------------------------------------------------ what others say


def published(parameter: str, as_of=None):
    """Statements of data/demand.csv of one parameter: month (of the date, or the middle of its year), value, low, high, who, kind, title, source."""
    import pandas as pd

    facts = catalog.demand(as_of)
    titles = facts[facts["parameter"] == "title"].drop_duplicates("item").set_index("item")["value"]
    found = facts[(facts["parameter"] == parameter) & (facts["confidence"] != "unverified")].copy()
    dates = found["date"].astype(str)
    month = pd.to_datetime(dates.where(dates.str.len() > 4, dates + "-07").str[:7])
    return found.assign(month=month, title=found["item"].map(titles), value=found["value"].astype(float))[
        ["item", "title", "month", "value", "low", "high", "who", "kind", "source"]
    ].sort_values("month", ignore_index=True)
