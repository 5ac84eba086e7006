// SPDX-License-Identifier: GPL-2.0-or-later
// CPU time of helix-gateway, and the latency that it adds: a stream as of a 1080p desktop at 60 Hz
// (20 KB a frame, an IDR of 150 KB every two seconds: 10 Mbit/s), and connections that are idle but for
// what bridges and viewers say all the time.
import { spawn } from 'node:child_process';
import { Bridge, direct, Gateway, tokens } from '../integration/gateway/gateway.mjs';
import { assert, defer, main, sleep, test, until } from '../integration/gateway/tap.mjs';

const { control, runner } = tokens;
const SECONDS = 10;
const FPS = 60;

const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))];

async function measure(gateway, name, run) {
	const cpu = gateway.cpuMs(), begin = performance.now();
	const latencies = await run();
	const took = performance.now() - begin;
	const percent = ((gateway.cpuMs() - cpu) / took * 100).toFixed(2);
	latencies.sort((a, b) => a - b);
	const late = latencies.length
		? `, bridge to viewer p50 ${quantile(latencies, 0.5).toFixed(2)} ms, p95 ${quantile(latencies, 0.95).toFixed(2)} ms`
		: '';
	console.log(`# ${name}: ${percent} % of one CPU${late}, RSS ${(gateway.rssKiB() / 1024).toFixed(1)} MiB`);
}

// Frames from the bridge to all viewers; how late each came.
async function stream(viewers, backs) {
	const latencies = [];
	const small = Buffer.alloc(20_000, 1), large = Buffer.alloc(150_000, 1);
	for (const viewer of viewers) {
		viewer.onMessage = (m) => {
			latencies.push(performance.now() - m.data.readDoubleLE(0));
			viewer.messages.length = 0;
		};
	}
	const begin = performance.now();
	for (let n = 0; n < SECONDS * FPS; n++) {
		await sleep(Math.max(0, begin + n * 1000 / FPS - performance.now()));
		const frame = n % (2 * FPS) === 0 ? large : small;
		for (const back of backs) {
			frame.writeDoubleLE(performance.now(), 0);
			back.send(2, frame);
		}
	}
	await until('all have come', () => latencies.length === SECONDS * FPS * viewers.length);
	return latencies;
}

async function idle(viewers, backs) {
	const end = performance.now() + SECONDS * 1000;
	for (let n = 0; performance.now() < end; n++) {
		viewers.forEach((v) => v.send(2, Buffer.alloc(13, 0x40)));
		backs.forEach((b) => {
			b.send(2, Buffer.alloc(29, 0x41));
			if (n % 10 === 0) {
				b.send(9, '');
			}
		});
		await sleep(500);
	}
	return [];
}

async function open(gateway, bridge, n, kind = stream) {
	bridge.onViewer = () => {};
	const viewers = [];
	for (let i = 0; i < n; i++) {
		viewers.push(await gateway.stream('desktop-1', control));
		assert.ok(viewers[i].socket);
		viewers[i].socket.setNoDelay(true);
	}
	defer(() => viewers.forEach((v) => v.destroy()));
	return () => kind(viewers, bridge.viewers.splice(0));
}

for (const tls of [false, true]) {
	test(`one_stream${tls ? '_tls' : ''}`, async () => {
		const { gateway, bridge } = await direct({ tls });
		await measure(gateway, `one stream${tls ? ', TLS' : ''}`, await open(gateway, bridge, 1));
	});
}

test('eight_streams', async () => {
	const { gateway, bridge } = await direct();
	await measure(gateway, 'eight streams', await open(gateway, bridge, 8));
});

test('one_stream_by_revdial', async () => {
	const bridge = await new Bridge().start();
	const gateway = await new Gateway().start();
	const child = spawn(process.env.HELIX_REVDIAL_JOIN, [gateway.base, 'desktop-1', runner, String(bridge.port)],
		{ stdio: 'ignore' });
	defer(() => child.kill('SIGTERM'));
	await until('the bridge is connected', async () => (await gateway.desktops()).length === 1);
	await measure(gateway, 'one stream, RevDial', await open(gateway, bridge, 1));
});

test('sixteen_idle', async () => {
	const { gateway, bridge } = await direct();
	await measure(gateway, '16 idle viewers, who ping twice a second', await open(gateway, bridge, 16, idle));
});

test('sixteen_silent', async () => {
	const { gateway, bridge } = await direct();
	await measure(gateway, '16 silent viewers', await open(gateway, bridge, 16, async () => {
		await sleep(SECONDS * 1000);
		return [];
	}));
});

await main();
