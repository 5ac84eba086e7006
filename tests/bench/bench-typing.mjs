// SPDX-License-Identifier: GPL-2.0-or-later
// What bench-typing.c runs: a page in Chromium that types into a desktop of a VM, of which the bridge
// is at the port in the first argument. From the key in the page until the picture with what it
// changed was painted there, with the stages between. The desktop is still but for what is typed.
import assert from 'node:assert/strict';

import { Bench, until } from '../browser/harness.js';
import { waitForState } from '../browser/pages.js';

const [port, keys] = process.argv.slice(2).map(Number);
const QUIET_MS = 700;

const percentile = (values, part) => {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
};

// Of a key at `key` and the frame that shows it: ms on the page's clock.
const stages = {
	'key→flip': (r) => r.flip - r.key,
	encode: (r) => r.times.encodedUs / 1000,
	'to the bridge': (r) => (r.times.receivedUs - r.times.encodedUs) / 1000,
	bridge: (r) => (r.times.sentUs - r.times.receivedUs) / 1000,
	network: (r) => r.received - r.flip - r.times.sentUs / 1000,
	decode: (r) => r.decoded - r.received,
	present: (r) => r.painted - r.decoded,
	'flip→painted': (r) => r.painted - r.flip,
	'key→painted': (r) => r.painted - r.key,
};

async function open(bench) {
	const page = await bench.page({ viewport: { width: 1280, height: 768 } });
	await page.addInitScript(() => {
		globalThis.trace = [];
		globalThis.helixTrace = (record) => globalThis.trace.push({ ...record, seen: performance.now() });
		globalThis.addEventListener('keydown', () => { globalThis.keyAt = performance.now(); }, { capture: true });
	});
	await page.goto(`http://127.0.0.1:${port}/desktop.html`);
	await waitForState(page, 'live', 60000);
	await page.waitForTimeout(5000); // for the clock to settle
	return page;
}

const quiet = (page) => until('the desktop is still', () => page.evaluate((ms) =>
	performance.now() - (globalThis.trace.at(-1)?.seen ?? 0) > ms, QUIET_MS), 30000);

async function typeOne(page) {
	await quiet(page);
	await page.evaluate(() => { globalThis.trace.length = 0; });
	await page.keyboard.press('a');
	return await until('the key shows', () => page.evaluate(() => {
		const shown = globalThis.trace.find((r) => r.painted > globalThis.keyAt && r.times && r.flip !== undefined);
		return shown && { ...shown, key: globalThis.keyAt };
	}), 20000);
}

const bench = new Bench();
try {
	const page = await open(bench);
	const records = [];
	await typeOne(page); // the first one warms up
	for (let i = 0; i < keys; i++) {
		records.push(await typeOne(page));
	}
	assert.equal(records.length, keys);
	const error = await page.evaluate(() => globalThis.helix.connection.clock.error);
	console.log(`# ${keys} keys, median ${percentile(records.map((r) => r.bytes), 0.5)} bytes, ` +
		`clock ± ${(error / 1000).toFixed(1)} ms; p50 and p95 in ms:`);
	for (const [stage, of] of Object.entries(stages)) {
		const values = records.map(of);
		console.log(`#   ${stage.padEnd(14)}${percentile(values, 0.5).toFixed(1).padStart(7)}` +
			`${percentile(values, 0.95).toFixed(1).padStart(7)}`);
	}
	if (process.env.HELIX_TEST_PICTURES) {
		await page.screenshot({ path: `${process.env.HELIX_TEST_PICTURES}/typing.png` });
	}
} finally {
	await bench.stop();
	process.exitCode ??= 0;
}
process.exit();
