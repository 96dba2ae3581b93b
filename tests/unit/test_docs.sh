#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# That docs/options.md and the manual page have all options and all pages of the help, and docs/list-doctor.md
# all checks of doctor. Prints TAP.
cd "$(dirname "$0")/../.." || exit 1

# lacks WORD... <TEXT: those that are not in it, as words of their own.
lacks() {
	local text
	text=$(cat)
	for word; do
		grep -qE -- "(^|[^a-z-])$word([^a-z-]|\$)" <<<"$text" || printf ' %s' "$word"
	done
}

n=0 failed=0
has() { # NAME LACKING
	n=$((n + 1))
	if [ -z "$2" ]; then
		echo "ok $n - $1"
	else
		echo "not ok $n - $1:$2"
		failed=1
	fi
}

manual() {
	sed 's/\\-/-/g; s/Fl - Ar/Fl Ar/; s/Fl -/--/g; s/| -\([a-z]\)/| --\1/g' docs/tinyvmm.1
}

mapfile -t options < <(sed -n '/ options_defs\[\]/,/^};/s/^\t{ "\([a-z0-9-]*\)", [^,]*, [A-Z _|]*, .*/--\1/p' vmm/options/options_defs.c | sort -u)
mapfile -t pages < <(sed -n '/options_help_pages\[\]/,/;/p' vmm/options/options_help_run.c | grep -o '"[a-z]\+"' | tr -d '"')
mapfile -t common < <(printf '%s\n' "${options[@]}" | grep -vxE -- '--(rw|env|root|junit|help|version|verbose|quiet|all)')
mapfile -t checks < <(sed -n '/^const struct doctor_.*_checks\[\]/,/^};/s/^\t{ "\([a-z-]*\)", .*/\1/p' vmm/cli/doctor_{host,device}.c)
if [ "${#options[@]}" -lt 30 ] || [ "${#pages[@]}" -lt 7 ] || [ "${#checks[@]}" -lt 30 ]; then
	echo 'Bail out! the tables of the options look different'
	exit 1
fi

has 'options.md has all options' "$(lacks "${options[@]}" <docs/options.md)"
has 'the manual page describes all options' "$(manual | sed -n '/^\.Sh DESCRIPTION/,$p' | lacks "${options[@]}")"
has 'its synopsis has all that do not only go with a command' "$(manual | sed -n '/^\.Sh SYNOPSIS/,/^\.Sh DESCRIPTION/p' |
	lacks "${common[@]}")"
has 'options.md names the pages of the help' "$(sed -n '/^## -h, --help/,/^## /p' docs/options.md | lacks "${pages[@]}")"
has 'the manual page names them' "$(manual | sed -n '/^\.It --h , --help/,/^\.It/p;/^\.It Fl h/,/^\.It --V/p' | lacks "${pages[@]}")"
has 'list-doctor.md has all checks of doctor' "$(sed -n '/^| check of/,/^$/p' docs/list-doctor.md | cut -d '|' -f 2 | lacks "${checks[@]}")"

echo "1..$n"
exit $failed
