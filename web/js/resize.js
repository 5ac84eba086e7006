// SPDX-License-Identifier: GPL-2.0-or-later
// Lets the desktop's size follow the window's, when the user wants it: HTTP route /resize.

import { desktopSizeFor } from './geometry.js';

const SETTLES_MS = 300; // a window's edge is being dragged until then

export class Resizer {
	#url;
	#viewport;
	#timer = 0;
	#enabled = false;
	#asked = ''; // size that was asked for last
	#busy = false;

	/** Called with a text for the user when the desktop does not do it; it is disabled then. */
	onRefused = () => {};

	constructor(url, viewport) {
		this.#url = url;
		this.#viewport = viewport;
	}

	enable(enabled) {
		this.#enabled = enabled;
		this.#asked = '';
		if (enabled) {
			void this.#ask();
		}
	}

	/** The window has another size. */
	roomChanged() {
		clearTimeout(this.#timer);
		if (this.#enabled) {
			this.#timer = setTimeout(() => void this.#ask(), SETTLES_MS);
		}
	}

	#refuse(why) {
		this.#enabled = false;
		this.onRefused(`The desktop was not resized: ${why}`);
	}

	// One request at a time; if the window changed meanwhile, another one follows.
	async #ask() {
		const size = desktopSizeFor(this.#viewport.room, window.devicePixelRatio);
		const key = `${size.width}x${size.height}`;
		if (this.#busy || key === this.#asked || !this.#enabled) {
			return;
		}
		this.#busy = true;
		this.#asked = key;
		try {
			const reply = await fetch(this.#url, {
				method: 'POST',
				headers: { 'Content-Type': 'application/json' },
				body: JSON.stringify(size),
			});
			if (!reply.ok) {
				this.#refuse((await reply.text()).trim() || `error ${reply.status}`);
			}
		} catch {
			this.#refuse('it could not be asked');
		}
		this.#busy = false;
		void this.#ask();
	}
}
