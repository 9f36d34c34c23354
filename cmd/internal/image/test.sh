#!/usr/bin/env bash
# Shows that the image works on the demo's databases and ERP: version, check, run until its own health check is content, and a
# clean stop. The demo is kept running meanwhile; the image has a store and a slot of its own and posts nothing twice: what
# the demo has posted is found and adopted.
set -euo pipefail
cd "$(dirname "$0")/../../.."
. cmd/internal/image/buildah.sh

work=$(mktemp -d "${TMPDIR:-/tmp}/waybill-image-test-XXXXXX")
chmod 755 "$work"
demo=''
container=''
cleanup() {
	[ -n "$container" ] && b rm "$container" >/dev/null 2>&1
	if [ -n "$demo" ] && kill -0 "$demo" 2>/dev/null; then
		kill -INT "$demo" && wait "$demo" || true
	fi
	rm -rf "$work"
}
trap cleanup EXIT

echo "image-test: the demo, small and fast (its output is in $work/demo.log)"
bin/waybill demo --keep --fast --invoices 40 --history 100 --dir "$work/demo" >"$work/demo.log" 2>&1 </dev/null &
demo=$!
for i in $(seq 1 300); do
	if grep -q 'The books fit' "$work/demo.log"; then break; fi
	if ! kill -0 "$demo" 2>/dev/null || [ "$i" = 300 ]; then
		echo "image-test: the demo did not come to its end" >&2
		tail -n 30 "$work/demo.log" >&2
		exit 1
	fi
	sleep 1
done

mkdir "$work/etc"
# Each source is read through a slot of its own.
awk '/^data: / { print "data: /var/lib/waybill"; next }
	{ print }
	/^  [a-z]+:$/ { name = $1; sub(":", "", name) }
	/^    type: postgres$/ { print "    slot: waybill_image_" name; print "    publication: waybill_image_" name }
	/^    type: mariadb$/ { print "    server_id: 4711" }' "$work/demo/waybill.yaml" >"$work/etc/waybill.yaml"
cp "$work/demo/northstar.yaml" "$work/demo/pinevalley.yaml" "$work/demo/gulfcoast.yaml" "$work/etc/"
chmod -R a+rX "$work/etc"

container=$(b from --pull-never "$image")
waybill() { b run --isolation chroot --user 65532:65532 -v "$work/etc:/etc/waybill:ro" "$container" -- /waybill "$@"; }

echo "image-test: version"
waybill version
echo "image-test: check"
waybill check
echo "image-test: run"
waybill run >"$work/run.log" 2>&1 &
daemon=$!
for i in $(seq 1 60); do
	if grep -q 'msg=streaming' "$work/run.log"; then break; fi
	if ! kill -0 "$daemon" 2>/dev/null || [ "$i" = 60 ]; then
		echo "image-test: the daemon does not stream" >&2
		tail -n 30 "$work/run.log" >&2
		exit 1
	fi
	sleep 1
done
echo "image-test: the health check of the image"
waybill status --json >"$work/status.json"
grep -q '"state": *"streaming"' "$work/status.json"
# The daemon's own process, below buildah's: SIGTERM, as an engine sends it.
pid=$(pgrep -u 65532 -f '^/waybill run' | head -n 1)
kill -TERM "$pid"
wait "$daemon"
grep -q 'msg=stopped' "$work/run.log"
echo "image-test: stopped in peace; all well"
