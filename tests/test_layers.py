"""The house of the package, written down: who may import whom, what the kernel may not do, how long a file may be."""

import ast
import io
import sys
import tokenize
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "infertco"
LONGEST = 350  # lines of code: no blanks, comments, docstrings

# units - values -+- vocabulary - facts - catalog -+- columns - reasons - bill -+
#                 +- kernel/ ----------------------+- stages - scenario ---+- studies/ -- views/ -- cli
FACTS = {"units", "values", "checking", "plans", "vocabulary", "facts", "model_config", "catalog"}
MODEL = FACTS | {"kernel", "columns", "reasons", "bill", "stages", "scenario"}
ALLOWED = {
    "units": set(),
    "values": {"units"},
    "checking": {"values"},  # what a caller gave
    "plans": {"values", "checking"},  # what studies ask beside the scenario
    "vocabulary": {"units", "values", "plans"},  # the words of the data files
    "facts": {"units", "values", "checking", "vocabulary"},  # the files, read and checked
    "model_config": {"units", "values", "vocabulary"},  # a config.json to a line of models.csv
    "data_pages": {"units", "vocabulary"},  # writes data/README.md and data/LICENSE.md
    "catalog": {"units", "values", "checking", "vocabulary", "facts", "model_config"},
    "kernel": {"units", "values", "kernel"},
    "columns": FACTS,  # the fields of many rows
    "reasons": FACTS | {"kernel", "columns"},  # causes to words
    "bill": FACTS | {"kernel", "columns", "reasons"},  # watts, dollars, grams and fleets of a load
    "stages": FACTS | {"kernel", "columns", "reasons", "bill"},  # the whole model
    "scenario": FACTS | {"kernel", "columns", "reasons", "bill", "stages"},
    "studies": MODEL | {"studies"},
    "views": MODEL | {"studies", "views", "infertco"},
    "printing": {"units", "values", "studies"},
    "cli": MODEL | {"studies", "views", "infertco", "printing"},
    "infertco": MODEL | {"studies"},  # __init__.py, the public names
}
ROOMS = set(ALLOWED) - {"infertco"}
KERNEL_LIBRARIES = {"numpy"} | set(sys.stdlib_module_names)
KERNEL_CALLS = {"print", "open", "input", "exec", "eval"}

FILES = sorted(path for path in PACKAGE.rglob("*.py"))
KERNEL = [path for path in FILES if path.relative_to(PACKAGE).parts[0] == "kernel"]
by_name = dict(ids=lambda path: path.relative_to(PACKAGE).as_posix())


def imported(tree: ast.AST, module: str, is_package: bool = False) -> list[tuple[int, str]]:
    """Every (line, dotted name) a module imports, at the top or inside a function, relative ones resolved."""
    package = module.split(".") if is_package else module.split(".")[:-1]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join(base + ([node.module] if node.module else []))
            names += [(node.lineno, f"{stem}.{alias.name}") for alias in node.names]
    return names


def room(dotted: str) -> str | None:
    """The room of an imported name; `infertco` for the public names, None for other packages."""
    head, *rest = dotted.split(".")
    if head != "infertco":
        return None
    return rest[0] if rest and rest[0] in ROOMS else "infertco"


def violations(tree: ast.AST, module: str, is_package: bool = False) -> list[str]:
    """The imports and calls of a module that the table does not allow, as `line: what`."""
    own = room(module)
    found = []
    for line, name in imported(tree, module, is_package):
        target = room(name)
        if target is not None and target not in ALLOWED[own]:
            found.append(f"{line}: {own} may not import {target} ({name})")
        if own == "kernel" and target is None and name.split(".")[0] not in KERNEL_LIBRARIES:
            found.append(f"{line}: kernel may not import {name}")
    for node in ast.walk(tree) if own == "kernel" else ():
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KERNEL_CALLS:
            found.append(f"{node.lineno}: kernel may not call {node.func.id}()")
    return found


def module_name(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def code_lines(source: str) -> int:
    """Lines that hold code: no blanks, comments or docstrings."""
    skip = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {row for token in tokens if token.type not in skip for row in range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(getattr(first.value, "value", None), str):
                lines -= set(range(first.lineno, first.end_lineno + 1))
    return len(lines)


@pytest.mark.parametrize("path", FILES, **by_name)
def test_imports_point_back_along_the_table(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert violations(tree, module_name(path), path.name == "__init__.py") == []


@pytest.mark.parametrize("path", FILES, **by_name)
def test_no_file_is_too_long_to_read_in_one_sitting(path):
    assert code_lines(path.read_text(encoding="utf-8")) <= LONGEST


@pytest.mark.parametrize("path", KERNEL, **by_name)
def test_the_kernel_knows_no_chip_by_name(path):
    lines = (PACKAGE.parent / "data/chips.csv").read_text(encoding="utf-8").splitlines()
    ids = {line.split(",")[0] for line in lines[1:]}
    texts = {node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)}
    assert ids & {text for text in texts if isinstance(text, str)} == set()


def test_every_room_of_the_table_is_on_disk_and_the_other_way_round():
    on_disk = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in FILES} - {"__init__"}
    assert on_disk <= ROOMS
    assert ROOMS - on_disk <= {"studies"}  # comes with the first study


@pytest.mark.parametrize(
    "source, module, said",
    [
        ("from infertco import catalog", "infertco.kernel.cost", "kernel may not import catalog"),
        ("from .. import catalog", "infertco.kernel.cost", "kernel may not import catalog"),
        ("from ..views.theme import COLORS", "infertco.kernel.cost", "kernel may not import views"),
        ("def f():\n    import infertco.scenario", "infertco.catalog", "catalog may not import scenario"),
        ("import infertco as ic", "infertco.scenario", "scenario may not import infertco"),
        ("from infertco import chips", "infertco.scenario", "scenario may not import infertco"),
        ("from .cli import main", "infertco.views", "views may not import cli"),
        ("import pandas as pd", "infertco.kernel.roofline", "kernel may not import pandas"),
        ("from scipy.optimize import brentq", "infertco.kernel.roofline", "kernel may not import scipy"),
        ("open('chips.csv')", "infertco.kernel.roofline", "kernel may not call open()"),
    ],
)
def test_a_planted_violation_is_found(source, module, said):
    is_package = module == "infertco.views"
    source = source.replace("from .cli", "from ..cli") if is_package else source
    assert said in "\n".join(violations(ast.parse(source), module, is_package))


def test_an_allowed_import_is_allowed():
    source = "import math\nimport numpy as np\nfrom infertco.values import Chip\nfrom . import roofline\n"
    assert violations(ast.parse(source), "infertco.kernel.serving") == []


def test_code_lines_leaves_out_blanks_comments_and_docstrings():
    source = '"""Doc\nstring."""\n\n# remark\nx = [\n    1,  # one\n]\n\ndef f():\n    """Doc."""\n    return x\n'
    assert code_lines(source) == 5


if __name__ == "__main__":  # the table of code lines
    for path in FILES:
        print(f"{code_lines(path.read_text(encoding='utf-8')):5d}  {path.relative_to(PACKAGE).as_posix()}")
