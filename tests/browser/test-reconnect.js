// SPDX-License-Identifier: GPL-2.0-or-later
// What the page does when connections end, and when others are slow.
import assert from 'node:assert/strict';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { deafViewer, Relay, ScriptedServer } from './network.js';
import { stateOf, waitForMotion, waitForState } from './pages.js';

// Leads the page's WebSocket to another port.
const redirect = (page, port) => page.addInitScript((to) => {
	const Real = globalThis.WebSocket;
	globalThis.WebSocket = class extends Real {
		constructor(url) {
			super(url.replace(/:\d+\//, `:${to}/`));
		}
	};
}, port);

test('a reload shows the picture again', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	for (let i = 0; i < 3; i++) {
		await waitForMotion(page);
		await page.reload();
	}
	await waitForMotion(page);
}));

test('a bridge that is killed and comes back', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForMotion(page);
	await bridge.program.stop('SIGKILL');
	await waitForState(page, 'retrying');
	assert.ok(await page.isVisible('#state-action'));
	const again = await bench.bridge({ exporterPort: exporter.port, port: bridge.port });
	await waitForMotion(page, 30000);
	assert.equal(await page.evaluate(() => globalThis.helix.statistics.reconnects), 1);

	// Told to end, it says so (1012), and the page is back as soon as it is.
	await again.program.stop();
	await bench.bridge({ exporterPort: exporter.port, port: bridge.port });
	await waitForMotion(page, 30000);
}));

test('an exporter that is killed and comes back', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForMotion(page);
	await exporter.program.stop('SIGKILL');
	await page.waitForTimeout(1500);
	await bench.exporter({ port: exporter.port });
	await waitForMotion(page, 30000);
}));

test('no exporter: the page says why, and the picture comes when it can', withBench(async (bench) => {
	const first = await bench.exporter();
	await first.program.stop();
	const bridge = await bench.bridge({ exporterPort: first.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'no-picture');
	assert.ok((await page.textContent('#state-text')).length > 10);
	await bench.exporter({ port: first.port });
	await waitForMotion(page, 30000);
}));

test('a network that is cut and comes back', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const relay = bench.own(await Relay.create(bridge.port));
	const page = await bench.page();
	await page.goto(`${relay.url}desktop.html`);
	await waitForMotion(page);
	relay.cut();
	await waitForState(page, 'retrying');
	// Not waiting for the back-off, and in vain.
	await page.evaluate(() => document.getElementById('state-action').click());
	await waitForState(page, 'retrying');
	relay.mend();
	await waitForMotion(page, 30000);
}));

test('a server that is stopped: stalled, then a new connection', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForMotion(page);
	bridge.program.child.kill('SIGSTOP');
	await waitForState(page, 'stalled');
	await until('given up', async () => (await stateOf(page)) === 'connecting', 12000);
	bridge.program.child.kill('SIGCONT');
	await waitForMotion(page, 30000);
}));

test('taken over (4000): no further connection until the user wants it', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const first = await bench.page();
	const second = await bench.page();
	for (const page of [first, second]) {
		await page.addInitScript(() => {
			crypto.randomUUID = () => 'the-same';
		});
	}
	await first.goto(`${bridge.url}desktop.html`);
	await waitForMotion(first);
	await second.goto(`${bridge.url}desktop.html`);
	await waitForState(first, 'superseded');
	await waitForMotion(second);
	await first.waitForTimeout(3000);
	assert.equal(await stateOf(first), 'superseded');
	assert.equal(await stateOf(second), 'live');
	assert.equal((await first.textContent('#state-title')).trim(), 'Opened elsewhere');
	await first.click('#state-action');
	await waitForMotion(first);
	await waitForState(second, 'superseded');
}));

test('each close code is answered as the table says', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	for (const [code, state] of [[4000, 'superseded'], [1002, 'broken'], [1008, 'retrying'],
		[1013, 'retrying']]) {
		const server = bench.own(await ScriptedServer.create((connection) => connection.close(code)));
		const page = await bench.page();
		await redirect(page, server.port);
		await page.goto(`${bridge.url}desktop.html`);
		await waitForState(page, state);
		await page.waitForTimeout(300);
		assert.equal(server.connections, 1, `${code}`);
		await page.context().close();
	}
}));

test('a server that floods, lies and sends rubbish does not break the page', withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port });
	const server = bench.own(await ScriptedServer.create((connection) => {
		connection.send('not json');
		connection.send('{"ConnectionComplete":{}}');
		for (let type = 0; type < 256; type++) {
			connection.send(Uint8Array.of(type));
			connection.send(new Uint8Array(60).fill(0xff).fill(type, 0, 1));
		}
		// A keyframe that is none, and deltas that follow nothing.
		const frame = (flags, ...data) => connection.send(
			Uint8Array.of(1, 1, flags, 0, 0, 0, 0, 0, 0, 0, 9, 0, 8, 0, 8, ...data));
		frame(1, 0, 0, 0, 1, 0x65, 1, 2, 3);
		frame(1, 0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1f, 1, 2, 0, 0, 0, 1, 0x65, 9, 9, 9);
		frame(0, 0, 0, 0, 1, 0x41, 1);
	}));
	const page = await bench.page();
	await redirect(page, server.port);
	await page.goto(`${bridge.url}desktop.html`);
	await until('errors are counted', () => page.evaluate(() =>
		globalThis.helix.statistics.decodeErrors > 0));
	assert.notEqual(await stateOf(page), 'live');
}));

// What the bridge says of its viewers.
async function stats(bridge) {
	const reply = await fetch(`${bridge.url}video/stats`);
	const [source] = (await reply.json()).sources;
	return { received: source.frames_received, clients: source.clients };
}

const paintedRate = (page) => page.evaluate(() =>
	globalThis.helix.statistics.windows.painted.rate(performance.now(), 3000));

test('slow and dead viewers cost the good one nothing', { timeout: 180000 }, withBench(async (bench) => {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: 3 });
	const good = await bench.page();
	await good.goto(`${bridge.url}desktop.html`);
	await waitForState(good, 'live');
	await good.waitForTimeout(4000);
	const alone = await paintedRate(good);

	const relay = bench.own(await Relay.create(bridge.port, 32000)); // 256 kbit/s
	const slow = await bench.page();
	await slow.goto(`${relay.url}desktop.html`, { timeout: 60000 });
	bench.own(await deafViewer(bridge.port));
	const before = await until('three viewers', async () => {
		const now = await stats(bridge);
		return now.clients.length === 3 && now;
	});
	await until('the others are slow', async () => {
		const { clients } = await stats(bridge);
		return clients.slice(1).every((c) => c.frames_skipped > 0);
	}, 40000);
	await good.waitForTimeout(3000);
	const after = await stats(bridge);
	const together = await paintedRate(good);
	const [was, is] = [before, after].map((s) => s.clients.find((c) => c.client_id === 1));
	const log = { frames: after.received - before.received, sent: is.frames_sent - was.frames_sent,
		others: after.clients.slice(1).map((c) => c.frames_skipped), alone, together };
	console.error(`# ${JSON.stringify(log)}`);
	assert.equal(is.frames_skipped, 0, 'nothing was kept from it');
	assert.equal(is.stalls, 0);
	assert.ok(log.sent >= log.frames - 5, 'it got all that there was');
	// The slow one's page takes its part of this machine's processors, no more.
	assert.ok(together > alone * 0.4, 'frame rate');
	assert.equal(await stateOf(good), 'live');
	assert.equal(await good.evaluate(() => globalThis.helix.statistics.decodeErrors), 0);

	// What the slow one gets, it can decode.
	await waitForState(slow, 'live', 30000);
	assert.equal(await slow.evaluate(() => globalThis.helix.statistics.decodeErrors), 0);
}));
