// SPDX-License-Identifier: GPL-2.0-or-later
// What tests read from the viewer's page.

import { until } from './harness.js';

/** Name of the page's state, as in web/js/connection.js; of an end, its reason. */
export const stateOf = (page) => page.evaluate(() => document.body.dataset.state);

export const waitForState = (page, state, ms) =>
	until(`state ${state}`, async () => (await stateOf(page)) === state, ms);

/**
 * The frame counter of the test pattern (src/libhelix/counter.h) as the canvas shows it, read at
 * the top and at the bottom; both alike: the frame is not torn. null where there is none: no
 * picture, or another page.
 */
export const readCounters = (page) => page.evaluate(() => {
	const canvas = document.getElementById('picture');
	if (!canvas?.width) {
		return null;
	}
	const c = canvas.getContext('2d');
	const SQUARE = 16;
	const read = (top) => {
		const strip = c.getImageData(32, top, 34 * SQUARE, SQUARE);
		const square = (n) => {
			const at = 4 * ((SQUARE / 2) * strip.width + n * SQUARE + SQUARE / 2);
			return [...strip.data.subarray(at, at + 3)];
		};
		const [red, green] = [square(0), square(1)];
		if (red[0] < 180 || red[1] > 70 || green[1] < 180 || green[0] > 70) {
			return null;
		}
		let value = 0;
		for (let i = 0; i < 32; i++) {
			const [level] = square(2 + i);
			if (level > 60 && level < 195) {
				return null;
			}
			value = value * 2 + (level > 128 ? 1 : 0);
		}
		return value;
	};
	return { top: read(32), bottom: read(canvas.height - 48) };
});

/** Waits until the counter runs: two readings, the later one higher. Returns it. */
export async function waitForMotion(page, ms) {
	let first = null;
	return until('a running frame counter', async () => {
		const now = await readCounters(page).catch(() => null); // the page may be on its way
		if (now === null || now.top === null || now.top !== now.bottom) {
			return false;
		}
		first ??= now.top;
		return now.top > first ? now.top : false;
	}, ms);
}

/** One pixel of the canvas, [r, g, b]. */
export const pixel = (page, x, y) => page.evaluate(([px, py]) => {
	const c = document.getElementById('picture').getContext('2d');
	return [...c.getImageData(px, py, 1, 1).data.subarray(0, 3)];
}, [x, y]);
