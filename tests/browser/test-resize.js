// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop follows the window, all the way: page, bridge, launcher (a stand-in, which switches the
// exporter's synthetic output as the DRM manager would), and back as a stream of another size.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import net from 'node:net';
import path from 'node:path';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { waitForState } from './pages.js';

const SCANOUT = 2;

// ENABLE_SCANOUT (docs/protocol/hxfr.md, 3.6); returns when it is answered.
async function enableScanout(port, width, height) {
	const message = Buffer.alloc(12 + 16);
	message.write('HXFR', 0, 'latin1');
	message[4] = 0x20;
	message.writeUInt32LE(16, 8);
	[SCANOUT, width, height, 60].forEach((n, i) => message.writeUInt32LE(n, 12 + 4 * i));
	const socket = net.connect(port, '127.0.0.1');
	socket.write(message);
	const [reply] = await once(socket, 'data');
	socket.destroy();
	assert.equal(reply[4], 0x22);
	assert.equal(reply.readUInt32LE(16), 1, 'refused');
}

async function startLauncher(bench, bridge, exporterPort) {
	const launcher = { asked: [], answer: null };
	const server = net.createServer((socket) => {
		socket.once('data', async (data) => {
			const line = data.toString();
			launcher.asked.push(line);
			const [, width, height] = /^resize (\d+)x(\d+) now\n$/.exec(line).map(Number);
			if (!launcher.answer) {
				await enableScanout(exporterPort, width, height);
			}
			socket.end(launcher.answer ?? `ok ${width}x${height}@60\n`);
		});
		socket.on('error', () => {});
	}).listen(path.join(bridge.runtime, 'helix-launcher.sock'));
	await once(server, 'listening');
	bench.own({ stop: async () => void server.close() });
	return launcher;
}

const pictureSize = (page) => page.evaluate(() => {
	const { width, height } = document.getElementById('picture');
	return `${width}x${height}`;
});

const roomOf = (page) => page.evaluate(() => {
	const { offsetWidth: width, offsetHeight: height } = document.getElementById('stage');
	return `${width - (width % 2)}x${height - (height % 2)}`;
});

test('resizing the window resizes the desktop and its picture', withBench(async (bench) => {
	const exporter = await bench.exporter({ extra: ['--max-outputs=6'] });
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: SCANOUT });
	const launcher = await startLauncher(bench, bridge, exporter.port);
	const page = await bench.page();
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'live');
	await until('a picture', async () => (await pictureSize(page)) === '640x400');

	await page.click('#follow');
	const first = await roomOf(page);
	await until(`a picture of ${first}`, async () => (await pictureSize(page)) === first);
	assert.deepEqual(launcher.asked, [`resize ${first} now\n`]);

	await page.setViewportSize({ width: 821, height: 643 });
	await until('another room', async () => (await roomOf(page)) !== first);
	const second = await roomOf(page);
	await until(`a picture of ${second}`, async () => (await pictureSize(page)) === second);
	const frame = () => page.evaluate(() => document.getElementById('picture').toDataURL());
	const then = await frame();
	await until('more frames', async () => (await frame()) !== then);
	assert.equal(await page.evaluate(() => document.body.dataset.state), 'live');

	launcher.answer = 'unable this one takes another size only when it is started again\n';
	await page.setViewportSize({ width: 1001, height: 703 });
	await page.waitForSelector('#notice:not([hidden])');
	assert.match(await page.textContent('#notice'), /only when it is started again/);
	assert.equal(await page.getAttribute('#follow', 'aria-pressed'), 'false');
	assert.equal(await pictureSize(page), second);
}));
