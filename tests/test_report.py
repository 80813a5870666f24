"""Reports: a small notebook with charts, tables, maths and prose through papermill to HTML and PDF."""

import csv
import json
import os
import re
import shutil
import subprocess
from io import StringIO
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest
import typst
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import infertco as ic
from infertco import values
from infertco.views import pages, report

MEMO = r"""
# Which chip is it?
--- parameters
chips = ["h100-sxm", "mi300x"]
site = "us-average"
--- code
import altair as alt
import pandas as pd
from IPython.display import Markdown, display
import infertco as ic
from infertco.views import report, theme
theme.enable()
s = ic.scenario(site=site, usd_per_kwh=0.1)
best = ic.best(ic.sweep(s, chip=chips, tensor_parallel=[2, 4]), by="chip", minimise="usd_per_mtok")
--- code
report.summary("Which chip serves chat?", "The one with more <memory>, by 1.5 times.",
    [("$1.70", "per Mtok", "MI300X at TPOT 40 ms", "80%: $1.2 to $2.4."),
     ("1.3×", "throughput", "per chip", "At 40 ms."),
     ("4.2 kJ", "per request", "TDP per request", "At the SLO.")], s)
--- text
## The answer

Time of a token is $t = B / \beta$, and a chip costs \$26k ([how](#How-it-Works)):

$$t = \left(t_c^p + t_m^p\right)^{1/p}$$

> **Read with care.** Not a finding.
--- code
display(Markdown(f"Computed for **{len(best)} chips**."))
--- code
rows = pd.DataFrame(dict(chip=["h100-sxm", "mi300x"], usd_per_mtok=[2.2, 1.7]))
title = alt.Title("MI300X costs 23% less than </script> H100", subtitle=["US$ per million tokens", "chat"])
alt.Chart(rows, title=title, description="Bar chart of cost by chip.", width=500,
    usermeta=dict(infertco=dict(table=rows.to_dict("records")))).mark_bar(clip=True).encode(x="usd_per_mtok", y="chip")
--- code
alt.Chart(rows, title="A second chart", width=200).mark_bar(clip=True).encode(x="usd_per_mtok", y="chip")
--- text
## How it works

[nowhere](#gone), and a list:

- one
- two

| a | b |
|---|--:|
| x | 1 |
--- code
report.table(best[["chip", "ttft_s", "tpot_s", "usd_per_mtok"]], "Each chip at its cheapest layout", "Within the SLO")
--- code
rows.style.hide(axis="index").set_caption("As pandas prints it")
--- live
import ipywidgets
ipywidgets.IntSlider(description="not in a report")
--- code
print("as printed")
ipywidgets.IntSlider(description="nor this")
--- text
## Assumptions
--- code
report.assumptions(s)
"""

TINY = """
# Tiny
--- parameters
chip = "h100-sxm"
chips = ["h100-sxm"]
batch: int = 1
--- code
first = 1
second = first / batch
--- code
f"{chip} {chips} {batch}"
"""


def notebook(text):
    cells = []
    for block in ("--- text" + text).split("--- ")[1:]:
        kind, _, source = block.partition("\n")
        make = new_markdown_cell if kind == "text" else new_code_cell
        cells.append(make(source.strip("\n"), metadata=dict(tags=[kind]) if kind in ("parameters", "live") else {}))
    return new_notebook(cells=cells)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("notebooks")
    for name, text in {"03_memo": MEMO, "briefing": TINY}.items():
        nbformat.write(notebook(text), made / f"{name}.ipynb")
    return made


@pytest.fixture(autouse=True)
def own_notebooks(folder, monkeypatch):
    monkeypatch.setattr(report, "notebooks", lambda: folder)


@pytest.fixture(scope="module")
def memo(folder):
    done = report._run(report._read(folder / "03_memo.ipynb"), {"site": "nordics"}, "memo", progress=False)
    return done, pages.read(done, "memo", {"site": "nordics"})


@pytest.fixture(scope="module")
def page(memo):
    return memo[1]


@pytest.fixture(scope="module")
def document(page):
    return pages.to_html(page).decode()


@pytest.fixture(scope="module")
def pdf(page, tmp_path_factory):
    path = tmp_path_factory.mktemp("pdf") / "memo.pdf"
    path.write_bytes(pages.to_pdf(page))
    return path


@pytest.fixture(scope="module")
def printed(pdf):
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    text = subprocess.run(["pdftotext", "-layout", pdf, "-"], capture_output=True, text=True, check=True).stdout
    return text.split("\f")


# ------------------------------------------------------------------ the run


def test_the_notebook_that_ran_tells_no_path_and_keeps_no_widget_state(memo, folder):
    assert "widgets" not in memo[0].metadata
    assert str(folder) not in json.dumps(memo[0])
    assert "papermill" not in memo[0].metadata


def test_parts_come_in_order_without_the_summary_and_live_cells(page):
    kinds = [part["kind"] for part in page["parts"] if part["kind"] not in ("code", "prose")]
    assert kinds == ["chart", "chart", "table", "table", "plain", "assumptions"]
    assert [part["number"] for part in page["parts"] if "number" in part] == [1, 2, 1, 2, 3]
    assert page["title"] == "Which chip serves chat?"
    assert page["scenario"] == "h100-sxm · llama-3.1-70b · chat · nordics · Electricity $0.1/kWh"
    assert page["command"] == "infertco report memo -p site=nordics"


def test_the_hash_changes_with_the_scenario_alone():
    one, same, other = ic.scenario(), ic.scenario(chip="h100-sxm"), ic.scenario(usd_per_kwh=0.1)
    hashes = [report.summary("T", "A", (), s).part["hash"] for s in (one, same, other)]
    assert hashes[0] == hashes[1] != hashes[2]


# ------------------------------------------------------------------ HTML


def test_html_asks_for_nothing_from_outside(document):
    tags = " ".join(re.findall(r"<[^>]*>", re.sub(r"<script.*?</script>", "", document, flags=re.S)))
    assert not re.search(r"(src|href)=[\"']?(https?:)?//", tags)
    style = document[document.index("<style>") : document.index("</style>")]
    assert "@import" not in style and not re.search(r"url\((?!data:)", style)
    assert "<link" not in document and "<iframe" not in document and "src=" not in tags


def test_html_has_one_vega_and_every_chart_as_svg_spec_and_csv(document, page):
    assert document.count('<script type="module">') == 1 and document.count("</script>") == 3
    assert len(re.findall(r'<div role="img" aria-label="[^"]+"><svg ', document)) == 2
    found = re.findall(r'<script type="application/json">(.*?)</script>', document, re.S)
    specs = [json.loads(text) for text in found]
    assert all("title" not in spec and spec["$schema"].endswith("/v6.json") for spec in specs)
    (data,) = re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)"', document)
    rows = list(csv.reader(StringIO(unquote(data))))
    assert rows == [["chip", "usd_per_mtok"], ["h100-sxm", "2.2"], ["mi300x", "1.7"]]


def test_ids_in_the_drawings_differ(document):
    ids = re.findall(r'\bid="([^"]*)"', document)
    assert len(ids) == len(set(ids))
    assert {"figure-1", "figure-2", "table-1", "table-2", "table-3", "the-answer"} <= set(ids)
    drawings = document[: document.index('<script type="module">')]
    assert set(re.findall(r"url\(#([^)]*)\)", drawings)) <= set(ids)


def test_html_says_everything(document):
    for text in ("Which chip serves chat?", "more &lt;memory&gt;", "<b>$1.70</b> per Mtok", "<math", "Figure 1"):
        assert text in document
    assert "MI300X costs 23% less than &lt;/script&gt; H100" in document
    assert "Computed for <strong>2 chips</strong>." in document and "as printed" in document
    assert f"infertco {ic.__version__} · facts of " in document and "infertco report memo -p site=nordics" in document


def test_code_is_folded_away_and_sliders_stay_in_the_notebook(document):
    assert '<details class="code">' in document
    unfolded = re.sub(r'<details class="code">.*?</details>', "", document, flags=re.S)
    assert "import altair" not in unfolded and "IntSlider(" not in unfolded
    assert "not in a report" not in document


def test_headings_of_the_page_follow_each_other(document):
    levels = [int(level) for level in re.findall(r"<h(\d)", document)]
    assert levels[0] == 1 and set(levels[1:]) == {2}


# ------------------------------------------------------------------ PDF


def test_pdf_is_tagged_and_the_same_each_time(pdf, page):
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-") and b"pdfuaid" in content
    assert pages.to_pdf(page) == content


def test_the_layout_settles(page, monkeypatch):
    compiled, said = typst.compile_with_warnings, []
    monkeypatch.setattr(typst, "compile", lambda *_, **how: said.extend(compiled(*_, **how)[1]) or b"")
    pages.to_pdf(page)
    assert not said


def test_first_page_is_the_summary(printed):
    first = printed[0]
    for text in ("infertco", "Memo · ", "$1.70", "per Mtok", "1.3×", "4.2 kJ", "TDP per request"):
        assert text in first
    assert first.index("Which chip serves chat?") < first.index("The one with more <memory>") < first.index("$1.70")
    for text in ("In this report", "Scenario", "1 The answer", "FIGURE 1", "Read with care."):
        assert text in first


def test_every_page_says_version_facts_scenario_and_where_it_is(printed, page):
    texts = printed[:-1]  # after the last form feed there is nothing
    assert 2 <= len(texts) <= 5
    for number, text in enumerate(texts, 1):
        assert f"infertco {ic.__version__} · facts of {page['facts']} · scenario {page['hash']}" in text
        assert f"{number} of {len(texts)}" in text


def test_titles_are_text_of_the_page_and_code_is_not(printed):
    text = " ".join(" ".join(printed).split())
    titles = ["MI300X costs 23% less than </script> H100", "US$ per million tokens", "Each chip at its cheapest layout"]
    for said in [*titles, "As pandas prints it", "Computed for 2 chips", "as printed", "Figures in numbers"]:
        assert said in text
    assert "import altair" not in text and "IntSlider" not in text


def test_assumptions_say_how_sure_they_are(page, printed):
    (part,) = [part for part in page["parts"] if part["kind"] == "assumptions"]
    inputs = [row for row in part["rows"] if isinstance(row, list)]
    assert {row[4] for row in inputs} == {1, 2, 3}
    (changed,) = [row for row in inputs if isinstance(row[1], dict)]
    label, value, unit, between, dots, source = changed
    assert label == values.FIELDS["usd_per_kwh"].metadata["label"] and unit == "US$/kWh"
    assert (value["text"], between, dots, source) == ("$0.1", "", 1, "set for this report")
    assert f"$0.1 ({value['was']})" in "".join(printed) and value["was"].startswith("$0.0")


def paged(tmp_path, *parts):
    """The pages of a PDF of these parts, as text."""
    if not shutil.which("pdftotext"):
        pytest.skip("pdftotext is not installed")
    made = pages.page("A title")
    made["parts"] = [part | (dict(number=i) if part["kind"] != "prose" else {}) for i, part in enumerate(parts)]
    (tmp_path / "a.pdf").write_bytes(pages.to_pdf(made))
    return subprocess.run(["pdftotext", "-layout", tmp_path / "a.pdf", "-"], capture_output=True, text=True, check=True).stdout.split("\f")[:-1]


def prose(lines):
    return dict(kind="prose", text="\n\n".join(["One line of prose."] * lines))


def drawing(height):
    mark = dict(type="point", clip=True)
    return pages._chart(dict(data=dict(values=[dict(a=1)]), mark=mark, encoding=dict(x=dict(field="a")), title="A chart", width=300, height=height))


def page_of(texts, words):
    return next(i for i, text in enumerate(texts, 1) if words in text)


def test_a_figure_is_made_smaller_to_stand_on_the_rest_of_a_page_and_no_smaller_than_can_be_read(tmp_path, monkeypatch):
    heading = dict(kind="prose", text="## A heading")
    by_lines = {lines: page_of(paged(tmp_path, prose(lines), heading, drawing(300)), "A chart") for lines in (14, 21, 28)}
    assert by_lines == {14: 1, 21: 1, 28: 2}
    monkeypatch.setattr(pages, "LEAST_SCALE", 1.0)
    texts = paged(tmp_path, prose(21), heading, drawing(300))
    assert page_of(texts, "A chart") == 2 and "A heading" in texts[1]  # they go on together


def test_a_figure_higher_than_a_page_is_fitted_to_one(tmp_path, monkeypatch):
    asked, fitted = [], pages._fitted
    monkeypatch.setattr(pages, "_fitted", lambda *args: asked.append(fitted(*args)) or asked[-1])
    paged(tmp_path, prose(2), drawing(1500))
    assert len(asked) == 2 and 0.4 < asked[0][1] < 0.75 and asked[1] is None


def test_a_table_too_wide_breaks_its_heads_and_its_longest_words_but_no_numbers_and_a_long_one_repeats_its_head(tmp_path):
    head = ["Chip", "A long head about costs", "Another long head, in words", "A third long head of figures", "Words"]
    rows = [[f"Chip number {i}", "$123,456,789", "98,765,432", "12,345 to 67,890", "a reason that is told in many words, " * 4] for i in range(40)]
    texts = paged(tmp_path, dict(kind="table", title="T", subtitle=[], source="", **pages.grid(head, rows)))
    assert len(texts) >= 3 and all("figures" in text for text in texts)
    flat = "\n".join(texts)
    assert all(word in flat for word in ("Chip number 39", "$123,456,789", "12,345 to 67,890"))
    assert flat.count("many words, a") >= 40 or flat.count("many words,") == 160  # none is cut off


# ------------------------------------------------------------------ build


def test_build_writes_both_and_nothing_else(tmp_path):
    out = tmp_path / "new" / "reports"
    assert report.build(to=("pdf", "html"), out=out, progress=False) == [out / "briefing.pdf", out / "briefing.html"]
    assert sorted(path.name for path in out.iterdir()) == ["briefing.html", "briefing.pdf"]


def test_a_failing_cell_is_named_and_leaves_what_was_there(tmp_path):
    (tmp_path / "briefing.html").write_text("an earlier one")
    with pytest.raises(ValueError) as error:
        report.build(parameters=dict(batch=0), out=tmp_path, progress=False)
    said = str(error.value)
    assert "\n" not in said and "`second = first / batch`: ZeroDivisionError: division by zero" in said
    assert [path.name for path in tmp_path.iterdir()] == ["briefing.html"]
    assert (tmp_path / "briefing.html").read_text() == "an earlier one"


def test_a_failing_run_makes_no_folder(tmp_path):
    with pytest.raises(ValueError, match="ZeroDivisionError"):
        report.build(parameters=dict(batch=0), out=tmp_path / "new", progress=False)
    assert not (tmp_path / "new").exists()


def test_a_file_that_cannot_be_moved_takes_its_neighbours_back(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError):
        report._place({"b": b"folder in the way"}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


@pytest.fixture
def nothing_runs(monkeypatch):
    monkeypatch.setattr(report, "_run", lambda *_: pytest.fail("something ran"))


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (dict(name="mem"), "unknown notebook 'mem'; did you mean 'memo'? Known: memo, briefing"),
        (dict(name="03_memoo"), "unknown notebook '03_memoo'; did you mean 'memo'? Known: memo, briefing"),
        (dict(parameters=dict(chp="b200")), "unknown parameter 'chp'; did you mean 'chip'? Known: chip, chips, batch"),
        (dict(to=["pfd"]), "unknown format 'pfd'; did you mean 'pdf'? Known: html, pdf"),
    ],
)
def test_errors_name_what_was_meant(nothing_runs, tmp_path, asked, said):
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        report.build(**asked, out=tmp_path)


def test_an_unwritable_folder_fails_first(nothing_runs, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="cannot write into .*file"):
        report.build(out=tmp_path / "file")
    with pytest.raises(ValueError, match="cannot write into .*file.below"):
        report.build(out=tmp_path / "file" / "below")


def test_a_grid_gives_one_report_a_row(tmp_path):
    grid = tmp_path / "params.csv"
    grid.write_text('chip,chips,batch\nb200-sxm,"h100-sxm,mi300x",8\nmi300x,,\n', encoding="utf-8")
    made = report.build(parameters=dict(batch=2), grid=grid, to=["html"], out=tmp_path / "out", progress=False)
    assert [path.name for path in made] == ["briefing-1-b200-sxm-h100-sxm-mi300x-8.html", "briefing-2-mi300x.html"]
    one, two = (path.read_text(encoding="utf-8") for path in made)
    assert "b200-sxm [&#39;h100-sxm&#39;, &#39;mi300x&#39;] 8" in one and "mi300x [&#39;h100-sxm&#39;] 2" in two


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "expected a line of parameter names"),
        ("chip\n", "expected a line of parameter names"),
        ("chip,batch\nb200-sxm\n", "expected a line of parameter names"),
        ("chp\nb200-sxm\n", "unknown parameter 'chp'; did you mean 'chip'"),
    ],
)
def test_a_bad_grid_is_found_before_anything_runs(nothing_runs, tmp_path, text, said):
    grid = tmp_path / "params.csv"
    grid.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=said):
        report.build(grid=grid, out=tmp_path)
    with pytest.raises(ValueError, match="cannot read .*none.csv: No such file"):
        report.build(grid=tmp_path / "none.csv", out=tmp_path)


# ------------------------------------------------------------------ other pages and pieces


def test_docs_render_all_notebooks_an_index_and_a_glossary(folder, tmp_path, monkeypatch):
    few = tmp_path / "notebooks"
    few.mkdir()
    shutil.copy(folder / "briefing.ipynb", few)
    monkeypatch.setattr(report, "notebooks", lambda: few)
    made = report.docs(tmp_path / "site", progress=False)
    assert [path.name for path in made] == ["briefing.html", "glossary.html", "index.html"]
    glossary = made[1].read_text(encoding="utf-8")
    assert all(f'<td class="l">{name}</td>' in glossary for name in [*values.FIELDS, *values.OUTPUTS])
    assert '<a href="briefing.html">Tiny</a>' in made[2].read_text(encoding="utf-8")


def test_pieces_show_in_a_notebook_as_html_and_words():
    piece = report.summary("Why?", "Because.", [("1", "s", "what", "range")])
    data = piece._repr_mimebundle_()
    assert data["text/plain"] == repr(piece) == "[summary] Why?"
    assert "<b>1</b> s" in data["text/html"] and data[pages.MIME]["answer"] == "Because."


def test_numbers_stand_right_and_words_left():
    rows = [["a 1", "$0.12", "−3", "n/a", ""], ["b", "n/a", "1,000", "7–9", ""]]
    assert pages.grid("abcde", rows)["align"] == ["l", "r", "r", "r", "l"]


def test_pandas_tables_are_read():
    head, body = "<tr><th>a</th><th>b &lt;</th></tr>", '<tr style="x"><th>x</th><td><b>1</b></td></tr>'
    part = pages._table(f"<table><caption>C</caption><thead>{head}</thead><tbody>{body}</tbody></table>")
    assert (part["title"], part["head"], part["rows"]) == ("C", ["a", "b <"], [["x", "1"]])


@pytest.mark.browser
def test_charts_come_alive_in_a_browser_without_a_network(document, tmp_path):
    chromium = shutil.which("chromium")
    if not chromium:
        assert not os.environ.get("INFERTCO_REQUIRE_BROWSER"), "no chromium"
        pytest.skip("no chromium")
    path = tmp_path / "memo.html"
    path.write_text(document, encoding="utf-8")
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--host-resolver-rules=MAP * ~NOTFOUND"]
    flags += ["--virtual-time-budget=8000", "--enable-logging=stderr", "--dump-dom"]
    ran = subprocess.run([chromium, *flags, path.as_uri()], capture_output=True, text=True, timeout=120)
    assert ran.stdout.count('class="vega-embed"') == 2 and 'role="img" aria-label="Bar chart' not in ran.stdout
    assert "CONSOLE" not in ran.stderr


def test_a_field_of_a_plan_stands_beside_those_the_notebook_has():
    notebook = nbformat.read(Path(__file__).parent.parent / "notebooks" / "07_tiering.ipynb", as_version=4)
    given = report._arranged(dict(power_cap_w=1e6, usd_per_kwh=0.05, supply={}), notebook)
    assert given["plan"]["power_cap_w"] == 1e6 and given["plan"]["periods"] == 5
    assert given["fields"] == dict(usd_per_kwh=0.05) and given["supply"] == {}
    with pytest.raises(ValueError, match="unknown parameter 'power_cap'; did you mean 'power_cap_w'"):
        report._arranged(dict(power_cap=1.0), notebook)


@pytest.mark.parametrize("call, kept", [("#chart(0) // wide", True), ("#records(0)", True), ("#plain(0)", False)])
def test_a_heading_and_its_paragraph_go_with_what_follows_in_a_pdf(call, kept):
    import pypandoc

    text = "\n\n".join(["## Heading", "One paragraph.", pages.RAW.format("#clear"), pages.RAW.format(call), "Another."])
    made = pypandoc.convert_text(text, "typst", pages.PANDOC, [pages.SHIFT, f"--lua-filter={pages.HERE / 'report.lua'}"])
    assert (f"#block(sticky: true, above: 8pt)[ One paragraph. ] {call}" in " ".join(made.split())) == kept
    assert (made.index("#clear") < made.index("Heading")) == kept and made.rstrip().endswith("Another.")


def test_what_is_said_keeps_its_dollars():
    bundle = report.say("From $1m to **$2m** <b>")._repr_mimebundle_()
    assert bundle["text/markdown"] == "From \\$1m to **\\$2m** <b>" and bundle["text/plain"] == "From $1m to **$2m** <b>"
    assert "mathjax_ignore" in bundle["text/html"] and "From $1m to <strong>$2m</strong> &lt;b&gt;" in bundle["text/html"]
    assert report.say("")._repr_mimebundle_() == {"text/plain": ""}


@pytest.mark.parametrize(
    "texts, kept",
    [
        (["## Alone", "## Next", "Words."], ["## Next", "Words."]),
        (["## Above", "### Below", "Words."], ["## Above", "### Below", "Words."]),
        (["## With words\n\nHere.", "## Last"], ["## With words\n\nHere."]),
        (["### Deep", "## Up", "Words."], ["## Up", "Words."]),
    ],
)
def test_a_heading_whose_answer_went_to_the_first_page_goes_too(texts, kept):
    cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    cells.insert(1, nbformat.v4.new_code_cell("1"))  # code stands in a notebook between a heading and what it announces
    made = pages.read(nbformat.v4.new_notebook(cells=cells), "memo", {})
    assert [part["text"] for part in made["parts"] if part["kind"] == "prose" and part["text"]] == kept
