// SPDX-License-Identifier: GPL-2.0-or-later
// What tests do to a desktop that is a pattern: another size, a pointer. Written from docs/protocol/hxfr.md.
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { defer, until } from '../integration/gateway/tap.mjs';

const HEADER = 12;

function hxfr(type, values) {
	const bytes = Buffer.alloc(HEADER + 4 * values.length);
	bytes.write('HXFR');
	bytes[4] = type;
	bytes.writeUInt32LE(4 * values.length, 8);
	values.forEach((value, i) => bytes.writeInt32LE(value, HEADER + 4 * i));
	return bytes;
}

// ENABLE_SCANOUT, and its SCANOUT_RESP
const enable = (port, scanout, width, height) => new Promise((resolve, reject) => {
	const socket = net.connect(port, '127.0.0.1', () => socket.write(hxfr(0x20, [scanout, width, height, 60])));
	socket.on('error', reject);
	socket.on('data', (data) => {
		socket.destroy();
		resolve(data[4] === 0x22 && data.readUInt32LE(HEADER + 4) === 1);
	});
});

// mutter-lease-launcher as far as the bridge knows it: it asks the exporter of `port` for other sizes of a scanout.
export class Launcher {
	constructor(directory, port, scanout) {
		this.asked = [];
		const file = path.join(directory, 'helix-launcher.sock');
		this.server = net.createServer((socket) => socket.on('error', () => {}).once('data', async (data) => {
			const [, width, height] = /^resize (\d+)x(\d+) now\n$/.exec(data).map(Number);
			this.asked.push(`${width}x${height}`);
			await this.before?.();
			const done = await enable(port, scanout, width, height);
			socket.end(this.answer ?? (done ? `ok ${width}x${height}@60\n` : 'error no\n'));
		})).listen(file);
		defer(() => {
			this.server.close();
			fs.rmSync(file, { force: true });
		});
	}
}

// Between bridge and exporter: passes everything on, and puts messages of its own between those of the exporter.
export class Splice {
	constructor(port) {
		this.fronts = new Set();
		this.server = net.createServer((front) => {
			const back = net.connect(port, '127.0.0.1');
			let bytes = Buffer.alloc(0);
			front.on('data', (d) => back.write(d)).on('error', () => {}).on('close', () => {
				this.fronts.delete(front);
				back.destroy();
			});
			back.on('error', () => {}).on('close', () => front.destroy()).on('data', (d) => {
				bytes = Buffer.concat([bytes, d]);
				while (bytes.length >= HEADER && bytes.length >= HEADER + bytes.readUInt32LE(8)) {
					const size = HEADER + bytes.readUInt32LE(8);
					front.write(bytes.subarray(0, size));
					bytes = bytes.subarray(size);
					this.fronts.add(front);
				}
			});
		});
		defer(() => this.server.close());
	}

	listen() {
		return new Promise((resolve) => {
			this.server.listen(0, '127.0.0.1', () => resolve(this.server.address().port));
		});
	}

	async inject(bytes) {
		await until('the bridge watches', () => this.fronts.size > 0);
		this.fronts.forEach((front) => front.write(bytes));
	}

	// CURSOR_IMAGE. Pixels: rows of B, G, R, A, premultiplied; none: the pointer is hidden.
	cursorImage({ x = 0, y = 0, hotX = 0, hotY = 0, width = 0, height = 0, pixels = [] }) {
		const head = hxfr(0x43, [0, pixels.length > 0 ? 1 : 0, x, y, hotX, hotY, width, height]);
		head.writeUInt32LE(32 + pixels.length, 8);
		return this.inject(Buffer.concat([head, Buffer.from(pixels)]));
	}

	// CURSOR_POSITION
	cursorPosition(x, y) {
		return this.inject(hxfr(0x44, [0, 1, x, y]));
	}
}
