#!/usr/bin/env bash
# Run all tests; `make test` calls this. SLURM's tests mostly wait, so they run beside the others.
# Their output: results/logs/slurm-test.txt. It is shown whole if one of them fails.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mkdir -p results/logs
output=results/logs/slurm-test.txt
make --no-print-directory slurm-test >"$output" 2>&1 &
slurm=$!
trap 'kill "$slurm" 2>/dev/null; wait; exit 130' INT TERM
echo "tests: 20 to 30 minutes; SLURM's tests run beside the others, see $output"
# One process more than two cores have work for: many tests wait, for a time limit or for a server.
pytest -m "not slurm" --numprocesses 3 --dist loadgroup --no-loadscope-reorder --durations 40 | tee results/logs/test.txt
others=$?
wait "$slurm"
slurm=$?
if [ "$slurm" = 0 ]; then grep -E '=+ [0-9]+ (passed|failed)' "$output"; else cat "$output"; fi
tail -n 1 results/logs/test.txt
[ "$slurm" = 0 ] && [ "$others" = 0 ]
