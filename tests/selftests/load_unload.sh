#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The module loads, describes itself, serves, and unloads, again and again.

. "$(dirname "$0")/lib.sh"

is "it has a licence" "$(modinfo -F license "$module")" GPL

echo index >"$docroot/index.html"
for round in $(seq "${TEST_ROUNDS:-5}"); do
	load
	check "round $round: it is loaded" loaded
	check "round $round: it serves" reachable 127.0.0.1
	unload
	if loaded; then
		not_ok "round $round: it is unloaded"
	else
		ok "round $round: it is unloaded"
	fi
done

done_testing
