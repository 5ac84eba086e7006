// SPDX-License-Identifier: GPL-2.0-or-later
// The picture in the page is the one of the desktop.
import assert from 'node:assert/strict';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { pixel, readCounters, stateOf, waitForMotion, waitForState } from './pages.js';

const near = (actual, expected, tolerance) =>
	actual.every((value, i) => Math.abs(value - expected[i]) <= tolerance);

test('moving pictures: whole frames, in order, in the right colours', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(bridge.url); // the list leads to the only desktop
	await waitForMotion(page);
	assert.equal(await stateOf(page), 'live');
	assert.match(page.url(), /desktop\.html$/);

	let last = 0;
	let readings = 0;
	await until('60 readings', async () => {
		const { top, bottom } = await readCounters(page);
		assert.ok(top !== null, 'the counter is readable');
		assert.equal(top, bottom, 'the frame is whole');
		assert.ok(top >= last, `${top} after ${last}`);
		last = top;
		return ++readings >= 60;
	}, 30000);

	assert.ok(near(await pixel(page, 10, 80), [0x20, 0x30, 0x40], 6), 'background');
	const bar = await pixel(page, 4, 200);
	assert.ok(near(bar, [0xe0, 0xc0, 0x40], 8) || near(bar, [0x30, 0x60, 0xa0], 8), String(bar));
}));

test('a static screen: painted at once, alike to the bridge’s own picture', withBench(async (bench) => {
	const exporter = await bench.exporter({ mode: '1024x768' });
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: 1 });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'live');
	const difference = await page.evaluate(async () => {
		const reply = await fetch('screenshot?format=png&include_cursor=false');
		const bitmap = await createImageBitmap(await reply.blob());
		const picture = document.getElementById('picture');
		if (bitmap.width !== picture.width || bitmap.height !== picture.height) {
			return { size: [bitmap.width, bitmap.height] };
		}
		const copy = new OffscreenCanvas(bitmap.width, bitmap.height).getContext('2d');
		copy.drawImage(bitmap, 0, 0);
		const a = copy.getImageData(0, 0, bitmap.width, bitmap.height).data;
		const b = picture.getContext('2d').getImageData(0, 0, bitmap.width, bitmap.height).data;
		let sum = 0;
		let far = 0;
		for (let i = 0; i < a.length; i++) {
			const d = Math.abs(a[i] - b[i]);
			sum += d;
			far += d > 40 ? 1 : 0;
		}
		return { mean: sum / a.length, far: far / a.length };
	});
	assert.ok(difference.mean < 3 && difference.far < 0.02, JSON.stringify(difference));

	// Nothing comes now, yet it stays alive.
	const painted = () => page.evaluate(() => globalThis.helix.statistics.windows.painted.rate(
		performance.now(), 5000));
	await page.waitForTimeout(7000);
	assert.equal(await painted(), 0);
	assert.equal(await stateOf(page), 'live');
}));

test('typing-sized changes arrive one by one', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: 2 });
	const page = await bench.page();
	await page.addInitScript(() => {
		globalThis.trace = [];
		globalThis.helixTrace = (record) => globalThis.trace.push(record);
	});
	await page.goto(`${bridge.url}desktop.html`);
	await until('30 frames', () => page.evaluate(() => globalThis.trace.length >= 30));
	const records = await page.evaluate(() => globalThis.trace);
	// One in, one out: no decoder kept a frame back until the next came, which takes 100 ms.
	const held = records.slice(5).map((r) => r.decoded - r.received).sort((a, b) => a - b);
	assert.ok(held[Math.floor(held.length / 2)] < 50, `decoding took ${held}`);
	assert.equal(await page.evaluate(() => globalThis.helix.statistics.dropped), 0);
}));

test('the pointer’s shape and place in sizes of the page', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page({ viewport: { width: 800, height: 600 } });
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'live');
	const box = () => page.locator('#screen').boundingBox();
	const fitted = await box();
	assert.ok(Math.abs(fitted.width - 800) < 1 && Math.abs(fitted.height - 500) < 1);
	await page.selectOption('#size', 'actual');
	const actual = await box();
	assert.deepEqual([actual.width, actual.height], [640, 400]);
	await page.selectOption('#size', '2');
	assert.equal((await box()).width, 1280);
	assert.ok(await page.evaluate(() => document.getElementById('stage').scrollWidth >= 1280));
}));

test('a hidden page gets no frames, and goes on when it is seen', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForMotion(page);
	const setHidden = (hidden) => page.evaluate((value) => {
		Object.defineProperty(document, 'hidden', { value, configurable: true });
		document.dispatchEvent(new Event('visibilitychange'));
	}, hidden);
	const received = () => page.evaluate(() =>
		globalThis.helix.statistics.windows.received.rate(performance.now(), 500));
	await setHidden(true);
	await until('no frames', async () => (await received()) === 0);
	await setHidden(false);
	await waitForMotion(page);
}));
