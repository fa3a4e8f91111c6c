#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Streams of requests made of the corpus by chance, over real connections: what is answered is what
# the parser of the module, compiled for the client, says must be.

. "$(dirname "$0")/lib.sh"

echo index >"$docroot/index.html"
echo a >"$docroot/a"
mkdir "$docroot/b"
seq 2000 >"$docroot/file"
load
run fuzzer "$torture"/../corpus/*.txt
still_serves
done_torturing
