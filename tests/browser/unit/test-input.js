// SPDX-License-Identifier: GPL-2.0-or-later
import assert from 'node:assert/strict';
import test from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { Outbox } from '../../../web/js/outbox.js';
import { encodeButton, encodeKey } from '../../../web/js/protocol.js';
import { difference } from '../../../web/js/touch-keys.js';

class FakeConnection {
	backlog = 0;
	sent = [];

	send(buffer) {
		this.sent.push(Buffer.from(buffer));
	}

	get types() {
		return this.sent.map((b) => b[0]);
	}
}

test('while the socket is busy, positions replace each other and wheels add up', async () => {
	const connection = new FakeConnection();
	const outbox = new Outbox(connection);
	connection.backlog = 1000;
	for (let i = 0; i <= 100; i++) {
		outbox.moveTo(i / 100, 0.5);
		outbox.wheel(0, 1);
		outbox.moveBy(1, -1);
	}
	assert.equal(connection.sent.length, 0);
	connection.backlog = 0;
	await sleep(50);
	assert.deepEqual(connection.types, [0x12, 0x13, 0x11]);
	assert.equal(connection.sent[0].readInt16BE(2), 16384);
	assert.equal(connection.sent[1].readInt16BE(2), 101);
	assert.equal(connection.sent[2].readFloatLE(6), 101);
});

test('an idle socket gets motion at once', () => {
	const connection = new FakeConnection();
	new Outbox(connection).moveTo(0.25, 1);
	assert.deepEqual([...connection.sent[0]], [0x12, 1, 0x10, 0, 0x40, 0, 0x40, 0, 0x40, 0]);
});

test('a button goes at once, behind the position that belongs to it', () => {
	const connection = new FakeConnection();
	const outbox = new Outbox(connection);
	connection.backlog = 1000;
	outbox.moveTo(0.5, 0.5);
	outbox.send(encodeButton(1, true));
	assert.deepEqual(connection.types, [0x12, 0x11]);
	outbox.reset();
});

test('keys behind a barrier wait, in order', async () => {
	const connection = new FakeConnection();
	const outbox = new Outbox(connection);
	let lift;
	const barrier = outbox.barrier(new Promise((resolve) => {
		lift = resolve;
	}));
	outbox.send(encodeKey(47, true, 2));
	outbox.send(encodeKey(47, false, 2));
	assert.equal(connection.sent.length, 0);
	lift();
	await barrier;
	assert.deepEqual(connection.sent.map((b) => b[2]), [1, 0]);
	outbox.send(encodeKey(30, true, 0));
	assert.equal(connection.sent.length, 3);
});

test('a barrier that is never lifted, or fails, does not hold keys for ever', async () => {
	const connection = new FakeConnection();
	const outbox = new Outbox(connection);
	void outbox.barrier(Promise.reject(new Error('no clipboard')));
	outbox.send(encodeKey(47, true, 2));
	await sleep(10);
	assert.equal(connection.sent.length, 1);
	void outbox.barrier(new Promise(() => {}));
	outbox.send(encodeKey(47, false, 2));
	await sleep(1100);
	assert.equal(connection.sent.length, 2);
});

test('a viewer that may only look sends nothing', () => {
	const connection = new FakeConnection();
	const outbox = new Outbox(connection);
	outbox.enabled = false;
	outbox.moveTo(0, 0);
	outbox.send(encodeKey(30, true, 0));
	outbox.wheel(1, 1);
	assert.equal(connection.sent.length, 0);
});

test('what was typed on a keyboard that only shows its text', () => {
	assert.deepEqual(difference('    ', '    a'), { deleted: 0, typed: 'a' });
	assert.deepEqual(difference('    teh', '    the '), { deleted: 2, typed: 'he ' });
	assert.deepEqual(difference('    ', '   '), { deleted: 1, typed: '' });
	assert.deepEqual(difference('x🙂', 'x🙃'), { deleted: 1, typed: '🙃' });
});
