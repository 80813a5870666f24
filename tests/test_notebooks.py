"""Notebooks: committed without outputs, written to be read, run once from top to bottom; golden reports compared strictly."""

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from infertco import plans, values
from infertco.views import report

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
GOLDEN = sorted((ROOT / "tests" / "golden").glob("*.ipynb"))


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def test_there_are_notebooks_and_golden_reports():
    assert {path.stem for path in NOTEBOOKS} >= {"00_start_here", "briefing"} and GOLDEN


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_source_notebooks_carry_no_outputs(path):
    for cell in cells(path, "code"):
        assert not cell.outputs and cell.execution_count is None


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_written_to_be_read(path):
    notebook = nbformat.read(path, as_version=4)
    assert notebook.cells[0].cell_type == "markdown" and notebook.cells[0].source.splitlines()[0].endswith("?")
    sizes = [len(cell.source.splitlines()) for cell in cells(path, "code")]
    assert max(sizes) <= 25 and sorted(sizes)[len(sizes) // 2] <= 9
    assert "report.assumptions" in "".join(cell.source for cell in cells(path, "code"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_dollars_are_no_formulas(path):
    """JupyterLab sets what stands between two dollars as mathematics, escaped or not; `report.say` keeps them apart."""
    assert not any("Markdown" in cell.source for cell in cells(path, "code"))
    for cell in cells(path, "markdown"):
        assert all(paragraph.count("$") < 2 for paragraph in cell.source.split("\n\n")), cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_parameters_are_fields(path):
    (cell,) = [cell for cell in cells(path, "code") if "parameters" in cell.metadata.get("tags", ())]
    names = [line.target.id for line in ast.parse(cell.source).body]
    assert set(names) - {"chips", "fields", "plan", "series", "demand", "existing", "supply"} <= {*values.FIELDS, *plans.FIELDS}
    assert all(re.search(r"  # \S", line) for line in cell.source.splitlines())  # each with its help


def test_the_file_to_copy_for_a_tiering_is_the_case_of_the_notebook():
    import yaml

    (cell,) = [cell for cell in cells(ROOT / "notebooks" / "07_tiering.ipynb", "code") if "parameters" in cell.metadata.get("tags", ())]
    of = {line.target.id: ast.literal_eval(line.value) for line in ast.parse(cell.source).body}
    given = yaml.safe_load((ROOT / "notebooks" / "tiering-enterprise.yaml").read_text(encoding="utf-8"))
    assert given == {name: x for name, x in of.items() if name not in ("plan", "fields")} | of["plan"] and not of["fields"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_cell_needs_what_only_the_sliders_define(path):
    """Reports leave the cells of the sliders out."""

    def names(cell, kind):
        return {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name) and isinstance(node.ctx, kind)}

    still, live = [], []
    for cell in cells(path, "code"):
        (live if "live" in cell.metadata.get("tags", ()) else still).append(cell)
    needed, given = (set().union(*(names(cell, kind) for cell in still)) for kind in (ast.Load, ast.Store))
    defined = {node.name for cell in live for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.FunctionDef)}
    assert not (set().union(defined, *(names(cell, ast.Store) for cell in live)) - given) & needed


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs(path):
    done = report._run(report._read(path), {}, path.stem, progress=False)
    assert all(cell.execution_count for cell in done.cells if cell.cell_type == "code" and cell.source)
    assert not any("/home" in json.dumps(cell) or "Traceback" in json.dumps(cell) for cell in done.cells)


NUMBER = r'"text/plain": \[\n\s+".*?(\d+\.\d+)'  # the first printed one


@pytest.fixture(scope="module", params=GOLDEN, ids=lambda path: path.stem)
def compared(request, tmp_path_factory):
    """(Golden report, verdicts of nbval on its cells): the report as it is and, run again at its end, a cell with one digit changed."""
    text = request.param.read_text(encoding="utf-8")
    number = re.search(NUMBER, text)
    changed = text[: number.start(1)] + number[1][:-1] + str((int(number[1][-1]) + 1) % 10) + text[number.end(1) :]
    whole, other = (nbformat.reads(each, as_version=4) for each in (text, changed))
    (at,) = [i for i, (a, b) in enumerate(zip(whole.cells, other.cells, strict=True)) if a != b]
    whole.cells.append(other.cells[at])
    whole.cells[-1].id = "changed"
    path = tmp_path_factory.mktemp("golden") / "report.ipynb"
    nbformat.write(whole, path)
    options = ["--nbval", "--nbval-current-env", "--no-header", "-vv", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts="]
    start = f"import sys; sys.modules['{report.GRAMMAR}'] = None; import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run([sys.executable, "-c", start, *options, str(path)], cwd=ROOT, capture_output=True, text=True,
                          env=os.environ | {"JUPYTER_PLATFORM_DIRS": "1"})  # fmt: skip
    return request.param, re.findall(r"::Cell \d+ (PASSED|FAILED)", done.stdout), done.stdout


def test_golden_reports_have_outputs_and_hold(compared):
    path, verdicts, said = compared
    code = cells(path, "code")
    assert len([cell for cell in code if cell.outputs]) >= 4 and all(cell.execution_count for cell in code)
    assert len(verdicts) == len(code) + 1 and set(verdicts[:-1]) == {"PASSED"}, said[-3000:]


def test_a_changed_digit_in_a_golden_report_is_found(compared):
    assert compared[1][-1] == "FAILED", compared[2][-3000:]


def test_picture_of_the_readme_is_current():
    assert picture() == (ROOT / "docs" / "ranking.svg").read_text(encoding="utf-8")


def picture() -> str:
    """The chart the README shows: the default scenario on every chip."""
    import infertco as ic
    from infertco.views import charts

    table = ic.sweep(ic.scenario(), chip=list(ic.chips().index), tensor_parallel=[1, 2, 4, 8, 16], outputs="all")
    return charts.ranking(table, reference="h100-sxm").svg()


def bless():
    """Write the golden reports and the README's picture anew: `python tests/test_notebooks.py`."""
    for path in GOLDEN:
        nbformat.write(report._run(report._read(path), {}, path.stem, progress=True, drawn=True), path)
    (ROOT / "docs" / "ranking.svg").write_text(picture(), encoding="utf-8")


if __name__ == "__main__":
    bless()
