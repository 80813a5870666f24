# Everything runs in a virtual environment of its own, made once. VENV=path puts it elsewhere.
VENV ?= .venv
PYTHON ?= python3
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: report test browser bench lab docs lint

report: $(STAMP)
	$(BIN)/infertco report

test: $(STAMP)
	$(BIN)/python -m pytest -n auto

browser: $(STAMP)
	$(BIN)/python -m pytest -m browser -s

bench: $(STAMP)
	$(BIN)/python -m pytest -m bench -s

lab: $(STAMP)
	$(BIN)/infertco lab

docs: $(STAMP)
	$(BIN)/python -c "from infertco.views.report import docs; docs('site')"

lint: $(STAMP)
	$(BIN)/ruff check .

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -e '.[test]' -c constraints.txt
	touch $@
