// SPDX-License-Identifier: GPL-2.0-or-later
// Input on its way to the socket, in order. Buttons, keys and touches are never dropped; positions
// replace each other and wheel movements add up while the socket has something to send, so that
// nothing stale waits in it.

import { encodeAbsolute, encodeRelative, encodeWheel } from './protocol.js';

const REFERENCE = 16384; // positions are parts of it
const RETRY_MS = 4;
const BARRIER_MAX_MS = 1000;

export class Outbox {
	#connection;
	#queue = []; // behind a barrier
	#barriers = 0;
	#position = null;
	#relative = null;
	#wheel = null;
	#timer = 0;
	#now;

	/** False: this viewer may only look, and nothing is sent. */
	enabled = true;
	/** Called at each input of the user, with the time. */
	onInput = () => {};

	/** @param connection with send(buffer) and backlog */
	constructor(connection, now = () => performance.now()) {
		this.#connection = connection;
		this.#now = now;
	}

	/** A message that must arrive, after all motion before it. */
	send(message) {
		if (!this.enabled) {
			return;
		}
		this.onInput(this.#now());
		if (this.#barriers > 0) {
			this.#queue.push(message);
			return;
		}
		this.#flushMotion();
		this.#connection.send(message);
	}

	/** What is sent from now on waits for the promise, but not for ever. */
	async barrier(promise) {
		this.#barriers++;
		let timer;
		const limit = new Promise((resolve) => {
			timer = setTimeout(resolve, BARRIER_MAX_MS);
		});
		await Promise.race([promise.catch(() => {}), limit]);
		clearTimeout(timer);
		this.#barriers--;
		while (this.#barriers === 0 && this.#queue.length > 0) {
			this.#connection.send(this.#queue.shift());
		}
	}

	/** 0 to 1 of the desktop. */
	moveTo(x, y) {
		this.#position = { x, y };
		this.#motion();
	}

	moveBy(dx, dy) {
		this.#relative = { dx: (this.#relative?.dx ?? 0) + dx, dy: (this.#relative?.dy ?? 0) + dy };
		this.#motion();
	}

	wheel(dx, dy) {
		this.#wheel = { dx: (this.#wheel?.dx ?? 0) + dx, dy: (this.#wheel?.dy ?? 0) + dy };
		this.#motion();
	}

	/** Forgets what waits: the connection is another one. */
	reset() {
		this.#position = this.#relative = this.#wheel = null;
		this.#queue = [];
		clearTimeout(this.#timer);
		this.#timer = 0;
	}

	#motion() {
		if (!this.enabled) {
			return;
		}
		this.onInput(this.#now());
		if (this.#timer) {
			return;
		}
		if (this.#connection.backlog === 0 && this.#barriers === 0) {
			this.#flushMotion();
			return;
		}
		this.#timer = setTimeout(() => {
			this.#timer = 0;
			if (this.#position || this.#relative || this.#wheel) {
				this.#motion();
			}
		}, RETRY_MS);
	}

	#flushMotion() {
		if (this.#position) {
			const { x, y } = this.#position;
			this.#position = null;
			this.#connection.send(encodeAbsolute(x * REFERENCE, y * REFERENCE, REFERENCE, REFERENCE));
		}
		if (this.#relative) {
			const { dx, dy } = this.#relative;
			this.#relative = null;
			this.#connection.send(encodeRelative(dx, dy));
		}
		if (this.#wheel) {
			const { dx, dy } = this.#wheel;
			this.#wheel = null;
			this.#connection.send(encodeWheel(dx, dy));
		}
	}
}
