"""What the commands print: tables of results, of facts and of errors, as text or JSON."""

import json

from infertco import units, values

LONG_TEXTS = ("reason", "weak")
FACT = ("parameter", "value", "unit", "low", "high", "source", "date", "confidence", "note")
ERRORS = ("rows", "scored", "median", "mean", "bias", "p90", "coverage")


def aligned(rows) -> str:
    """Rows of text under each other."""
    rows = [list(map(str, row)) for row in rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def as_text(table) -> str:
    """A line a column of the table, scenarios side by side, behind a figure its 80% interval; long texts below."""

    def cell(row, name):
        value, meta = table.at[row, name], values.OUTPUTS.get(name) or values.FIELDS[name].metadata
        if isinstance(value, str) or meta["unit"] in ("bool", "text"):
            return str(value) or "-"
        text = units.format(value, meta["unit"], 3 if name in values.OUTPUTS and value % 1 else None, name=name)
        if f"{name}_low" not in table or value != value:
            return text
        ends = (table.at[row, name + end] for end in ("_low", "_high"))
        return f"{text} ({units.span(*ends, meta['unit'], 2, name=name)})"

    shown = [name for name in table if not name.endswith(("_low", "_high")) and name not in LONG_TEXTS]
    texts = [f"{name}: {text}" for name in LONG_TEXTS for text in dict.fromkeys(table[name]) if text]
    return "\n".join([aligned([name, *(cell(row, name) for row in table.index)] for name in shown), *texts])


def as_json(table) -> str:
    """One object for one scenario, a list for several; what is missing is null."""
    rows = [{k: None if v != v else v for k, v in row.items()} for row in table.to_dict("records")]
    return json.dumps(rows[0] if len(rows) == 1 else rows, indent=1, default=lambda v: v.item())


def fact_lines(facts) -> list:
    """A line a fact: the value as its source prints it, under a head."""
    lines = [FACT]
    for f in filter(None, facts):
        low, high = ("" if x != x else units.format(x, f.unit) for x in (f.low, f.high))
        unit = "" if f.printed_unit == "text" else f.printed_unit
        lines.append([f.parameter, f.printed_value, unit, low, high, f.source, f.date, f.confidence, f.note])
    return lines


def error_table(table, by: str, left_out=None) -> str:
    """Errors in per cent, a line a group, most rows first; with more than one group a line of all."""
    from infertco.studies import validation

    found = validation.errors(table, by).sort_values(["scored", "rows"], ascending=False).to_dict("records")
    every = validation.errors(table.assign(**{by: "all"}), by).to_dict("records") if len(found) > 1 else []
    lines = [[by.replace("_", " "), *ERRORS, *(["left out"] if left_out is not None else [])]]
    for row in [*found, *every]:
        row |= {"left out": left_out.get(row[by], float("nan"))} if left_out is not None else {}
        numbers = [row[name] for name in lines[0][1:]]
        counts, errors = (f"{0 if n != n else n:,.0f}" for n in numbers[:2]), ("-" if x != x else f"{x:.1f}" for x in numbers[2:])
        lines.append([row[by] or "not known", *counts, *errors])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]) for line in lines)
