#!/usr/bin/env bash
# Makes target/examples/venv, in which the examples run, and prints the path of its Python. Quick where it is there.
set -euo pipefail
cd "$(dirname "$0")/.."
venv=${CARGO_TARGET_DIR:-target}/examples/venv
wanted=$(sha256sum examples/requirements.txt 2>/dev/null || shasum -a 256 examples/requirements.txt)
if [ "$(cat "$venv/requirements.sha256" 2>/dev/null)" != "$wanted" ]; then
	rm -rf "$venv"
	python3 -m venv "$venv"
	"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --only-binary :all: -r examples/requirements.txt >&2
	printf %s "$wanted" > "$venv/requirements.sha256"
fi
printf '%s\n' "$venv/bin/python"
