"""An executed notebook as parts (prose, charts, tables, summary), and the parts as an HTML page or a PDF.

Title, subtitle and source of a chart are taken off and become text of the page. HTML goes through pandoc and carries
one copy of Vega; a chart stands there as SVG until the script replaces it. PDF goes through pandoc and Typst. Neither
asks a network for anything, and the same notebook gives the same bytes. The looks are in report.html and report.typ.
"""

import base64
import hashlib
import html
import json
import re
import subprocess
import sys
import tempfile
import urllib.parse
from datetime import date
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from itertools import count
from pathlib import Path

from infertco import catalog, values
from infertco.views import tables, theme

MIME = "application/vnd.infertco+json"
WIDGET = "application/vnd.jupyter.widget-view+json"
VEGA_LITE_6 = "https://vega.github.io/schema/vega-lite/v6.json"
NUMBER = re.compile(r"[-−±+~≤≥<>†$€£(]*\d|n/a|–?$")
PANDOC = "gfm+tex_math_dollars+raw_attribute+smart"
PLAIN_DOLLARS = '<div class="mathjax_ignore tex2jax_ignore">{}</div>'  # what stands between two of them is no formula
SHIFT = "--shift-heading-level-by=-1"
HERE = files("infertco.views")
FONTS = (("Sans", 400, "Regular"), ("Sans", 600, "Semibold"), ("Serif", 400, "Regular"))
CALLS = dict(chart="chart", table="records", list="records", assumptions="sure", plain="plain")  # of report.typ
BUNDLE = "import sys, vl_convert; sys.stdout.write(vl_convert.javascript_bundle(sys.stdin.read(), vl_version=sys.argv[1]))"
RAW = "```{{=typst}}\n{}\n```"
BEFORE = re.compile(r"(^#+ [^\n]*\s+)?^```\{=typst\}\n#(\w+)\((\d+)\)( // wide)?$", re.M)  # a part, with the heading above it
LEAST_SCALE, SLACK_PT = 0.72, 24.0  # of a figure made smaller to stand on the rest of a page; spacing around it
PAGE_TOP_PT, FOOT_PT, MAIN_PT, WIDE_PT = (mm * 72 / 25.4 for mm in (24, 297 - 24, 112, 166))  # as in report.typ
IN_PDF = ("kind", "number", "title", "subtitle", "source", "text", "alt", "width", "head", "rows", "align")
APPENDIX = dict(rows=25, columns=12)  # the largest table of a chart that a PDF prints
FITS = (72, 128)  # characters of a table that fit the main column, and the page


# ------------------------------------------------------------------ notebook to parts


def page(title: str = "", text: str = "", kind: str = "") -> dict:
    """A page of prose; what a report adds to it is empty."""
    made = dict(title=title, kind=kind, answer="", numbers=[], scenario="", hash="", command="")
    return made | dict(facts=catalog.data_date(), version=version("infertco"), parts=[dict(kind="prose", text=text)])


def read(notebook, stem: str, chosen: dict) -> dict:
    """The page of an executed notebook; `chosen` are the parameters it ran with."""
    made, figures, grids = page(kind=stem.replace("_", " ").capitalize()), count(1), count(1)
    for part in _parts(notebook):
        if part["kind"] == "summary":
            made |= {name: part[name] for name in part if name != "kind"}
            continue
        heading = re.match(r"\s*# +(.*)\n*", part["text"]) if part["kind"] == "prose" else None
        if heading:
            made["title"], part["text"] = made["title"] or heading[1], part["text"][heading.end() :]
        if part["kind"] in ("chart", "table", "assumptions"):
            part["number"] = next(figures if part["kind"] == "chart" else grids)
        if part["kind"] == "code" == made["parts"][-1]["kind"]:
            made["parts"][-1]["text"] += "\n\n" + part["text"]
        else:
            made["parts"].append(part)
    made["parts"] = [part for i, part in enumerate(made["parts"]) if not _bare(part, made["parts"][i + 1 :])]
    pairs = [f"{name}={','.join(map(str, x)) if isinstance(x, list) else x}" for name, x in chosen.items()]
    made["command"] = " -p ".join([f"infertco report {stem}", *pairs])
    made["title"] = made["title"] or made["kind"]
    made["hash"] = made["hash"] or short_hash(chosen)
    made["scenario"] = made["scenario"] or scenario_line(chosen) or "as in the notebook"
    for part in made["parts"]:
        if part["kind"] == "chart" and not part["source"]:
            part["source"] = f"Source: infertco {made['version']}, facts of {made['facts']}."
    return made


def _bare(part, after) -> bool:
    """Whether a heading has nothing under it: what it announced went to the first page."""
    own = re.fullmatch(r"\s*(#+) [^\n]*\s*", part["text"]) if part["kind"] == "prose" else None
    below = next((x for x in after if x["kind"] != "code"), None) if own else None
    level = re.match(r"\s*(#+) ", below["text"]) if below and below["kind"] == "prose" else None
    return bool(own) and (below is None or bool(level and len(level[1]) <= len(own[1])))


def _parts(notebook):
    for cell in notebook.cells:
        if "live" in cell.metadata.get("tags", ()):
            continue
        if cell.cell_type == "markdown":
            yield dict(kind="prose", text=cell.source)
        elif cell.cell_type == "code":
            yield dict(kind="code", text=cell.source)
            yield from filter(None, map(_part, cell.outputs))


def _part(output):
    data = output.get("data", {})
    if MIME in data:
        return dict(data[MIME])
    if theme.MIME in data:
        return _chart(dict(data[theme.MIME]))
    if "text/markdown" in data:
        return dict(kind="prose", text=data["text/markdown"])
    if "<table" in data.get("text/html", ""):
        return _table(data["text/html"])
    text = output.get("text", "") if output.get("name") == "stdout" else data.get("text/plain", "")
    return dict(kind="plain", text=text) if text.strip() and WIDGET not in data else None


def _chart(spec):
    """A chart without its title and subtitle, with its data as a table."""
    import pandas as pd

    heading = spec.pop("title", "")
    heading = heading if isinstance(heading, dict) else dict(text=heading)
    texts = heading.get("text", ""), heading.get("subtitle", [])
    title, subtitle = ([text] if isinstance(text, str) else text for text in texts)
    extra, svg, title = spec.get("usermeta", {}).get("infertco", {}), theme.svg(spec), " ".join(title)
    data = pd.DataFrame(extra.get("table") or [])
    words = tables.format_table(data, len(data))
    return dict(
        kind="chart", title=title, subtitle=subtitle, alt=spec.get("description") or title, spec=spec, svg=svg,
        data=data, source=extra.get("source", ""), width=float(re.search(r'width="([\d.]+)"', svg)[1]),
        **grid(words.columns, words.values.tolist()),
    )  # fmt: skip


def _table(text):
    """An HTML table, of pandas for one, as words."""

    def plain(tag, within):
        found = re.findall(f"<{tag}[ >].*?</{tag}>", within, re.S)
        return [html.unescape(re.sub("<.*?>", "", cell)).strip() for cell in found]

    head, *rows = [plain("t[hd]", row) for row in re.findall("<tr[ >].*?</tr>", text, re.S)]
    return dict(kind="table", title="".join(plain("caption", text)), subtitle=[], source="", **grid(head, rows))


def grid(head, rows) -> dict:
    """Head, rows and alignment of a table of text: columns of numbers to the right."""
    columns = zip(*rows, strict=True) if rows else [()] * len(head)
    right = (any(column) and all(NUMBER.match(word) for word in column) for column in columns)
    return dict(head=list(head), rows=rows, align=["r" if is_right else "l" for is_right in right])


def scenario_line(named: dict) -> str:
    """Ids and named fields as one line of words."""

    def said(name, x):
        if isinstance(x, list | tuple):
            return ", ".join(map(str, x))
        return ("" if name in values.IDS else f"{tables.meta(name)['label']} ") + tables.text(name, x, digits=None)

    return " · ".join(said(name, x) for name, x in named.items())


def short_hash(named) -> str:
    """Eight characters that change with the scenario."""
    return hashlib.sha256(json.dumps(named, sort_keys=True, default=str).encode()).hexdigest()[:8]


def _footer(page):
    words = {"infertco": page["version"], "facts of": page["facts"], "scenario": page["hash"]}
    return " · ".join(f"{word} {said}" for word, said in words.items() if said)


def glossary() -> dict:
    """All fields, value by value, and all columns that come out."""
    made = page("Glossary", "Every field a scenario takes and every column it gives, by its one name everywhere.")
    groups = {f"Fields: {key}": {} for key in values.VALUES} | {"Columns out": values.OUTPUTS}
    for name, field in values.FIELDS.items():
        groups[f"Fields: {values.OWNER[name]}"][name] = field.metadata
    for group, entries in groups.items():
        rows = [[name, meta["label"], meta["unit"], meta["help"]] for name, meta in entries.items()]
        made["parts"].append(dict(kind="prose", text=f"## {group}"))
        made["parts"].append(dict(kind="list", **grid(["Name", "Label", "Unit", "Meaning"], rows)))
    return made


# ------------------------------------------------------------------ to HTML


@cache
def _template():
    from jinja2 import Environment

    source = (HERE / "report.html").read_text(encoding="utf-8")
    return Environment(autoescape=True, trim_blocks=True).from_string(source)


def markup(part: dict) -> str:
    """The HTML of a summary, table or list of assumptions, as a notebook shows it."""
    module = _template().module
    shown = str(module.summary(part)) if part["kind"] == "summary" else _heading(part) + str(module.rows(part))
    return PLAIN_DOLLARS.format(shown)


def _heading(part):
    """Title and subtitle above a table; a page has its own."""
    title, words = html.escape(part["title"]), html.escape(" ".join(part.get("subtitle") or ()))
    return f"<p><b>{title}</b>{'<br>' if title and words else ''}{words}</p>" if title or words else ""


def _piece(part):
    """The HTML of any part but prose, numbered and framed."""
    from markupsafe import Markup

    if part["kind"] == "chart":
        name = f"figure-{part['number']}"  # ids of several drawings must differ
        still = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", part["svg"])
        live = json.dumps(part["spec"] | {"$schema": VEGA_LITE_6}).replace("<", "\\u003c")
        text = urllib.parse.quote(part["data"].to_csv(index=False))
        part = part | dict(still=Markup(still), live=Markup(live), csv=f"data:text/csv;charset=utf-8,{text}")
    return str(_template().module.piece(part))


@cache
def _fonts():
    files = [(family, weight, HERE / "fonts" / f"Source{family}Pro-{cut}.woff2") for family, weight, cut in FONTS]
    return [dict(family=f, weight=w, data=base64.b64encode(file.read_bytes()).decode()) for f, w, file in files]


@cache
def _script():
    """Vega and the script of a page, bundled in a process of its own: here nothing else would run for two seconds."""
    script = (HERE / "report.js").read_text(encoding="utf-8")
    ran = subprocess.run([sys.executable, "-X", "utf8", "-c", BUNDLE, theme.VEGA_LITE], input=script, capture_output=True, check=True, encoding="utf-8")
    return ran.stdout.replace("</script", "<\\/script")


def _tools():
    """The libraries that read a page, with one chart drawn: the first takes as long as ten others."""
    import pandas  # noqa: F401

    theme.svg(dict(mark="point", data=dict(values=[])))


AHEAD = (_script, _tools)  # what takes seconds the first time and can be done while a notebook runs


def _markdown(parts, block):
    """The prose as one text, `block(i, part)` standing for every other part."""
    texts = [part["text"] if part["kind"] == "prose" else block(i, part) for i, part in enumerate(parts)]
    return re.sub(r"\]\(#[^)]+\)", lambda link: link[0].lower(), "\n\n".join(texts))  # as pandoc writes the ids


def to_html(page: dict) -> bytes:
    """The page as one file that needs nothing else."""
    import pypandoc
    from markupsafe import Markup

    parts, options = page["parts"], ["--standalone", "--toc", "--toc-depth=1", "--mathml", "--number-sections", SHIFT]
    text = _markdown(parts, lambda i, part: f"```{{=html}}\n<!--part {i}-->\n```")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "own").write_text("$toc$<!--body-->$body$", encoding="utf-8")
        options += [f"--template={Path(folder, 'own')}", "--metadata=pagetitle:-"]
        contents, _, body = pypandoc.convert_text(text, "html5", PANDOC, options).partition("<!--body-->")
    body = re.sub(r"(</?h)(\d)\b", lambda tag: f"{tag[1]}{int(tag[2]) + 1}", body)
    body = re.sub(r"<!--part (\d+)-->", lambda mark: _piece(parts[int(mark[1])]), body)
    script = _script() if any(part["kind"] == "chart" for part in parts) else ""
    return _template().render(
        page=page, contents=Markup(contents), body=Markup(body), script=Markup(script), footer=_footer(page),
        colors=theme.NEUTRAL, fonts=_fonts(),
    ).encode()  # fmt: skip


# ------------------------------------------------------------------ to PDF


def to_pdf(page: dict) -> bytes:
    """The page as PDF/UA-1."""
    import pypandoc
    import typst

    parts = page["parts"] + _appendix(page["parts"])
    data = {name: page[name] for name in page if name != "parts"}
    data |= dict(date=page["facts"] or date.today().isoformat(), footer=_footer(page), colors=theme.NEUTRAL)
    data["parts"] = [{name: part[name] for name in IN_PDF if name in part} | _room(part) for part in parts]

    def block(i, part):
        call = f"#{CALLS[part['kind']]}({i}){' // wide' * data['parts'][i]['wide']}" if part["kind"] in CALLS else ""
        return RAW.format(call) if call else ""

    with tempfile.TemporaryDirectory() as folder:
        own = Path(folder, "report.lua")
        own.write_bytes((HERE / "report.lua").read_bytes())
        text = re.sub(BEFORE, _before, _markdown(parts, block))
        prose = pypandoc.convert_text(text, "typst", PANDOC, [SHIFT, f"--lua-filter={own}"])
        written = {f"chart-{i}.svg": part["svg"] for i, part in enumerate(parts) if part["kind"] == "chart"}
        written |= {"data.json": json.dumps(data), "report.typ": (HERE / "report.typ").read_text(encoding="utf-8")}
        for name, text in (written | {"main.typ": f'#import "report.typ": *\n#show: report\n\n{prose}'}).items():
            Path(folder, name).write_text(text, encoding="utf-8")
        how = dict(root=folder, font_paths=list(theme.fonts()), ignore_system_fonts=True, pdf_standards=["ua-1"])
        try:
            compiler = typst.Compiler(str(Path(folder, "main.typ")), **{name: how[name] for name in how if name != "pdf_standards"})
            while scaled := _fitted(json.loads(compiler.query("<at>", field="value")), parts, data["parts"]):
                data["parts"][scaled[0]]["scale"] = scaled[1]
                Path(folder, "data.json").write_text(json.dumps(data), encoding="utf-8")
            return typst.compile(str(Path(folder, "main.typ")), **how)
        except typst.TypstError as error:
            raise ValueError(f"no PDF of '{page['title']}': {' '.join(str(error).split())}") from None


def _before(found):
    """Room for the notes before what is wide, and a mark before what is drawn."""
    _, call, i, wide = found.groups()
    calls = ["#clear"] * bool(wide) + [f"#ends({i})"] * (call == "chart")
    return "\n\n".join([*(RAW.format(each) for each in calls), found[0]])


def _fitted(marks, parts, told):
    """(Figure, scale) of the first that is higher than a page, or went on to the next though it fits the rest of its own made smaller; or None."""
    at = {(mark["what"], mark["i"]): mark for mark in marks}
    for i, part in enumerate(parts):
        if part["kind"] != "chart" or told[i]["scale"] < 1 or at["ends", i]["page"] == at["top", i]["page"]:
            continue
        top, foot = at["top", i]["y"], at["foot", i]["y"]
        over = foot + SLACK_PT - FOOT_PT
        if over > 0:  # Typst draws it no higher than a page, whatever it asked for
            wide = WIDE_PT if told[i]["wide"] else MAIN_PT
            wanted = float(re.search(r'height="([\d.]+)"', part["svg"])[1]) * min(0.75, wide / part["width"])
            return i, (foot - top - over) / max(wanted, foot - top)
        scale = 1 - (foot - PAGE_TOP_PT + SLACK_PT - (FOOT_PT - at["ends", i]["y"])) / (foot - top)
        if scale >= LEAST_SCALE:
            return i, min(scale, 0.999)
    return None


def _appendix(parts):
    """The data of the smaller charts as tables, numbered on."""
    number = count(1 + sum("number" in part and part["kind"] != "chart" for part in parts))
    charts = [part for part in parts if part["kind"] == "chart" and 0 < len(part["rows"]) <= APPENDIX["rows"]]
    made = [
        dict(p, kind="table", number=next(number), title=f"Figure {p['number']}: {p['title']}", subtitle=[], source="")
        for p in charts if len(p["head"]) <= APPENDIX["columns"]
    ]  # fmt: skip
    return [dict(kind="prose", text="## Figures in numbers")] * bool(made) + made


def _room(part):
    """Does it need more than the main column, and should its first column fill the room that is left?"""
    if part["kind"] == "chart":
        return dict(scale=1.0, wide=part["width"] > theme.WIDTH["column"] + 7)
    columns = zip(part["head"], *part["rows"], strict=True) if part["kind"] in ("table", "list") else ()
    characters = sum(max(map(len, column)) + 3 for column in columns)
    return dict(wide=part["kind"] == "assumptions" or characters > FITS[0], fill=FITS[0] < characters <= FITS[1])
