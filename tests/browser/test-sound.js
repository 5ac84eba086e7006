// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop's sound in the page, and the page's microphone in the desktop; with the real PipeWire.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { analyse, hears } from './hearing.js';
import { waitForMotion } from './pages.js';
import { startPipewire } from './pipewire.js';

const LIP_SYNC_MS = 80;

const state = (page, id) => page.evaluate((name) => document.getElementById(name).dataset.state, id);

const metric = async (bridge, name) => {
	const text = await (await fetch(`${bridge.url}metrics`)).text();
	return Number(text.match(new RegExp(`^desktop_bridge_${name} (.*)$`, 'm'))[1]);
};

// A page on a desktop that has PipeWire.
async function open(bench, options) {
	const pipewire = await startPipewire(bench);
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port, runtimeDir: pipewire.directory });
	const page = await bench.page(options);
	await page.goto(`${bridge.url}desktop.html`);
	await waitForMotion(page);
	return { pipewire, exporter, bridge, page };
}

test('a tone is heard, in step with the picture', withBench(async (bench, t) => {
	const { pipewire, bridge, page } = await open(bench);
	// Browsers let no page make a noise before the user did something, and nothing is sent till then.
	assert.equal(await state(page, 'sound'), 'waiting');
	assert.equal(await metric(bridge, 'audio_listeners'), 0);
	await page.click('#screen');
	await until('sound', async () => (await state(page, 'sound')) === 'on');
	pipewire.play(1000);
	await hears(page, 1000);
	// On a busy machine not even PipeWire keeps up: there are gaps then, and lips in step.
	for (let attempt = 1, inStep = false; !inStep; attempt++) {
		const packets = await metric(bridge, 'audio_packets_total');
		await page.waitForTimeout(6000);
		const perSecond = (await metric(bridge, 'audio_packets_total') - packets) / 6;
		const { lipSync, latency, picture, gaps } = await page.evaluate(() => {
			const { windows, soundGaps } = globalThis.helix.statistics;
			const now = performance.now();
			const of = (name) =>
				[0.05, 0.5, 0.95].map((p) => Math.round(windows[name].percentile(p, now)));
			return {
				lipSync: of('lipSync'), latency: of('soundLatency'), picture: of('paintLatency'),
				gaps: soundGaps,
			};
		});
		t.diagnostic(`sound ${latency} ms late, picture ${picture} ms, sound after picture ` +
			`${lipSync} ms (p5, p50, p95); ${gaps} gaps; ${perSecond.toFixed(1)} packets/s`);
		inStep = Math.abs(lipSync[1]) < LIP_SYNC_MS;
		assert.ok(inStep || attempt < 3, `${lipSync}`);
	}

	// Off: silence here, and nothing is sent. On again.
	await page.click('#sound');
	assert.equal(await state(page, 'sound'), 'off');
	await until('silence', async () => await metric(bridge, 'audio_listeners') === 0);
	assert.equal(await page.isVisible('#volume'), false);
	await page.click('#sound');
	await hears(page, 1000);
	// Silent by the volume, and the choice outlives a reload.
	await page.fill('#volume', '0');
	await until('silence', async () => (await analyse(page)).level < 0.001);
	await page.reload();
	await page.click('#screen');
	await until('sound', async () => (await state(page, 'sound')) === 'on');
	assert.equal(await page.inputValue('#volume'), '0');
	assert.match(await page.getAttribute('#sound', 'aria-label'), /on$/);
}));

/**
 * Measured apart from the viewer's own reckoning: the time at which a program's tone begins, by the
 * machine's clock, and by the page's analyser.
 */
test('the beginning of a tone is heard soon after it is played', withBench(async (bench, t) => {
	const { pipewire, page } = await open(bench);
	await page.click('#screen');
	pipewire.play(300);
	await hears(page, 300);
	await page.evaluate(() => {
		const { analyser } = globalThis;
		const bins = new Float32Array(analyser.frequencyBinCount);
		analyser.fftSize = 1024;
		analyser.smoothingTimeConstant = 0;
		globalThis.onset = 0;
		const timer = setInterval(() => {
			analyser.getFloatFrequencyData(bins);
			if (bins[Math.round(6000 * 1024 / analyser.context.sampleRate)] > -30) {
				globalThis.onset = performance.timeOrigin + performance.now();
				clearInterval(timer);
			}
		}, 2);
	});
	const before = process.hrtime.bigint();
	const epoch = Date.now();
	const player = pipewire.play(6000, 1000);
	const heard = await until('the onset', () => page.evaluate(() => globalThis.onset));
	await until('its time', () => player.output().includes('\n'));
	const played = epoch + Number(BigInt(player.output().trim()) - before) / 1e6;
	t.diagnostic(`heard ${Math.round(heard - played)} ms after it was played`);
	assert.ok(heard - played < 300 && heard - played > -20, `${heard - played}`);
}));

test('sound returns with PipeWire’s and the bridge’s', withBench(async (bench) => {
	const { pipewire, exporter, bridge: first, page } = await open(bench);
	await page.click('#screen');
	pipewire.play(1000);
	await hears(page, 1000);
	await first.program.stop();
	await until('silence', async () => (await analyse(page)).level < 0.001);
	await bench.bridge({ exporterPort: exporter.port, port: first.port, runtimeDir: pipewire.directory });
	await hears(page, 1000, 30000);
}));

test('the microphone of the page is heard in the desktop', withBench(async (bench, t) => {
	const { pipewire, bridge, page } = await open(bench, { permissions: ['microphone'] });
	// A microphone that whistles.
	await page.evaluate(() => {
		navigator.mediaDevices.getUserMedia = async () => {
			const context = new AudioContext({ sampleRate: 48000 });
			const tone = new OscillatorNode(context, { frequency: 1500 });
			const destination = new MediaStreamAudioDestinationNode(context);
			tone.connect(destination);
			tone.start();
			return destination.stream;
		};
	});
	assert.equal(await state(page, 'microphone'), 'off');
	await page.click('#microphone');
	await until('the microphone', async () => (await state(page, 'microphone')) === 'on');
	await until('it is heard', async () => await metric(bridge, 'microphone_samples_total') > 48000);
	const file = `${pipewire.directory}/said.wav`;
	const recorder = pipewire.record(file);
	await page.waitForTimeout(4000);
	await recorder.stop();
	const bytes = await readFile(file);
	const begin = bytes.indexOf('data') + 8;
	const samples = new Float32Array(bytes.buffer.slice(bytes.byteOffset + begin,
		bytes.byteOffset + begin + 4 * Math.floor((bytes.length - begin) / 4))).slice(-24000);
	let [re, im, energy] = [0, 0, 0];
	samples.forEach((v, i) => {
		re += v * Math.cos(2 * Math.PI * 1500 * i / 48000);
		im += v * Math.sin(2 * Math.PI * 1500 * i / 48000);
		energy += v * v;
	});
	const purity = 2 * (re * re + im * im) / (samples.length * energy);
	t.diagnostic(`${samples.length} samples, purity ${purity.toFixed(3)}`);
	assert.ok(energy / samples.length > 0.01, `${energy}`);
	assert.ok(purity > 0.5, `${purity}`);
	await page.click('#microphone');
	assert.equal(await state(page, 'microphone'), 'off');
	await until('the source is gone', async () => await metric(bridge, 'microphone_open') === 0);
}));
