#!/usr/bin/env bash
# Makes bin/rootfs and bin/data, the files of the image beside the binary. Called by `make rootfs`.
set -euo pipefail
cd "$(dirname "$0")/../../.."

certificates=''
for f in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
	if [ -s "$f" ]; then certificates=$f; break; fi
done
if [ -z "$certificates" ]; then
	echo "rootfs: no certificate authorities on this machine; install the package ca-certificates" >&2
	exit 3
fi
rm -rf bin/rootfs bin/data
mkdir -p bin/rootfs/etc/ssl/certs bin/rootfs/etc/waybill bin/rootfs/tmp bin/data
cp "$certificates" bin/rootfs/etc/ssl/certs/ca-certificates.crt
chmod 644 bin/rootfs/etc/ssl/certs/ca-certificates.crt
printf 'root:x:0:0:root:/:/nologin\nwaybill:x:65532:65532:Waybill:/var/lib/waybill:/nologin\n' >bin/rootfs/etc/passwd
printf 'root:x:0:\nwaybill:x:65532:\n' >bin/rootfs/etc/group
chmod 1777 bin/rootfs/tmp
chmod 700 bin/data
