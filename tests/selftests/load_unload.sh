#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module loads, describes itself, and unloads, again and again.

. "$(dirname "$0")/lib.sh"

is "it has a licence" "$(modinfo -F license "$module")" GPL

for round in 1 2 3 4 5; do
	load
	check "round $round: it is loaded" loaded
	unload
	if loaded; then
		not_ok "round $round: it is unloaded"
	else
		ok "round $round: it is unloaded"
	fi
done

done_testing
