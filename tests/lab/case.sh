# SPDX-License-Identifier: Apache-2.0
# For the scripts in cases/: guests, the emulated host, and checks. Source it first; the case then runs in a folder of its own,
# removed at the end, which the emulated host sees as /results.
set -euo pipefail

lab=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$lab/common.sh"
tinyvmm=${TINYVMM:-$(cd "$lab/../.." && pwd)/build/vmm/tinyvmm}
work=$(mktemp -d "${TMPDIR:-/tmp}/tinyvmm-case.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

fail() {
	printf 'FAILED: %s\n' "$*"
	exit 1
}

skip() {
	printf '%s\n' "$*"
	exit 77
}

# guest NAME JOB [OPTION OF guest-image]...: a guest disk NAME.img that runs JOB (text for busybox sh) and powers off. It boots
# without GRUB, which is quicker, unless the options say otherwise.
guest() {
	local name=$1 job=$2
	shift 2
	"$lab/guest-image" --boot uki "$@" --command "$job" "$work/$name.img"
}

# guest_kernel NAME JOB: the same without a disk and without firmware, in a third of the time: NAME.cpio is an initrd with all that a
# guest disk has. In the host's script, `vm NAME` and `vm_start NAME` add --kernel, --initrd and --cmdline where NAME.cpio is;
# more words for the kernel come from $vm_cmdline. $kernel may be set to another kernel.
guest_kernel() {
	"$lab/guest-image" --boot initrd --command "$2" "$work/$1.cpio"
}

complaints='DMAR: .*fault|IO_PAGE_FAULT|BUG: (kernel|unable|KASAN)|WARNING: CPU|Oops|general protection'

# host SCRIPT [OPTION OF run]...: runs SCRIPT (text for sh, which may use what case-host.sh has) in the emulated host, in
# /results with $tinyvmm and $kernel set; its output is shown and kept in the file `out`. The host's kernel must not have complained.
# A case that runs other cases under other conditions sets LAB_RUN (more options of run) and LAB_VM (of
# tinyvmm, where it has --gpu).
host() {
	local script=$1 status=0
	shift
	printf 'cd /results\ntinyvmm=%q\nkernel=%q\n. %q\n%s\n' "$tinyvmm" "$lab_kernel/vmlinux" "$lab/case-host.sh" \
		"$script" >host.sh
	# shellcheck disable=SC2086 # many words
	"$lab/run" --results "$work" ${LAB_RUN-} "$@" -- sh /results/host.sh 2>&1 | tee out || status=$?
	# The emulated host is at an end, not the case: tests/run tries again.
	[ $status != 254 ] || exit 254
	[ $status = 0 ] || fail "the emulated host's script ended with status $status"
	# Until the end of the script: in the shutdown after it, drivers may find their device gone.
	sed '/lab: the command ended/q' kernel.log >complaints
	# virtio_gpu of 6.1 complains of itself, when it is unbound while its console draws.
	if grep -aE "$complaints" complaints | grep -v 'drm/drm_mm.c:.*drm_mm_takedown'; then
		tail -n 80 complaints
		fail "the emulated host's kernel complains"
	fi
}

# expect PATTERN [FILE]: a line of FILE (`out`) matches the extended regular expression.
expect() {
	grep -E -- "$1" <(tr -d '\r' <"${2-out}") >/dev/null || fail "no line matches '$1' in ${2-the output}"
}

# refuse PATTERN [FILE]: no line does.
refuse() {
	! grep -E -- "$1" <(tr -d '\r' <"${2-out}") || fail "a line matches '$1' in ${2-the output}"
}

# same FILE FILE: they are.
same() {
	diff -a "$1" "$2" || fail "$1 and $2 differ"
}
