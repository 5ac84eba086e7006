// SPDX-License-Identifier: GPL-2.0-or-later
// HTTP requests and the client's side of RFC 6455 on plain sockets, where each byte of a frame can be said, and what comes
// is held to the letter. tests/integration/gateway/websocket.mjs has both sides, and forgives.
import crypto from 'node:crypto';
import net from 'node:net';
import tls from 'node:tls';
import { utf8 } from './messages.mjs';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const WAIT_MS = 20000; // generous: under sanitizers, on a busy machine

// ---- HTTP

function openStream(url) {
	return new Promise((resolve, reject) => {
		const secure = url.protocol === 'https:';
		const at = { host: url.hostname, port: Number(url.port) };
		const stream = secure ? tls.connect({ ...at, rejectUnauthorized: false }) : net.connect(at);
		stream.setNoDelay(true);
		stream.setTimeout(WAIT_MS, () => stream.destroy(new Error(`nothing from ${url.host} for ${WAIT_MS} ms`)));
		stream.once(secure ? 'secureConnect' : 'connect', () => resolve(stream));
		stream.once('error', reject);
	});
}

// A header that is undefined is left out.
function requestHead(method, url, headers) {
	const lines = Object.entries({ Host: url.host, ...headers }).filter(([, value]) => value !== undefined)
		.map(([key, value]) => `${key}: ${value}`);
	return Buffer.from([`${method} ${url.target ?? url.pathname + url.search} HTTP/1.1`, ...lines, '', ''].join('\r\n'), 'latin1');
}

function parseHead(text) {
	const [first, ...lines] = text.split('\r\n');
	const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(first) ?? [];
	if (!status) {
		throw new Error(`no HTTP/1.1: ${first}`);
	}
	const headers = {};
	for (const line of lines) {
		const [, key, value] = /^([^\s:]+):[ \t]*(.*?)[ \t]*$/.exec(line) ?? [];
		if (!key) {
			throw new Error(`no header: ${line}`);
		}
		headers[key.toLowerCase()] = key.toLowerCase() in headers ? `${headers[key.toLowerCase()]}, ${value}` : value;
	}
	return { status: Number(status), headers };
}

// Calls `take` with all that came so far, until it gives something.
function readUntil(stream, bytes, take) {
	return new Promise((resolve, reject) => {
		const listeners = {
			data: (chunk) => look(Buffer.concat([bytes, chunk]), false),
			close: () => look(bytes, true),
			error: (error) => finish(reject, error),
		};
		function finish(settle, value) {
			Object.entries(listeners).forEach(([name, listener]) => stream.off(name, listener));
			stream.pause();
			settle(value);
		}
		function look(now, ended) {
			bytes = now;
			try {
				const result = take(bytes, ended);
				if (result !== undefined) {
					finish(resolve, result);
				} else if (ended) {
					finish(reject, new Error(`closed after ${bytes.length} bytes`));
				}
			} catch (error) {
				finish(reject, error);
			}
		}
		Object.entries(listeners).forEach(([name, listener]) => stream.on(name, listener));
		stream.resume();
		look(bytes, stream.destroyed);
	});
}

const readHead = (stream) => readUntil(stream, Buffer.alloc(0), (bytes) => {
	const end = bytes.indexOf('\r\n\r\n');
	return end < 0 ? undefined : { ...parseHead(bytes.toString('latin1', 0, end)), rest: bytes.subarray(end + 4) };
});

async function readBody(stream, { status, headers, rest }, method) {
	const none = method === 'HEAD' || status === 204 || status === 304;
	const length = none ? 0 : Number(headers['content-length']);
	const body = await readUntil(stream, rest, (bytes, ended) => {
		if (bytes.length > length) {
			throw new Error(`a body of ${bytes.length} bytes, of ${length} announced`);
		}
		return bytes.length === length || (ended && Number.isNaN(length)) ? bytes : undefined;
	});
	stream.destroy();
	return { status, headers, body };
}

// One request on a connection of its own: {status, headers, body}
export async function request(address, { method = 'GET', headers = {}, body } = {}) {
	const url = new URL(address);
	url.target = address.slice(url.origin.length); // as it is, dots and all
	const stream = await openStream(url);
	stream.on('error', () => {});
	const length = body === undefined ? undefined : Buffer.byteLength(body);
	stream.write(Buffer.concat([requestHead(method, url, { Connection: 'close', 'Content-Length': length, ...headers }),
		Buffer.from(body ?? '')]));
	return readBody(stream, await readHead(stream), method);
}

// ---- RFC 6455

export const op = { continuation: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 };

// A frame of a client, or, with the options, one as there should be none
export function frame(opcode, payload = '', { fin = true, masked = true, reserved = 0, form } = {}) {
	const bytes = Buffer.from(payload);
	const long = form ?? (bytes.length < 126 ? 0 : bytes.length < 65536 ? 2 : 8); // bytes of an extended length
	const head = Buffer.alloc(2 + long);
	head[0] = (fin ? 0x80 : 0) | reserved << 4 | opcode;
	head[1] = (masked ? 0x80 : 0) | (long === 0 ? bytes.length : long === 2 ? 126 : 127);
	if (long === 2) {
		head.writeUInt16BE(bytes.length, 2);
	} else if (long === 8) {
		head.writeBigUInt64BE(BigInt(bytes.length), 2);
	}
	const mask = crypto.randomBytes(4);
	return Buffer.concat(masked ? [head, mask, bytes.map((byte, i) => byte ^ mask[i & 3])] : [head, bytes]);
}

export const closePayload = (code, reason = '') => Buffer.from([code >> 8, code & 255, ...Buffer.from(reason)]);

// A handshake that was answered with something else
export class Refused extends Error {
	constructor(answer) {
		super(`refused: ${answer.status} ${answer.body.toString().trim()}`);
		Object.assign(this, answer);
	}
}

export class Socket {
	// `early`: bytes sent with the request. `fragments`: they may come, as from a gateway.
	static async open(address, { headers = {}, early = '', fragments = false } = {}) {
		const url = new URL(address);
		const stream = await openStream(url);
		const key = crypto.randomBytes(16).toString('base64');
		stream.write(Buffer.concat([requestHead('GET', url, { Upgrade: 'websocket', Connection: 'Upgrade',
			'Sec-WebSocket-Version': '13', 'Sec-WebSocket-Key': key, ...headers }), Buffer.from(early)]));
		const head = await readHead(stream);
		stream.on('error', () => {});
		if (head.status !== 101) {
			throw new Refused(await readBody(stream, head));
		}
		const { upgrade, connection, 'sec-websocket-accept': accept, ...rest } = head.headers;
		if (accept !== crypto.createHash('sha1').update(key + GUID).digest('base64') || upgrade?.toLowerCase() !== 'websocket' ||
			connection?.toLowerCase() !== 'upgrade' || rest['sec-websocket-extensions'] || rest['sec-websocket-protocol']) {
			throw new Error(`a wrong answer to a handshake: ${JSON.stringify(head.headers)}`);
		}
		return new this(stream, head.rest, { fragments });
	}

	constructor(stream, early, { fragments }) {
		Object.assign(this, { stream, fragments });
		this.messages = []; // that nobody took
		this.count = 0;
		this.pings = [];
		this.pongs = [];
		this.answerPings = true;
		this.closeFrame = undefined; // theirs: {code, reason}
		this.closing = false; // ours is sent
		this.ended = false;
		this.error = undefined;
		this.chunks = [];
		this.size = 0;
		this.wanted = 2;
		this.waiters = new Set();
		stream.setTimeout(0);
		stream.on('end', () => stream.end());
		stream.on('close', () => {
			this.ended = true;
			this.wake();
		});
		stream.on('data', (chunk) => this.receive(chunk));
		setImmediate(() => { // when whoever opened it has it
			this.receive(early);
			stream.resume();
		});
	}

	// ---- What comes

	receive(chunk) {
		this.chunks.push(chunk);
		this.size += chunk.length;
		try {
			while (this.size >= this.wanted && !this.error) {
				const bytes = this.chunks.length === 1 ? this.chunks[0] : Buffer.concat(this.chunks);
				const { taken, wanted } = this.parse(bytes);
				this.chunks = [bytes.subarray(taken)];
				this.size = bytes.length - taken;
				this.wanted = wanted;
			}
		} catch (error) {
			this.error = error;
			this.stream.destroy();
		}
		this.wake();
	}

	// The frame at the front. Says how many bytes it took, and how many there must be at least for the next look.
	parse(bytes) {
		let at = 2, length = bytes[1] & 127;
		if (bytes[0] & 0x70 || bytes[1] & 0x80) {
			throw new Error(`reserved bits or a mask: ${bytes.toString('hex', 0, 2)}`);
		}
		if (length >= 126) {
			at = length === 126 ? 4 : 10;
			if (bytes.length < at) {
				return { taken: 0, wanted: at };
			}
			length = at === 4 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
			if (length < (at === 4 ? 126 : 65536) || length > 64 << 20) {
				throw new Error(`a length of ${length} in ${at - 2} bytes`);
			}
		}
		if (bytes.length < at + length) {
			return { taken: 0, wanted: at + length };
		}
		this.takeFrame(bytes[0] & 15, bytes[0] >= 0x80, bytes.subarray(at, at + length));
		return { taken: at + length, wanted: 2 };
	}

	takeFrame(opcode, fin, payload) {
		if (this.closeFrame) {
			throw new Error('a frame behind the close frame');
		}
		if (opcode >= op.close) {
			this.takeControl(opcode, fin, payload);
			return;
		}
		if (opcode > op.binary || (opcode === op.continuation) !== (this.partial !== undefined)) {
			throw new Error(`opcode ${opcode} ${this.partial ? 'within' : 'outside of'} a message`);
		}
		if (!fin && !this.fragments) {
			throw new Error('the server fragments its messages');
		}
		this.partial ??= { opcode, parts: [] };
		this.partial.parts.push(payload);
		if (fin) {
			const { opcode: kind, parts } = this.partial;
			const bytes = parts.length === 1 ? parts[0] : Buffer.concat(parts);
			this.partial = undefined;
			this.takeMessage(kind === op.text ? utf8.decode(bytes) : bytes);
		}
	}

	takeControl(opcode, fin, payload) {
		if (!fin || payload.length > 125 || opcode > op.pong || (opcode === op.close && payload.length === 1)) {
			throw new Error(`a bad control frame: opcode ${opcode}, ${payload.length} bytes`);
		}
		if (opcode === op.ping) {
			this.pings.push(payload);
			if (this.answerPings) {
				this.write(frame(op.pong, payload));
			}
		} else if (opcode === op.pong) {
			this.pongs.push(payload.toString('latin1'));
		} else {
			const code = payload.length > 0 ? payload.readUInt16BE() : 1005;
			this.closeFrame = { code, reason: utf8.decode(payload.subarray(2)) };
			if (!this.closing) {
				this.write(frame(op.close, payload.subarray(0, 2)));
				this.closing = true;
			}
		}
	}

	// A string or bytes. What derives makes something else of it.
	takeMessage(message) {
		this.count++;
		if (this.onMessage) {
			this.onMessage(message);
		} else {
			this.messages.push(message);
		}
	}

	wake() {
		[...this.waiters].forEach((look) => look());
	}

	// Until `condition` gives something, which comes back. Fails when the connection ends first.
	until(what, condition, ms = WAIT_MS) {
		return new Promise((resolve, reject) => {
			const finish = (settle, value) => {
				clearTimeout(timer);
				this.waiters.delete(look);
				settle(value);
			};
			const look = () => {
				const result = this.error ? undefined : condition();
				if (result) {
					finish(resolve, result);
				} else if (this.error) {
					finish(reject, this.error);
				} else if (this.ended) {
					finish(reject, new Error(`closed (${this.closeFrame?.code}) while waiting for ${what}`));
				}
			};
			const timer = setTimeout(() => finish(reject, new Error(`${what} did not come`)), ms);
			this.waiters.add(look);
			look();
		});
	}

	async next(ms) {
		await this.until('a message', () => this.messages.length > 0, ms);
		return this.messages.shift();
	}

	// The close code, when the connection has ended too; 1006 without a close frame.
	async closed(ms) {
		await this.until('the end', () => this.ended, ms);
		return this.closeFrame?.code ?? 1006;
	}

	// ---- What goes

	write(bytes) {
		if (!this.stream.destroyed && !this.stream.writableEnded) {
			this.stream.write(bytes);
		}
	}

	// Text if it is a string. `pieces`: lengths of its fragments but the last; the rest is for frame().
	send(message, { pieces = [], ...options } = {}) {
		const bytes = Buffer.from(message);
		const first = typeof message === 'string' ? op.text : op.binary;
		let at = 0;
		[...pieces, bytes.length].forEach((size, i) => {
			this.write(frame(i === 0 ? first : op.continuation, bytes.subarray(at, at += size),
				{ ...options, fin: i === pieces.length }));
		});
	}

	// In as many pieces as the network can be made to carry
	async writePieces(bytes, ends) {
		let from = 0;
		for (const end of [...ends, bytes.length]) {
			this.write(bytes.subarray(from, end));
			from = end;
			await new Promise((resolve) => setTimeout(resolve, 1));
		}
	}

	close(code = 1000, reason = '') {
		this.write(frame(op.close, closePayload(code, reason)));
		this.closing = true;
		return this.closed();
	}

	destroy() {
		this.stream.destroy();
	}
}
