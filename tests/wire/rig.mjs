// SPDX-License-Identifier: GPL-2.0-or-later
// The real helix-frame-export and desktop-bridge, a helix-gateway before them or not, and viewers.
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import { Gateway, temporaryDirectory, tokens } from '../integration/gateway/gateway.mjs';
import { assert, defer, until } from '../integration/gateway/tap.mjs';
import { Input, Viewer } from './client.mjs';
import { Splice } from './exporter.mjs';
import { Refused, request } from './websocket.mjs';

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
	// `gateway`: viewers come through one, as a user who may control; it reaches the bridge, or, with 'revdial', is called by it.
	// `splice`: a Splice is between bridge and exporter. `directory`: XDG_RUNTIME_DIR of the bridge.
	async start({ show = SHOW.typing, mode = '640x400', gateway = false, splice = false, webRoot = '',
		directory = temporaryDirectory() } = {}) {
		Object.assign(this, { show, directory });
		this.exporterPort = await freePort();
		this.exporter = await start('helix-frame-export', process.env.HELIX_FRAME_EXPORT,
			['--source=pattern', `--mode=${mode}`, `--listen=127.0.0.1:${this.exporterPort}`], this.exporterPort);
		this.splice = splice && new Splice(this.exporterPort);
		this.port = await freePort();
		this.base = `http://127.0.0.1:${this.port}`;
		this.headers = {};
		await this.startGateway(gateway);
		this.bridge = await start('desktop-bridge', process.env.HELIX_DESKTOP_BRIDGE,
			[`--exporter=127.0.0.1:${await this.splice?.listen?.() ?? this.exporterPort}`, `--scanout=${show}`,
				`--listen=127.0.0.1:${this.port}`, `--web-root=${webRoot}`, '--input=log', '--max-viewers=64',
				'--log-level=debug', ...(gateway === 'revdial' ? [`--gateway=${this.gateway.base}`, '--session=desktop-1'] : [])],
			this.port, { XDG_RUNTIME_DIR: directory, USER_API_TOKEN: tokens.runner });
		if (gateway === 'revdial') {
			await until('the bridge is known', async () => (await this.gateway.desktops()).some((d) => d.state === 'online'));
		}
		return this;
	}

	async startGateway(gateway) {
		if (!gateway) {
			return;
		}
		this.gateway = await new Gateway({ args: gateway === 'revdial' ? []
			: ['--desktop', `desktop-1=127.0.0.1:${this.port}`] }).start();
		this.base = `${this.gateway.base}/api/v1/external-agents/desktop-1`;
		this.headers = { Authorization: `Bearer ${tokens.control}` };
	}

	request(path, { headers = {}, ...options } = {}) {
		return request(this.base + path, { headers: { ...this.headers, ...headers }, ...options });
	}

	async #open(Kind, path, { headers = {}, ...options }) {
		const socket = await Kind.open(this.base + path,
			{ headers: { ...this.headers, ...headers }, fragments: this.gateway !== undefined, ...options });
		defer(() => socket.destroy());
		return socket;
	}

	// A viewer that said nothing yet
	connect({ path = '/ws/stream', ...options } = {}) {
		return this.#open(Viewer, path, options);
	}

	input(options = {}) {
		return this.#open(Input, '/ws/input', options);
	}

	async viewer(init = {}, options = {}) {
		return (await this.connect(options)).init(init);
	}

	// A handshake that must be refused: {status, headers, body}
	async refused(path = '/ws/stream', headers = {}, options = {}) {
		try {
			await this.#open(Viewer, path, { headers, ...options });
		} catch (error) {
			if (error instanceof Refused) {
				return error;
			}
			throw error;
		}
		throw new Error(`${path} was not refused`);
	}

	async json(path) {
		const answer = await this.request(path);
		assert.deepEqual([answer.status, answer.headers['content-type']], [200, 'application/json'], path);
		return JSON.parse(answer.body);
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
