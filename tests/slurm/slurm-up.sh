#!/usr/bin/env bash
# Start a real SLURM on this machine: one node, loopback only, accounting, two fake GPUs; no systemd, no cgroups.
#   tests/slurm/slurm-up.sh && . /tmp/tmelt-slurm-$(id -u)/env.sh        stop it with tests/slurm/slurm-down.sh
#   SLURM_TEST_DIR    see cluster.sh            SLURM_TEST_CPUS  CPUs to announce (default: 8; more than there are is fine)
#   SLURM_TEST_PORT   first of 200 ports (default: 16917)
# Installs what is missing (apt, as root or with sudo). A cluster that is already up is left as it is.
set -euo pipefail
umask 022
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/cluster.sh"
cpus=${SLURM_TEST_CPUS:-8}
port=${SLURM_TEST_PORT:-16917}
host=$(hostname -s)
memory=$(awk '/^MemTotal/ {printf "%d", $2 * 0.8 / 1024}' /proc/meminfo)

fail() {
  echo "slurm-up: $*" >&2
  exit 1
}

"$here/../../scripts/install_packages.sh" slurm
up=0
for daemon in "${DAEMONS[@]}"; do running "$daemon" && up=$((up + 1)); done
if [ $up = ${#DAEMONS[@]} ] && node_is_ready; then
  echo "slurm-up: already up; . $CLUSTER/env.sh"
  exit 0
fi
[ $up = 0 ] || "$here/slurm-down.sh"
[ ${#CLUSTER} -le 80 ] || fail "SLURM_TEST_DIR is too long for the names of sockets: $CLUSTER"
getent ahostsv4 "$host" | grep -q '^127\.' ||
  fail "'$host' does not resolve to 127.0.0.1; add a line '127.0.0.1 $host' to /etc/hosts"
for each in "$port" $((port + 1)) $((port + 2)); do
  ! (exec 3<>"/dev/tcp/127.0.0.1/$each") 2>/dev/null || fail "port $each is taken; set SLURM_TEST_PORT"
done
trap '"$here/slurm-down.sh" >&2; echo "slurm-up: failed; logs in $CLUSTER/log" >&2' ERR

# Configuration
rm -rf "$CLUSTER"
mkdir -p "$CLUSTER"/{bin,database,log,munge,pid,run,spool,state}
chmod 700 "$CLUSTER/munge"
(umask 077 && head -c 1024 /dev/urandom >"$CLUSTER/munge/key")
for name in slurm.conf slurmdbd.conf; do
  sed -e "s|@DIR@|$CLUSTER|; s|@HOST@|$host|; s|@USER@|$(id -un)|; s|@CPUS@|$cpus|; s|@MEMORY@|$memory|" \
    -e "s|@PORT@|$port|; s|@PORT_SLURMD@|$((port + 1))|; s|@PORT_DBD@|$((port + 2))|" \
    -e "s|@SRUN_PORTS@|$((port + 100))-$((port + 199))|" "$here/$name" >"$CLUSTER/$name"
done
chmod 600 "$CLUSTER/slurmdbd.conf"
# slurmd believes only in GPUs that have a device file; jobs then see CUDA_VISIBLE_DEVICES as on a real node.
for gpu in 0 1 2 3; do
  ln -s /dev/null "$CLUSTER/run/gpu$gpu"
  echo "NodeName=$host Name=gpu Type=fake File=$CLUSTER/run/gpu$gpu" >>"$CLUSTER/gres.conf"
done

# Daemons
start munged munged --foreground --key-file="$CLUSTER/munge/key" --socket="$CLUSTER/run/munge.socket" \
  --pid-file="$CLUSTER/run/munged.pid" --log-file="$CLUSTER/log/munged.log" --seed-file="$CLUSTER/munge/seed"
export MYSQL_UNIX_PORT=$CLUSTER/run/mysqld.sock
mariadb-install-db --no-defaults --user="$(id -un)" --datadir="$CLUSTER/database" --skip-test-db \
  --auth-root-authentication-method=socket --auth-root-socket-user="$(id -un)" >"$CLUSTER/log/mariadb-install-db" 2>&1
start mariadbd mariadbd --no-defaults --user="$(id -un)" --datadir="$CLUSTER/database" --skip-networking \
  --socket="$MYSQL_UNIX_PORT" --pid-file="$CLUSTER/run/mariadbd.pid" --log-error="$CLUSTER/log/mariadbd.log" \
  --innodb-buffer-pool-size=64M --innodb-lock-wait-timeout=900
await 20 munged munge --socket="$CLUSTER/run/munge.socket" --no-input
await 60 mariadbd mariadb --no-defaults --socket="$MYSQL_UNIX_PORT" --execute='select 1'
start slurmdbd slurmdbd -D
await 60 slurmdbd sacctmgr -n show cluster
sacctmgr -i -Q add cluster tmelt >/dev/null
sacctmgr -i -Q add account tests cluster=tmelt >/dev/null
sacctmgr -i -Q add user "$(id -un)" account=tests cluster=tmelt >/dev/null || true # root is there from the start
sacctmgr -i -Q modify user "$(id -un)" set defaultaccount=tests >/dev/null || true
start_slurmctld
start_slurmd

# Snakemake's SLURM plugin takes SLURM_* out of the environment, SLURM_CONF with it: so each command brings its own.
for command in sacct sacctmgr sbatch scancel scontrol sinfo squeue srun sshare sstat; do
  printf '#!/bin/sh\nSLURM_CONF=%s exec %s "$@"\n' "$SLURM_CONF" "$(command -v $command)" >"$CLUSTER/bin/$command"
  chmod 755 "$CLUSTER/bin/$command"
done
echo "export PATH=$CLUSTER/bin:\$PATH SLURM_CONF=$SLURM_CONF SLURM_TEST_DIR=$CLUSTER" >"$CLUSTER/env.sh"
await 60 slurmctld srun --quiet -n1 --mem=16 --chdir=/ true
echo "slurm-up: $(sinfo --version), $(sinfo -h -N -o '%N: %c CPUs, %m MB, %G' | head -n 1); . $CLUSTER/env.sh"
