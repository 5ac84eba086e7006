// SPDX-License-Identifier: GPL-2.0-or-later
import assert from 'node:assert/strict';
import test from 'node:test';

import { Playout } from '../../../web/js/playout.js';

test('a steady stream waits for the margin only', () => {
	const playout = new Playout();
	for (let t = 0; t < 1000; t += 20) {
		assert.equal(playout.add(40, t), 50);
	}
});

test('one late packet makes all later ones wait, and then less and less', () => {
	const playout = new Playout();
	playout.add(40, 0);
	assert.equal(playout.add(90, 20), 100);
	assert.equal(playout.add(40, 40), 100);
	let last = 100;
	for (let t = 60; t < 40000; t += 20) {
		const delay = playout.add(40, t);
		assert.ok(delay <= last && last - delay < 0.1, 'it shrinks too slowly to be heard');
		last = delay;
	}
	assert.equal(last, 50);
});

test('gaps rather than lips out of step', () => {
	const playout = new Playout();
	for (let t = 0; t < 1000; t += 20) {
		playout.add(40, t, 30);
	}
	assert.equal(playout.add(300, 1000, 30), 100);
	// Nor afterwards, when the picture has become faster.
	for (let t = 1020; t < 2000; t += 20) {
		playout.add(40, t, 5);
	}
	assert.ok(playout.delay <= 75, `${playout.delay}`);
	// Of headphones that are late themselves nothing would be heard that way.
	const headphones = new Playout();
	for (let t = 0; t < 1000; t += 20) {
		headphones.add(250, t, 30);
	}
	assert.equal(headphones.delay, 260);
});

test('never before the picture, and never without a bound', () => {
	const playout = new Playout();
	assert.equal(playout.add(40, 0, 120), 120);
	assert.equal(playout.add(9000, 20, 120), 500);
	playout.reset();
	assert.equal(playout.add(40, 40), 50);
});
