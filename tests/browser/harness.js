// SPDX-License-Identifier: GPL-2.0-or-later
// The real programs and a real browser, as children of a test. Everything that is started here is
// ended by stop(), also when a test fails.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

const root = path.resolve(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname),
	'../..');
export const webRoot = path.join(root, 'web');

// Where Meson says the programs are.
function program(variable) {
	const file = process.env[variable];
	if (!file) {
		throw new Error(`${variable} is not set; run the tests through Meson`);
	}
	return file;
}

const chromiumPath = process.env.HELIX_CHROMIUM ?? '/usr/bin/chromium';
const playwright = await import('playwright-core').catch(() => null);
if (!playwright || !existsSync(chromiumPath)) {
	console.log(`1..0 # SKIP no ${playwright ? chromiumPath : 'playwright-core'}: scripts/setup.sh test`);
	process.exit(0);
}

const CHROMIUM_FLAGS = [
	'--no-sandbox',
	'--disable-gpu',
	'--disable-quic',
	'--no-first-run',
	'--disable-background-networking',
	'--disable-component-update',
	'--disable-sync',
	'--disable-background-timer-throttling',
];

/** A TCP port that is free now. */
export async function freePort() {
	const server = net.createServer().listen(0, '127.0.0.1');
	await once(server, 'listening');
	const { port } = server.address();
	server.close();
	return port;
}

/** Waits until `check` gives something true, and returns that. */
export async function until(what, check, ms = 15000) {
	const end = Date.now() + ms;
	for (;;) {
		const value = await check();
		if (value) {
			return value;
		}
		if (Date.now() > end) {
			throw new Error(`waited ${ms} ms in vain: ${what}`);
		}
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
}

/** A program that runs until it is told to end. Its log is kept, line by line. */
class Program {
	constructor(name, file, args, env = {}) {
		this.name = name;
		this.log = [];
		this.child = spawn(file, args, {
			stdio: ['ignore', 'pipe', 'pipe'],
			env: { ...process.env, ...env },
		});
		this.exited = once(this.child, 'exit');
		children.add(this.child);
		void this.exited.then(() => children.delete(this.child));
		for (const stream of [this.child.stdout, this.child.stderr]) {
			createInterface({ input: stream }).on('line', (line) => this.log.push(line));
		}
	}

	get running() {
		return this.child.exitCode === null && this.child.signalCode === null;
	}

	async answers(port) {
		await until(`${this.name} on port ${port}\n${this.log.join('\n')}`, () => {
			if (!this.running) {
				throw new Error(`${this.name} ended:\n${this.log.join('\n')}`);
			}
			return new Promise((resolve) => {
				const socket = net.connect(port, '127.0.0.1');
				socket.on('connect', () => {
					socket.destroy();
					resolve(true);
				});
				socket.on('error', () => resolve(false));
			});
		});
	}

	/** Waits for a line of the log. */
	logged(pattern, ms) {
		return until(`${pattern} in the log of ${this.name}:\n${this.log.slice(-20).join('\n')}`,
			() => this.log.find((line) => pattern.test(line)), ms);
	}

	async stop(signal = 'SIGTERM') {
		if (this.running) {
			this.child.kill(signal);
			await this.exited;
		}
		this.killed ||= signal === 'SIGKILL';
		const { exitCode } = this.child;
		if (!this.killed && exitCode !== 0) {
			throw new Error(`${this.name} ended with ${exitCode ?? this.child.signalCode}:\n` +
				this.log.slice(-40).join('\n'));
		}
	}
}

// A test that is killed (by a time limit) takes its programs with it.
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));
for (const signal of ['SIGTERM', 'SIGINT']) {
	process.on(signal, () => process.exit(1));
}

// One for all tests of a file: it takes seconds to start.
let browser = null;

function getBrowser() {
	browser ??= playwright.chromium.launch({
		executablePath: chromiumPath,
		headless: true,
		args: CHROMIUM_FLAGS,
	});
	return browser;
}

after(async () => (await browser)?.close());

/** Everything that one test needs. */
export class Bench {
	#programs = [];
	#directories = [];
	#contexts = [];
	#pageErrors = [];

	async temporary() {
		const directory = await mkdtemp(path.join(os.tmpdir(), 'helix-browser-'));
		this.#directories.push(directory);
		return directory;
	}

	#start(name, file, args, env) {
		const started = new Program(name, file, args, env);
		this.#programs.push(started);
		return started;
	}

	/** helix-frame-export with synthetic pictures. Returns {port, program}. */
	async exporter({ mode = '640x400', port, extra = [] } = {}) {
		const at = port ?? await freePort();
		const started = this.#start('helix-frame-export', program('HELIX_FRAME_EXPORT'),
			['--source=pattern', `--mode=${mode}`, `--listen=127.0.0.1:${at}`, ...extra]);
		await started.answers(at);
		return { port: at, program: started };
	}

	/**
	 * desktop-bridge for one of its outputs: 0 bars, 1 static, 2 typing, 3 scroll, 4 drag, 5 film.
	 * `runtimeDir`: its runtime directory; default: one of its own.
	 */
	async bridge({ exporterPort, scanout = 0, port, extra = [], env = {}, runtimeDir }) {
		const at = port ?? await freePort();
		const runtime = runtimeDir ?? await this.temporary();
		const started = this.#start('desktop-bridge', program('HELIX_DESKTOP_BRIDGE'),
			[`--exporter=127.0.0.1:${exporterPort}`, `--scanout=${scanout}`,
				`--listen=127.0.0.1:${at}`, `--web-root=${webRoot}`, '--input=log',
				'--log-level=debug', ...extra],
			{ XDG_RUNTIME_DIR: runtime, ...env });
		await started.answers(at);
		return { port: at, program: started, runtime, url: `http://127.0.0.1:${at}/` };
	}

	/**
	 * A real Mutter without a screen, on a bus of its own; null if it is not installed. Returns the
	 * environment of its programs.
	 */
	async mutter() {
		const installed = ['dbus-daemon', 'mutter', 'wl-copy', 'wl-paste'].every((file) =>
			existsSync(`/usr/bin/${file}`));
		if (!installed) {
			return null;
		}
		const directory = await this.temporary();
		const env = {
			XDG_RUNTIME_DIR: directory,
			DBUS_SESSION_BUS_ADDRESS: `unix:path=${directory}/bus`,
			WAYLAND_DISPLAY: 'wayland-0',
		};
		this.#start('dbus-daemon', '/usr/bin/dbus-daemon',
			['--session', '--nofork', '--nopidfile', `--address=${env.DBUS_SESSION_BUS_ADDRESS}`], env);
		await until('a bus', () => existsSync(`${directory}/bus`));
		const mutter = this.#start('mutter', '/usr/bin/mutter',
			['--headless', '--wayland', '--no-x11', '--virtual-monitor=1280x720',
				'--wayland-display=wayland-0'], env);
		await until('Mutter', () => {
			if (!mutter.running) {
				throw new Error(`mutter ended:\n${mutter.log.join('\n')}`);
			}
			return existsSync(`${directory}/wayland-0`);
		}, 60000);
		return env;
	}

	/** helix-gateway for bridges: {name: port}. */
	async gateway({ desktops, extra = [] }) {
		const at = await freePort();
		const args = Object.entries(desktops).map(([name, port]) => `--desktop=${name}=127.0.0.1:${port}`);
		const started = this.#start('helix-gateway', program('HELIX_GATEWAY'),
			[`--listen=127.0.0.1:${at}`, `--web-root=${webRoot}`, ...args, ...extra]);
		await started.answers(at);
		return { port: at, program: started, url: `http://127.0.0.1:${at}/` };
	}

	/** A page in a context of its own. What it throws makes stop() fail. */
	async page(options = {}) {
		const context = await (await getBrowser()).newContext({
			viewport: { width: 1000, height: 700 },
			...options,
		});
		this.#contexts.push(context);
		const page = await context.newPage();
		page.on('pageerror', (error) => this.#pageErrors.push(error));
		return page;
	}

	/** Something else to be ended: has stop(). */
	own(thing) {
		this.#programs.push(thing);
		return thing;
	}

	async stop() {
		for (const context of this.#contexts) {
			await context.close();
		}
		const failures = [...this.#pageErrors];
		for (const started of this.#programs.reverse()) {
			await started.stop().catch((error) => failures.push(error));
		}
		for (const directory of this.#directories) {
			await rm(directory, { recursive: true, force: true });
		}
		if (failures.length > 0) {
			throw failures[0];
		}
	}
}

/** Makes a test of node:test with a Bench that is ended in any case. */
export function withBench(f) {
	return async (t) => {
		const bench = new Bench();
		try {
			await f(bench, t);
		} finally {
			await bench.stop();
		}
	};
}
