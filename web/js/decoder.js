// SPDX-License-Identifier: GPL-2.0-or-later
// H.264 access units to VideoFrames, by WebCodecs. Begins with a keyframe, and after anything that
// went wrong waits for the next one, which it asks for.

import { codecString } from './h264.js';

// A decoder that gives each picture at once never has so many, or keeps one so long: it is too slow
// for the stream. Then what it has is decoded, the rest is left out, and a keyframe begins anew.
const QUEUE_MAX = 8;
const QUEUE_MAX_MS = 400;
const ERRORS_MAX = 4; // in a row, without a picture between them

/** Why this browser cannot decode; '' if it can. */
export function whyNoDecoder(scope = globalThis) {
	if (scope.isSecureContext === false) {
		return 'insecure';
	}
	return typeof scope.VideoDecoder === 'function' ? '' : 'no-webcodecs';
}

export class Decoder {
	#handlers;
	#decoder = null;
	#codec = '';
	#waitsForKey = true;
	#software = false; // after hardware failed
	#errors = 0;
	#pending = new Map(); // pts: when it was given to the decoder

	/**
	 * @param {object} handlers frame(VideoFrame, decodeMs), needKey(), dropped(n), error(text),
	 *   undecodable(): it does not work here, not even with other settings
	 */
	constructor(handlers) {
		this.#handlers = handlers;
	}

	get queue() {
		return this.#pending.size;
	}

	get codec() {
		return this.#codec;
	}

	/** @param msg a VideoFrame message */
	push(msg) {
		this.#waitsForKey ||= this.#isOverloaded();
		if (this.#waitsForKey && (!msg.key || this.#isOverloaded())) {
			this.#handlers.dropped(1);
			if (this.#pending.size === 0) {
				this.#handlers.needKey();
			}
			return;
		}
		if (msg.key && !this.#configure(codecString(msg.data))) {
			return;
		}
		try {
			this.#pending.set(msg.pts, performance.now());
			this.#decoder.decode(new EncodedVideoChunk({
				type: msg.key ? 'key' : 'delta',
				timestamp: msg.pts,
				data: msg.data,
			}));
			this.#waitsForKey = false;
		} catch (error) {
			this.#fail(error);
		}
	}

	/** Forgets all; the next frame must be a keyframe. */
	reset() {
		const decoder = this.#decoder;
		this.#decoder = null;
		this.#codec = '';
		this.#waitsForKey = true;
		this.#pending.clear();
		if (decoder && decoder.state !== 'closed') {
			decoder.close();
		}
	}

	#isOverloaded() {
		const [oldest] = this.#pending.values();
		return this.#pending.size >= QUEUE_MAX ||
			(this.#pending.size > 1 && performance.now() - oldest > QUEUE_MAX_MS);
	}

	// True if the decoder takes streams of this kind now.
	#configure(codec) {
		if (!codec) {
			this.#handlers.error('a keyframe without SPS');
			return false;
		}
		if (this.#decoder && codec === this.#codec) {
			return true;
		}
		this.reset();
		const decoder = new VideoDecoder({
			output: (frame) => this.#handleFrame(decoder, frame),
			error: (error) => this.#decoder === decoder && this.#fail(error),
		});
		try {
			decoder.configure({
				codec,
				optimizeForLatency: true,
				hardwareAcceleration: this.#software ? 'prefer-software' : 'no-preference',
			});
		} catch (error) {
			this.#fail(error);
			return false;
		}
		this.#decoder = decoder;
		this.#codec = codec;
		return true;
	}

	#handleFrame(decoder, frame) {
		if (decoder !== this.#decoder) {
			frame.close(); // of before a reset
			return;
		}
		const started = this.#pending.get(frame.timestamp);
		// Nothing is reordered: what has not come out by now never will.
		for (const pts of this.#pending.keys()) {
			if (pts > frame.timestamp) {
				break;
			}
			this.#pending.delete(pts);
		}
		this.#errors = 0;
		if (this.#waitsForKey && this.#pending.size === 0) {
			this.#handlers.needKey();
		}
		this.#handlers.frame(frame, started === undefined ? 0 : performance.now() - started);
	}

	#fail(error) {
		this.reset();
		this.#errors++;
		this.#handlers.error(String(error?.message ?? error));
		if (this.#errors >= ERRORS_MAX) {
			if (this.#software) {
				this.#handlers.undecodable();
				return;
			}
			this.#software = true;
			this.#errors = 0;
		}
		this.#handlers.needKey();
	}
}
