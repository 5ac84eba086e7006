// SPDX-License-Identifier: GPL-2.0-or-later
// What the pages say, and where they look.
import assert from 'node:assert/strict';
import test from 'node:test';

import { desktopPage, locateDesktop } from '../../../web/js/api.js';
import { describeDesktop, sorted, summarize } from '../../../web/js/grid-model.js';
import { describe } from '../../../web/js/states.js';

test('one desktop of its own bridge, and one of many of a gateway', () => {
	const own = locateDesktop('http://localhost:9876/desktop.html');
	assert.equal(own.stream, 'ws://localhost:9876/ws/stream');
	assert.equal(own.http('clipboard'), 'http://localhost:9876/clipboard');
	const one = locateDesktop('https://host/below/desktop.html?desktop=d%201#x');
	assert.equal(one.name, 'd 1');
	assert.equal(one.stream, 'wss://host/below/api/v1/external-agents/d%201/ws/stream');
	assert.equal(one.http('clipboard'), 'https://host/below/api/v1/external-agents/d%201/clipboard');
	assert.equal(desktopPage('a&b'), 'desktop.html?desktop=a%26b');
});

test('every state and every end has a text of its own, and a way on', () => {
	const states = ['connecting', 'waiting', 'stalled', 'no-picture', 'retrying', 'hidden']
		.map((name) => ({ name, at: 5000, attempt: 1 }));
	const reasons = ['superseded', 'broken', 'refused', 'missing', 'gave-up', 'undecodable',
		'insecure', 'no-webcodecs', 'closed'];
	const all = [...states, ...reasons.map((reason) => ({ name: 'ended', reason }))]
		.map((state) => describe(state, 1000));
	assert.equal(new Set(all.map((d) => d.title)).size, all.length);
	for (const d of all) {
		assert.ok(d.title && d.overlay && ['wait', 'bad'].includes(d.tone));
	}
	for (const reason of reasons.filter((r) => r !== 'insecure' && r !== 'no-webcodecs')) {
		assert.ok(describe({ name: 'ended', reason }, 0).action, reason);
	}
	assert.equal(describe({ name: 'live' }, 0).overlay, false);
	assert.match(describe({ name: 'retrying', at: 5000 }, 1000).text, /4 s/);
	assert.match(describe({ name: 'no-picture', text: 'why' }, 0).text, /why/);
});

test('the list of desktops', () => {
	const list = ['desktop-10', 'desktop-2', 'a'].map((id) => ({ id, state: 'online', viewers: 0 }));
	assert.deepEqual(sorted(list).map((d) => d.id), ['a', 'desktop-2', 'desktop-10']);
	assert.equal(summarize(list), '3 desktops, 3 running');
	assert.equal(summarize([{ state: 'offline' }]), '1 desktop, 0 running');
	assert.deepEqual(describeDesktop({ state: 'online', viewers: 2 }),
		{ tone: 'good', text: 'Running · 2 watching' });
	assert.equal(describeDesktop({ state: 'whatever' }).tone, 'wait');
});
