// SPDX-License-Identifier: GPL-2.0-or-later
// The real helix-frame-export and desktop-bridge, a helix-gateway before them or not, and viewers.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import { Gateway, temporaryDirectory, tokens } from '../integration/gateway/gateway.mjs';
import { assert, defer, until } from '../integration/gateway/tap.mjs';
import { open } from '../integration/gateway/websocket.mjs';
import { parse, ping, type } from './messages.mjs';

export const SHOW = { bars: 0, still: 1, typing: 2, scroll: 3, drag: 4, film: 5 };

function freePort() {
	return new Promise((resolve) => {
		const server = net.createServer().listen(0, '127.0.0.1', () => {
			const { port } = server.address();
			server.close(() => resolve(port));
		});
	});
}

const answers = (port) => new Promise((resolve) => {
	const socket = net.connect(port, '127.0.0.1', () => {
		socket.destroy();
		resolve(true);
	});
	socket.on('error', () => resolve(false));
});

// Ends with the test, and must end well: sanitizers report at the end.
async function start(name, file, args, port, env = {}) {
	const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...env } });
	const started = { child, pid: child.pid, out: '', err: '' };
	const exit = new Promise((resolve) => child.on('exit', (code, signal) => resolve(code ?? signal)));
	child.stdout.on('data', (d) => { started.out += d; });
	child.stderr.on('data', (d) => { started.err += d; });
	defer(async () => {
		child.kill('SIGTERM');
		assert.equal(await exit, 0, `${name}: ${started.err.slice(-4000)}`);
	});
	await until(`${name} answers`, () => {
		assert.equal(child.exitCode, null, started.err);
		return answers(port);
	}, 30000);
	return started;
}

// Of all its threads, from the scheduler's own count: clock ticks miss short turns.
export const cpuMs = (pid) => fs.readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum +
	Number(fs.readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]) / 1e6, 0);

export class Rig {
	// `gateway`: viewers come through one, as a user who may control.
	async start({ show = SHOW.typing, mode = '640x400', gateway = false, webRoot = '' } = {}) {
		const exporterPort = await freePort();
		this.exporter = await start('helix-frame-export', process.env.HELIX_FRAME_EXPORT,
			['--source=pattern', `--mode=${mode}`, `--listen=127.0.0.1:${exporterPort}`], exporterPort);
		this.port = await freePort();
		this.bridge = await start('desktop-bridge', process.env.HELIX_DESKTOP_BRIDGE,
			[`--exporter=127.0.0.1:${exporterPort}`, `--scanout=${show}`, `--listen=127.0.0.1:${this.port}`,
				`--web-root=${webRoot}`, '--input=log', '--max-viewers=64', '--log-level=debug'],
			this.port, { XDG_RUNTIME_DIR: temporaryDirectory() });
		this.base = `http://127.0.0.1:${this.port}`;
		this.headers = {};
		if (gateway) {
			this.gateway = await new Gateway({ args: ['--desktop', `desktop-1=127.0.0.1:${this.port}`] }).start();
			this.base = `${this.gateway.base}/api/v1/external-agents/desktop-1`;
			this.headers = { Authorization: `Bearer ${tokens.control}` };
		}
		return this;
	}

	request(path, { method = 'GET', headers = {}, body } = {}) {
		return new Promise((resolve, reject) => {
			const request = http.request(this.base + path, { method, agent: false,
				headers: { ...this.headers, ...headers } });
			request.on('response', (response) => {
				const chunks = [];
				response.on('data', (d) => chunks.push(d));
				response.on('end', () => resolve({ status: response.statusCode, headers: response.headers,
					body: Buffer.concat(chunks) }));
			});
			request.on('error', reject);
			request.end(body);
		});
	}

	open(path = '/ws/stream', headers = {}) {
		return open(this.base + path, { ...this.headers, ...headers });
	}

	async viewer(init = {}) {
		return new Viewer(await this.open()).init(init);
	}

	// Waits until the bridge has printed just these lines of input since the last call.
	async expectInput(...lines) {
		this.inputAt ??= 0;
		const wanted = lines.map((l) => `${l}\n`).join('');
		await until(`input: ${lines.join(', ')}`, () => this.bridge.out.length >= this.inputAt + wanted.length)
			.catch((error) => {
				throw new Error(`${error.message}; there is: ${this.bridge.out.slice(this.inputAt)}`);
			});
		assert.equal(this.bridge.out.slice(this.inputAt), wanted);
		this.inputAt = this.bridge.out.length;
	}
}

export class Viewer {
	constructor(ws) {
		assert.ok(ws.socket, `refused: ${ws.status} ${ws.body}`);
		this.ws = ws;
		this.sequence = 0;
		defer(() => ws.destroy());
	}

	init(init = {}) {
		this.ws.send(1, JSON.stringify({ type: 'init', session_id: '', width: 640, height: 400, fps: 60, ...init }));
		return this;
	}

	send(message) {
		this.ws.send(2, message);
	}

	async next(ms) {
		return parse(await this.ws.message(ms));
	}

	// The next message of this type, and a check. What comes before it is passed over.
	async expect(wanted, matches = () => true) {
		for (;;) {
			const m = await this.next();
			if (m.type === wanted && matches(m)) {
				return m;
			}
		}
	}

	async pong() {
		const sequence = ++this.sequence, time = Math.round(performance.now() * 1000);
		this.send(ping(sequence, time));
		const pong = await this.expect(type.pong, (m) => m.sequence === sequence);
		assert.equal(pong.clientTime, time);
		return pong;
	}
}
