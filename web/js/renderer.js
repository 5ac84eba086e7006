// SPDX-License-Identifier: GPL-2.0-or-later
// Decoded frames to the canvas, in step with the screen. The newest frame that is due wins; the
// others are closed unseen. Frames hold memory of the decoder, so few are kept, and none for long.

import { Pacer } from './pacing.js';

const FRAMES_MAX = 6; // of a decoder's pool; the oldest is shown early rather than one more kept

export class Renderer {
	#canvas;
	#context;
	#handlers;
	#frames = []; // {frame, due}, by time
	#request = 0;

	pacer = new Pacer();

	/**
	 * @param {HTMLCanvasElement} canvas
	 * @param {object} handlers painted(pts, now), dropped(n), resized(width, height), lost(): its
	 *   pixels are gone, so it needs a keyframe
	 */
	constructor(canvas, handlers) {
		this.#canvas = canvas;
		this.#context = canvas.getContext('2d', { alpha: false });
		this.#handlers = handlers;
		canvas.addEventListener('contextrestored', () => handlers.lost());
	}

	/** Consumes the frame. */
	push(frame) {
		const now = performance.now();
		this.#frames.push({ frame, due: this.pacer.due(frame.timestamp / 1000, now) });
		if (this.#frames.length > FRAMES_MAX) {
			this.#frames[1].due = now;
		}
		// A hidden page is given no animation frames: only the newest is worth keeping.
		if (document.hidden) {
			this.#closeAllBut(1);
		}
		this.#request ||= requestAnimationFrame((at) => this.#paint(at));
	}

	/** What was not shown so far is not shown any more. */
	reset() {
		this.pacer.reset();
		this.#closeAllBut(0);
	}

	#closeAllBut(n) {
		const old = this.#frames.splice(0, this.#frames.length - n);
		old.forEach(({ frame }) => frame.close());
		if (old.length > 0) {
			this.#handlers.dropped(old.length);
		}
	}

	#paint() {
		const now = performance.now();
		this.#request = 0;
		// Half a frame of the screen early is nearer than half a frame late.
		let newest = -1;
		this.#frames.forEach(({ due }, i) => {
			newest = due <= now + 8 ? i : newest;
		});
		if (newest >= 0) {
			this.#closeAllBut(this.#frames.length - newest);
			this.#draw(this.#frames.shift().frame, now);
		}
		if (this.#frames.length > 0) {
			this.#request = requestAnimationFrame((at) => this.#paint(at));
		}
	}

	#draw(frame, now) {
		const { displayWidth: width, displayHeight: height, timestamp } = frame;
		if (width !== this.#canvas.width || height !== this.#canvas.height) {
			this.#canvas.width = width;
			this.#canvas.height = height;
			this.#handlers.resized(width, height);
		}
		this.#context.drawImage(frame, 0, 0, width, height);
		frame.close();
		this.#handlers.painted(timestamp, now);
	}
}
