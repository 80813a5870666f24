"""One data file to checked facts: every cell is tested where it stands and converted to base units, once.

A file is wrong by its first wrong cell, as a ValueError of one line: file, line, what was found, what was expected.
`layers` is the shipped folder followed by the overlays, each a folder or one CSV; a file that is not there is empty.
"""

import csv
import math
import re
from collections import namedtuple
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from infertco import units, values
from infertco.checking import nearest, unknown
from infertco.vocabulary import CONFIDENCE, CURRENCIES, EXTRA_COLUMNS, LONG, PARAMETERS, WIDE, WIDE_COLUMNS
from infertco.vocabulary import SOURCE_KINDS as KINDS
from infertco.vocabulary import SOURCES as SOURCE_COLUMNS

Fact = namedtuple("Fact", [*LONG, "printed_value", "printed_unit", "file", "line", "extra"])
Layers = tuple[Path, ...]

DATE = re.compile(r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01]))?)?")
NAN = float("nan")


def not_later(date: str, as_of: str | None) -> bool:
    """Is an ISO date, or the beginning of a year or month, on or before `as_of`, the end of one?"""
    return as_of is None or date[: len(as_of)] <= as_of


def label(path: Path) -> str:
    """A file as messages name it: its folder and its name."""
    return f"{path.resolve().parent.name}/{path.name}"


def fail(where: tuple[str, int] | Fact, message: str) -> None:
    """Raise a ValueError that begins with file and line."""
    file, line = (where.file, where.line) if isinstance(where, Fact) else where
    raise ValueError(f"{file}:{line}: {message}")


def applicable(layered: list[list[Fact]], as_of: str | None) -> list[Fact]:
    """Facts of one item and parameter not later than `as_of`, oldest first, out of the topmost layer that has any."""
    if as_of is None:
        return layered[-1]
    found = ([f for f in layer if not_later(f.date, as_of)] for layer in reversed(layered))
    return next((f for f in found if f), [])


def follow(known: dict, fact: Fact, as_of: str | None) -> Fact | None:
    """The fact a reference leads to, in the end; None if that has none in force. Other facts lead to themselves."""
    first, seen = fact, []
    while fact and fact.unit == "ref":
        if fact.item in seen:
            fail(first, f"'{first.item}' refers to itself: {' -> '.join((*seen, fact.item))}")
        seen.append(fact.item)
        found = applicable(known[fact.value][fact.parameter], as_of)
        fact = found[-1] if found else None
    return fact


@cache
def read(layers: Layers, name: str) -> dict[str, dict[str, list[list[Fact]]]]:
    """{item: {parameter: [facts of a layer, oldest first; one list a layer that has any]}}, in the order of the files.

    Raises
    ------
    ValueError
        At the first cell that fails a check: unknown parameter, unit, source or word of confidence; a unit of another
        dimension; a value that is no number, implausible or outside low and high; an estimate without a range or a
        reason; a duplicate; a reference to nothing.
    """
    facts_of = _wide if name in WIDE else _long
    found = {}
    for layer in layers:
        here = {}
        for fact in facts_of(layers, layer, name):
            dated = here.setdefault((fact.item, fact.parameter), {})
            if fact.date in dated:
                fail(fact, f"duplicate of line {dated[fact.date].line}: {fact.item}, {fact.parameter}, {fact.date}")
            dated[fact.date] = fact
        for (item, parameter), dated in here.items():
            found.setdefault(item, {}).setdefault(parameter, []).append([dated[date] for date in sorted(dated)])
    layered = [facts for item in found.values() for facts in item.values()]
    references = [fact for layers in layered for layer in layers for fact in layer if fact.unit == "ref"]
    for fact in references:
        if fact.parameter not in found.get(fact.value, ()):
            items = [item for item in found if fact.parameter in found[item]]
            fail(fact, f"no item '{fact.value}' with {fact.parameter} to refer to{nearest(fact.value, items)}")
    for fact in references:
        follow(found, fact, None)
    return found


@cache
def sources(layers: Layers) -> dict[str, dict[str, str]]:
    """{key: row of sources.csv}, of all layers; a later layer's row replaces an earlier one's."""
    found = {}
    for layer in layers:
        here = {}
        for where, row in _rows(layer, "sources", SOURCE_COLUMNS):
            if not row["key"] or row["key"] in here:
                fail(where, f"duplicate source '{row['key']}'" if row["key"] else "source without a key")
            if row["kind"] not in KINDS:
                fail(where, unknown("kind of source", row["kind"], KINDS))
            if not row["title"] or not (row["url"] or row["kind"] in ("estimate", "measured")):
                fail(where, f"source '{row['key']}' needs a title and, unless an estimate or measured, a url")
            if row["accessed"]:
                _check_date(row["accessed"], where)
            here[row["key"]] = row
        found |= here
    return found


@cache
def rates(layers: Layers) -> dict[str, list[tuple[str, float]]]:
    """{currency: [(date, US dollars for one unit), ...]}, oldest first, of all layers."""
    found = {}
    for layer in layers:
        for where, row in _rows(layer, "currencies", CURRENCIES):
            _check_date(row["date"], where)
            _check_source(row["source"], layers, where)
            usd = _number(row["usd"], "usd", where)
            if usd <= 0 or not re.fullmatch("[A-Z]{3}", row["currency"]):
                fail(where, f"expected a currency such as EUR and a rate, got '{row['currency']}' at {row['usd']}")
            found.setdefault(row["currency"], []).append((row["date"], usd))
    return {currency: sorted(dated) for currency, dated in found.items()}


def _rows(layer: Path, name: str, header, optional=()) -> Iterator[tuple[tuple[str, int], dict[str, str]]]:
    """((file, line), {column: cell}) of each row of one file of a layer; columns in `optional` may be left out."""
    path = layer if layer.is_file() else layer / f"{name}.csv"
    if path.stem != name or not path.is_file():
        return
    file = label(path)
    with open(path, newline="", encoding="utf-8-sig", errors="replace") as handle:
        reader = csv.reader(handle)
        found = [cell.strip() for cell in next(reader, [])]
        _check_header(found, list(header), optional, (file, 1))
        for cells in reader:
            if any(cells):
                if len(cells) != len(found):
                    fail((file, reader.line_num), f"expected {len(found)} cells, got {len(cells)}")
                yield (file, reader.line_num), dict(zip(found, map(str.strip, cells), strict=True))


def _check_header(found, required, optional, where):
    if not optional and found != required:
        fail(where, f"wrong header; expected {','.join(required)}")
    for column in found:
        if column not in required and column not in optional:
            fail(where, f"unknown column '{column}'{nearest(column, (*required, *optional))}")
    if missing := [column for column in required if column not in found]:
        fail(where, f"missing column '{missing[0]}'; expected {','.join(required)} and fields")
    if len(set(found)) < len(found):
        fail(where, "a column stands twice in the header")


def _long(layers, layer, name):
    extra = EXTRA_COLUMNS.get(name, ())
    for where, row in _rows(layer, name, (*LONG, *extra)):
        item, parameter = row["item"], row["parameter"]
        known = PARAMETERS.get(f"{name}/", PARAMETERS[name]) if "/" in item else PARAMETERS[name]
        if parameter not in known:
            kind = f"named facts of {name}" if "/" in item and known is not PARAMETERS[name] else name
            fail(where, f"unknown parameter '{parameter}' for {kind}{nearest(parameter, known)} Known: data/README.md")
        yield _fact(known[parameter], layers, where, tuple(row[c] for c in extra), **{c: row[c] for c in LONG})


def _wide(layers, layer, name):
    known = PARAMETERS[name]
    ranges = [f"{p}_{end}" for p, spec in known.items() if spec["unit"] != "text" for end in ("low", "high")]
    for where, row in _rows(layer, name, ("id", "source", "date", "confidence"), (*known, *ranges, *WIDE_COLUMNS)):
        weak = [w.strip() for w in row.get("weak_fields", "").split(";") if w.strip()]
        for field in weak:
            if not row.get(field):
                fail(where, f"weak_fields names '{field}', which has no value here{nearest(field, known)}")
        for field, spec in known.items():
            if not (value := row.get(field)):
                continue
            low, high = row.get(f"{field}_low", ""), row.get(f"{field}_high", "")
            source, confidence = row["source"], row["confidence"]
            if field in values.SLOS:
                source, confidence = row.get("slo_source") or source, row.get("slo_confidence") or confidence
            if field in weak:
                confidence = "estimate" if low and high else "unverified"
            cells = (row["id"], field, value, spec["unit"], low, high, source, row["date"], confidence)
            yield _fact(spec, layers, where, (), *cells, row.get("note", ""))


def _fact(spec, layers, where, extra, item, parameter, value, unit, low, high, source, date, confidence, note) -> Fact:
    """One checked fact in base units; a reference keeps the item it points to as its value."""
    if not item or not value:
        fail(where, f"expected {'a value; leave the line out if there is none' if item else 'the id of an item'}")
    rest = source, date, confidence, note, value, unit, *where, extra
    if unit == "ref":
        _check_date(date or "2000", where)
        return Fact(item, parameter, value, "ref", NAN, NAN, *rest)
    _check_date(date, where)
    _check_source(source, layers, where)
    if confidence not in CONFIDENCE:
        fail(where, unknown("confidence", confidence, CONFIDENCE))
    base = spec["unit"]
    if base == "text":
        if unit != "text":
            fail(where, f"{parameter} expects the unit text, got '{unit}'")
        if spec["choices"] and value not in spec["choices"]:
            fail(where, unknown(parameter, value, spec["choices"]))
        return Fact(item, parameter, value, "text", NAN, NAN, *rest)
    factor = _factor(unit, parameter, base, date, layers, where)
    number = _number(value, parameter, where) * factor
    low = _number(low, "low", where) * factor if low else NAN
    high = _number(high, "high", where) * factor if high else NAN
    if low > number or number > high:
        fail(where, f"expected low <= value <= high, got {low / factor:g}, {number / factor:g}, {high / factor:g}")
    if not spec["usual"][0] <= number <= spec["usual"][1] or low < spec["allowed"][0] or high > spec["allowed"][1]:
        fail(where, f"implausible {parameter}: {number:g} {base}; expected {'{:g} to {:g}'.format(*spec['usual'])}")
    if confidence == "estimate" and not (low == low and high == high and note):
        fail(where, f"an estimate of {parameter} needs low, high and, in the note, the reasoning")
    return Fact(item, parameter, number, base, low, high, *rest)


def _factor(word, parameter, base, date, layers, where):
    """What turns a number in the unit `word`, possibly of another currency, into the base unit of the parameter."""
    rate, usd = 1.0, word
    if word not in units.WORDS:
        currency = next((c for c in rates(layers) if c in word), None)
        usd = word.replace(currency, "USD", 1) if currency else word
        if usd not in units.WORDS:
            fail(where, f"unknown unit '{word}'{nearest(word, units.WORDS)} {parameter} expects {_words(base)}")
        dated = [usd_each for day, usd_each in rates(layers)[currency] if not_later(day, date)]
        if not dated:
            fail(where, f"no {currency} rate on or before {date}; expected one in currencies.csv")
        rate = dated[-1]
    factor, found = units.WORDS[usd]
    if found != base:
        fail(where, f"unit '{word}' is a unit of {found}; {parameter} expects {_words(base)}")
    return rate * factor


def _words(base):
    return ", ".join(word for word, (_, found) in units.WORDS.items() if found == base)


def _number(cell, name, where):
    try:
        number = float(cell)
    except ValueError:
        fail(where, f"expected a number for {name}, got '{cell}'")
    if not math.isfinite(number):
        fail(where, f"expected a finite number for {name}, got '{cell}'")
    return number


@cache
def _is_date(cell):
    return DATE.fullmatch(cell) is not None


def _check_date(cell, where):
    if not _is_date(cell):
        fail(where, f"expected a date such as 2025, 2025-06 or 2025-06-30, got '{cell}'")


def _check_source(key, layers, where):
    if not key:
        fail(where, "expected a source, a key of sources.csv")
    if key not in (known := sources(layers)):
        fail(where, f"unknown source '{key}'{nearest(key, known)} Add it to sources.csv")
