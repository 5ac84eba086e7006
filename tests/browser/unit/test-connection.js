// SPDX-License-Identifier: GPL-2.0-or-later
// The retry state machine, with a clock and sockets of the test's own.
import assert from 'node:assert/strict';
import test from 'node:test';

import { backoff, closeAction, Connection } from '../../../web/js/connection.js';
import { decode, Type } from '../../../web/js/protocol.js';
import * as server from '../messages.js';

class World {
	time = 1000;
	sockets = [];
	states = [];
	resets = 0;
	isHidden = false;
	probeAnswer = '';
	#timers = new Map();
	#nextTimer = 1;

	constructor() {
		const world = this;
		this.env = {
			now: () => this.time,
			random: () => 0.5,
			hidden: () => this.isHidden,
			setTimeout: (f, ms) => {
				this.#timers.set(this.#nextTimer, { at: this.time + ms, f });
				return this.#nextTimer++;
			},
			clearTimeout: (id) => this.#timers.delete(id),
			WebSocket: class {
				readyState = 0;
				bufferedAmount = 0;
				sent = [];
				closed = false;

				constructor(url) {
					this.url = url;
					world.sockets.push(this);
				}

				send(data) {
					assert.equal(this.readyState, 1, 'sends only when open');
					this.sent.push(data);
				}

				close() {
					this.readyState = 3;
					this.closed = true;
				}
			},
		};
		this.connection = new Connection({
			url: 'ws://desktop/ws/stream',
			init: { client_unique_id: 'tab' },
			env: this.env,
			handlers: {
				state: (state) => this.states.push(state),
				message: () => {},
				opened: () => {},
				reset: () => this.resets++,
				probe: async () => this.probeAnswer,
			},
		});
	}

	get socket() {
		return this.sockets.at(-1);
	}

	get state() {
		return this.connection.state.name;
	}

	open() {
		this.socket.readyState = 1;
		this.socket.onopen();
	}

	start() {
		this.connection.start();
		this.open();
	}

	receive(buffer) {
		this.socket.onmessage({ data: buffer });
	}

	frame(key = true) {
		this.receive(server.videoFrame({ key, pts: this.time * 1000, width: 8, height: 8,
			data: Uint8Array.of(0) }));
	}

	pong() {
		this.receive(server.pong({ seq: 1, clientTime: 0, serverTime: 0, pipelineMs: 0, lateP50Ms: 0,
			lateP99Ms: 0, lateMaxMs: 0 }));
	}

	live() {
		this.start();
		this.frame();
		this.connection.painted();
		assert.equal(this.state, 'live');
	}

	/** The server's or the network's end. */
	async lose(code) {
		const { socket } = this;
		socket.readyState = 3;
		socket.onclose({ code });
		await new Promise((resolve) => setImmediate(resolve));
	}

	/** Lets time pass; `each` is called every 100 ms. */
	pass(ms, each = () => {}) {
		const end = this.time + ms;
		while (this.time < end) {
			this.time += 100;
			each();
			for (const [id, { at, f }] of [...this.#timers]) {
				if (at <= this.time && this.#timers.delete(id)) {
					f();
				}
			}
		}
	}
}

const sentOf = (w, type) => w.socket.sent.filter((b) =>
	typeof b !== 'string' && new DataView(b).getUint8(0) === type);

// Until the next attempt.
function passToNext(w) {
	const n = w.sockets.length;
	for (let i = 0; i < 400 && w.sockets.length === n && w.state !== 'ended'; i++) {
		w.pass(100);
	}
}

test('init goes first, then pings twice a second', () => {
	const w = new World();
	w.start();
	assert.equal(w.state, 'waiting');
	const init = JSON.parse(w.socket.sent[0]);
	assert.equal(init.type, 'init');
	assert.equal(init.client_unique_id, 'tab');
	assert.equal(init.user_retry, false);
	w.pass(5000, () => w.pong());
	const pings = sentOf(w, Type.PING);
	assert.ok(pings.length >= 10 && pings.length <= 12, `${pings.length} pings`);
});

test('the table of close codes', () => {
	for (const code of [1002, 1007, 1009]) {
		assert.deepEqual(closeAction(code), { end: 'broken' });
	}
	assert.deepEqual(closeAction(4000), { end: 'superseded' });
	for (const code of [1001, 1005, 1006, 1008, 1011, 1012, 1013, 4999]) {
		assert.ok(closeAction(code).retry, String(code));
	}
});

test('4000 is not followed by a connection', async () => {
	const w = new World();
	w.live();
	await w.lose(4000);
	assert.deepEqual(w.connection.state, { name: 'ended', reason: 'superseded' });
	w.pass(120000);
	w.connection.wake();
	w.connection.online();
	assert.equal(w.sockets.length, 1);
});

test('1012 and 1006 after a picture: again at once, then with back-off', async () => {
	for (const code of [1006, 1012]) {
		const w = new World();
		w.live();
		await w.lose(code);
		w.pass(100);
		assert.equal(w.sockets.length, 2, 'at once');
		w.open();
		await w.lose(code);
		w.pass(600);
		assert.equal(w.sockets.length, 2, 'not at once again');
		w.pass(300);
		assert.equal(w.sockets.length, 3);
	}
});

test('1013 waits five seconds', async () => {
	const w = new World();
	w.live();
	await w.lose(1013);
	w.pass(4900);
	assert.equal(w.sockets.length, 1);
	w.pass(200);
	assert.equal(w.sockets.length, 2);
});

test('back-off grows to half a minute, with its random part', () => {
	const of = (n, r) => backoff(n, () => r);
	assert.deepEqual([1, 2, 3, 4, 5, 6, 9].map((n) => of(n, 1)),
		[1000, 2000, 4000, 8000, 16000, 30000, 30000]);
	assert.equal(of(1, 0), 500);
});

test('ten attempts, then only the user can go on', async () => {
	const w = new World();
	w.connection.start();
	for (let i = 0; i < 12 && w.state !== 'ended'; i++) {
		await w.lose(1006);
		passToNext(w);
	}
	assert.equal(w.sockets.length, 10);
	assert.deepEqual(w.connection.state, { name: 'ended', reason: 'gave-up' });
	w.connection.start();
	w.open();
	assert.equal(JSON.parse(w.socket.sent[0]).user_retry, true);
	w.frame();
	w.connection.painted();
	await w.lose(1006);
	w.pass(100);
	w.open();
	assert.equal(JSON.parse(w.socket.sent[0]).user_retry, false);
});

test('only a painted frame refunds attempts', async () => {
	const w = new World();
	w.connection.start();
	for (let i = 0; i < 9; i++) {
		w.open();
		w.frame(); // received, never painted
		await w.lose(1006);
		passToNext(w);
	}
	w.open();
	w.frame();
	w.connection.painted();
	await w.lose(1006);
	assert.equal(w.state, 'retrying');
	w.pass(100);
	assert.equal(w.sockets.length, 11);
});

test('a refused handshake is asked about, and ends', async () => {
	const w = new World();
	w.probeAnswer = 'refused';
	w.connection.start();
	await w.lose(1006);
	assert.deepEqual(w.connection.state, { name: 'ended', reason: 'refused' });
	w.pass(60000);
	assert.equal(w.sockets.length, 1);
});

test('silence: stalled after 5 s, given up after 10', () => {
	const w = new World();
	w.live();
	w.pass(4500);
	assert.equal(w.state, 'live');
	w.pass(1100);
	assert.equal(w.state, 'stalled');
	w.pong();
	assert.equal(w.state, 'live');
	w.pass(11000);
	assert.ok(w.sockets[0].closed);
	assert.equal(w.sockets.length, 2);
});

test('a static screen with Pongs is alive', () => {
	const w = new World();
	w.live();
	w.pass(120000, () => w.pong());
	assert.equal(w.state, 'live');
	assert.equal(w.sockets.length, 1);
});

test('frames that are never painted: a keyframe is asked for, then a new connection', () => {
	const w = new World();
	w.live();
	const resets = w.resets;
	w.pass(5000, () => w.frame(false));
	const controls = sentOf(w, Type.CONTROL);
	assert.equal(controls.length % 2, 0);
	assert.ok(controls.length >= 2);
	assert.ok(w.resets > resets, 'the decoder begins anew');
	w.pass(4000, () => w.sockets[0].closed || w.frame(false));
	assert.equal(w.sockets.length, 2);
});

test('keyframes are asked for once a second at most', () => {
	const w = new World();
	w.live();
	const before = w.socket.sent.length;
	for (let i = 0; i < 50; i++) {
		w.connection.askKeyframe();
	}
	assert.equal(w.socket.sent.length, before + 2);
});

test('no first frame in 15 s: again; but not if the server says why there is none', () => {
	const w = new World();
	w.start();
	w.pass(15600, () => w.sockets[0].closed || w.pong());
	assert.ok(w.sockets[0].closed);

	const told = new World();
	told.start();
	told.receive(server.streamError('no desktop here'));
	told.pass(60000, () => told.pong());
	assert.deepEqual(told.connection.state, { name: 'no-picture', text: 'no desktop here' });
	assert.equal(told.sockets.length, 1);
	told.frame();
	told.connection.painted();
	assert.equal(told.state, 'live');
});

test('a handshake that takes 15 s is given up', () => {
	const w = new World();
	w.connection.start();
	w.pass(15200);
	assert.ok(w.sockets[0].closed);
	assert.equal(w.state, 'retrying');
});

test('a hidden page judges nothing and connects when it is seen', async () => {
	const w = new World();
	w.live();
	w.isHidden = true;
	w.connection.setVideoEnabled(false);
	w.pass(300000);
	assert.equal(w.sockets.length, 1);
	assert.equal(w.state, 'live');
	await w.lose(1006);
	assert.equal(w.state, 'hidden');
	w.pass(60000);
	assert.equal(w.sockets.length, 1);
	w.isHidden = false;
	w.connection.setVideoEnabled(true);
	w.connection.wake();
	assert.equal(w.sockets.length, 2);
});

test('what an old socket still says is not heard', async () => {
	const w = new World();
	w.live();
	const old = w.socket;
	w.pass(11000);
	w.pass(5000);
	assert.equal(w.sockets.length, 2);
	assert.equal(old.onmessage, null);
	assert.equal(old.onclose, null);
});

test('the clock of Pongs', () => {
	const w = new World();
	w.live();
	const ping = (rtt, offset) => w.receive(server.pong({ seq: 1,
		clientTime: w.time * 1000 - rtt, serverTime: w.time * 1000 - rtt / 2 + offset,
		pipelineMs: 0, lateP50Ms: 0, lateP99Ms: 0, lateMaxMs: 0 }));
	ping(40000, 1e9 + 9000);
	ping(2000, 1e9);
	ping(30000, 1e9 - 5000);
	assert.equal(w.connection.clock.toLocal(1e9 + 77), 77);
	assert.equal(w.connection.clock.error, 1000);
	assert.equal(w.connection.clock.rtt, 30000);
});

test('messages of the server reach the page decoded', () => {
	assert.equal(decode(server.selfId({ clientId: 5 })).clientId, 5);
});
