#!/usr/bin/env bash
# Installs what the tests need and runs them:
#   bash scripts/test.sh [--all] [pytest arguments]
# --all adds the slow ones (marked `slow`).
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
bash "$root/scripts/install.sh" train serve dev clients integrations
cd "$root"
selection=(-m "not slow")
if [ "${1:-}" = "--all" ]; then
    selection=()
    shift
fi
# A worker a core, each with one thread: most tests are commands that start, which no second thread makes quicker.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
exec .venv/bin/python -m pytest -n logical --maxprocesses 8 --dist loadfile "${selection[@]}" "$@"
