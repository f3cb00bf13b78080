#!/usr/bin/env bash
# Copies what the console takes from npm into a folder: two minified libraries, a style sheet, and their licences. They
# are kept with the sources, because npm is not there wherever the gateway is installed. To take another version, change
# it here and run this; tests/e2e/test_console_vendor.py compares what is kept with what npm has.
#
# Usage: scripts/vendor_console.sh [FOLDER]
set -euo pipefail

UPLOT=1.6.32
PHOENIX=1.8.16

folder=$(realpath -m "${1:-$(dirname "$0")/../python/polyglot_gateway/console/vendor}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-save --no-audit --no-fund --ignore-scripts --silent "uplot@$UPLOT" "phoenix@$PHOENIX"
mkdir -p "$folder"
cd "$work/node_modules"
install -m 644 uplot/dist/uPlot.iife.min.js uplot/dist/uPlot.min.css phoenix/priv/static/phoenix.min.js "$folder"
install -m 644 uplot/LICENSE "$folder/uPlot.LICENSE"
install -m 644 phoenix/LICENSE.md "$folder/phoenix.LICENSE"
