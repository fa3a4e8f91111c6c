#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# Streams of requests made of the corpus by chance, over real connections: what is answered is what
# the parser of the module, compiled for the client, says must be. With every second seed there is
# a backing server, which gets what is its.

. "$(dirname "$0")/lib.sh"

docroot_on_disk
echo index >"$docroot/index.html"
echo a >"$docroot/a"
mkdir "$docroot/b"
seq 2000 >"$docroot/file"
gzip -k "$docroot/file"
touch -r "$docroot/file" "$docroot/file.gz"
mkdir "$docroot/dir"
touch "$docroot/dir/one" "$docroot/dir/a b"
echo no >"$docroot/no.html"
chmod 755 "$docroot" "$docroot"/*/
load
sysctl_set http_dir_indexing 1
sysctl_set error_pages 404=/no.html
sysctl_set cache_control 'text/html=60 */*=5'
sysctl_set extra_header 'X-Torture: yes'
if [ $((TEST_SEED % 2)) = 1 ]; then
	export backing=8081
	sysctl_set clientport $backing
	# What is not found is answered with an error page, or there.
	sysctl_set handoff_not_found $((TEST_SEED / 2 % 2))
fi
# What a stream leads to must not depend on how fast the machine is.
for timeout in header body send linger; do
	sysctl_set ${timeout}_timeout 3600
done
sysctl_set keepalive_timeout 0
# What the corpus has of single fields, on connections that go on, for what there is here.
for name in file dir/ dir none; do
	sed -E "s|^> (GET\|HEAD) / HTTP/1\.0|> \1 /$name HTTP/1.1\n> Host: a|" \
		"$torture"/../corpus/{range,conditional,accept_encoding}.txt >"$tmp/of-${name//\//-}.txt"
done
export guided=0
! grep -qa kcov_remote_start "$module" || guided=1
clients_come
run fuzzer "$torture"/../corpus/*.txt "$tmp"/of-*.txt
clients_wrote_nothing
was_fast
still_serves
done_torturing
