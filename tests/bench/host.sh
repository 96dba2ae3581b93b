# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154 # row is set by the script that `run` makes
# For the rows, which run in the emulated host, in the folder bench of a root in memory ($root): how each VMM is started, and the order of the runs. For sh. Sets $vmms.
#
# A row sets:  job   what the guest does (guest-init.c)          ram   MiB of guest memory
#              disk  a disk for the guest, or empty              words more for the kernel's command line
# Data go to /results/data, a line an event of measure.c: ROW VMM TURN EVENT...

job=boot ram=256 disk='' words=''
ovmf=/usr/share/OVMF
# An ordinary host copies memory by whole words or better. Where each repetition of a string instruction is counted, copying byte by
# byte, which ERMS is about, would be eight times as dear as the rest; the emulated host's kernel is started without, too.
export GLIBC_TUNABLES=glibc.cpu.hwcaps=-ERMS,-FSRM HOME=/tmp TMPDIR=/var/tmp

root=/mnt
mount -t tmpfs -o size=2g bench $root
# In large pieces: each read of a folder from outside takes its time.
(cd $root && dd if=/results/root.cpio bs=1M status=none | cpio -id --quiet)
for folder in dev proc sys; do
	mount --rbind /$folder $root/$folder
done
cd $root/bench || exit 1

vmms=tinyvmm
if command -v qemu-system-x86_64 >/dev/null; then vmms="$vmms microvm q35"; fi
if command -v lkvm >/dev/null; then vmms="$vmms kvmtool"; fi

# only VMM...: those of them that are installed, for a row that the others have no part in.
only() {
	some=
	for one; do
		case " $vmms " in *" $one "*) some="$some $one" ;; esac
	done
	vmms=$some
}

# start VMM TURN [-c]: one run of it. What it takes for its best is said in docs/bench.md.
start() {
	vmm=$1 turn=$2
	shift 2
	line="console=ttyS0 quiet panic=-1 mitigations=off pci=noearly bench=$job${words:+ $words}"
	case $job.$vmm in
	firmware.tinyvmm)
		set -- "$@" ./tinyvmm --cpus 1 --memory "${ram}M" --firmware "$ovmf/OVMF_CODE.fd" --disk "$disk" --net none
		;;
	firmware.q35)
		set -- "$@" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -cpu host -smp 1 -m "$ram" \
			-serial stdio -M q35,accel=kvm,sata=off,smbus=off,vmport=off,usb=off,hpet=off \
			-drive "if=pflash,unit=0,format=raw,readonly=on,file=$ovmf/OVMF_CODE.fd" \
			-drive "if=pflash,unit=1,format=raw,snapshot=on,file=$ovmf/OVMF_VARS.fd" \
			-object iothread,id=io,poll-max-ns=0 \
			-drive "if=none,id=d,format=raw,file=$disk,aio=io_uring,cache.direct=off" \
			-device virtio-blk-pci,drive=d,iothread=io,num-queues=1,disable-legacy=on,bootindex=0
		;;
	*.tinyvmm)
		set -- "$@" ./tinyvmm --cpus 1 --memory "${ram}M" --kernel vmlinux --initrd initrd --cmdline "$line"
		[ -z "$disk" ] || set -- "$@" --disk "$disk,cache=direct" --net none
		;;
	*.microvm | *.q35)
		set -- "$@" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot -cpu host -smp 1 -m "$ram" \
			-serial stdio -kernel vmlinux -initrd initrd -append "$line"
		if [ "$vmm" = q35 ]; then
			set -- "$@" -M q35,accel=kvm,sata=off,smbus=off,vmport=off,usb=off,hpet=off -bios qboot.rom
		else
			set -- "$@" -M microvm,accel=kvm,x-option-roms=off,pit=off,pic=off,rtc=off,acpi=on,auto-kernel-cmdline=on
		fi
		if [ "$disk" ]; then
			set -- "$@" -object iothread,id=io,poll-max-ns=0 \
				-drive "if=none,id=d,format=raw,file=$disk,aio=io_uring,cache.direct=on,file.locking=off"
			if [ "$vmm" = q35 ]; then
				set -- "$@" -device virtio-blk-pci,drive=d,iothread=io,num-queues=1,disable-legacy=on
			else
				set -- "$@" -device virtio-blk-device,drive=d,iothread=io,num-queues=1
			fi
		fi
		;;
	*.bare)
		set -- "$@" ./bare vmlinux "$ram" initrd "$line bench_end=reboot"
		;;
	*.kvmtool)
		set -- "$@" lkvm run --nodefaults -k bzimage -i initrd -c 1 -m "$ram" --console serial --network mode=none \
			-p "$line bench_end=reboot"
		# Linux 6.1 finds no timer in the MP table that kvmtool makes of a machine with a disk, and ends in setup_IO_APIC.
		[ -z "$disk" ] || set -- "$@" --disk "$disk,direct" -p "$line bench_end=reboot noapic"
		;;
	esac
	run "$vmm" "$turn" "$@"
	if [ "$turn" != warm ] && ! grep -aq '^mark ' "$row.$vmm.$turn.err"; then
		echo "the guest did not come to its job:"
		tail -n 15 "$row.$vmm.$turn.err" "$row.$vmm.$turn.out"
	fi
}

# run VMM TURN [-c] COMMAND...: one run of anything.
run() {
	vmm=$1 turn=$2
	shift 2
	echo "$row: $vmm, $turn"
	timeout 60 ./measure "$@" </dev/null >"$row.$vmm.$turn.out" 2>"$row.$vmm.$turn.err"
	[ "$turn" != warm ] || return 0
	grep -aE '^(entry|mark|private|ram|end|gone|lost) ?' "$row.$vmm.$turn.err" | sed "s/^/$row $vmm $turn /" >>/results/data
	# What a guest without a kernel has to say of itself (exits.S).
	sed -nE "s/^(port-read|port-write|mmio-read|mmio-write|request) ([0-9]+)\r*$/$row $vmm $turn \1 \2/p" "$row.$vmm.$turn.out" >>/results/data
	if ! grep -aq '^gone .* 0$' "$row.$vmm.$turn.err"; then
		tail -n 15 "$row.$vmm.$turn.err" "$row.$vmm.$turn.out"
	fi
}

# turns: each VMM, and each once more in the reverse order, so that what changes slowly meets all alike.
turns() {
	back=
	for one in $vmms; do
		start "$one" warm -w
	done
	for one in $vmms; do
		start "$one" 1
		back="$one $back"
	done
	for one in $back; do
		start "$one" 2
	done
}

# counts: each VMM once with counters.
counts() {
	for one in $vmms; do
		start "$one" count -c
	done
}
