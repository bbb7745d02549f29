#!/usr/bin/env bash
# Installs Debian's PostgreSQL for the tests that start a server, where apt is at hand and none is there:
#   bash scripts/install_postgres.sh
# A second call does nothing. Without it those tests run on the server of the `dev` extra alone.
set -euo pipefail
if compgen -G "/usr/lib/postgresql/*/bin/initdb" >/dev/null; then exit 0; fi
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "install: no PostgreSQL of Debian's; its tests are skipped" >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends postgresql
