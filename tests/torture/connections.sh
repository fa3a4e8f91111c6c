#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Clients that go away in the middle of what they ask.

. "$(dirname "$0")/lib.sh"

head -c 20000 /dev/zero >"$docroot/index.html"
load
run connections
still_serves
done_torturing
