#!/usr/bin/env bash
# Nogueira & Cho 2019 on MS MARCO, from the download to the comparison with Table 1:
#   bash scripts/reproduce_msmarco.sh [base|large] [FOLDER] [KEY=VALUE ...]
# Fetches what FOLDER (data/msmarco by default) lacks, checks it, trains, reranks. Needs 40 GB of disk and a GPU;
# hours and figures stand in docs/reproduce.md. Exit 1 when the figure of Table 1 is missed.
# MSMARCO_URL=... names a mirror; CROSSTUNE=... a crosstune that is installed already.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
size="${1:-base}"
folder="${2:-$root/data/msmarco}"
shift $(( $# < 2 ? $# : 2 ))
source="${MSMARCO_URL:-https://msmarco.z22.web.core.windows.net/msmarcoranking}"
run="$root/runs/msmarco_$size"
for word in "$@"; do
    case "$word" in run_dir=*) run="${word#run_dir=}" ;; esac
done

fail() { printf 'reproduce: %s\n' "$@" >&2; exit 2; }
case "$size" in base | large) ;; *) fail "$size: base or large was expected" ;; esac
start="$PWD"
mkdir -p "$folder"
cd "$folder"
folder="$PWD"

# fetch FILE ARCHIVE MD5 LINES: the file, out of the archive that holds it, with as many lines as its publisher says.
# A broken download is continued; the checksum is that of what is downloaded, as ir_datasets 0.5.11 has it.
fetch() {
    [ -s "$1" ] || download "$1" "$2" "$3"
    local found
    found="$(wc -l < "$1")"
    [ "$found" -eq "$4" ] || fail "$folder/$1 has $found lines, $4 were expected; remove it and call this again"
    echo "reproduce: $1 has its $4 lines" >&2
}

download() {
    echo "reproduce: fetching $2" >&2
    if [ ! -e "$2.whole" ]; then
        curl -fL --retry 3 -C - -o "$2.part" "$source/$2" ||
            fail "$source/$2 could not be fetched" "put $1 into $folder by hand, or set MSMARCO_URL to a mirror"
        mv "$2.part" "$2.whole"
    fi
    echo "$3  $2.whole" | md5sum --check --quiet >&2 ||
        fail "$folder/$2.whole is damaged or not the published file; remove it and call this again"
    if [ "$1" = "$2" ]; then
        mv "$2.whole" "$1"
        return
    fi
    rm -rf .unpack
    mkdir .unpack
    tar -xzf "$2.whole" -C .unpack || fail "$folder/$2.whole could not be unpacked; is the disk full?"
    mv "$(find .unpack -name "$1" | head -1)" "$1" || fail "$folder/$2.whole holds no $1"
    rm -rf .unpack "$2.whole"
}

fetch triples.train.small.tsv triples.train.small.tar.gz c13bf99ff23ca691105ad12eab837f84 39780811
fetch top1000.dev.tsv top1000.dev.tar.gz 8c140662bdf123a98fbfe3bb174c5831 6668967
fetch qrels.dev.small.tsv qrels.dev.small.tsv 38a80559a561707ac2ec0f150ecd1e8a 7437
# The first complete fetch records the files' own checksums; every later call compares with them.
if [ -f SHA256SUMS ]; then
    sha256sum --check --quiet SHA256SUMS || fail "a file in $folder has changed since it was first checked"
else
    sha256sum triples.train.small.tsv top1000.dev.tsv qrels.dev.small.tsv > SHA256SUMS.part
    mv SHA256SUMS.part SHA256SUMS
fi

cd "$start"
if [ -z "${CROSSTUNE:-}" ]; then
    bash "$root/scripts/install.sh" train
    CROSSTUNE="$root/.venv/bin/crosstune"
fi
"$CROSSTUNE" run "$root/recipes/nogueira_cho/msmarco_$size.yaml" "data.folder=$folder" "run_dir=$run" "$@"
! grep -q '"reproduced": false' "$run/evaluate/metrics.json"
