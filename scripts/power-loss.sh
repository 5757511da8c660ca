#!/usr/bin/env bash
# `bash scripts/power-loss.sh`: cuts the power under a writing queue CUTS times (10 unless told), and checks that every
# acknowledged event is there afterwards. Needs root, loop mounts and mkfs.ext4; says so and ends well where it can't.
#
# The database lies on a file system inside an image file. What that file system has not synced is in the kernel's
# memory and not in the image: a copy of the image is what a disk holds after a power cut. That this is so is shown by
# a negative control: a writer that acknowledges without a sync must lose something each time, or the whole check fails.
set -euo pipefail

skip() { echo "power-loss check skipped: $1"; exit 0; }

if [[ -z ${POWER_LOSS_INSIDE:-} ]]; then
  [[ $(id -u) == 0 ]] || skip 'it needs root'
  for tool in mkfs.ext4 unshare losetup; do command -v "$tool" >/dev/null || skip "$tool is not installed"; done
  unshare -m true 2>/dev/null || skip 'this machine lets nobody make a mount namespace'
  # The mounts are seen by this check alone, and end with it.
  POWER_LOSS_INSIDE=1 exec unshare -m --propagation private bash "$0" "$@"
fi

cuts=${CUTS:-10}
# Node as the tests have it, where it is installed beside the code.
scripts=$(cd "$(dirname "$0")" && pwd)
PATH="$scripts/../node_modules/.bin:$PATH"
work=$(mktemp -d)
writer=
clean_up() {
  if [[ -n $writer ]]; then kill -KILL "$writer" 2>/dev/null || true; wait "$writer" 2>/dev/null || true; fi
  umount "$work/disk" 2>/dev/null || true
  umount "$work/after" 2>/dev/null || true
  rm -rf "$work"
}
trap clean_up EXIT
mkdir "$work/disk" "$work/after"

new_disk() {
  rm -f "$work/image"
  truncate -s 256M "$work/image"
  mkfs.ext4 -q -F "$work/image"
  mount -o loop "$work/image" "$work/disk" 2>/dev/null
}
new_disk || skip 'this machine mounts no loop devices'
umount "$work/disk"

# One cut: "<acknowledged> <lost> <integrity>" for a writer in the given mode.
cut_once() {
  local mode=$1
  new_disk
  : >"$work/acknowledged"
  node "$scripts/power-loss-writer.ts" "$work/disk/queue.db" "$mode" >"$work/acknowledged" &
  writer=$!
  for _ in $(seq 500); do [[ -s $work/acknowledged ]] && break; sleep 0.02; done
  [[ -s $work/acknowledged ]] || { echo 'the writer acknowledged nothing within 10 seconds' >&2; exit 1; }
  sleep "0.$(printf '%03d' $((RANDOM % 900)))"
  kill -STOP "$writer"
  # First what was acknowledged, then the disk: what is acknowledged must be on it by now.
  cp "$work/acknowledged" "$work/promised"
  cp "$work/image" "$work/copy"
  kill -KILL "$writer"
  wait "$writer" 2>/dev/null || true
  writer=
  umount "$work/disk"
  mount -o loop "$work/copy" "$work/after"
  node "$scripts/power-loss-judge.ts" "$work/after/queue.db" "$work/promised" >"$work/verdict"
  umount "$work/after"
}

total=0
for cut in $(seq "$cuts"); do
  cut_once synced
  read -r acknowledged lost integrity <"$work/verdict"
  echo "cut $cut: $acknowledged acknowledged, $lost lost, integrity $integrity"
  total=$((total + acknowledged))
  if [[ $lost != 0 || $integrity != ok ]]; then echo 'power-loss check failed' >&2; exit 1; fi
done

for _ in 1 2 3; do
  cut_once unsynced
  read -r acknowledged lost _ <"$work/verdict"
  echo "control, acknowledging without a sync: $acknowledged acknowledged, $lost lost"
  if [[ $lost == 0 ]]; then
    echo 'power-loss check failed: the control lost nothing, so that this check proves nothing' >&2
    exit 1
  fi
done
echo "power-loss check passed: $cuts cuts, $total acknowledged, none lost"
