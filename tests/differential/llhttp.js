// SPDX-License-Identifier: GPL-2.0
//
// usage: node llhttp.js LLHTTP CASES
//
// What llhttp makes of each case, a line each as main.rs describes it. LLHTTP
// is the WebAssembly that the npm package `undici` brings; nothing lenient is on.

'use strict';

const fs = require('fs');

const [, , modulePath, casesPath] = process.argv;
const HEADERS_COMPLETE = 1, MESSAGE_COMPLETE = 2;
const PAUSED = 21, PAUSED_UPGRADE = 22;
const F_CHUNKED = 0x8, F_CONTENT_LENGTH = 0x20;

// What the callbacks have seen.
let seen;
let text = (at, len) => Buffer.from(wasm.memory.buffer, at, len).toString('latin1');

const wasm = new WebAssembly.Instance(new WebAssembly.Module(require(require('path').resolve(modulePath))), {
	env: {
		wasm_on_message_begin: () => 0,
		wasm_on_url: (p, at, len) => { seen.target += text(at, len); return 0; },
		wasm_on_status: () => 0,
		wasm_on_header_field: () => 0,
		wasm_on_header_value: () => 0,
		wasm_on_headers_complete: () => { seen.at = HEADERS_COMPLETE; return PAUSED; },
		wasm_on_body: () => 0,
		wasm_on_message_complete: () => { seen.at = MESSAGE_COMPLETE; return PAUSED; },
	},
}).exports;
wasm._initialize();

const buffer = wasm.malloc(1 << 20);

// c_string POINTER: the text at it.
function cString(at) {
	const all = Buffer.from(wasm.memory.buffer);
	return all.toString('latin1', at, all.indexOf(0, at));
}

// Fields of llhttp_t that it has no function for; selfTest() sees that they are there.
const contentLength = (p) => new DataView(wasm.memory.buffer).getBigUint64(p + 32, true);
const flags = (p) => new DataView(wasm.memory.buffer).getUint16(p + 50, true);

function judge(octets) {
	seen = { target: '', at: 0 };
	new Uint8Array(wasm.memory.buffer).set(octets, buffer);
	const parser = wasm.llhttp_alloc(1);
	try {
		return run(parser, octets.length);
	} finally {
		wasm.llhttp_free(parser);
	}
}

function run(parser, len) {
	let head, at = 0;
	for (;;) {
		const error = wasm.llhttp_execute(parser, buffer + at, len - at);
		if (error === PAUSED || error === PAUSED_UPGRADE) {
			at = wasm.llhttp_get_error_pos(parser) - buffer;
		}
		if (head === undefined && seen.at >= HEADERS_COMPLETE) {
			head = describe(parser, at);
		}
		if (error === PAUSED && seen.at === HEADERS_COMPLETE) {
			wasm.llhttp_resume(parser);
			// What is left may be nothing, and the message yet be at its end.
			if (at < len) continue;
			wasm.llhttp_execute(parser, buffer + at, 0);
		}
		if (seen.at === MESSAGE_COMPLETE) {
			if (error !== PAUSED && error !== PAUSED_UPGRADE) at = len;
			return `${head} ${at}`;
		}
		if (error === 0 || error === PAUSED) return head === undefined ? 'partial' : `${head} partial`;
		const name = cString(wasm.llhttp_errno_name(error)).replace('HPE_', '').toLowerCase();
		return head === undefined ? `refuse ${name}` : `${head} refuse:${name}`;
	}
}

function describe(parser, at) {
	const method = cString(wasm.llhttp_method_name(wasm.llhttp_get_method(parser)));
	const version = `${wasm.llhttp_get_http_major(parser)}.${wasm.llhttp_get_http_minor(parser)}`;
	const set = flags(parser);
	let framing = 'none';
	if (set & F_CHUNKED) framing = 'chunked';
	else if (set & F_CONTENT_LENGTH && contentLength(parser) !== 0n) framing = contentLength(parser);
	const target = Buffer.from(seen.target, 'latin1').toString('hex');
	return `accept ${at} ${method} ${target} ${version} ${framing}`;
}

// This script reads memory by offset: it must not be wrong and seem right.
function selfTest() {
	const cases = {
		'GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET': 'accept 28 GET 2f61 1.1 none 28',
		'GET /a HTTP/1.1\r\nHost: a\r\n\r\n': 'accept 28 GET 2f61 1.1 none 28',
		'POST / HTTP/1.1\r\nContent-Length: 258\r\n\r\nabc': 'accept 40 POST 2f 1.1 258 partial',
		'POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\nabc': 'accept 38 POST 2f 1.1 2 40',
		'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nX': 'accept 47 POST 2f 1.1 chunked 52',
		'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nX': 'accept 47 POST 2f 1.1 chunked refuse:invalid_chunk_size',
		'GET / HTTP': 'partial',
		'GET / XTTP/1.1\r\n': 'refuse invalid_constant',
	};
	for (const [octets, expected] of Object.entries(cases)) {
		const verdict = judge(Buffer.from(octets, 'latin1'));
		if (verdict !== expected) throw new Error(`self-test: ${JSON.stringify(octets)}: ${verdict}, not ${expected}`);
	}
}

selfTest();
const cases = fs.readFileSync(casesPath);
const lines = [];
for (let at = 0; at < cases.length;) {
	const len = cases.readUInt32LE(at);
	lines.push(judge(cases.subarray(at + 4, at + 4 + len)));
	at += 4 + len;
}
fs.writeSync(1, lines.map((line) => line + '\n').join(''));
