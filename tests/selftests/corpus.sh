#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# The cases of tests/corpus against the socket: whole, cut in two at every octet (on
# the stock kernel), and octet by octet. Each is answered, or refused, and counted as
# the corpus says, and what stands behind it in the stream is answered only if it is
# a request of its own.
#
# Cases of more than 300 octets, which are long runs of one octet, are cut behind each of their
# first 100 and last 50 octets, and behind every 89th between. TEST_STRIDE=1 cuts them everywhere,
# too, which takes minutes.

. "$(dirname "$0")/lib.sh"

load
# The pieces of a case may take as long as they need.
sysctl_set header_timeout 3600
sysctl_set body_timeout 3600
sysctl_set linger_timeout 3600
sysctl_set keepalive_timeout 0

phase() {
	python_checks "$@" <<-'END_OF_PYTHON'
		import sys
		import corpus_client
		corpus_client.main(sys.argv[1], int(sys.argv[2]))
	END_OF_PYTHON
}

phase whole 1
# 45,000 connections take a quarter of an hour on the checking kernel; octet by octet has the same
# cuts, all in one connection.
[ "${RUST_TUX_KERNEL:-stock}" = debug ] || phase cut "${TEST_STRIDE:-89}"
phase octets "${TEST_STRIDE:-89}"
sysctl_set header_timeout 1
sysctl_set body_timeout 1
phase timeouts 1

done_testing
