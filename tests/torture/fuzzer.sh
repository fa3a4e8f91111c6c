#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Streams of requests made of the corpus by chance, over real connections: what is answered is what
# the parser of the module, compiled for the client, says must be.

. "$(dirname "$0")/lib.sh"

docroot_on_disk
echo index >"$docroot/index.html"
echo a >"$docroot/a"
mkdir "$docroot/b"
seq 2000 >"$docroot/file"
load
# What a stream leads to must not depend on how fast the machine is.
for timeout in header body send linger; do
	sysctl_set ${timeout}_timeout 3600
done
sysctl_set keepalive_timeout 0
run fuzzer "$torture"/../corpus/*.txt
was_fast
still_serves
done_torturing
