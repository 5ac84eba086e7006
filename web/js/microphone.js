// SPDX-License-Identifier: GPL-2.0-or-later
// This machine's microphone, into the desktop.
//
// States: 'off'; 'asking' (the browser asks the user); 'on'; 'refused' (by the user, or there is
// none); 'unavailable'.

import { createContext } from './audio.js';
import { encodeMicrophone } from './protocol.js';

// What waits in the socket is late already; a gap is better.
const BACKLOG_MAX = 32768;

export class Microphone {
	#connection;
	#state = 'off';
	#context = null;
	#stream = null;

	/** The state is another one. */
	onState = () => {};

	constructor(connection) {
		this.#connection = connection;
		if (!navigator.mediaDevices?.getUserMedia || !globalThis.AudioWorkletNode) {
			this.#state = 'unavailable';
		}
	}

	get state() {
		return this.#state;
	}

	#setState(state) {
		this.#state = state;
		this.onState(state);
	}

	async enable() {
		if (this.#state !== 'off' && this.#state !== 'refused') {
			return;
		}
		this.#setState('asking');
		try {
			await this.#open();
			this.#setState('on');
		} catch (error) {
			console.warn(`microphone: ${error}`);
			this.#close();
			this.#setState('refused');
		}
	}

	disable() {
		this.#close();
		if (this.#state !== 'unavailable') {
			this.#setState('off');
		}
	}

	async #open() {
		this.#stream = await navigator.mediaDevices.getUserMedia({
			audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true },
		});
		this.#stream.getTracks().forEach((track) => {
			track.onended = () => this.disable(); // unplugged, or forbidden
		});
		this.#context = await createContext();
		const recorder = new AudioWorkletNode(this.#context, 'helix-recorder', {
			numberOfOutputs: 0,
			channelCount: 1,
			channelCountMode: 'explicit',
		});
		recorder.port.onmessage = ({ data }) => {
			if (this.#connection.backlog < BACKLOG_MAX) {
				this.#connection.send(encodeMicrophone(data));
			}
		};
		this.#context.createMediaStreamSource(this.#stream).connect(recorder);
		await this.#context.resume();
	}

	#close() {
		this.#stream?.getTracks().forEach((track) => {
			track.onended = null;
			track.stop();
		});
		void this.#context?.close();
		this.#stream = this.#context = null;
	}
}
