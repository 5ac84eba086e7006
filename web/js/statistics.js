// SPDX-License-Identifier: GPL-2.0-or-later
// What is measured at each stage of the way of a frame, kept for the last seconds. Pure.

const WINDOW_MS = 5000;
const SERIES_POINTS = 120; // each half a second

/** Values of the last seconds. */
export class Window {
	#values = [];

	add(value, now) {
		this.#values.push({ value, now });
		this.#trim(now);
	}

	#trim(now) {
		let old = 0;
		while (old < this.#values.length && this.#values[old].now < now - WINDOW_MS) {
			old++;
		}
		this.#values.splice(0, old);
	}

	/** Undefined if there is none. */
	percentile(part, now) {
		this.#trim(now);
		const sorted = this.#values.map((v) => v.value).sort((a, b) => a - b);
		return sorted[Math.min(Math.floor(sorted.length * part), sorted.length - 1)];
	}

	max(now) {
		return this.percentile(1, now);
	}

	/** Sum of the values per second. */
	rate(now, ms = 1000) {
		this.#trim(now);
		const recent = this.#values.filter((v) => v.now >= now - ms);
		return recent.reduce((sum, v) => sum + v.value, 0) * (1000 / ms);
	}
}

/** Points for a graph: the last minute. */
export class Series {
	points = [];

	push(value) {
		this.points.push(value);
		if (this.points.length > SERIES_POINTS) {
			this.points.shift();
		}
	}
}

/** All that the overlay shows, and the benchmark reads. Times in ms. */
export class Statistics {
	#names = ['received', 'painted', 'bytes', 'paintLatency', 'rtt', 'decode', 'encode', 'bridge',
		'network', 'present', 'sound', 'soundLatency', 'lipSync'];

	constructor() {
		this.windows = Object.fromEntries(this.#names.map((name) => [name, new Window()]));
		this.series = {
			fps: new Series(),
			bitrate: new Series(),
			latency: new Series(),
			rtt: new Series(),
			decode: new Series(),
			queue: new Series(),
		};
		this.dropped = 0; // decoded or received here, and not shown
		this.skipped = 0; // not sent to us, because we were slow
		this.decodeErrors = 0;
		this.reconnects = 0;
		this.soundGaps = 0; // in the sound that was played
		this.soundLevel = 0; // of it: root of the mean square
		this.queue = 0; // most frames in the decoder since the last sample
		this.size = { width: 0, height: 0 };
		this.codec = '';
	}

	add(name, value, now) {
		this.windows[name].add(value, now);
	}

	noteQueue(depth) {
		this.queue = Math.max(this.queue, depth);
	}

	/** One point of each graph; twice a second. */
	sample(now) {
		const w = this.windows;
		this.series.fps.push(w.painted.rate(now));
		this.series.bitrate.push(8 * w.bytes.rate(now));
		this.series.latency.push(w.paintLatency.percentile(0.5, now));
		this.series.rtt.push(w.rtt.percentile(0.5, now));
		this.series.decode.push(w.decode.percentile(0.5, now));
		this.series.queue.push(this.queue);
		this.queue = 0;
	}
}
