#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may include whom: the drawing in docs/ARCHITECTURE.md, checked. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1

n=0 failed=0 known=
# FOLDER ALLOWED...: the quoted includes of FOLDER's files begin with one of ALLOWED.
allow() {
	local folder=$1 allowed bad
	shift
	known="$known $folder"
	allowed=$(printf '|%s' "$@")
	if [ -d "$folder" ]; then
		bad=$(find "$folder" -name '*.[ch]' -exec grep -nHE '^#include "' {} + | grep -vE "#include \"(${allowed#|})")
	else
		bad="there is no folder $folder"
	fi
	n=$((n + 1))
	if [ -z "$bad" ]; then
		echo "ok $n - $folder"
	else
		echo "not ok $n - $folder"
		printf '%s\n' "$bad" | sed 's/^/# not allowed: /'
		failed=1
	fi
}

allow vmm/core core/
allow vmm/x86_64 core/ x86_64/
allow devices core/ devices/
allow devices/pci core/ devices/pci/
allow devices/chipset core/ devices/chipset/ devices/pci/
allow devices/virtio core/ devices/pci/ devices/virtio/
allow devices/blk core/ devices/blk/ devices/pci/ devices/virtio/
allow devices/net core/ devices/net/ devices/pci/ devices/virtio/
allow devices/vhost core/ devices/blk/ devices/net/ devices/pci/ devices/vhost/ devices/virtio/
allow guest guest/
allow boot core/ boot/
allow firmware-loader core/ boot/ firmware-loader/
allow vfio core/ vfio/ 'devices/pci/pci.h"' 'devices/pci/pci_ids.h"' 'devices/pci/pci_msix.h"'

# The machine's side, from the bottom up.
below='guest/job.h guest/protocol.h core/ x86_64/ boot/ devices/ firmware-loader/ vfio/'
for folder in placement control options 'command daemons' machine run; do
	each=$(printf '%s/ ' $folder)
	for one in $folder; do
		# shellcheck disable=SC2086
		allow "vmm/$one" $below "$one/"
	done
	below="$below $each"
done
# shellcheck disable=SC2086
allow vmm/cli $below cli/ 'tinyvmm.h"'

# A folder that is new has its line above.
n=$((n + 1))
# shellcheck disable=SC2086
if bad=$(find boot devices firmware-loader guest vfio vmm -name '*.[ch]' -printf '%h\n' | sort -u |
	grep -vxF "$(printf '%s\n' vmm $known)"); then
	echo "not ok $n - every folder has a rule"
	printf '%s\n' "$bad" | sed 's/^/# has none: /'
	failed=1
else
	echo "ok $n - every folder has a rule"
fi

# The command runs machines by the library's header, which needs no other of ours.
allow_in() {
	local file=$1 allowed bad
	shift
	allowed=$(printf '|%s' "$@")
	if [ -f "$file" ]; then
		bad=$(grep -nHE '^#include "' "$file" | grep -vE "#include \"(${allowed#|})\"")
	else
		bad="there is no file $file"
	fi
	n=$((n + 1))
	if [ -z "$bad" ]; then
		echo "ok $n - $file"
	else
		echo "not ok $n - $file"
		printf '%s\n' "$bad" | sed 's/^/# not allowed: /'
		failed=1
	fi
}

allow_in vmm/cli/cmd_run.c cli/commands.h cli/detach.h options/options.h run/run_status.h tinyvmm.h
allow_in vmm/tinyvmm.h nothing
allow_in docs/examples/embed.c nothing
n=$((n + 1))
if bad=$(grep -nHE '#include "(machine/|command/|daemons/|run/run(_control)?\.h|core/(vcpu|mem|bus|irq)\.h|devices/)' \
	vmm/main.c vmm/cli/*.[ch] | grep -vE '(devices/blk/blk_(file|format)|command/(agent|own_kernel)|daemons/file_daemon)\.h'); then
	echo "not ok $n - nothing of a machine in the command line"
	printf '%s\n' "$bad" | sed 's/^/# not allowed: /'
	failed=1
else
	echo "ok $n - nothing of a machine in the command line"
fi

# The architecture's own symbols stay in its folder.
n=$((n + 1))
if bad=$(grep -rnE '__x86_64__|__aarch64__' --include='*.[ch]' . | grep -v '^./vmm/x86_64/'); then
	echo "not ok $n - no architecture outside its folder"
	printf '%s\n' "$bad" | sed 's/^/# /'
	failed=1
else
	echo "ok $n - no architecture outside its folder"
fi
echo "1..$n"
exit $failed
