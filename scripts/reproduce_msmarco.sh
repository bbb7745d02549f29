#!/usr/bin/env bash
# Nogueira & Cho 2019 on MS MARCO, from the download to the comparison with Table 1:
#   bash scripts/reproduce_msmarco.sh [base|large] [FOLDER] [KEY=VALUE ...]
# Fetches what FOLDER (data/msmarco by default) lacks, checks it, trains, reranks. Needs 40 GB of disk and a GPU;
# hours and figures stand in docs/reproduce.md. Exit 1 when the figure of Table 1 is missed.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
size="${1:-base}"
folder="${2:-$root/data/msmarco}"
shift $(( $# < 2 ? $# : 2 ))
source="${MSMARCO_URL:-https://msmarco.z22.web.core.windows.net/msmarcoranking}"

fail() { printf 'reproduce: %s\n' "$@" >&2; exit 2; }
case "$size" in base | large) ;; *) fail "$size: base or large was expected" ;; esac
mkdir -p "$folder"
cd "$folder"

# fetch FILE ARCHIVE: the file, or the archive that holds it. A broken download is continued.
fetch() {
    [ -s "$1" ] && return
    echo "reproduce: fetching $2" >&2
    curl -fL --retry 3 -C - -o "$2.part" "$source/$2" ||
        fail "$source/$2 could not be fetched" "put $1 into $folder by hand, or set MSMARCO_URL to a mirror"
    mv "$2.part" "$2"
    if [ "$2" != "$1" ]; then
        rm -rf .unpack
        mkdir .unpack
        tar -xzf "$2" -C .unpack || fail "$folder/$2 is damaged; remove it and call this again"
        mv "$(find .unpack -name "$1" | head -1)" "$1"
        rm -rf .unpack
    fi
}

# lines FILE COUNT: each with the count that its publisher gives.
lines() {
    local found
    found="$(wc -l < "$1")"
    [ "$found" -eq "$2" ] || fail "$folder/$1 has $found lines, $2 were expected; remove it and call this again"
    echo "reproduce: $1 has its $2 lines" >&2
}

fetch triples.train.small.tsv triples.train.small.tar.gz
fetch top1000.dev.tsv top1000.dev.tar.gz
fetch qrels.dev.small.tsv qrels.dev.small.tsv
lines triples.train.small.tsv 39780811
lines top1000.dev.tsv 6668967
lines qrels.dev.small.tsv 7437
# The first complete fetch records the checksums; every later call compares with them.
if [ -f SHA256SUMS ]; then
    sha256sum --check --quiet SHA256SUMS || fail "a file in $folder has changed since it was first checked"
else
    sha256sum triples.train.small.tsv top1000.dev.tsv qrels.dev.small.tsv > SHA256SUMS
fi

cd "$root"
bash "$root/scripts/install.sh" train
run="$root/runs/msmarco_$size"
"$root/.venv/bin/crosstune" run "$root/recipes/nogueira_cho/msmarco_$size.yaml" \
    "data.folder=$folder" "run_dir=$run" "$@"
"$root/.venv/bin/python" - "$run/evaluate/metrics.json" <<'PY'
import json, sys

published = json.load(open(sys.argv[1]))["published"]
sys.exit(0 if published is None or published["reproduced"] else 1)
PY
