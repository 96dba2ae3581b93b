# SPDX-License-Identifier: Apache-2.0
# Makes of the bench's data (lines ROW VMM TURN EVENT..., see measure.c and marks.h) the table of docs/bench.md, and in the file `plot`
# the lines of the plot: a number, tinyvmm's share of QEMU's and of kvmtool's, the target, the name.

BEGIN {
	split("tinyvmm microvm q35 kvmtool", vmms)
}
$1 == "about" { about[$2] = $3; next }
{ event = $4 }
event == "entry" || event == "end" || event == "private" || event == "binary" { put(event, $5) }
event == "entry" && NF > 5 { counts("entry", 6) }
event ~ /^(port|mmio)-(read|write)$/ { put(event, $5) }
event == "lost" { print "events were lost: " $0 >"/dev/stderr"; failed = 1 }
event == "gone" && $6 != 0 { print "a run failed: " $0 >"/dev/stderr" }
event == "mark" {
	put("mark" $5, $7)
	if (NF > 7)
		counts("mark" $5, 8)
}

function put(key, value) {
	# A run with counters is not timed, and one without counts nothing.
	if ($3 == "count" && key ~ /^(entry|end|mark[0-9]+)$/ )
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
	line("— system calls", "boot", "entry-calls", 1, "", "", "", 60)
	line("exec to /init, s", "boot", "mark1", 1e-9, "q35", 0.6, 0.75, "", "/init")
	line("— exits to user space", "boot", "mark1-user", 1, "q35", 0.1)
	line("— all exits", "boot", "mark1-exits", 1, "q35")
	line("— system calls", "boot", "mark1-calls", 1, "q35")
	line("exec to the boot loader, by OVMF, s", "firmware", "mark2", 1e-9, "q35", 0.7, "", "", "boot loader")
	line("— exits to user space", "firmware", "mark2-user", 1, "q35", 0.2)
	line("— all exits", "firmware", "mark2-exits", 1, "q35")
	line("private memory beside the guest's, KiB", "boot", "private", 1, "", "", "", 1024, "private memory")
	line("— binary, stripped, KiB", "boot", "binary", 1, "", "", "", 512)
	beside("port write that the process handles, ns", "port-write")
	beside("port read", "port-read")
	beside("write to memory", "mmio-write")
	beside("read from memory", "mmio-read")
	printf "\n%s%s%sGuest and emulated host: Linux %s. tinyvmm at %s, %s.\n", about["qemu"] ? "QEMU " about["qemu"] ". " : "QEMU: not installed. ",
		about["kvmtool"] ? "kvmtool " about["kvmtool"] ". " : "kvmtool: not installed. ", "", about["kernel"], about["commit"], about["date"]
	exit failed
}

# beside LABEL KEY: against the least program that runs a guest.
function beside(label, key, own, bare) {
	own = mean("exits", "tinyvmm", key)
	bare = mean("exits", "bare", key)
	if (own == "" || bare == "")
		return
	printf "| %s; the least program: %s | %s | | | | | | ≤ 1.1 of that, it is %s | %s |\n", label, number_text(bare),
		number_text(own), ratio_text(own / bare), own / bare <= 1.1 ? "yes" : "**no**"
}
