#!/usr/bin/env bash
# Installs Debian's Chromium with its driver, which the slow tests of the review page drive:
#   bash scripts/install_browser.sh
set -euo pipefail
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then
    exit 0
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends chromium chromium-driver
