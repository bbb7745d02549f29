#!/usr/bin/env bash
# Makes .venv beside this folder and installs crosstune with the extras that are named:
#   bash scripts/install.sh train dev
# (without extras: the helper alone.)
# A second call with the same extras and files does nothing and needs no network. An installation that
# was killed is begun again. PYTHON=... chooses the interpreter (3.10 to 3.13).
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root"
project=".${1:+[$(IFS=,; echo "$*")]}"
set -- base "$@"
venv="$root/.venv"
python="$venv/bin/python"
unfinished="$venv/.crosstune-unfinished"

fail() { printf 'install: %s\n' "$@" >&2; exit 2; }

# One installation at a time: two shells would write the same files.
exec 9>"$root/.install.lock"
flock 9

# A stamp for each extra, of this very pyproject.toml in this very folder.
wanted="$venv/.crosstune-installed-$( (cat pyproject.toml constraints.txt; echo "$root") | sha256sum | cut -c1-16)"
installed() {
    [ -x "$python" ] && [ ! -e "$unfinished" ] || return 1
    for extra in "$@"; do [ -e "$wanted-$extra" ] || return 1; done
}
installed "$@" && exit 0

supported() { "$1" -c 'import sys, venv, ensurepip; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; }
find_python() {
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 python3.10; do
        if supported "$candidate"; then echo "$candidate"; return; fi
        [ "${PYTHON:-}" != "$candidate" ] || fail "PYTHON=$PYTHON is not a Python 3.10 to 3.13 with venv and pip"
    done
    fail "no Python 3.10 to 3.13 with the venv module was found" \
         "install one (Debian: apt-get install python3-venv), or name it: PYTHON=/path/to/python3 bash $0"
}

# The CPU build of torch is a tenth of the size; without a GPU take it where its index can be reached.
index=()
if ! nvidia-smi >/dev/null 2>&1; then
    cpu_index="https://download.pytorch.org/whl/cpu"
    curl -sfI -m 5 "$cpu_index/torch/" >/dev/null 2>&1 && index=(--extra-index-url "$cpu_index")
fi

if [ -e "$unfinished" ] || [ ! -x "$python" ]; then
    base="$(find_python)"
    echo "install: making $venv with $("$base" --version)" >&2
    rm -rf "$venv"
    mkdir -p "$venv"
    touch "$unfinished"
    "$base" -m venv "$venv" >&2 || fail "the virtual environment could not be made (see above)"
fi
touch "$unfinished"
echo "install: crosstune${project#.} and what it needs, some minutes the first time ..." >&2
"$python" -m pip install --quiet --disable-pip-version-check "${index[@]}" -c constraints.txt -e "$project" >&2 ||
    fail "pip could not install (its message is above)" \
         "check that a package registry can be reached and that the disk has 3 GB free, then call the same command again"
for extra in "$@"; do touch "$wanted-$extra"; done
rm -f "$unfinished"
echo "install: done" >&2
