# make demo   from nothing but Python 3.11 and make: installs, scores four trained models and five reference
#             generators, and writes the report's page
# make test   installs and runs every test
# make check  ruff and mypy
# make check-report  the report page in a real browser (Debian: chromium, chromium-driver)
# make fuzz   ten minutes of bad input

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check fuzz check-report clean

$(VENV)/installed: pyproject.toml constraints.txt
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev]'
	touch $@

demo: $(VENV)/installed
	$(BIN)/vidbench compare demo --jobs 2
	$(BIN)/vidbench report runs results/toy

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses 2

check: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy -p vidbench

$(VENV)/installed-browser: $(VENV)/installed-dev
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --editable '.[dev,browser]'
	touch $@

check-report: $(VENV)/installed-browser
	$(BIN)/python -m pytest tests/browser/check_report.py --basetemp build/check-report
	@echo "Screenshots: build/check-report/report0/runs/report/*.png"

fuzz: $(VENV)/installed-dev
	$(BIN)/python -m tests.fuzz --seconds 600

clean:
	rm -rf $(VENV) build dist *.egg-info
