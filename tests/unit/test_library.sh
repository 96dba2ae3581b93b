#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The library as others find it: installed somewhere, found by pkg-config, linked both ways, with no name in it but its header's.
# Arguments: the build folder, and the guest that the example runs, if /dev/kvm can be used. Prints TAP.
set -u
build=${1-} guest=${2-}
if [ -z "$build" ]; then
	printf '1..1\nok 1 - library # SKIP no build folder is named\n'
	exit 0
fi
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

n=0 failed=0
# check NAME COMMAND...: a failing command's output is shown.
check() {
	local name=$1
	shift
	n=$((n + 1))
	if "$@" >"$work/out" 2>&1; then
		echo "ok $n - $name"
	else
		echo "not ok $n - $name"
		sed 's/^/# /' "$work/out"
		failed=1
	fi
}

# What a shared library or an archive shows to others.
only_ours() {
	! nm --defined-only --extern-only "$@" | awk 'NF == 3 && $2 != "A" { print $3 }' | grep -v '^tinyvmm_' &&
		nm --defined-only --extern-only "$@" | grep -q ' T tinyvmm_run'
}

# PROGRAM OPTION...: its output in `console`, what it says in `told`; both are shown for who looks for a failure.
embed() {
	local status=0
	LD_LIBRARY_PATH=$lib "$@" >"$work/console" 2>"$work/told" || status=$?
	cat "$work/console" "$work/told"
	return $status
}

# Before there is a guest: a machine larger than any host.
refuses() {
	local status=0
	embed "$1" 1 --memory 32T --kernel /nonexistent || status=$?
	[ $status = 6 ] && grep -q '^embed: not-started: ' "$work/told"
}

runs() {
	embed "$1" 20 --kernel "$guest" --memory 64M --cpus 1 && grep -q '^mmio-read ' "$work/console" &&
		grep -q '^embed: started' "$work/told" && grep -q '^embed: powered-off: the guest powered off' "$work/told"
}

check 'installs' env DESTDIR="$work/root" meson install --no-rebuild --quiet -C "$build"
pc=$(find "$work/root" -name tinyvmm.pc)
lib=$(dirname "$(dirname "$pc")")
header=$(find "$work/root" -name tinyvmm.h)
export PKG_CONFIG_PATH=$lib/pkgconfig PKG_CONFIG_SYSROOT_DIR=$work/root
cc=${CC:-cc}

check 'header is C' $cc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c "$header"
if command -v c++ >/dev/null; then
	check 'header is C++' c++ -std=c++11 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c++ "$header"
fi
check 'shared library shows nothing else' only_ours --dynamic "$lib/libtinyvmm.so.0"
check 'static library shows nothing else' only_ours "$lib/libtinyvmm.a"
# shellcheck disable=SC2046 # many words
check 'example with the shared library' $cc -Wall -Wextra -Werror "$source/docs/examples/embed.c" \
	$(pkg-config --cflags --libs tinyvmm) -pthread -o "$work/shared"
# shellcheck disable=SC2046
check 'example with the static library' $cc -Wall -Wextra -Werror "$source/docs/examples/embed.c" \
	$(pkg-config --cflags --libs --static tinyvmm | sed 's/-ltinyvmm/-l:libtinyvmm.a/') -o "$work/static"
for how in shared static; do
	if [ -n "$guest" ]; then
		check "a guest, $how" runs "$work/$how"
	else
		check "a refusal, $how" refuses "$work/$how"
	fi
done
echo "1..$n"
exit $failed
