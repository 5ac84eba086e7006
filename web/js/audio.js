// SPDX-License-Identifier: GPL-2.0-or-later
// The desktop's sound: Opus packets through WebCodecs to a player in the audio thread, which is told
// when each is to be heard: on the clock of the picture (docs/protocol/websocket.md, 4.9).
//
// States: 'off'; 'waiting' (for a key or a click, without which browsers play nothing); 'on';
// 'unavailable'.

import { Playout } from './playout.js';
import { encodeControl } from './protocol.js';

const RATE = 48000;
const MODULE = new URL('./audio-worklet.js', import.meta.url);
const STEP_MS = 50; // the output's clock moved by more: it is another one
const SMOOTHING = 0.1;

/** An AudioContext with our worklet in it. Throws where there is none. */
export async function createContext() {
	const context = new AudioContext({ sampleRate: RATE, latencyHint: 'interactive' });
	try {
		await context.audioWorklet.addModule(MODULE);
	} catch (error) {
		void context.close();
		throw error;
	}
	return context;
}

/** When frames of a context are heard, by performance.now(). */
class OutputClock {
	#context;
	#offset = null; // ms

	constructor(context) {
		this.#context = context;
	}

	#measure() {
		const { contextTime, performanceTime } = this.#context.getOutputTimestamp?.() ?? {};
		if (contextTime > 0) {
			return performanceTime - contextTime * 1000;
		}
		const latency = this.#context.outputLatency || this.#context.baseLatency || 0;
		return performance.now() + (latency - this.#context.currentTime) * 1000;
	}

	update() {
		const measured = this.#measure();
		const known = this.#offset !== null && Math.abs(measured - this.#offset) < STEP_MS;
		this.#offset = known ? this.#offset + SMOOTHING * (measured - this.#offset) : measured;
	}

	heardAt(frame) {
		return (frame / RATE) * 1000 + this.#offset;
	}

	frameAt(ms) {
		return ((ms - this.#offset) * RATE) / 1000;
	}
}

export class Sound {
	#connection;
	#statistics;
	#state = 'off';
	#wanted = false; // by the user
	#volume = 1;
	#opening = null;
	#context = null;
	#gain = null;
	#node = null;
	#clock = null;
	#decoder = null;
	#times = []; // pts of packets in the decoder, which counts on from the first one's
	#playout = new Playout();

	/** The state is another one. */
	onState = () => {};

	constructor(connection, statistics) {
		this.#connection = connection;
		this.#statistics = statistics;
		if (!globalThis.AudioDecoder || !globalThis.AudioWorkletNode) {
			this.#state = 'unavailable'; // also where the page did not come by https
		}
	}

	get state() {
		return this.#state;
	}

	/** Where the sound can be tapped: an AudioNode; null while it is off. */
	get output() {
		return this.#gain;
	}

	#setState(state) {
		this.#state = state;
		this.#tell();
		this.onState(state);
	}

	// Only who hears something is sent something.
	#tell() {
		this.#connection.send(encodeControl({ set_audio_enabled: this.#state === 'on' }));
	}

	/** A connection was opened, and init was sent. */
	opened() {
		this.#reset();
		if (this.#state !== 'on') {
			this.#tell();
		}
	}

	/** Sound as soon as the browser lets it: now, if this is called by a click or a key. */
	async enable() {
		if (this.#state === 'unavailable' || this.#state === 'on') {
			return;
		}
		this.#wanted = true;
		if (!(navigator.userActivation?.hasBeenActive ?? true)) {
			this.#setState('waiting');
			return;
		}
		try {
			await (this.#opening ??= this.#open());
		} catch (error) {
			console.warn(`sound: ${error}`);
			this.#setState('unavailable');
			return;
		}
		await this.#context.resume();
		if (this.#wanted && this.#state !== 'on') {
			this.#setState('on');
		}
	}

	disable() {
		this.#wanted = false;
		if (this.#state === 'unavailable') {
			return;
		}
		this.#reset();
		void this.#context?.suspend();
		this.#setState('off');
	}

	/** The user did something: what waited for it may begin. */
	noteGesture() {
		if (this.#state === 'waiting') {
			void this.enable();
		}
	}

	/** 0 to 1. */
	setVolume(volume) {
		this.#volume = volume;
		// What is heard as half as loud is a quarter.
		this.#gain?.gain.setTargetAtTime(volume ** 2, this.#context.currentTime, 0.02);
	}

	// Once: the context is kept while the sound is off.
	async #open() {
		const context = await createContext();
		this.#context = context;
		this.#clock = new OutputClock(context);
		this.#node = new AudioWorkletNode(context, 'helix-player', {
			numberOfInputs: 0,
			outputChannelCount: [2],
		});
		this.#node.port.onmessage = ({ data }) => this.#handleReport(data);
		this.#gain = new GainNode(context, { gain: this.#volume ** 2 });
		this.#node.connect(this.#gain).connect(context.destination);
	}

	#reset() {
		if (this.#decoder && this.#decoder.state !== 'closed') {
			this.#decoder.close();
		}
		this.#decoder = null;
		this.#playout.reset();
		this.#node?.port.postMessage({ reset: true });
	}

	/** An AudioFrame message. */
	handle(msg) {
		if (this.#state !== 'on' || msg.channels < 1 || msg.channels > 2 || msg.data.length === 0) {
			return;
		}
		if (!this.#decoder) {
			this.#decoder = this.#createDecoder(msg.channels);
			this.#times = [];
		}
		this.#statistics.add('sound', 1, performance.now());
		this.#times.push(msg.pts);
		this.#decoder.decode(new EncodedAudioChunk({
			type: 'key', timestamp: msg.pts, data: msg.data,
		}));
	}

	#createDecoder(numberOfChannels) {
		const decoder = new AudioDecoder({
			output: (data) => {
				if (this.#decoder === decoder) {
					this.#handleDecoded(data);
				} else {
					data.close();
				}
			},
			error: (error) => {
				console.warn(`sound: ${error.message}`);
				this.#statistics.decodeErrors++;
				if (this.#decoder === decoder) {
					this.#decoder = null; // the next packet gets another one
				}
			},
		});
		decoder.configure({ codec: 'opus', sampleRate: RATE, numberOfChannels });
		return decoder;
	}

	#handleDecoded(data) {
		const pts = this.#times.shift();
		const local = pts && this.#connection.clock.toLocal(pts);
		if (local === undefined || this.#state !== 'on') {
			data.close(); // the first Pong is still to come
			return;
		}
		const planes = [0, 1].map((plane) => {
			const samples = new Float32Array(data.numberOfFrames);
			data.copyTo(samples, {
				planeIndex: Math.min(plane, data.numberOfChannels - 1),
				format: 'f32-planar',
			});
			return samples;
		});
		data.close();
		const now = performance.now();
		const picture = this.#statistics.windows.paintLatency.percentile(0.5, now);
		this.#clock.update();
		const earliest = this.#clock.heardAt(this.#context.currentTime * RATE);
		const delay = this.#playout.add(earliest - local / 1000, now, picture);
		const at = Math.round(this.#clock.frameAt(local / 1000 + delay));
		this.#node.port.postMessage({ at, pts, planes }, planes.map((p) => p.buffer));
	}

	// What is being played: how late, and how far from the picture.
	#handleReport({ frame, pts, gaps, jumps, level }) {
		const now = performance.now();
		this.#statistics.soundGaps = gaps + jumps;
		this.#statistics.soundLevel = level;
		const local = pts === null ? undefined : this.#connection.clock.toLocal(pts);
		if (local === undefined) {
			return;
		}
		this.#clock.update();
		const late = this.#clock.heardAt(frame) - local / 1000;
		this.#statistics.add('soundLatency', late, now);
		const picture = this.#statistics.windows.paintLatency.percentile(0.5, now);
		if (picture !== undefined) {
			this.#statistics.add('lipSync', late - picture, now);
		}
	}
}
