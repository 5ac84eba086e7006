// SPDX-License-Identifier: GPL-2.0-or-later
// Three viewers of one desktop, of whom two are bad: one behind a line of 256 kbit/s, and one whose
// program is stopped. The good one keeps its frame rate, latency and picture, and its input its speed: it is
// compared with the only viewer of another desktop at the same time, so that a busy machine is busy for both.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { assert, defer, main, test, until } from '../integration/gateway/tap.mjs';
import { Viewer } from './client.mjs';
import { cpuMs, Rig, SHOW } from './rig.mjs';

const BYTES_PER_SECOND = 32000; // 256 kbit/s
const SECONDS = 5;
const KEYS = 15;
const ATTEMPTS = 3; // a machine's hiccups hit one of both; what bad viewers cost is always there

// A line to `port`: what comes from there is passed on no faster than that.
function narrowLine(port) {
	const server = net.createServer({ pauseOnConnect: true }, (front) => {
		const back = net.connect({ port, host: '127.0.0.1', highWaterMark: 4096 });
		front.on('error', () => back.destroy());
		back.on('error', () => front.destroy());
		front.on('close', () => back.destroy());
		back.on('close', () => front.destroy());
		front.resume();
		front.on('data', (d) => back.write(d));
		const begin = performance.now();
		let bytes = 0;
		back.on('data', (d) => {
			bytes += d.length;
			front.write(d);
			back.pause();
			setTimeout(() => back.resume(), begin + bytes / BYTES_PER_SECOND * 1000 - performance.now());
		});
	});
	defer(() => server.close());
	return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
}

// A viewer that is a program of its own, and is stopped as soon as it sees pictures.
async function stoppedViewer(rig) {
	const child = spawn(process.execPath, [new URL('viewer.mjs', import.meta.url).pathname, rig.base, JSON.stringify(rig.headers)],
		{ stdio: ['ignore', 'pipe', 'inherit'] });
	let said = '';
	child.stdout.on('data', (d) => { said += d; });
	defer(() => child.kill('SIGKILL'));
	await until('it has pictures', () => said.includes('picture'));
	child.kill('SIGSTOP');
}

const quantile = (values, q) => [...values].sort((a, b) => a - b)[Math.floor((values.length - 1) * q)];

const statistics = async (rig) => JSON.parse((await rig.request('/video/stats')).body).sources[0];
const rounded = (n) => Math.round(n * 10) / 10;

// What one viewer sees for a while, ms from a flip until it was at its socket, and what that costs.
async function watch(rig, v) {
	v.messages.length = 0; // what came since somebody looked
	const before = await statistics(rig), cpu = [rig.bridge, rig.exporter].map(({ pid }) => cpuMs(pid));
	const sent = [];
	const begin = performance.now();
	let frames = 0, bytes = 0, firstMissed = null, missed = 0;
	while (performance.now() < begin + SECONDS * 1000) {
		const m = await v.next();
		if (m.name === 'FrameTimes') {
			sent.push(m.sent / 1000);
			firstMissed ??= m.missed;
			missed = m.missed - firstMissed;
		} else if (m.name === 'VideoFrame') {
			frames++;
			bytes += m.unit.length;
		}
	}
	const seconds = (performance.now() - begin) / 1000, after = await statistics(rig);
	const [bridge, exporter] = [rig.bridge, rig.exporter].map(({ pid }, i) => (cpuMs(pid) - cpu[i]) / seconds / 10);
	return { rate: rounded(frames / seconds), p50: rounded(quantile(sent, 0.5)), p95: rounded(quantile(sent, 0.95)), missed,
		kilobytes: rounded(bytes / frames / 1000), asked: after.keyframe_requests - before.keyframe_requests,
		keyframes: after.keyframes - before.keyframes, bridgePercent: rounded(bridge), exporterPercent: rounded(exporter) };
}

// Ms from a viewer's key to the desktop.
async function keyTime(rig, v) {
	const begin = performance.now();
	v.say('Key', { down: 1, modifiers: 0, code: 30 });
	await rig.expectInput('key 30 down');
	const end = performance.now();
	v.say('Key', { down: 0, modifiers: 0, code: 30 });
	await rig.expectInput('key 30 up');
	return end - begin;
}

// What the good one lost beside the bad ones.
const losses = (alone, beside) => Object.entries({
	'its frame rate': beside.rate >= 0.8 * alone.rate,
	'its latency': beside.p50 <= 1.5 * alone.p50 + 5 && beside.p95 <= 2 * alone.p95 + 20,
	frames: beside.missed <= alone.missed,
	'its picture': beside.kilobytes >= 0.7 * alone.kilobytes,
	'bytes to keyframes': beside.kilobytes <= 1.4 * alone.kilobytes && beside.asked <= alone.asked + SECONDS,
}).filter(([, kept]) => !kept).map(([what]) => what);

// Which of the bridge's clients are behind.
const behind = async (rig) => (await statistics(rig)).clients.filter((c) => c.frames_skipped > 0).map((c) => c.client_id);

for (const gateway of [false, true]) {
	test(`the_good_one_notices_nothing${gateway ? '_through_a_gateway' : ''}`, async () => {
		const [quiet, crowded] = [await new Rig().start({ show: SHOW.film, gateway }),
			await new Rig().start({ show: SHOW.film, gateway })];
		const [lone, good] = [await quiet.viewer({ extensions: ['frame-times'] }),
			await crowded.viewer({ extensions: ['frame-times'] })];
		await Promise.all([lone.expect('VideoFrame'), good.expect('VideoFrame')]);

		const port = await narrowLine(new URL(crowded.base).port);
		const throttled = (await Viewer.open(crowded.base.replace(/:\d+/, `:${port}`) + '/ws/stream',
			{ headers: crowded.headers, fragments: gateway })).init();
		await throttled.expect('VideoFrame');
		throttled.onMessage = (m) => {
			throttled.frames = (throttled.frames ?? 0) + (m.name === 'VideoFrame');
		};
		await until('it is behind', async () => (await behind(crowded)).length > 0, 30000);
		let lost = null;
		for (let i = 0; i < ATTEMPTS && lost?.length !== 0; i++) {
			const earlier = await behind(crowded);
			await stoppedViewer(crowded);
			await until('it is behind, too', async () => (await behind(crowded)).some((id) => !earlier.includes(id)), 30000);
			const [alone, beside] = await Promise.all([watch(quiet, lone), watch(crowded, good)]);
			console.log(`# alone: ${JSON.stringify(alone)}, beside the bad ones: ${JSON.stringify(beside)}`);
			lost = losses(alone, beside);
		}
		assert.deepEqual(lost, []);
		assert.ok(throttled.frames > 0, 'the throttled one sees something');
		const keys = { alone: [], beside: [] };
		for (let i = 0; i < KEYS; i++) {
			keys.alone.push(await keyTime(quiet, lone));
			keys.beside.push(await keyTime(crowded, good));
		}
		const [alone, beside] = [quantile(keys.alone, 0.5), quantile(keys.beside, 0.5)];
		console.log(`# a key, alone: ${rounded(alone)} ms, beside the bad ones: ${rounded(beside)} ms`);
		assert.ok(beside <= 2 * alone + 20, 'its input');
	}, 180);
}

await main();
