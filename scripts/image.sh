#!/usr/bin/env bash
# `npm run image`: builds the image signal-intercom with Docker, or with podman. Arguments go to the build, for instance
#   npm run image -- --build-arg BASE_IMAGE=node:24-bookworm-slim@sha256:…
set -euo pipefail
cd "$(dirname "$0")/.."

answers() { command -v "$1" >/dev/null && "$1" info >/dev/null 2>&1; }

if answers docker; then
  docker build --tag signal-intercom "$@" .
elif answers podman; then
  # Docker's format: the other one has no health check.
  podman build --format docker --tag signal-intercom "$@" .
elif command -v docker >/dev/null; then
  echo 'No image was built: docker is installed, but its engine does not answer; docker info says why. Start Docker Desktop, or the docker service (sudo systemctl start docker).' >&2
  exit 1
else
  echo 'No image was built: this needs Docker (https://docs.docker.com/get-started/get-docker/) or podman (https://podman.io/docs/installation).' >&2
  exit 1
fi

echo 'Built the image signal-intercom. Try it, with a simulated Intercom: docker compose up'
