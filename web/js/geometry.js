// SPDX-License-Identifier: GPL-2.0-or-later
// Where the picture lies in the window. Pure. Sizes in CSS pixels, but for the picture's own.

export const ZOOM_MIN = 0.25;
export const ZOOM_MAX = 4;

/**
 * Size of the picture on the page. `mode`: 'fit', or 'actual' (one of its pixels is one of the
 * screen's), or a number: so many times that.
 */
export function displaySize(picture, room, mode, pixelRatio) {
	if (picture.width <= 0 || picture.height <= 0) {
		return { width: 0, height: 0 };
	}
	let scale;
	if (mode === 'fit') {
		scale = Math.min(room.width / picture.width, room.height / picture.height);
		// Within a pixel's breadth of 1:1, be sharp.
		const exact = 1 / pixelRatio;
		if (Math.abs(scale / exact - 1) < 0.002) {
			scale = exact;
		}
	} else {
		const zoom = mode === 'actual' ? 1 : Math.min(Math.max(mode, ZOOM_MIN), ZOOM_MAX);
		scale = zoom / pixelRatio;
	}
	return { width: picture.width * scale, height: picture.height * scale };
}

/** A point of the page as a part (0 to 1) of the picture, which lies at `box`. May be outside. */
export function pointIn(box, x, y) {
	return {
		x: box.width > 0 ? (x - box.left) / box.width : 0,
		y: box.height > 0 ? (y - box.top) / box.height : 0,
	};
}

/** A desktop's size for a window of `room`: even numbers, in bounds that any desktop can take. */
export function desktopSizeFor(room, pixelRatio) {
	const side = (css, low, high) => {
		const pixels = Math.min(Math.max(Math.floor(css * pixelRatio), low), high);
		return pixels - (pixels % 2);
	};
	return { width: side(room.width, 640, 3840), height: side(room.height, 480, 2160) };
}
