#!/usr/bin/env bash
# Builds the image and checks it by running it, locked down: root file system read-only, no capabilities, no network but
# its own loopback. Uses the Docker engine where one is running. Elsewhere, as root on Debian or Ubuntu, it installs
# podman, and where Docker Hub can't be reached it makes a stand-in for the base image out of Debian's packages and
# npm's Node. That and the layers are kept in $work (1 GB) for the next time; delete it to start afresh.
#   BASE_IMAGE=…  another base than the Dockerfile's
set -euo pipefail
cd "$(dirname "$0")/.."

work=/var/tmp/signal-intercom-image-check
image=signal-intercom:check
name=signal-intercom-check-$$
locked=(--read-only --cap-drop ALL --security-opt no-new-privileges)
base=$(sed -n 's/^ARG BASE_IMAGE=//p' Dockerfile)
major=${base#*node:}
major=${major%%[!0-9]*}

skip() {
  echo "image check skipped: $1"
  exit 0
}

fail() {
  "$engine" logs "$name-service" 2>&1 | tail -n 20 >&2 || true
  echo "image check failed: $1" >&2
  exit 1
}

passed() { echo "  ✓ $1"; }

# --- An engine, and a base image ---

find_engine() {
  if command -v docker >/dev/null && docker info >/dev/null 2>&1; then
    engine=docker
    build=(docker build)
    base=${BASE_IMAGE:-$base}
    return
  fi
  [ "$(id -u)" = 0 ] || skip 'no Docker engine is running, and podman can be set up here by root only'
  [ -d "$work" ] || mkdir -m 700 "$work"
  [ -O "$work" ] || skip "$work belongs to another user"
  install_packages podman runc debootstrap debian-archive-keyring
  configure_podman
  engine=podman
  build=(podman build --format docker --layers)
  locked+=(--read-only-tmpfs=false --pull=never)
  find_base
  podman run --rm --network none "$base" node --version >/dev/null 2>"$work/podman.log" || skip "podman can't run containers here: $(tail -n 1 "$work/podman.log")"
}

install_packages() {
  dpkg-query --show "$@" >/dev/null 2>&1 && return
  command -v apt-get >/dev/null || skip 'no Docker engine is running, and there is no apt-get to install podman with'
  echo "Installing $*"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y --no-install-recommends "$@"; } >"$work/apt.log" 2>&1 ||
    skip "no Docker engine is running, and podman could not be installed: see $work/apt.log"
}

# A store of its own, beside the podman of the machine; and what podman needs where it runs in a container or a small
# virtual machine itself: runc and plain cgroups, no systemd, limits that it may set.
configure_podman() {
  cat >"$work/storage.conf" <<EOF
[storage]
driver = "overlay"
graphroot = "$work/storage"
runroot = "$work/run"
[storage.options.overlay]
skip_mount_home = "true"
EOF
  cat >"$work/containers.conf" <<EOF
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
EOF
  export CONTAINERS_STORAGE_CONF="$work/storage.conf" CONTAINERS_CONF="$work/containers.conf" BUILDAH_ISOLATION=chroot
  # Without systemd podman would complain at each start that it can't schedule the health check.
  podman() { command podman --log-level fatal "$@"; }
  podman info >/dev/null 2>"$work/podman.log" || skip "podman does not run here: $(tail -n 1 "$work/podman.log")"
}

find_base() {
  local stand_in=localhost/signal-intercom-base:$major
  if [ -n "${BASE_IMAGE:-}" ]; then
    base=$BASE_IMAGE
    return
  fi
  if ! podman image exists "$stand_in"; then
    timeout 120 podman pull --quiet "$base" >/dev/null 2>"$work/pull.log" && return
    make_stand_in "$stand_in"
  fi
  base=$stand_in
}

make_stand_in() {
  local root=$work/rootfs packages=$work/packages arch
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) skip "Docker Hub can't be reached, and npm has no Node for $(uname -m)" ;;
  esac
  command -v npm >/dev/null || skip "Docker Hub can't be reached, and there is no npm to make a base image with"
  echo "Docker Hub can't be reached: making a base image out of Debian's packages and npm's Node $major (a minute, once)"
  rm -rf "$root" "$packages"
  debootstrap --variant=minbase bookworm "$root" >"$work/debootstrap.log" 2>&1 || skip "debootstrap failed: see $work/debootstrap.log"
  mkdir "$packages"
  echo '{}' >"$packages/package.json"
  (cd "$packages" && npm install --ignore-scripts --no-audit --no-fund "node-linux-$arch@$major" npm@11) >"$work/npm.log" 2>&1 || skip "npm failed: see $work/npm.log"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "$root"/usr/share/{doc,man,locale}/*
  mkdir -p "$root/usr/local/lib/node_modules" "$root/usr/local/etc" "$root/etc/ssl/certs"
  mv "$packages/node_modules/node-linux-$arch/bin/node" "$root/usr/local/bin/node"
  mv "$packages/node_modules/npm" "$root/usr/local/lib/node_modules/npm"
  ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
  ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
  echo 'node:x:1000:1000::/home/node:/bin/sh' >>"$root/etc/passwd"
  # npm has to work inside as it does here: this machine's registry and certificates.
  printf '%s\n' "registry=$(npm config get registry 2>/dev/null)" update-notifier=false >"$root/usr/local/etc/npmrc"
  if [ -f /etc/ssl/certs/ca-certificates.crt ]; then
    cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
    echo 'cafile=/etc/ssl/certs/ca-certificates.crt' >>"$root/usr/local/etc/npmrc"
  fi
  tar -C "$root" -c . | podman import --quiet --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' --change 'CMD ["node"]' - "$1" >/dev/null
  rm -rf "$root" "$packages"
}

# --- Running it ---

# The simulator owns the network, a loopback and nothing else; the service joins it. So no port of this machine is
# taken, and requests are made from inside.
start_simulator() {
  "$engine" run --detach --name "$name-intercom" --network none "${locked[@]}" "$image" node dist/simulator/main.js >/dev/null
}

start_service() {
  "$engine" run --detach --name "$name-service" --network "container:$name-intercom" "${locked[@]}" --volume "$name-data:/data" \
    --env INTERCOM_ACCESS_TOKEN=demo-token --env INTERCOM_REGION=us --env INTERCOM_API_URL=http://127.0.0.1:8090 "$image" >/dev/null
}

# Runs a program in the service's container.
inside() { "$engine" exec "$name-service" node --input-type=module --eval "$@"; }

answers_within_5_s() {
  inside '
    const url = `http://127.0.0.1:8080${process.argv[1]}`;
    const end = Date.now() + 5000;
    while (!(await fetch(url).catch(() => undefined))?.ok) {
      if (Date.now() > end) process.exit(1);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }' "$1"
}

send_event() {
  inside '
    const event = { type: "track", event: "Order Completed", userId: "user-123", messageId: "image-check", properties: { total: 129.99, currency: "USD" } };
    const response = await fetch("http://127.0.0.1:8080/ingest", { method: "POST", headers: { "content-type": "application/json", prefer: "wait=5" }, body: JSON.stringify(event) });
    const { events: [{ status, original }] } = await response.json();
    console.log([response.status, status, original?.status].filter(Boolean).join(" "));'
}

# Runs the image's health check by hand, since podman leaves that to systemd; with another PORT it must fail.
health_check() {
  inside '
    import { execFileSync } from "node:child_process";
    const [, command, ...args] = JSON.parse(process.argv[1]);
    execFileSync(command, args, { env: { ...process.env, PORT: process.argv[2] } });' \
    "$("$engine" inspect --format '{{json .Config.Healthcheck.Test}}' "$name-service")" "$1" 2>/dev/null
}

# With the nameless volumes that the image declares.
remove() { "$engine" rm --force --volumes "$@" >/dev/null 2>&1 || true; }

clean_up() {
  remove "$name-service"
  remove "$name-intercom"
  "$engine" volume rm --force "$name-data" >/dev/null 2>&1 || true
}

mebibytes() { echo $(($("$engine" image inspect --format '{{.Size}}' "$1") / 1048576)); }

find_engine
trap clean_up EXIT
echo "Building with $engine on $base"
if ! output=$("${build[@]}" --build-arg "BASE_IMAGE=$base" --tag "$image" . 2>&1); then
  tail -n 40 <<<"$output" >&2
  echo 'image check failed: the image was not built' >&2
  exit 1
fi
[ "$engine" = docker ] || podman image prune --force --filter until=168h >/dev/null

echo 'Running it'
start_simulator
start_service
answers_within_5_s /healthz || fail '/healthz did not answer within 5 s'
passed '/healthz answers within 5 s'

[ "$(inside 'console.log(process.getuid())')" = 1000 ] || fail 'the service does not run as user 1000'
passed 'runs as user 1000'

health_check 8080 || fail 'the health check fails on a healthy service'
! health_check 1 || fail 'the health check passes where nothing listens'
passed 'the health check tells a healthy service from none'

answers_within_5_s /openapi.yaml || fail '/openapi.yaml is not served'
answers_within_5_s /readyz || fail 'the service did not become ready within 5 s'
answer=$(send_event)
[ "$answer" = '200 delivered' ] || fail "an event was answered $answer, not 200 delivered"
passed 'an event is delivered to the simulator in the same image'

examined=$("$engine" run --rm --network "container:$name-intercom" "${locked[@]}" --volume "$name-data:/data" \
  --env INTERCOM_ACCESS_TOKEN=demo-token --env INTERCOM_REGION=us --env INTERCOM_API_URL=http://127.0.0.1:8090 "$image" doctor) ||
  fail "the doctor finds a fault beside a running service: $examined"
[[ $examined == *'accepted by the workspace'* ]] || fail "the doctor did not examine the workspace: $examined"
passed 'doctor examines the service while it runs'

told=$("$engine" run --rm --network none "${locked[@]}" "$image" migrate 2>&1) && fail 'migrate accepts an embedded database'
[[ $told == *'names no PostgreSQL database'* ]] || fail "migrate does not say what it needs: $told"
passed 'migrate says which database it is for'

started=$SECONDS
"$engine" stop --time 12 "$name-service" >/dev/null
code=$("$engine" inspect --format '{{.State.ExitCode}}' "$name-service")
[ "$code" = 0 ] || fail "SIGTERM ended the service with exit code $code"
passed "SIGTERM ends it with exit code 0 ($((SECONDS - started)) s)"

remove "$name-service"
start_service
answers_within_5_s /readyz || fail 'the service did not become ready again on its volume'
answer=$(send_event)
[ "$answer" = '200 duplicate delivered' ] || fail "the same event in a new container was answered $answer, not 200 duplicate delivered"
passed 'a new container on the same volume knows the event'

# As root, since a directory that the service may not read would look empty to it.
needless=$("$engine" run --rm --user 0 --network none "${locked[@]}" "$image" node --eval '
  const { existsSync } = require("node:fs");
  const needless = ["node_modules/typescript", "node_modules/tap", "node_modules/node", "src", "test", ".env", ".git", "/root/.npm", "/home/node/.npm"];
  console.log(needless.filter((path) => existsSync(path)).join(", "));')
[ -z "$needless" ] || fail "the image holds what it does not need: $needless"
passed 'no compiler, no sources, no npm cache'

total=$(mebibytes "$image")
echo "The image has $total MiB, $((total - $(mebibytes "$base"))) of them on top of the base."
echo 'image check passed'
