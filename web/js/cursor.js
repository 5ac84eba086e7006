// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop's pointer. Its shape becomes the browser's own cursor over the picture, which moves
// with the hand and not with the network. Where the hand is elsewhere (another user, a finger, a
// captured pointer), it is drawn at the place that the desktop says.

const CURSOR_MAX = 128; // browsers ignore larger ones
const NAME = /^[a-z-]{1,32}$/;

export class Cursor {
	#element;
	#drawn;
	#layout = { scale: 1, pixelRatio: 1 };
	#shape = null; // {canvas, hotX, hotY}, or null: by name
	#name = 'default';
	#position = null; // of the image's top left corner, in the desktop's pixels
	#hovered = false;

	/**
	 * @param {HTMLElement} element which the picture fills
	 * @param {HTMLCanvasElement} drawn lies in it, for the pointer that is drawn
	 */
	constructor(element, drawn) {
		this.#element = element;
		this.#drawn = drawn;
	}

	handleImage(msg) {
		this.#position = { x: msg.x, y: msg.y };
		if (msg.pixels) {
			const canvas = document.createElement('canvas');
			canvas.width = msg.width;
			canvas.height = msg.height;
			canvas.getContext('2d').putImageData(
				new ImageData(msg.pixels, msg.width, msg.height), 0, 0);
			this.#shape = { canvas, hotX: msg.hotX, hotY: msg.hotY };
			this.#apply();
		} else {
			this.#place();
		}
	}

	handleName(msg) {
		this.#shape = null;
		this.#name = NAME.test(msg.name) ? msg.name : 'default';
		this.#apply();
	}

	/** `scale`: CSS pixels of a pixel of the desktop. */
	setLayout(scale, pixelRatio) {
		this.#layout = { scale, pixelRatio };
		this.#apply();
	}

	/** Whether our own mouse is over the picture, and not captured. */
	setHovered(hovered) {
		this.#hovered = hovered;
		this.#place();
	}

	reset() {
		this.#shape = null;
		this.#position = null;
		this.#name = 'default';
		this.#apply();
	}

	#apply() {
		this.#element.style.cursor = this.#shape ? this.#cssCursor() : this.#name;
		if (this.#shape) {
			const { canvas } = this.#shape;
			this.#drawn.width = canvas.width;
			this.#drawn.height = canvas.height;
			this.#drawn.getContext('2d').drawImage(canvas, 0, 0);
		}
		this.#place();
	}

	// The shape as large as the picture is shown, in the screen's own pixels.
	#cssCursor() {
		const { canvas, hotX, hotY } = this.#shape;
		const { scale, pixelRatio } = this.#layout;
		const size = (n, factor) => Math.max(1, Math.round(n * factor));
		const fit = Math.min(scale, CURSOR_MAX / Math.max(canvas.width, canvas.height));
		const image = document.createElement('canvas');
		image.width = size(canvas.width, fit * pixelRatio);
		image.height = size(canvas.height, fit * pixelRatio);
		image.getContext('2d').drawImage(canvas, 0, 0, image.width, image.height);
		const at = `${Math.round(hotX * fit)} ${Math.round(hotY * fit)}`;
		const url = `url("${image.toDataURL()}")`;
		return pixelRatio === 1
			? `${url} ${at}, default`
			: `image-set(${url} ${pixelRatio}x) ${at}, default`;
	}

	#place() {
		const visible = this.#shape !== null && this.#position !== null && !this.#hovered;
		this.#drawn.hidden = !visible;
		if (visible) {
			const { scale } = this.#layout;
			const style = this.#drawn.style;
			style.width = `${this.#drawn.width * scale}px`;
			style.height = `${this.#drawn.height * scale}px`;
			style.transform =
				`translate(${this.#position.x * scale}px, ${this.#position.y * scale}px)`;
		}
	}
}
