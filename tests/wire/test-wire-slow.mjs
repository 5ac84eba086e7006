// SPDX-License-Identifier: GPL-2.0-or-later
// Three viewers of one desktop, of whom two are bad: one behind a line of 256 kbit/s, and one whose
// program is stopped. The good one keeps its frame rate and latency, and its input its speed.
import { spawn } from 'node:child_process';
import net from 'node:net';
import { assert, defer, main, test, until } from '../integration/gateway/tap.mjs';
import { Viewer } from './client.mjs';
import { Rig, SHOW } from './rig.mjs';

const BYTES_PER_SECOND = 32000; // 256 kbit/s
const SECONDS = 6;

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

// What one viewer sees for a while: frames a second, and ms from a flip until it was at its socket.
async function watch(v) {
	const sent = [];
	const end = performance.now() + SECONDS * 1000;
	let frames = 0, missed = 0;
	while (performance.now() < end) {
		const m = await v.next();
		if (m.name === 'FrameTimes') {
			sent.push(m.sent / 1000);
			missed = m.missed;
		}
		frames += m.name === 'VideoFrame';
	}
	return { rate: frames / SECONDS, p50: quantile(sent, 0.5), p95: quantile(sent, 0.95), missed };
}

// Which of the bridge's clients are behind.
async function skipped(rig) {
	const { sources, clients } = JSON.parse((await rig.request('/video/stats')).body);
	return (sources[0].clients ?? clients).filter((c) => c.frames_skipped > 0).length;
}

for (const gateway of [false, true]) {
	test(`the_good_one_notices_nothing${gateway ? '_through_a_gateway' : ''}`, async () => {
		const rig = await new Rig().start({ show: SHOW.film, gateway });
		const good = await rig.viewer({ extensions: ['frame-times'] });
		await good.expect('VideoFrame');
		const alone = await watch(good);

		const port = await narrowLine(new URL(rig.base).port);
		const throttled = (await Viewer.open(rig.base.replace(/:\d+/, `:${port}`) + '/ws/stream',
			{ headers: rig.headers, fragments: gateway })).init();
		await throttled.expect('VideoFrame');
		throttled.onMessage = (m) => {
			throttled.frames = (throttled.frames ?? 0) + (m.name === 'VideoFrame');
		};
		await stoppedViewer(rig);
		const reading = watch(good); // also while the others fall behind
		await until('both are behind', async () => await skipped(rig) === 2, 30000);
		await reading;
		const beside = await watch(good);
		console.log(`# alone: ${JSON.stringify(alone)}, beside the bad ones: ${JSON.stringify(beside)}`);
		assert.equal(beside.missed, 0);
		assert.ok(beside.rate > 0.6 * alone.rate, 'its frame rate');
		assert.ok(beside.p50 < 3 * alone.p50 + 20, 'its latency');
		assert.ok(throttled.frames > 0, 'the throttled one sees something');
		// Its input, too.
		const begin = performance.now();
		good.say('Key', { down: 1, modifiers: 0, code: 30 });
		await until('the key', () => rig.bridge.out.includes('key 30 down'));
		assert.ok(performance.now() - begin < 500, 'input');
	}, 120);
}

await main();
