#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The jobs and scripts of docs/ci.md: that they can be read by whom they are for, and what the script tries again. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
doc=$PWD/docs/ci.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

n=0 failed=0
ok() { # NAME STATUS
	n=$((n + 1))
	if [ "$2" = 0 ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1"
		failed=1
	fi
}

# Each piece of code is a file: 1.ini, 2.sh, ...
awk '/^```[a-z]/ { out = ++i "." substr($0, 4); next } /^```$/ { out = ""; next } out { print >out }' "$doc"

for script in *.sh; do
	sh -n "$script"
	ok "$(sed -n 's/^# \([^:]*\):.*/\1/p' "$script" | head -n 1) is a script" $?
done
if python3 -c 'import yaml' 2>/dev/null; then
	python3 -c 'import sys, yaml
for name in sys.argv[1:]:
    with open(name) as f:
        job = yaml.safe_load(f)
    job = job.get("jobs", job)["gpu-tests"]
    lines = job.get("script") or [step["run"] for step in job["steps"] if "run" in step]
    assert any(line.startswith("gpu-run ") for line in lines), name' ./*.yaml
	ok "jobs are YAML" $?
fi

# gpu-run with a tinyvmm whose runs end with the verdicts of $VERDICTS, one after the other.
mkdir bin
cat >bin/tinyvmm <<'END'
#!/bin/sh
echo "$*" >>calls
verdict=$(echo "$VERDICTS" | cut -d' ' -f"$(wc -l <calls)")
[ "$1" = run ] || exit 0
while [ "$1" != --json ]; do shift; done
printf '{\n  "version": 1,\n  "verdict": "%s",\n  "status": 0\n}\n' "$verdict" >"$2"
case $verdict in
passed) exit 0 ;;
failed) exit 7 ;;
host-failed) exit 125 ;;
*) exit 121 ;;
esac
END
cp "$(grep -l '^# gpu-run' ./*.sh)" bin/gpu-run
# Of Slurm's scripts: with IOMMU groups of our own, and that tinyvmm.
groups=$work/groups
to_ours="s,/sys/kernel/iommu_groups,$groups,; s,/usr/local/bin/tinyvmm,tinyvmm,"
sed "$to_ours" "$(grep -l '^# gpu-slurm' ./*.sh)" >bin/gpu-slurm
sed "$to_ours" "$(grep -l "^# Slurm's prolog" ./*.sh)" >bin/prolog
chmod +x bin/*
PATH=$work/bin:$PATH
# tries NAME VERDICTS STATUS CALLS
tries() {
	rm -f calls
	VERDICTS=$2 gpu-run pytest "a b" 2>/dev/null
	[ $? = "$3" ] && [ "$(wc -l <calls)" = "$4" ] && grep -q -- '--gpu any .* -- pytest a b$' calls
	ok "$1" $?
}
tries 'what passed is not run again' passed 0 1
tries 'what failed is not run again' failed 7 1
tries 'a fault of the host is not the test'\''s' 'gpu-error passed' 0 2
tries 'three faults are enough' 'gpu-gone host-failed gpu-not-reset' 121 3

rm -f calls
SLURM_JOB_GPUS=none VERDICTS=passed gpu-slurm pytest 2>/dev/null
[ $? = 125 ] && [ ! -e calls ]
ok 'a GPU that Slurm names and the host has not is none' $?
rm -f calls
SLURM_JOB_GPUS='' VERDICTS=passed gpu-slurm pytest 2>said
[ $? = 125 ] && [ ! -e calls ] && grep -q 'no GPU' said
ok 'a job without a GPU fails' $?
mkdir -p "$groups/14/devices/0000:00:02.0"
echo 0x060400 >"$groups/14/devices/0000:00:02.0/class"
(unset SLURM_JOB_GPUS && VERDICTS=passed SLURM_STEP_GPUS=14 gpu-slurm pytest 2>/dev/null)
[ $? = 125 ] && [ ! -e calls ]
ok 'and so does one whose group has bridges only' $?
SLURM_JOB_USER=ci SLURM_JOB_GPUS=none prolog 2>/dev/null
[ $? = 1 ] && [ ! -e calls ]
ok 'nor is it given to a user' $?

# A group with the root port above the GPU.
for device in 0000:00:01.0:0x060400 0000:01:00.0:0x030000 0000:01:00.1:0x040300; do
	mkdir -p "$groups/13/devices/${device%:*}"
	echo "${device##*:}" >"$groups/13/devices/${device%:*}/class"
done
SLURM_JOB_USER=ci SLURM_JOB_GPUS=13 VERDICTS=passed prolog
[ "$(cat calls)" = 'bind 0000:01:00.0 0000:01:00.1 --user ci' ]
ok 'the prolog binds what a group has but bridges' $?
rm -f calls
SLURM_JOB_GPUS=13 VERDICTS=passed gpu-slurm pytest
grep -q '^run --iommu type1 --gpu 0000:01:00.0 --gpu 0000:01:00.1 --wait' calls
ok 'a job has what a group has but bridges' $?

# One that does not even start leaves no record: an older one is not its.
echo '{ "verdict": "gpu-error" }' >record/run.json
printf '#!/bin/sh\necho >>calls\nexit 127\n' >bin/tinyvmm
rm -f calls
gpu-run pytest 2>/dev/null
[ $? = 127 ] && [ "$(wc -l <calls)" = 1 ]
ok 'a record of before is not taken for that of this run' $?

echo "1..$n"
exit $failed
