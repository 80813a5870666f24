"""The facts of `data/*.csv` as columns, each with its source, date and confidence; your own files laid over them.

Every file is read once, checked cell by cell, converted to base units and kept. A fact holds from its date on: under
`as_of` the newest not later than it is in force, and one dated later does not exist. An overlay's fact replaces the
shipped one of the same item and parameter, whatever their dates. Efficiencies are fitted, to the past as a whole, and
are the same under every `as_of`. Nothing is computed here and nothing invented: a missing figure is NaN (or the
neutral default of its field: no experts, no window).
"""

import csv
import os
import re
from collections import namedtuple
from functools import cache
from pathlib import Path

import numpy as np

from infertco import values
from infertco.checking import nearest, unknown
from infertco.facts import DATE, Fact, applicable, fail, follow, label, rates, read
from infertco.facts import sources as read_sources
from infertco.model_config import add_model, model_from_config  # noqa: F401, part of the interface
from infertco.vocabulary import EXTRA_COLUMNS, FILES, SOURCES, WEAK

Table = namedtuple("Table", "kind ids row columns weak")

KINDS = dict(chip="chips", model="models", workload="workloads", site="sites", engine="efficiency", finance="finance")
_overlays = tuple(Path(p) for p in os.environ.get("INFERTCO_DATA", "").split(os.pathsep) if p)


@cache
def data_dir() -> Path:
    """Folder of the shipped facts: inside the installed package, or beside it in a clone."""
    inside = Path(__file__).parent / "data"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "data"


def overlay(path: str | Path | None) -> None:
    """Lay a folder of CSVs, or one CSV, named as the shipped ones over the facts; None takes all overlays off.

    A later overlay wins over an earlier one; naming a path again reads it again.

    Raises
    ------
    ValueError
        If there is no such path, it holds a file the catalog does not know, or a fact fails a check; the
        overlays then stay as they were.
    """
    global _overlays
    before = _overlays
    _overlays = () if path is None else (*(p for p in before if p != Path(path)), Path(path))
    _forget()
    if path is not None:
        try:
            check()
        except ValueError:
            _overlays = before
            _forget()
            raise


def check() -> None:
    """Read every file; the first thing wrong is a ValueError of one line: file, line, what was expected."""
    layers, known = _layers(), [f"{name}.csv" for name in (*FILES, "sources", "currencies")]
    for layer in layers[1:]:
        found = [layer] if layer.is_file() else sorted(layer.glob("*.csv"))
        if not found:
            raise ValueError(f"no data file in '{layer}'; expected some of {', '.join(known)}")
        for file in found:
            if file.name not in known:
                raise ValueError(f"{label(file)}: {unknown('data file', file.name, known)}")
    for name in FILES:
        read(layers, name)
    for kind in KINDS:
        _table(layers, kind, None)


def table(kind: str, as_of: str | None = None) -> Table:
    """One column a field and one row an id, in base units; kind: chip, model, workload, site, engine or finance.

    Returns
    -------
    Table
        `ids`, `row` (id to row), `columns` (field to a float64 array, NaN for missing, or an object array of str,
        '' for missing), `weak` (field to a bool array: there is a fact and it is an estimate or unverified).
        The arrays are shared and read-only.

    Raises
    ------
    ValueError
        If a file is wrong, or `as_of` is no ISO date (2025, 2025-06 or 2025-06-30; the whole period counts).
    """
    return _table(_layers(), kind, _as_of(as_of))


def fact(kind: str, id: str, field: str, as_of: str | None = None) -> Fact | None:
    """The fact behind one cell of `table`, or None. One taken by `ref` or by class keeps the item it was stated for.

    Raises
    ------
    ValueError
        If there is no such id or field.
    """
    check_id(kind, id, as_of)
    if field not in (known := _names(kind)):
        raise ValueError(f"unknown field '{field}' of {kind}{nearest(field, known)} Known: data/README.md")
    return _in_force(_layers(), kind, _as_of(as_of))[id].get(field)


def check_id(kind: str, id: str, as_of: str | None = None) -> None:
    """Raise a ValueError with the nearest id if `id` is not in the catalog."""
    ids = table(kind, as_of).row
    if id not in ids:
        if as_of is not None and id in table(kind).row:
            raise ValueError(f"{kind} '{id}' has no facts as of {as_of}")
        raise ValueError(f"unknown {kind} '{id}'{nearest(str(id), ids)} Known {kind}s: data/{KINDS[kind]}.csv")


def alias(kind: str, text: str) -> str:
    """Id of the chip or model that somebody's spelling means; '' if none does. By `aliases.csv`, never by likeness.

    Examples
    --------
    >>> alias("chip", "H100-SXM"), alias("chip", "H1000")
    ('h100-sxm', '')
    """
    ids, word = table(kind).row, _plain(text)
    return word if word in ids else _aliases(_layers()).get((kind, word), "")


def _plain(text) -> str:
    return re.sub(r"[\s_/]+", "-", str(text).strip().lower())


@cache
def _aliases(layers) -> dict:
    found = {}
    for folder in layers:
        if (path := folder / "aliases.csv").is_file():
            with open(path, newline="", encoding="utf-8") as lines:
                found |= {(row["kind"], _plain(row["alias"])): row["id"] for row in csv.DictReader(lines)}
    return found


def chips(as_of: str | None = None):
    """Every chip as a DataFrame, index = id, columns = fields of Chip in base units."""
    return _frame("chip", as_of)


def models(as_of: str | None = None):
    """Every model as a DataFrame, index = id, columns = fields of Model in base units."""
    return _frame("model", as_of)


def workloads(as_of: str | None = None):
    """Every workload as a DataFrame, index = id, columns = fields of Workload in base units."""
    return _frame("workload", as_of)


def sites(as_of: str | None = None):
    """Every site as a DataFrame, index = id, columns = fields of Site in base units."""
    return _frame("site", as_of)


def links(as_of: str | None = None):
    """The facts of links.csv, all dates, one a row, in base units."""
    return facts("links", as_of)


def demand(as_of: str | None = None):
    """The facts of demand.csv, all dates, one a row, in base units."""
    return facts("demand", as_of)


def apis(as_of: str | None = None):
    """The facts of apis.csv, all dates, one a row, in base units."""
    return facts("apis", as_of)


def facts(name: str, as_of: str | None = None):
    """The facts of data/NAME.csv not later than `as_of` as a DataFrame, one a row, in base units; overlays replace."""
    import pandas as pd

    known, as_of = read(_layers(), name), _as_of(as_of)
    found = [follow(known, fact, as_of) for fact in _dated(known, as_of)]
    frame = pd.DataFrame([fact for fact in found if fact], columns=Fact._fields)
    extra = EXTRA_COLUMNS.get(name, ())
    frame[list(extra)] = pd.DataFrame(frame.pop("extra").tolist(), columns=extra, index=frame.index)
    return frame


def sources():
    """Every source as a DataFrame, index = key: kind, title, url, accessed, terms."""
    import pandas as pd

    return pd.DataFrame.from_dict(read_sources(_layers()), orient="index", columns=SOURCES[1:]).rename_axis("key")


def data_date(as_of: str | None = None) -> str:
    """Date of the newest fact not later than `as_of`; demand, which has forecasts, left out."""
    names = (name for name in FILES if name != "demand")
    return max((f.date for name in names for f in _dated(read(_layers(), name), _as_of(as_of))), default="")


def overlay_line(id: str, field: str) -> str:
    """The file and line of an overlay that would supply a missing fact.

    Examples
    --------
    >>> overlay_line("mi355x", "chip_usd")
    'chips.csv: mi355x,chip_usd,<value>,USD,,,<source>,<date>,press,'
    """
    name, unit = KINDS[values.OWNER[field]], values.FIELDS[field].metadata["unit"]
    if name in ("models", "workloads"):
        return f"{name}.csv: id,{field},source,date,confidence,note with {id},<value>,<source>,<date>,<confidence>,"
    return f"{name}.csv: {id},{field},<value>,{unit},,,<source>,<date>,{'press' if 'USD' in unit else 'datasheet'},"


# --- in force: overlays, dates, references, classes


def _dated(known, as_of):
    """Every applicable fact of a file, all dates."""
    return (f for item in known.values() for layered in item.values() for f in applicable(layered, as_of))


def _layers() -> tuple[Path, ...]:
    return (data_dir(), *_overlays)


def _forget() -> None:
    for cached in (read_sources, rates, read, _in_force, _table, _aliases):
        cached.cache_clear()


def _as_of(as_of) -> str | None:
    if as_of is not None and not DATE.fullmatch(str(as_of)):
        raise ValueError(f"as_of must be a date such as 2025, 2025-06 or 2025-06-30, got '{as_of}'")
    return None if as_of is None else str(as_of)


@cache
def _in_force(layers, kind, as_of):
    """{id: {field: Fact}}; a chip's efficiencies are its class's unless it states its own."""
    known = read(layers, KINDS[kind])

    def newest(known, item, as_of):
        found = {p: applicable(layered, as_of) for p, layered in known[item].items()}
        found = {p: follow(known, f[-1], as_of) for p, f in found.items() if f}
        return {p: f for p, f in found.items() if f}

    if kind == "engine":
        items = {i.removeprefix("engine/"): newest(known, i, None) for i in known if i.startswith("engine/")}
    else:
        items = {item: newest(known, item, as_of) for item in known if "/" not in item}
    if kind == "chip":
        classes = read(layers, "efficiency")
        _check_classes(known, classes)
        for item, own in items.items():
            if own and "efficiency_class" in own:
                items[item] = newest(classes, own["efficiency_class"].value, None) | own
    return {item: found for item, found in items.items() if found or kind == "finance"}  # assumptions have no birthday


def _check_classes(chips, classes):
    """Every chip has an efficiency class that exists, every class a usual engine that exists."""
    targets = dict(
        efficiency_class=[item for item in classes if "/" not in item],
        usual_engine=[item.removeprefix("engine/") for item in classes if item.startswith("engine/")],
    )
    for item, parameters in (*chips.items(), *classes.items()):
        if item in chips and "/" not in item and "efficiency_class" not in parameters:
            first = next(iter(parameters.values()))[0][0]
            fail(first, f"no efficiency_class for '{item}'; known: {', '.join(targets['efficiency_class'])}")
        for parameter, known in targets.items():
            for found in (f for layer in parameters.get(parameter, ()) for f in layer if f.unit == "text"):
                if found.value not in known:
                    fail(found, unknown(parameter, found.value, known))


def _names(kind):
    return values.ENGINE_FACTS if kind == "engine" else tuple(f for f, owner in values.OWNER.items() if owner == kind)


@cache
def _table(layers, kind, as_of):
    if kind not in KINDS:
        raise ValueError(unknown("kind", kind, KINDS))
    found = _in_force(layers, kind, as_of)
    columns, weak = {}, {}
    for field in _names(kind):
        default = values.FIELDS[field].default
        cells = [item.get(field) for item in found.values()]
        column = list(found) if field == kind else [f.value if f else default for f in cells]
        columns[field] = np.array(column, object if field in values.TEXTS else float)
        weak[field] = np.array([f is not None and f.confidence in WEAK for f in cells], bool)
    for array in (*columns.values(), *weak.values()):
        array.setflags(write=False)
    return Table(kind, tuple(found), {item: row for row, item in enumerate(found)}, columns, weak)


def _frame(kind, as_of):
    import pandas as pd

    found = table(kind, as_of)
    return pd.DataFrame({f: c for f, c in found.columns.items() if f != kind}, index=pd.Index(found.ids, name=kind))
