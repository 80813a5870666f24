"""The two pages of `data/`: README.md, made from the value types, and LICENSE.md, made from sources.csv.

`python -m infertco.data_pages` in a clone writes both; a test holds them current.
"""

import csv
from pathlib import Path

from infertco import units
from infertco.vocabulary import (
    CONFIDENCE,
    CURRENCIES,
    EXTRA_COLUMNS,
    FILES,
    LONG,
    PARAMETERS,
    SOURCE_KINDS,
    SOURCES,
    WIDE,
    WIDE_COLUMNS,
)

README = """# The data files

Facts, one a line, each with its source, its date and how far to trust it. This page is made from the value types
(`python -m infertco.data_pages`); a test holds it current. Terms of the sources: `LICENSE.md`.

## Files

{files}

**Long**: {long}. One fact a line. `value` is what the source prints and `unit` the
unit it prints it in; the loader converts to the base unit, once. (`item`, `parameter`, `date`) is unique. `low` and
`high` are the ends of the plausible range, in the same unit. Unit `text`: a word instead of a number. Unit `ref`:
`value` names another item of the same file, and its fact of the same parameter is taken with everything that belongs to
it; source, date and confidence stay empty. An item with a `/` in its name (`pue/google`) is a named fact that others
refer to; the items without are what one can choose.

**Wide**: `id`, then fields in base units without a `unit` column, `<field>_low` and `<field>_high` where there is a
range, then {wide}. `weak_fields` lists, with `;` between them, cells that are an estimate (they have a range) or
unverified (they have none) inside a row that has a source; `slo_source` and `slo_confidence` are those of the latency
limits. A blank cell is a missing figure, or the field's own default: no experts, no window, no prefix hits.

`sources.csv`: {sources}. `kind`: {kinds}.
`currencies.csv`: {currencies}, US dollars for one unit. `EUR/kWh` is a unit like `USD/kWh`: it converts at
the newest rate that is not later than the fact.

## What the numbers stand for

- **Peaks are dense**, one parameter a precision. A figure twice as large elsewhere is for 2:1 sparsity.
- **Links are for one chip, one direction.** A maker's duplex figure is twice as large.
- **Capacity is real bytes**: NVIDIA's 80 GB is 80 `GiB`. Bandwidths are decimal. `GB` is 1e9 bytes, `GiB` 2^30.
- **A date is the day from which the fact holds**: the launch for a specification, the day of reading for a price.
  Under `as_of` the newest fact not later counts, and one dated later does not exist. A new price is a new line; the
  old one stays. Efficiencies are fitted to the past as a whole: `as_of` leaves `efficiency.csv` alone. In `demand.csv`
  the date is the year the figure is of, forecasts included.
- **A missing fact stays missing.** No number is made up by a rule, none is borrowed from a similar chip.
- **Power** is the rated power of one chip (`tdp_w`), of its share of the host (`host_w`) and of the network.
- **Prices of chips** are for the chip without its host; rents are for one chip, an hour.

## Confidence

| word | meaning |
|---|---|
{confidence}

`estimate` and `unverified` are **weak**: they are counted in the column `weak` of every result that rests on them.

## Add a chip

A line in `sources.csv`; a line a number in `chips.csv`, first of all `hbm_bytes`, `hbm_bytes_per_s`,
`peak_flop_per_s_bf16`, `tdp_w` and `efficiency_class` (a class of `efficiency.csv`: how much of its peaks such a chip
reaches); a price or a rent. An efficiency may be given for the chip itself and then replaces its class's. Wrong names,
units, dates, sources and implausible values are reported by file and line. Your own files, under the same names in a
folder of yours, lie over these: `infertco.catalog.overlay("folder")`, or `--data folder`. There a fact replaces the
shipped one of the same item and parameter, whatever the dates. A model comes from its published `config.json` by
`infertco.catalog.add_model("config.json", "my-model", "folder")`.

## Parameters

The plausible range is in the base unit; a value outside is taken for a mistake.

{parameters}

## Units

| base unit | words |
|---|---|
{units}
"""

LICENSE = """# Terms of the data

Made from `sources.csv` (`python -m infertco.data_pages`). The numbers are facts, each with the key of its source; no
source's own text is copied. The selection and arrangement, and the notes, are under the license of the package. Data
whose terms forbid passing it on is not here. Where terms ask for attribution, the line below is it.

| key | source | terms |
|---|---|---|
{rows}
"""

CONTENTS = dict(
    chips="accelerators: memory, peaks, links, power, prices",
    efficiency="shares of the peaks that a class of chips reaches, fixed times of the engines; fitted, not typed",
    models="shapes of transformers",
    workloads="lengths, arrivals, latency limits",
    sites="electricity, carbon, buildings, rent, place",
    finance="money and time; the item `default` is composed of named facts",
    links="networks, round-trip times, egress",
    demand="tokens, spending, shares of inference, memory market",
    apis="prices of model APIs",
    sources="where facts come from",
    currencies="dated exchange rates",
)


def _code(names):
    return ", ".join(f"`{name}`" for name in names)


def _parameters(name):
    """The table of one file: parameter, base unit, plausible range or choices, meaning."""
    rows = []
    for parameter, spec in PARAMETERS[name].items():
        low, high = spec.get("usual", (0, 0))
        span = f"at least {low:g}" if high == float("inf") else f"{low:g} to {high:g}"
        if spec["unit"] == "text":
            span = _code(spec["choices"])
        rows.append(f"| `{parameter}` | {spec['unit']} | {span} | {spec['help']} |")
    title = f"### {name}.csv" if name in FILES else f"### {name[:-1]}.csv, items with a `/`"
    return "\n".join([title, "", "| parameter | unit | plausible | meaning |", "|---|---|---|---|", *rows])


def readme() -> str:
    """The text of data/README.md."""
    words = {}
    for word, (_, base) in units.WORDS.items():
        words.setdefault(base, []).append(word)
    extra = {name: f" Further columns: {_code(columns)}." for name, columns in EXTRA_COLUMNS.items()}
    shape = {name: "wide" if name in WIDE else "long" for name in FILES}
    files = [f"- `{n}.csv`, {shape.get(n, 'plain')}: {what}.{extra.get(n, '')}" for n, what in CONTENTS.items()]
    return README.format(
        files="\n".join(files),
        long=_code(LONG),
        wide=_code(WIDE_COLUMNS),
        sources=_code(SOURCES),
        kinds=", ".join(SOURCE_KINDS),
        currencies=_code(CURRENCIES),
        confidence="\n".join(f"| {word} | {meaning} |" for word, meaning in CONFIDENCE.items()),
        parameters="\n\n".join(_parameters(name) for name in PARAMETERS),
        units="\n".join(f"| {base} | {_code(found)} |" for base, found in words.items()),
    )


def license(folder: Path) -> str:
    """The text of data/LICENSE.md, from the sources.csv of a folder."""
    with open(folder / "sources.csv", newline="", encoding="utf-8") as handle:
        rows = [{k: v.replace("|", "\\|") for k, v in row.items()} for row in csv.DictReader(handle)]
    titles = [f"[{row['title']}]({row['url']})" if row["url"].startswith("http") else row["title"] for row in rows]
    lines = (f"| `{row['key']}` | {title} | {row['terms']} |" for row, title in zip(rows, titles, strict=True))
    return LICENSE.format(rows="\n".join(lines))


if __name__ == "__main__":
    here = Path(__file__).parents[1] / "data"
    (here / "README.md").write_text(readme(), encoding="utf-8")
    (here / "LICENSE.md").write_text(license(here), encoding="utf-8")
