#!/usr/bin/env bash
# Installs Chromium and its driver from Debian or Ubuntu, for the tests of the pages:
#   bash scripts/install_browser.sh
# A second call does nothing. Without root or apt it says what is missing; those tests are then skipped.
set -euo pipefail
if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then exit 0; fi
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "install_browser: chromium and chromedriver are missing; install them as root: apt-get install chromium chromium-driver" >&2
    exit 0
fi
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium chromium-driver >/dev/null
