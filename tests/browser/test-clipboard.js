// SPDX-License-Identifier: GPL-2.0-or-later
// The clipboard, between a page and programs in a real Mutter.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { waitForState } from './pages.js';

const PNG = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC';
const BOTH = { permissions: ['clipboard-read', 'clipboard-write'] };

// A page on a bridge of a real Mutter; copy() and paste() are what programs there do.
async function open(bench, t, options) {
	const env = await bench.mutter();
	if (!env) {
		t.skip('there is no mutter, dbus-daemon or wl-clipboard');
		return null;
	}
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: 1,
		extra: ['--input=mutter'], env });
	await bridge.program.logged(/input goes to Mutter/, 30000);
	const page = await bench.page(options);
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'live');
	const run = async (file, args, input) => {
		const child = spawn(`/usr/bin/${file}`, args,
			{ env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'ignore'] });
		const chunks = [];
		child.stdout.on('data', (chunk) => chunks.push(chunk));
		const killer = setTimeout(() => child.kill('SIGKILL'), 20000);
		child.stdin.end(input);
		const [code] = await once(child, 'close');
		clearTimeout(killer);
		return code === 0 ? Buffer.concat(chunks) : null;
	};
	return {
		page,
		port: bridge.port,
		copy: (input, type) => bench.own(spawnOwner(env, type, input)),
		paste: (type) => run('wl-paste', ['-n', '-t', type]),
	};
}

// In the foreground, so that it ends with the test.
function spawnOwner(env, type, input) {
	const child = spawn('/usr/bin/wl-copy', ['--foreground', '-t', type],
		{ env: { ...process.env, ...env }, stdio: ['pipe', 'ignore', 'ignore'] });
	child.stdin.end(input);
	return {
		hang: () => child.kill('SIGSTOP'),
		stop: async () => {
			if (child.exitCode === null && child.signalCode === null) {
				child.kill('SIGKILL');
				await once(child, 'exit');
			}
		},
	};
}

const readText = (page) => page.evaluate(() => navigator.clipboard.readText());

test('a text, there and back', withBench(async (bench, t) => {
	const desktop = await open(bench, t, BOTH);
	if (!desktop) {
		return;
	}
	const { page } = desktop;
	desktop.copy('from the desktop: é 🙂', 'text/plain;charset=utf-8');
	await until('copied', async () => (await readText(page)) === 'from the desktop: é 🙂');
	await page.evaluate(() => navigator.clipboard.writeText('from the browser\n'));
	await page.keyboard.press('Control+v');
	await until('pasted', async () =>
		String(await desktop.paste('text/plain;charset=utf-8')) === 'from the browser\n');
	assert.equal(await readText(page), 'from the browser\n');
}));

test('a picture, there and back', withBench(async (bench, t) => {
	const desktop = await open(bench, t, BOTH);
	if (!desktop) {
		return;
	}
	const { page } = desktop;
	desktop.copy(Buffer.from(PNG, 'base64'), 'image/png');
	// The browser makes a PNG of its own of it: the pixel counts.
	const pixel = await until('copied', () => page.evaluate(async () => {
		const [item] = await navigator.clipboard.read();
		if (!item?.types.includes('image/png')) {
			return null;
		}
		const bitmap = await createImageBitmap(await item.getType('image/png'));
		const context = new OffscreenCanvas(1, 1).getContext('2d');
		context.drawImage(bitmap, 0, 0);
		return [bitmap.width, bitmap.height, ...context.getImageData(0, 0, 1, 1).data];
	}));
	assert.deepEqual(pixel, [1, 1, 255, 0, 0, 255]);
	await page.click('#show-clipboard');
	await page.waitForSelector('#clipboard-image:not([hidden])');
	await page.click('#clipboard-close');

	await page.evaluate(async () => {
		const canvas = new OffscreenCanvas(3, 2);
		canvas.getContext('2d').fillRect(0, 0, 3, 2);
		await navigator.clipboard.write(
			[new ClipboardItem({ 'image/png': await canvas.convertToBlob() })]);
	});
	await page.locator('#screen').focus();
	await page.keyboard.press('Control+v');
	const png = await until('pasted', async () => {
		const got = await desktop.paste('image/png');
		return got?.length > 24 && got.readUInt32BE(16) === 3 ? got : null;
	});
	assert.equal(png.readUInt32BE(20), 2);
}));

test('a browser that does not let the page copy: the user is told, and has the panel',
	withBench(async (bench, t) => {
		const desktop = await open(bench, t, { permissions: [] });
		if (!desktop) {
			return;
		}
		const { page } = desktop;
		await page.evaluate(() => {
			navigator.clipboard.writeText = () => Promise.reject(new DOMException('', 'NotAllowedError'));
		});
		desktop.copy('secret', 'text/plain;charset=utf-8');
		await page.waitForSelector('#notice:not([hidden])');
		assert.match(await page.textContent('#notice'), /did not let the page copy/);
		await page.click('#show-clipboard');
		await until('its text', async () => (await page.inputValue('#clipboard-text')) === 'secret');
		await page.fill('#clipboard-text', 'by the panel');
		await page.click('#clipboard-send');
		await until('given', async () =>
			String(await desktop.paste('text/plain;charset=utf-8')) === 'by the panel');
	}));

// A request of the route as any client makes it: its status and what it says.
async function ask(desktop, body, headers = {}) {
	const request = http.request({ port: desktop.port, path: '/clipboard', headers,
		method: body === undefined ? 'GET' : 'POST' });
	request.end(body);
	const [answer] = await once(request, 'response');
	const chunks = [];
	for await (const chunk of answer) {
		chunks.push(chunk);
	}
	return { status: answer.statusCode, why: answer.headers['helix-clipboard-error'],
		text: String(Buffer.concat(chunks)) };
}

const content = (type, data) => JSON.stringify({ type, data });
const EMPTY = content('text', '');

test('the route: what is refused, and what programs do that they should not',
	withBench(async (bench, t) => {
		const desktop = await open(bench, t, {});
		if (!desktop) {
			return;
		}
		const broken = Buffer.from(PNG, 'base64');
		broken[40] ^= 1;
		const refused = [
			[undefined, 200], ['', 400], ['{', 400], ['[]', 400], [content('file', 'x'), 400],
			[content('text', 1), 400], [content('text', 'a\0b'), 400], [content('image', '!'), 400],
			[content('image', 'AAAA'), 400], [content('image', broken.toString('base64')), 400],
			[content('text', 'é'.repeat(1 << 19)), 200], [content('text', 'x'.repeat((1 << 20) + 1)), 413],
			[content('image', 'A'.repeat(12 << 20)), 413],
		];
		for (const [body, status] of refused) {
			const answer = await ask(desktop, body);
			assert.equal(answer.status, status, `${body?.slice(0, 60)}: ${answer.text}`);
		}
		assert.equal((await ask(desktop, content('text', 'x'), { Origin: 'https://evil.example' })).status, 403);
		const given = content('text', 'é'.repeat(1 << 19));
		assert.equal((await ask(desktop)).text, given);
		assert.equal((await ask(desktop, content('image', PNG))).status, 200);
		assert.equal((await ask(desktop)).text, content('image', PNG));

		desktop.copy('x'.repeat(3 << 20), 'text/plain');
		const large = await until('too large', async () => {
			const answer = await ask(desktop);
			return answer.text === EMPTY ? answer : null;
		});
		assert.equal(large.why, 'too large');
		const owner = desktop.copy('late', 'text/plain');
		await until('copied', async () => (await ask(desktop)).text === content('text', 'late'));
		owner.hang();
		const waiting = ask(desktop);
		assert.equal((await ask(desktop, content('text', 'meanwhile'))).status, 200);
		assert.equal((await waiting).text, content('text', 'meanwhile'), 'who waits gets the newest');
	}));
