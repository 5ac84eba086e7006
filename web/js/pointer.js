// SPDX-License-Identifier: GPL-2.0-or-later
// Mouse, pen, wheel and touch over the picture.

import { pointIn } from './geometry.js';
import { encodeButton, encodeTouch, TouchEvent } from './protocol.js';

const BUTTONS = [1, 2, 3, 4, 5]; // by PointerEvent.button: left, middle, right, back, forward
const TOUCHES_MAX = 10;
const LINE_PIXELS = 100 / 3; // browsers that count lines give three a notch
const PAGE_PIXELS = 800;

export class Pointer {
	#element;
	#outbox;
	#held = new Set(); // buttons, by PointerEvent.button
	#touches = new Map(); // pointerId: {slot, x, y}

	/** Whether the mouse is over the picture; called when that changes. */
	onHover = () => {};

	/** @param {HTMLElement} element which the picture fills */
	constructor(element, outbox) {
		this.#element = element;
		this.#outbox = outbox;
		const on = (name, f) => element.addEventListener(name, f, { passive: false });
		on('pointerdown', (e) => this.#handleDown(e));
		on('pointermove', (e) => this.#handleMove(e));
		on('pointerup', (e) => this.#handleUp(e));
		on('pointercancel', (e) => this.#handleCancel(e));
		on('lostpointercapture', (e) => this.#handleCancel(e));
		on('pointerenter', (e) => e.pointerType !== 'touch' && this.onHover(true));
		on('pointerleave', (e) => e.pointerType !== 'touch' && this.onHover(false));
		on('wheel', (e) => this.#handleWheel(e));
		on('contextmenu', (e) => e.preventDefault());
		window.addEventListener('blur', () => this.releaseAll());
	}

	releaseAll() {
		this.#held.forEach((button) => this.#outbox.send(encodeButton(BUTTONS[button], false)));
		this.#held.clear();
		this.#touches.forEach(({ slot, x, y }) =>
			this.#outbox.send(encodeTouch(TouchEvent.UP, slot, x, y)));
		this.#touches.clear();
	}

	get #locked() {
		return document.pointerLockElement === this.#element;
	}

	#position(e) {
		return pointIn(this.#element.getBoundingClientRect(), e.clientX, e.clientY);
	}

	#moveTo(e) {
		if (this.#locked) {
			this.#outbox.moveBy(e.movementX, e.movementY);
		} else {
			const { x, y } = this.#position(e);
			this.#outbox.moveTo(x, y);
		}
	}

	#handleDown(e) {
		e.preventDefault();
		this.#element.focus({ preventScroll: true });
		if (e.pointerType === 'touch') {
			this.#touch(e, TouchEvent.DOWN);
			return;
		}
		if (!this.#locked) {
			this.#element.setPointerCapture(e.pointerId);
		}
		this.#button(e, true);
	}

	// Only the first button of a mouse gives pointerdown, and the last one pointerup; those between
	// come as moves.
	#handleMove(e) {
		if (e.pointerType === 'touch') {
			this.#touch(e, TouchEvent.MOVE);
		} else if (e.button >= 0) {
			this.#button(e, !this.#held.has(e.button));
		} else {
			this.#moveTo(e);
		}
	}

	#handleUp(e) {
		e.preventDefault();
		if (e.pointerType === 'touch') {
			this.#touch(e, TouchEvent.UP);
		} else {
			this.#button(e, false);
		}
	}

	#handleCancel(e) {
		if (e.pointerType === 'touch') {
			this.#touch(e, TouchEvent.UP);
		} else if (this.#held.size > 0) {
			this.releaseAll();
		}
	}

	#button(e, down) {
		const button = BUTTONS[e.button];
		if (button === undefined || down === this.#held.has(e.button)) {
			return;
		}
		if (!this.#locked) {
			this.#moveTo(e);
		}
		this.#outbox.send(encodeButton(button, down));
		if (down) {
			this.#held.add(e.button);
		} else {
			this.#held.delete(e.button);
		}
	}

	#freeSlot() {
		const used = new Set([...this.#touches.values()].map((t) => t.slot));
		for (let slot = 0; slot < TOUCHES_MAX; slot++) {
			if (!used.has(slot)) {
				return slot;
			}
		}
		return -1;
	}

	#touch(e, event) {
		let touch = this.#touches.get(e.pointerId);
		if (event === TouchEvent.DOWN && !touch) {
			const slot = this.#freeSlot();
			if (slot < 0) {
				return;
			}
			touch = { slot };
			this.#touches.set(e.pointerId, touch);
		}
		if (!touch) {
			return;
		}
		const { x, y } = this.#position(e);
		touch.x = Math.min(Math.max(x, 0), 1);
		touch.y = Math.min(Math.max(y, 0), 1);
		this.#outbox.send(encodeTouch(event, touch.slot, touch.x, touch.y));
		if (event === TouchEvent.UP) {
			this.#touches.delete(e.pointerId);
		}
	}

	#handleWheel(e) {
		e.preventDefault();
		const unit = [1, LINE_PIXELS, PAGE_PIXELS][e.deltaMode] ?? 1;
		if (!this.#locked) {
			this.#moveTo(e);
		}
		this.#outbox.wheel(e.deltaX * unit, e.deltaY * unit);
	}
}
