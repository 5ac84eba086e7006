// SPDX-License-Identifier: GPL-2.0-or-later
// What test-vm-browser.c has a person do: finds the desktop in the gateway's grid, opens it, and works
// in it. Arguments: the compositor's name, and the port of the desktop's bridge.
import assert from 'node:assert/strict';

import { Bench, until } from './harness.js';
import { waitForState } from './pages.js';
import { hears } from './hearing.js';

const [kind, port] = process.argv.slice(2);
const gnome = kind === 'gnome';
const COLOURS = {
	red: [200, 30, 30], green: [30, 180, 60], blue: [40, 60, 220], yellow: [230, 200, 30],
	cyan: [30, 200, 220],
};
const TITLE_UP = 16 / 768; // from the terminal's first row to the middle of its title bar
const AGAIN_MS = 15000; // under emulation a desktop is slow, and a key before it is ready is lost

const say = (text) => console.log(`# ${kind}: ${text}`);

// The part of the desktop's picture that has a colour, the middle of that part, and its upper edge, all
// 0 to 1.
const find = (page, name) => page.evaluate((colour) => {
	const canvas = document.getElementById('picture');
	const { width, height } = canvas;
	const { data } = canvas.getContext('2d').getImageData(0, 0, width, height);
	let [n, sumX, sumY, top] = [0, 0, 0, 0];
	for (let y = 0; y < height; y += 4) {
		const before = n;
		for (let x = 0; x < width; x += 4) {
			const at = 4 * (y * width + x);
			if (colour.every((v, i) => Math.abs(v - data[at + i]) < 16)) {
				n++;
				sumX += x;
				sumY += y;
			}
		}
		// Whole rows of it, not a speck somewhere.
		top = top || (n - before > width / 16 ? y / height : 0);
	}
	return { share: n / (width * height / 16), x: sumX / n / width, y: sumY / n / height, top };
}, COLOURS[name]);

const shows = (page, name, ms = 60000) => until(`${name} in the picture`, async () =>
	(await find(page, name)).share > 0.05, ms);

// Does it, again after a while, until the terminal has the colour.
async function untilShown(page, name, act, tries = 8) {
	const start = Date.now();
	for (let attempt = 1; ; attempt++) {
		await act();
		if (await shows(page, name, tries > 1 ? AGAIN_MS : 60000).catch(() => false)) {
			say(`${name} after ${((Date.now() - start) / 1000).toFixed(1)} s, ${attempt} times tried`);
			return;
		}
		assert.ok(attempt < tries, `no ${name}`);
	}
}

// In CSS pixels of the page: the middle of what has the colour.
async function middle(page, name) {
	const { x, y } = await find(page, name);
	const box = await page.locator('#picture').boundingBox();
	return [box.x + x * box.width, box.y + y * box.height];
}

const press = (page, key) => () => page.keyboard.press(key);

async function openFromGrid(bench) {
	const gateway = await bench.gateway({ desktops: { [kind]: port }, extra: ['--no-auth'] });
	const page = await bench.page({
		viewport: { width: 1000, height: 700 },
		permissions: ['clipboard-read', 'clipboard-write'],
	});
	await page.goto(gateway.url);
	await page.click(`text=${kind}`, { timeout: 60000 });
	await page.waitForSelector('#picture', { timeout: 60000 });
	await waitForState(page, 'live', 60000);
	return page;
}

async function type(page) {
	await page.locator('#screen').focus();
	if (gnome) {
		// It begins in its overview, where the terminal is small.
		await until('the desktop', async () => {
			await page.keyboard.press('Escape');
			await page.waitForTimeout(5000);
			return (await find(page, 'red')).share > 0.15;
		}, 120000);
	}
	await untilShown(page, 'green', press(page, 'g'));
}

async function point(page) {
	// Moved and clicked at once, which no hand can do: the first that the pointer does is not lost.
	await untilShown(page, 'yellow', async () => page.mouse.click(...await middle(page, 'green')), 1);
	await untilShown(page, 'cyan', async () => {
		await page.mouse.move(...await middle(page, 'yellow'));
		await page.mouse.wheel(0, 300);
	});
}

// Towards the middle of the screen: by the title bar, and in Weston, which puts windows anywhere, with
// that bar under its panel, too, by Super. A hand holds on until the window follows.
async function drag(page) {
	const box = await page.locator('#picture').boundingBox();
	const { x, y, top } = await find(page, 'cyan');
	const start = [box.x + x * box.width, box.y + (gnome ? top - TITLE_UP : y) * box.height];
	const way = [x < 0.5 ? 100 : -100, y < 0.5 ? 60 : -60];
	let turn = 0;
	const pull = async (share) => {
		turn++;
		await page.mouse.move(...start.map((from, i) => from + share * way[i] + turn % 2));
		await page.waitForTimeout(200);
		const now = await find(page, 'cyan');
		const moved = [(now.x - x) * box.width / way[0], (now.y - y) * box.height / way[1]];
		return Math.min(...moved) > share - 0.4;
	};
	await page.mouse.move(...start);
	if (!gnome) {
		await page.keyboard.down('Meta');
	}
	await page.mouse.down();
	await until('a window that follows', () => pull(0.5), 60000);
	await until('the window where it was dragged', () => pull(1), 60000);
	await page.mouse.up();
	if (!gnome) {
		await page.keyboard.up('Meta');
	}
	say('the terminal was dragged');
}

async function listen(page) {
	await page.mouse.click(...await middle(page, 'cyan')); // a browser is silent until something is clicked
	for (let attempt = 1; ; attempt++) {
		await page.keyboard.press('t');
		if (await hears(page, 1000, 2 * AGAIN_MS).catch(() => false)) {
			say(`a tone of 1000 Hz is heard, ${attempt} times tried`);
			return;
		}
		assert.ok(attempt < 4, 'no tone');
	}
}

async function exchange(page) {
	await page.locator('#screen').focus();
	await page.keyboard.press('c');
	await until('a text of the desktop', async () =>
		(await page.evaluate(() => navigator.clipboard.readText())) === 'from the desktop', 60000);
	say('a text of the desktop is in the browser');
	// What is pasted is taken for typed.
	await page.evaluate(() => navigator.clipboard.writeText('b'));
	await page.locator('#screen').focus();
	await untilShown(page, 'blue', press(page, 'Control+Shift+V'));
}

async function resize(page) {
	const size = () => page.evaluate(() => {
		const { width, height } = document.getElementById('picture');
		return `${width}x${height}`;
	});
	const first = await size();
	await page.setViewportSize({ width: 921, height: 643 });
	await page.click('#follow');
	if (gnome) {
		await until('another size', async () => (await size()) !== first, 120000);
		await shows(page, 'blue', 120000);
		// Positions are on the new size.
		await untilShown(page, 'yellow', async () => page.mouse.click(...await middle(page, 'blue')));
	} else {
		await page.waitForSelector('#notice:not([hidden])', { timeout: 60000 });
		assert.match(await page.textContent('#notice'), /not resized/);
	}
	say(`${first}, then ${await size()}`);
}

async function reload(page) {
	await page.reload();
	await waitForState(page, 'live', 60000);
	await page.locator('#screen').focus();
	await untilShown(page, 'red', press(page, 'r'));
}

// Somebody else, at a screen that is touched: the first touch is not lost either.
async function touch(bench, url) {
	const page = await bench.page({ hasTouch: true });
	await page.goto(url);
	await waitForState(page, 'live', 60000);
	await shows(page, 'red');
	await untilShown(page, 'yellow', async () => page.touchscreen.tap(...await middle(page, 'red')), 1);
}

const picture = async (page, name) => {
	if (process.env.HELIX_TEST_PICTURES) {
		await page.screenshot({ path: `${process.env.HELIX_TEST_PICTURES}/browser-${kind}${name}.png` });
	}
};

const bench = new Bench();
let page = null;
try {
	page = await openFromGrid(bench);
	await shows(page, 'red');
	await type(page);
	await point(page);
	await drag(page);
	await listen(page);
	if (gnome) {
		await exchange(page);
	}
	await resize(page);
	await reload(page);
	await touch(bench, page.url());
	await picture(page, '');
} catch (error) {
	console.log(`# ${kind}: ${error.stack}`);
	if (page) {
		await picture(page, '-failed');
	}
	process.exitCode = 1;
} finally {
	await bench.stop();
}
process.exit();
