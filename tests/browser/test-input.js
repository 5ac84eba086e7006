// SPDX-License-Identifier: GPL-2.0-or-later
// What a person does in the page reaches the desktop: the bridge writes it down (--input=log).
import assert from 'node:assert/strict';
import test from 'node:test';

import { until, withBench } from './harness.js';
import { waitForState } from './pages.js';

const EVENT = /^(key|button|absolute|relative|scroll|touch) /;

// A page that shows a desktop, and what its bridge was told: events(), and forget().
async function open(bench, options) {
	const exporter = await bench.exporter();
	const bridge = await bench.bridge({ exporterPort: exporter.port, scanout: 1 });
	const page = await bench.page(options);
	await page.goto(`${bridge.url}desktop.html`);
	await waitForState(page, 'live');
	const { log } = bridge.program;
	let seen = log.length;
	return {
		page,
		bridge,
		events: () => log.slice(seen).filter((line) => EVENT.test(line)),
		forget: () => {
			seen = log.length;
		},
	};
}

const expectEvents = (desktop, expected) =>
	until(`${expected}; there is ${desktop.events()}`,
		() => JSON.stringify(desktop.events()) === JSON.stringify(expected), 5000)
		.catch(() => assert.deepEqual(desktop.events(), expected));

test('keys: by place, with their modifiers, repeated only by the desktop', withBench(async (bench) => {
	const desktop = await open(bench);
	const { keyboard } = desktop.page;
	desktop.forget();
	await keyboard.press('a');
	await keyboard.press('Shift+F5');
	await keyboard.down('Control');
	await keyboard.down('c');
	await keyboard.down('c'); // as a held key repeats
	await keyboard.up('c');
	await keyboard.up('Control');
	await keyboard.press('Tab');
	await expectEvents(desktop, ['key 30 down', 'key 30 up', 'key 42 down', 'key 63 down', 'key 63 up',
		'key 42 up', 'key 29 down', 'key 46 down', 'key 46 up', 'key 29 up', 'key 15 down', 'key 15 up']);
}));

test('what is held is released when the page loses the focus', withBench(async (bench) => {
	const desktop = await open(bench);
	await desktop.page.keyboard.down('Shift');
	await desktop.page.keyboard.down('x');
	await until('pressed', () => desktop.events().length === 2);
	desktop.forget();
	await desktop.page.evaluate(() => window.dispatchEvent(new Event('blur')));
	await until('released', () => desktop.events().length === 2);
	assert.deepEqual(desktop.events().sort(), ['key 42 up', 'key 45 up']);
}));

test('what is held is released when the page goes away', withBench(async (bench) => {
	const desktop = await open(bench);
	await desktop.page.keyboard.down('x');
	await until('pressed', () => desktop.events().length === 1);
	desktop.forget();
	await desktop.page.context().close();
	await expectEvents(desktop, ['key 45 up']);
}));

test('the mouse: places in the picture, buttons, wheel', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	const box = await page.locator('#screen').boundingBox();
	const at = (x, y) => [box.x + box.width * x, box.y + box.height * y];
	desktop.forget();
	await page.mouse.move(...at(0.5, 0.5));
	await until('moved', () => desktop.events().length > 0);
	const [, x, y] = desktop.events().at(-1).split(' ').map(Number);
	assert.ok(Math.abs(x - 0.5) < 0.002 && Math.abs(y - 0.5) < 0.002);
	desktop.forget();
	await page.mouse.down();
	await page.mouse.move(...at(0.75, 0.25));
	await page.mouse.up();
	await page.mouse.click(...at(0.75, 0.25), { button: 'right' });
	await until('buttons', () => desktop.events().filter((e) => e.startsWith('button')).length === 4);
	const events = desktop.events();
	assert.deepEqual(events.filter((e) => e.startsWith('button')),
		['button 272 down', 'button 272 up', 'button 273 down', 'button 273 up']);
	const up = events.indexOf('button 272 up');
	assert.match(events[up - 1], /^absolute 0\.7\d+ 0\.2\d+/, 'the drag’s end is before the release');
	desktop.forget();
	await page.mouse.wheel(0, 100);
	await until('wheel', () => desktop.events().some((e) => e.startsWith('scroll')));
	assert.match(desktop.events().find((e) => e.startsWith('scroll')), /^scroll -?0\.00 15\.00/);
}));

test('several buttons at once, and none stays when the focus goes', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	await page.mouse.move(500, 400);
	desktop.forget();
	await page.mouse.down();
	await page.mouse.down({ button: 'right' });
	await page.mouse.up();
	await page.evaluate(() => window.dispatchEvent(new Event('blur')));
	await until('buttons', () => desktop.events().filter((e) => e.startsWith('button')).length === 4);
	assert.deepEqual(desktop.events().filter((e) => e.startsWith('button')),
		['button 272 down', 'button 273 down', 'button 272 up', 'button 273 up']);
	await page.mouse.up({ button: 'right' });
}));

test('touch: slots and places, several fingers', withBench(async (bench) => {
	const desktop = await open(bench, { hasTouch: true });
	const { page } = desktop;
	const box = await page.locator('#screen').boundingBox();
	const cdp = await page.context().newCDPSession(page);
	const point = (id, x, y) => ({ id, x: box.x + box.width * x, y: box.y + box.height * y });
	const touch = (type, touchPoints) => cdp.send('Input.dispatchTouchEvent', { type, touchPoints });
	desktop.forget();
	await touch('touchStart', [point(1, 0.25, 0.25)]);
	await touch('touchStart', [point(1, 0.25, 0.25), point(2, 0.75, 0.75)]);
	await touch('touchMove', [point(1, 0.5, 0.25), point(2, 0.75, 0.75)]);
	await touch('touchEnd', []);
	await until('four touches and their end', () => desktop.events().length >= 5);
	const events = desktop.events().map((e) => e.split(' '));
	assert.deepEqual(events[0].slice(0, 3), ['touch', 'down', '0']);
	assert.deepEqual(events[1].slice(0, 3), ['touch', 'down', '1']);
	assert.ok(events.some(([, what, slot, x]) => what === 'move' && slot === '0' && x.startsWith('0.5')));
	assert.deepEqual(events.filter((e) => e[1] === 'up').map((e) => e[2]).sort(), ['0', '1']);
}));

test('the toolbar’s keys and shortcuts', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	desktop.forget();
	await page.selectOption('#chords', { label: 'Ctrl + Alt + Del' });
	await expectEvents(desktop, ['key 29 down', 'key 56 down', 'key 111 down', 'key 111 up', 'key 56 up',
		'key 29 up']);
	// A way out for those who have only a keyboard.
	await page.keyboard.press('Control+Alt+Shift+S');
	assert.ok(await page.isVisible('#statistics'));
	await page.keyboard.press('Control+Alt+Shift+Z');
	assert.notEqual(await page.evaluate(() => document.activeElement.id), 'screen');
	await until('nothing is held', () => {
		const held = new Set();
		desktop.events().forEach((e) => {
			const [, code, way] = e.split(' ');
			held[way === 'down' ? 'add' : 'delete'](code);
		});
		return held.size === 0;
	});
}));

test('text is dropped, and typed without a keyboard', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	desktop.forget();
	await page.evaluate(() => {
		const dataTransfer = new DataTransfer();
		dataTransfer.setData('text/plain', 'ab');
		document.getElementById('screen').dispatchEvent(
			new DragEvent('drop', { dataTransfer, bubbles: true, cancelable: true }));
	});
	const typed = ['key 30 down', 'key 30 up', 'key 48 down', 'key 48 up'];
	await expectEvents(desktop, typed);
	await page.click('#show-keys');
	desktop.forget();
	await page.keyboard.insertText('ab'); // as an on-screen keyboard does: no key events
	await expectEvents(desktop, typed);
	desktop.forget();
	await page.click('#touch-keys [data-modifier="CTRL"]');
	await page.click('#touch-keys [data-key="Home"]');
	await expectEvents(desktop, ['key 29 down', 'key 102 down', 'key 102 up', 'key 29 up']);
}));
