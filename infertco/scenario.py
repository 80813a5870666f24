"""A scenario is six small values; a sweep is a table of them; `evaluate` is the whole model on one screen.

`vary` names any field of any value; slider, sweep, tornado, draw and report parameter are all the same call. Ids are
looked up before the kernel, which sees numbers. Infeasible is not invalid: such a row keeps NaN and a `reason`.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from . import catalog, values
from .checking import check_numbers
from .columns import CHUNK, Columns, check_choice, check_name, choice_names, from_frame
from .reasons import assumptions, texts
from .stages import deploy, model
from .values import CHOICES, CHOSEN, FIELDS, FLEET, HEADLINE, IDS, LOADS, OUTPUTS, OWNER, SLOS

DEFAULT = dict(chip="h100-sxm", model="llama-3.1-70b", workload="chat", site="us-average")

KEPT = 4_000_000  # of floats: glibc stops handing freed memory back after every chunk once it has freed a block of this size


@dataclass(frozen=True, eq=False)
class Scenario:
    """What is served, on what, how, where and by whom. Make one with `scenario()`, change it with `vary`."""

    chip: values.Chip
    model: values.Model
    workload: values.Workload
    deployment: values.Deployment
    site: values.Site
    finance: values.Finance
    named: dict = field(default_factory=dict)  # fields the caller named, in order
    as_of: str | None = None

    def vary(self, **changes) -> "Scenario":
        """The scenario with fields changed: ids first, then everything else, whatever the order.

        An id replaces every field of its value, earlier overrides of it included; None goes back to the id's fact or
        to "the model chooses"; a 1-D array makes one row an entry. Naming a load clears an earlier one.

        Raises
        ------
        ValueError
            For an unknown field or id, a value out of range, two loads, or utilization together with demand.
        """
        for name in changes:
            check_name(name)
        loads = [name for name in LOADS if changes.get(name) is not None]
        if len(loads) > 1:
            raise ValueError(f"only one of {', '.join(LOADS)} may be given, got {', '.join(loads)}")
        ids = {name: changes[name] for name in IDS if changes.get(name) is not None}
        parts = {key: getattr(self, key) for key in values.VALUES}
        for name, id in ids.items():
            if not isinstance(id, str):
                raise ValueError(f"{name} takes one id, got {id!r}; for several use sweep({name}=[...])")
            parts[name] = _value(name, id, self.as_of)
        named = {name: x for name, x in self.named.items() if OWNER[name] not in ids or name == OWNER[name]}
        dropped = [name for name in LOADS if loads and name in named]
        new = {name: None for name in dropped} | {name: x for name, x in changes.items() if name not in IDS}
        for name, given in new.items():
            named.pop(name, None)
            if given is None:
                given = self._fact(name, parts[OWNER[name]])
            elif name in CHOICES:
                check_choice(name, given)
                named[name] = given
            else:
                given = named[name] = _numbers(name, given)
            parts[OWNER[name]] = replace(parts[OWNER[name]], **{name: given})
        if "utilization" in named and "demand_requests_per_s" in named:
            raise ValueError("utilization follows from demand_requests_per_s; give one of the two")
        _length(named)
        return Scenario(**parts, named={**{k: v for k, v in named.items() if k not in ids}, **ids}, as_of=self.as_of)

    def _fact(self, name, part):
        key = OWNER[name]
        if key == "deployment":
            return FIELDS[name].default
        table = catalog.table(key, self.as_of)
        row = table.row["default" if key == "finance" else getattr(part, key)]
        return table.columns[name][row]

    def value(self, name: str):
        """The value of a field in force: a float, an array or a text."""
        check_name(name)
        return getattr(getattr(self, OWNER[name]), name)

    def fields(self) -> dict:
        """The four ids and the fields named, in order: what makes this scenario."""
        return {name: self.value(name) for name in IDS} | {k: v for k, v in self.named.items() if k not in IDS}

    def assumptions(self):
        """Every fact the scenario rests on, with range, confidence, source and date; a DataFrame (`reasons.assumptions`)."""
        return assumptions(self)

    def __repr__(self):
        shown = (f"{k}={_short(v)}" for k, v in self.fields().items())
        return f"Scenario({', '.join(shown)}{f', as_of={self.as_of!r}' if self.as_of else ''})"


def scenario(as_of: str | None = None, **changes) -> Scenario:
    """The default scenario (one Llama-3.1-70B chat on H100 in colocation, average US site) with fields changed.

    `as_of` takes the newest fact not later than that date. Raises ValueError as `vary` does.
    """
    ids = DEFAULT | {name: changes[name] for name in IDS if isinstance(changes.get(name), str)}
    parts = {name: _value(name, id, as_of) for name, id in ids.items()}
    finance = _value("finance", "default", as_of)
    return Scenario(**parts, deployment=values.Deployment(), finance=finance, as_of=as_of).vary(**changes)


def evaluate(what=None, outputs=None, keep=(), base=None):
    """Every output of one scenario, or of a frame with one scenario a row, beside the inputs that were named or chosen.

    Parameters
    ----------
    what : Scenario or DataFrame
        Columns of a frame are fields; missing ones take the value of `base`. Output columns are computed anew.
    outputs : list of str, or "all"
        Columns wanted; the headline set if None. Only what they need is computed.
    keep : list of str
        Columns of the frame handed through.
    base : Scenario
        The scenario behind a frame; `scenario()` if None.

    Returns
    -------
    DataFrame
        Rows and index of the frame, or one row (one an entry where the scenario holds arrays).

    Raises
    ------
    ValueError
        For a name that does not exist or a value out of range. What cannot be served is a row with a `reason`.
    """
    import pandas as pd

    names = _wanted(outputs)
    if what is None or isinstance(what, Scenario):
        base = what or scenario()
        columns, kept, index = Columns(base, _length(base.named), {}, {}), {}, None
    else:
        base = base or scenario()
        columns, kept = from_frame(what, base, keep)
        base, index = columns.base, what.index
    fleets = "demand_requests_per_s" in columns.named()
    names = [*names, *FLEET] if fleets and outputs is None else names
    found, wanted = {}, {*names, *CHOSEN, "faults", *(["utilization"] if fleets else [])}
    np.empty(KEPT if columns.n > CHUNK else 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):  # NaN is "no figure"
        first, at = columns.like_rows()
        shared = None if first is None else deploy(columns.rows(first)).settled()
        for start in range(0, max(columns.n, 1), CHUNK):
            rows = slice(start, start + CHUNK)
            part = columns.rows(rows)
            deployed = deploy(part) if shared is None else shared.take(at[rows], wanted)
            for name, column in model(part, deployed, wanted).items():
                if name not in wanted:
                    continue
                if name not in found:
                    found[name] = np.empty(columns.n, np.asarray(column).dtype)
                found[name][rows] = column
    unasked = np.full(columns.n, np.nan)  # outputs of a load or a demand that no row names
    results = found | texts(columns, found, names)
    table = _inputs(columns, found)
    table |= {name: results.get(name, unasked) for name in names if name not in table}
    table |= {name: column.to_numpy() for name, column in kept.items()}
    return pd.DataFrame(table, index=index, copy=False)


def _wanted(outputs) -> list[str]:
    if outputs is None:
        return HEADLINE
    if isinstance(outputs, str):
        outputs = list(OUTPUTS) if outputs == "all" else [outputs]
    for name in outputs:
        if name not in OUTPUTS:
            raise ValueError(f"no output named '{name}'{catalog.nearest(str(name), OUTPUTS)}")
    return list(dict.fromkeys(outputs))


def _inputs(columns: Columns, found) -> dict:
    """Inputs of the record: ids, what was named, what was chosen."""
    import pandas as pd

    def words(name, codes, options):
        return pd.Categorical.from_codes(np.broadcast_to(codes, columns.n), list(options))

    table = {name: words(name, columns.code(name), columns.tables[name].ids) for name in IDS}
    for name in columns.named():
        if name in CHOICES and name != "engine":
            table[name] = words(name, getattr(columns, name), choice_names(name))
        elif name not in (*IDS, *CHOSEN):
            table[name] = np.broadcast_to(getattr(columns, name), columns.n)
    if "demand_requests_per_s" in table:
        table["utilization"] = found["utilization"]
    for name in CHOSEN:
        table[name] = words(name, found[name], choice_names(name)) if name == "engine" else found[name]
    return table


def sweep(base: Scenario, outputs=None, **axes):
    """Every combination of the axes, one row each, inputs and outputs side by side.

    Parameters
    ----------
    base : Scenario
        What the axes do not name.
    outputs : list of str, or "all"
        As in `evaluate`.
    **axes
        A list, array, scalar or text for any fields; the first varies slowest. An axis of ids replaces the values of
        `base` with their overrides; an axis of a field hits every id alike.

    Raises
    ------
    ValueError
        As `evaluate`, and for an empty axis name or two loads.
    """
    import pandas as pd

    loads = [name for name in LOADS if name in axes]
    if len(loads) > 1:
        raise ValueError(f"only one of {', '.join(LOADS)} may be given, got {', '.join(loads)}")
    lists = {name: [axis] if np.ndim(axis) == 0 else list(axis) for name, axis in axes.items()}
    if not lists:
        return evaluate(base, outputs)
    shape = tuple(len(values) for values in lists.values())
    at = np.indices(shape).reshape(len(shape), -1)
    table = {}
    for (name, options), row in zip(lists.items(), at, strict=True):
        check_name(name)
        if name in IDS + CHOICES:
            texts = list(dict.fromkeys(options))
            codes = np.array([texts.index(option) for option in options], dtype=int)[row]
            table[name] = pd.Categorical.from_codes(codes, texts)
        else:
            given = [np.nan if option is None else option for option in options]
            table[name] = check_numbers(name, given, nan_is_none=True)[row]
    return evaluate(pd.DataFrame(table, index=pd.RangeIndex(at.shape[1])), outputs, base=base)


def best(table, by: str, maximise: str | None = None, minimise: str | None = None):
    """The best row of each group: it meets the limits and has a value; ties go to fewer chips.

    A group without such a row stays as one row, its numbers NaN, with the reason of the row that got furthest (laid
    out, fits, meets the limits, priced). Groups keep the order in which they first appear.

    Raises
    ------
    ValueError
        If a column does not exist, or not exactly one of maximise and minimise is given.
    """
    if (maximise is None) == (minimise is None):
        raise ValueError("best needs one of maximise= and minimise=")
    column = maximise or minimise
    for name in (by, column, "meets_slo"):
        _check_column(table, name)
    good = table["meets_slo"].to_numpy(dtype=bool) & table[column].notna().to_numpy()
    value = table[column].to_numpy(dtype=float) * (-1 if maximise else 1)
    chips = table["chips_per_replica"] if "chips_per_replica" in table else np.zeros(len(table))
    served = table["tpot_s"].notna() if "tpot_s" in table else table[column].notna()
    fits = table["fits_memory"] if "fits_memory" in table else served
    furthest = fits.to_numpy(dtype=float) + served.to_numpy(dtype=float) + table["meets_slo"].to_numpy(dtype=float)
    order = np.lexsort((chips, np.where(good, value, 0.0), -furthest, ~good))
    rows = np.sort(order[~table[by].iloc[order].duplicated().to_numpy()])
    first = {group: i for i, group in enumerate(dict.fromkeys(table[by]))}
    rows = rows[np.argsort([first[group] for group in table[by].iloc[rows]], kind="stable")]
    out = table.iloc[rows].copy()
    blank = [name for name in out if name in OUTPUTS and name not in FIELDS and OUTPUTS[name]["unit"] not in ("text", "bool")]
    out.loc[~good[rows], blank] = np.nan
    return out


def frontier(table, x: str, y: str, by: str | None = None):
    """Rows that no other row of their group beats in both columns, by x. Rows that miss the limits are left out.

    The better direction of a column is in its metadata: less for seconds, dollars, joules and grams, else more.

    Raises
    ------
    ValueError
        If a column does not exist.
    """
    for name in filter(None, (x, y, by)):
        _check_column(table, name)
    good = table[x].notna() & table[y].notna()
    if "meets_slo" in table:
        good &= table["meets_slo"].to_numpy(dtype=bool)
    rows = np.flatnonzero(good)
    a, b = (table[name].to_numpy(dtype=float)[rows] * (1 if better(name) == "less" else -1) for name in (x, y))
    group = table[by].astype("category").cat.codes.to_numpy()[rows] if by else np.zeros(len(rows), dtype=int)
    order = np.lexsort((b, a, group))
    a, b, group = a[order], b[order], group[order]
    kept, least, last = [], np.inf, None
    for i in range(len(order)):
        if group[i] != last:
            least, last = np.inf, group[i]
        if b[i] < least:
            kept.append(rows[order[i]])
            least = b[i]
    return table.iloc[kept]


def better(name: str) -> str:
    """Better direction of an output column, "more" or "less"."""
    return OUTPUTS.get(name, {}).get("better") or "more"


def _check_column(table, name):
    if name not in table.columns:
        raise ValueError(f"the table has no column '{name}'{catalog.nearest(name, list(table.columns))}")


def _value(name, id, as_of):
    """One of the six values, made of the facts of its table."""
    if name != "finance":
        catalog.check_id(name, id, as_of)
    table = catalog.table(name, as_of)
    row = table.row.get(id, 0)
    facts = {f: x[row].item() if hasattr(x[row], "item") else x[row] for f, x in table.columns.items()}
    return values.VALUES[name](**facts)


def _numbers(name, given):
    """A float or a 1-D float array, checked; NaN only for SLOs."""
    numbers = check_numbers(name, given, nan_is_none=name in SLOS)
    if numbers.ndim > 1 or numbers.size == 0:
        raise ValueError(f"{name} must be a number or a 1-D array with at least one entry")
    return numbers if numbers.ndim else float(numbers)


def _length(named) -> int:
    lengths = {name: len(x) for name, x in named.items() if isinstance(x, np.ndarray)}
    if len(set(lengths.values())) > 1:
        raise ValueError(f"arrays must have one length, got {', '.join(f'{k}: {n}' for k, n in lengths.items())}")
    return max(lengths.values(), default=1)


def _short(x):
    return f"<{len(x)} values>" if isinstance(x, np.ndarray) else repr(x)
