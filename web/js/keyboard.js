// SPDX-License-Identifier: GPL-2.0-or-later
// The keyboard, by the places of its keys: the desktop's own layout decides what they mean. Every
// key that was pressed here is released here, whatever happens to the focus.

import { evdevOf, keysymOf } from './keymap.js';
import { encodeKey, encodeKeysymTap, Modifier } from './protocol.js';

const modifiersOf = (e) =>
	(e.shiftKey ? Modifier.SHIFT : 0) | (e.ctrlKey ? Modifier.CTRL : 0) |
	(e.altKey ? Modifier.ALT : 0) | (e.metaKey ? Modifier.META : 0);

const isPaste = (e) =>
	((e.ctrlKey || e.metaKey) && !e.altKey && e.code === 'KeyV') ||
	(e.shiftKey && e.code === 'Insert');

export class Keyboard {
	#outbox;
	#handlers;
	#held = new Set(); // KeyboardEvent.code

	/**
	 * @param {HTMLElement} element that has the focus when keys go to the desktop
	 * @param {Outbox} outbox
	 * @param {object} handlers shortcut(code): Ctrl+Alt+Shift and this key, true if it is ours;
	 *   beforePaste(): a promise to wait for before the key is sent; afterCopy()
	 */
	constructor(element, outbox, handlers) {
		this.#outbox = outbox;
		this.#handlers = handlers;
		element.addEventListener('keydown', (e) => this.#handleDown(e));
		element.addEventListener('keyup', (e) => this.#handleUp(e));
		element.addEventListener('blur', () => this.releaseAll());
		window.addEventListener('blur', () => this.releaseAll());
		document.addEventListener('visibilitychange', () => document.hidden && this.releaseAll());
	}

	releaseAll() {
		[...this.#held].forEach((code) => this.#send(code, false, 0));
		this.#held.clear();
	}

	/** Presses keys one after the other, and releases them in reverse. */
	chord(codes) {
		codes.forEach((code) => this.#send(code, true, 0));
		[...codes].reverse().forEach((code) => this.#send(code, false, 0));
	}

	/** Types a text by the meanings of its characters, whatever the desktop's layout. */
	type(text) {
		for (const character of text.replaceAll('\r\n', '\n')) {
			this.tap(character, 0);
		}
	}

	/** One character, or a key such as 'Enter', pressed and released with modifiers. */
	tap(key, modifiers) {
		const keysym = keysymOf(key);
		if (keysym) {
			this.#outbox.send(encodeKeysymTap(keysym, modifiers));
		}
	}

	#send(code, down, modifiers) {
		this.#outbox.send(encodeKey(evdevOf(code), down, modifiers));
	}

	#handleDown(e) {
		if (e.isComposing || evdevOf(e.code) === undefined) {
			return; // a keyboard without places: its text comes another way
		}
		if (e.ctrlKey && e.altKey && e.shiftKey && this.#handlers.shortcut(e.code)) {
			e.preventDefault();
			this.releaseAll();
			return;
		}
		if (isPaste(e)) {
			// Not prevented: the browser gives us what it would paste.
			if (!e.repeat) {
				void this.#outbox.barrier(this.#handlers.beforePaste());
			}
		} else {
			e.preventDefault();
		}
		if (!e.repeat) { // the desktop repeats by itself
			this.#held.add(e.code);
			this.#send(e.code, true, modifiersOf(e));
			if ((e.ctrlKey || e.metaKey) && (e.code === 'KeyC' || e.code === 'KeyX')) {
				this.#handlers.afterCopy();
			}
		}
	}

	#handleUp(e) {
		if (!this.#held.delete(e.code)) {
			return;
		}
		e.preventDefault();
		this.#send(e.code, false, modifiersOf(e));
		if (e.code === 'MetaLeft' || e.code === 'MetaRight') {
			this.releaseAll(); // macOS tells of no release while it is held
		}
	}
}

/** All keys go to the page while it is in full screen, where the browser can do that. */
export function lockKeyboard() {
	return navigator.keyboard?.lock?.().catch(() => {});
}

export function unlockKeyboard() {
	navigator.keyboard?.unlock?.();
}
