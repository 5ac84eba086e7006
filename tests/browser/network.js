// SPDX-License-Identifier: GPL-2.0-or-later
// Networks and peers that are worse than they should be.

import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import net from 'node:net';

const TICK_MS = 20;

/** A TCP relay to a local port, which can be slow, and can be cut. */
export class Relay {
	#server;
	#sockets = new Set();
	#rate; // bytes per second to the client; 0: no bound
	#cut = false;

	/** @param {number} rate bytes/s towards the client; 0 for no bound */
	static async create(port, rate = 0) {
		const relay = new Relay();
		relay.#rate = rate;
		relay.#server = net.createServer((client) => relay.#join(client, port));
		relay.#server.listen(0, '127.0.0.1');
		await once(relay.#server, 'listening');
		relay.port = relay.#server.address().port;
		relay.url = `http://127.0.0.1:${relay.port}/`;
		return relay;
	}

	/** All connections end, and new ones are refused at once, until mend(). */
	cut() {
		this.#cut = true;
		this.#sockets.forEach((socket) => socket.destroy());
	}

	mend() {
		this.#cut = false;
	}

	async stop() {
		this.cut();
		this.#server.close();
	}

	#join(client, port) {
		if (this.#cut) {
			client.destroy();
			return;
		}
		const server = net.connect(port, '127.0.0.1');
		for (const [from, to] of [[client, server], [server, client]]) {
			this.#sockets.add(from);
			from.setNoDelay(true);
			from.on('error', () => {});
			from.on('close', () => {
				this.#sockets.delete(from);
				to.destroy();
			});
		}
		client.pipe(server);
		if (this.#rate === 0) {
			server.pipe(client);
		} else {
			this.#trickle(server, client);
		}
	}

	#trickle(from, to) {
		const timer = setInterval(() => {
			const budget = Math.round((this.#rate * TICK_MS) / 1000);
			const data = from.read(Math.min(budget, from.readableLength)) ?? null;
			if (data) {
				to.write(data);
			}
		}, TICK_MS);
		from.on('readable', () => {}); // reads into its small buffer, no further
		from.on('close', () => clearInterval(timer));
	}
}

/** A viewer that says init and then reads nothing at all. */
export async function deafViewer(port) {
	const socket = net.connect(port, '127.0.0.1');
	await once(socket, 'connect');
	socket.on('error', () => {});
	const key = randomBytes(16).toString('base64');
	socket.write('GET /ws/stream HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n' +
		`Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n\r\n`);
	await once(socket, 'readable');
	socket.read();
	socket.pause();
	socket.removeAllListeners('readable');
	const init = Buffer.from(JSON.stringify({ type: 'init', client_unique_id: 'deaf' }));
	socket.write(Buffer.concat([Buffer.of(0x81, 0x80 | init.length, 0, 0, 0, 0), init]));
	return { stop: async () => socket.destroy() };
}

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'; // RFC 6455, 1.3

/**
 * A WebSocket server that speaks as it is told: `behave(connection)` is called for each, with
 * send(ArrayBuffer or string), close(code) and the path.
 */
export class ScriptedServer {
	connections = 0;
	#server;
	#sockets = new Set();

	static async create(behave) {
		const scripted = new ScriptedServer();
		scripted.#server = net.createServer((socket) => scripted.#accept(socket, behave));
		scripted.#server.listen(0, '127.0.0.1');
		await once(scripted.#server, 'listening');
		scripted.port = scripted.#server.address().port;
		return scripted;
	}

	async stop() {
		this.#sockets.forEach((socket) => socket.destroy());
		this.#server.close();
	}

	#accept(socket, behave) {
		this.#sockets.add(socket);
		socket.on('error', () => {});
		socket.once('data', (data) => {
			const head = data.toString('latin1');
			const key = /sec-websocket-key: *(\S+)/i.exec(head)?.[1];
			if (!key) {
				socket.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nOK');
				return;
			}
			const accept = createHash('sha1').update(key + GUID).digest('base64');
			socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
				`Connection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`);
			this.connections++;
			behave({
				send: (message) => socket.write(frame(
					typeof message === 'string' ? 1 : 2, Buffer.from(message))),
				close: (code) => socket.end(frame(8, Buffer.of(code >> 8, code & 255))),
				cut: () => socket.destroy(),
			});
		});
	}
}

function frame(opcode, payload) {
	const head = payload.length < 126
		? Buffer.of(0x80 | opcode, payload.length)
		: Buffer.of(0x80 | opcode, 126, payload.length >> 8, payload.length & 255);
	return Buffer.concat([head, payload]);
}
