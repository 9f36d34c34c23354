# Sourced by build.sh and test.sh: buildah with a store of its own that needs neither a daemon, nor overlay mounts, nor
# namespaces, so that it works inside a container or a plain sandbox too.
store="${WAYBILL_IMAGE_STORE:-${TMPDIR:-/tmp}/waybill-image-$(id -u)}"
image="waybill:latest"

if ! command -v buildah >/dev/null 2>&1; then
	if [ "$(id -u)" != 0 ]; then
		echo "image: buildah is missing; run: sudo apt-get install -y --no-install-recommends buildah" >&2
		exit 3
	fi
	echo "image: installing buildah"
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends buildah >/dev/null
fi

b() { buildah --storage-driver vfs --root "$store/root" --runroot "$store/run" "$@"; }
