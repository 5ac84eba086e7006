// SPDX-License-Identifier: GPL-2.0-or-later
// Lays the picture out in the window: fitted, one to one, or zoomed with scroll bars.

import { displaySize } from './geometry.js';

export class Viewport {
	#stage;
	#screen;
	#picture = { width: 0, height: 0 };
	#mode = 'fit';

	/** Called with CSS pixels of a pixel of the picture, and the screen's pixel ratio. */
	onLayout = () => {};
	/** The room for the picture changed. */
	onRoom = () => {};

	/** @param {HTMLElement} stage is scrolled; `screen` in it has the picture's size */
	constructor(stage, screen) {
		this.#stage = stage;
		this.#screen = screen;
		new ResizeObserver(() => {
			this.layout();
			this.onRoom();
		}).observe(stage);
		this.#watchPixelRatio();
	}

	/** The room that there is, without scroll bars; CSS pixels. */
	get room() {
		return { width: this.#stage.offsetWidth, height: this.#stage.offsetHeight };
	}

	setPicture(width, height) {
		this.#picture = { width, height };
		this.layout();
	}

	/** 'fit', 'actual' or a number. */
	setMode(mode) {
		this.#mode = mode;
		this.layout();
	}

	layout() {
		const ratio = window.devicePixelRatio;
		const { width, height } = displaySize(this.#picture, this.room, this.#mode, ratio);
		// On whole pixels of the screen, or the picture would be blurred.
		const snap = (css) => Math.round(css * ratio) / ratio;
		const style = this.#screen.style;
		style.width = `${width}px`;
		style.height = `${height}px`;
		style.left = `${snap(Math.max((this.room.width - width) / 2, 0))}px`;
		style.top = `${snap(Math.max((this.room.height - height) / 2, 0))}px`;
		this.#stage.classList.toggle('scrolls', this.#mode !== 'fit' &&
			(width > this.room.width + 0.5 || height > this.room.height + 0.5));
		if (this.#picture.width > 0) {
			this.onLayout(width / this.#picture.width, ratio);
		}
	}

	#watchPixelRatio() {
		matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`).addEventListener('change', () => {
			this.layout();
			this.onRoom();
			this.#watchPixelRatio();
		}, { once: true });
	}
}
