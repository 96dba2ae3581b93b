# SPDX-License-Identifier: Apache-2.0
# Names and places that the lab's scripts share. Sourced, never run.

lab_dir=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
lab_cache=${XDG_CACHE_HOME:-$HOME/.cache}/tinyvmm/lab

# The emulator: the distribution's QEMU source, our patches (in the order of their names), few
# features. A change of any of them is another build.
qemu_source=1:7.2+dfsg
qemu_flags=(--target-list=x86_64-softmmu --without-default-features --enable-tcg --enable-kvm
	--enable-virtfs --enable-attr --enable-cap-ng --enable-png --enable-linux-io-uring
	--enable-vhost-kernel --enable-vhost-net --disable-docs --audio-drv-list=)
qemu_key=$(printf '%s ' "$qemu_source" "${qemu_flags[@]}" |
	cat - "$lab_dir"/qemu-*.patch | sha256sum | cut -c1-12)
lab_qemu=$lab_cache/qemu-$qemu_key/bin/qemu-system-x86_64

# The distribution's kernel, unpacked here, not installed: the emulated host's kernel and the
# guests'.
lab_kernel=$lab_cache/kernel
lab_initrd=$lab_cache/host-initrd

# A second kernel for the emulated host: the distribution's have no iommufd. Built from its source, a
# change of either line is another build.
iommufd_source=linux-source-6.12
iommufd_config=$lab_dir/host/kernel-iommufd.config
iommufd_key=$(printf '%s ' "$iommufd_source" | cat - "$iommufd_config" | sha256sum | cut -c1-12)

# use_kernel NAME: from here on $lab_kernel and $lab_initrd are those of NAME, for the emulated host.
use_kernel() {
	case $1 in
	debian) ;;
	iommufd)
		lab_kernel=$lab_cache/kernel-iommufd-$iommufd_key
		lab_initrd=$lab_kernel/host-initrd
		;;
	*) die "unknown kernel $1 (debian, iommufd)" ;;
	esac
}
lab_fio=$lab_cache/fio/fio

# Search what Debian keeps outside an ordinary user's PATH too.
PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin

die() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
	exit "${die_status:-255}"
}

kernel_version() {
	local dir=("$lab_kernel"/lib/modules/*)
	printf '%s\n' "${dir[0]##*/}"
}

# module_files NAME...: the files of these modules and of all that they need, in loading order, once
# each. A name the kernel has built in, or does not have, adds nothing.
module_files() {
	local name
	for name; do
		modprobe -d "$lab_kernel" -S "$(kernel_version)" --show-depends "$name" 2>/dev/null || true
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }'
}

# make_initrd DIR FILE: an uncompressed initrd (nothing to unpack where every instruction is
# emulated) of the tree DIR.
make_initrd() {
	(cd "$1" && find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0) >"$2"
}
