// SPDX-License-Identifier: GPL-2.0-or-later
// From a desktop's flip to the painted canvas of the viewer, split into stages, over the pattern
// source: exporter, bridge (and gateway) and Chromium on this machine. Times of other clocks come
// over the wire (FrameTimes and Pong of docs/protocol/websocket.md); how wrong the clock may be is
// printed. "Painted" is the animation frame in which the picture was drawn into the canvas.

import assert from 'node:assert/strict';
import test from 'node:test';

import { until, withBench } from '../browser/harness.js';
import { waitForState } from '../browser/pages.js';

// Without a GPU, Chromium paints larger windows slowly, which says nothing about ours.
const MODE = process.env.HELIX_BENCH_MODE ?? '1280x720';
const [WIDTH, HEIGHT] = MODE.split('x').map(Number);
const TOOLBAR = 48;
const SECONDS = Number(process.env.HELIX_BENCH_SECONDS ?? 8);

const cases = [
	['typing', 2, false],
	['typing, through a gateway', 2, true],
	['scrolling terminal', 3, false],
	['dragged window', 4, false],
	['bars at 60 fps', 0, false],
	['film', 5, false],
];

const percentile = (values, part) => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
};

const pair = (values) =>
	`${percentile(values, 0.5).toFixed(1).padStart(6)} ${percentile(values, 0.95).toFixed(1).padStart(6)}`;

const stages = {
	encode: (r) => r.times.encodedUs / 1000,
	bridge: (r) => (r.times.sentUs - r.times.encodedUs) / 1000,
	network: (r) => r.received - r.flip - r.times.sentUs / 1000,
	decode: (r) => r.decoded - r.received,
	present: (r) => r.painted - r.decoded,
	'flip→socket': (r) => r.times.sentUs / 1000,
	'flip→painted': (r) => r.painted - r.flip,
};

for (const [name, scanout, throughGateway] of cases) {
	test(name, { timeout: 120000 }, withBench(async (bench) => {
		const exporter = await bench.exporter({ mode: MODE });
		const bridge = await bench.bridge({ exporterPort: exporter.port, scanout });
		const gateway = throughGateway &&
			await bench.gateway({ desktops: { one: bridge.port }, extra: ['--no-auth'] });
		const page = await bench.page({ viewport: { width: WIDTH, height: HEIGHT + TOOLBAR } });
		await page.addInitScript(() => {
			globalThis.trace = [];
			globalThis.helixTrace = (record) => globalThis.trace.push(record);
		});
		await page.goto(gateway ? `${gateway.url}desktop.html?desktop=one` : `${bridge.url}desktop.html`);
		await waitForState(page, 'live');
		await until('the clock settles', () => page.evaluate(() =>
			globalThis.helix.connection.clock.error < 2000), 10000).catch(() => {});
		await page.evaluate(() => {
			globalThis.trace.length = 0;
		});
		await page.waitForTimeout(SECONDS * 1000);
		const { trace, error, dropped } = await page.evaluate(() => ({
			trace: globalThis.trace,
			error: globalThis.helix.connection.clock.error,
			dropped: globalThis.helix.statistics.dropped,
		}));
		const records = trace.filter((r) => r.times && r.flip !== undefined && r.decoded);
		assert.ok(records.length > 10, `${records.length} frames`);
		console.log(`# ${name}, ${MODE}: ${(records.length / SECONDS).toFixed(0)} fps painted, ` +
			`${dropped} dropped, median ${percentile(records.map((r) => r.bytes), 0.5)} bytes, ` +
			`clock ± ${(error / 1000).toFixed(1)} ms; p50 and p95 in ms:`);
		for (const [stage, of] of Object.entries(stages)) {
			console.log(`#   ${stage.padEnd(13)}${pair(records.map(of))}`);
		}
	}));
}
