#!/usr/bin/env bash
# The main job on the embedded collection, from nothing to a ranked query:
#   bash scripts/quickstart.sh ["your query"]
# A second call skips what is done. It needs no network once it is installed.
set -euo pipefail
root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
query="${1:-return the path with all symbolic links resolved}"
bash "$root/scripts/install.sh" train
# The last step is a query ranked by the export, so there is one even if this small budget gave no gain on dev.
"$root/.venv/bin/crosstune" run "$root/recipes/quickstart.yaml" "run_dir=$root/runs/quickstart" \
    --allow-worse --query "$query"
cat <<END

next, on your own data (a BEIR folder: corpus.jsonl, queries.jsonl, qrels/{train,dev,test}.tsv):
  "$root/.venv/bin/crosstune" run domain collection=beir:PATH
END
