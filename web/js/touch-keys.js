// SPDX-License-Identifier: GPL-2.0-or-later
// Typing without a keyboard: raises the device's own on-screen keyboard, adds the keys that those
// lack, and sends what was typed by its meaning.

import { keysymOf } from './keymap.js';
import { Modifier } from './protocol.js';

// Something to delete must always be there, or a backspace would go unnoticed.
const FILLER = '    ';
const LENGTH_MAX = 200;

/** What turns one text into another when typed at its end. Pure. */
export function difference(before, after) {
	const from = [...before];
	const to = [...after];
	let same = 0;
	while (same < from.length && same < to.length && from[same] === to[same]) {
		same++;
	}
	return { deleted: from.length - same, typed: to.slice(same).join('') };
}

export class TouchKeys {
	#keyboard;
	#bar;
	#field;
	#text = FILLER;
	#modifiers = 0;

	/**
	 * @param {Keyboard} keyboard
	 * @param {HTMLElement} bar buttons with data-key (a KeyboardEvent.key), data-chord (codes) or
	 *   data-modifier
	 * @param {HTMLTextAreaElement} field takes the device's own keyboard
	 */
	constructor(keyboard, bar, field) {
		this.#keyboard = keyboard;
		this.#bar = bar;
		this.#field = field;
		bar.addEventListener('pointerdown', (e) => e.preventDefault()); // keep the field's focus
		bar.addEventListener('click', (e) => this.#handleButton(e.target.closest('button')));
		field.addEventListener('input', (e) => this.#handleInput(e));
		field.addEventListener('keydown', (e) => this.#handleKey(e));
		field.addEventListener('compositionend', () => this.#tidy());
	}

	get visible() {
		return !this.#bar.hidden;
	}

	toggle(visible = !this.visible) {
		this.#bar.hidden = !visible;
		if (visible) {
			this.#reset();
			this.#field.focus({ preventScroll: true });
		} else {
			this.#field.blur();
			this.#setModifiers(0);
		}
	}

	#reset() {
		this.#field.value = this.#text = FILLER;
		this.#field.setSelectionRange(FILLER.length, FILLER.length);
	}

	#tidy() {
		if (this.#text.length < FILLER.length || this.#text.length > LENGTH_MAX) {
			this.#reset();
		}
	}

	#tap(key) {
		this.#keyboard.tap(key, this.#modifiers);
		this.#setModifiers(0);
	}

	#handleInput(e) {
		const { deleted, typed } = difference(this.#text, this.#field.value);
		this.#text = this.#field.value;
		for (let i = 0; i < deleted; i++) {
			this.#tap('Backspace');
		}
		for (const character of typed) {
			this.#tap(character);
		}
		if (!e.isComposing) {
			this.#tidy();
		}
	}

	// Keys with a name; those with a character come as input.
	#handleKey(e) {
		if (!e.isComposing && [...e.key].length > 1 && keysymOf(e.key)) {
			e.preventDefault();
			this.#tap(e.key);
		}
	}

	#handleButton(button) {
		if (!button) {
			return;
		}
		const { key, chord, modifier } = button.dataset;
		if (modifier) {
			this.#setModifiers(this.#modifiers ^ Modifier[modifier]);
		} else if (chord) {
			this.#keyboard.chord(chord.split(' '));
		} else if (key) {
			this.#tap(key);
		}
	}

	#setModifiers(modifiers) {
		this.#modifiers = modifiers;
		this.#bar.querySelectorAll('[data-modifier]').forEach((button) => {
			const on = (modifiers & Modifier[button.dataset.modifier]) !== 0;
			button.setAttribute('aria-pressed', String(on));
		});
	}
}
