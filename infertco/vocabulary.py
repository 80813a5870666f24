"""The words of the data files: parameters, confidence, kinds of source; and the two pages of `data/` made from them.

`python -m infertco.vocabulary` in a clone writes `data/README.md` (from the value types) and `data/LICENSE.md` (from
`data/sources.csv`). A parameter of chips, models, workloads, sites and finance is a field of its value type; only
links, demand, API prices and the named facts behind sites and finance have words of their own, below.
"""

import csv
from dataclasses import fields
from pathlib import Path

from infertco import units, values
from infertco.values import quantity, text

LONG = ("item", "parameter", "value", "unit", "low", "high", "source", "date", "confidence", "note")
EXTRA_COLUMNS = dict(efficiency=("count",), links=("from", "to"), demand=("who", "kind"))
WIDE = ("models", "workloads")
WIDE_COLUMNS = ("source", "date", "confidence", "note", "weak_fields", "slo_source", "slo_confidence")
SOURCES = ("key", "kind", "title", "url", "accessed", "terms")
CURRENCIES = ("currency", "date", "usd", "source")
SOURCE_KINDS = ("datasheet", "paper", "filing", "measured", "vendor page", "press", "repository", "estimate")
CONFIDENCE = {
    "measured": "read off an instrument or a trace, by whoever the source names",
    "datasheet": "the maker's datasheet, a filing, a table of a paper",
    "vendor page": "the owner's own page, documentation or statement",
    "config": "the published configuration of a model",
    "secondary config": "that configuration, restated by others",
    "press": "journalism, blogs, price lists of resellers, aggregators",
    "estimate": "an analyst's or our own reckoning: needs low, high and, in the note, the reasoning",
    "unverified": "general knowledge; no source was found",
}
WEAK = ("estimate", "unverified")


def _own(unit, help, low=0.0, high=float("inf"), label=""):
    """A parameter that is no field of a value type."""
    return quantity(label, unit, help, allowed=(min(low, 0.0), float("inf")), usual=(low, high)).metadata


def _fields(value, names=None, leave_out=()):
    return {f.name: f.metadata for f in fields(value) if (names is None or f.name in names) and f.name not in leave_out}


_CHIP = [f.name for f in fields(values.Chip)]
EFFICIENCIES = ("usual_engine", *_CHIP[_CHIP.index("compute_efficiency_16") :])
_TITLE = dict(title=text("Title", "What the item is, in a few words").metadata)
PARAMETERS = {  # file: parameters of its items; "file/": of its named facts, the items with a "/" in their name
    "chips": _fields(values.Chip, leave_out=("chip",)),
    "efficiency": _fields(values.Chip, EFFICIENCIES),
    "efficiency/": _fields(values.Deployment, values.ENGINE_FACTS),
    "models": _fields(values.Model, leave_out=("model",)),
    "workloads": _fields(values.Workload, leave_out=("workload",)),
    "sites": _fields(values.Site, leave_out=("site",)),
    "sites/": _fields(values.Site, leave_out=("site",)) | _TITLE | {
        "pue_per_degc": _own("1", "Rise of PUE for one degree of outside temperature", 0, 0.2),
        "building_premium": _own("1", "Extra cost of a building for dense AI racks, share", -0.5, 2),
        "all_in_usd_per_w": _own("USD/W", "Cost of one watt of an AI data center, chips and building together", 1, 200),
        "colo_premium": _own("1", "Rent of large or small blocks against the mean, share", -0.9, 2),
    },
    "finance": _fields(values.Finance),
    "finance/": _fields(values.Finance) | _TITLE | {
        "capex_share": _own("1", "Share of the capital cost of an AI data center", 0, 1),
        "all_in_usd_per_chip": _own("USD", "Capital cost of one chip with its host, network and building", 100, 1e6),
        "server_usd": _own("USD", "Price of a server, or of its parts without the chips", 100, 1e7),
        "network_usd_per_hour": _own("USD/h", "Network cost of one chip an hour", 0, 10),
        "network_share": _own("1", "Network cost, share of the server's", 0, 1),
        "staff_per_mw": _own("1", "Full-time staff for one MW of critical IT load", 0, 100),
        "events": _own("1", "Events counted"),
        "events_per_chip_year": _own("1/year", "Events for one chip in a year", 0, 100),
        "failure_share": _own("1/year", "Share of units that fail in a year", 0, 1),
        "overprovision": _own("1", "Chips held as spares, share", 0, 1),
        "service_level": _own("1", "Availability promised or reached, share of the time", 0, 1),
        "effective_time": _own("1", "Share of training time that made progress", 0, 1),
    },
    "links": _TITLE | {
        "bytes_per_s": _own("byte/s", "Bandwidth of one chip or port, one direction", 1e8, 1e13),
        "latency_s": _own("s", "One-way latency of a message", 0, 1e-2),
        "rtt_s": _own("s", "Round-trip time between two places", 0, 2),
        "rtt_s_per_km": _own("s", "Round-trip time added by one km of great circle", 0, 1e-3),
        "rtt_stretch": _own("1", "Round-trip time over the bound set by light in fiber", 1, 10),
        "fiber_km_per_s": _own("1", "Speed of light in fiber, km in a second", 1e5, 3e5),
        "distance_km": _own("km", "Great-circle distance", 0, 20100),
        "pings": _own("1", "Pings behind the round-trip time"),
        "port_w": _own("W", "Power of one port with its optics", 0, 200),
        "port_usd": _own("USD", "Price of one port, or of its cable", 0, 2e4),
        "switch_usd": _own("USD", "Price of one switch, or of a node's cables", 100, 1e6),
        "usd_per_gb": _own("USD/GB", "Price of data moved", 0, 1),
        "efficiency": _own("1", "Share of the rated bandwidth that collectives reach", 0, 1.2),
        "oversubscription": _own("1", "Bandwidth below a switch over bandwidth above it", 1, 20),
    },
    "demand": _TITLE | {
        "inference_share_compute": _own("1", "Inference, share of AI computing", 0, 1),
        "inference_share_spend": _own("1", "Inference, share of AI spending", 0, 1),
        "inference_share_power": _own("1", "Inference, share of data-center power or load", 0, 1),
        "inference_share_contracts": _own("1", "Inference, share of contracted capacity", 0, 1),
        "training_share_spend": _own("1", "Training, share of AI spending", 0, 1),
        "spend_usd": _own("USD", "Spending in the period named by title and date", 1e6, 1e14),
        "spend_usd_per_year": _own("USD/year", "Spending a year", 1e6, 1e14),
        "capex_usd": _own("USD", "Capital spending in the period named by title and date", 1e6, 1e14),
        "capex_guidance_usd": _own("USD", "Capital spending announced for the year", 1e6, 1e14),
        "tokens_per_month": _own("token/month", "Tokens processed a month, input and output", 1e6, 1e18),
        "input_tokens_per_month": _own("token/month", "Input tokens a month", 1e6, 1e18),
        "output_tokens_per_month": _own("token/month", "Output tokens a month", 1e6, 1e18),
        "requests_per_day": _own("request/day", "Requests a day", 1, 1e13),
        "users": _own("1", "Users in the period named by title", 1, 1e10),
        "energy_per_request_j": _own("J", "Energy of one request, boundary as the note says", 1, 1e6),
        "price_decline_per_year": _own("1", "Factor by which a price fell in a year", 0.1, 1000),
        "price_decline_total": _own("1", "Factor by which a price fell over the period of the title", 0.1, 1e4),
        "rental_usd_per_hour": _own("USD/h", "Rent of one chip", 0.01, 200),
        "hbm_bytes": _own("byte", "HBM shipped in the year", 1e12, 1e20),
        "hbm_usd_per_gb": _own("USD/GB", "Price or cost of HBM", 0.1, 500),
        "hbm_price_ratio": _own("1", "Price of HBM over that of the memory in the title", 0.1, 100),
        "hbm_price_change": _own("1", "Change of the price of HBM, share", -0.95, 10),
        "hbm_market_usd": _own("USD", "HBM sold in the year", 1e8, 1e13),
        "hbm_wafer_share": _own("1", "HBM, share of DRAM wafers", 0, 1),
    },
    "apis": _TITLE | {
        "vendor": text("Vendor", "Who sells it").metadata,
        "model": text("Model", "Id in models.csv of the model served, where it is known").metadata,
        "usd_per_mtok_input": _own("USD/Mtok", "Price of a million input tokens", 0, 1000),
        "usd_per_mtok_cached": _own("USD/Mtok", "Price of a million cached input tokens", 0, 1000),
        "usd_per_mtok_output": _own("USD/Mtok", "Price of a million output tokens", 0, 5000),
        "batch_discount": _own("1", "Discount for answers within a day, share", 0, 1),
    },
}  # fmt: skip
FILES = tuple(name for name in PARAMETERS if not name.endswith("/"))

README = """# The data files

Facts, one a line, each with its source, its date and how far to trust it. This page is made from the value types
(`python -m infertco.vocabulary`); a test holds it current. Terms of the sources: `LICENSE.md`.

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
- **A date is the day from which the fact holds**: the launch for a specification, the day of reading for a price. An
  efficiency is a property of the hardware class and holds from its launch. Under `as_of` the newest fact not later
  counts, and one dated later does not exist. A new price is a new line; the old one stays.
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

Made from `sources.csv` (`python -m infertco.vocabulary`). The numbers are facts, each with the key of its source; no
source's own text is copied. The selection and arrangement, and the notes, are under the license of the package. Data
whose terms forbid passing it on is not here.

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
        low, high = spec.get("usual", (0, float("inf")))
        span = (
            _code(spec["choices"]) if spec.get("choices") else "" if spec["unit"] == "text" else f"{low:g} to {high:g}"
        )
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
