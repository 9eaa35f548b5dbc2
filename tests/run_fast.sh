#!/usr/bin/env bash
# Lint and the fast tests side by side; `make check` calls this. On two idle cores it takes less than a minute, and stays
# so: a test of more than 5 CPU seconds fails, and so does a run of all fast tests of more than 100.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p results/logs
output=results/logs/lint.txt
make --no-print-directory lint >"$output" 2>&1 &
lint=$!
trap 'kill "$lint" 2>/dev/null; wait; exit 130' INT TERM
pytest -q -m "not slow and not slurm and not chaos" --limit-s 5 --limit-cpu-s 100 \
  --numprocesses 2 --dist loadgroup --no-loadscope-reorder
tests=$?
wait "$lint"
lint=$?
cat "$output"
[ "$lint" = 0 ] && [ "$tests" = 0 ]
