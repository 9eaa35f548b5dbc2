#!/usr/bin/env bash
# Make the Python environment: scripts/setup.sh PYTHON VENV
# torch comes first, by its plain pin, so that pip's own configuration decides which build: CPU or CUDA. The lock names
# neither's companions and so forces neither.
set -euo pipefail
python=$1 venv=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || {
  echo "setup: needs Python 3.11 or newer; '$python' is $("$python" --version 2>&1 || echo missing). Say make PYTHON=python3.12, for example." >&2
  exit 1
}
[ -x "$venv/bin/pip" ] || { rm -rf "$venv"; "$python" -m venv "$venv"; } || {
  echo "setup: '$python -m venv' failed; on Debian or Ubuntu: apt-get install python3-venv" >&2
  exit 1
}
export PIP_DISABLE_PIP_VERSION_CHECK=1
echo "setup: installing into $venv (a few minutes the first time)" >&2
torch=$(grep '^torch==' requirements.lock)
"$venv/bin/python" -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '${torch#torch==}')" 2>/dev/null ||
  "$venv/bin/pip" install --quiet "$torch"
"$venv/bin/pip" install --quiet --requirement requirements.lock
"$venv/bin/pip" install --quiet --no-deps --editable .
touch "$venv/ready"
