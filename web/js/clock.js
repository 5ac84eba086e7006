// SPDX-License-Identifier: GPL-2.0-or-later
// The server's clock in ours, from Pings and Pongs (docs/protocol/websocket.md, 4.7). Pure. µs.

const SAMPLES = 60; // half a minute of Pings

export class ClockEstimate {
	#samples = [];

	/** One Ping and its Pong: when sent and received by our clock, and the server's between. */
	add(sent, received, server) {
		const sample = { rtt: received - sent, offset: server - (sent + received) / 2 };
		if (sample.rtt < 0) {
			return;
		}
		this.#samples.push(sample);
		if (this.#samples.length > SAMPLES) {
			this.#samples.shift();
		}
	}

	reset() {
		this.#samples = [];
	}

	/** The least round trip is the least wrong. Undefined before the first Pong. */
	#best() {
		return this.#samples.reduce((a, b) => (a && a.rtt <= b.rtt ? a : b), undefined);
	}

	/** Newest round trip; undefined before the first Pong. */
	get rtt() {
		return this.#samples.at(-1)?.rtt;
	}

	/** How wrong toLocal may be: half of the least round trip. */
	get error() {
		const best = this.#best();
		return best && best.rtt / 2;
	}

	/** A time of the server's clock by ours; undefined before the first Pong. */
	toLocal(server) {
		const best = this.#best();
		return best && server - best.offset;
	}
}
