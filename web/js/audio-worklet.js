// SPDX-License-Identifier: GPL-2.0-or-later
// What runs in the browser's audio thread: the player of the desktop's sound, and the recorder of a
// microphone. Frames are counted by the context's own clock (currentFrame).

/* global AudioWorkletProcessor, currentFrame, registerProcessor, sampleRate */

const RATE_MAX = 0.005; // faster or slower than this is heard as another pitch
const RATE_GAIN = 1e-5; // of a frame's difference; 10 ms are corrected at full speed
const JUMP_S = 0.06; // a larger difference is not played away but skipped, or waited for
const QUEUE_MAX_S = 1;
const REPORT_S = 0.1;
const CONTIGUOUS_US = 30000;

/**
 * Plays chunks {at, pts, planes}: two planes of samples, the first of which is wanted at frame `at`.
 * What is not due waits; what is too late is skipped; small differences are played away.
 */
class Player extends AudioWorkletProcessor {
	#chunks = [];
	#pos = 0; // in the first chunk, of samples
	#playing = false;
	#error = 0; // smoothed
	#starved = null; // pts that was missing when it had nothing to play
	#gaps = 0;
	#jumps = 0;
	#energy = 0;
	#energyFrames = 0;
	#reportAt = 0;

	constructor() {
		super();
		this.port.onmessage = ({ data }) => {
			if (data.reset) {
				this.#chunks = [];
				this.#pos = 0;
				this.#playing = false;
				this.#starved = null;
			} else {
				this.#add(data);
			}
		};
	}

	#add(chunk) {
		if (this.#starved !== null) {
			this.#gaps += Math.abs(chunk.pts - this.#starved) < CONTIGUOUS_US ? 1 : 0;
			this.#starved = null;
		}
		this.#chunks.push(chunk);
		const queued = this.#chunks.reduce((sum, c) => sum + c.planes[0].length, 0);
		if (queued > QUEUE_MAX_S * sampleRate) {
			this.#next();
		}
	}

	// On to the next chunk; what of it is to be skipped may be more than it has.
	#next() {
		const old = this.#chunks.shift();
		this.#pos = Math.max(this.#pos - old.planes[0].length, 0);
		if (this.#chunks.length === 0) {
			this.#playing = false;
			this.#pos = 0;
			this.#starved = old.pts + (old.planes[0].length * 1e6) / sampleRate;
		}
	}

	// How much too early the next sample would be played at `frame`.
	#early(frame) {
		return this.#chunks[0].at + this.#pos - frame;
	}

	// Finds where to begin for `frame`: true if something is due.
	#begin(frame) {
		while (this.#chunks.length > 0 && this.#early(frame) < 0) {
			const skip = Math.min(-this.#early(frame), this.#chunks[0].planes[0].length - this.#pos);
			this.#pos += skip;
			if (this.#pos >= this.#chunks[0].planes[0].length) {
				this.#next();
			}
		}
		this.#error = 0;
		this.#playing = this.#chunks.length > 0 && this.#early(frame) < 1;
		return this.#playing;
	}

	#rate() {
		return 1 - Math.min(Math.max(this.#error * RATE_GAIN, -RATE_MAX), RATE_MAX);
	}

	#sample(plane) {
		const [chunk, after] = this.#chunks;
		const i = Math.floor(this.#pos);
		const part = this.#pos - i;
		const samples = chunk.planes[plane];
		const a = samples[i];
		if (part === 0) {
			return a;
		}
		const b = i + 1 < samples.length ? samples[i + 1] : after?.planes[plane][0] ?? a;
		return a + (b - a) * part;
	}

	process(inputs, [output]) {
		const frames = output[0].length;
		if (this.#playing) {
			this.#error += 0.05 * (this.#early(currentFrame) - this.#error);
			if (Math.abs(this.#error) > JUMP_S * sampleRate) {
				this.#jumps++;
				this.#playing = false;
			}
		}
		const rate = this.#rate();
		for (let i = 0; i < frames; i++) {
			if (!this.#playing && (this.#chunks.length === 0 || !this.#begin(currentFrame + i))) {
				continue; // the output is zeroes
			}
			for (let c = 0; c < output.length; c++) {
				output[c][i] = this.#sample(Math.min(c, 1));
			}
			this.#energy += output[0][i] ** 2;
			this.#pos += rate;
			if (this.#pos >= this.#chunks[0].planes[0].length) {
				this.#next();
			}
		}
		this.#energyFrames += frames;
		if (currentFrame >= this.#reportAt) {
			this.#report(frames);
		}
		return true;
	}

	#report(frames) {
		const [head] = this.#chunks;
		this.port.postMessage({
			// What is rendered after this block, and when.
			frame: currentFrame + frames,
			pts: this.#playing ? head.pts + (this.#pos * 1e6) / sampleRate : null,
			gaps: this.#gaps,
			jumps: this.#jumps,
			level: Math.sqrt(this.#energy / this.#energyFrames),
		});
		this.#energy = 0;
		this.#energyFrames = 0;
		this.#reportAt = currentFrame + REPORT_S * sampleRate;
	}
}

const CHUNK = 960; // 20 ms

/** Hands out the microphone's samples as Int16Array of 20 ms. */
class Recorder extends AudioWorkletProcessor {
	#chunk = new Int16Array(CHUNK);
	#n = 0;

	process([input]) {
		for (const value of input[0] ?? []) {
			this.#chunk[this.#n++] = Math.min(Math.max(value, -1), 1) * 32767;
			if (this.#n === CHUNK) {
				this.port.postMessage(this.#chunk, [this.#chunk.buffer]);
				this.#chunk = new Int16Array(CHUNK);
				this.#n = 0;
			}
		}
		return true;
	}
}

registerProcessor('helix-player', Player);
registerProcessor('helix-recorder', Recorder);
