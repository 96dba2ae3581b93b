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
mark() { # KIND OP N NS [COUNTS]
	echo "mark $1 $(($2 << 16 | $3)) $4${5:+ $5}"
}

echo 1..15
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
io host 1 $(mark 5 1 100 0)
io host 1 $(mark 6 1 100 1000000)
io tinyvmm 1 $(mark 5 1 100 0)
io tinyvmm 1 $(mark 6 1 100 2000000)
io tinyvmm 1 $(mark 5 1 100 0 '9 9 9 9')
io tinyvmm 1 $(mark 6 1 100 5000000 '400 100 0 200')
io tinyvmm 1 mark 7 150 5000000 1 1 1 1
io q35 1 $(mark 5 1 100 0)
io q35 1 $(mark 6 1 100 5000000)
io microvm 1 $(mark 5 1 100 0)
io microvm 1 $(mark 6 1 100 4000000)
io tinyvmm 1 $(mark 5 2 100 0)
io tinyvmm 1 $(mark 6 2 100 1000000)
io q35 1 $(mark 5 2 100 0)
io q35 1 $(mark 6 2 100 2000000)
exits tinyvmm 1 $(mark 5 4 100 0)
exits tinyvmm 1 $(mark 6 4 100 300000)
exits tinyvmm 1 $(mark 5 4 100 400000 '9 9 9 9')
exits tinyvmm 1 $(mark 6 4 100 900000 '100 100 100 0')
exits q35 1 $(mark 5 4 100 0)
exits q35 1 $(mark 6 4 100 1000000)
exits tinyvmm loop1 port-read 3900
exits bare loop1 port-read 3000
end tinyvmm 1 end 20000000
end q35 1 end 80000000
about kernel 6.1
DATA
make_table
check 'times are means of the runs without counters' 'first guest instruction, ms \| 20.00 \| 200.0 \| 100.0 \| 30.00 \|'
check 'a target names its peer' '/init, s \| 1.00 \| +\| 2.00 \| +\| 0.50 \|'
check 'a target of two of which one is missed is missed' 'first guest instruction.* 0.10 \| 0.67 \|.*\*\*no\*\* \|$'
check 'counts come from the runs with counters' 'system calls \| 50.00 \| .*≤ 60 \| yes'
check 'counts add up from exec on' 'exits to user space \| 11.00 \|.*1001 \|'
check 'a bound without a peer' 'private memory.* 2000 \|.*≤ 1024 \| \*\*no\*\*'
check 'the share of the host is taken off a latency' 'depth 1: added latency, µs \| 10.00 \| 30.00 \| 40.00 \|'
check 'of two QEMUs it is the better one' 'depth 1: added.* 0.33 \|.*yes'
check 'counts are for each request' 'exits a request \| 1.00 \|'
check 'a rate is the better the larger' 'depth 32: 1000 a second \| 100.0 \| +\| 50.00 \| +\| 2.00 \|.*not measured'
check 'an exit of a port is the mean of many' 'port exit, µs \| 3.00 \| +\| 10.00 \| +\| 0.30 \|.*yes'
check 'and is counted' 'exits to user space an access \| 1.00 \|'
check 'the least program is beside it' 'port read; the least program: 3.00 \| 3.90 \|.* it is 1.30 \| \*\*no\*\*'
check 'what is left after a power-off' 'poweroff.* 20.00 \| +\| 80.00 \| +\| 0.25 \|.*yes'
refuse 'what was not measured is not in the table' 'MMIO'
