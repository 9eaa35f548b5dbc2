#!/usr/bin/env bash
# Install the system packages that the tests need, where they are missing: apt, as root or with sudo.
#   scripts/install_packages.sh          bubblewrap (a sandbox backend), chromium (looks at the report)
#   scripts/install_packages.sh slurm    what a one-node SLURM with accounting needs (tests/slurm)
set -euo pipefail

case "${1:-}" in
  "") declare -A package=([bwrap]=bubblewrap [chromium]=chromium) ;;
  slurm)
    export PATH=$PATH:/usr/sbin:/sbin # where the daemons live
    declare -A package=(
      [munged]=munge [slurmctld]=slurmctld [slurmd]=slurmd [sbatch]=slurm-client
      [slurmdbd]=slurmdbd [mariadbd]=mariadb-server
    )
    ;;
  *)
    echo "packages: '$1' is not a set of packages; say nothing, or slurm" >&2
    exit 2
    ;;
esac
missing=()
for command in "${!package[@]}"; do
  command -v "$command" >/dev/null || missing+=("${package[$command]}")
done
[ ${#missing[@]} -gt 0 ] || exit 0

command -v apt-get >/dev/null || {
  echo "packages: not found: ${missing[*]}; there is no apt-get here, install them by hand" >&2
  exit 1
}
sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "packages: not found: ${missing[*]}; run 'apt-get install ${missing[*]}' as root" >&2
    exit 1
  }
  sudo=(sudo)
fi
echo "packages: installing ${missing[*]}" >&2
log=$(mktemp)

# No package may start its service by itself, as Debian's do: the tests start what they need, under their own name.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
  "${sudo[@]}" chmod 755 "$policy"
  trap '"${sudo[@]}" rm -f "$policy"' EXIT
fi

for attempt in 1 2 3; do # the lists' lock has no time-out of its own
  if "${sudo[@]}" apt-get -q update >"$log" 2>&1 &&
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
      install --no-install-recommends "${missing[@]}" >>"$log" 2>&1; then
    rm -f "$log"
    exit 0
  fi
  sleep $((attempt * 5))
done
tail -n 20 "$log" >&2
echo "packages: apt-get could not install ${missing[*]}" >&2
exit 1
