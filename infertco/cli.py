"""The commands: parse, call, print.

Parameters (`-p field=value`, `--params FILE.yaml`) are the fields of the values, checked before anything runs. What
the user got wrong is one line on stderr and exit status 2; an infeasible scenario is an answer and ends with 0.
"""

import csv
import os
import shutil
import sys
from pathlib import Path

import click

import infertco as ic
from infertco import catalog, plans, values
from infertco.printing import aligned, as_json, as_text, error_table, fact_lines

PLURALS = {f"{name}s": name for name in values.IDS}
LISTED = ("chips", "models", "workloads", "sites", "links", "demand", "apis", "finance", "efficiency", "sources")
LISTED_BY = ("name", "vendor", "status", "family", "title", "place")
PREDICTED = ("predicted", "predicted_low", "predicted_high", "scored", "why_not", "assumed")
NO_FIGURE = ("", "-", "na", "n/a", "nan", "none", "null")
MOST_REASONS = 20
CAPS = dict(supply="chip", site_power_w="site")  # of a study: limits by id
TABLES = ("series", "demand", "existing", *CAPS)  # of a study: in YAML as lists and mappings, with -p the path of a CSV file


# ---------------------------------------------------------------- parameters
def known(kind: str, name: str, names) -> str:
    """`name`, if it is one of `names`."""
    if name not in names:
        raise ValueError(f"unknown {kind} '{name}'{catalog.nearest(str(name), names)}".rstrip(";."))
    return name


def parsed(name: str, typed):
    """What was typed: a number, a text or None; a list for `chips` and other plurals. The scenario checks ranges."""
    if name in TABLES:
        return typed
    if name in PLURALS:
        items = typed if isinstance(typed, list) else str(typed or "").split(",")
        if not all(items := [str(item).strip() for item in items]):
            raise ValueError(f"{name} must be ids with commas between them, got '{typed}'")
        return items
    if isinstance(typed, list) and name in plans.FIELDS and plans.FIELDS[name].metadata["unit"] != "text":
        return [float(x) if isinstance(x, int | float) else x for x in typed]  # one a period
    if isinstance(typed, list | dict):
        raise ValueError(f"{name} must be one value, got {typed}; lists are for {', '.join(PLURALS)} and for a plan's numbers by period")
    typed = "" if typed is None else str(typed).strip()
    if typed.lower() in ("", "none"):
        return None
    known = values.FIELDS | plans.FIELDS
    if name == "as_of" or known[name].metadata["unit"] == "text":
        return typed
    try:
        return int(typed) if typed.lstrip("+-").isdigit() else float(typed)
    except ValueError:
        low, high = known[name].metadata["allowed"]
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got '{typed}'") from None


def fields(asked: dict, *more: str) -> dict:
    """Names checked, values parsed."""
    names = [*values.FIELDS, "as_of", *more]
    return {name: parsed(known("field", name, names), typed) for name, typed in asked.items()}


def mapping(content, where: str) -> dict:
    if not isinstance(content, dict | None):
        raise ValueError(f"{where} must hold lines of `name: value`")
    return content or {}


def read_yaml(path: str) -> dict:
    import yaml

    try:
        return mapping(yaml.safe_load(Path(path).read_text(encoding="utf-8")), path)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not YAML: {error}") from None


def parameters(pairs=(), file=None, *more: str) -> dict:
    """The fields asked for, those of `more` among them: those of the file, then those typed."""
    asked = read_yaml(file) if file else {}
    for pair in pairs:
        name, equals, typed = pair.partition("=")
        if not equals:
            raise ValueError(f"-p takes field=value, got '{pair}'")
        asked[name.strip()] = typed
    return fields(asked, *PLURALS, *more)


def scenario_and_axes(asked: dict) -> tuple:
    """The scenario asked for, and the axes that its plurals are; both are checked here."""
    axes = {PLURALS[name]: ids for name, ids in asked.items() if name in PLURALS}
    for kind, ids in axes.items():
        for item in ids:
            catalog.check_id(kind, item, asked.get("as_of"))
    return ic.scenario(**{name: value for name, value in asked.items() if name not in PLURALS}), axes


def checked(asked: dict) -> None:
    """Fields of the scenario and of the plans, before anything runs."""
    for plan in plans.PLANS:
        plan(**{name: asked[name] for name in plans.names(plan) if asked.get(name) is not None})
    base, _ = scenario_and_axes({name: value for name, value in asked.items() if name not in plans.FIELDS and name not in TABLES})
    if asked.get("demand"):
        from infertco.studies.tiering_demand import demands

        demands(asked["demand"], base)
    for name, kind in CAPS.items():
        if asked.get(name) is not None:
            from infertco.studies.tiering_stock import checked_caps

            checked_caps(asked[name], kind, name)


def with_tables(asked: dict) -> dict:
    """What names a CSV file read, so that a report finds it wherever it runs."""
    if asked.get("series"):
        from infertco.studies.pivot import read_series

        table = read_series(asked["series"])
        asked["series"] = {"month": [f"{month:%Y-%m}" for month in table.index]} | {name: table[name].tolist() for name in table}
    for name in ("demand", "existing"):
        if isinstance(asked.get(name), str):
            asked[name] = [{key: _typed(cell) for key, cell in row.items() if cell != ""} for row in read_csv(asked[name]).to_dict("records")]
    return asked


def _typed(cell: str):
    try:
        return float(cell)
    except ValueError:
        return {"true": True, "false": False}.get(cell.lower(), cell)


def overlaid(ctx, param, path):
    """--data: the user's own facts over the shipped ones, here and in the notebooks that this process runs."""
    if path:
        catalog.overlay(path)
        before = os.environ.get("INFERTCO_DATA")
        os.environ["INFERTCO_DATA"] = os.pathsep.join([*([before] if before else []), os.path.abspath(path)])


with_p = click.option("-p", "pairs", multiple=True, metavar="FIELD=VALUE", help="A field; may be repeated.")
with_params = click.option("--params", "file", metavar="FILE.yaml", help="Fields from a file; -p goes before it.")
with_data = click.option("--data", metavar="DIR", callback=overlaid, expose_value=False, help="Your own CSV files.")


# ---------------------------------------------------------------- files
def read_csv(path: str):
    """A CSV file as text, a cell a string; one line of names, then as many cells a line."""
    import pandas as pd

    try:
        with open(path, newline="", encoding="utf-8-sig") as lines:
            head, *rows = filter(None, csv.reader(lines, strict=True))
    except (csv.Error, ValueError) as error:
        raise ValueError(f"{path} is not a CSV file with a line of column names: {error}") from None
    for number, row in enumerate(rows, 2):
        if len(row) != len(head):
            raise ValueError(f"{path}: row {number} has {len(row)} cells, expected {len(head)}")
    if len(set(head)) < len(head):
        raise ValueError(f"{path}: a column stands there twice: {next(name for name in head if head.count(name) > 1)}")
    return pd.DataFrame(rows, columns=head, dtype=str)


def write_csv(table, target: Path) -> None:
    """Beside its final name, then moved into place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    aside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        table.to_csv(aside, index=False)
        aside.replace(target)
    finally:
        aside.unlink(missing_ok=True)


def clone() -> Path | None:
    """The folder of the clone this runs in; None where it is installed."""
    root = catalog.data_dir().parent
    return root if (root / "pyproject.toml").exists() else None


# ---------------------------------------------------------------- commands
@click.group(context_settings=dict(help_option_names=["-h", "--help"]))
@click.version_option(package_name="infertco")
def cli():
    """What a million tokens cost on each chip, at equal latency."""


@cli.command()
@click.argument("name", default="briefing", metavar="[NAME]")
@with_p
@with_params
@with_data
@click.option("--grid", metavar="params.csv", help="One report a row; the columns are fields.")
@click.option("--to", default="html,pdf", show_default=True, help="What to write.")
@click.option("--out", default="reports", show_default=True, metavar="DIR", help="Where to write it.")
def report(name, pairs, file, grid, to, out):
    """Run a notebook and write it as HTML and PDF. NAME: a notebook without its number; none: the briefing."""
    asked, rows = with_tables(parameters(pairs, file, *plans.FIELDS, *TABLES)), [{}]
    if grid:
        with open(grid, newline="", encoding="utf-8") as lines:
            rows = [{k: v for k, v in row.items() if v} for row in csv.DictReader(lines)]
    for row in rows:
        checked(asked | fields(row, *PLURALS, *plans.FIELDS))
    from infertco.views.report import build

    for path in build(name, asked, [kind.strip() for kind in to.split(",")], out, grid):
        print(path)


@cli.command()
@with_p
@with_params
@with_data
@click.option("--format", "kind", type=click.Choice(["table", "csv", "json"]), default="table", show_default=True)
def evaluate(pairs, file, kind):
    """Latency, throughput, cost and energy of one scenario; with `-p chips=a,b`, of several side by side."""
    scenario, axes = scenario_and_axes(parameters(pairs, file))
    table = ic.sweep(scenario, **axes) if axes else ic.evaluate(scenario)
    print(dict(table=as_text, json=as_json, csv=lambda table: table.to_csv(index=False).rstrip())[kind](table))


@cli.command()
@click.argument("spec", metavar="SPEC.yaml")
@with_data
@click.option("--out", required=True, metavar="DIR", help="Where to write the table, as SPEC.csv.")
def sweep(spec, out):
    """All combinations. SPEC.yaml: `base: {field: value}`, `axes: {field: [values]}`, `outputs: [columns]`."""
    asked = {known("entry", key, ("base", "axes", "outputs")): content for key, content in read_yaml(spec).items()}
    base, axes = (mapping(asked.get(key), f"{spec}: {key}") for key in ("base", "axes"))
    axes = {known("field", name, values.FIELDS): x if isinstance(x, list) else [x] for name, x in axes.items()}
    axes = {name: [parsed(name, item) for item in listed] for name, listed in axes.items()}
    outputs = asked.get("outputs")
    if not (outputs is None or outputs == "all" or isinstance(outputs, list)):
        raise ValueError(f"{spec}: outputs must be a list of columns or 'all', got {outputs}")
    outputs = [str(name) for name in outputs] if isinstance(outputs, list) else outputs
    table = ic.sweep(ic.scenario(**fields(base)), outputs=outputs, **axes)
    target = Path(out) / f"{Path(spec).stem}.csv"
    write_csv(table, target)
    print(f"{target}: {len(table):,} rows")


@cli.command()
@click.argument("file", metavar="FILE.csv")
@with_data
@click.option("--out", metavar="predicted.csv", help="Where to write the rows with their predictions.")
def validate(file, out):
    """Measurements against the model. FILE.csv: columns of data/measured; hardware, model, metric, value are needed."""
    import pandas as pd

    from infertco.studies import validation

    given = read_csv(file)
    try:
        found = validation.validate(given.where(~given.apply(lambda cells: cells.str.strip().str.lower().isin(NO_FIGURE))))
    except ValueError as error:
        raise ValueError(f"{file}: {error}") from None
    if out:
        columns = found[list(PREDICTED)].assign(scored=found["scored"].map({True: "true", False: "false"}))
        write_csv(pd.concat([given.drop(columns=list(PREDICTED), errors="ignore"), columns], axis=1), Path(out))
    found["value"] = pd.to_numeric(found["value"], errors="coerce") if "value" in found else float("nan")
    found["cells"] = found["assumed"].ne("").map({True: "some assumed", False: "all given"})
    known = validation.accuracy()
    left_out = known[known["left_out"] == "any"].set_index("task")["median"]
    print("Error in per cent: predicted over measured - 1. coverage: measured within the 80 % interval.")
    print("left out: median error on rows of data/measured that a fit had not seen (source, chip or model left out).\n")
    print(error_table(found, "task", left_out))
    for by in ("maker", "serving_engine"):
        print("\n" + error_table(found, by))
    print("\n" + error_table(found[found["scored"]], "cells"))
    why = found["why_not"][~found["scored"]].value_counts()
    print(f"\n{len(found):,} rows, {found['scored'].sum():,} scored; {why.sum():,} not, because")
    rest = [[f"{why.iloc[MOST_REASONS:].sum():,}", f"{len(why) - MOST_REASONS} other reasons; see why_not of --out"]] if len(why) > MOST_REASONS else []
    print(aligned([*((f"{n:,}", reason) for reason, n in why.head(MOST_REASONS).items()), *rest]) if len(why) else "", end="\n" if len(why) else "")
    if out:
        print(f"\n{out}: {len(found):,} rows")


@cli.command()
@click.option("--out", metavar="efficiency.csv", help="Where to write; in a clone, data/efficiency.csv.")
def calibrate(out):
    """Fit the efficiencies to data/measured, judge them by leaving out, and write them. Takes minutes."""
    if not (out or clone()):
        raise ValueError("calibrate writes data/efficiency.csv of a clone; this is an installed copy: name a file with --out")
    if out and (Path(out).is_dir() or not Path(out).absolute().parent.is_dir()):
        raise ValueError(f"cannot write {out}: its folder must exist, and it must be a file")
    from infertco.studies import calibration

    known = calibration.calibrate(out, say=lambda words: print(words, flush=True))
    kinds = {"none": "in the fit", "source": "source out", "chip": "chip out", "model": "model out", "any": "left out"}
    medians = known.pivot(index="task", columns="left_out", values="median").reindex(columns=list(kinds))
    print("\nMedian error in per cent\n" + aligned([["task", *kinds.values()], *([task, *(f"{x:.1f}" for x in row)] for task, *row in medians.itertuples())]))
    print(out or clone() / "data" / "efficiency.csv")


@cli.command()
@click.argument("folder", metavar="[DIR]", required=False)
def lab(folder):
    """Open JupyterLab on the notebooks: in a clone where they are, elsewhere copied to DIR first."""
    shipped = catalog.data_dir().parent / "notebooks"
    folder = Path(folder or (shipped if clone() else "infertco-notebooks"))
    folder.mkdir(parents=True, exist_ok=True)
    for source in sorted(shipped.glob("*.ipynb")):
        target = folder / source.name
        if not target.exists():
            shutil.copyfile(source, target)
        elif target.read_bytes() != source.read_bytes():
            print(f"{target}: kept, though it differs from the one shipped", file=sys.stderr)
    os.execv(sys.executable, [sys.executable, "-m", "jupyterlab", str(folder)])


@cli.command("catalog")
@click.argument("kind", type=click.Choice(LISTED))
@click.argument("item", metavar="[ID]", required=False)
@with_p
@with_data
def catalog_(kind, item, pairs):
    """The facts: what there is, or all of one ID with source, date and confidence; `-p as_of=2025` as of then."""
    asked, owner = parameters(pairs), kind.removesuffix("s")
    as_of = next((asked[known("parameter of the catalog", name, ["as_of"])] for name in asked), None)
    if kind == "sources":
        table = catalog.sources()
        rows = table.itertuples() if item is None else table.loc[known("source", item, table.index)].items()
    elif owner in values.IDS and item is None:
        table = getattr(catalog, kind)(as_of)
        rows = table[[name for name in LISTED_BY if name in table]].itertuples()
    elif owner in values.IDS and "/" not in item:
        own = [name for name in values.FIELDS if values.OWNER[name] == owner]
        rows = fact_lines(catalog.fact(owner, item, name, as_of) for name in own)
    else:
        table = catalog.facts(kind, as_of)
        items = dict.fromkeys(table["item"])
        own = None if item is None else table[table["item"] == known("item", item, items)]
        rows = [[name] for name in items] if item is None else fact_lines(own.itertuples())
    print(aligned(rows))


def main(args=None):
    """Run a command; what the user got wrong becomes one line and exit status 2."""
    args = sys.argv[1:] if args is None else list(args)
    try:
        cli.main(args or ["--help"], prog_name="infertco", standalone_mode=False)
        sys.stdout.flush()
    except BrokenPipeError:  # `infertco ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (click.ClickException, ValueError, OSError) as error:
        said = error.format_message() if isinstance(error, click.ClickException) else str(error)
        if isinstance(error, OSError):
            said = ": ".join(str(part) for part in (error.filename, error.strerror or error) if part)
        print("infertco: " + " ".join(said.split()), file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
