# SPDX-License-Identifier: Apache-2.0
# For the scripts that a case runs in the emulated host (see host in case.sh): tinyvmm in the foreground and in the background,
# and what can be seen of it. For sh.

# vm_exec OPTION...: the command itself, for a guest of guest_kernel with its kernel. `quiet`: the serial console is slow. No early
# PCI: on a CPU like the emulated one, the kernel would look for an AGP bridge on 256 buses, twice.
vm_exec() {
	if [ -e "$vm_name.cpio" ]; then
		set -- --kernel "$kernel" --initrd "$vm_name.cpio" \
			--cmdline "console=ttyS0 quiet panic=-1 mitigations=off pci=noearly${vm_cmdline:+ $vm_cmdline}" "$@"
	fi
	# What a disk brings along: passt takes a second or two here, be it only to find that this host has no route.
	case "$1 $* " in
	--*' --net'[' =']* | --*' -- '*) ;;
	--*) set -- "$@" --net none ;;
	esac
	# These words are of devices.
	case " $* " in
	*' --gpu'[' =']*) vm_words=${LAB_VM-} ;;
	*) vm_words= ;;
	esac
	# A shell ignores SIGINT for its background jobs, and tinyvmm leaves ignored what was.
	# shellcheck disable=SC2086 # many words
	exec env --default-signal=INT "$tinyvmm" $vm_words "$@" </dev/null
}

# vm NAME OPTION...: a run of tinyvmm, whose output goes to NAME.log too, with "NAME: status N" as the last line.
vm() {
	vm_name=$1
	shift
	{
		(vm_exec "$@") 2>&1
		printf '\n%s: status %d\n' "$vm_name" $?
	} | tee "$vm_name.log"
}

# vm_start NAME OPTION...: begins a run in the background; its process is $vm_pid. One at a time.
vm_start() {
	vm_name=$1
	shift
	vm_exec "$@" >"$vm_name.log" 2>&1 &
	vm_pid=$!
}

# vm_until PATTERN: waits until a line of its output matches, or it ends.
vm_until() {
	until grep -aqE -- "$1" "$vm_name.log"; do
		if ! kill -0 $vm_pid 2>/dev/null; then
			echo "$vm_name: ended before a line matched '$1'"
			return 1
		fi
		sleep 0.2
	done
}

# vm_end [SIGNAL]: ends it by the signal, if one is given, and does as vm does at the end.
vm_end() {
	[ $# = 0 ] || kill -"$1" $vm_pid
	wait $vm_pid
	printf '\n%s: status %d\n' "$vm_name" $? >>"$vm_name.log"
	cat "$vm_name.log"
}

# devices: the driver and the driver_override of each device behind a root port, and the journals of tinyvmm.
devices() {
	for device in /sys/bus/pci/devices/0000:0[1-9]:*; do
		[ -e "$device" ] || continue
		driver=$(readlink "$device/driver") || driver=none
		read -r override <"$device/driver_override"
		echo "${device##*/}: driver ${driver##*/}, override $override"
	done
	for journal in /run/tinyvmm/journal/*; do
		[ ! -e "$journal" ] || echo "journal of ${journal##*/}"
	done
}

# wait_for FILE: until it is there, 20 s at most. Some drivers set up their device after they took it.
wait_for() {
	tries=0
	until [ -e "$1" ]; do
		tries=$((tries + 1))
		if [ $tries -gt 100 ]; then
			echo "$1 is not there"
			return 1
		fi
		sleep 0.2
	done
}
