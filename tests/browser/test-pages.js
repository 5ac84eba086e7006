// SPDX-License-Identifier: GPL-2.0-or-later
// The pages as a gateway serves them: list, one desktop, roles, and what each state looks like. With
// HELIX_SCREENSHOTS set to a directory, pictures of them are left there to be looked at.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { stateOf, waitForMotion, waitForState } from './pages.js';

async function shoot(page, name) {
	const directory = process.env.HELIX_SCREENSHOTS;
	if (directory) {
		await mkdir(directory, { recursive: true });
		await page.screenshot({ path: path.join(directory, `${name}.png`) });
	}
}

// Several desktops behind one gateway.
async function open(bench, count, extra = ['--no-auth']) {
	const exporter = await bench.exporter({ mode: '1280x800' });
	const bridges = {};
	for (let i = 0; i < count; i++) {
		bridges[`desktop-${i + 1}`] = await bench.bridge({ exporterPort: exporter.port, scanout: i });
	}
	const ports = Object.fromEntries(Object.entries(bridges).map(([name, b]) => [name, b.port]));
	return { exporter, bridges, gateway: await bench.gateway({ desktops: ports, extra }) };
}

test('the list shows all desktops with pictures, and opens one', { timeout: 120000 },
	withBench(async (bench) => {
		const { bridges, gateway } = await open(bench, 6);
		const page = await bench.page({ viewport: { width: 1280, height: 860 } });
		await page.goto(gateway.url);
		await until('six pictures', () => page.evaluate(() =>
			[...document.querySelectorAll('.card img')].filter((i) => i.naturalWidth > 0).length === 6),
		60000);
		const names = await page.locator('.card-name').allTextContents();
		assert.deepEqual(names, [1, 2, 3, 4, 5, 6].map((n) => `desktop-${n}`));
		await until('six run', async () =>
			(await page.textContent('#summary')) === '6 desktops, 6 running', 30000);
		await page.emulateMedia({ colorScheme: 'dark' });
		await shoot(page, 'list-dark');
		await page.emulateMedia({ colorScheme: 'light' });
		await shoot(page, 'list-light');

		// One that goes away says so, without a reload.
		await bridges['desktop-4'].program.stop();
		await until('one is gone', async () =>
			/5 running/.test(await page.textContent('#summary')), 30000);
		await shoot(page, 'list-one-gone');

		await page.click('text=desktop-1');
		await waitForMotion(page);
		assert.match(page.url(), /desktop=desktop-1/);
		assert.equal(await page.textContent('#name'), 'desktop-1');
		await page.click('#back');
		await page.waitForSelector('.card');
	}));

test('the list on a phone, and by keyboard', withBench(async (bench) => {
	const { gateway } = await open(bench, 2);
	const page = await bench.page({ viewport: { width: 390, height: 760 } });
	await page.goto(gateway.url);
	await page.waitForSelector('.card');
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390));
	await until('the first desktop has the focus', async () => {
		await page.keyboard.press('Tab');
		return page.evaluate(() => document.activeElement.classList.contains('card'));
	});
	await shoot(page, 'list-phone');
	await page.keyboard.press('Enter');
	await page.waitForURL(/desktop=/);
	await waitForMotion(page);
	await page.click('#show-keys');
	await shoot(page, 'desktop-phone');
	assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 390));
}));

test('a desktop that does not exist', withBench(async (bench) => {
	const { gateway } = await open(bench, 1);
	const page = await bench.page();
	await page.goto(`${gateway.url}desktop.html?desktop=desktop-9`);
	await waitForState(page, 'missing');
	await shoot(page, 'missing');
}));

test('a bridge that restarts behind the gateway, and a gateway that restarts', { timeout: 90000 },
	withBench(async (bench) => {
		const { exporter, bridges, gateway } = await open(bench, 1);
		const page = await bench.page();
		await page.goto(`${gateway.url}desktop.html?desktop=desktop-1`);
		await waitForMotion(page);
		await bridges['desktop-1'].program.stop('SIGKILL');
		await until('noticed', async () => (await stateOf(page)) !== 'live');
		await shoot(page, 'retrying');
		await bench.bridge({ exporterPort: exporter.port, port: bridges['desktop-1'].port });
		await waitForMotion(page, 40000);
	}));

async function openWithTokens(bench) {
	const file = path.join(await bench.temporary(), 'tokens');
	const hash = (token) => `sha256:${createHash('sha256').update(token).digest('hex')}`;
	await writeFile(file, `user ada control * ${hash('secret-a')}\nuser bob view * ${hash('secret-b')}\n`,
		{ mode: 0o600 });
	return open(bench, 1, [`--tokens=${file}`]);
}

test('a person signs in and out',
	withBench(async (bench) => {
		const { gateway } = await openWithTokens(bench);
		const page = await bench.page();
		await page.goto(gateway.url);
		await page.fill('input[name=token]', 'wrong');
		await page.click('button');
		await page.waitForSelector('[role=alert]', { timeout: 5000 });
		await page.fill('input[name=token]', 'secret-a');
		await page.click('button');
		await page.waitForSelector('.card');
		await page.click('#sign-out');
		await page.waitForURL(/login$/);
		await page.goto(`${gateway.url}login#token=secret-b`);
		await page.waitForSelector('.card');
	}));

test('roles: nobody without a token, and a viewer only looks', withBench(async (bench) => {
	const { bridges, gateway } = await openWithTokens(bench);
	const { log } = bridges['desktop-1'].program;

	const signIn = (page, token) =>
		page.context().request.post(`${gateway.url}api/v1/login`, { form: { token } });
	const ada = await bench.page();
	await ada.goto(gateway.url);
	await ada.waitForURL(/login$/);
	assert.equal((await signIn(ada, 'wrong')).status(), 401);
	assert.equal((await signIn(ada, 'secret-a')).status(), 204);
	await ada.goto(gateway.url);
	await ada.waitForSelector('.card');
	assert.equal(await ada.textContent('#user'), 'ada');
	await ada.goto(`${gateway.url}desktop.html?desktop=desktop-1`);
	await waitForMotion(ada);
	await ada.keyboard.press('a');
	await until('a key of hers', () => log.some((line) => line === 'key 30 up'));

	const bob = await bench.page();
	await signIn(bob, 'secret-b');
	await bob.goto(`${gateway.url}desktop.html?desktop=desktop-1`);
	await waitForMotion(bob);
	await bob.waitForSelector('#view-only', { state: 'visible' });
	assert.equal(await bob.isVisible('#chords'), false);
	await shoot(bob, 'view-only');
	await bob.keyboard.press('b');
	await ada.keyboard.press('c');
	await until('a key of hers', () => log.some((line) => line === 'key 46 up'));
	assert.ok(!log.some((line) => /key 48 /.test(line)), 'no key of his');

	// Signed out meanwhile, he is refused at the next connection.
	await bob.evaluate(() => fetch('/api/v1/logout', { method: 'POST' }));
	await bob.evaluate(() => {
		globalThis.helix.connection.stop();
		globalThis.helix.connection.start();
	});
	await waitForState(bob, 'refused');
	assert.ok(await bob.isVisible('#state-sign-in'));
	await shoot(bob, 'refused');
}));

test('two people on one desktop see each other', withBench(async (bench) => {
	const { gateway } = await open(bench, 1);
	const url = `${gateway.url}desktop.html?desktop=desktop-1`;
	const first = await bench.page();
	const second = await bench.page();
	await first.goto(url);
	await waitForMotion(first);
	await second.goto(url);
	await waitForMotion(second);
	await first.waitForSelector('#users:not([hidden])');
	assert.equal(await first.textContent('#users'), '+1');
	await second.mouse.move(500, 350);
	await first.waitForSelector('.mark.cursor', { state: 'attached' });
	const [mark, screen] = await first.evaluate(() => ['.mark.cursor', '#screen']
		.map((s) => document.querySelector(s).getBoundingClientRect())
		.map(({ x, y, width, height }) => ({ x, y, width, height })));
	const other = await second.locator('#screen').boundingBox();
	assert.ok(Math.abs((mark.x - screen.x) / screen.width - (500 - other.x) / other.width) < 0.01);
	assert.ok(Math.abs((mark.y - screen.y) / screen.height - (350 - other.y) / other.height) < 0.01);
	await shoot(first, 'presence');
	await second.context().close();
	await first.waitForSelector('#users', { state: 'hidden' });
	assert.equal(await first.locator('.mark').count(), 0);
}));

test('statistics and panels', withBench(async (bench) => {
	const { gateway } = await open(bench, 2);
	const page = await bench.page({ viewport: { width: 1280, height: 860 }, colorScheme: 'dark' });
	await page.goto(`${gateway.url}desktop.html?desktop=desktop-2`);
	await waitForState(page, 'live');
	await page.click('#show-statistics');
	await page.goto(`${gateway.url}desktop.html?desktop=desktop-1`);
	await waitForMotion(page);
	assert.ok(await page.isVisible('#statistics'), 'the choice is kept');
	await page.waitForTimeout(5000);
	assert.match(await page.getAttribute('#statistics', 'aria-label'), /Frames \d+ fps/);
	await shoot(page, 'statistics');
	await page.click('#show-clipboard');
	await page.waitForSelector('#clipboard[open]');
	await shoot(page, 'clipboard');
	await page.keyboard.press('Escape');
	await page.evaluate(() => globalThis.helix.connection.stop('undecodable'));
	await shoot(page, 'ended');
}));

test('browsers that cannot: said clearly', withBench(async (bench) => {
	const { gateway } = await open(bench, 1);
	const page = await bench.page();
	await page.addInitScript(() => {
		delete globalThis.VideoDecoder;
	});
	await page.goto(`${gateway.url}desktop.html?desktop=desktop-1`);
	await waitForState(page, 'no-webcodecs');
	await shoot(page, 'no-webcodecs');
}));

test('every control has a name, and the pages follow their content policy', withBench(async (bench) => {
	const { gateway } = await open(bench, 1);
	const page = await bench.page();
	const violations = [];
	page.on('console', (message) => message.type() === 'error' && violations.push(message.text()));
	for (const url of [gateway.url, `${gateway.url}desktop.html?desktop=desktop-1`]) {
		await page.goto(url);
		await page.waitForTimeout(1500);
		const unnamed = await page.evaluate(() =>
			[...document.querySelectorAll('button, a, select, input, textarea, [tabindex], [role=img]')]
				.filter((e) => e.checkVisibility() && !(e.getAttribute('aria-label') || e.title ||
					e.textContent.trim() || e.labels?.length))
				.map((e) => e.outerHTML));
		assert.deepEqual(unnamed, []);
	}
	assert.deepEqual(violations, []);
}));
