# SPDX-License-Identifier: Apache-2.0
# For cases: a guest whose disk shall hold what it was told is there (numbered.c).

# numbered_guest NAME SEED: NAME.cpio, for `vm NAME`, writes batches to its first disk for ever and prints the number of each that is
# flushed. ./numbered checks them.
numbered_guest() {
	gcc -std=gnu17 -O1 -Wall -Wextra -Werror -static -o numbered "$lab/disk/numbered.c"
	guest_kernel "$1" "/bin/numbered write /dev/vda $2"
	mkdir -p tree/bin
	cp numbered tree/bin
	make_initrd tree more.cpio
	cat more.cpio >>"$1.cpio"
}

# For the host's script: the last batch that the guest of `vm_start` printed, its line's end too (half a number is a smaller one), and
# the check of its DISK.
numbered_host='
numbered_last() { tr "\r" . <$vm_name.log | sed -n "s/^@\([0-9]*\)[.]$/\1/p" | tail -n 1; }
# numbered_check NAME DISK SEED LAST
numbered_check() { echo "$1: $(./numbered check $2 $3 $4 2>&1 | tail -n 1)"; }
'
