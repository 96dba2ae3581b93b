#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The installed library with a guest: what tests/unit/test_library.sh checks, to the end. Argument: the build folder. Prints TAP.
if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	printf '1..1\nok 1 - library # SKIP /dev/kvm cannot be used\n'
	exit 0
fi
exec "$(dirname "$0")/../unit/test_library.sh" "$1" "$1/tests/kvm/life1.elf"
