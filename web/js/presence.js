// SPDX-License-Identifier: GPL-2.0-or-later
// Who else looks at this desktop, and where they point.

import { Type } from './protocol.js';

const IDLE_MS = 5000; // then a pointer fades
const COLOUR = /^#[0-9a-fA-F]{6}$/;
const FALLBACK_COLOUR = '#0D99FF';
const MARKS_MAX = 64;

export class Presence {
	#layer;
	#users = new Map(); // client id: {name, colour}
	#marks = new Map(); // key: {element, timer, x, y}
	#self = 0;
	#scale = 1;

	/** Called with the names of the others when they change. */
	onUsers = () => {};

	/** @param {HTMLElement} layer over the picture */
	constructor(layer) {
		this.#layer = layer;
	}

	handle(msg) {
		switch (msg.type) {
		case Type.SELF_ID:
			this.#self = msg.clientId;
			break;
		case Type.REMOTE_USER:
			this.#handleUser(msg);
			break;
		case Type.REMOTE_CURSOR:
			this.#mark(`u${msg.clientId}`, 'cursor', msg, this.#nameOf(msg.clientId));
			break;
		case Type.REMOTE_TOUCH:
			if (msg.event <= 1) {
				this.#mark(`t${msg.clientId}.${msg.touchId}`, 'touch', msg, '');
			} else {
				this.#remove(`t${msg.clientId}.${msg.touchId}`);
			}
			break;
		case Type.AGENT_CURSOR:
			if (msg.visible) {
				this.#mark(`a${msg.agentId}`, 'cursor', { ...msg, colour: '' }, 'Agent');
			} else {
				this.#remove(`a${msg.agentId}`);
			}
			break;
		}
	}

	setLayout(scale) {
		this.#scale = scale;
		this.#marks.forEach((mark) => this.#place(mark));
	}

	reset() {
		this.#users.clear();
		[...this.#marks.keys()].forEach((key) => this.#remove(key));
		this.#self = 0;
		this.onUsers([]);
	}

	#nameOf(id) {
		return this.#users.get(id)?.name ?? '';
	}

	#handleUser(msg) {
		if (msg.joined && msg.clientId !== this.#self) {
			this.#users.set(msg.clientId, { name: msg.name, colour: msg.colour });
		} else if (!msg.joined) {
			this.#users.delete(msg.clientId);
			[...this.#marks.keys()]
				.filter((key) => key === `u${msg.clientId}` || key.startsWith(`t${msg.clientId}.`))
				.forEach((key) => this.#remove(key));
		}
		this.onUsers([...this.#users.values()].map((user) => user.name));
	}

	#mark(key, kind, { x, y, colour }, label) {
		let mark = this.#marks.get(key);
		if (!mark) {
			if (this.#marks.size >= MARKS_MAX) {
				return;
			}
			const element = document.createElement('div');
			element.className = `mark ${kind}`;
			element.append(document.createElement('span'));
			this.#layer.append(element);
			mark = { element };
			this.#marks.set(key, mark);
		}
		mark.x = x;
		mark.y = y;
		mark.element.style.setProperty('--colour', COLOUR.test(colour) ? colour : FALLBACK_COLOUR);
		mark.element.firstChild.textContent = label;
		mark.element.classList.remove('idle');
		clearTimeout(mark.timer);
		mark.timer = setTimeout(() => mark.element.classList.add('idle'), IDLE_MS);
		this.#place(mark);
	}

	#place({ element, x, y }) {
		element.style.transform = `translate(${x * this.#scale}px, ${y * this.#scale}px)`;
	}

	#remove(key) {
		const mark = this.#marks.get(key);
		if (mark) {
			clearTimeout(mark.timer);
			mark.element.remove();
			this.#marks.delete(key);
		}
	}
}
