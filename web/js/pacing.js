// SPDX-License-Identifier: GPL-2.0-or-later
// When a decoded frame is to be shown. As soon as possible, except while a film plays: frames that
// come evenly for a while, and nobody types or points. Then a little delay, taken from the jitter
// that is there, makes the presentation as even as the frames' own times. Pure; times in ms.

const WINDOW_MS = 1000;
const FILM_FRAMES = 20; // in a window
const GAP_MAX_MS = 100; // between a film's frames
const QUIET_MS = 1000; // without input
const DELAY_MAX_MS = 60;

export class Pacer {
	#arrivals = []; // of the last window: {pts, at}
	#inputAt = -Infinity;

	input(now) {
		this.#inputAt = now;
	}

	reset() {
		this.#arrivals = [];
	}

	/**
	 * A frame of time `pts` came out of the decoder. Returns the time to show it: never after
	 * now + DELAY_MAX_MS, and `now` unless a film plays.
	 */
	due(pts, now) {
		const list = this.#arrivals;
		if (list.length > 0 && pts <= list.at(-1).pts) {
			this.reset(); // another source's clock
		}
		this.#arrivals.push({ pts, at: now });
		while (this.#arrivals[0].at < now - WINDOW_MS) {
			this.#arrivals.shift();
		}
		if (!this.#isFilm(now)) {
			return now;
		}
		// Transit time but for a constant: the fastest frame waits longest.
		const transit = this.#arrivals.map((a) => a.at - a.pts).sort((a, b) => a - b);
		const late = transit[Math.floor(transit.length * 0.95)];
		const delay = Math.min(late - transit[0], DELAY_MAX_MS);
		return Math.min(Math.max(pts + transit[0] + delay, now), now + DELAY_MAX_MS);
	}

	#isFilm(now) {
		const list = this.#arrivals;
		if (now - this.#inputAt < QUIET_MS || list.length < FILM_FRAMES) {
			return false;
		}
		return list.every((a, i) => i === 0 || a.pts - list[i - 1].pts < GAP_MAX_MS);
	}
}
