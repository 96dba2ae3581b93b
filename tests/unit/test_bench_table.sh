#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The bench's table, made from data that are made up.
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
number=0

check() { # NAME PATTERN: a line of the table matches.
	number=$((number + 1))
	if grep -qE -- "$2" table; then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
		sed 's/^/# /' table
	fi
}
refuse() { # NAME PATTERN
	number=$((number + 1))
	if grep -qE -- "$2" table; then echo "not ok $number - $1"; else echo "ok $number - $1"; fi
}
make_table() {
	awk -f "$here/../bench/table.awk" data >table
}

echo 1..8
cat >data <<DATA
boot tinyvmm 1 entry 10000000
boot tinyvmm 2 entry 30000000
boot tinyvmm count entry 99000000 50 1 2 3
boot tinyvmm 1 mark 1 0 1000000000
boot tinyvmm count mark 1 0 9000000000 7 8 9 10
boot tinyvmm count private 2000
boot tinyvmm 1 gone 2 0
boot microvm 1 entry 200000000
boot q35 1 entry 100000000
boot q35 1 mark 1 0 2000000000
boot q35 count entry 1 1 1 1 1
boot q35 count mark 1 0 1 100 100 1000 100
boot kvmtool 1 entry 30000000
exits tinyvmm 1 port-read 3900
exits tinyvmm 2 port-read 4100
exits bare 1 port-read 3200
about kernel 6.1
DATA
make_table
check 'times are means of the runs without counters' 'first guest instruction, ms \| 20.00 \| 200.0 \| 100.0 \| 30.00 \|'
check 'a target names its peer' '/init, s \| 1.00 \| +\| 2.00 \| +\| 0.50 \|'
check 'a target of two of which one is missed is missed' 'first guest instruction.* 0.10 \| 0.67 \|.*\*\*no\*\* \|$'
check 'counts come from the runs with counters' 'system calls \| 50.00 \| .*≤ 60 \| yes'
check 'counts add up from exec on' 'exits to user space \| 11.00 \|.*1001 \|'
check 'a bound without a peer' 'private memory.* 2000 \|.*≤ 1024 \| \*\*no\*\*'
check 'the least program is beside it' 'port read; the least program: 3200 \| 4000 \|.* it is 1.25 \| \*\*no\*\*'
refuse 'what was not measured is not in the table' 'boot loader'
