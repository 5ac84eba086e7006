// SPDX-License-Identifier: GPL-2.0-or-later
// The real helix-gateway, and a bridge that is not real.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { assert, defer, until } from './tap.mjs';
import { acceptKey, open, WebSocketEnd } from './websocket.mjs';

export const sha256 = (text) => `sha256:${crypto.createHash('sha256').update(text).digest('hex')}`;

export const tokens = { control: 'token-of-alice', view: 'token-of-bob', runner: 'token-of-desktops',
	other: 'token-of-carol' };

export const tokenFile = () => [
	'# who may do what',
	`user alice control * ${sha256(tokens.control)}`,
	`user bob view desktop-* ${sha256(tokens.view)}`,
	`user carol control other-1,other-2 ${sha256(tokens.other)}`,
	`runner desktop-*,other-* ${sha256(tokens.runner)}`,
	'',
].join('\n');

// With the address sanitizer, which keeps what was freed, this says nothing: then it is 0.
export function rssKiB(pid) {
	if (fs.readFileSync(`/proc/${pid}/maps`, 'utf8').includes('libasan')) {
		return 0;
	}
	return Number(/VmRSS:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))[1]);
}

export function temporaryDirectory() {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'helix-gateway-'));
	defer(() => fs.rmSync(dir, { recursive: true, force: true }));
	return dir;
}

export class Gateway {
	constructor({ args = [], auth = true, tls = false, port = 0 } = {}) {
		this.dir = temporaryDirectory();
		this.tokensPath = path.join(this.dir, 'tokens');
		this.webRoot = path.join(this.dir, 'web');
		this.tls = tls;
		this.port = port;
		fs.writeFileSync(this.tokensPath, tokenFile());
		fs.mkdirSync(path.join(this.webRoot, 'js'), { recursive: true });
		fs.writeFileSync(path.join(this.webRoot, 'index.html'), '<h1>desktops</h1>\n');
		fs.writeFileSync(path.join(this.webRoot, 'js', 'main.js'), 'export {};\n');
		this.args = [...(auth ? ['--tokens', this.tokensPath] : ['--no-auth']),
			...(tls ? ['--self-signed'] : []), '--web-root', this.webRoot, '--log-level', 'debug', ...args];
	}

	async start() {
		this.log = '';
		const listen = this.port ? `127.0.0.1:${this.port}` : '0';
		this.process = spawn(process.env.HELIX_GATEWAY, ['--listen', listen, ...this.args],
			{ stdio: ['ignore', 'ignore', 'pipe'] });
		const child = this.process;
		this.exit = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
		child.on('exit', (code, signal) => { this.ended = code ?? signal; });
		child.stderr.on('data', (d) => { this.log += d; });
		await until('the gateway serves', () => {
			assert.equal(child.exitCode, null, this.log);
			return /serving https?:\/\/[^ ]*:(\d+)\//.test(this.log);
		}, 20000);
		this.port = Number(/serving https?:\/\/[^ ]*:(\d+)\//.exec(this.log)[1]);
		if (!this.deferred) {
			this.deferred = true;
			defer(() => this.stop());
		}
		return this;
	}

	// Ends it, and looks whether it ends well: sanitizers report at the end.
	async stop() {
		if (this.process.exitCode === null && this.process.signalCode === null) {
			this.process.kill('SIGTERM');
		}
		const status = await this.exit;
		assert.equal(status, 0, this.log.slice(-4000));
	}

	get base() {
		return `${this.tls ? 'https' : 'http'}://127.0.0.1:${this.port}`;
	}

	request(target, { token, method = 'GET', headers = {}, body } = {}) {
		return new Promise((resolve, reject) => {
			const request = (this.tls ? https : http).request(`${this.base}/`, {
				path: target, method, agent: false, rejectUnauthorized: false,
				headers: { ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers },
			});
			request.on('response', (response) => {
				const chunks = [];
				response.on('data', (d) => chunks.push(d));
				response.on('end', () => resolve({ status: response.statusCode, headers: response.headers,
					body: Buffer.concat(chunks) }));
				response.on('error', reject);
			});
			request.on('error', reject);
			request.end(body);
		});
	}

	stream(desktop, token, { client, kind = 'stream', headers = {} } = {}) {
		const query = client ? `?client_id=${client}` : '';
		return open(`${this.base}/api/v1/external-agents/${desktop}/ws/${kind}${query}`,
			{ ...(token ? { Authorization: `Bearer ${token}` } : {}), ...headers });
	}

	async desktops(token = tokens.control) {
		const answer = await this.request('/api/v1/desktops', { token });
		assert.equal(answer.status, 200);
		return JSON.parse(answer.body).desktops;
	}

	async metric(name) {
		const answer = await this.request('/metrics', { token: tokens.control });
		return Number(new RegExp(`^helix_gateway_${name} (\\d+)$`, 'm').exec(answer.body)[1]);
	}

	fds() {
		return fs.readdirSync(`/proc/${this.process.pid}/fd`).length;
	}

	rssKiB() {
		return rssKiB(this.process.pid);
	}

	cpuMs() {
		const stat = fs.readFileSync(`/proc/${this.process.pid}/stat`, 'utf8').split(') ')[1].split(' ');
		return (Number(stat[11]) + Number(stat[12])) * 10;
	}

	// Bytes as they are; gives all that came until the other end closed, or lingers to do so.
	raw(bytes, ms = 20000) {
		return new Promise((resolve, reject) => {
			const socket = net.connect(this.port, '127.0.0.1', () => socket.write(bytes));
			let answer = '';
			const timer = setTimeout(() => {
				socket.destroy();
				reject(new Error(`not closed; so far: ${answer}`));
			}, ms);
			socket.on('data', (d) => {
				answer += d.toString('latin1');
				const [head, body] = answer.split('\r\n\r\n');
				const length = Number(/Content-Length: (\d+)/.exec(head)?.[1] ?? -1);
				if (body?.length === length && head.includes('Connection: close')) {
					setTimeout(() => socket.destroy(), 20); // long enough for what must not follow
				}
			});
			socket.on('error', () => {});
			socket.on('close', () => {
				clearTimeout(timer);
				resolve(answer);
			});
		});
	}
}

export class Bridge {
	constructor() {
		this.requests = [];
		this.viewers = []; // WebSocketEnd
		this.sockets = new Set();
		this.onViewer = (viewer) => {
			viewer.onMessage = (m) => viewer.send(m.text ? 1 : 2, m.data); // an echo
		};
		this.onRequest = (request, response) => response.end('a bridge\n');
		this.onUpgrade = null;
	}

	async start(port = 0) {
		this.server = http.createServer((request, response) => {
			this.requests.push(request);
			this.onRequest(request, response);
		});
		this.server.on('connection', (socket) => {
			this.sockets.add(socket);
			socket.on('close', () => this.sockets.delete(socket));
			socket.on('error', () => {});
		});
		this.server.on('upgrade', (request, socket, early) => {
			this.requests.push(request);
			if (this.onUpgrade) {
				this.onUpgrade(request, socket, early);
				return;
			}
			socket.setNoDelay(true);
			socket.write('HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n' +
				`Connection: Upgrade\r\nSec-WebSocket-Accept: ${acceptKey(request.headers['sec-websocket-key'])}\r\n\r\n`);
			const viewer = new WebSocketEnd(socket, { client: false, early });
			this.viewers.push(viewer);
			this.onViewer(viewer);
		});
		await new Promise((resolve) => this.server.listen(port, '127.0.0.1', resolve));
		this.port = this.server.address().port;
		if (!this.deferred) {
			this.deferred = true;
			defer(() => this.stop());
		}
		return this;
	}

	async stop() {
		for (const socket of this.sockets) {
			socket.destroy();
		}
		await new Promise((resolve) => this.server.close(resolve));
	}
}

// A gateway with a desktop "desktop-1" that it reaches directly.
export async function direct(options = {}) {
	const bridge = await new Bridge().start();
	const gateway = await new Gateway({ ...options,
		args: ['--desktop', `desktop-1=127.0.0.1:${bridge.port}`, ...(options.args ?? [])] }).start();
	return { gateway, bridge };
}
