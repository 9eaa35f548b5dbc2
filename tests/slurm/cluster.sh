# What slurm-up.sh and slurm-down.sh share: the cluster's folder and its daemons. To be sourced.
#   SLURM_TEST_DIR   everything the cluster writes (default: /tmp/tmelt-slurm-$UID; short, for the sake of socket names)

CLUSTER=${SLURM_TEST_DIR:-/tmp/tmelt-slurm-$(id -u)}
DAEMONS=(munged mariadbd slurmdbd slurmctld slurmd) # in the order of starting
export PATH=$PATH:/usr/sbin:/sbin                   # where Debian keeps daemons
export SLURM_CONF=$CLUSTER/slurm.conf

# Clock ticks since boot at which process $1 started; with it a pid that was given to another process shows.
started_at() {
  local fields
  fields=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) || return 1
  [ "${fields%% *}" != Z ] && cut -d' ' -f20 <<<"$fields"
}

# Whether daemon $1 is the process that was started here; sets `pid`.
running() {
  local since
  [ -r "$CLUSTER/pid/$1" ] && read -r pid since <"$CLUSTER/pid/$1" && [ "$(started_at "$pid")" = "$since" ]
}

# start NAME COMMAND…: a daemon in the foreground of a session of its own.
start() {
  local name=$1
  shift
  setsid "$@" </dev/null >>"$CLUSTER/log/$name.out" 2>&1 &
  echo "$! $(started_at $!)" >"$CLUSTER/pid/$name"
}

# stop NAME [SIGNAL]: end a daemon that was started here, and wait until it has.
stop() {
  running "$1" || { rm -f "$CLUSTER/pid/$1"; return 0; }
  kill "-${2:-TERM}" "$pid"
  for _ in $(seq 100); do
    running "$1" || { rm -f "$CLUSTER/pid/$1"; return 0; }
    sleep 0.1
  done
  kill -KILL "$pid"
  rm -f "$CLUSTER/pid/$1"
}

# await SECONDS DAEMON COMMAND…: until COMMAND succeeds; not longer than SECONDS nor than DAEMON lives.
await() {
  local until=$((SECONDS + $1)) daemon=$2
  shift 2
  until "$@" >/dev/null 2>&1; do
    if ! running "$daemon" || [ $SECONDS -ge $until ]; then
      echo "slurm: $daemon is not ready: $*" >&2
      tail -n 15 "$CLUSTER/log/$daemon".* >&2
      return 1
    fi
    sleep 0.1
  done
}

node_is_ready() { sinfo -h -N -o %T | grep -qxE 'idle|mixed|allocated'; }

start_slurmctld() {
  start slurmctld slurmctld -D
  await 60 slurmctld scontrol ping
}

start_slurmd() {
  start slurmd slurmd -D
  await 60 slurmd node_is_ready
}
