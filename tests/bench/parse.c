// SPDX-License-Identifier: GPL-2.0
/*
 * Prints what it costs to parse some request heads: instructions, and
 * nanoseconds. The parser is parser.o, compiled for the kernel.
 *
 * Instructions are counted by single steps, so that neither the counters of the
 * CPU nor an emulator is needed, and the count is the same on every run. A
 * repeated string instruction counts once for each time.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* In parser.rs. */
size_t bench_parse(const unsigned char *octets, size_t len);

/* The kernel's return thunk, as it is where no mitigation has patched it. */
asm(".globl __x86_return_thunk\n__x86_return_thunk: ret\n");

enum { ROUNDS = 20, CALLS = 20000, EARLIER_CALLS = 2 };

static const struct {
	const char *name;
	const char *head;
	unsigned int more_fields;
} heads[] = {
	{ "minimal", "GET / HTTP/1.1\r\nHost: a\r\n", 0 },
	{ "keep-alive",
	  "GET /f1k.html HTTP/1.1\r\n"
	  "Host: 10.0.0.1\r\n"
	  "User-Agent: hammer\r\n"
	  "Accept: */*\r\n", 0 },
	{ "ab",
	  "GET /index.html HTTP/1.0\r\n"
	  "Connection: Keep-Alive\r\n"
	  "Host: 127.0.0.1:8080\r\n"
	  "User-Agent: ApacheBench/2.3\r\n"
	  "Accept: */*\r\n", 0 },
	{ "wrk",
	  "GET /index.html HTTP/1.1\r\n"
	  "Host: 127.0.0.1:8080\r\n", 0 },
	{ "browser",
	  "GET /assets/app.css HTTP/1.1\r\n"
	  "Host: www.example.com\r\n"
	  "Connection: keep-alive\r\n"
	  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
	  "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
	  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,"
	  "image/avif,image/webp,*/*;q=0.8\r\n"
	  "Upgrade-Insecure-Requests: 1\r\n"
	  "Sec-Fetch-Site: none\r\n"
	  "Sec-Fetch-Mode: navigate\r\n"
	  "Sec-Fetch-Dest: document\r\n"
	  "Accept-Encoding: gzip, deflate, br\r\n"
	  "Accept-Language: en-US,en;q=0.5\r\n"
	  "Cache-Control: no-cache\r\n", 0 },
	{ "revalidate",
	  "GET /assets/app.css HTTP/1.1\r\n"
	  "Host: www.example.com\r\n"
	  "Connection: keep-alive\r\n"
	  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 "
	  "(KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36\r\n"
	  "sec-ch-ua: \"Chromium\";v=\"126\", \"Not.A/Brand\";v=\"8\"\r\n"
	  "sec-ch-ua-mobile: ?0\r\n"
	  "sec-ch-ua-platform: \"Linux\"\r\n"
	  "Accept: */*\r\n"
	  "Sec-Fetch-Site: same-origin\r\n"
	  "Sec-Fetch-Mode: no-cors\r\n"
	  "Sec-Fetch-Dest: style\r\n"
	  "Referer: http://www.example.com/\r\n"
	  "Accept-Encoding: gzip, deflate, br, zstd\r\n"
	  "Accept-Language: en-US,en;q=0.9\r\n"
	  "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
	  "If-None-Match: \"65c8a1f2-1b7a\"\r\n"
	  "If-Modified-Since: Sun, 11 Feb 2024 10:20:30 GMT\r\n", 0 },
	{ "100 fields", "GET / HTTP/1.1\r\nHost: a\r\n", 99 },
};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/*
 * How many instructions a child executes before it stops itself, without those
 * for which it does so: it parses `calls` times.
 */
static unsigned long steps(const char *head, size_t len, int calls)
{
	unsigned long count = 0;
	pid_t child = fork();
	int status;

	if (child < 0)
		die("fork");
	if (child == 0) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			die("ptrace");
		raise(SIGSTOP);
		for (int i = 0; i < calls; i++)
			bench_parse((const unsigned char *)head, len);
		raise(SIGSTOP);
		_exit(0);
	}
	if (waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
		die("no child to trace");
	for (;;) {
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL) ||
		    waitpid(child, &status, 0) < 0 || !WIFSTOPPED(status))
			die("single step");
		if (WSTOPSIG(status) != SIGTRAP)
			break;
		count++;
	}
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return count;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* The time of a call: of several rounds the least disturbed. */
static double nanoseconds(const char *head, size_t len)
{
	double least = 0;

	for (int round = 0; round < ROUNDS; round++) {
		double start = now();

		for (int i = 0; i < CALLS; i++)
			bench_parse((const unsigned char *)head, len);
		start = (now() - start) / CALLS;
		if (round == 0 || start < least)
			least = start;
	}
	return least;
}

int main(void)
{
	static char head[8192];

	printf("%-12s %6s %13s %6s\n", "head", "octets", "instructions", "ns");
	for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		size_t len = strlen(strcpy(head, heads[i].head));

		for (unsigned int n = 0; n < heads[i].more_fields; n++)
			len += sprintf(head + len, "X-Field-%u: value %u\r\n", n, n);
		strcpy(head + len, "\r\n");
		len += 2;
		if (bench_parse((const unsigned char *)head, len) != len) {
			fprintf(stderr, "%s: refused\n", heads[i].name);
			return 1;
		}
		/* What the loop and the signals cost is in both. */
		printf("%-12s %6zu %13lu %6.0f\n", heads[i].name, len,
		       steps(head, len, EARLIER_CALLS + 1) - steps(head, len, EARLIER_CALLS),
		       nanoseconds(head, len));
	}
	return 0;
}
