// SPDX-License-Identifier: GPL-2.0-or-later
// The way of a frame through the page: message, decoder, canvas; and what each stage took.

import { Decoder } from './decoder.js';
import { Type } from './protocol.js';
import { Renderer } from './renderer.js';

const FRAMES_TRACED = 64;

export class Video {
	#connection;
	#statistics;
	#decoder;
	#renderer;
	#frames = new Map(); // pts: what is known of it so far; times in ms by our clock

	/** The picture's size is another one. */
	onResized = () => {};
	onUndecodable = () => {};

	constructor(canvas, connection, statistics) {
		this.#connection = connection;
		this.#statistics = statistics;
		const dropped = (n) => {
			statistics.dropped += n;
		};
		this.#decoder = new Decoder({
			frame: (frame, decodeMs) => this.#handleDecoded(frame, decodeMs),
			needKey: () => connection.askKeyframe(),
			dropped,
			error: (text) => {
				statistics.decodeErrors++;
				console.warn(`decoder: ${text}`);
			},
			undecodable: () => this.onUndecodable(),
		});
		this.#renderer = new Renderer(canvas, {
			painted: (pts, now) => this.#handlePainted(pts, now),
			resized: (width, height) => {
				statistics.size = { width, height };
				this.onResized(width, height);
			},
			lost: () => {
				this.reset();
				connection.askKeyframe();
			},
			dropped,
		});
	}

	/** A VideoFrame or FrameTimes message. */
	handle(msg) {
		const now = performance.now();
		const record = this.#frames.get(msg.pts) ?? { pts: msg.pts };
		this.#frames.set(msg.pts, record);
		if (this.#frames.size > FRAMES_TRACED) {
			this.#frames.delete(this.#frames.keys().next().value);
		}
		if (msg.type === Type.FRAME_TIMES) {
			record.times = msg;
			this.#statistics.skipped = msg.skipped;
			return;
		}
		record.received = now;
		record.bytes = msg.data.length;
		this.#statistics.add('received', 1, now);
		this.#statistics.add('bytes', msg.data.length, now);
		this.#decoder.push(msg);
		this.#statistics.codec = this.#decoder.codec;
		this.#statistics.noteQueue(this.#decoder.queue);
	}

	/** The user did something, so the answer is wanted at once. */
	noteInput(now) {
		this.#renderer.pacer.input(now);
	}

	/** Nothing of what came so far counts any more. */
	reset() {
		this.#decoder.reset();
		this.#renderer.reset();
		this.#frames.clear();
	}

	#handleDecoded(frame, decodeMs) {
		const record = this.#frames.get(frame.timestamp);
		const now = performance.now();
		this.#statistics.add('decode', decodeMs, now);
		if (record) {
			record.decoded = now;
		}
		this.#renderer.push(frame);
	}

	#handlePainted(pts, now) {
		this.#connection.painted();
		const record = this.#frames.get(pts);
		for (const old of this.#frames.keys()) {
			if (old > pts) {
				break;
			}
			this.#frames.delete(old);
		}
		this.#statistics.add('painted', 1, now);
		if (record) {
			record.painted = now;
			this.#account(record, now);
		}
	}

	#account(record, now) {
		const { received, decoded, painted, times } = record;
		const add = (name, ms) => this.#statistics.add(name, ms, now);
		const flip = this.#connection.clock.toLocal(record.pts);
		add('present', painted - decoded);
		if (flip !== undefined) {
			record.flip = flip / 1000;
			add('paintLatency', painted - record.flip);
		}
		if (times) {
			add('encode', times.encodedUs / 1000);
			add('bridge', (times.sentUs - times.encodedUs) / 1000);
			if (flip !== undefined) {
				add('network', received - record.flip - times.sentUs / 1000);
			}
		}
		// For benchmarks, which define it before the page's scripts run.
		globalThis.helixTrace?.(record);
	}
}
