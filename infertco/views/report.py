"""Notebook in, report out: `build` runs a notebook and writes it as one self-contained HTML file and as a PDF.

In a notebook, `summary` makes the first page, `table` a numbered table, `assumptions` the table that closes a report.
Block quotes become margin notes; a cell tagged `live` (sliders) stays in the notebook. `docs` renders all notebooks.
"""

import ast
import csv
import os
import re
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path

from infertco import catalog, plans, units, values
from infertco.checking import unknown
from infertco.views import pages, tables, theme

SURE = {"measured": 3, "datasheet": 3, "vendor page": 3, "config": 3, "secondary config": 2, "press": 2}  # else 1 dot
GRAMMAR = "rfc3987_syntax"  # jsonschema would build it for a second and half, for a format that no schema here has
KERNEL = f"import sys; sys.modules['{GRAMMAR}'] = None; from ipykernel.kernelapp import launch_new_instance; launch_new_instance()"
FORMATS = dict(html=pages.to_html, pdf=pages.to_pdf)


# ------------------------------------------------------------------ in a notebook


class Shown:
    """A piece of a report: what it says as JSON, and how a notebook shows it."""

    def __init__(self, kind, title, **parts):
        self.part = dict(kind=kind, title=title, **parts)

    def __repr__(self):
        return f"[{self.part['kind']}] {self.part['title']}"

    def _repr_mimebundle_(self, **_):
        return {pages.MIME: self.part, "text/html": pages.markup(self.part), "text/plain": repr(self)}


class say:
    """A sentence in Markdown in which a dollar is a dollar: JupyterLab takes what stands between two of them for a formula.

    A report reads the Markdown, a notebook shows the HTML.
    """

    def __init__(self, words: str):
        self.words = words

    def __repr__(self):
        return self.words

    def _repr_mimebundle_(self, **_):
        if not self.words:
            return {"text/plain": ""}
        import mistune

        shown = pages.PLAIN_DOLLARS.format(mistune.create_markdown()(self.words))
        return {"text/markdown": self.words.replace("$", "\\$"), "text/html": shown, "text/plain": self.words}


def summary(title: str, answer: str, numbers=(), scenario=None) -> Shown:
    """The first page: title as a question, the answer, key numbers as (number, unit, what, range), the scenario."""
    named = scenario.fields() if hasattr(scenario, "fields") else {}
    line = pages.scenario_line(named) if named else str(scenario or "")
    return Shown(
        "summary", title, answer=answer, numbers=[[str(word) for word in number] for number in numbers],
        scenario=line, hash=pages.short_hash(named or line), version=version("infertco"),
        facts=catalog.data_date(getattr(scenario, "as_of", None)),
    )  # fmt: skip


def table(frame, title: str = "", subtitle: str = "", source: str = "", rows: int = 12) -> Shown:
    """The first rows of a table, numbers in the words and units of their columns, the index left out."""
    words = tables.format_table(frame, rows)
    grid = pages.grid(words.columns, words.values.tolist())
    return Shown("table", title, subtitle=[subtitle] if subtitle else [], source=source, **grid)


def assumptions(scenario, title: str = "What this report assumes, and how sure it is", more=None) -> Shown:
    """Every input in force: value, unit, range, sureness in dots, source and date; grouped as the sliders are.

    `more` holds the inputs of a study beside the scenario, in the same columns.
    """
    frame, rows = scenario.assumptions(), []
    if more is not None:
        import pandas as pd

        frame = pd.concat([more[more["value"].astype(str) != ""], frame], ignore_index=True)
    for part in (*dict.fromkeys([*([] if more is None else more["part"]), *values.VALUES]),):
        found = frame[frame["part"] == part]
        if len(found):
            rows.append(": ".join(filter(None, [part.capitalize(), found["id"].iloc[0].replace("default", "")])))
        rows += [_assumption(row, scenario) for row in found.to_dict("records")]
    head = ["Input", "Value", "Unit", "Low – high", "Sure", "Source, date"]
    used = catalog.sources()["title"].reindex(sorted(set(frame["source"][~frame["changed"]]) - {""}))
    source = "Sources: " + "; ".join(f"{key}: {text}" for key, text in used.items()) + "."
    return Shown("assumptions", title, subtitle=[], source=source, head=head, rows=rows, align=list("lrlrll"))


def _assumption(row, scenario):
    """Label, value (with the default where changed), unit, range, dots, source and date of one input."""
    name, value, base = row["field"], row["value"], tables.unit(row["field"])
    if isinstance(value, str):
        how, word, between = {}, "", ""
    else:
        ends = [] if row["changed"] else [end for end in (row["low"], row["high"]) if end == end]
        as_word = units.word(max(abs(x) for x in [value, *ends]), base, name)
        how = dict(bare=True, as_word=as_word, digits=None)
        word = tables.head(name, as_word[1] if base in units.PREFIXES else "").removeprefix(row["label"]).strip(", ")
        between = units.span(*ends, base, joint="–", **how) if len(ends) == 2 else ""
    said = tables.text(name, value, **how)
    if row["changed"] and name in plans.FIELDS:
        return [row["label"], said, word, "", 1, "set for this report"]
    if row["changed"]:
        default = scenario.vary(**{name: None}).value(name)
        said = dict(text=said, was=tables.text(name, default, **how))
        return [row["label"], said, word, "", 1, "set for this report"]
    source = ", ".join(filter(None, [row["source"], row["date"]]))
    return [row["label"], said, word, between, SURE.get(row["confidence"], 1), source]


# ------------------------------------------------------------------ from outside


def build(name=None, parameters=None, to=("html", "pdf"), out="reports", grid=None, progress=True) -> list[Path]:
    """Run the notebook `name` (None: the briefing) with `parameters` and write it into `out`.

    `grid` is a CSV file of parameters, one report a row. All parameters are checked before anything runs.

    Raises
    ------
    ValueError
        In one line: no such notebook, parameter or format, a folder that cannot be written, a cell that fails. The
        files of an earlier run are then still there, and no others.
    """
    path = _find(name or "briefing")
    stem, notebook = _stem(path), _still(_read(path))
    for kind in to:
        if kind not in FORMATS:
            raise ValueError(unknown("format", kind, FORMATS))
    runs = _grid(grid, parameters or {}, stem, notebook) if grid else {stem: parameters or {}}
    runs = {slug: _arranged(chosen, notebook) for slug, chosen in runs.items()}
    written, out = [], _writable(out)
    for slug, chosen in runs.items():
        page = pages.read(_run(notebook, chosen, slug, progress), stem, chosen)
        written += _place({f"{slug}.{kind}": FORMATS[kind](page) for kind in to}, out)
    return written


def docs(out="site", progress=True) -> list[Path]:
    """Every notebook executed, a glossary of all fields and columns, and an index, as HTML pages."""
    out, made, links = _writable(out), {}, []
    for path in sorted(notebooks().glob("*.ipynb")):
        page = pages.read(_run(_still(_read(path)), {}, path.stem, progress), _stem(path), {})
        made[f"{path.stem}.html"] = pages.to_html(page)
        links.append(f"- [{page['title']}]({path.stem}.html)")
    made["glossary.html"] = pages.to_html(pages.glossary())
    made["index.html"] = pages.to_html(pages.page("infertco", "\n".join([*links, "- [Glossary](glossary.html)"])))
    return _place(made, out)


def notebooks() -> Path:
    """The folder of the notebooks: beside the facts, in a clone as in the installed package."""
    return catalog.data_dir().parent / "notebooks"


def _stem(path):
    return re.sub(r"^\d+_", "", path.stem)


def _find(name):
    known = {_stem(path): path for path in sorted(notebooks().glob("*.ipynb"))}
    wanted = _stem(Path(str(name).removesuffix(".ipynb")))
    if wanted not in known:
        raise ValueError(unknown("notebook", str(name), known))
    return known[wanted]


def _read(path):
    asked = sys.modules.setdefault(GRAMMAR, None)
    import nbformat  # and jsonschema with it

    if asked is None:
        del sys.modules[GRAMMAR]
    return nbformat.read(path, as_version=4)


def _still(notebook):
    """The notebook without its sliders: no page shows them, and no cell needs them."""
    notebook.cells = [cell for cell in notebook.cells if "live" not in cell.metadata.get("tags", ())]
    return notebook


def _defaults(notebook):
    """Names and values of the `parameters` cell, as syntax."""
    cells = [cell.source for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    lines = [line for line in ast.parse("\n".join(cells)).body if isinstance(line, ast.Assign | ast.AnnAssign)]
    return {(getattr(line, "target", None) or line.targets[0]).id: line.value for line in lines}


def _arranged(chosen, notebook):
    """Parameters as the notebook takes them: those of its cell by name, other fields inside `fields` or `plan`."""
    known = _defaults(notebook)
    inside = dict(fields=(*values.FIELDS, "as_of"), plan=tuple(plans.FIELDS))
    found, allowed = {}, [name for where, names in inside.items() if where in known for name in names]
    for key, value in chosen.items():
        where = next((where for where, names in inside.items() if where in known and key in names), None)
        if key in known:
            found[key] = value
        elif where:
            found.setdefault(where, ast.literal_eval(known[where]))[key] = value  # beside what the cell already has in it
        else:
            raise ValueError(unknown("parameter", key, [*known, *allowed]))
    return found


def _grid(path, common, stem, notebook):
    """The rows of a CSV file of parameters, by the names of their reports: `stem-01-h100-sxm-chat`."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {path}: {getattr(error, 'strerror', None) or 'not UTF-8 text'}") from None
    if not rows or any(None in row or None in row.values() for row in rows):
        raise ValueError(f"{path}: expected a line of parameter names, then one line of as many values a report")
    runs, lists = {}, {key for key, value in _defaults(notebook).items() if isinstance(value, ast.List | ast.Tuple)}
    for number, row in enumerate(rows, 1):
        given = {name: text for name, text in row.items() if text}
        typed = {k: list(map(_typed, text.split(","))) if k in lists else _typed(text) for k, text in given.items()}
        slug = re.sub(r"[^a-z0-9.]+", "-", " ".join(row.values()).lower()).strip("-.")[:60]
        runs[f"{stem}-{number:0{len(str(len(rows)))}}-{slug}"] = common | typed
    return runs


def _typed(text):
    """What a cell of a CSV file says: a whole number, a number, true or false, or text."""
    try:
        return int(text) if text.strip().isdigit() else float(text)
    except ValueError:
        return {"true": True, "false": False}.get(text.strip().lower(), text.strip())


def _writable(out):
    """The folder, known to be writable; it is made only when there is something to put into it."""
    out = Path(out)
    home = next(folder for folder in (out, *out.absolute().parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=home):
            return out
    except OSError as error:
        raise ValueError(f"cannot write into {out}: {error.strerror}") from None


def _run(notebook, chosen, label, progress, drawn=False):
    """The notebook executed in a folder of its own by this very Python, whatever kernels are installed.

    Charts come as specs alone unless `drawn`: a page draws them itself, without their titles.
    """
    import papermill
    from jupyter_client.kernelspec import KernelSpec
    from jupyter_client.manager import AsyncKernelManager

    class Here(AsyncKernelManager):
        argv = [sys.executable, "-c", KERNEL, "-f", "{connection_file}", "--log-level=ERROR"]
        kernel_spec = KernelSpec(argv=argv, language="python", env={theme.UNDRAWN: "" if drawn else "1"})

    how = dict(kernel_name="python3", language="python", kernel_manager_class=Here, store_widget_state=False, shutdown_kernel="immediate")
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor() as pool:
        for prepare in pages.AHEAD:
            pool.submit(prepare)
        try:
            bar = dict(desc=label, leave=False) if progress else False
            done = papermill.execute_notebook(notebook, None, dict(chosen), cwd=folder, progress_bar=bar, **how)
        except papermill.PapermillExecutionError as error:
            plain = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(error.traceback))
            line = re.search(r"^Cell In.*?^-+> *\d+ +([^\n]*)$", plain, re.M | re.S)
            at = f" at `{line[1].strip()}`" if line else ""
            said = " ".join(f"{error.ename}: {error.evalue}".split())
            raise ValueError(f"{label}: cell {error.exec_count} failed{at}: {said}") from None
    for key in ("papermill", "widgets"):
        done.metadata.pop(key, None)
    return done


def _place(made, out):
    """Bytes by name, written beside their final names and then all moved into place."""
    out.mkdir(parents=True, exist_ok=True)
    aside = {name: out / f".{name}.{os.getpid()}" for name in made}
    try:
        for name, content in made.items():
            aside[name].write_bytes(content)
        return [path.replace(out / name) for name, path in aside.items()]
    finally:
        for path in aside.values():
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    print(*docs(*sys.argv[1:2]), sep="\n")
