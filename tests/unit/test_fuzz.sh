#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Each target of tests/fuzz with inputs that are the same each time; tests/run has built them. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1
[ -d "$1/fuzz" ] || {
	echo '1..1'
	echo 'ok 1 - fuzz # SKIP the compiler has no sanitizers (libasan, libubsan)'
	exit 0
}
exec tests/fuzz/run driver "$1/fuzz"
