# SPDX-License-Identifier: Apache-2.0
# Makes of the bench's data (lines ROW VMM TURN EVENT..., see measure.c and marks.h) the table of docs/bench.md, and in the file `plot`
# the lines of the plot: a number, tinyvmm's share of QEMU's and of kvmtool's, the target, the name.

BEGIN {
	split("tinyvmm microvm q35 kvmtool", vmms)
	kind_begin = 5; kind_done = 6; kind_number = 7
}
$1 == "about" { about[$2] = $3; next }
{ event = $4 }
event == "entry" || event == "end" || event == "private" || event == "binary" || event == "bare" { put(event, $5) }
event == "entry" && NF > 5 { counts("entry", 6) }
event ~ /^((port|mmio)-(read|write)|request)$/ { put(event, $5) }
event == "lost" { print "events were lost: " $0 >"/dev/stderr"; failed = 1 }
event == "gone" && $6 != 0 { print "a run failed: " $0 >"/dev/stderr" }
event == "mark" {
	id = int($6 / 65536)
	if ($5 == kind_begin)
		begun = $7
	else if ($5 == kind_done) {
		n = $6 % 65536
		if (NF > 7)
			counts("op" id, 8, n)
		else
			put("op" id, ($7 - begun) / n)
		of = "op" id
		requests = n
	} else if ($5 == kind_number)
		put(of "-seen", $6 / requests)
	else {
		put("mark" $5, $7)
		if (NF > 7)
			counts("mark" $5, 8)
	}
}

function put(key, value) {
	# Guests without a kernel, beside the least program: apart from the others.
	if ($3 ~ /^loop/)
		key = "loop-" key
	# A run with counters is not timed, and one without counts nothing.
	if ($3 == "count" && key ~ /^(entry|end|op[0-9]+|mark[0-9]+)$/ )
		return
	sum[$1, $2, key] += value
	number[$1, $2, key]++
}

# counts KEY FIELD [N]: four counters from this field on, since the mark before or, for the first ones, since exec; a request.
function counts(key, field, n, name, i) {
	split("calls exits user interrupts", name)
	for (i = 1; i <= 4; i++) {
		since[$1, $2, $3, i] += $(field + i - 1)
		add(key "-" name[i], n ? $(field + i - 1) / n : since[$1, $2, $3, i])
	}
}
function add(key, value) {
	sum[$1, $2, key] += value
	number[$1, $2, key]++
}

function has(row, vmm, key) { return (row, vmm, key) in number }
function mean(row, vmm, key) { return has(row, vmm, key) ? sum[row, vmm, key] / number[row, vmm, key] : "" }

# The less the better; of microvm and q35 the better one, unless the target names one.
function qemu(row, key, which, a, b) {
	if (which)
		return mean(row, which, key)
	a = mean(row, "microvm", key)
	b = mean(row, "q35", key)
	return a == "" ? b : b == "" ? a : a < b ? a : b
}
function number_text(v) {
	return v >= 1000 ? sprintf("%.0f", v) : v >= 100 ? sprintf("%.1f", v) : v >= 1 ? sprintf("%.2f", v) : sprintf("%.3g", v)
}
function ratio_text(v) { return v == "" ? "" : v >= 0.1 || v == 0 ? sprintf("%.2f", v) : sprintf("%.3f", v) }

# line LABEL ROW KEY SCALE [WHICH QMAX KMAX MAX PLOT]: one line of the table. The targets: at most QMAX of QEMU's (of WHICH one's), at
# most KMAX of kvmtool's, at most MAX.
function line(label, row, key, scale, which, qmax, kmax, max, plot, i, v, own, q, k, rq, rk, want, met) {
	own = mean(row, "tinyvmm", key)
	if (own == "")
		return
	q = qemu(row, key, which)
	k = mean(row, "kvmtool", key)
	rq = q != "" && q > 0 ? own / q : ""
	rk = k != "" && k > 0 ? own / k : ""
	if (scale < 0) {
		# A rate: the inverse of what was measured.
		rq = rq == "" ? "" : 1 / rq
		rk = rk == "" ? "" : 1 / rk
	}
	met = "yes"
	if (qmax) {
		want = (scale < 0 ? "≥ " : "≤ ") qmax " of " (which ? which : "QEMU")
		met = judge(met, rq, qmax, scale)
	}
	if (kmax) {
		want = want (want ? ", " : "") (scale < 0 ? "≥ " : "≤ ") kmax " of kvmtool"
		met = judge(met, rk, kmax, scale)
	}
	if (max) {
		want = want (want ? ", " : "") "≤ " max
		met = judge(met, own * scale, max, 1)
	}
	printf "| %s |", label
	for (i = 1; i <= 4; i++) {
		v = mean(row, vmms[i], key)
		printf " %s |", v == "" ? "" : number_text(scale < 0 ? -scale / v : v * scale)
	}
	printf " %s | %s | %s | %s |\n", ratio_text(rq), ratio_text(rk), want, want ? met : ""
	if (plot && rq != "")
		printf "%s\t%s\t%s\t%s\n", scale < 0 ? 1 / rq : rq, rk == "" ? "NaN" : scale < 0 ? 1 / rk : rk,
			qmax ? (scale < 0 ? 1 / qmax : qmax) : "NaN", plot >"plot"
}
# judge SO_FAR VALUE BOUND SIGN: a peer that is not installed meets nothing and misses nothing.
function judge(met, value, bound, sign) {
	if (value == "")
		return met == "yes" ? "not measured" : met
	return (sign < 0 ? value >= bound : value <= bound) ? met : "**no**"
}

END {
	printf "| | tinyvmm | QEMU microvm | QEMU q35 | kvmtool | / QEMU | / kvmtool | target | met |\n"
	print "|---|---|---|---|---|---|---|---|---|"
	line("exec to the first guest instruction, ms", "boot", "entry", 1e-6, "microvm", 0.125, 0.6, "", "first instruction")
	least("boot", "entry", 1e-6, "ms")
	line("— system calls", "boot", "entry-calls", 1, "", "", "", 60)
	line("exec to /init, s", "boot", "mark1", 1e-9, "q35", 0.6, 0.75, "", "/init")
	least("boot", "mark1", 1e-9, "s")
	line("— exits to user space", "boot", "mark1-user", 1, "q35", 0.1)
	line("— all exits", "boot", "mark1-exits", 1, "q35")
	line("— system calls", "boot", "mark1-calls", 1, "q35")
	line("exec to the boot loader, by OVMF, s", "firmware", "mark2", 1e-9, "q35", 0.7, "", "", "boot loader")
	line("— exits to user space", "firmware", "mark2-user", 1, "q35", 0.2)
	line("— all exits", "firmware", "mark2-exits", 1, "q35")
	line("private memory beside the guest's, KiB", "boot", "private", 1, "", "", "", 1024, "private memory")
	line("— binary, stripped, KiB", "boot", "binary", 1, "", "", "", 512)
	disk("4 KiB random read, depth 1: added latency, µs", "op1", "added", 1e-3, 0.5, "", "read, depth 1", 1)
	disk("4 KiB random read, depth 32: 1000 a second", "op2", "op2", -1e6, 1.6, 2.5, "read, depth 32", 0.1)
	disk("1 MiB sequential read: MiB a second", "op3", "op3", -1e9, 1, "", "sequential", "")
	line("port exit, µs", "exits", "op4", 1e-3, "", 0.5, "", "", "port exit")
	line("— exits to user space an access", "exits", "op4-user", 1)
	line("MMIO exit, µs", "exits", "op5", 1e-3, "", 0.5, "", "", "MMIO exit")
	line("— exits to user space an access", "exits", "op5-user", 1)
	beside("port write, no kernel in the guest, µs", "exits", "port-write", 1e-3, 1.1)
	beside("port read", "exits", "port-read", 1e-3, 1.1)
	beside("write to memory", "exits", "mmio-write", 1e-3, 1.1)
	beside("read from memory", "exits", "mmio-read", 1e-3, 1.1)
	line("poweroff to process gone, 4 GiB, ms", "end", "end", 1e-6, "", 0.5, "", "", "poweroff")
	least("end", "end", 1e-6, "ms")
	beside("of a guest that has hardly lived, ms", "end", "end", 1e-6)
	printf "\n%s%s%sGuest and emulated host: Linux %s. tinyvmm at %s, %s.\n", about["qemu"] ? "QEMU " about["qemu"] ". " : "QEMU: not installed. ",
		about["kvmtool"] ? "kvmtool " about["kvmtool"] ". " : "kvmtool: not installed. ", "", about["kernel"], about["commit"], about["date"]
	exit failed
}

# beside LABEL ROW KEY SCALE MAX: against the least program that runs a guest.
function beside(label, row, key, scale, max, own, bare) {
	own = mean(row, "tinyvmm", "loop-" key)
	bare = mean(row, "bare", "loop-" key)
	if (own == "" || bare == "")
		return
	printf "| — %s; the least program: %s | %s | | | | | | %s | %s |\n", label, number_text(bare * scale), number_text(own * scale),
		max ? "≤ " max " of that, it is " ratio_text(own / bare) : "", max ? (own / bare <= max ? "yes" : "**no**") : ""
}

# least ROW KEY SCALE UNIT: what the least program takes for the same.
function least(row, key, scale, unit, own, bare) {
	own = mean(row, "tinyvmm", key)
	bare = mean(row, "bare", key)
	if (own != "" && bare != "")
		printf "| — the least program: %s %s, of which it is | %s | | | | | | | |\n", number_text(bare * scale), unit, ratio_text(own / bare)
}

function disk(label, op, key, scale, qmax, kmax, plot, most, i, host, added) {
	host = mean("io", "host", op)
	for (i = 1; i <= 4; i++)
		if (key == "added" && has("io", vmms[i], op)) {
			sum["io", vmms[i], "added"] = mean("io", vmms[i], op) - host
			number["io", vmms[i], "added"] = 1
		}
	line(label, "io", key, scale, "", qmax, kmax, "", plot)
	if (key == "added" && has("io", "bare", "loop-request")) {
		added = mean("io", "bare", "loop-request") - host
		printf "| — the least program with a disk, no kernel in the guest: %s µs, of which it is | %s | | | | | | | |\n",
			number_text(added * scale), ratio_text(mean("io", "tinyvmm", "added") / added)
	}
	line("— exits a request", "io", op "-exits", 1, "", "", "", most)
	line("— interrupts a request, as the guest counts", "io", op "-seen", 1, "", "", "", most)
	line("— system calls a request", "io", op "-calls", 1, "", "", "", most == 1 ? "" : most)
}
