// SPDX-License-Identifier: GPL-2.0-or-later
// A RevDial client written from docs/protocol/revdial.md alone, as the other implementation.
import net from 'node:net';
import { frame, open } from './websocket.mjs';

export class RevdialClient {
	// `raw`: the variant without WebSocket.
	constructor({ base, name, token, port, raw = false, dataRaw = raw }) {
		Object.assign(this, { base, name, token, port, raw, dataRaw });
		this.commands = [];
		this.answerDials = true;
		this.tunnels = new Set();
		this.data = '';
		this.closed = false;
	}

	// Section 1. Gives the status.
	async connect() {
		const path = `/api/v1/revdial?runnerid=desktop-${this.name}`;
		const { status, socket, early, end } = this.raw ? await this.openRaw(path) : await this.openWebSocket(path);
		if (!socket) {
			return status;
		}
		this.control = socket;
		this.controlEnd = end;
		socket.on('error', () => {});
		socket.on('close', () => { this.closed = true; });
		if (this.raw) {
			socket.on('data', (d) => this.takeLines(d));
			this.takeLines(early);
			socket.resume();
		} else {
			end.onMessage = (m) => this.takeLines(m.data);
			end.messages.splice(0).forEach((m) => this.takeLines(m.data));
		}
		return status;
	}

	async openWebSocket(path) {
		const end = await open(this.base + path, { Authorization: `Bearer ${this.token}` });
		return end.socket ? { status: 101, socket: end.socket, end } : { status: end.status };
	}

	openRaw(path) {
		return new Promise((resolve, reject) => {
			const { hostname, port, host } = new URL(this.base);
			const socket = net.connect(Number(port), hostname, () => socket.write(
				`GET ${path} HTTP/1.1\r\nHost: ${host}\r\nAuthorization: Bearer ${this.token}\r\n\r\n`));
			let data = Buffer.alloc(0);
			const take = (d) => {
				data = Buffer.concat([data, d]);
				const at = data.indexOf('\r\n\r\n');
				if (at >= 0) {
					// Until somebody listens again; without a listener what comes would be lost.
					socket.off('data', take).pause();
					const status = Number(data.toString('latin1').split(' ')[1]);
					resolve({ status, socket: status === 200 ? socket : null, early: data.subarray(at + 4) });
				}
			};
			socket.on('data', take);
			socket.on('error', reject);
			socket.on('close', () => reject(new Error('closed')));
		});
	}

	// Section 2.
	takeLines(data) {
		this.data += data.toString('utf8');
		const lines = this.data.split('\n');
		this.data = lines.pop();
		for (const line of lines) {
			const message = JSON.parse(line);
			this.commands.push(message);
			if (message.command === 'conn-ready' && this.answerDials) {
				this.dial(message.connPath).catch((error) => this.fail(message.connPath, error.message));
			}
		}
	}

	say(text) {
		this.control.write(this.raw ? text : frame(2, text, { mask: true }));
	}

	fail(connPath, err) {
		this.say(`${JSON.stringify({ command: 'pickup-failed', connPath, err })}\n`);
	}

	// Section 3.
	async dial(connPath) {
		const path = connPath.replace('/revdial', '/api/v1/revdial');
		const remote = this.dataRaw ? await this.openRaw(path) : await this.openWebSocket(path);
		if (!remote.socket) {
			throw new Error(`HTTP ${remote.status}`);
		}
		const local = net.connect(this.port, '127.0.0.1');
		const tunnel = { remote: remote.socket, local };
		this.tunnels.add(tunnel);
		const drop = () => {
			this.tunnels.delete(tunnel);
			local.destroySoon();
			remote.socket.destroySoon();
		};
		for (const socket of [local, remote.socket]) {
			socket.on('error', drop);
			socket.on('close', drop);
			socket.on('end', drop);
		}
		await new Promise((resolve, reject) => {
			local.once('connect', resolve);
			local.once('error', reject);
		});
		const toRemote = (d) => remote.socket.write(this.dataRaw ? d : frame(2, d, { mask: true }));
		local.on('data', (d) => {
			if (!toRemote(d)) {
				local.pause();
				remote.socket.once('drain', () => local.resume());
			}
		});
		if (this.dataRaw) {
			local.write(remote.early);
			remote.socket.on('data', (d) => local.write(d)).resume();
		} else {
			remote.end.onMessage = (m) => local.write(m.data);
			remote.end.messages.splice(0).forEach((m) => local.write(m.data));
		}
	}

	close() {
		this.control?.destroy();
		for (const { local, remote } of this.tunnels) {
			local.destroy();
			remote.destroy();
		}
	}
}
