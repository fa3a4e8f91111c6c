// SPDX-License-Identifier: GPL-2.0
//
// usage: node backing_server.mjs ADDRESS PORT
//
// A backing server in Node.js: /env is answered with what was seen, /same always
// with the same, an upgrade to websocket with each message of the client; all else
// with 404.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

// Frames of an unfragmented message that is shorter than 64 KiB (RFC 6455 5.2).
function* messages(octets) {
	while (octets.length >= 2) {
		let length = octets[1] & 127, at = 2;
		if (length === 126) {
			if (octets.length < 4) break;
			length = octets.readUInt16BE(2);
			at = 4;
		}
		if (octets.length < at + 4 + length) break;
		const mask = octets.subarray(at, at + 4);
		const content = octets.subarray(at + 4, at + 4 + length).map((octet, n) => octet ^ mask[n % 4]);
		octets = octets.subarray(at + 4 + length);
		yield [content, octets];
	}
}

const server = createServer((request, response) => {
	const { method, url, socket } = request;
	let content = 0;
	const sum = createHash('md5');
	request.on('data', octets => {
		content += octets.length;
		sum.update(octets);
	});
	request.on('end', () => {
		const path = url.split('?')[0];
		const seen = path === '/same' ? 'same\n' : `peer=${socket.remoteAddress} port=${socket.remotePort} to=${socket.localPort} ` +
			`method=${method} content=${content} sum=${sum.digest('hex')}\n`;
		response.writeHead(['/env', '/same'].includes(path) ? 200 : 404, { 'Content-Length': seen.length });
		response.end(seen);
	});
});

server.on('upgrade', (request, socket, octets) => {
	const key = request.headers['sec-websocket-key'];
	const accept = createHash('sha1').update(key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest('base64');
	socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
		`Sec-WebSocket-Accept: ${accept}\r\n\r\n`);
	const more = () => {
		for (const [content, rest] of messages(octets)) {
			octets = rest;
			const head = content.length < 126 ? Buffer.from([0x82, content.length]) :
				Buffer.from([0x82, 126, content.length >> 8, content.length & 255]);
			socket.write(Buffer.concat([head, content]));
		}
	};
	socket.on('data', more_octets => {
		octets = Buffer.concat([octets, more_octets]);
		more();
	});
	socket.on('error', () => {});
	more();
});

server.listen(Number(process.argv[3]), process.argv[2]);
