// SPDX-License-Identifier: GPL-2.0-or-later
// WebSocket frames (RFC 6455) on a plain socket, by hand: so that tests can say what no library says.
import crypto from 'node:crypto';
import http from 'node:http';
import https from 'node:https';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

export const acceptKey = (key) => crypto.createHash('sha1').update(key + GUID).digest('base64');

export function frame(opcode, payload = '', { mask = false, fin = true, rsv = 0 } = {}) {
	const data = Buffer.from(payload);
	let head;
	if (data.length < 126) {
		head = Buffer.from([0, data.length]);
	} else if (data.length < 65536) {
		head = Buffer.alloc(4);
		head[1] = 126;
		head.writeUInt16BE(data.length, 2);
	} else {
		head = Buffer.alloc(10);
		head[1] = 127;
		head.writeBigUInt64BE(BigInt(data.length), 2);
	}
	head[0] = (fin ? 0x80 : 0) | rsv << 4 | opcode;
	if (!mask) {
		return Buffer.concat([head, data]);
	}
	head[1] |= 0x80;
	const key = crypto.randomBytes(4);
	const masked = Buffer.from(data);
	for (let i = 0; i < masked.length; i++) {
		masked[i] ^= key[i & 3];
	}
	return Buffer.concat([head, key, masked]);
}

export function closeFrame(code, reason = '', options) {
	const payload = Buffer.alloc(2 + reason.length);
	payload.writeUInt16BE(code, 0);
	payload.write(reason, 2);
	return frame(8, payload, options);
}

// Takes a stream of bytes apart: frames() gives those that are there, in whole.
export class FrameReader {
	constructor() {
		this.chunks = [];
		this.size = 0;
	}

	add(chunk) {
		this.chunks.push(chunk);
		this.size += chunk.length;
	}

	*frames() {
		if (this.chunks.length > 1) {
			this.chunks = [Buffer.concat(this.chunks)];
		}
		let data = this.chunks[0] ?? Buffer.alloc(0);
		for (;;) {
			const f = FrameReader.parse(data);
			if (!f) {
				break;
			}
			data = data.subarray(f.size);
			this.chunks = [data];
			this.size = data.length;
			yield f;
		}
	}

	static parse(data) {
		if (data.length < 2) {
			return null;
		}
		let length = data[1] & 127, at = 2;
		if (length === 126) {
			if (data.length < 4) {
				return null;
			}
			length = data.readUInt16BE(2);
			at = 4;
		} else if (length === 127) {
			if (data.length < 10) {
				return null;
			}
			length = Number(data.readBigUInt64BE(2));
			at = 10;
		}
		const masked = (data[1] & 0x80) !== 0;
		const key = data.subarray(at, at + 4);
		at += masked ? 4 : 0;
		if (data.length < at + length) {
			return null;
		}
		const payload = Buffer.from(data.subarray(at, at + length));
		for (let i = 0; masked && i < length; i++) {
			payload[i] ^= key[i & 3];
		}
		return { fin: (data[0] & 0x80) !== 0, rsv: data[0] >> 4 & 7, opcode: data[0] & 15, masked, payload,
			size: at + length };
	}
}

// One end of a WebSocket. Pings are answered; fragments are put together.
export class WebSocketEnd {
	constructor(socket, { client, early = Buffer.alloc(0) }) {
		this.socket = socket;
		this.client = client;
		this.messages = []; // {text, data}
		this.frames = 0;
		this.bytes = 0;
		this.closeCode = null; // of the close frame that came
		this.ended = false;
		this.pongs = 0;
		this.answerPings = true;
		this.parts = null;
		this.waiters = [];
		this.reader = new FrameReader();
		socket.on('data', (chunk) => this.take(chunk));
		socket.on('error', () => {});
		socket.on('end', () => socket.end());
		socket.on('close', () => {
			this.ended = true;
			this.wake();
		});
		if (early.length > 0) {
			this.take(early);
		}
	}

	take(chunk) {
		this.bytes += chunk.length;
		this.reader.add(chunk);
		for (const f of this.reader.frames()) {
			this.frames++;
			if (f.masked === this.client || f.rsv !== 0) {
				throw new Error('a frame that must not be');
			}
			this.takeFrame(f);
		}
		this.wake();
	}

	takeFrame(f) {
		if (f.opcode === 8) {
			this.closeCode = f.payload.length >= 2 ? f.payload.readUInt16BE(0) : 1005;
		} else if (f.opcode === 9) {
			if (this.answerPings) {
				this.send(10, f.payload);
			}
		} else if (f.opcode === 10) {
			this.pongs++;
		} else {
			if ((f.opcode === 0) !== (this.parts !== null)) {
				throw new Error('a fragment out of place');
			}
			this.parts ??= { text: f.opcode === 1, list: [] };
			this.parts.list.push(f.payload);
			if (f.fin) {
				this.messages.push({ text: this.parts.text, data: Buffer.concat(this.parts.list) });
				this.parts = null;
				this.onMessage?.(this.messages.at(-1));
			}
		}
	}

	wake() {
		this.waiters.splice(0).forEach((resolve) => resolve());
	}

	send(opcode, payload, options = {}) {
		return this.socket.write(frame(opcode, payload, { mask: this.client, ...options }));
	}

	// The next message; fails if the connection ends instead.
	async message(ms = 10000) {
		await this.wait(() => this.messages.length > 0, ms);
		if (this.messages.length === 0) {
			throw new Error(`closed (${this.closeCode}) while waiting for a message`);
		}
		return this.messages.shift();
	}

	// The code that it was closed with; 1006 without a close frame.
	async closed(ms = 15000) {
		await this.wait(() => this.closeCode !== null, ms);
		return this.closeCode ?? 1006;
	}

	async wait(condition, ms) {
		const end = Date.now() + ms;
		while (!condition() && !this.ended) {
			let timer;
			await Promise.race([
				new Promise((resolve) => this.waiters.push(resolve)),
				new Promise((_, reject) => {
					timer = setTimeout(() => reject(new Error('nothing came')), Math.max(1, end - Date.now()));
				}),
			]).finally(() => clearTimeout(timer));
		}
	}

	destroy() {
		this.socket.destroy();
	}
}

// Opens one: a WebSocketEnd, or {status, headers, body} if it was refused.
export function open(url, headers = {}) {
	const module = url.startsWith('https') ? https : http;
	return new Promise((resolve, reject) => {
		const key = crypto.randomBytes(16).toString('base64');
		const request = module.request(url, {
			agent: false,
			rejectUnauthorized: false,
			headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13',
				'Sec-WebSocket-Key': key, ...headers },
		});
		request.on('upgrade', (response, socket, early) => {
			if (response.headers['sec-websocket-accept'] !== acceptKey(key)) {
				reject(new Error('wrong Sec-WebSocket-Accept'));
				return;
			}
			resolve(new WebSocketEnd(socket, { client: true, early }));
		});
		request.on('response', (response) => {
			let body = '';
			response.on('data', (d) => { body += d; });
			response.on('end', () => resolve({ status: response.statusCode, headers: response.headers, body }));
		});
		request.on('error', reject);
		request.end();
	});
}
