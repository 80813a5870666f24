"""Fields of many rows, looked up when asked for: what the caller named, else the fact of the row's id.

Ids become row numbers of the catalog's tables here, so that the kernel sees numbers only. Also the checks of what a
caller may give, shared by `Scenario.vary`, frames and parameters.
"""

import numpy as np

from . import catalog, values
from .checking import check_numbers
from .values import CHOICES, ENGINE_FACTS, FIELDS, IDS, LOADS, OUTPUTS, OWNER, SLOS

CHUNK = 32768  # rows worked on at once: the arrays of a step then stay in the cache
NUMBERED = 1 << 20  # up to here a table of all numbers is cheaper than a hash of those in use
SAMPLE = 2048  # rows looked at to see whether a field takes few values
LOADED = {  # facts of chip, model and deployment that no coefficient of a step depends on
    *LOADS, "demand_requests_per_s", "availability_target", "failure_correlation", "max_batch",
    "draft_tokens", "draft_acceptance", "draft_cost_share",
    "host_w", "network_w", "embodied_carbon_g", "idle_power_share", "power_per_memory_use", "power_per_root_compute_use",
    *(name for name, field in FIELDS.items() if "USD" in field.metadata["unit"]),
}  # fmt: skip


def check_name(name: str) -> None:
    """Raise ValueError unless `name` is a field that may be varied."""
    if name not in FIELDS:
        hint = catalog.nearest(name, FIELDS)
        raise ValueError(f"no field named '{name}'{hint}")
    if name in values.TEXTS and name not in IDS + CHOICES:
        raise ValueError(f"{name} describes the {OWNER[name]} and cannot be varied")


def choice_names(name: str) -> tuple[str, ...]:
    """What a choice field may be."""
    if name == "engine":
        return tuple(id.removeprefix("engine/") for id in catalog.table("engine").ids)
    return FIELDS[name].metadata["choices"]


def check_choice(name: str, given) -> int:
    """Number of the choice; -1 for none."""
    if given is None or given == "" or given != given:
        return -1
    names = choice_names(name)
    if given not in names:
        raise ValueError(f"unknown {name} '{given}'{catalog.nearest(str(given), names)} It is one of {', '.join(names)}")
    return names.index(given)


class Columns:
    """Every field of `n` rows as an attribute: a float, or an array of n. Choices come as their number.

    `codes` maps a part to the row numbers of its catalog table, where the rows name ids of their own; `named` maps
    fields to arrays with NaN where a row does not name them. Anything else comes from the scenario `base`.
    """

    def __init__(self, base, n, codes, named, part=slice(None), tables=None):
        self.base, self.n, self.codes, self._named, self._part = base, n, codes, named, part
        self.tables = tables or _tables(base.as_of, codes)
        for key in values.VALUES.keys() - codes.keys():  # one float for all rows: at hand without a look-up
            self.__dict__ |= {f: x for f, x in vars(getattr(base, key)).items() if type(x) is float and f not in named and f not in ENGINE_FACTS}

    def rows(self, part) -> "Columns":
        """Some of the rows: a slice, or their numbers."""
        codes = {key: numbers[part] for key, numbers in self.codes.items()}
        n = len(range(*part.indices(self.n))) if isinstance(part, slice) else len(part)
        return Columns(self.base, n, codes, {name: x[part] for name, x in self._named.items()}, part, self.tables)

    def like_rows(self):
        """Rows that differ in what is deployed, and for each row the number of its like; (None, None) where most differ."""
        named = {name: x for name, x in self._named.items() if OWNER[name] in ("chip", "model", "deployment") and name not in LOADED}
        if np.any(np.isnan(self.tensor_parallel)):  # then the lengths of the requests decide on the layout
            named |= {name: x for name in ("input_tokens", "output_tokens") if np.ndim(x := getattr(self, name))}
        arrays = [getattr(self.base, key).__dict__ for key in ("chip", "model", "deployment") if key not in self.codes]
        named |= {name: x for part in arrays for name, x in part.items() if np.ndim(x) and name not in LOADED}
        if self.n < 8 or any(np.unique(x[:SAMPLE]).size > min(SAMPLE, self.n) / 8 for x in named.values()):
            return None, None
        first, at = distinct(self.n, [*(self.codes[key] for key in ("chip", "model") if key in self.codes), *named.values()])
        return (None, None) if len(first) > min(self.n / 4, CHUNK) else (first, at)

    def code(self, key):
        """Row number of the table of `key` for each row, or one for all."""
        id = "default" if key == "finance" else getattr(self.base, key).__dict__[key] if key not in self.codes else None
        return self.codes[key] if key in self.codes else self.tables[key].row[id]

    def named(self) -> dict:
        """Fields that are named, by the scenario behind or by the rows: True, or a bool array where only some rows do."""
        base = {name: True for name in self.base.named if OWNER[name] not in self.codes}
        rows = {name: x >= 0 if name in CHOICES else ~np.isnan(x) for name, x in self._named.items()}
        return base | {name: True if there.all() else there | base.get(name, False) for name, there in rows.items()}

    def __getattr__(self, name):
        if name.startswith("_") or name not in FIELDS:
            raise AttributeError(name)
        value = self._choice(name) if name in CHOICES else self._number(name)
        setattr(self, name, value)
        return value

    def _number(self, name):
        key = OWNER[name]
        if name in self._named and (name in SLOS or not np.isnan(self._named[name]).any()):
            return self._named[name]
        value = self._fact(key, name)
        if name in self._named:
            value = np.where(np.isnan(self._named[name]), value, self._named[name])
        if name in ENGINE_FACTS:
            facts = self.tables["engine"].columns[name][self.engine]
            value = np.where(np.isnan(value), facts, value) if np.ndim(value) else (facts if value != value else value)
        return value

    def _fact(self, key, name):
        if key not in self.codes:
            value = getattr(getattr(self.base, key), name)
            return value[self._part] if np.ndim(value) else value
        column = self.tables[key].columns[name]
        known = self.tables["constant"]
        if (key, name) not in known:  # one value for all ids in use stays a float: cheaper in every formula
            used = column[self.tables["used"][key]]
            same = len(used) and ((used == used[0]).all() or np.isnan(used).all())
            known[key, name] = float(used[0]) if same else None
        constant = known[key, name]
        return np.take(column, self.codes[key], mode="clip") if constant is None else constant

    def _choice(self, name):
        value = check_choice(name, getattr(getattr(self.base, OWNER[name]), name))
        if name == "engine" and value < 0:
            value = self._usual_engine()
        if name in self._named:
            own = self._named[name]
            value = np.where(own >= 0, own, value).astype(int)
        return value

    def _usual_engine(self):
        return self.tables["usual_engine"][self.code("chip")]

    def missing(self, name):
        """Where a row has no figure for a field: an array, or a bool for all rows."""
        key = OWNER[name]
        if key in self.codes and name not in self._named and name not in CHOICES:
            gaps = self.tables["gaps"]
            if name not in gaps:  # no id in use lacks it: nothing to look for in the rows
                gaps[name] = bool(np.isnan(self.tables[key].columns[name][self.tables["used"][key]]).any())
            if not gaps[name]:
                return False
        value = getattr(self, name)
        gap = value != value
        return gap if gap is True or gap is not False and gap.any() else False


def distinct(n, keys):
    """The first row of each combination of the keys, and every row's number among them."""
    import pandas as pd

    at, count = np.zeros(n, dtype=np.int64), 1
    for key in keys:
        key = key.astype(np.int64) if key.dtype.kind == "b" else key
        whole = n and 0 <= key.min() and key.max() < NUMBERED
        if whole and key.dtype.kind == "f":
            number = key.astype(np.int64)
            whole = number.max() > 0 and (number == key).all()
        if whole:
            number, size = key.astype(np.int64, copy=False), int(key.max()) + 1
        else:
            number, values = pd.factorize(key, use_na_sentinel=False)
            size = len(values)
        if count * size > NUMBERED:
            at, count = _renumbered(at, count)
        at, count = (at * size + number, count * size) if count > 1 else (number, size)
    at, count = _renumbered(at, count)
    first = np.empty(count, dtype=np.int64)
    first[at[::-1]] = np.arange(n)[::-1]
    return first, at


def _renumbered(number, size):
    """Whole numbers below `size` without the gaps between those in use, and how many these are."""
    import pandas as pd

    if size > NUMBERED:
        number, values = pd.factorize(number)
        return number, len(values)
    used = np.zeros(size, dtype=bool)
    used[number] = True
    renumbered = np.cumsum(used) - 1
    return renumbered[number], int(used.sum())


def _tables(as_of, codes):
    """The catalog's tables by kind; each chip's usual engine by number; ids in use, and the facts they share."""
    tables = {key: catalog.table(key, as_of) for key in (*IDS, "finance", "engine")}
    usual = {name: max(check_choice("engine", name), 0) for name in set(tables["chip"].columns["usual_engine"])}
    used = {key: np.flatnonzero(np.bincount(numbers)) for key, numbers in codes.items()}
    return tables | {"used": used, "constant": {}, "gaps": {}, "usual_engine": np.array([usual[name] for name in tables["chip"].columns["usual_engine"]])}


def from_frame(frame, base, keep=()) -> tuple[Columns, dict]:
    """Columns of a frame, one scenario a row, and the columns to hand through.

    Raises
    ------
    ValueError
        For a column that is no field, output or kept name, for a bad value, and for two loads in one row.
    """
    for name in keep:
        if name in FIELDS or name in OUTPUTS:
            raise ValueError(f"keep: '{name}' is a field or an output of the model; rename the column")
        if name not in frame.columns:
            raise ValueError(f"keep: the frame has no column '{name}'")
    record = "batch_limit" in frame.columns
    codes, named, kept = {}, {}, {}
    for name in frame.columns:
        if name in keep:
            kept[name] = frame[name]
        elif name in IDS:
            codes[name] = _id_codes(name, frame[name], base)
        elif name in CHOICES:
            named[name] = _choice_codes(name, frame[name])
        elif name in OUTPUTS and name not in FIELDS:
            continue
        else:
            check_name(name)
            named[name] = check_numbers(name, frame[name].to_numpy(), nan_is_none=True)
    loads = [name for name in values.LOADS if name in named]
    if record and len(loads) > 1 and "batch" in loads:
        others = np.any([~np.isnan(named[name]) for name in loads if name != "batch"], axis=0)
        named["batch"] = np.where(others, np.nan, named["batch"])
    if {"utilization", "demand_requests_per_s"} <= named.keys() and (set(frame.columns) - FIELDS.keys()) & OUTPUTS.keys():  # of a record: derived
        typed = np.where(np.isnan(named["demand_requests_per_s"]), named.pop("utilization"), np.nan)
        named |= {} if np.isnan(typed).all() else dict(utilization=typed)
    _check_loads(named, loads)
    return Columns(_without(base, loads), len(frame), codes, named), kept


def _without(base, loads):
    """`base` without its own load where the frame brings one."""
    return base.vary(**{name: None for name in values.LOADS if name in base.named}) if loads else base


def _check_loads(named, loads):
    given = [(name, ~np.isnan(named[name])) for name in loads]
    both = [name for name in ("utilization", "demand_requests_per_s") if name in named]
    for pair in ([given] if len(given) > 1 else []) + ([[(n, ~np.isnan(named[n])) for n in both]] if len(both) > 1 else []):
        if (np.sum([there for _, there in pair], axis=0) > 1).any():
            raise ValueError(f"a row may name only one of {', '.join(name for name, _ in pair)}")


def _id_codes(name, column, base):
    row = catalog.table(name, base.as_of).row
    own = row.get(getattr(base, name).__dict__[name], 0)

    def number(text):
        catalog.check_id(name, text, base.as_of) if text not in row else None
        return row[text]

    return _numbered(column, number, own)


def _choice_codes(name, column):
    return _numbered(column, lambda text: check_choice(name, text), -1).astype(float)


def _numbered(column, number, blank):
    """Each row's `number(text)`, worked out once a distinct text; `blank` where there is none."""
    column = column.astype("category")
    codes, texts = column.cat.codes.to_numpy(), column.cat.categories
    numbers = np.full(len(texts) + 1, blank)
    for i in np.flatnonzero(np.bincount(codes + 1)[1:]):
        numbers[i] = number(str(texts[i])) if str(texts[i]) else blank
    return numbers[codes]
