// SPDX-License-Identifier: GPL-2.0-or-later
// What viewers cost desktop-bridge and helix-gateway: CPU time for each of a 1080p stream at 60 Hz, and
// for those that look at a still desktop; memory and descriptors over a thousand that come and go.
import fs from 'node:fs';
import { assert, defer, main, sleep, test, until } from '../integration/gateway/tap.mjs';
import { rssKiB } from '../integration/gateway/gateway.mjs';
import { cpuMs, Rig, SHOW } from '../wire/rig.mjs';

const SECONDS = Number(process.env.HELIX_BENCH_SECONDS ?? 10);
const MODE = process.env.HELIX_BENCH_MODE ?? '1920x1080';

const fds = (pid) => fs.readdirSync(`/proc/${pid}/fd`).length;

// A viewer that throws away what it gets as fast as it can; `pings`: it says what a page says.
async function lightViewer(rig, pings) {
	const v = await rig.viewer({ width: 1920, height: 1080 });
	await v.expect('VideoFrame');
	v.bytes = 0;
	v.stream.removeAllListeners('data');
	v.stream.on('data', (d) => { v.bytes += d.length; });
	if (pings) {
		const timer = setInterval(() => v.say('Ping', { sequence: 1, time: 1 }), 500);
		defer(() => clearInterval(timer));
	}
	return v;
}

async function measure(name, { show, gateway, n, pings = true }) {
	const rig = await new Rig().start({ show, gateway, mode: MODE });
	const viewers = [];
	for (let i = 0; i < n; i++) {
		viewers.push(await lightViewer(rig, pings));
	}
	await sleep(show === SHOW.still ? 4000 : 1000); // a still screen is refined at first
	const of = async () => (JSON.parse((await rig.request('/video/stats')).body).sources[0]);
	const programs = { bridge: rig.bridge.pid, ...(gateway ? { gateway: rig.gateway.process.pid } : {}) };
	const received = (await of()).frames_received;
	const before = Object.values(programs).map(cpuMs), begin = performance.now();
	const bytes = viewers.reduce((sum, v) => sum + v.bytes, 0);
	await sleep(SECONDS * 1000);
	const ms = performance.now() - begin;
	const cpu = Object.entries(programs).map(([program, pid], i) => {
		const percent = (cpuMs(pid) - before[i]) / ms * 100;
		return `${program} ${percent.toFixed(2)} % (${(percent / n).toFixed(2)} a viewer)`;
	});
	const got = viewers.reduce((sum, v) => sum + v.bytes, 0) - bytes;
	console.log(`# ${name}: ${n} viewers, ${(((await of()).frames_received - received) / ms * 1000).toFixed(0)} fps, ` +
		`${(got * 8 / n / ms / 1000).toFixed(2)} Mbit/s each; of one CPU: ${cpu.join(', ')}`);
}

for (const gateway of [false, true]) {
	const way = gateway ? '_through_a_gateway' : '';
	for (const n of [1, 4, 16]) {
		test(`window_${n}${way}`, () => measure('a window is dragged', { show: SHOW.drag, gateway, n }), 120);
		test(`film_${n}${way}`, () => measure('film', { show: SHOW.film, gateway, n }), 120);
	}
	test(`still_16${way}`, () => measure('still, pings twice a second', { show: SHOW.still, gateway, n: 16 }), 120);
	test(`silent_16${way}`, () => measure('still, silent', { show: SHOW.still, gateway, n: 16, pings: false }), 120);
}

test('a_thousand_viewers_come_and_go', async () => {
	const rig = await new Rig().start({ show: SHOW.typing, gateway: true });
	const programs = { bridge: rig.bridge.pid, gateway: rig.gateway.process.pid };
	const round = async (n) => {
		for (let i = 0; i < n; i++) {
			const v = await rig.viewer({ session_id: 's' });
			await v.expect(i % 4 === 0 ? 'VideoFrame' : 'SelfId');
			v.destroy();
		}
		await until('all are gone', async () => {
			const metrics = (await rig.request('/metrics')).body.toString();
			return /^desktop_bridge_viewers 0$/m.test(metrics);
		});
		await sleep(500);
	};
	await round(200);
	const before = Object.values(programs).map((pid) => [fds(pid), rssKiB(pid)]);
	await round(1000);
	Object.entries(programs).forEach(([program, pid], i) => {
		const after = [fds(pid), rssKiB(pid)];
		console.log(`# ${program}: ${before[i][0]} and ${after[0]} descriptors, ${before[i][1]} and ${after[1]} KiB`);
		assert.ok(after[0] <= before[i][0], 'descriptors');
		assert.ok(after[1] - before[i][1] < 1024, 'memory');
	});
}, 300);

await main();
