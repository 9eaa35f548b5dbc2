#!/usr/bin/env bash
# Stop the SLURM that slurm-up.sh started: its jobs, then its daemons, by the process ids noted when they started.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster.sh"
[ -d "$CLUSTER/pid" ] || exit 0

if running slurmctld && running slurmd; then
  timeout 20 scancel --user="$(id -un)" --signal=KILL --full
  timeout 20 scancel --user="$(id -un)"
  for _ in $(seq 50); do
    [ -n "$(timeout 5 squeue -h 2>/dev/null)" ] || break
    sleep 0.2
  done
fi
for ((number = ${#DAEMONS[@]} - 1; number >= 0; number--)); do stop "${DAEMONS[number]}"; done
# A slurmd that died leaves its job steps behind; they are known by their environment.
for process in /proc/[0-9]*; do
  environment=$(tr '\0' '\n' 2>/dev/null <"$process/environ") || continue
  if grep -qxF "SLURM_CONF=$SLURM_CONF" <<<"$environment" && grep -q '^SLURM_JOB_ID=' <<<"$environment"; then
    kill -KILL "${process#/proc/}" 2>/dev/null
  fi
done
rm -f "$CLUSTER/env.sh"
