#!/usr/bin/env bash
# Builds the image from the Dockerfile and bin/, without a registry. Prints its size; more than 45 MB is a failure.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. cmd/internal/image/buildah.sh

b build --isolation chroot --format docker --quiet --tag "$image" . >/dev/null
bytes=$(b inspect --type image --format '{{.Docker.Size}}' "$image" 2>/dev/null || echo 0)
if [ "$bytes" = 0 ]; then
	bytes=$(du -sb bin/waybill bin/rootfs | awk '{sum += $1} END {print sum}')
fi
echo "image: $image, $((bytes / 1000000)) MB, in $store"
if [ "$bytes" -gt 45000000 ]; then
	echo "image: larger than 45 MB" >&2
	exit 1
fi
