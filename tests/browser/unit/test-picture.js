// SPDX-License-Identifier: GPL-2.0-or-later
// Clock, pacing, geometry and statistics.
import assert from 'node:assert/strict';
import test from 'node:test';

import { desktopSizeFor, displaySize, pointIn } from '../../../web/js/geometry.js';
import { Pacer } from '../../../web/js/pacing.js';
import { Series, Statistics, Window } from '../../../web/js/statistics.js';

// Feeds frames of `interval` ms with `jitter(i)` ms of delay; returns how long each is held back.
function pace(pacer, count, interval, jitter, from = 0) {
	const held = [];
	for (let i = 0; i < count; i++) {
		const pts = from + i * interval;
		const now = pts + 5 + jitter(i);
		held.push(pacer.due(pts, now) - now);
	}
	return held;
}

test('typing is shown at once', () => {
	const held = pace(new Pacer(), 30, 100, (i) => (i % 3) * 10);
	assert.ok(held.every((ms) => ms === 0));
});

test('a film is evened out, within bounds', () => {
	const pacer = new Pacer();
	const jitter = (i) => (i % 4 === 0 ? 20 : 0);
	const held = pace(pacer, 300, 1000 / 60, jitter);
	assert.ok(held.slice(0, 15).every((ms) => ms === 0), 'at once until it is known for a film');
	const late = held.slice(100);
	assert.ok(late.every((ms) => ms >= 0 && ms <= 60));
	// Shown at even distances: what was early waits, what was late does not.
	const shown = late.map((ms, i) => ms + jitter(i + 100));
	assert.ok(Math.max(...shown) - Math.min(...shown) < 1, 'even');
});

test('even frames are not held back', () => {
	const held = pace(new Pacer(), 200, 1000 / 60, () => 0);
	assert.ok(held.every((ms) => ms < 0.5));
});

test('input makes it immediate', () => {
	const pacer = new Pacer();
	pace(pacer, 120, 1000 / 60, (i) => (i % 2) * 20);
	pacer.input(2010);
	const held = pace(pacer, 50, 1000 / 60, (i) => (i % 2) * 20, 2000);
	assert.ok(held.slice(1).every((ms) => ms === 0));
});

test('huge jitter never delays for longer than the bound', () => {
	const held = pace(new Pacer(), 300, 1000 / 60, (i) => (i % 10 === 0 ? 400 : 0));
	assert.ok(Math.max(...held) < 60.01);
});

test('pts that jump back begin anew', () => {
	const pacer = new Pacer();
	pace(pacer, 100, 1000 / 60, (i) => (i % 2) * 20, 1e6);
	assert.equal(pacer.due(5, 1e6 + 3000), 1e6 + 3000);
});

test('fitting keeps the shape, and is sharp where it can be', () => {
	assert.deepEqual(displaySize({ width: 1920, height: 1080 }, { width: 960, height: 900 }, 'fit', 1),
		{ width: 960, height: 540 });
	assert.deepEqual(displaySize({ width: 1000, height: 600 }, { width: 500.4, height: 300.3 }, 'fit', 2),
		{ width: 500, height: 300 });
	assert.deepEqual(displaySize({ width: 800, height: 600 }, { width: 10, height: 10 }, 'actual', 2),
		{ width: 400, height: 300 });
	assert.deepEqual(displaySize({ width: 800, height: 600 }, { width: 10, height: 10 }, 1.5, 1),
		{ width: 1200, height: 900 });
	assert.deepEqual(displaySize({ width: 0, height: 0 }, { width: 10, height: 10 }, 'fit', 1),
		{ width: 0, height: 0 });
});

test('points of the page in the picture', () => {
	const box = { left: 10, top: 20, width: 200, height: 100 };
	assert.deepEqual(pointIn(box, 110, 70), { x: 0.5, y: 0.5 });
	assert.deepEqual(pointIn(box, 0, 130), { x: -0.05, y: 1.1 });
	assert.deepEqual(pointIn({ left: 0, top: 0, width: 0, height: 0 }, 5, 5), { x: 0, y: 0 });
});

test('sizes that a desktop can take', () => {
	assert.deepEqual(desktopSizeFor({ width: 1001.7, height: 701 }, 1), { width: 1000, height: 700 });
	assert.deepEqual(desktopSizeFor({ width: 100, height: 100 }, 2), { width: 640, height: 480 });
	assert.deepEqual(desktopSizeFor({ width: 9000, height: 9000 }, 1), { width: 3840, height: 2160 });
});

test('windows forget', () => {
	const w = new Window();
	[5, 1, 3, 2, 4].forEach((value, i) => w.add(value, i * 100));
	assert.equal(w.percentile(0.5, 500), 3);
	assert.equal(w.max(500), 5);
	assert.equal(w.rate(500), 15);
	assert.equal(w.percentile(0.5, 5150), 3);
	assert.equal(w.percentile(0.5, 60000), undefined);
	assert.equal(w.rate(60000), 0);
});

test('series are bounded, statistics have a point in each graph', () => {
	const series = new Series();
	for (let i = 0; i < 500; i++) {
		series.push(i);
	}
	assert.equal(series.points.length, 120);
	const statistics = new Statistics();
	statistics.noteQueue(3);
	statistics.add('painted', 1, 1000);
	statistics.sample(1000);
	assert.deepEqual(statistics.series.queue.points, [3]);
	assert.deepEqual(statistics.series.fps.points, [1]);
	assert.deepEqual(statistics.series.rtt.points, [undefined]);
});
