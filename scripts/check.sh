#!/usr/bin/env bash
# Format, lint, types, import rules, security lint and guard tests, in one command; known vulnerabilities of what is
# installed are said, and fail nothing (docs/decisions.md):
#   bash scripts/check.sh
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
bash "$root/scripts/install.sh" train serve dev clients integrations
cd "$root"
bin=.venv/bin
step() { echo "check: $*"; "$@" || { echo "check: failed: $*" >&2; exit 1; }; }
step $bin/ruff format --check .
step $bin/ruff check .
step $bin/mypy
step $bin/lint-imports
step $bin/bandit -q -ll -c pyproject.toml -r trainer data_prep
step $bin/python -m pytest -q tests/guards
$bin/python scripts/audit.py || true
