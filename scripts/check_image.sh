#!/usr/bin/env bash
# Runs the steps of deploy/Dockerfile in a clean folder, without docker, and asks the service a question:
#   bash scripts/check_image.sh EXPORT
# It copies what the COPY lines name and nothing else, installs as the RUN line does, looks that torch is not
# there and that the image stays below 400 MB, and starts the entry point as a user without rights where it may
# (as root). It does not prove the base image, the layers or the HEALTHCHECK.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
export_folder="$(cd "${1:?an export folder}" && pwd -P)"
dockerfile="$root/deploy/Dockerfile"
work="$(mktemp -d)"
server=""
most=270  # MB, beside some 130 of python:3.11-slim
finish() { [ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"; }
trap finish EXIT

mkdir "$work/src"
sed -n '/^FROM .* AS build/,/^FROM /p' "$dockerfile" | sed -n 's/^COPY //p' | while read -r -a words; do
    target="$work/src/${words[-1]}"
    for source in "${words[@]:0:${#words[@]}-1}"; do cp -R "$root/$source" "$target"; done
done
echo "check_image: installing in $work (no docker: its steps by hand)" >&2
python3 -m venv "$work/venv"
(cd "$work/src" && "$work/venv/bin/pip" install --quiet --disable-pip-version-check -c constraints.txt '.[serve]')
installed="$(du -sm "$work/venv" | cut -f1)"
[ "$installed" -le "$most" ] || { echo "check_image: $installed MB are installed, and with the base image's 130 an image has at most 400" >&2; exit 1; }
! "$work/venv/bin/python" -c 'import torch' 2>/dev/null || { echo "check_image: torch is in the image" >&2; exit 1; }

cp -R "$export_folder" "$work/reranker"
chmod -R a+rX "$work"
as_nobody=()
if [ "$(id -u)" = 0 ]; then as_nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups); fi
if ! "${as_nobody[@]}" env "$work/venv/bin/python" -c '' 2>/dev/null; then
    echo "check_image: NOT PROVEN: a user without rights cannot read this Python, so it is served as $(id -un)" >&2
    as_nobody=()
fi
cd /
"${as_nobody[@]}" env -i PATH="$work/venv/bin:/usr/bin:/bin" PYTHONDONTWRITEBYTECODE=1 \
    crosstune serve --port 0 --production "reranker=$work/reranker" 2>"$work/log" &
server=$!
for _ in $(seq 600); do grep -q '"serving"' "$work/log" && break; kill -0 "$server" || { cat "$work/log" >&2; exit 1; }; sleep 0.1; done
url="$(sed -n 's/.*"url": "\([^"]*\)".*/\1/p' "$work/log")"
"$work/venv/bin/python" - "$url" <<'END'
import json, sys, urllib.request
body = {"query": "open a file", "texts": ["close the socket", "open the file"]}
ask = urllib.request.Request(sys.argv[1] + "/tei/rerank", json.dumps(body).encode(), {"Content-Type": "application/json"})
assert len(json.load(urllib.request.urlopen(ask))) == 2
assert urllib.request.urlopen(sys.argv[1] + "/ready").status == 200
END
kill "$server" && wait "$server" && server=""
echo "check_image: $installed MB installed, served without torch, stopped with exit 0" >&2
