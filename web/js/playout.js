// SPDX-License-Identifier: GPL-2.0-or-later
// How long after its presentation time a packet of sound is to be heard. Long enough that the next
// ones are there in time, but not much after the picture of the same time, and never before it: where
// packets come very unevenly there are gaps rather than lips out of step. Pure; ms.

const WINDOW_MS = 4000;
const MARGIN_MS = 10;
const SHRINK = 0.004; // of the time that passes: what the player catches up without being heard
const DELAY_MAX_MS = 500;
const AFTER_PICTURE_MS = 70; // sound that comes 80 ms late is not noticed

export class Playout {
	#late = []; // of the last packets: {now, ms}
	#delay = 0;
	#updated = 0;

	reset() {
		this.#late = [];
		this.#delay = 0;
	}

	/** What was chosen last; 0 before the first packet. */
	get delay() {
		return this.#delay;
	}

	/**
	 * A packet that could be heard `ms` after its presentation time, if it were played at once.
	 * `picture`: how late the picture is; undefined if there is none. Returns the delay.
	 */
	add(ms, now, picture) {
		this.#late.push({ now, ms });
		while (this.#late[0].now < now - WINDOW_MS) {
			this.#late.shift();
		}
		const sorted = this.#late.map((l) => l.ms).sort((a, b) => a - b);
		const usual = sorted[sorted.length >> 1] + MARGIN_MS;
		const worst = sorted.at(-1) + MARGIN_MS;
		const latest = picture === undefined ? Infinity : Math.max(usual, picture + AFTER_PICTURE_MS);
		const wanted = Math.min(Math.max(picture ?? 0, Math.min(worst, latest)), DELAY_MAX_MS);
		const shrunk = Math.min(this.#delay - (now - this.#updated) * SHRINK, latest);
		this.#delay = this.#delay === 0 ? wanted : Math.max(wanted, shrunk);
		this.#updated = now;
		return this.#delay;
	}
}
