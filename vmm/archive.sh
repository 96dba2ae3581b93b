#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# archive.sh OUT FOLDER OBJCOPY AR LIBRARY... -- CC...: one static library of all, in which only what is visible has a name for
# others: a program may have functions of its own that are called like ours.
set -e
out=$1 folder=$2 objcopy=$3 ar=$4
shift 4
libraries=
while [ "$1" != -- ]; do
	libraries="$libraries $1"
	shift
done
shift
mkdir -p "$folder"
# shellcheck disable=SC2086 # many words
"$@" -r -nostdlib -Wl,--whole-archive $libraries -Wl,--no-whole-archive -o "$folder/tinyvmm.o"
"$objcopy" --localize-hidden "$folder/tinyvmm.o"
rm -f "$out"
"$ar" rcs "$out" "$folder/tinyvmm.o"
