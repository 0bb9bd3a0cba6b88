# Two commands do everything on a fresh machine with Python 3.11 or newer: `make book` and `make test`.
PYTHON ?= python3
PY := .venv/bin/python
export PYTHONHASHSEED := 0

.PHONY: book serve test notebooks weights lint clean
.DEFAULT_GOAL := book

.venv/book: requirements-book.txt
	$(PYTHON) -m venv .venv
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements-book.txt
	touch $@

.venv/full: requirements.txt pyproject.toml .venv/book
	$(PY) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(PY) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

book: .venv/book                                       ## build the site into _build/html
	$(PY) -m tools.book
	@echo "The site is in _build/html: open _build/html/index.html, or run 'make serve' and visit http://localhost:8000"

serve:                                                 ## serve the built site
	$(PYTHON) -m http.server 8000 --bind 127.0.0.1 --directory _build/html

notebooks: .venv/full                                  ## regenerate and execute notebooks/ from book/chapters/
	$(PY) -m tools.notebooks
	$(PY) -m tools.exercises

weights: .venv/full                                    ## train the shipped networks again: hours, and MNIST and CIFAR-10
	$(PY) -m tools.weights

lint: .venv/full
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

test: .venv/full lint                                  ## every check
	$(PY) -m tools.system
	$(PY) -m tools.book
	$(PY) -m pytest -n 2 --dist loadfile

clean:
	rm -rf .venv _build
