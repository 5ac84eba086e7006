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

// The desktop's clipboard, as the bridge's HTTP route gives and takes it, played by the test.
async function fakeClipboard(page, text = '') {
	const clipboard = { text, posts: 0, generation: 0 };
	await page.route('**/clipboard', async (route) => {
		if (route.request().method() === 'POST') {
			const content = route.request().postDataJSON();
			assert.equal(content.type, 'text');
			await new Promise((resolve) => setTimeout(resolve, 150));
			clipboard.text = content.data;
			clipboard.posts++;
			await route.fulfill({ status: 200 });
		} else {
			await route.fulfill({ json: { type: 'text', data: clipboard.text } });
		}
	});
	clipboard.changed = () => {
		clipboard.generation++;
		return page.evaluate((generation) => globalThis.helix.clipboard.handleState(
			{ generation, available: true, text: true, image: false, ours: false }),
		clipboard.generation);
	};
	await clipboard.changed(); // the real one said that there is none
	return clipboard;
}

test('pasting: the desktop has the text before it gets the key', withBench(async (bench) => {
	const desktop = await open(bench, { permissions: ['clipboard-write'] });
	const { page } = desktop;
	const clipboard = await fakeClipboard(page);
	await page.evaluate(() => navigator.clipboard.writeText('from here'));
	desktop.forget();
	await page.keyboard.press('Control+v');
	await page.keyboard.press('x');
	await until('ctrl', () => desktop.events().length === 1);
	assert.equal(clipboard.posts, 0, 'not there yet, and neither is the key');
	await expectEvents(desktop, ['key 29 down', 'key 47 down', 'key 47 up', 'key 29 up', 'key 45 down',
		'key 45 up']);
	assert.deepEqual([clipboard.text, clipboard.posts], ['from here', 1]);
	// The same again needs no request.
	await page.keyboard.press('Control+v');
	await until('pasted', () => desktop.events().length === 10);
	assert.equal(clipboard.posts, 1);
}));

test('copying: the browser gets the desktop’s text', withBench(async (bench) => {
	const desktop = await open(bench, { permissions: ['clipboard-read', 'clipboard-write'] });
	const { page } = desktop;
	const clipboard = await fakeClipboard(page);
	clipboard.text = 'from there: é\n🙂';
	await clipboard.changed();
	await until('copied', async () =>
		(await page.evaluate(() => navigator.clipboard.readText())) === clipboard.text);
	assert.equal(clipboard.posts, 0, 'and does not give it back');
}));

test('the clipboard panel', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	const clipboard = await fakeClipboard(page, 'what the desktop has');
	await page.click('#show-clipboard');
	await until('its text', async () =>
		(await page.inputValue('#clipboard-text')) === 'what the desktop has');
	desktop.forget();
	await page.fill('#clipboard-text', 'ab');
	assert.deepEqual(desktop.events(), [], 'what is typed in the panel stays there');
	await page.click('#clipboard-send');
	await until('given', () => clipboard.text === 'ab');
	await page.click('#show-clipboard');
	await until('its text', async () => (await page.inputValue('#clipboard-text')) === 'ab');
	await page.click('#clipboard-type');
	await expectEvents(desktop, ['key 30 down', 'key 30 up', 'key 48 down', 'key 48 up']);
}));

test('the desktop follows the window’s size, once it settles', withBench(async (bench) => {
	const desktop = await open(bench);
	const { page } = desktop;
	const asked = [];
	let status = 200;
	await page.route('**/resize', async (route) => {
		asked.push(route.request().postDataJSON());
		await route.fulfill({ status, body: status === 200 ? '' : 'not this one' });
	});
	const room = () => page.evaluate(() => {
		const { offsetWidth: width, offsetHeight: height } = document.getElementById('stage');
		return { width: width - (width % 2), height: height - (height % 2) };
	});
	await page.click('#follow');
	await until('asked', () => asked.length === 1);
	assert.deepEqual(asked[0], await room());
	for (let width = 900; width > 800; width -= 10) {
		await page.setViewportSize({ width, height: 650 });
	}
	await until('asked again', () => asked.length >= 2);
	await page.waitForTimeout(600);
	assert.deepEqual(asked.at(-1), await room());
	assert.ok(asked.length <= 4, `${asked.length} requests`);

	status = 501;
	await page.setViewportSize({ width: 1000, height: 650 });
	await page.waitForSelector('#notice:not([hidden])');
	assert.match(await page.textContent('#notice'), /not this one/);
	assert.equal(await page.getAttribute('#follow', 'aria-pressed'), 'false');
}));

test('the pointer’s shape is the browser’s own cursor, in the size of the picture',
	withBench(async (bench) => {
		const { page } = await open(bench, { viewport: { width: 700, height: 600 } });
		await page.selectOption('#size', 'actual');
		const give = (name, bytes) => page.evaluate(([type, data]) => {
			const socket = globalThis.lastSocket;
			socket.onmessage({ data: Uint8Array.from(data).buffer });
			return type;
		}, [name, bytes]);
		await page.addInitScript(() => {
			const Real = globalThis.WebSocket;
			globalThis.WebSocket = class extends Real {
				constructor(...args) {
					super(...args);
					globalThis.lastSocket = this;
				}
			};
		});
		await page.reload();
		await waitForState(page, 'live');
		const { cursorImage, cursorName } = await import('./messages.js');
		const pixels = new Uint8Array(4 * 24 * 24).fill(255);
		await give('image', [...new Uint8Array(cursorImage(
			{ lastMover: 0, x: 10, y: 20, hotX: 5, hotY: 7, width: 24, height: 24, pixels }))]);
		const style = () => page.evaluate(() => document.getElementById('screen').style.cursor);
		assert.match(await style(), /^url\("data:image\/png;base64,.*"\) 5 7, default$/);
		await page.selectOption('#size', '2');
		assert.match(await style(), / 10 14, default$/);
		// Somebody else's hand: drawn where the desktop says.
		await page.mouse.move(1, 1);
		const drawn = await page.locator('#cursor').boundingBox();
		const screen = await page.locator('#screen').boundingBox();
		assert.deepEqual([drawn.x - screen.x, drawn.y - screen.y, drawn.width], [20, 40, 48]);
		await give('name', [...new Uint8Array(cursorName({ lastMover: 0, hotX: 0, hotY: 0, name: 'none' }))]);
		assert.equal(await style(), 'none');
		await give('name', [...new Uint8Array(cursorName(
			{ lastMover: 0, hotX: 0, hotY: 0, name: 'url(javascript:x)' }))]);
		assert.equal(await style(), 'default');
	}));
